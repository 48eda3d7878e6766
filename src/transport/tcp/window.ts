// src/transport/tcp/window.ts: the window that a receiver offers (RFC 9293 §3.8.6.2.2, RFC 7323 §2), and how it grows.

import { Wake } from "./endpoint.ts";
import type { Connection } from "./connection.ts";
import type { Segment } from "./segment.ts";
import { after, span } from "./seq.ts";
import { PSH, State } from "./state.ts";
import { armKeepAlive, startFinWait2 } from "./timers.ts";

const MAX_WINDOW = 65535;
/** tcp_select_initial_window rounds to whole segments. */
const MAX_SHIFT = 14;

/** tcp_win_from_space: the part of a buffer that is window; the rest pays for Linux's own overhead (half, at first). */
function share(c: Connection, space: number): number {
  return Math.floor((space * c.rcvRatio) / 256);
}

/** What a received segment of so much data costs Linux: its sk_buff, and a buffer of a power of two around headers and data. */
function trueSize(length: number): number {
  return 256 + 2 ** Math.ceil(Math.log2(length + 54 + 32 + 320));
}

/** Bytes that wait to be read or put in order. */
function held(c: Connection): number {
  let n = span(c.rcvNxt, c.copiedSeq);
  if (c.ofo.count > 0) n += span(c.ofo.end, c.rcvNxt);
  return n;
}

/** tcp_space */
function freeSpace(c: Connection): number {
  return Math.max(0, share(c, c.rcvBuf) - held(c));
}

/** tcp_select_initial_window: window, clamp and shift of a connection that begins. */
export function initialWindow(c: Connection, mss: number): void {
  let space = share(c, c.rcvBuf);
  if (space > mss) space = Math.floor(space / mss) * mss;
  c.rcvWnd = space;
  c.rcvWscale = 0;
  if (c.config.windowScale) {
    const most = Math.max(share(c, c.config.receiveBufferMax), share(c, c.rcvBuf));
    c.rcvWscale = Math.min(Math.max(31 - Math.clz32(most) - 15, 0), MAX_SHIFT);
  }
  c.windowClamp = Math.min(share(c, c.rcvBuf), MAX_WINDOW << c.rcvWscale);
  if (c.rcvWnd > MAX_WINDOW) c.rcvWnd = MAX_WINDOW;
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

/** tcp_grow_window: what is offered grows with what comes (slow start of the receiver). */
export function growWindow(c: Connection, seg: Segment): void {
  const room = Math.min(c.windowClamp, freeSpace(c)) - c.rcvSsthresh;
  if (room <= 0) return;
  const more = Math.max(2 * c.advertisedMss, 2 * seg.length);
  if (c.config.quickAck) c.quickAcks |= 1;
  c.rcvSsthresh += Math.min(room, more);
}

/** tcp_measure_rcv_mss: how large the peer's segments are, and with that how much of the buffer is overhead. */
export function measureMss(c: Connection, seg: Segment): void {
  const { length } = seg;
  if (length < c.rcvMss) {
    if ((seg.flags & PSH) !== 0) c.ackPushed = true;
    return;
  }
  if (length === c.rcvMss) return;
  c.rcvMss = Math.min(length, c.advertisedMss);
  const ratio = Math.max(1, Math.floor((length * 256) / trueSize(length)));
  if (ratio === c.rcvRatio) return;
  c.rcvRatio = ratio;
  c.windowClamp = Math.min(share(c, c.rcvBuf), MAX_WINDOW << (c.wscaleOk ? c.rcvWscale : 0));
  if (c.windowClamp < c.rcvqSpace) c.rcvqSpace = c.windowClamp;
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

function sampleReceiveRtt(c: Connection, sample: number, windowed: boolean): void {
  if (c.rcvRtt === 0) c.rcvRtt = sample;
  else if (!windowed) c.rcvRtt += (sample - c.rcvRtt) / 8;
  else if (sample < c.rcvRtt) c.rcvRtt = sample;
}

/** tcp_rcv_space_adjust: the buffer grows so that twice what was read in a round trip fits (dynamic right-sizing). */
export function spaceForReading(c: Connection): void {
  const { now } = c;
  if (c.rcvRtt === 0 || now - c.rcvqTime < c.rcvRtt) return;
  const copied = span(c.copiedSeq, c.rcvqSeq);
  if (copied > c.rcvqSpace) {
    if (!c.rcvBufLocked) {
      let window = 2 * copied + 16 * c.advertisedMss;
      window += 2 * Math.floor((window * (copied - c.rcvqSpace)) / Math.max(1, c.rcvqSpace));
      const buffer = Math.min(Math.floor((window * 256) / c.rcvRatio), c.config.receiveBufferMax);
      if (buffer > c.rcvBuf) {
        c.rcvBuf = buffer;
        c.windowClamp = Math.min(share(c, buffer), MAX_WINDOW << (c.wscaleOk ? c.rcvWscale : 0));
      }
    }
    c.rcvqSpace = copied;
  }
  c.rcvqSeq = c.copiedSeq;
  c.rcvqTime = now;
}

/** tcp_init_buffer_space, when the connection is established. */
export function initBufferSpace(c: Connection): void {
  c.rcvqSpace = Math.min(c.rcvWnd, c.config.initialWindow * c.advertisedMss);
  c.rcvqTime = c.now;
  c.rcvqSeq = c.copiedSeq;
  c.rcvSsthresh = Math.min(c.rcvSsthresh, c.windowClamp);
  expandSendBuffer(c);
}

/** tcp_sndbuf_expand: room for twice the congestion window. */
export function expandSendBuffer(c: Connection): void {
  if (c.sndBufLocked) return;
  const segments = Math.max(c.config.initialWindow, c.cwnd, c.reordering + 1);
  const bytes = 2 * segments * (c.mss + 800);
  if (c.sndBuf < bytes) c.sndBuf = Math.min(bytes, c.config.sendBufferMax);
}

/** sk_stream_write_space: the owner hears of room when a third of the buffer is free. */
export function writeSpace(c: Connection): void {
  if (!c.noSpace) return;
  const used = c.unacknowledged;
  if (c.sndBuf - used < used >> 1) return;
  c.noSpace = false;
  c.notify(Wake.Writable);
}

/** The end of __tcp_close: nobody holds it any more, and FIN-WAIT-2 does not last for ever. */
export function orphan(c: Connection): void {
  if (c.state === State.FinWait2) startFinWait2(c, false);
  else if (c.keepAlive) armKeepAlive(c);
}
