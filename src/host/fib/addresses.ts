// src/host/fib/addresses.ts: the addresses of devices and how one is chosen (net/ipv4/devinet.c).

import { maskOf } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import type { Conf } from "../sysctl.ts";
import { type Route, Scope } from "./route.ts";

/** One address of a device (struct in_ifaddr). */
export interface Address {
  readonly local: number;
  readonly length: number;
  /** As it was given with `brd`, 0 for none. */
  readonly broadcast: number;
  readonly scope: Scope;
  readonly noPrefixRoute: boolean;
  readonly metric: number;
  readonly label: string;
  /** Not the first of its subnet: goes when the first goes. */
  secondary: boolean;
}

export interface AddressOptions {
  readonly broadcast?: number;
  readonly scope?: Scope;
  readonly noPrefixRoute?: boolean;
  readonly metric?: number;
  readonly label?: string;
}

/** 224.0.0.1: every host on this link listens to it (RFC 1112 §4). */
export const ALL_HOSTS = 0xe0000001;

const none: never[] = [];

/** A device as IPv4 sees it (struct in_device). */
export class InetDevice {
  /** In the order in which they are tried: primaries by scope, then secondaries. */
  addresses: Address[] = none;
  /** How often it joined `ALL_HOSTS`, and the other multicast groups that it listens to. */
  allHosts = 0;
  private groups: Map<number, number> | null = null;
  /** Routes that no table made (broadcast, on-link by assumption), as the route maker keeps them. */
  routes: readonly (Route | null)[] = none;
  cachedAt: readonly number[] = none;

  constructor(
    readonly dev: Interface,
    readonly conf: Conf,
  ) {}

  listens(group: number): boolean {
    return group === ALL_HOSTS ? this.allHosts > 0 : this.groups !== null && this.groups.has(group);
  }

  /** ip_mc_join_group; counted. */
  join(group: number): void {
    if (group === ALL_HOSTS) this.allHosts++;
    else (this.groups ??= new Map()).set(group, (this.groups.get(group) ?? 0) + 1);
  }

  /** Nobody leaves `ALL_HOSTS`. */
  leave(group: number): void {
    if (group === ALL_HOSTS) this.allHosts = Math.max(this.allHosts - 1, 1);
    else if (this.groups !== null) {
      const n = (this.groups.get(group) ?? 1) - 1;
      if (n > 0) this.groups.set(group, n);
      else this.groups.delete(group);
    }
  }
}

/** inet_ifa_match */
export function inSubnet(a: number, ifa: Address): boolean {
  return ((a ^ ifa.local) & maskOf(ifa.length)) === 0;
}

export function subnetOf(ifa: Address): number {
  return (ifa.local & maskOf(ifa.length)) >>> 0;
}

/** inet_addr_onlink: `a` (and `b`, unless 0) are in one subnet of the device. */
export function areOnlink(device: InetDevice, a: number, b: number): boolean {
  const { addresses } = device;
  for (let i = 0; i < addresses.length; i++) {
    const ifa = addresses[i]!;
    if (inSubnet(a, ifa) && (b === 0 || inSubnet(b, ifa))) return true;
  }
  return false;
}

/** Loopback addresses are chosen for other devices only with route_localnet. */
function localnetScope(device: InetDevice, all: Conf): Scope {
  return (device.conf.route_localnet | all.route_localnet) !== 0 ? Scope.Link : Scope.Host;
}

/** inet_select_addr: the device's address for talking to `dst` (0: anybody) within `scope`; 0 for none. */
export function selectAddress(
  devices: readonly (InetDevice | undefined)[],
  device: InetDevice | null,
  all: Conf,
  dst: number,
  scope: Scope,
): number {
  if (device !== null) {
    const nearest = localnetScope(device, all);
    let first = 0;
    for (const ifa of device.addresses) {
      if (ifa.secondary || Math.min(ifa.scope, nearest) > scope) continue;
      if (dst === 0 || inSubnet(dst, ifa)) return ifa.local;
      if (first === 0) first = ifa.local;
    }
    if (first !== 0) return first;
  }
  for (const d of devices) {
    if (d === undefined) continue;
    for (const ifa of d.addresses) {
      if (!ifa.secondary && ifa.scope !== Scope.Link && ifa.scope <= scope) return ifa.local;
    }
  }
  return 0;
}

/** inet_confirm_addr for one device: `local` (0: any) may be used towards `dst` (0: anybody) within `scope`; 0 if not. */
export function confirmOn(device: InetDevice, all: Conf, dst: number, local: number, scope: Scope): number {
  const nearest = localnetScope(device, all);
  let addr = 0;
  let same = false;
  for (const ifa of device.addresses) {
    const min = Math.min(ifa.scope, nearest);
    if (addr === 0 && (local === 0 || local === ifa.local) && min <= scope) {
      addr = ifa.local;
      if (same) break;
    }
    if (same) continue;
    same = (local === 0 || inSubnet(local, ifa)) && (dst === 0 || inSubnet(dst, ifa));
    if (!same || addr === 0) continue;
    if (local !== 0 || dst === 0 || inSubnet(addr, ifa)) break;
    if (min <= scope) {
      addr = ifa.local;
      break;
    }
    same = false;
  }
  return same ? addr : 0;
}

/**
 * __inet_insert_ifa: where a new address goes, and whether it is secondary. Answers null when it is there already,
 * "scope" when its subnet has another scope.
 */
export function place(device: InetDevice, ifa: Address): null | "scope" | "done" {
  let at = 0;
  const list = device.addresses;
  for (let i = 0; i < list.length; i++) {
    const other = list[i]!;
    if (!other.secondary && ifa.scope <= other.scope) at = i + 1;
    if (other.length !== ifa.length || !inSubnet(other.local, ifa)) continue;
    if (other.local === ifa.local) return null;
    if (other.scope !== ifa.scope) return "scope";
    ifa.secondary = true;
  }
  device.addresses = list.toSpliced(ifa.secondary ? list.length : at, 0, ifa);
  return "done";
}
