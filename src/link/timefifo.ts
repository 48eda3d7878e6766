// src/link/timefifo.ts: packets in order of the time at which they leave (netem's tfifo): no object per packet.
//
// As there, what comes in order goes to a plain queue, and only what overtakes to an ordered one, here a heap.

import type { Frame } from "../core/core.ts";

const FIRST = 16;

export class TimeFifo {
  // a ring of packets whose times do not fall
  private times = new Float64Array(FIRST);
  private frames = new Uint32Array(FIRST);
  private head = 0;
  private count = 0;
  // a heap of those that were earlier than the ring's last; of one time the first put in comes first
  private heapTimes = new Float64Array(FIRST);
  private heapOrder = new Float64Array(FIRST);
  private heapFrames = new Uint32Array(FIRST);
  private heapCount = 0;
  private order = 0;
  private heapLast = -Infinity;

  get length(): number {
    return this.count + this.heapCount;
  }

  /** Of the packet that leaves first; Infinity when there is none. */
  get first(): number {
    const ring = this.count === 0 ? Infinity : this.times[this.head]!;
    const heap = this.heapCount === 0 ? Infinity : this.heapTimes[0]!;
    return Math.min(ring, heap);
  }

  /** Of the packet that leaves last; -Infinity when there is none. */
  get last(): number {
    const ring = this.count === 0 ? -Infinity : this.times[(this.head + this.count - 1) & (this.times.length - 1)]!;
    return Math.max(ring, this.heapLast);
  }

  push(time: number, frame: Frame): void {
    if (this.count === 0 || time >= this.times[(this.head + this.count - 1) & (this.times.length - 1)]!) {
      if (this.count === this.times.length) this.growRing();
      const at = (this.head + this.count++) & (this.times.length - 1);
      this.times[at] = time;
      this.frames[at] = frame;
    } else this.pushHeap(time, frame);
  }

  /** Takes the first away; there must be one. */
  shift(): Frame {
    if (this.heapCount > 0 && (this.count === 0 || this.heapTimes[0]! < this.times[this.head]!)) return this.popHeap();
    const frame = this.frames[this.head]!;
    this.head = (this.head + 1) & (this.times.length - 1);
    this.count--;
    return frame;
  }

  private growRing(): void {
    const { times, frames, head, count } = this;
    this.times = new Float64Array(2 * count);
    this.frames = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) {
      const at = (head + i) & (count - 1);
      this.times[i] = times[at]!;
      this.frames[i] = frames[at]!;
    }
    this.head = 0;
  }

  private pushHeap(time: number, frame: Frame): void {
    if (this.heapCount === this.heapTimes.length) {
      this.heapTimes = doubled(this.heapTimes, new Float64Array(2 * this.heapCount));
      this.heapOrder = doubled(this.heapOrder, new Float64Array(2 * this.heapCount));
      this.heapFrames = doubled(this.heapFrames, new Uint32Array(2 * this.heapCount));
    }
    if (time > this.heapLast) this.heapLast = time;
    const order = this.order++;
    let at = this.heapCount++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // a later number never goes before an earlier one of the same time
      if (this.heapTimes[parent]! <= time) break;
      this.move(parent, at);
      at = parent;
    }
    this.heapTimes[at] = time;
    this.heapOrder[at] = order;
    this.heapFrames[at] = frame;
  }

  private popHeap(): Frame {
    const frame = this.heapFrames[0]!;
    const n = --this.heapCount;
    if (n === 0) {
      this.heapLast = -Infinity;
      return frame;
    }
    const time = this.heapTimes[n]!;
    const order = this.heapOrder[n]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= n) break;
      if (child + 1 < n && this.before(child + 1, this.heapTimes[child]!, this.heapOrder[child]!)) child++;
      if (!this.before(child, time, order)) break;
      this.move(child, at);
      at = child;
    }
    this.heapTimes[at] = time;
    this.heapOrder[at] = order;
    this.heapFrames[at] = this.heapFrames[n]!;
    return frame;
  }

  private before(i: number, time: number, order: number): boolean {
    const t = this.heapTimes[i]!;
    return t < time || (t === time && this.heapOrder[i]! < order);
  }

  private move(from: number, to: number): void {
    this.heapTimes[to] = this.heapTimes[from]!;
    this.heapOrder[to] = this.heapOrder[from]!;
    this.heapFrames[to] = this.heapFrames[from]!;
  }
}

function doubled<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
