import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import type { Core } from "../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { overBuilds } from "../support/cores.ts";

const SECOND = 1_000_000_000;

function tableOf(core: Core, high = 4194304, dist = 64): number {
  const t = core.x.fragCreate() >>> 0;
  core.x.fragConfigure(t, high, dist, 30 * SECOND);
  return t;
}

/** A fragment of a datagram of protocol 99; `tos` 0. */
function piece(core: Core, id: number, offset: number, data: Uint8Array, more: boolean, df = 0, tos = 0): number {
  const h = packetFrom(core, new Uint8Array(20 + data.length));
  const p = core.u32[(h + Pkt.Data) >> 2]!;
  core.x.ipv4Emit(p, tos, 20 + data.length, id, df | (more ? 0x2000 : 0) | (offset >> 3), 64, 99, 1, 2);
  core.u8.set(data, p + 20);
  return h;
}

/** Hands a fragment in; the bytes behind the header when it completes the datagram, else the answer. */
function add(core: Core, t: number, h: number, now = 0, user = 2): Uint8Array | number {
  const { x } = core;
  const answer = x.fragAdd(t, h, user, 0, now);
  for (let k = x.fragNextKilled(t) >>> 0; k !== 0; k = x.fragNextKilled(t) >>> 0) x.packetFree(k);
  if (answer === 1) return answer;
  const bytes = answer === 0 ? packetBytes(core, h).slice(20) : answer;
  x.packetFree(h);
  return bytes;
}

const pattern = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7) & 255);

overBuilds("defragmentation", (core) => {
  it("restores any datagram from any cut in any order with duplicates, and frees all", () => {
    const c = core();
    const t = tableOf(c);
    fc.assert(
      fc.property(
        fc
          .integer({ min: 9, max: 8000 })
          .chain((n) =>
            fc.tuple(
              fc.constant(n),
              fc.uniqueArray(fc.integer({ min: 1, max: Math.ceil(n / 8) - 1 }), { maxLength: 12 }),
              fc.infiniteStream(fc.nat(1000)),
            ),
          ),
        ([n, cuts, chance]) => {
          const data = pattern(n);
          const at = [0, ...cuts.map((k) => k * 8).toSorted((a, b) => a - b), n];
          const parts = at
            .slice(0, -1)
            .map((from, i) => ({ from, to: at[i + 1]!, key: chance.next().value as number }));
          parts.sort((a, b) => a.key - b.key);
          const whole: Uint8Array[] = [];
          for (const [i, p] of parts.entries()) {
            const r = add(c, t, piece(c, 5, p.from, data.subarray(p.from, p.to), p.to !== n));
            if (typeof r !== "number") whole.push(r);
            // the same again is dropped, unless the datagram is complete by now
            if (i < parts.length - 1) {
              expect(add(c, t, piece(c, 5, p.from, data.subarray(p.from, p.to), p.to !== n))).toBe(Drop.FragDuplicate);
            }
          }
          expect(whole.length).toBe(1);
          expect(Buffer.compare(whole[0]!, data)).toBe(0);
          expect(c.x.fragQueues(t)).toBe(0);
          expect(c.x.fragMemory(t)).toBe(0);
          expect(c.x.packetsInUse()).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("takes any fragments whatever without a trap, and holds nothing when their time is over", () => {
    const c = core();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(40), fc.nat(64), fc.boolean(), fc.nat(3), fc.boolean()), { maxLength: 80 }),
        (steps) => {
          const t = tableOf(c, 40_000, 5);
          for (const [id, offset, n, more, tos, far] of steps) {
            add(c, t, piece(c, id, (far ? 8191 - offset : offset) * 8, pattern(n), more, 0, tos));
          }
          while (c.x.fragExpire(t, 100 * SECOND)) {
            for (let k = c.x.fragNextKilled(t) >>> 0; k !== 0; k = c.x.fragNextKilled(t) >>> 0) c.x.packetFree(k);
          }
          expect(c.x.fragQueues(t)).toBe(0);
          expect(c.x.fragMemory(t)).toBe(0);
          expect(c.x.packetsInUse()).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("kills the datagram that overlaps, and not what only repeats", () => {
    const c = core();
    const t = tableOf(c);
    const d = pattern(64);
    add(c, t, piece(c, 1, 0, d.subarray(0, 16), true));
    add(c, t, piece(c, 1, 16, d.subarray(16, 32), true));
    // inside a run without a gap
    expect(add(c, t, piece(c, 1, 8, d.subarray(8, 24), true))).toBe(Drop.FragDuplicate);
    expect(add(c, t, piece(c, 1, 24, d.subarray(24, 40), true))).toBe(Drop.FragOverlap);
    expect(c.x.fragQueues(t)).toBe(0);
    expect(c.x.packetsInUse()).toBe(0);
  });

  it("does not grow beyond 65,535 bytes", () => {
    const c = core();
    const t = tableOf(c);
    for (let at = 0; at < 65520; at += 1480) add(c, t, piece(c, 1, at, pattern(Math.min(1480, 65520 - at)), true));
    add(c, t, piece(c, 1, 65520, pattern(14), false));
    expect(c.x.fragKillReason(t)).toBe(Drop.BadLength);
    expect(c.x.packetsInUse()).toBe(0);
  });

  it("joins ECN as RFC 3168 says: CE wins over ECT, not-ECT goes with nothing else", () => {
    const c = core();
    const t = tableOf(c);
    const join = (a: number, b: number): number => {
      const first = piece(c, 1, 0, pattern(8), true, 0, a);
      const last = piece(c, 1, 8, pattern(8), false, 0, b);
      c.x.fragAdd(t, first, 2, 0, 0);
      const answer = c.x.fragAdd(t, last, 2, 0, 0);
      for (let k = c.x.fragNextKilled(t) >>> 0; k !== 0; k = c.x.fragNextKilled(t) >>> 0) c.x.packetFree(k);
      if (answer !== 0) return -1;
      const tos = c.x.ipv4Tos(c.u32[(last + Pkt.Data) >> 2]!);
      c.x.packetFree(last);
      return tos & 3;
    };
    // rows and columns: not-ECT, ECT(1), ECT(0), CE
    expect([0, 1, 2, 3].map((a) => [0, 1, 2, 3].map((b) => join(a, b)))).toEqual([
      [0, -1, -1, -1],
      [-1, 1, 1, 3],
      [-1, 2, 2, 3],
      [-1, 3, 3, 3],
    ]);
    expect(c.x.packetsInUse()).toBe(0);
  });

  it("sets DF again only if the largest fragment had it", () => {
    const c = core();
    const t = tableOf(c);
    const join = (dfFirst: number, dfLast: number): number => {
      const last = piece(c, 1, 16, pattern(8), false, dfLast);
      c.x.fragAdd(t, piece(c, 1, 0, pattern(16), true, dfFirst), 2, 0, 0);
      expect(c.x.fragAdd(t, last, 2, 0, 0)).toBe(0);
      const word = c.x.ipv4Frag(c.u32[(last + Pkt.Data) >> 2]!);
      c.x.packetFree(last);
      return word;
    };
    expect([join(0, 0), join(0x4000, 0), join(0, 0x4000), join(0x4000, 0x4000)]).toEqual([0, 0x4000, 0, 0x4000]);
  });

  it("starts over when more than ipfrag_max_dist other fragments of the source came between", () => {
    const c = core();
    const t = tableOf(c, 4194304, 4);
    add(c, t, piece(c, 1, 0, pattern(8), true));
    for (let i = 0; i < 5; i++) add(c, t, piece(c, 100 + i, 0, pattern(8), true));
    expect(add(c, t, piece(c, 1, 8, pattern(8), false))).toBe(1);
    expect(typeof add(c, t, piece(c, 1, 0, pattern(8), true))).toBe("object");
  });

  it("takes no new datagram above ipfrag_high_thresh", () => {
    const c = core();
    const t = tableOf(c, 5000);
    const answers = Array.from({ length: 10 }, (_, i) => add(c, t, piece(c, i, 0, pattern(8), true)));
    expect(answers.slice(-1)).toEqual([Drop.FragLimit]);
    expect(c.x.fragMemory(t)).toBeLessThan(7000);
  });
});
