// assembly/wire/ipv4optionswriter.ts: writes IPv4 options, RFC 791 §3.1; router alert, RFC 2113.
//
// `p` is an IPv4 header with room for 60 bytes. Each `put` writes at offset `at` (HEADER_LEN to begin) and answers the
// offset behind it, or `at`, with nothing written, where less than 60 bytes of header are left; `finish` ends the list.

import { set16, set32, set8 } from "../bytes.ts";
import { fillChecksum, HEADER_LEN, MAX_HEADER_LEN, setLength } from "./ipv4.ts";
import { END, NOOP, RECORD_ROUTE, ROUTER_ALERT, TIMESTAMP, TS_ONLY, TS_PRESPECIFIED } from "./ipv4options.ts";

const LENGTH: u32 = 1;
const POINTER: u32 = 2;
const MODE: u32 = 3;
/** Data of an option with a pointer; of a timestamp. */
const ROUTE_DATA: u32 = 3;
const STAMP_DATA: u32 = 4;

// @ts-ignore: decorator
@inline
function fits(at: u32, len: u32): bool {
  return len <= MAX_HEADER_LEN - HEADER_LEN && at <= MAX_HEADER_LEN - len;
}

/** Type, length and pointer at the first byte of the data (the pointer counts from 1). */
function begin(p: usize, at: u32, kind: u32, data: u32, len: u32): void {
  set8(p, at, kind);
  set8(p, at + LENGTH, data + len);
  set8(p, at + POINTER, data + 1);
  memory.fill(p + at + data, 0, len);
}

export function putNoop(p: usize, at: u32): u32 {
  if (!fits(at, 1)) return at;
  set8(p, at, NOOP);
  return at + 1;
}
/** Room for `slots` addresses, at most nine. */
export function putRecordRoute(p: usize, at: u32, slots: u32): u32 {
  if (slots > 9 || !fits(at, ROUTE_DATA + (slots << 2))) return at;
  begin(p, at, RECORD_ROUTE, ROUTE_DATA, slots << 2);
  return at + ROUTE_DATA + (slots << 2);
}
/** A loose or strict source route: `count` addresses (u32 in the machine's order at `route`), the last the destination. */
export function putSourceRoute(p: usize, at: u32, kind: u32, route: usize, count: u32): u32 {
  if (count > 9 || !fits(at, ROUTE_DATA + (count << 2))) return at;
  begin(p, at, kind, ROUTE_DATA, count << 2);
  at += ROUTE_DATA;
  for (let i: u32 = 0; i < count; i++) {
    set32(p, at, load<u32>(route + (i << 2)));
    at += 4;
  }
  return at;
}
/** Room for `slots` times, each with an address unless `mode` is TS_ONLY; the addresses at `hosts` when prespecified. */
export function putTimestamp(p: usize, at: u32, mode: u32, hosts: usize, slots: u32): u32 {
  const shift: u32 = mode == TS_ONLY ? 2 : 3;
  if (slots > 9 || !fits(at, STAMP_DATA + (slots << shift))) return at;
  begin(p, at, TIMESTAMP, STAMP_DATA, slots << shift);
  set8(p, at + MODE, mode);
  if (mode == TS_PRESPECIFIED) {
    for (let i: u32 = 0; i < slots; i++) set32(p, at + STAMP_DATA + (i << 3), load<u32>(hosts + (i << 2)));
  }
  return at + STAMP_DATA + (slots << shift);
}
/** `value` 0: every router shall look at the packet. */
export function putRouterAlert(p: usize, at: u32, value: u32): u32 {
  if (!fits(at, 4)) return at;
  set8(p, at, ROUTER_ALERT);
  set8(p, at + LENGTH, 4);
  set16(p, at + 2, value);
  return at + 4;
}
/** Any option: `len` bytes of data behind type and length. */
export function putOption(p: usize, at: u32, kind: u32, data: usize, len: u32): u32 {
  if (len > MAX_HEADER_LEN || !fits(at, 2 + len)) return at;
  set8(p, at, kind);
  set8(p, at + LENGTH, 2 + len);
  memory.copy(p + at + 2, data, len);
  return at + 2 + len;
}

/**
 * Ends the list at `at` with zeros up to the next boundary of four; sets the header's length, the packet's (`len` bytes
 * of data behind the header) and the checksum. Answers the header's length.
 */
export function finish(p: usize, at: u32, len: u32): u32 {
  for (; (at & 3) != 0; at++) set8(p, at, END);
  set8(p, 0, 0x40 | (at >> 2));
  setLength(p, at + len);
  fillChecksum(p);
  return at;
}
