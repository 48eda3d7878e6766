// src/transport/udpsocket.ts: one UDP socket: bind, connect, send, receive, without waiting (udp_sendmsg, udp_recvmsg and
// ip4_datagram_connect decide what fails how).

import { Pkt, PktFlag } from "../../assembly/layout.ts";
import { Flow } from "../host/fib/flow.ts";
import { type Route, RouteType } from "../host/fib/route.ts";
import type { Interface } from "../link/interface.ts";
import { PmtuDiscovery, type QueuedError, longest, scratchOf, truesize } from "./datagram.ts";
import { Arrival, DatagramQueue } from "./datagramqueue.ts";
import { type Errno, SocketError, routeErrno } from "./errno.ts";
import { type Owner, Wake } from "./tcp/endpoint.ts";
import type { Udp } from "./udp.ts";

const PROTO_UDP = 17;
const DF = 0x4000;
const IP_HEADER = 20;
const UDP_HEADER = 8;
/** SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF */
const minReceiveBuffer = 2304;
const minSendBuffer = 4608;

/** Addresses are u32 in host order, lengths bytes. */
export class UdpSocket {
  localPort = 0;
  /** What it takes datagrams for, 0 for any (inet_rcv_saddr); and what it sends from, 0 for the route's (inet_saddr). */
  boundAddress = 0;
  localAddress = 0;
  remoteAddress = 0;
  remotePort = 0;
  /** ifindex of SO_BINDTODEVICE, 0 for any. */
  device = 0;
  reuseAddress = false;
  reusePort = false;
  broadcast = false;
  tos = 0;
  /** 0: the host's. */
  ttl = 0;
  multicastTtl = 1;
  /** IP_MULTICAST_IF: ifindex and address. */
  multicastDevice = 0;
  multicastAddress = 0;
  /** IP_MULTICAST_ALL: what any socket of the host joined is heard. */
  hearsAll = true;
  /** IP_RECVERR */
  receiveErrors = false;
  pmtuDiscovery: number;
  /** The sender of what `receive` answered last. */
  readonly arrival = new Arrival();
  private errno: Errno | null = null;
  private readonly queue = new DatagramQueue();
  private readonly errors: QueuedError[] = [];
  private rcvbuf: number;
  private sndbuf: number;
  private shut = 0;
  private closed = false;
  /** The port, and the address, were asked for: they outlive a disconnection (SOCK_BINDPORT_LOCK, SOCK_BINDADDR_LOCK). */
  private portLocked = false;
  private addressLocked = false;
  /** A connected socket numbers its packets itself (inet_id). */
  private id = 0;
  private route: Route | null = null;
  private routeAt = -1;
  private readonly flow = new Flow();
  private readonly groups: { group: number; dev: Interface }[] = [];

  constructor(
    private readonly udp: Udp,
    public owner: Owner | null,
  ) {
    this.rcvbuf = udp.config.receiveBuffer;
    this.sndbuf = udp.config.sendBuffer;
    this.pmtuDiscovery = udp.ns.sockets.dontFragment ? PmtuDiscovery.Want : PmtuDiscovery.Dont;
  }

  // -- names

  /** inet_bind. Throws EINVAL (bound already), EADDRNOTAVAIL, EADDRINUSE. */
  bind(address: number, port: number): void {
    const { fib, sysctl } = this.udp.ns;
    let source = address;
    if (address !== 0) {
      const type = fib.addrType(address);
      if (type === RouteType.Multicast || type === RouteType.Broadcast) source = 0;
      else if (type !== RouteType.Local && sysctl.get("net.ipv4.ip_nonlocal_bind") === 0) {
        throw new SocketError("EADDRNOTAVAIL");
      }
    }
    if (this.localPort !== 0) throw new SocketError("EINVAL");
    this.boundAddress = address;
    this.localAddress = source;
    try {
      this.udp.take(this, port);
    } catch (e) {
      this.boundAddress = this.localAddress = 0;
      throw e;
    }
    this.addressLocked = address !== 0;
    this.portLocked = port !== 0;
    this.route = null;
  }

  /** inet_autobind */
  private autobind(): void {
    if (this.localPort !== 0) return;
    try {
      this.udp.take(this, 0);
    } catch {
      throw new SocketError("EAGAIN");
    }
  }

  /** ip4_datagram_connect. Throws ENETUNREACH, EACCES ... */
  connect(address: number, port: number): void {
    this.autobind();
    const route = this.routeTo(address, port);
    const { flow } = this;
    if (this.localAddress === 0) this.localAddress = flow.src !== 0 ? flow.src : route.source;
    if (this.boundAddress === 0) this.boundAddress = this.localAddress;
    this.remoteAddress = flow.dst;
    this.remotePort = port;
    this.isConnected = true;
    this.id = this.udp.ns.world.rng.below(65536);
    this.route = null;
  }

  isConnected = false;

  /** connect(AF_UNSPEC) */
  disconnect(): void {
    this.isConnected = false;
    this.remoteAddress = this.remotePort = 0;
    this.route = null;
    if (!this.addressLocked) this.boundAddress = this.localAddress = 0;
    if (!this.portLocked && this.localPort !== 0) {
      this.udp.release(this);
      this.localPort = 0;
    }
  }

  // -- sending

  /**
   * sendto(2): `length` bytes of `bytes` from `from` on, to `address` and `port` or, with `port` -1, to the peer. `bytes`
   * null sends zeros. Answers `length`. Throws as send(2) fails.
   */
  send(bytes: Uint8Array | null, from: number, length: number, address = 0, port = -1): number {
    const { ns } = this.udp;
    if (this.localPort === 0) this.autobind();
    if (length > 0xffff) throw new SocketError("EMSGSIZE");
    let dst = address;
    let dport = port;
    let source = this.localAddress;
    let route: Route;
    if (port === -1) {
      if (!this.isConnected) throw new SocketError("EDESTADDRREQ");
      dst = this.remoteAddress;
      dport = this.remotePort;
      route = this.connectedRoute();
    } else {
      if (port === 0) throw new SocketError("EINVAL");
      route = this.routeTo(dst, dport);
      dst = this.flow.dst;
      if (source === 0) source = this.flow.src !== 0 ? this.flow.src : route.source;
    }
    // __ip_append_data
    const { pmtuDiscovery } = this;
    const strict = pmtuDiscovery >= PmtuDiscovery.Do && pmtuDiscovery !== PmtuDiscovery.Omit;
    const mtu = pmtuDiscovery < PmtuDiscovery.Probe ? ns.routeMtu(route) : Math.min(route.dev!.mtu, longest);
    const size = IP_HEADER + UDP_HEADER + length;
    if (size > (strict ? mtu : longest)) {
      if (this.receiveErrors) this.tooLong(mtu, dst);
      throw new SocketError("EMSGSIZE");
    }
    const pending = this.takeError();
    if (pending !== null) throw new SocketError(pending);
    if ((this.shut & 2) !== 0) throw new SocketError("EPIPE");
    this.transmit(bytes, from, length, source, dst, dport, route, strict, size <= mtu);
    return length;
  }

  /** ip_make_skb and udp_send_skb */
  private transmit(
    bytes: Uint8Array | null,
    from: number,
    length: number,
    source: number,
    dst: number,
    dport: number,
    route: Route,
    strict: boolean,
    fits: boolean,
  ): void {
    const { ns } = this.udp;
    const { core, x } = ns.world;
    const scratch = scratchOf(core);
    if (bytes === null) core.u8.fill(0, scratch, scratch + length);
    else if (from === 0 && length === bytes.length) core.u8.set(bytes, scratch);
    else core.u8.set(bytes.subarray(from, from + length), scratch);
    const { pmtuDiscovery } = this;
    const locked = route.mtuLocked || route.pmtuLocked === true;
    const df =
      pmtuDiscovery === PmtuDiscovery.Do ||
      pmtuDiscovery === PmtuDiscovery.Probe ||
      (pmtuDiscovery === PmtuDiscovery.Want && fits && !locked)
        ? DF
        : 0;
    // ip_select_ident: a connection counts, and what nobody may cut needs none
    let id = 0;
    if (this.isConnected) id = this.id = (this.id + 1) & 0xffff;
    else if (df === 0 || !strict) id = ns.ipId();
    const group = dst >>> 28 === 14;
    const ttl = group ? this.multicastTtl : this.ttl || ns.defaultTtl();
    const frame = x.udpBuild(scratch, length, this.tos, id, df, ttl, source, this.localPort, dst, dport);
    if (frame === 0) throw new SocketError("ENOBUFS");
    if (ns.world.tracer !== null) ns.trace("originate", null, frame, "udp");
    if (!strict) core.u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.IgnoreDf;
    ns.output.local(frame, route);
  }

  /** The way to a destination; `flow` then holds the source and the destination that it came to. Throws. */
  private routeTo(dst: number, port: number): Route {
    const { fib } = this.udp.ns;
    const { flow } = this;
    flow.clear();
    flow.dst = dst;
    flow.src = this.localAddress;
    flow.oif = this.device;
    if (dst >>> 28 === 14) {
      if (flow.oif === 0) flow.oif = this.multicastDevice;
      if (flow.src === 0) flow.src = this.multicastAddress;
    }
    flow.tos = this.tos;
    flow.proto = PROTO_UDP;
    flow.sport = this.localPort;
    flow.dport = port;
    const route = fib.routeOutput(flow);
    if (route === null || route.dev === null) throw new SocketError(routeErrno(fib.error));
    if (route.type === RouteType.Broadcast && !this.broadcast) throw new SocketError("EACCES");
    return route;
  }

  /** The same to the peer, kept while the tables stay as they are and nothing learned can expire. */
  private connectedRoute(): Route {
    const { fib } = this.udp.ns;
    if (this.route !== null && this.routeAt === fib.generation) return this.route;
    const route = this.routeTo(this.remoteAddress, this.remotePort);
    const nh = fib.result.nexthop;
    this.route = nh !== null && !nh.exceptions ? route : null;
    this.routeAt = fib.generation;
    return route;
  }

  // -- receiving

  /** Bytes of the first datagram that waits; -1 when none does (FIONREAD). */
  get nextLength(): number {
    return this.queue.nextLength;
  }

  /**
   * Copies the first datagram, as much as fits; `peek` leaves it there. Answers its whole length and fills `arrival`; -1
   * when there is none. Throws a pending error first.
   */
  receive(into: Uint8Array, peek = false): number {
    const pending = this.takeError();
    if (pending !== null) throw new SocketError(pending);
    if (this.queue.count === 0) return -1;
    if (peek) this.queue.look(into, this.arrival);
    else this.queue.take(into, this.arrival);
    return this.arrival.length;
  }

  /** A datagram for this socket; false when its buffer is full (__udp_enqueue_schedule_skb). For `Udp`. */
  push(
    from: Uint8Array,
    at: number,
    length: number,
    address: number,
    port: number,
    target: number,
    device: number,
  ): boolean {
    const { queue } = this;
    const charge = truesize(IP_HEADER + UDP_HEADER + length);
    if (queue.count > 0 && queue.charged + charge > this.rcvbuf) return false;
    queue.push(from, at, length, address, port, target, device, charge);
    return true;
  }

  readable(): void {
    this.owner?.wake(Wake.Readable);
  }

  // -- errors

  /** Whether "fragmentation needed" is its business. */
  get discovers(): boolean {
    return this.pmtuDiscovery !== PmtuDiscovery.Dont;
  }

  /** SO_ERROR: the pending error, which is then gone. */
  takeError(): Errno | null {
    const e = this.errno;
    this.errno = null;
    return e;
  }

  get error(): Errno | null {
    return this.errno;
  }

  fail(errno: Errno): void {
    this.errno = errno;
    this.owner?.wake(Wake.Error);
  }

  pushError(e: QueuedError): void {
    let charged = this.queue.charged;
    for (const old of this.errors) charged += truesize(old.data.length);
    if (charged + truesize(e.data.length) < this.rcvbuf) this.errors.push(e);
  }

  /** recv(MSG_ERRQUEUE); null when the queue is empty. What is pending then is what the next one says. */
  takeQueuedError(): QueuedError | null {
    const e = this.errors.shift();
    if (e === undefined) return null;
    const next = this.errors[0];
    if (next !== undefined && next.origin === "icmp") this.fail(next.errno);
    else if (e.origin === "icmp") this.errno = null;
    return e;
  }

  get queuedErrors(): number {
    return this.errors.length;
  }

  /** ip_local_error */
  private tooLong(mtu: number, address: number): void {
    const data = new Uint8Array(0);
    this.pushError({
      errno: "EMSGSIZE",
      origin: "local",
      type: 0,
      code: 0,
      info: mtu,
      offender: 0,
      address,
      port: 0,
      data,
    });
  }

  // -- options and the end

  get receiveBuffer(): number {
    return this.rcvbuf;
  }

  /** SO_RCVBUF: the kernel doubles it. */
  setReceiveBuffer(bytes: number): void {
    this.rcvbuf = Math.max(bytes * 2, minReceiveBuffer);
  }

  get sendBuffer(): number {
    return this.sndbuf;
  }

  setSendBuffer(bytes: number): void {
    this.sndbuf = Math.max(bytes * 2, minSendBuffer);
  }

  /** IP_TTL */
  get effectiveTtl(): number {
    return this.ttl || this.udp.ns.defaultTtl();
  }

  /** IP_MTU: of the way to the peer. Throws ENOTCONN. */
  get mtu(): number {
    if (!this.isConnected) throw new SocketError("ENOTCONN");
    return this.udp.ns.routeMtu(this.connectedRoute());
  }

  /** IP_ADD_MEMBERSHIP. Throws EINVAL (no group), EADDRINUSE (joined already). */
  join(group: number, dev: Interface): void {
    if (group >>> 28 !== 14) throw new SocketError("EINVAL");
    if (this.groups.some((g) => g.group === group && g.dev === dev)) throw new SocketError("EADDRINUSE");
    this.groups.push({ group, dev });
    this.udp.ns.fib.joinGroup(dev, group);
    this.udp.ns.fib.changed();
  }

  /** IP_DROP_MEMBERSHIP. Throws EADDRNOTAVAIL. */
  leave(group: number, dev: Interface): void {
    const i = this.groups.findIndex((g) => g.group === group && g.dev === dev);
    if (i < 0) throw new SocketError("EADDRNOTAVAIL");
    this.groups.splice(i, 1);
    this.udp.ns.fib.leaveGroup(dev, group);
    this.udp.ns.fib.changed();
  }

  /** ip_mc_sf_allow */
  hears(group: number, dev: Interface): boolean {
    if (group >>> 28 !== 14 || this.hearsAll) return true;
    for (const g of this.groups) if (g.group === group && g.dev === dev) return true;
    return false;
  }

  /** shutdown(2), bits 1: reading, 2: writing. Throws ENOTCONN where it is not connected, and holds all the same. */
  shutdown(how: number): void {
    this.shut |= how;
    this.owner?.wake(Wake.Readable);
    if (!this.isConnected) throw new SocketError("ENOTCONN");
  }

  /** Reading is shut: a read that would wait answers 0 instead. */
  get readEnded(): boolean {
    return (this.shut & 1) !== 0;
  }

  get writeEnded(): boolean {
    return (this.shut & 2) !== 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.udp.release(this);
    for (const { group, dev } of this.groups) this.udp.ns.fib.leaveGroup(dev, group);
    this.groups.length = 0;
    this.queue.clear();
    this.errors.length = 0;
    this.owner = null;
  }
}
