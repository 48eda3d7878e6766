// src/host/fib/multipath.ts: which way of a multipath route a flow takes (fib_select_multipath, fib_multipath_hash).

import { Pkt } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Fib } from "./fib.ts";
import type { Flow } from "./flow.ts";
import type { Result } from "./tables.ts";

const PROTO_ICMP = 1;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_DCCP = 33;
const PROTO_SCTP = 132;
const PROTO_UDPLITE = 136;
const FRAGMENT = 0x3fff;
const OFFSET = 0x1fff;

/** net.ipv4.fib_multipath_hash_fields (policy 3) */
const field = { src: 1, dst: 2, proto: 4, sport: 16, dport: 32 } as const;

/** Mixes a word in; MurmurHash3's finalizer. Linux uses a keyed SipHash, whose choices nobody can know. */
function mix(h: number, v: number): number {
  let x = (h ^ v) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** 31 bits from what the policy looks at: 0 addresses, 1 also protocol and ports, 3 what hash_fields says. */
export function hashOf(fib: Fib, src: number, dst: number, proto: number, sport: number, dport: number): number {
  const policy = fib.sysctl.get("net.ipv4.fib_multipath_hash_policy");
  let bits: number = field.src | field.dst;
  if (policy === 1) bits = field.src | field.dst | field.proto | field.sport | field.dport;
  else if (policy === 3) bits = fib.sysctl.get("net.ipv4.fib_multipath_hash_fields");
  let h = fib.hashSeed >>> 0;
  if ((bits & field.src) !== 0) h = mix(h, src);
  if ((bits & field.dst) !== 0) h = mix(h, dst);
  if ((bits & field.proto) !== 0) h = mix(h, proto);
  if ((bits & (field.sport | field.dport)) !== 0) {
    h = mix(h, ((bits & field.sport) !== 0 ? sport << 16 : 0) | ((bits & field.dport) !== 0 ? dport : 0));
  }
  return h >>> 1;
}

/**
 * fib4_rules_early_flow_dissect: protocol and ports of a received packet into the flow; any fragment has none, and
 * ICMP has none either.
 */
export function dissect(fib: Fib, frame: Frame, flow: Flow): void {
  const { core, x } = fib.world;
  const net = core.u32[(frame + Pkt.Net) >> 2]!;
  const proto = x.ipv4Proto(net);
  flow.proto = proto;
  flow.sport = flow.dport = 0;
  if ((x.ipv4Frag(net) & FRAGMENT) !== 0) return;
  if (
    proto !== PROTO_TCP &&
    proto !== PROTO_UDP &&
    proto !== PROTO_SCTP &&
    proto !== PROTO_DCCP &&
    proto !== PROTO_UDPLITE
  ) {
    return;
  }
  const at = net + x.ipv4HeaderLen(net);
  const end = core.u32[(frame + Pkt.Data) >> 2]! + core.u32[(frame + Pkt.Len) >> 2]!;
  if (end - at < 4) return;
  flow.sport = x.udpSrcPort(at);
  flow.dport = x.udpDstPort(at);
}

/** The hash of a received packet: an ICMP error goes the way of what it speaks of (ip_multipath_l3_keys). */
export function hashFrame(fib: Fib, frame: Frame, flow: Flow): number {
  const policy = fib.sysctl.get("net.ipv4.fib_multipath_hash_policy");
  if (policy === 1 || policy === 3) {
    dissect(fib, frame, flow);
    return hashOf(fib, flow.src, flow.dst, flow.proto, flow.sport, flow.dport);
  }
  const { core, x } = fib.world;
  const net = core.u32[(frame + Pkt.Net) >> 2]!;
  if (x.ipv4Proto(net) === PROTO_ICMP && (x.ipv4Frag(net) & OFFSET) === 0) {
    const at = net + x.ipv4HeaderLen(net);
    const end = core.u32[(frame + Pkt.Data) >> 2]! + core.u32[(frame + Pkt.Len) >> 2]!;
    if (end - at >= 28 && (x.icmpIsError(at) as unknown as number) !== 0) {
      return hashOf(fib, x.ipv4Src(at + 8) >>> 0, x.ipv4Dst(at + 8) >>> 0, 0, 0, 0);
    }
  }
  return hashOf(fib, flow.src, flow.dst, 0, 0, 0);
}

/** fib_select_multipath: the first way whose share of the hashes reaches this one; a wanted source weighs more. */
export function selectWay(res: Result, hash: number, src: number): void {
  let best = -1;
  for (const nh of res.info!.nexthops) {
    if (nh.upperBound < 0) continue;
    let score = hash <= nh.upperBound ? 1 : 0;
    if (src !== 0 && nh.source === src) score += 2;
    if (score <= best) continue;
    res.nexthop = nh;
    if (score === 3 || (src === 0 && score === 1)) return;
    best = score;
  }
}
