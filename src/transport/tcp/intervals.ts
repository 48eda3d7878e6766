// src/transport/tcp/intervals.ts: what came out of order: ranges of sequence numbers, in order, that neither touch nor
// overlap; and the blocks that a SACK option tells of them, the newest first (RFC 2018 §4).

import { after, before } from "./seq.ts";

const MAX_BLOCKS = 4;
/** Most connections never have any: one array for all of them, never written. */
const NONE: number[] = [];

export class Intervals {
  private lefts = NONE;
  private rights = NONE;
  /** SACK blocks: first, and one behind the last. */
  blockLeft = NONE;
  blockRight = NONE;
  /** Sequence number of a FIN that came out of order, when there is one. */
  fin = 0;
  hasFin = false;

  get count(): number {
    return this.lefts.length;
  }

  get blocks(): number {
    return this.blockLeft.length;
  }

  /** One behind the last byte held. */
  get end(): number {
    return this.rights[this.rights.length - 1]!;
  }

  /** Whether all of [left, right) is held. */
  covers(left: number, right: number): boolean {
    for (let i = 0; i < this.lefts.length; i++) {
      if (!after(this.lefts[i]!, left) && !before(this.rights[i]!, right)) return true;
    }
    return false;
  }

  /** The start of what is held of [left, right), or `right` when nothing is. */
  overlapStart(left: number, right: number): number {
    for (let i = 0; i < this.lefts.length; i++) {
      if (before(this.lefts[i]!, right) && after(this.rights[i]!, left)) {
        return after(this.lefts[i]!, left) ? this.lefts[i]! : left;
      }
    }
    return right;
  }

  /** The end of the first stretch that is held of [left, right), from `overlapStart` on (tcp_dsack_extend joins what touches alone). */
  overlapEnd(left: number, right: number): number {
    for (let i = 0; i < this.lefts.length; i++) {
      if (before(this.lefts[i]!, right) && after(this.rights[i]!, left)) {
        return before(this.rights[i]!, right) ? this.rights[i]! : right;
      }
    }
    return left;
  }

  /** Takes [left, right) in, and makes what it is part of the first SACK block. */
  insert(left: number, right: number): void {
    if (this.lefts === NONE) {
      this.lefts = [];
      this.rights = [];
      this.blockLeft = [];
      this.blockRight = [];
    }
    const { lefts, rights } = this;
    let i = lefts.length;
    while (i > 0 && !before(rights[i - 1]!, left)) i--;
    let j = i;
    while (j < lefts.length && !after(lefts[j]!, right)) {
      if (before(lefts[j]!, left)) left = lefts[j]!;
      if (after(rights[j]!, right)) right = rights[j]!;
      j++;
    }
    lefts.splice(i, j - i, left);
    rights.splice(i, j - i, right);
    this.toBlock(left, right);
  }

  private toBlock(left: number, right: number): void {
    const { blockLeft, blockRight } = this;
    let kept = 0;
    for (let i = 0; i < blockLeft.length; i++) {
      if (!before(blockLeft[i]!, left) && !after(blockRight[i]!, right)) continue;
      blockLeft[kept] = blockLeft[i]!;
      blockRight[kept++] = blockRight[i]!;
    }
    blockLeft.length = blockRight.length = Math.min(kept, MAX_BLOCKS - 1);
    blockLeft.unshift(left);
    blockRight.unshift(right);
  }

  /** `next` is expected now: what is held from there on is no longer out of order. Answers where the gap is now. */
  advance(next: number): number {
    const { lefts, rights } = this;
    while (lefts.length > 0 && !after(lefts[0]!, next)) {
      if (after(rights[0]!, next)) next = rights[0]!;
      lefts.shift();
      rights.shift();
    }
    const { blockLeft, blockRight } = this;
    for (let i = blockLeft.length - 1; i >= 0; i--) {
      if (after(blockLeft[i]!, next)) continue;
      blockLeft.splice(i, 1);
      blockRight.splice(i, 1);
    }
    return next;
  }

  clear(): void {
    if (this.lefts === NONE && !this.hasFin) return;
    this.lefts = this.rights = this.blockLeft = this.blockRight = NONE;
    this.hasFin = false;
  }
}

/** Of connections that hold nothing: never written. */
export const NO_INTERVALS = new Intervals();
