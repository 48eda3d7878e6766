// tests/host/fib/words.test.ts: `ip` words, there and back.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maskOf } from "../../../src/core/address.ts";
import { formatRoute } from "../../../src/host/fib/format.ts";
import { type Alias, type RouteSpec, RouteType, Scope } from "../../../src/host/fib/route.ts";
import { parseRoute } from "../../../src/host/fib/routewords.ts";
import { formatRule } from "../../../src/host/fib/ruleformat.ts";
import { type RuleSpec, RuleAction, Rules, anyRule } from "../../../src/host/fib/rules.ts";
import { parseRule } from "../../../src/host/fib/rulewords.ts";
import { parseIpPrefix } from "../../../src/host/fib/words.ts";
import { TextError } from "../../../src/host/text.ts";
import { coreOf } from "../../support/cores.ts";
import { Network, ip } from "./network.ts";

const address = fc.integer({ min: 0, max: 0xffffffff });
const device = fc.constantFrom("eth0", "br-1a2b", "eth0.5", "lo");
const errorTypes = [RouteType.Blackhole, RouteType.Unreachable, RouteType.Prohibit, RouteType.Throw];

const nexthop = fc.record({
  gateway: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffffffff })),
  dev: device,
  weight: fc.integer({ min: 1, max: 256 }),
  onlink: fc.boolean(),
});
const metrics = fc
  .record({ mtu: fc.integer({ min: -1, max: 65535 }), lock: fc.boolean(), advmss: fc.integer({ min: -1, max: 65535 }) })
  .map((m) => [
    ...(m.mtu < 0 ? [] : [{ name: "mtu", value: m.mtu, lock: m.lock }]),
    ...(m.advmss < 0 ? [] : [{ name: "advmss", value: m.advmss, lock: false }]),
  ]);

/** Routes as the kernel may hold them and `ip` prints them without loss. */
const route: fc.Arbitrary<RouteSpec> = fc
  .record({
    type: fc.integer({ min: 1, max: 9 }).map((t) => t as RouteType),
    prefix: address,
    length: fc.integer({ min: 0, max: 32 }),
    tos: fc.integer({ min: 0, max: 63 }).map((t) => t * 4),
    table: fc.constantFrom(254, 255, 253, 100, 4000000000),
    scope: fc.constantFrom(Scope.Universe, Scope.Site, Scope.Link, Scope.Host, 17 as Scope),
    protocol: fc.integer({ min: 0, max: 255 }),
    source: address,
    metric: address,
    metrics,
    nexthops: fc.array(nexthop, { minLength: 1, maxLength: 3 }),
  })
  .map((r) => {
    const isError = errorTypes.includes(r.type);
    const nexthops = isError ? [] : r.nexthops.length === 1 ? [{ ...r.nexthops[0]!, weight: 1 }] : r.nexthops;
    const reaches = isError || (r.type === RouteType.Unicast && (nexthops.length > 1 || nexthops[0]!.gateway !== 0));
    const local = r.type === RouteType.Local || r.type === RouteType.Broadcast || r.type === RouteType.Anycast;
    return {
      ...r,
      prefix: (r.prefix & maskOf(r.length)) >>> 0,
      scope: r.scope === Scope.Universe && !reaches ? Scope.Host : r.scope,
      // nobody prints the table main, and what belongs in local would go there
      table: local && r.table === 254 ? 255 : r.table,
      nexthops,
    };
  });

function aliasOf(r: RouteSpec): Alias {
  return {
    id: 1,
    key: "",
    table: r.table,
    tos: r.tos,
    type: r.type,
    error: 0,
    uses: 1,
    info: {
      id: 1,
      key: "",
      table: r.table,
      type: r.type,
      scope: r.scope,
      protocol: r.protocol,
      source: r.source,
      metric: r.metric,
      metrics: r.metrics,
      mtu: 0,
      mtuLocked: false,
      advmss: 0,
      dead: false,
      uses: 1,
      nexthops: r.nexthops.map((nh) => ({
        ...nh,
        dev: { name: nh.dev! } as never,
        scope: Scope.Link,
        dead: false,
        upperBound: 0,
        routes: [],
        cachedAt: [],
        source: 0,
        sourceAt: -1,
      })),
    },
  };
}

const ports = fc.option(
  fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.nat(65535)).map(([a, n]) => [a, Math.min(a + n, 65535)] as const),
);
const length = fc.integer({ min: 0, max: 32 });
const rule: fc.Arbitrary<RuleSpec> = fc
  .record({
    priority: fc.nat(40000),
    invert: fc.boolean(),
    src: address,
    srcLength: length,
    dst: address,
    dstLength: length,
    tos: fc.nat(7).map((t) => t * 4),
    mark: address,
    markMask: fc.option(address),
    hasMark: fc.boolean(),
    iif: fc.option(device),
    oif: fc.option(device),
    ipProto: fc.nat(255),
    sport: ports,
    dport: ports,
    action: fc.constantFrom(...Object.values(RuleAction).filter((a) => typeof a === "number")),
    table: fc.constantFrom(254, 255, 253, 1, 100, 4000000000),
    goto: fc.constantFrom(40001, 50000),
    suppressPrefixLength: fc.integer({ min: -1, max: 32 }),
    protocol: fc.constantFrom(0, 3, 4, 186),
  })
  .map((r) => ({
    ...r,
    // what was not said is 0, and what belongs to another action as well
    src: r.srcLength === 0 ? 0 : r.src,
    dst: r.dstLength === 0 ? 0 : r.dst,
    mark: r.hasMark ? r.mark : 0,
    markMask: r.hasMark ? r.markMask : null,
    table: r.action === RuleAction.Table ? r.table : 0,
    goto: r.action === RuleAction.Goto ? r.goto : 0,
    suppressPrefixLength: r.action === RuleAction.Table ? r.suppressPrefixLength : -1,
  }));

describe("routes", () => {
  it("print and read back the same", () => {
    fc.assert(
      fc.property(route, (r) => {
        const text = formatRoute(r.prefix, r.length, aliasOf(r));
        expect(parseRoute(text)).toEqual(r);
      }),
      { numRuns: 2000 },
    );
  });

  it("are read with the defaults of ip", () => {
    expect(parseRoute("default via 203.0.113.1")).toMatchObject({
      type: RouteType.Unicast,
      prefix: 0,
      length: 0,
      table: 254,
      scope: Scope.Universe,
      protocol: 3,
    });
    expect(parseRoute("10.1/16 dev eth0").scope).toBe(Scope.Link);
    expect(parseRoute("10.0.0.0/255.255.0.0 dev eth0").length).toBe(16);
    expect(parseRoute("local 10.0.0.1 dev lo")).toMatchObject({ table: 255, scope: Scope.Host });
    expect(parseRoute("broadcast 10.0.0.255 dev eth0")).toMatchObject({ table: 255, scope: Scope.Link });
    expect(parseRoute("10.0.0.0/8", true)).toMatchObject({ type: RouteType.Unspec, scope: Scope.Nowhere, protocol: 0 });
    expect(parseRoute("10.0.0.0/8 dev eth0 tos 10").tos).toBe(0x10);
    expect(parseIpPrefix("10.0.0.0/255.0.255.0")).toBe(null);
  });

  it.each([
    ["10.1.0.0/33 dev eth0", 1, "expected a destination"],
    ["10.1.0.0/16 via 10.2.0", 17, "expected an IPv4 address"],
    ["10.1.0.0/16 via", 16, "expected an IPv4 address"],
    ["10.1.0.0/16 metric -1", 20, "expected a metric"],
    ["10.1.0.0/16 gateway 10.0.0.1", 13, "expected via"],
    ["10.1.0.0/16 nexthop weight 3", 28, "'nexthop' needs"],
    ["10.1.0.0/16 encap mpls 3", 13, "not supported"],
  ])("say where '%s' is wrong", (text, column, message) => {
    const e = (() => {
      try {
        parseRoute(text);
      } catch (x) {
        return x as TextError;
      }
      return null;
    })();
    expect(e).toBeInstanceOf(TextError);
    expect(e!.message).toContain(message);
    expect(e!.column).toBe(column);
  });
});

describe("rules", () => {
  it("print and read back the same", () => {
    fc.assert(
      fc.property(rule, (r) => {
        const rules = new Rules();
        rules.add(r, () => 7);
        const made = rules.list.find((x) => x.protocol === r.protocol && x.priority === r.priority && x.tos === r.tos)!;
        const text = formatRule(made);
        const again = new Rules();
        again.add(parseRule(text), () => 7);
        const read = again.list.find((x) => formatRule(x) === text);
        expect(read, text).toBeDefined();
        // `fwmark 7` and `fwmark 7/0xffffffff` are one rule
        expect({ ...read, markMask: null, hasMark: false }).toEqual({ ...made, markMask: null, hasMark: false });
      }),
      { numRuns: 1000 },
    );
  });

  it("go to main when nothing else is said", () => {
    expect(parseRule("from 10.0.0.0/8")).toEqual({ ...anyRule, src: ip("10.0.0.0"), srcLength: 8, table: 254 });
  });

  it.each(["suppress_ifgroup 3 table 5", "l3mdev", "uidrange 0-5 table 1"])("refuse '%s' plainly", (text) => {
    expect(() => parseRule(text)).toThrow(/not supported here/);
  });
});

describe("hostile words", () => {
  const word = fc.constantFrom(
    "ip",
    "route",
    "rule",
    "addr",
    "add",
    "del",
    "replace",
    "append",
    "change",
    "flush",
    "default",
    "10.0.0.0/8",
    "via",
    "10.1.0.5",
    "dev",
    "e1",
    "lo",
    "table",
    "100",
    "local",
    "main",
    "metric",
    "5",
    "nexthop",
    "weight",
    "src",
    "10.1.0.1",
    "10.1.0.1/24",
    "tos",
    "0x10",
    "scope",
    "link",
    "host",
    "mtu",
    "lock",
    "1400",
    "from",
    "to",
    "fwmark",
    "7/0xff",
    "goto",
    "priority",
    "not",
    "lookup",
    "prohibit",
    "blackhole",
    "throw",
    "onlink",
    "brd",
    "+",
    "\n",
    "999999999999",
    "-1",
    "/",
  );
  it("are done or refused with a place, never anything else", () => {
    const core = coreOf("release");
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: word }, fc.string()), { maxLength: 12 }), (words) => {
        const n = new Network(core);
        n.device("e1");
        n.address("e1", "10.1.0.1/24");
        for (const head of ["", "route add ", "route del ", "rule add ", "addr add ", "addr del ", "route flush "]) {
          try {
            n.fib.command(head + words.join(" "));
          } catch (e) {
            expect(e).toBeInstanceOf(TextError);
            expect((e as TextError).line).toBeGreaterThan(0);
            expect((e as TextError).column).toBeGreaterThan(0);
          }
        }
        expect(n.fib.listRules().length).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 400 },
    );
  });
});
