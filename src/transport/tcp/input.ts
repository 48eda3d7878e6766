// src/transport/tcp/input.ts: a segment arrives (RFC 9293 §3.10.7), in the order and with the checks of Linux's
// tcp_rcv_established and tcp_rcv_state_process. Each function answers a `Drop`: None, or why the segment went.

import { Drop } from "../../../assembly/drop.ts";
import { SegOpt } from "../../../assembly/tcplayout.ts";
import { AckResult, PAWS_LIFE, processAck, sendCheck } from "./ack.ts";
import { ackCheck } from "./ackpolicy.ts";
import { challengeAck, outOfWindowLimited, sendDuplicateAck } from "./challenge.ts";
import type { Connection } from "./connection.ts";
import { queueData, receiveUrgent } from "./data.ts";
import { Wake } from "./endpoint.ts";
import { sendAck, sendFin, sendSyn, syncMss } from "./output.ts";
import type { Segment } from "./segment.ts";
import { after, before, between } from "./seq.ts";
import { ACK, ECE, FIN, Pending, PSH, RCV_SHUTDOWN, RST, SEND_SHUTDOWN, State, SYN } from "./state.ts";
import { arm, armKeepAlive, disarm, startFinWait2, TIMEOUT_MIN } from "./timers.ts";
import { initBufferSpace, initializeRcvMss } from "./window.ts";

/** The caller is to answer the segment with a reset (tcp_v4_send_reset). */
export const SEND_RESET = 0x100;

/** A segment for a connection: `Drop.None`, why it went, or `SEND_RESET`. */
export function receiveSegment(c: Connection, seg: Segment): number {
  if ((seg.options & SegOpt.Timestamps) !== 0 && c.tsOk) {
    c.rcvTsval = seg.tsval;
    // RFC 7323: an echo without offset is none
    c.rcvTsecr = seg.tsecr;
  } else c.rcvTsecr = 0;
  if (c.state === State.SynSent) return synSent(c, seg);
  if ((seg.flags & (ACK | RST | SYN)) === 0) return Drop.TcpFlags;
  const predicted = c.state === State.Established && isPredicted(c, seg);
  if (!predicted) {
    const bad = validate(c, seg);
    if (bad !== Drop.None) return bad;
  }
  if (c.state === State.Established) return established(c, seg, predicted);
  return closing(c, seg);
}

/** TCP_HP_BITS */
const PREDICTED_BITS = ~PSH & 0xff;

/**
 * tcp_rcv_established's header prediction: the next segment in order with nothing special about it (the window as it was,
 * nothing out of order, no urgent data). Beside being quick it answers differently: see `established`.
 */
function isPredicted(c: Connection, seg: Segment): boolean {
  return (
    (seg.flags & PREDICTED_BITS) === ACK &&
    seg.seq === c.rcvNxt &&
    seg.headerLen === c.headerLen &&
    (!c.tsOk || (seg.options === SegOpt.Timestamps && ((seg.tsval - c.tsRecent) | 0) >= 0)) &&
    seg.window << c.sndWscale === c.sndWnd &&
    !after(seg.ack, c.sndNxt) &&
    c.ofo.count === 0 &&
    c.rcvWnd !== 0 &&
    c.urgData === 0 &&
    seg.length <= c.receiveWindow
  );
}

/** Whether the segment carries a timestamp that counts. */
function hasTimestamp(c: Connection, seg: Segment): boolean {
  return c.tsOk && (seg.options & SegOpt.Timestamps) !== 0;
}

/** tcp_paws_discard (RFC 7323 §5.2) */
function isOldDuplicate(c: Connection, seg: Segment): boolean {
  if (!hasTimestamp(c, seg)) return false;
  if (((c.tsRecent - seg.tsval) | 0) <= 1 || c.tsRecent === 0 || c.now - c.tsRecentStamp >= PAWS_LIFE) return false;
  // tcp_disordered_ack: an ACK that overtook is no danger
  return !(
    (seg.flags & ACK) !== 0 &&
    seg.seq === c.rcvNxt &&
    seg.end === seg.seq &&
    seg.ack === c.sndUna &&
    ((c.tsRecent - seg.tsval) | 0) * 1e6 <= c.rto
  );
}

/** tcp_sequence (RFC 9293 §3.10.7.4, first): whether any of it is in the window. */
function isInWindow(c: Connection, seg: Segment): boolean {
  if (before(seg.end, c.rcvWup)) return false;
  const limit = (c.rcvNxt + c.receiveWindow) | 0;
  if (!after(seg.end, limit)) return true;
  if (after(seg.seq, limit)) return false;
  // a FIN may stand just behind the window
  if (!after((seg.end - (seg.flags & FIN)) | 0, limit)) return true;
  // more than the window is taken only while nothing else is held
  return c.readable === 0 && c.ofo.count === 0;
}

/** A reset at the FIN's place, as some stacks send it (tcp_reset_check). */
function isLateReset(c: Connection, seg: Segment): boolean {
  return (
    seg.seq === ((c.rcvNxt - 1) | 0) &&
    ((1 << c.state) & ((1 << State.CloseWait) | (1 << State.LastAck) | (1 << State.Closing))) !== 0
  );
}

/** tcp_validate_incoming: PAWS, the window, resets and SYNs (RFC 5961 §3, §4). */
function validate(c: Connection, seg: Segment): number {
  const isReset = (seg.flags & RST) !== 0;
  if (!isReset && isOldDuplicate(c, seg)) {
    if ((seg.flags & SYN) !== 0) {
      challengeAck(c);
      return Drop.TcpPaws;
    }
    if (!outOfWindowLimited(c, seg)) sendDuplicateAck(c, seg);
    return Drop.TcpPaws;
  }
  if (!isInWindow(c, seg)) {
    if (!isReset) {
      if ((seg.flags & SYN) !== 0) challengeAck(c);
      else if (!outOfWindowLimited(c, seg)) sendDuplicateAck(c, seg);
    } else if (isLateReset(c, seg)) reset(c);
    return Drop.TcpOutOfWindow;
  }
  if (isReset) {
    if (seg.seq === c.rcvNxt || isLateReset(c, seg) || isSackEdge(c, seg)) reset(c);
    else challengeAck(c);
    return Drop.TcpReset;
  }
  if ((seg.flags & SYN) !== 0) {
    // the other half of a simultaneous open
    if (c.state === State.SynRcvd && (seg.flags & ACK) !== 0 && ((seg.seq + 1) | 0) === c.rcvNxt) return Drop.None;
    challengeAck(c);
    return Drop.TcpFlags;
  }
  return Drop.None;
}

/** A reset right behind what came out of order is as good as one at RCV.NXT. */
function isSackEdge(c: Connection, seg: Segment): boolean {
  return c.sackOk && c.ofo.count > 0 && seg.seq === c.ofo.end;
}

/** tcp_reset */
export function reset(c: Connection): void {
  switch (c.state) {
    case State.SynSent:
    // a connection of its own in SYN-RCVD was an active open: refused (RFC 9293 §3.10.7.4, MUST-11; Linux says ECONNRESET)
    case State.SynRcvd:
      c.error = "ECONNREFUSED";
      break;
    case State.CloseWait:
      c.error = "EPIPE";
      break;
    case State.Closed:
      return;
    default:
      c.error = "ECONNRESET";
  }
  c.notify(Wake.Error);
  c.done();
}

/** tcp_rcv_established */
function established(c: Connection, seg: Segment, predicted: boolean): number {
  if ((seg.flags & ACK) === 0) return Drop.TcpFlags;
  // in order and all before it acknowledged: whatever else its ACK says, its timestamp counts
  if (predicted && c.tsOk && c.rcvNxt === c.rcvWup) {
    c.tsRecent = seg.tsval;
    c.tsRecentStamp = c.now;
  }
  const result = processAck(c, seg, true);
  if (result < 0) return result === AckResult.Unsent ? Drop.TcpUnsentAck : Drop.TcpOutOfWindow;
  receiveUrgent(c, seg);
  queueData(c, seg);
  sendCheck(c);
  // an ACK without data is no occasion to look whether one of ours is due
  if (!predicted || seg.length > 0) ackCheck(c);
  return Drop.None;
}

/** tcp_rcv_state_process for SYN-RCVD and all that come behind ESTABLISHED. */
function closing(c: Connection, seg: Segment): number {
  if ((seg.flags & ACK) === 0) return Drop.TcpFlags;
  const result = processAck(c, seg, false);
  if (result <= 0) {
    if (c.state === State.SynRcvd) return result === AckResult.Old ? Drop.TcpOutOfWindow : SEND_RESET;
    if (result < 0) {
      challengeAck(c);
      return result === AckResult.Unsent ? Drop.TcpUnsentAck : Drop.TcpOutOfWindow;
    }
  }
  const allAcked = c.sndUna === c.writeSeq;
  switch (c.state) {
    case State.SynRcvd:
      openedByBoth(c, seg);
      break;
    case State.FinWait1:
      if (allAcked && c.finQueued) {
        const gone = finWait2(c, seg);
        if (gone >= 0) return gone;
      }
      break;
    case State.Closing:
      if (allAcked) {
        c.tcp.timeWait(c, State.TimeWait, 2 * c.config.maximumSegmentLifetime);
        return Drop.None;
      }
      break;
    case State.LastAck:
      if (allAcked) {
        c.done();
        return Drop.None;
      }
      break;
    default:
  }
  receiveUrgent(c, seg);
  switch (c.state) {
    case State.CloseWait:
    case State.Closing:
    case State.LastAck:
      if (!before(seg.seq, c.rcvNxt)) break;
      queueData(c, seg);
      break;
    case State.FinWait1:
    case State.FinWait2:
      // data for nobody: RFC 9293 §3.10.7.4 lets it be refused, Linux resets (RFC 2525 §2.17)
      if (
        (c.shutdown & RCV_SHUTDOWN) !== 0 &&
        seg.end !== seg.seq &&
        after((seg.end - (seg.flags & FIN)) | 0, c.rcvNxt)
      ) {
        reset(c);
        return SEND_RESET;
      }
      queueData(c, seg);
      break;
    case State.Established:
      queueData(c, seg);
      break;
    default:
  }
  if (c.timeWaitDue) {
    c.timeWaitDue = false;
    sendAck(c);
    c.tcp.timeWait(c, State.TimeWait, 2 * c.config.maximumSegmentLifetime);
    return Drop.None;
  }
  if ((c.state as number) !== State.Closed) {
    sendCheck(c);
    ackCheck(c);
  }
  return Drop.None;
}

/** Our FIN is acknowledged. Answers below 0 to go on, else what became of the segment. */
function finWait2(c: Connection, seg: Segment): number {
  c.state = State.FinWait2;
  c.shutdown |= SEND_SHUTDOWN;
  if (!c.dead) {
    c.notify(Wake.Writable);
    return -1;
  }
  if (c.linger2 < 0) {
    c.done();
    return Drop.TcpClosed;
  }
  if (seg.end !== seg.seq && after((seg.end - (seg.flags & FIN)) | 0, c.rcvNxt)) {
    c.done();
    return SEND_RESET;
  }
  const fin = (seg.flags & FIN) !== 0;
  if (fin) return -1;
  startFinWait2(c, false);
  return Drop.None;
}

/** The last step of a simultaneous open. */
function openedByBoth(c: Connection, seg: Segment): void {
  c.sndWnd = seg.window << c.sndWscale;
  c.sndWl1 = seg.seq;
  establish(c);
  if ((c.shutdown & SEND_SHUTDOWN) !== 0) {
    c.state = State.FinWait1;
    sendFin(c);
  }
}

/** tcp_finish_connect, tcp_init_transfer: both know each other now. */
export function establish(c: Connection): void {
  c.state = State.Established;
  c.maxWindow = Math.max(c.maxWindow, c.sndWnd);
  c.copiedSeq = c.rcvNxt;
  c.pushedSeq = c.sndNxt;
  // RFC 6298 §5.7: a SYN that was lost leaves a timeout of three seconds; Linux restarts from its estimate, and the
  // window from one segment (RFC 6928 §3)
  if (c.totalRetrans > 1 && c.undoing) c.cwnd = 1;
  c.cwndStamp = c.now;
  c.lastSent = c.now;
  c.lastHeard = c.now;
  c.sndUp = c.sndUna;
  c.sndSml = c.sndUna;
  c.retransmits = c.backoff = 0;
  initializeRcvMss(c);
  syncMss(c, c.pmtu);
  initBufferSpace(c);
  if (c.packetsOut === 0) disarm(c);
  if (c.keepAlive) armKeepAlive(c);
  c.notify(Wake.Writable);
}

/** Options of the peer's SYN (tcp_rcv_synsent_state_process, tcp_openreq_init). */
function readSyn(c: Connection, seg: Segment): void {
  const { config, options } = { config: c.config, options: seg.options };
  c.wscaleOk = config.windowScale && (options & SegOpt.Shift) !== 0;
  c.sndWscale = c.wscaleOk ? seg.shift : 0;
  if (!c.wscaleOk) {
    c.rcvWscale = 0;
    c.windowClamp = Math.min(c.windowClamp, 65535);
  }
  c.tsOk = config.timestamps && (options & SegOpt.Timestamps) !== 0;
  if (c.tsOk) {
    c.headerLen = 32;
    c.tsRecent = seg.tsval;
    c.tsRecentStamp = c.now;
  }
  c.sackOk = config.sack && (options & SegOpt.SackPermitted) !== 0;
  const mss = (options & SegOpt.Mss) !== 0 ? seg.mss : 536;
  c.mssClamp = Math.min(c.userMss !== 0 ? c.userMss : 65535, mss);
}

/** tcp_rcv_synsent_state_process (RFC 9293 §3.10.7.3) */
function synSent(c: Connection, seg: Segment): number {
  const { flags } = seg;
  if ((flags & ACK) !== 0) {
    // RFC 9293: SND.UNA < SEG.ACK =< SND.NXT, else a reset
    if (!after(seg.ack, c.sndUna) || after(seg.ack, c.sndNxt)) {
      // an old connection is in the way at the peer: once it is reset, the SYN shall come again soon
      if (c.retransmits === 0) arm(c, Pending.Retransmit, TIMEOUT_MIN);
      return (flags & RST) !== 0 ? Drop.TcpReset : SEND_RESET;
    }
    if (
      c.config.timestamps &&
      (seg.options & SegOpt.Timestamps) !== 0 &&
      seg.tsecr !== 0 &&
      !between(seg.tsecr, c.synStamp, c.tsNow)
    ) {
      return (flags & RST) !== 0 ? Drop.TcpReset : SEND_RESET;
    }
    if ((flags & RST) !== 0) {
      reset(c);
      return Drop.TcpReset;
    }
    if ((flags & SYN) === 0) return Drop.TcpFlags;
    return synAcked(c, seg);
  }
  if ((flags & RST) !== 0) return Drop.TcpReset;
  if ((flags & SYN) === 0) return Drop.TcpFlags;
  // both open at once (RFC 9293 §3.5, figure 8)
  readSyn(c, seg);
  c.state = State.SynRcvd;
  c.rcvNxt = (seg.seq + 1) | 0;
  c.copiedSeq = c.rcvNxt;
  c.rcvWup = c.rcvNxt;
  c.irs = seg.seq;
  c.sndWnd = seg.window;
  c.sndWl1 = seg.seq;
  c.maxWindow = c.sndWnd;
  c.ecnOk = false;
  syncMss(c, c.pmtu);
  initializeRcvMss(c);
  // the SYN in the queue becomes a SYN,ACK with the same number
  c.sent.clear();
  sendSyn(c, SYN | ACK);
  return Drop.None;
}

/** SYN,ACK: the connection is established. */
function synAcked(c: Connection, seg: Segment): number {
  c.ecnOk = c.ecnAsked && (seg.flags & ECE) !== 0;
  c.sndWl1 = seg.seq;
  c.rcvNxt = (seg.seq + 1) | 0;
  c.rcvWup = c.rcvNxt;
  c.irs = seg.seq;
  readSyn(c, seg);
  if (c.tsOk) c.advertisedMss -= 12;
  // the ACK takes the SYN out of the queue and measures the first round trip
  processAck(c, seg, true);
  c.sndWnd = seg.window;
  establish(c);
  // text and FIN of a SYN,ACK are left to come again, as Linux does
  sendAck(c);
  if (c.hasUnsent) sendCheck(c);
  return Drop.None;
}
