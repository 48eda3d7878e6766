import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ct, CtInfo, CtStatus, CtTable } from "../../assembly/conntracklayout.ts";
import { Pkt } from "../../assembly/layout.ts";
import type { Core, Frame } from "../../src/core/core.ts";
import { packetFrom } from "../../src/core/packet.ts";
import { coreOf, overBuilds } from "../support/cores.ts";

const HZ = 250;

/** A table with Linux's timeouts. */
function tableOf(core: Core, max: number): number {
  const t = core.x.ctTableCreate(7) >>> 0;
  const set = (at: number, v: number): void => {
    core.u32[(t + at) >> 2] = v;
  };
  set(CtTable.Max, max);
  set(CtTable.UdpTimeout, 30 * HZ);
  set(CtTable.UdpStream, 120 * HZ);
  set(CtTable.GenericTimeout, 600 * HZ);
  return t;
}

/** A UDP packet of eight bytes without a checksum. */
function udp(core: Core, src: number, dst: number, sport: number, dport: number): Frame {
  const h = packetFrom(core, new Uint8Array(28));
  const p = core.u32[(h + Pkt.Data) >> 2]!;
  core.x.ipv4Emit(p, 0, 28, 1, 0, 64, 17, src, dst);
  core.x.udpEmit(p + 20, sport, dport, 8);
  return h;
}

function pass(core: Core, t: number, h: Frame, now: number): number {
  const good = core.x.ctTrack(t, h, 0, 0, now) !== 0 && core.x.ctConfirm(t, h, now);
  const info = core.u32[(h + Pkt.CtInfo) >> 2]!;
  const tracked = core.u32[(h + Pkt.Ct) >> 2] !== 0;
  core.x.packetFree(h);
  return good ? (tracked ? info : -1) : -2;
}

const count = (core: Core, t: number): number => core.u32[(t + CtTable.Count) >> 2]!;

function longestChain(core: Core, t: number): number {
  let longest = 0;
  const [buckets, mask] = [core.u32[(t + CtTable.Buckets) >> 2]!, core.u32[(t + CtTable.Mask) >> 2]!];
  for (let i = 0; i <= mask; i++) {
    let n = 0;
    for (let l = core.u32[(buckets >> 2) + i]!; l !== 0; l = core.u32[((l & ~1) >> 2) + (l & 1)]!) n++;
    longest = Math.max(longest, n);
  }
  return longest;
}

overBuilds("connection table", (core) => {
  it("is a map from tuples: against a naive one, with expiry, through its growth", () => {
    const c = core();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(200), fc.boolean(), fc.nat(9 * HZ)), { minLength: 100, maxLength: 400 }),
        (steps) => {
          const t = tableOf(c, 1000);
          const naive = new Map<number, { until: number; seen: boolean; stream: number }>();
          let now = 100;
          for (const [flow, reply, wait] of steps) {
            now += wait;
            const e = naive.get(flow);
            const alive = e !== undefined && e.until > now;
            const got = reply
              ? pass(c, t, udp(c, 0x0a000001, 0xc0000200 + flow, 53, 1000 + flow), now)
              : pass(c, t, udp(c, 0xc0000200 + flow, 0x0a000001, 1000 + flow, 53), now);
            if (reply && !alive) {
              // an answer to nothing is a connection of its own, the other way round
              expect([CtInfo.New, CtInfo.Established]).toContain(got);
              return;
            }
            if (!alive) {
              expect(got).toBe(CtInfo.New);
              naive.set(flow, { until: now + 30 * HZ, seen: false, stream: now + 2 * HZ });
              continue;
            }
            expect(got).toBe(reply ? CtInfo.EstablishedReply : e.seen ? CtInfo.Established : CtInfo.New);
            e.until = now + (e.seen && now > e.stream ? 120 : 30) * HZ;
            if (reply) e.seen = true;
          }
          let entries = 0;
          c.x.ctCollect(t, now);
          for (let e = c.x.ctNextEntry(t, 0) >>> 0; e !== 0; e = c.x.ctNextEntry(t, e) >>> 0) entries++;
          expect(entries).toBe([...naive.values()].filter((e) => e.until > now).length);
          expect(count(c, t)).toBe(entries);
        },
      ),
      { numRuns: 30 },
    );
    expect(c.x.packetsInUse()).toBe(0);
  });

  it("evicts what is not assured when it is full, and drops when all are", () => {
    const c = core();
    const t = tableOf(c, 100);
    for (let i = 0; i < 300; i++) expect(pass(c, t, udp(c, 1 + i, 2, 3, 4), 1)).toBe(CtInfo.New);
    expect(count(c, t)).toBe(100);
    expect(c.u32[(t + CtTable.EarlyDrop) >> 2]).toBe(200);
    for (let e = c.x.ctNextEntry(t, 0) >>> 0; e !== 0; e = c.x.ctNextEntry(t, e) >>> 0) {
      c.u32[(e + Ct.Status) >> 2]! |= CtStatus.Assured;
    }
    expect(pass(c, t, udp(c, 5000, 2, 3, 4), 1)).toBe(-2);
    expect(count(c, t)).toBe(100);
    expect(c.x.ctFlush(t, 0, 0)).toBe(100);
    expect(count(c, t)).toBe(0);
  });

  it("lets an unconfirmed connection die with its packet, and keeps a killed one for the packets that hold it", () => {
    const c = core();
    const t = tableOf(c, 100);
    const h = udp(c, 1, 2, 3, 4);
    c.x.ctTrack(t, h, 0, 0, 1);
    expect(count(c, t)).toBe(1);
    const copy = c.x.packetCopy(h);
    c.x.packetFree(h);
    expect(count(c, t)).toBe(1);
    expect(c.x.ctConfirm(t, copy, 1)).toBeTruthy();
    c.x.ctFlush(t, 0, 0);
    expect(c.x.ctNextEntry(t, 0)).toBe(0);
    expect(count(c, t)).toBe(1);
    c.x.packetFree(copy);
    expect(count(c, t)).toBe(0);
  });
});

describe("a million connections", () => {
  it("fit, with chains as short as at first", () => {
    const c = coreOf("release");
    const t = tableOf(c, 1_000_000);
    const n = 1_000_000;
    const before = c.x.arenaUsed() >>> 0;
    for (let i = 0; i < n; i++) {
      if (pass(c, t, udp(c, 0x0a000000 + (i >> 8), 0xcb007100 + (i & 3), 1024 + (i & 0xffff), 443), 1) !== CtInfo.New) {
        throw new Error(`connection ${i}`);
      }
    }
    expect(count(c, t)).toBe(n);
    // 128 bytes each, and the chains with the smaller arrays that they outgrew
    expect(((c.x.arenaUsed() >>> 0) - before) / n).toBeLessThan(168);
    expect(longestChain(c, t)).toBeLessThan(20);
    expect(pass(c, t, udp(c, 0xcb007100, 0x0a000000, 443, 1024), 2)).toBe(CtInfo.EstablishedReply);
    c.x.ctCollect(t, 40 * HZ);
    expect(count(c, t)).toBe(0);
  });
});
