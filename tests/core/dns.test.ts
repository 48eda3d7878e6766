import { readFileSync } from "node:fs";
import { decode, encode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { formatIpv4, parseIpv4 } from "../../src/core/address.ts";
import {
  decodeDns,
  DnsError,
  dnsFlags,
  dnsFlagsWord,
  dnsTypeName,
  dnsTypeNumber,
  encodeDns,
  readDns,
  writeDns,
  type DnsData,
  type DnsDraft,
  type DnsMessage,
  type DnsRecord,
} from "../../src/core/dns.ts";
import { overBuilds } from "../support/cores.ts";

const hex = (b: Uint8Array): string => Buffer.from(b).toString("hex");
const ascii = (s: string): Uint8Array => Uint8Array.from(Buffer.from(s, "latin1"));
const ip = (s: string): number => parseIpv4(s)!;

const real = readFileSync(new URL("../../fixtures/dns-dnsmasq.hex", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => Uint8Array.from(Buffer.from(line, "hex")));

const rr = (name: string, data: DnsData, ttl = 60, cls = 1): DnsRecord => ({ name, class: cls, ttl, ...data });

const flags = {
  qr: true,
  opcode: 0,
  aa: true,
  tc: false,
  rd: true,
  ra: true,
  z: false,
  ad: false,
  cd: false,
  rcode: 0,
};

/** What dns-packet makes of a record's data. */
function theirs(r: DnsRecord): unknown {
  switch (r.type) {
    case "A":
      return formatIpv4(r.address);
    case "AAAA":
      return expect.any(String);
    case "CNAME":
    case "NS":
    case "PTR":
      return r.target;
    case "MX":
      return { preference: r.preference, exchange: r.exchange };
    case "TXT":
      return r.strings.map((s) => Buffer.from(s));
    case "SRV":
      return { priority: r.priority, weight: r.weight, port: r.port, target: r.target };
    case "SOA": {
      const { mname, rname, serial, refresh, retry, expire, minimum } = r;
      return { mname, rname, serial, refresh, retry, expire, minimum };
    }
    case "OPT":
      return undefined;
    default:
      return Buffer.from(r.rdata);
  }
}

// dns-packet knows no escapes: names of plain letters here
const label = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_"), minLength: 1, maxLength: 12 });
const name = fc.oneof(
  fc.constant("."),
  fc.array(label, { minLength: 1, maxLength: 5 }).map((l) => l.join(".")),
  fc.constantFrom("a.test", "b.a.test", "test"),
);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const octets = fc.uint8Array({ maxLength: 40 });
const data: fc.Arbitrary<DnsData> = fc.oneof(
  u32.map((address): DnsData => ({ type: "A", address })),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((address): DnsData => ({ type: "AAAA", address })),
  fc.tuple(fc.constantFrom("CNAME", "NS", "PTR"), name).map(([type, target]): DnsData => ({ type, target })),
  fc.tuple(u16, name).map(([preference, exchange]): DnsData => ({ type: "MX", preference, exchange })),
  fc
    .array(fc.uint8Array({ maxLength: 255 }), { minLength: 1, maxLength: 3 })
    .map((strings): DnsData => ({ type: "TXT", strings })),
  fc
    .tuple(u16, u16, u16, name)
    .map(([priority, weight, port, target]): DnsData => ({ type: "SRV", priority, weight, port, target })),
  fc
    .tuple(name, name, u32, u32, u32, u32, u32)
    .map(([mname, rname, serial, refresh, retry, expire, minimum]): DnsData => ({
      type: "SOA",
      mname,
      rname,
      serial,
      refresh,
      retry,
      expire,
      minimum,
    })),
  octets.map((rdata): DnsData => ({ type: "TYPE65280", rdata })),
);
const record: fc.Arbitrary<DnsRecord> = fc.tuple(name, data, fc.nat(0x7fffffff)).map(([n, d, ttl]) => rr(n, d, ttl));
const opt: fc.Arbitrary<DnsRecord> = fc
  // options for local use: dns-packet looks into those that it knows
  .tuple(u16, u32, fc.array(fc.tuple(fc.integer({ min: 65001, max: 65534 }), octets), { maxLength: 3 }))
  .map(([cls, ttl, options]) =>
    rr(".", { type: "OPT", options: options.map(([code, d]) => ({ code, data: d })) }, ttl, cls),
  );
const records = fc.array(record, { maxLength: 5 });
const message: fc.Arbitrary<DnsMessage> = fc
  .tuple(
    u16,
    u16,
    fc.array(fc.tuple(name, fc.constantFrom("A", "AAAA", "TXT", "TYPE255"), u16), { maxLength: 3 }),
    records,
    records,
    records,
    fc.option(opt),
    fc.nat(5),
  )
  .map(([id, word, questions, answers, authorities, others, o, at]) => {
    const additionals = [...others];
    if (o !== null) additionals.splice(at % (others.length + 1), 0, o);
    return {
      id,
      ...dnsFlags(word),
      questions: questions.map(([n, type, cls]) => ({ name: n, type, class: cls })),
      answers,
      authorities,
      additionals,
    };
  }) as fc.Arbitrary<DnsMessage>;

overBuilds("dns messages", (make) => {
  const core = make();

  it("reads what dnsmasq wrote", () => {
    expect(decodeDns(core, real[5]!)).toEqual({
      id: 0x1003,
      ...flags,
      questions: [{ name: "alias.test", type: "A", class: 1 }],
      answers: [
        rr("alias.test", { type: "CNAME", target: "host.test" }),
        rr("host.test", { type: "A", address: ip("192.0.2.77") }),
      ],
      authorities: [],
      additionals: [],
    });
    expect(decodeDns(core, real[7]!).answers).toEqual([
      rr("77.2.0.192.in-addr.arpa", { type: "PTR", target: "host.test" }),
    ]);
    expect(decodeDns(core, real[9]!).answers).toEqual([
      rr("t.test", { type: "TXT", strings: [ascii("hello"), ascii("world")] }),
    ]);
    expect(decodeDns(core, real[11]!).answers).toEqual([
      rr("test", { type: "MX", preference: 10, exchange: "mail.test" }),
    ]);
    expect(decodeDns(core, real[13]!)).toMatchObject({
      answers: [rr("_http._tcp.test", { type: "SRV", priority: 1, weight: 2, port: 80, target: "host.test" })],
      additionals: [rr("host.test", { type: "A", address: ip("192.0.2.77") })],
    });
    expect(decodeDns(core, real[15]!)).toMatchObject({ rcode: 3, aa: false, answers: [] });
    expect(decodeDns(core, real[17]!)).toMatchObject({ rcode: 5 });
    expect(decodeDns(core, real[19]!)).toMatchObject({ tc: true, answers: [] });
    expect(decodeDns(core, real[21]!).additionals).toEqual([rr(".", { type: "OPT", options: [] }, 0x8000, 1232)]);
  });

  it("writes the same bytes, where dnsmasq compresses all that it could", () => {
    const same = real.filter((b) => hex(encodeDns(core, decodeDns(core, b))) === hex(b));
    // dnsmasq writes the CNAME's and the MX's names out
    expect(real.length - same.length).toBe(2);
    for (const b of real) expect(decodeDns(core, encodeDns(core, decodeDns(core, b)))).toEqual(decodeDns(core, b));
  });

  it("agrees with dns-packet on real messages", () => {
    for (const b of real) {
      const ours = decodeDns(core, b);
      const other = decode(Buffer.from(b));
      expect(other.id).toBe(ours.id);
      expect(other.questions.map((q) => [q.name, q.type])).toEqual(ours.questions.map((q) => [q.name, q.type]));
      expect(other.answers.map((a) => [a["name"], a["type"], a["ttl"], a["data"]])).toEqual(
        ours.answers.map((a) => [a.name, a.type, a.ttl, theirs(a)]),
      );
    }
  });

  it("reads back what it wrote (property)", () => {
    fc.assert(
      fc.property(message, (m) => {
        const b = encodeDns(core, m);
        expect(decodeDns(core, b)).toEqual(m);
        expect(hex(encodeDns(core, m))).toBe(hex(b));
      }),
      { seed: 1035, numRuns: 500 },
    );
  });

  it("is read by dns-packet as it was meant (property)", () => {
    fc.assert(
      fc.property(message, (m) => {
        const other = decode(Buffer.from(encodeDns(core, m)));
        expect(other.id).toBe(m.id);
        for (const section of ["answers", "authorities", "additionals"] as const) {
          expect(other[section].map((r) => [r["name"], r["data"]])).toEqual(m[section].map((r) => [r.name, theirs(r)]));
        }
      }),
      { seed: 1035, numRuns: 500 },
    );
  });

  it("reads what dns-packet wrote (property)", () => {
    fc.assert(
      fc.property(records, u16, (answers, id) => {
        // it writes a type without a name of its own under `UNKNOWN_n`
        const known = answers.filter((r) => r.type !== "TYPE65280" && r.type !== "AAAA");
        const b = encode({
          id,
          type: "response",
          answers: known.map((r) => ({ name: r.name, type: r.type, ttl: r.ttl, data: theirs(r) })),
        });
        expect(decodeDns(core, b).answers).toEqual(known);
      }),
      { seed: 1035, numRuns: 300 },
    );
  });

  it("writes into the core's memory, and reads there", () => {
    const p = core.x.alloc(1024);
    core.u8.fill(0xa5, p, p + 1024);
    const m: DnsDraft = { id: 1, qr: true, answers: [rr("a.test", { type: "A", address: ip("10.0.0.1") })] };
    const n = writeDns(core, m, p, 512);
    expect(hex(core.u8.subarray(p, p + n))).toBe(hex(encodeDns(core, m)));
    expect(core.u8.subarray(p + n, p + 1024).every((b) => b === 0xa5)).toBe(true);
    expect(readDns(core, p, n).answers).toEqual(m.answers);
  });

  it("cuts an answer to the size allowed, sets TC, and keeps the OPT", () => {
    const answers = Array.from({ length: 50 }, (_, i) => rr(`host${i}.test`, { type: "A", address: i }));
    const o = rr(".", { type: "OPT", options: [{ code: 10, data: ascii("cookie00") }] }, 0, 1232);
    const glue = rr("ns.test", { type: "A", address: 1 });
    const m: DnsDraft = { questions: [{ name: "test", type: "A", class: 1 }], answers, additionals: [glue, o, glue] };
    const whole = decodeDns(core, encodeDns(core, m));
    expect([whole.tc, whole.answers.length, whole.additionals]).toEqual([false, 50, [glue, o, glue]]);
    const b = encodeDns(core, m, 512);
    const cut = decodeDns(core, b);
    expect(b.length).toBeLessThanOrEqual(512);
    expect([cut.tc, cut.answers, cut.additionals]).toEqual([true, answers.slice(0, cut.answers.length), [o]]);
    expect(cut.answers.length).toBeGreaterThan(15);
    // additionals that do not fit are no truncation (RFC 2181 §9)
    const few = { ...m, answers: answers.slice(0, 1) };
    const all = encodeDns(core, few).length;
    for (let limit = all - 30; limit < all; limit++) {
      const d = decodeDns(core, encodeDns(core, few, limit));
      expect([d.tc, d.answers.length, d.additionals.filter((r) => r.type === "OPT").length]).toEqual([false, 1, 1]);
      expect(d.additionals.length).toBeLessThan(3);
    }
    expect(() => encodeDns(core, few, 30)).toThrow("30 bytes do not hold its OPT record");
    expect(() => encodeDns(core, few, 11)).toThrow("11 bytes hold no header");
  });

  it("refuses what has no place on the wire", () => {
    const answer = (d: object) => () =>
      encodeDns(core, { answers: [{ ...rr("a", { type: "A", address: 1 }), ...d } as DnsRecord] });
    for (const bad of ["", "a..b", "x".repeat(64), "\u{1f600}", "é", "a b", "a.".repeat(200)])
      expect(answer({ name: bad }), bad).toThrow("DNS name");
    expect(answer({ ttl: -1 })).toThrow("DNS TTL -1: expected 0 to 4294967295");
    expect(answer({ class: 65536 })).toThrow("DNS class");
    expect(answer({ address: 1.5 })).toThrow("DNS address");
    expect(answer({ type: "AAAA", address: new Uint8Array(4) })).toThrow("AAAA of 4 bytes");
    expect(answer({ type: "TXT", strings: [] })).toThrow("TXT without a string");
    expect(answer({ type: "TXT", strings: [new Uint8Array(256)] })).toThrow("DNS string length 256");
    expect(answer({ type: "TYPE65536", rdata: new Uint8Array(0) })).toThrow(
      "expected a mnemonic or TYPE0 to TYPE65535",
    );
    expect(answer({ type: "BOGUS" })).toThrow("DNS type 'BOGUS'");
    expect(answer({ type: "1" })).toThrow("DNS type '1'");
    expect(() => encodeDns(core, { id: 65536 })).toThrow("DNS id 65536");
    // and the codec is in order afterwards
    expect(hex(encodeDns(core, decodeDns(core, real[1]!)))).toBe(hex(real[1]!));
  });

  it("names what breaks a message", () => {
    const b = Uint8Array.from(real[1]!);
    expect(() => decodeDns(core, b.subarray(0, 30))).toThrow(new DnsError(Drop.Truncated));
    b[27] = 0x1a;
    expect(() => decodeDns(core, b)).toThrow("malformed DNS message: BadName");
    expect(() => decodeDns(core, new Uint8Array(65536))).toThrow("malformed DNS message: BadLength");
    expect(() => decodeDns(core, new Uint8Array(0))).toThrow("malformed DNS message: Truncated");
  });
});

describe("dns numbers", () => {
  it("flags and their word are one thing (property)", () => {
    fc.assert(
      fc.property(u16, (word) => void expect(dnsFlagsWord(dnsFlags(word))).toBe(word)),
      { seed: 1, numRuns: 300 },
    );
    expect(dnsFlagsWord({})).toBe(0);
    expect(dnsFlags(0x8583)).toEqual({ ...flags, rcode: 3 });
  });

  it("types and their names are one thing", () => {
    for (let n = 0; n < 0x10000; n++) if (dnsTypeNumber(dnsTypeName(n)) !== n) expect.fail(`${n}`);
    expect([dnsTypeName(28), dnsTypeName(65), dnsTypeNumber("TYPE28")]).toEqual(["AAAA", "TYPE65", 28]);
  });
});
