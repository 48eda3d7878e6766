import fc from "fast-check";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktType } from "../../assembly/layout.ts";
import { field, packetBytes, packetFrom, setField } from "../../src/core/packet.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";
import { frame, hex, view } from "../support/region.ts";

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const bool = (v: boolean): boolean => (v ? 1 : 0) as unknown as boolean;

interface Header {
  tos: number;
  id: number;
  frag: number;
  ttl: number;
  proto: number;
  src: number;
  dst: number;
}

/** RFC 791 §3.1, field by field. */
function packet(h: Header, payload: Uint8Array, options: Uint8Array = new Uint8Array(0)): Uint8Array {
  const b = new Uint8Array(20 + options.length + payload.length);
  const v = view(b);
  b[0] = 0x45 + options.length / 4;
  b[1] = h.tos;
  v.setUint16(2, b.length);
  v.setUint16(4, h.id);
  v.setUint16(6, h.frag);
  b[8] = h.ttl;
  b[9] = h.proto;
  v.setUint32(12, h.src);
  v.setUint32(16, h.dst);
  b.set(options, 20);
  b.set(payload, 20 + options.length);
  v.setUint16(10, checksum(b.subarray(0, 20 + options.length)));
  return b;
}

/** `segment` with its checksum at `at` over the pseudo-header (RFC 768, RFC 9293 §3.1). */
function transport(h: Header, segment: Uint8Array, at: number): Uint8Array {
  const pseudo = new Uint8Array(12);
  view(pseudo).setUint32(0, h.src);
  view(pseudo).setUint32(4, h.dst);
  pseudo[9] = h.proto;
  view(pseudo).setUint16(10, segment.length);
  view(segment).setUint16(at, checksum(pseudo, segment) || (h.proto === 17 ? 0xffff : 0));
  return segment;
}

const headers: fc.Arbitrary<Header> = fc.record({
  tos: u8,
  id: u16,
  frag: fc.constantFrom(0, 0x4000),
  ttl: u8,
  proto: u8,
  src: u32,
  dst: u32,
});

overBuilds("ip", (make) => {
  const core = make();
  const { x } = core;
  const data = x.alloc(65536);

  /** The bytes of a packet that the core made, which is freed. */
  function taken(h: number): Uint8Array {
    expect(h).not.toBe(0);
    const b = packetBytes(core, h);
    expect(field(core, h, Pkt.Net)).toBe(field(core, h, Pkt.Data));
    x.packetFree(h);
    return b;
  }
  function keep(b: Uint8Array): number {
    core.u8.set(b, data);
    return data;
  }

  it("builds ICMP messages, UDP datagrams and raw packets as a naive encoder does", () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 1600 }), u32, u16, u16, (h, b, rest, one, two) => {
        const icmp = Uint8Array.of(
          one >> 8,
          one & 255,
          0,
          0,
          rest >>> 24,
          (rest >> 16) & 255,
          (rest >> 8) & 255,
          rest & 255,
          ...b,
        );
        view(icmp).setUint16(2, checksum(icmp));
        const message = x.icmpBuild(
          one >> 8,
          one & 255,
          rest,
          keep(b),
          b.length,
          h.tos,
          h.id,
          h.ttl,
          h.src,
          h.dst,
          0,
          0,
          0,
        );
        expect(taken(message)).toEqual(packet({ ...h, frag: 0, proto: 1 }, icmp));

        const udp = new Uint8Array(8 + b.length);
        view(udp).setUint16(0, one);
        view(udp).setUint16(2, two);
        view(udp).setUint16(4, udp.length);
        udp.set(b, 8);
        const datagram = x.udpBuild(keep(b), b.length, h.tos, h.id, h.frag, h.ttl, h.src, one, h.dst, two);
        expect(taken(datagram)).toEqual(packet({ ...h, proto: 17 }, transport({ ...h, proto: 17 }, udp, 6)));

        const raw = x.ipBuild(keep(b), b.length, h.tos, h.id, h.frag, h.ttl, h.proto, h.src, h.dst);
        expect(taken(raw)).toEqual(packet(h, b));
      }),
    );
  });

  it("builds the largest datagram there is", () => {
    const b = new Uint8Array(65507).fill(0xff);
    const h = { tos: 0, id: 1, frag: 0, ttl: 64, proto: 17, src: 0x0a000001, dst: 0x0a000002 };
    const udp = new Uint8Array(65515);
    view(udp).setUint32(0, 0x00010002);
    view(udp).setUint16(4, udp.length);
    udp.set(b, 8);
    const want = packet(h, transport(h, udp, 6));
    const made = taken(x.udpBuild(keep(b), b.length, 0, 1, 0, 64, h.src, 1, h.dst, 2));
    expect(Buffer.compare(made, want)).toBe(0);
  });

  it("writes times into a timestamp reply", () => {
    const want = frame("icmp-timestamp-reply", 14, 54);
    const v = view(want);
    const request = frame("icmp-timestamp-request", 42, 54);
    const h = x.icmpBuild(
      14,
      0,
      v.getUint32(24),
      keep(request),
      12,
      0,
      v.getUint16(4),
      64,
      v.getUint32(12),
      v.getUint32(16),
      0,
      0,
      0,
    );
    x.icmpTimes(h, v.getUint32(32));
    expect(taken(h)).toEqual(want);
  });

  it("answers a captured SYN with the reset that Linux sent", () => {
    // the SYN to port 81 that fixtures/headers.hex keeps is another; the reset's own fields tell which one it answers
    const want = frame("reset", 14, 54);
    const syn = new Uint8Array(20);
    syn.set(want.subarray(22, 24), 0);
    syn.set(want.subarray(20, 22), 2);
    view(syn).setUint32(4, view(want).getUint32(28) - 1);
    syn[12] = 0x50;
    syn[13] = 0x02;
    const h = {
      tos: 0,
      id: 7,
      frag: 0x4000,
      ttl: 64,
      proto: 6,
      src: view(want).getUint32(16),
      dst: view(want).getUint32(12),
    };
    const p = packetFrom(core, packet(h, transport(h, syn, 16)));
    expect(x.ipReceive(p)).toBe(Drop.None);
    expect(taken(x.tcpReset(p, 0, 64, 0, h.src, 0))).toEqual(want);
    x.packetFree(p);
  });

  it("resets any segment as RFC 9293 §3.10.7.1 says", () => {
    fc.assert(
      fc.property(
        headers,
        fc.uint8Array({ minLength: 20, maxLength: 120 }),
        u8,
        u8,
        fc.integer({ min: 5, max: 15 }),
        (h, segment, tos, ttl, words) => {
          const hl = Math.min(words, Math.floor(segment.length / 4)) * 4;
          segment[12] = (hl / 4) << 4;
          const from = { ...h, proto: 6 };
          const v = view(segment);
          const p = packetFrom(core, packet(from, transport(from, segment, 16)));
          expect(x.ipReceive(p)).toBe(Drop.None);
          const made = taken(x.tcpReset(p, tos, ttl, 0, h.src, 0));
          x.packetFree(p);
          const want = new Uint8Array(20);
          const w = view(want);
          w.setUint16(0, v.getUint16(2));
          w.setUint16(2, v.getUint16(0));
          const flags = segment[13]!;
          if ((flags & 0x10) !== 0) {
            w.setUint32(4, v.getUint32(8));
            want[13] = 0x04;
          } else {
            const length = segment.length - hl + ((flags & 2) !== 0 ? 1 : 0) + ((flags & 1) !== 0 ? 1 : 0);
            w.setUint32(8, v.getUint32(4) + length);
            want[13] = 0x14;
          }
          want[12] = 0x50;
          const back = { tos, id: 0, frag: 0x4000, ttl, proto: 6, src: h.dst, dst: h.src };
          expect(made).toEqual(packet(back, transport(back, want, 16)));
        },
      ),
    );
  });

  it("cuts any packet at any MTU so that a naive reassembler has it again", () => {
    const options = fc.constantFrom("", "94040000", "01010101 94040000").map(hex);
    const first = fc.constantFrom(0, 0, 185, 8000);
    fc.assert(
      fc.property(
        headers,
        fc.uint8Array({ maxLength: 4000 }),
        options,
        fc.integer({ min: 68, max: 1600 }),
        first,
        fc.boolean(),
        fc.boolean(),
        (h, payload, opts, mtu, offset, more, df) => {
          const mf = more && payload.length % 8 === 0 && payload.length > 0;
          const start = { ...h, frag: offset | (mf ? 0x2000 : 0) };
          const whole = packet(start, payload, opts);
          const p = packetFrom(core, whole);
          expect(x.ipReceive(p)).toBe(Drop.None);
          setField(core, p, Pkt.Mark, 77);
          const hl = 20 + opts.length;
          const most = Math.floor((mtu - hl) / 8) * 8;
          const pieces: Uint8Array[] = [];
          for (let at = 0; at === 0 || at < payload.length; at += most) {
            const n = Math.min(most, payload.length - at);
            const f = x.fragment(p, at, n, bool(at + n < payload.length), bool(df));
            expect(field(core, f, Pkt.Mark)).toBe(77);
            expect(field(core, f, Pkt.Trans)).toBe(offset === 0 && at === 0 ? field(core, f, Pkt.Net) + hl : 0);
            pieces.push(taken(f));
          }
          expect(packetBytes(core, p), "the packet itself stays").toEqual(whole);
          x.packetFree(p);
          // every piece: within the MTU, a good header with what the packet's had; its data where its offset says
          const again = new Uint8Array(payload.length);
          let covered = 0;
          pieces.forEach((piece, i) => {
            const v = view(piece);
            expect(piece.length).toBeLessThanOrEqual(mtu);
            expect(v.getUint16(2)).toBe(piece.length);
            expect(checksum(piece.subarray(0, hl))).toBe(0);
            const word = v.getUint16(6);
            expect((word & 0x4000) !== 0).toBe(df);
            expect((word & 0x2000) !== 0).toBe(i < pieces.length - 1 || mf);
            const plain = whole.slice(0, hl);
            for (const [at, n] of [
              [2, 2],
              [6, 2],
              [10, 2],
            ] as const)
              plain.set(piece.subarray(at, at + n), at);
            expect(piece.subarray(0, hl)).toEqual(plain);
            again.set(piece.subarray(hl), (word & 0x1fff) * 8 - offset * 8);
            covered += piece.length - hl;
          });
          expect(covered).toBe(payload.length);
          expect(Buffer.compare(again, payload)).toBe(0);
        },
      ),
    );
  });

  it("decreases the TTL and replaces the destination as if summed anew", () => {
    fc.assert(
      fc.property(headers, u32, (h, dst) => {
        const from = { ...h, ttl: Math.max(1, h.ttl) };
        const p = packetFrom(core, packet(from, new Uint8Array(4)));
        x.ipReceive(p);
        x.decreaseTtl(p);
        expect(packetBytes(core, p)).toEqual(packet({ ...from, ttl: from.ttl - 1 }, new Uint8Array(4)));
        x.setDestination(p, dst);
        expect(taken(p)).toEqual(packet({ ...from, ttl: from.ttl - 1, dst }, new Uint8Array(4)));
      }),
    );
  });

  it("receives any frame as a naive reader does", () => {
    const mac = x.alloc(6);
    const own = hex("02000000000b");
    core.u8.set(own, mac);
    const dst = fc.oneof(
      fc.constant([...own]),
      fc.constant([255, 255, 255, 255, 255, 255]),
      fc.uint8Array({ minLength: 6, maxLength: 6 }).map((b) => [...b]),
      fc
        .nat(5)
        .map((i) => own.with(i, own[i]! ^ 4))
        .map((b) => [...b]),
    );
    const tag = fc
      .tuple(fc.constantFrom(0x8100, 0x88a8), fc.constantFrom(0, 0xe000, 1, 0x1fff))
      .map(([tpid, tci]) => [tpid >> 8, tpid & 255, tci >> 8, tci & 255]);
    const frames = fc
      .tuple(
        dst,
        fc.array(tag, { maxLength: 3 }),
        fc.constantFrom([8, 0], [8, 6], [0, 38], [0x81, 0]),
        fc.uint8Array({ maxLength: 12 }),
        fc.nat(40),
      )
      .map(([to, tags, type, rest, cut]) =>
        Uint8Array.from([...to, 2, 0, 0, 0, 0, 0x0a, ...tags.flat(), ...type, ...rest].slice(0, cut)),
      );
    fc.assert(
      fc.property(fc.oneof(frames, fc.uint8Array({ maxLength: 40 })), (b) => {
        const p = packetFrom(core, b);
        const drop = x.etherReceive(p, mac);
        let want: Drop = Drop.None;
        let at = 14;
        let type: PktType = PktType.Host;
        let protocol = 0;
        if (b.length < 14) want = Drop.Truncated;
        else {
          const to = Buffer.from(b.subarray(0, 6));
          if (to.compare(own) !== 0) {
            type =
              to.toString("hex") === "ffffffffffff"
                ? PktType.Broadcast
                : (to[0]! & 1) !== 0
                  ? PktType.Multicast
                  : PktType.OtherHost;
          }
          protocol = view(b).getUint16(12);
          while (protocol === 0x8100 || protocol === 0x88a8) {
            if (b.length < at + 4) {
              want = Drop.Truncated;
              break;
            }
            // a VLAN that no device claims
            if (view(b).getUint16(at) % 4096 !== 0) type = PktType.OtherHost;
            protocol = view(b).getUint16(at + 2);
            at += 4;
            if (type === PktType.OtherHost) break;
          }
        }
        expect(drop).toBe(want);
        if (want === Drop.None) {
          expect([field(core, p, Pkt.Type), field(core, p, Pkt.Protocol)]).toEqual([type, protocol]);
          expect(field(core, p, Pkt.Data) - field(core, p, Pkt.Mac)).toBe(at);
          expect(packetBytes(core, p)).toEqual(b.slice(at));
        }
        x.packetFree(p);
      }),
      { numRuns: 500 },
    );
  });

  it("receives any packet as a naive reader does, padding cut", () => {
    const some = fc
      .tuple(headers, fc.uint8Array({ maxLength: 40 }), fc.nat(10), fc.nat(8), fc.nat(200), u8)
      .map(([h, b, words, padding, at, v]) => {
        const whole = packet(h, b, new Uint8Array(4 * words).fill(1));
        const padded = Uint8Array.of(...whole, ...new Uint8Array(padding));
        // every other one damaged, half of those where the header is
        if (at % 2 === 0) padded[(at >> 1) % (at % 4 === 0 ? 20 : padded.length)] = v;
        return at % 10 === 1 ? padded.subarray(0, at >> 1) : padded;
      });
    fc.assert(
      fc.property(fc.oneof(some, fc.uint8Array({ maxLength: 70 })), (b) => {
        const hl = b.length === 0 ? 0 : (b[0]! & 15) * 4;
        const length = b.length < 20 ? 0 : view(b).getUint16(2);
        const good =
          b.length >= 20 &&
          b[0]! >> 4 === 4 &&
          hl >= 20 &&
          hl <= b.length &&
          checksum(b.subarray(0, hl)) === 0 &&
          length >= hl &&
          length <= b.length;
        const p = packetFrom(core, b);
        for (const at of [Pkt.OptSrr, Pkt.OptRr, Pkt.OptTs, Pkt.OptFlags, Pkt.FragMax]) setField(core, p, at, 99);
        expect(x.ipReceive(p) === Drop.None).toBe(good);
        if (good) {
          expect(packetBytes(core, p)).toEqual(b.slice(0, length));
          expect(field(core, p, Pkt.Net)).toBe(field(core, p, Pkt.Data));
          expect(field(core, p, Pkt.Trans)).toBe(field(core, p, Pkt.Data) + hl);
          for (const at of [Pkt.OptSrr, Pkt.OptRr, Pkt.OptTs, Pkt.OptFlags, Pkt.FragMax])
            expect(field(core, p, at)).toBe(0);
        }
        x.packetFree(p);
      }),
      { numRuns: 500 },
    );
  });

  it("puts an Ethernet header before a packet", () => {
    const p = packetFrom(core, frame("syn", 14));
    const macs = keep(frame("syn", 0, 12));
    x.etherPush(p, macs, macs + 6, 0x0800);
    expect(packetBytes(core, p)).toEqual(frame("syn"));
    expect(field(core, p, Pkt.Mac)).toBe(field(core, p, Pkt.Data));
    x.packetFree(p);
  });

  it("checks UDP-Lite over the bytes that its coverage names (RFC 3828 §3.1)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 60 }), fc.nat(70), u32, u32, (b, coverage, src, dst) => {
        const v = view(b);
        v.setUint16(4, coverage);
        v.setUint16(6, 0);
        const over = coverage === 0 ? b.length : coverage;
        const legal = over >= 8 && over <= b.length;
        const pseudo = new Uint8Array(12);
        view(pseudo).setUint32(0, src);
        view(pseudo).setUint32(4, dst);
        pseudo[9] = 136;
        view(pseudo).setUint16(10, b.length);
        v.setUint16(6, checksum(pseudo, b.subarray(0, legal ? over : 8)) || 0xffff);
        const check = (c: Uint8Array, n = c.length): number => x.udpliteCheck(keep(c), n, src, dst);
        expect(check(b)).toBe(legal ? Drop.None : Drop.BadLength);
        if (!legal) return;
        for (const at of [0, over - 1]) {
          const damaged = b.slice();
          damaged[at]! ^= 0x10;
          expect(check(damaged)).not.toBe(Drop.None);
        }
        if (over < b.length) {
          const behind = b.slice();
          behind[over]! ^= 0xff;
          expect(check(behind), "bytes that are not covered").toBe(Drop.None);
        }
        const none = b.slice();
        view(none).setUint16(6, 0);
        expect(check(none)).toBe(Drop.BadChecksum);
        expect(check(b, 7)).toBe(Drop.Truncated);
      }),
    );
  });

  it("leaves no packet behind", () => {
    expect(x.packetsInUse() >>> 0).toBe(0);
  });
});
