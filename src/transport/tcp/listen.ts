// src/transport/tcp/listen.ts: passive opens: SYN queue, SYN cookies, accept queue, with Linux's limits
// (tcp_conn_request, tcp_check_req, reqsk_timer_handler).

import { Drop } from "../../../assembly/drop.ts";
import { SegOpt } from "../../../assembly/tcplayout.ts";
import type { Route } from "../../host/fib/route.ts";
import type { Timer } from "../../link/clock.ts";
import { processAck } from "./ack.ts";
import { ackCheck } from "./ackpolicy.ts";
import { Connection } from "./connection.ts";
import { cookieFor, cookieMss, cookieTimestamp, readCookieTimestamp } from "./cookie.ts";
import { queueData, receiveUrgent } from "./data.ts";
import { type Endpoint, type EndpointOptions, type Listener as ListenerApi, type Owner, Wake } from "./endpoint.ts";
import { establish, SEND_RESET } from "./input.ts";
import { sendActiveReset, syncMss } from "./output.ts";
import type { Bound } from "./ports.ts";
import type { Segment } from "./segment.ts";
import { after, before } from "./seq.ts";
import { ACK, CWR, ECE, FIN, RST, State, SYN } from "./state.ts";
import { keyOf } from "./table.ts";
import type { Tcp } from "./tcp.ts";
import { initialWindow } from "./window.ts";

/** A SYN that was answered (struct request_sock). */
export class Request {
  iss = 0;
  irs = 0;
  mss = 536;
  sndWscale = -1;
  rcvWscale = 0;
  rcvWnd = 0;
  sackOk = false;
  tsOk = false;
  ecnOk = false;
  tsRecent = 0;
  tsOffset = 0;
  /** SYN,ACKs that the timer sent again, and SYNs that came again. */
  timeouts = 0;
  /** The handshake is complete, but there was no room to accept it. */
  acked = false;
  retransmitted = 0;
  lastInvalid = -1e18;
  sentAt = -1;
  tos = 0;
  timer: Timer | null = null;
  /** The way of the SYN,ACK, and `Fib.generation` then. */
  route: Route | null = null;
  routeGeneration = -1;
  next: Request | null = null;

  constructor(
    readonly listener: Listener,
    readonly localAddress: number,
    readonly localPort: number,
    readonly remoteAddress: number,
    readonly remotePort: number,
    readonly key: number,
  ) {}
}

function synAckDue(r: Request | null): void {
  r?.listener.synAckDue(r);
}

export class Listener implements ListenerApi {
  owner: Owner | null;
  /** Established and not accepted. */
  private readonly queue: Connection[] = [];
  private head = 0;
  private told = false;
  /** SYNs answered and not complete. */
  readonly requests = new Set<Request>();
  closed = false;
  readonly backlog: number;

  constructor(
    private readonly tcp: Tcp,
    readonly localAddress: number,
    readonly localPort: number,
    backlog: number,
    owner: Owner,
    readonly options: EndpointOptions,
    readonly bound: Bound,
  ) {
    this.owner = owner;
    this.backlog = Math.min(Math.max(backlog, 0), tcp.config.maxBacklog);
  }

  get waiting(): number {
    return this.queue.length - this.head;
  }

  accept(): Endpoint | null {
    const c = this.queue[this.head];
    if (c === undefined) return null;
    this.head++;
    if (this.head === this.queue.length) this.queue.length = this.head = 0;
    return c;
  }

  tellOwner(): void {
    this.told = false;
    this.owner?.wake(Wake.Readable);
  }

  /** sk_acceptq_is_full: one more than the backlog may wait. */
  private get isFull(): boolean {
    return this.waiting > this.backlog;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.owner = null;
    for (const r of this.requests) this.forget(r);
    const { backlog } = this.tcp.ns.world;
    const outermost = backlog.enter();
    try {
      for (; this.head < this.queue.length; this.head++) {
        const c = this.queue[this.head]!;
        c.dead = true;
        c.owner = null;
        if (c.state !== State.Closed) {
          sendActiveReset(c);
          c.done();
        }
      }
    } finally {
      if (outermost) backlog.leave();
    }
    this.tcp.unlisten(this);
  }

  forget(r: Request): void {
    this.requests.delete(r);
    this.tcp.requests.remove(r);
    if (r.timer !== null) this.tcp.clock.end(r.timer);
  }

  // -- a segment for the port that belongs to no connection

  receive(seg: Segment, isBroadcast: boolean): number {
    if ((seg.flags & RST) !== 0) return Drop.TcpReset;
    if ((seg.flags & ACK) !== 0) return this.cookieAck(seg);
    if ((seg.flags & SYN) === 0) return Drop.TcpFlags;
    if ((seg.flags & FIN) !== 0) return Drop.TcpFlags;
    // RFC 9293 MUST-57: never for a broadcast
    if (isBroadcast) return Drop.TcpFlags;
    return this.synReceived(seg);
  }

  /** tcp_conn_request */
  private synReceived(seg: Segment): number {
    const { tcp } = this;
    const { config } = tcp;
    if (this.isFull) return Drop.TcpListenOverflow;
    let cookie = config.synCookies === 2;
    if (!cookie && this.requests.size > this.backlog) {
      if (config.synCookies === 0) return Drop.TcpSynOverflow;
      cookie = true;
    }
    if (config.synCookies === 0 && config.synBacklog - this.requests.size < config.synBacklog >> 2) {
      return Drop.TcpSynOverflow;
    }
    const r = this.request(seg);
    const { now } = tcp.clock;
    const ports = (seg.srcPort << 16) | seg.dstPort;
    if (cookie) {
      r.ecnOk = r.ecnOk && r.tsOk;
      r.iss = cookieFor(tcp.secrets, seg.src, seg.dst, ports, seg.seq, r.mss, now);
    } else r.iss = tcp.secrets.initialSequence(seg.dst, seg.src, ports, now);
    if (!this.sendSynAck(r, cookie)) return Drop.NoRoute;
    if (cookie) return Drop.None;
    this.requests.add(r);
    tcp.requests.add(r);
    r.timer = tcp.clock.timer(synAckDue, r);
    tcp.clock.arm(r.timer, now + config.rtoInitial);
    return Drop.None;
  }

  /** What a SYN asks for, and what of it we do (tcp_openreq_init, tcp_openreq_init_rwin). */
  private request(seg: Segment): Request {
    const { tcp } = this;
    const { config } = tcp;
    const r = new Request(this, seg.dst, seg.dstPort, seg.src, seg.srcPort, keyOf(seg.dstPort, seg.src, seg.srcPort));
    const { options } = seg;
    r.irs = seg.seq;
    const told = (options & SegOpt.Mss) !== 0 ? seg.mss : 536;
    r.mss = this.options.mss ? Math.min(this.options.mss, told) : told;
    r.tsOk = config.timestamps && (options & SegOpt.Timestamps) !== 0;
    r.sackOk = config.sack && (options & SegOpt.SackPermitted) !== 0;
    r.sndWscale = config.windowScale && (options & SegOpt.Shift) !== 0 ? seg.shift : -1;
    r.tsRecent = seg.tsval;
    r.tsOffset = tcp.secrets.timestampOffset(seg.dst, seg.src);
    r.ecnOk = config.ecn !== 0 && (seg.flags & (ECE | CWR)) === (ECE | CWR) && (seg.tos & 3) === 0;
    r.tos = this.options.tos ?? 0;
    const probe = tcp.windowProbe;
    probe.rcvBuf = this.options.receiveBuffer !== undefined ? this.options.receiveBuffer * 2 : config.receiveBuffer;
    probe.rcvBufLocked = this.options.receiveBuffer !== undefined;
    const advertised = Math.min(tcp.advertisedMss(seg.src, seg.dst), this.options.mss || 65535);
    initialWindow(probe, advertised - (r.tsOk ? 12 : 0));
    r.rcvWnd = probe.rcvWnd;
    r.rcvWscale = probe.rcvWscale;
    return r;
  }

  private sendSynAck(r: Request, cookie: boolean): boolean {
    const { tcp } = this;
    const { now } = tcp.clock;
    let ts = (Math.floor(now / 1e6) + r.tsOffset) | 0;
    if (cookie && r.tsOk) ts = cookieTimestamp(ts, r.sndWscale, r.sackOk, r.ecnOk);
    // without timestamps a cookie tells of the MSS alone
    const rich = !cookie || r.tsOk;
    r.sentAt = now;
    return tcp.sendSynAck(r, ts, rich && r.sndWscale >= 0 ? r.rcvWscale : -1, rich && r.sackOk);
  }

  /** reqsk_timer_handler */
  synAckDue(r: Request): void {
    const { tcp } = this;
    const { config } = tcp;
    const { backlog } = tcp.ns.world;
    const outermost = backlog.enter();
    try {
      // what is complete and finds no room gets the same patience
      if (r.timeouts >= config.synAckRetries) return this.forget(r);
      r.timeouts++;
      r.retransmitted++;
      this.sendSynAck(r, false);
      tcp.clock.arm(r.timer!, tcp.clock.now + Math.min(config.rtoInitial * 2 ** r.timeouts, config.rtoMax));
    } finally {
      if (outermost) backlog.leave();
    }
  }

  // -- a segment for a request: tcp_check_req

  receiveFor(r: Request, seg: Segment): number {
    const { tcp } = this;
    const { now } = tcp.clock;
    const stamped = r.tsOk && (seg.options & SegOpt.Timestamps) !== 0;
    const paws = stamped && ((r.tsRecent - seg.tsval) | 0) > 0 && (seg.flags & RST) === 0 && r.tsRecent !== 0;
    const first = (r.irs + 1) | 0;
    if (seg.seq === r.irs && (seg.flags & (SYN | RST | ACK)) === SYN && !paws) {
      // the SYN again: our answer was lost
      if (now - r.lastInvalid >= tcp.config.invalidRateLimit) {
        r.lastInvalid = now;
        r.retransmitted++;
        this.sendSynAck(r, false);
        if (r.timer !== null) {
          tcp.clock.arm(r.timer, now + Math.min(tcp.config.rtoInitial * 2 ** r.timeouts, tcp.config.rtoMax));
        }
      }
      return Drop.None;
    }
    if ((seg.flags & ACK) !== 0 && seg.ack !== ((r.iss + 1) | 0)) return SEND_RESET;
    if (stamped && seg.tsecr !== 0 && after(seg.tsecr, (Math.floor(now / 1e6) + r.tsOffset) | 0)) return Drop.TcpPaws;
    const limit = (first + r.rcvWnd) | 0;
    const inWindow =
      seg.seq === first ||
      (after(seg.end, first) && before(seg.seq, limit)) ||
      (seg.seq === limit && seg.seq === seg.end);
    if (paws || !inWindow) {
      if ((seg.flags & RST) === 0 && now - r.lastInvalid >= tcp.config.invalidRateLimit) {
        r.lastInvalid = now;
        tcp.sendRequestAck(r);
      }
      return Drop.TcpOutOfWindow;
    }
    if (stamped && !after(seg.seq, first)) r.tsRecent = seg.tsval;
    if ((seg.flags & RST) !== 0 || (seg.flags & SYN) !== 0) {
      // RFC 9293 MUST-11: back to LISTEN
      if ((seg.flags & RST) !== 0 && seg.seq !== first) return Drop.TcpReset;
      this.forget(r);
      return (seg.flags & RST) !== 0 ? Drop.TcpReset : SEND_RESET;
    }
    if ((seg.flags & ACK) === 0) return Drop.TcpFlags;
    if (this.isFull) {
      if (tcp.config.abortOnOverflow) {
        this.forget(r);
        return SEND_RESET;
      }
      r.acked = true;
      return Drop.TcpListenOverflow;
    }
    this.forget(r);
    return this.born(r, seg);
  }

  /** An ACK for a port with no request: perhaps it brings a cookie back (cookie_v4_check). */
  private cookieAck(seg: Segment): number {
    const { tcp } = this;
    if (tcp.config.synCookies === 0) return SEND_RESET;
    const { now } = tcp.clock;
    const ports = (seg.srcPort << 16) | seg.dstPort;
    const cookie = (seg.ack - 1) | 0;
    const mss = cookieMss(tcp.secrets, seg.src, seg.dst, ports, (seg.seq - 1) | 0, cookie, now);
    if (mss === 0 || (seg.flags & SYN) !== 0) return SEND_RESET;
    if (this.isFull) return Drop.TcpListenOverflow;
    const r = this.request(seg);
    r.irs = (seg.seq - 1) | 0;
    r.iss = cookie;
    r.mss = mss;
    r.sackOk = r.ecnOk = false;
    r.sndWscale = -1;
    if (r.tsOk) {
      const told = readCookieTimestamp((seg.tsecr - 0) | 0);
      r.sndWscale = tcp.config.windowScale ? told.shift : -1;
      r.sackOk = tcp.config.sack && told.sack;
      r.ecnOk = tcp.config.ecn !== 0 && told.ecn;
    }
    return this.born(r, seg);
  }

  /** tcp_v4_syn_recv_sock, tcp_create_openreq_child: a connection of its own. */
  private born(r: Request, seg: Segment): number {
    const { tcp } = this;
    const c = new Connection(tcp, this.options);
    c.localAddress = r.localAddress;
    c.localPort = r.localPort;
    c.remoteAddress = r.remoteAddress;
    c.remotePort = r.remotePort;
    c.key = r.key;
    c.ipId = tcp.ns.world.rng.below(65536);
    c.iss = r.iss;
    c.irs = r.irs;
    c.sndUna = c.sndNxt = c.writeSeq = (r.iss + 1) | 0;
    c.rcvNxt = c.rcvWup = c.copiedSeq = (r.irs + 1) | 0;
    c.state = State.SynRcvd;
    c.tsOk = r.tsOk;
    c.tsOffset = r.tsOffset;
    c.tsRecent = r.tsRecent;
    c.tsRecentStamp = tcp.clock.now;
    c.headerLen = r.tsOk ? 32 : 20;
    c.sackOk = r.sackOk;
    c.ecnOk = r.ecnOk;
    c.wscaleOk = r.sndWscale >= 0;
    c.sndWscale = Math.max(0, r.sndWscale);
    c.mssClamp = r.mss;
    c.totalRetrans = r.retransmitted;
    // the SYN,ACK went the same way
    c.route = r.route;
    c.routeGeneration = r.routeGeneration;
    const route = tcp.routeOf(c);
    if (route === null) return Drop.NoRoute;
    const pmtu = tcp.ns.routeMtu(route);
    c.advertisedMss = tcp.advertisedMss(r.remoteAddress, r.localAddress) - (r.tsOk ? 12 : 0);
    initialWindow(c, c.advertisedMss);
    c.rcvWnd = r.rcvWnd;
    c.rcvWscale = c.wscaleOk ? r.rcvWscale : 0;
    c.rcvSsthresh = c.rcvWnd;
    if (!c.wscaleOk) c.windowClamp = Math.min(c.windowClamp, 65535);
    c.sndWnd = seg.window << c.sndWscale;
    c.sndWl1 = seg.seq;
    c.maxWindow = c.sndWnd;
    syncMss(c, pmtu);
    c.bound = this.bound.hold();
    tcp.connections.add(c);
    // the third part of the handshake
    c.rcvTsecr = c.tsOk && (seg.options & SegOpt.Timestamps) !== 0 ? seg.tsecr : 0;
    if (r.timeouts === 0 && r.retransmitted === 0 && r.sentAt >= 0) c.handshakeRtt(tcp.clock.now - r.sentAt);
    establish(c);
    this.queue.push(c);
    processAck(c, seg, true);
    receiveUrgent(c, seg);
    queueData(c, seg);
    ackCheck(c);
    if (!this.told) {
      this.told = true;
      tcp.wake(this);
    }
    return Drop.None;
  }
}
