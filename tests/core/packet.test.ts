import fc from "fast-check";
import { expect, it } from "vitest";
import { Pkt } from "../../assembly/layout.ts";
import type { Core } from "../../src/core/core.ts";
import { field, packetBytes, packetFrom, setField } from "../../src/core/packet.ts";
import { coreOf, overBuilds } from "../support/cores.ts";

const HEADROOM = 128;
const MAX = 65535 + 32;
const SMALL = 2048 - 160 - HEADROOM;

/** Every field of a descriptor but the ones that say where its bytes are. */
const KEPT = [
  Pkt.In,
  Pkt.Type,
  Pkt.Protocol,
  Pkt.Mark,
  Pkt.CtInfo,
  Pkt.Flags,
  Pkt.OptSrr,
  Pkt.OptRr,
  Pkt.OptTs,
  Pkt.OptFlags,
  Pkt.FragMax,
  Pkt.Vlan,
  Pkt.Story,
  Pkt.PhysIn,
  Pkt.PhysOut,
  Pkt.Priority,
  Pkt.OptNexthop,
];

/** `n` bytes that differ from their neighbours. */
const pattern = (n: number, seed = 1): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7 + seed) & 255);

overBuilds("packet", (make) => {
  const core = make();
  const { x } = core;

  it("gives headroom 128 and room for a frame of any size up to 65,535 + 32", () => {
    for (const n of [0, 1, 60, 1514, SMALL - 1, SMALL, SMALL + 1, 9000, 65535, MAX - 1, MAX]) {
      const h = x.packetAlloc(n);
      expect(h, `${n}`).not.toBe(0);
      expect(field(core, h, Pkt.Len)).toBe(n);
      expect(x.headroom(h) >>> 0).toBe(HEADROOM);
      expect(field(core, h, Pkt.Data) + n + (x.tailroom(h) >>> 0)).toBe(field(core, h, Pkt.End));
      const bytes = pattern(n);
      core.u8.set(bytes, field(core, h, Pkt.Data));
      expect(packetBytes(core, h)).toEqual(bytes);
      x.packetFree(h);
    }
    const before = x.packetsExhausted() >>> 0;
    for (const n of [MAX + 2, 70000, 0x7fffffff, 0xffffffff]) expect(x.packetAlloc(n), `${n}`).toBe(0);
    expect((x.packetsExhausted() >>> 0) - before).toBe(4);
  });

  it("clears the descriptor of a packet that was used before", () => {
    for (const n of [60, 9000]) {
      const used = x.packetAlloc(n);
      for (const at of KEPT) setField(core, used, at, 0xa5a5a5a5);
      for (const at of [Pkt.Mac, Pkt.Net, Pkt.Trans, Pkt.Next]) setField(core, used, at, 32);
      x.packetFree(used);
      const h = x.packetAlloc(n);
      expect(h, "the last one freed comes first").toBe(used);
      for (const at of [...KEPT, Pkt.Mac, Pkt.Net, Pkt.Trans, Pkt.Next, Pkt.Ct, Pkt.Geometry]) {
        expect(field(core, h, at), `offset ${at}`).toBe(0);
      }
      x.packetFree(h);
    }
  });

  it("pulls and pushes within the buffer", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.array(fc.integer({ min: -150, max: 150 }), { maxLength: 20 }),
        (n, steps) => {
          const h = x.packetAlloc(n);
          const head = field(core, h, Pkt.Head);
          let front = HEADROOM;
          let len = n;
          for (const s of steps) {
            if (s > 0 && s <= len) {
              x.packetPull(h, s);
              front += s;
              len -= s;
            } else if (s < 0 && -s <= front) {
              front += s;
              len -= s;
              expect(x.packetPush(h, -s) >>> 0).toBe(head + front);
            }
            expect([field(core, h, Pkt.Data), field(core, h, Pkt.Len)]).toEqual([head + front, len]);
            expect(x.headroom(h) >>> 0).toBe(front);
            expect(x.tailroom(h) >>> 0).toBe(field(core, h, Pkt.End) - head - front - len);
          }
          x.packetTrim(h, len + 1);
          expect(field(core, h, Pkt.Len)).toBe(len);
          x.packetTrim(h, len >> 1);
          expect(field(core, h, Pkt.Len)).toBe(len >> 1);
          x.packetFree(h);
        },
      ),
    );
  });

  /** A packet whose Ethernet header is pulled, with every field set. */
  function full(c: Core, n: number, seed: number): number {
    const h = packetFrom(c, pattern(n, seed));
    c.x.packetPull(h, 14);
    setField(c, h, Pkt.Net, field(c, h, Pkt.Data));
    setField(c, h, Pkt.Trans, field(c, h, Pkt.Data) + 20);
    KEPT.forEach((at, i) => setField(c, h, at, seed * 1000 + i));
    return h;
  }
  /** What is where, counted from the buffer's first byte, and every field. */
  function shape(c: Core, h: number): unknown {
    const mac = field(c, h, Pkt.Mac);
    return {
      bytes: [...packetBytes(c, h)],
      link: [...c.u8.subarray(mac, field(c, h, Pkt.Data))],
      net: field(c, h, Pkt.Net) - mac,
      trans: field(c, h, Pkt.Trans) - mac,
      kept: KEPT.map((at) => field(c, h, at)),
    };
  }

  it("copies bytes, the header already pulled, header addresses and fields", () => {
    for (const n of [60, SMALL, SMALL + 1, MAX]) {
      const h = full(core, n, 3);
      setField(core, h, Pkt.Next, 32);
      const want = shape(core, h);
      const c = x.packetCopy(h);
      expect(shape(core, c)).toEqual(want);
      expect(field(core, c, Pkt.Next), "lists stay with the original").toBe(0);
      core.u8.fill(0, field(core, c, Pkt.Head), field(core, c, Pkt.End));
      expect(shape(core, h), "its bytes are its own").toEqual(want);
      const bare = x.packetAlloc(10);
      const other = x.packetCopy(bare);
      for (const at of [Pkt.Mac, Pkt.Net, Pkt.Trans]) expect(field(core, other, at), "unknown stays unknown").toBe(0);
      for (const p of [h, c, bare, other]) x.packetFree(p);
    }
  });

  it("leaves the geometry of a reassembled packet with the original, which frees it", () => {
    const h = full(core, 60, 1);
    const geometry = x.alloc(12) >>> 0;
    core.u32.set([2, 1480, 520], geometry >> 2);
    setField(core, h, Pkt.Geometry, geometry);
    const c = x.packetCopy(h);
    expect(field(core, c, Pkt.Geometry)).toBe(0);
    x.packetFree(c);
    expect(field(core, h, Pkt.Geometry)).toBe(geometry);
    expect([...core.u32.subarray(geometry >> 2, (geometry >> 2) + 3)]).toEqual([2, 1480, 520]);
    x.packetFree(h);
    const again = x.alloc(12) >>> 0;
    expect(again, "it went back to the arena").toBe(geometry);
    x.release(again, 12);
  });

  it("swaps the bytes of two packets, their marks stay", () => {
    const a = full(core, 60, 1);
    const b = full(core, 9000, 2);
    const [wasA, wasB] = [shape(core, a), shape(core, b)] as [Record<string, unknown>, Record<string, unknown>];
    const classes = [field(core, a, Pkt.Class), field(core, b, Pkt.Class)];
    x.packetSwap(a, b);
    expect(shape(core, a)).toEqual({ ...wasB, kept: wasA.kept });
    expect(shape(core, b)).toEqual({ ...wasA, kept: wasB.kept });
    expect([field(core, b, Pkt.Class), field(core, a, Pkt.Class)], "each goes back to its buffer's list").toEqual(
      classes,
    );
    x.packetFree(a);
    x.packetFree(b);
    const large = x.packetAlloc(MAX);
    expect(x.tailroom(large) >>> 0 <= 33, "a large buffer came off the large list").toBe(true);
    core.u8.set(pattern(MAX), field(core, large, Pkt.Data));
    x.packetFree(large);
  });

  it("keeps the bytes of packets apart, however they come and go", () => {
    const sizes = fc.oneof(fc.nat(200), fc.nat(SMALL + 200), fc.constantFrom(1514, 9000, MAX));
    const step = fc.record({
      what: fc.constantFrom("take", "take", "free", "copy", "swap"),
      n: sizes,
      i: fc.nat(100),
      j: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const held: { h: number; want: Uint8Array }[] = [];
        const before = x.packetsInUse() >>> 0;
        steps.forEach((s, k) => {
          const one = held[s.i % Math.max(1, held.length)];
          const two = held[s.j % Math.max(1, held.length)];
          if (s.what === "take") {
            const want = pattern(s.n, k);
            held.push({ h: packetFrom(core, want), want });
          } else if (one === undefined || two === undefined) return;
          else if (s.what === "free") {
            x.packetFree(one.h);
            held.splice(held.indexOf(one), 1);
          } else if (s.what === "copy") held.push({ h: x.packetCopy(one.h), want: one.want });
          else if (one !== two) {
            x.packetSwap(one.h, two.h);
            [one.want, two.want] = [two.want, one.want];
          }
          expect((x.packetsInUse() >>> 0) - before).toBe(held.length);
          for (const p of held) expect(Buffer.compare(packetBytes(core, p.h), p.want)).toBe(0);
        });
        for (const p of held) x.packetFree(p.h);
        expect(x.packetsInUse() >>> 0).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  it("counts what it refuses when the pool is exhausted, and gives on what comes back", () => {
    const c = make();
    c.x.packetLimits(64, 2);
    for (const [n, most] of [
      [60, 64],
      [9000, 2],
    ] as const) {
      const held: number[] = [];
      for (let h = c.x.packetAlloc(n); h !== 0; h = c.x.packetAlloc(n)) held.push(h);
      expect(held.length).toBe(most);
      expect(new Set(held).size).toBe(most);
      const before = c.x.packetsExhausted() >>> 0;
      expect(c.x.packetAlloc(n)).toBe(0);
      expect(c.x.packetCopy(held[0]!)).toBe(0);
      expect((c.x.packetsExhausted() >>> 0) - before).toBe(2);
      expect(c.x.packetsInUse() >>> 0).toBe(most);
      c.x.packetFree(held[1]!);
      expect(c.x.packetAlloc(n)).toBe(held[1]);
      for (const h of held) c.x.packetFree(h);
      expect(c.x.packetsInUse() >>> 0).toBe(0);
    }
  });
});

it("traps in the debug build: freed twice, pulled past the end, pushed past the headroom", () => {
  const { x } = coreOf("debug");
  const h = x.packetAlloc(100);
  expect(() => x.packetPull(h, 101)).toThrow();
  expect(() => x.packetPush(h, HEADROOM + 1)).toThrow();
  x.packetFree(h);
  expect(() => x.packetFree(h)).toThrow();
});
