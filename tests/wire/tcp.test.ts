import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { Region, frame, view } from "../support/region.ts";

const A = 0x0a090001;
const B = 0x0a090002;

/** The checksum field of a segment whose field is 0, RFC 9293 §3.1. */
function naiveSum(src: number, dst: number, b: Uint8Array): number {
  const pseudo = Buffer.alloc(12);
  pseudo.writeUInt32BE(src, 0);
  pseudo.writeUInt32BE(dst, 4);
  pseudo[9] = 6;
  pseudo.writeUInt16BE(b.length, 10);
  return checksum(pseudo, b);
}

overBuilds("tcp", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);

  const fields = (p: number): Record<string, number> => ({
    srcPort: x.tcpSrcPort(p),
    dstPort: x.tcpDstPort(p),
    seq: x.tcpSeq(p) >>> 0,
    ack: x.tcpAck(p) >>> 0,
    headerLen: x.tcpHeaderLen(p),
    flags: x.tcpFlags(p),
    flags12: x.tcpFlags12(p),
    window: x.tcpWindow(p),
    checksum: x.tcpChecksum(p),
    urgent: x.tcpUrgent(p),
  });
  const naive = (b: Uint8Array): Record<string, number> => {
    const v = view(b);
    return {
      srcPort: v.getUint16(0),
      dstPort: v.getUint16(2),
      seq: v.getUint32(4),
      ack: v.getUint32(8),
      headerLen: (b[12]! >> 4) * 4,
      flags: b[13]!,
      flags12: v.getUint16(12) % 4096,
      window: v.getUint16(14),
      checksum: v.getUint16(16),
      urgent: v.getUint16(18),
    };
  };

  it("reads captured segments", () => {
    const syn = frame("syn", 34);
    expect(region.read(syn, fields)).toEqual({
      srcPort: 54936,
      dstPort: 80,
      seq: 0xa305d3f5,
      ack: 0,
      headerLen: 40,
      flags: 0x02,
      flags12: 0x02,
      window: 64240,
      checksum: 0x4439,
      urgent: 0,
    });
    for (const [name, src, dst] of [
      ["syn", A, B],
      ["syn-ack", B, A],
      ["tcp-data", A, B],
      ["sack", B, A],
      ["reset", B, A],
    ] as const) {
      const b = frame(name, 34);
      expect(
        region.read(b, (p) => Boolean(x.tcpVerify(p, b.length, src, dst))),
        name,
      ).toBe(true);
      expect(
        region.read(b, (p) => Boolean(x.tcpVerify(p, b.length, src + 1, dst))),
        name,
      ).toBe(false);
    }
  });

  it("writes a captured reset and the header of captured data again", () => {
    const reset = frame("reset", 34);
    const v = view(reset);
    const made = region.write(20, (p) => {
      x.tcpEmit(p, 81, v.getUint16(2), 0, v.getUint32(8), 20, 0x14, 0);
      x.tcpFillChecksum(p, 20, B, A);
    });
    expect(made).toEqual(reset);
    const data = frame("tcp-data", 34);
    const w = view(data);
    const room = data.slice();
    room.fill(0xa5, 0, 20);
    const again = region.write(room, (p) => {
      x.tcpEmit(p, w.getUint16(0), 80, w.getUint32(4), w.getUint32(8), 32, 0x18, w.getUint16(14));
      x.tcpFillChecksum(p, data.length, A, B);
    });
    expect(again).toEqual(data);
  });

  it("refuses a header cut at any length, and a length below 20", () => {
    const syn = frame("syn", 34);
    for (let n = 0; n <= 40; n++) {
      const drop = region.read(syn.subarray(0, n), (p) => x.tcpCheck(p, n));
      expect(drop).toBe(n < 20 ? Drop.Truncated : n < 40 ? Drop.BadHeaderLength : Drop.None);
    }
    for (let words = 0; words < 5; words++) {
      const short = syn.slice();
      short[12] = words << 4;
      expect(region.read(short, (p) => x.tcpCheck(p, 40))).toBe(Drop.BadHeaderLength);
    }
  });

  it("reads any bytes as a DataView does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(0xffffffff), (b, src) => {
        const headerLen = b.length >= 20 ? (b[12]! >> 4) * 4 : 0;
        const good = headerLen >= 20 && headerLen <= b.length;
        expect(region.read(b, (p) => x.tcpCheck(p, b.length)) === Drop.None).toBe(good);
        if (!good) return;
        expect(region.read(b, fields)).toEqual(naive(b));
        const zeroed = b.slice();
        view(zeroed).setUint16(16, 0);
        const right = naiveSum(src, A, zeroed);
        const field = view(b).getUint16(16);
        expect(region.read(b, (p) => Boolean(x.tcpVerify(p, b.length, src, A)))).toBe(field === right);
        const filled = region.write(b, (p) => x.tcpFillChecksum(p, b.length, src, A));
        expect(view(filled).getUint16(16)).toBe(right);
        expect(region.read(filled, (p) => Boolean(x.tcpVerify(p, b.length, src, A)))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("writes any fields", () => {
    const u16 = fc.nat(0xffff);
    const u32 = fc.nat(0xffffffff);
    fc.assert(
      fc.property(
        u16,
        u16,
        u32,
        u32,
        fc.integer({ min: 5, max: 15 }),
        fc.nat(255),
        u16,
        (sp, dp, seq, ack, words, flags, window) => {
          const b = region.write(20, (p) => x.tcpEmit(p, sp, dp, seq, ack, words * 4, flags, window));
          expect(naive(b)).toEqual({
            srcPort: sp,
            dstPort: dp,
            seq,
            ack,
            headerLen: words * 4,
            flags,
            flags12: flags,
            window,
            checksum: 0,
            urgent: 0,
          });
        },
      ),
    );
  });

  it("sets each field alone", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(0xffff), (b, v) => {
        for (const [at, set] of [
          [0, x.tcpSetSrcPort],
          [2, x.tcpSetDstPort],
          [16, x.tcpSetChecksum],
        ] as const) {
          const want = b.slice();
          view(want).setUint16(at, v);
          expect(region.write(b, (p) => set(p, v))).toEqual(want);
        }
      }),
    );
  });
});
