// src/cli/decode-text-dns.ts: a DNS message in tcpdump's short form.

import { type ByteWriter, printable } from "./byte-writer.ts";
import { DnsMessage, dotted } from "./decode-dns.ts";

const types = new Map([
  [1, "A"],
  [2, "NS"],
  [5, "CNAME"],
  [6, "SOA"],
  [12, "PTR"],
  [13, "HINFO"],
  [15, "MX"],
  [16, "TXT"],
  [28, "AAAA"],
  [33, "SRV"],
  [35, "NAPTR"],
  [39, "DNAME"],
  [41, "OPT"],
  [43, "DS"],
  [46, "RRSIG"],
  [47, "NSEC"],
  [48, "DNSKEY"],
  [50, "NSEC3"],
  [64, "SVCB"],
  [65, "HTTPS"],
  [252, "AXFR"],
  [255, "ANY"],
]);
const errors = [
  "",
  " FormErr",
  " ServFail",
  " NXDomain",
  " NotImp",
  " Refused",
  " YXDomain",
  " YXRRSet",
  " NXRRSet",
  " NotAuth",
  " NotZone",
];

const message = new DnsMessage();

/** Appends the message behind `before` for a query or an answer; false, and nothing, for what is neither. */
export function dnsText(out: ByteWriter, b: Uint8Array, p: number, n: number, before = ": "): boolean {
  if (n < 12 || !message.read(b, p, p + n)) return false;
  const f = message.fields;
  const [id, flags, queries, answers, authorities, additionals] = f.numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if ((flags & 0x7800) !== 0 || f.queryName.length < queries || message.values.length < answers) return false;
  let s: string;
  if (flags & 0x8000) {
    s = `${id}${errors[flags & 15] ?? ` Resp${flags & 15}`}${flags & 0x400 ? "*" : ""}${flags & 0x80 ? "" : "-"}${flags & 0x200 ? "|" : ""}`;
    s += `${flags & 0x20 ? "$" : ""}${queries === 1 ? "" : ` [${queries}q]`} ${answers}/${authorities}/${additionals}`;
    for (let i = 0; i < answers; i++) s += `${i === 0 ? "" : ","} ${message.values[i]}`;
  } else {
    s = `${id}${flags & 0x100 ? "+" : ""}${flags & 0x10 ? "%" : ""}`;
    if (answers > 0) s += ` [${answers}a]`;
    if (queries !== 1) s += ` [${queries}q]`;
    if (authorities > 0) s += ` [${authorities}n]`;
    if (additionals > 0) s += ` [${additionals}au]`;
    for (let i = 0; i < queries; i++) s += ` ${typeName(f.queryType[i]!)}? ${dotted(f.queryName[i]!)}`;
  }
  out.text(`${before}${printable(s)} (${n})`);
  return true;
}

function typeName(type: number): string {
  return types.get(type) ?? `Type${type}`;
}
