// nftables rules over packets, in both builds of the core.

import fc from "fast-check";
import { expect, it } from "vitest";
import { NatFlag } from "../../../src/host/netfilter/host.ts";
import { Hook } from "../../../src/host/netfilter/hooks.ts";
import { Nft } from "../../../src/host/netfilter/nft/nft.ts";
import type { Core } from "../../../src/core/core.ts";
import type { Interface } from "../../../src/link/interface.ts";
import { overBuilds } from "../../support/cores.ts";
import { FakeHost, icmp, ip, sum16, tcp, udp } from "./fake.ts";

overBuilds("nft", (makeCore) => {
  const core = makeCore();

  function set(
    text: string,
    on: Core = core,
  ): { host: FakeHost; nft: Nft; lan: Interface; pass: (b: Uint8Array) => boolean } {
    const host = new FakeHost(on);
    const lan = host.device("lan");
    const wan = host.device("wan");
    const nft = new Nft(host);
    nft.load(text);
    return { host, nft, lan, pass: (b) => host.run(Hook.Forward, b, lan, wan) !== null };
  }

  const chain = (rules: string, before = ""): string =>
    `table ip t {\n${before}\nchain c {\ntype filter hook forward priority 0; policy drop;\n${rules}\n}\n}\n`;
  const pass = (rule: string, packet: Uint8Array, before = ""): boolean =>
    set(chain(`${rule} accept`, before)).pass(packet);

  it.each([
    ["ip saddr 10.0.0.0/24", true],
    ["ip saddr != 10.0.0.0/24", false],
    ["ip daddr 10.0.0.1-10.0.0.3", true],
    ["udp dport 53", true],
    ["udp dport != 53", false],
    ["udp dport { 1, 50-60 }", true],
    ["udp dport != { 1, 50-60 }", false],
    ["tcp dport 53", false],
    ["tcp dport != 1", false],
    ["th dport 53", true],
    ["meta l4proto { tcp, udp }", true],
    ["ip protocol udp", true],
    ["ip ttl < 64", false],
    ["ip ttl <= 64", true],
    ["ip ttl > 63", true],
    ["ip ttl >= 65", false],
    ["ip length 28", true],
    ["udp length 8", true],
    ['iifname "lan"', true],
    ['iifname "la*"', true],
    ['iifname != "la*"', false],
    ['oif "wan"', true],
    ['iif { "wan", "lan" }', true],
    ["ip id 0x1234", true],
    ['iifname . udp dport { "lan" . 53 }', true],
    ['iifname . udp dport { "lan" . 54, "wan" . 53 }', false],
    ["ip frag-off & 0x1fff != 0", false],
    ["ct state invalid", true],
    ["ct state { new, established }", false],
    ["ct status dnat", false],
    ["ct mark != 5", false],
    ["fib saddr type unicast", true],
    ["fib daddr type local", false],
    ["ether saddr 02:00:00:00:00:aa", true],
    ["meta mark 0", true],
    ["meta length 28", true],
    ["meta pkttype unicast", true],
    ["limit rate over 1/second", false],
    ["limit rate 1/second", true],
    ["fib saddr . iif oif missing", true],
  ])("%s over UDP 1024 -> 53: %j", (rule, expected) => {
    const { host, pass: run } = set(chain(`${rule} accept`));
    host.conntrack.state = () => 1;
    expect(run(udp(1024, 53))).toBe(expected);
  });

  it.each([
    ["tcp flags syn", 18, true],
    ["tcp flags syn / fin,syn,rst,ack", 18, false],
    ["tcp flags syn / fin,syn,rst,ack", 2, true],
    ["tcp flags != syn / fin,syn,rst,ack", 2, false],
    ["tcp flags ! syn", 16, true],
    ["tcp flags & (syn|ack) == syn", 2, true],
    ["tcp flags == syn", 18, false],
    ["tcp flags { syn, ack }", 16, true],
    ["tcp flags { syn, ack }", 18, false],
  ])("%s with flags %d: %j", (rule, flags, expected) => expect(pass(rule, tcp(1, 2, flags))).toBe(expected));

  it("sets hold what a naive search finds in them", () => {
    const port = fc.integer({ min: 0, max: 65535 });
    const range = fc
      .tuple(port, fc.integer({ min: 0, max: 300 }))
      .map(([a, n]) => [a, Math.min(65535, a + n)] as const);
    fc.assert(
      fc.property(
        fc.array(range, { minLength: 1, maxLength: 8 }),
        port,
        fc.nat(7),
        fc.boolean(),
        (list, other, i, near) => {
          const p = near ? list[i % list.length]![0] : other;
          const before = `set s {\ntype inet_service\nflags interval\nelements = { ${list.map(([a, b]) => `${a}-${b}`).join(", ")} }\n}`;
          expect(pass("udp dport @s", udp(1, p), before)).toBe(list.some(([a, b]) => p >= a && p <= b));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("verdict maps, jump, goto and return", () => {
    const { nft, pass: run } = set(`table ip t {
	map m {
		type inet_service : verdict
		elements = { 1 : accept, 2 : drop, 3 : jump sub, 4 : goto sub }
	}

	chain sub {
		ip saddr 10.0.0.9 counter packets 0 bytes 0 return
		counter packets 0 bytes 0
	}

	chain c {
		type filter hook forward priority filter; policy drop;
		udp dport vmap @m
		ip saddr vmap { 10.0.0.7 : accept }
		udp dport 3 counter packets 0 bytes 0 accept
		udp dport 4 accept
	}
}
`);
    expect([1, 2, 3, 4, 5].map((p) => run(udp(9, p)))).toEqual([true, false, true, false, false]);
    expect(run(udp(9, 5, [], { src: 0x0a000007 }))).toBe(true);
    expect(run(udp(9, 3, [], { src: 0x0a000009 }))).toBe(true);
    expect(nft.print()).toContain(
      "ip saddr 10.0.0.9 counter packets 1 bytes 28 return\n\t\tcounter packets 2 bytes 56\n",
    );
    expect(nft.print()).toContain("udp dport 3 counter packets 2 bytes 56 accept");
  });

  it("edits keep sums good; marks are computed", () => {
    const { host, lan } = set(`table ip t {\nchain c {\ntype filter hook prerouting priority mangle;
ip ttl set 9
ip dscp set ef
meta mark set 0x12
meta mark set meta mark & 0xf0 | 0x5
meta mark 0x15 ip daddr 10.0.0.2 tcp option maxseg size set 1000
}\n}\n`);
    const out = host.run(Hook.Prerouting, tcp(1, 2, 2, { tcpOptions: [2, 4, 5, 180] }), lan, null)!;
    expect([out[8], out[1], sum16(out.subarray(0, 20)), out[42]! * 256 + out[43]!]).toEqual([9, 0xb8, 0xffff, 1000]);
    const plain = host.run(Hook.Prerouting, tcp(1, 2, 2), lan, null)!;
    expect(plain.length).toBe(40);
  });

  it("reject", () => {
    const { host, pass: run } = set(
      chain(
        "ip protocol tcp reject with tcp reset\nudp dport 1 reject\nicmp type echo-request reject with icmp admin-prohibited",
      ),
    );
    expect([run(udp(1, 1)), run(icmp(8, 0)), run(ip({ proto: 6, payload: [1] }))]).toEqual([false, false, false]);
    expect(host.sent).toEqual(["icmp 3/3", "icmp 3/13"]);
    expect(host.drops).toEqual(["NetfilterReject", "NetfilterReject", "NetfilterReject"]);
  });

  it("numgen goes round, and dnat takes what a map says", () => {
    const { host, lan } = set(`table ip lb {\nchain p {\ntype nat hook prerouting priority dstnat;
udp dport 8053 dnat ip to numgen inc mod 3 offset 10 map { 10 : 172.17.0.2 . 53, 11 : 172.17.0.3 . 53, 12 : 172.17.0.3 . 5353 }
udp dport 8054 dnat to 172.17.0.9:90-95 persistent
}\n}\n`);
    expect(host.used).toBe(1);
    for (let i = 0; i < 4; i++) host.runNat(Hook.Prerouting, udp(9, 8053), lan, null);
    host.runNat(Hook.Prerouting, udp(9, 8054), lan, null);
    host.runNat(Hook.Prerouting, udp(9, 8055), lan, null);
    expect(
      host.natCalls.map((c) => [c.what, c.range.minAddr & 255, c.range.minPort, c.range.maxPort, c.range.flags]),
    ).toEqual([
      ["dst", 2, 53, 53, 3],
      ["dst", 3, 53, 53, 3],
      ["dst", 3, 5353, 5353, 3],
      ["dst", 2, 53, 53, 3],
      ["dst", 9, 90, 95, NatFlag.MapIps | NatFlag.ProtoSpecified | NatFlag.Persistent],
    ]);
  });

  it("jhash is lookup3 (its author's own test vectors), and jhash rules see registers of 4 bytes", () => {
    const { x, u8, view } = core;
    const at = x.alloc(64);
    const hash = (s: string, seed: number): number => {
      u8.set(new TextEncoder().encode(s), at);
      return x.jhash(at, s.length, seed) >>> 0;
    };
    expect(hash("", 0)).toBe(0xdeadbeef);
    expect(hash("Four score and seven years ago", 0)).toBe(0x17770551);
    expect(hash("Four score and seven years ago", 1)).toBe(0xcd628161);
    view.setUint32(at, 0x0a000001);
    view.setUint32(at + 4, 1024 * 65536);
    const want = Number((BigInt(x.jhash(at, 8, 0xdeadbeef) >>> 0) * 7n) >> 32n);
    expect(pass(`jhash ip saddr . udp sport mod 7 seed 0xdeadbeef ${want}`, udp(1024, 53))).toBe(true);
    expect(pass(`jhash ip saddr . udp sport mod 7 seed 0xdeadbeef ${(want + 1) % 7}`, udp(1024, 53))).toBe(false);
  });

  it("symhash is the same both ways", () => {
    const { host, pass: run } = set(chain("symhash mod 100 < 50 accept"));
    expect(host.drops).toEqual([]);
    let accepted = 0;
    for (let p = 1; p <= 200; p++) {
      const one = run(udp(p, 80));
      expect(run(udp(80, p, [], { src: 0x0a000002, dst: 0x0a000001 }))).toBe(one);
      if (one) accepted++;
    }
    expect(accepted).toBeGreaterThan(60);
    expect(accepted).toBeLessThan(140);
  });

  it("loading again replaces what was there", () => {
    const { host, nft, pass: run } = set(chain("ct state established accept"));
    expect([host.used, run(udp(1, 2))]).toEqual([1, false]);
    nft.load("");
    expect([host.used, run(udp(1, 2)), nft.print()]).toEqual([0, true, ""]);
  });
});
