// src/link/prandom.ts: Linux's seedable generator (prandom_u32_state): L'Ecuyer's LFSR113, which netem draws from.
//
// A netem with `seed N` draws here what it draws in a kernel of 6.6 or later.

/** Four shift registers; the seeds of each must exceed its lowest bits' mask, or it stands still. */
export class Prandom {
  private s1 = 0;
  private s2 = 0;
  private s3 = 0;
  private s4 = 0;

  /** `high` and `low` are the halves of a seed of 64 bits. */
  constructor(high: number, low: number) {
    this.seed(high, low);
  }

  /** prandom_seed_state: 64 bits are folded to 32. */
  seed(high: number, low: number): void {
    // (seed >> 32) ^ (seed << 10) ^ seed, of which the low half is kept
    const i = (high ^ (low << 10) ^ low) >>> 0;
    this.set(i, i, i, i);
  }

  /** The registers themselves, each lifted above its minimum. */
  set(s1: number, s2: number, s3: number, s4: number): void {
    this.s1 = atLeast(s1 >>> 0, 2) | 0;
    this.s2 = atLeast(s2 >>> 0, 8) | 0;
    this.s3 = atLeast(s3 >>> 0, 16) | 0;
    this.s4 = atLeast(s4 >>> 0, 128) | 0;
  }

  /** 32 bits, unsigned. */
  u32(): number {
    const { s1, s2, s3, s4 } = this;
    this.s1 = ((s1 & -2) << 18) ^ (((s1 << 6) ^ s1) >>> 13);
    this.s2 = ((s2 & -8) << 2) ^ (((s2 << 2) ^ s2) >>> 27);
    this.s3 = ((s3 & -16) << 7) ^ (((s3 << 13) ^ s3) >>> 21);
    this.s4 = ((s4 & -128) << 13) ^ (((s4 << 3) ^ s4) >>> 12);
    return (this.s1 ^ this.s2 ^ this.s3 ^ this.s4) >>> 0;
  }

  /** An integer in [0, n), n up to 2^32: the high half of a product. */
  below(n: number): number {
    const r = this.u32();
    return Math.floor(((r >>> 16) * n + ((r & 0xffff) * n) / 65536) / 65536);
  }
}

function atLeast(x: number, m: number): number {
  return x < m ? x + m : x;
}

/** A seed of 32 bits for the one part of the world that has this name: the others' do not move when it comes or goes. */
export function seedOf(seed: number, name: string): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  // murmur3's last step: names that differ in one letter give seeds that differ in half the bits
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
