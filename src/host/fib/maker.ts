// src/host/fib/maker.ts: makes the Routes that packets get, once for each way and kind (Linux's per-nexthop dst cache).

import type { Interface } from "../../link/interface.ts";
import { type Exception, findException } from "./exceptions.ts";
import type { Fib } from "./fib.ts";
import { formatNexthop, formatTail } from "./format.ts";
import { type Alias, type Nexthop, type Route, RouteType, Scope, errno, routeFlag } from "./route.ts";
import { sourceOf } from "./output.ts";
import type { Result } from "./tables.ts";

/** Kinds in the cache beside the types 0 … 15 of routes that are sent. */
const INPUT = 16;
const NO_GATEWAY = 32;
const LOCAL_COPY = 64;

/** Few kinds are ever asked for: a list. `cachedAt` holds the kind and the generation of each of `routes`. */
interface Cache {
  routes: readonly (Route | null)[];
  cachedAt: readonly number[];
}

export class RouteMaker {
  private errors: Map<number, Route> | null = null;

  constructor(private readonly fib: Fib) {}

  /** The way out that the search found: forwarded, or sent from here by a unicast route. */
  unicast(res: Result, fromHere: boolean, dst: number): Route {
    const nh = res.nexthop!;
    if (nh.exceptions) {
      const e = findException(nh.exceptions, dst, this.fib.world.clock.now);
      if (e !== null) return this.exceptional(res, fromHere, e);
    }
    return this.common(res, fromHere);
  }

  /** rt_bind_exception: as the route, but for what was learned. */
  private exceptional(res: Result, fromHere: boolean, e: Exception): Route {
    if (e.flushes !== this.fib.flushes) this.forget(e);
    const i = fromHere ? 1 : 0;
    if (e.cachedAt[i] === this.fib.generation) return e.routes[i]!;
    // the one before, from other tables, leads nowhere now: unlike a next hop, an exception keeps no old routes alive
    const old = e.routes[i];
    if (old) this.fib.tables.store.released.add(old);
    const route = this.common(res, fromHere);
    const gateway = e.gateway !== 0 ? e.gateway : route.gateway;
    e.cachedAt[i] = this.fib.generation;
    return (e.routes[i] = { ...route, gateway, pmtu: e.pmtu, pmtuLocked: e.locked, expires: e.expires });
  }

  private forget(e: Exception): void {
    const { released } = this.fib.tables.store;
    for (const route of e.routes) if (route !== null) released.add(route);
    e.flushes = this.fib.flushes;
    e.gateway = e.pmtu = 0;
    e.locked = false;
    e.expires = Infinity;
    e.routes[0] = e.routes[1] = null;
    e.cachedAt[0] = e.cachedAt[1] = -1;
  }

  private common(res: Result, fromHere: boolean): Route {
    const nh = res.nexthop!;
    const cache = nh;
    const comesBack = fromHere && nh.dev!.kind === "loopback";
    const kind = RouteType.Unicast | (comesBack ? LOCAL_COPY : 0) | (fromHere ? 0 : INPUT);
    const flags = comesBack ? routeFlag.local : 0;
    const old = this.cached(cache, kind);
    return old ?? this.keep(cache, kind, this.make(res.alias!, nh, RouteType.Unicast, flags, nh.dev));
  }

  /** For this host, by a route of type local (or broadcast) in a table. */
  local(res: Result): Route {
    const nh = res.nexthop!;
    const cache = nh;
    const kind = RouteType.Local | INPUT;
    const old = this.cached(cache, kind);
    return old ?? this.keep(cache, kind, this.make(res.alias!, nh, RouteType.Local, routeFlag.local, this.loopback()));
  }

  /** Taken in as a broadcast or multicast: no table speaks of a next hop. */
  group(dev: Interface, type: RouteType.Broadcast | RouteType.Multicast, ours: boolean): Route {
    const cache = this.fib.inet(dev);
    const kind = type | INPUT | (ours ? LOCAL_COPY : 0);
    const flag = type === RouteType.Broadcast ? routeFlag.broadcast : routeFlag.multicast;
    const flags = flag | (ours ? routeFlag.local : 0);
    const old = this.cached(cache, kind);
    return old ?? this.keep(cache, kind, this.bare(type, this.loopback(), flags, 0, `dev ${dev.name}`));
  }

  /** Sent to a broadcast or multicast address; with `res`, by its gateway. */
  sentToGroup(dev: Interface, res: Result | null, type: RouteType, ours: boolean): Route {
    const flag = type === RouteType.Broadcast ? routeFlag.broadcast : routeFlag.multicast;
    const flags = flag | (ours ? routeFlag.local : 0);
    if (res !== null && res.nexthop !== null) {
      const cache = res.nexthop;
      const kind = type | (ours ? LOCAL_COPY : 0);
      return this.cached(cache, kind) ?? this.keep(cache, kind, this.make(res.alias!, res.nexthop, type, flags, dev));
    }
    const cache = this.fib.inet(dev);
    const kind = type | NO_GATEWAY | (ours ? LOCAL_COPY : 0);
    const old = this.cached(cache, kind);
    return old ?? this.keep(cache, kind, this.bare(type, dev, flags, this.sourceOn(dev), `dev ${dev.name}`));
  }

  /** No table knows it, but the device was given: it is taken to be on that link. */
  onLink(dev: Interface): Route {
    const cache = this.fib.inet(dev);
    const kind = RouteType.Unicast | NO_GATEWAY;
    const flags = dev.kind === "loopback" ? routeFlag.local : 0;
    const old = this.cached(cache, kind);
    return (
      old ?? this.keep(cache, kind, this.bare(RouteType.Unicast, dev, flags, this.sourceOn(dev), `dev ${dev.name}`))
    );
  }

  /** To itself by 0.0.0.0 or 127.0.0.1, which no table was asked for. */
  toSelf(): Route {
    const lo = this.loopback()!;
    const cache = this.fib.inet(lo);
    const kind = RouteType.Local | NO_GATEWAY;
    const old = this.cached(cache, kind);
    return old ?? this.keep(cache, kind, this.bare(RouteType.Local, lo, routeFlag.local, 0, "dev lo"));
  }

  /** What ip_error makes of a packet: `errno` says which answer. */
  error(code: number): Route {
    const errors = (this.errors ??= new Map());
    let route = errors.get(code);
    if (route === undefined) {
      route = this.bare(typeOfError(code), null, 0, 0, textOfError(code), code);
      errors.set(code, route);
    }
    return route;
  }

  private loopback(): Interface | null {
    return this.fib.deviceAt(1)?.dev ?? null;
  }

  private sourceOn(dev: Interface): number {
    return this.fib.selectAddress(dev, 0, Scope.Link);
  }

  /** The one of this kind, if it was made since the tables last changed. */
  private cached(cache: Cache, kind: number): Route | null {
    const { cachedAt } = cache;
    for (let i = 0; i < cachedAt.length; i += 2) {
      if (cachedAt[i] === kind) return cachedAt[i + 1] === this.fib.generation ? cache.routes[i >> 1]! : null;
    }
    return null;
  }

  private keep(cache: Cache, kind: number, route: Route): Route {
    const { cachedAt, routes } = cache;
    const { generation } = this.fib;
    let i = 0;
    while (i < cachedAt.length && cachedAt[i] !== kind) i += 2;
    // exactly as long as they are: most ways have one kind, if any
    if (i === cachedAt.length) {
      cache.cachedAt = cachedAt.concat([kind, generation]);
      cache.routes = routes.concat([route]);
    } else {
      (cachedAt as number[])[i + 1] = generation;
      (routes as Route[])[i >> 1] = route;
    }
    return route;
  }

  private make(alias: Alias, nh: Nexthop, type: RouteType, flags: number, dev: Interface | null): Route {
    const { info } = alias;
    const gateway = nh.scope === Scope.Link ? nh.gateway : 0;
    const source = type === RouteType.Local ? info.source : sourceOf(this.fib, info, nh);
    return {
      type,
      dev,
      gateway: type === RouteType.Broadcast ? 0 : gateway,
      source,
      mtu: info.mtu,
      mtuLocked: info.mtuLocked,
      advmss: info.advmss,
      pmtu: 0,
      pmtuLocked: false,
      expires: 0,
      scope: info.scope,
      flags,
      error: errno.none,
      text:
        info.nexthops.length > 1 ? `${formatNexthop(nh)} ${formatTail(alias, false)}`.trim() : formatTail(alias, true),
    };
  }

  private bare(
    type: RouteType,
    dev: Interface | null,
    flags: number,
    source: number,
    text: string,
    error: number = errno.none,
  ): Route {
    return {
      type,
      dev,
      gateway: 0,
      source,
      mtu: 0,
      mtuLocked: false,
      advmss: 0,
      pmtu: 0,
      pmtuLocked: false,
      expires: 0,
      scope: Scope.Universe,
      flags,
      error,
      text,
    };
  }
}

function typeOfError(code: number): RouteType {
  switch (code) {
    case errno.EHOSTUNREACH:
      return RouteType.Unreachable;
    case errno.EACCES:
      return RouteType.Prohibit;
    case errno.EINVAL:
      return RouteType.Blackhole;
    default:
      return RouteType.Unspec;
  }
}

function textOfError(code: number): string {
  switch (code) {
    case errno.EHOSTUNREACH:
      return "unreachable";
    case errno.EACCES:
      return "prohibit";
    case errno.EINVAL:
      return "blackhole";
    default:
      return "no route";
  }
}
