// src/service/dns/servers.ts: what a resolver knows of the servers that it asks: how fast, how lame, whether EDNS hurts them.

import { type Clock, MS, SECOND } from "../../link/clock.ts";
import type { Rng } from "../../link/rng.ts";

/** Nobody knows yet: the first wait for an answer. */
const FIRST_TIMEOUT = 400 * MS;
const TIMEOUT_MIN = 200 * MS;
const TIMEOUT_MAX = 3 * SECOND;
/** What a lost answer costs a server in the comparison. */
const PENALTY = 200 * MS;
const SRTT_MAX = 10 * SECOND;
/** A server that does not serve a zone is left alone so long (BIND's lame-ttl). */
const LAME = 600 * SECOND;

interface Known {
  /** Nanoseconds; of a server never asked a few random ones, so that each is tried and the order is chance's. */
  srtt: number;
  rttvar: number;
  measured: boolean;
  plain: boolean;
}

export class Servers {
  private readonly known = new Map<number, Known>();
  private readonly lame = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly rng: Rng,
  ) {}

  private of(address: number): Known {
    let k = this.known.get(address);
    if (k === undefined) {
      k = { srtt: 1 + this.rng.below(32_000), rttvar: 0, measured: false, plain: false };
      this.known.set(address, k);
    }
    return k;
  }

  srtt(address: number): number {
    return this.of(address).srtt;
  }

  /** RFC 6298 §2, doubled with each try. */
  timeout(address: number, tries: number): number {
    const k = this.of(address);
    const base = k.measured ? Math.max(TIMEOUT_MIN, k.srtt + 4 * k.rttvar) : FIRST_TIMEOUT;
    return Math.min(TIMEOUT_MAX, base * 2 ** tries);
  }

  /** An answer came after `rtt`; `others` were not asked: they get a chance in time (BIND's ageing). */
  answered(address: number, rtt: number, others: Iterable<number>): void {
    const k = this.of(address);
    if (k.measured) {
      k.rttvar = 0.75 * k.rttvar + 0.25 * Math.abs(k.srtt - rtt);
      k.srtt = 0.875 * k.srtt + 0.125 * rtt;
    } else {
      k.srtt = rtt;
      k.rttvar = rtt / 2;
      k.measured = true;
    }
    for (const o of others) if (o !== address) this.of(o).srtt *= 0.98;
  }

  lost(address: number): void {
    const k = this.of(address);
    k.srtt = Math.min(SRTT_MAX, k.srtt + PENALTY);
  }

  isLame(address: number, zone: string): boolean {
    const until = this.lame.get(`${address} ${zone}`);
    return until !== undefined && until > this.clock.now;
  }

  setLame(address: number, zone: string): void {
    for (const [id, until] of this.lame) if (until <= this.clock.now) this.lame.delete(id);
    this.lame.set(`${address} ${zone}`, this.clock.now + LAME);
  }

  /** RFC 6891 §7: a server that refused an OPT is asked without. */
  isPlain(address: number): boolean {
    return this.of(address).plain;
  }

  setPlain(address: number): void {
    this.of(address).plain = true;
  }
}
