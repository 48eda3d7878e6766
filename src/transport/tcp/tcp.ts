// src/transport/tcp/tcp.ts: a host's TCP: which connection a segment belongs to, opens, ICMP errors (net/ipv4/tcp_ipv4.c).

import type { Drop } from "../../../assembly/drop.ts";
import { Drop as Why } from "../../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../../assembly/layout.ts";
import type { Core, Frame } from "../../core/core.ts";
import { Flow } from "../../host/fib/flow.ts";
import { type Route, RouteType } from "../../host/fib/route.ts";
import type { Namespace } from "../../host/namespace.ts";
import type { Transport } from "../../host/transport.ts";
import type { Clock, Timer } from "../../link/clock.ts";
import type { Interface } from "../../link/interface.ts";
import { SocketError } from "../errno.ts";
import { errnoOf } from "../routeerror.ts";
import { configOf, type TcpConfig } from "./config.ts";
import { Connection } from "./connection.ts";
import type { Endpoint, EndpointOptions, Listener as ListenerApi, Owner, Stack, TcpState } from "./endpoint.ts";
import { icmpError } from "./icmp.ts";
import { receiveSegment, SEND_RESET } from "./input.ts";
import { Secrets } from "./isn.ts";
import { Listener, type Request } from "./listen.ts";
import { sendSyn, syncMss } from "./output.ts";
import { type Bound, Ports } from "./ports.ts";
import { Segment } from "./segment.ts";
import type { Sent } from "./sent.ts";
import { ACK, ECE, State, stateNames, SYN } from "./state.ts";
import { keyOf, Table } from "./table.ts";
import { NEW_CONNECTION, TimeWait } from "./timewait.ts";
import { initialWindow } from "./window.ts";

const PROTO_TCP = 6;
const DF = 0x4000;
const HEADERS = 40;
/** TCP_MIN_MSS of dst_metric_advmss (net.ipv4.route.min_adv_mss) */
const LEAST_ADVERTISED = 256;

/** Something with an owner that waits to be told. */
export interface Wakeable {
  tellOwner(): void;
}

export class Tcp implements Transport, Stack {
  readonly core: Core;
  readonly clock: Clock;
  readonly segment: Segment;
  readonly i32: Int32Array;
  /** Where SACK blocks to send are put, as an index into `i32`. */
  readonly blocksAt: number;
  readonly sentPool: Sent[] = [];
  readonly connections = new Table<Connection>();
  readonly requests = new Table<Request>();
  readonly waits = new Table<TimeWait>();
  readonly secrets: Secrets;
  readonly ports: Ports;
  challengeStamp = -1;
  challengeCount = 0;
  private readonly listeners = new Map<number, Listener[]>();
  private readonly flow = new Flow();
  /** Whose owners are to be told, and when that happens. Two lists in turn: who is told may wake others. */
  private woken: Wakeable[] = [];
  private told: Wakeable[] = [];
  private wokenCount = 0;
  private readonly wakeTimer: Timer;
  private probe: Connection | null = null;
  private rangeText = "";
  private range: readonly [number, number] = [32768, 60999];
  /** The way that `advertisedMss` found last, whose it is, and `Fib.generation` then. */
  private mssRoute: Route | null = null;
  private mssDst = 0;
  private mssSrc = 0;
  private mssGeneration = -1;

  /** `config` replaces what the sysctls say. */
  constructor(
    readonly ns: Namespace,
    public config: TcpConfig = configOf(ns.sysctl),
  ) {
    this.core = ns.world.core;
    this.clock = ns.world.clock;
    this.segment = new Segment(this.core);
    this.i32 = this.segment.i32;
    this.blocksAt = this.core.x.tcpBlocks() >>> 2;
    this.wakeTimer = this.clock.timer(() => this.wakeAll());
    this.secrets = new Secrets(ns.world.rng);
    this.ports = new Ports(ns.world.rng, () => this.portRange());
  }

  private portRange(): readonly [number, number] {
    const text = this.ns.sysctl.getText("net.ipv4.ip_local_port_range");
    if (text !== this.rangeText) {
      const [low, high] = text.trim().split(/\s+/).map(Number);
      this.rangeText = text;
      this.range = [low ?? 32768, high ?? 60999];
    }
    return this.range;
  }

  get defaultTtl(): number {
    return this.ns.defaultTtl();
  }

  get pmtuDiscovery(): boolean {
    return this.ns.sysctl.get("net.ipv4.ip_no_pmtu_disc") === 0;
  }

  /** A connection that is none: a place to work out windows of requests. */
  get windowProbe(): Connection {
    return (this.probe ??= new Connection(this));
  }

  // -- what comes

  /** tcp_v4_rcv */
  receive(_dev: Interface, frame: Frame): boolean {
    const seg = this.segment;
    seg.read(frame);
    const { u32 } = this.core;
    const key = keyOf(seg.dstPort, seg.src, seg.srcPort);
    const c = this.connections.find(seg.dst, seg.dstPort, seg.src, seg.srcPort, key);
    let result: number;
    if (c !== null) {
      result = receiveSegment(c, seg);
    } else {
      const broadcast = (u32[(frame + Pkt.Flags) >> 2]! & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) !== 0;
      result = this.receiveElse(seg, key, broadcast);
    }
    if (result === SEND_RESET) return false;
    if (result === Why.None) this.ns.consume(frame, _dev, "tcp");
    else this.ns.drop(frame, result as Drop, _dev);
    return true;
  }

  private receiveElse(seg: Segment, key: number, broadcast: boolean): number {
    const wait = this.waits.find(seg.dst, seg.dstPort, seg.src, seg.srcPort, key);
    if (wait !== null) {
      const result = wait.receive(seg);
      if (result !== NEW_CONNECTION) return result;
      const listener = this.findListener(seg.dst, seg.dstPort);
      if (listener === null) return SEND_RESET;
      this.clock.cancel(wait.timer);
      this.forgetTimeWait(wait);
      return listener.receive(seg, broadcast);
    }
    const request = this.requests.find(seg.dst, seg.dstPort, seg.src, seg.srcPort, key);
    if (request !== null) return request.listener.receiveFor(request, seg);
    const listener = this.findListener(seg.dst, seg.dstPort);
    return listener === null ? SEND_RESET : listener.receive(seg, broadcast);
  }

  /** A specific address goes before any. */
  private findListener(address: number, port: number): Listener | null {
    const list = this.listeners.get(port);
    if (list === undefined) return null;
    let any: Listener | null = null;
    for (const l of list) {
      if (l.localAddress === address) return l;
      if (l.localAddress === 0) any ??= l;
    }
    return any;
  }

  error(quoted: number, length: number, type: number, code: number, info: number): void {
    icmpError(this, quoted, length, type, code, info);
  }

  hasPort(address: number, port: number): boolean {
    return this.ports.has(address, port);
  }

  // -- telling owners

  /**
   * The owner is told at this instant, but as an event of its own: never inside a call that it makes itself, which may
   * well be what sent the frame that is answered.
   */
  wake(who: Wakeable): void {
    this.woken[this.wokenCount++] = who;
    if (this.wakeTimer.at < 0) this.clock.arm(this.wakeTimer, this.clock.now);
  }

  private wakeAll(): void {
    const { woken } = this;
    const n = this.wokenCount;
    this.woken = this.told;
    this.told = woken;
    this.wokenCount = 0;
    for (let i = 0; i < n; i++) woken[i]!.tellOwner();
  }

  // -- opening

  /** bind(2). Throws EADDRNOTAVAIL, EADDRINUSE, EACCES. */
  bind(address: number, port: number, reuseAddress = false, reusePort = false): Bound {
    const { fib } = this.ns;
    if (address !== 0) {
      const type = fib.addrType(address);
      if (type !== RouteType.Local && this.ns.sysctl.get("net.ipv4.ip_nonlocal_bind") === 0) {
        throw new SocketError("EADDRNOTAVAIL");
      }
    }
    const bound = this.ports.bind(address, port, reuseAddress, reusePort);
    if (bound === null) throw new SocketError("EADDRINUSE");
    return bound;
  }

  listen(
    address: number,
    port: number,
    backlog: number,
    owner: Owner,
    options: EndpointOptions = {},
    bound: Bound = this.bind(address, port, options.reuseAddress, options.reusePort),
  ): ListenerApi {
    if (!this.ports.mayListen(bound)) {
      bound.release();
      throw new SocketError("EADDRINUSE");
    }
    bound.listening = true;
    const listener = new Listener(this, bound.address, bound.port, backlog, owner, options, bound);
    const list = this.listeners.get(bound.port);
    if (list === undefined) this.listeners.set(bound.port, [listener]);
    else list.push(listener);
    return listener;
  }

  unlisten(listener: Listener): void {
    const list = this.listeners.get(listener.localPort);
    if (list === undefined) return;
    const i = list.indexOf(listener);
    if (i >= 0) list.splice(i, 1);
    if (list.length === 0) this.listeners.delete(listener.localPort);
    listener.bound.listening = false;
    listener.bound.release();
  }

  /** tcp_v4_connect, tcp_connect. `bound`: a port that bind() gave. */
  connect(
    address: number,
    port: number,
    owner: Owner,
    local: { address?: number; port?: number; reuse?: boolean } = {},
    options: EndpointOptions = {},
    bound: Bound | null = null,
  ): Endpoint {
    const { fib } = this.ns;
    const { flow } = this;
    flow.clear();
    flow.dst = address;
    flow.src = bound !== null ? bound.address : (local.address ?? 0);
    flow.tos = options.tos ?? 0;
    flow.proto = PROTO_TCP;
    flow.dport = port;
    const route = fib.routeOutput(flow);
    if (route === null || route.dev === null) throw new SocketError(errnoOf(fib.error));
    if (route.type === RouteType.Broadcast || route.type === RouteType.Multicast) throw new SocketError("ENETUNREACH");
    const src = flow.src !== 0 ? flow.src : route.source;
    const dst = flow.dst;
    const given = bound !== null || local.port;
    const place = bound ?? this.placeOf(src, local, dst, port);
    if (place === null) throw new SocketError("EADDRNOTAVAIL");
    const key = keyOf(place.port, dst, port);
    if (given && !this.isFree(src, place.port, dst, port)) {
      if (bound === null) place.release();
      throw new SocketError("EADDRNOTAVAIL");
    }
    const c = new Connection(this, options);
    c.owner = owner;
    c.localAddress = src;
    c.localPort = place.port;
    c.remoteAddress = dst;
    c.remotePort = port;
    c.key = key;
    c.bound = place;
    this.begin(c);
    return c;
  }

  private placeOf(
    src: number,
    local: { address?: number; port?: number; reuse?: boolean },
    dst: number,
    port: number,
  ): Bound | null {
    if (local.port) return this.bind(local.address ?? 0, local.port, local.reuse);
    return this.ports.ephemeral((p) => this.isFree(src, p, dst, port));
  }

  /** __inet_check_established: no such connection exists; one in TIME-WAIT with timestamps may go (tcp_tw_reuse). */
  private isFree(src: number, sport: number, dst: number, dport: number): boolean {
    const key = keyOf(sport, dst, dport);
    if (this.connections.find(src, sport, dst, dport, key) !== null) return false;
    return this.waits.find(src, sport, dst, dport, key) === null;
  }

  /** tcp_connect_init, and the SYN. */
  private begin(c: Connection): void {
    const { ns, clock, secrets } = this;
    c.ipId = ns.world.rng.below(65536);
    c.iss = secrets.initialSequence(c.localAddress, c.remoteAddress, (c.localPort << 16) | c.remotePort, clock.now);
    c.tsOffset = secrets.timestampOffset(c.localAddress, c.remoteAddress);
    c.state = State.SynSent;
    c.sndUna = c.sndNxt = c.iss;
    c.writeSeq = (c.iss + 1) | 0;
    c.sndUp = c.sndSml = c.iss;
    c.synStamp = c.tsNow;
    c.advertisedMss = this.advertisedMss(c.remoteAddress, c.localAddress);
    if (c.userMss !== 0) c.advertisedMss = Math.min(c.advertisedMss, c.userMss);
    c.mssClamp = c.userMss !== 0 ? c.userMss : 65535;
    if (c.config.timestamps) c.headerLen = 32;
    const route = this.routeOf(c)!;
    c.maxWindow = 0;
    syncMss(c, ns.routeMtu(route));
    initialWindow(c, c.advertisedMss);
    c.rcvWup = c.rcvNxt;
    c.headerLen = 20;
    this.connections.add(c);
    const outermost = ns.world.backlog.enter();
    try {
      sendSyn(c, SYN);
    } finally {
      if (outermost) ns.world.backlog.leave();
    }
  }

  // -- tables

  forget(c: Connection): void {
    if (!this.connections.remove(c)) return;
    c.bound?.release();
    c.bound = null;
  }

  /** tcp_time_wait: a small record takes the connection's place for `time`. */
  timeWait(c: Connection, state: number, time: number): void {
    const wait = new TimeWait(this, c, state);
    this.waits.add(wait);
    const { owner } = c;
    c.done();
    c.owner = owner;
    this.clock.arm(wait.timer, this.clock.now + time);
  }

  forgetTimeWait(wait: TimeWait): void {
    if (!this.waits.remove(wait)) return;
    wait.bound?.release();
  }

  // -- what goes

  /** The way of a connection's segments; null when there is none now. */
  routeOf(c: Connection): Route | null {
    const { fib } = this.ns;
    // a trace tells of the look-up that decided: it is made again
    if (c.route !== null && c.routeGeneration === fib.generation && this.ns.world.tracer === null) return c.route;
    const { flow } = this;
    flow.clear();
    flow.dst = c.remoteAddress;
    flow.src = c.localAddress;
    flow.tos = c.tos;
    flow.proto = PROTO_TCP;
    flow.sport = c.localPort;
    flow.dport = c.remotePort;
    const route = fib.routeOutput(flow);
    if (route === null || route.dev === null) {
      c.softError = errnoOf(fib.error);
      c.route = null;
      return null;
    }
    c.route = route;
    c.routeGeneration = fib.generation;
    return route;
  }

  /** tcp_advertise_mss: what the MSS option says: the MTU of the way less 40 (RFC 9293 MUST-67). */
  advertisedMss(dst: number, src: number): number {
    const { fib, world } = this.ns;
    let route = this.mssRoute;
    if (
      route === null ||
      this.mssDst !== dst ||
      this.mssSrc !== src ||
      this.mssGeneration !== fib.generation ||
      world.tracer !== null
    ) {
      const { flow } = this;
      flow.clear();
      flow.dst = dst;
      flow.src = src;
      flow.proto = PROTO_TCP;
      route = fib.routeOutput(flow);
      this.mssRoute = route;
      this.mssDst = dst;
      this.mssSrc = src;
      this.mssGeneration = fib.generation;
    }
    if (route === null || route.dev === null) return 536;
    const mtu = route.mtu !== 0 ? route.mtu : route.dev.mtu;
    return Math.min(Math.max(mtu - HEADERS, LEAST_ADVERTISED), 65535 - HEADERS);
  }

  /** A segment of a connection leaves. */
  send(frame: Frame, route: Route, fresh: boolean): void {
    const { ns } = this;
    if (ns.world.tracer !== null) {
      ns.trace("originate", null, frame, fresh ? "tcp" : "tcp retransmission");
    }
    ns.output.local(frame, route);
  }

  noBuffer(): void {
    this.ns.count(Why.NoBuffer);
  }

  /** The SYN,ACK that answers a request. False when there is no way. */
  sendSynAck(r: Request, tsval: number, shift: number, sack: boolean): boolean {
    const route = this.wayOf(r.remoteAddress, r.localAddress, r.remotePort, r.localPort, r.tos);
    if (route === null) return false;
    r.route = route;
    r.routeGeneration = this.ns.fib.generation;
    const { options } = r.listener;
    let mss = this.advertisedMss(r.remoteAddress, r.localAddress);
    if (options.mss) mss = Math.min(mss, options.mss);
    const frame = this.core.x.tcpBuildSyn(
      r.localAddress,
      r.remoteAddress,
      r.localPort,
      r.remotePort,
      r.iss,
      (r.irs + 1) | 0,
      SYN | ACK | (r.ecnOk ? ECE : 0),
      Math.min(r.rcvWnd, 65535),
      mss,
      shift,
      sack,
      r.tsOk,
      tsval,
      r.tsRecent,
      r.tos,
      options.ttl || this.defaultTtl,
      0,
      this.pmtuDiscovery ? DF : 0,
    );
    if (frame === 0) {
      this.noBuffer();
      return false;
    }
    if (this.ns.world.tracer !== null) {
      this.ns.trace("originate", null, frame, r.timeouts > 0 ? "tcp retransmission" : "tcp");
    }
    this.ns.output.local(frame, route);
    return true;
  }

  /** An ACK for a request (tcp_v4_reqsk_send_ack). */
  sendRequestAck(r: Request): void {
    this.sendBare(
      r.localAddress,
      r.remoteAddress,
      r.localPort,
      r.remotePort,
      (r.iss + 1) | 0,
      (r.irs + 1) | 0,
      ACK,
      Math.min(r.rcvWnd, 65535) >>> (r.sndWscale >= 0 ? r.rcvWscale : 0),
      r.tsOk,
      (Math.floor(this.clock.now / 1e6) + r.tsOffset) | 0,
      r.tsRecent,
      r.tos,
    );
  }

  /** A segment without data that no connection stands behind. */
  sendBare(
    src: number,
    dst: number,
    sport: number,
    dport: number,
    seq: number,
    ack: number,
    flags: number,
    window: number,
    withTimestamps: boolean,
    tsval: number,
    tsecr: number,
    tos: number,
  ): void {
    const route = this.wayOf(dst, src, dport, sport, tos);
    if (route === null) return;
    const frame = this.core.x.tcpBuild(
      src,
      dst,
      sport,
      dport,
      seq,
      ack,
      flags,
      window,
      0,
      withTimestamps,
      tsval,
      tsecr,
      0,
      0,
      0,
      0,
      0,
      tos,
      this.defaultTtl,
      0,
      this.pmtuDiscovery ? DF : 0,
    );
    if (frame === 0) return this.noBuffer();
    if (this.ns.world.tracer !== null) this.ns.trace("originate", null, frame, "tcp");
    this.ns.output.local(frame, route);
  }

  private wayOf(dst: number, src: number, dport: number, sport: number, tos: number): Route | null {
    const { flow } = this;
    flow.clear();
    flow.dst = dst;
    flow.src = src;
    flow.tos = tos;
    flow.proto = PROTO_TCP;
    flow.sport = sport;
    flow.dport = dport;
    const route = this.ns.fib.routeOutput(flow);
    if (route === null || route.dev === null) return null;
    // RFC 9293 MUST-63: nobody answers an address of many (Linux leaves that to rp_filter)
    return route.type === RouteType.Broadcast || route.type === RouteType.Multicast ? null : route;
  }

  // -- looking

  list(): { state: TcpState; local: [number, number]; remote: [number, number]; recvQ: number; sendQ: number }[] {
    const rows: ReturnType<Stack["list"]> = [];
    for (const list of this.listeners.values()) {
      for (const l of list) {
        rows.push({
          state: "LISTEN",
          local: [l.localAddress, l.localPort],
          remote: [0, 0],
          recvQ: l.waiting,
          sendQ: l.backlog,
        });
      }
    }
    const row = (x: Connection | Request | TimeWait, state: number, recvQ: number, sendQ: number): void => {
      rows.push({
        state: stateNames[state]!,
        local: [x.localAddress, x.localPort],
        remote: [x.remoteAddress, x.remotePort],
        recvQ,
        sendQ,
      });
    };
    for (const c of this.connections) row(c, c.state, Math.max(0, c.readable), c.unacknowledged);
    for (const r of this.requests) row(r, State.SynRcvd, 0, 0);
    for (const w of this.waits) row(w, w.state, 0, 0);
    return rows;
  }
}
