// src/host/fib/table/aggregate.ts: the smallest table with the same answers: ORTC (Draves, King, Venkatachary and Zill,
// "Constructing Optimal IP Routing Tables", 1999), over tables that leave addresses without a route.

import { segments } from "./segments.ts";
import { type Columns, firstColumns, newColumns } from "./table.ts";

/** Grows by doubling. */
class Words {
  words = new Uint32Array(4096);
  length = 0;

  push(v: number): number {
    if (this.length === this.words.length) {
      const wider = new Uint32Array(this.length * 2);
      wider.set(this.words);
      this.words = wider;
    }
    this.words[this.length] = v;
    return this.length++;
  }
}

type Emit = (prefix: number, length: number, hop: number) => void;

/** Nodes of a binary tree over the address space. Its leaves are ranges of one answer. */
class Tree {
  private readonly left = new Words();
  private readonly right = new Words();
  /**
   * Next hops that a route at this node may have in a smallest table, ascending. One: the hop itself stands in `at`;
   * more: an index in the pool; none: some address below has no route. No route may then stand here, for a table
   * cannot take addresses out of a route's range again without inventing one.
   */
  private readonly at = new Words();
  private readonly size = new Words();
  private readonly pool = new Words();

  private node(left: number, right: number, at: number, size: number): number {
    this.left.push(left);
    this.right.push(right);
    this.at.push(at);
    return this.size.push(size);
  }

  /** A range with one answer; hop 0 is no route. */
  leaf(hop: number): number {
    return this.node(0, 0, hop, hop === 0 ? 0 : 1);
  }

  private hop(node: number, i: number): number {
    const at = this.at.words[node]!;
    return this.size.words[node] === 1 ? at : this.pool.words[at + i]!;
  }

  /** What both halves may have, or if there is no such hop, what either may have. */
  join(left: number, right: number): number {
    const n = this.size.words[left]!;
    const m = this.size.words[right]!;
    if (n === 0 || m === 0) return this.node(left, right, 0, 0);
    const from = this.pool.length;
    for (let i = 0, j = 0; i < n && j < m;) {
      const a = this.hop(left, i);
      const b = this.hop(right, j);
      if (a === b) this.pool.push(a);
      if (a <= b) i++;
      if (b <= a) j++;
    }
    if (this.pool.length === from) {
      for (let i = 0, j = 0; i < n || j < m;) {
        if (j === m || (i < n && this.hop(left, i) < this.hop(right, j))) this.pool.push(this.hop(left, i++));
        else this.pool.push(this.hop(right, j++));
      }
    }
    const size = this.pool.length - from;
    if (size > 1) return this.node(left, right, from, size);
    this.pool.length = from;
    return this.node(left, right, this.pool.words[from]!, 1);
  }

  /** Walks down with the hop that the routes above give (0: none); `emit` gets the routes in order. */
  choose(node: number, prefix: number, length: number, above: number, emit: Emit): void {
    const size = this.size.words[node]!;
    let hop = above;
    if (size > 0 && !this.has(node, above)) {
      hop = this.hop(node, 0);
      emit(prefix, length, hop);
    }
    const left = this.left.words[node]!;
    const right = this.right.words[node]!;
    if (left === right) return;
    this.choose(left, prefix, length + 1, hop, emit);
    this.choose(right, prefix + 2 ** (31 - length), length + 1, hop, emit);
  }

  private has(node: number, hop: number): boolean {
    if (hop === 0) return false;
    const n = this.size.words[node]!;
    let lo = 0;
    let hi = n;
    while (lo < hi) {
      const mid = (lo + hi) >>> 1;
      if (this.hop(node, mid) < hop) lo = mid + 1;
      else hi = mid;
    }
    return lo < n && this.hop(node, lo) === hop;
  }
}

/**
 * The smallest table (fewest prefixes) in which every address has the next hop that it has in `columns`, and none where
 * it has none. `progress` is called now and then with how much of the address space is done, 0 … 1.
 */
export function aggregate(columns: Columns, progress?: (done: number) => void): Columns {
  const { count, starts, values } = segments(columns, "hop");
  const tree = new Tree();
  let leaves = 0;

  /** The node of the range that begins at `prefix`; segments `lo` … `hi` touch it. */
  const build = (prefix: number, length: number, lo: number, hi: number): number => {
    if (lo === hi) {
      if ((++leaves & 0xffff) === 0) progress?.(prefix / 2 ** 32);
      return tree.leaf(values[lo]!);
    }
    const middle = prefix + 2 ** (31 - length);
    // the first segment that begins at or behind the middle
    let a = lo + 1;
    let b = hi + 1;
    while (a < b) {
      const m = (a + b) >>> 1;
      if (starts[m]! < middle) a = m + 1;
      else b = m;
    }
    const left = build(prefix, length + 1, lo, a - 1);
    return tree.join(left, build(middle, length + 1, a <= hi && starts[a] === middle ? a : a - 1, hi));
  };

  const root = build(0, 0, 0, count - 1);
  let n = 0;
  // never more than there were
  const out = newColumns(columns.count);
  tree.choose(root, 0, 0, 0, (prefix, length, hop) => {
    out.prefixes[n] = prefix;
    out.lengths[n] = length;
    out.hops[n++] = hop;
  });
  return firstColumns(out, n);
}
