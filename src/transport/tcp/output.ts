// src/transport/tcp/output.ts: what a connection sends: when (Nagle, windows, RFC 9293 §3.7, §3.8.6), and how large.

import { ackSent } from "./ackpolicy.ts";
import { isCwndLimited } from "./congestion.ts";
import type { Connection } from "./connection.ts";
import { after, before, between, span } from "./seq.ts";
import { type Sent, EVER_RETRANS, LOST, RETRANS, SACKED } from "./sent.ts";
import { ACK, Ca, CWR, ECE, FIN, Pending, PSH, RST, State, SYN, URG } from "./state.ts";
import { armProbe, armRetransmit, scheduleLossProbe } from "./timers.ts";
import { selectWindow } from "./window.ts";

const DF = 0x4000;
const ECT0 = 2;
const IP_HEADER = 20;
const TCP_HEADER = 20;
/** The smallest MSS that half of a small window leaves (tcp_bound_to_half_wnd). */
const SMALLEST_PIECE = 68 - TCP_HEADER;
const MSS_DEFAULT = 536;

// -- sizes

/** tcp_sync_mss: the MSS that the path's MTU, the peer's option and its window leave, without SACK blocks. */
export function syncMss(c: Connection, pmtu: number): void {
  c.pmtu = pmtu;
  let mss = Math.min(pmtu - IP_HEADER - TCP_HEADER, c.mssClamp);
  mss = Math.max(mss, c.config.minSendMss) - (c.headerLen - TCP_HEADER);
  const cutoff = c.maxWindow > MSS_DEFAULT ? c.maxWindow >> 1 : c.maxWindow;
  if (cutoff !== 0 && mss > cutoff) mss = Math.max(cutoff, SMALLEST_PIECE - (c.headerLen - TCP_HEADER));
  c.mss = mss;
}

/** tcp_current_mss: what the next segment may carry. */
export function currentMss(c: Connection): number {
  const route = c.tcp.routeOf(c);
  if (route !== null) {
    const mtu = c.tcp.ns.routeMtu(route);
    if (mtu !== c.pmtu && !c.mtuProbing) syncMss(c, mtu);
  }
  const blocks = sackBlocks(c);
  return blocks === 0 ? c.mss : c.mss - 4 - blocks * 8;
}

/** How many SACK blocks the next segment carries: four, three beside timestamps (RFC 2018 §3). */
function sackBlocks(c: Connection): number {
  if (!c.sackOk) return 0;
  const n = c.ofo.blocks + (c.hasDsack ? 1 : 0);
  return n === 0 ? 0 : Math.min(n, c.tsOk ? 3 : 4);
}

/** Writes them where the core looks for them; answers how many. */
function putBlocks(c: Connection): number {
  const n = sackBlocks(c);
  if (n === 0) return 0;
  const { i32, blocksAt } = c.tcp;
  let i = 0;
  if (c.hasDsack) {
    i32[blocksAt] = c.dsackLeft;
    i32[blocksAt + 1] = c.dsackRight;
    i = 1;
    c.hasDsack = false;
  }
  for (let k = 0; i < n; i++, k++) {
    i32[blocksAt + 2 * i] = c.ofo.blockLeft[k]!;
    i32[blocksAt + 2 * i + 1] = c.ofo.blockRight[k]!;
  }
  return n;
}

// -- the one way out

/** Sends a segment: [seq, seq + len) of the send ring with these flags. False when there was no way or no buffer. */
function transmit(c: Connection, seq: number, len: number, flags: number, fresh: boolean): boolean {
  const { tcp } = c;
  const { x } = tcp.core;
  if ((flags & SYN) !== 0) return transmitSyn(c, seq, flags);
  let tos = c.tos;
  if (c.ecnOk && (flags & RST) === 0) {
    if (len > 0 && fresh) {
      // RFC 3168 §6.1.5: what is sent again is not ECN-capable
      tos |= ECT0;
      if (c.queueCwr) {
        flags |= CWR;
        c.queueCwr = false;
      }
    }
    if (c.demandCwr) flags |= ECE;
  }
  let urgent = 0;
  // RFC 9293 §3.8.5: the pointer is an offset from this segment's first byte, as far as 16 bits reach
  if (c.sndUp !== seq && after(c.sndUp, seq) && after(c.sndUp, c.sndUna)) {
    const offset = span(c.sndUp, seq);
    if (offset < 0x10000) {
      urgent = offset;
      flags |= URG;
    } else if (after((seq + 0xffff) | 0, c.sndNxt)) {
      urgent = 0xffff;
      flags |= URG;
    }
  }
  const window = (flags & RST) !== 0 && c.state === State.Closed ? 0 : selectWindow(c);
  const sacks = (flags & ACK) !== 0 ? putBlocks(c) : 0;
  let from1 = 0;
  let len1 = 0;
  let len2 = 0;
  if (len > 0) {
    const { base, size } = c.sendRing;
    const offset = seq & (size - 1);
    from1 = base + offset;
    len1 = Math.min(len, size - offset);
    len2 = len - len1;
  }
  const route = tcp.routeOf(c);
  if (route === null) return false;
  const frame = x.tcpBuild(
    c.localAddress,
    c.remoteAddress,
    c.localPort,
    c.remotePort,
    seq,
    c.rcvNxt,
    flags,
    window,
    urgent,
    c.tsOk,
    c.tsNow,
    c.tsRecent,
    sacks,
    from1,
    len1,
    c.sendRing.base,
    len2,
    tos,
    c.ttl !== 0 ? c.ttl : tcp.defaultTtl,
    c.ipId,
    route.mtuLocked || route.pmtuLocked === true || !tcp.pmtuDiscovery ? 0 : DF,
  );
  if (frame === 0) {
    tcp.noBuffer();
    return false;
  }
  c.ipId = (c.ipId + 1) & 0xffff;
  if ((flags & ACK) !== 0) ackSent(c);
  if (len > 0) dataSent(c);
  tcp.send(frame, route, fresh);
  return true;
}

function transmitSyn(c: Connection, seq: number, flags: number): boolean {
  const { tcp, config } = c;
  const route = tcp.routeOf(c);
  if (route === null) return false;
  const answer = (flags & ACK) !== 0;
  // RFC 3168 §6.1.1.1: a SYN that was lost may have been dropped for its asking
  c.ecnAsked = !answer && config.ecn === 1 && c.retransmits === 0;
  if (c.ecnAsked) flags |= ECE | CWR;
  if (answer && c.ecnOk) flags |= ECE;
  const withTimestamps = answer ? c.tsOk : config.timestamps;
  const withSack = answer ? c.sackOk : config.sack;
  const shift = (answer ? c.wscaleOk : config.windowScale) ? c.rcvWscale : -1;
  const frame = tcp.core.x.tcpBuildSyn(
    c.localAddress,
    c.remoteAddress,
    c.localPort,
    c.remotePort,
    seq,
    answer ? c.rcvNxt : 0,
    flags,
    Math.min(c.rcvWnd, 65535),
    c.advertisedMss,
    shift,
    withSack,
    withTimestamps,
    c.tsNow,
    answer ? c.tsRecent : 0,
    c.tos,
    c.ttl !== 0 ? c.ttl : tcp.defaultTtl,
    c.ipId,
    tcp.pmtuDiscovery ? DF : 0,
  );
  if (frame === 0) {
    tcp.noBuffer();
    return false;
  }
  c.ipId = (c.ipId + 1) & 0xffff;
  tcp.send(frame, route, c.retransmits === 0);
  return true;
}

/** tcp_event_data_sent */
function dataSent(c: Connection): void {
  const { now } = c;
  c.lastSent = now;
  // an answer soon after what it answers: the connection is a conversation, and ACKs can ride on answers
  if (now - c.lastReceived < c.ato) c.pingpong++;
}

// -- new data

/** tcp_nagle_check: a small segment waits while another small one is not acknowledged (Minshall). */
function nagleHolds(c: Connection, partial: boolean, off: boolean): boolean {
  if (!partial || off) return false;
  if (c.cork) return true;
  return !c.noDelay && c.packetsOut > 0 && after(c.sndSml, c.sndUna) && !after(c.sndSml, c.sndNxt);
}

/** How far data goes: a FIN takes the last sequence number. */
function dataEnd(c: Connection): number {
  return c.finQueued ? (c.writeSeq - 1) | 0 : c.writeSeq;
}

/** `nagle` for `writeOut`. */
const Nagle = { On: 0, Off: 1 } as const;

/**
 * tcp_write_xmit: sends what the windows allow; at most `limit` segments. Answers whether something waits although
 * nothing is in flight (somebody must probe).
 */
function writeOut(c: Connection, mss: number, nagle: number, limit: number): boolean {
  let sentSome = false;
  let cwndStops = false;
  const end = dataEnd(c);
  for (let n = 0; n < limit && c.hasUnsent; n++) {
    const room = c.cwnd - c.inFlight;
    if (room <= 0 && limit !== LOSS_PROBE) {
      cwndStops = true;
      break;
    }
    const left = span(end, c.sndNxt);
    const window = span(c.windowEnd, c.sndNxt);
    let len = Math.min(left, mss);
    const fin = c.finQueued && len === left;
    if (len + (fin ? 1 : 0) > window) {
      // a FIN waits for room like a byte, but goes with data that just fit on
      if (fin && len === window && len > 0) {
        if (!sendNew(c, len, 0, false)) break;
        sentSome = true;
        continue;
      }
      // behind a full segment the window's rest is used, if Nagle lets a small one go (tcp_mss_split_point); by itself it
      // would be a silly one (tcp_snd_wnd_test, RFC 9293 MUST-38)
      if (left <= mss || window <= 0 || !sentSome) break;
      if (window < mss && nagleHolds(c, true, nagle === Nagle.Off)) break;
      len = Math.min(window, mss);
    }
    const last = len === left;
    if (last && !fin && len < mss && nagleHolds(c, true, nagle === Nagle.Off)) break;
    if (!sendNew(c, len, fin && last ? FIN : 0, last)) break;
    sentSome = true;
  }
  if (sentSome) {
    if (limit !== LOSS_PROBE) scheduleLossProbe(c, false);
    validateCwnd(c, cwndStops || c.inFlight >= c.cwnd);
    return false;
  }
  if (cwndStops) validateCwnd(c, true);
  return c.packetsOut === 0 && c.hasUnsent;
}

/** A limit that says: one segment, whatever the congestion window says (RFC 8985 §7.3). */
const LOSS_PROBE = 1;

/** One new segment of `len` bytes from `sndNxt` on. */
function sendNew(c: Connection, len: number, fin: number, last: boolean, push = false): boolean {
  const seq = c.sndNxt;
  const end = (seq + len + fin) | 0;
  let flags = ACK | fin;
  if (len > 0 && (pushEnds(c, (seq + len) | 0) || push || (last && forcedPush(c, end)))) flags |= PSH;
  if (len > 0 && len < c.mss) c.sndSml = end;
  c.sndNxt = end;
  const first = c.packetsOut === 0;
  if (first) slowStartAfterIdle(c);
  const s = c.sent.push(seq, end, flags, c.now);
  s.delivered = c.delivered;
  s.inFlight = c.inFlight;
  if (c.ca === Ca.Recovery || c.ca === Ca.Cwr) c.prrOut++;
  const gone = transmit(c, seq, len, flags, true);
  if (first || c.pending === Pending.LossProbe) armRetransmit(c);
  // what could not be sent counts as lost on the way: the timer sends it again
  return gone;
}

/** A write that asks for PSH ends at `end`. */
export function markPush(c: Connection, end: number): void {
  if (!c.hasPushMark) {
    c.hasPushMark = true;
    c.pushMark = end;
    return;
  }
  const marks = (c.laterMarks ??= []);
  marks.push(end);
  // so many small writes that wait are one: pushes collapse (RFC 9293 SHLD-27)
  if (marks.length > 64) marks.splice(0, 32);
}

/** Whether a write that asked for PSH ends in what is sent now, up to `end`. */
function pushEnds(c: Connection, end: number): boolean {
  if (!c.hasPushMark || after(c.pushMark, end)) return false;
  c.pushedSeq = end;
  c.hasPushMark = false;
  const marks = c.laterMarks;
  if (marks === null) return true;
  let n = 0;
  while (n < marks.length && !after(marks[n]!, end)) n++;
  if (n < marks.length) {
    c.hasPushMark = true;
    c.pushMark = marks[n++]!;
  }
  if (n === marks.length) c.laterMarks = null;
  else marks.splice(0, n);
  return true;
}

/** forced_push: at least every half window. */
function forcedPush(c: Connection, end: number): boolean {
  if (!after(end, (c.pushedSeq + (c.maxWindow >> 1)) | 0)) return false;
  c.pushedSeq = end;
  return true;
}

/** tcp_slow_start_after_idle_check (RFC 2861, RFC 5681 §4.1). */
export function slowStartAfterIdle(c: Connection): void {
  if (c.packetsOut > 0) return;
  const idle = c.now - c.lastSent;
  if (c.lastSent !== 0) c.congestion.restarted?.(c, idle);
  if (!c.config.slowStartAfterIdle || idle <= c.rto || c.ca === Ca.Loss) return;
  const restart = Math.min(initialCwnd(c), c.cwnd);
  c.ssthresh = currentSsthresh(c);
  let { cwnd } = c;
  for (let left = idle - c.rto; left > 0 && cwnd > restart; left -= c.rto) cwnd >>= 1;
  c.cwnd = Math.max(cwnd, restart);
  c.cwndStamp = c.now;
  c.cwndUsed = 0;
}

/** tcp_current_ssthresh */
export function currentSsthresh(c: Connection): number {
  if (c.ca === Ca.Cwr || c.ca === Ca.Recovery) return c.ssthresh;
  return Math.max(c.ssthresh, (c.cwnd >> 1) + (c.cwnd >> 2));
}

export function initialCwnd(c: Connection): number {
  return c.config.initialWindow;
}

/** tcp_cwnd_validate: a window that is not filled shrinks to what is used (RFC 2861). */
function validateCwnd(c: Connection, limited: boolean): void {
  const out = c.packetsOut;
  // once a window: the most that was out, and whether the window was what stopped it
  if (!before(c.sndUna, c.cwndUsageSeq) || limited || (!c.cwndLimited && out > c.maxPacketsOut)) {
    c.cwndLimited = limited;
    c.maxPacketsOut = out;
    c.cwndUsageSeq = c.sndNxt;
  }
  if (isCwndLimited(c)) {
    c.cwndUsed = 0;
    c.cwndStamp = c.now;
  } else {
    if (out > c.cwndUsed) c.cwndUsed = out;
    if (c.config.slowStartAfterIdle && c.now - c.cwndStamp >= c.rto) applicationLimited(c);
  }
}

function applicationLimited(c: Connection): void {
  if (c.ca === Ca.Open) {
    const used = Math.max(c.cwndUsed, initialCwnd(c));
    if (used < c.cwnd) {
      c.ssthresh = currentSsthresh(c);
      c.cwnd = (c.cwnd + used) >> 1;
    }
    c.cwndUsed = 0;
  }
  c.cwndStamp = c.now;
}

/** __tcp_push_pending_frames: sends what may go; if nothing may and nothing is in flight, the probe timer runs. */
export function pushPending(c: Connection, more: boolean): void {
  if (!c.hasUnsent || c.state === State.Closed || c.state === State.SynSent) return;
  const mss = currentMss(c);
  if (more && span(dataEnd(c), c.sndNxt) < mss) {
    if (c.packetsOut === 0 && c.pending === Pending.None) armProbe(c);
    return;
  }
  if (writeOut(c, mss, Nagle.On, Infinity)) armProbe(c);
}

/** A tail loss probe of new data (RFC 8985 §7.3); false when there is none that may go. */
export function probeNew(c: Connection): boolean {
  if (!c.hasUnsent) return false;
  const before = c.sndNxt;
  writeOut(c, currentMss(c), Nagle.Off, LOSS_PROBE);
  return c.sndNxt !== before;
}

/** tcp_send_fin */
export function sendFin(c: Connection): void {
  c.finQueued = true;
  c.writeSeq = (c.writeSeq + 1) | 0;
  if (writeOut(c, currentMss(c), Nagle.Off, Infinity)) armProbe(c);
}

/** The SYN of an active open, or a SYN,ACK where both opened at once. */
export function sendSyn(c: Connection, flags: number): void {
  const s = c.sent.push(c.iss, (c.iss + 1) | 0, flags, c.now);
  s.delivered = c.delivered;
  c.sndNxt = (c.iss + 1) | 0;
  transmit(c, c.iss, 0, flags, true);
  armRetransmit(c);
}

// -- acknowledgments and others without data

/** tcp_acceptable_seq: where a segment without data stands, inside a window that may have shrunk. */
function acceptableSeq(c: Connection): number {
  const { windowEnd } = c;
  if (!before(windowEnd, c.sndNxt) || (c.rcvWscale > 0 && span(c.sndNxt, windowEnd) < 1 << c.rcvWscale))
    return c.sndNxt;
  return windowEnd;
}

export function sendAck(c: Connection): void {
  if (c.state === State.Closed) return;
  transmit(c, acceptableSeq(c), 0, ACK, true);
}

/** tcp_send_active_reset */
export function sendActiveReset(c: Connection): void {
  transmit(c, acceptableSeq(c), 0, ACK | RST, true);
}

/** tcp_xmit_probe_skb: an ACK with a sequence number that was acknowledged, so that the peer must answer. */
function sendProbe(c: Connection, urgent: boolean): boolean {
  return transmit(c, (c.sndUna - (urgent ? 0 : 1)) | 0, 0, ACK, true);
}

/** tcp_write_wakeup: a byte or more where the window has room, else a probe without data (RFC 9293 §3.8.6.1). */
export function writeWakeup(c: Connection): boolean {
  if (c.state === State.Closed) return false;
  if (c.hasUnsent && before(c.sndNxt, c.windowEnd)) {
    const mss = currentMss(c);
    const left = span(dataEnd(c), c.sndNxt);
    const len = Math.min(left, mss, span(c.windowEnd, c.sndNxt));
    const fin = c.finQueued && len === left && span(c.windowEnd, c.sndNxt) > len;
    return sendNew(c, len, fin ? FIN : 0, len === left, true);
  }
  if (between(c.sndUp, (c.sndUna + 1) | 0, (c.sndUna + 0xffff) | 0)) sendProbe(c, true);
  return sendProbe(c, false);
}

// -- again

/** Whether the i-th may be joined with the next, so that one segment carries both (tcp_can_collapse). */
function mayJoin(s: Sent, next: Sent): boolean {
  return (next.tagged & (SACKED | RETRANS)) === 0 && ((s.flags | next.flags) & (SYN | FIN)) === 0;
}

/** __tcp_retransmit_skb: sends the i-th again, and marks nothing but the time. False when it cannot be sent now. */
export function resend(c: Connection, i: number): boolean {
  let s = c.sent.at(i);
  if (before(s.seq, c.sndUna)) s.seq = c.sndUna;
  if (c.tcp.routeOf(c) === null) return false;
  const mss = currentMss(c);
  const window = span(c.windowEnd, s.seq);
  // a window that shrank leaves the first segment alone (RFC 9293 SHLD-16); a closed one is probed with one byte
  if (window <= 0 && s.seq !== c.sndUna) return false;
  const room = window <= 0 ? mss : window;
  let length = dataLength(s);
  const most = Math.min(mss, room);
  if (length > most) {
    splitSent(c, i, (s.seq + most) | 0);
    s = c.sent.at(i);
    length = most;
  } else if ((s.flags & SYN) === 0) {
    while (i + 1 < c.sent.length && mayJoin(s, c.sent.at(i + 1))) {
      const next = c.sent.at(i + 1);
      const joined = length + dataLength(next);
      if (joined > most) break;
      join(c, i);
      length = joined;
    }
  }
  s.tagged |= EVER_RETRANS;
  const gone = transmit(c, s.seq, length, s.flags, false);
  c.totalRetrans++;
  if (length > 0) c.bytesRetrans += length;
  if (!gone) return false;
  s.time = c.now;
  s.delivered = c.delivered;
  return true;
}

/** tcp_retransmit_skb: the same, and the i-th counts as sent again. */
export function retransmit(c: Connection, i: number): boolean {
  if (!resend(c, i)) return false;
  const s = c.sent.at(i);
  if ((s.tagged & RETRANS) === 0) {
    s.tagged |= RETRANS;
    c.retransOut++;
  }
  if (c.retransStamp === 0) c.retransStamp = c.now;
  if (c.undoRetrans < 0) c.undoRetrans = 0;
  c.undoRetrans++;
  return true;
}

export function dataLength(s: Sent): number {
  return (s.end - s.seq - ((s.flags & SYN) >> 1) - (s.flags & FIN)) | 0;
}

/** Cuts the i-th; the counts of what is in flight follow. */
export function splitSent(c: Connection, i: number, seq: number): void {
  const { tagged } = c.sent.split(i, seq);
  if ((tagged & SACKED) !== 0) c.sackedOut++;
  if ((tagged & LOST) !== 0) c.lostOut++;
  if ((tagged & RETRANS) !== 0) c.retransOut++;
}

function join(c: Connection, i: number): void {
  const s = c.sent.at(i);
  const next = c.sent.at(i + 1);
  s.end = next.end;
  s.flags |= next.flags;
  s.tagged |= next.tagged & EVER_RETRANS;
  if ((next.tagged & LOST) !== 0) c.lostOut--;
  if (!c.sackOk && c.sackedOut > 0) c.sackedOut--;
  c.sent.remove(i + 1);
}

/** tcp_xmit_retransmit_queue: what is marked lost, as far as the congestion window goes. */
export function retransmitLost(c: Connection): void {
  let armed = false;
  let left = c.lostOut;
  for (let i = 0; left > 0 && i < c.sent.length; i++) {
    const s = c.sent.at(i);
    if (c.cwnd - c.inFlight <= 0) break;
    if ((s.tagged & LOST) === 0) continue;
    left--;
    if ((s.tagged & (SACKED | RETRANS)) !== 0) continue;
    if (!retransmit(c, i)) break;
    if (c.ca === Ca.Cwr || c.ca === Ca.Recovery) c.prrOut++;
    if (i === 0 && c.pending !== Pending.Reorder) armed = true;
  }
  if (armed) armRetransmit(c);
}
