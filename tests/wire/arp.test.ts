import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { Region, frame, view } from "../support/region.ts";

overBuilds("arp", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const mac = region.keep(new Uint8Array(6));
  const other = region.keep(new Uint8Array(6));

  const six = (p: number): number[] => [...core.u8.subarray(p >>> 0, (p >>> 0) + 6)];
  const fields = (p: number): Record<string, unknown> => ({
    htype: x.arpHtype(p),
    ptype: x.arpPtype(p),
    hlen: x.arpHlen(p),
    plen: x.arpPlen(p),
    op: x.arpOp(p),
    sha: six(x.arpSha(p)),
    spa: x.arpSpa(p) >>> 0,
    tha: six(x.arpTha(p)),
    tpa: x.arpTpa(p) >>> 0,
  });
  const naive = (b: Uint8Array): Record<string, unknown> => {
    const v = view(b);
    return {
      htype: v.getUint16(0),
      ptype: v.getUint16(2),
      hlen: b[4],
      plen: b[5],
      op: v.getUint16(6),
      sha: [...b.subarray(8, 14)],
      spa: v.getUint32(14),
      tha: [...b.subarray(18, 24)],
      tpa: v.getUint32(24),
    };
  };

  it("reads a captured reply", () => {
    expect(region.read(frame("arp-reply", 14), fields)).toEqual({
      htype: 1,
      ptype: 0x0800,
      hlen: 6,
      plen: 4,
      op: 2,
      sha: [2, 0, 0, 0, 0, 0x0b],
      spa: 0x0a090002,
      tha: [2, 0, 0, 0, 0, 0x0a],
      tpa: 0x0a090001,
    });
  });

  it("writes the captured request and reply again", () => {
    core.u8.set([2, 0, 0, 0, 0, 0x0a], mac);
    core.u8.set([2, 0, 0, 0, 0, 0x0b], other);
    expect(region.write(28, (p) => x.arpEmit(p, 1, mac, 0x0a090001, 0, 0x0a090002))).toEqual(frame("arp-request", 14));
    expect(region.write(28, (p) => x.arpEmit(p, 2, other, 0x0a090002, mac, 0x0a090001))).toEqual(
      frame("arp-reply", 14),
    );
    const probe = region.write(28, (p) => x.arpEmit(p, 1, 0, 0, 0, 0x0a090002));
    expect([...probe.subarray(8, 24)]).toEqual(Array.from({ length: 16 }, () => 0));
  });

  it("refuses a packet cut at any length, and other kinds of addresses", () => {
    const reply = frame("arp-reply", 14);
    for (let n = 0; n <= 28; n++) {
      const drop = region.read(reply.subarray(0, n), (p) => x.arpCheck(p, n));
      expect(drop).toBe(n < 28 ? Drop.Truncated : Drop.None);
    }
    for (const [at, v, drop] of [
      [1, 6, Drop.BadType],
      [2, 0x86, Drop.BadType],
      [4, 8, Drop.BadLength],
      [5, 16, Drop.BadLength],
    ] as const) {
      const changed = reply.slice();
      changed[at] = v;
      expect(
        region.read(changed, (p) => x.arpCheck(p, 28)),
        `byte ${at}`,
      ).toBe(drop);
    }
  });

  it("reads any bytes as a DataView does", () => {
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 20, maxLength: 30 }).map((b) => Uint8Array.of(0, 1, 8, 0, 6, 4, ...b)),
    );
    fc.assert(
      fc.property(some, (b) => {
        const good = b.length >= 28 && view(b).getUint32(0) === 0x00010800 && view(b).getUint16(4) === 0x0604;
        expect(region.read(b, (p) => x.arpCheck(p, b.length)) === Drop.None).toBe(good);
        if (good) expect(region.read(b, fields)).toEqual(naive(b));
      }),
    );
  });
});
