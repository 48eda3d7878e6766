import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { OptFlag, Pkt } from "../../assembly/layout.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { someOptions, walk } from "../support/options.ts";
import { Region, frame, hex, view } from "../support/region.ts";

const A = 0x0a090001;
const B = 0x0a090002;

/** An IPv4 header from A to B with these options (a multiple of four), summed. */
function header(options: Uint8Array): Uint8Array {
  const b = new Uint8Array(20 + options.length);
  b.set(hex("45000000 00010000 40010000 0a090001 0a090002"));
  b[0] = 0x40 | (b.length / 4);
  b[3] = b.length;
  b.set(options, 20);
  view(b).setUint16(10, checksum(b));
  return b;
}

/** The IPv4 packet in a captured frame, and its header alone. */
const packet = (name: string): Uint8Array => frame(name, 14, 14 + view(frame(name, 14)).getUint16(2));
const captured = (name: string): Uint8Array => packet(name).subarray(0, (packet(name)[0]! & 15) * 4);

const KINDS = [
  [7, 7],
  [7, 11],
  [7, 3],
  [7, 2],
  [68, 8],
  [68, 12],
  [68, 20],
  [68, 3],
  [130, 11],
  [131, 7],
  [131, 11],
  [137, 7],
  [148, 4],
  [148, 3],
  [222, 2],
  [222, 0],
  [222, 1],
  [222, 41],
] as const;

overBuilds("ipv4options", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const scratch = region.keep(new Uint8Array(64));

  function list(p: number): [at: number, kind: number, length: number][] {
    const all: [number, number, number][] = [];
    for (let at = x.optNext(p, 20) >>> 0; at !== 0; at = x.optNext(p, at + x.optLen(p, at)) >>> 0) {
      all.push([at, x.optKind(p, at), x.optLen(p, at)]);
      if (all.length > 40) throw new Error("the options do not end");
    }
    return all;
  }
  /** A packet's descriptor whose network header is at `p`. */
  const frameAt = x.packetAlloc(0);
  function descriptor(p: number): number {
    core.u32[(frameAt + Pkt.Net) >> 2] = p;
    return frameAt;
  }
  const flagsOf = (): number => core.u32[(frameAt + Pkt.OptFlags) >> 2]!;

  describe("reading", () => {
    it("lists what captured packets carry", () => {
      expect(region.read(captured("loose-source-route"), list)).toEqual([[20, 131, 11]]);
      expect(region.read(captured("router-alert"), list)).toEqual([[20, 148, 4]]);
      expect(region.read(captured("record-route-reply"), list)).toEqual([[20, 7, 39]]);
      expect(region.read(captured("timestamp-address-reply"), list)).toEqual([[20, 68, 36]]);
      for (const name of ["loose-source-route", "router-alert", "record-route-reply", "timestamp-address-reply"]) {
        expect(
          region.read(captured(name), (p) => x.optCheck(p)),
          name,
        ).toBe(Drop.None);
      }
    });

    it("refuses lengths 0, 1 and beyond the header, wherever the list is cut", () => {
      for (const options of ["de000000", "de010000", "01010107", "de050000", "010101de", "94040000 0705ff00"]) {
        expect(
          region.read(header(hex(options)), (p) => x.optCheck(p)),
          options,
        ).toBe(Drop.BadOption);
      }
      const whole = captured("record-route-reply");
      for (let n = 20; n <= whole.length; n += 4) {
        const cut = whole.slice(0, n);
        cut[0] = 0x40 | (n / 4);
        const want = walk(cut).whole ? Drop.None : Drop.BadOption;
        expect(
          region.read(cut, (p) => x.optCheck(p)),
          `at ${n}`,
        ).toBe(want);
      }
    });

    it("lists any bytes as the naive walk does", () => {
      fc.assert(
        fc.property(someOptions(KINDS), (options) => {
          const b = header(options);
          const { whole, options: want } = walk(b);
          expect(region.read(b, (p) => x.optCheck(p))).toBe(whole ? Drop.None : Drop.BadOption);
          expect(region.read(b, list)).toEqual(want.map((o) => [o.at, o.kind, o.data.length + 2]));
          const first = want.find((o) => o.kind === 68)?.at ?? 0;
          expect(region.read(b, (p) => x.optFind(p, 68) >>> 0)).toBe(first);
        }),
        { numRuns: 500 },
      );
    });

    it("names the next prespecified address", () => {
      expect(region.read(captured("timestamp-prespecified-request"), (p) => x.optPrespecified(p) >>> 0)).toBe(B);
      expect(region.read(captured("timestamp-prespecified-reply"), (p) => x.optPrespecified(p) >>> 0)).toBe(A);
      expect(region.read(captured("timestamp-address-reply"), (p) => x.optPrespecified(p) >>> 0)).toBe(0);
    });
  });

  describe("writing", () => {
    /** The header of a captured packet with its options written by `put`. */
    function written(name: string, put: (p: number) => number): void {
      const want = captured(name);
      const room = want.slice();
      room.fill(0xa5, 20);
      room[0] = 0x45;
      const data = packet(name).length - want.length;
      const made = region.write(room, (p) => expect(x.optFinish(p, put(p) >>> 0, data) >>> 0).toBe(want.length));
      expect(made, name).toEqual(want);
    }

    it("writes what Linux sent", () => {
      written("router-alert", (p) => x.optPutRouterAlert(p, 20, 0));
      const loose = captured("loose-source-route");
      core.u32.set([view(loose).getUint32(23), view(loose).getUint32(27)], scratch >> 2);
      written("loose-source-route", (p) => x.optPutSourceRoute(p, 20, 131, scratch, 2));
      core.u32.set([B, A], scratch >> 2);
      written("timestamp-prespecified-request", (p) => x.optPutTimestamp(p, 20, 3, scratch, 2));
    });

    it("writes empty routes and timestamps with their pointers at the first slot", () => {
      const made = (put: (p: number) => number): string =>
        Buffer.from(
          region.write(new Uint8Array(60).fill(0xa5), (p) => {
            put(p);
          }),
        ).toString("hex", 20);
      expect(made((p) => x.optPutRecordRoute(p, 20, 2))).toMatch(/^070b040000000000000000a5/);
      expect(made((p) => x.optPutTimestamp(p, 20, 0, 0, 2))).toMatch(/^440c05000000000000000000a5/);
      expect(made((p) => x.optPutTimestamp(p, 20, 1, 0, 1))).toMatch(/^440c05010000000000000000a5/);
      expect(made((p) => x.optPutNoop(p, 20))).toMatch(/^01a5/);
    });

    it("writes any list so that the naive walk reads it back, nothing beyond 60 bytes", () => {
      const option = fc.tuple(fc.integer({ min: 2, max: 255 }), fc.uint8Array({ maxLength: 14 }), fc.boolean());
      fc.assert(
        fc.property(fc.array(option, { maxLength: 8 }), fc.nat(1000), (options, data) => {
          const room = new Uint8Array(60).fill(0xa5);
          room.set(header(new Uint8Array(0)));
          const kept: [number, number[]][] = [];
          let length = 0;
          const b = region.write(room, (p) => {
            let at = 20;
            for (const [kind, bytes, noop] of options) {
              if (noop) at = x.optPutNoop(p, at) >>> 0;
              core.u8.set(bytes, scratch);
              const behind = x.optPut(p, at, kind, scratch, bytes.length) >>> 0;
              if (at + 2 + bytes.length > 60) expect(behind).toBe(at);
              else kept.push([kind, [...bytes]]);
              at = behind;
            }
            length = x.optFinish(p, at, data) >>> 0;
          });
          expect(b.subarray(length).every((byte) => byte === 0xa5)).toBe(true);
          const made = b.subarray(0, length);
          expect(walk(made)).toMatchObject({ whole: true });
          expect(walk(made).options.map((o) => [o.kind, o.data])).toEqual(kept);
          expect([b[0], view(b).getUint16(2), checksum(made)]).toEqual([0x40 | (length / 4), length + data, 0]);
        }),
      );
    });

    it("writes nothing where there is no room", () => {
      const full = new Uint8Array(60).fill(0xa5);
      const b = region.write(full, (p) => {
        for (const at of [58, 60, 61, 0xffffffff]) {
          expect(x.optPutRecordRoute(p, at, 1) >>> 0).toBe(at);
          expect(x.optPutSourceRoute(p, at, 131, scratch, 1) >>> 0).toBe(at);
          expect(x.optPutTimestamp(p, at, 0, 0, 1) >>> 0).toBe(at);
          expect(x.optPutRouterAlert(p, at, 0) >>> 0).toBe(at);
          expect(x.optPut(p, at, 9, scratch, 2) >>> 0).toBe(at);
          if (at >= 60) expect(x.optPutNoop(p, at) >>> 0).toBe(at);
        }
        expect(x.optPutRecordRoute(p, 20, 10)).toBe(20);
        expect(x.optPutSourceRoute(p, 20, 131, scratch, 0x40000000)).toBe(20);
        expect(x.optPutTimestamp(p, 20, 1, 0, 5)).toBe(20);
        expect(x.optPut(p, 20, 9, scratch, 0xffffffff)).toBe(20);
      });
      expect(b).toEqual(full);
    });
  });

  describe("as a host handles them", () => {
    it("answers echo requests with options as Linux did, byte for byte", () => {
      for (const kind of ["record-route", "timestamp-only", "timestamp-address", "timestamp-prespecified"]) {
        const request = packet(`${kind}-request`);
        const want = packet(`${kind}-reply`);
        const hl = (want[0]! & 15) * 4;
        // the time that the kernel wrote: the first slot that the request had left
        const slot = request[20] === 68 ? 20 + request[22]! - 1 + (request[23] === 0 ? 0 : 4) : 0;
        const time = slot === 0 ? 0 : view(want).getUint32(slot);
        const p = region.put(request);
        const h = descriptor(p);
        expect(x.optCompile(h, B, time, 0 as unknown as boolean), kind).toBe(0);
        const next = x.optPrespecified(p) >>> 0;
        const optLen = x.optEcho(h, (next === A) as unknown as boolean) >>> 0;
        expect(20 + optLen, kind).toBe(hl);
        expect(x.optEchoFirstHop()).toBe(0);
        const rest = view(want).getUint32(hl + 4);
        const id = view(want).getUint16(4);
        const made = x.icmpBuild(0, 0, rest, p + hl + 8, want.length - hl - 8, 0, id, 64, B, A, optLen, A, time);
        const at = core.u32[(made + Pkt.Data) >> 2]!;
        expect(core.u8.slice(at, at + core.u32[(made + Pkt.Len) >> 2]!), kind).toEqual(want);
        x.packetFree(made);
      }
    });

    it("fills in any record route: next slot, pointer, and what is wrong with it", () => {
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 39 }), fc.nat(255), (n, pointer) => {
          const options = new Uint8Array(40);
          options.set([7, n, pointer]);
          const b = header(options);
          const want = b.slice();
          let bad = 0;
          if (n < 3) bad = 21;
          else if (pointer < 4 || (pointer <= n && pointer + 3 > n)) bad = 22;
          else if (pointer <= n) {
            view(want).setUint32(20 + pointer - 1, B);
            want[22] = pointer + 4;
          }
          // what n < 3 leaves behind the option is not looked at
          expect(region.read(b, (p) => x.optCompile(descriptor(p), B, 7, 0 as unknown as boolean) >>> 0)).toBe(bad);
          if (bad !== 0) return;
          const made = region.write(b, (p) => x.optCompile(descriptor(p), B, 7, 0 as unknown as boolean));
          expect(made).toEqual(want);
          const changed = pointer <= n ? OptFlag.IsChanged | OptFlag.RrNeedAddr : 0;
          expect(flagsOf()).toBe(changed);
        }),
        { numRuns: 500 },
      );
    });

    it("fills in any timestamp: time, address, overflow, and what is wrong with it", () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 2, max: 39 }),
          fc.nat(48),
          fc.constantFrom(0, 1, 3),
          fc.nat(15),
          (n, pointer, mode, over) => {
            const options = new Uint8Array(40);
            options.set([68, n, pointer, (over << 4) | mode]);
            const b = header(options);
            const want = b.slice();
            let bad = 0;
            if (n < 4) bad = 21;
            else if (pointer < 5) bad = 22;
            else if (pointer > n) {
              if (mode !== 3 && over === 15) bad = 23;
              else if (mode !== 3) want[23] = ((over + 1) << 4) | mode;
            } else if (pointer + (mode === 0 ? 3 : 7) > n) bad = 22;
            else {
              const at = 20 + pointer - 1;
              if (mode === 1) view(want).setUint32(at, B);
              view(want).setUint32(mode === 0 ? at : at + 4, 0x01020304);
              want[22] = pointer + (mode === 0 ? 4 : 8);
            }
            const compile = (p: number): number =>
              x.optCompile(descriptor(p), B, 0x01020304, 0 as unknown as boolean) >>> 0;
            expect(region.read(b, compile)).toBe(bad);
            if (bad === 0) expect(region.write(b, compile)).toEqual(want);
          },
        ),
        { numRuns: 500 },
      );
    });

    it("turns options that are not copied into no-operations", () => {
      fc.assert(
        fc.property(someOptions(KINDS), (options) => {
          const b = header(options);
          const want = b.slice();
          for (const o of walk(b).options) if (o.kind < 128) want.fill(1, o.at, o.at + 2 + o.data.length);
          expect(region.write(b, (p) => x.optKeepCopied(p))).toEqual(want);
        }),
        { numRuns: 300 },
      );
    });

    it("takes any bytes: no trap, nothing written or read outside the header", () => {
      const pointed = someOptions(KINDS).chain((b) =>
        fc
          .tuple(fc.array(fc.integer({ min: 0, max: 44 }), { minLength: 3, maxLength: 3 }), fc.nat(40))
          .map(([v, at]) => {
            b.set(v.slice(0, Math.max(0, b.length - at)), Math.min(at, b.length));
            for (let i = 0; i < b.length; i++)
              if ((b[i] === 7 || b[i] === 131 || b[i] === 68) && i + 2 < b.length) b[i + 2] = v[0]!;
            return b;
          }),
      );
      fc.assert(
        fc.property(pointed, fc.boolean(), (options, foreign) => {
          const b = header(options);
          const hl = b.length;
          const all = (p: number): unknown => {
            const h = descriptor(p);
            const bad = x.optCompile(h, B, 7, foreign) >>> 0;
            if (bad !== 0) expect(bad >= 20 && bad < hl, `${bad} in ${hl}`).toBe(true);
            const compiled = core.u8.slice(p, p + hl);
            expect([...compiled.subarray(0, 20)]).toEqual([...b.subarray(0, 20)]);
            if (bad !== 0) return [bad, compiled];
            const optLen = x.optEcho(h, foreign) >>> 0;
            if (optLen !== 0xffffffff) expect(optLen <= 40 && optLen % 4 === 0, `${optLen}`).toBe(true);
            x.optForward(h, B);
            const forwarded = core.u8.slice(p, p + hl);
            if ((flagsOf() & OptFlag.RrNeedAddr) !== 0) expect(checksum(forwarded)).toBe(0);
            return [compiled, flagsOf(), optLen, forwarded];
          };
          region.read(b, all);
          region.write(b, all);
        }),
        { numRuns: 1000 },
      );
    });
  });
});
