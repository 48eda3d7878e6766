// src/transport/tcp/window.ts: the window that a receiver offers (RFC 9293 §3.8.6.2.2, RFC 7323 §2), and how it grows.

import { Wake } from "./endpoint.ts";
import type { Connection } from "./connection.ts";
import type { Segment } from "./segment.ts";
import { after, span } from "./seq.ts";
import { FIN, PSH, State, SYN, URG } from "./state.ts";
import { armKeepAlive, startFinWait2 } from "./timers.ts";
import { queuedMemory } from "./writequeue.ts";

const MAX_WINDOW = 65535;
/** tcp_select_initial_window rounds to whole segments. */
const MAX_SHIFT = 14;
/** SOCK_MIN_RCVBUF / 2 */
const LEAST_CLAMP = 1152;
/** TCP_REMNANT: flags of a segment that need not be full. */
const REMNANT = FIN | SYN | PSH | URG;

/** tcp_win_from_space: the part of a buffer that is window; the rest pays for Linux's own overhead (half, at first). */
function share(c: Connection, space: number): number {
  return Math.floor((space * c.rcvRatio) / 256);
}

/**
 * What a received segment of so much data costs Linux (skb->truesize): its sk_buff, and a buffer for room ahead (NET_SKB_PAD),
 * headers, data and skb_shared_info, rounded as kmalloc does; small ones come from a cache of their own (skb_small_head_cache).
 */
function trueSize(c: Connection, length: number): number {
  const size = ((64 + 20 + c.headerLen + length + 63) & ~63) + 320;
  return 256 + (size <= 576 ? 576 : 1 << (32 - Math.clz32(size - 1)));
}

/** A segment waits to be put in order, and costs some of the buffer. */
export function hold(c: Connection, length: number): void {
  c.rcvHeld += trueSize(c, length);
}

/** A segment waits to be read: a small one finds room in the buffer of the one before it (tcp_try_coalesce). */
export function holdNext(c: Connection, length: number): void {
  if (length <= c.rcvRoom) {
    c.rcvRoom -= length;
    return;
  }
  const cost = trueSize(c, length);
  c.rcvHeld += cost;
  c.rcvRoom = cost - 256 - 320 - 64 - 20 - c.headerLen - length;
}

/** The program read `n` of `readable` bytes: what they cost is free again (in proportion: Linux frees whole segments). */
export function release(c: Connection, n: number, readable: number): void {
  if (n >= readable) c.rcvRoom = 0;
  if (n >= readable && c.ofo.count === 0) c.rcvHeld = 0;
  else c.rcvHeld -= Math.floor((c.rcvHeld * n) / readable);
}

/** tcp_space */
function freeSpace(c: Connection): number {
  return Math.max(0, share(c, c.rcvBuf - c.rcvHeld));
}

/** tcp_select_initial_window: window, clamp and shift of a connection that begins. */
export function initialWindow(c: Connection, mss: number): void {
  const full = share(c, c.rcvBuf);
  const clamp = c.rcvBufLocked ? full : MAX_WINDOW << MAX_SHIFT;
  let space = Math.min(full, clamp);
  if (space > mss) space = Math.floor(space / mss) * mss;
  c.rcvWnd = space;
  c.rcvWscale = 0;
  if (c.config.windowScale) {
    const most = Math.min(Math.max(space, c.config.receiveBufferMax, c.config.socketBufferMax), clamp);
    c.rcvWscale = Math.min(Math.max(31 - Math.clz32(most) - 15, 0), MAX_SHIFT);
  }
  c.windowClamp = Math.min(MAX_WINDOW << c.rcvWscale, clamp);
  c.rcvSsthresh = c.rcvWnd;
}

/** __tcp_select_window */
export function newWindow(c: Connection): number {
  const full = Math.min(c.windowClamp, share(c, c.rcvBuf));
  const allowed = share(c, c.rcvBuf);
  let free = freeSpace(c);
  let mss = c.rcvMss;
  if (mss > full) {
    mss = full;
    if (mss <= 0) return 0;
  }
  if (free < full >> 1) {
    c.quickAcks = 0;
    free = (free >>> c.rcvWscale) << c.rcvWscale;
    // nothing, rather than a silly window (RFC 9293 MUST-39)
    if (free < allowed >> 4 || free < mss) return 0;
  }
  if (free > c.rcvSsthresh) free = c.rcvSsthresh;
  if (c.wscaleOk && c.rcvWscale > 0) {
    const low = (1 << c.rcvWscale) - 1;
    return (free + low) & ~low;
  }
  let window = c.rcvWnd;
  if (window <= free - mss || window > free) window = Math.floor(free / mss) * mss;
  else if (mss === full && free > window + (full >> 1)) window = free;
  return window;
}

/** tcp_select_window: what the header says; the right edge never moves left (RFC 9293 SHLD-14). */
export function selectWindow(c: Connection): number {
  const current = c.receiveWindow;
  let window = newWindow(c);
  if (window < current) {
    const low = (1 << (c.wscaleOk ? c.rcvWscale : 0)) - 1;
    window = (current + low) & ~low;
  }
  c.rcvWnd = window;
  c.rcvWup = c.rcvNxt;
  if (!c.wscaleOk) return Math.min(window, MAX_WINDOW);
  return Math.min(window, MAX_WINDOW << c.rcvWscale) >>> c.rcvWscale;
}

/** tcp_grow_window: what is offered grows with what comes (slow start of the receiver), while its overhead fits the buffer. */
export function growWindow(c: Connection, seg: Segment): void {
  const room = Math.min(c.windowClamp, freeSpace(c)) - c.rcvSsthresh;
  if (room <= 0) return;
  const cost = share(c, trueSize(c, seg.length));
  let more = cost <= seg.length ? 2 * c.advertisedMss : slowGrowth(c, cost, seg.length);
  if (more === 0) return;
  more = Math.max(more, 2 * seg.length);
  c.rcvSsthresh += Math.min(room, more);
  if (c.config.quickAck) c.quickAcks |= 1;
}

/** __tcp_grow_window: small segments cost more than they carry, so they open the window only so far. */
function slowGrowth(c: Connection, cost: number, length: number): number {
  let window = share(c, c.config.receiveBufferMax) >> 1;
  cost >>= 1;
  while (c.rcvSsthresh <= window) {
    if (cost <= length) return 2 * c.rcvMss;
    cost >>= 1;
    window >>= 1;
  }
  return 0;
}

/** tcp_measure_rcv_mss: how large the peer's segments are, and with that how much of the buffer is overhead. */
export function measureMss(c: Connection, seg: Segment): void {
  const { length } = seg;
  const last = c.lastSegment;
  c.lastSegment = 0;
  if (length >= c.rcvMss) {
    if (length !== c.rcvMss) {
      const ratio = Math.max(1, Math.floor((length * 256) / trueSize(c, length)));
      if (ratio !== c.rcvRatio) {
        c.rcvRatio = ratio;
        setWindowClamp(c, share(c, c.rcvBuf));
        if (c.windowClamp < c.rcvqSpace) c.rcvqSpace = c.windowClamp;
      }
    }
    c.rcvMss = Math.min(length, c.advertisedMss);
    if ((seg.flags & PSH) !== 0) c.ackPushed = true;
    return;
  }
  // the whole segment with its header: SACK blocks make the data shorter
  const whole = length + seg.headerLen;
  if (whole >= 536 + 20 || (whole >= 88 + 20 && (seg.flags & REMNANT) === 0)) {
    c.lastSegment = whole - c.headerLen;
    if (c.lastSegment === last) {
      c.rcvMss = c.lastSegment;
      return;
    }
  }
  if (c.ackPushed) c.ackPushed2 = true;
  c.ackPushed = true;
}

/** tcp_set_window_clamp */
function setWindowClamp(c: Connection, value: number): void {
  const clamp = Math.max(LEAST_CLAMP, value);
  if (clamp === c.windowClamp) return;
  if (clamp < c.windowClamp) c.rcvSsthresh = Math.min(c.rcvSsthresh, clamp);
  else c.rcvSsthresh = Math.max(Math.min(c.rcvWnd, clamp), c.rcvSsthresh);
  c.windowClamp = clamp;
}

/** tcp_initialize_rcv_mss */
export function initializeRcvMss(c: Connection): void {
  let hint = Math.min(c.advertisedMss, c.mss);
  hint = Math.min(hint, c.rcvWnd >> 1, 536);
  c.rcvMss = Math.max(hint, 88);
}

/** tcp_rcv_rtt_measure and _ts: how long a window takes to come. */
export function measureReceiveRtt(c: Connection, seg: Segment): void {
  const { now } = c;
  if (c.rcvRttTime === 0) {
    c.rcvRttSeq = (c.rcvNxt + c.rcvWnd) | 0;
    c.rcvRttTime = now;
  } else if (!after(c.rcvRttSeq, c.rcvNxt)) {
    sampleReceiveRtt(c, now - c.rcvRttTime, true);
    c.rcvRttSeq = (c.rcvNxt + c.rcvWnd) | 0;
    c.rcvRttTime = now;
  }
  if (c.tsOk && seg.tsecr !== 0 && c.rcvTsecr !== c.lastRcvTsecr) {
    c.lastRcvTsecr = c.rcvTsecr;
    if (seg.length >= c.rcvMss) {
      const delta = ((c.tsNow - c.rcvTsecr) | 0) * 1e6;
      if (delta >= 0) sampleReceiveRtt(c, Math.max(delta, 1e6), false);
    }
  }
}

/** tcp_rcv_rtt_update */
function sampleReceiveRtt(c: Connection, sample: number, windowed: boolean): void {
  if (c.rcvRtt === 0 || sample < c.rcvRtt) c.rcvRtt = sample;
  else if (!windowed && c.rcvNxt === c.copiedSeq) c.rcvRtt += (sample - c.rcvRtt) / 8;
}

/** tcp_rcv_space_adjust: the buffer grows so that twice what was read in a round trip fits (dynamic right-sizing). */
export function spaceForReading(c: Connection): void {
  const { now } = c;
  if (c.rcvRtt === 0 || now - c.rcvqTime < c.rcvRtt) return;
  const copied = span(c.copiedSeq, c.rcvqSeq) - span(c.rcvNxt, c.copiedSeq);
  if (copied > c.rcvqSpace) growBuffer(c, copied);
  c.rcvqSeq = c.copiedSeq;
  c.rcvqTime = now;
}

/** tcp_rcvbuf_grow */
export function growBuffer(c: Connection, space: number): void {
  const old = c.rcvqSpace;
  c.rcvqSpace = space;
  if (c.rcvBufLocked) return;
  let window = 2 * space;
  window += 2 * Math.floor((window * (space - old)) / Math.max(1, old));
  if (c.ofo.count > 0) window += span(c.ofo.end, c.rcvNxt);
  const buffer = Math.min(Math.floor((window * 256) / c.rcvRatio), c.config.receiveBufferMax);
  if (buffer > c.rcvBuf) {
    c.rcvBuf = buffer;
    c.windowClamp = share(c, buffer);
  }
}

/** tcp_init_buffer_space, when the connection is established: one segment of the buffer is kept back (tcp_app_win). */
export function initBufferSpace(c: Connection): void {
  expandSendBuffer(c);
  c.rcvqTime = c.now;
  c.rcvqSeq = c.copiedSeq;
  const most = share(c, c.rcvBuf);
  const { advertisedMss } = c;
  if (c.windowClamp >= most) c.windowClamp = most;
  if (c.windowClamp > 2 * advertisedMss && c.windowClamp + advertisedMss > most) {
    c.windowClamp = Math.max(2 * advertisedMss, most - advertisedMss);
  }
  c.rcvSsthresh = Math.min(c.rcvSsthresh, c.windowClamp);
  c.rcvqSpace = Math.min(c.rcvSsthresh, c.rcvWnd, c.config.initialWindow * advertisedMss);
}

/** tcp_sndbuf_expand: room for twice the congestion window, each segment with its overhead. */
export function expandSendBuffer(c: Connection): void {
  if (c.sndBufLocked) return;
  const each = Math.max(c.mssClamp, c.mss) + 256 + 320;
  const segments = Math.max(c.config.initialWindow, c.cwnd, c.reordering + 1);
  const bytes = 2 * segments * ((1 << (32 - Math.clz32(each - 1))) + 256);
  if (c.sndBuf < bytes) c.sndBuf = Math.min(bytes, c.config.sendBufferMax);
}

/** sk_stream_write_space: the owner hears of room when a third of the buffer is free. */
export function writeSpace(c: Connection): void {
  if (!c.noSpace) return;
  const used = queuedMemory(c);
  if (c.sndBuf - used < used >> 1) return;
  c.noSpace = false;
  c.notify(Wake.Writable);
}

/** The end of __tcp_close: nobody holds it any more, and FIN-WAIT-2 does not last for ever. */
export function orphan(c: Connection): void {
  if (c.state === State.FinWait2) startFinWait2(c, false);
  else if (c.keepAlive) armKeepAlive(c);
}
