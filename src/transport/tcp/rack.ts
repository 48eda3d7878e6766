// src/transport/tcp/rack.ts: losses found by time (RACK, RFC 8985 §6): what was sent well before something that has been
// delivered since is lost.

import { retransmitLost } from "./output.ts";
import type { Connection } from "./connection.ts";
import { enterRecovery, reduceWindow } from "./recovery.ts";
import { EVER_RETRANS, LOST, RETRANS, SACKED, type Sent } from "./sent.ts";
import { after } from "./seq.ts";
import { Ca, Pending } from "./state.ts";
import { arm, armRetransmit, TIMEOUT_MIN } from "./timers.ts";

/** TCP_RACK_RECOVERY_THRESH */
const PERSIST = 16;

/** tcp_rack_sent_after */
function sentAfter(time1: number, time2: number, end1: number, end2: number): boolean {
  return time1 > time2 || (time1 === time2 && after(end1, end2));
}

/** tcp_rack_advance: this was delivered. */
export function rackAdvance(c: Connection, s: Sent): void {
  const rtt = c.now - s.time;
  // sooner than ever possible: the ACK is of the first transmission (RFC 8985 §6.2 step 2)
  if (rtt < c.minRtt && (s.tagged & (RETRANS | EVER_RETRANS)) !== 0) return;
  c.rackAdvanced = true;
  c.rackRtt = rtt;
  if (sentAfter(s.time, c.rackTime, s.end, c.rackEnd)) {
    c.rackTime = s.time;
    c.rackEnd = s.end;
  }
}

/** tcp_rack_reo_wnd (RFC 8985 §6.2 step 4) */
function reorderingWindow(c: Connection): number {
  if (c.reordSeen === 0) {
    // nothing was ever reordered: once it is plain that something is lost, no patience
    if (c.ca >= Ca.Recovery || c.sackedOut >= c.reordering) return 0;
  }
  return Math.min((c.minRtt / 4) * c.rackSteps, c.srtt);
}

/** tcp_rack_skb_timeout: how long until this counts as lost. */
export function rackRemaining(c: Connection, s: Sent, reordering: number): number {
  return c.rackRtt + reordering - (c.now - s.time);
}

export function markLost(c: Connection, s: Sent): void {
  if ((s.tagged & (LOST | SACKED)) === 0) {
    s.tagged |= LOST;
    c.lostOut++;
    c.lost++;
  }
  if ((s.tagged & RETRANS) !== 0) {
    s.tagged &= ~RETRANS;
    c.retransOut--;
    c.lost++;
  }
}

/** tcp_rack_detect_loss: answers how long until more will be known, 0: nothing to wait for. */
function detect(c: Connection): number {
  const window = reorderingWindow(c);
  let timeout = 0;
  for (let i = 0; i < c.sent.length; i++) {
    const s = c.sent.at(i);
    if (!sentAfter(c.rackTime, s.time, c.rackEnd, s.end)) {
      // later ones were sent later still, unless this one was sent again
      if ((s.tagged & EVER_RETRANS) === 0) break;
      continue;
    }
    if ((s.tagged & SACKED) !== 0 || ((s.tagged & LOST) !== 0 && (s.tagged & RETRANS) === 0)) continue;
    const left = rackRemaining(c, s, window);
    if (left <= 0) markLost(c, s);
    else if (left > timeout) timeout = left;
  }
  return timeout;
}

/** tcp_rack_mark_lost */
export function rackMarkLost(c: Connection): void {
  if (!c.rackAdvanced) return;
  c.rackAdvanced = false;
  const timeout = detect(c);
  if (timeout > 0) arm(c, Pending.Reorder, timeout + TIMEOUT_MIN);
}

/** tcp_rack_reo_timeout */
export function rackTimeout(c: Connection): void {
  const prior = c.inFlight;
  const lost = c.lost;
  detect(c);
  if (prior !== c.inFlight) {
    if (c.ca !== Ca.Recovery) {
      enterRecovery(c, false);
      reduceWindow(c, 1, c.lost - lost, false);
    }
    retransmitLost(c);
  }
  if (c.pending !== Pending.Retransmit) armRetransmit(c);
}

/** tcp_rack_update_reo_wnd (RFC 8985 §6.2 step 4): duplicates reported by the peer ask for more patience. */
export function updateReordering(c: Connection, priorDelivered: number): void {
  // of a round trip once
  if (c.rackDsackSeen && priorDelivered < c.rackLastDelivered) c.rackDsackSeen = false;
  if (c.rackDsackSeen) {
    c.rackSteps = Math.min(255, c.rackSteps + 1);
    c.rackDsackSeen = false;
    c.rackLastDelivered = c.delivered;
    c.rackPersist = PERSIST;
  } else if (c.rackPersist === 0) c.rackSteps = 1;
}

/** tcp_newreno_mark_lost: without SACK, the head. */
export function newRenoMarkLost(c: Connection, advanced: boolean): void {
  if ((c.ca < Ca.Recovery && c.sackedOut >= c.reordering) || (c.ca === Ca.Recovery && advanced)) {
    const head = c.sent.at(0);
    if ((head.tagged & LOST) === 0) markLost(c, head);
  }
}

/** RFC 6675 §4 IsLost, where RACK is off: `reordering` segments above were sacked. */
export function countMarkLost(c: Connection): void {
  let above = c.sackedOut;
  for (let i = 0; i < c.sent.length && above >= c.reordering; i++) {
    const s = c.sent.at(i);
    if ((s.tagged & SACKED) !== 0) above--;
    else if ((s.tagged & (LOST | EVER_RETRANS)) === 0) markLost(c, s);
  }
}
