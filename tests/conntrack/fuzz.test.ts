import fc from "fast-check";
import { expect, it } from "vitest";
import { Pkt } from "../../assembly/layout.ts";
import { Hook, Verdict } from "../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../support/cores.ts";
import { hex, ip, Rig, toHex } from "../host/conntrack/rig.ts";

const WAN = "198.51.100.20";
const LAN = "172.17.0.1";

/** Masquerades the LAN, sends ports 8000-8999 of every protocol to 172.17.0.2, those of 8080 to port 80. */
function router(rig: Rig): void {
  const { nat } = rig.conntrack;
  const { core, x } = rig.world;
  rig.conntrack.use();
  const none = { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 };
  const to = { flags: 3, minAddr: ip("172.17.0.2"), maxAddr: ip("172.17.0.9"), minPort: 80, maxPort: 83, basePort: 0 };
  nat.registerChain(Hook.Prerouting, -100, (f, _h, input) =>
    input === rig.wan ? nat.setup(f, "dst", to) : Verdict.Accept,
  );
  nat.registerChain(Hook.Postrouting, 100, (f, _h, _i, output) =>
    output === rig.wan && x.ipv4Src(core.u32[(f + Pkt.Data) >> 2]!) >>> 24 === 172
      ? nat.masquerade(f, none, output)
      : Verdict.Accept,
  );
}

/** A packet with a header that ip_rcv lets through, and anything behind it. */
const packet = fc
  .record({
    proto: fc.constantFrom(1, 1, 6, 17, 17, 47, 132, 136, 99),
    src: fc.constantFrom("cb00710a", "ac110002", "c6336414", "00000000", "ffffffff"),
    dst: fc.constantFrom("c6336414", "cb00710a", "ac110002", "ac110001"),
    frag: fc.constantFrom(0, 0, 0, 0, 0x2000, 0x2001, 1, 0x4000, 0x1fff, 0x3fff, 2),
    options: fc.nat(10),
    body: fc.uint8Array({ maxLength: 120 }),
    known: fc.nat(5),
  })
  .map(({ proto, src, dst, frag, options, body, known }) => {
    const n = 20 + 4 * options + body.length;
    const b = new Uint8Array(n);
    b[0] = 0x45 + options;
    b.set([n >> 8, n & 255], 2);
    b.set([0, 7, frag >> 8, frag & 255, 64, proto], 4);
    b.set(hex(src), 12);
    b.set(hex(dst), 16);
    b.set(body, 20 + 4 * options);
    // few ports, so that packets meet their connections
    if (known > 0 && body.length >= 4) b.set([0x1f, 0x90 + (known & 1), 0x1f, 0x90], 20 + 4 * options);
    if (known > 2 && proto === 1 && body.length >= 8) b[20 + 4 * options] = [8, 0, 3, 11][known & 3]!;
    if (known > 2 && proto === 1 && body.length >= 40) {
      b.set(hex("4500002800010000401100000000000000000000"), 28 + 4 * options);
      b.set(hex(known === 3 ? src : dst), 40 + 4 * options);
      b.set(hex(known === 3 ? dst : src), 44 + 4 * options);
    }
    return b;
  });

overBuilds("conntrack and NAT under arbitrary packets", (core) => {
  it("never trap, and keep neither packets nor connections", () => {
    const c = core();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(packet, fc.boolean(), fc.nat(3_000_000)), { minLength: 1, maxLength: 60 }),
        fc.boolean(),
        (steps, checksums) => {
          const rig = new Rig(c, WAN, LAN);
          rig.sysctl.set("net.netfilter.nf_conntrack_checksum", checksums ? 1 : 0);
          router(rig);
          let now = 0;
          for (const [b, fromWan, wait] of steps) {
            now += wait;
            rig.at(now);
            rig.receive(fromWan ? rig.wan : rig.lan, b);
          }
          rig.conntrack.list();
          rig.at(now + 1e12);
          rig.conntrack.collect();
          expect(rig.conntrack.count).toBe(0);
          expect(rig.conntrack.defragmenter.queues).toBe(0);
          expect(c.x.packetsInUse()).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("NAT there and back restores every byte", () => {
    const c = core();
    const { x, u8 } = c;
    fc.assert(
      fc.property(
        fc.constantFrom(1, 6, 17),
        fc.nat(65535),
        fc.nat(65535),
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        (proto, a, b, data, bare) => {
          const rig = new Rig(c, WAN, LAN);
          router(rig);
          const headerLen = proto === 6 ? 20 : 8;
          const len = 20 + headerLen + data.length;
          const at = x.alloc(512) >>> 0;
          const make = (src: string, dst: string, sport: number, dport: number, isReply: boolean): Uint8Array => {
            x.ipv4Emit(at, 0, len, 7, 0x4000, 64, proto, ip(src), ip(dst));
            const p = at + 20;
            u8.set(data, p + headerLen);
            if (proto === 17) {
              x.udpEmit(p, sport, dport, 8 + data.length);
              if (!bare) x.udpFillChecksum(p, ip(src), ip(dst));
            } else if (proto === 6) {
              x.tcpEmit(p, sport, dport, isReply ? 9 : 5, isReply ? 6 + data.length : 0, 20, isReply ? 0x12 : 2, 500);
              x.tcpFillChecksum(p, 20 + data.length, ip(src), ip(dst));
            } else {
              x.icmpEmit(p, isReply ? 0 : 8, 0, (sport << 16) | 1);
              x.icmpFillChecksum(p, 8 + data.length);
            }
            return u8.slice(at, at + len);
          };
          const out = hex(rig.receive(rig.lan, make("172.17.0.2", "203.0.113.10", a, b, false)));
          const asked = make(WAN, "203.0.113.10", a, b, false);
          asked[8] = 63;
          x.ipv4FillChecksum(copyIn(asked));
          // a fresh router keeps the port: what leaves is what the outside address would have sent itself
          const expected = u8.slice(at, at + len);
          expect(toHex(out)).toBe(toHex(expected));
          const back = hex(rig.receive(rig.wan, make("203.0.113.10", WAN, proto === 1 ? a : b, a, true)));
          const answer = make("203.0.113.10", "172.17.0.2", proto === 1 ? a : b, a, true);
          answer[8] = 63;
          x.ipv4FillChecksum(copyIn(answer));
          expect(toHex(back)).toBe(toHex(u8.slice(at, at + len)));
          x.release(at, 512);
          expect(x.packetsInUse()).toBe(0);

          function copyIn(bytes: Uint8Array): number {
            u8.set(bytes, at);
            return at;
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
