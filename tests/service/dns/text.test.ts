import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DnsMessage, dnsFlags } from "../../../src/core/dns.ts";
import { optRecord } from "../../../src/service/dns/edns.ts";
import { parseIpv6 } from "../../../src/service/dns/rdata.ts";
import { formatIpv6, messageText, recordText } from "../../../src/service/dns/text.ts";
import { readZoneFile } from "../../../src/service/dns/zonefile.ts";

const zone = `$TTL 300
@ SOA ns host\\.master 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
ns AAAA 2001:db8::53
@ MX 10 mail.example.net.
@ TXT "a \\"b\\"" "\\000;" ""
_x._tcp SRV 1 2 3 .
p PTR @
h HINFO PC Linux
c CAA 128 issue "ca.example"
t TYPE65280 \\# 2 ABCD
e TYPE65281 \\# 0
w\\.x CNAME *
`;

describe("records", () => {
  it("are written so that a master file reads them back", () => {
    const records = readZoneFile(zone, "example.com").map((p) => p.record);
    const text = records.map(recordText).join("\n");
    expect(text.split("\n").slice(0, 6)).toEqual([
      "example.com.\t300\tIN\tSOA\tns.example.com. host\\.master.example.com. 1 2 3 4 5",
      "example.com.\t300\tIN\tNS\tns.example.com.",
      "ns.example.com.\t300\tIN\tA\t192.0.2.1",
      "ns.example.com.\t300\tIN\tAAAA\t2001:db8::53",
      "example.com.\t300\tIN\tMX\t10 mail.example.net.",
      'example.com.\t300\tIN\tTXT\t"a \\"b\\"" "\\000;" ""',
    ]);
    expect(readZoneFile(text, "example.com").map((p) => p.record)).toEqual(records);
  });

  it("have IPv6 addresses as RFC 5952 §4 writes them, and read them back (property)", () => {
    const at = (s: string): string => formatIpv6(parseIpv6(s)!);
    expect(at("2001:0db8:0:0:1:0:0:1")).toBe("2001:db8::1:0:0:1");
    expect(at("2001:db8:0:1:1:1:1:1")).toBe("2001:db8:0:1:1:1:1:1");
    expect(at("0:0:0:0:0:0:0:0")).toBe("::");
    expect(at("0:0:0:0:0:0:0:1")).toBe("::1");
    expect(at("1:0:0:0:0:0:0:0")).toBe("1::");
    const group = fc.oneof(fc.constant(0), fc.nat(0xffff));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = Uint8Array.from(groups.flatMap((g) => [g >> 8, g & 255]));
        const text = formatIpv6(bytes);
        expect(parseIpv6(text)).toEqual(bytes);
        // the reader of URLs, which knows RFC 5952
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      }),
    );
  });
});

describe("a message", () => {
  it("is shown as dig shows it", () => {
    const m: DnsMessage = {
      ...dnsFlags(0x8583),
      id: 4660,
      questions: [{ name: "www.example.com", type: "A", class: 1 }],
      answers: [{ name: "www.example.com", class: 1, ttl: 60, type: "A", address: 0xc0000201 }],
      authorities: [{ name: ".", class: 1, ttl: 5, type: "NS", target: "a.root" }],
      additionals: [optRecord(1232)],
    };
    expect(messageText(m)).toBe(
      [
        ";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 4660",
        ";; flags: qr aa rd ra; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 1",
        "",
        ";; OPT PSEUDOSECTION:",
        "; EDNS: version: 0, flags:; udp: 1232",
        ";; QUESTION SECTION:",
        ";www.example.com.\t\tIN\tA",
        "",
        ";; ANSWER SECTION:",
        "www.example.com.\t60\tIN\tA\t192.0.2.1",
        "",
        ";; AUTHORITY SECTION:",
        ".\t5\tIN\tNS\ta.root.",
        "",
      ].join("\n"),
    );
  });
});
