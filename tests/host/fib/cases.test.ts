// tests/host/fib/cases.test.ts: decisions that a real kernel took (fixtures/fib).

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Drop } from "../../../assembly/drop.ts";
import { formatIpv4 } from "../../../src/core/address.ts";
import { type Route, RouteType, errno } from "../../../src/host/fib/route.ts";
import { overBuilds } from "../../support/cores.ts";
import { type Arrival, Network } from "./network.ts";

interface Probe extends Arrival {
  readonly label: string;
  readonly setting: Record<string, number>;
  readonly match?: string;
  readonly verdict: { forward?: string; to?: string; error?: string; drop?: string; local?: boolean };
}

interface Case {
  readonly interfaces: Record<string, { ifindex: number; addresses: string[] }>;
  readonly routes: string[];
  readonly rules: string[];
  readonly sysctl: Record<string, number>;
  readonly probes: Probe[];
}

const read = (name: string): Case =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/fib/${name}.json`, import.meta.url), "utf8")) as Case;

const errors: Record<number, string> = {
  [errno.ENETUNREACH]: "net",
  [errno.EHOSTUNREACH]: "host",
  [errno.EACCES]: "prohibited",
  [errno.EINVAL]: "silent",
};

const drops: Record<string, Drop[]> = {
  IP_RPFILTER: [Drop.ReversePath],
  IP_LOCAL_SOURCE: [Drop.MartianSource],
  IP_INVALID_SOURCE: [Drop.MartianSource],
  IP_LOCALNET: [Drop.Martian, Drop.MartianSource],
};

function describeRoute(n: Network, route: Route | null, dst: string): object {
  if (route === null) return { drop: n.fib.failure };
  if (route.error !== 0) return { error: errors[route.error] };
  if (route.type !== RouteType.Unicast) return { local: true };
  return { forward: route.dev!.name, to: route.gateway === 0 ? dst : formatIpv4(route.gateway) };
}

function expected(p: Probe, got: object): object {
  const { drop } = p.verdict;
  if (drop === undefined) return p.verdict;
  // ip_error drops without a word what a blackhole took
  if (drops[drop] === undefined) return { error: "silent" };
  const why = (got as { drop?: Drop }).drop;
  return { drop: drops[drop].includes(why!) ? why : drops[drop] };
}

function build(n: Network, c: Case): void {
  for (const [name, i] of Object.entries(c.interfaces)) n.device(name, i.ifindex);
  for (const [name, i] of Object.entries(c.interfaces)) for (const a of i.addresses) n.address(name, a);
  for (const [name, value] of Object.entries(c.sysctl)) n.sysctl.set(name, value);
}

overBuilds("a router as the kernel was one", (make) => {
  for (const name of ["16_lpm", "16b_policy_routing", "14d_rpfilter_srcroute"]) {
    it(`decides as the kernel did: ${name}`, () => {
      const c = read(name);
      const n = new Network(make());
      build(n, c);
      n.fib.loadRoutes(c.routes);
      n.fib.loadRules(c.rules);
      for (const p of c.probes) {
        for (const [key, v] of Object.entries(p.setting)) {
          for (const dev of ["all", ...Object.keys(c.interfaces)]) n.sysctl.set(`net.ipv4.conf.${dev}.${key}`, v);
        }
        const got = describeRoute(n, n.input(p), p.dst);
        expect(got, p.label).toEqual(expected(p, got));
        if (p.match !== undefined) {
          const prefix = p.match === "default" ? "default" : p.match.replace("/32", "");
          expect(n.fib.explain().startsWith(`${prefix} `), `${p.label}: ${n.fib.explain()}`).toBe(true);
        }
        for (const key of Object.keys(p.setting)) {
          for (const dev of ["all", ...Object.keys(c.interfaces)]) n.sysctl.set(`net.ipv4.conf.${dev}.${key}`, 0);
        }
      }
      expect(c.probes.length).toBeGreaterThan(10);
    });

    it(`changes nothing when what exists is listed: ${name}`, () => {
      const c = read(name);
      const n = new Network(make());
      build(n, c);
      const kernel = n.fib.listRoutes();
      const listed = c.routes.filter((line) =>
        kernel.some((k) => k.replace(/ proto kernel/, "") === line || line.includes("local")),
      );
      n.fib.loadRoutes(listed);
      expect(n.fib.listRoutes()).toEqual(kernel);
      n.fib.loadRoutes(c.routes);
      const once = n.fib.listRoutes();
      n.fib.loadRoutes(c.routes);
      n.fib.loadRoutes(once);
      expect(n.fib.listRoutes()).toEqual(once);
      n.fib.loadRules(c.rules);
      const rules = n.fib.listRules();
      n.fib.loadRules(rules);
      expect(n.fib.listRules()).toEqual(rules);
      expect(rules.length).toBe(c.rules.length);
    });
  }
});
