// src/transport/tcp/ring.ts: bytes of a stream in the core, each at its sequence number modulo the ring's size.
//
//     | ... free | first ........ | free ... |     the byte with sequence number s is at  base + (s & mask)

import type { Core } from "../../core/core.ts";

const SMALLEST = 2048;
/** As many bytes are copied sooner one by one than through a view. */
const FEW = 96;

export class Ring {
  base = 0;
  /** Bytes, a power of two; 0: nothing is held and no memory taken. */
  size = 0;

  constructor(private readonly core: Core) {}

  /** Makes room for `need` bytes from `first` on, keeping the `used` first of them; false when memory is used up. */
  reserve(first: number, used: number, need: number): boolean {
    if (need <= this.size) return true;
    let size = this.size === 0 ? SMALLEST : this.size;
    while (size < need) size *= 2;
    const { x, u8 } = this.core;
    const base = x.allocDirty(size) >>> 0;
    if (base === 0) return false;
    if (used > 0) {
      // both rings are powers of two: pieces that end where either wraps
      for (let done = 0; done < used;) {
        const from = (first + done) & (this.size - 1);
        const to = (first + done) & (size - 1);
        const n = Math.min(used - done, this.size - from, size - to);
        u8.copyWithin(base + to, this.base + from, this.base + from + n);
        done += n;
      }
    }
    if (this.size !== 0) x.release(this.base, this.size);
    this.base = base;
    this.size = size;
    return true;
  }

  /** Gives the memory back; nothing is held any more. */
  clear(): void {
    if (this.size === 0) return;
    this.core.x.release(this.base, this.size);
    this.base = this.size = 0;
  }

  /** Copies `n` of a program's bytes in at `at`; there is room. */
  put(at: number, bytes: Uint8Array, from: number, n: number): void {
    const { u8 } = this.core;
    const offset = at & (this.size - 1);
    const first = Math.min(n, this.size - offset);
    if (n <= FEW) {
      const { base } = this;
      const mask = this.size - 1;
      for (let i = 0; i < n; i++) u8[base + ((at + i) & mask)] = bytes[from + i]!;
      return;
    }
    u8.set(from === 0 && first === bytes.length ? bytes : bytes.subarray(from, from + first), this.base + offset);
    if (first < n) u8.set(bytes.subarray(from + first, from + n), this.base);
  }

  /** `n` zeros at `at`. */
  putZeros(at: number, n: number): void {
    const { u8 } = this.core;
    const offset = at & (this.size - 1);
    const first = Math.min(n, this.size - offset);
    u8.fill(0, this.base + offset, this.base + offset + first);
    if (first < n) u8.fill(0, this.base, this.base + n - first);
  }

  /** Copies `n` bytes of the core at `address` in at `at`; there is room. */
  putCore(at: number, address: number, n: number): void {
    const { u8 } = this.core;
    const offset = at & (this.size - 1);
    const first = Math.min(n, this.size - offset);
    u8.copyWithin(this.base + offset, address, address + first);
    if (first < n) u8.copyWithin(this.base, address + first, address + n);
  }

  /** Copies `n` bytes at `at` out. */
  get(at: number, into: Uint8Array, n: number): void {
    const { u8 } = this.core;
    const offset = at & (this.size - 1);
    const first = Math.min(n, this.size - offset);
    if (n <= FEW) {
      const { base } = this;
      const mask = this.size - 1;
      for (let i = 0; i < n; i++) into[i] = u8[base + ((at + i) & mask)]!;
      return;
    }
    into.set(u8.subarray(this.base + offset, this.base + offset + first), 0);
    if (first < n) into.set(u8.subarray(this.base, this.base + n - first), first);
  }

  byte(at: number): number {
    return this.core.u8[this.base + (at & (this.size - 1))]!;
  }
}
