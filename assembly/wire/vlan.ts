// assembly/wire/vlan.ts: VLAN tag, IEEE 802.1Q clause 9.6. The tag stands between the source address and the type.
//
//     0       2          4
//     | TPID  | PCP:3 DEI:1 VID:12 |

import { get16, set16 } from "../bytes.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 4;

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
  return get16(p, TCI) & 0xfff;
}
export function dei(p: usize): u32 {
  return (get16(p, TCI) >> 12) & 1;
}
export function priority(p: usize): u32 {
  return get16(p, TCI) >> 13;
}
/** Type of what follows. */
export function etype(p: usize): u32 {
  return get16(p, TYPE);
}

export function emit(p: usize, tci: u32, etype: u32): void {
  set16(p, TCI, tci);
  set16(p, TYPE, etype);
}
