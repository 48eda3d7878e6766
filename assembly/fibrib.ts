// assembly/fibrib.ts: all prefixes of a long table with their values: what the fast structure (dir24.ts) is made from.
// Prefixes of up to 19 bits stand in a complete binary tree; longer ones in a sorted list for each /19.

import { alloc, release } from "./arena";
import { MAX_WORDS, POOL, clear, give, poolBytes, take } from "./wordpool";

export const MAX_VALUE: u32 = 0x3ffffff;

/** Bits of the tree, and of the index of lists. */
export const TOP: u32 = 19;
export const LOW: u32 = 32 - TOP;
const LOW_MASK: u32 = (1 << LOW) - 1;
const TREE_BYTES: u32 = 4 << (TOP + 1);
const INDEX_BYTES: u32 = 4 << TOP;

// A rib: | tree | index | pool … |. Tree: the value of a prefix at 4·(1 << length | its bits). Index: the list of a /19.
// A list: | count | capacity | entries … |, an entry: | low 13 bits << 6 | length | value |, in order of the first word.
const TREE: usize = 0;
const INDEX: usize = 4;
export const LISTS: usize = 32;
export const RIB: u32 = <u32>LISTS + POOL;

/** Where `ribNext` leaves what it found: prefix, length, value. */
export const found: usize = memory.data(12, 4);

/** Room for the tree and the index; false when memory is used up. */
export function ribInit(rib: usize): bool {
  memory.fill(rib, 0, RIB);
  const tree = alloc(TREE_BYTES);
  const index = alloc(INDEX_BYTES);
  if (tree == 0 || index == 0) {
    release(tree, TREE_BYTES);
    release(index, INDEX_BYTES);
    return false;
  }
  store<u32>(rib, <u32>tree, TREE);
  store<u32>(rib, <u32>index, INDEX);
  return true;
}

export function ribFree(rib: usize): void {
  const index = load<u32>(rib, INDEX);
  for (let i: u32 = 0; i < INDEX_BYTES; i += 4) {
    const list = load<u32>(index + i);
    if (list != 0 && wordsOf(load<u32>(list, 4)) > MAX_WORDS) release(list, wordsOf(load<u32>(list, 4)) << 2);
  }
  clear(rib + LISTS);
  release(index, INDEX_BYTES);
  release(load<u32>(rib, TREE), TREE_BYTES);
}

export function ribBytes(rib: usize): u32 {
  let bytes = TREE_BYTES + INDEX_BYTES + poolBytes(rib + LISTS);
  const index = load<u32>(rib, INDEX);
  for (let i: u32 = 0; i < INDEX_BYTES; i += 4) {
    const list = load<u32>(index + i);
    if (list != 0 && wordsOf(load<u32>(list, 4)) > MAX_WORDS) bytes += wordsOf(load<u32>(list, 4)) << 2;
  }
  return bytes;
}

// @ts-ignore: decorator
@inline
export function wordsOf(capacity: u32): u32 {
  return 2 + capacity * 2;
}

// @ts-ignore: decorator
@inline
export function treeAt(rib: usize, prefix: u32, len: u32): usize {
  return load<u32>(rib, TREE) + (((1 << len) | (len == 0 ? 0 : prefix >>> (32 - len))) << 2);
}

// @ts-ignore: decorator
@inline
export function keyOf(prefix: u32, len: u32): u32 {
  return ((prefix & (0xffffffff << (32 - len)) & LOW_MASK) << 6) | len;
}

/** Where the list of the /19 that is chunk `c` is named. */
// @ts-ignore: decorator
@inline
export function slotOf(rib: usize, c: u32): usize {
  return load<u32>(rib, INDEX) + (c << 2);
}

/** The list of the /19 that is chunk `c`; 0 for none. */
// @ts-ignore: decorator
@inline
export function listOf(rib: usize, c: u32): usize {
  return load<u32>(slotOf(rib, c));
}

/** Address of the first entry whose key is at least `key`. */
export function atLeast(list: usize, key: u32): usize {
  let lo: u32 = 0;
  let hi = load<u32>(list);
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (load<u32>(list + 8 + (mid << 3)) < key) lo = mid + 1;
    else hi = mid;
  }
  return list + 8 + (lo << 3);
}

// @ts-ignore: decorator
@inline
export function endOf(list: usize): usize {
  return list + 8 + (load<u32>(list) << 3);
}

/** Value of exactly this prefix, 0 for none. */
export function ribGet(rib: usize, prefix: u32, len: u32): u32 {
  if (len <= TOP) return load<u32>(treeAt(rib, prefix, len));
  const list = listOf(rib, prefix >>> LOW);
  if (list == 0) return 0;
  const key = keyOf(prefix, len);
  const e = atLeast(list, key);
  return e < endOf(list) && load<u32>(e) == key ? load<u32>(e, 4) : 0;
}

/** Room in a list for one more: the next larger size, a third more at least. */
function larger(capacity: u32): u32 {
  if (capacity < 4) return capacity + 1;
  if (capacity < 15) return min<u32>(capacity + capacity / 3 + 1, 15);
  // 8 + 8·capacity bytes fill a power of two
  return capacity * 2 + 1;
}

export function takeList(rib: usize, capacity: u32): usize {
  const words = wordsOf(capacity);
  const list = words <= MAX_WORDS ? take(rib + LISTS, words) : alloc(words << 2);
  if (list != 0) store<u32>(list, capacity, 4);
  return list;
}

function giveList(rib: usize, list: usize): void {
  const words = wordsOf(load<u32>(list, 4));
  if (words <= MAX_WORDS) give(rib + LISTS, list, words);
  else release(list, words << 2);
}

/** The old value (0: it is new) of the prefix, which now has this one; -1 when memory is used up. */
export function ribPut(rib: usize, prefix: u32, len: u32, value: u32): i32 {
  if (len <= TOP) {
    const at = treeAt(rib, prefix, len);
    const old = load<u32>(at);
    store<u32>(at, value);
    return old;
  }
  const slot = load<u32>(rib, INDEX) + ((prefix >>> LOW) << 2);
  let list: usize = load<u32>(slot);
  const key = keyOf(prefix, len);
  if (list == 0) {
    list = takeList(rib, 1);
    if (list == 0) return -1;
    store<u32>(list, 0);
    store<u32>(slot, <u32>list);
  }
  let e = atLeast(list, key);
  if (e < endOf(list) && load<u32>(e) == key) {
    const old = load<u32>(e, 4);
    store<u32>(e, value, 4);
    return old;
  }
  const count = load<u32>(list);
  if (count == load<u32>(list, 4)) {
    const wider = takeList(rib, larger(count));
    if (wider == 0) return -1;
    store<u32>(wider, count);
    memory.copy(wider + 8, list + 8, count << 3);
    e = wider + (e - list);
    giveList(rib, list);
    list = wider;
    store<u32>(slot, <u32>list);
  }
  memory.copy(e + 8, e, endOf(list) - e);
  store<u32>(e, key);
  store<u32>(e, value, 4);
  store<u32>(list, count + 1);
  return 0;
}

/** Takes the prefix out; answers its value, 0 when it was not there. */
export function ribRemove(rib: usize, prefix: u32, len: u32): u32 {
  if (len <= TOP) {
    const at = treeAt(rib, prefix, len);
    const old = load<u32>(at);
    store<u32>(at, 0);
    return old;
  }
  const slot = load<u32>(rib, INDEX) + ((prefix >>> LOW) << 2);
  const list = load<u32>(slot);
  if (list == 0) return 0;
  const key = keyOf(prefix, len);
  const e = atLeast(list, key);
  const end = endOf(list);
  if (e == end || load<u32>(e) != key) return 0;
  const old = load<u32>(e, 4);
  memory.copy(e, e + 8, end - e - 8);
  const count = load<u32>(list) - 1;
  store<u32>(list, count);
  if (count == 0) {
    giveList(rib, list);
    store<u32>(slot, 0);
  } else if (count < load<u32>(list, 4) / 4) {
    const narrower = takeList(rib, load<u32>(list, 4) / 2);
    if (narrower == 0) return old;
    store<u32>(narrower, count);
    memory.copy(narrower + 8, list + 8, count << 3);
    giveList(rib, list);
    store<u32>(slot, <u32>narrower);
  }
  return old;
}

/** Length of the longest prefix of at most `max` bits that covers the address, -1 for none. */
export function ribMatch(rib: usize, address: u32, max: i32): i32 {
  let len = max;
  if (listOf(rib, address >>> LOW) != 0) {
    for (; len > <i32>TOP; len--) if (ribGet(rib, address, len) != 0) return len;
  }
  return shortMatch(rib, address, min<i32>(len, TOP), 0);
}

/** The same among prefixes of `least` … `max` bits, `max` at most 19. */
export function shortMatch(rib: usize, address: u32, max: i32, least: i32): i32 {
  for (let len = max; len >= least; len--) if (load<u32>(treeAt(rib, address, len)) != 0) return len;
  return -1;
}

function keep(prefix: u32, len: u32, value: u32): bool {
  store<u32>(found, prefix);
  store<u32>(found, len, 4);
  store<u32>(found, value, 8);
  return true;
}

/** The first prefix of `from` … 19 bits that begins exactly at `prefix`. */
function shortFrom(rib: usize, prefix: u32, from: u32): bool {
  for (let len = from; len <= TOP; len++) {
    const value = load<u32>(treeAt(rib, prefix, len));
    if (value != 0) return keep(prefix, len, value);
  }
  return false;
}

function listedFrom(rib: usize, c: u32, key: u32): bool {
  const list = listOf(rib, c);
  if (list == 0) return false;
  const e = atLeast(list, key);
  if (e >= endOf(list)) return false;
  const k = load<u32>(e);
  return keep((c << LOW) | (k >>> 6), k & 63, load<u32>(e, 4));
}

/** The prefix behind (prefix, len) in order of prefix, then length (`len` -1: the first of all), to `found`. */
export function ribNext(rib: usize, prefix: u32, len: i32): bool {
  let c: u32 = 0;
  if (len >= 0) {
    c = prefix >>> LOW;
    if (len <= <i32>TOP) {
      if (shortFrom(rib, prefix, len + 1) || listedFrom(rib, c, 0)) return true;
    } else if (listedFrom(rib, c, keyOf(prefix, len) + 1)) return true;
    c++;
  }
  for (; c < 1 << TOP; c++) {
    const first = c == 0 ? 0 : TOP - ctz<u32>(c);
    if (shortFrom(rib, c << LOW, first) || listedFrom(rib, c, 0)) return true;
  }
  return false;
}

/** Where the tree has a node's value: 1 is the root, 2n and 2n+1 are the halves of n. */
// @ts-ignore: decorator
@inline
export function treeAtNode(rib: usize, node: u32): usize {
  return load<u32>(rib, TREE) + (node << 2);
}
