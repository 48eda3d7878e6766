import fc from "fast-check";
import { expect, it } from "vitest";
import { overBuilds } from "../support/cores.ts";

/** RFC 1071 §4.1, word by word. */
function naive(bytes: Uint8Array): number {
  let s = 0;
  for (let i = 0; i < bytes.length; i += 2) s += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 65536);
  return ~s & 0xffff;
}

overBuilds("checksum", (make) => {
  const core = make();
  const at = core.x.alloc(70000);

  it("sums the example of RFC 1071 §3", () => {
    core.u8.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], at);
    expect(core.x.checksum(at, 8)).toBe(0x220d);
  });

  it("equals the naive sum at every alignment", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(15), (bytes, skew) => {
        core.u8.set(bytes, at + skew);
        expect(core.x.checksum(at + skew, bytes.length)).toBe(naive(bytes));
      }),
    );
  });

  it("sums 65,535 bytes of 0xff without overflow", () => {
    core.u8.fill(0xff, at, at + 65535);
    expect(core.x.checksum(at, 65535)).toBe(naive(new Uint8Array(65535).fill(0xff)));
  });

  it.each([4096, 4224, 65535, 131072, 131073, 131087, 131088, 262145, 400_001])(
    "sums %i bytes, the greatest, the least and mixed ones",
    (length) => {
      const p = core.x.alloc(length) >>> 0;
      const bytes = core.u8.subarray(p, p + length);
      for (const byteOf of [
        () => 0xff,
        () => 0,
        (i: number) => (i & 1) * 0xff,
        (i: number) => (~i & 1) * 0xff,
        (i: number) => Math.imul(i + 1, 2654435761) >>> 24,
        (i: number) => 0xff - (Math.imul(i + 7, 2246822519) >>> 30),
      ]) {
        for (let i = 0; i < length; i++) bytes[i] = byteOf(i);
        expect(core.x.checksum(p, length)).toBe(naive(bytes));
      }
      core.x.release(p, length);
    },
  );

  it("copies and sums at once, and writes nothing beside", () => {
    const to = at + 35000;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(15), fc.nat(15), (bytes, from, skew) => {
        core.u8.fill(0xa5, to, to + bytes.length + 64);
        core.u8.set(bytes, at + from);
        expect(core.x.checksumCopy(to + skew + 16, at + from, bytes.length)).toBe(naive(bytes));
        const expected = new Uint8Array(bytes.length + 64).fill(0xa5);
        expected.set(bytes, skew + 16);
        expect(core.u8.slice(to, to + bytes.length + 64)).toEqual(expected);
      }),
    );
    const length = 150_003;
    const src = core.x.alloc(length) >>> 0;
    const dst = core.x.alloc(length) >>> 0;
    for (let i = 0; i < length; i++) core.u8[src + i] = Math.imul(i + 1, 2654435761) >>> 24;
    expect(core.x.checksumCopy(dst, src, length)).toBe(naive(core.u8.subarray(src, src + length)));
    expect(core.u8.subarray(dst, dst + length)).toEqual(core.u8.subarray(src, src + length));
  });

  it("updates as if summed anew (RFC 1624)", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 4, maxLength: 100 }),
        fc.nat(),
        fc.nat(0xffff),
        fc.nat(0xffffffff),
        (bytes, where, word, long) => {
          // the sum of all-zero bytes is the one place where both zeros of one's complement can come up
          const data = Uint8Array.from([0x45, 0x00, ...bytes]);
          const hc = naive(data);
          const v = new DataView(data.buffer);
          const i = (where % Math.floor(data.length / 2)) * 2;
          const from = v.getUint16(i);
          if (i !== 0) {
            v.setUint16(i, word);
            expect(core.x.update16(hc, from, word)).toBe(naive(data));
            v.setUint16(i, from);
          }
          const j = 2 + (where % Math.floor((data.length - 2) / 4)) * 4;
          const from32 = v.getUint32(j);
          v.setUint32(j, long);
          expect(core.x.update32(hc, from32, long)).toBe(naive(data));
        },
      ),
    );
  });
});
