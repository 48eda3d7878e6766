import { describe, expect, it } from "vitest";
import { Prandom, seedOf } from "../../src/link/prandom.ts";

/** How lib/random32.c seeds its self test: each register from the one before, by a linear congruence. */
function early(seed: number): Prandom {
  const lcg = (x: number): number => Math.imul(x, 69069) >>> 0;
  const lift = (x: number, m: number): number => (x < m ? x + m : x);
  const s1 = lift(lcg(seed), 2);
  const s2 = lift(lcg(s1), 8);
  const s3 = lift(lcg(s2), 16);
  const s4 = lift(lcg(s3), 128);
  const r = new Prandom(0, 0);
  r.set(s1, s2, s3, s4);
  for (let i = 0; i < 10; i++) r.u32();
  return r;
}

describe("Linux's generator", () => {
  it("gives the first numbers of the kernel's self test (lib/random32.c, as GSL's taus113)", () => {
    expect([1, 2, 3, 4].map((s) => early(s).u32())).toEqual([3484351685, 2623130059, 3125133893, 984847254]);
  });

  it("is a function of its seed, and stays in 32 bits", () => {
    const a = new Prandom(1, 2);
    const b = new Prandom(1, 2);
    const c = new Prandom(2, 2);
    let differ = 0;
    for (let i = 0; i < 1000; i++) {
      const x = a.u32();
      expect(x).toBe(b.u32());
      expect(Number.isInteger(x) && x >= 0 && x < 2 ** 32).toBe(true);
      if (x !== c.u32()) differ++;
    }
    expect(differ).toBeGreaterThan(990);
  });

  it("below(n) is the high half of the product", () => {
    const a = new Prandom(0, 77);
    const b = new Prandom(0, 77);
    for (const n of [1, 2, 8, 1514, 65535, 2 ** 32]) {
      const exact = Number((BigInt(a.u32()) * BigInt(n)) >> 32n);
      expect(b.below(n)).toBe(exact);
    }
  });

  it("names give seeds that have nothing in common", () => {
    expect(seedOf(1, "a:eth0")).toBe(seedOf(1, "a:eth0"));
    const seeds = new Set<number>();
    for (let n = 0; n < 2000; n++) seeds.add(seedOf(n % 5, `host${n}:eth0`));
    expect(seeds.size).toBe(2000);
  });
});
