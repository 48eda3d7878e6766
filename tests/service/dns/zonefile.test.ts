import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeDns, encodeDns } from "../../../src/core/dns.ts";
import { TextError } from "../../../src/host/text.ts";
import { labelText, parseName, wireLength, wireName } from "../../../src/service/dns/name.ts";
import { readZoneFile } from "../../../src/service/dns/zonefile.ts";
import { Zone } from "../../../src/service/dns/zone.ts";
import { overBuilds } from "../../support/cores.ts";
import { show } from "../../support/dns.ts";

const read = (text: string, zone = "example.com"): string[] => readZoneFile(text, zone).map((p) => show(p.record));

/** `line:column: what` */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    if (e instanceof TextError) return `${e.line}:${e.column}: ${e.message}`;
    throw e;
  }
  return "accepted";
}

describe("a master file", () => {
  it("reads RFC 1035 §5.3's example", () => {
    const text = `
@   IN  SOA     VENERA      Action\\.domains (
                                 20     ; SERIAL
                                 7200   ; REFRESH
                                 600    ; RETRY
                                 3600000; EXPIRE
                                 60)    ; MINIMUM

        NS      A.ISI.EDU.
        NS      VENERA
        NS      VAXA
        MX      10      VENERA
        MX      20      VAXA

A       A       26.3.0.103

VENERA  A       10.1.0.52
        A       128.9.0.32

VAXA    A       10.2.0.27
        A       128.9.0.33
`;
    expect(read(text, "ISI.EDU")).toEqual([
      "ISI.EDU 60 SOA VENERA.ISI.EDU Action\\.domains.ISI.EDU 20 7200 600 3600000 60",
      "ISI.EDU 60 NS A.ISI.EDU",
      "ISI.EDU 60 NS VENERA.ISI.EDU",
      "ISI.EDU 60 NS VAXA.ISI.EDU",
      "ISI.EDU 60 MX 10 VENERA.ISI.EDU",
      "ISI.EDU 60 MX 20 VAXA.ISI.EDU",
      "A.ISI.EDU 60 A 26.3.0.103",
      "VENERA.ISI.EDU 60 A 10.1.0.52",
      "VENERA.ISI.EDU 60 A 128.9.0.32",
      "VAXA.ISI.EDU 60 A 10.2.0.27",
      "VAXA.ISI.EDU 60 A 128.9.0.33",
    ]);
  });

  it("reads origins, TTLs, classes in either order, units, strings and escapes", () => {
    const text = [
      "$TTL 1h30m",
      "$ORIGIN sub",
      "a IN 5 A 192.0.2.1",
      'a 6 IN TXT plain "two words" "a;b" "q\\"" \\065\\;',
      "\\097\\.b A 192.0.2.2 ; a comment",
      "$ORIGIN example.com.",
      "@ AAAA 2001:db8::ffff:192.0.2.1",
      "_http._tcp SRV 1 2 80 @",
      "c 1w2d TYPE65280 \\# 3 0102 03",
      "d A \\# 4 C0000207",
      "e MX \\# 5 000A 01 62 00",
      'f CAA 0 issue "ca.example.net"',
      'f\tHINFO ( PC\n "Linux 6" )\r',
      "*  CNAME\td",
    ].join("\n");
    expect(read(text)).toEqual([
      "a.sub.example.com 5 A 192.0.2.1",
      'a.sub.example.com 6 TXT "plain" "two words" "a;b" "q"" "A;"',
      "a\\.b.sub.example.com 5400 A 192.0.2.2",
      "example.com 5400 AAAA 20010db8000000000000ffffc0000201",
      "_http._tcp.example.com 5400 SRV 1 2 80 example.com",
      "c.example.com 777600 TYPE65280 010203",
      "d.example.com 5400 A 192.0.2.7",
      "e.example.com 5400 MX 10 b",
      `f.example.com 5400 CAA ${Buffer.from("\0\x05issueca.example.net", "latin1").toString("hex")}`,
      `f.example.com 5400 HINFO ${Buffer.from("\x02PC\x07Linux 6", "latin1").toString("hex")}`,
      "*.example.com 5400 CNAME d.example.com",
    ]);
  });

  it("gives a record without a TTL the last one stated, else the SOA's minimum", () => {
    expect(
      read("@ SOA a b 1 2 3 4 99\nx A 192.0.2.1\ny 7 A 192.0.2.1\nz A 192.0.2.1", "t").map((r) => r.split(" ")[1]),
    ).toEqual(["99", "99", "7", "7"]);
  });

  const soa = "@ 60 SOA ns m 1 2 3 4 60\n@ 60 NS ns\n";
  const cases: [string, string][] = [
    ["$INCLUDE other", "1:1: $INCLUDE is not supported, expected the records themselves"],
    ["\n$GENERATE 1-4 a A 1.1.1.1", "2:1: $GENERATE is not supported, expected the records themselves"],
    ["$FOO", "1:1: unknown directive '$FOO', expected $ORIGIN or $TTL"],
    ["$TTL", "1:5: the record ends here, expected TTL"],
    ["$TTL abc", "1:6: 'abc' is no TTL, expected seconds or a time such as 1h30m"],
    ["$ORIGIN a b", "1:11: 'b' behind the data, expected the end of the $ORIGIN record"],
    [" A 192.0.2.1", "1:2: a record without an owner, expected a name at the beginning of the line"],
    ["a 60 A", "1:7: the record ends here, expected its data"],
    ["a 60 IN", "1:8: the record ends here, expected a type"],
    ["a 60 A 192.0.2", "1:8: '192.0.2' is no IPv4 address, expected one such as 192.0.2.1"],
    ["a 60 A 192.0.2.1 x", "1:18: 'x' behind the data, expected the end of the A record"],
    ["a 60 AAAA fe80:::1", "1:11: 'fe80:::1' is no IPv6 address, expected one such as 2001:db8::1"],
    ["a 60 FOO x", "1:6: 'FOO' is no type, expected one such as A, NS or TYPE65280"],
    ["a 60 CH A 192.0.2.1", "1:6: class 'CH' is not served, expected IN"],
    ["a 60 DNAME b", "1:6: DNAME is not supported, expected a CNAME for each name"],
    ["a 60 AXFR b", "1:6: 'AXFR' is for questions, expected a record's type"],
    ["a 9999999999 A 192.0.2.1", "1:3: '9999999999' is no TTL, expected 0 to 2147483647 seconds"],
    ["a A 192.0.2.1", "1:1: a record without a TTL, expected one, or a $TTL or the SOA before it"],
    ["a 60 MX ten b", "1:9: 'ten' is no preference, expected 0 to 65535"],
    ["a 60 MX 10", "1:11: the record ends here, expected the mail server's name"],
    ['a 60 TXT "abc', "1:10: a string without its closing quote, expected '\"' on the same line"],
    ['a 60 TXT "a\\999"', "1:12: a bad escape, expected \\X or \\DDD up to \\255"],
    ["a 60 SOA a b (\n 1 2", "1:14: '(' without its ')', expected one before the end"],
    ["a 60 A ) 1", "1:8: ')' without its '(', expected one before it"],
    ["a 60 A ( ( 1", "1:10: '(' inside parentheses, expected ')' first"],
    ["a..b 60 A 192.0.2.1", "1:3: 'a..b' has an empty label, expected 1 to 63 bytes"],
    [`${"x".repeat(64)} 60 A 192.0.2.1`, `1:1: '${"x".repeat(64)}' has a label of 64 bytes, expected 1 to 63`],
    ["bücher 60 A 192.0.2.1", "1:2: 'bücher' has the letter 'ü', expected ASCII (its xn-- form)"],
    [
      "a.example.net. 60 A 192.0.2.1",
      "1:1: 'a.example.net' is outside the zone, expected 'example.com' or a name below it",
    ],
    ["a 60 A \\# 3 010203", "1:8: A does not have such data, expected its format on the wire"],
    ["a 60 TYPE9 \\# 2 01", "1:12: the data has 1 bytes, expected the 2 that the record says"],
    ["a 60 TYPE9 x", "1:12: 'x': TYPE9 is read in the form of RFC 3597 only, expected \\# LENGTH HEX"],
    ["a 60 CAA 0 is-sue x", "1:12: 'is-sue' is no tag, expected letters and digits"],
    ["a 60 A 192.0.2.1", "1:1: the zone 'example.com' has no SOA, expected one at its apex"],
    ["@ 60 SOA a b 1 2 3 4 5", "1:1: the zone 'example.com' has no NS, expected one at its apex"],
    [`${soa}a 60 SOA a b 1 2 3 4 5`, "3:1: SOA at 'a.example.com', expected it at 'example.com'"],
    [`${soa}@ 60 SOA a b 1 2 3 4 5`, "3:1: a second SOA, expected one"],
    [
      `${soa}a 60 A 192.0.2.1\na 60 CNAME b`,
      "4:1: 'a.example.com' has a CNAME and other data, expected the CNAME alone (RFC 1034 §3.6.2)",
    ],
    [`${soa}a 60 CNAME b\na 60 CNAME c`, "4:1: 'a.example.com' has a second CNAME, expected one (RFC 2181 §10.1)"],
    [`${soa}*.a 60 NS b`, "3:1: NS at a wildcard, expected it at a name"],
  ];
  it.each(cases)("%j is refused with its place", (text, want) => {
    expect(refusal(() => Zone.parse(text, "example.com"))).toBe(want);
  });

  it("never fails but with a place (property)", () => {
    const word = fc.constantFrom(
      "@",
      "a",
      "60",
      "IN",
      "A",
      "MX",
      "SOA",
      "NS",
      "192.0.2.1",
      "(",
      ")",
      '"',
      ";",
      "\\",
      "$TTL",
      "\n",
      " ",
      "\\#",
      "4",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((w) => w.join(" ")),
          fc.array(word).map((w) => w.join("")),
        ),
        (text) => {
          const said = refusal(() => Zone.parse(text, "t"));
          if (said === "accepted") return;
          const [, line, column] = /^(\d+):(\d+): /.exec(said)!;
          const rows = text.split("\n");
          expect(Number(line)).toBeLessThanOrEqual(rows.length);
          expect(Number(column)).toBeLessThanOrEqual((rows[Number(line) - 1] ?? "").length + 1);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("takes equal records once, and the lowest TTL of a set", () => {
    const zone = Zone.parse(`${soa}a 9 A 192.0.2.1\nA 8 A 192.0.2.2\na 7 A 192.0.2.1`, "example.com");
    const set = zone.nodes.get("a.example.com")!.sets.get(1)!;
    expect(set.records.map((r) => show(r))).toEqual(["a.example.com 8 A 192.0.2.1", "A.example.com 8 A 192.0.2.2"]);
  });
});

overBuilds("names", (core) => {
  it("are on the wire what the codec makes of them (property)", () => {
    const c = core();
    const labels = fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { maxLength: 8 });
    fc.assert(
      fc.property(labels, (bytes) => {
        const name = bytes.length === 0 ? "." : bytes.map(labelText).join(".");
        expect(parseName(name)).toBe(name);
        const wire = wireName(name);
        expect(wireLength(name)).toBe(wire.length);
        expect(Buffer.from(wire).toString("hex")).toBe(
          `${bytes.map((b) => Buffer.from([b.length, ...b]).toString("hex")).join("")}00`,
        );
        const message = encodeDns(c, { questions: [{ name, type: "A", class: 1 }] });
        expect(Buffer.compare(message.subarray(12, 12 + wire.length), wire)).toBe(0);
        expect(decodeDns(c, message).questions[0]!.name).toBe(name);
      }),
    );
  });
});
