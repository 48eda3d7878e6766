// assembly/dir24build.ts: the fast structure of a whole table at once: one pass over the chunks, in order.

import { CHUNKS, LEAVES, SAME, SAME_VALUES, compress, coverSlots, paint, slots } from "./dir24";
import { bulkList, bulkRestore } from "./fibbulk";
import { TOP, atLeast, endOf, listOf, treeAtNode } from "./fibrib";
import { advance, upcoming } from "./wordpool";

/** Chunks of a block: those of a /15. */
const BLOCK_SHIFT: u32 = 4;
const BLOCK: u32 = 1 << BLOCK_SHIFT;
const BLOCK_DEPTH: u32 = TOP - BLOCK_SHIFT;

/** The value of the longest prefix of at most d bits over the block, for each d of 0 ... 15. */
const above: usize = memory.data(64, 16);
/** The value of the longest prefix of at most 19 bits over each chunk of a block. */
const covers: usize = memory.data(64, 16);

/** Values of the prefixes of a chunk, as a tree: of d bits behind the 19th at 2^d | bits. Zeros in between. */
const nodes: usize = memory.data(256, 16);
/** Entries of a list in order of prefix and length; a complete tree over 32 slots has 63 nodes. */
const sorted: usize = memory.data(512, 16);

/** For each set of four lanes: where the bytes of those in it are. */
// prettier-ignore
const packing: usize = memory.data<u32>([
  0x80808080, 0x80808080, 0x80808080, 0x80808080,
  0x03020100, 0x80808080, 0x80808080, 0x80808080,
  0x07060504, 0x80808080, 0x80808080, 0x80808080,
  0x03020100, 0x07060504, 0x80808080, 0x80808080,
  0x0b0a0908, 0x80808080, 0x80808080, 0x80808080,
  0x03020100, 0x0b0a0908, 0x80808080, 0x80808080,
  0x07060504, 0x0b0a0908, 0x80808080, 0x80808080,
  0x03020100, 0x07060504, 0x0b0a0908, 0x80808080,
  0x0f0e0d0c, 0x80808080, 0x80808080, 0x80808080,
  0x03020100, 0x0f0e0d0c, 0x80808080, 0x80808080,
  0x07060504, 0x0f0e0d0c, 0x80808080, 0x80808080,
  0x03020100, 0x07060504, 0x0f0e0d0c, 0x80808080,
  0x0b0a0908, 0x0f0e0d0c, 0x80808080, 0x80808080,
  0x03020100, 0x0b0a0908, 0x0f0e0d0c, 0x80808080,
  0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x80808080,
  0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
], 16);

/** Written out: a fill is a call. */
// @ts-ignore: decorator
@inline
function clearNodes(): void {
  const zero = i32x4.splat(0);
  v128.store(nodes, zero);
  v128.store(nodes, zero, 16);
  v128.store(nodes, zero, 32);
  v128.store(nodes, zero, 48);
  v128.store(nodes, zero, 64);
  v128.store(nodes, zero, 80);
  v128.store(nodes, zero, 96);
  v128.store(nodes, zero, 112);
  v128.store(nodes, zero, 128);
  v128.store(nodes, zero, 144);
  v128.store(nodes, zero, 160);
  v128.store(nodes, zero, 176);
  v128.store(nodes, zero, 192);
  v128.store(nodes, zero, 208);
  v128.store(nodes, zero, 224);
  v128.store(nodes, zero, 240);
}

/** Both halves of each of the nodes 0 and 1, or 2 and 3. */
// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 0, 0, 1, 1);
}

// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 2, 2, 3, 3);
}

/** The four values at `p`, and where there is none the one from above. */
// @ts-ignore: decorator
@inline
function over(p: usize, v: v128): v128 {
  const own = v128.load(p);
  return v128.or(own, v128.and(v, i32x4.eq(own, i32x4.splat(0))));
}

/** The two values at `p`, likewise. */
// @ts-ignore: decorator
@inline
function overTwo(p: usize, value: u32): v128 {
  const own = v128.load64_zero(p);
  return v128.or(own, v128.and(i32x4.splat(value), i32x4.eq(own, i32x4.splat(0))));
}

/** Writes the covers of the block's chunks. */
// @ts-ignore: decorator
@inline
function coverBlock(rib: usize, block: u32): void {
  const first = block << BLOCK_SHIFT;
  // what the block shares with the one before stays
  let depth: u32 = block == 0 ? 0 : BLOCK_DEPTH - ctz<u32>(block);
  let value: u32 = depth == 0 ? 0 : load<u32>(above + ((depth - 1) << 2));
  for (; depth <= BLOCK_DEPTH; depth++) {
    const own = load<u32>(nodeAt(rib, first, depth));
    if (own != 0) value = own;
    store<u32>(above + (depth << 2), value);
  }
  const v16 = overTwo(nodeAt(rib, first, 16), value);
  const v17 = over(nodeAt(rib, first, 17), low(v16));
  const at18 = nodeAt(rib, first, 18);
  const v18a = over(at18, low(v17));
  const v18b = over(at18 + 16, high(v17));
  const at19 = nodeAt(rib, first, 19);
  v128.store(covers, over(at19, low(v18a)));
  v128.store(covers, over(at19 + 16, high(v18a)), 16);
  v128.store(covers, over(at19 + 32, low(v18b)), 32);
  v128.store(covers, over(at19 + 48, high(v18b)), 48);
}

// @ts-ignore: decorator
@inline
function nodeAt(rib: usize, c: u32, depth: u32): usize {
  return treeAtNode(rib, (1 << depth) | (c >>> (TOP - depth)));
}

/**
 * Everything anew from the rib; `dir` is as `dirInit` left it. With `unsorted` the lists are as `bulkPlace` left them, and
 * are sorted on the way. Answers how many prefixes the lists hold; -1 when memory is used up.
 */
export function dirBuild(dir: usize, rib: usize, unsorted: bool): i32 {
  let chunk: usize = load<u32>(dir, CHUNKS);
  const same = load<u32>(dir, SAME);
  let listed = 0;
  for (let c: u32 = 0; c < 1 << TOP; c++) {
    if ((c & (BLOCK - 1)) == 0) coverBlock(rib, c >>> BLOCK_SHIFT);
    const value = load<u32>(covers + ((c & (BLOCK - 1)) << 2));
    const list = unsorted ? bulkList(rib, c) : listOf(rib, c);
    if (list == 0 && value < SAME_VALUES) store<u64>(chunk, (<u64>(same + (value << 2))) << 32);
    else {
      const good =
        list == 0 || !(unsorted ? sortPlain(list) : takePlain(list))
          ? paintAny(dir, chunk, list, value, unsorted)
          : paintPlain(dir, chunk, value);
      if (!good) {
        if (unsorted) bulkRestore(rib, c + 1);
        return -1;
      }
      if (list != 0) listed += load<u32>(list);
    }
    chunk += 8;
  }
  return listed;
}

/** A chunk with a list of any kind, or none. */
function paintAny(dir: usize, chunk: usize, list: usize, value: u32, unsorted: bool): bool {
  coverSlots(value);
  if (list != 0) {
    if (unsorted) slowSort(list);
    if (!paint(dir, list + 8, endOf(list), 32)) return false;
  }
  return compress(dir, chunk, slots, true);
}

/** A chunk whose prefixes are in `nodes`, which is cleared: without branches, four slots at a time. */
function paintPlain(dir: usize, chunk: usize, value: u32): bool {
  const pool = dir + LEAVES;
  const v20 = overTwo(nodes + 8, value);
  const v21 = over(nodes + 16, low(v20));
  const v22a = over(nodes + 32, low(v21));
  const v22b = over(nodes + 48, high(v21));
  const v23a = over(nodes + 64, low(v22a));
  const v23b = over(nodes + 80, high(v22a));
  const v23c = over(nodes + 96, low(v22b));
  const v23d = over(nodes + 112, high(v22b));
  const s0 = over(nodes + 128, low(v23a));
  const s1 = over(nodes + 144, high(v23a));
  const s2 = over(nodes + 160, low(v23b));
  const s3 = over(nodes + 176, high(v23b));
  const s4 = over(nodes + 192, low(v23c));
  const s5 = over(nodes + 208, high(v23c));
  const s6 = over(nodes + 224, low(v23d));
  const s7 = over(nodes + 240, high(v23d));
  clearNodes();
  let bits = same4(s0, s0);
  bits |= same4(s0, s1) << 4;
  bits |= same4(s1, s2) << 8;
  bits |= same4(s2, s3) << 12;
  bits |= same4(s3, s4) << 16;
  bits |= same4(s4, s5) << 20;
  bits |= same4(s5, s6) << 24;
  bits |= same4(s6, s7) << 28;
  bits = ~bits & ~1;
  let at = upcoming(pool, 36);
  const first = <u32>i32x4.extract_lane(s0, 0);
  if (at == 0 || (bits == 0 && first < SAME_VALUES)) {
    v128.store(slots, s0);
    v128.store(slots, s1, 16);
    v128.store(slots, s2, 32);
    v128.store(slots, s3, 48);
    v128.store(slots, s4, 64);
    v128.store(slots, s5, 80);
    v128.store(slots, s6, 96);
    v128.store(slots, s7, 112);
    return compress(dir, chunk, slots, true);
  }
  store<u64>(chunk, ((<u64>at) << 32) | bits);
  // what is written behind the runs belongs to nobody yet
  const all = bits | 1;
  at = pack(at, s0, all & 15);
  at = pack(at, s1, (all >>> 4) & 15);
  at = pack(at, s2, (all >>> 8) & 15);
  at = pack(at, s3, (all >>> 12) & 15);
  at = pack(at, s4, (all >>> 16) & 15);
  at = pack(at, s5, (all >>> 20) & 15);
  at = pack(at, s6, (all >>> 24) & 15);
  pack(at, s7, all >>> 28);
  advance(pool, popcnt<u32>(all));
  return true;
}

/** A bit for each lane of `v` that equals the one in front of it; the last of `before` is in front of the first. */
// @ts-ignore: decorator
@inline
function same4(before: v128, v: v128): u32 {
  return i32x4.bitmask(i32x4.eq(v, v128.shuffle<i32>(before, v, 3, 4, 5, 6)));
}

/** Writes those of the four that the set names; answers the address behind them. */
// @ts-ignore: decorator
@inline
function pack(at: usize, v: v128, four: u32): usize {
  v128.store(at, v128.swizzle(v, v128.load(packing + (four << 4))));
  return at + (popcnt<u32>(four) << 2);
}

/** The value of an entry that is not longer than /24 to its place in `nodes`. */
// @ts-ignore: decorator
@inline
function putNode(entry: u64): void {
  const len = (<u32>entry) & 63;
  store<u32>(nodes + (((1 << (len - TOP)) | ((<u32>entry) >>> (38 - len))) << 2), <u32>(entry >> 32));
}

/** The list's values into `nodes`, if no prefix is longer than /24. */
function takePlain(list: usize): bool {
  const end = endOf(list);
  for (let e = list + 8; e < end; e += 8) {
    const entry = load<u64>(e);
    if (((<u32>entry) & 63) > 24) {
      clearNodes();
      return false;
    }
    putNode(entry);
  }
  return true;
}

/**
 * Brings a list that `bulkPlace` filled into order, and its values into `nodes`; of equal prefixes the one that came last
 * stays. False, and nothing done: one is longer than /24.
 */
// @ts-ignore: decorator
@inline
function sortPlain(list: usize): bool {
  const n = load<u32>(list);
  const first = list + 8;
  // the number of a prefix's node when the tree over 32 slots is visited in order of (prefix, length): the nodes of whole
  // subtrees in front of slot s, and the nodes above
  let there: u64 = 0;
  for (let e = first + ((n - 1) << 3); e >= first; e -= 8) {
    const entry = load<u64>(e);
    const len = (<u32>entry) & 63;
    if (len > 24) {
      clearNodes();
      return false;
    }
    putNode(entry);
    const s = (<u32>entry) >>> 14;
    const i = 2 * s - popcnt<u32>(s) + (len - TOP);
    store<u64>(sorted + (i << 3), entry);
    there |= (<u64>1) << i;
  }
  let e = first;
  while (there != 0) {
    store<u64>(e, load<u64>(sorted + ((<u32>ctz<u64>(there)) << 3)));
    there &= there - 1;
    e += 8;
  }
  store<u32>(list, (e - first) >> 3);
  return true;
}

/** Brings a list with prefixes of any length into order; of equal ones the one that came last stays. */
function slowSort(list: usize): void {
  const first = list + 8;
  const n = load<u32>(list);
  // the last that came is the first
  store<u32>(list, 0);
  for (let k: u32 = 0; k < n; k++) {
    const entry = load<u64>(first + (k << 3));
    const at = atLeast(list, <u32>entry);
    const end = endOf(list);
    if (at < end && load<u32>(at) == <u32>entry) continue;
    memory.copy(at + 8, at, end - at);
    store<u64>(at, entry);
    store<u32>(list, load<u32>(list) + 1);
  }
}
