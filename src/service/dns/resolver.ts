// src/service/dns/resolver.ts: a recursive resolver as a program: an ISP's, a company's, one that forwards
// (RFC 1034 §5.3.3, RFC 2308, RFC 5452, RFC 9520).

import { formatIpv4, maskOf, type Prefix } from "../../core/address.ts";
import type { DnsDraft, DnsMessage, DnsRecord } from "../../core/dns.ts";
import { SECOND } from "../../link/clock.ts";
import { Rng } from "../../link/rng.ts";
import { log, type Program, type ProgramHost } from "../program.ts";
import { questionText } from "./authoritative.ts";
import { Authority } from "./authority.ts";
import { Cache } from "./cache.ts";
import { ask, type Asked, type Exchange, type Outcome } from "./client.ts";
import { keyOf } from "./name.ts";
import { type Budget, Resolution, type Resolved } from "./resolution.ts";
import { type Client, DNS_PORT, DnsServer } from "./server.ts";
import { Servers } from "./servers.ts";
import { Class, numberOf, Rcode, rcodeName, Type } from "./types.ts";
import type { Zone } from "./zone.ts";

/** What keeps one question from costing many. */
export interface Limits {
  /** Nanoseconds for a question (BIND's resolver-query-timeout). */
  readonly time: number;
  /** Times that one server is asked the same. */
  readonly tries: number;
  /** Questions to servers that one client's question may cost in all (BIND's max-recursion-queries). */
  readonly queries: number;
  /** Servers' names of one delegation whose addresses are looked for (NXNSAttack: Max1Fetch and its like). */
  readonly fetches: number;
  /** Aliases in a row. */
  readonly aliases: number;
  /** Questions under way at once (BIND's recursive-clients); more are answered SERVFAIL. */
  readonly clients: number;
  /** Seconds that a failure is remembered (RFC 9520 §3.2: at least one, at most 300). */
  readonly failure: number;
}

export const defaultLimits: Limits = {
  time: 10 * SECOND,
  tries: 5,
  queries: 64,
  fetches: 4,
  aliases: 12,
  clients: 1000,
  failure: 5,
};

export interface ResolverOptions {
  /** Addresses of root servers. */
  readonly hints?: Iterable<number>;
  /** By zone (`.` for all): who resolves the names below it for us. */
  readonly forwards?: Iterable<readonly [string, readonly number[]]>;
  /** Zones of its own, answered without asking anybody. */
  readonly zones?: Iterable<Zone>;
  /**
   * Names that it knows by itself and that come and go, as Docker's containers do: the records of a name and type, none
   * where the name is known and has no such record, null for a name that is not known.
   */
  readonly local?: (name: string, type: number) => readonly DnsRecord[] | null;
  /** The address to listen on, host order; left out: all. */
  readonly address?: number;
  /** Whom it serves; left out: everybody. Others are REFUSED. */
  readonly allow?: readonly Prefix[];
  /** Letters of random case in its questions (0x20). */
  readonly mixedCase?: boolean;
  readonly cacheSize?: number;
  readonly limits?: Partial<Limits>;
}

export class Resolver implements Program {
  readonly name = "resolver";
  readonly hints: ReadonlySet<number>;
  readonly forwards: ReadonlyMap<string, readonly number[]>;
  readonly authority: Authority | null;
  readonly local: (name: string, type: number) => readonly DnsRecord[] | null;
  readonly mixedCase: boolean;
  readonly limits: Limits;
  readonly port = DNS_PORT;
  /** Questions sent to servers, and those that joined one under way. */
  queries = 0;
  coalesced = 0;
  private running: Running | null = null;
  private readonly byKey = new Map<string, { resolution: Resolution; waiting: ((r: Resolved) => void)[] }>();

  constructor(private readonly options: ResolverOptions) {
    this.hints = new Set(options.hints ?? []);
    this.forwards = new Map(Array.from(options.forwards ?? [], ([zone, to]) => [keyOf(zone), to]));
    this.authority = options.zones === undefined ? null : new Authority(options.zones);
    this.local = options.local ?? (() => null);
    this.mixedCase = options.mixedCase ?? false;
    this.limits = { ...defaultLimits, ...options.limits };
    if (this.hints.size === 0 && !this.forwards.has(".") && this.authority === null && options.local === undefined) {
      throw new Error("a resolver without root hints, forwarders and names of its own, expected one of them");
    }
  }

  private get now(): Running {
    if (this.running === null) throw new Error("the resolver does not run");
    return this.running;
  }

  get host(): ProgramHost {
    return this.now.host;
  }

  get cache(): Cache {
    return this.now.cache;
  }

  get servers(): Servers {
    return this.now.servers;
  }

  get rng(): Rng {
    return this.now.rng;
  }

  /** Questions that are being resolved. */
  get pending(): number {
    return this.byKey.size;
  }

  start(host: ProgramHost): void {
    if (this.running !== null) throw new Error(`${host.name}: the resolver runs already`);
    const server = new DnsServer(host, (q, client, reply) => this.serve(q, client, reply), this.options.address ?? 0);
    const { clock, rng } = host.world;
    const own = new Rng(rng.u32() | 0);
    const cache = new Cache(clock, this.options.cacheSize);
    this.running = { host, server, cache, rng: own, servers: new Servers(clock, own) };
  }

  stop(): void {
    this.running?.server.close();
    for (const { resolution } of this.byKey.values()) resolution.cancel();
    this.byKey.clear();
    this.running = null;
  }

  say(line: () => string): void {
    log(this.host, this.name, line);
  }

  // -- its clients

  private serve(query: DnsMessage, client: Client, reply: (draft: DnsDraft) => void): void {
    const q = query.questions[0]!;
    const { questions } = query;
    const type = numberOf(q.type);
    const allowed = this.options.allow?.some((p) => inPrefix(client.address, p)) ?? true;
    const transfer = type === Type.AXFR || type === Type.IXFR;
    // without RD it would be asked what others asked before
    if (!allowed || transfer || q.class !== Class.IN || !query.rd)
      return reply({ rcode: Rcode.Refused, ra: allowed, questions });
    if (this.byKey.size >= this.limits.clients) return reply({ rcode: Rcode.ServFail, ra: true, questions });
    const running = this.running;
    this.resolve(q.name, type, (r) => {
      if (this.running !== running) return;
      this.say(
        () =>
          `${formatIpv4(client.address)} ${questionText(query)}: ${rcodeName(r.rcode)}, ${r.answers.length} answers`,
      );
      const authorities = r.soa === null ? [] : [r.soa];
      reply({ rcode: r.rcode, ra: true, aa: r.authoritative, questions, answers: r.answers, authorities });
    });
  }

  // -- questions

  /**
   * Resolves a name (presentation format) and a type; `done` hears once, at once where nobody has to be asked. Equal
   * questions that are under way are one.
   */
  resolve(name: string, type: number, done: (r: Resolved) => void): void {
    this.join(name, type, { left: this.limits.queries }, null, done);
  }

  /** A server's address, for a resolution that needs it; null when that would wait for itself. */
  fetch(by: Resolution, name: string, budget: Budget, done: (r: Resolved | null) => void): void {
    const known = this.byKey.get(`${Type.A} ${keyOf(name)}`);
    if (known !== undefined && known.resolution.dependsOn(by)) return done(null);
    this.join(name, Type.A, budget, by, done);
  }

  private join(name: string, type: number, budget: Budget, by: Resolution | null, done: (r: Resolved) => void): void {
    const id = `${type} ${keyOf(name)}`;
    const known = this.byKey.get(id);
    if (known !== undefined) {
      this.coalesced++;
      if (by !== null) by.waitsFor = known.resolution;
      known.waiting.push(done);
      return;
    }
    const waiting = [done];
    const resolution = new Resolution(this, name, type, budget, by !== null, (result) => {
      this.byKey.delete(id);
      for (const each of waiting) each(result);
    });
    if (by !== null) by.waitsFor = resolution;
    this.byKey.set(id, { resolution, waiting });
    resolution.begin();
  }

  ask(asked: Asked, done: (o: Outcome) => void): Exchange {
    return ask(this.host, this.rng, asked, done);
  }
}

interface Running {
  readonly host: ProgramHost;
  readonly server: DnsServer;
  readonly cache: Cache;
  readonly servers: Servers;
  readonly rng: Rng;
}

function inPrefix(address: number, p: Prefix): boolean {
  return ((address ^ p.address) & maskOf(p.length)) === 0;
}
