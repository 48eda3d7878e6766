// How packets walk the tables: matches, jumps, counters, policies; both builds of the core.

import { expect, it } from "vitest";
import { Ct } from "../../../assembly/conntracklayout.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { Hook, Verdict } from "../../../src/host/netfilter/hooks.ts";
import { NatFlag } from "../../../src/host/netfilter/host.ts";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import { overBuilds } from "../../support/cores.ts";
import { FakeHost, icmp, ip, tcp, udp } from "./fake.ts";

const SYN = 2;
const ACK = 16;

overBuilds("iptables", (makeCore) => {
  function setUp(rules: string): { host: FakeHost; iptables: Iptables; forward: (bytes: Uint8Array) => boolean } {
    const host = new FakeHost(makeCore());
    const lan = host.device("lan");
    const wan = host.device("wan");
    const iptables = new Iptables(host);
    iptables.load(rules);
    return { host, iptables, forward: (bytes) => host.run(Hook.Forward, bytes, lan, wan) !== null };
  }

  it("counts matching rules and the policy, and goes through chains", () => {
    const { iptables, forward } = setUp(`*filter
:FORWARD DROP [5:100]
:A - [0:0]
:B - [0:0]
-A FORWARD -p udp -j A
-A FORWARD -p tcp -m tcp --dport 25 -j ACCEPT
-A A -p udp -m udp --dport 1 -g B
-A A -p udp -m udp --dport 2 -j B
-A A -p udp -m udp --dport 2 -j ACCEPT
-A A -p udp -m udp --dport 3 -j RETURN
-A A -p udp -m udp --dport 3 -j ACCEPT
-A B -s 10.0.0.9/32 -j DROP
COMMIT
`);
    expect(forward(udp(9, 1))).toBe(false);
    expect(forward(udp(9, 2))).toBe(true);
    expect(forward(udp(9, 3))).toBe(false);
    expect(forward(udp(9, 2, [], { src: 0x0a000009 }))).toBe(false);
    expect(forward(tcp(9, 25, SYN))).toBe(true);
    expect(forward(tcp(9, 26, SYN))).toBe(false);
    expect(iptables.save(true)).toBe(`*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [8:196]
:OUTPUT ACCEPT [0:0]
:A - [0:0]
:B - [0:0]
[4:112] -A FORWARD -p udp -j A
[1:40] -A FORWARD -p tcp -m tcp --dport 25 -j ACCEPT
[1:28] -A A -p udp -m udp --dport 1 -g B
[2:56] -A A -p udp -m udp --dport 2 -j B
[1:28] -A A -p udp -m udp --dport 2 -j ACCEPT
[1:28] -A A -p udp -m udp --dport 3 -j RETURN
[0:0] -A A -p udp -m udp --dport 3 -j ACCEPT
[1:28] -A B -s 10.0.0.9/32 -j DROP
COMMIT
`);
  });

  const one = (rule: string, bytes: Uint8Array): boolean => {
    const { forward } = setUp(`*filter\n:FORWARD DROP [0:0]\n-A FORWARD ${rule} -j ACCEPT\nCOMMIT\n`);
    return forward(bytes);
  };

  it.each([
    ["-s 10.0.0.0/8", true],
    ["! -s 10.0.0.0/8", false],
    ["-d 10.0.0.2", true],
    ["-d 10.0.0.0/255.0.0.255", false],
    ["-d 10.0.0.2/255.0.0.255", true],
    ["-i lan", true],
    ["-i la+", true],
    ["! -i la+", false],
    ["-i l", false],
    ["-o wan -i lan", true],
    ["! -o wan", false],
    ["-p udp", true],
    ["! -p udp", false],
    ["-p 17", true],
    ["-p udp --sport 1000:2000", true],
    ["-p udp ! --sport 1000:2000", false],
    ["-p udp --dport domain", true],
    ["-p udp --dport :52", false],
    ["-p udp --dport 53:", true],
    ["-f", false],
    ["! -f", true],
    ["-p icmp", false],
  ])("%s over UDP 1024 -> 53: %j", (rule, expected) => {
    expect(one(rule, udp(1024, 53, [1, 2, 3]))).toBe(expected);
  });

  it.each([
    ["--syn", SYN, true],
    ["--syn", SYN | ACK, false],
    ["! --syn", ACK, true],
    ["--tcp-flags ALL NONE", 0, true],
    ["--tcp-flags SYN,ACK ACK", ACK | 1, true],
    ["--tcp-flags SYN,ACK ACK", SYN | ACK, false],
    ["--tcp-option 8", SYN, true],
    ["! --tcp-option 8", SYN, false],
    ["--tcp-option 4", SYN, false],
  ])("-p tcp %s with flags %d: %j", (rule, flags, expected) => {
    const tcpOptions = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
    expect(one(`-p tcp ${rule}`, tcp(1, 80, flags, { tcpOptions }))).toBe(expected);
  });

  it.each([
    ["8", icmp(8, 0), true],
    ["echo-request", icmp(8, 0), true],
    ["3/1", icmp(3, 1), true],
    ["3/1", icmp(3, 2), false],
    ["any", icmp(3, 2), true],
    ["host-un", icmp(3, 7), false],
  ] as const)("-p icmp --icmp-type %s", (type, bytes, expected) => {
    if (type === "host-un") expect(() => one(`-p icmp --icmp-type ${type}`, bytes)).toThrow("could be");
    else expect(one(`-p icmp --icmp-type ${type}`, bytes)).toBe(expected);
  });

  it("fragments: -f takes the later ones; what is native to nft reads their data as ports, as the kernel does", () => {
    const later = ip({ proto: 17, frag: 100, payload: [0, 53, 0, 53, 0, 8, 0, 0] });
    const first = ip({ proto: 17, frag: 0x2000, payload: [0, 53, 0, 53, 0, 8, 0, 0] });
    expect(one("-f", later)).toBe(true);
    expect(one("-f", first)).toBe(false);
    const data = ip({ proto: 17, frag: 100, payload: [0, 53, 0, 9, 0, 8, 0, 0] });
    expect(one("-p udp --dport 53", later)).toBe(true);
    expect(one("-p udp ! --dport 53", later)).toBe(false);
    expect(one("-p udp ! --dport 53", data)).toBe(true);
    expect(one("-p udp -m multiport --dports 53", later)).toBe(false);
    expect(one("-p udp --dport 53", first)).toBe(true);
    expect(one("-p udp --dport 60:50", first)).toBe(false);
    expect(one("-p udp ! --dport 60:50", first)).toBe(true);
  });

  it("a header cut short: nft compares what is there, legacy drops the packet on the spot", () => {
    const short = ip({ proto: 6, payload: [0, 1, 0, 80, 0, 0, 0, 0, 0, 0] });
    const rules = "*filter\n-A FORWARD -p tcp --dport 80 -j ACCEPT\n-A FORWARD -j ACCEPT\nCOMMIT\n";
    const { host, iptables, forward } = setUp(rules);
    expect(forward(short)).toBe(true);
    iptables.backend = "legacy";
    iptables.load(rules);
    expect(forward(short)).toBe(false);
    expect(host.drops).toEqual(["Netfilter"]);
    expect(iptables.save(true)).toContain("[0:0] -A FORWARD -j ACCEPT");
  });

  it("conntrack states come from the packet, and tracking runs while a rule asks", () => {
    const { host, iptables } = setUp(
      "*filter\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j DROP\nCOMMIT\n",
    );
    expect(host.used).toBe(1);
    const { x, core } = host.world;
    const entry = x.alloc(128);
    core.u32[(entry + Ct.Use) >> 2] = 1000;
    const pass = (ct: number, info: number): boolean =>
      host.run(Hook.Forward, udp(1, 2), null, null, (f) => {
        core.u32[(f + Pkt.Ct) >> 2] = ct === 0 ? 0 : entry;
        core.u32[(f + Pkt.CtInfo) >> 2] = info;
      }) !== null;
    expect([pass(1, 0), pass(1, 3), pass(1, 1), pass(1, 4)]).toEqual([false, false, false, false]);
    expect([pass(1, 2), pass(0, 0), pass(0, 7)]).toEqual([true, true, true]);
    iptables.command("-F");
    expect(host.used).toBe(0);
  });

  it("docker's nat table: DNAT of what is for this host, MASQUERADE of what leaves", () => {
    const { host } = setUp(`*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
`);
    const wan = host.byName.get("wan")!;
    expect(host.used).toBe(1);
    host.runNat(Hook.Prerouting, tcp(1, 8080, SYN), wan, null);
    expect(host.natCalls).toEqual([]);
    host.local.add(0x0a000002);
    expect(host.runNat(Hook.Prerouting, tcp(1, 8080, SYN), wan, null)).toBe(Verdict.Accept);
    host.runNat(Hook.Postrouting, tcp(1, 8080, SYN), null, wan);
    expect(host.natCalls).toEqual([
      {
        what: "dst",
        range: {
          flags: NatFlag.MapIps | NatFlag.ProtoSpecified,
          minAddr: 0xac110002,
          maxAddr: 0xac110002,
          minPort: 80,
          maxPort: 80,
          basePort: 0,
        },
      },
      { what: "masquerade wan", range: { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 } },
    ]);
  });

  it("traces the rule that decided", () => {
    const { host, forward } = setUp(
      '*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p udp -m comment --comment "a b"\nCOMMIT\n',
    );
    host.listen();
    forward(udp(1, 2));
    expect(host.traced.filter((t) => t.startsWith("rule"))).toEqual([
      'rule filter -A FORWARD -p udp -m comment --comment "a b"',
      "rule filter FORWARD policy DROP",
    ]);
  });

  it("REJECT answers with ICMP when the checksum is good, and drops", () => {
    const { host, forward } = setUp("*filter\n-A FORWARD -j REJECT --reject-with icmp-admin-prohibited\nCOMMIT\n");
    expect(forward(udp(1, 2))).toBe(false);
    const bad = udp(1, 2);
    bad[27]! ^= 1;
    expect(forward(bad)).toBe(false);
    expect(host.sent).toEqual(["icmp 3/13"]);
    expect(host.drops).toEqual(["NetfilterReject", "NetfilterReject"]);
  });
});
