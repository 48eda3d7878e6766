// assembly/dir24.ts: the fast structure of a long table: a popcount-compressed array over the first 24 bits.
// Two dependent loads find a route; one more pair where a prefix is longer than /24.

import { alloc, release } from "./arena";
import { TOP, atLeast, endOf, listOf, ribMatch, ribGet, shortMatch } from "./fibrib";
import { POOL, clear, give, poolBytes, take } from "./wordpool";

// 2^19 chunks of 8 bytes; a chunk is 32 slots, each a /24:
//
//     | bits: slot s differs from slot s-1 | address of a leaf for each run of equal slots |
//
// A leaf is a value, or SUB | address of 8 chunks of 32 addresses each. Chunks of one run share the leaf in SAME that
// stands for its value, if the value is small.
const SUB: u32 = 0x80000000;
const CHUNKS_BYTES: u32 = 8 << TOP;
export const SAME_VALUES: u32 = 4096;
const SUB_WORDS: u32 = 16;

// | chunks | same | pool of leaves … |
export const CHUNKS: usize = 0;
export const SAME: usize = 4;
export const LEAVES: usize = 32;
export const DIR: u32 = <u32>LEAVES + POOL;

/** The slots of a chunk, and of the /24 under work. */
export const slots: usize = memory.data(128, 16);
const inner: usize = memory.data(1024, 16);

/** Room for the chunks, all without a route; false when memory is used up. */
export function dirInit(dir: usize): bool {
  memory.fill(dir, 0, DIR);
  const chunks = alloc(CHUNKS_BYTES);
  const same = alloc(SAME_VALUES << 2);
  if (chunks == 0 || same == 0) {
    release(chunks, CHUNKS_BYTES);
    release(same, SAME_VALUES << 2);
    return false;
  }
  store<u32>(dir, <u32>chunks, CHUNKS);
  store<u32>(dir, <u32>same, SAME);
  for (let v: u32 = 0; v < SAME_VALUES; v++) store<u32>(same + (v << 2), v);
  for (let i: u32 = 0; i < CHUNKS_BYTES; i += 8) store<u32>(chunks + i, <u32>same, 4);
  return true;
}

export function dirFree(dir: usize): void {
  clear(dir + LEAVES);
  release(load<u32>(dir, CHUNKS), CHUNKS_BYTES);
  release(load<u32>(dir, SAME), SAME_VALUES << 2);
}

export function dirBytes(dir: usize): u32 {
  return CHUNKS_BYTES + (SAME_VALUES << 2) + poolBytes(dir + LEAVES);
}

/** The leaf of slot `s` (taken modulo 32): as many runs further as there are bits up to it. */
// @ts-ignore: decorator
@inline
function leafOf(chunk: usize, s: u32): u32 {
  return load<u32>(load<u32>(chunk, 4) + (popcnt<u32>(load<u32>(chunk) << ~s) << 2));
}

// @ts-ignore: decorator
@inline
function subLeaf(leaf: u32, address: u32): u32 {
  return leafOf((leaf & ~SUB) + (((address >>> 5) & 7) << 3), address);
}

/** Address of the chunks, for `dirLookup`. */
export function dirChunks(dir: usize): usize {
  return load<u32>(dir, CHUNKS);
}

/** The value of the longest prefix that covers the address, 0 for none. */
// @ts-ignore: decorator
@inline
export function dirLookup(chunks: usize, address: u32): u32 {
  const leaf = leafOf(chunks + ((address >>> 13) << 3), address >>> 8);
  return leaf & SUB ? subLeaf(leaf, address) : leaf;
}

/** Eight at a time; what lies deeper than /24 is looked up once more at the end of each eight. */
export function dirBatch(dir: usize, keys: usize, out: usize, count: u32): void {
  const chunks = load<u32>(dir, CHUNKS);
  const base = i32x4.splat(chunks);
  let i: u32 = 0;
  for (; i + 8 <= count; i += 8) {
    const at = keys + (i << 2);
    const to = out + (i << 2);
    const k0 = v128.load(at);
    const k1 = v128.load(at, 16);
    const c0 = i32x4.add(base, v128.shl<i32>(v128.shr<u32>(k0, 13), 3));
    const c1 = i32x4.add(base, v128.shl<i32>(v128.shr<u32>(k1, 13), 3));
    const s0 = v128.not(v128.shr<u32>(k0, 8));
    const s1 = v128.not(v128.shr<u32>(k1, 8));
    const l0 = lane(i32x4.extract_lane(c0, 0), i32x4.extract_lane(s0, 0));
    const l1 = lane(i32x4.extract_lane(c0, 1), i32x4.extract_lane(s0, 1));
    const l2 = lane(i32x4.extract_lane(c0, 2), i32x4.extract_lane(s0, 2));
    const l3 = lane(i32x4.extract_lane(c0, 3), i32x4.extract_lane(s0, 3));
    const l4 = lane(i32x4.extract_lane(c1, 0), i32x4.extract_lane(s1, 0));
    const l5 = lane(i32x4.extract_lane(c1, 1), i32x4.extract_lane(s1, 1));
    const l6 = lane(i32x4.extract_lane(c1, 2), i32x4.extract_lane(s1, 2));
    const l7 = lane(i32x4.extract_lane(c1, 3), i32x4.extract_lane(s1, 3));
    store<u32>(to, l0);
    store<u32>(to, l1, 4);
    store<u32>(to, l2, 8);
    store<u32>(to, l3, 12);
    store<u32>(to, l4, 16);
    store<u32>(to, l5, 20);
    store<u32>(to, l6, 24);
    store<u32>(to, l7, 28);
    if ((l0 | l1 | l2 | l3 | l4 | l5 | l6 | l7) & SUB) deeper(at, to);
  }
  for (; i < count; i++) store<u32>(out + (i << 2), dirLookup(chunks, load<u32>(keys + (i << 2))));
}

// @ts-ignore: decorator
@inline
function lane(chunk: i32, notSlot: i32): u32 {
  return load<u32>(load<u32>(<usize>chunk, 4) + (popcnt<u32>(load<u32>(<usize>chunk) << (<u32>notSlot)) << 2));
}

function deeper(keys: usize, out: usize): void {
  for (let i: usize = 0; i < 32; i += 4) {
    const leaf = load<u32>(out + i);
    if (leaf & SUB) store<u32>(out + i, subLeaf(leaf, load<u32>(keys + i)));
  }
}

// building

// @ts-ignore: decorator
@inline
function isShared(dir: usize, base: usize): bool {
  return base - load<u32>(dir, SAME) < <usize>(SAME_VALUES << 2);
}

/** Leaves of a chunk: one more than it has bits. */
// @ts-ignore: decorator
@inline
function runs(chunk: usize): u32 {
  return popcnt<u32>(load<u32>(chunk)) + 1;
}

function giveLeaves(dir: usize, chunk: usize): void {
  const base = load<u32>(chunk, 4);
  if (!isShared(dir, base)) give(dir + LEAVES, base, runs(chunk));
}

/** Bit `s` says that leaf `s` of the 32 at `from` differs from the one before; bit 0 is clear. */
// @ts-ignore: decorator
@inline
export function changes(from: usize): u32 {
  let bits: u32 = 0;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from), v128.load(from - 4)));
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 16), v128.load(from, 12))) << 4;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 32), v128.load(from, 28))) << 8;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 48), v128.load(from, 44))) << 12;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 64), v128.load(from, 60))) << 16;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 80), v128.load(from, 76))) << 20;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 96), v128.load(from, 92))) << 24;
  bits |= i32x4.bitmask(i32x4.ne(v128.load(from, 112), v128.load(from, 108))) << 28;
  return bits & ~1;
}

/** Gives the chunk the 32 leaves at `from`; false when memory is used up (the chunk is as it was). */
export function compress(dir: usize, chunk: usize, from: usize, fresh: bool): bool {
  const bits = changes(from);
  const n = popcnt<u32>(bits) + 1;
  const first = load<u32>(from);
  let base: usize;
  if (bits == 0 && first < SAME_VALUES) base = load<u32>(dir, SAME) + (first << 2);
  else {
    const old: usize = fresh ? 0 : load<u32>(chunk, 4);
    const reuse = old != 0 && !isShared(dir, old) && runs(chunk) == n;
    base = reuse ? old : take(dir + LEAVES, n);
    if (base == 0) return false;
    let at = base;
    store<u32>(at, first);
    let rest = bits;
    while (rest != 0) {
      at += 4;
      store<u32>(at, load<u32>(from + (ctz<u32>(rest) << 2)));
      rest &= rest - 1;
    }
    if (reuse) {
      store<u32>(chunk, bits);
      return true;
    }
  }
  if (!fresh) giveLeaves(dir, chunk);
  store<u32>(chunk, bits);
  store<u32>(chunk, <u32>base, 4);
  return true;
}

function giveSub(dir: usize, leaf: u32): void {
  const sub: usize = leaf & ~SUB;
  for (let i: usize = 0; i < 64; i += 8) giveLeaves(dir, sub + i);
  give(dir + LEAVES, sub, SUB_WORDS);
}

/** Paints the prefixes longer than /24 from entry `e` on that lie in the slot; answers the entry behind them. */
function paintSub(dir: usize, s: u32, e: usize, end: usize): usize {
  const cover = load<u32>(slots + (s << 2));
  for (let i: usize = 0; i < 1024; i += 4) store<u32>(inner + i, cover);
  while (e < end) {
    const key = load<u32>(e);
    if (key >>> 14 != s) break;
    const first = (key >>> 6) & 255;
    const n: u32 = 1 << (32 - (key & 63));
    const value = load<u32>(e, 4);
    for (let i = first; i < first + n; i++) store<u32>(inner + (i << 2), value);
    e += 8;
  }
  const sub = take(dir + LEAVES, SUB_WORDS);
  if (sub == 0) return 0;
  for (let i: usize = 0; i < 8; i++) {
    if (compress(dir, sub + (i << 3), inner + (i << 7), true)) continue;
    while (i > 0) giveLeaves(dir, sub + (--i << 3));
    give(dir + LEAVES, sub, SUB_WORDS);
    return 0;
  }
  store<u32>(slots + (s << 2), SUB | (<u32>sub));
  return e;
}

/**
 * Makes slots `first` … `first + n - 1` of chunk `c` anew: `cover` is the value of the longest prefix that covers them
 * all. False when memory is used up: the structure is then of no use any more.
 */
function rebuild(dir: usize, rib: usize, c: u32, first: u32, n: u32, cover: u32, key: u32): bool {
  const chunk = load<u32>(dir, CHUNKS) + (c << 3);
  if (n == 32) {
    const base = load<u32>(chunk, 4);
    for (let i: u32 = 0, all = runs(chunk); i < all; i++) {
      const leaf = load<u32>(base + (i << 2));
      if (leaf & SUB) giveSub(dir, leaf);
    }
    coverSlots(cover);
  } else {
    for (let s: u32 = 0; s < 32; s++) {
      const leaf = leafOf(chunk, s);
      const mine = s - first < n;
      if (mine && leaf & SUB) giveSub(dir, leaf);
      store<u32>(slots + (s << 2), mine ? cover : leaf);
    }
  }
  const list = listOf(rib, c);
  if (list != 0 && !paint(dir, atLeast(list, key), endOf(list), first + n)) return false;
  return compress(dir, chunk, slots, false);
}

/** Paints the prefixes from entry `e` on that begin in front of slot `limit`, shorter ones first. */
export function paint(dir: usize, e: usize, end: usize, limit: u32): bool {
  while (e < end) {
    const k = load<u32>(e);
    const s = k >>> 14;
    if (s >= limit) break;
    if ((k & 63) > 24) {
      e = paintSub(dir, s, e, end);
      if (e == 0) return false;
      continue;
    }
    paintSlots(s, k & 63, load<u32>(e, 4));
    e += 8;
  }
  return true;
}

/** Paints one prefix of 20 ... 24 bits that begins at slot `s`. */
// @ts-ignore: decorator
@inline
export function paintSlots(s: u32, len: u32, value: u32): void {
  const at = slots + (s << 2);
  if (len == 24) return store<u32>(at, value);
  if (len == 23) return store<u64>(at, ((<u64>value) << 32) | value);
  const all = i32x4.splat(value);
  v128.store(at, all);
  if (len == 22) return;
  v128.store(at, all, 16);
  if (len == 21) return;
  v128.store(at, all, 32);
  v128.store(at, all, 48);
}

export function coverSlots(value: u32): void {
  const all = i32x4.splat(value);
  v128.store(slots, all);
  v128.store(slots, all, 16);
  v128.store(slots, all, 32);
  v128.store(slots, all, 48);
  v128.store(slots, all, 64);
  v128.store(slots, all, 80);
  v128.store(slots, all, 96);
  v128.store(slots, all, 112);
}

/** Value of the longest prefix of at most `max` bits that covers the address. */
function cover(rib: usize, address: u32, max: i32): u32 {
  const len = ribMatch(rib, address, max);
  return len < 0 ? 0 : ribGet(rib, address, len);
}

/** A prefix came, went or changed in the rib. False when memory is used up: the structure is then of no use any more. */
export function dirUpdate(dir: usize, rib: usize, prefix: u32, len: u32): bool {
  if (len > TOP) {
    // a prefix longer than /24 changes the one slot that holds it
    const width = min<u32>(len, 24);
    const base = prefix & (0xffffffff << (32 - width));
    const first = (base >>> 8) & 31;
    const key = ((base & 0x1fff) << 6) | (width + 1);
    return rebuild(dir, rib, base >>> 13, first, 1 << (24 - width), cover(rib, base, width), key);
  }
  const first = prefix >>> 13;
  const n: u32 = 1 << (TOP - len);
  const outer = cover(rib, prefix, len);
  for (let c = first; c < first + n; c++) {
    // a longer prefix of up to 19 bits hides this one
    const hidden = shortMatch(rib, c << 13, TOP, len + 1);
    if (hidden >= 0) {
      // all that it covers is hidden too
      c |= (1 << (TOP - hidden)) - 1;
      continue;
    }
    if (!plain(dir, rib, c, outer)) return false;
  }
  return true;
}

/** A whole chunk whose cover is `value`. */
function plain(dir: usize, rib: usize, c: u32, value: u32): bool {
  const chunk = load<u32>(dir, CHUNKS) + (c << 3);
  if (listOf(rib, c) == 0 && value < SAME_VALUES && isShared(dir, load<u32>(chunk, 4))) {
    store<u32>(chunk, load<u32>(dir, SAME) + (value << 2), 4);
    return true;
  }
  return rebuild(dir, rib, c, 0, 32, value, 0);
}
