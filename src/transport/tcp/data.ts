// src/transport/tcp/data.ts: the text of a segment (RFC 9293 §3.10.7.4, sixth to eighth): tcp_data_queue.

import { Drop } from "../../../assembly/drop.ts";
import { dataReceived, enterQuickAck, scheduleAck } from "./ackpolicy.ts";
import { checkEcn } from "./ack.ts";
import { extendDuplicate, setDuplicate } from "./challenge.ts";
import type { Connection } from "./connection.ts";
import { Wake } from "./endpoint.ts";
import { Intervals, NO_INTERVALS } from "./intervals.ts";
import type { Segment } from "./segment.ts";
import { after, before, later, span } from "./seq.ts";
import { FIN, RCV_SHUTDOWN, SEND_SHUTDOWN, State, URG } from "./state.ts";
import { growBuffer, growWindow, hold, holdNext, measureMss } from "./window.ts";

/** Ranges that may wait out of order at once, whatever the window: tiny ones must not cost more than they carry. */
const MOST_RANGES = 1024;

/** Puts the segment's text where it belongs; what cannot be kept is dropped and, where due, reported. */
export function queueData(c: Connection, seg: Segment): void {
  if (seg.seq === seg.end) return;
  if (c.state < State.Established) return;
  const window = c.receiveWindow;
  if (seg.seq === c.rcvNxt) {
    if (window === 0) {
      // a window probe: answered at once
      if (seg.length === 0 && (seg.flags & FIN) !== 0) {
        c.ackNow = true;
        return inOrder(c, seg);
      }
      return outOfWindow(c, Drop.TcpZeroWindow);
    }
    return inOrder(c, seg);
  }
  if (!after(seg.end, c.rcvNxt)) {
    setDuplicate(c, seg.seq, seg.end);
    return outOfWindow(c, Drop.TcpOldData);
  }
  if (!before(seg.seq, (c.rcvNxt + window) | 0)) return outOfWindow(c, Drop.TcpOutOfWindow);
  if (before(seg.seq, c.rcvNxt)) {
    setDuplicate(c, seg.seq, c.rcvNxt);
    if (window === 0) return outOfWindow(c, Drop.TcpZeroWindow);
    return inOrder(c, seg);
  }
  outOfOrder(c, seg);
}

function outOfWindow(c: Connection, why: Drop): void {
  c.tcp.ns.count(why);
  enterQuickAck(c);
  scheduleAck(c);
}

/** Copies what is new of the segment to its place in the ring, up to `end`; false when there is no memory. */
function store(c: Connection, seg: Segment, from: number, end: number): boolean {
  const n = span(end, from);
  if (n <= 0) return true;
  const base = c.copiedSeq;
  const held = c.receiveRing.size === 0 ? 0 : span(later(c.rcvNxt, c.ofo.count > 0 ? c.ofo.end : c.rcvNxt), base);
  if (!c.receiveRing.reserve(base, held, Math.max(held, span(end, base)))) {
    c.tcp.noBuffer();
    return false;
  }
  c.receiveRing.putCore(from, seg.payload + span(from, seg.seq), n);
  return true;
}

function inOrder(c: Connection, seg: Segment): void {
  const dataEnd = (seg.seq + seg.length) | 0;
  const fin = (seg.flags & FIN) !== 0;
  // nobody reads any more: it counts, and goes
  if ((c.shutdown & RCV_SHUTDOWN) === 0 || !c.dead) {
    if (!store(c, seg, c.rcvNxt, dataEnd)) return scheduleAck(c);
  }
  if (seg.length > 0) {
    if (seg.seq === c.rcvNxt) holdNext(c, seg.length);
    else hold(c, seg.length);
  }
  c.rcvNxt = later(c.rcvNxt, dataEnd);
  if (seg.length > 0) dataReceived(c, seg);
  checkEcn(c, seg, enterQuickAck);
  if (c.ofo.count > 0) {
    if (fin) c.ofo.clear();
    else {
      // tcp_ofo_queue: what waited and came again in order was a duplicate
      const from = c.ofo.overlapStart(seg.seq, c.rcvNxt);
      if (from !== c.rcvNxt) extendDuplicate(c, from, c.ofo.overlapEnd(seg.seq, c.rcvNxt));
      c.rcvNxt = c.ofo.advance(c.rcvNxt);
    }
    // RFC 5681 §4.2: a gap that closes is acknowledged at once
    if (c.ofo.count === 0) c.ackNow = true;
  }
  if (fin) return receiveFin(c, (dataEnd + 1) | 0);
  if (c.ofo.hasFin && c.ofo.fin === c.rcvNxt) return receiveFin(c, (c.rcvNxt + 1) | 0);
  if (seg.length > 0) c.notify(Wake.Readable);
}

/** tcp_fin (RFC 9293 §3.10.7.4, eighth) */
function receiveFin(c: Connection, next: number): void {
  c.rcvNxt = next;
  c.finReceived = true;
  c.ofo.clear();
  scheduleAck(c);
  c.shutdown |= RCV_SHUTDOWN;
  switch (c.state) {
    case State.SynRcvd:
    case State.Established:
      c.state = State.CloseWait;
      // what comes next is likely our own FIN
      c.pingpong = Math.max(c.pingpong, 1);
      break;
    case State.FinWait1:
      // both closed at once
      c.ackNow = true;
      c.state = State.Closing;
      break;
    case State.FinWait2:
      c.timeWaitDue = true;
      break;
    default:
  }
  c.notify(Wake.Readable | (c.shutdown === (RCV_SHUTDOWN | SEND_SHUTDOWN) ? Wake.Hangup : 0));
}

/** The connection's own intervals, to be written. */
function held(c: Connection): Intervals {
  if (c.ofo === NO_INTERVALS) c.ofo = new Intervals();
  return c.ofo;
}

/** tcp_data_queue_ofo */
function outOfOrder(c: Connection, seg: Segment): void {
  checkEcn(c, seg, enterQuickAck);
  measureMss(c, seg);
  scheduleAck(c);
  const limit = (c.rcvNxt + c.receiveWindow) | 0;
  let end = (seg.seq + seg.length) | 0;
  const whole = !after(end, limit);
  if (!whole) end = limit;
  if ((seg.flags & FIN) !== 0 && whole) {
    const ofo = held(c);
    ofo.fin = end;
    ofo.hasFin = true;
  }
  if (!after(end, seg.seq)) return;
  if (c.ofo.count >= MOST_RANGES && !c.ofo.covers(seg.seq, end)) return c.tcp.ns.count(Drop.TcpOfoFull);
  if (c.ofo.covers(seg.seq, end)) {
    setDuplicate(c, seg.seq, end);
    // its block is told first
    c.ofo.insert(seg.seq, end);
    return;
  }
  const from = c.ofo.overlapStart(seg.seq, end);
  if (from !== end) extendDuplicate(c, from, c.ofo.overlapEnd(seg.seq, end));
  if (!store(c, seg, seg.seq, end)) return;
  held(c).insert(seg.seq, end);
  if (c.sackOk) growWindow(c, seg);
  hold(c, seg.length);
  if (c.owner !== null) growBuffer(c, c.rcvqSpace);
}

/** tcp_check_urg (RFC 9293 §3.8.5, RFC 6093): where the urgent byte is, and the byte if it is in this segment. */
export function receiveUrgent(c: Connection, seg: Segment): void {
  if ((seg.flags & URG) !== 0) announceUrgent(c, seg);
  if (c.urgData === NOT_YET) {
    const offset = span(c.urgSeq, seg.seq);
    if (offset >= 0 && offset < seg.length) {
      c.urgData = VALID | c.tcp.core.u8[seg.payload + offset]!;
      c.notify(Wake.Priority);
    }
  }
}

const VALID = 0x100;
/** Announced; the byte has not come. */
const NOT_YET = 0x400;

function announceUrgent(c: Connection, seg: Segment): void {
  if (seg.urgent === 0) return;
  // the pointer points behind the urgent byte, and is read as pointing at it (tcp_stdurg is 0, as in BSD)
  const at = (seg.seq + seg.urgent - 1) | 0;
  if (after(c.copiedSeq, at) || before(at, c.rcvNxt)) return;
  if (c.urgData !== 0 && !after(at, c.urgSeq)) return;
  // a second one makes the first ordinary data again, unless it was read
  c.urgSeq = at;
  c.urgData = NOT_YET;
  c.notify(Wake.Priority);
}
