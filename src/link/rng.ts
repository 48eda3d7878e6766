// src/link/rng.ts: the one source of chance. Same seed, same numbers, on any machine.

import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

export class Rng {
  private readonly generator;

  constructor(readonly seed: number) {
    this.generator = xoroshiro128plus(seed);
    // the first outputs hold the bits of a small seed almost as they are
    for (let i = 0; i < 32; i++) this.generator.next();
  }

  /** 32 bits, unsigned. */
  u32(): number {
    return this.generator.next() >>> 0;
  }

  /** An integer in [0, n), n up to 2^32; the bias is below n / 2^53. */
  below(n: number): number {
    const high = this.u32() >>> 11;
    return Math.floor(((high * 2 ** 32 + this.u32()) / 2 ** 53) * n);
  }

  /** A number in [0, 1). */
  unit(): number {
    return ((this.u32() >>> 11) * 2 ** 32 + this.u32()) / 2 ** 53;
  }
}
