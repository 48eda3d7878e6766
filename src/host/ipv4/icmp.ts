// src/host/ipv4/icmp.ts: ICMP errors, answers, and their limits (net/ipv4/icmp.c).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { Flow } from "../fib/flow.ts";
import { type Route, RouteType, Scope } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import { sysctlDefault } from "../sysctl.ts";
import { Learner } from "./learner.ts";
import { highestType, icmp, isError, isUnanswerable, unreachable } from "./icmptypes.ts";

const OFFSET_MASK = 0x1fff;
/** RFC 1812 §4.3.2.3: as much as fits into 576 bytes. */
const maxError = 576;
const headerLen = 20;
const icmpLen = 8;
/** INADDR_DUMMY (RFC 7600): the source where no address is left. */
const dummy = 0xc0000008;
const PROTO_ICMP = 1;
/** IPTOS_PREC_INTERNETCONTROL (RFC 1812 §4.3.2.5), and the bits of the old TOS. */
const internetControl = 0xc0;
const tosMask = 0x1e;
const noAnswer = 0xffffffff;
const HZ = 250;
const NS_PER_JIFFY = 1_000_000_000 / HZ;

/** A raw socket's view of an ICMP message for this host: `p` is its address in the core, `net` the IPv4 header's. */
export type IcmpListener = (net: number, p: number, length: number) => void;

export class Icmp {
  /** Sockets that hear what comes (raw_local_deliver); they do not keep the message. */
  readonly listeners = new Set<IcmpListener>();
  private readonly flow = new Flow();
  readonly learner: Learner;
  private credit: number;
  private stamp = 0;

  constructor(private readonly ns: Namespace) {
    // as the namespace began, whatever was written since
    this.credit = sysctlDefault("net.ipv4.icmp_msgs_burst");
    this.learner = new Learner(ns);
  }

  /** icmp_send: an error about this received packet, if one may be sent at all. Does not take the frame. `info`: second word. */
  send(frame: Frame, type: number, code: number, info: number): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const flags = u32[(frame + Pkt.Flags) >> 2]!;
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.Host) return;
    if ((flags & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) !== 0) return;
    if ((x.ipv4Frag(net) & OFFSET_MASK) !== 0) return;
    const ihl = x.ipv4HeaderLen(net);
    const length = u32[(frame + Pkt.Data) >> 2]! + u32[(frame + Pkt.Len) >> 2]! - net;
    if (isError(type) && x.ipv4Proto(net) === PROTO_ICMP) {
      if (length <= ihl) return;
      if (isUnanswerable(x.icmpType(net + ihl))) return;
    }
    const input = ns.byIndex[u32[(frame + Pkt.In) >> 2]!] ?? null;
    const limited = this.isLimited(type, code);
    if (limited && input?.kind !== "loopback" && !this.globalAllow()) return;

    let src = 0;
    if ((flags & PktFlag.RtLocal) !== 0) src = x.ipv4Dst(net) >>> 0;
    else if (ns.sysctl.get("net.ipv4.icmp_errors_use_inbound_ifaddr") !== 0 && input !== null) {
      src = ns.fib.selectAddress(input, x.ipv4Src(net) >>> 0, Scope.Link);
    }
    const tos = isError(type) ? (x.ipv4Tos(net) & tosMask) | internetControl : x.ipv4Tos(net);
    const optLen = this.echoOptions(frame, ihl);
    if (optLen === noAnswer) return;
    const final = x.ipv4Src(net) >>> 0;
    const first = optLen !== 0 ? x.optEchoFirstHop() >>> 0 : 0;
    const route = this.route(frame, first !== 0 ? first : final, src, tos, type, code);
    if (route === null) return;
    if (limited && !this.peerAllow(route, first !== 0 ? first : final)) return;
    let room = Math.min(ns.routeMtu(route), maxError) - headerLen - optLen - icmpLen;
    if (room <= headerLen) return;
    room = Math.min(room, length);
    if (src === 0) src = route.source !== 0 ? route.source : dummy;
    this.emit(
      route,
      x.icmpBuild(
        type,
        code,
        info,
        net,
        room,
        tos,
        ns.ipId(),
        ns.defaultTtl(),
        src,
        first !== 0 ? first : final,
        optLen,
        final,
        ns.timestamp(),
      ),
      frame,
    );
  }

  /** The packet of ours goes out; its mark is the one that provoked it if net.ipv4.fwmark_reflect says so. */
  private emit(route: Route, reply: Frame, cause: Frame): void {
    const ns = this.ns;
    if (reply === 0) return ns.count(Drop.NoBuffer);
    const { u32 } = ns.world.core;
    if (ns.sysctl.get("net.ipv4.fwmark_reflect") !== 0) u32[(reply + Pkt.Mark) >> 2] = u32[(cause + Pkt.Mark) >> 2]!;
    // an error belongs to the connection of what it quotes, so that NAT translates the quotation (nf_ct_attach)
    if (isError(ns.world.x.icmpType(u32[(reply + Pkt.Trans) >> 2]!))) ns.conntrack.attach(reply, cause);
    if (ns.world.tracer !== null) ns.trace("originate", null, reply, "icmp");
    // ip_sk_ignore_df: whatever sets DF later, what a socket sent without asking for it may be cut
    u32[(reply + Pkt.Flags) >> 2]! |= PktFlag.IgnoreDf;
    ns.output.local(reply, route);
  }

  private echoOptions(frame: Frame, ihl: number): number {
    if (ihl <= headerLen) return 0;
    const { core, x } = this.ns.world;
    const named = x.optPrespecified(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    return x.optEcho(frame, named !== 0 && this.ns.fib.addrType(named) === RouteType.Unicast) >>> 0;
  }

  private route(frame: Frame, dst: number, src: number, tos: number, type: number, code: number): Route | null {
    const ns = this.ns;
    const flow = this.flow;
    flow.clear();
    flow.dst = dst;
    flow.src = src;
    flow.tos = tos;
    flow.proto = PROTO_ICMP;
    flow.sport = type;
    flow.dport = code;
    if (ns.sysctl.get("net.ipv4.fwmark_reflect") !== 0) flow.mark = ns.world.core.u32[(frame + Pkt.Mark) >> 2]!;
    const route = ns.fib.routeOutput(flow);
    return route === null || route.dev === null ? null : route;
  }

  /** Whether the type is one that net.ipv4.icmp_ratemask limits; path MTU discovery never is. */
  private isLimited(type: number, code: number): boolean {
    if (type > highestType) return false;
    if (type === icmp.unreachable && code === unreachable.fragNeeded) return false;
    return ((1 << type) & this.ns.sysctl.get("net.ipv4.icmp_ratemask")) !== 0;
  }

  /** icmp_global_allow: net.ipv4.icmp_msgs_per_sec for the host as a whole, topped up at most every 20 ms. */
  private globalAllow(): boolean {
    if (this.credit > 0) return true;
    const now = Math.floor(this.ns.world.clock.now / NS_PER_JIFFY);
    const delta = Math.min(now - this.stamp, HZ);
    if (delta < HZ / 50) return false;
    const more = Math.floor((this.ns.sysctl.get("net.ipv4.icmp_msgs_per_sec") * delta) / HZ);
    if (more === 0) return false;
    this.stamp = now;
    this.credit = Math.min(this.credit + more, this.ns.sysctl.get("net.ipv4.icmp_msgs_burst"));
    return true;
  }

  private peerAllow(route: Route, dst: number): boolean {
    const ns = this.ns;
    const interval = ns.sysctl.get("net.ipv4.icmp_ratelimit");
    if (route.dev!.kind !== "loopback" && interval !== 0 && !ns.peers.allow(dst, interval)) return false;
    this.credit -= ns.world.rng.below(3); // icmp_global_consume
    return true;
  }

  /** ip_rt_send_redirect: the sender would do better to ask `route`'s gateway itself. */
  redirect(frame: Frame, route: Route): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    if ((ns.confAll.send_redirects | ns.conf(route.dev!).send_redirects) === 0) return;
    const net = core.u32[(frame + Pkt.Net) >> 2]!;
    const src = x.ipv4Src(net) >>> 0;
    if (!ns.peers.allowRedirect(src)) return;
    const gateway = route.gateway !== 0 ? route.gateway : x.ipv4Dst(net) >>> 0;
    this.send(frame, icmp.redirect, 1, gateway);
    ns.peers.redirected(src);
  }

  /** icmp_rcv: a message for this host; takes the frame. `Data` at the IPv4 header. */
  receive(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const p = u32[(frame + Pkt.Trans) >> 2]!;
    const length = u32[(frame + Pkt.Len) >> 2]! - x.ipv4HeaderLen(net);
    if (!x.icmpVerify(p, length)) return ns.drop(frame, Drop.IcmpCsum, dev);
    if (length < icmpLen) return ns.drop(frame, Drop.Truncated, dev);
    if (this.listeners.size > 0) for (const listener of this.listeners) listener(net, p, length);
    const type = x.icmpType(p);
    if (type > highestType) return ns.drop(frame, Drop.NoProtocol, dev);
    if ((u32[(frame + Pkt.Flags) >> 2]! & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) !== 0) {
      // RFC 1122 §3.2.2.6, .8: silence is allowed, and Linux's default
      const quiet = ns.sysctl.get("net.ipv4.icmp_echo_ignore_broadcasts") !== 0;
      const asked = type === icmp.echo || type === icmp.timestamp;
      if (asked ? quiet : type !== icmp.address && type !== icmp.addressReply) {
        return ns.drop(frame, Drop.IcmpIgnored, dev);
      }
    }
    if (type === icmp.echo) {
      if (ns.sysctl.get("net.ipv4.icmp_echo_ignore_all") !== 0) return ns.drop(frame, Drop.IcmpIgnored, dev);
      this.reply(dev, frame, icmp.echoReply, x.icmpCode(p), x.icmpGateway(p), length - icmpLen);
    } else if (type === icmp.timestamp) {
      if (length < icmpLen + 4) return ns.drop(frame, Drop.Truncated, dev);
      this.reply(dev, frame, icmp.timestampReply, 0, x.icmpGateway(p), 12);
    } else if (isError(type)) this.learner.receive(dev, frame, p, length);
    ns.consume(frame, dev, "icmp");
  }

  /** icmp_reply: `rest` is the identifier and sequence that go back. */
  private reply(dev: Interface, frame: Frame, type: number, code: number, rest: number, length: number): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const net = core.u32[(frame + Pkt.Net) >> 2]!;
    const p = core.u32[(frame + Pkt.Trans) >> 2]!;
    const optLen = this.echoOptions(frame, x.ipv4HeaderLen(net));
    if (optLen === noAnswer) return;
    const limited = this.isLimited(type, code);
    if (limited && !this.globalAllow()) return;
    const final = x.ipv4Src(net) >>> 0;
    const first = optLen !== 0 ? x.optEchoFirstHop() >>> 0 : 0;
    const dst = first !== 0 ? first : final;
    const tos = x.ipv4Tos(net);
    const src = ns.ownAddress(frame, dev);
    const route = this.route(frame, dst, src, tos, type, code);
    if (route === null || (limited && !this.peerAllow(route, dst))) return;
    const from = src !== 0 ? src : route.source;
    const reply = x.icmpBuild(
      type,
      code,
      rest,
      p + icmpLen,
      length,
      tos,
      ns.ipId(),
      ns.defaultTtl(),
      from,
      dst,
      optLen,
      final,
      ns.timestamp(),
    );
    if (reply !== 0 && type === icmp.timestampReply) x.icmpTimes(reply, ns.timestamp());
    this.emit(route, reply, frame);
  }
}
