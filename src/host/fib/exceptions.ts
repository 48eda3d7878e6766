// src/host/fib/exceptions.ts: what ICMP taught about single destinations behind a next hop: another gateway, a smaller
// path MTU (struct fib_nh_exception, net/ipv4/route.c; RFC 1191, RFC 1122 §3.2.2.2).

import type { Route } from "./route.ts";

const SECOND = 1_000_000_000;
/** net.ipv4.route.mtu_expires, gc_timeout and min_pmtu */
const mtuExpires = 600 * SECOND;
const redirectExpires = 300 * SECOND;
const minPmtu = 552;

/** One destination of one next hop. */
export interface Exception {
  /** 0: as the route says. */
  gateway: number;
  /** 0: none learned. */
  pmtu: number;
  /** It was too small to be believed: `minPmtu` stands for it, and packets are cut rather than marked DF. */
  locked: boolean;
  /** When it is forgotten, in ns. */
  expires: number;
  /** `Fib.flushes` when it was learned: what was learned before is forgotten when a packet asks (fnhe_genid). */
  flushes: number;
  /** What packets get, forwarded ones and those made here, and the generation that each was made in. */
  readonly routes: [Route | null, Route | null];
  readonly cachedAt: [number, number];
}

/** The exceptions of a next hop, by destination. */
export type Exceptions = Map<number, Exception>;

/** find_exception: null when there is none, or no more. */
export function findException(exceptions: Exceptions, dst: number, now: number): Exception | null {
  const e = exceptions.get(dst);
  if (e === undefined) return null;
  if (now <= e.expires) return e;
  exceptions.delete(dst);
  return null;
}

function entry(exceptions: Exceptions, dst: number, expires: number, flushes: number): Exception {
  let e = exceptions.get(dst);
  if (e === undefined) {
    e = { gateway: 0, pmtu: 0, locked: false, expires, flushes, routes: [null, null], cachedAt: [-1, -1] };
    exceptions.set(dst, e);
  }
  e.expires = expires;
  e.flushes = flushes;
  e.routes[0] = e.routes[1] = null;
  return e;
}

/** A router told of a better gateway. */
export function learnGateway(exceptions: Exceptions, dst: number, gateway: number, now: number, flushes: number): void {
  entry(exceptions, dst, now + redirectExpires, flushes).gateway = gateway;
}

/**
 * __ip_rt_update_pmtu: `mtu` was reported for packets that take `route`, whose MTU is `old`.
 * False when that teaches nothing.
 */
export function learnPmtu(
  exceptions: Exceptions,
  dst: number,
  route: Route,
  old: number,
  mtu: number,
  now: number,
  flushes: number,
): boolean {
  if (route.mtuLocked || route.pmtuLocked === true || old < mtu) return false;
  const locked = mtu < minPmtu;
  const pmtu = locked ? Math.min(old, minPmtu) : mtu;
  if (route.pmtu === pmtu && !locked && now < (route.expires ?? 0) - mtuExpires / 2) return false;
  const e = entry(exceptions, dst, now + mtuExpires, flushes);
  e.pmtu = pmtu;
  e.locked = locked;
  return true;
}
