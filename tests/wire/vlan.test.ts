import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { Region, frame, view } from "../support/region.ts";

overBuilds("vlan", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);

  const fields = (p: number): Record<string, number> => ({
    tci: x.vlanTci(p) >>> 0,
    id: x.vlanId(p) >>> 0,
    dei: x.vlanDei(p) >>> 0,
    priority: x.vlanPriority(p) >>> 0,
    etype: x.vlanEtype(p) >>> 0,
  });
  const naive = (b: Uint8Array): Record<string, number> => {
    const tci = view(b).getUint16(0);
    return { tci, id: tci % 4096, dei: (tci >> 12) % 2, priority: tci >> 13, etype: view(b).getUint16(2) };
  };

  it("reads a tag that a bridge forwarded, and stacked ones", () => {
    expect(region.read(frame("vlan", 14, 18), fields)).toEqual({ tci: 5, id: 5, dei: 0, priority: 0, etype: 0x88b5 });
    expect(region.read(frame("stacked", 14, 18), fields)).toEqual({
      tci: 9,
      id: 9,
      dei: 0,
      priority: 0,
      etype: 0x8100,
    });
    const inner = { tci: 0xa005, id: 5, dei: 0, priority: 5, etype: 0x0806 };
    expect(region.read(frame("stacked", 18, 22), fields)).toEqual(inner);
  });

  it("writes them again", () => {
    expect(region.write(4, (p) => x.vlanEmit(p, 0xa005, 0x0806))).toEqual(frame("stacked", 18, 22));
    expect(region.write(frame("stacked", 14, 18), (p) => x.vlanSetTci(p, 0xa005)).subarray(0, 2)).toEqual(
      frame("stacked", 18, 20),
    );
  });

  it("refuses a tag cut at any length", () => {
    for (let n = 0; n <= 4; n++) {
      expect(region.read(frame("vlan", 14, 14 + n), (p) => x.vlanCheck(p, n))).toBe(n < 4 ? Drop.Truncated : Drop.None);
    }
  });

  it("reads any bytes as a DataView does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (b) => {
        const drop = region.read(b, (p) => x.vlanCheck(p, b.length));
        expect(drop === Drop.None).toBe(b.length >= 4);
        if (drop === Drop.None) expect(region.read(b, fields)).toEqual(naive(b));
      }),
    );
  });

  it("builds the stacked frame tag by tag, and takes it apart", () => {
    const stacked = frame("stacked");
    const plain = Uint8Array.from([...stacked.subarray(0, 12), ...stacked.subarray(20)]);
    const tagged = region.write(Uint8Array.from([...new Uint8Array(8).fill(0xa5), ...plain]), (p) => {
      const inner = x.vlanInsert(p + 8, 0x8100, 0xa005) >>> 0;
      expect(x.vlanInsert(inner, 0x88a8, 9) >>> 0).toBe(p);
    });
    expect(tagged).toEqual(stacked);
    const bare = region.write(stacked, (p) => expect(x.vlanRemove(x.vlanRemove(p)) >>> 0).toBe(p + 8));
    expect(bare.subarray(8)).toEqual(plain);
  });

  it("takes off what it put in, whatever the frame", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 14, maxLength: 80 }), fc.nat(0xffff), fc.nat(0xffff), (b, tpid, tci) => {
        const room = Uint8Array.of(0xa5, 0xa5, 0xa5, 0xa5, ...b);
        const tag = new Uint8Array(4);
        view(tag).setUint16(0, tpid);
        view(tag).setUint16(2, tci);
        const tagged = region.write(room, (p) => x.vlanInsert(p + 4, tpid, tci));
        expect(tagged).toEqual(Uint8Array.of(...b.subarray(0, 12), ...tag, ...b.subarray(12)));
        expect(region.write(tagged, (p) => x.vlanRemove(p)).subarray(4)).toEqual(b);
      }),
    );
  });
});
