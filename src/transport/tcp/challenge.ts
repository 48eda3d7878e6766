// src/transport/tcp/challenge.ts: ACKs in answer to segments that do not fit (RFC 5961), and their limits.

import { SECOND } from "../../link/clock.ts";
import type { Connection } from "./connection.ts";
import { enterQuickAck } from "./ackpolicy.ts";
import { sendAck } from "./output.ts";
import type { Segment } from "./segment.ts";
import { after, before } from "./seq.ts";
import { SYN } from "./state.ts";

/** tcp_oow_rate_limited: of a connection, one in tcp_invalid_ratelimit; data are always answered. */
export function outOfWindowLimited(c: Connection, seg: Segment): boolean {
  if (seg.length > 0 && (seg.flags & SYN) === 0) return false;
  return isLimited(c);
}

function isLimited(c: Connection): boolean {
  const { now } = c;
  if (now - c.lastInvalid < c.config.invalidRateLimit) return true;
  c.lastInvalid = now;
  return false;
}

/** tcp_send_challenge_ack: limited for the connection and, by tcp_challenge_ack_limit, for the host (RFC 5961 §7). */
export function challengeAck(c: Connection): void {
  if (isLimited(c)) return;
  const { tcp, config, now } = c;
  if (config.challengeAckLimit !== 0x7fffffff) {
    if (now - tcp.challengeStamp >= SECOND || tcp.challengeStamp < 0) {
      const half = (config.challengeAckLimit + 1) >> 1;
      tcp.challengeStamp = now;
      tcp.challengeCount = half + tcp.ns.world.rng.below(config.challengeAckLimit || 1);
    }
    if (tcp.challengeCount <= 0) return;
    tcp.challengeCount--;
  }
  sendAck(c);
}

/** tcp_send_dupack: what was received already, or lies outside the window, is answered at once. */
export function sendDuplicateAck(c: Connection, seg: Segment): void {
  if (seg.end !== seg.seq && before(seg.seq, c.rcvNxt)) {
    enterQuickAck(c);
    if (c.sackOk && c.config.dsack) {
      const end = after(seg.end, c.rcvNxt) ? c.rcvNxt : seg.end;
      setDuplicate(c, seg.seq, end);
    }
  }
  sendAck(c);
}

/** tcp_dsack_set: the next ACK reports this as a duplicate (RFC 2883). */
export function setDuplicate(c: Connection, left: number, right: number): void {
  if (!c.sackOk || !c.config.dsack) return;
  c.hasDsack = true;
  c.dsackLeft = left;
  c.dsackRight = right;
}

/** tcp_dsack_extend */
export function extendDuplicate(c: Connection, left: number, right: number): void {
  if (!c.hasDsack) return setDuplicate(c, left, right);
  if (after(left, c.dsackRight) || after(c.dsackLeft, right)) return;
  if (before(left, c.dsackLeft)) c.dsackLeft = left;
  if (after(right, c.dsackRight)) c.dsackRight = right;
}
