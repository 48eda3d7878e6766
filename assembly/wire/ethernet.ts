// assembly/wire/ethernet.ts: Ethernet II and 802.3 header, IEEE 802.3 clause 3; the FCS, clause 3.2.9.
//
//     0                   6                   12      14
//     | destination       | source            | type  | payload ... | FCS |
//
// Type below 1536 is the payload's length (802.3); LLC follows.

import { get16, get32, set16 } from "../bytes.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 14;
export const ADDRESS_LEN: u32 = 6;
/** Types from here on are EtherTypes; below they are lengths. */
export const TYPE_MIN: u32 = 1536;

export const TYPE_IPV4: u32 = 0x0800;
export const TYPE_ARP: u32 = 0x0806;
export const TYPE_VLAN: u32 = 0x8100;
export const TYPE_QINQ: u32 = 0x88a8;

const DST: usize = 0;
const SRC: usize = 6;
const TYPE: usize = 12;

/** After `None`, no accessor reads past `len`. */
export function check(p: usize, len: u32): Drop {
  return len < HEADER_LEN ? Drop.Truncated : Drop.None;
}

export function type(p: usize): u32 {
  return get16(p, TYPE);
}
/** The upper 16 and the lower 32 bits of an address, for comparing and for keys. */
export function dstHigh(p: usize): u32 {
  return get16(p, DST);
}
export function dstLow(p: usize): u32 {
  return get32(p, DST + 2);
}
export function srcHigh(p: usize): u32 {
  return get16(p, SRC);
}
export function srcLow(p: usize): u32 {
  return get32(p, SRC + 2);
}
/** The I/G bit: a group (multicast or broadcast) address, IEEE 802 clause 8.2. */
export function isGroup(p: usize): bool {
  return (load<u8>(p) & 1) != 0;
}

export function setType(p: usize, v: u32): void {
  set16(p, TYPE, v);
}

/** Writes a header; `dst` and `src` are addresses of six bytes. */
export function emit(p: usize, dst: usize, src: usize, type: u32): void {
  memory.copy(p + DST, dst, ADDRESS_LEN);
  memory.copy(p + SRC, src, ADDRESS_LEN);
  set16(p, TYPE, type);
}

// CRC-32 of IEEE 802.3: polynomial 0x04C11DB7, reflected, all ones in and out.
const crcTable: usize = memory.data(1024, 16);
let crcReady = false;

function makeCrcTable(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = (c & 1) != 0 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    store<u32>(crcTable + (i << 2), c);
  }
  crcReady = true;
}

/** The frame check sequence of `len` bytes, as the number whose little-endian bytes follow the frame on the wire. */
export function fcs(p: usize, len: u32): u32 {
  if (!crcReady) makeCrcTable();
  let c: u32 = 0xffffffff;
  for (let i: u32 = 0; i < len; i++) {
    c = load<u32>(crcTable + (((c ^ load<u8>(p + i)) & 0xff) << 2)) ^ (c >>> 8);
  }
  return ~c;
}
