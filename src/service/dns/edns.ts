// src/service/dns/edns.ts: the OPT record and how long a UDP answer may be (RFC 6891, RFC 1035 §4.2.1).

import type { DnsMessage, DnsRecord } from "../../core/dns.ts";

/** Without EDNS (RFC 1035 §4.2.1). */
export const PLAIN_MAX = 512;
/** What fits every path without fragments: IPv6's least MTU less its headers (DNS Flag Day 2020). */
export const EDNS_SIZE = 1232;

export interface Edns {
  /** The sender's UDP payload size, at least 512. */
  readonly size: number;
  readonly extendedRcode: number;
  readonly version: number;
  readonly dnssecOk: boolean;
}

/** The OPT of a message; null without one. The codec let one pass at most. */
export function ednsOf(message: DnsMessage): Edns | null {
  const opt = message.additionals.find((r) => r.type === "OPT");
  if (opt === undefined) return null;
  return {
    size: Math.max(opt.class, PLAIN_MAX), // RFC 6891 §6.2.3: lower values are 512
    extendedRcode: opt.ttl >>> 24,
    version: (opt.ttl >>> 16) & 255,
    dnssecOk: (opt.ttl & 0x8000) !== 0,
  };
}

/** An OPT record to send: RFC 6891 §6.1.3. */
export function optRecord(size = EDNS_SIZE, extendedRcode = 0, dnssecOk = false): DnsRecord {
  const ttl = ((extendedRcode << 24) | (dnssecOk ? 0x8000 : 0)) >>> 0;
  return { name: ".", class: size, ttl, type: "OPT", options: [] };
}
