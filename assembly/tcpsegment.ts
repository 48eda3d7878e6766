// assembly/tcpsegment.ts: segments as a connection reads and writes them, in one call each.

import { get32 } from "./bytes.ts";
import { Pkt } from "./layout.ts";
import { packetAlloc } from "./packet.ts";
import { Seg, SegOpt } from "./tcplayout.ts";
import * as ethernet from "./wire/ethernet.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as tcp from "./wire/tcp.ts";
import * as options from "./wire/tcpoptions.ts";

const record: usize = memory.data(104, 16);

/** The blocks of the SACK option that the next segment carries: pairs of u32 (first, behind the last). */
const blocks: usize = memory.data(32, 16);

export function tcpRecord(): usize {
  return record;
}

export function tcpBlocks(): usize {
  return blocks;
}

/** Reads a segment that tcp.check has passed, at `Trans` behind the header at `Net`, into the record. */
export function tcpRead(h: usize): void {
  const ip: usize = load<u32>(h, Pkt.Net);
  const p: usize = load<u32>(h, Pkt.Trans);
  const hl = tcp.headerLen(p);
  store<u32>(record, tcp.seq(p), Seg.Seq);
  store<u32>(record, tcp.ack(p), Seg.Ack);
  store<u32>(record, tcp.flags(p), Seg.Flags);
  store<u32>(record, tcp.window(p), Seg.Window);
  store<u32>(record, tcp.urgent(p), Seg.Urgent);
  store<u32>(record, <u32>p + hl, Seg.Payload);
  store<u32>(record, hl, Seg.HeaderLen);
  store<u32>(record, load<u32>(h, Pkt.Len) - ipv4.headerLen(ip) - hl, Seg.Len);
  store<u32>(record, ipv4.src(ip), Seg.Src);
  store<u32>(record, ipv4.dst(ip), Seg.Dst);
  store<u32>(record, tcp.srcPort(p), Seg.SrcPort);
  store<u32>(record, tcp.dstPort(p), Seg.DstPort);
  store<u32>(record, ipv4.tos(ip), Seg.Tos);
  store<u32>(record, 0, Seg.Options);
  if (hl == tcp.HEADER_LEN) return;
  // tcp_parse_aligned_timestamp: the form in which nearly every segment comes
  if (hl == tcp.HEADER_LEN + 12 && get32(p, tcp.HEADER_LEN) == ALIGNED) {
    store<u32>(record, get32(p, tcp.HEADER_LEN + 4), Seg.Tsval);
    store<u32>(record, get32(p, tcp.HEADER_LEN + 8), Seg.Tsecr);
    store<u32>(record, SegOpt.Timestamps, Seg.Options);
    return;
  }
  readOptions(p);
}

/** NOP, NOP, timestamps, 10 */
const ALIGNED: u32 = 0x0101080a;

/** tcp_parse_options: MSS, window scale and SACK-permitted count in a SYN only (RFC 9293 MUST-65, RFC 7323 §2.2). */
function readOptions(p: usize): void {
  const syn = (tcp.flags(p) & tcp.SYN) != 0;
  let seen: u32 = 0;
  const at = options.timestamps(p);
  if (at != 0) {
    store<u32>(record, options.tsval(p, at), Seg.Tsval);
    store<u32>(record, options.tsecr(p, at), Seg.Tsecr);
    seen |= SegOpt.Timestamps;
  }
  if (syn) {
    const mss = options.mss(p);
    if (mss != 0) {
      store<u32>(record, mss, Seg.Mss);
      seen |= SegOpt.Mss;
    }
    const shift = options.windowScale(p);
    if (shift >= 0) {
      store<u32>(record, shift, Seg.Shift);
      seen |= SegOpt.Shift;
    }
    if (options.sackPermitted(p)) seen |= SegOpt.SackPermitted;
  }
  const sack = options.sack(p);
  if (sack != 0) {
    const n = options.sackCount(p, sack);
    const count: u32 = n < 4 ? n : 4;
    for (let i: u32 = 0; i < count; i++) {
      store<u32>(record + (i << 3), options.sackLeft(p, sack, i), Seg.Sack);
      store<u32>(record + (i << 3), options.sackRight(p, sack, i), Seg.Sack + 4);
    }
    store<u32>(record, count, Seg.SackCount);
    seen |= SegOpt.Sack;
  }
  store<u32>(record, seen, Seg.Options);
}

/**
 * A segment of a connection, `Data` at its IPv4 header, checksums filled; 0 when there is no buffer. The data are
 * `len1` bytes at `from1` and `len2` at `from2` (a ring's two parts). `sacks` counts the pairs at `tcpBlocks()`.
 */
export function tcpBuild(
  src: u32,
  dst: u32,
  srcPort: u32,
  dstPort: u32,
  seq: u32,
  ack: u32,
  flags: u32,
  window: u32,
  urgent: u32,
  withTimestamps: bool,
  tsval: u32,
  tsecr: u32,
  sacks: u32,
  from1: usize,
  len1: u32,
  from2: usize,
  len2: u32,
  tos: u32,
  ttl: u32,
  id: u32,
  frag: u32,
): usize {
  let hl = tcp.HEADER_LEN;
  if (withTimestamps) hl += 12;
  if (sacks != 0) hl += 4 + sacks * options.SACK_BLOCK;
  const len = len1 + len2;
  const h = packetAlloc(ipv4.HEADER_LEN + hl + len);
  if (h == 0) return 0;
  const ip: usize = load<u32>(h, Pkt.Data);
  const p = ip + ipv4.HEADER_LEN;
  store<u32>(h, <u32>ip, Pkt.Net);
  store<u32>(h, <u32>p, Pkt.Trans);
  store<u32>(h, ethernet.TYPE_IPV4, Pkt.Protocol);
  ipv4.emit(ip, tos, ipv4.HEADER_LEN + hl + len, id, frag, ttl, tcp.PROTO, src, dst);
  tcp.emit(p, srcPort, dstPort, seq, ack, hl, flags, window);
  if (urgent != 0) tcp.setUrgent(p, urgent);
  let at: u32 = tcp.HEADER_LEN;
  if (withTimestamps) at = options.putTimestamps(p, at, tsval, tsecr);
  if (sacks != 0) options.putSack(p, at, blocks, sacks);
  if (len1 != 0) memory.copy(p + hl, from1, len1);
  if (len2 != 0) memory.copy(p + hl + len1, from2, len2);
  tcp.fillChecksum(p, hl + len, src, dst);
  return h;
}

/** A SYN, or a SYN,ACK; `shift` below 0: no window scale. */
export function tcpBuildSyn(
  src: u32,
  dst: u32,
  srcPort: u32,
  dstPort: u32,
  seq: u32,
  ack: u32,
  flags: u32,
  window: u32,
  mss: u32,
  shift: i32,
  withSack: bool,
  withTimestamps: bool,
  tsval: u32,
  tsecr: u32,
  tos: u32,
  ttl: u32,
  id: u32,
  frag: u32,
): usize {
  const h = packetAlloc(ipv4.HEADER_LEN + tcp.MAX_HEADER_LEN);
  if (h == 0) return 0;
  const ip: usize = load<u32>(h, Pkt.Data);
  const p = ip + ipv4.HEADER_LEN;
  store<u32>(h, <u32>ip, Pkt.Net);
  store<u32>(h, <u32>p, Pkt.Trans);
  store<u32>(h, ethernet.TYPE_IPV4, Pkt.Protocol);
  tcp.emit(p, srcPort, dstPort, seq, ack, tcp.HEADER_LEN, flags, window);
  const hl = options.putSyn(p, mss, shift, withSack, withTimestamps, tsval, tsecr);
  store<u32>(h, ipv4.HEADER_LEN + hl, Pkt.Len);
  ipv4.emit(ip, tos, ipv4.HEADER_LEN + hl, id, frag, ttl, tcp.PROTO, src, dst);
  tcp.fillChecksum(p, hl, src, dst);
  return h;
}
