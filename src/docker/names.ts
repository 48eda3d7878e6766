// src/docker/names.ts: the embedded DNS server's knowledge: which names a container may ask for, and what they are.

import type { Container } from "./container.ts";
import type { Network } from "./network.ts";

/** Addresses of a name as a container sees it, in the order of its networks; null: nobody has that name. */
export function lookupName(asker: Container, name: string): number[] | null {
  const wanted = name.toLowerCase().replace(/\.$/, "");
  for (const own of asker.endpoints.values()) {
    if (!own.network.hasNames) continue;
    const found = namesIn(own.network, wanted);
    if (found.length > 0) return found;
  }
  // `name.network`: any split of the name, the longest network first
  for (let dot = wanted.indexOf("."); dot >= 0; dot = wanted.indexOf(".", dot + 1)) {
    const net = wanted.slice(dot + 1);
    for (const own of asker.endpoints.values()) {
      if (!own.network.hasNames || own.network.name.toLowerCase() !== net) continue;
      const found = namesIn(own.network, wanted.slice(0, dot));
      if (found.length > 0) return found;
    }
  }
  return null;
}

function namesIn(network: Network, wanted: string): number[] {
  const found: number[] = [];
  for (const address of network.named.get(wanted) ?? []) found.push(address);
  return found;
}

/** `container.network` of an address that one of the asker's networks has; null: it is nobody's. */
export function lookupAddress(asker: Container, address: number): string | null {
  for (const own of asker.endpoints.values()) {
    if (!own.network.hasNames) continue;
    const owner = own.network.byAddress.get(address);
    if (owner !== undefined) return `${owner.name}.${own.network.name}`;
  }
  return null;
}
