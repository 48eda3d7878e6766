// Random trees of zones on random servers: what the resolver answers, over whatever links and with whatever it holds, is what
// a reader of all the zones at once finds in them.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SECOND } from "../../../src/link/clock.ts";
import { dig, ip, network, resolver, serve, show } from "../../support/dns.ts";

interface Rec {
  owner: string;
  type: "A" | "TXT" | "MX" | "CNAME";
  data: string;
  ttl: number;
}

interface ZoneOf {
  /** "" is the root. */
  apex: string;
  servers: number[];
  /** Its servers have names in the zone, with glue above; else they are those of another zone. */
  own: boolean;
  ttl: number;
  minimum: number;
  records: Rec[];
}

const below = (name: string, zone: string): boolean => zone === "" || name === zone || name.endsWith(`.${zone}`);
const serverAddress = (i: number): string => `10.0.${i}.53`;
const SERVERS = 5;

// -- the oracle: every definition as RFC 1034 and RFC 4592 word it, on lists

function closestZone(zones: ZoneOf[], name: string): ZoneOf {
  return zones.filter((z) => below(name, z.apex)).toSorted((a, b) => b.apex.length - a.apex.length)[0]!;
}

interface Expected {
  rcode: string;
  answers: string[];
}

function oracle(zones: ZoneOf[], asked: string, type: string): Expected {
  const answers: string[] = [];
  let name = asked;
  for (let n = 0; n <= 12; n++) {
    const zone = closestZone(zones, name);
    const children = zones.filter((z) => z !== zone && below(z.apex, zone.apex)).map((z) => z.apex);
    const all: Rec[] = [...zone.records, { owner: zone.apex, type: "SOA", data: "", ttl: 0 } as unknown as Rec];
    if (zone.own) all.push(...zone.servers.map((s) => nsRecord(zone, s)));
    const owners = [...all.map((r) => r.owner), ...children];
    const exists = (x: string): boolean => owners.some((o) => below(o, x));
    let source = name;
    if (!exists(name)) {
      let encloser = name;
      do encloser = encloser.includes(".") ? encloser.slice(encloser.indexOf(".") + 1) : "";
      while (!exists(encloser));
      source = encloser === "" ? "*" : `*.${encloser}`;
      if (!owners.includes(source)) return { rcode: "NXDOMAIN", answers };
    }
    const here = all.filter((r) => r.owner === source);
    const found = here.filter((r) => r.type === type);
    if (found.length > 0) {
      for (const r of found) answers.push(`${name} ${r.type} ${r.data}`);
      return { rcode: "NOERROR", answers };
    }
    const alias = here.find((r) => r.type === "CNAME");
    if (alias === undefined) return { rcode: "NOERROR", answers };
    answers.push(`${name} CNAME ${alias.data}`);
    name = alias.data;
  }
  return { rcode: "SERVFAIL", answers: [] };
}

// -- the zones as files

const nsName = (zone: ZoneOf, server: number): string =>
  zone.apex === "" ? `ns${server}` : `ns${server}.${zone.apex}`;

function nsRecord(zone: ZoneOf, server: number): Rec {
  return { owner: nsName(zone, server), type: "A", data: serverAddress(server), ttl: zone.ttl };
}

/** Names of a zone's servers: its own, or the root's. */
function nsNames(zones: ZoneOf[], zone: ZoneOf): string[] {
  const of = zone.own ? zone : zones[0]!;
  return of.servers.map((s) => nsName(of, s));
}

function zoneFile(zones: ZoneOf[], zone: ZoneOf): string {
  const at = (name: string): string => `${name}.`;
  const lines = [`${at(zone.apex)} ${zone.ttl} SOA m. r. 1 2 3 4 ${zone.minimum}`];
  for (const ns of nsNames(zones, zone)) lines.push(`${at(zone.apex)} ${zone.ttl} NS ${ns}.`);
  if (zone.own) for (const s of zone.servers) lines.push(line(nsRecord(zone, s)));
  lines.push(...zone.records.map(line));
  for (const child of zones) {
    if (
      child === zone ||
      closestZone(
        zones.filter((z) => z !== child),
        child.apex,
      ) !== zone
    )
      continue;
    for (const ns of nsNames(zones, child)) lines.push(`${at(child.apex)} ${child.ttl} NS ${ns}.`);
    if (child.own) for (const s of child.servers) lines.push(line(nsRecord(child, s)));
  }
  return `${lines.join("\n")}\n`;
}

function line(r: Rec): string {
  const data = r.type === "A" ? r.data : r.type === "TXT" ? r.data : r.type === "MX" ? `${r.data}.` : `${r.data}.`;
  return `${r.owner}. ${r.ttl} ${r.type} ${data}`;
}

// -- random ones

const label = fc.constantFrom("a", "b", "c");
const path = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(label, { minLength: min, maxLength: max }).map((l) => l.join("."));
const ttl = fc.constantFrom(0, 1, 30, 300);
const servers = fc.uniqueArray(fc.nat(SERVERS - 1), { minLength: 1, maxLength: 2 });
const record = fc.oneof(
  fc.record({ type: fc.constant("A"), data: fc.nat(255).map((n) => `192.0.2.${n}`) }),
  fc.record({ type: fc.constant("TXT"), data: fc.constantFrom('"x"', '"y" "z"') }),
  fc.record({ type: fc.constant("MX"), data: path(1, 3).map((p) => `10 ${p}`) }),
  fc.record({ type: fc.constant("CNAME"), data: path(1, 4) }),
);
const owned = fc.record({
  owner: fc.tuple(fc.boolean(), path(0, 2)).map(([star, p]) => (star ? (p === "" ? "*" : `*.${p}`) : p)),
  ttl,
  what: record,
});
const zoneArb = fc.record({
  apex: path(1, 3),
  servers,
  own: fc.boolean(),
  ttl,
  minimum: ttl,
  records: fc.array(owned, { maxLength: 7 }),
});
const zonesArb: fc.Arbitrary<ZoneOf[]> = fc
  .tuple(
    fc.record({ servers, ttl, records: fc.array(owned, { maxLength: 4 }) }),
    fc.uniqueArray(zoneArb, { minLength: 1, maxLength: 6, selector: (z) => z.apex }),
  )
  .map(([root, others]) => {
    const raw = [{ apex: "", own: true, minimum: 30, ...root }, ...others];
    const apexes = raw.map((z) => z.apex);
    return raw.map((z): ZoneOf => {
      const records: Rec[] = [];
      for (const { owner, ttl: t, what } of z.records) {
        const name = [owner, z.apex].filter((s) => s !== "").join(".");
        if (name === z.apex && what.type === "CNAME") continue;
        // what is at or below a cut is another zone's
        if (apexes.some((a) => a !== z.apex && below(a, z.apex) && below(name, a))) continue;
        const there = records.filter((r) => r.owner === name);
        if (there.some((r) => r.type === "CNAME" || what.type === "CNAME")) continue;
        if (there.some((r) => r.type === what.type && r.data === what.data)) continue;
        // one TTL for a set (RFC 2181 §5.2)
        const same = there.find((r) => r.type === what.type);
        records.push({ owner: name, ttl: same?.ttl ?? t, type: what.type as Rec["type"], data: what.data });
      }
      return { ...z, records };
    });
  });
const question = fc.record({
  name: path(1, 4),
  type: fc.constantFrom("A", "A", "TXT", "MX", "CNAME", "AAAA"),
  /** Seconds since the one before. */
  wait: fc.constantFrom(0, 0, 1, 10, 100, 400),
});

const client = "10.9.9.9";
const at = "10.8.8.8";

function check(zones: ZoneOf[], questions: { name: string; type: string; wait: number }[], options: Options): void {
  const net = network([...Array.from({ length: SERVERS }, (_, i) => serverAddress(i)), client, at], options);
  for (let s = 0; s < SERVERS; s++) {
    const here = zones.filter((z) => z.servers.includes(s) || (!z.own && zones[0]!.servers.includes(s)));
    serve(
      net,
      serverAddress(s),
      Object.fromEntries(here.map((z) => [z.apex === "" ? "." : z.apex, zoneFile(zones, z)])),
    );
  }
  const hints = zones[0]!.servers.map((s) => ip(serverAddress(s)));
  const r = resolver(net, at, { hints, mixedCase: options.mixedCase ?? false });
  for (const q of questions) {
    net.world.clock.advance(net.world.clock.now + q.wait * SECOND);
    const want = oracle(zones, q.name, q.type);
    let got = dig(net, client, at, q.name, q.type);
    // with loss a question may fail: what fails is forgotten soon, and then it does not
    for (let n = 0; n < 6 && options.netem?.includes("loss") && got.rcode === 2 && want.rcode !== "SERVFAIL"; n++) {
      net.world.clock.advance(net.world.clock.now + 6 * SECOND);
      got = dig(net, client, at, q.name, q.type);
    }
    const answers = got.answers.map((a) => show(a, false)).toSorted();
    const rcode = ["NOERROR", "", "SERVFAIL", "NXDOMAIN"][got.rcode];
    expect({ q, rcode, answers }).toEqual({ q, rcode: want.rcode, answers: want.answers.toSorted() });
    // no TTL longer than what the zones say
    for (const a of got.answers) expect(a.ttl).toBeLessThanOrEqual(300);
    expect(got.ra).toBe(true);
    expect(got.aa).toBe(false);
  }
  expect(r.pending).toBe(0);
  net.world.clock.advance(net.world.clock.now + 300 * SECOND);
  expect(net.world.x.packetsInUse()).toBe(0);
}

interface Options {
  netem?: string;
  seed?: number;
  mixedCase?: boolean;
}

describe("a resolver", () => {
  const questions = fc.array(question, { minLength: 1, maxLength: 12 });
  it("answers what the zones contain (property)", () => {
    fc.assert(
      fc.property(zonesArb, questions, fc.nat(1000), (zones, qs, seed) => check(zones, qs, { seed })),
      { numRuns: 60 },
    );
  }, 120_000);

  it("answers the same over slow links that lose and repeat (property)", () => {
    fc.assert(
      fc.property(zonesArb, questions, fc.nat(1000), (zones, qs, seed) =>
        check(zones, qs, { seed, netem: "delay 20ms 5ms loss 8% duplicate 3%", mixedCase: seed % 2 === 0 }),
      ),
      { numRuns: 30 },
    );
  }, 120_000);
});
