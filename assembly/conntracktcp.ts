// assembly/conntracktcp.ts: TCP as a middlebox sees it: states and windows (nf_conntrack_proto_tcp; van Rooij, "Real
// stateful TCP packet filtering in IP Filter", 2001).

import { get16, get32, get8 } from "./bytes.ts";
import { account, kill, note, refresh } from "./conntrack.ts";
import { Ct, CtEvent, CtStatus, CtTable, CtWindow, TcpState } from "./conntracklayout.ts";
import { Pkt } from "./layout.ts";
import * as tcp from "./wire/tcp.ts";

/** What a tracker makes of a packet. */
export const INVALID: u32 = 0;
export const VALID: u32 = 1;
/** The old connection is gone; the packet starts a new one. */
export const REPEAT: u32 = 2;
export const DROP: u32 = 3;

// kinds of segment (enum tcp_bit_set)
const SYN: u32 = 0;
const SYNACK: u32 = 1;
const FIN: u32 = 2;
const ACK: u32 = 3;
const RST: u32 = 4;
const NONE: u32 = 5;

// flags of a window (IP_CT_TCP_FLAG_*), and of `LastFlags`
const WINDOW_SCALE: u32 = 0x01;
const SACK_PERM: u32 = 0x02;
const CLOSE_INIT: u32 = 0x04;
const BE_LIBERAL: u32 = 0x08;
const UNACKNOWLEDGED: u32 = 0x10;
const MAXACK_SET: u32 = 0x20;
const CHALLENGE_ACK: u32 = 0x40;
const SIMULTANEOUS_OPEN: u32 = 0x80;

/** MAXACKWINCONST: how far an ACK may lag behind. */
const MAX_ACK_WINDOW: u32 = 66000;
const HZ: i32 = 250;

/**
 * The state that a segment leads to: rows by direction and kind of segment, columns by the state before (None, SynSent,
 * SynRecv, Established, FinWait, CloseWait, LastAck, TimeWait, Close, SynSent2, and six unused).
 */
// prettier-ignore
const transitions: usize = memory.data<u8>([
  // original: SYN, SYN-ACK, FIN, ACK, RST, none
  1, 1, 11, 11, 11, 11, 11, 1, 1, 9, 10, 10, 10, 10, 10, 10,
  10, 10, 2, 10, 10, 10, 10, 10, 10, 2, 10, 10, 10, 10, 10, 10,
  10, 10, 4, 4, 6, 6, 6, 7, 8, 10, 10, 10, 10, 10, 10, 10,
  3, 10, 3, 3, 5, 5, 7, 7, 8, 10, 10, 10, 10, 10, 10, 10,
  10, 8, 8, 8, 8, 8, 8, 8, 8, 8, 10, 10, 10, 10, 10, 10,
  10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
  // reply
  10, 9, 10, 10, 10, 10, 10, 1, 10, 9, 10, 10, 10, 10, 10, 10,
  10, 2, 11, 11, 11, 11, 11, 11, 11, 2, 10, 10, 10, 10, 10, 10,
  10, 10, 4, 4, 6, 6, 6, 7, 8, 10, 10, 10, 10, 10, 10, 10,
  10, 11, 2, 3, 5, 5, 7, 7, 8, 11, 10, 10, 10, 10, 10, 10,
  10, 8, 8, 8, 8, 8, 8, 8, 8, 8, 10, 10, 10, 10, 10, 10,
  10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
]);

function after(state: u32, dir: u32, kind: u32): u32 {
  return <u32>load<u8>(transitions + ((dir * 6 + kind) << 4) + state);
}

// @ts-ignore: decorator
@inline
function seqBefore(a: u32, b: u32): bool {
  return <i32>(a - b) < 0;
}
// @ts-ignore: decorator
@inline
function seqAfter(a: u32, b: u32): bool {
  return <i32>(b - a) < 0;
}

function kindOf(flags: u32): u32 {
  if ((flags & tcp.RST) != 0) return RST;
  if ((flags & tcp.SYN) != 0) return (flags & tcp.ACK) != 0 ? SYNACK : SYN;
  if ((flags & tcp.FIN) != 0) return FIN;
  return (flags & tcp.ACK) != 0 ? ACK : NONE;
}

/** tcp_valid_flags: PSH, ECE and CWR may come with anything, URG with SYN, FIN-ACK and ACK. */
function validFlags(flags: u32): bool {
  switch (flags & ~(tcp.PSH | tcp.ECE | tcp.CWR)) {
    case tcp.SYN:
    case tcp.SYN | tcp.URG:
    case tcp.SYN | tcp.ACK:
    case tcp.RST:
    case tcp.RST | tcp.ACK:
    case tcp.FIN | tcp.ACK:
    case tcp.FIN | tcp.ACK | tcp.URG:
    case tcp.ACK:
    case tcp.ACK | tcp.URG:
      return true;
    default:
      return false;
  }
}

/** Sequence number behind the segment: data, SYN and FIN take room. */
function endOf(th: usize, len: u32): u32 {
  const flags = tcp.flags(th);
  return tcp.seq(th) + (len - tcp.headerLen(th)) + ((flags & tcp.SYN) != 0 ? 1 : 0) + ((flags & tcp.FIN) != 0 ? 1 : 0);
}

// @ts-ignore: decorator
@inline
function windowOf(e: usize, dir: u32): usize {
  return e + Ct.Window + dir * 20;
}

/** tcp_options: window scale and SACK-permitted of a SYN. The result: flags | scale << 8. */
function options(th: usize): u32 {
  let p = th + tcp.HEADER_LEN;
  let left = tcp.headerLen(th) - tcp.HEADER_LEN;
  let flags: u32 = 0;
  let scale: u32 = 0;
  while (left > 0) {
    const kind = get8(p, 0);
    if (kind == 0) break;
    if (kind == 1) {
      p++;
      left--;
      continue;
    }
    if (left < 2) break;
    const n = get8(p, 1);
    if (n < 2 || n > left) break;
    if (kind == 4 && n == 2) flags |= SACK_PERM;
    else if (kind == 3 && n == 3) {
      // RFC 7323 §2.3: larger shifts count as 14
      scale = min<u32>(get8(p, 2), 14);
      flags |= WINDOW_SCALE;
    }
    p += n;
    left -= n;
  }
  return flags | (scale << 8);
}

function learnOptions(th: usize, w: usize): void {
  const o = options(th);
  store<u8>(w, o >> 8, CtWindow.Scale);
  store<u8>(w, ((<u32>load<u8>(w, CtWindow.Flags)) & BE_LIBERAL) | (o & 0xff), CtWindow.Flags);
}

/** tcp_sack: the highest right edge of the selective acknowledgements, or `ack`. */
function sackOf(th: usize, ack: u32): u32 {
  let p = th + tcp.HEADER_LEN;
  let left = tcp.headerLen(th) - tcp.HEADER_LEN;
  let sack = ack;
  while (left > 0) {
    const kind = get8(p, 0);
    if (kind == 0) break;
    if (kind == 1) {
      p++;
      left--;
      continue;
    }
    if (left < 2) break;
    const n = get8(p, 1);
    if (n < 2 || n > left) break;
    if (kind == 5 && n >= 10 && ((n - 2) & 7) == 0) {
      for (let i: u32 = 2; i < n; i += 8) {
        const right = get32(p, i + 4);
        if (seqAfter(right, sack)) sack = right;
      }
      break;
    }
    p += n;
    left -= n;
  }
  return sack;
}

/** tcp_init_sender: a SYN, or its answer, tells where a direction begins. */
function initSender(sender: usize, receiver: usize, th: usize, end: u32, win: u32, dir: u32): void {
  store<u32>(sender, end, CtWindow.End);
  store<u32>(sender, end, CtWindow.MaxEnd);
  store<u32>(sender, win == 0 ? 1 : win, CtWindow.MaxWin);
  learnOptions(th, sender);
  // RFC 7323 §2.2: scaling needs both sides
  if (dir == 1 && (load<u8>(sender, CtWindow.Flags) & load<u8>(receiver, CtWindow.Flags) & (<u8>WINDOW_SCALE)) == 0) {
    store<u8>(sender, 0, CtWindow.Scale);
    store<u8>(receiver, 0, CtWindow.Scale);
  }
}

// answers of `inWindow`
const IN_WINDOW: u32 = 0;
const IGNORED: u32 = 1;
const OUTSIDE: u32 = 2;

/** Out of the window, unless someone asked not to be strict: then all is well and nothing is learnt. */
function outside(t: usize, sender: usize, answer: u32): u32 {
  const liberal = (load<u8>(sender, CtWindow.Flags) & (<u8>BE_LIBERAL)) != 0 || load<u32>(t, CtTable.TcpLiberal) != 0;
  return liberal ? IN_WINDOW : answer;
}

/** tcp_in_window: data inside what the receiver offered, acknowledgements of what was seen. */
function inWindow(t: usize, e: usize, dir: u32, kind: u32, th: usize, len: u32): u32 {
  const sender = windowOf(e, dir);
  const receiver = windowOf(e, 1 - dir);
  const state = <u32>load<u8>(e, Ct.State);
  const flags = tcp.flags(th);
  const isSyn = (flags & tcp.SYN) != 0;
  let seq = tcp.seq(th);
  let ack = tcp.ack(th);
  let sack = ack;
  const rawWin = tcp.window(th);
  let win = rawWin;
  let end = endOf(th, len);
  if ((load<u8>(receiver, CtWindow.Flags) & (<u8>SACK_PERM)) != 0) sack = sackOf(th, ack);
  if (load<u32>(sender, CtWindow.MaxWin) == 0) {
    if (isSyn) {
      initSender(sender, receiver, th, end, win, dir);
      // simultaneous open
      if ((flags & tcp.ACK) == 0) return IN_WINDOW;
    } else {
      // the middle of a connection: take what the segment says
      store<u32>(sender, end, CtWindow.End);
      const scaled = win << load<u8>(sender, CtWindow.Scale);
      const room: u32 = scaled == 0 ? 1 : scaled;
      store<u32>(sender, room, CtWindow.MaxWin);
      store<u32>(sender, end + room, CtWindow.MaxEnd);
      if (load<u32>(receiver, CtWindow.MaxWin) == 0) {
        store<u32>(receiver, sack, CtWindow.End);
        store<u32>(receiver, sack, CtWindow.MaxEnd);
      } else if (sack == load<u32>(receiver, CtWindow.End) + 1) {
        // the answer to a keep-alive
        store<u32>(receiver, sack, CtWindow.End);
      }
    }
  } else if (
    isSyn &&
    seqAfter(end, load<u32>(sender, CtWindow.End)) &&
    (state == TcpState.SynSent || state == TcpState.SynRecv)
  ) {
    // the connection starts over with other numbers (RFC 9293 §3.4.2)
    initSender(sender, receiver, th, end, win, dir);
    if (dir == 1 && (flags & tcp.ACK) == 0) return IN_WINDOW;
  }
  const receiverEnd = load<u32>(receiver, CtWindow.End);
  if ((flags & tcp.ACK) == 0 || ((flags & tcp.RST) != 0 && ack == 0)) {
    ack = receiverEnd;
    sack = receiverEnd;
  }
  if ((flags & tcp.RST) != 0 && seq == 0 && state == TcpState.SynSent) {
    // a RST that answers the SYN
    seq = load<u32>(sender, CtWindow.End);
    end = seq;
  }
  const maxEnd = load<u32>(sender, CtWindow.MaxEnd);
  const senderEnd = load<u32>(sender, CtWindow.End);
  const receiverWin = load<u32>(receiver, CtWindow.MaxWin);
  const ackWindow = max<u32>(load<u32>(sender, CtWindow.MaxWin), MAX_ACK_WINDOW);
  if (!seqBefore(seq, maxEnd + 1)) {
    const overshot = end - maxEnd + 1;
    const ackOk = seqAfter(sack, receiverEnd - ackWindow - 1);
    const near = receiverWin != 0 && seqAfter(end, senderEnd - receiverWin - 1);
    if (near && ackOk && overshot <= receiverWin && seqBefore(sack, receiverEnd + 1)) {
      // more than the receiver offered: if it gets through and is acknowledged, the window has moved
      store<u32>(sender, end, CtWindow.End);
      store<u8>(sender, load<u8>(sender, CtWindow.Flags) | (<u8>UNACKNOWLEDGED), CtWindow.Flags);
      return outside(t, sender, IGNORED);
    }
    return outside(t, sender, OUTSIDE);
  }
  if (!seqBefore(sack, receiverEnd + 1)) return outside(t, sender, OUTSIDE);
  if (receiverWin != 0 && !seqAfter(end, senderEnd - receiverWin - 1)) return outside(t, sender, IGNORED);
  if (!seqAfter(sack, receiverEnd - ackWindow - 1)) return outside(t, sender, IGNORED);

  if (!isSyn) win <<= load<u8>(sender, CtWindow.Scale);
  const offered = win + (sack - ack);
  if (load<u32>(sender, CtWindow.MaxWin) < offered) store<u32>(sender, offered, CtWindow.MaxWin);
  if (seqAfter(end, senderEnd)) {
    store<u32>(sender, end, CtWindow.End);
    store<u8>(sender, load<u8>(sender, CtWindow.Flags) | (<u8>UNACKNOWLEDGED), CtWindow.Flags);
  }
  if ((flags & tcp.ACK) != 0) {
    if ((load<u8>(sender, CtWindow.Flags) & (<u8>MAXACK_SET)) == 0) {
      store<u32>(sender, ack, CtWindow.MaxAck);
      store<u8>(sender, load<u8>(sender, CtWindow.Flags) | (<u8>MAXACK_SET), CtWindow.Flags);
    } else if (seqAfter(ack, load<u32>(sender, CtWindow.MaxAck))) {
      store<u32>(sender, ack, CtWindow.MaxAck);
    }
  }
  if (receiverWin != 0 && seqAfter(end, maxEnd)) store<u32>(receiver, receiverWin + (end - maxEnd), CtWindow.MaxWin);
  if (seqAfter(sack + win, load<u32>(receiver, CtWindow.MaxEnd) - 1)) {
    store<u32>(receiver, sack + win + (win == 0 ? 1 : 0), CtWindow.MaxEnd);
  }
  if (ack == receiverEnd)
    store<u8>(receiver, load<u8>(receiver, CtWindow.Flags) & (<u8>~UNACKNOWLEDGED), CtWindow.Flags);
  if (kind == ACK) countRetransmission(e, dir, seq, ack, end, rawWin);
  return IN_WINDOW;
}

function countRetransmission(e: usize, dir: u32, seq: u32, ack: u32, end: u32, win: u32): void {
  if (
    <u32>load<u8>(e, Ct.LastDir) == dir &&
    load<u32>(e, Ct.LastSeq) == seq &&
    load<u32>(e, Ct.LastAck) == ack &&
    load<u32>(e, Ct.LastEnd) == end &&
    <u32>load<u16>(e, Ct.LastWin) == win
  ) {
    store<u8>(e, load<u8>(e, Ct.Retrans) + 1, Ct.Retrans);
    return;
  }
  store<u8>(e, dir, Ct.LastDir);
  store<u32>(e, seq, Ct.LastSeq);
  store<u32>(e, ack, Ct.LastAck);
  store<u32>(e, end, Ct.LastEnd);
  store<u16>(e, win, Ct.LastWin);
  store<u8>(e, 0, Ct.Retrans);
}

/** tcp_new: whether a segment may start a connection; without a SYN only in loose mode. */
function begin(t: usize, e: usize, th: usize, len: u32, kind: u32): bool {
  const state = after(TcpState.None, 0, kind);
  if (state >= <u32>TcpState.Invalid) return false;
  if (state != TcpState.SynSent && load<u32>(t, CtTable.TcpLoose) == 0) return false;
  memory.fill(e + Ct.Window, 0, 60);
  store<u8>(e, TcpState.None, Ct.State);
  const w = windowOf(e, 0);
  const end = endOf(th, len);
  const win = max<u32>(tcp.window(th), 1);
  store<u32>(w, end, CtWindow.End);
  store<u32>(w, win, CtWindow.MaxWin);
  if (state == TcpState.SynSent) {
    store<u32>(w, end, CtWindow.MaxEnd);
    learnOptions(th, w);
  } else {
    store<u32>(w, end + win, CtWindow.MaxEnd);
    // the scale is lost for us: be lenient
    store<u8>(w, SACK_PERM | BE_LIBERAL, CtWindow.Flags);
    store<u8>(windowOf(e, 1), SACK_PERM | BE_LIBERAL, CtWindow.Flags);
  }
  store<u8>(e, NONE, Ct.LastIndex);
  return true;
}

/** nf_conntrack_tcp_established */
function established(e: usize): bool {
  return load<u8>(e, Ct.State) == <u8>TcpState.Established && (load<u32>(e, Ct.Status) & CtStatus.Assured) != 0;
}

/** A segment that the state has no place for may still tell the truth: note it, let it through. */
function ignore(e: usize, th: usize, len: u32, dir: u32, kind: u32, before: u32): void {
  store<u8>(e, kind, Ct.LastIndex);
  store<u8>(e, dir, Ct.LastDir);
  store<u32>(e, tcp.seq(th), Ct.LastSeq);
  store<u32>(e, endOf(th, len), Ct.LastEnd);
  store<u16>(e, tcp.window(th), Ct.LastWin);
  if (kind == SYN && dir == 0) {
    const o = options(th);
    store<u8>(e, (o & WINDOW_SCALE) != 0 ? o >> 8 : 0, Ct.LastScale);
    // in LAST-ACK the answer may be a challenge ACK (RFC 5961 §4), not the ACK of the FIN
    store<u8>(e, (o & 0xff) | (before == TcpState.LastAck ? CHALLENGE_ACK : 0), Ct.LastFlags);
  }
  if (before == TcpState.SynSent && kind == ACK && dir == 1) store<u32>(e, tcp.ack(th), Ct.LastAck);
}

// answers of `checkReset`
const RST_WINDOW: u32 = 0;
const RST_INVALID: u32 = 1;
const RST_KEEP: u32 = 2;
const RST_GOOD: u32 = 3;

/** Whether a RST may close the connection: only the exact sequence number may, RFC 5961 §3. */
function checkReset(t: usize, e: usize, dir: u32, th: usize, before: u32): u32 {
  // closing already: what is known of the numbers may be out of date, so nothing is checked (tcp_can_early_drop)
  if (before >= <u32>TcpState.FinWait && before <= <u32>TcpState.Close) return RST_GOOD << 2;
  const other = windowOf(e, 1 - dir);
  const last = <u32>load<u8>(e, Ct.LastIndex);
  const status = load<u32>(e, Ct.Status);
  let answer = RST_WINDOW;
  if ((load<u8>(other, CtWindow.Flags) & (<u8>MAXACK_SET)) != 0 && last != SYN) {
    const seq = tcp.seq(th);
    if (seq == 0 && !established(e)) return RST_WINDOW;
    const maxAck = load<u32>(other, CtWindow.MaxAck);
    if (seqBefore(seq, maxAck) && load<u32>(t, CtTable.TcpIgnoreRst) == 0) return RST_INVALID;
    if (!established(e) || seq == maxAck) return RST_WINDOW;
    // right behind the data that came before it
    if (last == ACK && <u32>load<u8>(e, Ct.LastDir) == dir && seq == load<u32>(e, Ct.LastEnd)) return RST_WINDOW;
    answer = RST_KEEP;
  }
  if (
    (((status & CtStatus.SeenReply) != 0 && last == SYN) || ((status & CtStatus.Assured) == 0 && last == ACK)) &&
    tcp.ack(th) == load<u32>(e, Ct.LastEnd)
  ) {
    // answers a SYN or an ACK that was let through against the state
    return answer | (RST_GOOD << 2);
  }
  if (
    before == TcpState.SynSent &&
    last == ACK &&
    load<u8>(e, Ct.LastDir) == 1 &&
    tcp.seq(th) == load<u32>(e, Ct.LastAck)
  ) {
    // answers a challenge ACK that was let through
    return answer | (RST_GOOD << 2);
  }
  return answer;
}

/** nf_tcp_handle_invalid: FIN or RST from both sides, all outside the window: do not keep the entry for five days. */
function shorten(t: usize, e: usize, dir: u32, kind: u32, now: u32): void {
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.Assured) == 0 || (status & CtStatus.FixedTimeout) != 0 || (kind != RST && kind != FIN)) return;
  const last = <u32>load<u8>(e, Ct.LastIndex);
  if (<u32>load<u8>(e, Ct.LastDir) == dir || (last != FIN && last != RST)) {
    store<u8>(e, kind, Ct.LastIndex);
    store<u8>(e, dir, Ct.LastDir);
    return;
  }
  const left = <i32>(load<u32>(e, Ct.Timeout) - now);
  const unack = load<u32>(t + (TcpState.Unack << 2), CtTable.TcpTimeouts);
  if (left >= 120 * HZ && left > <i32>unack) store<u32>(e, unack + now, Ct.Timeout);
}

function timeoutOf(t: usize, e: usize, state: u32, kind: u32): u32 {
  const base = t + CtTable.TcpTimeouts;
  const own = load<u32>(base + (state << 2));
  const retrans = load<u32>(base + (TcpState.Retrans << 2));
  const unack = load<u32>(base + (TcpState.Unack << 2));
  if (<u32>load<u8>(e, Ct.Retrans) >= load<u32>(t, CtTable.TcpMaxRetrans) && own > retrans) return retrans;
  if (kind == RST) return load<u32>(base + (TcpState.Close << 2));
  const flags = <u32>(load<u8>(windowOf(e, 0), CtWindow.Flags) | load<u8>(windowOf(e, 1), CtWindow.Flags));
  if ((flags & UNACKNOWLEDGED) != 0 && own > unack) return unack;
  if (load<u16>(e, Ct.LastWin) == 0 && own > retrans) return retrans;
  return own;
}

/**
 * nf_conntrack_tcp_packet. `th` and `len`: the segment, whose header of at least 20 bytes is there; the checksum has
 * been looked at.
 */
export function track(t: usize, h: usize, e: usize, info: u32, dir: u32, th: usize, len: u32, now: u32): u32 {
  const headerLen = tcp.headerLen(th);
  if (headerLen < tcp.HEADER_LEN || headerLen > len || !validFlags(tcp.flags(th))) return INVALID;
  const kind = kindOf(tcp.flags(th));
  const confirmed = (load<u32>(e, Ct.Status) & CtStatus.Confirmed) != 0;
  if (!confirmed && !begin(t, e, th, len, kind)) return INVALID;
  let before = <u32>load<u8>(e, Ct.State);
  let next = after(before, dir, kind);
  let checked = false;

  if (next == TcpState.SynSent && before >= <u32>TcpState.TimeWait) {
    const flags = load<u8>(windowOf(e, 0), CtWindow.Flags) | load<u8>(windowOf(e, 1), CtWindow.Flags);
    if (
      (flags & (<u8>CLOSE_INIT)) != 0 ||
      (<u32>load<u8>(e, Ct.LastDir) == dir && <u32>load<u8>(e, Ct.LastIndex) == RST)
    ) {
      // a closed or aborted connection starts again (RFC 1122 §4.2.2.13)
      if ((load<u32>(e, Ct.Status) & CtStatus.Dying) != 0) return DROP;
      kill(t, e);
      return REPEAT;
    }
    next = TcpState.Ignore;
  }
  if (next == TcpState.Ignore) {
    const lastDir = <u32>load<u8>(e, Ct.LastDir);
    if (
      kind == SYNACK &&
      load<u8>(e, Ct.LastIndex) == <u8>SYN &&
      lastDir != dir &&
      tcp.ack(th) == load<u32>(e, Ct.LastEnd)
    ) {
      // the answer to a SYN that seemed out of place: the two ends are in step, so follow them
      before = TcpState.SynSent;
      next = TcpState.SynRecv;
      const w = windowOf(e, lastDir);
      const end = load<u32>(e, Ct.LastEnd);
      store<u32>(w, end, CtWindow.End);
      store<u32>(w, end, CtWindow.MaxEnd);
      store<u32>(w, max<u32>(load<u16>(e, Ct.LastWin), 1), CtWindow.MaxWin);
      store<u8>(w, load<u8>(e, Ct.LastScale), CtWindow.Scale);
      store<u8>(e, load<u8>(e, Ct.LastFlags) & (<u8>~CHALLENGE_ACK), Ct.LastFlags);
      store<u8>(w, load<u8>(e, Ct.LastFlags), CtWindow.Flags);
      // the other side starts over; a connection picked up midway stays lenient towards it
      const other = windowOf(e, dir);
      const lenient = load<u8>(other, CtWindow.Flags) & (<u8>BE_LIBERAL);
      memory.fill(other, 0, 20);
      store<u8>(other, lenient, CtWindow.Flags);
    } else {
      ignore(e, th, len, dir, kind, before);
      return VALID;
    }
  } else if (next == TcpState.Invalid) {
    return INVALID;
  } else if (next == TcpState.TimeWait) {
    const flags = <u32>load<u8>(e, Ct.LastFlags);
    if (
      before == TcpState.LastAck &&
      kind == ACK &&
      <u32>load<u8>(e, Ct.LastDir) != dir &&
      load<u8>(e, Ct.LastIndex) == <u8>SYN &&
      (flags & CHALLENGE_ACK) != 0
    ) {
      store<u8>(e, flags & ~CHALLENGE_ACK, Ct.LastFlags);
      return VALID;
    }
  } else if (next == TcpState.SynSent2) {
    store<u8>(e, load<u8>(e, Ct.LastFlags) | (<u8>SIMULTANEOUS_OPEN), Ct.LastFlags);
  } else if (next == TcpState.SynRecv) {
    if (dir == 1 && kind == ACK && (load<u8>(e, Ct.LastFlags) & (<u8>SIMULTANEOUS_OPEN)) != 0)
      next = TcpState.Established;
  } else if (next == TcpState.Close && kind == RST) {
    const r = checkReset(t, e, dir, th, before);
    if (r == RST_INVALID) return INVALID;
    if ((r & 3) == RST_KEEP) next = before;
    checked = r >> 2 == RST_GOOD;
  }

  if (!checked) {
    const w = inWindow(t, e, dir, kind, th, len);
    if (w == IGNORED) return VALID;
    if (w == OUTSIDE) {
      shorten(t, e, dir, kind, now);
      return INVALID;
    }
  }
  store<u8>(e, kind, Ct.LastIndex);
  store<u8>(e, dir, Ct.LastDir);
  store<u8>(e, next, Ct.State);
  if (before != next && next == TcpState.FinWait) {
    const w = windowOf(e, dir);
    store<u8>(w, load<u8>(w, CtWindow.Flags) | (<u8>CLOSE_INIT), CtWindow.Flags);
  }
  let timeout = timeoutOf(t, e, next, kind);
  if (next != before) note(e, CtEvent.ProtoInfo);
  const status = load<u32>(e, Ct.Status);
  const packetLen = load<u32>(h, Pkt.Len);
  if ((status & CtStatus.SeenReply) == 0) {
    if (kind == RST) {
      // the only answer is a RST: nothing was ever established
      account(e, info, packetLen);
      kill(t, e);
      return VALID;
    }
    // a repeated SYN must not keep the entry (and its mapping) alive for ever
    if (kind == SYN && before == TcpState.SynSent) return VALID;
    const unack = load<u32>(t + (TcpState.Unack << 2), CtTable.TcpTimeouts);
    if (next == TcpState.Established && timeout > unack) timeout = unack;
  } else if (
    (status & CtStatus.Assured) == 0 &&
    (before == TcpState.SynRecv || before == TcpState.Established) &&
    next == TcpState.Established
  ) {
    store<u32>(e, status | CtStatus.Assured, Ct.Status);
    note(e, CtEvent.Assured);
  }
  refresh(t, e, info, packetLen, timeout, now);
  return VALID;
}

/** Whether the ports' owner may be put out by a new connection: long closed, translated, and behind it in sequence. */
export function mayReplace(old: usize, fresh: usize): bool {
  if (<u32>load<u8>(old, Ct.State) < <u32>TcpState.TimeWait || <u32>load<u8>(old, Ct.State) > <u32>TcpState.Close)
    return false;
  const status = load<u32>(old, Ct.Status);
  if ((status & (CtStatus.FixedTimeout | CtStatus.Dying)) != 0 || (status & CtStatus.SrcNat) == 0) return false;
  return <i32>(load<u32>(windowOf(fresh, 0), CtWindow.End) - load<u32>(windowOf(old, 0), CtWindow.End)) > 0;
}

/** nf_ct_tcp_fixup: tracking was off, so the windows are stale; the next segments tell new ones. */
export function forgetWindows(e: usize): void {
  if (load<u8>(e, Ct.Proto) != 6) return;
  store<u32>(windowOf(e, 0), 0, CtWindow.MaxWin);
  store<u32>(windowOf(e, 1), 0, CtWindow.MaxWin);
}

/** The segment's ports as one word. */
export function portsAt(p: usize): u32 {
  return (get16(p, 0) << 16) | get16(p, 2);
}
