import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import { parseMac } from "../../src/core/address.ts";
import type { Core } from "../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { runCommand } from "../../src/host/commands.ts";
import { Namespace } from "../../src/host/namespace.ts";
import { distribution } from "../../src/link/distribution.ts";
import type { Interface } from "../../src/link/interface.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { Prandom } from "../../src/link/prandom.ts";
import type { World } from "../../src/link/world.ts";
import { Egress } from "../../src/link/wire.ts";
import { coreOf, overBuilds } from "../support/cores.ts";

const MS = 1_000_000;
const US = 1_000;

/** One device, whose frames carry a number, and what came out of its wire and when. */
class Bench {
  readonly world: World;
  readonly ns: Namespace;
  readonly dev: Interface;
  readonly out: { at: number; id: number; bytes: Uint8Array }[] = [];

  constructor(core: Core, words: string | null, seed = 1, name = "a") {
    this.world = newWorld(core, { seed });
    this.ns = new Namespace(name, this.world);
    this.dev = this.ns.addInterface("eth0", "veth", parseMac("02:00:00:00:00:01")!, 1500);
    this.dev.peer = {
      receive: (_port, frame) => {
        const bytes = packetBytes(this.world.core, frame);
        const id = new DataView(bytes.buffer).getUint32(bytes.length - 4);
        this.out.push({ at: this.world.clock.now, id, bytes });
        this.world.x.packetFree(frame);
      },
    };
    if (words !== null) this.tc(`add dev eth0 root netem ${words}`);
  }

  tc(line: string): string {
    return runCommand(this.ns, `tc qdisc ${line}`);
  }

  send(id: number, length = 64): void {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(length - 4, id);
    this.dev.transmit(packetFrom(this.world.core, bytes));
  }

  /** `n` frames, `gap` ns apart, and then all that still happens. */
  run(n: number, gap = 0, length = 64): this {
    for (let i = 0; i < n; i++) {
      this.world.clock.advance(i * gap);
      this.send(i, length);
    }
    while (this.world.clock.step());
    expect(this.world.x.packetsInUse()).toBe(0);
    return this;
  }

  get netem() {
    return Egress.at(this.dev)!.netem!;
  }

  get ids(): number[] {
    return this.out.map((o) => o.id);
  }
}

/** Within four standard deviations of a binomial. */
function near(count: number, n: number, p: number): void {
  expect(Math.abs(count - n * p)).toBeLessThan(4 * Math.sqrt(n * p * (1 - p)) + 1);
}

const release = coreOf("release");
const bench = (words: string | null, seed = 1, name = "a"): Bench => new Bench(release, words, seed, name);

overBuilds("netem", (core) => {
  it("delays each by the same, and keeps the order", () => {
    const b = new Bench(core(), "delay 10ms").run(50, MS);
    expect(b.out.map((o) => o.at)).toEqual(Array.from({ length: 50 }, (_, i) => (i + 10) * MS));
    expect(b.ids).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it("loses, copies, corrupts, delays and holds all together, and no packet leaks", () => {
    const b = new Bench(core(), "delay 5ms 3ms 20% loss 5% duplicate 7% corrupt 3% reorder 10% rate 10mbit limit 40");
    b.run(3000, 200 * US, 300);
    const n = b.netem;
    expect(n.sent).toBe(b.out.length);
    expect(3000 + n.duplicated).toBe(n.sent + n.dropped);
    expect(n.backlog).toBe(0);
    expect(n.backlogBytes).toBe(0);
    for (const c of [n.dropped, n.overlimits, n.duplicated, n.corrupted, n.reordered]) expect(c).toBeGreaterThan(0);
  });
});

describe("delay", () => {
  it("without anything to wait for, a frame passes at once", () => {
    expect(
      bench("loss 0%")
        .run(3)
        .out.map((o) => o.at),
    ).toEqual([0, 0, 0]);
  });

  it("jitter is uniform within its bounds (tabledist)", () => {
    const b = bench("delay 10ms 4ms").run(20000, 50 * MS);
    const late = b.out.map((o) => o.at - o.id * 50 * MS);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(6 * MS);
    expect(Math.max(...late)).toBeLessThan(14 * MS);
    const mean = late.reduce((s, x) => s + x, 0) / late.length;
    expect(Math.abs(mean - 10 * MS)).toBeLessThan(0.1 * MS);
    const deviation = Math.sqrt(late.reduce((s, x) => s + (x - mean) ** 2, 0) / late.length);
    expect(Math.abs(deviation - (4 * MS) / Math.sqrt(3))).toBeLessThan(0.1 * MS);
  });

  it.each(["normal", "pareto", "paretonormal"] as const)(
    "distribution %s has its table's mean and deviation",
    (shape) => {
      const moments = (z: number[]): [number, number] => {
        const m = z.reduce((s, x) => s + x, 0) / z.length;
        return [m, Math.sqrt(z.reduce((s, x) => s + (x - m) ** 2, 0) / z.length)];
      };
      const b = bench(`delay 100ms 10ms distribution ${shape}`).run(20000, 500 * MS);
      const [m, d] = moments(b.out.map((o) => (o.at - o.id * 500 * MS - 100 * MS) / (10 * MS)));
      const [mean, deviation] = moments(Array.from(distribution(shape), (v) => v / 8192));
      expect(m).toBeCloseTo(mean, 1);
      expect(d).toBeCloseTo(deviation, 1);
    },
  );

  it("jitter larger than the gaps changes the order, and what is earlier than now leaves now", () => {
    const b = bench("delay 1ms 5ms").run(500, 100 * US);
    expect(b.ids).not.toEqual(b.ids.toSorted((x, y) => x - y));
    expect(b.out.every((o) => o.at >= o.id * 100 * US)).toBe(true);
    expect(b.ids.toSorted((x, y) => x - y)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it("with a correlation of 100% all are late by the same (get_crandom)", () => {
    const b = bench("delay 10ms 4ms 100%").run(50, 50 * MS);
    expect(new Set(b.out.map((o) => o.at - o.id * 50 * MS)).size).toBe(1);
  });
});

describe("loss", () => {
  it("at random, as often as it is said; a drop is counted with its reason", () => {
    const b = bench("loss 3%").run(40000);
    near(40000 - b.out.length, 40000, 0.03);
    expect(b.ns.drops[Drop.LinkLoss]).toBe(40000 - b.out.length);
    expect(bench("loss 100%").run(100).out.length).toBe(0);
    expect(bench("loss 0%").run(100).out.length).toBe(100);
  });

  it("with a seed, what Linux's generator says of each packet (loss >= prandom_u32)", () => {
    const seed = 0x1234_5678_9abc_def0n;
    const b = bench(`loss 10% seed ${seed}`).run(500);
    const r = new Prandom(Number(seed >> 32n), Number(seed & 0xffffffffn));
    const kept = Array.from({ length: 500 }, (_, i) => i).filter(() => !(Math.round(0.1 * 0xffffffff) >= r.u32()));
    expect(b.ids).toEqual(kept);
    // the world's seed and the name do not matter then
    expect(bench(`loss 10% seed ${seed}`, 99, "other").run(500).ids).toEqual(kept);
  });

  it("correlated: losses come in bursts", () => {
    const b = bench("loss 30% 60%").run(20000);
    const lost = new Set(Array.from({ length: 20000 }, (_, i) => i));
    for (const id of b.ids) lost.delete(id);
    let pairs = 0;
    for (const id of lost) if (lost.has(id + 1)) pairs++;
    // the mean of two uniform numbers lies less often below 30%: netem's known bias
    expect(lost.size / 20000).toBeLessThan(0.25);
    expect(pairs / lost.size).toBeGreaterThan((1.5 * lost.size) / 20000);
  });

  it("Gilbert-Elliott: rate and mean burst are the chain's", () => {
    // p 1%, r 10%: bad p/(p+r) of the time, bursts of 1/r
    const b = bench("loss gemodel 1% 10%").run(100000);
    const kept = new Uint8Array(100000);
    for (const id of b.ids) kept[id] = 1;
    let bursts = 0;
    let lost = 0;
    for (let i = 0; i < 100000; i++) {
      if (kept[i] === 1) continue;
      lost++;
      if (i === 0 || kept[i - 1] === 1) bursts++;
    }
    expect(lost / 100000).toBeCloseTo(0.01 / 0.11, 2);
    expect(Math.abs(lost / bursts - 10)).toBeLessThan(1);
    // 1-h 50%, 1-k 1%: half of what is sent while bad, one in a hundred while good
    const c = bench("loss gemodel 1% 10% 50% 1%").run(100000);
    expect((100000 - c.out.length) / 100000).toBeCloseTo((0.01 / 0.11) * 0.5 + (0.1 / 0.11) * 0.01, 2);
  });

  it("four states: the loss rate of the chain", () => {
    // p13 and p31 alone: two states, lost p13/(p13+p31) of the time
    const b = bench("loss state 2% 18%").run(100000);
    expect((100000 - b.out.length) / 100000).toBeCloseTo(0.1, 2);
    // p14: single losses, never two in a row
    const c = bench("loss state 0% 100% 0% 100% 20%").run(20000);
    expect(c.out.length).toBeLessThan(20000);
    const kept = new Set(c.ids);
    for (let i = 1; i < 20000; i++) expect(kept.has(i) || kept.has(i - 1)).toBe(true);
  });
});

describe("duplicate", () => {
  it("as often as it is said, the copy first and not copied again", () => {
    const b = bench("duplicate 20%").run(20000);
    near(b.out.length - 20000, 20000, 0.2);
    const count = new Map<number, number>();
    for (const id of b.ids) count.set(id, (count.get(id) ?? 0) + 1);
    expect(Math.max(...count.values())).toBe(2);
    expect(bench("duplicate 100%").run(3).ids).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it("a packet that is lost and copied at once arrives once", () => {
    expect(bench("duplicate 100% loss 100%").run(5).ids).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("reorder", () => {
  it("with gap 5 and certainty every fifth leaves at once", () => {
    const b = bench("delay 10ms reorder 100% gap 5").run(20, MS);
    const late = new Map(b.out.map((o) => [o.id, o.at - o.id * MS]));
    for (let i = 0; i < 20; i++) expect(late.get(i)).toBe(i % 5 === 4 ? 0 : 10 * MS);
    expect(b.netem.reordered).toBe(4);
  });

  it("without a gap each may", () => {
    const b = bench("delay 10ms reorder 25%").run(20000, 20 * US);
    near(b.netem.reordered, 20000, 0.25);
    expect(b.out.filter((o) => o.at === o.id * 20 * US).length).toBe(b.netem.reordered);
  });
});

describe("corrupt", () => {
  it("one bit of one byte, anywhere in the frame", () => {
    const b = bench("corrupt 100%").run(3000, 0, 64);
    const places = new Set<number>();
    for (const o of b.out) {
      const id = b.out.indexOf(o);
      const sent = new Uint8Array(64);
      new DataView(sent.buffer).setUint32(60, id);
      const wrong = Array.from(o.bytes, (x, i) => x ^ sent[i]!).flatMap((x, i) => (x === 0 ? [] : [[i, x] as const]));
      expect(wrong.length).toBe(1);
      const [at, bits] = wrong[0]!;
      expect(bits & (bits - 1)).toBe(0);
      places.add(at * 8 + Math.log2(bits));
    }
    expect(places.size).toBeGreaterThan(500);
  });

  it("as often as it is said", () => {
    near(bench("corrupt 2%").run(30000).netem.corrupted, 30000, 0.02);
  });
});

describe("rate", () => {
  it("packets follow each other, each as long as its bytes with the Ethernet header take", () => {
    // 1514 bytes at 10 Mbit/s: 1211.2 us
    const b = bench("rate 10mbit").run(10, 0, 1514);
    expect(b.out.map((o) => o.at)).toEqual(Array.from({ length: 10 }, (_, i) => (i + 1) * 1_211_200));
  });

  it("delay counts from when the packet came: its wait in the queue is part of it", () => {
    const b = bench("rate 10mbit delay 5ms").run(10, 0, 1514);
    expect(b.out.map((o) => o.at)).toEqual(
      // the first: 5 ms and its own time; those behind: what the queue leaves of 5 ms, and their own time
      Array.from({ length: 10 }, (_, i) => 5 * MS + (i + 1) * 1_211_200),
    );
  });

  it("overhead and cells: ATM's 53 bytes for 48", () => {
    // 100 + 8 bytes in cells of 48: 3 cells of 53 bytes at 1 Mbit/s
    const b = bench("rate 1mbit 8 48 5").run(1, 0, 100);
    expect(b.out[0]!.at).toBe((3 * 53 * 1e9) / 125000);
    const c = bench("rate 1mbit -14").run(1, 0, 114);
    expect(c.out[0]!.at).toBe((100 * 1e9) / 125000);
  });

  it("idle time is not saved up", () => {
    const b = bench("rate 10mbit").run(2, 100 * MS, 1514);
    expect(b.out.map((o) => o.at)).toEqual([1_211_200, 100 * MS + 1_211_200]);
  });
});

describe("limit", () => {
  it("what does not fit is dropped with its reason", () => {
    const b = bench("delay 10ms limit 5").run(8);
    expect(b.ids).toEqual([0, 1, 2, 3, 4]);
    expect(b.ns.drops[Drop.QueueLimit]).toBe(3);
    expect(b.netem.overlimits).toBe(3);
  });
});

describe("ecn", () => {
  it("marks what can carry it instead of losing it, the checksum with it", () => {
    const b = bench("loss 100% ecn");
    const packet = (tos: number): Uint8Array => {
      const p = new Uint8Array(64);
      p.set([8, 0], 12);
      p.set([0x45, tos, 0, 50, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
      let sum = 0;
      for (let i = 14; i < 34; i += 2) sum += (p[i]! << 8) | p[i + 1]!;
      sum = (sum & 0xffff) + (sum >>> 16);
      new DataView(p.buffer).setUint16(24, ~sum & 0xffff);
      return p;
    };
    for (const tos of [0, 1, 2, 3]) b.dev.transmit(packetFrom(b.world.core, packet(tos)));
    expect(b.out.map((o) => o.bytes)).toEqual([packet(3), packet(3), packet(3)]);
    expect(b.ns.drops[Drop.LinkLoss]).toBe(1);
    expect(b.netem.marked).toBe(3);
  });
});

describe("chance", () => {
  it("is the seed's and the device's: same seed, same packets; another seed or name, others", () => {
    const words = "delay 2ms 1ms loss 10% duplicate 5% corrupt 5%";
    const run = (seed: number, name: string) => bench(words, seed, name).run(300, 300 * US).out;
    expect(run(1, "a")).toEqual(run(1, "a"));
    expect(run(2, "a")).not.toEqual(run(1, "a"));
    expect(run(1, "b")).not.toEqual(run(1, "a"));
  });

  it("takes nothing from the world's generator", () => {
    const plain = bench(null).run(10);
    const lossy = bench("loss 50% corrupt 10%").run(10);
    expect(lossy.world.rng.u32()).toBe(plain.world.rng.u32());
  });

  it("get_crandom in doubles is the formula in 64 bits", () => {
    // through the words: a correlated loss of a known seed, against BigInt
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 0xffffffff }), (percent, seed) => {
        const b = bench(`loss 40% ${percent}% seed ${seed}`);
        const rho = BigInt(Math.round((percent / 100) * 0xffffffff)) + 1n;
        const r = new Prandom(0, seed);
        let last = BigInt((b.netem as unknown as { lossRandom: { lastValue: number } }).lossRandom.lastValue);
        const want: number[] = [];
        for (let i = 0; i < 50; i++) {
          last = (BigInt(r.u32()) * ((1n << 32n) - rho) + last * rho) >> 32n;
          if (!(BigInt(Math.round(0.4 * 0xffffffff)) >= last)) want.push(i);
        }
        expect(b.run(50).ids).toEqual(want);
      }),
      { numRuns: 30 },
    );
  });
});

describe("tc qdisc", () => {
  it("add, change, replace, del, show", () => {
    const b = bench(null);
    expect(b.tc("show dev eth0")).toBe("");
    b.tc("add dev eth0 root netem delay 10ms rate 1mbit");
    expect(() => b.tc("add dev eth0 root netem delay 10ms")).toThrow(/has netem already/);
    expect(b.tc("show dev eth0")).toBe("qdisc netem 8002: dev eth0 root refcnt 2 limit 1000 delay 10ms rate 1Mbit\n");
    // what change does not say about rate, reorder and corrupt stays
    b.tc("change dev eth0 root netem delay 20ms 1ms 25% loss 1%");
    expect(b.tc("show")).toContain("limit 1000 delay 20ms 1ms 25% loss 1% rate 1Mbit\n");
    b.tc("replace dev eth0 root handle 1: netem loss gemodel 1% 10% 70% 0.1%");
    expect(b.tc("show")).toContain("limit 1000 loss gemodel 1% 10% 70% 0.1% rate 1Mbit\n");
    b.send(1);
    while (b.world.clock.step());
    expect(runCommand(b.ns, "tc -s qdisc show dev eth0")).toContain(" Sent 64 bytes 1 pkt (dropped 0, overlimits 0");
    b.tc("del dev eth0 root");
    expect(b.tc("show")).toBe("");
    expect(() => b.tc("del dev eth0 root")).toThrow(/has no netem/);
    expect(() => b.tc("change dev eth0 root netem loss 1%")).toThrow(/has no netem/);
    b.send(2);
    expect(b.out.length).toBe(2);
  });

  it("what waits when netem goes is lost, counted", () => {
    const b = bench("delay 10ms");
    b.send(1);
    b.tc("del dev eth0 root");
    expect(b.ns.drops[Drop.LinkDown]).toBe(1);
    expect(b.world.x.packetsInUse()).toBe(0);
    expect(b.world.clock.pending).toBe(0);
  });

  it("on loopback too", () => {
    const b = bench(null);
    const lo = b.ns.byName.get("lo")!;
    b.tc("add dev lo root netem delay 7ms");
    let received = -1;
    b.world.tracer = (e) => void (e.kind === "receive" && (received = e.time));
    lo.transmit(packetFrom(release, new Uint8Array(64)));
    expect(received).toBe(-1);
    while (b.world.clock.step());
    expect(received).toBe(7 * MS);
    expect(b.world.x.packetsInUse()).toBe(0);
  });

  it.each([
    ["tc", "tc: the line ends, expected qdisc"],
    ["tc class show", "tc: 'class', expected qdisc"],
    ["tc qdisc frob dev eth0", "tc qdisc: 'frob', expected add, change, replace, del or show"],
    ["tc qdisc add dev eth9 root netem", "a has no device 'eth9'"],
    ["tc qdisc add root netem", "tc qdisc: expected dev DEVICE"],
    ["tc qdisc add dev eth0 netem delay 1ms", "tc qdisc: expected root: only the root of a device holds netem"],
    ["tc qdisc add dev eth0 root tbf rate 1mbit", "tc qdisc: 'tbf', expected netem"],
    ["tc qdisc add dev eth0 root", "tc qdisc: the line ends, expected netem"],
    [
      "tc qdisc add dev eth0 root netem loss x",
      "netem: 'x', expected a percentage, random, state or gemodel, 0% to 100%",
    ],
  ])("refuses '%s'", (line, message) => {
    expect(() => runCommand(bench(null).ns, line)).toThrow(message);
  });

  it("an error's column counts in the whole line", () => {
    try {
      runCommand(bench(null).ns, "tc qdisc add dev eth0 root netem loss x");
      expect.unreachable();
    } catch (e) {
      expect((e as { column: number }).column).toBe(39);
    }
  });
});

it("a frame's descriptor stays its own: nothing is written into what waits", () => {
  const b = bench("delay 1ms");
  const frame = packetFrom(release, new Uint8Array(60).fill(7));
  release.u32[(frame + Pkt.Mark) >> 2] = 5;
  b.dev.transmit(frame);
  while (b.world.clock.step());
  expect(b.out[0]!.bytes).toEqual(new Uint8Array(60).fill(7));
});
