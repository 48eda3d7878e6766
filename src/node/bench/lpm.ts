// src/node/bench/lpm.ts: longest-prefix match over a table of the Internet's size.

import { writeFileSync } from "node:fs";
import type { Core } from "../../core/core.ts";
import { Rng } from "../../link/rng.ts";
import { loadCore } from "../core.ts";
import type { Env, LineProgram, Suite } from "./env.ts";
import { Absent, now, type Peer } from "./measure.ts";
import { generateRoutes, keysOf, readRoutes, type Routes, shuffle } from "./routes.ts";

/** Keys of a batch. */
const BATCH = 256;
const SLICES = 9;
const kinds = ["uniform", "in-table", "skewed"] as const;

/** rte_lpm searches its rules one by one (22.11): two minutes to build this table, 0.6 ms to add or withdraw a /24. */
const SLOW = { "DPDK rte_lpm": "not timed: it searches its rules one by one, some minutes for this table" };

/** A reference program that has the table, or why there is none. */
type Program = () => Promise<LineProgram>;

class Lpm {
  readonly core: Core = loadCore();
  readonly routes: Routes;
  /** Addresses in the core. */
  readonly entries: number;
  readonly keysAt: number;
  readonly outAt: number;
  readonly keyCount: number;
  table: number;
  readonly env: Env;

  constructor(env: Env) {
    this.env = env;
    const { x, u32 } = this.core;
    this.routes =
      env.options.table !== null ? readRoutes(env.options.table) : generateRoutes(env.size(950_000, 3000), 1);
    this.keyCount = env.size(1 << 20, 1024);
    this.entries = x.alloc(this.routes.words.byteLength) >>> 0;
    this.keysAt = x.alloc(this.keyCount * 4) >>> 0;
    this.outAt = x.alloc(BATCH * 4) >>> 0;
    if (this.entries === 0 || this.keysAt === 0 || this.outAt === 0) throw new Error("lpm: the table is too large");
    u32.set(this.routes.words, this.entries >> 2);
    this.table = this.load();
  }

  /** A new table with all routes. */
  load(): number {
    const { x } = this.core;
    const t = x.fibNew() >>> 0;
    const n = x.fibLoad(t, this.entries, this.routes.count) >>> 0;
    if (n !== this.routes.count) throw new Error(`lpm: ${n} of ${this.routes.count} routes fit into memory`);
    return t;
  }

  keys(kind: string): Uint32Array {
    return keysOf(kind, this.routes, this.keyCount, 2);
  }

  /** All keys through `fibBatch`, folded into one number. */
  digest(): string {
    const { x, u32 } = this.core;
    let h = 0;
    for (let i = 0; i < this.keyCount; i += BATCH) {
      x.fibBatch(this.table, this.keysAt + i * 4, this.outAt, BATCH);
      for (let k = 0; k < BATCH; k++) h = (Math.imul(h, 31) + u32[(this.outAt >> 2) + k]!) >>> 0;
    }
    return h.toString(16);
  }

  /** The same one by one. */
  digestSingle(): string {
    const { x, u32 } = this.core;
    let h = 0;
    for (let i = 0; i < this.keyCount; i++) {
      h = (Math.imul(h, 31) + x.fibLookup(this.table, u32[(this.keysAt >> 2) + i]!)) >>> 0;
    }
    return h.toString(16);
  }

  batches(): number {
    const { x } = this.core;
    const { table, keysAt, outAt } = this;
    const end = keysAt + this.keyCount * 4;
    const from = now();
    for (let at = keysAt; at < end; at += BATCH * 4) x.fibBatch(table, at, outAt, BATCH);
    return ((now() - from) * 1e6) / this.keyCount;
  }

  singles(): number {
    const { x, u32 } = this.core;
    const { table } = this;
    const first = this.keysAt >> 2;
    const end = first + this.keyCount;
    let sum = 0;
    const from = now();
    for (let i = first; i < end; i++) sum = (sum + x.fibLookup(table, u32[i]!)) | 0;
    const ms = now() - from;
    if (!Number.isFinite(sum)) throw new Error("lpm: no sum");
    return (ms * 1e6) / this.keyCount;
  }

  build(): number {
    this.core.x.fibFree(this.table);
    const from = now();
    this.table = this.load();
    return now() - from;
  }

  /** Withdraws `n` of the routes, named by `order`, and adds them again; microseconds of one of either. */
  flap(order: Uint32Array): { add: number; withdraw: number } {
    const { x } = this.core;
    const { words } = this.routes;
    const from = now();
    for (let i = 0; i < order.length; i++) x.fibDel(this.table, words[order[i]! * 3]!, words[order[i]! * 3 + 1]!);
    const half = now();
    for (let i = 0; i < order.length; i++) {
      const at = order[i]! * 3;
      x.fibAdd(this.table, words[at]!, words[at + 1]!, words[at + 2]!);
    }
    const end = now();
    return { withdraw: ((half - from) * 1000) / order.length, add: ((end - half) * 1000) / order.length };
  }

  /** The /8 that holds the most routes: its own route comes and goes (another value if there is one already). */
  wide(): { prefix: number; value: number } {
    const held = new Uint32Array(256);
    for (let i = 0; i < this.routes.count; i++) held[this.routes.words[i * 3]! >>> 24]!++;
    const first = held.indexOf(Math.max(...held));
    const prefix = (first << 24) >>> 0;
    return { prefix, value: this.core.x.fibGet(this.table, prefix, 8) >>> 0 };
  }
}

/** The keys for the reference programs, written when the first is asked for them. */
function programs(env: Env, lpm: Lpm): { c: Program; dpdk: Program } {
  let written = false;
  const files = (): string[] => {
    const names = ["routes", ...kinds].map((k) => env.file(`lpm-${k}`));
    if (!written) {
      writeFileSync(names[0]!, new Uint8Array(lpm.routes.words.buffer));
      kinds.forEach((kind, i) => writeFileSync(names[i + 1]!, new Uint8Array(lpm.keys(kind).buffer)));
      written = true;
    }
    return names;
  };
  const once = (make: Program): Program => {
    let made: Promise<LineProgram> | null = null;
    return () => (made ??= make());
  };
  const ready = async (p: LineProgram): Promise<LineProgram> => {
    const said = await p.ask("ready");
    if (said !== "ready") throw new Absent(said);
    return p;
  };
  return {
    c: once(async () => ready(env.start(await env.compile("lpm.c"), files()))),
    dpdk: once(async () => ready(env.start(await env.compile("rte_lpm.c", { library: "libdpdk" }), files()))),
  };
}

async function run(env: Env): Promise<void> {
  const lpm = new Lpm(env);
  const { x, u32 } = lpm.core;
  const { c, dpdk } = programs(env, lpm);
  const what = `${lpm.routes.count} routes${env.options.table === null ? ", generated" : ""}`;
  const ask = (name: string, program: Program, line: string, digest: string | null): Promise<Peer> =>
    env.peer(name, async () => {
      const p = await program();
      const timed = { run: () => p.number(line) };
      return digest === null ? timed : { ...timed, answer: () => p.ask(digest) };
    });

  for (const kind of kinds) {
    if (!env.wants(`lpm.${kind}`)) continue;
    u32.set(lpm.keys(kind), lpm.keysAt >> 2);
    await env.measure({
      name: `lpm.${kind}`,
      unit: "ns/lookup",
      better: "less",
      slices: SLICES,
      note: `${what}; batches of ${BATCH}, ${kind} keys`,
      answer: () => lpm.digest(),
      run: () => lpm.batches(),
      peers: [
        await ask("C, same structure", c, `batch ${kind}`, `digest ${kind}`),
        await ask("DPDK rte_lpm bulk", dpdk, `bulk ${kind}`, `digest ${kind}`),
        await ask("DPDK rte_lpm x4", dpdk, `x4 ${kind}`, `digest ${kind}`),
      ],
    });
  }
  if (env.wants("lpm.single")) {
    u32.set(lpm.keys("in-table"), lpm.keysAt >> 2);
    await env.measure({
      name: "lpm.single",
      unit: "ns/lookup",
      better: "less",
      slices: SLICES,
      note: `${what}; one lookup a call, in-table keys`,
      answer: () => lpm.digestSingle(),
      run: () => lpm.singles(),
      peers: [
        await ask("C, same structure", c, "single in-table", "digest in-table"),
        await ask("DPDK rte_lpm", dpdk, "single in-table", "digest in-table"),
      ],
    });
  }
  if (env.wants("lpm.bytes")) {
    await env.measure({
      name: "lpm.bytes",
      unit: "MiB",
      better: "less",
      once: true,
      note: `what lookups touch; ${((x.fibBytes(lpm.table) >>> 0) / 2 ** 20).toFixed(1)} MiB with what updates need`,
      run: () => (x.fibFastBytes(lpm.table) >>> 0) / 2 ** 20,
      peers: [await ask("DPDK rte_lpm", dpdk, "bytes", null)],
    });
  }
  if (env.wants("lpm.small-bytes")) {
    const small = x.fibNew() >>> 0;
    x.fibAdd(small, 0, 0, 1);
    x.fibAdd(small, 0xac110000, 16, 2);
    x.fibAdd(small, 0xc6336400, 24, 3);
    await env.measure({
      name: "lpm.small-bytes",
      unit: "bytes",
      better: "less",
      once: true,
      note: "a namespace with three routes",
      run: () => x.fibBytes(small) >>> 0,
    });
    x.fibFree(small);
  }
  if (env.wants("lpm.build")) {
    await env.measure({
      name: "lpm.build",
      unit: "ms",
      better: "less",
      note: `${what} in random order, sorted and built into an empty table`,
      run: () => lpm.build(),
      absent: SLOW,
    });
  }
  await updates(env, lpm);
}

async function updates(env: Env, lpm: Lpm): Promise<void> {
  const { x } = lpm.core;
  const order = Uint32Array.from({ length: lpm.routes.count }, (_, i) => i);
  shuffle(order, 1, new Rng(3));
  const few = order.slice(0, env.size(20_000, 100));
  for (const kind of ["add", "withdraw"] as const) {
    if (!env.wants(`lpm.${kind}`)) continue;
    await env.measure({
      name: `lpm.${kind}`,
      unit: "us",
      better: "less",
      slices: 3,
      note: `one route of the full table, ${few.length} in random order`,
      run: () => lpm.flap(few)[kind],
      absent: SLOW,
    });
  }
  if (env.wants("lpm.wide")) {
    const { prefix, value } = lpm.wide();
    let next = 300;
    await env.measure({
      name: "lpm.wide",
      unit: "us",
      better: "less",
      note: `the value of the /8 that holds the most routes changes, ${prefix >>> 24}.0.0.0/8`,
      run() {
        const from = now();
        for (let i = 0; i < 10; i++) x.fibAdd(lpm.table, prefix, 8, next + i);
        const us = (now() - from) * 100;
        next = next === 300 ? 400 : 300;
        return us;
      },
    });
    if (value === 0) x.fibDel(lpm.table, prefix, 8);
    else x.fibAdd(lpm.table, prefix, 8, value);
  }
}

export const lpm: Suite = {
  name: "lpm",
  summary: "longest-prefix match, 0.95 M routes",
  rows: [
    "lpm.uniform",
    "lpm.in-table",
    "lpm.skewed",
    "lpm.single",
    "lpm.bytes",
    "lpm.small-bytes",
    "lpm.build",
    "lpm.add",
    "lpm.withdraw",
    "lpm.wide",
  ],
  run,
};
