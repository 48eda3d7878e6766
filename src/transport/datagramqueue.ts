// src/transport/datagramqueue.ts: what waits to be read from a datagram socket: bytes in a ring that grows as it is needed.

/** Words that are kept of each datagram. */
const WORDS = 6;
const LENGTH = 0;
const ADDRESS = 1;
const PORT = 2;
const TARGET = 3;
const DEVICE = 4;
const CHARGE = 5;

/** Of the one that `take` or `look` answered last. */
export class Arrival {
  /** Bytes of data, whatever was copied. */
  length = 0;
  /** Who sent it, and to which address of ours or of a group. */
  address = 0;
  port = 0;
  target = 0;
  /** ifindex of the device that it came by. */
  device = 0;
}

export class DatagramQueue {
  /** Datagrams that wait, and the memory that they are charged for. */
  count = 0;
  charged = 0;
  private bytes = new Uint8Array(0);
  private head = 0;
  private used = 0;
  private meta = new Uint32Array(0);
  private first = 0;

  /** Puts a datagram at the end: `length` bytes of `from` at `at`. */
  push(
    from: Uint8Array,
    at: number,
    length: number,
    address: number,
    port: number,
    target: number,
    device: number,
    charge: number,
  ): void {
    if (this.used + length > this.bytes.length) this.growBytes(this.used + length);
    if (this.count * WORDS === this.meta.length) this.growMeta();
    const { bytes, meta } = this;
    let to = this.head + this.used;
    if (to >= bytes.length) to -= bytes.length;
    const until = Math.min(length, bytes.length - to);
    copy(from, at, bytes, to, until);
    if (until < length) copy(from, at + until, bytes, 0, length - until);
    let m = (this.first + this.count) * WORDS;
    if (m >= meta.length) m -= meta.length;
    meta[m + LENGTH] = length;
    meta[m + ADDRESS] = address;
    meta[m + PORT] = port;
    meta[m + TARGET] = target;
    meta[m + DEVICE] = device;
    meta[m + CHARGE] = charge;
    this.used += length;
    this.count++;
    this.charged += charge;
  }

  /** Length of the first datagram; -1 when there is none. */
  get nextLength(): number {
    return this.count === 0 ? -1 : this.meta[this.first * WORDS + LENGTH]!;
  }

  /** Copies the first datagram, as much as fits, and describes it; it stays. There must be one. */
  look(into: Uint8Array, arrival: Arrival): void {
    const { bytes, meta, head } = this;
    const m = this.first * WORDS;
    const length = meta[m + LENGTH]!;
    arrival.length = length;
    arrival.address = meta[m + ADDRESS]!;
    arrival.port = meta[m + PORT]!;
    arrival.target = meta[m + TARGET]!;
    arrival.device = meta[m + DEVICE]!;
    const n = Math.min(length, into.length);
    const until = Math.min(n, bytes.length - head);
    copy(bytes, head, into, 0, until);
    if (until < n) copy(bytes, 0, into, until, n - until);
  }

  /** The same, and the datagram is gone. */
  take(into: Uint8Array, arrival: Arrival): void {
    this.look(into, arrival);
    const m = this.first * WORDS;
    const length = this.meta[m + LENGTH]!;
    this.head += length;
    if (this.head >= this.bytes.length) this.head -= this.bytes.length;
    this.used -= length;
    this.charged -= this.meta[m + CHARGE]!;
    if (++this.first * WORDS === this.meta.length) this.first = 0;
    if (--this.count === 0) this.head = this.first = 0;
  }

  clear(): void {
    this.count = this.charged = this.head = this.used = this.first = 0;
    this.bytes = new Uint8Array(0);
    this.meta = new Uint32Array(0);
  }

  private growBytes(need: number): void {
    let size = Math.max(2048, this.bytes.length);
    while (size < need) size *= 2;
    const bytes = new Uint8Array(size);
    const until = Math.min(this.used, this.bytes.length - this.head);
    bytes.set(this.bytes.subarray(this.head, this.head + until));
    bytes.set(this.bytes.subarray(0, this.used - until), until);
    this.bytes = bytes;
    this.head = 0;
  }

  private growMeta(): void {
    const meta = new Uint32Array(Math.max(16 * WORDS, this.meta.length * 2));
    meta.set(this.meta.subarray(this.first * WORDS));
    meta.set(this.meta.subarray(0, this.first * WORDS), this.meta.length - this.first * WORDS);
    this.meta = meta;
    this.first = 0;
  }
}

/** Up to this many bytes a loop is quicker than a view. */
const FEW = 64;

function copy(from: Uint8Array, at: number, into: Uint8Array, to: number, n: number): void {
  if (n <= FEW) for (let i = 0; i < n; i++) into[to + i] = from[at + i]!;
  else into.set(from.subarray(at, at + n), to);
}
