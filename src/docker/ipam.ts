// src/docker/ipam.ts: the engine's default IPAM driver: which subnet a network gets, and which address a container.

import { formatIpv4, formatPrefix, type Prefix } from "../core/address.ts";
import { containsAddress, containsPrefix, lastOf, networkPrefix, overlaps, sizeOf } from "../core/subnet.ts";
import { DockerError } from "./error.ts";

/** A range that networks without a subnet are cut from, and the length of what is cut. */
export interface AddressRange {
  readonly base: Prefix;
  readonly size: number;
}

const range = (a: number, b: number, length: number, size: number): AddressRange => ({
  base: { address: ((a << 24) | (b << 16)) >>> 0, length },
  size,
});

/** default-address-pools, where daemon.json names none. */
export const defaultRanges: readonly AddressRange[] = [
  range(172, 17, 16, 16),
  range(172, 18, 16, 16),
  range(172, 19, 16, 16),
  range(172, 20, 14, 16),
  range(172, 24, 14, 16),
  range(172, 28, 14, 16),
  range(192, 168, 16, 20),
];

/** The subnets of an engine's networks. */
export class AddressSpace {
  private readonly taken: Prefix[] = [];

  constructor(private readonly ranges: readonly AddressRange[] = defaultRanges) {}

  /** The first subnet of the ranges that overlaps neither a network's nor one of `reserved` (the host's own routes). */
  allocate(reserved: readonly Prefix[]): Prefix {
    for (const { base, size } of this.ranges) {
      const step = sizeOf(size);
      for (let address = base.address; address <= lastOf(base); address += step) {
        const p = { address, length: size };
        if (this.taken.some((t) => overlaps(t, p)) || reserved.some((r) => overlaps(r, p))) continue;
        this.taken.push(p);
        return p;
      }
    }
    throw new DockerError("all predefined address pools have been fully subnetted");
  }

  /** A subnet that was asked for. */
  take(subnet: Prefix): Prefix {
    const p = networkPrefix(subnet);
    if (this.taken.some((t) => overlaps(t, p))) {
      throw new DockerError(
        `cannot use the subnet ${formatPrefix(p)}: Pool overlaps with other one on this address space`,
      );
    }
    this.taken.push(p);
    return p;
  }

  release(subnet: Prefix): void {
    const i = this.taken.findIndex((t) => t.address === subnet.address && t.length === subnet.length);
    if (i >= 0) this.taken.splice(i, 1);
  }
}

/** The addresses of one subnet: the lowest that is free goes first. */
export class AddressPool {
  private readonly taken = new Set<number>();
  private readonly first: number;
  private readonly last: number;
  /** No address below it is free. */
  private lowest: number;

  /** `within`: addresses that nobody asks for by number come from there (`--ip-range`). */
  constructor(
    readonly subnet: Prefix,
    readonly within: Prefix | null = null,
  ) {
    if (within !== null && !containsPrefix(subnet, within)) {
      throw new DockerError(`the ip range ${formatPrefix(within)} is not part of the subnet ${formatPrefix(subnet)}`);
    }
    // RFC 3021: a /31 has neither a network's address nor a broadcast address
    if (subnet.length < 31) {
      this.taken.add(subnet.address);
      this.taken.add(lastOf(subnet));
    }
    const from = within ?? subnet;
    this.first = from.address;
    this.last = lastOf(from);
    this.lowest = this.first;
  }

  /** The lowest address that is free. */
  allocate(): number {
    let address = this.lowest;
    while (address <= this.last && this.taken.has(address)) address++;
    if (address > this.last) throw new DockerError(`no available IPv4 addresses on this network's address pools`);
    this.taken.add(address);
    this.lowest = address + 1;
    return address;
  }

  /** An address that was asked for. */
  take(address: number): number {
    if (!containsAddress(this.subnet, address)) {
      throw new DockerError(`${formatIpv4(address)} is not part of the network's subnet ${formatPrefix(this.subnet)}`);
    }
    if (this.taken.has(address)) throw new DockerError(`${formatIpv4(address)}: Address already in use`);
    this.taken.add(address);
    return address;
  }

  release(address: number): void {
    if (this.taken.delete(address) && address >= this.first) this.lowest = Math.min(this.lowest, address);
  }
}
