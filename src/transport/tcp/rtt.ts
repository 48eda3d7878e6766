// src/transport/tcp/rtt.ts: round-trip time and retransmission timeout, RFC 6298, with Linux's refinements.

import { SECOND } from "../../link/clock.ts";
import type { Connection } from "./connection.ts";
import { after } from "./seq.ts";

const MIN_RTT_WINDOW = 300 * SECOND;

/** tcp_rtt_estimator: `sample` in nanoseconds. Everything here is kept unscaled. */
function estimate(c: Connection, sample: number): void {
  const floor = c.config.rtoMin;
  if (c.srtt === 0) {
    c.srtt = sample;
    c.mdev = sample / 2;
    c.rttvar = Math.max(2 * sample, floor) / 4;
    c.mdevMax = c.rttvar;
    c.rttSeq = c.sndNxt;
    return;
  }
  let error = sample - c.srtt;
  c.srtt += error / 8;
  if (error < 0) {
    error = -error - c.mdev;
    // a sudden improvement must not raise the variance: 1/32 instead of 1/4
    if (error > 0) error /= 8;
  } else error -= c.mdev;
  c.mdev += error / 4;
  if (c.mdev > c.mdevMax) {
    c.mdevMax = c.mdev;
    if (c.mdevMax > c.rttvar) c.rttvar = c.mdevMax;
  }
  if (after(c.sndUna, c.rttSeq)) {
    if (c.mdevMax < c.rttvar) c.rttvar -= (c.rttvar - c.mdevMax) / 4;
    c.rttSeq = c.sndNxt;
    c.mdevMax = floor / 4;
  }
}

/** tcp_set_rto: SRTT + 4 RTTVAR; the variance has a floor, not the sum. */
export function setRto(c: Connection): void {
  c.rto = Math.min(Math.max(c.srtt + 4 * c.rttvar, c.config.rtoMin), c.config.rtoMax);
}

/**
 * tcp_ack_update_rtt: `rtt` of what was acknowledged and never sent again (Karn), `sackRtt` of what was sacked, below 0 for
 * none; with neither, timestamps tell. Answers whether there was a sample.
 */
export function updateRtt(
  c: Connection,
  dataAcked: boolean,
  duplicate: boolean,
  rtt: number,
  sackRtt: number,
  caRtt: number,
): boolean {
  if (rtt < 0) rtt = sackRtt;
  // an ACK that reports a duplicate echoes the timestamp of an older segment (RFC 7323 §4.3: what is outside the window is
  // not recorded), whose own ACK was lost: it says nothing about the round trip
  if (rtt < 0 && c.tsOk && c.rcvTsecr !== 0 && dataAcked && !duplicate) {
    const ms = (c.tsNow - c.rcvTsecr) | 0;
    if (ms >= 0) caRtt = rtt = Math.max(ms, 1) * 1e6;
  }
  if (rtt < 0) return false;
  rtt = Math.min(rtt, echoed(c));
  updateMinRtt(c, caRtt >= 0 ? caRtt : rtt);
  // nothing is measured below a microsecond
  estimate(c, Math.max(rtt, 1000));
  setRto(c);
  c.backoff = 0;
  return true;
}

/**
 * What the echoed timestamp says, a millisecond more at most: Infinity when there is none. An ACK that was lost makes the
 * next one's segments look old; both are upper bounds, so the lesser counts. (Linux takes the first as it is, and where
 * three of ten packets are lost its timeout grows to minutes.)
 */
function echoed(c: Connection): number {
  if (!c.tsOk || c.rcvTsecr === 0) return Infinity;
  const ms = (c.tsNow - c.rcvTsecr) | 0;
  return ms < 0 ? Infinity : (ms + 1) * 1e6;
}

/** tcp_update_rtt_min: the least of the last five minutes, roughly. */
function updateMinRtt(c: Connection, rtt: number): void {
  rtt = Math.max(rtt, 1000);
  if (rtt <= c.minRtt || c.now - c.minRttStamp > MIN_RTT_WINDOW) {
    c.minRtt = rtt;
    c.minRttStamp = c.now;
  }
}
