import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { Region, frame, view } from "../support/region.ts";

overBuilds("llc", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);

  const fields = (p: number): Record<string, unknown> => {
    const snap = Boolean(x.llcIsSnap(p));
    return {
      saps: [x.llcDsap(p), x.llcSsap(p)],
      control: x.llcControl(p),
      headerLen: x.llcHeaderLen(p) >>> 0,
      snap: snap ? [x.llcOui(p) >>> 0, x.llcType(p) >>> 0] : [],
    };
  };
  const naive = (b: Uint8Array): Record<string, unknown> => {
    const snap = b[0] === 0xaa && b[1] === 0xaa && b[2] === 3;
    return {
      saps: [b[0], b[1]],
      control: b[2],
      headerLen: snap ? 8 : (b[2]! & 3) === 3 ? 3 : 4,
      snap: snap && b.length >= 8 ? [view(b).getUint32(3) >>> 8, view(b).getUint16(6)] : [],
    };
  };

  it("reads a bridge's BPDU and a SNAP header", () => {
    const bpdu = { saps: [0x42, 0x42], control: 3, headerLen: 3, snap: [] };
    expect(region.read(frame("bpdu", 14), fields)).toEqual(bpdu);
    const snap = { saps: [0xaa, 0xaa], control: 3, headerLen: 8, snap: [0, 0x0800] };
    expect(region.read(frame("snap", 14), fields)).toEqual(snap);
  });

  it("writes them again", () => {
    expect(region.write(3, (p) => x.llcEmit(p, 0x42, 0x42, 3))).toEqual(frame("bpdu", 14, 17));
    expect(region.write(8, (p) => x.llcEmitSnap(p, 0, 0x0800))).toEqual(frame("snap", 14, 22));
    expect(region.write(8, (p) => x.llcEmitSnap(p, 0x00000c, 0x2000))).toEqual(
      Uint8Array.of(0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0),
    );
  });

  it("refuses a header cut at any length", () => {
    for (const [name, need] of [
      ["bpdu", 3],
      ["snap", 8],
    ] as const) {
      for (let n = 0; n <= need; n++) {
        const drop = region.read(frame(name, 14, 14 + n), (p) => x.llcCheck(p, n));
        expect(drop).toBe(n < need ? Drop.Truncated : Drop.None);
      }
    }
    expect(
      region.read(Uint8Array.of(0x42, 0x42, 0x00), (p) => x.llcCheck(p, 3)),
      "a numbered frame",
    ).toBe(Drop.Truncated);
  });

  it("reads any bytes as a DataView does", () => {
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.uint8Array({ maxLength: 8 }).map((b) => Uint8Array.of(0xaa, 0xaa, 3, ...b)),
    );
    fc.assert(
      fc.property(some, (b) => {
        const drop = region.read(b, (p) => x.llcCheck(p, b.length));
        expect(drop === Drop.None).toBe(b.length >= 3 && b.length >= (naive(b).headerLen as number));
        if (drop === Drop.None) expect(region.read(b, fields)).toEqual(naive(b));
      }),
    );
  });
});
