// src/transport/tcp/writequeue.ts: what was written and not sent yet, in pieces as Linux's sk_buffs hold it. Where a piece ends
// decides which segments carry PSH, and how many pieces there are how much may be written.

import type { Connection } from "./connection.ts";
import { after, span } from "./seq.ts";

/** sk_gso_max_size: 64 KB less TCP's longest headers. */
const GSO_MAX = 65536 - 257;
/** What a piece costs beside its data: sk_buff and its head, of a pair (skb->truesize). */
const PIECE_COST = 832;
const MSS_DEFAULT = 536;
/** tcp_min_tso_segs, tcp_tso_rtt_log, sk_pacing_shift, tcp_tso_win_divisor */
const MIN_TSO_SEGMENTS = 2;
const TSO_RTT_LOG = 9;
const PACING_SHIFT = 10;

/** Of `laterPieces`: two numbers a piece, its end and 1 where it ends with PSH. */
const WORDS = 2;

/** How far data goes: a FIN takes the last sequence number. */
export function dataEnd(c: Connection): number {
  return c.finQueued ? (c.writeSeq - 1) | 0 : c.writeSeq;
}

/** tcp_bound_to_half_wnd */
export function halfWindow(c: Connection, size: number): number {
  const cutoff = c.maxWindow > MSS_DEFAULT ? c.maxWindow >> 1 : c.maxWindow;
  return cutoff !== 0 && size > cutoff ? Math.max(cutoff, 68 - c.headerLen) : size;
}

/** tcp_xmit_size_goal: what a piece holds, in whole segments. */
export function sizeGoal(c: Connection, mss: number): number {
  return Math.max(Math.floor(halfWindow(c, GSO_MAX) / mss) * mss, mss);
}

/** tcp_tso_autosize: so many segments leave as one piece at most: what a millisecond takes at the rate of now. */
export function tsoSegments(c: Connection, mss: number): number {
  let bytes = GSO_MAX;
  if (c.srtt !== 0) {
    // tcp_update_pacing_rate: twice the window a round trip in slow start, else 1.2 times
    const ratio = c.cwnd < c.ssthresh / 2 ? 2 : 1.2;
    bytes = Math.floor((c.mss * ratio * Math.max(c.cwnd, c.packetsOut) * 1e9) / c.srtt / 2 ** PACING_SHIFT);
    const r = c.minRtt === Infinity ? 32 : Math.floor(c.minRtt / 1000) >> TSO_RTT_LOG;
    if (r < 32) bytes += GSO_MAX >> r;
    bytes = Math.min(bytes, GSO_MAX);
  }
  return Math.max(Math.floor(bytes / mss), MIN_TSO_SEGMENTS);
}

/** Bytes in the piece that is sent next. */
export function firstPiece(c: Connection): number {
  return dataEnd(c) === c.sndNxt ? 0 : span(c.pieceEnd, c.sndNxt);
}

/** Whether there is a piece behind the one that is sent next. */
export function hasMorePieces(c: Connection): boolean {
  return c.laterPieces !== null;
}

/** tcp_grow_skb: the first piece takes up to `bytes` from those behind it. */
export function growPiece(c: Connection, bytes: number): void {
  const later = c.laterPieces;
  if (later === null) return;
  const length = span(later[0]!, c.pieceEnd);
  if (bytes < length) {
    c.pieceEnd = (c.pieceEnd + bytes) | 0;
    return;
  }
  c.pieceEnd = later[0]!;
  c.piecePush ||= later[1] === 1;
  dropLater(c, later);
}

/** The first piece was sent up to `seq`. */
export function sentPiece(c: Connection, seq: number): void {
  const later = c.laterPieces;
  if (later === null || after(c.pieceEnd, seq)) return;
  c.pieceEnd = later[0]!;
  c.piecePush = later[1] === 1;
  dropLater(c, later);
}

function dropLater(c: Connection, later: number[]): void {
  if (later.length === WORDS) c.laterPieces = null;
  else later.splice(0, WORDS);
}

/** Room in the last piece; 0 when nothing waits. */
export function lastRoom(c: Connection, goal: number): number {
  if (c.writeSeq === c.sndNxt) return 0;
  const later = c.laterPieces;
  const start = later === null ? c.sndNxt : later.length === WORDS ? c.pieceEnd : later[later.length - 2 * WORDS]!;
  return goal - span(c.writeSeq, start);
}

/** A new piece that ends at `end`, behind the others. */
export function addPiece(c: Connection, end: number): void {
  if (c.writeSeq === c.sndNxt) {
    c.pieceEnd = end;
    c.piecePush = false;
  } else (c.laterPieces ??= []).push(end, 0);
}

/** The last piece now ends at `end`; `fresh`: a write begins, so what PSH it had is for later. */
export function extendLast(c: Connection, end: number, fresh: boolean): void {
  const later = c.laterPieces;
  if (later === null) {
    c.pieceEnd = end;
    if (fresh) c.piecePush = false;
    return;
  }
  later[later.length - 2] = end;
  if (fresh) later[later.length - 1] = 0;
}

/** tcp_mark_push: the last piece ends with PSH. */
export function markPush(c: Connection): void {
  c.pushedSeq = c.writeSeq;
  const later = c.laterPieces;
  if (later === null) c.piecePush = true;
  else later[later.length - 1] = 1;
}

/** forced_push: at least every half window. */
export function forcedPush(c: Connection): boolean {
  return after(c.writeSeq, (c.pushedSeq + (c.maxWindow >> 1)) | 0);
}

/** sk_wmem_queued: what was written and is not acknowledged costs so much of the send buffer. */
export function queuedMemory(c: Connection): number {
  const later = c.laterPieces;
  const unsent = c.writeSeq === c.sndNxt ? 0 : 1 + (later === null ? 0 : later.length / WORDS);
  return Math.max(0, span(c.writeSeq, c.sndUna)) + PIECE_COST * (unsent + c.sentPieces);
}
