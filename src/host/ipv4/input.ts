// src/host/ipv4/input.ts: an IPv4 packet comes in: checks, PREROUTING, route, options, then on or up (net/ipv4/ip_input.c).

import { Drop } from "../../../assembly/drop.ts";
import { KeyBit, OptFlag, Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { type Route, RouteType } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import { Hook } from "../netfilter/hooks.ts";
import { icmp } from "./icmptypes.ts";

/** Words of a header without options. */
const NO_OPTIONS = 5 << 24;
const PROTO_TCP = 6;
const TCP_HEADER = 20;
/** Where the protocol stands in an IPv4 header. */
const PROTOCOL_AT = 9;
const routeFlags = PktFlag.RtLocal | PktFlag.RtBroadcast | PktFlag.RtMulticast;

export class Input {
  constructor(private readonly ns: Namespace) {}

  /** ip_rcv behind its checks (`frameReceive`): takes the frame; `Data` at the IPv4 header. */
  receive(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { u32 } = ns.world.core;
    const bridged = (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Bridged) !== 0;
    if (!bridged && !ns.hooks.run(Hook.Prerouting, frame, dev, null)) return;
    this.finish(dev, frame);
  }

  /** ip_rcv_finish: behind PREROUTING. */
  finish(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { u32 } = ns.world.core;
    const flags = u32[(frame + Pkt.Flags) >> 2]!;
    if ((flags & routeFlags) !== 0) {
      // looped back: its route came with it
      ns.world.x.ipKey(frame);
      return this.deliver(dev, frame);
    }
    if (u32[(frame + Pkt.Geometry) >> 2] !== 0) this.demux(frame);
    let route = ns.fib.routeInput(frame, dev);
    if (route === null) return ns.drop(frame, ns.fib.failure, dev);
    ns.setRouteFlags(frame, route);
    const { notes } = ns.flows;
    if (notes.frame === frame) {
      if (ns.fib.inputCache.repeats) notes.routed();
      else notes.forget();
    }
    if ((u32[(frame + Pkt.KeyInfo) >> 2]! & KeyBit.Words) > NO_OPTIONS) {
      route = this.options(dev, frame, route);
      if (route === null) return;
    }
    // RFC 1122 §3.3.6: a unicast packet in a link-layer broadcast is nobody's
    const type = u32[(frame + Pkt.Type) >> 2]!;
    if (
      type !== PktType.Host &&
      route.type !== RouteType.Broadcast &&
      route.type !== RouteType.Multicast &&
      (type === PktType.Broadcast || type === PktType.Multicast) &&
      (ns.confAll.drop_unicast_in_l2_multicast | ns.conf(dev).drop_unicast_in_l2_multicast) !== 0
    ) {
      return ns.drop(frame, Drop.UnicastInL2Multicast, dev);
    }
    this.dispatch(dev, frame, route);
  }

  /** tcp_v4_early_demux wants the whole TCP header in one piece, so that tiny fragments do not leave as they came. */
  private demux(frame: Frame): void {
    const { core, x } = this.ns.world;
    const { u32, u8 } = core;
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.Host) return;
    if (u8[u32[(frame + Pkt.Net) >> 2]! + PROTOCOL_AT] === PROTO_TCP) x.packetLinear(frame, TCP_HEADER);
  }

  /** dst_input */
  private dispatch(dev: Interface, frame: Frame, route: Route): void {
    const ns = this.ns;
    if (ns.world.tracer !== null) ns.trace("route", dev, frame, ns.fib.explain());
    switch (route.type) {
      case RouteType.Local:
      case RouteType.Broadcast:
      case RouteType.Multicast:
      case RouteType.Anycast:
        return this.deliver(dev, frame);
      case RouteType.Unicast:
        return ns.forward.forward(dev, frame, route);
      case RouteType.Blackhole:
        return ns.drop(frame, Drop.Blackhole, dev);
      default:
        return ns.forward.error(dev, frame, route);
    }
  }

  /** ip_rcv_options: the route, maybe another one (a source route was hit); null when the packet is gone. */
  private options(dev: Interface, frame: Frame, route: Route): Route | null {
    const ns = this.ns;
    const { core, x } = ns.world;
    const net = core.u32[(frame + Pkt.Net) >> 2]!;
    const named = x.optPrespecified(net) >>> 0;
    const foreign = named !== 0 && ns.fib.addrType(named) === RouteType.Unicast;
    const bad = x.optCompile(frame, ns.ownAddress(frame, dev), ns.timestamp(), foreign);
    if (bad !== 0) {
      ns.icmp.send(frame, icmp.parameterProblem, 0, bad << 24);
      ns.drop(frame, Drop.BadOption, dev);
      return null;
    }
    if (core.u32[(frame + Pkt.OptSrr) >> 2] === 0) return route;
    if ((ns.confAll.accept_source_route & ns.conf(dev).accept_source_route) === 0) {
      ns.drop(frame, Drop.SourceRoute, dev);
      return null;
    }
    return this.sourceRoute(dev, frame, route);
  }

  /** ip_options_rcv_srr: the packet stands at an address that its source route named (RFC 791 §3.1). */
  private sourceRoute(dev: Interface, frame: Frame, first: Route): Route | null {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const refuse = (): null => {
      ns.drop(frame, Drop.SourceRoute, dev);
      return null;
    };
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.Host) return refuse();
    const flags = u32[(frame + Pkt.OptFlags) >> 2]!;
    if (first.type === RouteType.Unicast) {
      if ((flags & OptFlag.StrictRoute) === 0) return first;
      ns.icmp.send(frame, icmp.parameterProblem, 0, 16 << 24);
      return refuse();
    }
    if (first.type !== RouteType.Local) return refuse();
    const end = x.optSourceRouteLength(frame);
    let pointer = x.optSourceRoutePointer(frame);
    let route: Route = first;
    let nexthop = 0;
    for (; pointer <= end; pointer += 4) {
      if (pointer + 3 > end) {
        ns.icmp.send(frame, icmp.parameterProblem, 0, (u32[(frame + Pkt.OptSrr) >> 2]! + 2) << 24);
        return refuse();
      }
      nexthop = x.optSourceRouteNext(frame, pointer) >>> 0;
      const next = ns.fib.routeInput(frame, dev, nexthop);
      if (next === null || (next.type !== RouteType.Unicast && next.type !== RouteType.Local)) return refuse();
      route = next;
      ns.setRouteFlags(frame, route);
      if (next.type !== RouteType.Local) break;
      x.setDestination(frame, nexthop);
    }
    if (pointer <= end) {
      u32[(frame + Pkt.OptFlags) >> 2]! |= OptFlag.SrrIsHit | OptFlag.IsChanged;
      u32[(frame + Pkt.OptNexthop) >> 2] = nexthop;
    }
    return route;
  }

  /** ip_local_deliver: reassembly, INPUT, then the protocol. */
  deliver(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const key = ns.world.core.u32[(frame + Pkt.KeyInfo) >> 2]!;
    if ((key & KeyBit.Fragment) !== 0 && !ns.defragLocal(frame, dev)) return;
    if (!ns.hooks.run(Hook.Input, frame, dev, null)) return;
    if (ns.flows.notes.frame === frame) ns.flows.notes.delivered(dev);
    ns.local.receive(dev, frame);
  }
}
