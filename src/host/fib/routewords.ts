// src/host/fib/routewords.ts: routes as `ip route` reads them (iproute2's ip/iproute.c).

import { parseIpv4 } from "../../core/address.ts";
import {
  PROTO_BOOT,
  TABLE_LOCAL,
  TABLE_MAIN,
  parseDsfield,
  parseNumber,
  protocolNames,
  scopeNames,
  tableNames,
  typeNames,
} from "./names.ts";
import { type Metric, type NexthopSpec, type RouteSpec, RouteType, Scope } from "./route.ts";
import { Words, parseIpPrefix } from "./words.ts";

/** Metrics in the order of RTAX_*, in which they are printed. */
const metricNames = [
  "mtu",
  "window",
  "ssthresh",
  "cwnd",
  "advmss",
  "reordering",
  "hoplimit",
  "initcwnd",
  "initrwnd",
  "quickack",
] as const;

/** Words of `ip route` for what is not here. */
const refused = new Set([
  "nhid",
  "encap",
  "realms",
  "realm",
  "rtt",
  "rttvar",
  "rto_min",
  "features",
  "congctl",
  "fastopen_no_cookie",
  "ttl-propagate",
  "expires",
  "pref",
]);

/** State that `ip route show` prints and that nobody sets. */
const shown = new Set(["dead", "linkdown", "offload", "trap", "rt_offload", "rt_trap", "notify", "pervasive"]);

/** What a route's words say. */
interface Draft {
  type: RouteType | null;
  tos: number;
  table: number | null;
  scope: Scope | null;
  protocol: number | null;
  source: number;
  metric: number;
  metrics: Map<string, Metric>;
  gateway: number;
  dev: string | null;
  onlink: boolean;
  ways: NexthopSpec[];
}

/** A device's name as Linux takes it. */
export function deviceName(words: Words): string {
  return words.read("a device name", (t) => (t.length <= 15 && !t.includes("/") ? t : null));
}

/**
 * The words behind `ip route add` (or `del`, where what is not said matches everything), or a line of
 * `ip route show`. Throws TextError.
 */
export function parseRoute(text: string | Words, deleting = false): RouteSpec {
  const words = typeof text === "string" ? new Words(text) : text;
  const d: Draft = {
    type: null,
    tos: 0,
    table: null,
    scope: null,
    protocol: null,
    source: 0,
    metric: 0,
    metrics: new Map(),
    gateway: 0,
    dev: null,
    onlink: false,
    ways: [],
  };
  d.type = typeNames.parse(words.peek());
  if (d.type !== null) words.next("a type");
  words.accept("to");
  const prefix = words.read("a destination: default, an address or a prefix", parseIpPrefix);
  while (!words.done) option(words, d);
  if (d.ways.length > 0 && (d.gateway !== 0 || d.dev !== null)) {
    throw words.fail("'nexthop' stands beside 'via' and 'dev' of its own only");
  }
  const nexthops =
    d.ways.length > 0 || (d.gateway === 0 && d.dev === null && !d.onlink)
      ? d.ways
      : [{ gateway: d.gateway, dev: d.dev, weight: 1, onlink: d.onlink }];
  const type = d.type ?? (deleting ? RouteType.Unspec : RouteType.Unicast);
  return {
    type,
    prefix: prefix.address,
    length: prefix.length,
    tos: d.tos,
    table: d.table ?? tableOf(type),
    scope: d.scope ?? scopeOf(type, deleting, d.gateway !== 0 || d.ways.length > 0),
    protocol: d.protocol ?? (deleting ? 0 : PROTO_BOOT),
    source: d.source,
    metric: d.metric,
    metrics: metricNames.flatMap((n) => d.metrics.get(n) ?? []),
    nexthops,
  };
}

/** Where a type of route goes when no table is named. */
function tableOf(type: RouteType): number {
  return type === RouteType.Local || type === RouteType.Broadcast || type === RouteType.Anycast
    ? TABLE_LOCAL
    : TABLE_MAIN;
}

function scopeOf(type: RouteType, deleting: boolean, hasGateway: boolean): Scope {
  switch (type) {
    case RouteType.Local:
      return Scope.Host;
    case RouteType.Broadcast:
    case RouteType.Multicast:
    case RouteType.Anycast:
      return Scope.Link;
    case RouteType.Unspec:
    case RouteType.Unicast:
      if (deleting) return Scope.Nowhere;
      return hasGateway ? Scope.Universe : Scope.Link;
    default:
      return Scope.Universe;
  }
}

function option(words: Words, d: Draft): void {
  const word = words.next("an option");
  switch (word) {
    case "via":
      if (words.accept("inet6")) throw words.fail("'inet6': only IPv4 gateways");
      words.accept("inet");
      d.gateway = words.address();
      return;
    case "dev":
    case "oif":
      d.dev = deviceName(words);
      return;
    case "src":
      d.source = words.address();
      return;
    case "metric":
    case "priority":
    case "preference":
      d.metric = words.number("a metric", 0, 0xffffffff);
      return;
    case "table":
      d.table = words.read("a table", (t) => tableNames.parse(t)) || TABLE_MAIN;
      return;
    case "tos":
    case "dsfield":
      d.tos = words.read("a dsfield", parseDsfield);
      return;
    case "scope":
      d.scope = words.read("a scope", (t) => scopeNames.parse(t)) as Scope;
      return;
    case "proto":
    case "protocol":
      d.protocol = words.read("a routing protocol", (t) => protocolNames.parse(t));
      return;
    case "onlink":
      d.onlink = true;
      return;
    case "nexthop":
      d.ways.push(way(words));
      return;
    case "type":
      d.type = words.read("a type", (t) => typeNames.parse(t)) as RouteType;
      return;
  }
  if (shown.has(word)) return;
  if ((metricNames as readonly string[]).includes(word)) {
    const lock = words.accept("lock");
    d.metrics.set(word, { name: word, lock, value: words.number(`${word} as a number`, 0, 0xffffffff) });
    return;
  }
  if (refused.has(word)) throw words.fail(`'${word}' is not supported here`);
  throw words.fail(`'${word}': expected via, dev, src, metric, table, tos, scope, proto, mtu, onlink or nexthop`);
}

/** What follows `nexthop`. */
function way(words: Words): NexthopSpec {
  let gateway = 0;
  let dev: string | null = null;
  let weight = 1;
  let onlink = false;
  for (;;) {
    if (words.accept("via")) {
      words.accept("inet");
      gateway = words.read("an IPv4 address", parseIpv4);
    } else if (words.accept("dev")) dev = deviceName(words);
    else if (words.accept("weight")) weight = words.number("a weight", 1, 256);
    else if (words.accept("onlink")) onlink = true;
    else if (!words.accept(...shown)) break;
  }
  if (gateway === 0 && dev === null) throw words.fail("'nexthop' needs 'via ADDRESS' or 'dev DEVICE'");
  return { gateway, dev, weight, onlink };
}

/** A table by name or number; null for neither. */
export function parseTable(text: string): number | null {
  return tableNames.parse(text) ?? parseNumber(text, 0xffffffff);
}
