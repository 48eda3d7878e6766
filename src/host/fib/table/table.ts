// src/host/fib/table/table.ts: a routing table as columns sorted by prefix and length; the core's FIB answers lookups.

import { formatIpv4, maskOf } from "../../../core/address.ts";
import type { Core } from "../../../core/core.ts";
import { Hops } from "./hops.ts";

/** Routes as columns, sorted by (prefix, length), each prefix once. */
export interface Columns {
  readonly count: number;
  readonly prefixes: Uint32Array;
  readonly lengths: Uint8Array;
  /** Numbers in the table's `Hops`, never 0. */
  readonly hops: Uint32Array;
}

/** Room for `n` routes. */
export function newColumns(n: number): Columns {
  return { count: n, prefixes: new Uint32Array(n), lengths: new Uint8Array(n), hops: new Uint32Array(n) };
}

/** The first `n` of them, in the same memory. */
export function firstColumns(c: Columns, n: number): Columns {
  return {
    count: n,
    prefixes: c.prefixes.subarray(0, n),
    lengths: c.lengths.subarray(0, n),
    hops: c.hops.subarray(0, n),
  };
}

/** Collects routes in any order, then sorts them. */
export class TableBuilder {
  readonly hops = new Hops();
  /** Routes that lost against another one for the same prefix. */
  duplicates = 0;
  count = 0;
  private prefixes = new Uint32Array(1024);
  private lengths = new Uint8Array(1024);
  private hopNumbers = new Uint32Array(1024);
  private ranks = new Float64Array(1024);
  private sorted = true;
  private last = -1;

  /** `firstWins`: of two routes for a prefix with the same rank the first counts, not the last. */
  constructor(private readonly firstWins = false) {}

  /** Bits behind the length must be 0. Of the routes for a prefix the one with the lowest rank counts. */
  add(prefix: number, length: number, hop: number, rank: number): void {
    const i = this.count++;
    if (i === this.prefixes.length) this.grow();
    this.prefixes[i] = prefix;
    this.lengths[i] = length;
    this.hopNumbers[i] = hop;
    this.ranks[i] = rank;
    const key = prefix * 64 + length;
    if (key <= this.last) this.sorted = false;
    this.last = key;
  }

  /** The last route gets another next hop and rank. */
  amend(hop: number, rank: number): void {
    this.hopNumbers[this.count - 1] = hop;
    this.ranks[this.count - 1] = rank;
  }

  private grow(): void {
    const wider = <T extends Uint32Array | Uint8Array | Float64Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    const n = this.count * 2;
    this.prefixes = wider(this.prefixes, new Uint32Array(n));
    this.lengths = wider(this.lengths, new Uint8Array(n));
    this.hopNumbers = wider(this.hopNumbers, new Uint32Array(n));
    this.ranks = wider(this.ranks, new Float64Array(n));
  }

  /** The routes in order; the builder must not be used any more. */
  columns(): Columns {
    const { prefixes, lengths, hopNumbers } = this;
    if (this.sorted) return firstColumns({ count: this.count, prefixes, lengths, hops: hopNumbers }, this.count);
    const order = this.order();
    const out = newColumns(this.count);
    let n = 0;
    let best = -1;
    for (const i of order) {
      if (best >= 0 && prefixes[i] === prefixes[best] && lengths[i] === lengths[best]) {
        this.duplicates++;
        const better = this.ranks[i]! - this.ranks[best]!;
        if (better > 0 || (better === 0 && this.firstWins)) continue;
        n--;
      }
      best = i;
      out.prefixes[n] = prefixes[i]!;
      out.lengths[n] = lengths[i]!;
      out.hops[n] = hopNumbers[i]!;
      n++;
    }
    return firstColumns(out, n);
  }

  /** Indices in order of (prefix, length), equal ones as they came: a radix sort in three passes. */
  private order(): Uint32Array {
    const { prefixes, lengths, count } = this;
    let from: Uint32Array = new Uint32Array(count);
    let to: Uint32Array = new Uint32Array(count);
    for (let i = 0; i < count; i++) from[i] = i;
    const starts = new Uint32Array(65_537);
    for (let pass = 0; pass < 3; pass++) {
      const shift = pass === 1 ? 0 : 16;
      starts.fill(0);
      for (let i = 0; i < count; i++) starts[(pass === 0 ? lengths[i]! : (prefixes[i]! >>> shift) & 0xffff) + 1]!++;
      for (let k = 1; k < starts.length; k++) starts[k]! += starts[k - 1]!;
      for (const i of from) to[starts[pass === 0 ? lengths[i]! : (prefixes[i]! >>> shift) & 0xffff]!++] = i;
      [from, to] = [to, from];
    }
    return from;
  }
}

/** A table that was read: its routes, and the core's FIB over them from the first lookup on. */
export class RouteTable {
  private fib = 0;

  constructor(
    readonly core: Core,
    readonly columns: Columns,
    readonly hops: Hops,
    /** Routes that another one for the same prefix replaced. */
    readonly duplicates = 0,
  ) {}

  get size(): number {
    return this.columns.count;
  }

  /** `10.1.0.0/16`. */
  prefixText(route: number): string {
    return `${formatIpv4(this.columns.prefixes[route]!)}/${this.columns.lengths[route]!}`;
  }

  /** The route as a line that `RouteTable`s are read from: `10.0.0.0/8 10.0.0.1`, `blackhole 10.1.0.0/16`. */
  line(route: number): string {
    const hop = this.hops.list[this.columns.hops[route]!]!;
    const head = hop.type === "" ? this.prefixText(route) : `${hop.type} ${this.prefixText(route)}`;
    return hop.text === "" ? head : `${head} ${hop.text}`;
  }

  /** The handle of the core's table; a route's value is its index + 1. Throws when the core's memory is used up. */
  handle(): number {
    if (this.fib !== 0) return this.fib;
    const { x, u32 } = this.core;
    const { count, prefixes, lengths } = this.columns;
    const fib = x.fibNew() >>> 0;
    const block = Math.max(count, 1) * 12;
    const at = fib === 0 ? 0 : x.alloc(block) >>> 0;
    if (at === 0) throw new Error(`the core's memory is used up by ${count} routes`);
    let w = at >>> 2;
    for (let i = 0; i < count; i++) {
      u32[w++] = prefixes[i]!;
      u32[w++] = lengths[i]!;
      u32[w++] = i + 1;
    }
    const loaded = x.fibLoad(fib, at, count) >>> 0;
    x.release(at, block);
    if (loaded < count) {
      x.fibFree(fib);
      throw new Error(`the core's memory is used up: ${loaded} of ${count} routes fit`);
    }
    this.fib = fib;
    return fib;
  }

  /** Index of the route that the address takes, -1 for none. */
  lookup(address: number): number {
    return (this.core.x.fibLookup(this.handle(), address) >>> 0) - 1;
  }

  /** Indices of all routes that cover the address, the longest first. */
  covering(address: number): number[] {
    const { x } = this.core;
    const fib = this.handle();
    const found: number[] = [];
    for (let max = 32; max >= 0;) {
      const length = x.fibMatch(fib, address, max);
      if (length < 0) break;
      found.push((x.fibGet(fib, (address & maskOf(length)) >>> 0, length) >>> 0) - 1);
      max = length - 1;
    }
    return found;
  }

  /** Gives the core's table back; the next lookup makes it anew. */
  release(): void {
    if (this.fib !== 0) this.core.x.fibFree(this.fib);
    this.fib = 0;
  }
}

/** Routes by length, 33 counts. */
export function lengthCounts(columns: Columns): number[] {
  const counts = Array.from({ length: 33 }, () => 0);
  for (let i = 0; i < columns.count; i++) counts[columns.lengths[i]!]!++;
  return counts;
}
