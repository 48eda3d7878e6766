// src/host/originate.ts: datagrams that a program on this host sends through a plain socket.

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../assembly/layout.ts";
import { Flow } from "./fib/flow.ts";
import { RouteType } from "./fib/route.ts";
import type { Namespace } from "./namespace.ts";

const PROTO_UDP = 17;
const DF = 0x4000;
const headerLen = 20;
const udpLen = 8;

export class Originate {
  private readonly flow = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** sendto() on a UDP socket. `src` 0: the route's; `ttl` 0: the host's. False when there is no route. */
  udp(src: number, sport: number, dst: number, dport: number, payload: Uint8Array, ttl: number): boolean {
    const { x } = this.ns.world;
    // a port that sends is open: the answer finds it
    const socket = this.ns.sockets.open(PROTO_UDP, src, sport);
    return this.send(PROTO_UDP, src, sport, dst, dport, payload, udpLen, socket.dontFragment, (from, route, df) =>
      x.udpBuild(
        from,
        payload.length,
        0,
        df === 0 ? this.ns.ipId() : 0,
        df,
        ttl || this.ns.defaultTtl(),
        route,
        sport,
        dst,
        dport,
      ),
    );
  }

  /** sendto() on a raw socket that writes whole messages (a ping's ICMP echo). */
  raw(proto: number, src: number, dst: number, payload: Uint8Array, ttl: number): boolean {
    const { x } = this.ns.world;
    return this.send(proto, src, 0, dst, 0, payload, 0, this.ns.sockets.dontFragment, (from, source, df) =>
      x.ipBuild(
        from,
        payload.length,
        0,
        df === 0 ? this.ns.ipId() : 0,
        df,
        ttl || this.ns.defaultTtl(),
        proto,
        source,
        dst,
      ),
    );
  }

  private send(
    proto: number,
    src: number,
    sport: number,
    dst: number,
    dport: number,
    payload: Uint8Array,
    extra: number,
    discover: boolean,
    build: (from: number, source: number, df: number) => number,
  ): boolean {
    const { ns, flow } = this;
    const { core, x } = ns.world;
    flow.clear();
    flow.dst = dst;
    flow.src = src;
    flow.proto = proto;
    flow.sport = sport;
    flow.dport = dport;
    const route = ns.fib.routeOutput(flow);
    if (route === null || route.dev === null) {
      ns.count(Drop.NoRoute);
      return false;
    }
    // nobody asked for SO_BROADCAST: EACCES
    if (route.type === RouteType.Broadcast) {
      ns.count(Drop.Prohibit);
      return false;
    }
    // IP_PMTUDISC_WANT: DF on what fits into the path's MTU
    const locked = route.mtuLocked || route.pmtuLocked === true;
    const df = discover && !locked && headerLen + extra + payload.length <= ns.routeMtu(route) ? DF : 0;
    const scratch = x.alloc(payload.length);
    core.u8.set(payload, scratch);
    const frame = build(scratch, src !== 0 ? src : flow.src !== 0 ? flow.src : route.source, df);
    x.release(scratch, payload.length);
    if (frame === 0) {
      ns.count(Drop.NoBuffer);
      return false;
    }
    if (ns.world.tracer !== null) ns.trace("originate", null, frame, proto === PROTO_UDP ? "udp" : "raw socket");
    core.u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.IgnoreDf;
    ns.output.local(frame, route);
    return true;
  }
}
