// src/service/dns/response.ts: what an answer to a resolver's question says, as far as whoever gave it may say so
// (RFC 1034 §5.3.3, RFC 2308 §2, RFC 5452 §6: bailiwick).

import type { DnsMessage, DnsRecord } from "../../core/dns.ts";
import { isWithin, keyOf } from "./name.ts";
import { Class, numberOf, Rcode, type SoaRecord, Type } from "./types.ts";

/** Aliases that one answer may hold. */
const CHAIN_MAX = 16;

export interface NamedSet {
  readonly key: string;
  readonly type: number;
  readonly records: readonly DnsRecord[];
}

export type Reading =
  /** `chain`: aliases, then perhaps the records asked for; `target`: where the chain leads when it has not arrived. */
  | { readonly kind: "answer"; readonly chain: readonly NamedSet[]; readonly target: string | null }
  | { readonly kind: "nxdomain" | "nodata"; readonly soa: SoaRecord | null }
  | { readonly kind: "referral"; readonly zone: string; readonly ns: NamedSet; readonly glue: readonly NamedSet[] }
  /** The server does not serve the zone. */
  | { readonly kind: "lame"; readonly why: string }
  | { readonly kind: "failed"; readonly rcode: number };

/** The question and the zone that the server was asked for. `forwarder`: it resolves for us, so its word is enough. */
export interface Asking {
  readonly name: string;
  readonly type: number;
  readonly zone: string;
  readonly forwarder: boolean;
}

export function read(message: DnsMessage, asking: Asking): Reading {
  const { rcode } = message;
  if (rcode !== Rcode.NoError && rcode !== Rcode.NxDomain) return { kind: "failed", rcode };
  const { zone, forwarder } = asking;
  const believed = message.aa || forwarder;
  const key = keyOf(asking.name);
  const { chain, target } = chainOf(message.answers, asking);
  if (chain.length > 0) {
    return believed ? { kind: "answer", chain, target } : { kind: "lame", why: "an answer without authority" };
  }
  const soa = soaOf(message.authorities, key, zone);
  if (rcode === Rcode.NxDomain) {
    return believed ? { kind: "nxdomain", soa } : { kind: "lame", why: "NXDOMAIN without authority" };
  }
  if (believed && (soa !== null || forwarder)) return { kind: "nodata", soa };
  const ns = nsOf(message.authorities, key);
  if (ns !== null && !message.aa) {
    // a referral leads down; up or sideways leads those in circles who follow
    if (ns.key !== zone && isWithin(ns.key, zone)) {
      return { kind: "referral", zone: ns.key, ns, glue: glueOf(message.additionals, ns, zone) };
    }
    return { kind: "lame", why: `a referral to ${ns.key}` };
  }
  return believed ? { kind: "nodata", soa: null } : { kind: "lame", why: "nothing, without authority" };
}

/** The aliases from the name on and what they lead to, inside the zone: beyond it the server has nothing to say. */
function chainOf(answers: readonly DnsRecord[], asking: Asking): { chain: NamedSet[]; target: string | null } {
  const chain: NamedSet[] = [];
  let name = asking.name;
  const seen = new Set<string>();
  for (let n = 0; n < CHAIN_MAX; n++) {
    const key = keyOf(name);
    if (!isWithin(key, asking.zone) || seen.has(key)) break;
    seen.add(key);
    const here = answers.filter((r) => keyOf(r.name) === key && r.class === Class.IN);
    const wanted = here.filter((r) => asking.type === Type.ANY || numberOf(r.type) === asking.type);
    if (wanted.length > 0) {
      chain.push({ key, type: asking.type, records: wanted });
      return { chain, target: null };
    }
    const alias = here.find((r) => r.type === "CNAME");
    if (alias === undefined || alias.type !== "CNAME") break;
    chain.push({ key, type: Type.CNAME, records: [alias] });
    name = alias.target;
  }
  return { chain, target: chain.length === 0 ? null : name };
}

/** The SOA of the zone that the name is in, by a server of that zone or of one above. */
function soaOf(authorities: readonly DnsRecord[], key: string, zone: string): SoaRecord | null {
  for (const r of authorities) {
    const owner = keyOf(r.name);
    if (r.type === "SOA" && isWithin(key, owner) && isWithin(owner, zone)) return r;
  }
  return null;
}

/** The name servers of a zone that the name is in. */
function nsOf(authorities: readonly DnsRecord[], key: string): NamedSet | null {
  const first = authorities.find((r) => r.type === "NS" && isWithin(key, keyOf(r.name)));
  if (first === undefined) return null;
  const owner = keyOf(first.name);
  return { key: owner, type: Type.NS, records: authorities.filter((r) => r.type === "NS" && keyOf(r.name) === owner) };
}

/** Addresses of the servers named, where the server that gives them is above those names. */
function glueOf(additionals: readonly DnsRecord[], ns: NamedSet, zone: string): NamedSet[] {
  const wanted = new Set(ns.records.map((r) => (r.type === "NS" ? keyOf(r.target) : "")));
  const sets = new Map<string, DnsRecord[]>();
  for (const r of additionals) {
    const key = keyOf(r.name);
    if ((r.type !== "A" && r.type !== "AAAA") || r.class !== Class.IN || !wanted.has(key) || !isWithin(key, zone))
      continue;
    const id = `${numberOf(r.type)} ${key}`;
    const set = sets.get(id);
    if (set === undefined) sets.set(id, [r]);
    else set.push(r);
  }
  return Array.from(sets.values(), (records) => ({
    key: keyOf(records[0]!.name),
    type: numberOf(records[0]!.type),
    records,
  }));
}

/** The name servers that an authoritative answer names for its own zone, with their addresses. */
export function ownServers(message: DnsMessage, asking: Asking): { ns: NamedSet; glue: NamedSet[] } | null {
  if (!message.aa || asking.forwarder) return null;
  const ns = nsOf(message.authorities, keyOf(asking.name));
  if (ns === null || !isWithin(ns.key, asking.zone)) return null;
  return { ns, glue: glueOf(message.additionals, ns, asking.zone) };
}
