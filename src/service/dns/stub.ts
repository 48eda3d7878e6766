// src/service/dns/stub.ts: a host's own resolver: it asks the name servers of its resolv.conf and searches its domains
// (resolver(3), RFC 1034 §5.3.1, RFC 1123 §6.1).

import { formatIpv4 } from "../../core/address.ts";
import { type DnsMessage, type DnsRecord } from "../../core/dns.ts";
import { SECOND } from "../../link/clock.ts";
import { Rng } from "../../link/rng.ts";
import { loopOf } from "../../socket/loop.ts";
import type { ProgramHost } from "../program.ts";
import { ask, type Exchange, type Outcome } from "./client.ts";
import { childOf, keyOf, NameError, parseName } from "./name.ts";
import { defaultConf, type ResolvConf } from "./resolvconf.ts";
import { DNS_PORT } from "./server.ts";
import { Class, numberOf, Rcode, targetOf, Type, typeText } from "./types.ts";

/** Aliases that an answer may hold in a row. */
const CHAIN_MAX = 16;
const LOOPBACK = 0x7f000001;

export type LookupCode =
  | "ENOTFOUND"
  | "ENODATA"
  | "ESERVFAIL"
  | "EREFUSED"
  | "EFORMERR"
  | "ENOTIMP"
  | "ETIMEOUT"
  | "ECONNREFUSED"
  | "EBADNAME";

/** Why a lookup failed, in c-ares' words, as Node's `dns.resolve` has them. */
export class LookupError extends Error {
  constructor(
    readonly code: LookupCode,
    readonly syscall: string,
    readonly hostname: string,
  ) {
    super(`${syscall} ${code} ${hostname}`);
  }
}

/** `records` are of the type asked for, behind the aliases; `message` is the answer that they stand in. */
export type LookupDone = (error: LookupError | null, records: readonly DnsRecord[], message: DnsMessage | null) => void;

const codes = new Map<number, LookupCode>([
  [Rcode.FormErr, "EFORMERR"],
  [Rcode.ServFail, "ESERVFAIL"],
  [Rcode.NxDomain, "ENOTFOUND"],
  [Rcode.NotImp, "ENOTIMP"],
  [Rcode.Refused, "EREFUSED"],
]);

export class Stub {
  private readonly rng: Rng;
  private first = 0;

  constructor(
    readonly host: ProgramHost,
    public conf: ResolvConf = defaultConf,
  ) {
    this.rng = new Rng(host.world.rng.u32() | 0);
  }

  /**
   * The records of a name, searched as resolv.conf says: a name with a last dot as it is, others with the search domains
   * behind them, before or after they are tried themselves. `done` hears once, never before this returns.
   */
  lookup(name: string, type: number, done: LookupDone): void {
    let candidates: string[];
    try {
      candidates = this.candidates(name);
    } catch (e) {
      if (!(e instanceof NameError)) throw e;
      return this.later(() => done(this.error("EBADNAME", name, type), [], null));
    }
    new Search(this, name, type, candidates, done).next();
  }

  /** One name, without searching: what `dig` asks. */
  query(name: string, type: number, done: (message: DnsMessage | null, code: LookupCode | null) => void): Question {
    return new Question(this, parseName(name), type, done).begin();
  }

  /** For `host.dns` (src/socket/dns.ts). */
  resolve4(name: string, callback: (error: Error | null, addresses: readonly string[]) => void): void {
    this.lookup(name, Type.A, (error, records) => {
      callback(
        error,
        records.flatMap((r) => (r.type === "A" ? [formatIpv4(r.address)] : [])),
      );
    });
  }

  error(code: LookupCode, name: string, type: number): LookupError {
    const t = typeText(type);
    return new LookupError(code, `query${t[0]}${t.slice(1).toLowerCase()}`, name);
  }

  later(run: () => void): void {
    loopOf(this.host.world).post({ turn: run });
  }

  /** res_nsearch: the names to try, in order. Throws `NameError`. */
  private candidates(text: string): string[] {
    const name = parseName(text);
    if (text.endsWith(".") && !/(^|[^\\])(\\\\)*\\\.$/.test(text)) return [name];
    const dots = (name.replace(/\\./g, "").match(/\./g) ?? []).length;
    const behind: string[] = [];
    for (const domain of this.conf.search) {
      // what would be too long is no name: it is passed over
      try {
        behind.push(parseName(childOf(name, domain)));
      } catch (e) {
        if (!(e instanceof NameError)) throw e;
      }
    }
    return dots >= this.conf.ndots ? [name, ...behind] : [...behind, name];
  }

  /** The servers in the order of this question. */
  order(): readonly number[] {
    const { nameservers, rotate } = this.conf;
    // resolver(3): without a name server listed, the host's own
    if (nameservers.length === 0) return [LOOPBACK];
    if (!rotate || nameservers.length < 2) return nameservers;
    const at = this.first++ % nameservers.length;
    return [...nameservers.slice(at), ...nameservers.slice(0, at)];
  }

  send(server: number, name: string, type: number, timeout: number, done: (o: Outcome) => void): Exchange {
    const { edns0, useVc } = this.conf;
    const asked = { server, port: DNS_PORT, name, type, rd: true, edns: edns0, tcp: useVc, mixedCase: false, timeout };
    return ask(this.host, this.rng, asked, done);
  }
}

/** The candidates of one lookup, one after the other (res_nsearch). */
class Search {
  private at = 0;
  /** What was said of the name itself, where it came first: it counts before all that is said of it in a domain. */
  private asIs: LookupCode | null = null;
  private readonly said = new Set<LookupCode>();
  private last: LookupCode = "ENOTFOUND";

  constructor(
    private readonly stub: Stub,
    private readonly asked: string,
    private readonly type: number,
    private readonly candidates: readonly string[],
    private readonly done: LookupDone,
  ) {}

  next(): void {
    const name = this.candidates[this.at];
    const { stub, type } = this;
    if (name === undefined) return this.fail();
    new Question(stub, name, type, (message, code) => {
      if (message === null) {
        this.said.clear();
        this.asIs ??= code;
        return this.fail();
      }
      const records = message.rcode === Rcode.NoError ? recordsOf(message, name, type) : [];
      if (records.length > 0) return this.done(null, records, message);
      this.last = message.rcode === Rcode.NoError ? "ENODATA" : (codes.get(message.rcode) ?? "ESERVFAIL");
      this.said.add(this.last);
      if (this.at === 0 && keyOf(name) === keyOf(this.asked.replace(/\.$/, ""))) this.asIs = this.last;
      const goesOn = this.last === "ENODATA" || this.last === "ENOTFOUND" || this.last === "ESERVFAIL";
      // what is refused in one domain is asked in no other, but for the name itself
      this.at = goesOn
        ? this.at + 1
        : Math.max(this.at + 1, this.asIs === null ? this.candidates.length - 1 : Infinity);
      this.next();
    }).begin();
  }

  private fail(): void {
    const found = (["ENODATA", "ESERVFAIL"] as const).find((c) => this.said.has(c));
    this.done(this.stub.error(this.asIs ?? found ?? this.last, this.asked, this.type), [], null);
  }
}

/** One name and type, put to each server in turn, again and again (res_nsend). */
export class Question {
  private round = 0;
  private at = 0;
  private exchange: Exchange | null = null;
  private readonly servers: readonly number[];
  /** The best of the answers that are none. */
  private failed: DnsMessage | null = null;
  private heard: LookupCode = "ECONNREFUSED";

  constructor(
    private readonly stub: Stub,
    private readonly name: string,
    private readonly type: number,
    private readonly done: (message: DnsMessage | null, code: LookupCode | null) => void,
  ) {
    this.servers = stub.order();
  }

  begin(): this {
    this.next();
    return this;
  }

  cancel(): void {
    this.exchange?.cancel();
  }

  private next(): void {
    const { stub, servers } = this;
    if (this.at === servers.length) {
      this.at = 0;
      this.round++;
    }
    if (this.round >= stub.conf.attempts) {
      return this.done(this.failed, this.failed === null ? this.heard : null);
    }
    // res_nsend: each round waits twice as long, shared among the servers
    let seconds = stub.conf.timeout * 2 ** this.round;
    if (this.round > 0) seconds = Math.max(1, Math.floor(seconds / servers.length));
    this.exchange = stub.send(servers[this.at++]!, this.name, this.type, seconds * SECOND, (o) => this.take(o));
  }

  private take(o: Outcome): void {
    switch (o.kind) {
      case "answer": {
        const { rcode } = o.message;
        if (rcode === Rcode.ServFail || rcode === Rcode.NotImp || rcode === Rcode.Refused) {
          this.failed = o.message;
          return this.next();
        }
        return this.done(o.message, null);
      }
      case "timeout":
        this.heard = "ETIMEOUT";
        return this.next();
      default:
        return this.next();
    }
  }
}

/** The records of a type behind the name's aliases. */
export function recordsOf(message: DnsMessage, name: string, type: number): DnsRecord[] {
  let key = keyOf(name);
  for (let n = 0; n <= CHAIN_MAX; n++) {
    const here = message.answers.filter((r) => keyOf(r.name) === key && r.class === Class.IN);
    const found = here.filter((r) => type === Type.ANY || numberOf(r.type) === type);
    if (found.length > 0) return found;
    const alias = here.find((r) => r.type === "CNAME");
    if (alias === undefined) return [];
    key = keyOf(targetOf(alias)!);
  }
  return [];
}
