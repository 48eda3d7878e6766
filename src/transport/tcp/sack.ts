// src/transport/tcp/sack.ts: what the peer's SACK option tells (RFC 2018, RFC 2883, RFC 6675): tcp_sacktag_write_queue.

import type { Connection } from "./connection.ts";
import { dataLength, splitSent } from "./output.ts";
import { rackAdvance } from "./rack.ts";
import { EVER_RETRANS, LOST, RETRANS, SACKED, type Sent } from "./sent.ts";
import type { Segment } from "./segment.ts";
import { after, before, span } from "./seq.ts";
import { Flag } from "./ackflags.ts";
import { Ca } from "./state.ts";

/** What one ACK brought: filled again and again. */
export class Sample {
  /** Send times of the first and last newly sacked segment that was never sent again, below 0: none. */
  firstSacked = -1;
  lastSacked = -1;
  /** Lowest sequence number that was sacked after a higher one, and whether there was one. */
  reordered = 0;
  hasReordered = false;
  /** Segments that left the network (RFC 6937's DeliveredData). */
  priorDelivered = 0;

  clear(): void {
    this.firstSacked = this.lastSacked = -1;
    this.hasReordered = false;
    this.priorDelivered = 0;
  }
}

/** tcp_check_dsack (RFC 2883 §4): the first block tells of a duplicate. */
function checkDuplicate(c: Connection, seg: Segment, priorUna: number): boolean {
  const { i32, sackAt } = seg;
  const left = i32[sackAt]!;
  const right = i32[sackAt + 1]!;
  let duplicate = before(left, seg.ack);
  if (!duplicate && seg.sackCount > 1) {
    const left1 = i32[sackAt + 2]!;
    const right1 = i32[sackAt + 3]!;
    duplicate = !after(right, right1) && !before(left, left1);
  }
  if (!duplicate) return false;
  c.dsackSeen = true;
  c.rackDsackSeen = true;
  // the duplicate is of data that we sent twice (D-SACK for undoing)
  if (c.undoing && c.undoRetrans > 0 && !after(right, priorUna) && after(right, c.undoMarker)) c.undoRetrans--;
  return true;
}

/** tcp_is_sackblock_valid: within what was sent; a duplicate may lie before. */
function isValid(c: Connection, left: number, right: number, duplicate: boolean): boolean {
  if (after(right, c.sndNxt) || !before(left, right)) return false;
  if (!before(left, c.sndNxt)) return false;
  if (after(left, c.sndUna)) return true;
  if (!duplicate || !c.undoing) return false;
  if (after(right, c.sndUna)) return false;
  if (!before(left, c.undoMarker)) return true;
  return after(right, c.undoMarker) && !before(left, (right - c.maxWindow) | 0);
}

/** Tags what the blocks cover; answers bits of `Flag`. */
export function tagSacked(c: Connection, seg: Segment, priorUna: number, sample: Sample): number {
  const { i32, sackAt } = seg;
  let flags = 0;
  if (c.sackedOut === 0) c.highestSack = c.sndUna;
  const duplicate = checkDuplicate(c, seg, priorUna);
  if (duplicate) flags |= Flag.DsackingAck;
  // too old to mean anything
  if (before(seg.ack, (priorUna - c.maxWindow) | 0)) return 0;
  if (c.packetsOut === 0) return flags;
  const fack = c.highestSack;
  for (let b = 0; b < seg.sackCount; b++) {
    const left = i32[sackAt + 2 * b]!;
    const right = i32[sackAt + 2 * b + 1]!;
    const isDuplicate = duplicate && b === 0;
    if (!isValid(c, left, right, isDuplicate)) continue;
    if (!after(right, seg.ack)) continue;
    flags |= tagBlock(c, left, right, sample, fack);
  }
  if (c.ca !== Ca.Loss || c.undoing) {
    if (sample.hasReordered) noteReordering(c, sample.reordered);
  }
  return flags;
}

function tagBlock(c: Connection, left: number, right: number, sample: Sample, fack: number): number {
  let flags = 0;
  for (let i = c.sent.find(left); i < c.sent.length; i++) {
    let s = c.sent.at(i);
    if (!before(s.seq, right)) break;
    if ((s.tagged & SACKED) !== 0) continue;
    if (before(s.seq, left)) {
      // the block begins inside: whole segments only, of the size that was sent (tcp_match_skb_to_sack)
      if (dataLength(s) === 0) continue;
      splitSent(c, i, left);
      s = c.sent.at(++i);
    }
    if (after(s.end, right)) {
      if (dataLength(s) < span(right, s.seq)) continue;
      splitSent(c, i, right);
      s = c.sent.at(i);
    }
    flags |= tagOne(c, s, sample, fack);
  }
  return flags;
}

/** tcp_sacktag_one */
function tagOne(c: Connection, s: Sent, sample: Sample, fack: number): number {
  let flags = Flag.DataSacked;
  rackAdvance(c, s);
  if ((s.tagged & RETRANS) !== 0) {
    // the peer has it, whichever transmission it was
    if ((s.tagged & LOST) !== 0) {
      s.tagged &= ~(LOST | RETRANS);
      c.lostOut--;
      c.retransOut--;
    }
  } else {
    if ((s.tagged & EVER_RETRANS) === 0) {
      // sacked behind something sacked before, and never sent again: it was overtaken
      if (before(s.seq, fack) && (!sample.hasReordered || before(s.seq, sample.reordered))) {
        sample.reordered = s.seq;
        sample.hasReordered = true;
      }
      if (!after(s.end, c.highSeq)) flags |= Flag.OrigSackAcked;
      if (sample.firstSacked < 0) sample.firstSacked = s.time;
      sample.lastSacked = s.time;
    }
    if ((s.tagged & LOST) !== 0) {
      s.tagged &= ~LOST;
      c.lostOut--;
    }
  }
  s.tagged |= SACKED;
  c.sackedOut++;
  c.delivered++;
  if (s.delivered > sample.priorDelivered) sample.priorDelivered = s.delivered;
  if (after(s.end, c.highestSack)) c.highestSack = s.end;
  return flags;
}

/** tcp_check_sack_reordering: how far the network reorders. */
export function noteReordering(c: Connection, low: number): void {
  const metric = span(c.highestSack, low);
  if (metric <= 0) return;
  if (metric > c.reordering * c.mss) {
    c.reordering = Math.min(Math.ceil(metric / c.mss), 300);
  }
  c.reordSeen++;
}
