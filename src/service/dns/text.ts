// src/service/dns/text.ts: messages and records as dig prints them.

import { formatIpv4 } from "../../core/address.ts";
import type { DnsMessage, DnsRecord } from "../../core/dns.ts";
import { ednsOf } from "./edns.ts";
import { Class, numberOf, rcodeName, Type, typeText } from "./types.ts";

const opcodes = ["QUERY", "IQUERY", "STATUS", "RESERVED3", "NOTIFY", "UPDATE"];

/** A name with its last dot, as a master file has it. */
function absolute(name: string): string {
  return name === "." ? "." : `${name}.`;
}

function className(cls: number): string {
  const known = Object.entries(Class).find(([, n]) => n === cls);
  return known === undefined ? `CLASS${cls}` : known[0];
}

/** `2001:db8::1` (RFC 5952): the longest run of zeros is left out, the first of equals. */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  let from = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === "0") n++;
    if (n > longest) {
      from = i;
      longest = n;
    }
  }
  if (from < 0) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + longest).join(":")}`;
}

function quoted(bytes: Uint8Array): string {
  let s = "";
  for (const c of bytes) {
    if (c < 0x20 || c >= 0x7f) s += `\\${String(c).padStart(3, "0")}`;
    else s += c === 0x22 || c === 0x5c ? `\\${String.fromCharCode(c)}` : String.fromCharCode(c);
  }
  return `"${s}"`;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0").toUpperCase()).join("");
}

/** A record's data as a master file has it, names absolute; what has no form of its own in RFC 3597's. */
export function dataText(r: DnsRecord): string {
  switch (r.type) {
    case "A":
      return formatIpv4(r.address);
    case "AAAA":
      return formatIpv6(r.address);
    case "NS":
    case "CNAME":
    case "PTR":
      return absolute(r.target);
    case "MX":
      return `${r.preference} ${absolute(r.exchange)}`;
    case "SRV":
      return `${r.priority} ${r.weight} ${r.port} ${absolute(r.target)}`;
    case "SOA":
      return `${absolute(r.mname)} ${absolute(r.rname)} ${r.serial} ${r.refresh} ${r.retry} ${r.expire} ${r.minimum}`;
    case "TXT":
      return r.strings.map(quoted).join(" ");
    case "OPT":
      return "";
    default:
      return rawText(numberOf(r.type), r.rdata);
  }
}

function rawText(type: number, rdata: Uint8Array): string {
  if (type === Type.CAA && rdata.length >= 2 && rdata.length >= 2 + rdata[1]!) {
    const tag = rdata.subarray(2, 2 + rdata[1]!);
    return `${rdata[0]} ${quoted(tag).slice(1, -1)} ${quoted(rdata.subarray(2 + tag.length))}`;
  }
  if (type === Type.HINFO || type === Type.SPF) {
    const strings: string[] = [];
    let at = 0;
    for (; at < rdata.length; at += 1 + rdata[at]!) strings.push(quoted(rdata.subarray(at + 1, at + 1 + rdata[at]!)));
    if (at === rdata.length) return strings.join(" ");
  }
  return `\\# ${rdata.length}${rdata.length === 0 ? "" : ` ${hex(rdata)}`}`;
}

/** `www.example.com.	300	IN	A	192.0.2.1` */
export function recordText(r: DnsRecord): string {
  return `${absolute(r.name)}\t${r.ttl}\t${className(r.class)}\t${typeText(numberOf(r.type))}\t${dataText(r)}`;
}

/** A message as dig shows it, without what dig says of itself. */
export function messageText(m: DnsMessage): string {
  const edns = ednsOf(m);
  const rcode = rcodeName(m.rcode | ((edns?.extendedRcode ?? 0) << 4));
  const opcode = opcodes[m.opcode] ?? `RESERVED${m.opcode}`;
  const flags = (["qr", "aa", "tc", "rd", "ra", "ad", "cd"] as const).filter((f) => m[f]).join(" ");
  const counts = [
    `QUERY: ${m.questions.length}`,
    `ANSWER: ${m.answers.length}`,
    `AUTHORITY: ${m.authorities.length}`,
    `ADDITIONAL: ${m.additionals.length}`,
  ];
  const lines = [
    `;; ->>HEADER<<- opcode: ${opcode}, status: ${rcode}, id: ${m.id}`,
    `;; flags: ${flags}; ${counts.join(", ")}`,
  ];
  if (edns !== null) {
    const on = edns.dnssecOk ? " do" : "";
    lines.push("", ";; OPT PSEUDOSECTION:", `; EDNS: version: ${edns.version}, flags:${on}; udp: ${edns.size}`);
  }
  if (m.questions.length > 0) {
    if (edns === null) lines.push("");
    lines.push(";; QUESTION SECTION:");
    for (const q of m.questions)
      lines.push(`;${absolute(q.name)}\t\t${className(q.class)}\t${typeText(numberOf(q.type))}`);
  }
  const section = (title: string, records: readonly DnsRecord[]): void => {
    const shown = records.filter((r) => r.type !== "OPT");
    if (shown.length > 0) lines.push("", `;; ${title} SECTION:`, ...shown.map(recordText));
  };
  section("ANSWER", m.answers);
  section("AUTHORITY", m.authorities);
  section("ADDITIONAL", m.additionals);
  return `${lines.join("\n")}\n`;
}
