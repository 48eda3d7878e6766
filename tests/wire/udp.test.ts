import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { Region, frame, view } from "../support/region.ts";

const SRC = 0x0a090001;
const DST = 0x0a090002;

/** The checksum field of a datagram whose field is 0, RFC 768. */
function naiveSum(src: number, dst: number, b: Uint8Array): number {
  const pseudo = Buffer.alloc(12);
  pseudo.writeUInt32BE(src, 0);
  pseudo.writeUInt32BE(dst, 4);
  pseudo[9] = 17;
  pseudo.writeUInt16BE(b.length, 10);
  return checksum(pseudo, b) || 0xffff;
}

overBuilds("udp", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const large = new Region(core, 65535);

  const fields = (p: number): number[] => [x.udpSrcPort(p), x.udpDstPort(p), x.udpLength(p), x.udpChecksum(p)];
  const naive = (b: Uint8Array): number[] => [0, 2, 4, 6].map((at) => view(b).getUint16(at));

  it("reads captured datagrams, with a checksum and without", () => {
    const summed = frame("udp", 34);
    expect(region.read(summed, fields)).toEqual([4000, 9, 13, 0x9844]);
    expect(region.read(summed, (p) => Boolean(x.udpVerify(p, SRC, DST)))).toBe(true);
    expect(region.read(summed, (p) => Boolean(x.udpVerify(p, SRC, DST + 1)))).toBe(false);
    const bare = frame("udp-no-checksum", 34);
    expect(region.read(bare, fields)).toEqual([4001, 9, 13, 0]);
    expect(
      region.read(bare, (p) => Boolean(x.udpVerify(p, SRC, DST + 1))),
      "0 stands for none",
    ).toBe(true);
  });

  it("writes them again", () => {
    const summed = frame("udp", 34);
    const head = region.write(8, (p) => x.udpEmit(p, 4001, 9, 13));
    expect(head).toEqual(frame("udp-no-checksum", 34, 42));
    const whole = region.write(Uint8Array.of(...new Uint8Array(8).fill(0xa5), ...summed.subarray(8)), (p) => {
      x.udpEmit(p, 4000, 9, 13);
      x.udpFillChecksum(p, SRC, DST);
    });
    expect(whole).toEqual(summed);
  });

  it("refuses a datagram cut at any length, and a length below 8", () => {
    const whole = frame("udp", 34);
    for (let n = 0; n <= 13; n++) {
      const drop = region.read(whole.subarray(0, n), (p) => x.udpCheck(p, n));
      expect(drop).toBe(n < 8 ? Drop.Truncated : n < 13 ? Drop.BadLength : Drop.None);
    }
    for (let length = 0; length < 8; length++) {
      const short = whole.slice();
      view(short).setUint16(4, length);
      expect(region.read(short, (p) => x.udpCheck(p, 13))).toBe(Drop.BadLength);
    }
  });

  it("reads any bytes as a DataView does", () => {
    const some = fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.boolean(), fc.nat(80)).map(([b, plausible, length]) => {
      if (plausible && b.length >= 8) view(b).setUint16(4, length);
      return b;
    });
    fc.assert(
      fc.property(some, fc.nat(0xffffffff), fc.nat(0xffffffff), (b, src, dst) => {
        const length = b.length >= 8 ? view(b).getUint16(4) : 0;
        const good = length >= 8 && length <= b.length;
        expect(region.read(b, (p) => x.udpCheck(p, b.length)) === Drop.None).toBe(good);
        if (!good) return;
        expect(region.read(b, fields)).toEqual(naive(b));
        const field = view(b).getUint16(6);
        const zeroed = b.slice(0, length);
        view(zeroed).setUint16(6, 0);
        const right = naiveSum(src, dst, zeroed);
        // both zeros of one's complement verify, but 0 is "none"
        const want = field === 0 || field === right;
        expect(region.read(b, (p) => Boolean(x.udpVerify(p, src, dst)))).toBe(want);
      }),
    );
  });

  it("fills in what the naive sum gives, and it verifies", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(0xffffffff), fc.nat(0xffffffff), (data, src, dst) => {
        const n = 8 + data.length;
        const room = Uint8Array.of(...new Uint8Array(8), ...data);
        const b = region.write(room, (p) => {
          x.udpEmit(p, 53, 1024, n);
          x.udpFillChecksum(p, src, dst);
        });
        const zeroed = b.slice();
        view(zeroed).setUint16(6, 0);
        expect(view(b).getUint16(6)).toBe(naiveSum(src, dst, zeroed));
        expect(region.read(b, (p) => Boolean(x.udpVerify(p, src, dst)))).toBe(true);
      }),
    );
  });

  it("sends a sum of 0 as 0xffff", () => {
    const room = new Uint8Array(10);
    const without = region.write(room, (p) => {
      x.udpEmit(p, 1, 2, 10);
      x.udpFillChecksum(p, SRC, DST);
    });
    const room2 = room.slice();
    view(room2).setUint16(8, view(without).getUint16(6));
    const b = region.write(room2, (p) => {
      x.udpEmit(p, 1, 2, 10);
      x.udpFillChecksum(p, SRC, DST);
    });
    expect(view(b).getUint16(6)).toBe(0xffff);
    expect(region.read(b, (p) => Boolean(x.udpVerify(p, SRC, DST)))).toBe(true);
  });

  it("sums the largest datagram", () => {
    const b = new Uint8Array(65535).fill(0xff);
    view(b).setUint16(6, 0);
    const filled = large.write(b, (p) => x.udpFillChecksum(p, 0xffffffff, 0xffffffff));
    expect(view(filled).getUint16(6)).toBe(naiveSum(0xffffffff, 0xffffffff, b));
  });

  it("sets each field alone", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.nat(0xffff), (b, v) => {
        for (const [at, set] of [
          [0, x.udpSetSrcPort],
          [2, x.udpSetDstPort],
          [6, x.udpSetChecksum],
        ] as const) {
          const want = b.slice();
          view(want).setUint16(at, v);
          expect(region.write(b, (p) => set(p, v))).toEqual(want);
        }
      }),
    );
  });
});
