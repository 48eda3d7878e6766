// src/host/ipv4/forward.ts: a packet for somebody else (net/ipv4/ip_forward.c), and routes that say no (ip_error).

import { Drop } from "../../../assembly/drop.ts";
import { KeyBit, OptFlag, Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { errno, type Route } from "../fib/route.ts";
import type { Namespace } from "../namespace.ts";
import { Hook } from "../netfilter/hooks.ts";
import { icmp, unreachable } from "./icmptypes.ts";

const DF = 0x4000;
/** Words of a header without options. */
const NO_OPTIONS = 5 << 24;

export class Forward {
  constructor(private readonly ns: Namespace) {}

  /** ip_forward: takes the frame. */
  forward(dev: Interface, frame: Frame, route: Route): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.Host) return ns.drop(frame, Drop.OtherHost, dev);
    const key = u32[(frame + Pkt.KeyInfo) >> 2]!;
    if ((key & 255) <= 1) {
      ns.icmp.send(frame, icmp.timeExceeded, 0, 0);
      return ns.drop(frame, Drop.TtlExceeded, dev);
    }
    const options = u32[(frame + Pkt.OptFlags) >> 2]!;
    if ((options & OptFlag.StrictRoute) !== 0 && route.gateway !== 0) {
      ns.icmp.send(frame, icmp.unreachable, unreachable.sourceRouteFailed, 0);
      return ns.drop(frame, Drop.SourceRoute, dev);
    }
    u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.Forwarded;
    const mtu = ns.routeMtu(route, true);
    if (u32[(frame + Pkt.Len) >> 2]! > mtu && this.mayNotCut(frame, mtu)) {
      ns.icmp.send(frame, icmp.unreachable, unreachable.fragNeeded, mtu);
      return ns.drop(frame, Drop.FragNeeded, dev);
    }
    const { notes } = ns.flows;
    if (notes.frame === frame) {
      // what ICMP taught about the path ends some day
      if (route.pmtu) notes.forget();
      else notes.forward(mtu);
    }
    x.decreaseTtl(frame);
    if ((u32[(frame + Pkt.Flags) >> 2]! & PktFlag.DoRedirect) !== 0 && u32[(frame + Pkt.OptSrr) >> 2] === 0) {
      ns.icmp.redirect(frame, route);
    }
    if (!ns.hooks.run(Hook.Forward, frame, dev, route.dev)) return;
    // ip_forward_finish
    if ((key & KeyBit.Words) > NO_OPTIONS) x.optForward(frame, route.source);
    ns.output.output(frame, route, dev);
  }

  /** ip_exceeds_mtu of a packet that is too long. */
  private mayNotCut(frame: Frame, mtu: number): boolean {
    const { core, x } = this.ns.world;
    if ((x.ipv4Frag(core.u32[(frame + Pkt.Net) >> 2]!) & DF) === 0) return false;
    if (core.u32[(frame + Pkt.FragMax) >> 2]! > mtu) return true;
    return (core.u32[(frame + Pkt.Flags) >> 2]! & PktFlag.IgnoreDf) === 0;
  }

  /** ip_error: unreachable, prohibit, or no route at all; drops the frame. */
  error(dev: Interface, frame: Frame, route: Route): void {
    const ns = this.ns;
    let code: number;
    let why: Drop;
    if (route.error === errno.ENETUNREACH) {
      code = unreachable.net;
      why = Drop.NoRoute;
    } else if (route.error === errno.EHOSTUNREACH) {
      code = unreachable.host;
      why = Drop.Unreachable;
    } else if (route.error === errno.EACCES) {
      code = unreachable.filtered;
      why = Drop.Prohibit;
    } else {
      return ns.drop(frame, Drop.Blackhole, dev);
    }
    if (ns.conf(dev).forwarding === 0) return ns.drop(frame, Drop.ForwardingOff, dev);
    const { core, x } = ns.world;
    const src = x.ipv4Src(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    if (ns.peers.allowRouteError(src)) ns.icmp.send(frame, icmp.unreachable, code, 0);
    ns.drop(frame, why, dev);
  }
}
