import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { Region, frame, view } from "../support/region.ts";

/** The ICMP message in a captured frame: behind the IPv4 header, as long as the packet says. */
function message(name: string): Uint8Array {
  const packet = frame(name, 14);
  return packet.slice((packet[0]! & 15) * 4, view(packet).getUint16(2));
}

/** Type and code of the captured errors. */
const ERRORS = [
  ["port-unreachable", 3, 3],
  ["host-unreachable", 3, 1],
  ["fragmentation-needed", 3, 4],
  ["redirect", 5, 1],
  ["ttl-exceeded", 11, 0],
  ["reassembly-timeout", 11, 1],
  ["parameter-problem", 12, 0],
] as const;

overBuilds("icmpv4", (make) => {
  const core = make();
  const { x } = core;
  const region = new Region(core);
  const data = region.keep(new Uint8Array(1600));

  const fields = (p: number): Record<string, number> => ({
    type: x.icmpType(p),
    code: x.icmpCode(p),
    checksum: x.icmpChecksum(p),
    ident: x.icmpIdent(p),
    seq: x.icmpSeq(p),
    mtu: x.icmpMtu(p),
    gateway: x.icmpGateway(p) >>> 0,
    pointer: x.icmpPointer(p),
  });
  const naive = (b: Uint8Array): Record<string, number> => {
    const v = view(b);
    return {
      type: b[0]!,
      code: b[1]!,
      checksum: v.getUint16(2),
      ident: v.getUint16(4),
      seq: v.getUint16(6),
      mtu: v.getUint16(6),
      gateway: v.getUint32(4),
      pointer: b[4]!,
    };
  };
  const times = (p: number): number[] => [x.icmpOriginate(p) >>> 0, x.icmpReceive(p) >>> 0, x.icmpTransmit(p) >>> 0];

  it("reads captured echoes and timestamps", () => {
    expect(region.read(message("echo-request"), fields)).toMatchObject({ type: 8, code: 0, ident: 7, seq: 1 });
    expect(region.read(message("echo-reply"), fields)).toMatchObject({ type: 0, code: 0, ident: 7, seq: 1 });
    const request = message("icmp-timestamp-request");
    expect(region.read(request, fields)).toMatchObject({ type: 13, ident: 5, seq: 6 });
    expect(region.read(request, times)).toEqual([0x01020304, 0, 0]);
    const reply = message("icmp-timestamp-reply");
    const stamp = view(reply).getUint32(12);
    expect(region.read(reply, times)).toEqual([0x01020304, stamp, stamp]);
  });

  it("reads captured errors and the packets that they quote", () => {
    for (const [name, type, code] of ERRORS) {
      const b = message(name);
      const got = region.read(b, fields);
      expect(got, name).toMatchObject({ type, code });
      expect(
        region.read(b, (p) => Boolean(x.icmpVerify(p, b.length))),
        name,
      ).toBe(true);
      expect(Boolean(x.icmpIsError(type))).toBe(true);
      expect(
        region.read(b, (p) => x.icmpCheckQuoted(p, b.length)),
        name,
      ).toBe(Drop.None);
      expect(region.read(b, (p) => (x.icmpQuoted(p) >>> 0) - p)).toBe(8);
    }
    expect(region.read(message("fragmentation-needed"), fields).mtu).toBe(900);
    expect(region.read(message("redirect"), fields).gateway).toBe(0x0a0100fe);
    expect(region.read(message("parameter-problem"), fields).pointer).toBe(0x16);
    for (const type of [0, 8, 13, 14, 17, 40]) expect(Boolean(x.icmpIsError(type))).toBe(false);
    expect(Boolean(x.icmpIsError(4)), "source quench").toBe(true);
  });

  it("writes every captured message again", () => {
    for (const name of [...ERRORS.map((e) => e[0]), "echo-request", "echo-reply", "record-route-reply"]) {
      const want = message(name);
      core.u8.set(want.subarray(8), data);
      const rest = view(want).getUint32(4);
      const made = region.write(want.length, (p) =>
        x.icmpEmitMessage(p, want[0]!, want[1]!, rest, data, want.length - 8),
      );
      expect(made, name).toEqual(want);
    }
    for (const name of ["echo-request", "echo-reply"]) {
      const want = message(name);
      const room = want.slice();
      room.fill(0xa5, 0, 8);
      const made = region.write(room, (p) => {
        x.icmpEmitEcho(p, want[0]!, 7, 1);
        x.icmpFillChecksum(p, want.length);
      });
      expect(made, name).toEqual(want);
    }
    for (const name of ["icmp-timestamp-request", "icmp-timestamp-reply"]) {
      const want = message(name);
      const v = view(want);
      const made = region.write(20, (p) =>
        x.icmpEmitTimestamp(p, want[0]!, 5, 6, v.getUint32(8), v.getUint32(12), v.getUint32(16)),
      );
      expect(made, name).toEqual(want.subarray(0, 20));
    }
  });

  it("refuses a message cut at any length", () => {
    const stamp = message("icmp-timestamp-reply");
    for (let n = 0; n <= 20; n++) {
      const cut = stamp.subarray(0, n);
      expect(region.read(cut, (p) => x.icmpCheck(p, n))).toBe(n < 8 ? Drop.Truncated : Drop.None);
      expect(region.read(cut, (p) => x.icmpCheckTimestamp(p, n))).toBe(n < 20 ? Drop.Truncated : Drop.None);
    }
    // what the parameter problem quotes has a header of 32 bytes
    const quoting = message("parameter-problem");
    for (let n = 0; n <= 40; n++) {
      const cut = quoting.subarray(0, n);
      expect(region.read(cut, (p) => x.icmpCheckQuoted(p, n))).toBe(n < 40 ? Drop.Truncated : Drop.None);
    }
    for (const [first, drop] of [
      [0x65, Drop.BadVersion],
      [0x44, Drop.BadHeaderLength],
      [0x4f, Drop.None],
    ] as const) {
      const b = message("ttl-exceeded");
      b[8] = first;
      expect(region.read(b, (p) => x.icmpCheckQuoted(p, b.length))).toBe(drop);
    }
  });

  it("reads any bytes as a DataView does, and sums them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (b) => {
        const drop = region.read(b, (p) => x.icmpCheck(p, b.length));
        expect(drop === Drop.None).toBe(b.length >= 8);
        if (b.length < 8) return;
        expect(region.read(b, fields)).toEqual(naive(b));
        expect(region.read(b, (p) => Boolean(x.icmpVerify(p, b.length)))).toBe(checksum(b) === 0);
        if (b.length >= 20) {
          const v = view(b);
          expect(region.read(b, times)).toEqual([v.getUint32(8), v.getUint32(12), v.getUint32(16)]);
        }
        const hl = ((b[8] ?? 0) & 15) * 4;
        const quotes = b.length >= 28 && b[8]! >> 4 === 4 && hl >= 20 && b.length >= 8 + hl;
        expect(region.read(b, (p) => x.icmpCheckQuoted(p, b.length)) === Drop.None).toBe(quotes);
        const filled = region.write(b, (p) => x.icmpFillChecksum(p, b.length));
        const want = b.slice();
        view(want).setUint16(2, 0);
        view(want).setUint16(2, checksum(want));
        expect(filled).toEqual(want);
      }),
      { numRuns: 300 },
    );
  });

  it("sets identifier and sequence number alone, and writes any header", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.nat(0xffff), fc.nat(0xffff), (b, v, w) => {
        for (const [at, set] of [
          [4, x.icmpSetIdent],
          [6, x.icmpSetSeq],
        ] as const) {
          const want = b.slice();
          view(want).setUint16(at, v);
          expect(region.write(b, (p) => set(p, v))).toEqual(want);
        }
        const rest = view(b).getUint32(4);
        const made = region.write(8, (p) => x.icmpEmit(p, b[0]!, b[1]!, rest));
        expect(made).toEqual(Uint8Array.of(b[0]!, b[1]!, 0, 0, ...b.subarray(4)));
        const echo = region.write(8, (p) => x.icmpEmitEcho(p, 8, v, w));
        expect(echo).toEqual(Uint8Array.of(8, 0, 0, 0, v >> 8, v & 255, w >> 8, w & 255));
      }),
    );
  });
});
