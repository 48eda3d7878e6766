// assembly/wire/udp.ts: UDP header, RFC 768.
//
//     0          2          4        6          8
//     | src port | dst port | length | checksum | data

import { get16, set16 } from "../bytes.ts";
import { transportChecksum } from "../checksum.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 8;
export const PROTO: u32 = 17;

const SRC_PORT: usize = 0;
const DST_PORT: usize = 2;
const LENGTH: usize = 4;
const CHECKSUM: usize = 6;

/** After `None`, no accessor reads past `len`. */
export function check(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  const n = length(p);
  return n < HEADER_LEN || n > len ? Drop.BadLength : Drop.None;
}

/** Whether the checksum verifies over `length` bytes; 0 stands for none and always does (RFC 768). */
export function verify(p: usize, src: u32, dst: u32): bool {
  return get16(p, CHECKSUM) == 0 || transportChecksum(src, dst, PROTO, p, length(p)) == 0;
}

export function srcPort(p: usize): u32 {
  return get16(p, SRC_PORT);
}
export function dstPort(p: usize): u32 {
  return get16(p, DST_PORT);
}
export function length(p: usize): u32 {
  return get16(p, LENGTH);
}
export function checksum(p: usize): u32 {
  return get16(p, CHECKSUM);
}

export function setSrcPort(p: usize, v: u32): void {
  set16(p, SRC_PORT, v);
}
export function setDstPort(p: usize, v: u32): void {
  set16(p, DST_PORT, v);
}
export function setChecksum(p: usize, v: u32): void {
  set16(p, CHECKSUM, v);
}

/** Sums header and data; a sum of 0 is sent as 0xffff (RFC 768). */
export function fillChecksum(p: usize, src: u32, dst: u32): void {
  set16(p, CHECKSUM, 0);
  const c = transportChecksum(src, dst, PROTO, p, length(p));
  set16(p, CHECKSUM, c == 0 ? 0xffff : c);
}

/** Writes a header with checksum 0 (none); `fillChecksum` when the data stands. */
export function emit(p: usize, srcPort: u32, dstPort: u32, length: u32): void {
  set16(p, SRC_PORT, srcPort);
  set16(p, DST_PORT, dstPort);
  set16(p, LENGTH, length);
  set16(p, CHECKSUM, 0);
}
