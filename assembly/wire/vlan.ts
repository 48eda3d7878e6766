// assembly/wire/vlan.ts: VLAN tag, IEEE 802.1Q clause 9.6. The tag stands between the source address and the type.
//
//     0       2          4
//     | TPID  | PCP:3 DEI:1 VID:12 |

import { get16, set16 } from "../bytes.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 4;
/** Of the tag control information: priority 7, drop eligible, and the identifier. */
export const PRIORITY_SHIFT: u32 = 13;
export const DEI: u32 = 0x1000;
export const VID_MASK: u32 = 0xfff;

/** Destination and source address, which stand before a tag. */
const ADDRESSES: u32 = 12;
const TCI: usize = 0;
const TYPE: usize = 2;

/** `p` is the tag control information (behind the TPID that named this header). */
export function check(p: usize, len: u32): Drop {
  return len < HEADER_LEN ? Drop.Truncated : Drop.None;
}

export function tci(p: usize): u32 {
  return get16(p, TCI);
}
export function id(p: usize): u32 {
  return get16(p, TCI) & VID_MASK;
}
export function dei(p: usize): u32 {
  return (get16(p, TCI) >> 12) & 1;
}
export function priority(p: usize): u32 {
  return get16(p, TCI) >> PRIORITY_SHIFT;
}
/** Type of what follows. */
export function etype(p: usize): u32 {
  return get16(p, TYPE);
}

export function setTci(p: usize, v: u32): void {
  set16(p, TCI, v);
}

/** Writes the tag behind its TPID: control information and the type of what follows. */
export function emit(p: usize, tci: u32, etype: u32): void {
  set16(p, TCI, tci);
  set16(p, TYPE, etype);
}

/** Puts a tag behind the addresses of the frame at `frame`, before which four bytes are free; the frame's new address. */
export function insert(frame: usize, tpid: u32, tci: u32): usize {
  const p = frame - HEADER_LEN;
  memory.copy(p, frame, ADDRESSES);
  set16(p, ADDRESSES, tpid);
  set16(p, ADDRESSES + 2, tci);
  return p;
}

/** Takes the outer tag off the frame at `frame` (Ethernet header and tag checked); the frame's new address. */
export function remove(frame: usize): usize {
  const p = frame + HEADER_LEN;
  memory.copy(p, frame, ADDRESSES);
  return p;
}
