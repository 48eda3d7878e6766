import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { someOptions, walk } from "../support/options.ts";
import { Region, frame, hex, view } from "../support/region.ts";

/** A header whose options are these bytes (a multiple of four). */
function header(options: Uint8Array): Uint8Array {
  const b = new Uint8Array(20 + options.length);
  b[12] = (b.length / 4) << 4;
  b.set(options, 20);
  return b;
}

/** The TCP header of a captured segment. */
function captured(name: string): Uint8Array {
  const segment = frame(name, 34);
  return segment.slice(0, (segment[12]! >> 4) * 4);
}

const KINDS = [
  [2, 4],
  [2, 3],
  [3, 3],
  [4, 2],
  [5, 10],
  [5, 18],
  [5, 9],
  [5, 2],
  [8, 10],
  [8, 9],
  [19, 18],
  [34, 2],
  [253, 6],
  [30, 0],
  [30, 1],
  [30, 41],
] as const;

overBuilds("tcpoptions", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const scratch = region.keep(new Uint8Array(64));

  function list(p: number): [at: number, kind: number, length: number][] {
    const all: [number, number, number][] = [];
    for (let at = x.tcpOptNext(p, 20) >>> 0; at !== 0; at = x.tcpOptNext(p, at + x.tcpOptLen(p, at)) >>> 0) {
      all.push([at, x.tcpOptKind(p, at), x.tcpOptLen(p, at)]);
      if (all.length > 40) throw new Error("the options do not end");
    }
    return all;
  }
  function fields(p: number): Record<string, unknown> {
    const ts = x.tcpOptTimestamps(p) >>> 0;
    const sack = x.tcpOptSack(p) >>> 0;
    const blocks: number[][] = [];
    for (let i = 0; i < (sack === 0 ? 0 : x.tcpOptSackCount(p, sack)); i++) {
      blocks.push([x.tcpOptSackLeft(p, sack, i) >>> 0, x.tcpOptSackRight(p, sack, i) >>> 0]);
    }
    return {
      mss: x.tcpOptMss(p),
      windowScale: x.tcpOptWindowScale(p),
      sackPermitted: Boolean(x.tcpOptSackPermitted(p)),
      timestamps: ts === 0 ? null : [x.tcpOptTsval(p, ts) >>> 0, x.tcpOptTsecr(p, ts) >>> 0],
      blocks,
    };
  }
  /** The same by RFC 9293, 7323 and 2018, the last of each kind counting. */
  function naive(b: Uint8Array): Record<string, unknown> {
    const number = (bytes: number[]): number => bytes.reduce((n, byte) => n * 256 + byte, 0);
    const { options } = walk(b);
    const last = (kind: number, ok: (data: number[]) => boolean): number[] | undefined =>
      options.filter((o) => o.kind === kind && ok(o.data)).at(-1)?.data;
    const scale = last(3, (d) => d.length === 1);
    const ts = last(8, (d) => d.length === 8);
    const sack = last(5, (d) => d.length > 0 && d.length % 8 === 0) ?? [];
    const blocks: number[][] = [];
    for (let i = 0; i < sack.length; i += 8)
      blocks.push([number(sack.slice(i, i + 4)), number(sack.slice(i + 4, i + 8))]);
    return {
      mss: number(last(2, (d) => d.length === 2 && number(d) !== 0) ?? [0]),
      windowScale: scale === undefined ? -1 : Math.min(14, scale[0]!),
      sackPermitted: last(4, (d) => d.length === 0) !== undefined,
      timestamps: ts === undefined ? null : [number(ts.slice(0, 4)), number(ts.slice(4))],
      blocks,
    };
  }

  it("reads Linux's SYN and an acknowledgement with a SACK block", () => {
    expect(region.read(captured("syn"), fields)).toEqual({
      mss: 1460,
      windowScale: 10,
      sackPermitted: true,
      timestamps: [0x67fc3ede, 0],
      blocks: [],
    });
    const ack = captured("sack");
    const v = view(ack);
    expect(region.read(ack, fields)).toEqual({
      mss: 0,
      windowScale: -1,
      sackPermitted: false,
      timestamps: [v.getUint32(24), v.getUint32(28)],
      blocks: [[v.getUint32(8) + 40, v.getUint32(8) + 80]],
    });
  });

  describe("writes what Linux wrote", () => {
    for (const [name, sack, scale, ts] of [
      ["syn", true, 10, true],
      ["syn-ack", true, 10, true],
      ["syn-no-timestamps", true, 10, false],
      ["syn-no-sack", false, 10, true],
      ["syn-timestamps-only", false, -1, true],
      ["syn-mss-only", false, -1, false],
    ] as const) {
      it(name, () => {
        const want = captured(name);
        const { timestamps } = naive(want) as { timestamps: number[] | null };
        expect(timestamps !== null).toBe(ts);
        const room = new Uint8Array(want.length).fill(0xa5);
        room.set(want.subarray(0, 20));
        room[12] = 0;
        const made = region.write(room, (p) => {
          const n = x.tcpOptPutSyn(p, 1460, scale, sack, ts, timestamps?.[0] ?? 7, timestamps?.[1] ?? 7);
          expect(n).toBe(want.length);
        });
        expect(made).toEqual(want);
      });
    }
    it("sack", () => {
      const want = captured("sack");
      const v = view(want);
      const room = want.slice();
      room.fill(0xa5, 20);
      core.u32.set([v.getUint32(36), v.getUint32(40)], scratch >> 2);
      const made = region.write(room, (p) => {
        const at = x.tcpOptPutTimestamps(p, 20, v.getUint32(24), v.getUint32(28));
        x.tcpOptFinish(p, x.tcpOptPutSack(p, at, scratch, 1));
      });
      expect(made).toEqual(want);
    });
  });

  it("refuses lengths 0, 1 and beyond the header, wherever the list is cut", () => {
    for (const options of ["fe000000", "fe010000", "01010102", "fe050000", "010101fe", "020405b4 0305ff00"]) {
      const b = header(hex(options));
      expect(
        region.read(b, (p) => x.tcpOptCheck(p)),
        options,
      ).toBe(Drop.BadOption);
    }
    expect(region.read(header(hex("fe000000")), list)).toEqual([]);
    expect(region.read(header(hex("020405b4 fe050000")), list), "those before are read").toEqual([[20, 2, 4]]);
    for (const name of ["syn", "sack"]) {
      const whole = captured(name);
      for (let n = 20; n <= whole.length; n += 4) {
        const cut = whole.slice(0, n);
        cut[12] = (n / 4) << 4;
        const want = walk(cut).whole ? Drop.None : Drop.BadOption;
        expect(
          region.read(cut, (p) => x.tcpOptCheck(p)),
          `${name} at ${n}`,
        ).toBe(want);
      }
    }
  });

  it("lists any bytes as the naive walk does, and finds the same values", () => {
    fc.assert(
      fc.property(someOptions(KINDS), (options) => {
        const b = header(options);
        const { whole, options: want } = walk(b);
        expect(region.read(b, (p) => x.tcpOptCheck(p))).toBe(whole ? Drop.None : Drop.BadOption);
        expect(region.read(b, list)).toEqual(want.map((o) => [o.at, o.kind, o.data.length + 2]));
        expect(region.read(b, fields)).toEqual(naive(b));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps options that it does not know: a list written again reads the same", () => {
    const option = fc.tuple(fc.integer({ min: 2, max: 255 }), fc.uint8Array({ maxLength: 12 }));
    fc.assert(
      fc.property(fc.array(option, { maxLength: 12 }), (options) => {
        const room = new Uint8Array(60).fill(0xa5);
        const kept: [number, number[]][] = [];
        let length = 20;
        const b = region.write(room, (p) => {
          let at = 20;
          for (const [kind, data] of options) {
            core.u8.set(data, scratch);
            const behind = x.tcpOptPut(p, at, kind, scratch, data.length) >>> 0;
            if (at + 2 + data.length > 60) expect(behind).toBe(at);
            else kept.push([kind, [...data]]);
            expect(behind % 4).toBe(0);
            at = behind;
          }
          length = x.tcpOptFinish(p, at) >>> 0;
        });
        expect(b.subarray(length).every((byte) => byte === 0xa5)).toBe(true);
        const { whole, options: read } = walk(b.subarray(0, length));
        expect([whole, b[12]! >> 4, b[12]! & 15]).toEqual([true, length / 4, 5]);
        expect(read.map((o) => [o.kind, o.data])).toEqual(kept);
      }),
    );
  });

  it("writes as many blocks as there is room for, and no option beyond 60 bytes", () => {
    for (let at = 20; at <= 60; at += 4) {
      for (let count = 0; count <= 5; count++) {
        core.u32.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], scratch >> 2);
        const room = new Uint8Array(60).fill(1);
        const b = region.write(room, (p) => {
          const n = Math.min(count, Math.max(0, Math.floor((60 - at - 4) / 8)));
          expect(x.tcpOptPutSack(p, at, scratch, count) >>> 0).toBe(n === 0 ? at : at + 4 + 8 * n);
          x.tcpOptFinish(p, at + (n === 0 ? 0 : 4 + 8 * n));
        });
        const n = Math.min(count, Math.max(0, Math.floor((60 - at - 4) / 8)));
        const want = [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
          [9, 10],
        ].slice(0, n);
        expect(naive(b.subarray(0, (b[12]! >> 4) * 4)).blocks).toEqual(want);
      }
    }
    const full = new Uint8Array(60).fill(0xa5);
    const b = region.write(full, (p) => {
      for (const at of [57, 58, 60, 61, 0xffffffff]) {
        expect(x.tcpOptPutMss(p, at, 1) >>> 0).toBe(at);
        expect(x.tcpOptPutWindowScale(p, at, 1) >>> 0).toBe(at);
        expect(x.tcpOptPutSackPermitted(p, at) >>> 0).toBe(at);
        expect(x.tcpOptPutTimestamps(p, at, 1, 1) >>> 0).toBe(at);
        expect(x.tcpOptPutSackPermittedTimestamps(p, at, 1, 1) >>> 0).toBe(at);
        expect(x.tcpOptPut(p, at, 9, scratch, 2) >>> 0).toBe(at);
        expect(x.tcpOptPut(p, at, 9, scratch, 0xffffffff) >>> 0).toBe(at);
      }
    });
    expect(b).toEqual(full);
  });

  it("finds an option by kind and length, the last of them", () => {
    const b = header(hex("02040001 0203ff01 02040002"));
    expect(region.read(b, (p) => [x.tcpOptFind(p, 2, 4), x.tcpOptFind(p, 2, 3), x.tcpOptFind(p, 2, 5)])).toEqual([
      28, 24, 0,
    ]);
  });
});
