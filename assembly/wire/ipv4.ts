// assembly/wire/ipv4.ts: IPv4 header, RFC 791 §3.1.
//
//     0        1     2         4        6              8     9        10        12     16     20
//     | v, ihl | tos | length  | id     | flags,offset | ttl | proto  | checksum | src  | dst  | options

import { get16, get32, get8, set16, set32, set8 } from "../bytes.ts";
import { checksum as sumOf, update16, update32 } from "../checksum.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 20;
export const MAX_HEADER_LEN: u32 = 60;
export const PROTO_ICMP: u32 = 1;
export const PROTO_TCP: u32 = 6;
export const PROTO_UDP: u32 = 17;
/** Bits of the flags-and-offset word. */
export const RESERVED: u32 = 0x8000;
export const DF: u32 = 0x4000;
export const MF: u32 = 0x2000;
export const OFFSET_MASK: u32 = 0x1fff;

const VIHL: usize = 0;
const TOS: usize = 1;
const LENGTH: usize = 2;
const ID: usize = 4;
const FRAG: usize = 6;
const TTL: usize = 8;
const PROTO: usize = 9;
const CHECKSUM: usize = 10;
const SRC: usize = 12;
const DST: usize = 16;

/** The order of ip_rcv_core: version and header length, header checksum, total length. Padding behind the packet is legal. */
export function check(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  if (version(p) != 4) return Drop.BadVersion;
  const hl = headerLen(p);
  if (hl < HEADER_LEN) return Drop.BadHeaderLength;
  if (hl > len) return Drop.Truncated;
  if (sumOf(p, hl) != 0) return Drop.BadChecksum;
  const n = length(p);
  if (n > len) return Drop.Truncated;
  return n < hl ? Drop.BadLength : Drop.None;
}

export function version(p: usize): u32 {
  return get8(p, VIHL) >> 4;
}
/** Bytes. */
export function headerLen(p: usize): u32 {
  return (get8(p, VIHL) & 15) << 2;
}
export function tos(p: usize): u32 {
  return get8(p, TOS);
}
export function length(p: usize): u32 {
  return get16(p, LENGTH);
}
export function id(p: usize): u32 {
  return get16(p, ID);
}
/** The whole word: reserved, DF, MF, offset in units of 8 bytes. */
export function frag(p: usize): u32 {
  return get16(p, FRAG);
}
export function isFragment(p: usize): bool {
  return (get16(p, FRAG) & (MF | OFFSET_MASK)) != 0;
}
export function ttl(p: usize): u32 {
  return get8(p, TTL);
}
export function proto(p: usize): u32 {
  return get8(p, PROTO);
}
export function headerChecksum(p: usize): u32 {
  return get16(p, CHECKSUM);
}
export function src(p: usize): u32 {
  return get32(p, SRC);
}
export function dst(p: usize): u32 {
  return get32(p, DST);
}

export function setLength(p: usize, v: u32): void {
  set16(p, LENGTH, v);
}
export function setId(p: usize, v: u32): void {
  set16(p, ID, v);
}
export function setFrag(p: usize, v: u32): void {
  set16(p, FRAG, v);
}

/** Sums the header anew. */
export function fillChecksum(p: usize): void {
  set16(p, CHECKSUM, 0);
  set16(p, CHECKSUM, sumOf(p, headerLen(p)));
}

// Edits in place with an incremental update of the header checksum (RFC 1624).
export function rewriteTtl(p: usize, v: u32): void {
  const before = get16(p, TTL);
  set8(p, TTL, v);
  set16(p, CHECKSUM, update16(get16(p, CHECKSUM), before, get16(p, TTL)));
}
export function rewriteTos(p: usize, v: u32): void {
  const before = get16(p, VIHL);
  set8(p, TOS, v);
  set16(p, CHECKSUM, update16(get16(p, CHECKSUM), before, get16(p, VIHL)));
}
export function rewriteFrag(p: usize, v: u32): void {
  const before = get16(p, FRAG);
  set16(p, FRAG, v);
  set16(p, CHECKSUM, update16(get16(p, CHECKSUM), before, v));
}
export function rewriteSrc(p: usize, v: u32): void {
  const before = get32(p, SRC);
  set32(p, SRC, v);
  set16(p, CHECKSUM, update32(get16(p, CHECKSUM), before, v));
}
export function rewriteDst(p: usize, v: u32): void {
  const before = get32(p, DST);
  set32(p, DST, v);
  set16(p, CHECKSUM, update32(get16(p, CHECKSUM), before, v));
}

/** Writes a header of 20 bytes with its checksum; `frag` is the whole flags-and-offset word. */
export function emit(
  p: usize,
  tos: u32,
  length: u32,
  id: u32,
  frag: u32,
  ttl: u32,
  proto: u32,
  src: u32,
  dst: u32,
): void {
  // summed from what is written, not from memory: bytes just stored come back late
  const first = 0x4500 | (tos & 0xff);
  const fifth = ((ttl & 0xff) << 8) | (proto & 0xff);
  let s = first + (length & 0xffff) + (id & 0xffff) + (frag & 0xffff) + fifth;
  s += (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  set32(p, VIHL, (first << 16) | (length & 0xffff));
  set32(p, ID, (id << 16) | (frag & 0xffff));
  set32(p, TTL, (fifth << 16) | (~s & 0xffff));
  set32(p, SRC, src);
  set32(p, DST, dst);
}
