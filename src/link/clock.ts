// src/link/clock.ts: discrete-event time in integer nanoseconds since the world began.

export const US = 1_000;
export const MS = 1_000_000;
export const SECOND = 1_000_000_000;

/** Something that will happen. `at` is -1 once it happened or was cancelled. */
export interface Timer {
  at: number;
  /** Order among timers of the same instant: the lowest runs first. */
  order: number;
  readonly run: (owner: never) => void;
  /** What `run` is called with. */
  owner: unknown;
  /** Place in the heap, -1 outside. */
  slot: number;
}

/** Cancelled timers that are kept before anybody looks at how many they are. */
const FEW = 64;

/**
 * Events in order of time, then of setting (those of the wheel the other way round, and first).
 *
 * A heap of four children a node, its keys beside it, so that a step down reads one line of memory. A key may be earlier
 * than its timer: a timer that is moved later or cancelled stays where it is until it comes to the top, so that a timer
 * armed again with every segment costs next to nothing. Cancelled ones never outnumber those that are set.
 */
export class Clock {
  /** Nanoseconds since the start. Exact up to 2^53, a hundred days. */
  now = 0;
  private heap: Timer[] = [];
  private times = new Float64Array(64);
  private orders = new Float64Array(64);
  private order = 0;
  private wheelOrder = 0;
  /** Timers in the heap that are cancelled. */
  private dead = 0;
  /** Called when something is set that happens before all else: whoever sleeps until the next event wakes up. */
  onEarlier: (() => void) | null = null;

  /** Runs `run` at `at` (now, if that is past; the next nanosecond, if it is between two). */
  at(at: number, run: () => void): Timer {
    return this.set(at, run, this.order++);
  }

  /** The same, as a timer of Linux's wheel: of one slot the last set runs first (enqueue_timer pushes at the list's head). */
  atWheel(at: number, run: () => void): Timer {
    return this.set(at, run, --this.wheelOrder);
  }

  private set(at: number, run: () => void, order: number): Timer {
    const timer: Timer = { at: Math.ceil(Math.max(at, this.now)), order, run, owner: null, slot: -1 };
    this.push(timer);
    return timer;
  }

  after(delay: number, run: () => void): Timer {
    return this.at(this.now + delay, run);
  }

  /** A timer that is not set yet, to be armed many times: it costs no memory again. `owner` saves a closure. */
  timer<T>(run: (owner: T) => void, owner?: T): Timer {
    return { at: -1, order: 0, run, owner, slot: -1 };
  }

  /** Sets the timer, or moves it. */
  arm(timer: Timer, at: number): void {
    const to = at > this.now ? Math.ceil(at) : this.now;
    const { slot } = timer;
    timer.order = this.order++;
    if (slot < 0) {
      timer.at = to;
      this.push(timer);
      return;
    }
    if (timer.at < 0) this.dead--;
    timer.at = to;
    if (to < this.times[slot]!) this.up(slot, timer);
  }

  cancel(timer: Timer | null): void {
    if (timer === null || timer.at < 0) return;
    timer.at = -1;
    this.dead++;
    if (this.dead > FEW && this.dead > this.heap.length >> 1) this.sweep();
  }

  /** Cancels it for good: its owner may go although the heap still holds the timer. */
  end(timer: Timer): void {
    this.cancel(timer);
    timer.owner = null;
  }

  /** Time of the next event; Infinity when there is none. */
  next(): number {
    const first = this.first();
    return first === null ? Infinity : first.at;
  }

  /** Timers that are set. */
  get pending(): number {
    return this.heap.length - this.dead;
  }

  /** Runs every event due up to and including `until`, then stands at `until`. */
  advance(until: number): void {
    for (;;) {
      const timer = this.first();
      if (timer === null || timer.at > until) break;
      this.fire(timer);
    }
    if (until > this.now) this.now = until;
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    const timer = this.first();
    if (timer === null) return false;
    this.fire(timer);
    return true;
  }

  private fire(timer: Timer): void {
    this.now = timer.at;
    timer.at = -1;
    this.pop();
    timer.run(timer.owner as never);
  }

  /** The timer at the top, once its key is its own. */
  private first(): Timer | null {
    while (this.heap.length > 0) {
      const timer = this.heap[0]!;
      if (timer.at < 0) {
        this.dead--;
        this.pop();
      } else if (timer.at === this.times[0] && timer.order === this.orders[0]) return timer;
      else this.down(0, timer);
    }
    return null;
  }

  private push(timer: Timer): void {
    const slot = this.heap.length;
    if (slot === this.times.length) this.grow();
    this.heap.push(timer);
    this.up(slot, timer);
  }

  /** Takes the top away. */
  private pop(): void {
    const last = this.heap.pop()!;
    if (this.heap.length > 0) {
      this.heap[0]!.slot = -1;
      // the last one's key may be earlier than its time: that is made good on the way
      if (last.at < 0) this.place(0, last, this.times[this.heap.length]!, this.orders[this.heap.length]!);
      else this.place(0, last, last.at, last.order);
    } else last.slot = -1;
  }

  private grow(): void {
    const { times, orders } = this;
    this.times = new Float64Array(2 * times.length);
    this.orders = new Float64Array(2 * times.length);
    this.times.set(times);
    this.orders.set(orders);
  }

  /** All cancelled timers go at once. */
  private sweep(): void {
    const old = this.heap;
    this.heap = [];
    this.dead = 0;
    for (const timer of old) {
      timer.slot = -1;
      if (timer.at >= 0) this.push(timer);
    }
  }

  /** Puts the timer where its time belongs, at `slot` or above. */
  private up(slot: number, timer: Timer): void {
    const { heap, times, orders } = this;
    const { at, order } = timer;
    while (slot > 0) {
      const parent = (slot - 1) >> 2;
      const time = times[parent]!;
      if (time < at || (time === at && orders[parent]! < order)) break;
      const moved = heap[parent]!;
      heap[slot] = moved;
      moved.slot = slot;
      times[slot] = time;
      orders[slot] = orders[parent]!;
      slot = parent;
    }
    heap[slot] = timer;
    timer.slot = slot;
    times[slot] = at;
    orders[slot] = order;
    if (slot === 0 && this.onEarlier !== null) this.onEarlier();
  }

  private down(slot: number, timer: Timer): void {
    this.place(slot, timer, timer.at, timer.order);
  }

  /** Puts the timer with this key at `slot` or below. */
  private place(slot: number, timer: Timer, at: number, order: number): void {
    const { heap, times, orders } = this;
    const n = heap.length;
    for (;;) {
      const from = 4 * slot + 1;
      if (from >= n) break;
      const to = from + 4 < n ? from + 4 : n;
      let child = from;
      let time = times[from]!;
      for (let c = from + 1; c < to; c++) {
        const t = times[c]!;
        if (t < time || (t === time && orders[c]! < orders[child]!)) {
          child = c;
          time = t;
        }
      }
      if (time > at || (time === at && orders[child]! > order)) break;
      const moved = heap[child]!;
      heap[slot] = moved;
      moved.slot = slot;
      times[slot] = time;
      orders[slot] = orders[child]!;
      slot = child;
    }
    heap[slot] = timer;
    timer.slot = slot;
    times[slot] = at;
    orders[slot] = order;
  }
}
