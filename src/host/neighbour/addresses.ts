// src/host/neighbour/addresses.ts: which of a device's addresses suits a question (net/ipv4/devinet.c).

import { maskOf } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import { Scope } from "../fib/route.ts";
import type { DeviceAddress, NeighbourHost } from "./host.ts";

function inSubnet(address: number, of: DeviceAddress): boolean {
  return ((address ^ of.local) & maskOf(of.length)) === 0;
}

/** inet_addr_onlink: one subnet of the device has both. */
export function onLink(addresses: readonly DeviceAddress[], a: number, b: number): boolean {
  return addresses.some((of) => inSubnet(a, of) && inSubnet(b, of));
}

/**
 * inet_confirm_addr: the address `local` (0: any) if it is one of the device's (null: of any device), near enough for
 * `scope`, and `dst` (0: any) is in a subnet with it; else 0.
 */
export function confirmAddress(ns: NeighbourHost, dev: Interface | null, dst: number, local: number, scope: Scope): number {
  if (dev !== null) return confirmOn(ns, dev, dst, local, scope);
  for (const other of ns.interfaces) {
    const found = confirmOn(ns, other, dst, local, scope);
    if (found !== 0) return found;
  }
  return 0;
}

function confirmOn(ns: NeighbourHost, dev: Interface, dst: number, local: number, scope: Scope): number {
  const localnet = (ns.confAll.route_localnet | ns.conf(dev).route_localnet) !== 0 ? Scope.Link : Scope.Host;
  let found = 0;
  let same = false;
  for (const of of ns.fib.addresses(dev)) {
    const near = Math.min(of.scope, localnet) <= scope;
    if (found === 0 && (local === 0 || local === of.local) && near) {
      found = of.local;
      if (same) break;
    }
    if (same) continue;
    same = (local === 0 || inSubnet(local, of)) && (dst === 0 || inSubnet(dst, of));
    if (!same || found === 0) continue;
    if (local !== 0 || dst === 0 || inSubnet(found, of)) break;
    if (near) {
      found = of.local;
      break;
    }
    same = false;
  }
  return same ? found : 0;
}
