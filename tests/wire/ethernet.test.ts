import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { Region, frame, view } from "../support/region.ts";

/** CRC-32 bit by bit: IEEE 802.3 clause 3.2.9. */
function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const b of bytes) {
    c ^= b;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}

overBuilds("ethernet", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const dst = region.keep(new Uint8Array(6));
  const src = region.keep(new Uint8Array(6));

  const fields = (p: number): Record<string, unknown> => ({
    dst: [x.ethDstHigh(p) >>> 0, x.ethDstLow(p) >>> 0],
    src: [x.ethSrcHigh(p) >>> 0, x.ethSrcLow(p) >>> 0],
    type: x.ethType(p) >>> 0,
    group: Boolean(x.ethIsGroup(p)),
    length: Boolean(x.ethIsLength(p)),
  });
  const naive = (b: Uint8Array): Record<string, unknown> => {
    const v = view(b);
    const type = v.getUint16(12);
    return {
      dst: [v.getUint16(0), v.getUint32(2)],
      src: [v.getUint16(6), v.getUint32(8)],
      type,
      group: b[0]! % 2 === 1,
      length: type < 0x600,
    };
  };

  it("reads a captured ARP request and a captured BPDU", () => {
    expect(region.read(frame("arp-request"), fields)).toEqual({
      dst: [0xffff, 0xffffffff],
      src: [0x0200, 0x0000000a],
      type: 0x0806,
      group: true,
      length: false,
    });
    expect(region.read(frame("bpdu"), fields)).toEqual({
      dst: [0x0180, 0xc2000000],
      src: [0x0200, 0x00000103],
      type: 38,
      group: true,
      length: true,
    });
  });

  it("writes them again", () => {
    for (const name of ["arp-request", "bpdu", "tcp-data"]) {
      const head = frame(name, 0, 14);
      core.u8.set(head.subarray(0, 6), dst);
      core.u8.set(head.subarray(6, 12), src);
      expect(region.write(14, (p) => x.ethEmit(p, dst, src, view(head).getUint16(12)))).toEqual(head);
    }
  });

  it("refuses a header cut at any length, an 802.3 frame cut before its length", () => {
    const bpdu = frame("bpdu");
    for (let n = 0; n <= bpdu.length; n++) {
      const cut = bpdu.subarray(0, n);
      expect(region.read(cut, (p) => x.ethCheck(p, n))).toBe(n < 14 ? Drop.Truncated : Drop.None);
      const bad = n < 14 ? Drop.Truncated : n < 52 ? Drop.BadLength : Drop.None;
      expect(region.read(cut, (p) => x.ethCheckLength(p, n))).toBe(bad);
    }
    const arp = frame("arp-request", 0, 14);
    expect(
      region.read(arp, (p) => x.ethCheckLength(p, 14)),
      "an EtherType is no length",
    ).toBe(Drop.None);
  });

  it("reads any bytes as a DataView does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (b) => {
        const drop = region.read(b, (p) => x.ethCheck(p, b.length));
        expect(drop === Drop.None).toBe(b.length >= 14);
        if (drop === Drop.None) expect(region.read(b, fields)).toEqual(naive(b));
      }),
    );
  });

  it("sets the type alone", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 14, maxLength: 14 }), fc.nat(0xffff), (b, type) => {
        const want = b.slice();
        view(want).setUint16(12, type);
        expect(region.write(b, (p) => x.ethSetType(p, type))).toEqual(want);
      }),
    );
  });

  it("sums the frame check sequence of the CRC-32 check string", () => {
    const check = Buffer.from("123456789");
    expect(region.read(check, (p) => x.ethFcs(p, 9) >>> 0)).toBe(0xcbf43926);
    expect(region.read(new Uint8Array(0), (p) => x.ethFcs(p, 0) >>> 0)).toBe(0);
  });

  it("sums as bit by bit, at every alignment and length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (b) => {
        expect(region.read(b, (p) => x.ethFcs(p, b.length) >>> 0)).toBe(crc(b));
      }),
      { numRuns: 300 },
    );
  });

  it("writes a frame check sequence that verifies until a bit changes or the frame is cut", () => {
    const data = frame("arp-reply");
    const n = data.length;
    const whole = region.write(Uint8Array.from([...data, 0xa5, 0xa5, 0xa5, 0xa5]), (p) => x.ethEmitFcs(p, n));
    expect(whole.subarray(0, n)).toEqual(data);
    expect(view(whole).getUint32(n, true)).toBe(crc(data));
    const good = (b: Uint8Array): boolean => region.read(b, (p) => Boolean(x.ethVerifyFcs(p, b.length)));
    expect(good(whole)).toBe(true);
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const damaged = whole.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(good(damaged), `bit ${bit}`).toBe(false);
    }
    for (let n = 0; n < whole.length; n++) expect(good(whole.subarray(0, n)), `cut at ${n}`).toBe(false);
  });
});
