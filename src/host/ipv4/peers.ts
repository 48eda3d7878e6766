// src/host/ipv4/peers.ts: what Linux remembers of an address to limit ICMP (inet_peer): one bucket that errors, route
// errors and redirects share.

import type { Clock } from "../../link/clock.ts";

/** Jiffies a second of the reference kernel (CONFIG_HZ=250). */
const HZ = 250;
const NS_PER_JIFFY = 1_000_000_000 / HZ;
/** XRLIM_BURST_FACTOR */
const burstFactor = 6;
/** net.ipv4.route.error_cost, error_burst, redirect_load, redirect_number, redirect_silence */
const errorCost = HZ;
const errorBurst = 5 * HZ;
const redirectLoad = HZ / 50;
const redirectNumber = 9;
const redirectSilence = redirectLoad << (redirectNumber + 1);
/** A peer that nobody asked about for ten minutes starts anew (inet_peer_maxttl). */
const forget = 600 * HZ;
const most = 65536;

interface Peer {
  tokens: number;
  last: number;
  redirects: number;
}

export class Peers {
  private readonly peers = new Map<number, Peer>();

  constructor(private readonly clock: Clock) {}

  private jiffies(): number {
    return Math.floor(this.clock.now / NS_PER_JIFFY);
  }

  private peer(address: number): Peer {
    const now = this.jiffies();
    let p = this.peers.get(address);
    if (p === undefined || now - p.last > forget) {
      if (this.peers.size >= most) this.peers.delete(this.peers.keys().next().value!);
      p = { tokens: 0, last: now - 60 * HZ, redirects: 0 };
      this.peers.set(address, p);
    }
    return p;
  }

  /** inet_peer_xrlim_allow: one message each `interval` ms, in bursts of six. */
  allow(address: number, interval: number): boolean {
    const timeout = Math.floor((interval * HZ) / 1000);
    const p = this.peer(address);
    const now = this.jiffies();
    if (now !== p.last) {
      p.tokens = Math.min(p.tokens + now - p.last, burstFactor * timeout);
      p.last = now;
    }
    if (p.tokens < timeout) return false;
    p.tokens -= timeout;
    return true;
  }

  /** The limit of ip_error. */
  allowRouteError(address: number): boolean {
    const p = this.peer(address);
    const now = this.jiffies();
    p.tokens = Math.min(p.tokens + now - p.last, errorBurst);
    p.last = now;
    if (p.tokens < errorCost) return false;
    p.tokens -= errorCost;
    return true;
  }

  /** ip_rt_send_redirect: ever rarer, nine at most until the sender was silent for 20 s. */
  allowRedirect(address: number): boolean {
    const p = this.peer(address);
    const now = this.jiffies();
    if (now > p.last + redirectSilence) {
      p.tokens = 0;
      p.redirects = 0;
    }
    if (p.redirects >= redirectNumber) {
      p.last = now;
      return false;
    }
    return p.redirects === 0 || now > p.last + (redirectLoad << p.redirects);
  }

  /** A redirect went out. */
  redirected(address: number): void {
    const p = this.peer(address);
    p.last = this.jiffies();
    p.redirects++;
  }
}
