// An internet made of a seed or of a table: every system reaches every prefix by the best path, and packets agree.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatIpv4, parseIpv4 } from "../../src/core/address.ts";
import type { Namespace } from "../../src/host/namespace.ts";
import {
  bestPaths,
  delayBetween,
  generatePlan,
  Internet,
  type InternetPlan,
  readPlan,
} from "../../src/lab/internet.ts";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { loadCore } from "../../src/node/core.ts";
import { Ping } from "../../src/service/ping.ts";
import { Traceroute } from "../../src/service/traceroute.ts";

interface Trace {
  /** By hop the address that answered; null: nobody. */
  readonly way: (number | null)[];
  readonly lines: string[];
}

function trace(ns: Namespace, to: number): Trace {
  const lines: string[] = [];
  const state = { over: false };
  void new Traceroute(ns, {
    to,
    patience: 2e9,
    hops: 16,
    print: (l) => lines.push(l),
    done: () => (state.over = true),
  });
  while (!state.over && ns.world.clock.next() < Infinity) ns.world.clock.step();
  const way = lines.slice(1).map((l) => parseIpv4(/\d+\.\d+\.\d+\.\d+/.exec(l)?.[0] ?? ""));
  return { way, lines };
}

function pinged(ns: Namespace, to: number, options = {}): { ping: Ping; lines: string[] } {
  const lines: string[] = [];
  const state = { over: false };
  const p = new Ping(ns, { to, ...options, print: (l) => lines.push(l), done: () => (state.over = true) });
  while (!state.over && ns.world.clock.next() < Infinity) ns.world.clock.step();
  return { ping: p, lines };
}

/** Breadth first: how many systems lie between. */
function distances(plan: InternetPlan, from: number): Map<number, number> {
  const at = new Map([[from, 0]]);
  for (const asn of at.keys()) {
    for (const n of plan.systems.get(asn)!.neighbours.keys()) if (!at.has(n)) at.set(n, at.get(asn)! + 1);
  }
  return at;
}

describe("the plan", () => {
  it("the same seed gives the same internet, and its prefixes are as many as asked for", () => {
    const one = generatePlan({ seed: 5, systems: 50, prefixes: 3000 });
    const two = generatePlan({ seed: 5, systems: 50, prefixes: 3000 });
    expect(JSON.stringify([...two.systems.values()].map((a) => [a, [...a.neighbours]]))).toBe(
      JSON.stringify([...one.systems.values()].map((a) => [a, [...a.neighbours]])),
    );
    expect([...one.systems.values()].reduce((n, a) => n + a.prefixes.length, 0)).toBe(3000);
    expect(() => generatePlan({ seed: 1, systems: 3 })).toThrow("3 autonomous systems, expected 4 to 1000");
    expect(() => generatePlan({ seed: 1, systems: 10, prefixes: 9 })).toThrow("9 prefixes, expected 10");
  });

  it("property: everybody reaches everybody, without valleys, and never through the same system twice", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 4, max: 60 }), (seed, systems) => {
        const plan = generatePlan({ seed, systems, prefixes: systems });
        const asns = [...plan.systems.keys()];
        const origin = asns[seed % asns.length]!;
        const best = bestPaths(plan, origin);
        for (const asn of asns) {
          if (asn === origin) continue;
          const whole = [asn, ...best.get(asn)!.path];
          expect(whole.at(-1)).toBe(origin);
          expect(new Set(whole).size).toBe(whole.length);
          // up to providers, over one peering at most, down to customers
          let phase = 0;
          for (let i = 1; i < whole.length; i++) {
            const step = plan.systems.get(whole[i - 1]!)!.neighbours.get(whole[i]!)!;
            const kind = step === "provider" ? 0 : step === "peer" ? 1 : 2;
            expect(kind).toBeGreaterThanOrEqual(phase);
            phase = kind === 1 ? 2 : kind;
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("property: without policy the shortest path wins", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 4, max: 40 }), (seed, systems) => {
        const plan = generatePlan({ seed, systems, prefixes: systems });
        const origin = [...plan.systems.keys()].at(-1)!;
        const far = distances(plan, origin);
        for (const [asn, { path }] of bestPaths(plan, origin, false)) expect(path.length).toBe(far.get(asn));
      }),
      { numRuns: 60 },
    );
  });
});

describe("packets", () => {
  it("traceroute goes the way of the table, ping takes the time of its distances", () => {
    const plan = generatePlan({ seed: 11, systems: 24, prefixes: 1200 });
    const world = newWorld(loadCore(), { seed: 1 });
    const net = new Internet(world, plan);
    const asns = [...plan.systems.keys()];
    const a = net.attach(asns.at(-1)!, "here");
    for (const [i, asn] of [asns[0]!, asns[9]!, asns[15]!, asns.at(-2)!].entries()) {
      const b = net.attach(asn, `there${i}`);
      const { path } = bestPaths(plan, asn).get(asns.at(-1)!)!;
      const result = trace(a.ns, b.address);
      const { way } = result;
      expect(way.at(-1)).toBe(b.address);
      expect(way.slice(0, -1).map((from) => net.systemOf(from!))).toEqual([asns.at(-1)!, ...path]);
      const systems = [asns.at(-1)!, ...path].map((n) => plan.systems.get(n)!);
      let oneWay = 200_000;
      for (let k = 1; k < systems.length; k++) oneWay += delayBetween(systems[k - 1]!, systems[k]!);
      const { ping: p } = pinged(a.ns, b.address, { count: 2 });
      expect(p.received).toBe(2);
      // what comes back may come another way, when it has another best one
      const back = bestPaths(plan, asns.at(-1)!).get(asn)!.path;
      if (JSON.stringify([asn, ...back]) === JSON.stringify([...path].toReversed().concat(asns.at(-1)!))) {
        expect(p.times[1]).toBe(2 * oneWay);
      }
    }
  });

  it("a client behind NAT pings and traces; its router is the first hop", () => {
    const plan = generatePlan({ seed: 3, systems: 12, prefixes: 300 });
    const net = new Internet(newWorld(loadCore(), { seed: 1 }), plan);
    const asns = [...plan.systems.keys()];
    const home = net.attachHome(asns.at(-1)!, "pc");
    const far = net.attach(asns[2]!, "far");
    const p = pinged(home.pc, far.address, { name: "far.example" });
    const to = formatIpv4(far.address);
    expect(p.lines[0]).toBe(`PING far.example (${to}) 56(84) bytes of data.`);
    expect(p.lines[1]).toMatch(
      new RegExp(`^64 bytes from ${to.replaceAll(".", "\\.")}: icmp_seq=1 ttl=\\d+ time=[\\d.]+ ms$`),
    );
    expect(p.lines).toContain("--- far.example ping statistics ---");
    expect(p.lines.at(-2)).toMatch(/^4 packets transmitted, 4 received, 0% packet loss, time \d+ms$/);
    const t = trace(home.pc, far.address);
    expect(t.lines[0]).toBe(`traceroute to ${to} (${to}), 16 hops max, 60 byte packets`);
    expect(formatIpv4(t.way[0]!)).toBe("192.168.1.1");
    expect(t.way.at(-1)).toBe(far.address);
    expect(t.lines[1]).toMatch(/^ 1 {2}192\.168\.1\.1 {2}[\d.]+ ms {2}[\d.]+ ms {2}[\d.]+ ms$/);
  });

  it("an address that a system has and nobody uses, and one that nobody has", () => {
    const plan = generatePlan({ seed: 3, systems: 8, prefixes: 16 });
    const net = new Internet(newWorld(loadCore(), { seed: 1 }), plan);
    const asns = [...plan.systems.keys()];
    const { ns } = net.attach(asns.at(-1)!, "here");
    const unused = plan.systems.get(asns[1]!)!.prefixes[0]!.address + 250;
    expect(pinged(ns, unused, { count: 1, patience: 1e9 }).ping).toMatchObject({ sent: 1, received: 0 });
    const nobody = pinged(ns, parseIpv4("9.9.9.9")!, { count: 2, patience: 1e9 });
    expect(nobody.ping.received).toBe(0);
    expect(nobody.lines.join("\n")).toContain("icmp_seq=1 Destination Net Unreachable");
    const t = trace(ns, parseIpv4("9.9.9.9")!);
    expect(t.lines.at(-1)).toContain("!N");
  });
});

describe("from a table", () => {
  const table = `# prefix, path
192.0.2.0/24 100 200 300
198.51.100.0/24 100 200 200 200 400
203.0.113.0/24 100 500
203.0.113.0/25 500 300
`;

  it("origins and neighbours are those of the paths", () => {
    const plan = readPlan(table, 1);
    expect([...plan.systems.keys()].toSorted()).toEqual([100, 200, 300, 400, 500]);
    expect([...plan.systems.get(300)!.neighbours.keys()].toSorted()).toEqual([200, 500]);
    const net = new Internet(newWorld(loadCore(), { seed: 1 }), plan, false);
    expect(net.table(400).map((l) => l.replace(/ +/g, " "))).toEqual([
      "*> 192.0.2.0/24 200 300 i",
      "*> 203.0.113.0/25 200 300 i",
      "*> 198.51.100.0/24 i",
      "*> 203.0.113.0/24 200 100 500 i",
    ]);
    // the longest prefix goes before the shortest path
    const here = net.attach(400, "here");
    const there = net.attach(300, "there");
    expect(trace(here.ns, there.address).way.map((a) => net.systemOf(a!))).toEqual([400, 200, 300, 300]);
    const route = net.routers
      .get(500)!
      .fib.listRoutes()
      .find((l) => l.startsWith("203.0.113.0/25"));
    expect(route).toMatch(/via 100\.64\.\d+\.\d+ .*proto bgp/);
  });

  it("what is wrong in it is said with its place", () => {
    expect(() => readPlan("192.0.2.0/24 100\n192.0.2.1/24 100", 1)).toThrow("'192.0.2.1/24' is no prefix");
    expect(() => readPlan("192.0.2.0/24", 1)).toThrow("a prefix without a path");
    expect(() => readPlan("192.0.2.0/24 100 AS200", 1)).toThrow("'AS200' is no AS number");
    expect(() => readPlan("\n# nothing\n", 1)).toThrow("the table is empty");
  });

  it("thousands of prefixes stand in every router", () => {
    const plan = generatePlan({ seed: 2, systems: 24, prefixes: 3000 });
    const net = new Internet(newWorld(loadCore(), { seed: 1 }), plan);
    const one = [...net.routers.values()][7]!;
    expect(one.fib.listRoutes().filter((l) => l.includes("proto bgp")).length).toBeGreaterThan(2500);
  });
});

describe("in a lab", () => {
  const lab = `
internet:
  seed: 7
  systems: 16
  prefixes: 600
  attach:
    home: { as: 64515, interface: wan, delay: 4ms }
    server: { as: 64505 }
nodes:
  pc:
    interfaces: { eth0: { addresses: [192.168.1.10/24] } }
    routes: ["default via 192.168.1.1"]
  home:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { lan: { addresses: [192.168.1.1/24] } }
    iptables: |
      *nat
      -A POSTROUTING -s 192.168.1.0/24 -o wan -j MASQUERADE
      COMMIT
  server:
    services: [{ files: { pages: { /: "from afar" } } }]
links: [{ endpoints: ["pc:eth0", "home:lan"], netem: "delay 200us" }]
`;

  it("a page comes through all of it", async () => {
    const { opened } = await import("../journey/support.ts");
    const server = buildLab(loadCore(), LabText.read("lab", lab)).nodes.get("server")!;
    const address = formatIpv4(server.fib.addresses(server.byName.get("inet")!)[0]!.local);
    const t = await opened(lab, `http://${address}/`, { postgres: false });
    expect(t.got).toBe("200");
    expect(t.lines.join("\n")).toMatch(/route 20\.\d+\.\d+\.\d+\/\d+ via 100\.64\.\d+\.\d+ dev to-as645\d\d proto bgp/);
    expect(trace(t.journey.lab.nodes.get("pc")!, parseIpv4(address)!).way.at(-1)).toBe(parseIpv4(address));
  });

  it("what is wrong is said with its place", () => {
    const wrong = (from: string, to: string): string => {
      try {
        buildLab(loadCore(), LabText.read("lab", lab.replace(from, to)));
      } catch (e) {
        return (e as Error).message;
      }
      return "";
    };
    expect(wrong("as: 64515", "as: 1")).toMatch(/^lab:7:17: there is no AS 1, expected one of 64500/);
    expect(wrong("home: { as", "house: { as")).toBe("lab:7:5: 'house': there is no such node");
    expect(wrong("systems: 16", "systems: 2")).toMatch(/^lab:\d+:\d+: 2 autonomous systems, expected 4 to 1000/);
    expect(wrong("delay: 4ms", "delay: long")).toMatch(/^lab:7:\d+: 'long' is no time/);
    expect(wrong("interface: wan", "interface: lan")).toContain("home has an interface 'lan' already");
    expect(wrong("  systems: 16", "  table: '192.0.2.0/24 x'\n  systems: 16")).toMatch(
      /^lab:4:\d+: 'x' is no AS number/,
    );
  });
});
