// src/transport/tcp/ackpolicy.ts: when an acknowledgment goes out (RFC 9293 §3.8.6.3, RFC 5681 §4.2), as Linux does it:
// at once while the connection is young or out of order, else with data, every second segment, or after `ato`.

import { MS } from "../../link/clock.ts";
import type { Connection } from "./connection.ts";
import { sendAck } from "./output.ts";
import type { Segment } from "./segment.ts";
import { span } from "./seq.ts";
import { RCV_SHUTDOWN, State } from "./state.ts";
import { armDelayedAck } from "./timers.ts";
import { growWindow, measureMss, measureReceiveRtt, newWindow } from "./window.ts";

const MAX_QUICK = 16;
/** TCP_ATO_MIN */
const ATO_MIN = 40 * MS;
/** tcp_comp_sack_nr, tcp_comp_sack_delay_ns */
const MOST_COMPRESSED = 44;
const COMPRESS_DELAY = MS;
const DUP_THRESH = 3;

export function scheduleAck(c: Connection): void {
  c.ackScheduled = true;
}

function addQuickAcks(c: Connection, most: number): void {
  if (!c.config.quickAck) return;
  let n = Math.floor(c.rcvWnd / (2 * c.rcvMss));
  if (n === 0) n = 2;
  n = Math.min(n, most);
  if (n > c.quickAcks) c.quickAcks = n;
}

/** tcp_enter_quickack_mode */
export function enterQuickAck(c: Connection, most = MAX_QUICK): void {
  addQuickAcks(c, most);
  c.pingpong = 0;
  c.ato = ATO_MIN;
}

function inQuickAck(c: Connection): boolean {
  return c.quickAckForced || (c.quickAcks > 0 && c.pingpong === 0);
}

/** tcp_event_data_recv: data came; how quickly the peer sends tells how long an ACK may wait. */
export function dataReceived(c: Connection, seg: Segment): void {
  scheduleAck(c);
  measureMss(c, seg);
  measureReceiveRtt(c, seg);
  const { now } = c;
  if (c.ato === 0) {
    addQuickAcks(c, MAX_QUICK);
    c.ato = ATO_MIN;
  } else {
    const gap = now - c.lastReceived;
    if (gap <= ATO_MIN / 2) c.ato = c.ato / 2 + ATO_MIN / 2;
    else if (gap < c.ato) c.ato = Math.min(c.ato / 2 + gap, c.rto);
    else if (gap > c.rto) addQuickAcks(c, MAX_QUICK);
  }
  c.lastReceived = now;
  if (seg.length >= 128) growWindow(c, seg);
}

/** An ACK left, by itself or on data (tcp_event_ack_sent). */
export function ackSent(c: Connection): void {
  if (c.quickAcks > 0 && c.ackScheduled) {
    c.quickAcks--;
    if (c.quickAcks === 0) c.ato = ATO_MIN;
  }
  c.ackScheduled = c.ackNow = c.ackTimed = c.ackPushed = c.ackPushed2 = false;
  c.compressedAcks = 0;
  if (c.delayedAckTimer.at >= 0) c.tcp.clock.cancel(c.delayedAckTimer);
}

/** __tcp_ack_snd_check */
export function ackCheck(c: Connection): void {
  if (!c.ackScheduled) return;
  if (
    // more than a segment came, and either the program reads or the window may move
    (span(c.rcvNxt, c.rcvWup) > c.rcvMss && (c.readable < 1 || newWindow(c) >= c.rcvWnd)) ||
    inQuickAck(c) ||
    c.ackNow
  ) {
    return sendAck(c);
  }
  if (c.ofo.count === 0) return delayAck(c);
  if (!c.sackOk || c.compressedAcks >= MOST_COMPRESSED) return sendAck(c);
  if (c.compressedRcvNxt !== c.rcvNxt) {
    c.compressedRcvNxt = c.rcvNxt;
    c.dupAckCounter = 0;
  }
  if (c.dupAckCounter < DUP_THRESH) {
    c.dupAckCounter++;
    return sendAck(c);
  }
  c.compressedAcks++;
  if (c.compressedAcks > 1) return;
  const rtt = c.srtt !== 0 && c.srtt < c.rcvRtt ? c.srtt : c.rcvRtt;
  const delay = Math.min(COMPRESS_DELAY, rtt / 20);
  c.ackTimed = true;
  c.ackTimeout = c.now + delay;
  armDelayedAck(c, c.ackTimeout);
}

/** tcp_send_delayed_ack */
function delayAck(c: Connection): void {
  const { config, now } = c;
  let { ato } = c;
  if (ato > config.delayedAckMin) {
    let most = 500 * MS;
    if (c.pingpong > 0 || c.ackPushed) most = config.delayedAckMax;
    if (c.srtt !== 0) most = Math.min(most, Math.max(c.srtt, config.delayedAckMin));
    ato = Math.min(ato, most);
  }
  ato = Math.min(ato, config.delayedAckMax);
  let at = now + ato;
  if (c.ackTimed) {
    // it is due soon: now, then
    if (c.ackTimeout <= now + ato / 4) return sendAck(c);
    if (at > c.ackTimeout) at = c.ackTimeout;
  }
  c.ackTimed = true;
  c.ackTimeout = at;
  armDelayedAck(c, at);
}

/** tcp_delack_timer_handler */
export function delayedAckDue(c: Connection): void {
  if (c.state === State.Closed || !c.ackTimed) return;
  if (c.compressedAcks > 0) {
    c.compressedAcks = 0;
    c.ackTimed = false;
    return sendAck(c);
  }
  c.ackTimed = false;
  if (!c.ackScheduled) return;
  if (c.pingpong === 0) c.ato = Math.min(c.ato * 2, c.rto);
  else {
    // no answer came to carry it: not a conversation after all
    c.pingpong = 0;
    c.ato = ATO_MIN;
  }
  sendAck(c);
}

/** tcp_cleanup_rbuf: the program read `copied` bytes; the peer may have to hear of it. */
export function cleanReceiveBuffer(c: Connection, copied: number): void {
  if (c.state === State.Closed) return;
  let due = false;
  if (c.ackScheduled) {
    due =
      span(c.rcvNxt, c.rcvWup) > c.rcvMss ||
      (copied > 0 && (c.ackPushed2 || (c.ackPushed && c.pingpong === 0)) && c.readable <= 0 && c.ofo.count === 0);
  }
  if (copied > 0 && !due && (c.shutdown & RCV_SHUTDOWN) === 0) {
    const window = c.receiveWindow;
    // twice as much or more: a window update
    if (2 * window <= c.windowClamp) {
      const next = newWindow(c);
      if (next !== 0 && next >= 2 * window) due = true;
    }
  }
  if (due) sendAck(c);
}
