// assembly/fib.ts: longest-prefix match. Many tables; each maps prefixes to values, 1 … 2^26-1; 0 means none.
// A short table is a sorted list in which every prefix knows the one that covers it; a long one is
// a compressed array over the first 24 bits (dir24.ts).

import { alloc, release } from "./arena";
import { DIR, dirBatch, dirBytes, dirChunks, dirFree, dirInit, dirLookup, dirUpdate } from "./dir24";
import { dirBuild } from "./dir24build";
import { bulkBegin, bulkCount, bulkForget, bulkLists, bulkPlace, bulkRestore, bulkShort } from "./fibbulk";
import {
  MAX_VALUE,
  RIB,
  found,
  ribBytes,
  ribFree,
  ribGet,
  ribInit,
  ribMatch,
  ribNext,
  ribPut,
  ribRemove,
} from "./fibrib";

// A table's header, 64 bytes:
//
//     0      4       8      12         16    20       24       28      32
//     | mode | count | list | capacity | rib | prefix | length | value | chunks |
//                                            ` what fibNext found      `
const MODE: usize = 0;
const COUNT: usize = 4;
const LIST: usize = 8;
const CAPACITY: usize = 12;
/** Of a long table: its rib, and behind that the fast structure. */
const LONG: usize = 16;
const FOUND_PREFIX: usize = 20;
const FOUND_LENGTH: usize = 24;
const FOUND_VALUE: usize = 28;
/** The chunks of the fast structure; 0 where there is none. */
const FAST: usize = 32;
const HEADER: u32 = 64;

const SHORT_MODE: u32 = 0;
const FAST_MODE: u32 = 1;
/** Long, and no memory for the fast structure: the rib alone answers. */
const SLOW_MODE: u32 = 2;

/** A table becomes long above, and short below, so many prefixes. */
const LONG_ABOVE: u32 = 2048;
const SHORT_BELOW: u32 = 512;
/** So many new prefixes at once are worth building the fast structure anew. */
const BULK: u32 = 4096;

// An entry of the list, 16 bytes, in order of (prefix, length):
//
//     | prefix << 8 | length: u64 | value: u32 | index of the covering entry: i32, -1 none |
const ENTRY_SHIFT: u32 = 4;
const VALUE: usize = 8;
const PARENT: usize = 12;
const FIRST_CAPACITY: u32 = 8;

// @ts-ignore: decorator
@inline
function maskOf(len: u32): u32 {
  return len == 0 ? 0 : 0xffffffff << (32 - len);
}

// @ts-ignore: decorator
@inline
function keyOf(prefix: u32, len: u32): u64 {
  return ((<u64>(prefix & maskOf(len))) << 8) | len;
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
  return (((<u32>(key >> 8)) ^ address) & maskOf((<u32>key) & 63)) == 0;
}

/** An empty table; 0 when memory is used up. */
export function fibNew(): usize {
  return alloc(HEADER);
}

/** Gives the table and everything in it back. */
export function fibFree(t: usize): void {
  freeList(t);
  if (load<u32>(t, MODE) != SHORT_MODE) freeLong(t);
  release(t, HEADER);
}

/** Prefixes in the table. */
export function fibCount(t: usize): u32 {
  return load<u32>(t, COUNT);
}

/** Bytes that the table holds. */
export function fibBytes(t: usize): u32 {
  const bytes = HEADER + (load<u32>(t, CAPACITY) << ENTRY_SHIFT);
  if (load<u32>(t, MODE) == SHORT_MODE) return bytes;
  return bytes + RIB + DIR + ribBytes(load<u32>(t, LONG)) + fibFastBytes(t);
}

/** Bytes of those that lookups touch in a long table. */
export function fibFastBytes(t: usize): u32 {
  return load<u32>(t, MODE) == FAST_MODE ? dirBytes(dirOf(t)) : 0;
}

// @ts-ignore: decorator
@inline
function dirOf(t: usize): usize {
  return load<u32>(t, LONG) + RIB;
}

function setMode(t: usize, mode: u32): void {
  store<u32>(t, mode, MODE);
  store<u32>(t, mode == FAST_MODE ? <u32>dirChunks(dirOf(t)) : 0, FAST);
}

function freeLong(t: usize): void {
  const rib = load<u32>(t, LONG);
  if (load<u32>(t, MODE) == FAST_MODE) dirFree(dirOf(t));
  ribFree(rib);
  release(rib, RIB + DIR);
  setMode(t, SHORT_MODE);
  store<u32>(t, 0, LONG);
}

/** An empty rib with its fast structure, if there is memory for that too; false without memory for the rib. */
function beginLong(t: usize): bool {
  const rib = alloc(RIB + DIR);
  if (rib == 0) return false;
  if (!ribInit(rib)) {
    release(rib, RIB + DIR);
    return false;
  }
  store<u32>(t, <u32>rib, LONG);
  setMode(t, dirInit(rib + RIB) ? FAST_MODE : SLOW_MODE);
  return true;
}

function freeList(t: usize): void {
  const list = load<u32>(t, LIST);
  if (list != 0) release(list, load<u32>(t, CAPACITY) << ENTRY_SHIFT);
  store<u32>(t, 0, LIST);
  store<u32>(t, 0, CAPACITY);
}

/** The list becomes a rib with its fast structure; without the memory for that it stays a list. */
function lengthen(t: usize): void {
  if (!beginLong(t)) return;
  const rib = load<u32>(t, LONG);
  const list = load<u32>(t, LIST);
  const count: i32 = load<u32>(t, COUNT);
  let good = load<u32>(t, MODE) == FAST_MODE;
  for (let i = 0; good && i < count; i++) {
    const e = entry(list, i);
    const key = load<u64>(e);
    good = ribPut(rib, <u32>(key >> 8), (<u32>key) & 63, load<u32>(e, VALUE)) >= 0;
  }
  if (!good || dirBuild(rib + RIB, rib, false) < 0) return freeLong(t);
  freeList(t);
}

/** The rib becomes a list again. */
function shorten(t: usize): void {
  const rib = load<u32>(t, LONG);
  const count = load<u32>(t, COUNT);
  let capacity = FIRST_CAPACITY;
  while (capacity < count) capacity *= 2;
  const list = alloc(capacity << ENTRY_SHIFT);
  if (list == 0) return;
  let len: i32 = -1;
  let at = list;
  while (ribNext(rib, load<u32>(found), len)) {
    len = load<u32>(found, 4);
    store<u64>(at, keyOf(load<u32>(found), len));
    store<u32>(at, load<u32>(found, 8), VALUE);
    at += 16;
  }
  freeLong(t);
  store<u32>(t, <u32>list, LIST);
  store<u32>(t, capacity, CAPACITY);
  link(t, 0);
}

/** A prefix of the rib changed. Without memory for that the fast structure is given up. */
function refresh(t: usize, prefix: u32, len: u32): void {
  if (load<u32>(t, MODE) != FAST_MODE || dirUpdate(dirOf(t), load<u32>(t, LONG), prefix, len)) return;
  giveUp(t);
}

/** The fast structure is of no use any more. */
function giveUp(t: usize): void {
  dirFree(dirOf(t));
  setMode(t, SLOW_MODE);
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
  let i = above(t, ((<u64>(address & maskOf(max))) << 8) | max) - 1;
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
  if (load<u32>(t, MODE) != SHORT_MODE) {
    if (!put(t, prefix & maskOf(len), len, value)) return false;
    refresh(t, prefix & maskOf(len), len);
    return true;
  }
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
  if (<u32>count >= LONG_ABOVE && ((<u32>count) & (LONG_ABOVE - 1)) == 0) lengthen(t);
  if (load<u32>(t, MODE) == SHORT_MODE) link(t, i);
  return true;
}

/** Into the rib alone. */
function put(t: usize, prefix: u32, len: u32, value: u32): bool {
  const old = ribPut(load<u32>(t, LONG), prefix, len, value);
  if (old == 0) store<u32>(t, load<u32>(t, COUNT) + 1, COUNT);
  return old >= 0;
}

// @ts-ignore: decorator
@inline
function isGood(e: usize): bool {
  return load<u32>(e, 4) <= 32 && load<u32>(e, 8) - 1 < MAX_VALUE;
}

/**
 * Adds or replaces `count` prefixes at once, each three words at `entries`: prefix, length, value. Answers how many:
 * fewer when one is bad or memory is used up.
 */
export function fibLoad(t: usize, entries: usize, count: u32): u32 {
  let i: u32 = 0;
  if (count >= BULK && load<u32>(t, MODE) == SHORT_MODE) {
    i = fill(t, entries, count);
    if (i != 0) return i;
  }
  while (i < count && (count - i < BULK || load<u32>(t, MODE) != FAST_MODE)) {
    const e = entries + i * 12;
    if (!fibAdd(t, load<u32>(e), load<u32>(e, 4), load<u32>(e, 8))) return i;
    i++;
  }
  if (i == count) return i;
  const rib = load<u32>(t, LONG);
  for (; i < count; i++) {
    const e = entries + i * 12;
    const len = load<u32>(e, 4);
    if (!isGood(e) || !put(t, load<u32>(e) & maskOf(len), len, load<u32>(e, 8))) break;
  }
  dirFree(dirOf(t));
  if (!dirInit(dirOf(t))) setMode(t, SLOW_MODE);
  else if (dirBuild(dirOf(t), rib, false) < 0) giveUp(t);
  else setMode(t, FAST_MODE);
  return i;
}

/**
 * A short table becomes a long one with many prefixes more. Answers how many: those before the first bad one. 0: too few, or
 * no memory for that, and nothing changed.
 */
function fill(t: usize, entries: usize, count: u32): u32 {
  const few = load<u32>(t, COUNT);
  const list = load<u32>(t, LIST);
  const own: usize = few == 0 ? 0 : alloc(few * 12);
  if (few != 0 && own == 0) return 0;
  for (let i: u32 = 0; i < few; i++) {
    const from = entry(list, i);
    const to = own + i * 12;
    store<u32>(to, <u32>(load<u64>(from) >> 8));
    store<u32>(to, (<u32>load<u64>(from)) & 63, 4);
    store<u32>(to, load<u32>(from, VALUE), 8);
  }
  const done = fillFrom(t, own, few, entries, count);
  release(own, few * 12);
  return done;
}

/** The same, with the table's own prefixes as entries. */
function fillFrom(t: usize, own: usize, few: u32, entries: usize, count: u32): u32 {
  if (!beginLong(t)) return 0;
  const rib = load<u32>(t, LONG);
  let good: u32 = 0;
  let listed: i32 = -1;
  if (load<u32>(t, MODE) == FAST_MODE) {
    bulkBegin();
    bulkCount(rib, own, few);
    good = bulkCount(rib, entries, count);
    if (good < BULK) bulkForget(rib);
    else {
      const room = bulkLists(rib);
      bulkPlace(rib, own, few);
      bulkPlace(rib, entries, good);
      if (room) listed = dirBuild(dirOf(t), rib, true);
      else bulkRestore(rib, 0);
    }
  }
  if (listed < 0) {
    freeLong(t);
    return 0;
  }
  freeList(t);
  store<u32>(t, bulkShort + listed, COUNT);
  return good;
}

/** Takes the prefix out; answers the value that it had, 0 when it was not there. */
export function fibDel(t: usize, prefix: u32, len: u32): u32 {
  if (len > 32) return 0;
  if (load<u32>(t, MODE) != SHORT_MODE) {
    const old = ribRemove(load<u32>(t, LONG), prefix & maskOf(len), len);
    if (old == 0) return 0;
    store<u32>(t, load<u32>(t, COUNT) - 1, COUNT);
    if (load<u32>(t, COUNT) < SHORT_BELOW) shorten(t);
    if (load<u32>(t, MODE) != SHORT_MODE) refresh(t, prefix & maskOf(len), len);
    return old;
  }
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
  if (load<u32>(t, MODE) != SHORT_MODE) return ribGet(load<u32>(t, LONG), prefix & maskOf(len), len);
  const i = exact(t, keyOf(prefix, len));
  return i < 0 ? 0 : load<u32>(entry(load<u32>(t, LIST), i), VALUE);
}

/** The value of the longest prefix that covers the address, 0 for none. */
export function fibLookup(t: usize, address: u32): u32 {
  const chunks = load<u32>(t, FAST);
  return chunks != 0 ? dirLookup(chunks, address) : slowLookup(t, address);
}

/** The same without the fast structure. */
function slowLookup(t: usize, address: u32): u32 {
  if (load<u32>(t, MODE) == SLOW_MODE) {
    const len = ribMatch(load<u32>(t, LONG), address, 32);
    return len < 0 ? 0 : fibGet(t, address, len);
  }
  const i = longest(t, address, 32);
  return i < 0 ? 0 : load<u32>(entry(load<u32>(t, LIST), i), VALUE);
}

/** Length of the longest prefix of at most `max` bits that covers the address, -1 for none. */
export function fibMatch(t: usize, address: u32, max: u32): i32 {
  if (max > 32) return -1;
  if (load<u32>(t, MODE) != SHORT_MODE) return ribMatch(load<u32>(t, LONG), address, max);
  const i = longest(t, address, max);
  return i < 0 ? -1 : <i32>(load<u64>(entry(load<u32>(t, LIST), i)) & 63);
}

/** Looks `count` addresses up: u32 keys in the machine's order at `keys`, values to `out`. */
export function fibBatch(t: usize, keys: usize, out: usize, count: u32): void {
  if (load<u32>(t, MODE) == FAST_MODE) return dirBatch(dirOf(t), keys, out, count);
  for (let i: u32 = 0; i < count; i++) store<u32>(out + (i << 2), slowLookup(t, load<u32>(keys + (i << 2))));
}

/**
 * The entry behind (prefix, len) in order of prefix, then length; `len` = -1 for the first of all.
 * Its parts are at `fibFound`; false at the end.
 */
export function fibNext(t: usize, prefix: u32, len: i32): bool {
  if (load<u32>(t, MODE) != SHORT_MODE) {
    if (!ribNext(load<u32>(t, LONG), len < 0 ? 0 : prefix & maskOf(len), len)) return false;
    memory.copy(t + FOUND_PREFIX, found, 12);
    return true;
  }
  const i: i32 = len < 0 ? 0 : above(t, keyOf(prefix, len));
  if (i >= <i32>load<u32>(t, COUNT)) return false;
  const e = entry(load<u32>(t, LIST), i);
  const key = load<u64>(e);
  store<u32>(t, <u32>(key >> 8), FOUND_PREFIX);
  store<u32>(t, (<u32>key) & 63, FOUND_LENGTH);
  store<u32>(t, load<u32>(e, VALUE), FOUND_VALUE);
  return true;
}

/** Address of three words: prefix, length and value of what `fibNext` found. */
export function fibFound(t: usize): usize {
  return t + FOUND_PREFIX;
}
