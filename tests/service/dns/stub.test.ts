// A host's own resolver: resolv.conf, hosts, searching, servers that fail.

import { describe, expect, it } from "vitest";
import { formatIpv4 } from "../../../src/core/address.ts";
import { TextError } from "../../../src/host/text.ts";
import { SECOND } from "../../../src/link/clock.ts";
import { type DnsDraft } from "../../../src/core/dns.ts";
import { defaultConf, parseHosts, parseResolvConf, type ResolvConf } from "../../../src/service/dns/resolvconf.ts";
import { DnsServer } from "../../../src/service/dns/server.ts";
import { Stub } from "../../../src/service/dns/stub.ts";
import { typeOf } from "../../../src/service/dns/types.ts";
import { ip, network, type Net, serve, show, until } from "../../support/dns.ts";

const ONE = "10.0.0.1";
const TWO = "10.0.0.2";
const C = "10.9.9.9";

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    if (e instanceof TextError) return `${e.line}:${e.column}: ${e.message}`;
    throw e;
  }
  return "accepted";
}

describe("resolv.conf", () => {
  it("is read as resolver(3) words it", () => {
    const text = `# comment
nameserver 10.0.0.1 ; the first
nameserver 10.0.0.2
nameserver 10.0.0.3
nameserver 10.0.0.4
domain one.example
search a.example b.example.
options ndots:2 timeout:99 attempts:0 rotate edns0 trust-ad
`;
    expect(parseResolvConf(text)).toEqual({
      nameservers: [ip(ONE), ip(TWO), ip("10.0.0.3")],
      search: ["a.example", "b.example"],
      ndots: 2,
      timeout: 30,
      attempts: 1,
      rotate: true,
      edns0: true,
      useVc: false,
    });
    expect(parseResolvConf("")).toEqual(defaultConf);
  });

  it("says where it is wrong", () => {
    expect(refusal(() => parseResolvConf("nameserver ::1"))).toBe(
      "1:12: '::1' is no IPv4 address, expected a name server's",
    );
    expect(refusal(() => parseResolvConf("\nnameserver"))).toBe(
      "2:11: 'nameserver' without a value, expected an address",
    );
    expect(refusal(() => parseResolvConf("search a..b"))).toBe(
      "1:10: 'a..b' has an empty label, expected 1 to 63 bytes",
    );
    expect(refusal(() => parseResolvConf("options ndots"))).toBe("1:9: option 'ndots', expected ndots:N");
    expect(refusal(() => parseResolvConf("options fast"))).toBe(
      "1:9: unknown option 'fast', expected ndots:N, timeout:N, attempts:N, rotate, edns0 or use-vc",
    );
    expect(refusal(() => parseResolvConf("server 10.0.0.1"))).toBe(
      "1:1: unknown keyword 'server', expected nameserver, search, domain or options",
    );
  });
});

describe("hosts", () => {
  it("are addresses with names", () => {
    const hosts = parseHosts("127.0.0.1 localhost # here\n10.0.0.1\tdb DB.example db\n::1 localhost ip6\n");
    expect(Object.fromEntries(hosts)).toEqual({
      localhost: ["127.0.0.1", "::1"],
      db: ["10.0.0.1"],
      "db.example": ["10.0.0.1"],
      ip6: ["::1"],
    });
    expect(refusal(() => parseHosts("\n10.0.0 a"))).toBe("2:1: '10.0.0' is no address, expected one and its names");
    expect(refusal(() => parseHosts("10.0.0.1"))).toBe("1:9: an address without a name, expected one behind it");
  });
});

const zone = (extra: string): string => `@ 60 SOA ns m 1 2 3 4 60\n@ 60 NS ns\nns 60 A ${ONE}\n${extra}`;

/** What a lookup gives: texts of the records, or the error's code; and the seconds that it took. */
function lookup(net: Net, stub: Stub, name: string, type = "A"): { got: string[] | string; seconds: number } {
  const out: (string[] | string)[] = [];
  const from = net.world.clock.now;
  stub.lookup(name, typeOf(type)!, (error, records) => {
    out.push(error === null ? records.map((r) => show(r, false)) : error.code);
  });
  expect(out).toEqual([]); // never before the call returns
  until(net, () => out.length > 0, 300);
  expect(out).toHaveLength(1);
  return { got: out[0]!, seconds: Math.round((net.world.clock.now - from) / SECOND) };
}

function stubOf(net: Net, conf: Partial<ResolvConf>): Stub {
  return new Stub(net.host(C), { ...defaultConf, nameservers: [ip(ONE)], ...conf });
}

/** Counts the questions that a server gets, in order. */
function counted(net: Net, address: string, answer: (name: string) => DnsDraft | null): string[] {
  const asked: string[] = [];
  const server = new DnsServer(net.host(address), (q, _, reply) => {
    asked.push(q.questions[0]!.name);
    const draft = answer(q.questions[0]!.name);
    if (draft !== null) reply({ questions: q.questions, ...draft });
  });
  expect(server.connections.size).toBe(0);
  return asked;
}

describe("a lookup", () => {
  it("follows the aliases in the answer", () => {
    const net = network([ONE, TWO, C]);
    serve(net, ONE, {
      "a.example": zone("www 60 CNAME web\nweb 60 A 192.0.2.1\nweb 60 A 192.0.2.2\nmail 60 MX 1 web\n"),
    });
    const stub = stubOf(net, {});
    expect(lookup(net, stub, "WWW.a.example").got).toEqual(["web.a.example A 192.0.2.1", "web.a.example A 192.0.2.2"]);
    expect(lookup(net, stub, "mail.a.example", "MX").got).toEqual(["mail.a.example MX 1 web.a.example"]);
    expect(lookup(net, stub, "www.a.example", "TXT").got).toBe("ENODATA");
    expect(lookup(net, stub, "none.a.example").got).toBe("ENOTFOUND");
    expect(lookup(net, stub, "b.example").got).toBe("EREFUSED");
    expect(lookup(net, stub, "bad..name").got).toBe("EBADNAME");
  });

  it("searches: names with few dots in the domains first, others last, with a last dot not at all", () => {
    const net = network([ONE, TWO, C]);
    const asked = counted(net, ONE, () => ({ rcode: 3 }));
    const run = (name: string, conf: Partial<ResolvConf>): string[] => {
      expect(lookup(net, stubOf(net, conf), name).got).toBe("ENOTFOUND");
      return asked.splice(0);
    };
    const search = ["x.example", "y.example"];
    expect(run("db", { search })).toEqual(["db.x.example", "db.y.example", "db"]);
    expect(run("db.", { search })).toEqual(["db"]);
    expect(run("a.b", { search })).toEqual(["a.b", "a.b.x.example", "a.b.y.example"]);
    expect(run("a.b", { search, ndots: 2 })).toEqual(["a.b.x.example", "a.b.y.example", "a.b"]);
    expect(run("db", {})).toEqual(["db"]);
  });

  it("finds the first, and says what was found nowhere", () => {
    const net = network([ONE, TWO, C]);
    serve(net, ONE, { "x.example": zone("text 60 TXT t\n"), "y.example": zone("db 60 A 10.1.1.1\ntext 60 TXT t\n") });
    const stub = stubOf(net, { search: ["x.example", "y.example"] });
    expect(lookup(net, stub, "db").got).toEqual(["db.y.example A 10.1.1.1"]);
    expect(lookup(net, stub, "text").got).toBe("ENODATA");
  });

  it("goes to the next server when one refuses, fails, or is silent; round by round", () => {
    const net = network([ONE, TWO, C]);
    const first = counted(net, ONE, (name) => (name === "silent" ? null : { rcode: 2 }));
    const second = counted(net, TWO, (name) =>
      name === "gone" ? null : { answers: [{ name, class: 1, ttl: 5, type: "A", address: ip("192.0.2.7") }] },
    );
    const stub = stubOf(net, { nameservers: [ip(ONE), ip(TWO)], timeout: 5, attempts: 2 });
    expect(lookup(net, stub, "a")).toEqual({ got: ["a A 192.0.2.7"], seconds: 0 });
    expect(lookup(net, stub, "silent")).toEqual({ got: ["silent A 192.0.2.7"], seconds: 5 });
    first.length = second.length = 0;
    // SERVFAIL, 5 s of silence, SERVFAIL, 5 s (10 shared by two)
    expect(lookup(net, stub, "gone")).toEqual({ got: "ESERVFAIL", seconds: 10 });
    expect([first.length, second.length]).toEqual([2, 2]);
    const alone = stubOf(net, { nameservers: [ip("192.0.2.99"), ip(TWO)], attempts: 1 });
    expect(lookup(net, alone, "gone").got).toBe("ETIMEOUT");
  });

  it("takes servers in turn, TCP, EDNS when told to; and the own host without any", () => {
    const net = network([ONE, TWO, C]);
    const reply = (name: string): DnsDraft => ({ answers: [{ name, class: 1, ttl: 5, type: "A", address: 1 }] });
    const first = counted(net, ONE, reply);
    const second = counted(net, TWO, reply);
    const stub = stubOf(net, { nameservers: [ip(ONE), ip(TWO)], rotate: true, useVc: true, edns0: true });
    for (const n of ["a", "b", "c"]) lookup(net, stub, n);
    expect([first, second]).toEqual([["a", "c"], ["b"]]);
    expect(lookup(net, stubOf(net, { nameservers: [] }), "a")).toEqual({ got: "ECONNREFUSED", seconds: 0 });
    counted(net, C, reply);
    expect(lookup(net, stubOf(net, { nameservers: [] }), "a").got).toEqual([`a A ${formatIpv4(1)}`]);
  });

  it("asks again what is lost on the way", () => {
    let failed = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const net = network([ONE, C], { netem: "loss 20%", seed });
      serve(net, ONE, { "a.example": zone("www 60 A 192.0.2.1\n") });
      const { got } = lookup(net, stubOf(net, { timeout: 1, attempts: 5 }), "www.a.example");
      if (got === "ETIMEOUT") failed++;
      else expect(got).toEqual(["www.a.example A 192.0.2.1"]);
    }
    // 0.59 of the tries fail
    expect(failed).toBeLessThan(6);
  });
});
