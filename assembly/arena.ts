// assembly/arena.ts: tables that live as long as a network: power-of-two blocks with free lists over fixed memory.

const MIN_SHIFT: u32 = 5;
const CLASSES: u32 = 28;
const LINES: usize = 128;

/** First block of each free list, 0 when empty. */
const lists: usize = memory.data(112, 16);
let top: usize = 0;

// @ts-ignore: decorator
@inline
function shiftOf(size: u32): u32 {
  const s: u32 = size <= 1 ? 0 : 32 - clz<u32>(size - 1);
  return s < MIN_SHIFT ? MIN_SHIFT : s;
}

/** A zeroed block of at least `size` bytes, aligned to 32, to 128 from that size on; 0 when memory is used up. */
export function alloc(size: u32): usize {
  const used = top;
  const p = allocDirty(size);
  // what was never given out is zero
  if (p != 0 && top == used) memory.fill(p, 0, (<usize>1) << shiftOf(size));
  return p;
}

/** The same, with whatever bytes the block held before. */
export function allocDirty(size: u32): usize {
  const shift = shiftOf(size);
  if (shift >= CLASSES) return 0;
  const list = lists + ((shift - MIN_SHIFT) << 2);
  const free = load<u32>(list);
  const bytes: usize = 1 << shift;
  if (free != 0) {
    store<u32>(list, load<u32>(free));
    return free;
  }
  if (top == 0) top = (__heap_base + 31) & ~31;
  if (bytes >= LINES) align();
  if (top + bytes > (<usize>memory.size()) << 16) return 0;
  const p = top;
  top += bytes;
  return p;
}

/** Large blocks begin with a cache line, and with one of the pairs that processors fetch; the gap becomes small blocks. */
function align(): void {
  const end = min((top + (LINES - 1)) & ~(LINES - 1), (<usize>memory.size()) << 16);
  while (top < end) {
    const gap = top;
    top += 1 << MIN_SHIFT;
    release(gap, 1 << MIN_SHIFT);
  }
}

/** Gives back a block that `alloc(size)` gave. */
export function release(p: usize, size: u32): void {
  if (p == 0) return;
  const list = lists + ((shiftOf(size) - MIN_SHIFT) << 2);
  store<u32>(p, load<u32>(list));
  store<u32>(list, <u32>p);
}

/** Bytes taken from memory so far (free lists included). */
export function arenaUsed(): u32 {
  return top == 0 ? 0 : <u32>(top - __heap_base);
}
