// src/transport/tcp/sent.ts: what was sent and is not acknowledged, segment by segment, in order of sequence numbers.

/** The peer has it (SACK). */
export const SACKED = 1;
/** Was sent again and is thought to be under way. */
export const RETRANS = 2;
/** Is believed lost. */
export const LOST = 4;
/** Was sent more than once. */
export const EVER_RETRANS = 8;
/** Is the last of its piece (writequeue.ts). */
export const PIECE_END = 16;

export class Sent {
  seq = 0;
  end = 0;
  /** Flags of the TCP header. */
  flags = 0;
  /** Bits of the above. */
  tagged = 0;
  /** When it was sent last, nanoseconds. */
  time = 0;
  /** `delivered` when it was sent last (for the rate and for RACK). */
  delivered = 0;
  /** What else was in flight when it was sent. */
  inFlight = 0;
}

const COMPACT = 256;
/** Of connections that have nothing in flight and never had: never written. */
const NONE: Sent[] = [];

/** A deque of reused objects. */
export class SentQueue {
  private items: Sent[] = NONE;
  private head = 0;
  private tail = 0;

  /** `pool`: those that nobody uses, of the whole host. */
  constructor(private readonly pool: Sent[]) {}

  get length(): number {
    return this.tail - this.head;
  }

  /** The i-th from the front. */
  at(i: number): Sent {
    return this.items[this.head + i]!;
  }

  push(seq: number, end: number, flags: number, time: number): Sent {
    const s = this.take(seq, end, flags);
    s.time = time;
    // most connections never have two in flight: an array that grows from [] has room for many
    if (this.items === NONE) {
      this.items = [s];
      this.tail = 1;
    } else this.items[this.tail++] = s;
    return s;
  }

  /** Takes the first away. */
  shift(): void {
    this.pool.push(this.items[this.head]!);
    this.head++;
    if (this.head === this.tail) {
      this.head = this.tail = 0;
    } else if (this.head >= COMPACT && this.head * 2 >= this.tail) {
      this.items.copyWithin(0, this.head, this.tail);
      this.tail -= this.head;
      this.head = 0;
    }
  }

  /** Cuts the i-th at `seq`: the i-th ends there, and a new one behind it has the rest and the same tags. */
  split(i: number, seq: number): Sent {
    const s = this.at(i);
    const rest = this.take(seq, s.end, s.flags);
    rest.tagged = s.tagged;
    rest.time = s.time;
    rest.delivered = s.delivered;
    rest.inFlight = s.inFlight;
    s.end = seq;
    // FIN and PSH belong to the last byte
    s.flags &= ~0x09;
    this.items.length = this.tail++;
    this.items.splice(this.head + i + 1, 0, rest);
    return rest;
  }

  /** Takes the i-th away. */
  remove(i: number): void {
    this.items.length = this.tail--;
    this.pool.push(...this.items.splice(this.head + i, 1));
  }

  clear(): void {
    this.items = NONE;
    this.head = this.tail = 0;
  }

  /** Index of the first whose end is behind `seq`; `length` when there is none. */
  find(seq: number): number {
    let low = this.head;
    let high = this.tail;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((this.items[middle]!.end - seq) | 0) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - this.head;
  }

  private take(seq: number, end: number, flags: number): Sent {
    const s = this.pool.pop() ?? new Sent();
    s.seq = seq;
    s.end = end;
    s.flags = flags;
    s.tagged = 0;
    s.inFlight = 0;
    return s;
  }
}
