// RFC 1034 §6: the scenario's zones and its queries, over the network.

import { beforeAll, describe, expect, it } from "vitest";
import { dig, ip, network, type Net, resolver, serve, shown } from "../../support/dns.ts";

const root = `
.       IN      SOA     SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. (
                        870611          ;serial
                        1800            ;refresh every 30 min
                        300             ;retry every 5 min
                        604800          ;expire after a week
                        86400)          ;minimum of a day
                NS      A.ISI.EDU.
                NS      C.ISI.EDU.
                NS      SRI-NIC.ARPA.

MIL.    86400   NS      SRI-NIC.ARPA.
        86400   NS      A.ISI.EDU.

EDU.    86400   NS      SRI-NIC.ARPA.
        86400   NS      C.ISI.EDU.

SRI-NIC.ARPA.   A       26.0.0.73
                A       10.0.0.51
                MX      0 SRI-NIC.ARPA.
                HINFO   DEC-2060 TOPS20

ACC.ARPA.       A       26.6.0.65
                HINFO   PDP-11/70 UNIX
                MX      10 ACC.ARPA.

USC-ISIC.ARPA.  CNAME   C.ISI.EDU.

73.0.0.26.IN-ADDR.ARPA.  PTR    SRI-NIC.ARPA.
65.0.6.26.IN-ADDR.ARPA.  PTR    ACC.ARPA.
51.0.0.10.IN-ADDR.ARPA.  PTR    SRI-NIC.ARPA.
52.0.0.10.IN-ADDR.ARPA.  PTR    C.ISI.EDU.
103.0.3.26.IN-ADDR.ARPA. PTR    A.ISI.EDU.

A.ISI.EDU. 86400 A      26.3.0.103
C.ISI.EDU. 86400 A      10.0.0.52
`;

const edu = `
EDU.  IN SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. (
                        870729 ;serial
                        1800 ;refresh every 30 minutes
                        300 ;retry every 5 minutes
                        604800 ;expire after a week
                        86400 ;minimum of a day
                        )
                NS SRI-NIC.ARPA.
                NS C.ISI.EDU.

UCI 172800 NS ICS.UCI
                172800 NS ROME.UCI
ICS.UCI 172800 A 192.5.19.1
ROME.UCI 172800 A 192.5.19.31

ISI 172800 NS VAXA.ISI
                172800 NS A.ISI
                172800 NS VENERA.ISI.EDU.
VAXA.ISI 172800 A 10.2.0.27
                172800 A 128.9.0.33
VENERA.ISI.EDU. 172800 A 10.1.0.52
                172800 A 128.9.0.32
A.ISI 172800 A 26.3.0.103

UDEL.EDU.  172800 NS LOUIE.UDEL.EDU.
                172800 NS UMN-REI-UC.ARPA.
LOUIE.UDEL.EDU. 172800 A 10.0.0.96
                172800 A 192.5.39.3

YALE.EDU.  172800 NS YALE.ARPA.
YALE.EDU.  172800 NS YALE-BULLDOG.ARPA.

MIT.EDU.  43200 NS XX.LCS.MIT.EDU.
                  43200 NS ACHILLES.MIT.EDU.
XX.LCS.MIT.EDU.  43200 A 10.0.0.44
ACHILLES.MIT.EDU. 43200 A 18.72.0.8
`;

/** Not in the RFC's text, which gives what resolving finds there (§6.3). */
const mil = `
MIL. 86400 SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
     86400 NS SRI-NIC.ARPA.
     86400 NS A.ISI.EDU.
BRL  86400 A 192.5.25.82
`;
const isi = `
ISI.EDU. 172800 SOA VENERA.ISI.EDU. ACTION\\.DOMAINS.VENERA.ISI.EDU. 20 7200 600 3600000 60
         172800 NS VAXA
         172800 NS A
         172800 NS VENERA
         172800 MX 10 VENERA
         172800 MX 20 VAXA
VAXA     172800 A 10.2.0.27
VAXA     172800 A 128.9.0.33
VENERA   172800 A 10.1.0.52
VENERA   172800 A 128.9.0.32
A        172800 A 26.3.0.103
C        86400  A 10.0.0.52
`;

const SRI = "26.0.0.73";
const A = "26.3.0.103";
const C = "10.0.0.52";
const VENERA = "10.1.0.52";
const client = "26.9.9.9";
const soa = ". 86400 SOA SRI-NIC.ARPA HOSTMASTER.SRI-NIC.ARPA 870611 1800 300 604800 86400";

describe("RFC 1034 §6.2, asked of C.ISI.EDU", () => {
  let net: Net;
  beforeAll(() => {
    net = network([SRI, A, C, client]);
    serve(net, C, { ".": root, EDU: edu });
    serve(net, A, { ".": root, MIL: mil, "ISI.EDU": isi });
  });
  const ask = (name: string, type: string, server = C): Record<string, unknown> =>
    shown(dig(net, client, server, name, type));

  it("6.2.1: an authoritative answer", () => {
    expect(ask("SRI-NIC.ARPA", "A")).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: ["SRI-NIC.ARPA 86400 A 10.0.0.51", "SRI-NIC.ARPA 86400 A 26.0.0.73"],
      authorities: [],
      additionals: [],
    });
  });

  it("6.2.2: all types", () => {
    expect(ask("SRI-NIC.ARPA", "ANY")).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: [
        "SRI-NIC.ARPA 86400 A 10.0.0.51",
        "SRI-NIC.ARPA 86400 A 26.0.0.73",
        `SRI-NIC.ARPA 86400 HINFO ${Buffer.from("\x08DEC-2060\x06TOPS20", "latin1").toString("hex")}`,
        "SRI-NIC.ARPA 86400 MX 0 SRI-NIC.ARPA",
      ],
      authorities: [],
      additionals: [],
    });
  });

  it("6.2.3: a mail exchange with its addresses", () => {
    expect(ask("SRI-NIC.ARPA", "MX")).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: ["SRI-NIC.ARPA 86400 MX 0 SRI-NIC.ARPA"],
      authorities: [],
      additionals: ["SRI-NIC.ARPA 86400 A 10.0.0.51", "SRI-NIC.ARPA 86400 A 26.0.0.73"],
    });
  });

  it("6.2.4: a name without such data; the SOA is RFC 2308 §3's", () => {
    expect(ask("SRI-NIC.ARPA", "NS")).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: [],
      authorities: [soa],
      additionals: [],
    });
  });

  it("6.2.5: a name that does not exist", () => {
    expect(ask("SIR-NIC.ARPA", "A")).toEqual({
      rcode: "NXDOMAIN",
      aa: true,
      answers: [],
      authorities: [soa],
      additionals: [],
    });
  });

  it("6.2.6: a referral", () => {
    const answer = ask("BRL.MIL", "A");
    expect(answer).toMatchObject({ rcode: "NOERROR", aa: false, answers: [] });
    expect(answer["authorities"]).toEqual(["MIL 86400 NS A.ISI.EDU", "MIL 86400 NS SRI-NIC.ARPA"]);
    expect((answer["additionals"] as string[]).map((s) => s.replace(/ \d+ A/, " A"))).toEqual([
      "A.ISI.EDU A 26.3.0.103",
      "SRI-NIC.ARPA A 10.0.0.51",
      "SRI-NIC.ARPA A 26.0.0.73",
    ]);
  });

  it("6.2.7: an alias that leads into a zone here, and one that leads to a referral", () => {
    expect(ask("USC-ISIC.ARPA", "A", A)).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: ["C.ISI.EDU 86400 A 10.0.0.52", "USC-ISIC.ARPA 86400 CNAME C.ISI.EDU"],
      authorities: [],
      additionals: [],
    });
    expect(ask("USC-ISIC.ARPA", "A")).toEqual({
      rcode: "NOERROR",
      aa: true,
      answers: ["USC-ISIC.ARPA 86400 CNAME C.ISI.EDU"],
      authorities: [
        "ISI.EDU 172800 NS A.ISI.EDU",
        "ISI.EDU 172800 NS VAXA.ISI.EDU",
        "ISI.EDU 172800 NS VENERA.ISI.EDU",
      ],
      additionals: [
        "A.ISI.EDU 172800 A 26.3.0.103",
        "VAXA.ISI.EDU 172800 A 10.2.0.27",
        "VAXA.ISI.EDU 172800 A 128.9.0.33",
        "VENERA.ISI.EDU 172800 A 10.1.0.52",
        "VENERA.ISI.EDU 172800 A 128.9.0.32",
      ],
    });
  });

  it("6.2.8: the alias itself", () => {
    for (const server of [A, C]) {
      expect(ask("USC-ISIC.ARPA", "CNAME", server)).toEqual({
        rcode: "NOERROR",
        aa: true,
        answers: ["USC-ISIC.ARPA 86400 CNAME C.ISI.EDU"],
        authorities: [],
        additionals: [],
      });
    }
  });
});

describe("RFC 1034 §6.3, resolved from the safety belt", () => {
  it("finds the mail exchange, the host of an address, and an alias's host", () => {
    const at = "26.1.1.1";
    const net = network([SRI, A, C, VENERA, at, client]);
    serve(net, SRI, { ".": root, EDU: edu, MIL: mil });
    serve(net, A, { ".": root, MIL: mil, "ISI.EDU": isi });
    serve(net, C, { ".": root, EDU: edu });
    serve(net, VENERA, { "ISI.EDU": isi });
    const r = resolver(net, at, { hints: [ip(SRI), ip("10.0.0.51"), ip(A)] });
    const ask = (name: string, type: string): string[] =>
      shown(dig(net, client, at, name, type), false)["answers"] as string[];
    expect(ask("ISI.EDU", "MX")).toEqual(["ISI.EDU MX 10 VENERA.ISI.EDU", "ISI.EDU MX 20 VAXA.ISI.EDU"]);
    expect(ask("65.0.6.26.IN-ADDR.ARPA", "PTR")).toEqual(["65.0.6.26.IN-ADDR.ARPA PTR ACC.ARPA"]);
    expect(ask("USC-ISIC.ARPA", "A")).toEqual(["C.ISI.EDU A 10.0.0.52", "USC-ISIC.ARPA CNAME C.ISI.EDU"]);
    // what it holds is answered without a question to anybody
    const before = r.queries;
    expect(ask("isi.edu", "MX")).toHaveLength(2);
    expect(r.queries).toBe(before);
  });
});
