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
/** The type field of an 802.3 frame is a length. */
export function isLength(p: usize): bool {
  return get16(p, TYPE) < TYPE_MIN;
}
/** Whether the length of an 802.3 frame of `len` bytes stays inside of it; an EtherType has none to check. */
export function checkLength(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  return isLength(p) && HEADER_LEN + type(p) > len ? Drop.BadLength : Drop.None;
}
/** The I/G bit: a group (multicast or broadcast) address, IEEE 802 clause 8.2. */
export function isGroup(p: usize): bool {
  return (load<u8>(p) & 1) != 0;
}

export function setType(p: usize, v: u32): void {
  set16(p, TYPE, v);
}

/** Writes a header; `dst` and `src` are addresses of six bytes, `type` an EtherType or an 802.3 length. */
export function emit(p: usize, dst: usize, src: usize, type: u32): void {
  memory.copy(p + DST, dst, ADDRESS_LEN);
  memory.copy(p + SRC, src, ADDRESS_LEN);
  set16(p, TYPE, type);
}

// CRC-32 of IEEE 802.3: polynomial 0x04C11DB7, reflected, all ones in and out. Eight bytes a step: table k holds the
// CRC of a byte with k zero bytes behind it.
export const FCS_LEN: u32 = 4;
const SLICES: u32 = 8;
const TABLE: u32 = 1024;
const crcTables: usize = memory.data(8192, 16);
let crcReady = false;

function makeCrcTables(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = (c & 1) != 0 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    store<u32>(crcTables + (i << 2), c);
  }
  for (let at: u32 = TABLE; at < SLICES * TABLE; at += 4) {
    const c = load<u32>(crcTables + (at - TABLE));
    store<u32>(crcTables + at, (c >>> 8) ^ load<u32>(crcTables + ((c & 0xff) << 2)));
  }
  crcReady = true;
}

/** Entry of table `k` for the low byte of `v`. */
// @ts-ignore: decorator
@inline
function entry(k: u32, v: u32): u32 {
  return load<u32>(crcTables + k * TABLE + ((v & 0xff) << 2));
}

/** The frame check sequence of `len` bytes, as the number whose little-endian bytes follow the frame on the wire. */
export function fcs(p: usize, len: u32): u32 {
  if (!crcReady) makeCrcTables();
  let c: u32 = 0xffffffff;
  for (; len >= SLICES; len -= SLICES) {
    const a = c ^ load<u32>(p);
    const b = load<u32>(p, 4);
    c =
      entry(7, a) ^
      entry(6, a >>> 8) ^
      entry(5, a >>> 16) ^
      entry(4, a >>> 24) ^
      entry(3, b) ^
      entry(2, b >>> 8) ^
      entry(1, b >>> 16) ^
      entry(0, b >>> 24);
    p += SLICES;
  }
  for (; len != 0; len--) {
    c = entry(0, c ^ load<u8>(p)) ^ (c >>> 8);
    p++;
  }
  return ~c;
}

/** Whether the last four of `len` bytes are the frame check sequence of those before; false when there are not four. */
export function verifyFcs(p: usize, len: u32): bool {
  return len >= FCS_LEN && fcs(p, len - FCS_LEN) == load<u32>(p + len - FCS_LEN);
}

/** Writes the frame check sequence behind the `len` bytes of a frame. */
export function emitFcs(p: usize, len: u32): void {
  store<u32>(p + len, fcs(p, len));
}
