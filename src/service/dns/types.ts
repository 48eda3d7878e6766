// src/service/dns/types.ts: mnemonics of types and classes, and records with their TTLs (IANA's DNS parameters).

import { type DnsRecord, dnsTypeNumber } from "../../core/dns.ts";

/** Types by the mnemonics that master files and questions use. */
export const Type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  SPF: 99,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  CAA: 257,
} as const;

export const Class = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

/** RFC 1035 §4.1.1, RFC 6891 §9. */
export const Rcode = { NoError: 0, FormErr: 1, ServFail: 2, NxDomain: 3, NotImp: 4, Refused: 5, BadVers: 16 } as const;

const names = new Map<number, string>(Object.entries(Type).map(([name, n]) => [n, name]));
const rcodeNames = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

export function rcodeName(rcode: number): string {
  return rcodeNames[rcode] ?? `RCODE${rcode}`;
}

/** `A`, `TYPE65280` */
export function typeText(type: number): string {
  return names.get(type) ?? `TYPE${type}`;
}

/** The number of a mnemonic or of RFC 3597's TYPEnnn, any case; null for anything else. */
export function typeOf(text: string): number | null {
  const upper = text.toUpperCase();
  const known = (Type as Record<string, number>)[upper];
  if (known !== undefined) return known;
  const m = /^TYPE(\d{1,5})$/.exec(upper);
  return m !== null && Number(m[1]) <= 0xffff ? Number(m[1]) : null;
}

/** The same for classes. */
export function classOf(text: string): number | null {
  const upper = text.toUpperCase();
  const known = (Class as Record<string, number>)[upper];
  if (known !== undefined) return known;
  const m = /^CLASS(\d{1,5})$/.exec(upper);
  return m !== null && Number(m[1]) <= 0xffff ? Number(m[1]) : null;
}

/** A question's type, or a record's, as a number. */
export const numberOf = dnsTypeNumber;

export type SoaRecord = Extract<DnsRecord, { type: "SOA" }>;

/** Records of one owner and type (RFC 2181 §5): one TTL. */
export interface RRset {
  readonly type: number;
  readonly ttl: number;
  readonly records: readonly DnsRecord[];
}

/** The set's records under another name or TTL: a wildcard's under the name asked for, a cache's with what is left. */
export function withOwner(records: readonly DnsRecord[], name: string, ttl?: number): DnsRecord[] {
  return records.map((r) => ({ ...r, name, ttl: ttl ?? r.ttl }));
}

/** The name that a record of these types leads to; null for others. */
export function targetOf(r: DnsRecord): string | null {
  switch (r.type) {
    case "NS":
    case "CNAME":
    case "PTR":
    case "SRV":
      return r.target;
    case "MX":
      return r.exchange;
    default:
      return null;
  }
}
