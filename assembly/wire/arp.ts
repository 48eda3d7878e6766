// assembly/wire/arp.ts: Address Resolution Protocol for IPv4 over Ethernet, RFC 826.
//
//     0     2      4   5   6    8                 14           18                24           28
//     | htype | ptype | hlen | plen | op | sender MAC | sender IPv4 | target MAC | target IPv4 |

import { get16, get32, get8, set16, set32, set8 } from "../bytes.ts";
import { Drop } from "../drop.ts";

/** Length for Ethernet and IPv4; the fixed part alone is 8. */
export const PACKET_LEN: u32 = 28;
export const FIXED_LEN: u32 = 8;
export const REQUEST: u32 = 1;
export const REPLY: u32 = 2;
export const HTYPE_ETHERNET: u32 = 1;

const HTYPE: usize = 0;
const PTYPE: usize = 2;
const HLEN: usize = 4;
const PLEN: usize = 5;
const OP: usize = 6;
const SHA: usize = 8;
const SPA: usize = 14;
const THA: usize = 18;
const TPA: usize = 24;

/** `None` only for IPv4 over Ethernet: then no accessor reads past `len`. */
export function check(p: usize, len: u32): Drop {
  if (len < FIXED_LEN) return Drop.Truncated;
  if (hlen(p) != 6 || plen(p) != 4) return Drop.BadLength;
  if (len < PACKET_LEN) return Drop.Truncated;
  if (htype(p) != HTYPE_ETHERNET || ptype(p) != 0x0800) return Drop.BadType;
  return Drop.None;
}

export function htype(p: usize): u32 {
  return get16(p, HTYPE);
}
export function ptype(p: usize): u32 {
  return get16(p, PTYPE);
}
export function hlen(p: usize): u32 {
  return get8(p, HLEN);
}
export function plen(p: usize): u32 {
  return get8(p, PLEN);
}
export function op(p: usize): u32 {
  return get16(p, OP);
}
/** Addresses of the two hardware addresses (six bytes each). */
export function sha(p: usize): usize {
  return p + SHA;
}
export function tha(p: usize): usize {
  return p + THA;
}
export function spa(p: usize): u32 {
  return get32(p, SPA);
}
export function tpa(p: usize): u32 {
  return get32(p, TPA);
}

/** Writes a packet; `sha` and `tha` are addresses of six bytes, 0 for zeros. */
export function emit(p: usize, op: u32, sha: usize, spa: u32, tha: usize, tpa: u32): void {
  set16(p, HTYPE, HTYPE_ETHERNET);
  set16(p, PTYPE, 0x0800);
  set8(p, HLEN, 6);
  set8(p, PLEN, 4);
  set16(p, OP, op);
  if (sha != 0) memory.copy(p + SHA, sha, 6);
  else memory.fill(p + SHA, 0, 6);
  set32(p, SPA, spa);
  if (tha != 0) memory.copy(p + THA, tha, 6);
  else memory.fill(p + THA, 0, 6);
  set32(p, TPA, tpa);
}
