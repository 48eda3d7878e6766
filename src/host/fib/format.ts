// src/host/fib/format.ts: routes in the words of `ip route show table all` (iproute2 6.1), which read back the same.

import { formatIpv4 } from "../../core/address.ts";
import { PROTO_BOOT, TABLE_MAIN, formatDsfield, protocolNames, scopeNames, tableNames, typeNames } from "./names.ts";
import { type Alias, type Nexthop, RouteType, Scope } from "./route.ts";

/** `10.1.0.0/16`, `10.1.0.1`, `default` */
export function formatDestination(prefix: number, length: number): string {
  if (length === 32) return formatIpv4(prefix);
  return prefix === 0 && length === 0 ? "default" : `${formatIpv4(prefix)}/${length}`;
}

/** A whole line; ways of a multipath route follow on lines of their own, as `ip` prints them. */
export function formatRoute(prefix: number, length: number, alias: Alias): string {
  const type = alias.type === RouteType.Unicast ? "" : `${typeNames.format(alias.type)} `;
  const tos = alias.tos === 0 ? "" : `tos ${formatDsfield(alias.tos)} `;
  return `${type}${formatDestination(prefix, length)} ${tos}${formatTail(alias, true)}`.replace(" \n", "\n").trim();
}

/** `via 10.0.0.1 dev eth0` */
export function formatNexthop(nh: Nexthop): string {
  const via = nh.gateway === 0 ? "" : `via ${formatIpv4(nh.gateway)} `;
  return nh.dev === null ? via.trim() : `${via}dev ${nh.dev.name}`;
}

function flags(nh: Nexthop): string[] {
  return [nh.dead ? "dead" : "", nh.onlink ? "onlink" : "", nh.dead ? "linkdown" : ""].filter((w) => w !== "");
}

/** Everything behind the destination and the tos. */
export function formatTail(alias: Alias, ways: boolean): string {
  const { info } = alias;
  const words: string[] = [];
  const single = info.nexthops.length === 1 ? info.nexthops[0]! : null;
  if (single !== null && ways) words.push(formatNexthop(single));
  if (alias.table !== TABLE_MAIN) words.push(`table ${tableNames.format(alias.table)}`);
  if (info.protocol !== PROTO_BOOT) words.push(`proto ${protocolNames.format(info.protocol)}`);
  if (info.scope !== Scope.Universe) words.push(`scope ${scopeNames.format(info.scope)}`);
  if (info.source !== 0) words.push(`src ${formatIpv4(info.source)}`);
  if (info.metric !== 0) words.push(`metric ${info.metric}`);
  if (single !== null && ways) words.push(...flags(single));
  for (const m of info.metrics) words.push(`${m.name}${m.lock ? " lock" : ""} ${m.value}`);
  let line = words.join(" ");
  if (info.nexthops.length > 1 && ways) {
    for (const nh of info.nexthops)
      line += `\n\tnexthop ${formatNexthop(nh)} weight ${[nh.weight, ...flags(nh)].join(" ")}`;
  }
  return line;
}
