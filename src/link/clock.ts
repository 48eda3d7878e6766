// src/link/clock.ts: discrete-event time in integer nanoseconds since the world began.

export const US = 1_000;
export const MS = 1_000_000;
export const SECOND = 1_000_000_000;

/** Something that will happen. `at` is -1 once it happened or was cancelled. */
export interface Timer {
  at: number;
  /** Order among timers of the same instant: the lowest runs first. */
  order: number;
  readonly run: () => void;
  /** Place in the heap. */
  slot: number;
}

/** Events in order of time, then of setting (those of the wheel the other way round, and first): a binary heap, so that a million timers cost 20 steps each. */
export class Clock {
  /** Nanoseconds since the start. Exact up to 2^53, a hundred days. */
  now = 0;
  private readonly heap: Timer[] = [];
  private order = 0;
  private wheelOrder = 0;

  /** Runs `run` at `at` (now, if that is past). */
  at(at: number, run: () => void): Timer {
    return this.set(at, run, this.order++);
  }

  /** The same, as a timer of Linux's wheel: of one slot the last set runs first (enqueue_timer pushes at the list's head). */
  atWheel(at: number, run: () => void): Timer {
    return this.set(at, run, --this.wheelOrder);
  }

  private set(at: number, run: () => void, order: number): Timer {
    const timer: Timer = { at: Math.max(at, this.now), order, run, slot: this.heap.length };
    this.heap.push(timer);
    this.up(timer.slot);
    return timer;
  }

  after(delay: number, run: () => void): Timer {
    return this.at(this.now + delay, run);
  }

  /** A timer that is not set yet, to be armed many times: it costs no memory again. */
  timer(run: () => void): Timer {
    return { at: -1, order: 0, run, slot: 0 };
  }

  /** Sets the timer, or moves it. */
  arm(timer: Timer, at: number): void {
    const to = Math.max(at, this.now);
    timer.order = this.order++;
    if (timer.at < 0) {
      timer.at = to;
      timer.slot = this.heap.length;
      this.heap.push(timer);
      this.up(timer.slot);
      return;
    }
    timer.at = to;
    this.up(timer.slot);
    this.down(timer.slot);
  }

  cancel(timer: Timer | null): void {
    if (timer === null || timer.at < 0) return;
    this.remove(timer);
  }

  /** Time of the next event; Infinity when there is none. */
  next(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0]!.at;
  }

  get pending(): number {
    return this.heap.length;
  }

  /** Runs every event due up to and including `until`, then stands at `until`. */
  advance(until: number): void {
    while (this.heap.length > 0 && this.heap[0]!.at <= until) this.step();
    if (until > this.now) this.now = until;
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    const timer = this.heap[0];
    if (timer === undefined) return false;
    this.now = timer.at;
    this.remove(timer);
    timer.run();
    return true;
  }

  private remove(timer: Timer): void {
    const last = this.heap.pop()!;
    timer.at = -1;
    if (last === timer) return;
    const slot = timer.slot;
    this.heap[slot] = last;
    last.slot = slot;
    this.up(slot);
    this.down(last.slot);
  }

  private up(slot: number): void {
    const heap = this.heap;
    const timer = heap[slot]!;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!earlier(timer, heap[parent]!)) break;
      heap[slot] = heap[parent]!;
      heap[slot]!.slot = slot;
      slot = parent;
    }
    heap[slot] = timer;
    timer.slot = slot;
  }

  private down(slot: number): void {
    const heap = this.heap;
    const timer = heap[slot]!;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, timer)) break;
      heap[slot] = heap[child]!;
      heap[slot]!.slot = slot;
      slot = child;
    }
    heap[slot] = timer;
    timer.slot = slot;
  }
}

function earlier(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
