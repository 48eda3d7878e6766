// src/service/dns/resolution.ts: one question resolved: from the closest servers known down to those that know
// (RFC 1034 §5.3.3), or through a forwarder.

import { formatIpv4 } from "../../core/address.ts";
import type { DnsRecord } from "../../core/dns.ts";
import type { Timer } from "../../link/clock.ts";
import { Rank } from "./cache.ts";
import type { Exchange, Outcome } from "./client.ts";
import { ancestorsOf, isWithin, keyOf, parentOf } from "./name.ts";
import type { Resolver } from "./resolver.ts";
import { type NamedSet, ownServers, read } from "./response.ts";
import { Rcode, rcodeName, type SoaRecord, targetOf, Type, typeText, withOwner } from "./types.ts";

/** What came of a question. `soa` is that of a negative answer, its TTL what is left. */
export interface Resolved {
  readonly rcode: number;
  readonly answers: readonly DnsRecord[];
  readonly soa: SoaRecord | null;
  /** From the resolver's own zone. */
  readonly authoritative: boolean;
}

/** Questions that one client's question may still cost, those for servers' addresses with it (NXNSAttack). */
export interface Budget {
  left: number;
}

/** A zone's servers as far as they are known. */
interface Delegation {
  readonly zone: string;
  readonly forwarder: boolean;
  /** Names of servers whose addresses may have to be found. */
  readonly names: string[];
  readonly addresses: Set<number>;
  /** Out of the cache, so that it may be worn: addresses gone, servers moved. */
  readonly cached: boolean;
}

export class Resolution {
  /** Those whose addresses this one waits for. */
  waitsFor: Resolution | null = null;
  private readonly answers: DnsRecord[] = [];
  private name: string;
  private aliases = 0;
  private at: Delegation | null = null;
  private readonly tries = new Map<number, number>();
  /** Delegations out of the cache that led nowhere. */
  private readonly worn = new Set<string>();
  private exchange: Exchange | null = null;
  private readonly deadline: Timer;
  private over = false;
  private fetches = 0;
  /** A server's address would have waited for this very question: of its failing nothing follows for others. */
  private circular = false;

  constructor(
    private readonly resolver: Resolver,
    readonly question: string,
    readonly type: number,
    private readonly budget: Budget,
    /** Asked for the sake of another question, whose budget it is. */
    private readonly nested: boolean,
    private readonly done: (result: Resolved) => void,
  ) {
    const { clock } = resolver.host.world;
    this.name = question;
    this.deadline = clock.after(resolver.limits.time, () => this.fail("no answer in time"));
  }

  /** Whether this one waits, over others, for `other`. */
  dependsOn(other: Resolution): boolean {
    return this === other || (this.waitsFor?.dependsOn(other) ?? false);
  }

  cancel(): void {
    this.over = true;
    this.exchange?.cancel();
    this.resolver.host.world.clock.cancel(this.deadline);
  }

  /** Looks for the name in what is here; where it is not, whom to ask. */
  begin(): void {
    for (;;) {
      if (this.over || this.fromZones() || this.fromCache()) return;
      if (this.at === null) this.at = this.closest(keyOf(this.name));
      if (this.at !== null) return this.next();
    }
  }

  /**
   * The name that an alias, or the last of several, leads to is a new question (RFC 1034 §5.3.3 step 4c). False when there
   * were too many.
   */
  private restart(target: string, aliases = 1): boolean {
    this.name = target;
    this.at = null;
    this.tries.clear();
    this.worn.clear();
    this.aliases += aliases;
    if (this.aliases <= this.resolver.limits.aliases) return true;
    this.fail("too many aliases");
    return false;
  }

  // -- what is here

  /** The resolver's own names and zones. True when that was all. */
  private fromZones(): boolean {
    const { authority, local } = this.resolver;
    for (;;) {
      const known = local(this.name, this.type);
      if (known !== null) {
        this.answers.push(...withOwner(known, this.name));
        this.finish(Rcode.NoError, null);
        return true;
      }
      const zone = authority === null ? null : authority.zoneFor(keyOf(this.name), this.type);
      if (zone === null) return false;
      const found = zone.find(keyOf(this.name), this.type);
      const own = this.aliases === 0;
      switch (found.kind) {
        case "answer":
          for (const set of found.sets) this.answers.push(...withOwner(set.records, this.name));
          this.finish(Rcode.NoError, null, own);
          return true;
        case "cname":
          this.answers.push(...withOwner(found.set.records, this.name));
          if (!this.restart(found.target)) return true;
          break;
        case "nodata":
        case "nxdomain": {
          const ttl = Math.min(zone.soa.ttl, zone.soa.minimum);
          this.finish(found.kind === "nodata" ? Rcode.NoError : Rcode.NxDomain, { ...zone.soa, ttl }, own);
          return true;
        }
        case "referral":
          this.at = this.delegation(keyOf(found.cut.name), found.ns.records, [], false);
          for (const r of found.ns.records) {
            for (const set of zone.addresses(keyOf(targetOf(r)!))) addAddresses(this.at.addresses, set.records);
          }
          return false;
      }
    }
  }

  /** True when the cache had the answer, or said that there is none. */
  private fromCache(): boolean {
    const { cache } = this.resolver;
    for (;;) {
      const key = keyOf(this.name);
      const entry = cache.get(key, this.type);
      if (entry !== null) {
        if (entry.kind === "records") this.answers.push(...cache.recordsOf(entry, this.name));
        if (entry.kind === "failure") this.fail("failed a moment ago", false);
        else {
          const soa = entry.soa === null ? null : { ...entry.soa, ttl: cache.ttlOf(entry) };
          this.finish(entry.kind === "nxdomain" ? Rcode.NxDomain : Rcode.NoError, soa);
        }
        return true;
      }
      const alias = this.type === Type.CNAME || this.type === Type.ANY ? null : cache.get(key, Type.CNAME);
      if (alias === null || alias.kind !== "records") return false;
      this.answers.push(...cache.recordsOf(alias, this.name));
      if (!this.restart(targetOf(alias.records[0]!)!)) return true;
      if (this.fromZones()) return true;
    }
  }

  /** The closest zone to the name whose servers are known, or can be found. */
  private closest(key: string): Delegation | null {
    const { cache, forwards, hints } = this.resolver;
    // the parent's servers have the DS (RFC 4035 §3.1.4.1)
    const from = this.type === Type.DS && key !== "." ? parentOf(key) : key;
    for (const zone of ancestorsOf(from)) {
      const forward = forwards.get(zone);
      if (forward !== undefined) {
        return { zone, forwarder: true, names: [], addresses: new Set(forward), cached: false };
      }
      if (this.worn.has(zone)) continue;
      const entry = cache.get(zone, Type.NS, Rank.Glue);
      if (entry === null || entry.kind !== "records") continue;
      const d = this.delegation(zone, entry.records, [], true);
      // servers with names in their own zone and without addresses: only the parent can help
      if (d.addresses.size > 0 || d.names.some((n) => !isWithin(keyOf(n), zone))) return d;
    }
    if (hints.size === 0) {
      this.fail("no root hints");
      return null;
    }
    return { zone: ".", forwarder: false, names: [], addresses: new Set(hints), cached: false };
  }

  private delegation(zone: string, ns: readonly DnsRecord[], glue: readonly NamedSet[], cached: boolean): Delegation {
    const { cache } = this.resolver;
    const addresses = new Set<number>();
    const names: string[] = [];
    for (const r of ns) {
      const target = targetOf(r)!;
      const key = keyOf(target);
      const given = glue.find((g) => g.key === key && g.type === Type.A);
      const entry = given === undefined ? cache.get(key, Type.A, Rank.Glue) : null;
      if (given !== undefined) addAddresses(addresses, given.records);
      else if (entry === null) names.push(target);
      else addAddresses(addresses, entry.records);
    }
    return { zone, forwarder: false, names, addresses, cached };
  }

  // -- asking

  /** Asks the best server, or finds one's address first. */
  private next(): void {
    const at = this.at!;
    const server = this.pick(at);
    const fresh = server !== null && (this.tries.get(server) ?? 0) === 0;
    if (!fresh && at.names.length > 0 && this.fetches < this.resolver.limits.fetches) return this.findAddress(at);
    if (server === null) return this.exhausted(at);
    this.ask(at, server, false);
  }

  /** Of those tried least the fastest. */
  private pick(at: Delegation): number | null {
    const { servers, limits } = this.resolver;
    let best: number | null = null;
    let least = limits.tries;
    let srtt = Infinity;
    for (const address of at.addresses) {
      if (servers.isLame(address, at.zone)) continue;
      const tries = this.tries.get(address) ?? 0;
      const rtt = servers.srtt(address);
      if (tries > least || tries >= limits.tries || (tries === least && rtt >= srtt)) continue;
      best = address;
      least = tries;
      srtt = rtt;
    }
    return best;
  }

  private exhausted(at: Delegation): void {
    // what the cache said of the zone's servers may be worn: the zone above knows of now
    if (at.cached && at.zone !== "." && !this.worn.has(at.zone)) {
      this.worn.add(at.zone);
      this.at = null;
      return this.begin();
    }
    this.fail(`no server of ${at.zone} answers`);
  }

  /** A server's name without an address: a question of its own, and no more than a few for one delegation. */
  private findAddress(at: Delegation): void {
    const { resolver } = this;
    const i = resolver.rng.below(at.names.length);
    const [target] = at.names.splice(i, 1);
    this.fetches++;
    resolver.fetch(this, target!, this.budget, (result) => {
      this.waitsFor = null;
      if (this.over || this.at !== at) return;
      if (result === null) this.circular = true;
      else addAddresses(at.addresses, result.answers);
      this.next();
    });
  }

  private ask(at: Delegation, server: number, tcp: boolean): void {
    const { resolver } = this;
    const { servers, limits } = resolver;
    if (this.budget.left-- <= 0) return this.fail("too many questions", !this.nested);
    const tries = this.tries.get(server) ?? 0;
    this.tries.set(server, tries + 1);
    resolver.queries++;
    const edns = !servers.isPlain(server);
    resolver.say(() => `asks ${formatIpv4(server)} of ${at.zone} for ${this.name} ${typeText(this.type)}`);
    const asked = {
      server,
      port: resolver.port,
      name: this.name,
      type: this.type,
      rd: at.forwarder,
      edns,
      tcp,
      mixedCase: resolver.mixedCase,
      timeout: Math.min(servers.timeout(server, tries), limits.time),
    };
    this.exchange = resolver.ask(asked, (o) => this.heard(at, server, edns, o));
  }

  private heard(at: Delegation, server: number, edns: boolean, o: Outcome): void {
    this.exchange = null;
    if (this.over) return;
    const { servers, limits } = this.resolver;
    switch (o.kind) {
      case "timeout":
        servers.lost(server);
        return this.next();
      case "unreachable":
        servers.lost(server);
        this.tries.set(server, limits.tries);
        return this.next();
      case "mismatch":
        // a server that does not repeat letters, or somebody who guesses: a connection tells
        return this.ask(at, server, true);
      case "answer":
    }
    if (!o.tcp) servers.answered(server, o.rtt, at.addresses);
    const { message } = o;
    // RFC 6891 §7
    if (edns && (message.rcode === Rcode.FormErr || message.rcode === Rcode.NotImp)) {
      servers.setPlain(server);
      return this.ask(at, server, o.tcp);
    }
    const asking = { name: this.name, type: this.type, zone: at.zone, forwarder: at.forwarder };
    const reading = read(message, asking);
    const { cache } = this.resolver;
    const rank = at.forwarder ? Rank.Answer : Rank.Authoritative;
    const own = ownServers(message, asking);
    if (own !== null) this.remember(own.ns, own.glue, Rank.Authority);
    switch (reading.kind) {
      case "answer": {
        let owner = this.name;
        reading.chain.forEach((set, i) => {
          // RFC 2181 §5.4.1: behind an alias, even an authoritative server's answer may be hearsay
          const r = i === 0 ? rank : Rank.Answer;
          if (set.type !== Type.ANY) cache.put(set.key, set.type, set.records, r, set.type === Type.NS);
          this.answers.push(...withOwner(set.records, owner));
          owner = targetOf(set.records[0]!) ?? owner;
        });
        const aliases = reading.chain.length - (reading.target === null ? 1 : 0);
        if (!this.restart(reading.target ?? owner, aliases)) return;
        if (reading.target === null) this.finish(Rcode.NoError, null);
        else this.begin();
        return;
      }
      case "nxdomain":
      case "nodata":
        cache.putNegative(keyOf(this.name), this.type, reading.kind, reading.soa, rank);
        return this.finish(reading.kind === "nodata" ? Rcode.NoError : Rcode.NxDomain, reading.soa);
      case "referral":
        this.remember(reading.ns, reading.glue, Rank.Glue);
        this.at = this.delegation(reading.zone, reading.ns.records, reading.glue, false);
        this.tries.clear();
        this.fetches = 0;
        return this.next();
      case "lame":
        this.resolver.say(() => `${formatIpv4(server)} is lame for ${at.zone}: ${reading.why}`);
        servers.setLame(server, at.zone);
        return this.next();
      case "failed":
        this.resolver.say(() => `${formatIpv4(server)} says ${rcodeName(reading.rcode)}`);
        if (reading.rcode === Rcode.Refused && !at.forwarder) servers.setLame(server, at.zone);
        this.tries.set(server, limits.tries);
        return this.next();
    }
  }

  private remember(ns: NamedSet, glue: readonly NamedSet[], rank: number): void {
    const { cache } = this.resolver;
    cache.put(ns.key, Type.NS, ns.records, rank, rank !== Rank.Glue);
    for (const g of glue) cache.put(g.key, g.type, g.records, Rank.Glue);
  }

  // -- the end

  private fail(why: string, remember = true): void {
    if (this.over) return;
    this.resolver.say(() => `${this.question} ${typeText(this.type)}: SERVFAIL, ${why}`);
    if (remember && !this.circular)
      this.resolver.cache.putFailure(keyOf(this.question), this.type, this.resolver.limits.failure);
    this.answers.length = 0;
    this.finish(Rcode.ServFail, null);
  }

  private finish(rcode: number, soa: SoaRecord | null, authoritative = false): void {
    if (this.over) return;
    this.cancel();
    this.done({ rcode, answers: this.answers, soa, authoritative });
  }
}

function addAddresses(to: Set<number>, records: readonly DnsRecord[]): void {
  for (const r of records) if (r.type === "A") to.add(r.address);
}
