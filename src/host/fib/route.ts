// src/host/fib/route.ts: routes: as they are written, as they are stored, and as packets get them.

import type { Interface } from "../../link/interface.ts";
import type { Exceptions } from "./exceptions.ts";

/** RTN_* (include/uapi/linux/rtnetlink.h). */
export enum RouteType {
  /** No route: what `routeInput` answers when no table knows the destination. */
  Unspec = 0,
  Unicast = 1,
  Local = 2,
  Broadcast = 3,
  Anycast = 4,
  Multicast = 5,
  Blackhole = 6,
  Unreachable = 7,
  Prohibit = 8,
  Throw = 9,
}

/** RT_SCOPE_*: how far away; larger is nearer. */
export enum Scope {
  Universe = 0,
  Site = 200,
  Link = 253,
  Host = 254,
  Nowhere = 255,
}

/** The kernel's error numbers, where they decide what happens. */
export const errno = {
  none: 0,
  ENOENT: 2,
  ESRCH: 3,
  EAGAIN: 11,
  EACCES: 13,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  EHOSTUNREACH: 113,
} as const;

/** What every type of route answers to a lookup that ends at it (fib_props). */
export function errorOf(type: RouteType): number {
  switch (type) {
    case RouteType.Blackhole:
      return errno.EINVAL;
    case RouteType.Unreachable:
      return errno.EHOSTUNREACH;
    case RouteType.Prohibit:
      return errno.EACCES;
    case RouteType.Throw:
      return errno.EAGAIN;
    default:
      return errno.none;
  }
}

/** RTCF_*: what a route means for a packet beside being sent. */
export const routeFlag = { local: 1, broadcast: 2, multicast: 4 } as const;

/**
 * What a packet gets: where to go. Immutable and shared by all packets that go the same way; valid until the tables
 * change (`Fib.generation`).
 */
export interface Route {
  readonly type: RouteType;
  /** The device that it leaves by; loopback for what is for this host; null for errors. */
  readonly dev: Interface | null;
  /** Next hop, 0 when the destination is on the link. */
  readonly gateway: number;
  /** Source address of what is made here and has none; 0: the destination itself, or none. */
  readonly source: number;
  /** The route's own MTU, 0 for the device's. */
  readonly mtu: number;
  /** `mtu lock`: path MTU discovery may not change it. */
  readonly mtuLocked: boolean;
  readonly advmss: number;
  /** Path MTU learned for this destination (0, or left out: none), whether it is fixed, and when it is forgotten (ns). */
  readonly pmtu?: number;
  readonly pmtuLocked?: boolean;
  readonly expires?: number;
  readonly scope: Scope;
  /** `routeFlag` bits. */
  readonly flags: number;
  /** Why there is none (`errno`), 0 for a route. */
  readonly error: number;
  /** The words of `ip route` behind the destination; `Fib.explain` tells the whole line. */
  readonly text: string;
  /** The flow table's number for it, from 1; left out until packets made here go by it. */
  number?: number;
}

/** A metric of a route (RTAX_*): `mtu lock 1400`. */
export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly lock: boolean;
}

export interface NexthopSpec {
  /** 0: the destination is on the link. */
  readonly gateway: number;
  /** Device name; null: whichever leads to the gateway. */
  readonly dev: string | null;
  /** 1 … 256 */
  readonly weight: number;
  readonly onlink: boolean;
}

/** A route as it is asked for. `null` and 0 mean what `ip route` means when the word is missing. */
export interface RouteSpec {
  /** Unspec in a deletion: any. */
  readonly type: RouteType;
  readonly prefix: number;
  readonly length: number;
  /** dsfield, without the two ECN bits. */
  readonly tos: number;
  readonly table: number;
  readonly scope: Scope;
  readonly protocol: number;
  /** Preferred source, 0 for none. */
  readonly source: number;
  readonly metric: number;
  readonly metrics: readonly Metric[];
  readonly nexthops: readonly NexthopSpec[];
}

/** One way of a route (struct fib_nh). */
export interface Nexthop {
  readonly dev: Interface | null;
  readonly gateway: number;
  readonly weight: number;
  readonly onlink: boolean;
  readonly scope: Scope;
  /** Its device went down. */
  dead: boolean;
  /** Share of the hash space that it ends, 0 … 2^31-1; -1 while it takes none. */
  upperBound: number;
  /** The address that its packets are sent from, found when the addresses last changed (nh_saddr, nh_saddr_genid). */
  source: number;
  sourceAt: number;
  /** What packets get, and the kind and the generation of each: good while that is the present one. */
  routes: readonly (Route | null)[];
  cachedAt: readonly number[];
  /** What was learned of single destinations behind it; null: nothing. */
  exceptions?: Exceptions | null;
}

/** What routes to many prefixes share (struct fib_info). */
export interface Info {
  readonly id: number;
  readonly key: string;
  readonly table: number;
  readonly type: RouteType;
  readonly scope: Scope;
  readonly protocol: number;
  readonly source: number;
  readonly metric: number;
  readonly metrics: readonly Metric[];
  readonly mtu: number;
  readonly mtuLocked: boolean;
  readonly advmss: number;
  readonly nexthops: readonly Nexthop[];
  /** All its ways are dead: about to be removed. */
  dead: boolean;
  /** Aliases that use it. */
  uses: number;
}

/** One route of a prefix (struct fib_alias). */
export interface Alias {
  readonly id: number;
  readonly key: number | string;
  readonly table: number;
  readonly tos: number;
  readonly type: RouteType;
  readonly info: Info;
  /** What a lookup that ends here answers: 0, or an errno (fib_props). */
  readonly error: number;
  uses: number;
}

/** All routes of a prefix, in the order in which they are tried. Prefixes with the same routes share one. */
export interface Leaf {
  readonly id: number;
  readonly key: number | string;
  readonly aliases: readonly Alias[];
  uses: number;
}

/** Linux's refusal of a change, in the words of `ip`. */
export class FibError extends Error {
  constructor(
    readonly errno: number,
    message: string,
  ) {
    super(message);
  }
}
