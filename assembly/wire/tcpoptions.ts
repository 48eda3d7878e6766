// assembly/wire/tcpoptions.ts: TCP options, RFC 9293 §3.1; window scale and timestamps, RFC 7323; SACK, RFC 2018.
//
//     | kind | length | data ...        kinds 0 (end of list) and 1 (no operation) are one byte
//
// `p` is a TCP header that tcp.check has passed; an offset counts from its first byte. Reading stops, as Linux's
// tcp_parse_options does, at the end of the list and at the first option whose length is below 2 or beyond the header.

import { get16, get32, get8, set16, set32, set8 } from "../bytes.ts";
import { Drop } from "../drop.ts";
import { HEADER_LEN, headerLen, MAX_HEADER_LEN } from "./tcp.ts";

export const END: u32 = 0;
export const NOOP: u32 = 1;
export const MSS: u32 = 2;
export const WINDOW_SCALE: u32 = 3;
export const SACK_PERMITTED: u32 = 4;
export const SACK: u32 = 5;
export const TIMESTAMPS: u32 = 8;

export const MSS_LEN: u32 = 4;
export const WINDOW_SCALE_LEN: u32 = 3;
export const SACK_PERMITTED_LEN: u32 = 2;
export const TIMESTAMPS_LEN: u32 = 10;
/** A SACK option's fixed part, and each of its blocks. */
export const SACK_BASE: u32 = 2;
export const SACK_BLOCK: u32 = 8;
/** A larger shift count counts as 14 (RFC 7323 §2.3). */
export const MAX_SHIFT: u32 = 14;

const LENGTH: u32 = 1;
const DATA: u32 = 2;

/** `BadOption` when an option's length is below 2 or beyond the header; the options before it can be read all the same. */
export function check(p: usize): Drop {
  const end = headerLen(p);
  let at: u32 = HEADER_LEN;
  while (at < end) {
    const k = get8(p, at);
    if (k == END) return Drop.None;
    if (k == NOOP) {
      at++;
      continue;
    }
    if (at + LENGTH >= end) return Drop.BadOption;
    const n = get8(p, at + LENGTH);
    if (n < 2 || at + n > end) return Drop.BadOption;
    at += n;
  }
  return Drop.None;
}

/** Offset of the first whole option with a length at or behind `at`, 0 when there is none: begin at HEADER_LEN, go on at `at + optionLen`. */
export function next(p: usize, at: u32): u32 {
  const end = headerLen(p);
  while (at + LENGTH < end) {
    const k = get8(p, at);
    if (k == END) return 0;
    if (k != NOOP) {
      const n = get8(p, at + LENGTH);
      return n < 2 || at + n > end ? 0 : at;
    }
    at++;
  }
  return 0;
}

/** Kind and length of the option at an offset that `next` gave; its data begin two bytes behind. */
export function kind(p: usize, at: u32): u32 {
  return get8(p, at);
}
export function optionLen(p: usize, at: u32): u32 {
  return get8(p, at + LENGTH);
}

/** Offset of the last option of this kind and exactly this length, 0 when there is none. */
export function find(p: usize, k: u32, len: u32): u32 {
  let found: u32 = 0;
  for (let at = next(p, HEADER_LEN); at != 0; at = next(p, at + optionLen(p, at))) {
    if (kind(p, at) == k && optionLen(p, at) == len) found = at;
  }
  return found;
}

/** The last MSS that is not 0, which Linux takes for no MSS; 0 when there is none. */
export function mss(p: usize): u32 {
  let v: u32 = 0;
  for (let at = next(p, HEADER_LEN); at != 0; at = next(p, at + optionLen(p, at))) {
    if (kind(p, at) == MSS && optionLen(p, at) == MSS_LEN && get16(p, at + DATA) != 0) v = get16(p, at + DATA);
  }
  return v;
}

/** Shift count, at most 14; -1 when there is none. */
export function windowScale(p: usize): i32 {
  const at = find(p, WINDOW_SCALE, WINDOW_SCALE_LEN);
  if (at == 0) return -1;
  const shift = get8(p, at + DATA);
  return shift > MAX_SHIFT ? MAX_SHIFT : shift;
}

export function sackPermitted(p: usize): bool {
  return find(p, SACK_PERMITTED, SACK_PERMITTED_LEN) != 0;
}

/** Offset of the timestamps option, 0 when there is none. */
export function timestamps(p: usize): u32 {
  return find(p, TIMESTAMPS, TIMESTAMPS_LEN);
}
export function tsval(p: usize, at: u32): u32 {
  return get32(p, at + DATA);
}
export function tsecr(p: usize, at: u32): u32 {
  return get32(p, at + DATA + 4);
}

/** Offset of the last SACK option with at least one whole block, 0 when there is none. */
export function sack(p: usize): u32 {
  let found: u32 = 0;
  for (let at = next(p, HEADER_LEN); at != 0; at = next(p, at + optionLen(p, at))) {
    const n = optionLen(p, at);
    if (kind(p, at) == SACK && n >= SACK_BASE + SACK_BLOCK && (n - SACK_BASE) % SACK_BLOCK == 0) found = at;
  }
  return found;
}
export function sackCount(p: usize, at: u32): u32 {
  return (optionLen(p, at) - SACK_BASE) / SACK_BLOCK;
}
/** First sequence number of block `i`, and the one behind its last. */
export function sackLeft(p: usize, at: u32, i: u32): u32 {
  return get32(p, at + SACK_BASE + i * SACK_BLOCK);
}
export function sackRight(p: usize, at: u32, i: u32): u32 {
  return get32(p, at + SACK_BASE + i * SACK_BLOCK + 4);
}

// Writing, with the padding of Linux's tcp_options_write. Each `put` writes at `at` (HEADER_LEN to begin) and answers
// the offset behind it, or `at`, with nothing written, where less than 60 bytes of header are left; `finish` ends the list.

// @ts-ignore: decorator
@inline
function fits(at: u32, len: u32): bool {
  return len <= MAX_HEADER_LEN && at <= MAX_HEADER_LEN - len;
}

/** Two no-operations, a kind and a length: the word before data that stand on a boundary of four. */
// @ts-ignore: decorator
@inline
function putPadded(p: usize, at: u32, k: u32, len: u32): void {
  set16(p, at, (NOOP << 8) | NOOP);
  set16(p, at + 2, (k << 8) | len);
}

export function putMss(p: usize, at: u32, v: u32): u32 {
  if (!fits(at, MSS_LEN)) return at;
  set8(p, at, MSS);
  set8(p, at + LENGTH, MSS_LEN);
  set16(p, at + DATA, v);
  return at + MSS_LEN;
}
export function putWindowScale(p: usize, at: u32, shift: u32): u32 {
  if (!fits(at, 4)) return at;
  set8(p, at, NOOP);
  set8(p, at + 1, WINDOW_SCALE);
  set8(p, at + 2, WINDOW_SCALE_LEN);
  set8(p, at + 3, shift);
  return at + 4;
}
export function putSackPermitted(p: usize, at: u32): u32 {
  if (!fits(at, 4)) return at;
  putPadded(p, at, SACK_PERMITTED, SACK_PERMITTED_LEN);
  return at + 4;
}
export function putTimestamps(p: usize, at: u32, val: u32, ecr: u32): u32 {
  if (!fits(at, 12)) return at;
  putPadded(p, at, TIMESTAMPS, TIMESTAMPS_LEN);
  set32(p, at + 4, val);
  set32(p, at + 8, ecr);
  return at + 12;
}
/** SACK permitted in the place of the padding before timestamps, as a SYN carries both. */
export function putSackPermittedTimestamps(p: usize, at: u32, val: u32, ecr: u32): u32 {
  const behind = putTimestamps(p, at, val, ecr);
  if (behind != at) set16(p, at, (SACK_PERMITTED << 8) | SACK_PERMITTED_LEN);
  return behind;
}
/** As many of the `count` blocks as there is room for; `blocks` are pairs of u32 (left, right) in the machine's order. */
export function putSack(p: usize, at: u32, blocks: usize, count: u32): u32 {
  if (!fits(at, 4 + SACK_BLOCK)) return at;
  const most = (MAX_HEADER_LEN - at - 4) / SACK_BLOCK;
  const n = count < most ? count : most;
  if (n == 0) return at;
  putPadded(p, at, SACK, SACK_BASE + n * SACK_BLOCK);
  at += 4;
  for (let i: u32 = 0; i < n << 1; i++) {
    set32(p, at, load<u32>(blocks + (i << 2)));
    at += 4;
  }
  return at;
}
/** Any option: `len` bytes of data, then no-operations up to the next boundary of four. */
export function putOption(p: usize, at: u32, k: u32, data: usize, len: u32): u32 {
  if (len > MAX_HEADER_LEN || !fits(at, DATA + len)) return at;
  set8(p, at, k);
  set8(p, at + LENGTH, DATA + len);
  memory.copy(p + at + DATA, data, len);
  at += DATA + len;
  for (; (at & 3) != 0; at++) set8(p, at, NOOP);
  return at;
}

/** The options of a SYN in Linux's order, `shift` below 0 for no window scale; answers the header's length, which it sets. */
export function putSyn(p: usize, v: u32, shift: i32, withSack: bool, withTimestamps: bool, val: u32, ecr: u32): u32 {
  let at = putMss(p, HEADER_LEN, v);
  if (withSack && withTimestamps) at = putSackPermittedTimestamps(p, at, val, ecr);
  else if (withTimestamps) at = putTimestamps(p, at, val, ecr);
  else if (withSack) at = putSackPermitted(p, at);
  if (shift >= 0) at = putWindowScale(p, at, shift);
  return finish(p, at);
}

/** Ends the list at `at`: zeros up to the next boundary of four, and the header's length, which it answers. */
export function finish(p: usize, at: u32): u32 {
  for (; (at & 3) != 0; at++) set8(p, at, END);
  set8(p, 12, (at << 2) | (get8(p, 12) & 15));
  return at;
}
