import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { Region, frame, view } from "../support/region.ts";

/** A header of any length with up to 20 bytes of data behind it, length and checksum right. */
function someHeader(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.uint8Array({ minLength: 80, maxLength: 80 }), fc.nat(10), fc.nat(20))
    .map(([noise, words, data]) => {
      const hl = 20 + 4 * words;
      const b = noise.slice(0, hl + data);
      b[0] = 0x40 | (hl / 4);
      view(b).setUint16(2, hl + data);
      return summed(b);
    });
}

function summed(b: Uint8Array): Uint8Array {
  const c = b.slice();
  view(c).setUint16(10, 0);
  view(c).setUint16(10, checksum(c.subarray(0, (c[0]! & 15) * 4)));
  return c;
}

/** RFC 791 §3.1 and RFC 1122 §3.2.1, in the order in which Linux looks. */
function naiveCheck(b: Uint8Array): Drop {
  if (b.length < 20) return Drop.Truncated;
  if (b[0]! >> 4 !== 4) return Drop.BadVersion;
  const hl = (b[0]! & 15) * 4;
  if (hl < 20) return Drop.BadHeaderLength;
  if (hl > b.length) return Drop.Truncated;
  if (checksum(b.subarray(0, hl)) !== 0) return Drop.BadChecksum;
  const length = view(b).getUint16(2);
  if (length > b.length) return Drop.Truncated;
  return length < hl ? Drop.BadLength : Drop.None;
}

overBuilds("ipv4", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);

  const fields = (p: number): Record<string, unknown> => ({
    version: x.ipv4Version(p),
    headerLen: x.ipv4HeaderLen(p),
    tos: x.ipv4Tos(p),
    length: x.ipv4Length(p),
    id: x.ipv4Id(p),
    frag: x.ipv4Frag(p),
    fragment: Boolean(x.ipv4IsFragment(p)),
    ttl: x.ipv4Ttl(p),
    proto: x.ipv4Proto(p),
    checksum: x.ipv4HeaderChecksum(p),
    src: x.ipv4Src(p) >>> 0,
    dst: x.ipv4Dst(p) >>> 0,
  });
  const naive = (b: Uint8Array): Record<string, unknown> => {
    const v = view(b);
    return {
      version: b[0]! >> 4,
      headerLen: (b[0]! & 15) * 4,
      tos: b[1],
      length: v.getUint16(2),
      id: v.getUint16(4),
      frag: v.getUint16(6),
      fragment: v.getUint16(6) % 0x4000 !== 0,
      ttl: b[8],
      proto: b[9],
      checksum: v.getUint16(10),
      src: v.getUint32(12),
      dst: v.getUint32(16),
    };
  };

  it("reads a captured header, and one with options", () => {
    expect(region.read(frame("syn", 14), fields)).toEqual({
      version: 4,
      headerLen: 20,
      tos: 0,
      length: 60,
      id: 0x9d72,
      frag: 0x4000,
      fragment: false,
      ttl: 64,
      proto: 6,
      checksum: 0x8935,
      src: 0x0a090001,
      dst: 0x0a090002,
    });
    expect(region.read(frame("record-route-reply", 14), fields)).toMatchObject({ headerLen: 60, proto: 1, length: 81 });
  });

  it("writes captured headers again", () => {
    for (const name of ["syn", "sack", "udp", "echo-reply", "ttl-exceeded", "redirect"]) {
      const want = frame(name, 14, 34);
      const v = view(want);
      const made = region.write(20, (p) =>
        x.ipv4Emit(
          p,
          want[1]!,
          v.getUint16(2),
          v.getUint16(4),
          v.getUint16(6),
          want[8]!,
          want[9]!,
          v.getUint32(12),
          v.getUint32(16),
        ),
      );
      expect(made, name).toEqual(want);
    }
  });

  it("refuses a packet cut at any length", () => {
    for (const name of ["syn", "record-route-reply", "udp"]) {
      const whole = frame(name, 14);
      for (let n = 0; n <= whole.length; n++) {
        const drop = region.read(whole.subarray(0, n), (p) => x.ipv4Check(p, n));
        expect(drop, `${name} at ${n}`).toBe(n < whole.length ? Drop.Truncated : Drop.None);
      }
      const padded = Uint8Array.of(...whole, 0, 0, 0);
      expect(
        region.read(padded, (p) => x.ipv4Check(p, padded.length)),
        "padding",
      ).toBe(Drop.None);
    }
  });

  it("refuses other versions, short header lengths, bad sums and lengths", () => {
    const udp = frame("udp", 14);
    for (const [at, v, drop, sum] of [
      [0, 0x65, Drop.BadVersion, true],
      [0, 0x44, Drop.BadHeaderLength, true],
      [0, 0x4f, Drop.Truncated, false],
      [8, 63, Drop.BadChecksum, false],
      [3, 19, Drop.BadLength, true],
      [3, 200, Drop.Truncated, true],
    ] as const) {
      const b = udp.slice();
      b[at] = v;
      const changed = sum ? summed(b) : b;
      expect(
        region.read(changed, (p) => x.ipv4Check(p, changed.length)),
        `byte ${at} is ${v}`,
      ).toBe(drop);
    }
  });

  it("checks and reads any bytes as a DataView does", () => {
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 70 }),
      someHeader(),
      fc.tuple(someHeader(), fc.nat(100)).map(([b, cut]) => b.subarray(0, cut)),
      fc.tuple(someHeader(), fc.nat(59), fc.nat(255)).map(([b, at, v]) => {
        b[at % b.length] = v;
        return b;
      }),
      fc.tuple(someHeader(), fc.nat(0xffff)).map(([b, length]) => {
        view(b).setUint16(2, length);
        return summed(b);
      }),
    );
    fc.assert(
      fc.property(some, (b) => {
        const drop = region.read(b, (p) => x.ipv4Check(p, b.length));
        expect(drop).toBe(naiveCheck(b));
        if (drop === Drop.None) expect(region.read(b, fields)).toEqual(naive(b));
      }),
      { numRuns: 500 },
    );
  });

  it("edits in place as if summed anew", () => {
    fc.assert(
      fc.property(someHeader(), fc.nat(0xffff), fc.nat(0xffffffff), (b, v, address) => {
        const edits: [(p: number) => void, (c: Uint8Array) => void][] = [
          [(p) => x.ipv4RewriteTtl(p, v & 255), (c) => (c[8] = v & 255)],
          [(p) => x.ipv4RewriteTos(p, v & 255), (c) => (c[1] = v & 255)],
          [(p) => x.ipv4RewriteFrag(p, v), (c) => view(c).setUint16(6, v)],
          [(p) => x.ipv4RewriteSrc(p, address), (c) => view(c).setUint32(12, address)],
          [(p) => x.ipv4RewriteDst(p, address), (c) => view(c).setUint32(16, address)],
        ];
        for (const [edit, naively] of edits) {
          const want = b.slice();
          naively(want);
          expect(region.write(b, edit)).toEqual(summed(want));
        }
        const refilled = b.slice();
        refilled[10]! ^= 0xff;
        expect(region.write(refilled, (p) => x.ipv4FillChecksum(p))).toEqual(b);
      }),
    );
  });

  it("sets each field alone", () => {
    fc.assert(
      fc.property(someHeader(), fc.nat(0xffff), (b, v) => {
        for (const [at, set] of [
          [2, x.ipv4SetLength],
          [4, x.ipv4SetId],
          [6, x.ipv4SetFrag],
        ] as const) {
          const want = b.slice();
          view(want).setUint16(at, v);
          expect(region.write(b, (p) => set(p, v))).toEqual(want);
        }
      }),
    );
  });
});
