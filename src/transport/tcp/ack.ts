// src/transport/tcp/ack.ts: the acknowledgment part of a segment (RFC 9293 §3.10.7.4, fifth): tcp_ack.

import { SegOpt } from "../../../assembly/tcplayout.ts";
import { Flag } from "./ackflags.ts";
import { challengeAck } from "./challenge.ts";
import type { Connection } from "./connection.ts";
import { currentMss, Nagle, pushPending, retransmitLost, slowStartAfterIdle, syncMss } from "./output.ts";
import { rackAdvance, updateReordering } from "./rack.ts";
import {
  controlCongestion,
  fastRetransmitAlert,
  isDubious,
  processLossProbeAck,
  removeRenoSacks,
  Rexmit,
} from "./recovery.ts";
import { updateRtt } from "./rtt.ts";
import { noteReordering, Sample, tagSacked } from "./sack.ts";
import type { Segment } from "./segment.ts";
import { EVER_RETRANS, LOST, PIECE_END, RETRANS, SACKED } from "./sent.ts";
import { after, before } from "./seq.ts";
import { Ca, CWR, ECE, Pending, SYN } from "./state.ts";
import { arm, disarm, probeDelay, setXmitTimer } from "./timers.ts";
import { expandSendBuffer, writeSpace } from "./window.ts";

/** What an ACK is worth: go on, drop the segment, or drop it and reset (where a state asks for that). */
export const AckResult = { Good: 1, Old: 0, Unsent: -1, TooOld: -2 } as const;

const sample = new Sample();

/** `challenge`: answer an ACK that is far too old (RFC 5961 §5). */
export function processAck(c: Connection, seg: Segment, challenge: boolean): number {
  const { ack } = seg;
  const priorUna = c.sndUna;
  const priorDelivered = c.delivered;
  const priorLost = c.lost;
  const priorPackets = c.packetsOut;
  sample.clear();
  if (before(ack, priorUna)) {
    // RFC 5961 §5.2: no older than the largest window
    const most = Math.min(c.maxWindow, (priorUna - c.iss) >>> 0);
    if (before(ack, (priorUna - most) | 0)) {
      if (challenge) challengeAck(c);
      return AckResult.TooOld;
    }
    oldAck(c, seg, priorUna);
    return AckResult.Old;
  }
  if (after(ack, c.sndNxt)) return AckResult.Unsent;
  let flags = 0;
  if (after(ack, priorUna)) {
    flags |= Flag.SndUnaAdvanced;
    c.retransmits = 0;
  }
  replaceRecent(c, seg);
  if (seg.length > 0) flags |= Flag.Data;
  flags |= updateWindow(c, seg);
  const priorRackDelivered = c.rackLastDelivered;
  if (seg.sackCount > 0 && c.sackOk) flags |= tagSacked(c, seg, priorUna, sample);
  if (c.ecnOk && (seg.flags & ECE) !== 0 && (seg.flags & SYN) === 0) flags |= Flag.Ece;
  c.softError = null;
  c.probesOut = 0;
  c.lastHeard = c.now;
  let rexmit: number = Rexmit.None;
  if (priorPackets === 0) {
    // nothing was in flight: a probe's answer, a window update
    if ((flags & Flag.DsackingAck) !== 0) rexmit = fastRetransmitAlert(c, flags, 0);
    ackProbe(c);
    processLossProbeAck(c, ack, flags);
    finish(c, rexmit, flags);
    return AckResult.Good;
  }
  flags |= cleanQueue(c, seg, priorUna, flags);
  if (c.sackOk) updateReordering(c, sample.priorDelivered === 0 ? priorRackDelivered : sample.priorDelivered);
  processLossProbeAck(c, ack, flags);
  if (isDubious(c, flags)) {
    const dup = (flags & (Flag.SndUnaAdvanced | Flag.Data | Flag.WindowUpdate)) === 0 ? 1 : 0;
    rexmit = fastRetransmitAlert(c, flags, dup);
  }
  if ((flags & Flag.SetXmitTimer) !== 0) setXmitTimer(c);
  controlCongestion(c, ack, flags, c.delivered - priorDelivered, c.lost - priorLost);
  finish(c, rexmit, flags);
  return AckResult.Good;
}

/** What the ACK lets go out, and what room it makes. */
function finish(c: Connection, rexmit: number, flags: number): void {
  if (rexmit === Rexmit.New) {
    pushPending(c, Nagle.Off);
    if (!after(c.sndNxt, c.highSeq)) {
      c.frto = false;
      retransmitLost(c);
    }
  } else if (rexmit === Rexmit.Lost) retransmitLost(c);
  if ((flags & Flag.SndUnaAdvanced) === 0) return;
  if (c.cwnd > 10) expandSendBuffer(c);
  writeSpace(c);
}

/** An ACK that is not new may still tell of sacked segments. */
function oldAck(c: Connection, seg: Segment, priorUna: number): void {
  if (seg.sackCount === 0 || !c.sackOk) return;
  const flags = tagSacked(c, seg, priorUna, sample);
  const rexmit = fastRetransmitAlert(c, flags, 0);
  if (rexmit === Rexmit.Lost) retransmitLost(c);
}

/** tcp_replace_ts_recent (RFC 7323 §4.3 (2)) */
export function replaceRecent(c: Connection, seg: Segment): void {
  if ((seg.options & SegOpt.Timestamps) === 0 || !c.tsOk || after(seg.seq, c.rcvWup)) return;
  if (((c.tsRecent - seg.tsval) | 0) <= 0 || c.now - c.tsRecentStamp > PAWS_LIFE) {
    c.tsRecent = seg.tsval;
    c.tsRecentStamp = c.now;
  }
}

/** TCP_PAWS_24DAYS */
export const PAWS_LIFE = 24 * 24 * 3600 * 1e9;

/** tcp_ack_update_window (RFC 9293 §3.10.7.4, SND.WL1 and SND.WL2) */
function updateWindow(c: Connection, seg: Segment): number {
  let flags = 0;
  const { ack } = seg;
  const window = (seg.flags & SYN) !== 0 ? seg.window : seg.window << c.sndWscale;
  if (
    after(ack, c.sndUna) ||
    after(seg.seq, c.sndWl1) ||
    (seg.seq === c.sndWl1 && (window > c.sndWnd || window === 0))
  ) {
    flags |= Flag.WindowUpdate;
    c.sndWl1 = seg.seq;
    if (c.sndWnd !== window) {
      c.sndWnd = window;
      if (c.hasUnsent) slowStartAfterIdle(c);
      if (window > c.maxWindow) {
        c.maxWindow = window;
        syncMss(c, c.pmtu);
      }
    }
  }
  c.sndUna = ack;
  return flags;
}

/** tcp_ack_probe: the window may be open again. */
function ackProbe(c: Connection): void {
  if (!c.hasUnsent || c.packetsOut > 0) return;
  const need = Math.min((c.writeSeq - c.sndNxt) | 0, currentMss(c));
  if (!after((c.sndNxt + need) | 0, c.windowEnd)) {
    c.backoff = 0;
    c.probesStamp = 0;
    if (c.pending === Pending.Probe) disarm(c);
  } else arm(c, Pending.Probe, probeDelay(c));
}

/** tcp_clean_rtx_queue: what is acknowledged goes; answers bits of `Flag`. */
function cleanQueue(c: Connection, seg: Segment, priorUna: number, ackFlags: number): number {
  const { sent, now } = c;
  const { ack } = seg;
  let flags = 0;
  let firstTime = -1;
  let lastTime = -1;
  let acked = 0;
  let low = ack;
  let lowered = false;
  const fack = c.sackedOut > 0 ? c.highestSack : priorUna;
  while (sent.length > 0) {
    const s = sent.at(0);
    if (after(s.end, ack)) {
      // a part of it: the rest stays (RFC 9293 MUST: partial acknowledgments)
      if (after(ack, s.seq) && (s.flags & SYN) === 0) s.seq = ack;
      break;
    }
    const { tagged } = s;
    if ((tagged & EVER_RETRANS) !== 0) {
      if ((tagged & RETRANS) !== 0) c.retransOut--;
      flags |= Flag.RetransDataAcked;
    } else if ((tagged & SACKED) === 0) {
      lastTime = s.time;
      if (firstTime < 0) firstTime = s.time;
      if (before(s.seq, fack) && before(s.seq, low)) {
        low = s.seq;
        lowered = true;
      }
      if (!after(s.end, c.highSeq)) flags |= Flag.OrigSackAcked;
    }
    if (s.delivered > sample.priorDelivered) sample.priorDelivered = s.delivered;
    if ((tagged & SACKED) !== 0) c.sackedOut--;
    else if (c.sackOk) {
      c.delivered++;
      rackAdvance(c, s);
    }
    if ((tagged & LOST) !== 0) c.lostOut--;
    acked++;
    flags |= (s.flags & SYN) !== 0 ? Flag.SynAcked : Flag.DataAcked;
    if ((s.flags & SYN) !== 0) c.retransStamp = 0;
    if ((tagged & PIECE_END) !== 0) c.sentPieces--;
    sent.shift();
  }
  // urgent mode ends with its data
  if (between(c.sndUp, priorUna, ack)) c.sndUp = ack;
  const rtt = firstTime >= 0 && (flags & Flag.RetransDataAcked) === 0 ? now - firstTime : -1;
  const caRtt = lastTime >= 0 && (flags & Flag.RetransDataAcked) === 0 ? now - lastTime : -1;
  const sackRtt = sample.firstSacked >= 0 ? now - sample.firstSacked : -1;
  const congestionRtt = sample.lastSacked >= 0 ? now - sample.lastSacked : caRtt;
  const duplicate = (ackFlags & Flag.DsackingAck) !== 0;
  const sampled = updateRtt(c, (flags & ACKED_BITS) !== 0, duplicate, rtt, sackRtt, congestionRtt);
  if (acked > 0) {
    flags |= Flag.SetXmitTimer;
    if (c.sendRing.size !== 0 && c.sndUna === c.writeSeq) c.sendRing.clear();
    if (!c.sackOk) {
      removeRenoSacks(c, acked);
      if ((flags & Flag.RetransDataAcked) !== 0) flags &= ~Flag.OrigSackAcked;
    } else if (lowered && before(low, fack)) noteReordering(c, low);
  } else if (sampled && sackRtt >= 0 && sent.length > 0 && sackRtt > now - sent.at(0).time) {
    // the head was sent later than what was sacked: its timeout begins anew
    flags |= Flag.SetXmitTimer;
  }
  if (sampled && congestionRtt >= 0) c.congestion.sampled?.(c, congestionRtt);
  if ((flags & Flag.SynAcked) !== 0 && c.ca === Ca.Open) c.highSeq = c.sndNxt;
  return flags;
}

const ACKED_BITS = Flag.DataAcked | Flag.SynAcked;

function between(s: number, low: number, high: number): boolean {
  return (high - low) >>> 0 >= (s - low) >>> 0;
}

/** tcp_data_snd_check: what the ACK let go. */
export function sendCheck(c: Connection): void {
  if (c.hasUnsent) pushPending(c, Nagle.On);
}

/** ECN of a segment that came (tcp_ecn_check_ce, RFC 3168 §6.1.3). */
export function checkEcn(c: Connection, seg: Segment, enterQuickAck: (c: Connection, n: number) => void): void {
  if (!c.ecnOk) return;
  if ((seg.flags & CWR) !== 0 && seg.length > 0) c.demandCwr = false;
  switch (seg.tos & 3) {
    case 0:
      // no ECT at all after some: a retransmission
      if (c.seenEct) enterQuickAck(c, 2);
      break;
    case 3:
      if (!c.demandCwr) {
        enterQuickAck(c, 2);
        c.demandCwr = true;
      }
      c.seenEct = true;
      break;
    default:
      c.seenEct = true;
  }
}
