// assembly/wire/tcp.ts: TCP header, RFC 9293 §3.1.
//
//     0          2          4     8     12             14       16         18       20
//     | src port | dst port | seq | ack | offset,flags | window | checksum | urgent | options

import { get16, get32, get8, set16, set32, set8 } from "../bytes.ts";
import { transportChecksum } from "../checksum.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 20;
export const MAX_HEADER_LEN: u32 = 60;
export const PROTO: u32 = 6;
export const FIN: u32 = 0x01;
export const SYN: u32 = 0x02;
export const RST: u32 = 0x04;
export const PSH: u32 = 0x08;
export const ACK: u32 = 0x10;
export const URG: u32 = 0x20;
export const ECE: u32 = 0x40;
export const CWR: u32 = 0x80;

const SRC_PORT: usize = 0;
const DST_PORT: usize = 2;
const SEQ: usize = 4;
const ACKNO: usize = 8;
const OFFSET: usize = 12;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
const CHECKSUM: usize = 16;
const URGENT: usize = 18;

/** After `None`, no accessor reads past `len`. Options are checked as they are read (tcpoptions.ts). */
export function check(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  const n = headerLen(p);
  return n < HEADER_LEN || n > len ? Drop.BadHeaderLength : Drop.None;
}

/** Whether the checksum verifies over the `len` bytes of the segment. */
export function verify(p: usize, len: u32, src: u32, dst: u32): bool {
  return transportChecksum(src, dst, PROTO, p, len) == 0;
}

export function srcPort(p: usize): u32 {
  return get16(p, SRC_PORT);
}
export function dstPort(p: usize): u32 {
  return get16(p, DST_PORT);
}
export function seq(p: usize): u32 {
  return get32(p, SEQ);
}
export function ack(p: usize): u32 {
  return get32(p, ACKNO);
}
/** Bytes. */
export function headerLen(p: usize): u32 {
  return (get8(p, OFFSET) >> 4) << 2;
}
/** The eight flags CWR to FIN. */
export function flags(p: usize): u32 {
  return get8(p, FLAGS);
}
/** Twelve bits: the reserved ones above the eight flags as well. */
export function flags12(p: usize): u32 {
  return get16(p, OFFSET) & 0xfff;
}
export function window(p: usize): u32 {
  return get16(p, WINDOW);
}
export function checksum(p: usize): u32 {
  return get16(p, CHECKSUM);
}
export function urgent(p: usize): u32 {
  return get16(p, URGENT);
}

export function setSrcPort(p: usize, v: u32): void {
  set16(p, SRC_PORT, v);
}
export function setDstPort(p: usize, v: u32): void {
  set16(p, DST_PORT, v);
}
export function setUrgent(p: usize, v: u32): void {
  set16(p, URGENT, v);
}
export function setChecksum(p: usize, v: u32): void {
  set16(p, CHECKSUM, v);
}

/** Sums the segment of `len` bytes. */
export function fillChecksum(p: usize, len: u32, src: u32, dst: u32): void {
  set16(p, CHECKSUM, 0);
  set16(p, CHECKSUM, transportChecksum(src, dst, PROTO, p, len));
}

/** Writes the fixed header with checksum and urgent pointer 0; `headerLen` in bytes, options to follow. */
export function emit(
  p: usize,
  srcPort: u32,
  dstPort: u32,
  seq: u32,
  ack: u32,
  headerLen: u32,
  flags: u32,
  window: u32,
): void {
  set16(p, SRC_PORT, srcPort);
  set16(p, DST_PORT, dstPort);
  set32(p, SEQ, seq);
  set32(p, ACKNO, ack);
  set8(p, OFFSET, headerLen << 2);
  set8(p, FLAGS, flags);
  set16(p, WINDOW, window);
  set16(p, CHECKSUM, 0);
  set16(p, URGENT, 0);
}
