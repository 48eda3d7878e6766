// src/transport/tcp/congestion.ts: how large the congestion window may become: what CUBIC and Reno have in common.

import type { Connection } from "./connection.ts";

/** One for all connections (Linux's tcp_congestion_ops); what it remembers is with them. */
export interface Congestion {
  readonly name: "reno" | "cubic";
  /** The slow-start threshold after a loss. */
  ssthresh(c: Connection): number;
  /** `acked` segments were delivered and nothing is wrong: the window may grow. */
  avoid(c: Connection, ack: number, acked: number): void;
  /** A round-trip time was sampled, in nanoseconds; `acked` segments by this ACK. */
  sampled?(c: Connection, rtt: number): void;
  /** The retransmission timer fired. */
  lost?(c: Connection): void;
  /** Sending begins again after a pause. */
  restarted?(c: Connection, idle: number): void;
}

/** Beyond any window: slow start without end. */
export const INFINITE_SSTHRESH = 0x7fffffff;

export function inSlowStart(c: Connection): boolean {
  return c.cwnd < c.ssthresh;
}

/** tcp_slow_start (RFC 5681 §3.1, RFC 3465 with L unlimited): answers the segments that are left above the threshold. */
export function slowStart(c: Connection, acked: number): number {
  const cwnd = Math.min(c.cwnd + acked, c.ssthresh);
  acked -= cwnd - c.cwnd;
  c.cwnd = Math.min(cwnd, c.cwndClamp);
  return acked;
}

/** tcp_cong_avoid_ai: one segment more for every `w` that are acknowledged. */
export function additiveIncrease(c: Connection, w: number, acked: number): void {
  if (c.cwndCount >= w) {
    c.cwndCount = 0;
    c.cwnd++;
  }
  c.cwndCount += acked;
  if (c.cwndCount >= w) {
    const more = Math.floor(c.cwndCount / w);
    c.cwndCount -= more * w;
    c.cwnd += more;
  }
  c.cwnd = Math.min(c.cwnd, c.cwndClamp);
}

/** tcp_is_cwnd_limited: a window that is not used must not grow (RFC 7661 in spirit). */
export function isCwndLimited(c: Connection): boolean {
  return inSlowStart(c) ? c.cwnd < 2 * c.maxPacketsOut : c.cwndLimited;
}
