// src/transport/tcp/isn.ts: numbers that nobody may guess: initial sequence numbers (RFC 6528), offsets of timestamps
// (RFC 7323 §5.4), SYN cookies (RFC 4987 §3.6). All from the world's seed: same seed, same numbers.

import type { Rng } from "../../link/rng.ts";

/** A keyed hash of words (murmur3's rounds): not for secrets of the real world, but for worlds that can be replayed. */
export class Secrets {
  private readonly keys: Int32Array;

  constructor(rng: Rng) {
    this.keys = new Int32Array(4);
    for (let i = 0; i < 4; i++) this.keys[i] = rng.u32() | 0;
  }

  /** int32 of four words under the i-th key. */
  hash(i: number, a: number, b: number, c: number, d = 0): number {
    let h = this.keys[i]!;
    h = mix(h, a | 0);
    h = mix(h, b | 0);
    h = mix(h, c | 0);
    h = mix(h, d | 0);
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= h >>> 13;
    h = Math.imul(h, 0xc2b2ae35);
    return h ^ (h >>> 16);
  }

  /** RFC 9293 §3.4.1: a hash of the connection plus a clock of 4 µs. */
  initialSequence(local: number, remote: number, ports: number, now: number): number {
    return (this.hash(0, local, remote, ports) + Math.floor(now / 4000)) | 0;
  }

  timestampOffset(local: number, remote: number): number {
    return this.hash(1, local, remote, 0);
  }
}

function mix(h: number, k: number): number {
  k = Math.imul(k, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  h ^= Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}
