// assembly/fibbulk.ts: many prefixes at once into an empty rib: counted, placed, then sorted list by list as `dirBuild` goes
// over them. Everything is a pass in order over routes or over chunks; only placing writes at random.

import { LISTS, LOW, MAX_VALUE, TOP, keyOf, slotOf, takeList, treeAt, wordsOf } from "./fibrib";
import { MAX_WORDS, advance, upcoming } from "./wordpool";

/** Prefixes of up to 19 bits that `bulkCount` found since `bulkBegin`. */
export let bulkShort: u32 = 0;

export function bulkBegin(): void {
  bulkShort = 0;
}

/**
 * Prefixes of up to 19 bits go to their place, and the new ones into `bulkShort`; of longer ones it is counted how many each
 * /19 has. Answers how many entries there are before the first bad one.
 */
export function bulkCount(rib: usize, entries: usize, count: u32): u32 {
  const end = entries + count * 12;
  for (let e = entries; e < end; e += 12) {
    const prefix = load<u32>(e);
    const len = load<u32>(e, 4);
    const value = load<u32>(e, 8);
    if (len > 32 || value - 1 >= MAX_VALUE) return <u32>(e - entries) / 12;
    if (len > TOP) {
      const slot = slotOf(rib, prefix >>> LOW);
      store<u32>(slot, load<u32>(slot) + 1);
    } else {
      const at = treeAt(rib, prefix, len);
      bulkShort += <u32>(load<u32>(at) == 0);
      store<u32>(at, value);
    }
  }
  return count;
}

/** Nothing was counted: no /19 has a list. */
export function bulkForget(rib: usize): void {
  memory.fill(slotOf(rib, 0), 0, 4 << TOP);
}

/**
 * Gives every /19 a list for what was counted, and puts the end of the list into the index. False: no memory, and some
 * have no list; `bulkPlace`, then `bulkRestore`, make the rib one that can be freed.
 */
export function bulkLists(rib: usize): bool {
  const pool = rib + LISTS;
  const end = slotOf(rib, 1 << TOP);
  for (let slot = slotOf(rib, 0); slot < end; slot += 4) {
    const n = load<u32>(slot);
    if (n == 0) continue;
    const room = roomFor(n);
    let list = upcoming(pool, wordsOf(room));
    if (wordsOf(room) <= MAX_WORDS && list != 0) {
      advance(pool, wordsOf(room));
      store<u32>(list, room, 4);
    } else list = takeList(rib, room);
    if (list == 0) {
      // what is behind is no list
      memory.fill(slot, 0, end - slot);
      return false;
    }
    store<u32>(list, n);
    store<u32>(slot, <u32>list + 8 + (n << 3));
  }
  return true;
}

/** Places of a list for `n`: what makes the best of its block. */
// @ts-ignore: decorator
@inline
function roomFor(n: u32): u32 {
  if (n <= (MAX_WORDS - 2) / 2) return n;
  // 8 + 8n bytes fill a power of two
  return (1 << (32 - clz<u32>(n))) - 1;
}

/** Fills the lists from their ends: behind the last entry the index holds where each list's entries begin. */
export function bulkPlace(rib: usize, entries: usize, count: u32): void {
  const end = entries + count * 12;
  for (let e = entries; e < end; e += 12) {
    const prefix = load<u32>(e);
    const len = load<u32>(e, 4);
    if (len <= TOP) continue;
    const slot = slotOf(rib, prefix >>> LOW);
    if (load<u32>(slot) == 0) continue;
    const at = load<u32>(slot) - 8;
    store<u32>(slot, at);
    store<u64>(at, ((<u64>load<u32>(e, 8)) << 32) | keyOf(prefix, len));
  }
}

/** The list of chunk `c`, now with its proper place in the index; 0 for none. */
// @ts-ignore: decorator
@inline
export function bulkList(rib: usize, c: u32): usize {
  const slot = slotOf(rib, c);
  const at = load<u32>(slot);
  if (at == 0) return 0;
  store<u32>(slot, at - 8);
  return at - 8;
}

/** The index as it has to be from chunk `c` on, with lists in whatever order. */
export function bulkRestore(rib: usize, c: u32): void {
  while (c < 1 << TOP) bulkList(rib, c++);
}
