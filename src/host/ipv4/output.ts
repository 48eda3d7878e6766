// src/host/ipv4/output.ts: packets leave: OUTPUT, POSTROUTING, fragments, neighbour (net/ipv4/ip_output.c).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import type { Node } from "../../link/world.ts";
import { Flow } from "../fib/flow.ts";
import { type Route, RouteType, routeFlag } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import { Hook } from "../netfilter/hooks.ts";
import { icmp, unreachable } from "./icmptypes.ts";

const DF = 0x4000;
const MF_OR_OFFSET = 0x3fff;

export class Output {
  /** The route of the packet that is in POSTROUTING. */
  leaving: Route | null = null;
  private readonly flow = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** ip_local_out: a packet made here, `Data` at its header; takes it. */
  local(frame: Frame, route: Route): void {
    if (!this.ns.flows.send(frame, route)) this.make(frame, route);
  }

  /** The same, the long way. */
  make(frame: Frame, route: Route): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.Local;
    ns.setRouteFlags(frame, route);
    // nothing there can change the packet
    if (route.dev !== null && ns.world.tracer === null && ns.hooks.isEmpty(Hook.Output)) {
      return this.leave(frame, route);
    }
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const src = x.ipv4Src(net);
    const dst = x.ipv4Dst(net);
    const tos = x.ipv4Tos(net);
    const mark = u32[(frame + Pkt.Mark) >> 2]!;
    if (!ns.hooks.run(Hook.Output, frame, null, route.dev)) return;
    // ip_route_me_harder: what mangle or NAT changed may change the way
    const now = u32[(frame + Pkt.Net) >> 2]!;
    if (
      x.ipv4Dst(now) !== dst ||
      x.ipv4Src(now) !== src ||
      x.ipv4Tos(now) !== tos ||
      u32[(frame + Pkt.Mark) >> 2] !== mark
    ) {
      if (ns.flows.notes.frame === frame) ns.flows.notes.forget();
      const again = this.reroute(frame, now);
      if (again === null) return ns.drop(frame, Drop.NoRoute, null);
      if (again !== route) x.packetPieces(frame, x.ipv4HeaderLen(now), ns.routeMtu(route));
      route = again;
      ns.setRouteFlags(frame, route);
    }
    if (route.dev === null) return ns.drop(frame, Drop.NoRoute, null);
    if (ns.world.tracer !== null) ns.trace("route", route.dev, frame, ns.fib.explain());
    this.leave(frame, route);
  }

  private leave(frame: Frame, route: Route): void {
    const ns = this.ns;
    const { notes } = ns.flows;
    if (notes.frame === frame) notes.leave(ns.routeMtu(route));
    this.output(frame, route, null);
  }

  private reroute(frame: Frame, net: number): Route | null {
    const { core, x } = this.ns.world;
    const flow = this.flow;
    flow.clear();
    flow.dst = x.ipv4Dst(net) >>> 0;
    const src = x.ipv4Src(net) >>> 0;
    flow.src = this.ns.fib.addrType(src) === RouteType.Local ? src : 0;
    flow.tos = x.ipv4Tos(net);
    flow.mark = core.u32[(frame + Pkt.Mark) >> 2]!;
    return this.ns.fib.routeOutput(flow);
  }

  /** ip_output: POSTROUTING and out. `input` is the device that a forwarded packet came in by. */
  output(frame: Frame, route: Route, input: Interface | null): void {
    const ns = this.ns;
    const dev = route.dev!;
    this.leaving = route;
    if (route.type === RouteType.Broadcast || route.type === RouteType.Multicast) this.loopBack(frame, route, dev);
    if (
      (ns.world.core.u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Rerouted) === 0 &&
      !ns.hooks.run(Hook.Postrouting, frame, input, dev)
    ) {
      return;
    }
    this.finish(frame, route);
  }

  /** ip_mc_output: what goes to all on a link, this host among them, comes back to it (dev_loopback_xmit). */
  private loopBack(frame: Frame, route: Route, dev: Interface): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    if (dev.kind === "loopback" || (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Local) === 0) return;
    // a group that this host listens to as well
    if (route.type === RouteType.Multicast && (route.flags & routeFlag.local) === 0) return;
    const copy = x.packetCopy(frame);
    if (copy === 0 || !ns.hooks.run(Hook.Postrouting, copy, null, dev)) return;
    u32[(copy + Pkt.Type) >> 2] = PktType.Loopback;
    u32[(copy + Pkt.Flags) >> 2]! |= PktFlag.CsumOk;
    u32[(copy + Pkt.In) >> 2] = dev.ifindex;
    ns.world.backlog.push(this.looped, dev.ifindex, copy);
  }

  private readonly looped: Node = {
    receive: (ifindex, frame) => {
      const dev = this.ns.byIndex[ifindex]!;
      if (!dev.up) return this.ns.drop(frame, Drop.LinkDown, dev);
      this.ns.world.x.ipKey(frame);
      this.ns.input.receive(dev, frame);
    },
  };

  /** ip_finish_output: cut to the MTU. */
  finish(frame: Frame, route: Route): void {
    const ns = this.ns;
    const { u32 } = ns.world.core;
    const mtu = ns.routeMtu(route, (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Forwarded) !== 0);
    if (u32[(frame + Pkt.Len) >> 2]! <= mtu && u32[(frame + Pkt.FragMax) >> 2] === 0)
      return this.toNeighbour(frame, route);
    this.fragment(frame, route, mtu);
  }

  /** ip_fragment: takes the frame. */
  private fragment(frame: Frame, route: Route, mtu: number): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    if (ns.flows.notes.frame === frame) ns.flows.notes.forget();
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const largest = u32[(frame + Pkt.FragMax) >> 2]!;
    if ((x.ipv4Frag(net) & DF) !== 0) {
      const mayCut = (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.IgnoreDf) !== 0 && largest <= mtu;
      if (!mayCut) {
        ns.icmp.send(frame, icmp.unreachable, unreachable.fragNeeded, mtu);
        return ns.drop(frame, Drop.FragNeeded, route.dev);
      }
    }
    this.cut(frame, mtu, route.dev!, this.sendFragment, route);
  }

  private readonly sendFragment = (frame: Frame, route: Route): void => this.toNeighbour(frame, route);

  /** ip_do_fragment: cuts and hands each piece to `send`; takes the frame. `Data` at the IPv4 header. */
  cut(frame: Frame, mtu: number, dev: Interface, send: (piece: Frame, route: Route) => void, route: Route): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const largest = u32[(frame + Pkt.FragMax) >> 2]!;
    if (largest !== 0 && largest < mtu) mtu = largest;
    const hl = x.ipv4HeaderLen(net);
    const room = mtu - hl;
    const total = u32[(frame + Pkt.Len) >> 2]! - hl;
    if (this.keepGeometry(frame, net, hl, room, total, send, route)) return;
    const df = (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.FragPmtu) !== 0;
    const step = room & ~7;
    if (step <= 0) return ns.drop(frame, Drop.FragNeeded, dev);
    let at = 0;
    while (at < total) {
      const n = total - at <= room ? total - at : step;
      const piece = x.fragment(frame, at, n, at + n < total, df);
      if (piece === 0) {
        ns.drop(frame, Drop.NoBuffer, dev);
        return;
      }
      if (at === 0 && hl > 20) x.optKeepCopied(net);
      at += n;
      send(piece, route);
    }
    x.packetFree(frame);
  }

  /** The fragments that reassembly saw go out as they came, where they fit (the frag_list of ip_do_fragment). */
  private keepGeometry(
    frame: Frame,
    net: number,
    hl: number,
    room: number,
    total: number,
    send: (piece: Frame, route: Route) => void,
    route: Route,
  ): boolean {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const lengths = u32[(frame + Pkt.Geometry) >> 2]!;
    if (lengths === 0) return false;
    const count = u32[lengths >> 2]!;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const n = u32[(lengths >> 2) + 1 + i]!;
      if (n > room || (i < count - 1 && (n & 7) !== 0)) return false;
      sum += n;
    }
    // NAT helpers and mangling may have changed the length since; a fragment itself is not cut this way
    if (sum !== total || (x.ipv4Frag(net) & MF_OR_OFFSET) !== 0) return false;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const n = u32[(lengths >> 2) + 1 + i]!;
      // the packet's beginning took it in
      if (n === 0) continue;
      const piece = x.fragment(frame, at, n, at + n < total, false);
      if (piece === 0) {
        ns.drop(frame, Drop.NoBuffer, route.dev);
        return true;
      }
      if (at === 0 && hl > 20) x.optKeepCopied(net);
      at += n;
      send(piece, route);
    }
    x.packetFree(frame);
    return true;
  }

  /** ip_finish_output2 */
  private toNeighbour(frame: Frame, route: Route): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    core.u32[(frame + Pkt.Type) >> 2] = PktType.Outgoing;
    const nexthop = route.gateway !== 0 ? route.gateway : x.ipv4Dst(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    ns.neighbours.output(frame, route.dev!, nexthop);
  }
}
