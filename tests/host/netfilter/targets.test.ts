// Targets: what they do to the bytes, checked with full sums.

import fc from "fast-check";
import { expect, it } from "vitest";
import { Pkt } from "../../../assembly/layout.ts";
import { Hook } from "../../../src/host/netfilter/hooks.ts";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import type { Core } from "../../../src/core/core.ts";
import type { Route } from "../../../src/host/fib/route.ts";
import type { Interface } from "../../../src/link/interface.ts";
import { overBuilds } from "../../support/cores.ts";
import { FakeHost, icmp, ip, sum16, tcp, udp } from "./fake.ts";

const SYN = 2;

function set(core: Core, table: string, rules: string[]): { host: FakeHost; lan: Interface; wan: Interface } {
  const host = new FakeHost(core);
  const lan = host.device("lan");
  const wan = host.device("wan");
  const iptables = new Iptables(host);
  iptables.load(`*${table}\n${rules.map((r) => `-A ${r}\n`).join("")}COMMIT\n`);
  return { host, lan, wan };
}

function route(dev: Interface): Route {
  return {
    dev,
    gateway: 0,
    source: 0,
    mtu: 0,
    type: 1,
    flags: 0,
    error: 0,
    text: "",
    scope: 0,
    advmss: 0,
    mtuLocked: false,
  } as Route;
}

const headerGood = (p: Uint8Array): boolean => sum16(p.subarray(0, (p[0]! & 15) * 4)) === 0xffff;

/** Whether the TCP checksum verifies. */
function tcpGood(p: Uint8Array): boolean {
  const hl = (p[0]! & 15) * 4;
  const segment = p.subarray(hl);
  return sum16(segment, sum16([...p.subarray(12, 20), 0, 6, segment.length >> 8, segment.length & 255])) === 0xffff;
}

overBuilds("targets", (makeCore) => {
  const core = makeCore();
  const mangle = (rule: string, bytes: Uint8Array): Uint8Array | null => {
    const { host, lan, wan } = set(core, "mangle", [`FORWARD ${rule}`]);
    host.route = route(wan);
    return host.run(Hook.Forward, bytes, lan, wan);
  };

  it("TTL, TOS and DSCP keep the header's sum good", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, byte, byte, (ttl, tos, v, mask) => {
        const bytes = udp(1, 2, [3], { ttl, tos });
        const ttlSet = mangle(`-j TTL --ttl-set ${v}`, bytes)!;
        expect([ttlSet[8], headerGood(ttlSet)]).toEqual([v, true]);
        const inc = mangle(`-j TTL --ttl-inc ${v || 1}`, bytes)!;
        expect([inc[8], headerGood(inc)]).toEqual([Math.min(255, ttl + (v || 1)), true]);
        const dec = mangle(`-j TTL --ttl-dec ${v || 1}`, bytes)!;
        expect([dec[8], headerGood(dec)]).toEqual([Math.max(0, ttl - (v || 1)), true]);
        const t = mangle(`-j TOS --set-tos ${v}/${mask}`, bytes)!;
        expect([t[1], headerGood(t)]).toEqual([(tos & ~mask) ^ v, true]);
        const d = mangle(`-j DSCP --set-dscp ${v >> 2}`, bytes)!;
        expect([d[1], headerGood(d)]).toEqual([((v >> 2) << 2) | (tos & 3), true]);
      }),
      { numRuns: 40 },
    );
  });

  it("TCPMSS lowers the option, never raises it, and adds one to a bare SYN", () => {
    const lower = mangle("-p tcp -j TCPMSS --set-mss 1200", tcp(1, 2, SYN, { tcpOptions: [2, 4, 5, 180] }))!;
    expect([...lower.subarray(40, 44), tcpGood(lower)]).toEqual([2, 4, 4, 176, true]);
    const kept = mangle("-p tcp -j TCPMSS --set-mss 1200", tcp(1, 2, SYN, { tcpOptions: [2, 4, 2, 24] }))!;
    expect([...kept.subarray(40, 44), tcpGood(kept)]).toEqual([2, 4, 2, 24, true]);
    const added = mangle("-p tcp -j TCPMSS --set-mss 1200", tcp(1, 2, SYN, { tcpOptions: [1, 3, 3, 7] }))!;
    expect([added.length, added[3], added[32]! >> 4]).toEqual([48, 48, 7]);
    expect([...added.subarray(40, 48)]).toEqual([2, 4, 2, 24, 1, 3, 3, 7]);
    expect([headerGood(added), tcpGood(added)]).toEqual([true, true]);
    const data = tcp(1, 2, SYN, { data: [1] });
    expect(mangle("-p tcp -j TCPMSS --set-mss 1200", data)).toEqual(data);
    const clamped = mangle("-p tcp -j TCPMSS --clamp-mss-to-pmtu", tcp(1, 2, SYN, { tcpOptions: [2, 4, 35, 40] }))!;
    expect([...clamped.subarray(42, 44), tcpGood(clamped)]).toEqual([5, 180, true]);
  });

  it("TCPMSS at an odd offset leaves a wrong checksum, as Linux does", () => {
    const bytes = tcp(1, 2, SYN, { tcpOptions: [1, 2, 4, 5, 180, 0, 0, 0] });
    const out = mangle("-p tcp -j TCPMSS --set-mss 1200", bytes)!;
    expect([...out.subarray(43, 45)]).toEqual([4, 176]);
    expect(tcpGood(out)).toBe(false);
    // the difference was taken as if the value stood at an even offset
    const before = (bytes[36]! << 8) | bytes[37]!;
    const after = (out[36]! << 8) | out[37]!;
    expect(after).toBe(~sum16([...[~before >> 8, ~before].map((b) => b & 255), ~5 & 255, ~180 & 255, 4, 176]) & 0xffff);
  });

  it("TCPOPTSTRIP and ECN leave good checksums", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 255 }), (value, flags) => {
        const options = [1, 8, 10, 1, 2, 3, value >> 8, value & 255, 7, 8, 9, 4, 2, 0, 0, 0];
        const out = mangle("-p tcp -j TCPOPTSTRIP --strip-options 4,8", tcp(1, 2, flags, { tcpOptions: options }))!;
        expect([...out.subarray(40, 56)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
        expect(tcpGood(out)).toBe(true);
        const ecn = mangle("-p tcp -j ECN --ecn-tcp-remove", tcp(1, 2, flags))!;
        expect([ecn[33], tcpGood(ecn)]).toEqual([flags & 0x3f, true]);
      }),
      { numRuns: 40 },
    );
  });

  it("edits refuse a TCP header that is cut short", () => {
    for (let n = 0; n < 20; n++) {
      const bytes = ip({ proto: 6, payload: Array.from({ length: n }, () => 0) });
      for (const j of ["TCPMSS --set-mss 500", "TCPOPTSTRIP --strip-options 8", "ECN --ecn-tcp-remove"]) {
        expect(mangle(`-p tcp -j ${j}`, bytes)).toBeNull();
      }
    }
    const broken = tcp(1, 2, SYN);
    broken[32] = 0x40;
    expect(mangle("-p tcp -j TCPMSS --set-mss 500", broken)).toBeNull();
  });

  it("MARK, CONNMARK and CLASSIFY", () => {
    const { host, lan, wan } = set(core, "mangle", [
      "FORWARD -j MARK --set-xmark 0x5/0xf",
      "FORWARD -j MARK --or-mark 0x100",
      "FORWARD -j CLASSIFY --set-class 1:a",
      "FORWARD -m mark --mark 0xf105 -j TTL --ttl-set 9",
    ]);
    let priority = 0;
    const free = host.world.x.packetFree;
    const out = host.run(Hook.Forward, udp(1, 2), lan, wan, (f) => {
      core.u32[(f + Pkt.Mark) >> 2] = 0xf00a;
      host.hooks.register(Hook.Forward, 1, "look", (g) => {
        priority = core.u32[(g + Pkt.Priority) >> 2]!;
        return 1;
      });
    })!;
    expect([out[8], priority, free === host.world.x.packetFree]).toEqual([9, 0x1000a, true]);
  });

  it("REJECT --reject-with tcp-reset: the bytes of nf_send_reset", () => {
    const { host, lan, wan } = set(core, "filter", ["FORWARD -p tcp -j REJECT --reject-with tcp-reset"]);
    host.route = route(lan);
    const send = (bytes: Uint8Array): Uint8Array | undefined => {
      host.out.length = 0;
      expect(host.run(Hook.Forward, bytes, lan, wan)).toBeNull();
      return host.out[0];
    };
    const syn = send(tcp(1000, 80, SYN, { seq: 70, data: [1, 2, 3] }))!;
    expect(syn.length).toBe(40);
    expect([syn[1], syn[4], syn[5], syn[6], syn[7], syn[8]]).toEqual([0, 0, 0, 0x40, 0, 64]);
    expect([...syn.subarray(12, 20)]).toEqual([10, 0, 0, 2, 10, 0, 0, 1]);
    expect([...syn.subarray(20, 36)]).toEqual([0, 80, 3, 232, 0, 0, 0, 0, 0, 0, 0, 74, 0x50, 0x14, 0, 0]);
    expect([headerGood(syn), tcpGood(syn)]).toEqual([true, true]);
    const ack = send(tcp(1000, 80, 16, { ack: 0x01020304 }))!;
    expect([...ack.subarray(24, 34)]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0x50, 4]);
    expect(send(tcp(1000, 80, 4))).toBeUndefined();
    const bad = tcp(1000, 80, SYN);
    bad[36]! ^= 1;
    expect(send(bad)).toBeUndefined();
    for (let n = 0; n < 20; n++) expect(send(tcp(1000, 80, SYN).subarray(0, 20 + n))).toBeUndefined();
    expect(core.x.packetsInUse()).toBe(0);
  });

  it("REJECT answers protocols without a checksum over the packet, and no later fragment", () => {
    const { host, lan, wan } = set(core, "filter", ["FORWARD -j REJECT"]);
    const answered = (bytes: Uint8Array): boolean => {
      host.sent.length = 0;
      host.run(Hook.Forward, bytes, lan, wan);
      return host.sent.length === 1;
    };
    expect(answered(ip({ proto: 47, payload: [0, 0, 8, 0, 1, 2] }))).toBe(true);
    expect(answered(ip({ proto: 50, payload: [1, 2, 3, 4, 5, 6] }))).toBe(true);
    expect(answered(ip({ proto: 253, payload: [1, 2, 3, 4] }))).toBe(false);
    expect(answered(ip({ proto: 253, payload: [0xff, 0xff] }))).toBe(true);
    expect(answered(icmp(8, 0))).toBe(true);
    expect(answered(ip({ proto: 17, frag: 5, payload: [0, 0, 0, 0, 0, 0, 0, 0] }))).toBe(false);
    const none = udp(1, 2);
    none[26] = none[27] = 0;
    expect(answered(none)).toBe(true);
  });

  it("TEE sends one copy with DF to the gateway", () => {
    const { host, lan, wan } = set(core, "mangle", [
      "PREROUTING -j TEE --gateway 10.3.0.9",
      "OUTPUT -j TEE --gateway 10.3.0.9",
    ]);
    host.route = route(wan);
    expect(host.run(Hook.Prerouting, udp(1, 2, [7]), lan, null)).toEqual(udp(1, 2, [7]));
    expect(host.out).toHaveLength(1);
    const copy = host.out[0]!;
    expect([copy[6], copy[8], headerGood(copy)]).toEqual([0x40, 63, true]);
    expect(host.gateways).toEqual([0x0a030009]);
    expect(core.x.packetsInUse()).toBe(0);
  });
});
