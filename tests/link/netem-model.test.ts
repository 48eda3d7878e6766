// netem against a naive one in exact arithmetic: lists that are searched, BigInt, the same random numbers.

import fc from "fast-check";
import { expect, it } from "vitest";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { runCommand } from "../../src/host/commands.ts";
import { Namespace } from "../../src/host/namespace.ts";
import { parseNetem } from "../../src/host/netemwords.ts";
import { distribution } from "../../src/link/distribution.ts";
import type { NetemOptions } from "../../src/link/netem.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { Prandom } from "../../src/link/prandom.ts";
import { Egress } from "../../src/link/wire.ts";
import { coreOf } from "../support/cores.ts";

const core = coreOf("release");

interface Sent {
  readonly id: number;
  readonly length: number;
}

interface Out {
  readonly at: bigint;
  readonly id: number;
}

/** A correlated number: the mean of the last and a new one, weighted (get_crandom). */
class Correlated {
  constructor(
    private readonly random: Prandom,
    private readonly correlation: number,
    private last: bigint,
  ) {}

  next(): bigint {
    const value = BigInt(this.random.u32());
    if (this.correlation === 0) return value;
    const rho = BigInt(this.correlation) + 1n;
    this.last = (value * ((1n << 32n) - rho) + this.last * rho) >> 32n;
    return this.last;
  }
}

class Model {
  readonly out: Out[] = [];
  private now = 0n;
  private line: { at: bigint; sent: Sent }[] = [];
  private tree: { at: bigint; sent: Sent }[] = [];
  private counter = 0;
  private state = 1;
  private readonly of: Record<"delay" | "loss" | "duplicate" | "reorder" | "corrupt", Correlated>;

  constructor(
    private readonly o: NetemOptions,
    private readonly random: Prandom,
    start: Record<"delay" | "loss" | "duplicate" | "reorder" | "corrupt", number>,
  ) {
    const c = (correlation: number, last: number): Correlated => new Correlated(random, correlation, BigInt(last));
    this.of = {
      delay: c(o.delayCorrelation, start.delay),
      loss: c(o.loss?.kind === "random" ? o.loss.correlation : 0, start.loss),
      duplicate: c(o.duplicate.correlation, start.duplicate),
      reorder: c(o.reorder?.correlation ?? 0, start.reorder),
      corrupt: c(o.corrupt?.correlation ?? 0, start.corrupt),
    };
  }

  /** All that is due up to `now` leaves, the earliest first. */
  advance(now: bigint): void {
    for (;;) {
      const [a, b] = [this.line[0], this.tree[0]];
      const first = b !== undefined && (a === undefined || b.at < a.at) ? b : a;
      if (first === undefined || first.at > now) break;
      if (first === b) this.tree.shift();
      else this.line.shift();
      const at = first.at > this.now ? first.at : this.now;
      this.now = at;
      this.out.push({ at, id: first.sent.id });
    }
    this.now = now;
  }

  enqueue(sent: Sent, mayDouble: boolean): void {
    const { o, of } = this;
    let count = 1;
    if (mayDouble && o.duplicate.chance > 0 && BigInt(o.duplicate.chance) >= of.duplicate.next()) count++;
    if (this.lost()) count--;
    if (count === 0) return;
    if (o.corrupt !== null && o.corrupt.chance > 0) of.corrupt.next();
    if (this.line.length + this.tree.length >= o.limit) return;
    if (count === 2) this.enqueue(sent, false);
    const gap = o.gap;
    const delayed =
      gap === 0 || this.counter < gap - 1 || BigInt(o.reorder === null ? 0 : o.reorder.chance) < of.reorder.next();
    if (!delayed) {
      this.counter = 0;
      this.out.push({ at: this.now, id: sent.id });
      return;
    }
    this.counter++;
    let delay = this.delay();
    let from = this.now;
    if (o.rate !== null && o.rate.rate !== 0) {
      const all = [...this.line, ...this.tree].map((e) => e.at);
      if (all.length > 0) {
        const last = all.reduce((x, y) => (x > y ? x : y));
        delay -= last - this.now;
        if (delay < 0n) delay = 0n;
        from = last;
      }
      const { rate, packetOverhead, cellSize, cellOverhead } = o.rate;
      let n = BigInt(Math.max(0, sent.length + packetOverhead));
      if (cellSize !== 0) {
        const cells = (n + BigInt(cellSize) - 1n) / BigInt(cellSize);
        n = cells * BigInt(cellSize + cellOverhead);
      }
      delay += (n * 1_000_000_000n) / BigInt(rate);
    }
    const at = from + delay;
    if (this.line.length === 0 || at >= this.line[this.line.length - 1]!.at) this.line.push({ at, sent });
    else {
      const i = this.tree.findIndex((e) => e.at > at);
      this.tree.splice(i < 0 ? this.tree.length : i, 0, { at, sent });
    }
    this.advance(this.now);
  }

  private delay(): bigint {
    const { latency, jitter, distribution: shape } = this.o;
    if (jitter === 0) return BigInt(latency);
    const random = this.of.delay.next();
    const sigma = BigInt(jitter);
    if (shape === null || shape === "uniform") return (random % (2n * sigma)) + BigInt(latency) - sigma;
    const t = BigInt(distribution(shape)[Number(random % 4096n)]!);
    let x = (sigma % 8192n) * t;
    x += x >= 0n ? 4096n : -4096n;
    return x / 8192n + (sigma / 8192n) * t + BigInt(latency);
  }

  private lost(): boolean {
    const { loss } = this.o;
    if (loss === null) return false;
    if (loss.kind === "random") return loss.chance > 0 && BigInt(loss.chance) >= this.of.loss.next();
    if (loss.kind === "gemodel") {
      if (this.state === 1) {
        if (this.random.u32() < loss.p) this.state = 2;
        return this.random.u32() < loss.k1;
      }
      if (this.random.u32() < loss.r) this.state = 1;
      return this.random.u32() > loss.h;
    }
    const r = this.random.u32();
    const { p13, p31, p32, p23, p14 } = loss;
    switch (this.state) {
      case 1:
        if (r < p14) this.state = 4;
        else if (r > p14 && r < (p13 + p14) % 2 ** 32) this.state = 3;
        else return false;
        return true;
      case 2:
        if (r < p23) this.state = 3;
        return r < p23;
      case 3:
        if (r < p32) this.state = 2;
        else if (r > p32 && r < (p31 + p32) % 2 ** 32) this.state = 1;
        else return r > (p31 + p32) % 2 ** 32;
        return false;
      default:
        this.state = 1;
        return false;
    }
  }
}

const percent = fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`);
const correlated = fc.tuple(percent, fc.option(percent)).map(([p, c]) => (c === null ? p : `${p} ${c}`));

const delays = fc
  .record({
    latency: fc.integer({ min: 1, max: 5000 }),
    jitter: fc.option(fc.integer({ min: 1, max: 8000 })),
    correlation: fc.option(percent),
    shape: fc.option(fc.constantFrom("uniform", "normal", "pareto", "paretonormal")),
  })
  .map(({ latency, jitter, correlation, shape }) => {
    if (jitter === null) return `delay ${latency}us`;
    const c = correlation === null ? "" : ` ${correlation}`;
    return `delay ${latency}us ${jitter}us${c}${shape === null ? "" : ` distribution ${shape}`}`;
  });

const words = fc
  .record({
    delay: fc.option(delays),
    reorder: fc.option(fc.tuple(correlated, fc.option(fc.integer({ min: 1, max: 5 })))),
    loss: fc.option(
      fc.oneof(
        correlated,
        fc.array(percent, { minLength: 1, maxLength: 5 }).map((p) => `state ${p.join(" ")}`),
        fc.array(percent, { minLength: 1, maxLength: 4 }).map((p) => `gemodel ${p.join(" ")}`),
      ),
    ),
    duplicate: fc.option(correlated),
    corrupt: fc.option(correlated),
    rate: fc.option(
      fc
        .tuple(
          fc.integer({ min: 1, max: 2000 }),
          fc.integer({ min: -20, max: 20 }),
          fc.integer({ min: 0, max: 60 }),
          fc.integer({ min: 0, max: 10 }),
        )
        .map(([k, overhead, cell, cellOverhead]) => `${k}kbit ${overhead} ${cell} ${cellOverhead}`),
    ),
    limit: fc.option(fc.integer({ min: 1, max: 30 })),
  })
  .map((o) => {
    const out: string[] = [];
    if (o.delay !== null) out.push(o.delay);
    for (const k of ["loss", "duplicate", "corrupt", "rate", "limit"] as const) {
      if (o[k] !== null) out.push(`${k} ${o[k]}`);
    }
    if (o.delay !== null && o.reorder !== null && !o.reorder[0].startsWith("0%")) {
      out.push(`reorder ${o.reorder[0]}${o.reorder[1] === null ? "" : ` gap ${o.reorder[1]}`}`);
    }
    return out.join(" ");
  })
  .filter((line) => line !== "");

it("every packet leaves when, and as often as, the naive one says", () => {
  const packets = fc.array(
    fc.record({ gap: fc.integer({ min: 0, max: 3_000_000 }), length: fc.integer({ min: 60, max: 1514 }) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(words, fc.integer({ min: 0, max: 0x7fffffff }), packets, (line, seed, sends) => {
      const world = newWorld(core, { seed: 1 });
      const ns = new Namespace("a", world);
      const dev = ns.addInterface("eth0", "veth", Uint8Array.of(2, 0, 0, 0, 0, 1), 1500);
      const got: Out[] = [];
      // what is corrupted is still told by its length
      const lengths: number[] = [];
      dev.peer = {
        receive: (_port, frame) => {
          const length = packetBytes(core, frame).length;
          got.push({ at: BigInt(world.clock.now), id: lengths.indexOf(length) });
          world.x.packetFree(frame);
        },
      };
      runCommand(ns, `tc qdisc add dev eth0 root netem ${line} seed ${seed}`);
      const netem = Egress.at(dev)!.netem! as unknown as Record<string, { lastValue: number }>;
      const start = (name: string): number => netem[`${name}Random`]!.lastValue;
      const model = new Model(parseNetem(line), new Prandom(0, seed), {
        delay: start("delay"),
        loss: start("loss"),
        duplicate: start("duplicate"),
        reorder: start("reorder"),
        corrupt: start("corrupt"),
      });
      let now = 0;
      for (const [i, s] of sends.entries()) {
        now += s.gap;
        // each length once
        let { length } = s;
        while (lengths.includes(length)) length = length === 1514 ? 60 : length + 1;
        lengths.push(length);
        world.clock.advance(now);
        dev.transmit(packetFrom(core, new Uint8Array(length)));
        model.advance(BigInt(now));
        model.enqueue({ id: i, length }, true);
      }
      while (world.clock.step());
      model.advance(1n << 60n);
      expect(got).toEqual(model.out);
      expect(world.x.packetsInUse()).toBe(0);
    }),
    { numRuns: 500 },
  );
});
