// src/transport/tcp/cookie.ts: SYN cookies (RFC 4987 §3.6): a SYN,ACK whose sequence number holds all that is remembered.
//
//     cookie = hash1(connection) + peer's ISN + (count << 24) + ((hash2(connection, count) + index of the MSS) mod 2^24)

import { SECOND } from "../../link/clock.ts";
import type { Secrets } from "./isn.ts";

/** The MSS values that a cookie can tell (Linux's msstab). */
const sizes = [536, 1300, 1440, 1460];
const PERIOD = 60 * SECOND;
/** MAX_SYNCOOKIE_AGE */
const MOST_PERIODS = 2;
const LOW = 0xffffff;
/** Options in the low bits of the timestamp: shift (15: none), SACK, ECN. */
const TS_BITS = 6;
const NO_SHIFT = 15;

function count(now: number): number {
  return Math.floor(now / PERIOD);
}

export function cookieFor(
  secrets: Secrets,
  src: number,
  dst: number,
  ports: number,
  peerIsn: number,
  mss: number,
  now: number,
): number {
  let index = sizes.length - 1;
  while (index > 0 && sizes[index]! > mss) index--;
  const n = count(now);
  return (
    (secrets.hash(2, src, dst, ports) + peerIsn + (n << 24) + ((secrets.hash(3, src, dst, ports, n) + index) & LOW)) | 0
  );
}

/** The MSS that a cookie tells, 0 when it is none of ours or too old. */
export function cookieMss(
  secrets: Secrets,
  src: number,
  dst: number,
  ports: number,
  peerIsn: number,
  cookie: number,
  now: number,
): number {
  const n = count(now);
  const rest = (cookie - secrets.hash(2, src, dst, ports) - peerIsn) | 0;
  const age = (n - (rest >>> 24)) & 0xff;
  if (age >= MOST_PERIODS) return 0;
  const index = (rest - secrets.hash(3, src, dst, ports, n - age)) & LOW;
  return sizes[index] ?? 0;
}

/** A timestamp that also tells of window scale (below 0: none), SACK and ECN (cookie_init_timestamp). */
export function cookieTimestamp(now: number, shift: number, sack: boolean, ecn: boolean): number {
  const bits = (shift < 0 ? NO_SHIFT : shift) | (sack ? 16 : 0) | (ecn ? 32 : 0);
  let ts = (now & ~((1 << TS_BITS) - 1)) | bits;
  // never in the future
  if (((ts - now) | 0) > 0) ts -= 1 << TS_BITS;
  return ts | 0;
}

export interface CookieOptions {
  shift: number;
  sack: boolean;
  ecn: boolean;
}

export function readCookieTimestamp(ts: number): CookieOptions {
  const shift = ts & 15;
  return { shift: shift === NO_SHIFT ? -1 : shift, sack: (ts & 16) !== 0, ecn: (ts & 32) !== 0 };
}
