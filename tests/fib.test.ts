// tests/fib.test.ts: the core's longest-prefix match against a linear scan.

import fc from "fast-check";
import { expect, it } from "vitest";
import { maskOf } from "../src/core/address.ts";
import type { Core } from "../src/core/core.ts";
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
          const [prefix, length] = s.what === "add" || old === undefined ? [s.address, s.length] : [old.prefix, old.length];
          if (s.what === "delete") expect(x.fibDel(t, prefix, length)).toBe(naive.delete(prefix, length));
          else {
            naive.add(prefix, length, s.value);
            expect(Number(x.fibAdd(t, prefix, length, s.value))).toBe(1);
          }
        }
        expect(listOf(core, t)).toEqual(naive.sorted());
        for (const k of [...keys, ...steps.flatMap((s) => [s.address, (s.address ^ 1) >>> 0, (s.address ^ 0x100) >>> 0])]) {
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
