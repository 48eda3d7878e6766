// src/host/fib/create.ts: routes come and go: fib_create_info, fib_table_insert, fib_table_delete.

import { maskOf } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import type { Fib } from "./fib.ts";
import { Flow } from "./flow.ts";
import { TABLE_LOCAL, TABLE_MAIN } from "./names.ts";
import {
  type Alias,
  FibError,
  type Info,
  type Leaf,
  type Nexthop,
  type NexthopSpec,
  type RouteSpec,
  RouteType,
  Scope,
  errno,
  errorOf,
} from "./route.ts";
import { type Table, Result } from "./tables.ts";

/** `ip route add`, `append`, `prepend`, `replace`, `change`. */
export type InsertMode = "add" | "append" | "prepend" | "replace" | "change";

const invalid = (what: string) => new FibError(errno.EINVAL, `Error: ${what}.`);
const flow = new Flow();
const found = new Result();

/** The least scope that a type may have (fib_props). */
function leastScope(type: RouteType): Scope {
  if (type === RouteType.Local) return Scope.Host;
  return type === RouteType.Broadcast || type === RouteType.Anycast ? Scope.Link : Scope.Universe;
}

interface Way {
  readonly dev: Interface;
  readonly scope: Scope;
}

function deviceOf(fib: Fib, name: string): Interface {
  const dev = fib.device(name)?.dev;
  if (dev === undefined) throw new FibError(errno.ENODEV, `Cannot find device "${name}"`);
  return dev;
}

/** fib_check_nh_v4_gw, fib_check_nh_nongw: which device leads there, and how far it is. */
function checkNexthop(fib: Fib, spec: RouteSpec, nh: NexthopSpec): Way {
  const named = nh.dev === null ? null : deviceOf(fib, nh.dev);
  if (nh.gateway === 0) {
    if (nh.onlink) throw invalid("Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
    if (named === null) throw new FibError(errno.ENODEV, "RTNETLINK answers: No such device");
    if (!named.up) throw new FibError(errno.ENETDOWN, "Error: Device for nexthop is not up.");
    return { dev: named, scope: Scope.Host };
  }
  if (nh.onlink) {
    if (spec.scope >= Scope.Link) throw invalid("Nexthop has invalid scope");
    if (named === null) throw new FibError(errno.ENODEV, "Error: Nexthop device required for onlink.");
    if (!named.up) throw new FibError(errno.ENETDOWN, "Error: Nexthop device is not up.");
    if (fib.addrType(nh.gateway) !== RouteType.Unicast) throw invalid("Nexthop has invalid gateway");
    return { dev: named, scope: Scope.Link };
  }
  flow.clear();
  flow.dst = nh.gateway;
  flow.oif = named === null ? 0 : named.ifindex;
  flow.scope = Math.max(spec.scope + 1, Scope.Link);
  const table = spec.table === TABLE_MAIN ? null : fib.tables.get(spec.table);
  let err: number = errno.EAGAIN;
  found.clear();
  if (table !== null) err = fib.tables.lookupIn(table, flow, found);
  if (err !== 0) err = fib.tables.lookup(flow, found);
  if (err !== 0) throw new FibError(err, "Error: Nexthop has invalid gateway.");
  if (found.type !== RouteType.Unicast && found.type !== RouteType.Local) throw invalid("Nexthop has invalid gateway");
  const dev = found.nexthop!.dev!;
  if (!dev.up) throw new FibError(errno.ENETDOWN, "RTNETLINK answers: Network is down");
  return { dev, scope: found.scope };
}

/** fib_create_info: checks everything and answers what is stored, shared with equal routes. */
function createInfo(fib: Fib, spec: RouteSpec): Info {
  if (leastScope(spec.type) > spec.scope) throw invalid("Invalid scope");
  const ways: { way: Way | null; nh: NexthopSpec }[] = [];
  if (errorOf(spec.type) !== 0) {
    if (spec.nexthops.length > 0) {
      throw invalid("Gateway, device and multipath can not be specified for this route type");
    }
  } else if (spec.scope > Scope.Host) throw invalid("Invalid scope");
  else if (spec.nexthops.length === 0) throw new FibError(errno.ENODEV, "RTNETLINK answers: No such device");
  else if (spec.scope === Scope.Host) {
    const nh = spec.nexthops[0]!;
    if (spec.nexthops.length > 1) throw invalid("Route with host scope can not have multiple nexthops");
    if (nh.gateway !== 0) throw invalid("Route with host scope can not have a gateway");
    if (nh.dev === null) throw new FibError(errno.ENODEV, "RTNETLINK answers: No such device");
    ways.push({ way: { dev: deviceOf(fib, nh.dev), scope: Scope.Nowhere }, nh });
  } else for (const nh of spec.nexthops) ways.push({ way: checkNexthop(fib, spec, nh), nh });
  // fib_create_info asks for a local source behind its checks of next hops, which errors have none of
  if (spec.source !== 0 && errorOf(spec.type) === 0 && !isValidSource(fib, spec))
    throw invalid("Invalid prefsrc address");
  return internInfo(fib, spec, ways);
}

/** Equal descriptions are one (fib_find_info). */
function internInfo(fib: Fib, spec: RouteSpec, ways: readonly { way: Way | null; nh: NexthopSpec }[]): Info {
  let key = `${spec.table} ${spec.type} ${spec.scope} ${spec.protocol} ${spec.source} ${spec.metric}`;
  for (const m of spec.metrics) key += ` ${m.name} ${m.value} ${m.lock}`;
  for (const { way, nh } of ways) key += ` | ${nh.gateway} ${way!.dev.ifindex} ${nh.weight} ${nh.onlink} ${way!.scope}`;
  return fib.tables.store.info(key, (id) => {
    const mtu = spec.metrics.find((m) => m.name === "mtu");
    const info: Info = {
      id,
      key,
      table: spec.table,
      type: spec.type,
      scope: spec.scope,
      protocol: spec.protocol,
      source: spec.source,
      metric: spec.metric,
      metrics: spec.metrics,
      mtu: mtu?.value ?? 0,
      mtuLocked: mtu?.lock ?? false,
      advmss: spec.metrics.find((m) => m.name === "advmss")?.value ?? 0,
      nexthops: ways.map(({ way, nh }): Nexthop => ({
        dev: way!.dev,
        gateway: nh.gateway,
        weight: nh.weight,
        onlink: nh.onlink,
        scope: way!.scope,
        dead: false,
        upperBound: -1,
        source: fib.selectAddress(way!.dev, nh.gateway, spec.scope),
        sourceAt: fib.addressGeneration,
        routes: noRoutes,
        cachedAt: noRoutes,
        exceptions: null,
      })),
      dead: false,
      uses: 0,
    };
    rebalance(info);
    return info;
  });
}

/** fib_rebalance: every live way gets its share of the hashes 0 … 2^31-1. */
export function rebalance(info: Info): void {
  const total = info.nexthops.reduce((sum, nh) => sum + (nh.dead ? 0 : nh.weight), 0);
  let w = 0;
  for (const nh of info.nexthops) {
    if (nh.dead) nh.upperBound = -1;
    else {
      w += nh.weight;
      nh.upperBound = Math.floor((w * 2 ** 31 + Math.floor(total / 2)) / total) - 1;
    }
  }
}

/** fib_valid_prefsrc */
function isValidSource(fib: Fib, spec: RouteSpec): boolean {
  if (spec.type === RouteType.Local && spec.prefix !== 0 && spec.source === spec.prefix) return true;
  const table = spec.table === TABLE_MAIN ? TABLE_LOCAL : spec.table;
  return (
    fib.addrTypeIn(table, spec.source, null) === RouteType.Local ||
    (table !== TABLE_LOCAL && fib.addrTypeIn(TABLE_LOCAL, spec.source, null) === RouteType.Local)
  );
}

/** Place of the first alias that does not sort before (table, tos, metric): fib_find_alias. */
function placeOf(aliases: readonly Alias[], table: number, tos: number, metric: number): number {
  let i = 0;
  while (i < aliases.length) {
    const a = aliases[i]!;
    if (a.table < table) break;
    if (a.table === table && a.tos < tos) break;
    if (a.table === table && a.tos === tos && a.info.metric >= metric) break;
    i++;
  }
  return i;
}

function checkPrefix(spec: RouteSpec): void {
  if ((spec.prefix & maskOf(spec.length)) >>> 0 !== spec.prefix) {
    throw invalid("Invalid prefix for given prefix length");
  }
  if ((spec.tos & 3) !== 0) throw invalid("Invalid dsfield (tos): ECN bits must be 0");
}

const noAliases: readonly Alias[] = [];
const noRoutes: readonly never[] = [];

function listOf(leaf: Leaf | null): readonly Alias[] {
  return leaf === null ? noAliases : leaf.aliases;
}

/** fib_table_insert. Throws FibError as Linux refuses. */
export function insertRoute(fib: Fib, spec: RouteSpec, mode: InsertMode): void {
  const refused = tryInsert(fib, spec, mode);
  if (refused === errno.EEXIST) throw new FibError(refused, "RTNETLINK answers: File exists");
  if (refused === errno.ENOENT) throw new FibError(refused, "RTNETLINK answers: No such file or directory");
}

/** The same; that the route is there already (EEXIST), or is not (ENOENT), is answered, not thrown. */
export function tryInsert(fib: Fib, spec: RouteSpec, mode: InsertMode): number {
  checkPrefix(spec);
  if (spec.metrics.length > 0 && errorOf(spec.type) === 0) {
    for (const m of spec.metrics) if (m.name === "hoplimit" && m.value > 255) throw invalid("Invalid metric value");
  }
  const table = fib.tables.make(spec.table); // even if the route is refused
  const info = createInfo(fib, spec);
  const { store } = fib.tables;
  const alias = store.alias(info, spec.tos);
  let refused: number = errno.none;
  try {
    refused = place(table, spec, alias, mode);
  } finally {
    store.discard(alias);
  }
  if (refused === errno.none) fib.changed();
  return refused;
}

function place(table: Table, spec: RouteSpec, alias: Alias, mode: InsertMode): number {
  const list = listOf(table.trie.get(spec.prefix, spec.length));
  const first = placeOf(list, spec.table, spec.tos, spec.metric);
  let end = first;
  while (end < list.length && sameKeys(list[end]!, alias)) end++;
  const twin = list.indexOf(alias);
  if (end > first) {
    if (mode === "add") return errno.EEXIST;
    const replaces = mode === "replace" || mode === "change";
    if (replaces && twin === first) return errno.none;
    if (twin >= 0) return errno.EEXIST;
    if (replaces) {
      table.trie.set(spec.prefix, spec.length, list.with(first, alias));
      return errno.none;
    }
  } else if (mode === "change") return errno.ENOENT;
  table.trie.set(spec.prefix, spec.length, list.toSpliced(mode === "append" ? end : first, 0, alias));
  return errno.none;
}

function sameKeys(a: Alias, b: Alias): boolean {
  return a.table === b.table && a.tos === b.tos && a.info.metric === b.info.metric;
}

/** Whether the table has that route already, whoever made it: listing what exists changes nothing. */
export function hasRoute(fib: Fib, spec: RouteSpec): boolean {
  const table = fib.tables.get(spec.table);
  if (table === null) return false;
  return listOf(table.trie.get(spec.prefix, spec.length)).some(
    (a) =>
      a.table === spec.table &&
      a.tos === spec.tos &&
      a.type === spec.type &&
      a.info.metric === spec.metric &&
      a.info.scope === spec.scope &&
      a.info.source === spec.source &&
      sameMetrics(a.info, spec) &&
      a.info.nexthops.length === spec.nexthops.length &&
      spec.nexthops.every((nh, i) => nexthopFits(nh, a.info.nexthops[i]!) && a.info.nexthops[i]!.weight === nh.weight),
  );
}

function sameMetrics(info: Info, spec: RouteSpec): boolean {
  return (
    info.metrics.length === spec.metrics.length &&
    spec.metrics.every((m, i) => m.name === info.metrics[i]!.name && m.value === info.metrics[i]!.value)
  );
}

function nexthopFits(want: NexthopSpec, have: Nexthop): boolean {
  return (want.dev === null || want.dev === have.dev!.name) && (want.gateway === 0 || want.gateway === have.gateway);
}

/** fib_nh_match */
function waysFit(spec: RouteSpec, info: Info): boolean {
  if (spec.metric !== 0 && spec.metric !== info.metric) return false;
  if (spec.nexthops.length === 0) return true;
  if (spec.nexthops.length === 1) {
    return info.nexthops.length > 0 && nexthopFits(spec.nexthops[0]!, info.nexthops[0]!);
  }
  return (
    spec.nexthops.length === info.nexthops.length &&
    spec.nexthops.every((nh, i) => nexthopFits(nh, info.nexthops[i]!) && nh.weight === info.nexthops[i]!.weight)
  );
}

/** fib_table_delete: removes the first route that has everything that was said. Throws FibError ESRCH. */
export function deleteRoute(fib: Fib, spec: RouteSpec): void {
  checkPrefix(spec);
  for (const nh of spec.nexthops) if (nh.dev !== null) deviceOf(fib, nh.dev);
  const table = fib.tables.get(spec.table);
  if (table === null) throw new FibError(errno.ESRCH, "Error: FIB table does not exist.");
  const list = listOf(table.trie.get(spec.prefix, spec.length));
  const i = list.findIndex(
    (a) =>
      a.table === spec.table &&
      a.tos === spec.tos &&
      (spec.type === RouteType.Unspec || spec.type === a.type) &&
      (spec.scope === Scope.Nowhere || spec.scope === a.info.scope) &&
      (spec.source === 0 || spec.source === a.info.source) &&
      (spec.protocol === 0 || spec.protocol === a.info.protocol) &&
      (spec.metrics.length === 0 || sameMetrics(a.info, spec)) &&
      waysFit(spec, a.info),
  );
  if (i < 0) throw new FibError(errno.ESRCH, "RTNETLINK answers: No such process");
  table.trie.set(spec.prefix, spec.length, list.toSpliced(i, 1));
  fib.changed();
}
