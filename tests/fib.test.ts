// tests/fib.test.ts: the core's longest-prefix match against a linear scan.

import fc from "fast-check";
import { expect, it } from "vitest";
import { maskOf } from "../src/core/address.ts";
import type { Core } from "../src/core/core.ts";
import { Rng } from "../src/link/rng.ts";
import { overBuilds } from "./support/cores.ts";

interface Entry {
  readonly prefix: number;
  readonly length: number;
  value: number;
}

/** What the table should be: a list, searched from end to end. */
class Naive {
  readonly entries: Entry[] = [];

  find(prefix: number, length: number): Entry | undefined {
    const p = (prefix & maskOf(length)) >>> 0;
    return this.entries.find((e) => e.prefix === p && e.length === length);
  }

  add(prefix: number, length: number, value: number): void {
    const e = this.find(prefix, length);
    if (e !== undefined) e.value = value;
    else this.entries.push({ prefix: (prefix & maskOf(length)) >>> 0, length, value });
  }

  delete(prefix: number, length: number): number {
    const e = this.find(prefix, length);
    if (e === undefined) return 0;
    this.entries.splice(this.entries.indexOf(e), 1);
    return e.value;
  }

  longest(address: number, max = 32): Entry | null {
    let best: Entry | null = null;
    for (const e of this.entries) {
      if (e.length > max || ((e.prefix ^ address) & maskOf(e.length)) !== 0) continue;
      if (best === null || e.length > best.length) best = e;
    }
    return best;
  }

  sorted(): Entry[] {
    return this.entries.toSorted((a, b) => a.prefix - b.prefix || a.length - b.length);
  }
}

function listOf(core: Core, t: number): Entry[] {
  const found = core.x.fibFound(t) >> 2;
  const out: Entry[] = [];
  let prefix = 0;
  let length = -1;
  while (Number(core.x.fibNext(t, prefix, length)) !== 0) {
    prefix = core.u32[found]!;
    length = core.u32[found + 1]!;
    out.push({ prefix, length, value: core.u32[found + 2]! });
  }
  return out;
}

/** Addresses crowd, so that prefixes nest. */
const address = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.integer({ min: 0, max: 0xffff }).map((n) => (0x0a010000 | n) >>> 0),
  fc.constantFrom(0, 0xffffffff, 0x80000000, 0x7fffffff, 0x0a0100ff, 0x0a010100),
);
const step = fc.record({
  what: fc.constantFrom("add", "add", "add", "delete", "again"),
  address,
  length: fc.oneof(fc.integer({ min: 0, max: 32 }), fc.integer({ min: 15, max: 32 })),
  value: fc.integer({ min: 1, max: 0x3ffffff }),
});

overBuilds("fib", (make) => {
  const core = make();
  const { x } = core;

  it("equals a linear scan after any adds, replacements and withdrawals", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.array(address, { maxLength: 20 }), (steps, keys) => {
        const t = x.fibNew();
        const naive = new Naive();
        for (const s of steps) {
          const old = naive.entries[s.value % Math.max(naive.entries.length, 1)];
          const [prefix, length] =
            s.what === "add" || old === undefined ? [s.address, s.length] : [old.prefix, old.length];
          if (s.what === "delete") expect(x.fibDel(t, prefix, length)).toBe(naive.delete(prefix, length));
          else {
            naive.add(prefix, length, s.value);
            expect(Number(x.fibAdd(t, prefix, length, s.value))).toBe(1);
          }
        }
        expect(listOf(core, t)).toEqual(naive.sorted());
        for (const k of [
          ...keys,
          ...steps.flatMap((s) => [s.address, (s.address ^ 1) >>> 0, (s.address ^ 0x100) >>> 0]),
        ]) {
          const best = naive.longest(k);
          expect(x.fibLookup(t, k)).toBe(best?.value ?? 0);
          expect(x.fibMatch(t, k, 32)).toBe(best?.length ?? -1);
          expect(x.fibMatch(t, k, 20)).toBe(naive.longest(k, 20)?.length ?? -1);
        }
        expect(x.fibCount(t)).toBe(naive.entries.length);
        x.fibFree(t);
      }),
    );
  });
});

/** The same for long tables: a Map for each length. */
class Lengths {
  readonly maps = Array.from({ length: 33 }, () => new Map<number, number>());
  size = 0;

  set(prefix: number, length: number, value: number): void {
    const m = this.maps[length]!;
    const p = (prefix & maskOf(length)) >>> 0;
    if (!m.has(p)) this.size++;
    m.set(p, value);
  }

  delete(prefix: number, length: number): number {
    const m = this.maps[length]!;
    const p = (prefix & maskOf(length)) >>> 0;
    const v = m.get(p) ?? 0;
    if (m.delete(p)) this.size--;
    return v;
  }

  lookup(address: number): number {
    for (let l = 32; l >= 0; l--) {
      const v = this.maps[l]!.get((address & maskOf(l)) >>> 0);
      if (v !== undefined) return v;
    }
    return 0;
  }

  all(): Entry[] {
    return this.maps
      .flatMap((m, length) => [...m].map(([prefix, value]) => ({ prefix, length, value })))
      .toSorted((a, b) => a.prefix - b.prefix || a.length - b.length);
  }
}

/** Numbers from a seed. */
function numbers(seed: number): (n: number) => number {
  const rng = new Rng(seed);
  return (n) => rng.below(n);
}

/** Lengths as real tables have them, and every other now and then; addresses crowd in a few places. */
function randomPrefix(pick: (n: number) => number): [number, number] {
  const length = pick(10) < 6 ? 18 + pick(8) : pick(33);
  const address = pick(4) === 0 ? pick(2 ** 32) : (0x0a000000 + pick(0x40000)) >>> 0;
  return [(address & maskOf(length)) >>> 0, length];
}

overBuilds("fib, long tables", (make) => {
  const core = make();
  const { x } = core;
  const keys = x.alloc(4 * 4096) >>> 0;
  const out = x.alloc(4 * 4096) >>> 0;

  function check(t: number, oracle: Lengths, probes: readonly number[]): void {
    core.u32.set(probes, keys >> 2);
    x.fibBatch(t, keys, out, probes.length);
    const got = [...core.u32.subarray(out >> 2, (out >> 2) + probes.length)];
    expect(got).toEqual(probes.map((p) => oracle.lookup(p)));
    for (const p of probes.slice(0, 200)) expect(x.fibLookup(t, p)).toBe(oracle.lookup(p));
  }

  it.each([1, 2, 3])("equals the lengths' maps through growth, churn and decline (seed %i)", (seed) => {
    const pick = numbers(seed);
    const t = x.fibNew();
    const oracle = new Lengths();
    const live: [number, number][] = [];
    const probes = () =>
      Array.from({ length: 1003 }, () => {
        const p = live[pick(Math.max(live.length, 1))];
        return p === undefined || pick(4) === 0 ? pick(2 ** 32) : (p[0] ^ pick(p[1] > 20 ? 600 : 70000)) >>> 0;
      });
    for (let round = 0; round < 24; round++) {
      const growing = round < 12;
      for (let i = 0; i < 400; i++) {
        const gone = pick(10) < (growing ? 2 : 9);
        const [prefix, length] = gone && live.length > 0 ? live.splice(pick(live.length), 1)[0]! : randomPrefix(pick);
        if (gone) expect(x.fibDel(t, prefix, length)).toBe(oracle.delete(prefix, length));
        else {
          // small values and large ones: they are stored in different ways
          const value = 1 + pick(pick(2) === 0 ? 50 : 0x3ffffff);
          oracle.set(prefix, length, value);
          live.push([prefix, length]);
          expect(Number(x.fibAdd(t, prefix, length, value))).toBe(1);
        }
      }
      expect(x.fibCount(t)).toBe(oracle.size);
      check(t, oracle, probes());
    }
    expect(listOf(core, t)).toEqual(oracle.all());
    const before = x.arenaUsed();
    for (const e of oracle.all()) expect(x.fibDel(t, e.prefix, e.length)).toBe(e.value);
    expect(x.fibBytes(t)).toBe(64);
    expect(x.fibLookup(t, 0x0a000001)).toBe(0);
    x.fibFree(t);
    expect(x.arenaUsed()).toBe(before);
  });

  it("gives back what it took: the same table again needs no new memory", () => {
    const fill = (): number => {
      const pick = numbers(9);
      const t = x.fibNew();
      for (let i = 0; i < 4000; i++) x.fibAdd(t, ...randomPrefix(pick), 1 + pick(5000));
      return t;
    };
    x.fibFree(fill());
    const used = x.arenaUsed();
    const t = fill();
    expect(x.fibFastBytes(t)).toBeGreaterThan(1 << 22);
    x.fibFree(t);
    expect(x.arenaUsed()).toBe(used);
  });

  it("loads many at once as one by one", () => {
    const pick = numbers(5);
    const oracle = new Lengths();
    for (let i = 0; i < 20000; i++) oracle.set(...randomPrefix(pick), 1 + pick(300));
    const all = oracle.all();
    const at = x.alloc(12 * all.length) >>> 0;
    core.u32.set(
      all.flatMap((e) => [e.prefix, e.length, e.value]),
      at >> 2,
    );
    const t = x.fibNew();
    expect(x.fibLoad(t, at, all.length)).toBe(all.length);
    expect(x.fibCount(t)).toBe(all.length);
    check(
      t,
      oracle,
      Array.from({ length: 4000 }, () => (0x0a000000 + pick(0x40000)) >>> 0),
    );
    expect(listOf(core, t)).toEqual(all);
    x.fibFree(t);
    x.release(at, 12 * all.length);
  });

  it("refuses bad lengths and values", () => {
    const t = x.fibNew();
    expect(Number(x.fibAdd(t, 0, 33, 1))).toBe(0);
    expect(Number(x.fibAdd(t, 0, 8, 0))).toBe(0);
    expect(Number(x.fibAdd(t, 0, 8, 0x4000000))).toBe(0);
    expect(x.fibDel(t, 0, 33)).toBe(0);
    expect(x.fibGet(t, 0, 40)).toBe(0);
    expect(x.fibMatch(t, 0, 40)).toBe(-1);
    expect(x.fibCount(t)).toBe(0);
    x.fibFree(t);
  });

  it("needs little for a short table", () => {
    const t = x.fibNew();
    for (let i = 0; i < 3; i++) x.fibAdd(t, i << 24, 8, 1);
    expect(x.fibBytes(t)).toBeLessThan(4096);
    x.fibFree(t);
  });

  // 4 MiB blocks: the tree of the rib, the chunks; 2 MiB: the index; 64 KiB: pages of lists and of leaves
  it.each([
    [0, 0, 0],
    [1, 1, 4],
    [2, 1, 0],
    [2, 1, 1],
    [2, 1, 2],
    [2, 1, 3],
    [2, 1, 9],
  ])("stays right when memory is used up: %i x 4 MiB, %i x 2 MiB, %i x 64 KiB are left", (large, middle, pages) => {
    const { x: y } = make();
    const t = y.fibNew();
    const left: [number, number][] = [];
    for (const [n, size] of [
      [large, 4 << 20],
      [middle, 2 << 20],
      [pages, 65536],
      [1, 16384],
      [1, 65536],
    ] as const) {
      for (let i = 0; i < n; i++) left.push([y.alloc(size), size]);
    }
    for (let size = 4 << 20; size >= 32; size >>= 1) while (y.alloc(size) !== 0) continue;
    for (const [at, size] of left) y.release(at, size);
    const oracle = new Lengths();
    const pick = numbers(11);
    let refused = 0;
    for (let i = 0; i < 9000; i++) {
      const [prefix, length] = randomPrefix(pick);
      const value = 1 + pick(100);
      if (Number(y.fibAdd(t, prefix, length, value)) !== 0) oracle.set(prefix, length, value);
      else refused++;
      if (i % 1000 !== 999) continue;
      for (let k = 0; k < 500; k++) {
        const a = (0x0a000000 + pick(0x40000)) >>> 0;
        expect(y.fibLookup(t, a)).toBe(oracle.lookup(a));
      }
    }
    expect(oracle.size).toBe(y.fibCount(t));
    if (pages < 9) expect(refused + (y.fibFastBytes(t) === 0 ? 1 : 0)).toBeGreaterThan(0);
    for (const e of oracle.all()) expect(y.fibDel(t, e.prefix, e.length)).toBe(e.value);
    expect(y.fibCount(t)).toBe(0);
  });
});
