// src/host/fib/device.ts: what addresses and links do to the tables (net/ipv4/fib_frontend.c, fib_semantics.c).

import { maskOf } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import {
  ALL_HOSTS,
  type Address,
  type AddressOptions,
  type InetDevice,
  inSubnet,
  place,
  subnetOf,
} from "./addresses.ts";
import { deleteRoute, rebalance, tryInsert } from "./create.ts";
import type { Fib } from "./fib.ts";
import { PROTO_KERNEL, TABLE_LOCAL, TABLE_MAIN } from "./names.ts";
import { type Alias, FibError, type Info, type RouteSpec, RouteType, Scope, errno } from "./route.ts";

const noMetrics: RouteSpec["metrics"] = [];

/** fib_magic: a route that follows from an address. Nothing when it is there (or gone) already. */
function magic(
  fib: Fib,
  add: boolean,
  type: RouteType,
  prefix: number,
  length: number,
  ifa: Address,
  dev: Interface,
  metric: number,
): void {
  const spec: RouteSpec = {
    type,
    prefix,
    length,
    tos: 0,
    table: type === RouteType.Unicast ? TABLE_MAIN : TABLE_LOCAL,
    scope: type === RouteType.Local ? Scope.Host : Scope.Link,
    protocol: PROTO_KERNEL,
    source: ifa.local,
    metric,
    metrics: noMetrics,
    nexthops: [{ gateway: 0, dev: dev.name, weight: 1, onlink: false }],
  };
  try {
    if (add) tryInsert(fib, spec, "append");
    else deleteRoute(fib, spec);
  } catch (e) {
    if (!(e instanceof FibError)) throw e;
  }
}

function broadcastOf(ifa: Address): number {
  return (subnetOf(ifa) | ~maskOf(ifa.length)) >>> 0;
}

/** Addresses of 0.0.0.0/8 have no subnet. */
function isZeronet(a: number): boolean {
  return a === 0;
}

/** The first address of the subnet: the one that its secondaries' routes name. */
function primaryOf(device: InetDevice, ifa: Address): Address | null {
  if (!ifa.secondary) return ifa;
  return device.addresses.find((p) => !p.secondary && p.length === ifa.length && inSubnet(p.local, ifa)) ?? null;
}

/** fib_add_ifaddr */
function addRoutes(fib: Fib, device: InetDevice, ifa: Address): void {
  const { dev } = device;
  const prim = primaryOf(device, ifa);
  if (prim === null) return;
  magic(fib, true, RouteType.Local, ifa.local, 32, prim, dev, 0);
  if (!dev.up) return;
  if (ifa.broadcast !== 0 && ifa.broadcast !== 0xffffffff) {
    magic(fib, true, RouteType.Broadcast, ifa.broadcast, 32, prim, dev, 0);
  }
  const subnet = subnetOf(ifa);
  if (isZeronet(subnet) || ifa.secondary || (subnet === ifa.local && ifa.length === 32)) return;
  if (!ifa.noPrefixRoute) {
    const type = dev.kind === "loopback" ? RouteType.Local : RouteType.Unicast;
    magic(fib, true, type, subnet, ifa.length, prim, dev, ifa.metric);
  }
  if (ifa.length < 31) magic(fib, true, RouteType.Broadcast, broadcastOf(ifa), 32, prim, dev, 0);
}

/** fib_del_ifaddr: what no remaining address needs. `ifa` is off the list already. */
function removeRoutes(fib: Fib, device: InetDevice, ifa: Address, prim: Address): void {
  const { dev } = device;
  const subnet = subnetOf(ifa);
  const primary = !ifa.secondary;
  if (primary && !isZeronet(subnet) && (subnet !== ifa.local || ifa.length < 32) && !ifa.noPrefixRoute) {
    const type = dev.kind === "loopback" ? RouteType.Local : RouteType.Unicast;
    magic(fib, false, type, subnet, ifa.length, prim, dev, 0);
  }
  // only addresses whose routes name the same source keep these routes alive
  const rest = device.addresses.filter((o) => primaryOf(device, o)?.local === prim.local);
  const used = (b: number) =>
    rest.some(
      (o) => o.broadcast === b || (!o.secondary && o.length < 31 && !isZeronet(subnetOf(o)) && broadcastOf(o) === b),
    );
  if (ifa.broadcast !== 0 && !used(ifa.broadcast)) {
    magic(fib, false, RouteType.Broadcast, ifa.broadcast, 32, prim, dev, 0);
  }
  if (primary && ifa.length < 31 && !used(broadcastOf(ifa))) {
    magic(fib, false, RouteType.Broadcast, broadcastOf(ifa), 32, prim, dev, 0);
  }
  if (rest.some((o) => o.local === ifa.local)) return;
  magic(fib, false, RouteType.Local, ifa.local, 32, prim, dev, 0);
  if (fib.addrType(ifa.local) !== RouteType.Local) {
    // fib_sync_down_addr: routes of the main table that prefer an address that is gone
    flush(fib, (info) => info.source === ifa.local && info.table === TABLE_MAIN);
  }
}

/** An address comes (inet_insert_ifa). Throws FibError EEXIST, EINVAL. */
export function addAddress(fib: Fib, device: InetDevice, local: number, length: number, o: AddressOptions): void {
  const { dev } = device;
  const ifa: Address = {
    local,
    length,
    broadcast: o.broadcast ?? 0,
    scope: o.scope ?? (local >>> 24 === 127 ? Scope.Host : Scope.Universe),
    noPrefixRoute: o.noPrefixRoute ?? false,
    metric: o.metric ?? 0,
    label: o.label ?? dev.name,
    secondary: false,
  };
  const done = place(device, ifa);
  if (done === null) throw new FibError(errno.EEXIST, "Error: ipv4: Address already assigned.");
  if (done === "scope") throw new FibError(errno.EINVAL, "Error: ipv4: Invalid scope value.");
  fib.countAddress(local, dev);
  fib.addressGeneration++;
  addRoutes(fib, device, ifa);
  syncUp(fib, dev);
  fib.changed();
}

/** An address goes (__inet_del_ifa), and with a primary its secondaries, unless one of them takes its place. */
export function removeAddress(fib: Fib, device: InetDevice, local: number, length: number): void {
  const list = device.addresses;
  const i = list.findIndex((a) => a.local === local && a.length === length);
  if (i < 0) throw new FibError(errno.EADDRNOTAVAIL, "Error: ipv4: Address not found.");
  const ifa = list[i]!;
  const promote = (device.conf.promote_secondaries | fib.all.promote_secondaries) !== 0;
  let heir: Address | null = null;
  const siblings = ifa.secondary
    ? []
    : list.filter((a) => a.secondary && a.length === length && inSubnet(a.local, ifa));
  if (!ifa.secondary && !promote) for (const s of siblings) take(fib, device, s, ifa);
  else heir = siblings[0] ?? null;
  if (heir !== null) {
    // all secondaries' routes named the old primary: they are made anew behind the new one
    for (const s of siblings) dropAlias(fib, s, ifa, device.dev);
  }
  const prim = primaryOf(device, ifa) ?? ifa;
  take(fib, device, ifa, prim);
  if (heir !== null) {
    heir.secondary = false;
    list.splice(list.indexOf(heir), 1);
    const last = list.findLastIndex((a) => !a.secondary && heir.scope <= a.scope);
    list.splice(last + 1, 0, heir);
    for (const s of siblings) addRoutes(fib, device, s);
  }
  if (list.length === 0) {
    disable(fib, device.dev, true);
    fib.owner?.addressesGone(device.dev);
  }
  fib.changed();
}

function take(fib: Fib, device: InetDevice, ifa: Address, prim: Address): void {
  device.addresses.splice(device.addresses.indexOf(ifa), 1);
  fib.discountAddress(ifa.local, device.dev);
  fib.addressGeneration++;
  removeRoutes(fib, device, ifa, prim);
  fib.owner?.addressRemoved(device.dev, ifa.local);
}

function dropAlias(fib: Fib, ifa: Address, prim: Address, dev: Interface): void {
  magic(fib, false, RouteType.Local, ifa.local, 32, prim, dev, 0);
}

/** NETDEV_UP: the addresses' routes come back, and the ways of multipath routes that died (fib_sync_up). */
export function linkUp(fib: Fib, device: InetDevice): void {
  const { dev } = device;
  if (dev.kind === "loopback" && device.addresses.length === 0) {
    addAddress(fib, device, 0x7f000001, 8, { scope: Scope.Host });
  }
  if (!device.listens(ALL_HOSTS)) device.allHosts = 1;
  fib.addressGeneration++;
  for (const ifa of device.addresses) addRoutes(fib, device, ifa);
  syncUp(fib, dev);
  fib.changed();
}

function syncUp(fib: Fib, dev: Interface): void {
  if (!dev.up) return;
  for (const info of fib.tables.store.infos.values()) {
    let revived = false;
    for (const nh of info.nexthops) {
      if (!nh.dead || nh.dev !== dev) continue;
      nh.dead = false;
      revived = true;
    }
    if (revived) rebalance(info);
  }
}

/** NETDEV_DOWN: routes by the device go; those of its own addresses stay. */
export function linkDown(fib: Fib, device: InetDevice): void {
  device.allHosts = 0;
  fib.addressGeneration++;
  disable(fib, device.dev, false);
  fib.changed();
}

/** fib_disable_ip with fib_sync_down_dev: `all` takes local routes as well. */
export function disable(fib: Fib, dev: Interface, all: boolean): void {
  let some = false;
  for (const info of fib.tables.store.infos.values()) {
    let changed = false;
    for (const nh of info.nexthops) {
      if (nh.dead || nh.dev !== dev || (!all && nh.scope === Scope.Nowhere)) continue;
      nh.dead = changed = true;
    }
    if (!changed) continue;
    some = true;
    rebalance(info);
    if (info.nexthops.every((nh) => nh.dead)) info.dead = true;
  }
  if (some) flush(fib, (info) => info.dead);
  else fib.changed();
}

/** fib_flush: takes routes out of every table. */
export function flush(fib: Fib, which: (info: Info) => boolean): void {
  const goes = (a: Alias) => which(a.info);
  for (const trie of fib.tables.tries()) {
    const hit = new Set<number>();
    for (const leaf of trie.distinct()) if (leaf.aliases.some(goes)) hit.add(leaf.id);
    if (hit.size === 0) continue;
    const gone: [number, number, readonly Alias[]][] = [];
    trie.forEach((prefix, length, leaf) => {
      if (hit.has(leaf.id)) gone.push([prefix, length, leaf.aliases]);
    });
    for (const [prefix, length, aliases] of gone)
      trie.set(
        prefix,
        length,
        aliases.filter((a) => !goes(a)),
      );
  }
  fib.changed();
}
