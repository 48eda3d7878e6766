// assembly/fib.ts: longest-prefix match. Many tables; each maps prefixes to values, 1 … 2^26-1; 0 means none.
// A short table is a sorted list in which every prefix knows the one that covers it; a long one is
// a compressed array over the first 24 bits (dir24.ts).

import { alloc, release } from "./arena";

// A table's header, 64 bytes:
//
//     0      4       8      12         16          20       24         28
//     | mode | count | list | capacity | (unused)  | found: prefix | length | value |
const COUNT: usize = 4;
const LIST: usize = 8;
const CAPACITY: usize = 12;
const FOUND_PREFIX: usize = 20;
const FOUND_LENGTH: usize = 24;
const FOUND_VALUE: usize = 28;
const HEADER: u32 = 64;

// An entry of the list, 16 bytes, in order of (prefix, length):
//
//     | prefix << 8 | length: u64 | value: u32 | index of the covering entry: i32, -1 none |
const ENTRY_SHIFT: u32 = 4;
const VALUE: usize = 8;
const PARENT: usize = 12;
const FIRST_CAPACITY: u32 = 8;

export const MAX_VALUE: u32 = 0x3ffffff;

// @ts-ignore: decorator
@inline
function maskOf(len: u32): u32 {
  return len == 0 ? 0 : 0xffffffff << (32 - len);
}

// @ts-ignore: decorator
@inline
function keyOf(prefix: u32, len: u32): u64 {
  return (<u64>(prefix & maskOf(len)) << 8) | len;
}

// @ts-ignore: decorator
@inline
function entry(list: usize, i: i32): usize {
  return list + ((<usize>i) << ENTRY_SHIFT);
}

/** Whether the prefix of `key` covers `address`. */
// @ts-ignore: decorator
@inline
function covers(key: u64, address: u32): bool {
  return (((<u32>(key >> 8)) ^ address) & maskOf(<u32>key & 63)) == 0;
}

/** An empty table; 0 when memory is used up. */
export function fibNew(): usize {
  return alloc(HEADER);
}

/** Gives the table and everything in it back. */
export function fibFree(t: usize): void {
  const list = load<u32>(t, LIST);
  if (list != 0) release(list, load<u32>(t, CAPACITY) << ENTRY_SHIFT);
  release(t, HEADER);
}

/** Prefixes in the table. */
export function fibCount(t: usize): u32 {
  return load<u32>(t, COUNT);
}

/** Bytes that the table holds. */
export function fibBytes(t: usize): u32 {
  return HEADER + (load<u32>(t, CAPACITY) << ENTRY_SHIFT);
}

/** Index of the first entry whose key is above `key`. */
function above(t: usize, key: u64): i32 {
  const list = load<u32>(t, LIST);
  let lo: i32 = 0;
  let hi: i32 = load<u32>(t, COUNT);
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (load<u64>(entry(list, mid)) > key) hi = mid;
    else lo = mid + 1;
  }
  return lo;
}

/** Index of the entry with this key, or -1. */
function exact(t: usize, key: u64): i32 {
  const i = above(t, key) - 1;
  return i >= 0 && load<u64>(entry(load<u32>(t, LIST), i)) == key ? i : -1;
}

/** Index of the longest prefix of at most `max` bits that covers the address, or -1. */
function longest(t: usize, address: u32, max: u32): i32 {
  const list = load<u32>(t, LIST);
  let i = above(t, (<u64>(address & maskOf(max)) << 8) | max) - 1;
  while (i >= 0) {
    const e = entry(list, i);
    const key = load<u64>(e);
    if (<u32>(key & 63) <= max && covers(key, address)) return i;
    i = load<i32>(e, PARENT);
  }
  return -1;
}

/** Fills in who covers whom from entry `from` on: the predecessor, or one of those that cover it. */
function link(t: usize, from: i32): void {
  const list = load<u32>(t, LIST);
  const n: i32 = load<u32>(t, COUNT);
  for (let i = from; i < n; i++) {
    const e = entry(list, i);
    const address = <u32>(load<u64>(e) >> 8);
    let p = i - 1;
    while (p >= 0 && !covers(load<u64>(entry(list, p)), address)) p = load<i32>(entry(list, p), PARENT);
    store<i32>(e, p, PARENT);
  }
}

/** Room for one entry more. */
function grow(t: usize): bool {
  const capacity = load<u32>(t, CAPACITY);
  const count = load<u32>(t, COUNT);
  if (count < capacity) return true;
  const wanted = capacity == 0 ? FIRST_CAPACITY : capacity * 2;
  const list = alloc(wanted << ENTRY_SHIFT);
  if (list == 0) return false;
  const old = load<u32>(t, LIST);
  if (old != 0) {
    memory.copy(list, old, count << ENTRY_SHIFT);
    release(old, capacity << ENTRY_SHIFT);
  }
  store<u32>(t, <u32>list, LIST);
  store<u32>(t, wanted, CAPACITY);
  return true;
}

/** Gives room back when only a quarter is used. */
function shrink(t: usize): void {
  const capacity = load<u32>(t, CAPACITY);
  const count = load<u32>(t, COUNT);
  const old = load<u32>(t, LIST);
  if (count == 0) {
    release(old, capacity << ENTRY_SHIFT);
    store<u32>(t, 0, LIST);
    store<u32>(t, 0, CAPACITY);
  } else if (capacity > FIRST_CAPACITY && count <= capacity >> 2) {
    const list = alloc((capacity >> 1) << ENTRY_SHIFT);
    if (list == 0) return;
    memory.copy(list, old, count << ENTRY_SHIFT);
    release(old, capacity << ENTRY_SHIFT);
    store<u32>(t, <u32>list, LIST);
    store<u32>(t, capacity >> 1, CAPACITY);
  }
}

/** Adds the prefix (bits behind its length are ignored), or gives it a new value. False: bad words, or no memory. */
export function fibAdd(t: usize, prefix: u32, len: u32, value: u32): bool {
  if (len > 32 || value == 0 || value > MAX_VALUE) return false;
  const key = keyOf(prefix, len);
  const at = exact(t, key);
  if (at >= 0) {
    store<u32>(entry(load<u32>(t, LIST), at), value, VALUE);
    return true;
  }
  if (!grow(t)) return false;
  const i = above(t, key);
  const list = load<u32>(t, LIST);
  const count: i32 = load<u32>(t, COUNT);
  const e = entry(list, i);
  memory.copy(e + 16, e, (<usize>(count - i)) << ENTRY_SHIFT);
  store<u64>(e, key);
  store<u32>(e, value, VALUE);
  store<u32>(t, count + 1, COUNT);
  link(t, i);
  return true;
}

/** Takes the prefix out; answers the value that it had, 0 when it was not there. */
export function fibDel(t: usize, prefix: u32, len: u32): u32 {
  if (len > 32) return 0;
  const i = exact(t, keyOf(prefix, len));
  if (i < 0) return 0;
  const list = load<u32>(t, LIST);
  const count: i32 = load<u32>(t, COUNT);
  const e = entry(list, i);
  const value = load<u32>(e, VALUE);
  memory.copy(e, e + 16, (<usize>(count - i - 1)) << ENTRY_SHIFT);
  store<u32>(t, count - 1, COUNT);
  shrink(t);
  link(t, i);
  return value;
}

/** The value of exactly this prefix, 0 when it is not there. */
export function fibGet(t: usize, prefix: u32, len: u32): u32 {
  if (len > 32) return 0;
  const i = exact(t, keyOf(prefix, len));
  return i < 0 ? 0 : load<u32>(entry(load<u32>(t, LIST), i), VALUE);
}

/** The value of the longest prefix that covers the address, 0 for none. */
export function fibLookup(t: usize, address: u32): u32 {
  const i = longest(t, address, 32);
  return i < 0 ? 0 : load<u32>(entry(load<u32>(t, LIST), i), VALUE);
}

/** Length of the longest prefix of at most `max` bits that covers the address, -1 for none. */
export function fibMatch(t: usize, address: u32, max: u32): i32 {
  const i = longest(t, address, max);
  return i < 0 ? -1 : <i32>(load<u64>(entry(load<u32>(t, LIST), i)) & 63);
}

/** Looks `count` addresses up: u32 keys in the machine's order at `keys`, values to `out`. */
export function fibBatch(t: usize, keys: usize, out: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) store<u32>(out + (i << 2), fibLookup(t, load<u32>(keys + (i << 2))));
}

/**
 * The entry behind (prefix, len) in order of prefix, then length; `len` = -1 for the first of all.
 * Its parts are at `fibFound`; false at the end.
 */
export function fibNext(t: usize, prefix: u32, len: i32): bool {
  const i: i32 = len < 0 ? 0 : above(t, keyOf(prefix, len));
  if (i >= <i32>load<u32>(t, COUNT)) return false;
  const e = entry(load<u32>(t, LIST), i);
  const key = load<u64>(e);
  store<u32>(t, <u32>(key >> 8), FOUND_PREFIX);
  store<u32>(t, <u32>key & 63, FOUND_LENGTH);
  store<u32>(t, load<u32>(e, VALUE), FOUND_VALUE);
  return true;
}

/** Address of three words: prefix, length and value of what `fibNext` found. */
export function fibFound(t: usize): usize {
  return t + FOUND_PREFIX;
}
