// src/transport/tcp/table.ts: by its two addresses and ports, a connection, what is left of one, or a request.

/** What can be found. It is in one table at most. */
export interface Tuple<T> {
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly key: number;
  /** The next one of its bucket. */
  next: T | null;
}

const SMALLEST = 64;

/** int32 of the four. */
export function keyOf(localPort: number, remoteAddress: number, remotePort: number): number {
  let h = Math.imul(remoteAddress | 0, 0x9e3779b1) ^ Math.imul((localPort << 16) | remotePort, 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}

/** Chains in buckets that double as they fill. */
export class Table<T extends Tuple<T>> {
  private buckets: (T | null)[] = Array.from({ length: SMALLEST }, () => null);
  size = 0;

  find(localAddress: number, localPort: number, remoteAddress: number, remotePort: number, key: number): T | null {
    for (let item = this.buckets[key & (this.buckets.length - 1)]!; item !== null; item = item.next!) {
      if (
        item.key === key &&
        item.remotePort === remotePort &&
        item.localPort === localPort &&
        item.remoteAddress === remoteAddress &&
        item.localAddress === localAddress
      ) {
        return item;
      }
    }
    return null;
  }

  add(item: T): void {
    if (this.size >= this.buckets.length) this.grow();
    const i = item.key & (this.buckets.length - 1);
    item.next = this.buckets[i]!;
    this.buckets[i] = item;
    this.size++;
  }

  remove(item: T): boolean {
    const i = item.key & (this.buckets.length - 1);
    let last: T | null = null;
    for (let e = this.buckets[i]!; e !== null; e = e.next!) {
      if (e === item) {
        // its own `next` stays: somebody may be walking over it
        if (last === null) this.buckets[i] = e.next;
        else last.next = e.next;
        this.size--;
        return true;
      }
      last = e;
    }
    return false;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const first of this.buckets) for (let e = first; e !== null; e = e.next!) yield e;
  }

  private grow(): void {
    const old = this.buckets;
    this.buckets = Array.from({ length: old.length * 2 }, () => null);
    const mask = this.buckets.length - 1;
    for (const first of old) {
      for (let e = first; e !== null;) {
        const { next } = e;
        const i = e.key & mask;
        e.next = this.buckets[i]!;
        this.buckets[i] = e;
        e = next;
      }
    }
  }
}
