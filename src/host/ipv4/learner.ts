// src/host/ipv4/learner.ts: what this host learns from ICMP errors about packets of its own: path MTUs (RFC 1191) and better
// gateways (RFC 1122 §3.2.2.2); icmp_unreach, icmp_redirect, __ip_rt_update_pmtu and __ip_do_redirect in Linux.

import { Pkt } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { learnGateway, learnPmtu } from "../fib/exceptions.ts";
import { Flow } from "../fib/flow.ts";
import { type Nexthop, type Route, RouteType } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import { icmp, unreachable } from "./icmptypes.ts";

const icmpLen = 8;
const minHeader = 20;
const PROTO_ICMP = 1;
const PROTO_UDP = 17;
/** Codes of a redirect: for a net or a host, with or without TOS. */
const redirectCodes = 4;
const dscpMask = 0xfc;

export class Learner {
  private readonly flow = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** A checked ICMP error for this host: the message of `length` bytes at `p`. Does not take the frame. */
  receive(dev: Interface, frame: Frame, p: number, length: number): void {
    const { ns } = this;
    const { x } = ns.world;
    const redirect = x.icmpType(p) === icmp.redirect;
    let mtu = 0;
    if (!redirect) {
      if (x.icmpCode(p) !== unreachable.fragNeeded) return;
      const mode = ns.sysctl.get("net.ipv4.ip_no_pmtu_disc");
      // 3: only transports that check what is quoted may be believed, and no connection of theirs is open here
      if (mode === 2 || mode === 3) return;
      // 1: delivered without the number, which then counts as one too small
      mtu = mode === 0 ? x.icmpGateway(p) & 0xffff : 0;
    }
    const q = p + icmpLen;
    const room = length - icmpLen;
    if (room < minHeader) return;
    const ihl = x.ipv4HeaderLen(q);
    if (ihl < minHeader || room < ihl + 8 || !this.isOurs(q, ihl)) return;
    const route = ns.fib.routeOutput(this.flow);
    if (route === null || route.type !== RouteType.Unicast || route.dev === null) return;
    const nh = ns.fib.result.nexthop;
    if (nh === null) return;
    if (redirect) this.redirected(dev, frame, p, route, nh);
    else this.tooBig(route, nh, mtu);
  }

  /** Whether the quoted packet can be one of this host's: an echo reply, or a datagram of an open socket. Fills `flow`. */
  private isOurs(q: number, ihl: number): boolean {
    const { ns, flow } = this;
    const { x } = ns.world;
    flow.clear();
    flow.src = x.ipv4Src(q) >>> 0;
    flow.dst = x.ipv4Dst(q) >>> 0;
    flow.proto = x.ipv4Proto(q);
    if (flow.proto === PROTO_ICMP) {
      flow.tos = x.ipv4Tos(q) & dscpMask;
      return x.icmpType(q + ihl) === icmp.echoReply;
    }
    return flow.proto === PROTO_UDP && ns.sockets.has(PROTO_UDP, flow.src, x.udpSrcPort(q + ihl));
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
