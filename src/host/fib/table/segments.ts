// src/host/fib/table/segments.ts: the address space cut where a table's answer changes, and where two tables differ.

import { type Hops, agree } from "./hops.ts";
import type { Columns } from "./table.ts";

/** Ranges of addresses from 0.0.0.0 to 255.255.255.255: each begins where its start says and ends before the next. */
export interface Segments {
  readonly count: number;
  readonly starts: Uint32Array;
  /** What every address of the range gets; 0: no route. */
  readonly values: Uint32Array;
}

/** What `segments` tells of each route. */
export type SegmentValue = "route" | "hop";

/**
 * The whole address space in ranges of equal answers; neighbours differ. `route`: a value is a route's index + 1;
 * `hop`: a number in the table's `Hops`.
 */
export function segments(columns: Columns, of: SegmentValue): Segments {
  const { count, prefixes, lengths, hops } = columns;
  // each route begins one range and ends one
  const starts = new Uint32Array(2 * count + 1);
  const values = new Uint32Array(2 * count + 1);
  let n = 1;
  const put = (start: number, value: number): void => {
    if (starts[n - 1] === start) n--;
    if (n > 0 && values[n - 1] === value) return;
    starts[n] = start;
    values[n++] = value;
  };
  // the routes around the present place, outermost first; at most one of each length
  const ends = new Float64Array(34);
  const inside = new Uint32Array(34);
  let depth = 0;
  const close = (upTo: number): void => {
    while (depth > 0 && ends[depth]! < upTo) {
      const next = ends[depth]! + 1;
      depth--;
      if (next < 2 ** 32) put(next, inside[depth]!);
    }
  };
  for (let i = 0; i < count; i++) {
    const prefix = prefixes[i]!;
    close(prefix);
    const value = of === "route" ? i + 1 : hops[i]!;
    depth++;
    ends[depth] = prefix + 2 ** (32 - lengths[i]!) - 1;
    inside[depth] = value;
    put(prefix, value);
  }
  close(2 ** 32);
  return { count: n, starts: starts.subarray(0, n), values: values.subarray(0, n) };
}

/** How many addresses have a route. */
export function coveredAddresses(columns: Columns): number {
  const s = segments(columns, "hop");
  let sum = 0;
  for (let i = 0; i < s.count; i++) {
    if (s.values[i] !== 0) sum += (i + 1 < s.count ? s.starts[i + 1]! : 2 ** 32) - s.starts[i]!;
  }
  return sum;
}

/** Addresses `first` … `last` get hop number `left` from one table and `right` from the other (0: no route). */
export interface Difference {
  readonly first: number;
  readonly last: number;
  readonly left: number;
  readonly right: number;
}

export interface DiffSide {
  readonly columns: Columns;
  readonly hops: Hops;
}

export interface DiffOptions {
  /** Another winning prefix counts as well, with the same next hop. Default false. */
  readonly prefixes?: boolean;
  /** Called now and then with how much of the address space is done, 0 … 1. */
  readonly progress?: (done: number) => void;
}

/** Calls `found` for each range on which the tables disagree, in order, as long as can be. Answers how many. */
export function diffTables(
  a: DiffSide,
  b: DiffSide,
  found: (d: Difference) => void,
  options: DiffOptions = {},
): number {
  const byRoute = options.prefixes === true;
  const left = segments(a.columns, byRoute ? "route" : "hop");
  const right = segments(b.columns, byRoute ? "route" : "hop");
  const hopOf = (side: DiffSide, value: number): number =>
    !byRoute ? value : value === 0 ? 0 : side.columns.hops[value - 1]!;
  const known = new Map<number, boolean>();
  const equal = (x: number, y: number): boolean => {
    if (x === 0 || y === 0) return x === y;
    const pair = x * 0x4000000 + y;
    let answer = known.get(pair);
    if (answer === undefined) {
      answer = agree(a.hops.list[x]!, b.hops.list[y]!);
      known.set(pair, answer);
    }
    return answer;
  };
  const sameRoute = (x: number, y: number): boolean =>
    x === 0 || y === 0
      ? x === y
      : a.columns.prefixes[x - 1] === b.columns.prefixes[y - 1] &&
        a.columns.lengths[x - 1] === b.columns.lengths[y - 1];
  let ranges = 0;
  let open: { first: number; left: number; right: number; leftValue: number; rightValue: number } | null = null;
  const finish = (last: number): void => {
    if (open === null) return;
    ranges++;
    found({ first: open.first, last, left: open.left, right: open.right });
    open = null;
  };
  let i = 0;
  let j = 0;
  for (let at = 0, steps = 0; at < 2 ** 32; steps++) {
    if ((steps & 0xffff) === 0) options.progress?.(at / 2 ** 32);
    const l = left.values[i]!;
    const r = right.values[j]!;
    const x = hopOf(a, l);
    const y = hopOf(b, r);
    const differs = !equal(x, y) || (byRoute && !sameRoute(l, r));
    const same: boolean =
      open !== null &&
      (open as { leftValue: number }).leftValue === l &&
      (open as { rightValue: number }).rightValue === r;
    if (!differs || !same) finish(at - 1);
    if (differs && open === null) open = { first: at, left: x, right: y, leftValue: l, rightValue: r };
    const nextLeft = i + 1 < left.count ? left.starts[i + 1]! : 2 ** 32;
    const nextRight = j + 1 < right.count ? right.starts[j + 1]! : 2 ** 32;
    at = Math.min(nextLeft, nextRight);
    if (nextLeft === at) i++;
    if (nextRight === at) j++;
  }
  finish(2 ** 32 - 1);
  return ranges;
}
