// src/host/originate.ts: datagrams that a program on this host sends through a plain socket.

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../assembly/layout.ts";
import { Flow } from "./fib/flow.ts";
import { type Route, RouteType } from "./fib/route.ts";
import type { Namespace } from "./namespace.ts";

const PROTO_UDP = 17;
const DF = 0x4000;
const headerLen = 20;
const udpLen = 8;
const SHORT = 48;
/** Bytes of `scratch` at first. */
const FIRST = 64;

export class Originate {
  private readonly flow = new Flow();
  /** Payloads on their way into the core. */
  private scratch = 0;
  private room = 0;
  /** The way found last and the source that it chose, for what was asked, while the tables stay as they were. */
  private way: Route | null = null;
  private waySource = 0;
  private wayAt = -1;
  private readonly asked = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** sendto() on a UDP socket. `src` 0: the route's; `ttl` 0: the host's. False when there is no route. */
  udp(src: number, sport: number, dst: number, dport: number, payload: Uint8Array, ttl: number): boolean {
    // a port that sends is open: the answer finds it
    const socket = this.ns.sockets.open(PROTO_UDP, src, sport);
    return this.send(PROTO_UDP, src, sport, dst, dport, payload, ttl, socket.dontFragment, false);
  }

  /** sendto() on a raw socket that writes whole messages (a ping's ICMP echo). */
  raw(proto: number, src: number, dst: number, payload: Uint8Array, ttl: number): boolean {
    return this.send(proto, src, 0, dst, 0, payload, ttl, this.ns.sockets.dontFragment, true);
  }

  private send(
    proto: number,
    src: number,
    sport: number,
    dst: number,
    dport: number,
    payload: Uint8Array,
    ttl: number,
    discover: boolean,
    raw: boolean,
  ): boolean {
    const { ns, flow } = this;
    const { core, x } = ns.world;
    const route = this.route(proto, src, sport, dst, dport);
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
    const size = payload.length;
    const locked = route.mtuLocked || route.pmtuLocked === true;
    const fits = headerLen + (raw ? 0 : udpLen) + size <= ns.routeMtu(route);
    const df = discover && !locked && fits ? DF : 0;
    if (size > this.room && !this.enlarge(size)) {
      ns.count(Drop.NoBuffer);
      return false;
    }
    const from = this.scratch;
    const { u8 } = core;
    // a few bytes are there sooner one by one
    if (size > SHORT) u8.set(payload, from);
    else for (let i = 0; i < size; i++) u8[from + i] = payload[i]!;
    const source = src !== 0 ? src : flow.src !== 0 ? flow.src : route.source;
    const id = df === 0 ? ns.ipId() : 0;
    const life = ttl === 0 ? ns.defaultTtl() : ttl;
    const frame = raw
      ? x.ipBuild(from, size, 0, id, df, life, proto, source, dst)
      : x.udpBuild(from, size, 0, id, df, life, source, sport, dst, dport);
    if (frame === 0) {
      ns.count(Drop.NoBuffer);
      return false;
    }
    if (ns.world.tracer !== null) ns.trace("originate", null, frame, proto === PROTO_UDP ? "udp" : "raw socket");
    core.u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.IgnoreDf;
    ns.output.local(frame, route);
    return true;
  }

  /** ip_route_output; `flow.src` is the source chosen. Datagrams that go where the last one went need no look-up. */
  private route(proto: number, src: number, sport: number, dst: number, dport: number): Route | null {
    const { flow, asked } = this;
    const { fib, world } = this.ns;
    if (
      this.way !== null &&
      this.wayAt === fib.generation &&
      world.tracer === null &&
      asked.dst === dst &&
      asked.src === src &&
      asked.sport === sport &&
      asked.dport === dport &&
      asked.proto === proto
    ) {
      flow.src = this.waySource;
      return this.way;
    }
    flow.clear();
    asked.dst = flow.dst = dst;
    asked.src = flow.src = src;
    asked.proto = flow.proto = proto;
    asked.sport = flow.sport = sport;
    asked.dport = flow.dport = dport;
    const route = fib.routeOutput(flow);
    // what ICMP taught about a path ends some day
    const nh = fib.result.nexthop;
    this.way = nh !== null && !nh.exceptions ? route : null;
    this.waySource = flow.src;
    this.wayAt = fib.generation;
    return route;
  }

  private enlarge(size: number): boolean {
    const { x } = this.ns.world;
    const room = Math.max(FIRST, 1 << (32 - Math.clz32(size - 1)));
    const p = x.alloc(room);
    if (p === 0) return false;
    x.release(this.scratch, this.room);
    this.scratch = p;
    this.room = room;
    return true;
  }
}
