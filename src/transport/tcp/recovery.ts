// src/transport/tcp/recovery.ts: what a sender believes of losses (tcp_fastretrans_alert): fast recovery (RFC 6675, RFC 6582),
// proportional rate reduction (RFC 6937), the timeout's slow start, F-RTO (RFC 5682), and undoing what was not needed
// (RFC 3522, RFC 3708).

import { ACKED, Flag, NOT_DUP } from "./ackflags.ts";
import type { Connection } from "./connection.ts";
import { INFINITE_SSTHRESH, inSlowStart } from "./congestion.ts";
import { currentSsthresh } from "./output.ts";
import { countMarkLost, markLost, newRenoMarkLost, rackMarkLost, rackRemaining } from "./rack.ts";
import { EVER_RETRANS, LOST, RETRANS, SACKED } from "./sent.ts";
import { after, before, span } from "./seq.ts";
import { Ca } from "./state.ts";

/** What is to be sent again after an ACK. */
export const Rexmit = { None: 0, Lost: 1, New: 2 } as const;

function isReno(c: Connection): boolean {
  return !c.sackOk;
}

// -- windows

/** tcp_init_cwnd_reduction */
function beginReduction(c: Connection): void {
  c.highSeq = c.sndNxt;
  c.tlpActive = false;
  c.cwndCount = 0;
  c.priorCwnd = c.cwnd;
  c.prrDelivered = c.prrOut = 0;
  c.ssthresh = c.congestion.ssthresh(c);
  if (c.ecnOk) c.queueCwr = true;
}

/** tcp_cwnd_reduction: as many go out as the network took out, in proportion (RFC 6937 §3.1). */
export function reduceWindow(c: Connection, delivered: number, newlyLost: number, advanced: boolean): void {
  if (delivered <= 0 || c.priorCwnd === 0) return;
  const flight = c.inFlight;
  const delta = c.ssthresh - flight;
  c.prrDelivered += delivered;
  let count: number;
  if (delta < 0) {
    count = Math.floor((c.ssthresh * c.prrDelivered + c.priorCwnd - 1) / c.priorCwnd) - c.prrOut;
  } else {
    count = Math.max(c.prrDelivered - c.prrOut, delivered);
    if (advanced && newlyLost === 0) count++;
    count = Math.min(delta, count);
  }
  // the first one is a fast retransmission, whatever else
  count = Math.max(count, c.prrOut !== 0 ? 0 : 1);
  c.cwnd = flight + count;
}

/** tcp_end_cwnd_reduction */
function endReduction(c: Connection): void {
  if (c.ssthresh < INFINITE_SSTHRESH && (c.ca === Ca.Cwr || c.undoing)) {
    c.cwnd = c.ssthresh;
    c.cwndStamp = c.now;
  }
}

/** tcp_enter_cwr: ECN asked, or the host itself had no room. */
export function enterCwr(c: Connection): void {
  c.priorSsthresh = 0;
  if (c.ca < Ca.Cwr) {
    c.undoing = false;
    beginReduction(c);
    c.ca = Ca.Cwr;
  }
}

export function inReduction(c: Connection): boolean {
  return c.ca === Ca.Cwr || c.ca === Ca.Recovery;
}

// -- entering

/** tcp_init_undo */
function beginUndo(c: Connection): void {
  c.undoMarker = c.sndUna;
  c.undoing = true;
  c.undoRetrans = c.retransOut > 0 ? c.retransOut : -1;
}

/** tcp_enter_recovery */
export function enterRecovery(c: Connection, ece: boolean): void {
  c.retransStamp = 0;
  c.priorSsthresh = 0;
  beginUndo(c);
  if (!inReduction(c)) {
    if (!ece) c.priorSsthresh = currentSsthresh(c);
    beginReduction(c);
  }
  c.ca = Ca.Recovery;
}

/** tcp_enter_loss: the timer fired (RFC 5681 §3.1, RFC 6298 §5). */
export function enterLoss(c: Connection): void {
  const fresh = c.ca < Ca.Recovery;
  markAllLost(c);
  if (c.ca <= Ca.Disorder || !after(c.highSeq, c.sndUna) || (c.ca === Ca.Loss && c.retransmits === 0)) {
    c.priorSsthresh = currentSsthresh(c);
    c.priorCwnd = c.cwnd;
    c.ssthresh = c.congestion.ssthresh(c);
    c.congestion.lost?.(c);
    beginUndo(c);
  }
  c.cwnd = c.inFlight + 1;
  c.cwndCount = 0;
  c.cwndStamp = c.now;
  // a degree of reordering that kept us waiting until the timer fired was too high
  if (c.ca <= Ca.Disorder && c.sackedOut >= c.config.reordering) {
    c.reordering = Math.min(c.reordering, c.config.reordering);
  }
  c.ca = Ca.Loss;
  c.highSeq = c.sndNxt;
  c.tlpActive = false;
  if (c.ecnOk) c.queueCwr = true;
  c.frto = fresh || c.retransmits > 0;
}

/** tcp_timeout_mark_lost */
function markAllLost(c: Connection): void {
  if (c.sent.length === 0) return;
  // the peer took back what it had sacked (RFC 2018 §8)
  const reneging = (c.sent.at(0).tagged & SACKED) !== 0;
  if (reneging) c.sackedOut = 0;
  else if (isReno(c)) c.sackedOut = 0;
  for (let i = 0; i < c.sent.length; i++) {
    const s = c.sent.at(i);
    if (reneging) s.tagged &= ~SACKED;
    // what was sent a moment ago need not be lost yet
    else if (c.config.rack && c.sackOk && i > 0 && c.rackRtt > 0 && rackRemaining(c, s, 0) > 0) continue;
    markLost(c, s);
  }
}

// -- undoing

/** tcp_packet_delayed: the ACK is older than the first retransmission (Eifel, RFC 3522). */
function wasDelayed(c: Connection): boolean {
  if (c.retransStamp === 0) return false;
  if (!c.tsOk || c.rcvTsecr === 0) return false;
  const stamp = (Math.floor(c.retransStamp / 1e6) + c.tsOffset) | 0;
  return before(c.rcvTsecr, stamp);
}

function mayUndo(c: Connection): boolean {
  return c.undoing && (c.undoRetrans === 0 || wasDelayed(c));
}

/** tcp_undo_cwnd_reduction */
function undo(c: Connection, unmark: boolean): void {
  if (unmark) {
    for (let i = 0; i < c.sent.length; i++) c.sent.at(i).tagged &= ~LOST;
    c.lostOut = 0;
  }
  if (c.priorSsthresh !== 0) {
    c.cwnd = Math.max(c.cwnd, c.priorCwnd);
    if (c.priorSsthresh > c.ssthresh) {
      c.ssthresh = c.priorSsthresh;
      c.queueCwr = false;
    }
  }
  c.cwndStamp = c.now;
  c.undoing = false;
  c.rackAdvanced = true;
}

/** tcp_is_non_sack_preventing_reopen: without SACK, old duplicate ACKs might start another fast retransmit. */
function keepsReno(c: Connection): boolean {
  if (c.sndUna === c.highSeq && isReno(c)) {
    if (!anyRetransDone(c)) c.retransStamp = 0;
    return true;
  }
  return false;
}

/** tcp_try_undo_recovery: all of the recovery is acknowledged. */
function tryUndoRecovery(c: Connection): boolean {
  if (mayUndo(c)) undo(c, false);
  else if (c.rackPersist > 0) c.rackPersist--;
  if (keepsReno(c)) return true;
  c.ca = Ca.Open;
  c.sackReneged = false;
  return false;
}

/** tcp_try_undo_dsack */
function tryUndoDsack(c: Connection): boolean {
  if (c.undoing && c.undoRetrans === 0) {
    c.rackPersist = Math.min(16, c.rackPersist + 1);
    undo(c, false);
    return true;
  }
  return false;
}

/** tcp_try_undo_loss */
function tryUndoLoss(c: Connection, frto: boolean): boolean {
  if (!frto && !mayUndo(c)) return false;
  undo(c, true);
  c.retransmits = 0;
  if (keepsReno(c)) return true;
  if (frto || !isReno(c)) c.ca = Ca.Open;
  return true;
}

/** tcp_try_undo_partial: a partial ACK that shows delay, not loss. */
function tryUndoPartial(c: Connection): boolean {
  if (!c.undoing || !wasDelayed(c)) return false;
  if (c.retransOut > 0) return true;
  undo(c, true);
  c.ca = Ca.Open;
  tryKeepOpen(c);
  return false;
}

// -- the states

/** tcp_any_retrans_done */
function anyRetransDone(c: Connection): boolean {
  return c.retransOut > 0 || (c.sent.length > 0 && (c.sent.at(0).tagged & EVER_RETRANS) !== 0);
}

/** tcp_try_keep_open */
function tryKeepOpen(c: Connection): void {
  const state = c.sackedOut + c.lostOut > 0 || anyRetransDone(c) ? Ca.Disorder : Ca.Open;
  if (c.ca !== state) {
    c.ca = state;
    c.highSeq = c.sndNxt;
  }
}

/** tcp_try_to_open */
function tryToOpen(c: Connection, flags: number): void {
  if (!anyRetransDone(c)) c.retransStamp = 0;
  if ((flags & Flag.Ece) !== 0) enterCwr(c);
  if (c.ca !== Ca.Cwr) tryKeepOpen(c);
}

/** tcp_identify_packet_loss; answers whether a retransmission was found lost. */
function identifyLoss(c: Connection, advanced: boolean): boolean {
  if (c.packetsOut === 0) return false;
  const prior = c.retransOut;
  if (isReno(c)) newRenoMarkLost(c, advanced);
  else if (c.config.rack) rackMarkLost(c);
  else countMarkLost(c);
  return prior > c.retransOut;
}

/** tcp_add_reno_sack: a duplicate ACK tells that something left the network. */
function addRenoSack(c: Connection, dup: number): void {
  if (dup === 0) return;
  const most = Math.max(0, c.packetsOut - Math.max(c.lostOut, 1));
  const prior = c.sackedOut;
  c.sackedOut = Math.min(c.sackedOut + dup, most);
  c.delivered += c.sackedOut - prior;
}

/** tcp_remove_reno_sacks: `acked` segments were acknowledged, some of them counted by duplicate ACKs already. */
export function removeRenoSacks(c: Connection, acked: number): void {
  if (acked > 0) {
    c.delivered += Math.max(acked - c.sackedOut, 1);
    if (acked - 1 >= c.sackedOut) c.sackedOut = 0;
    else c.sackedOut -= acked - 1;
  }
  c.sackedOut = Math.min(c.sackedOut, Math.max(0, c.packetsOut - c.lostOut));
}

/** tcp_process_loss: ACKs while the timer's losses are repaired, and F-RTO's three steps (RFC 5682 §3.1). */
function processLoss(c: Connection, flags: number, dup: number): number {
  const recovered = !before(c.sndUna, c.highSeq);
  const advanced = (flags & Flag.SndUnaAdvanced) !== 0;
  if (advanced && tryUndoLoss(c, false)) return Rexmit.None;
  if (c.frto) {
    // step 3.b: what was never sent again is acknowledged
    if ((flags & Flag.OrigSackAcked) !== 0 && tryUndoLoss(c, true)) return Rexmit.None;
    if (after(c.sndNxt, c.highSeq)) {
      if ((flags & Flag.DataSacked) !== 0 || dup > 0) c.frto = false; // step 3.a: lost indeed
    } else if (advanced && !recovered) {
      c.highSeq = c.sndNxt;
      // step 2.b: new data, to see what comes of it
      if (c.hasUnsent && after(c.windowEnd, c.sndNxt)) return Rexmit.New;
      c.frto = false;
    }
  }
  if (recovered) {
    tryUndoRecovery(c);
    return Rexmit.None;
  }
  if (isReno(c)) {
    if (after(c.sndNxt, c.highSeq) && dup > 0) addRenoSack(c, dup);
    else if (advanced) c.sackedOut = 0;
  }
  return Rexmit.Lost;
}

/** tcp_fastretrans_alert: something is dubious, or was; answers what is to be sent again (`Rexmit`). */
export function fastRetransmitAlert(c: Connection, flags: number, dup: number): number {
  const advanced = (flags & Flag.SndUnaAdvanced) !== 0;
  if (c.packetsOut === 0 && c.sackedOut > 0) c.sackedOut = 0;
  if ((flags & Flag.Ece) !== 0) c.priorSsthresh = 0;
  if ((flags & Flag.SackReneging) !== 0 && checkReneging(c)) return Rexmit.None;
  if (c.ca === Ca.Open) c.retransStamp = 0;
  else if (!before(c.sndUna, c.highSeq)) {
    if (c.ca === Ca.Cwr) {
      // one segment more, so that the ECN echo of this window is not taken for the next one's
      if (c.sndUna !== c.highSeq) {
        endReduction(c);
        c.ca = Ca.Open;
      }
    } else if (c.ca === Ca.Recovery) {
      if (isReno(c)) c.sackedOut = 0;
      if (tryUndoRecovery(c)) return Rexmit.None;
      endReduction(c);
    }
  }
  let rexmit: number = Rexmit.None;
  let lostRetrans = false;
  if (c.ca === Ca.Recovery) {
    if (!advanced) {
      if (isReno(c)) addRenoSack(c, dup);
    } else if (tryUndoPartial(c)) return Rexmit.None;
    if (c.ca === Ca.Recovery && tryUndoDsack(c)) {
      tryToOpen(c, flags);
      return Rexmit.None;
    }
    identifyLoss(c, advanced);
    if (c.ca !== Ca.Recovery) {
      if (c.lostOut === 0) {
        tryToOpen(c, flags);
        return Rexmit.None;
      }
      enterRecovery(c, (flags & Flag.Ece) !== 0);
    }
    return Rexmit.Lost;
  }
  if (c.ca === Ca.Loss) {
    rexmit = processLoss(c, flags, dup);
    lostRetrans = identifyLoss(c, advanced);
    if ((c.ca as number) !== Ca.Open && !lostRetrans) return rexmit;
  }
  if (isReno(c)) {
    if (advanced) c.sackedOut = 0;
    addRenoSack(c, dup);
  }
  if (c.ca <= Ca.Disorder) tryUndoDsack(c);
  identifyLoss(c, advanced);
  if (c.lostOut === 0) {
    tryToOpen(c, flags);
    return rexmit;
  }
  enterRecovery(c, (flags & Flag.Ece) !== 0);
  return Rexmit.Lost;
}

/** tcp_check_sack_reneging: the head was sacked and the cumulative ACK stops before it: give the peer a moment. */
function checkReneging(c: Connection): boolean {
  if (c.sent.length === 0 || (c.sent.at(0).tagged & SACKED) === 0) return false;
  c.sackReneged = true;
  return true;
}

/** tcp_process_tlp_ack (RFC 8985 §7.4): whether the tail loss probe repaired a loss. */
export function processLossProbeAck(c: Connection, ack: number, flags: number): void {
  if (!c.tlpActive || before(ack, c.tlpHighSeq)) return;
  if (!c.tlpRetrans || (flags & Flag.DsackTlp) !== 0) c.tlpActive = false;
  else if (after(ack, c.tlpHighSeq)) {
    beginReduction(c);
    c.ca = Ca.Cwr;
    endReduction(c);
    tryKeepOpen(c);
    c.tlpActive = false;
  } else if ((flags & (Flag.SndUnaAdvanced | NOT_DUP | Flag.DataSacked)) === 0) c.tlpActive = false;
}

/** tcp_ack_is_dubious */
export function isDubious(c: Connection, flags: number): boolean {
  return (flags & NOT_DUP) === 0 || (flags & (Flag.Ece | Flag.DataSacked)) !== 0 || c.ca !== Ca.Open;
}

/** tcp_cong_control */
export function controlCongestion(
  c: Connection,
  ack: number,
  flags: number,
  delivered: number,
  newlyLost: number,
): void {
  if (inReduction(c)) return reduceWindow(c, delivered, newlyLost, (flags & Flag.SndUnaAdvanced) !== 0);
  const raise = c.reordering > c.config.reordering ? ACKED | Flag.DataSacked : Flag.DataAcked;
  if ((flags & raise) === 0) return;
  if ((flags & Flag.Ece) !== 0 && !inSlowStart(c)) return;
  c.congestion.avoid(c, ack, delivered);
}

/** tcp_simple_retransmit: what is longer than segments may be now is lost, without anybody's fault (path MTU). */
export function simpleRetransmit(c: Connection, mss: number): boolean {
  const lost = c.lostOut;
  for (let i = 0; i < c.sent.length; i++) {
    const s = c.sent.at(i);
    if (span(s.end, s.seq) <= mss) continue;
    if ((s.tagged & RETRANS) !== 0) {
      s.tagged &= ~RETRANS;
      c.retransOut--;
    }
    if ((s.tagged & (SACKED | LOST)) === 0) {
      s.tagged |= LOST;
      c.lostOut++;
    }
  }
  if (c.lostOut === lost) return false;
  if (isReno(c)) c.sackedOut = Math.min(c.sackedOut, Math.max(0, c.packetsOut - c.lostOut));
  if (c.ca !== Ca.Loss) {
    c.highSeq = c.sndNxt;
    c.ssthresh = currentSsthresh(c);
    c.priorSsthresh = 0;
    c.undoing = false;
    c.ca = Ca.Loss;
  }
  return true;
}
