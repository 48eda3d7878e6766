// Matches against naive oracles, over both builds of the core.

import fc from "fast-check";
import { expect, it } from "vitest";
import { Ct } from "../../../assembly/conntracklayout.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { Hook } from "../../../src/host/netfilter/hooks.ts";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import type { Core, Frame } from "../../../src/core/core.ts";
import type { Interface } from "../../../src/link/interface.ts";
import { overBuilds } from "../../support/cores.ts";
import { FakeHost, ip, tcp, udp } from "./fake.ts";

interface Bench {
  host: FakeHost;
  lan: Interface;
  wan: Interface;
  /** Whether the packet is accepted by a chain whose policy is DROP. */
  pass: (bytes: Uint8Array, prepare?: (f: Frame) => void) => boolean;
}

function bench(core: Core, rules: string[], backend: "nft" | "legacy" = "nft"): Bench {
  const host = new FakeHost(core);
  const lan = host.device("lan");
  const wan = host.device("wan");
  const iptables = new Iptables(host);
  iptables.backend = backend;
  iptables.load(`*filter\n:FORWARD DROP [0:0]\n${rules.map((r) => `-A FORWARD ${r}\n`).join("")}COMMIT\n`);
  return { host, lan, wan, pass: (bytes, prepare) => host.run(Hook.Forward, bytes, lan, wan, prepare) !== null };
}

const port = fc.integer({ min: 0, max: 65535 });
const address = fc.integer({ min: 0, max: 0xffffffff });
const dotted = (a: number): string => `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
const runs = { numRuns: 60 };

overBuilds("matches", (makeCore) => {
  const core = makeCore();

  it("prefixes and negations are arithmetic on addresses", () => {
    fc.assert(
      fc.property(
        address,
        fc.integer({ min: 1, max: 32 }),
        address,
        fc.boolean(),
        fc.boolean(),
        (net, length, a, near, inverted) => {
          const size = 2 ** (32 - length);
          const src = near ? net - (net % size) + (a % size) : a;
          const b = bench(core, [`${inverted ? "! " : ""}-s ${dotted(net)}/${length} -j ACCEPT`]);
          expect(b.pass(udp(1, 2, [], { src }))).toBe((Math.floor(src / size) === Math.floor(net / size)) !== inverted);
        },
      ),
      runs,
    );
  });

  it("multiport", () => {
    const range = fc.tuple(port, port).map(([x, y]) => [Math.min(x, y), Math.max(x, y)] as const);
    const which = fc.constantFrom("sports", "dports", "ports");
    fc.assert(
      fc.property(
        fc.array(range, { minLength: 1, maxLength: 7 }),
        which,
        fc.boolean(),
        port,
        port,
        (list, name, inverted, s, d) => {
          const b = bench(core, [
            `-p udp -m multiport ${inverted ? "! " : ""}--${name} ${list.map(([x, y]) => `${x}:${y}`).join(",")} -j ACCEPT`,
          ]);
          const within = (p: number): boolean => list.some(([x, y]) => p >= x && p <= y);
          const hit = (name !== "dports" && within(s)) || (name !== "sports" && within(d));
          expect(b.pass(udp(s, d))).toBe(hit !== inverted);
        },
      ),
      runs,
    );
  });

  it("iprange, length, ttl, tos, dscp", () => {
    fc.assert(
      fc.property(
        address,
        address,
        address,
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 255 }),
        (x, y, src, ttl, tos) => {
          const [from, to] = [Math.min(x, y), Math.max(x, y)];
          const pass = (rule: string): boolean =>
            bench(core, [`${rule} -j ACCEPT`]).pass(udp(1, 2, [1, 2], { src, ttl, tos }));
          expect(pass(`-m iprange --src-range ${dotted(from)}-${dotted(to)}`)).toBe(src >= from && src <= to);
          expect(pass("-m length --length 30")).toBe(true);
          expect(pass("-m length ! --length 29:31")).toBe(false);
          expect(pass("-m ttl --ttl-lt 100")).toBe(ttl < 100);
          expect(pass("-m ttl --ttl-gt 100")).toBe(ttl > 100);
          expect(pass("-m tos --tos 0x10/0x3f")).toBe((tos & 0x3f) === 0x10);
          expect(pass("-m dscp ! --dscp 46")).toBe(tos >> 2 !== 46);
          expect(pass("-m ecn --ecn-ip-ect 2")).toBe((tos & 3) === 2);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("tcp flags and options, in both backends", () => {
    const names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    const bits = fc.integer({ min: 0, max: 63 });
    const word = (v: number): string => (v === 0 ? "NONE" : names.filter((_, i) => (v & (1 << i)) !== 0).join(","));
    fc.assert(
      fc.property(
        bits,
        bits,
        bits,
        fc.constantFrom("nft" as const, "legacy" as const),
        (mask, value, flags, backend) => {
          const b = bench(core, [`-p tcp --tcp-flags ${word(mask)} ${word(value)} -j ACCEPT`], backend);
          // iptables-nft leaves flags under an empty mask out
          const asked = backend === "legacy" || mask !== 0;
          expect(b.pass(tcp(1, 2, flags))).toBe(!asked || (flags & mask) === value);
        },
      ),
      runs,
    );
    const b = bench(core, ["-p tcp -m tcpmss --mss 1000:1400 -j ACCEPT"]);
    expect(b.pass(tcp(1, 2, 2, { tcpOptions: [1, 2, 4, 4, 176, 0, 0, 0] }))).toBe(true);
    expect(b.pass(tcp(1, 2, 2, { tcpOptions: [2, 4, 5, 180] }))).toBe(false);
    expect(b.pass(tcp(1, 2, 2))).toBe(false);
  });

  it("u32 reads big-endian words, follows @ and stays inside the packet", () => {
    const rule = (t: string): boolean =>
      bench(core, [`-m u32 --u32 "${t}" -j ACCEPT`]).pass(udp(0x1234, 0x5678, [0xde, 0xad, 0xbe, 0xef]));
    expect(rule("0>>22&0x3C@0=0x12345678")).toBe(true);
    expect(rule("0>>22&0x3C@8=0xdeadbeef")).toBe(true);
    expect(rule("0>>22&0x3C@8=0:1,0xdeadbe00:0xdeadbeff")).toBe(true);
    expect(rule("0>>22&0x3C@9=0:0xffffffff")).toBe(false);
    expect(rule("28=0xdeadbeef&&6&0xFF=17")).toBe(true);
    expect(rule("28=0xdeadbeef&&6&0xFF=6")).toBe(false);
    expect(rule("0xfffffff0=0")).toBe(false);
  });

  it("string finds what a naive search finds", () => {
    const text = fc.array(fc.constantFrom(0x61, 0x62, 0x41), { maxLength: 40 });
    const pattern = fc.array(fc.constantFrom(0x61, 0x62, 0x41), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        text,
        pattern,
        fc.integer({ min: 0, max: 70 }),
        fc.integer({ min: 0, max: 70 }),
        fc.boolean(),
        (data, p, from, to, icase) => {
          const s = String.fromCharCode(...p);
          const b = bench(core, [
            `-m string --string "${s}" --algo bm --from ${from} --to ${to}${icase ? " --icase" : ""} -j ACCEPT`,
          ]);
          const packet = udp(1, 2, data);
          let all = String.fromCharCode(...packet).slice(0, to);
          let wanted = s;
          if (icase) [all, wanted] = [all.toLowerCase(), s.toLowerCase()];
          expect(b.pass(packet)).toBe(all.indexOf(wanted, from) >= 0 && from <= all.length);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("limit gives its burst, then its rate, in both arithmetics", () => {
    for (const backend of ["nft", "legacy"] as const) {
      const b = bench(core, ["-m limit --limit 2/sec --limit-burst 3 -j ACCEPT"], backend);
      const at = (ms: number): boolean => {
        b.host.world.clock.advance(ms * 1e6);
        return b.pass(udp(1, 2));
      };
      expect([at(0), at(0), at(0), at(0)]).toEqual([true, true, true, false]);
      expect([at(499), at(500), at(501)]).toEqual([false, true, false]);
      expect([at(60_000), at(60_000), at(60_000), at(60_000)]).toEqual([true, true, true, false]);
    }
  });

  it("hashlimit counts each source alone", () => {
    const b = bench(core, [
      "-m hashlimit --hashlimit-upto 10/min --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name x -j ACCEPT",
    ]);
    const from = (src: number): boolean => b.pass(udp(1, 2, [], { src }));
    expect([from(1), from(1), from(1), from(2), from(2), from(2)]).toEqual([true, true, false, true, true, false]);
    b.host.world.clock.advance(6e9);
    expect([from(1), from(1)]).toEqual([true, false]);
    b.host.world.clock.advance(67e9);
    expect([from(1), from(1), from(1)]).toEqual([true, true, false]);
  });

  it("statistic nth takes every n-th, beginning with its packet; random follows the world's chance", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(8), (every, first) => {
        const packet = first % every;
        const b = bench(core, [`-m statistic --mode nth --every ${every} --packet ${packet} -j ACCEPT`]);
        for (let i = 0; i < 25; i++) expect(b.pass(udp(1, 2))).toBe(i % every === packet);
      }),
      { numRuns: 20 },
    );
    const b = bench(core, ["-m statistic --mode random --probability 0.25 -j ACCEPT"]);
    let n = 0;
    for (let i = 0; i < 2000; i++) if (b.pass(udp(1, 2))) n++;
    expect(n).toBeGreaterThan(430);
    expect(n).toBeLessThan(570);
  });

  it("quota ends with the first packet that does not fit", () => {
    const b = bench(core, ["-m quota --quota 70 -j ACCEPT"]);
    expect([b.pass(udp(1, 2)), b.pass(udp(1, 2)), b.pass(udp(1, 2)), b.pass(udp(1, 2))]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("recent: three within ten seconds are too many", () => {
    const b = bench(core, [
      "-m recent --update --seconds 10 --hitcount 3 --name T -j DROP",
      "-m recent --set --name T -j ACCEPT",
    ]);
    const at = (seconds: number, src = 9): boolean => {
      b.host.world.clock.advance(seconds * 1e9);
      return b.pass(udp(1, 2, [], { src }));
    };
    expect([at(1), at(2), at(3), at(3, 8), at(4)]).toEqual([true, true, true, true, false]);
    expect(at(20)).toBe(true);
  });

  it("mac, pkttype and physdev read the link's side", () => {
    expect(bench(core, ["-m mac --mac-source 02:00:00:00:00:aa -j ACCEPT"]).pass(udp(1, 2))).toBe(true);
    expect(bench(core, ["-m mac ! --mac-source 02:00:00:00:00:aa -j ACCEPT"]).pass(udp(1, 2))).toBe(false);
    const set = (at: Pkt, v: number) => (f: Frame) => void (core.u32[(f + at) >> 2] = v);
    const multicast = bench(core, ["-m pkttype --pkt-type multicast -j ACCEPT"]);
    expect([multicast.pass(udp(1, 2)), multicast.pass(udp(1, 2), set(Pkt.Type, 2))]).toEqual([false, true]);
    const b = bench(core, ["-m physdev --physdev-in lan -j ACCEPT"]);
    expect([b.pass(udp(1, 2)), b.pass(udp(1, 2), set(Pkt.PhysIn, 1)), b.pass(udp(1, 2), set(Pkt.PhysIn, 2))]).toEqual([
      false,
      true,
      false,
    ]);
    const no = bench(core, ["-m physdev ! --physdev-is-in -j ACCEPT"]);
    expect([no.pass(udp(1, 2)), no.pass(udp(1, 2), set(Pkt.PhysIn, 1))]).toEqual([true, false]);
  });

  it("conntrack: tuples, direction, status and lifetime of the connection", () => {
    const entry = core.x.alloc(128);
    core.u32[(entry + Ct.Use) >> 2] = 10000;
    const tracked = (f: Frame): void => void (core.u32[(f + Pkt.Ct) >> 2] = entry);
    const pass = (options: string, inside = true): boolean => {
      const b = bench(core, [`-m conntrack ${options} -j ACCEPT`]);
      Object.assign(b.host.tuple, {
        direction: 1,
        proto: 17,
        expires: 30,
        src: [0x0a000001, 0xac110002],
        dst: [0xc6336414, 0x0a000001],
        sport: [1000, 80],
        dport: [8080, 1000],
      });
      b.host.status = 2 | 32;
      return b.pass(udp(1, 2), inside ? tracked : undefined);
    };
    expect(pass("--ctproto udp --ctorigsrc 10.0.0.0/8 --ctreplsrc 172.17.0.2 --ctorigdstport 8080 --ctdir REPLY")).toBe(
      true,
    );
    expect(pass("--ctorigsrc 11.0.0.0/8")).toBe(false);
    expect(pass("! --ctorigsrc 11.0.0.0/8")).toBe(true);
    expect(pass("--ctdir ORIGINAL")).toBe(false);
    expect(pass("--ctstatus SEEN_REPLY")).toBe(true);
    expect(pass("--ctstatus ASSURED")).toBe(false);
    expect(pass("--ctstate DNAT")).toBe(true);
    expect(pass("--ctstate SNAT")).toBe(false);
    expect(pass("--ctexpire 20:40")).toBe(true);
    expect(pass("--ctexpire 31:")).toBe(false);
    expect(pass("--ctorigsrc 10.0.0.0/8", false)).toBe(false);
    expect(pass("--ctstate INVALID --ctdir ORIGINAL", false)).toBe(true);
  });

  it("a header that is cut short drops the packet in matches that need it", () => {
    const short = ip({ proto: 17, payload: [0, 1] });
    for (const rule of ["-p udp -m multiport --ports 1", "-p tcp -m tcpmss --mss 1"]) {
      const proto = rule.includes("tcp") ? ip({ proto: 6, payload: [0, 1] }) : short;
      expect(bench(core, [`${rule} -j ACCEPT`, "-j ACCEPT"]).pass(proto)).toBe(false);
    }
    expect(bench(core, ["-p udp --dport 1 -j ACCEPT", "-j ACCEPT"], "legacy").pass(short)).toBe(false);
  });
});
