// src/host/ipv4/learner.ts: what this host learns from ICMP errors about packets of its own: path MTUs (RFC 1191) and better
// gateways (RFC 1122 §3.2.2.2), and that errors reach the sockets they are about; icmp_unreach, icmp_redirect,
// __ip_rt_update_pmtu and __ip_do_redirect in Linux.

import { Pkt } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { learnGateway, learnPmtu } from "../fib/exceptions.ts";
import { Flow } from "../fib/flow.ts";
import { type Nexthop, type Route, RouteType } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import type { Transport } from "../transport.ts";
import { icmp, unreachable } from "./icmptypes.ts";

const icmpLen = 8;
const minHeader = 20;
const PROTO_ICMP = 1;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
/** Codes of a redirect: for a net or a host, with or without TOS. */
const redirectCodes = 4;
const dscpMask = 0xfc;
const OFFSET_MASK = 0x1fff;
/** NR_ICMP_UNREACH: codes above it are unknown. */
const lastUnreachable = 15;

export class Learner {
  private readonly flow = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** A checked ICMP error for this host: the message of `length` bytes at `p`. Does not take the frame. */
  receive(dev: Interface, frame: Frame, p: number, length: number): void {
    const { ns } = this;
    const { x, core } = ns.world;
    const type = x.icmpType(p);
    const code = x.icmpCode(p);
    const q = p + icmpLen;
    const room = length - icmpLen;
    if (room < minHeader) return;
    const ihl = x.ipv4HeaderLen(q);
    if (ihl < minHeader || room < ihl + 8) return;
    if (type === icmp.redirect) return this.redirect(dev, frame, p, q, ihl);
    const proto = x.ipv4Proto(q);
    let info = x.icmpGateway(p) >>> 0;
    if (type === icmp.unreachable) {
      if (code > lastUnreachable) return;
      if (code === unreachable.fragNeeded) {
        const mode = ns.sysctl.get("net.ipv4.ip_no_pmtu_disc");
        // 3: only transports that check what is quoted may be believed
        if (mode === 2 || (mode === 3 && proto !== PROTO_TCP)) return;
        // 1: delivered without the number, which then counts as one too small
        info = mode === 1 ? 0 : info & 0xffff;
        if (proto !== PROTO_TCP && this.isOurs(q, ihl, proto)) this.learn(info);
      }
    } else if (type === icmp.parameterProblem) info >>>= 24;
    const transport = this.transportOf(proto);
    if (transport !== null) {
      transport.error(q, room, type, code, info, x.ipv4Src(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0);
    }
  }

  /** ipv4_link_failure of a packet of ours at `net`: host unreachable, told by ourselves. */
  unreachable(net: number, frame: Frame): void {
    const { core, x } = this.ns.world;
    const transport = this.transportOf(x.ipv4Proto(net));
    const end = core.u32[(frame + Pkt.Data) >> 2]! + core.u32[(frame + Pkt.Len) >> 2]!;
    // a later fragment names no ports
    if (transport === null || (x.ipv4Frag(net) & OFFSET_MASK) !== 0) return;
    transport.error(net, end - net, icmp.unreachable, unreachable.host, 0, x.ipv4Src(net) >>> 0);
  }

  private transportOf(proto: number): Transport | null {
    const { tcp, udp } = this.ns.transports;
    return proto === PROTO_TCP ? tcp : proto === PROTO_UDP ? udp : null;
  }

  /** Packets of this flow do not get through when they are longer than `mtu`. */
  update(proto: number, src: number, sport: number, dst: number, dport: number, mtu: number): void {
    const { flow } = this;
    flow.clear();
    flow.src = src;
    flow.dst = dst;
    flow.proto = proto;
    flow.sport = sport;
    flow.dport = dport;
    this.learn(mtu);
  }

  /** Whether the quoted packet can be one of this host's: an echo reply, or one of an open socket. Fills `flow`. */
  private isOurs(q: number, ihl: number, proto: number): boolean {
    const { ns, flow } = this;
    const { x } = ns.world;
    flow.clear();
    flow.src = x.ipv4Src(q) >>> 0;
    flow.dst = x.ipv4Dst(q) >>> 0;
    flow.proto = proto;
    if (proto === PROTO_ICMP) {
      flow.tos = x.ipv4Tos(q) & dscpMask;
      return x.icmpType(q + ihl) === icmp.echoReply;
    }
    if (proto !== PROTO_UDP && proto !== PROTO_TCP) return false;
    const port = x.udpSrcPort(q + ihl);
    if (this.transportOf(proto)?.hasPort(flow.src, port) === true) return true;
    return proto === PROTO_UDP && ns.sockets.has(PROTO_UDP, flow.src, port);
  }

  /** The way of `flow`, null when there is none to learn about; its next hop is in the tables' result. */
  private wayOf(): Route | null {
    const route = this.ns.fib.routeOutput(this.flow);
    if (route === null || route.type !== RouteType.Unicast || route.dev === null) return null;
    return this.ns.fib.result.nexthop === null ? null : route;
  }

  private learn(mtu: number): void {
    const { ns } = this;
    const route = this.wayOf();
    if (route !== null) this.tooBig(route, ns.fib.result.nexthop!, mtu);
  }

  private redirect(dev: Interface, frame: Frame, p: number, q: number, ihl: number): void {
    const { ns } = this;
    if (!this.isOurs(q, ihl, ns.world.x.ipv4Proto(q))) return;
    const route = this.wayOf();
    if (route !== null) this.redirected(dev, frame, p, route, ns.fib.result.nexthop!);
  }

  /** ip_fib_check_default: some route goes by this gateway on the device. */
  private isGateway(dev: Interface, address: number): boolean {
    for (const info of this.ns.fib.tables.store.infos.values()) {
      if (info.nexthops.some((nh) => nh.dev === dev && nh.gateway === address && !nh.dead)) return true;
    }
    return false;
  }

  private tooBig(route: Route, nh: Nexthop, mtu: number): void {
    const { fib, world } = this.ns;
    const old = this.ns.routeMtu(route);
    nh.exceptions ??= new Map();
    if (learnPmtu(nh.exceptions, this.flow.dst, route, old, mtu, world.clock.now, fib.flushes)) fib.changed();
  }

  private redirected(dev: Interface, frame: Frame, p: number, route: Route, nh: Nexthop): void {
    const { ns } = this;
    const { core, x } = ns.world;
    if ((x.icmpCode(p) & 7) >= redirectCodes) return;
    const from = x.ipv4Src(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    // only the gateway that the packet went to may name another
    if (route.gateway === 0 || route.gateway !== from) return;
    const gateway = x.icmpGateway(p) >>> 0;
    if (gateway === from || gateway === 0 || gateway >>> 28 === 14 || gateway === 0xffffffff) return;
    const conf = ns.conf(dev);
    const all = ns.confAll;
    const accepts =
      conf.forwarding !== 0
        ? (all.accept_redirects & conf.accept_redirects) !== 0
        : (all.accept_redirects | conf.accept_redirects) !== 0;
    if (!accepts) return;
    if ((all.shared_media | conf.shared_media) === 0) {
      if (!ns.fib.isOnlink(dev, gateway, from)) return;
      if ((all.secure_redirects | conf.secure_redirects) !== 0 && !this.isGateway(dev, gateway)) return;
    } else if (ns.fib.addrType(gateway) !== RouteType.Unicast) return;
    if (!ns.neighbours.isKnown(route.dev!, gateway)) return;
    nh.exceptions ??= new Map();
    learnGateway(nh.exceptions, this.flow.dst, gateway, ns.world.clock.now, ns.fib.flushes);
    ns.fib.changed();
  }
}
