// src/transport/tcp/connection.ts: one end of a connection: its variables (RFC 9293 §3.3.1, with Linux's names), and what
// programs do with it. What happens to segments is in input.ts, ack.ts, recovery.ts; what is sent, in output.ts.

import type { Timer } from "../../link/clock.ts";
import type { Route } from "../../host/fib/route.ts";
import { type Errno, SocketError } from "../errno.ts";
import { cleanReceiveBuffer } from "./ackpolicy.ts";
import { congestionOf } from "./algorithms.ts";
import type { Congestion } from "./congestion.ts";
import type { TcpConfig } from "./config.ts";
import { type Endpoint, type EndpointOptions, type Owner, type TcpState, Wake } from "./endpoint.ts";
import { info } from "./info.ts";
import { currentMss, Nagle, pushOne, pushPending, sendActiveReset, sendFin } from "./output.ts";
import { type Intervals, NO_INTERVALS } from "./intervals.ts";
import type { Bound } from "./ports.ts";
import { Ring } from "./ring.ts";
import { updateRtt } from "./rtt.ts";
import { after, span } from "./seq.ts";
import { WithSeldom } from "./seldom.ts";
import { SentQueue } from "./sent.ts";
import { Ca, Pending, RCV_SHUTDOWN, SEND_SHUTDOWN, State, stateNames } from "./state.ts";
import type { Tcp } from "./tcp.ts";
import { armKeepAlive, endTimers, NO_TIMER, onKeepAlive, onRetransmit } from "./timers.ts";
import { addPiece, extendLast, forcedPush, lastRoom, markPush, queuedMemory, sizeGoal } from "./writequeue.ts";
import { orphan, release, spaceForReading } from "./window.ts";

/** What a closed end is to be after its close() (RFC 9293 §3.10.4). */
const nextState: readonly number[] = [
  State.Closed,
  State.Closed,
  State.Closed,
  State.FinWait1,
  State.FinWait1,
  State.FinWait1,
  State.FinWait2,
  State.LastAck,
  State.Closing,
  State.LastAck,
  State.Closed,
];
/** In these a FIN of ours is due. */
const finDue = (1 << State.SynRcvd) | (1 << State.Established) | (1 << State.CloseWait);
const unconnected = (1 << State.Closed) | (1 << State.Listen) | (1 << State.SynSent) | (1 << State.SynRcvd);

export class Connection extends WithSeldom implements Endpoint {
  owner: Owner | null = null;
  state: number = State.Closed;
  readonly config: TcpConfig;
  // -- addresses
  localAddress = 0;
  localPort = 0;
  remoteAddress = 0;
  remotePort = 0;
  /** The key by which segments find it. */
  key = 0;
  next: Connection | null = null;
  /** Its hold on the local port. */
  bound: Bound | null = null;
  route: Route | null = null;
  /** `Fib.generation` when it was looked up. */
  routeGeneration = -1;
  /** IP identification of the next packet. */
  ipId = 0;
  // -- sending
  sndUna = 0;
  sndNxt = 0;
  /** Scaled. */
  sndWnd = 0;
  /** The sequence number of the last window update. */
  sndWl1 = 0;
  /** The largest window that the peer ever offered. */
  maxWindow = 0;
  /** The last byte of the smallest segment sent (Minshall's change to Nagle). */
  sndSml = 0;
  /** One behind the urgent byte. */
  sndUp = 0;
  /** One behind the last byte written; the FIN as well. */
  writeSeq = 0;
  /** Where the last segment with PSH ended. */
  pushedSeq = 0;
  /** The end of the piece that is sent next, and whether PSH goes with it (writequeue.ts). */
  pieceEnd = 0;
  piecePush = false;
  /** Pieces that were sent and are not acknowledged. */
  sentPieces = 0;
  finQueued = false;
  readonly sendRing: Ring;
  readonly sent: SentQueue;
  sndWscale = 0;
  rcvWscale = 0;
  wscaleOk = false;
  mss = 536;
  /** What the peer's MSS option allows, what we offer. */
  mssClamp = 536;
  advertisedMss = 536;
  pmtu = 0;
  /** Bytes of TCP header with the options that every segment carries. */
  headerLen = 20;
  noDelay = false;
  /** Bytes that may wait to be acknowledged. */
  sndBuf: number;
  // -- congestion
  ca: number = Ca.Open;
  readonly congestion: Congestion;
  cwnd: number;
  cwndCount = 0;
  cwndStamp = 0;
  cwndUsed = 0;
  cwndLimited = false;
  maxPacketsOut = 0;
  cwndUsageSeq = 0;
  highSeq = 0;
  reordering: number;
  delivered = 0;
  // -- RACK-TLP
  rackTime = 0;
  rackEnd = 0;
  rackRtt = 0;
  rackAdvanced = false;
  rackLastDelivered = 0;
  // -- round trip, nanoseconds
  srtt = 0;
  mdev = 0;
  mdevMax = 0;
  rttvar = 0;
  rttSeq = 0;
  rto: number;
  minRtt = Infinity;
  minRttStamp = 0;
  // -- receiving
  rcvNxt = 0;
  /** `rcvNxt` when the window was last told. */
  rcvWup = 0;
  rcvWnd = 0;
  windowClamp = 65535;
  rcvSsthresh = 0;
  /** Up to where the program read. */
  copiedSeq = 0;
  readonly receiveRing: Ring;
  /** What came out of order. */
  ofo: Intervals = NO_INTERVALS;
  /** Twice what the window may be: half is for Linux's overhead (tcp_win_from_space). */
  rcvBuf: number;
  /** 256ths of the buffer that are window (scaling_ratio). */
  rcvRatio = 128;
  rcvMss = 536;
  /** What waits costs so much of the buffer (sk_rmem_alloc). */
  rcvHeld = 0;
  /** What the buffer of the last of it still takes. */
  rcvRoom = 0;
  /** Data of the last segment that was shorter than `rcvMss` and may be full all the same. */
  lastSegment = 0;
  finReceived = false;
  /** One behind the last that the peer has sent (its FIN included); a guess until then. */
  irs = 0;
  iss = 0;
  rcvRttSeq = 0;
  rcvRttTime = 0;
  rcvRtt = 0;
  rcvqSpace = 0;
  rcvqSeq = 0;
  rcvqTime = 0;
  // -- options
  sackOk = false;
  tsOk = false;
  tsOffset = 0;
  /** Our timestamp in the first SYN. */
  synStamp = 0;
  tsRecent = 0;
  tsRecentStamp = 0;
  rcvTsval = 0;
  rcvTsecr = 0;
  lastRcvTsecr = 0;
  // -- acknowledging
  ackScheduled = false;
  ackNow = false;
  ackTimed = false;
  /** A segment with PSH came. */
  ackPushed = false;
  /** Two such. */
  ackPushed2 = false;
  ackTimeout = 0;
  ato = 0;
  quickAcks = 0;
  pingpong = 0;
  lastReceived = 0;
  lastSent = 0;
  /** When anything was sent last (tcp_wstamp_ns). */
  lastTransmit = 0;
  lastHeard = 0;
  // -- timers
  pending: number = Pending.None;
  readonly retransmitTimer: Timer;
  delayedAckTimer: Timer = NO_TIMER;
  /** The configuration's, until a program says otherwise. */
  keep: TcpConfig["keepAlive"];
  synRetries = 0;
  // -- life
  shutdown = 0;
  /** close(2) was called. */
  dead = false;
  wakes = 0;

  constructor(
    readonly tcp: Tcp,
    options: EndpointOptions = {},
  ) {
    super();
    const config = (this.config = tcp.config);
    this.sendRing = new Ring(tcp.core);
    this.receiveRing = new Ring(tcp.core);
    this.sent = new SentQueue(tcp.sentPool);
    this.congestion = congestionOf(options.congestion ?? config.congestion);
    this.cwnd = config.initialWindow;
    this.reordering = config.reordering;
    this.rto = config.rtoInitial;
    this.sndBuf = options.sendBuffer ?? config.sendBuffer;
    this.sndBufLocked = options.sendBuffer !== undefined;
    this.rcvBuf = options.receiveBuffer !== undefined ? options.receiveBuffer * 2 : config.receiveBuffer;
    this.rcvBufLocked = options.receiveBuffer !== undefined;
    this.noDelay = options.noDelay === true;
    this.quickAckForced = options.quickAck === true;
    this.userTimeout = options.userTimeout ?? 0;
    this.tos = options.tos ?? 0;
    this.ttl = options.ttl ?? 0;
    this.userMss = options.mss ?? 0;
    this.synRetries = config.synRetries;
    this.keep = config.keepAlive;
    this.retransmitTimer = tcp.clock.timer(onRetransmit, this as Connection);
    if (options.keepAlive != null) {
      const { idle, interval, count } = options.keepAlive;
      this.setKeepAlive(true, idle, interval, count);
    }
  }

  // -- what everything here asks

  get now(): number {
    return this.tcp.clock.now;
  }

  get packetsOut(): number {
    return this.sent.length;
  }

  /** tcp_packets_in_flight */
  get inFlight(): number {
    return this.sent.length - this.sackedOut - this.lostOut + this.retransOut;
  }

  /** One behind the last byte that the peer's window takes. */
  get windowEnd(): number {
    return (this.sndUna + this.sndWnd) | 0;
  }

  /** tcp_receive_window */
  get receiveWindow(): number {
    const w = (this.rcvWup + this.rcvWnd - this.rcvNxt) | 0;
    return w < 0 ? 0 : w;
  }

  /** Something written was never sent. */
  get hasUnsent(): boolean {
    return this.sndNxt !== this.writeSeq;
  }

  get stateName(): TcpState {
    return stateNames[this.state]!;
  }

  /** Milliseconds, as our timestamps option tells them. */
  get tsNow(): number {
    return (Math.floor(this.now / 1e6) + this.tsOffset) | 0;
  }

  /** The owner is to hear of this. */
  notify(what: number): void {
    if (this.wakes === 0) this.tcp.wake(this);
    this.wakes |= what;
  }

  tellOwner(): void {
    const what = this.wakes;
    this.wakes = 0;
    this.owner?.wake(what);
  }

  /** A local end: sends what `work` sends after it is done (a frame that is delivered at once would come back into it). */
  private act(work: (c: Connection) => void): void {
    const { backlog } = this.tcp.ns.world;
    const outermost = backlog.enter();
    try {
      work(this);
    } finally {
      if (outermost) backlog.leave();
    }
  }

  /** The first round trip of a passive open: from SYN,ACK to ACK (tcp_synack_rtt_meas). */
  handshakeRtt(rtt: number): void {
    updateRtt(this, false, false, rtt, -1, rtt);
  }

  // -- ends

  /** tcp_done: CLOSED, and gone from the tables. */
  done(): void {
    endTimers(this);
    this.state = State.Closed;
    this.shutdown = RCV_SHUTDOWN | SEND_SHUTDOWN;
    this.tcp.forget(this);
    this.sent.clear();
    this.sentPieces = 0;
    this.sackedOut = this.lostOut = this.retransOut = 0;
    this.sendRing.clear();
    this.ofo.clear();
    this.notify(Wake.Hangup | Wake.Readable | Wake.Writable);
    if (this.dead) this.receiveRing.clear();
  }

  /** The connection is over because of this. */
  fail(error: Errno): void {
    this.error = error;
    this.notify(Wake.Error);
    this.done();
  }

  takeError(): Errno | null {
    const { error } = this;
    this.error = null;
    if (error !== null) return error;
    const soft = this.softError;
    this.softError = null;
    return soft;
  }

  // -- reading

  get readable(): number {
    // whatever waits is in the ring
    if (this.receiveRing.size === 0) return 0;
    return span(this.rcvNxt, this.copiedSeq) - (this.finReceived ? 1 : 0);
  }

  get readEnded(): boolean {
    return this.finReceived || (this.shutdown & RCV_SHUTDOWN) !== 0 || this.state === State.Closed;
  }

  read(into: Uint8Array, peek = false): number {
    const n = this.readableTo(into.length);
    if (n <= 0) return 0;
    this.receiveRing.get(this.copiedSeq, into, n);
    if (!peek) this.consume(n);
    return n;
  }

  discard(n: number): void {
    n = this.readableTo(n);
    if (n > 0) this.consume(n);
  }

  /** Reading stops before the urgent byte, and begins behind it (RFC 6093 §3: Linux's default is out of line). */
  private readableTo(n: number): number {
    let available = Math.min(this.readable, n);
    if (this.urgData !== 0 && available > 0) {
      const toMark = span(this.urgSeq, this.copiedSeq);
      if (toMark === 0) {
        // the urgent byte itself is not read in line
        this.skipUrgent();
        available = Math.min(this.readable, n);
      } else if (toMark > 0 && toMark < available) available = toMark;
    }
    return available;
  }

  private skipUrgent(): void {
    this.copiedSeq = (this.copiedSeq + 1) | 0;
    if (after(this.copiedSeq, this.urgSeq)) this.urgData = 0;
  }

  private consume(n: number): void {
    release(this, n, this.readable);
    this.copiedSeq = (this.copiedSeq + n) | 0;
    if (this.readable === 0 && this.ofo.count === 0) this.receiveRing.clear();
    spaceForReading(this);
    this.act((c) => cleanReceiveBuffer(c, n));
  }

  // -- writing

  /** Bytes written and not acknowledged; a FIN counts as none. */
  get unacknowledged(): number {
    return ((1 << this.state) & unconnected) !== 0
      ? 0
      : Math.max(0, span(this.writeSeq, this.sndUna) - (this.finQueued ? 1 : 0));
  }

  get writable(): number {
    if (this.state !== State.Established && this.state !== State.CloseWait) return 0;
    if ((this.shutdown & SEND_SHUTDOWN) !== 0) return 0;
    return Math.max(0, this.sndBuf - queuedMemory(this));
  }

  private mayWrite(): void {
    if (this.error !== null) {
      const code = this.error;
      this.error = null;
      throw new SocketError(code);
    }
    if ((this.shutdown & SEND_SHUTDOWN) !== 0 || this.state === State.Closed) throw new SocketError("EPIPE");
  }

  write(bytes: Uint8Array, from = 0, length = bytes.length - from): number {
    return this.queue(length, bytes, from, false, false);
  }

  writeZeros(length: number): number {
    return this.queue(length, null, 0, false, false);
  }

  /** The same as write, but PSH and Nagle's end wait for more (MSG_MORE). */
  writeMore(bytes: Uint8Array | null, length: number): number {
    return this.queue(length, bytes, 0, true, false);
  }

  writeUrgent(bytes: Uint8Array): number {
    return this.queue(bytes.length, bytes, 0, false, true);
  }

  /** tcp_sendmsg_locked: what comes meanwhile waits. */
  private queue(length: number, bytes: Uint8Array | null, from: number, more: boolean, urgent: boolean): number {
    this.mayWrite();
    if (length === 0) return 0;
    if (this.state !== State.Established && this.state !== State.CloseWait) {
      this.noSpace = true;
      return 0;
    }
    const { backlog } = this.tcp.ns.world;
    const outermost = backlog.enter();
    try {
      return this.take(length, bytes, from, more, urgent);
    } finally {
      if (outermost) backlog.leave();
    }
  }

  private take(length: number, bytes: Uint8Array | null, from: number, more: boolean, urgent: boolean): number {
    const mss = currentMss(this);
    const goal = urgent ? mss : sizeGoal(this, mss);
    let n = 0;
    while (n < length) {
      let room = lastRoom(this, goal);
      const fresh = room <= 0;
      if (fresh) {
        if (queuedMemory(this) >= this.sndBuf) break;
        room = goal;
      }
      const part = Math.min(room, length - n);
      const used = span(this.writeSeq, this.sndUna);
      if (!this.sendRing.reserve(this.sndUna, used, used + part)) break;
      if (bytes === null) this.sendRing.putZeros(this.writeSeq, part);
      else this.sendRing.put(this.writeSeq, bytes, from + n, part);
      const end = (this.writeSeq + part) | 0;
      if (fresh) addPiece(this, end);
      else extendLast(this, end, n === 0);
      this.writeSeq = end;
      n += part;
      if (n === length || part < room || urgent) continue;
      if (forcedPush(this)) {
        markPush(this);
        pushPending(this, Nagle.Off);
      } else if (this.laterPieces === null) pushOne(this);
    }
    const all = n === length;
    if (!all) this.noSpace = true;
    if (n === 0) return 0;
    // tcp_push
    if (!more || !all || forcedPush(this)) markPush(this);
    if (urgent) this.sndUp = this.writeSeq;
    pushPending(this, !all ? Nagle.Off : more ? Nagle.Cork : Nagle.On);
    return n;
  }

  readUrgent(): number {
    if ((this.urgData & 0x100) === 0) return -1;
    const byte = this.urgData & 0xff;
    this.urgData = 0x200;
    return byte;
  }

  get atMark(): boolean {
    return this.urgData !== 0 && this.copiedSeq === this.urgSeq;
  }

  // -- closing

  shutdownWrite(): void {
    if (((1 << this.state) & unconnected) !== 0 && this.state !== State.SynRcvd) throw new SocketError("ENOTCONN");
    if ((this.shutdown & SEND_SHUTDOWN) !== 0) return;
    this.shutdown |= SEND_SHUTDOWN;
    this.act(closeWrite);
  }

  shutdownRead(): void {
    if (this.state === State.Closed || this.state === State.SynSent) throw new SocketError("ENOTCONN");
    this.shutdown |= RCV_SHUTDOWN;
    this.notify(Wake.Readable);
  }

  close(): void {
    if (this.dead) return;
    this.dead = true;
    this.shutdown = RCV_SHUTDOWN | SEND_SHUTDOWN;
    this.owner = null;
    this.act(closeAll);
  }

  abort(): void {
    this.dead = true;
    this.owner = null;
    if (this.state === State.Closed) return;
    this.act((c) => {
      if (((1 << c.state) & ((1 << State.SynSent) | (1 << State.Listen))) === 0) sendActiveReset(c);
      c.done();
    });
  }

  // -- options

  setNoDelay(on: boolean): void {
    this.noDelay = on;
    if (on) this.act(pushAll);
  }

  setCork(on: boolean): void {
    this.cork = on;
    if (!on) this.act(push);
  }

  setQuickAck(on: boolean): void {
    this.pingpong = on ? 0 : 1;
    if (on && this.ackScheduled) {
      this.ackPushed = true;
      this.act((c) => cleanReceiveBuffer(c, 1));
    }
  }

  setKeepAlive(on: boolean, idle?: number, interval?: number, count?: number): void {
    const { keep } = this;
    if (idle !== undefined || interval !== undefined || count !== undefined) {
      this.keep = {
        idle: idle === undefined ? keep.idle : idle * 1e9,
        interval: interval === undefined ? keep.interval : interval * 1e9,
        count: count ?? keep.count,
      };
    }
    this.keepAlive = on;
    if (on && this.keepAliveTimer === null) this.keepAliveTimer = this.tcp.clock.timer(onKeepAlive, this as Connection);
    if (this.state >= State.Established && !this.dead) armKeepAlive(this);
  }

  setUserTimeout(ns: number): void {
    this.userTimeout = ns;
  }

  setTos(tos: number): void {
    // ECN's bits are the protocol's own
    this.tos = (tos & 0xfc) | (this.tos & 3);
    this.route = null;
  }

  setTtl(ttl: number): void {
    this.ttl = ttl;
  }

  setReceiveBuffer(bytes: number): void {
    this.rcvBuf = bytes * 2;
    this.rcvBufLocked = true;
  }

  setSendBuffer(bytes: number): void {
    this.sndBuf = bytes;
    this.sndBufLocked = true;
  }

  info(): Record<string, number | string> {
    return info(this);
  }
}

const push = (c: Connection): void => pushPending(c, Nagle.On);
const pushAll = (c: Connection): void => pushPending(c, Nagle.Off);

/** tcp_shutdown: a FIN behind what was written. */
function closeWrite(c: Connection): void {
  if (((1 << c.state) & finDue) !== 0) {
    c.state = nextState[c.state]!;
    sendFin(c);
  }
}

/** __tcp_close. */
function closeAll(c: Connection): void {
  const unread = c.readable > 0;
  c.receiveRing.clear();
  if (c.state === State.Closed) return;
  if (c.state === State.SynSent) return c.done();
  if (unread) {
    // RFC 2525 §2.17: data was lost, so the peer must know
    sendActiveReset(c);
    return c.done();
  }
  c.ofo.clear();
  if (((1 << c.state) & finDue) !== 0) {
    c.state = nextState[c.state]!;
    sendFin(c);
  }
  orphan(c);
}
