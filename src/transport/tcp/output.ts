// src/transport/tcp/output.ts: what a connection sends: when (Nagle, windows, RFC 9293 §3.7, §3.8.6), and how large.

import { MS } from "../../link/clock.ts";
import { ackSent } from "./ackpolicy.ts";
import { isCwndLimited } from "./congestion.ts";
import type { Connection } from "./connection.ts";
import { after, before, between, span } from "./seq.ts";
import { type Sent, EVER_RETRANS, LOST, PIECE_END, RETRANS, SACKED } from "./sent.ts";
import { ACK, Ca, CWR, ECE, FIN, Pending, PSH, RST, State, SYN, URG } from "./state.ts";
import { armProbe, armRetransmit, scheduleLossProbe } from "./timers.ts";
import { selectWindow } from "./window.ts";
import { firstPiece, growPiece, hasMorePieces, sentPiece, tsoSegments } from "./writequeue.ts";

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
  if (c.ecnOk) {
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
  c.lastTransmit = c.now;
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

/** What Nagle's rule is to be: the connection's own, none (TCP_NAGLE_PUSH), or to wait for more whatever is in flight. */
export const Nagle = { On: 0, Off: 1, Cork: 2 } as const;

/** tcp_nagle_check: a small segment waits while another small one is not acknowledged (Minshall). */
function nagleHolds(c: Connection, partial: boolean, nagle: number): boolean {
  if (!partial || nagle === Nagle.Off) return false;
  if (nagle === Nagle.Cork || c.cork) return true;
  return !c.noDelay && c.packetsOut > 0 && after(c.sndSml, c.sndUna) && !after(c.sndSml, c.sndNxt);
}

/** What `writeOut` sends: all that may go, one piece, or a tail loss probe (whatever the congestion window says). */
const Push = { All: 0, One: 1, Probe: 2 } as const;

/**
 * tcp_write_xmit: sends what the windows allow, piece by piece. Answers whether something waits although nothing is in
 * flight (somebody must probe).
 */
function writeOut(c: Connection, mss: number, nagle: number, push: number): boolean {
  let sentSome = false;
  let cwndStops = false;
  let most = 0;
  while (c.hasUnsent) {
    const flight = c.inFlight;
    let quota = flight >= c.cwnd ? 0 : Math.min(Math.max(c.cwnd >> 1, 1), c.cwnd - flight);
    if (quota === 0) {
      if (push !== Push.Probe) break;
      quota = 1;
    }
    if (most === 0) most = tsoSegments(c, mss);
    if (quota > most) quota = most;
    let length = firstPiece(c);
    for (let missing = quota * mss - length; missing > 0 && hasMorePieces(c); missing = quota * mss - length) {
      growPiece(c, missing);
      length = firstPiece(c);
    }
    const last = !hasMorePieces(c);
    const fin = last && c.finQueued ? FIN : 0;
    const window = span(c.windowEnd, c.sndNxt);
    if ((length > mss ? mss : length + fin) > window) break;
    let limit = mss;
    if (length <= mss) {
      if (last && fin === 0 && !urgentMode(c) && nagleHolds(c, length < mss, nagle)) break;
    } else {
      if (push === Push.All && defers(c, length, window, last, fin, most)) {
        cwndStops = (c.cwnd - flight) * c.mss < window;
        break;
      }
      if (!urgentMode(c)) limit = splitPoint(c, length, mss, quota, window, last, nagle);
    }
    if (!sendPiece(c, length, Math.min(length, limit), mss, fin)) break;
    sentSome = true;
    if (push !== Push.All) break;
  }
  cwndStops ||= c.inFlight >= c.cwnd;
  if (sentSome || cwndStops) validateCwnd(c, cwndStops);
  if (sentSome) {
    if (push !== Push.Probe) scheduleLossProbe(c, false);
    return false;
  }
  return c.packetsOut === 0 && c.hasUnsent;
}

/** tcp_urg_mode */
function urgentMode(c: Connection): boolean {
  return c.sndUna !== c.sndUp;
}

/** tcp_mss_split_point: how much of the first piece goes now, in whole segments unless Nagle lets the rest go too. */
function splitPoint(
  c: Connection,
  length: number,
  mss: number,
  quota: number,
  window: number,
  last: boolean,
  nagle: number,
): number {
  const most = mss * quota;
  if (most <= window && !last) return most;
  const needed = Math.min(length, window);
  if (most <= needed) return most;
  const partial = needed % mss;
  return nagleHolds(c, partial !== 0, nagle) ? needed - partial : needed;
}

/** tcp_tso_should_defer: a little later more may go at once, if the next ACK is near. */
function defers(c: Connection, length: number, window: number, last: boolean, fin: number, most: number): boolean {
  if (c.ca >= Ca.Recovery || c.now - c.lastTransmit > MS) return false;
  const room = (c.cwnd - c.inFlight) * c.mss;
  const limit = Math.min(window, room);
  if (limit >= most * c.mss || (!last && limit >= length)) return false;
  if (limit >= Math.floor(Math.min(c.sndWnd, c.cwnd * c.mss) / 3)) return false;
  if (c.packetsOut === 0) return false;
  // later than half a round trip or a millisecond is too late
  if (c.sent.at(0).time + c.srtt - c.now > Math.min(c.srtt / 2, MS)) return false;
  if (room < window ? room <= length : window <= length) return true;
  return fin === 0;
}

/** The first `length` bytes of the piece that is sent next, of `whole`, leave as segments of `mss`. */
function sendPiece(c: Connection, whole: number, length: number, mss: number, fin: number): boolean {
  const end = (c.sndNxt + length) | 0;
  const complete = length === whole;
  // several segments of a piece end with PSH, whoever asked for it (__tcp_transmit_skb)
  const push = length > mss || (complete && length > 0 && c.piecePush);
  const prior = c.packetsOut;
  let gone = true;
  for (let left = length; ;) {
    const n = Math.min(left, mss);
    left -= n;
    const last = left === 0;
    const flags = last ? (push ? PSH : 0) | (complete ? fin : 0) : 0;
    gone = sendNew(c, n, flags, last) && gone;
    if (last) break;
  }
  c.sentPieces++;
  sentPiece(c, end);
  if (length % mss !== 0 || length === 0) c.sndSml = c.sndNxt;
  if (prior === 0 || c.pending === Pending.LossProbe) armRetransmit(c);
  return gone;
}

/** One new segment of `len` bytes from `sndNxt` on. `last`: of its piece. */
function sendNew(c: Connection, len: number, bits: number, last: boolean): boolean {
  const seq = c.sndNxt;
  const end = (seq + len + (bits & FIN)) | 0;
  const flags = ACK | bits;
  c.sndNxt = end;
  if (c.packetsOut === 0) slowStartAfterIdle(c);
  const s = c.sent.push(seq, end, flags, c.now);
  s.delivered = c.delivered;
  s.inFlight = c.inFlight;
  if (last) s.tagged = PIECE_END;
  if (c.ca === Ca.Recovery || c.ca === Ca.Cwr) c.prrOut++;
  // what could not be sent counts as lost on the way: the timer sends it again
  return transmit(c, seq, len, flags, true);
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
export function pushPending(c: Connection, nagle: number): void {
  if (!c.hasUnsent || c.state === State.Closed || c.state === State.SynSent) return;
  if (writeOut(c, currentMss(c), nagle, Push.All)) armProbe(c);
}

/** tcp_push_one: the first piece of a write that is not over. */
export function pushOne(c: Connection): void {
  writeOut(c, currentMss(c), Nagle.Off, Push.One);
}

/** A tail loss probe of new data (RFC 8985 §7.3); false when there is none that may go. */
export function probeNew(c: Connection): boolean {
  if (!c.hasUnsent) return false;
  const before = c.sndNxt;
  writeOut(c, currentMss(c), Nagle.Off, Push.Probe);
  return c.sndNxt !== before;
}

/** tcp_send_fin */
export function sendFin(c: Connection): void {
  c.finQueued = true;
  c.writeSeq = (c.writeSeq + 1) | 0;
  if (writeOut(c, currentMss(c), Nagle.Off, Push.All)) armProbe(c);
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
    const piece = firstPiece(c);
    const window = span(c.windowEnd, c.sndNxt);
    const len = Math.min(piece, mss, window);
    const fin = c.finQueued && !hasMorePieces(c) && len === piece && window > len ? FIN : 0;
    const end = (c.sndNxt + piece) | 0;
    if (before(c.pushedSeq, end)) c.pushedSeq = end;
    c.piecePush = true;
    return sendPiece(c, len, len, mss, fin);
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
  c.sent.at(i).tagged |= PIECE_END;
  c.sentPieces++;
  if ((tagged & SACKED) !== 0) c.sackedOut++;
  if ((tagged & LOST) !== 0) c.lostOut++;
  if ((tagged & RETRANS) !== 0) c.retransOut++;
}

function join(c: Connection, i: number): void {
  const s = c.sent.at(i);
  const next = c.sent.at(i + 1);
  s.end = next.end;
  s.flags |= next.flags;
  if ((s.tagged & PIECE_END) !== 0) c.sentPieces--;
  s.tagged = (s.tagged & ~PIECE_END) | (next.tagged & (EVER_RETRANS | PIECE_END));
  if ((next.tagged & LOST) !== 0) c.lostOut--;
  if (!c.sackOk && c.sackedOut > 0) c.sackedOut--;
  c.sent.remove(i + 1);
}

/** tcp_xmit_retransmit_queue: what is marked lost, as far as the congestion window goes, what was one piece as one. */
export function retransmitLost(c: Connection): void {
  let armed = false;
  let left = c.lostOut;
  let most = 0;
  for (let i = 0; left > 0 && i < c.sent.length; i++) {
    const s = c.sent.at(i);
    let quota = c.cwnd - c.inFlight;
    if (quota <= 0) break;
    if ((s.tagged & LOST) === 0) continue;
    left--;
    if ((s.tagged & (SACKED | RETRANS)) !== 0) continue;
    if (most === 0) most = tsoSegments(c, c.mss);
    quota = Math.min(quota, most);
    const first = i;
    let gone = true;
    while (gone) {
      const at = c.sent.at(i);
      const more = --quota > 0 && (at.tagged & PIECE_END) === 0 && isLost(c, i + 1);
      if (!more && i > first) endPiece(c, at);
      gone = retransmit(c, i);
      if (gone && (c.ca === Ca.Cwr || c.ca === Ca.Recovery)) c.prrOut++;
      // what was small may have been joined
      if (!more || !isLost(c, i + 1)) break;
      i++;
      left--;
    }
    if (!gone) break;
    if (first === 0 && c.pending !== Pending.Reorder) armed = true;
  }
  if (armed) armRetransmit(c);
}

/** Whether the i-th is to be sent again. */
function isLost(c: Connection, i: number): boolean {
  return i < c.sent.length && (c.sent.at(i).tagged & (LOST | RETRANS | SACKED)) === LOST;
}

/** Several segments leave as a piece that ends here, with PSH. */
function endPiece(c: Connection, s: Sent): void {
  s.flags |= PSH;
  if ((s.tagged & PIECE_END) !== 0) return;
  s.tagged |= PIECE_END;
  c.sentPieces++;
}
