// src/service/dns/cache.ts: what a resolver remembers: sets of records and what is not there, as long as their TTLs say, each
// with how far it is believed (RFC 2181 §5.4.1, RFC 2308 §5, RFC 9520).

import type { DnsRecord } from "../../core/dns.ts";
import { type Clock, SECOND } from "../../link/clock.ts";
import { keyOf } from "./name.ts";
import { type SoaRecord, withOwner } from "./types.ts";

/** How far data is believed, in RFC 2181 §5.4.1's order. */
export const Rank = {
  /** Additional data, and the name servers in a referral: for finding servers only, never an answer. */
  Glue: 1,
  /** The answer of a server without authority; what follows an alias in an authoritative answer. */
  Answer: 2,
  /** The authority section of an authoritative answer. */
  Authority: 3,
  /** An authoritative answer. */
  Authoritative: 4,
} as const;

/** Seconds: nothing is kept longer (BIND's max-cache-ttl), and what is not there no longer than RFC 2308 §5's three hours. */
const TTL_MAX = 604800;
const NEGATIVE_MAX = 10800;

export type EntryKind = "records" | "nodata" | "nxdomain" | "failure";

export interface Entry {
  readonly kind: EntryKind;
  readonly rank: number;
  /** Nanoseconds; over when the clock is there. */
  readonly expires: number;
  readonly records: readonly DnsRecord[];
  /** Of a negative entry. */
  readonly soa: SoaRecord | null;
}

/** The type under which a name that does not exist stands: for all types (RFC 2308 §5). */
const EVERY_TYPE = -1;

export class Cache {
  private readonly entries = new Map<string, Entry>();
  hits = 0;
  misses = 0;

  constructor(
    private readonly clock: Clock,
    private readonly capacity = 10_000,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  /** What there is for a key and type that is believed at least as far as `rank`; null when it is over or was never there. */
  get(key: string, type: number, rank: number = Rank.Answer): Entry | null {
    const entry = this.alive(key, type) ?? this.alive(key, EVERY_TYPE);
    if (entry === null || entry.rank < rank) {
      this.misses++;
      return null;
    }
    this.hits++;
    return entry;
  }

  private alive(key: string, type: number): Entry | null {
    const id = `${type} ${key}`;
    const entry = this.entries.get(id);
    if (entry === undefined) return null;
    if (entry.expires <= this.clock.now) {
      this.entries.delete(id);
      return null;
    }
    // the least recently used goes first
    this.entries.delete(id);
    this.entries.set(id, entry);
    return entry;
  }

  /**
   * Records of one owner and type. What is believed further and not over stays. `keepTime`: a set that is replaced does
   * not live longer by it, so that a domain that its parent took away goes away here too (CVE-2012-1033).
   */
  put(key: string, type: number, records: readonly DnsRecord[], rank: number, keepTime = false): void {
    const ttl = Math.min(TTL_MAX, ...records.map((r) => trueTtl(r.ttl)));
    let expires = this.clock.now + ttl * SECOND;
    const old = this.alive(key, type);
    if (old !== null) {
      if (old.rank > rank) return;
      if (keepTime && old.kind === "records") expires = Math.min(expires, old.expires);
    }
    // a name that has records exists
    this.entries.delete(`${EVERY_TYPE} ${key}`);
    this.store(`${type} ${key}`, {
      kind: "records",
      rank,
      expires,
      records: withOwner(records, records[0]!.name, ttl),
      soa: null,
    });
  }

  /** RFC 2308 §5: kept as long as the SOA says; without an SOA not at all. */
  putNegative(key: string, type: number, kind: "nodata" | "nxdomain", soa: SoaRecord | null, rank: number): void {
    if (soa === null) return;
    const ttl = Math.min(NEGATIVE_MAX, trueTtl(soa.ttl), trueTtl(soa.minimum));
    const id = `${kind === "nxdomain" ? EVERY_TYPE : type} ${key}`;
    const expires = this.clock.now + ttl * SECOND;
    if (kind === "nxdomain") this.entries.delete(`${type} ${key}`);
    this.store(id, { kind, rank, expires, records: [], soa: { ...soa, ttl } });
  }

  /** RFC 9520 §3.2: that a question could not be answered is remembered as well, for some seconds. */
  putFailure(key: string, type: number, seconds: number): void {
    if (seconds <= 0 || this.alive(key, type) !== null) return;
    const expires = this.clock.now + seconds * SECOND;
    this.store(`${type} ${key}`, { kind: "failure", rank: Rank.Answer, expires, records: [], soa: null });
  }

  private store(id: string, entry: Entry): void {
    if (entry.expires <= this.clock.now) return; // TTL 0: for this question alone
    this.entries.delete(id);
    this.entries.set(id, entry);
    if (this.entries.size > this.capacity) this.entries.delete(this.entries.keys().next().value!);
  }

  /** Whole seconds that are left. */
  ttlOf(entry: Entry): number {
    return Math.max(0, Math.floor((entry.expires - this.clock.now) / SECOND));
  }

  /** The entry's records with the time that is left, under the name asked for. */
  recordsOf(entry: Entry, name: string): DnsRecord[] {
    return withOwner(entry.records, name, this.ttlOf(entry));
  }

  /** `rndc flush`, or `flushname`. */
  flush(name?: string): void {
    if (name === undefined) return this.entries.clear();
    const key = keyOf(name);
    for (const id of Array.from(this.entries.keys()))
      if (id.slice(id.indexOf(" ") + 1) === key) this.entries.delete(id);
  }

  /** What is there and not over, as `rndc dumpdb` lists it. */
  *list(): Generator<{ key: string; type: number; entry: Entry; ttl: number }> {
    for (const [id, entry] of this.entries) {
      if (entry.expires <= this.clock.now) continue;
      const space = id.indexOf(" ");
      yield { key: id.slice(space + 1), type: Number(id.slice(0, space)), entry, ttl: this.ttlOf(entry) };
    }
  }
}

/** RFC 2181 §8: a TTL with its highest bit set is 0. */
function trueTtl(ttl: number): number {
  return ttl > 0x7fffffff ? 0 : ttl;
}
