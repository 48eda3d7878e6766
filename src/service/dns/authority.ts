// src/service/dns/authority.ts: what a server answers from its zones (RFC 1034 §4.3.2, RFC 2308 §3, RFC 6604).

import type { DnsDraft, DnsQuestion, DnsRecord } from "../../core/dns.ts";
import { isWithin, keyOf, parentOf } from "./name.ts";
import { Class, numberOf, Rcode, type RRset, targetOf, Type, withOwner } from "./types.ts";
import { closestZone, dataKey, type Zone } from "./zone.ts";

/** Aliases that are followed in one answer. */
const CHAIN_MAX = 16;

/** In which order a set's records are given: as the zone has them, or each in turn first (BIND's rrset-order). */
export type RecordOrder = "fixed" | "cyclic";

/**
 * Which of a set's records one client gets, in which order: nearest region, weights, healthy ones. `client` is the address
 * that asked (a resolver's, as a rule), host order.
 */
export type Choice = (set: RRset, client: number) => readonly DnsRecord[];

export class Authority {
  /** By apex. */
  readonly zones: ReadonlyMap<string, Zone>;
  private readonly turns = new Map<RRset, number>();

  constructor(
    zones: Iterable<Zone>,
    private readonly order: RecordOrder = "fixed",
    private readonly choice: Choice | null = null,
  ) {
    const byApex = new Map<string, Zone>();
    for (const z of zones) {
      if (byApex.has(z.apex)) throw new Error(`the zone '${z.name}' is given twice, expected it once`);
      byApex.set(z.apex, z);
    }
    this.zones = byApex;
  }

  /** The closest zone to a name and type; null where this server has none. */
  zoneFor(key: string, type: number): Zone | null {
    // the parent's side of a cut has the DS (RFC 4035 §3.1.4.1)
    if (type === Type.DS && key !== "." && this.zones.has(key)) {
      const above = closestZone(this.zones, parentOf(key));
      if (above !== null) return above;
    }
    return closestZone(this.zones, key);
  }

  /** The answer to a question by `client`, without id, RD and OPT. */
  answer(question: DnsQuestion, client = 0): DnsDraft {
    const type = numberOf(question.type);
    const out = new Answer(question);
    if (type === Type.AXFR || type === Type.IXFR) return out.draft(Rcode.Refused);
    if (question.class !== Class.IN && question.class !== Class.ANY) return out.draft(Rcode.Refused);
    let name = question.name;
    const seen = new Set<string>();
    let rcode: number = Rcode.NoError;
    for (;;) {
      const key = keyOf(name);
      const zone = this.zoneFor(key, type);
      // where an alias leads out of the zones, the resolver goes on
      if (zone === null) return seen.size === 0 ? out.draft(Rcode.Refused) : this.finish(out, rcode);
      const found = zone.find(key, type);
      // RFC 1034 §6.2.2: to a question for any class the answer is not authoritative
      if (seen.size === 0) out.aa = found.kind !== "referral" && question.class === Class.IN;
      switch (found.kind) {
        case "answer":
          for (const set of found.sets) out.answers.push(...this.records(set, name, client));
          return this.finish(out, rcode, type === Type.ANY ? null : zone);
        case "cname":
          out.answers.push(...withOwner(found.set.records, name));
          seen.add(key);
          name = found.target;
          // a loop is answered as far as it goes; so is a chain without end
          if (seen.has(keyOf(name)) || seen.size >= CHAIN_MAX) return this.finish(out, rcode);
          break;
        case "referral":
          out.authorities.push(...withOwner(found.ns.records, found.cut.name));
          return this.finish(out, rcode, zone);
        case "nxdomain":
          // RFC 6604 §3: the RCODE is that of the last name of the chain
          rcode = Rcode.NxDomain;
          out.authorities.push(negativeSoa(zone));
          return this.finish(out, rcode);
        case "nodata":
          out.authorities.push(negativeSoa(zone));
          return this.finish(out, rcode);
      }
    }
  }

  /** Adds the addresses of names in the data; `zone` is asked first, its glue too. */
  private finish(out: Answer, rcode: number, zone: Zone | null = null): DnsDraft {
    if (zone === null) return out.draft(rcode);
    for (const r of [...out.answers, ...out.authorities]) {
      if (r.type !== "NS" && r.type !== "MX" && r.type !== "SRV") continue;
      const target = targetOf(r)!;
      const key = keyOf(target);
      const other = closestZone(this.zones, key);
      // what a closer zone has is authoritative, and glue is not
      const sets = other === null ? [] : other.addresses(key);
      const inside = sets.length > 0 || !isWithin(key, zone.apex) ? sets : zone.addresses(key);
      for (const set of inside) for (const a of withOwner(set.records, target)) out.add(a);
    }
    return out.draft(rcode);
  }

  private records(set: RRset, name: string, client: number): DnsRecord[] {
    if (this.choice !== null) return withOwner(this.choice(set, client), name);
    const records = withOwner(set.records, name);
    if (this.order === "fixed" || records.length < 2) return records;
    const turn = this.turns.get(set) ?? 0;
    this.turns.set(set, (turn + 1) % records.length);
    return [...records.slice(turn), ...records.slice(0, turn)];
  }
}

/** RFC 2308 §3: the SOA that says how long there is nothing: its TTL is the lesser of its own and its minimum. */
export function negativeSoa(zone: Zone): DnsRecord {
  const { soa } = zone;
  return { ...soa, ttl: Math.min(soa.ttl, soa.minimum) };
}

class Answer {
  readonly answers: DnsRecord[] = [];
  readonly authorities: DnsRecord[] = [];
  private readonly additionals: DnsRecord[] = [];
  private readonly known = new Set<string>();
  aa = false;

  constructor(private readonly question: DnsQuestion) {}

  /** An additional record, unless it stands in the message already. */
  add(record: DnsRecord): void {
    const key = fullKey(record);
    if (this.known.size === 0) for (const r of this.answers) this.known.add(fullKey(r));
    if (this.known.has(key)) return;
    this.known.add(key);
    this.additionals.push(record);
  }

  draft(rcode: number): DnsDraft {
    const { answers, authorities, additionals, aa } = this;
    return { qr: true, aa, rcode, questions: [this.question], answers, authorities, additionals };
  }
}

function fullKey(r: DnsRecord): string {
  return `${keyOf(r.name)} ${dataKey(r)}`;
}
