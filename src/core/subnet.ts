// src/core/subnet.ts: the arithmetic of networks: masks, hosts, splitting, summarising. Addresses are unsigned numbers
// in host order; a network is a `Prefix` whose bits behind the length are 0.

import { type Prefix, formatIpv4, formatPrefix, maskOf, parseIpv4 } from "./address.ts";

/** What somebody asked for does not fit, or is none: a message for a person. */
export class SubnetError extends Error {}

/** Addresses of a network of this length: 1 ... 2^32. */
export function sizeOf(length: number): number {
  return 2 ** (32 - length);
}

/** The network that the address is in: the AND of address and mask. */
export function networkOf(address: number, length: number): number {
  return (address & maskOf(length)) >>> 0;
}

/** The prefix with its host bits cleared. */
export function networkPrefix(p: Prefix): Prefix {
  return { address: networkOf(p.address, p.length), length: p.length };
}

/** The highest address of the network. */
export function lastOf(p: Prefix): number {
  return (p.address | ~maskOf(p.length)) >>> 0;
}

/** The directed broadcast address; null for /31, whose two addresses are hosts (RFC 3021), and /32. */
export function broadcastOf(p: Prefix): number | null {
  return p.length > 30 ? null : lastOf(p);
}

export function firstHost(p: Prefix): number {
  const network = networkOf(p.address, p.length);
  return p.length > 30 ? network : network + 1;
}

export function lastHost(p: Prefix): number {
  return p.length > 30 ? lastOf(p) : lastOf(p) - 1;
}

/** Addresses that hosts can have: all but network and broadcast; both of a /31 (RFC 3021), the one of a /32. */
export function hostCount(length: number): number {
  return length > 30 ? sizeOf(length) : sizeOf(length) - 2;
}

/** The bits that a mask leaves to hosts: Cisco's wildcard. */
export function wildcardOf(length: number): number {
  return ~maskOf(length) >>> 0;
}

export function containsAddress(p: Prefix, address: number): boolean {
  return ((address ^ p.address) & maskOf(p.length)) === 0;
}

/** Whether all of `inner` is in `outer`. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  return inner.length >= outer.length && containsAddress(outer, inner.address);
}

/** Networks overlap only when one contains the other. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return containsPrefix(a, b) || containsPrefix(b, a);
}

/**
 * A length from `24`, `/24`, a mask `255.255.255.0` or a wildcard `0.0.0.255`; null for none of them, as for a mask
 * with holes. `0.0.0.0` and `255.255.255.255` are masks: /0 and /32.
 */
export function parseMask(text: string): number | null {
  const digits = /^\/?(\d{1,2})$/.exec(text);
  if (digits !== null) return Number(digits[1]) <= 32 ? Number(digits[1]) : null;
  const v = parseIpv4(text.startsWith("/") ? text.slice(1) : text);
  if (v === null) return null;
  const length = Math.clz32(~v);
  if (maskOf(length) === v) return length;
  const zeros = Math.clz32(v);
  return wildcardOf(zeros) === v ? zeros : null;
}

/** `10.0.0.5/16`, `10.0.0.5/255.255.0.0`, `10.0.0.5 255.255.0.0`, an address (/32). Host bits stay; null for none. */
export function parseSubnet(text: string): Prefix | null {
  const m = /^\s*([\d.]+)(?:\s*\/\s*|\s+)?(\S+)?\s*$/.exec(text);
  if (m === null) return null;
  const address = parseIpv4(m[1]!);
  if (address === null) return null;
  if (m[2] === undefined) return /[/]/.test(text) ? null : { address, length: 32 };
  const length = parseMask(m[2]);
  return length === null ? null : { address, length };
}

/** How many equal parts a split into `count` makes: the next power of two, and the bits that it takes. */
export function splitBits(p: Prefix, count: number): number {
  if (!Number.isInteger(count) || count < 1) throw new SubnetError(`${count} networks: expected a number from 1 on`);
  let bits = 0;
  while (2 ** bits < count) bits++;
  if (p.length + bits > 32) {
    throw new SubnetError(
      `${formatPrefix(networkPrefix(p))} has ${sizeOf(p.length)} addresses: ${count} networks do not fit`,
    );
  }
  return bits;
}

/** The networks of length `length` in `p`, in order. */
export function* subnets(p: Prefix, length: number): Generator<Prefix, void, undefined> {
  const step = sizeOf(length);
  const end = networkOf(p.address, p.length) + sizeOf(p.length);
  for (let address = networkOf(p.address, p.length); address < end; address += step) yield { address, length };
}

/** The fewest prefixes that hold exactly the addresses `first` ... `last`, in order. */
export function rangePrefixes(first: number, last: number): Prefix[] {
  const out: Prefix[] = [];
  let at = first;
  while (at <= last) {
    // as large as its alignment and the end allow
    let length = at === 0 ? 0 : Math.max(0, 32 - trailingZeros(at));
    while (at + sizeOf(length) - 1 > last) length++;
    out.push({ address: at, length });
    at += sizeOf(length);
  }
  return out;
}

function trailingZeros(v: number): number {
  return 31 - Math.clz32(v & -v);
}

/** The length of the smallest network with room for so many hosts beside its network and broadcast addresses. */
export function lengthForHosts(hosts: number): number {
  if (!Number.isInteger(hosts) || hosts < 1) throw new SubnetError(`${hosts} hosts: expected a number from 1 on`);
  let length = 30;
  while (length >= 0 && hostCount(length) < hosts) length--;
  if (length < 0) throw new SubnetError(`${hosts} hosts: IPv4 has no network for so many`);
  return length;
}

export interface Allotment {
  /** For each number of hosts, in the order in which they were given. */
  readonly networks: readonly Prefix[];
  /** What stays free, the fewest prefixes in order. */
  readonly free: readonly Prefix[];
}

/** Networks of different size (VLSM): the largest first, so that each is aligned and nothing is lost between them. */
export function allot(p: Prefix, hosts: readonly number[]): Allotment {
  const network = networkPrefix(p);
  const end = network.address + sizeOf(p.length);
  const order = hosts
    .map((n, i) => ({ i, length: lengthForHosts(n) }))
    .toSorted((a, b) => a.length - b.length || a.i - b.i);
  const networks: Prefix[] = [];
  let at = network.address;
  for (const { i, length } of order) {
    if (at + sizeOf(length) > end) {
      const wanted = order.reduce((sum, o) => sum + sizeOf(o.length), 0);
      throw new SubnetError(
        `${hosts.join(", ")} hosts need ${wanted} addresses, ${formatPrefix(network)} has ${sizeOf(p.length)}: ` +
          `the network for ${hosts[i]} hosts (/${length}) does not fit`,
      );
    }
    networks[i] = { address: at, length };
    at += sizeOf(length);
  }
  return { networks, free: at < end ? rangePrefixes(at, end - 1) : [] };
}

export interface Range {
  readonly first: number;
  readonly last: number;
}

/** The addresses of a network. */
export function rangeOf(p: Prefix): Range {
  return { first: networkOf(p.address, p.length), last: lastOf(p) };
}

/** `10.0.0.3-10.0.0.17`, or a network; null for neither, or a range that runs backwards. */
export function parseRange(text: string): Range | null {
  const dash = text.indexOf("-");
  if (dash < 0) {
    const p = parseSubnet(text);
    return p === null ? null : rangeOf(p);
  }
  const first = parseIpv4(text.slice(0, dash));
  const last = parseIpv4(text.slice(dash + 1));
  return first === null || last === null || last < first ? null : { first, last };
}

/** The fewest prefixes that hold exactly the addresses of all ranges, in order. */
export function summarise(ranges: readonly Range[]): Prefix[] {
  const out: Prefix[] = [];
  let first = -1;
  let last = -1;
  for (const r of ranges.toSorted((a, b) => a.first - b.first)) {
    if (first >= 0 && r.first <= last + 1) last = Math.max(last, r.last);
    else {
      if (first >= 0) out.push(...rangePrefixes(first, last));
      ({ first, last } = r);
    }
  }
  if (first >= 0) out.push(...rangePrefixes(first, last));
  return out;
}

/** The smallest single network that holds all of them; it may hold others as well. */
export function supernet(ranges: readonly Range[]): Prefix | null {
  if (ranges.length === 0) return null;
  const first = Math.min(...ranges.map((r) => r.first));
  const last = Math.max(...ranges.map((r) => r.last));
  const length = Math.clz32(first ^ last);
  return { address: networkOf(first, length), length };
}

/** 32 bits with a dot between the bytes, and `|` behind the first `length`, where the mask ends (32: none). */
export function bitText(address: number, length = 32): string {
  let s = "";
  for (let i = 0; i < 32; i++) {
    if (i === length) s += "|";
    else if (i > 0 && i % 8 === 0) s += ".";
    s += (address >>> (31 - i)) & 1;
  }
  return s;
}

/** `10.0.0.1-10.0.0.254`. */
export function formatRange(r: Range): string {
  return `${formatIpv4(r.first)}-${formatIpv4(r.last)}`;
}
