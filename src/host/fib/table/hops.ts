// src/host/fib/table/hops.ts: next hops of routing tables that were read from files: each distinct one has a number.

import { formatIpv4 } from "../../../core/address.ts";
import { typeNames } from "../names.ts";
import { type RouteSpec, RouteType } from "../route.ts";

/** Where a route leads, as the table says it. */
export interface Hop {
  /** The gateway's address (several: with commas), or `blackhole` and the like; null: on the link, or not told. */
  readonly nexthop: string | null;
  /** A type of `ip route` that stands in front of the prefix; empty for unicast. */
  readonly type: string;
  /** The words behind the prefix; empty when the table tells none. */
  readonly text: string;
  /** Hops with the same key are the same: gateway, device, weight, source and metrics such as `mtu`. */
  readonly key: string;
  /** A gateway's address and nothing else. */
  readonly bare: boolean;
}

/** A route without a next hop, as in a list of prefixes. */
const unknown: Hop = { nexthop: null, type: "", text: "", key: "", bare: false };

/** A next hop of a plain list or of an MRT dump. */
export function plainHop(text: string): Hop {
  return { nexthop: text, type: "", text, key: `via ${text}`, bare: true };
}

const silent = new Set([RouteType.Blackhole, RouteType.Unreachable, RouteType.Prohibit, RouteType.Throw]);

/** The next hop of a route as `ip route` prints it. Metric, protocol, scope and table are no part of it. */
export function hopOf(spec: RouteSpec): Hop {
  const type = spec.type === RouteType.Unicast ? "" : typeNames.format(spec.type);
  const words: string[] = [];
  for (const n of spec.nexthops) {
    if (spec.nexthops.length > 1) words.push("nexthop");
    if (n.gateway !== 0) words.push("via", formatIpv4(n.gateway));
    if (n.dev !== null) words.push("dev", n.dev);
    if (spec.nexthops.length > 1) words.push("weight", String(n.weight));
    if (n.onlink) words.push("onlink");
  }
  // what belongs to the route stands before its ways, or it would be read as a way's
  const own: string[] = [];
  if (spec.source !== 0) own.push("src", formatIpv4(spec.source));
  for (const m of spec.metrics) own.push(m.name, ...(m.lock ? ["lock"] : []), String(m.value));
  const text = (spec.nexthops.length > 1 ? [...own, ...words] : [...words, ...own]).join(" ");
  const gateways = spec.nexthops.filter((n) => n.gateway !== 0).map((n) => formatIpv4(n.gateway));
  const bare = type === "" && gateways.length === 1 && text === `via ${gateways[0]!}`;
  const nexthop = silent.has(spec.type) ? type : gateways.length > 0 ? gateways.join(",") : null;
  return { nexthop, type, text, key: `${type} ${text}`.trim(), bare };
}

/** The distinct next hops of a table. Number 0 is that of no route, 1 that of a route which tells none. */
export class Hops {
  static readonly NONE = 0;
  static readonly UNKNOWN = 1;

  readonly list: Hop[] = [unknown, unknown];
  private readonly numbers = new Map<string, number>([["", Hops.UNKNOWN]]);
  private readonly addresses = new Map<number, number>();

  /** The hop's number; a new one if no other has its key. */
  number(hop: Hop): number {
    let n = this.numbers.get(hop.key);
    if (n === undefined) {
      n = this.list.length;
      this.numbers.set(hop.key, n);
      this.list.push(hop);
    }
    return n;
  }

  /** The number of a gateway's address. */
  ofAddress(address: number): number {
    let n = this.addresses.get(address);
    if (n === undefined) {
      n = this.number(plainHop(formatIpv4(address)));
      this.addresses.set(address, n);
    }
    return n;
  }
}

/** Whether packets go the same way by both: a gateway without a device agrees with the same gateway by any device. */
export function agree(a: Hop, b: Hop): boolean {
  return a.key === b.key || (a.nexthop !== null && a.nexthop === b.nexthop && a.type === b.type && (a.bare || b.bare));
}

/** A next hop in words, for a person. */
export function describeHop(hops: Hops, number: number): string {
  if (number === Hops.NONE) return "no route";
  const hop = hops.list[number]!;
  return hop.key === "" ? "routed" : hop.key;
}
