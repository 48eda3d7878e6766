// assembly/wordpool.ts: blocks of 1 … 32 words, out of pages of 64 KiB from the arena; a pool goes as a whole.

import { alloc, release } from "./arena";

export const MAX_WORDS: u32 = 32;
const PAGE: u32 = 65536;
const PAGE_HEAD: u32 = 32;

// A pool, 160 bytes. Free blocks of n words are linked through their first word from the list at 4n.
//
//     0    4 … 128        132     136    140   144
//     | - | free lists   | pages | next | end | number of pages |
const PAGES: usize = 132;
const NEXT: usize = 136;
const END: usize = 140;
const NUMBER: usize = 144;
export const POOL: u32 = 160;

// @ts-ignore: decorator
@inline
function push(pool: usize, block: usize, words: u32): void {
  const list = pool + (words << 2);
  store<u32>(block, load<u32>(list));
  store<u32>(list, <u32>block);
}

/** A new page; what is left of the old one becomes a free block. */
function addPage(pool: usize): bool {
  const page = alloc(PAGE);
  if (page == 0) return false;
  const next = load<u32>(pool, NEXT);
  const rest = (load<u32>(pool, END) - next) >> 2;
  if (rest > 0) push(pool, next, rest);
  store<u32>(page, load<u32>(pool, PAGES));
  store<u32>(pool, <u32>page, PAGES);
  store<u32>(pool, <u32>page + PAGE_HEAD, NEXT);
  store<u32>(pool, <u32>page + PAGE, END);
  store<u32>(pool, load<u32>(pool, NUMBER) + 1, NUMBER);
  return true;
}

/** A block of that many words, not cleared; 0 when memory is used up. */
export function take(pool: usize, words: u32): usize {
  const list = pool + (words << 2);
  const free = load<u32>(list);
  if (free != 0) {
    store<u32>(list, load<u32>(free));
    return free;
  }
  const bytes = words << 2;
  const next = load<u32>(pool, NEXT);
  if (load<u32>(pool, END) - next >= bytes) {
    store<u32>(pool, next + bytes, NEXT);
    return next;
  }
  if (addPage(pool)) {
    const first = load<u32>(pool, NEXT);
    store<u32>(pool, first + bytes, NEXT);
    return first;
  }
  return split(pool, words);
}

/** Where the next `words` words that were never taken begin; 0 when the page has less. Taken only by `advance`. */
// @ts-ignore: decorator
@inline
export function upcoming(pool: usize, words: u32): usize {
  const next = load<u32>(pool, NEXT);
  return load<u32>(pool, END) - next >= words << 2 ? <usize>next : 0;
}

/** Takes that many of the `upcoming` words. */
// @ts-ignore: decorator
@inline
export function advance(pool: usize, words: u32): void {
  store<u32>(pool, load<u32>(pool, NEXT) + (words << 2), NEXT);
}

/** The end of memory: cuts a larger free block. */
function split(pool: usize, words: u32): usize {
  for (let n = words + 1; n <= MAX_WORDS; n++) {
    const list = pool + (n << 2);
    const free = load<u32>(list);
    if (free == 0) continue;
    store<u32>(list, load<u32>(free));
    push(pool, free + (words << 2), n - words);
    return free;
  }
  return 0;
}

/** Gives back a block of that many words. */
export function give(pool: usize, block: usize, words: u32): void {
  push(pool, block, words);
}

/** Gives all pages back and starts anew. */
export function clear(pool: usize): void {
  let page: usize = load<u32>(pool, PAGES);
  while (page != 0) {
    const next = load<u32>(page);
    release(page, PAGE);
    page = next;
  }
  memory.fill(pool, 0, POOL);
}

/** Bytes that the pool holds. */
export function poolBytes(pool: usize): u32 {
  return load<u32>(pool, NUMBER) * PAGE;
}
