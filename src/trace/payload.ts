// src/trace/payload.ts: what a packet's data says, in a line for a person: DNS, HTTP, TLS, Postgres.

import { formatIpv4 } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import { decodeDns, DnsError, type DnsMessage, type DnsRecord } from "../core/dns.ts";

export const Port = { dns: 53, http: 80, https: 443, postgres: 5432 } as const;

/** A name server's message; null when it is none. */
export function readDns(core: Core, bytes: Uint8Array): DnsMessage | null {
  try {
    return decodeDns(core, bytes);
  } catch (e) {
    if (e instanceof DnsError) return null;
    throw e;
  }
}

const rcodes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** `www.example.com A?`; `www.example.com is 198.51.100.20 (for 300 s)`; `com is for 192.5.6.30 to say` */
export function dnsLine(m: DnsMessage): string {
  const q = m.questions[0];
  const what = q === undefined ? "no question" : `${q.name} ${q.type}`;
  if (!m.qr) return `${what}?`;
  if (m.tc) return `${what}: too long for a datagram, ask by TCP`;
  if (m.rcode !== 0) return `${what}: ${rcodes[m.rcode] ?? `rcode ${m.rcode}`}${m.aa ? " (authoritative)" : ""}`;
  if (m.answers.length > 0) return `${m.answers.map(recordLine).join("; ")}${m.aa ? " (authoritative)" : ""}`;
  const cut = m.authorities.find((r) => r.type === "NS");
  if (cut !== undefined && !m.aa) {
    const glue = m.additionals.filter((r) => r.type === "A").map((r) => `${r.name} ${formatIpv4(r.address)}`);
    return `ask the servers of ${cut.name}: ${glue.length > 0 ? glue.join(", ") : targets(m.authorities)}`;
  }
  return `${what}: no such data${m.aa ? " (authoritative)" : ""}`;
}

function targets(records: readonly DnsRecord[]): string {
  return records.flatMap((r) => (r.type === "NS" ? [r.target] : [])).join(", ");
}

function recordLine(r: DnsRecord): string {
  const value = r.type === "A" ? formatIpv4(r.address) : r.type === "CNAME" ? r.target : "...";
  return `${r.name} ${r.type} ${value}, for ${r.ttl} s`;
}

const MOST = 96;

function text(bytes: Uint8Array, from: number, to: number): string {
  let s = "";
  for (let i = from; i < to && s.length < MOST; i++) {
    const c = bytes[i]!;
    s += c >= 32 && c < 127 ? String.fromCharCode(c) : c === 10 || c === 13 || c === 9 ? " " : ".";
  }
  return to - from > MOST ? `${s}...` : s;
}

/** HTTP's start line; "" when the bytes begin with none. */
export function httpLine(bytes: Uint8Array): string {
  let end = 0;
  while (end < bytes.length && bytes[end] !== 13 && bytes[end] !== 10) end++;
  const line = text(bytes, 0, Math.min(end, 400));
  return /^(?:[A-Z]+ \S+ HTTP\/1\.[01]|HTTP\/1\.[01] \d{3}\b.*)$/.test(line) ? line : "";
}

const handshakes: Readonly<Record<number, string>> = { 1: "ClientHello", 2: "ServerHello" };

/** What TLS shows on the outside (RFC 8446 §5.1): records by kind; the handshake's names as far as they are in the clear. */
export function tlsLine(bytes: Uint8Array): string {
  const parts: string[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const kind = bytes[at]!;
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!;
    if (kind < 20 || kind > 24 || bytes[at + 1] !== 3) break;
    if (kind === 22) {
      const name = handshakes[bytes[at + 5] ?? 0] ?? "handshake";
      const sni = name === "ClientHello" ? serverName(bytes.subarray(at + 5, at + 5 + length)) : "";
      parts.push(sni === "" ? name : `${name} for ${sni}`);
    } else if (kind === 23) parts.push(`${length} bytes encrypted`);
    else if (kind === 21) parts.push("alert");
    else if (kind === 20) parts.push("ChangeCipherSpec");
    at += 5 + length;
  }
  return parts.join(", ");
}

/** The name in a ClientHello's server_name extension (RFC 6066 §3); "" when there is none. */
function serverName(b: Uint8Array): string {
  const u16 = (at: number): number => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
  let at = 4 + 2 + 32;
  at += 1 + (b[at] ?? 0);
  at += 2 + u16(at);
  at += 1 + (b[at] ?? 0);
  const end = Math.min(b.length, at + 2 + u16(at));
  at += 2;
  while (at + 4 <= end) {
    const length = u16(at + 2);
    if (u16(at) === 0) return text(b, at + 9, Math.min(end, at + 9 + u16(at + 7)));
    at += 4 + length;
  }
  return "";
}

const CANCEL = 80877102;
const SSL = 80877103;
const V3 = 196608;

/** Postgres's messages, version 3 of its protocol: the queries in full, the rest by name. */
export function postgresLine(bytes: Uint8Array, fromClient: boolean): string {
  const u32 = (at: number): number =>
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>>
    0;
  if (fromClient && bytes.length >= 8 && bytes[0] === 0) {
    const code = u32(4);
    if (code === SSL) return "asks whether it may encrypt";
    if (code === CANCEL) return "cancels a query";
    if (code === V3) return `logs in: ${startup(bytes)}`;
    return "";
  }
  if (!fromClient && bytes.length === 1) return bytes[0] === 78 ? "N: no encryption" : "S: encryption";
  const parts: string[] = [];
  let rows = 0;
  for (let at = 0; at + 5 <= bytes.length;) {
    const type = String.fromCharCode(bytes[at]!);
    const length = u32(at + 1);
    if (length < 4 || !/[A-Za-z0-9]/.test(type)) break;
    const end = Math.min(bytes.length, at + 1 + length);
    if (type === "D" && !fromClient) rows++;
    else {
      const said = fromClient ? frontend(bytes, type, at + 5, end) : backend(bytes, type, at + 5, end);
      if (said !== "") parts.push(rows > 0 && type === "C" ? `${rows} rows, ${said}` : said);
    }
    at += 1 + length;
  }
  return [...new Set(parts)].join("; ");
}

function zero(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

function startup(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 8; at < bytes.length && bytes[at] !== 0;) {
    const end = zero(bytes, at, bytes.length);
    const stop = zero(bytes, end + 1, bytes.length);
    const key = text(bytes, at, end);
    if (key === "user" || key === "database") parts.push(`${key} ${text(bytes, end + 1, stop)}`);
    at = stop + 1;
  }
  return parts.join(", ");
}

function frontend(bytes: Uint8Array, type: string, at: number, end: number): string {
  switch (type) {
    case "Q":
      return text(bytes, at, zero(bytes, at, end));
    case "P": {
      const name = zero(bytes, at, end) + 1;
      return text(bytes, name, zero(bytes, name, end));
    }
    case "p":
      return "a password";
    case "X":
      return "logs out";
    default:
      return "";
  }
}

function backend(bytes: Uint8Array, type: string, at: number, end: number): string {
  switch (type) {
    case "R":
      return at + 4 <= end && bytes[at + 3] === 0 ? "logged in" : "wants a password";
    case "C":
      return text(bytes, at, zero(bytes, at, end));
    case "E": {
      for (let i = at; i < end && bytes[i] !== 0;) {
        const stop = zero(bytes, i + 1, end);
        if (bytes[i] === 0x4d) return `error: ${text(bytes, i + 1, stop)}`;
        i = stop + 1;
      }
      return "error";
    }
    case "Z":
      return "ready";
    default:
      return "";
  }
}
