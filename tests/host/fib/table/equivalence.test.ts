// What tables answer: the core's FIB, differences and the smallest table, against linear scans and exhaustive search.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePrefix } from "../../../../src/core/address.ts";
import { aggregate } from "../../../../src/host/fib/table/aggregate.ts";
import { readTable } from "../../../../src/host/fib/table/read.ts";
import { type Difference, coveredAddresses, diffTables, segments } from "../../../../src/host/fib/table/segments.ts";
import { RouteTable, lengthCounts } from "../../../../src/host/fib/table/table.ts";
import { type Entry, core, entries, linesOf, listOf, naive, probes, readAll } from "./support.ts";

const hops = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
/** Corners of the address space, the first and the last among them. */
const corner = fc.constantFrom(0, 0x0a010000, 0xc0a801c0, 0xffffffc0);
const LEAST = 26;
const ALL = 2 ** 32;

const read = async (list: readonly Entry[]): Promise<RouteTable> => (await readAll(listOf(list))).table;

const hopAt = (table: RouteTable, address: number): string | null => {
  const route = table.lookup(address);
  return route < 0 ? null : table.hops.list[table.columns.hops[route]!]!.nexthop;
};

const ranges = (a: RouteTable, b: RouteTable, prefixes = false): Difference[] => {
  const out: Difference[] = [];
  expect(diffTables(a, b, (d) => out.push(d), { prefixes })).toBe(out.length);
  return out;
};

const smallest = (table: RouteTable): RouteTable => new RouteTable(core, aggregate(table.columns), table.hops);

describe("lookups", () => {
  it("answer as a linear scan does, with all that cover the address in order", async () => {
    await fc.assert(
      fc.asyncProperty(
        corner.chain((base) => fc.tuple(fc.constant(base), entries(base, LEAST, hops))),
        async ([base, list]) => {
          const table = await read(list);
          for (const a of probes(base, LEAST)) {
            const best = naive(list, a);
            const route = table.lookup(a);
            expect(route < 0 ? null : table.line(route)).toEqual(best === null ? null : `${best.prefix} ${best.hop}`);
            const covering = new Set(list.filter((e) => naive([e], a) !== null).map((e) => e.prefix));
            const byLength = [...covering].toSorted((x, y) => parsePrefix(y)!.length - parsePrefix(x)!.length);
            expect(table.covering(a).map((i) => table.prefixText(i))).toEqual(byLength);
          }
          table.release();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("differences", () => {
  it("are none between a table and itself", async () => {
    await fc.assert(
      fc.asyncProperty(entries(0x0a010000, LEAST, hops), async (list) => {
        const table = await read(list);
        expect(ranges(table, table)).toEqual([]);
        expect(ranges(table, await read(list))).toEqual([]);
        expect(ranges(table, table, true)).toEqual([]);
      }),
    );
  });

  it("are the addresses whose next hops differ, all of them, in as few ranges as can be", async () => {
    const pair = corner.chain((base) =>
      fc.tuple(fc.constant(base), entries(base, LEAST, hops, 10), entries(base, LEAST, hops, 10), fc.boolean()),
    );
    await fc.assert(
      fc.asyncProperty(pair, async ([base, listA, listB, prefixes]) => {
        const [a, b] = [await read(listA), await read(listB)];
        const found = ranges(a, b, prefixes);
        for (const address of probes(base, LEAST)) {
          const [x, y] = [naive(listA, address), naive(listB, address)];
          const differs = x?.hop !== y?.hop || (prefixes && x?.prefix !== y?.prefix);
          const inside = found.filter((d) => d.first <= address && address <= d.last);
          expect(inside).toHaveLength(differs ? 1 : 0);
          for (const d of inside) {
            expect(a.hops.list[d.left]!.nexthop).toBe(x?.hop ?? null);
            expect(b.hops.list[d.right]!.nexthop).toBe(y?.hop ?? null);
          }
        }
        for (const [i, d] of found.entries()) {
          expect(d.first).toBeLessThanOrEqual(d.last);
          const before = found[i - 1];
          if (before === undefined || before.last < d.first - 1) continue;
          expect(before.last).toBe(d.first - 1);
          if (!prefixes) expect([before.left, before.right]).not.toEqual([d.left, d.right]);
        }
      }),
    );
  });

  it("reach from one end of the address space to the other", async () => {
    const empty = await readAll("");
    const all = await readAll("0.0.0.0/0 10.0.0.1\n");
    expect(ranges(all.table, empty.table)).toEqual([{ first: 0, last: ALL - 1, left: 2, right: 0 }]);
    expect(ranges(empty.table, empty.table)).toEqual([]);
  });

  it("are none between a gateway and the same one by a device, but between two devices", async () => {
    const [plain, eth0, eth1] = [
      await readAll("10.0.0.0/8 10.0.0.1"),
      await readAll("10.0.0.0/8 via 10.0.0.1 dev eth0"),
      await readAll("10.0.0.0/8 via 10.0.0.1 dev eth1"),
    ];
    expect(ranges(plain.table, eth0.table)).toEqual([]);
    expect(ranges(eth1.table, plain.table)).toEqual([]);
    expect(ranges(eth0.table, eth1.table)).toHaveLength(1);
  });
});

/** Fewest routes for addresses `from` ... `from + size - 1` below a route to `above`: every choice at every node. */
function fewest(
  want: readonly (string | null)[],
  from: number,
  size: number,
  above: string | null,
  memo: Map<string, number>,
): number {
  const key = `${from}/${size}/${above}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  let best = Infinity;
  for (const own of [null, ...hops]) {
    const here = own ?? above;
    const cost = own === null ? 0 : 1;
    const below =
      size === 1
        ? here === want[from]
          ? 0
          : Infinity
        : fewest(want, from, size / 2, here, memo) + fewest(want, from + size / 2, size / 2, here, memo);
    best = Math.min(best, cost + below);
  }
  memo.set(key, best);
  return best;
}

describe("the smallest table", () => {
  it("answers as before for every address, is no larger, and its own smallest", async () => {
    await fc.assert(
      fc.asyncProperty(
        corner.chain((base) => fc.tuple(fc.constant(base), entries(base, LEAST, hops))),
        async ([base, list]) => {
          const table = await read(list);
          const small = smallest(table);
          expect(small.size).toBeLessThanOrEqual(table.size);
          for (const a of probes(base, LEAST)) expect(hopAt(small, a)).toBe(naive(list, a)?.hop ?? null);
          expect(ranges(table, small)).toEqual([]);
          expect(linesOf(smallest(small))).toHaveLength(small.size);
          // it reads back as it is printed
          expect(linesOf((await readAll(linesOf(small).join("\n"))).table)).toEqual(linesOf(small));
          small.release();
        },
      ),
    );
  });

  it("has as few routes as any table with these answers has, some of which are none", async () => {
    const base = 0x0a010000;
    const least = 28;
    await fc.assert(
      fc.asyncProperty(
        entries(base, least, hops, 14).map((list) => list.filter((e) => parsePrefix(e.prefix)!.length >= least)),
        async (list) => {
          const want = Array.from({ length: 16 }, (_, i) => naive(list, base + i)?.hop ?? null);
          expect(smallest(await read(list)).size).toBe(fewest(want, 0, 16, null, new Map()));
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([
    ["halves of one network", "10.0.0.0/9 a\n10.128.0.0/9 a\n", ["10.0.0.0/8 a"]],
    ["what the route around says already", "10.0.0.0/8 a\n10.1.0.0/16 a\n", ["10.0.0.0/8 a"]],
    ["what longer routes hide", "10.0.0.0/8 a\n10.0.0.0/9 b\n10.128.0.0/9 b\n", ["10.0.0.0/8 b"]],
    [
      "the commoner hop goes around",
      "10.0.0.0/10 a\n10.64.0.0/10 b\n10.128.0.0/10 a\n10.192.0.0/10 a\n",
      ["10.0.0.0/8 a", "10.64.0.0/10 b"],
    ],
    ["a hole stays a hole", "10.0.0.0/10 a\n10.128.0.0/9 a\n", ["10.0.0.0/10 a", "10.128.0.0/9 a"]],
    [
      "a blackhole is an answer",
      "0.0.0.0/0 via 10.0.0.1\nblackhole 10.0.0.0/9\nblackhole 10.128.0.0/9\n",
      ["0.0.0.0/0 via 10.0.0.1", "blackhole 10.0.0.0/8"],
    ],
    ["all of the address space", "0.0.0.0/1\n128.0.0.0/1\n", ["0.0.0.0/0"]],
    ["nothing", "", []],
  ])("%s", async (_name, text, expected) => {
    expect(linesOf(smallest((await readAll(text)).table))).toEqual(expected);
  });
});

describe("counts", () => {
  it("of addresses and lengths", async () => {
    const { table } = await readAll("10.0.0.0/8\n10.1.0.0/16 a\n11.0.0.0/24 b\n255.255.255.255/32\n");
    expect(coveredAddresses(table.columns)).toBe(2 ** 24 + 256 + 1);
    expect(lengthCounts(table.columns).flatMap((n, l) => (n > 0 ? [[l, n]] : []))).toEqual([
      [8, 1],
      [16, 1],
      [24, 1],
      [32, 1],
    ]);
    const s = segments(table.columns, "route");
    expect([...s.starts].slice(0, 5)).toEqual([0, 0x0a000000, 0x0a010000, 0x0a020000, 0x0b000000]);
    expect([...s.values].slice(0, 5)).toEqual([0, 1, 2, 1, 3]);
  });
});

describe("ten thousand prefixes of a real table", () => {
  const file = new URL("../../../../fixtures/bgp-sample.txt.gz", import.meta.url);
  const sample = () => readTable(core, [readFileSync(file)]);

  /** Each length's prefixes in a set: independent of order, segments and the core. */
  const oracle = (table: RouteTable): ((address: number) => number) => {
    const maps = Array.from({ length: 33 }, () => new Map<number, number>());
    for (let i = 0; i < table.size; i++) {
      const l = table.columns.lengths[i]!;
      maps[l]!.set(Math.floor(table.columns.prefixes[i]! / 2 ** (32 - l)), i);
    }
    return (address) => {
      for (let l = 32; l >= 0; l--) {
        const i = maps[l]!.get(Math.floor(address / 2 ** (32 - l)));
        if (i !== undefined) return i;
      }
      return -1;
    };
  };

  it("wins as the oracle says, at every edge of every prefix", async () => {
    const { table } = await sample();
    const winner = oracle(table);
    expect(table.size).toBe(10_022);
    for (let i = 0; i < table.size; i++) {
      const first = table.columns.prefixes[i]!;
      const last = first + 2 ** (32 - table.columns.lengths[i]!) - 1;
      for (const a of [first - 1, first, last, last + 1]) {
        if (a >= 0 && a < ALL && table.lookup(a) !== winner(a))
          expect({ a, route: table.lookup(a) }).toEqual({ a, route: winner(a) });
      }
    }
    table.release();
  });

  it("has a smallest table with the same next hops, whatever they are", async () => {
    const { table } = await sample();
    const names = Array.from({ length: 7 }, (_, i) =>
      table.hops.number({ nexthop: `h${i}`, type: "", text: `h${i}`, key: `h${i}`, bare: true }),
    );
    // neighbours often go the same way
    const columns = {
      ...table.columns,
      hops: table.columns.hops.map((_, i) => names[(((i >>> 2) * 2654435761) >>> 7) % 7]!),
    };
    const given = new RouteTable(core, columns, table.hops);
    const small = smallest(given);
    expect(small.size).toBeLessThan(given.size);
    expect(ranges(given, small)).toEqual([]);
    expect(smallest(small).size).toBe(small.size);
    expect(coveredAddresses(small.columns)).toBe(coveredAddresses(given.columns));
    // one route less is one difference more
    const without = { ...small.columns, count: small.size - 1 };
    expect(ranges(given, new RouteTable(core, without, table.hops)).length).toBeGreaterThan(0);
  });
});
