// What a server finds in its zones: RFC 4592's wildcards, RFC 2308's negative answers, cuts, empty names.

import { describe, expect, it } from "vitest";
import type { DnsTypeName } from "../../../src/core/dns.ts";
import { Authority } from "../../../src/service/dns/authority.ts";
import { typeOf } from "../../../src/service/dns/types.ts";
import { Zone } from "../../../src/service/dns/zone.ts";
import { shown } from "../../support/dns.ts";

function authority(zones: Record<string, string>, order?: "cyclic"): Authority {
  return new Authority(
    Object.entries(zones).map(([name, text]) => Zone.parse(text, name)),
    order,
  );
}

function ask(a: Authority, name: string, type: string, cls = 1): Record<string, unknown> {
  return shown(a.answer({ name, type: `TYPE${typeOf(type)}` as DnsTypeName, class: cls }), false);
}

describe("RFC 4592 §2.2.1", () => {
  const a = authority({
    example: `
$ORIGIN example.
example.                 3600 IN  SOA   ns.example.com. h.example.com. 1 2 3 4 5
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host2.example.
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
`,
  });
  const soa = ["example SOA ns.example.com h.example.com 1 2 3 4 5"];

  it("synthesises for names that do not exist", () => {
    const found = (name: string, type: string): unknown => ask(a, name, type)["answers"];
    expect(found("host3.example", "MX")).toEqual(["host3.example MX 10 host1.example"]);
    expect(found("foo.bar.example", "TXT")).toEqual(['foo.bar.example TXT "this is a wildcard"']);
    // the wildcard's own name, asked for
    expect(found("*.example", "MX")).toEqual(["*.example MX 10 host1.example"]);
    // there is no A at the wildcard
    expect(ask(a, "host3.example", "A")).toMatchObject({ rcode: "NOERROR", aa: true, answers: [], authorities: soa });
  });

  it("does not synthesise for names that exist, below them, or below a cut", () => {
    const nothing = { rcode: "NOERROR", aa: true, answers: [], authorities: soa };
    expect(ask(a, "host1.example", "MX")).toMatchObject(nothing);
    expect(ask(a, "sub.*.example", "MX")).toMatchObject(nothing);
    // an empty non-terminal exists
    expect(ask(a, "_tcp.host1.example", "MX")).toMatchObject(nothing);
    expect(ask(a, "host2.example", "TXT")).toMatchObject(nothing);
    // the closest encloser is _tcp.host1.example, and no wildcard stands below it
    expect(ask(a, "_telnet._tcp.host1.example", "SRV")).toMatchObject({ rcode: "NXDOMAIN", authorities: soa });
    expect(ask(a, "ghost.*.example", "MX")).toMatchObject({ rcode: "NXDOMAIN", authorities: soa });
    expect(ask(a, "host.subdel.example", "A")).toMatchObject({
      rcode: "NOERROR",
      aa: false,
      answers: [],
      authorities: ["subdel.example NS ns.example.com", "subdel.example NS ns.example.net"],
    });
  });
});

describe("an authoritative answer", () => {
  const a = authority({
    "an.example": `
@ 600 SOA ns1 hostmaster 1 2 3 4 300
  600 NS ns1
  600 NS ns2.other.example.
ns1 600 A 192.0.2.1
www 600 CNAME web
web 600 A 192.0.2.2
web 600 A 192.0.2.3
web 600 A 192.0.2.4
gone 600 CNAME nowhere
out 600 CNAME www.other.example.
loop 600 CNAME pool
pool 600 CNAME loop
a.b.c 600 TXT "x"
*.wild 600 CNAME web
child 600 NS ns.child
child 600 NS ns.elsewhere.example.
child 600 TYPE43 \\# 4 00010203
ns.child 600 A 192.0.2.9
mail 600 MX 5 web
mail 600 MX 6 ns.child
`,
    "other.example": "@ 9 SOA a b 1 2 3 4 5\n@ 9 NS ns2\nns2 9 A 192.0.2.77\nwww 9 A 192.0.2.78\n",
  });
  const soa = ["an.example SOA ns1.an.example hostmaster.an.example 1 2 3 4 300"];

  it("follows aliases through its zones, and ends where they do", () => {
    expect(ask(a, "www.an.example", "A")["answers"]).toHaveLength(4);
    expect(ask(a, "x.wild.an.example", "A")["answers"]).toEqual([
      "web.an.example A 192.0.2.2",
      "web.an.example A 192.0.2.3",
      "web.an.example A 192.0.2.4",
      "x.wild.an.example CNAME web.an.example",
    ]);
    expect(ask(a, "out.an.example", "A")["answers"]).toEqual([
      "out.an.example CNAME www.other.example",
      "www.other.example A 192.0.2.78",
    ]);
    // RFC 6604: the RCODE is that of the alias's target
    expect(ask(a, "gone.an.example", "A")).toMatchObject({
      rcode: "NXDOMAIN",
      aa: true,
      answers: ["gone.an.example CNAME nowhere.an.example"],
      authorities: soa,
    });
    expect(ask(a, "loop.an.example", "A")).toMatchObject({
      rcode: "NOERROR",
      answers: ["loop.an.example CNAME pool.an.example", "pool.an.example CNAME loop.an.example"],
    });
  });

  it("has the lesser of the SOA's TTL and its minimum where there is nothing (RFC 2308 §3)", () => {
    const draft = a.answer({ name: "no.an.example", type: "A", class: 1 });
    expect(draft.authorities![0]!.ttl).toBe(300);
    expect(ask(a, "b.c.an.example", "A")).toMatchObject({ rcode: "NOERROR", aa: true, authorities: soa });
    expect(ask(a, "z.c.an.example", "A")).toMatchObject({ rcode: "NXDOMAIN", aa: true, authorities: soa });
  });

  it("refers with glue, and keeps the DS on the parent's side", () => {
    expect(ask(a, "x.child.an.example", "A")).toEqual({
      rcode: "NOERROR",
      aa: false,
      answers: [],
      authorities: ["child.an.example NS ns.child.an.example", "child.an.example NS ns.elsewhere.example"],
      additionals: ["ns.child.an.example A 192.0.2.9"],
    });
    expect(ask(a, "child.an.example", "NS")).toMatchObject({ aa: false, answers: [] });
    expect(ask(a, "child.an.example", "DS")).toMatchObject({ aa: true, answers: ["child.an.example DS 00010203"] });
    // glue is no answer
    expect(ask(a, "ns.child.an.example", "A")).toMatchObject({ aa: false, answers: [] });
  });

  it("adds the addresses of servers and mail exchanges", () => {
    expect(ask(a, "an.example", "NS")["additionals"]).toEqual([
      "ns1.an.example A 192.0.2.1",
      "ns2.other.example A 192.0.2.77",
    ]);
    expect(ask(a, "mail.an.example", "MX")["additionals"]).toHaveLength(4);
  });

  it("is refused outside the zones, in other classes, and for transfers", () => {
    expect(ask(a, "example", "A")).toMatchObject({ rcode: "REFUSED", aa: false });
    expect(ask(a, ".", "NS")).toMatchObject({ rcode: "REFUSED" });
    expect(ask(a, "an.example", "A", 3)).toMatchObject({ rcode: "REFUSED" });
    expect(ask(a, "an.example", "AXFR")).toMatchObject({ rcode: "REFUSED" });
    // RFC 1034 §6.2.2: any class is answered, without authority
    expect(ask(a, "web.an.example", "A", 255)).toMatchObject({ rcode: "NOERROR", aa: false });
  });

  it("gives each address in turn first, when told to", () => {
    const c = authority({ t: "@ 9 SOA a b 1 2 3 4 5\n@ 9 NS a\na 9 A 192.0.2.1\na 9 A 192.0.2.2\n" }, "cyclic");
    const first = (): number => {
      const [r] = c.answer({ name: "a.t", type: "A", class: 1 }).answers!;
      return r!.type === "A" ? r!.address & 255 : 0;
    };
    expect([first(), first(), first(), first()]).toEqual([1, 2, 1, 2]);
  });

  it("gives each client what was chosen for it", () => {
    const zone = Zone.parse("@ 9 SOA a b 1 2 3 4 5\n@ 9 NS a\na 9 A 192.0.2.1\na 9 A 192.0.2.2\n", "t");
    const near = new Authority([zone], "fixed", (set, client) => set.records.slice(client & 1, (client & 1) + 1));
    const got = (client: number): unknown =>
      shown(near.answer({ name: "a.t", type: "A", class: 1 }, client), false)["answers"];
    expect(got(0x0a000000)).toEqual(["a.t A 192.0.2.1"]);
    expect(got(0x0a000001)).toEqual(["a.t A 192.0.2.2"]);
  });

  it("has each zone once", () => {
    const zone = Zone.parse("@ 9 SOA a b 1 2 3 4 5\n@ 9 NS a\n", "t");
    expect(() => new Authority([zone, zone])).toThrow("the zone 't' is given twice, expected it once");
  });
});
