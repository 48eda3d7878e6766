// tests/fibbulk.test.ts: many prefixes at once, against a map of them.

import { expect, it } from "vitest";
import { maskOf } from "../src/core/address.ts";
import type { Core } from "../src/core/core.ts";
import { Rng } from "../src/link/rng.ts";
import { overBuilds } from "./support/cores.ts";

type Route = readonly [prefix: number, length: number, value: number];

/** What the table should be. */
class Oracle {
  readonly routes = new Map<number, number>();

  constructor(routes: Iterable<Route> = []) {
    for (const [prefix, length, value] of routes) this.routes.set(keyOf(prefix, length), value);
  }

  lookup(address: number): number {
    for (let length = 32; length >= 0; length--) {
      const value = this.routes.get(keyOf(address, length));
      if (value !== undefined) return value;
    }
    return 0;
  }

  sorted(): number[][] {
    return [...this.routes]
      .toSorted(([a], [b]) => a - b)
      .map(([key, value]) => [Math.floor(key / 64), key % 64, value]);
  }
}

function keyOf(prefix: number, length: number): number {
  return ((prefix & maskOf(length)) >>> 0) * 64 + length;
}

function tableOf({ x, u32 }: Core, t: number): number[][] {
  const found = x.fibFound(t) >> 2;
  const out: number[][] = [];
  for (let prefix = 0, length = -1; Number(x.fibNext(t, prefix, length)) !== 0;) {
    prefix = u32[found]!;
    length = u32[found + 1]!;
    out.push([prefix, length, u32[found + 2]!]);
  }
  return out;
}

/** Prefixes that nest and repeat: a few /19 are full, most hold one or two; bits behind the length are set. */
function someRoutes(rng: Rng, count: number): Route[] {
  const bases = Array.from({ length: 400 }, () => rng.u32());
  return Array.from({ length: count }, () => {
    const r = rng.unit();
    const length = r < 0.6 ? 20 + rng.below(5) : r < 0.9 ? rng.below(20) : 25 + rng.below(8);
    const base = rng.unit() < 0.2 ? rng.u32() : bases[Math.floor(400 * rng.unit() ** 3)]!;
    const value = rng.unit() < 0.1 ? 4000 + rng.below(0x3fff000) : 1 + rng.below(50);
    return [(base ^ rng.below(1 << 14)) >>> 0, length, value];
  });
}

function load({ x, u32 }: Core, t: number, routes: readonly Route[]): number {
  const at = x.alloc(routes.length * 12) >>> 0;
  u32.set(routes.flat(), at >> 2);
  const n = x.fibLoad(t, at, routes.length) >>> 0;
  x.release(at, routes.length * 12);
  return n;
}

/** The ends of prefixes, and what lies next to them, one by one and as a batch. */
function check(core: Core, t: number, oracle: Oracle, routes: readonly Route[], rng: Rng): void {
  const { x, u32 } = core;
  const count = 2005;
  const keys = Array.from({ length: count }, () => {
    const [prefix, length] = routes[rng.below(routes.length)]!;
    const mask = maskOf(length);
    const base = rng.unit() < 0.5 ? prefix & mask : prefix | ~mask;
    return (base + rng.below(3) - 1) >>> 0;
  });
  const at = x.alloc(count * 8) >>> 0;
  u32.set(keys, at >> 2);
  x.fibBatch(t, at, at + count * 4, count);
  for (const [i, key] of keys.entries()) {
    const value = oracle.lookup(key);
    expect([key, x.fibLookup(t, key) >>> 0, u32[(at >> 2) + count + i]]).toEqual([key, value, value]);
  }
  x.release(at, count * 8);
}

overBuilds("fibLoad", (make) => {
  it.each([0, 1, 700])("makes a table of many prefixes, some of them twice, with %i there before", (before) => {
    const core = make();
    const rng = new Rng(before + 1);
    const routes = someRoutes(rng, 9000 + before);
    const t = core.x.fibNew() >>> 0;
    for (const r of routes.slice(0, before)) core.x.fibAdd(t, ...r);
    expect(load(core, t, routes.slice(before))).toBe(9000);
    const oracle = new Oracle(routes);
    expect(core.x.fibCount(t)).toBe(oracle.routes.size);
    expect(core.x.fibFastBytes(t)).toBeGreaterThan(1 << 22);
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    // what was loaded can change
    for (const [i, [prefix, length, value]] of routes.entries()) {
      if (i % 3 === 0) {
        expect(core.x.fibDel(t, prefix, length)).toBe(oracle.routes.get(keyOf(prefix, length)) ?? 0);
        oracle.routes.delete(keyOf(prefix, length));
      } else if (i % 3 === 1) {
        core.x.fibAdd(t, prefix, length, value + 1);
        oracle.routes.set(keyOf(prefix, length), value + 1);
      }
    }
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    core.x.fibFree(t);
  });

  it("adds many to a long table", () => {
    const core = make();
    const rng = new Rng(4);
    const routes = someRoutes(rng, 12_000);
    const t = core.x.fibNew() >>> 0;
    expect(load(core, t, routes.slice(0, 6000))).toBe(6000);
    expect(load(core, t, routes.slice(6000))).toBe(6000);
    const oracle = new Oracle(routes);
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    core.x.fibFree(t);
  });

  it("loads 40000 of one /19, and every prefix of another", () => {
    const core = make();
    const rng = new Rng(5);
    const routes: Route[] = Array.from({ length: 40_000 }, (_, i) => [
      (0xac100000 + rng.below(0x2000)) >>> 0,
      24 + rng.below(9),
      i + 1,
    ]);
    for (let length = 20; length <= 24; length++) {
      for (let a = 0; a < 0x2000; a += 2 ** (32 - length)) routes.push([0xac112000 + a, length, length * 1000 + a]);
    }
    const t = core.x.fibNew() >>> 0;
    expect(load(core, t, routes)).toBe(routes.length);
    const oracle = new Oracle(routes);
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    core.x.fibFree(t);
  });

  it.each([
    [5000, 33, 1],
    [5000, 8, 0],
    [5000, 8, 0x4000000],
    [100, 24, 0],
    [0, 40, 1],
  ])("loads what is in front of a bad one: number %i with length %i and value %i", (at, length, value) => {
    const core = make();
    const rng = new Rng(6);
    const routes = someRoutes(rng, 6000).with(at, [0x0a000000, length, value]);
    const t = core.x.fibNew() >>> 0;
    core.x.fibAdd(t, 0, 0, 9);
    expect(load(core, t, routes)).toBe(at);
    const oracle = new Oracle([[0, 0, 9], ...routes.slice(0, at)]);
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    core.x.fibFree(t);
  });

  it("gives back what it took", () => {
    const core = make();
    const routes = someRoutes(new Rng(7), 9000);
    const round = (): number => {
      const t = core.x.fibNew() >>> 0;
      load(core, t, routes);
      core.x.fibFree(t);
      return core.x.arenaUsed();
    };
    const used = round();
    expect(round()).toBe(used);
    expect(round()).toBe(used);
  });

  // 4 MiB blocks: the tree of the rib, the chunks; 2 MiB: the index; 64 KiB: pages of lists and of leaves
  it.each([
    [0, 0, 0],
    [1, 1, 4],
    [2, 1, 0],
    [2, 1, 1],
    [2, 1, 2],
    [2, 1, 4],
    [2, 1, 6],
    [2, 1, 20],
  ])("stays right when memory is used up: %i x 4 MiB, %i x 2 MiB, %i x 64 KiB are left", (large, middle, pages) => {
    const core = make();
    const { x } = core;
    const rng = new Rng(8);
    const routes = someRoutes(rng, 6000);
    const t = x.fibNew() >>> 0;
    x.fibAdd(t, 0, 0, 7);
    const at = x.alloc(routes.length * 12) >>> 0;
    core.u32.set(routes.flat(), at >> 2);
    // for the check's keys
    const left: [number, number][] = [[x.alloc(16384) >>> 0, 16384]];
    for (const [n, size] of [
      [large, 4 << 20],
      [middle, 2 << 20],
      [pages, 65536],
    ] as const) {
      for (let i = 0; i < n; i++) left.push([x.alloc(size) >>> 0, size]);
    }
    // the rest: lists of more than 15
    left.push([x.alloc(16384) >>> 0, 16384], [x.alloc(32) >>> 0, 32]);
    for (const size of [256, 512, 1024, 2048]) for (let i = 0; i < 100; i++) left.push([x.alloc(size) >>> 0, size]);
    for (let size = 4 << 20; size >= 32; size >>= 1) while (x.alloc(size) !== 0) continue;
    for (const [block, size] of left) x.release(block, size);
    const n = x.fibLoad(t, at, routes.length) >>> 0;
    const oracle = new Oracle([[0, 0, 7], ...routes.slice(0, n)]);
    expect(x.fibCount(t)).toBe(oracle.routes.size);
    expect(tableOf(core, t)).toEqual(oracle.sorted());
    check(core, t, oracle, routes, rng);
    if (pages >= 6) expect([n, x.fibFastBytes(t) > 0]).toEqual([routes.length, true]);
    else expect(n < routes.length || x.fibFastBytes(t) === 0).toBe(true);
    for (const [key, value] of oracle.routes) expect(x.fibDel(t, Math.floor(key / 64), key % 64)).toBe(value);
    expect(x.fibCount(t)).toBe(0);
  });
});
