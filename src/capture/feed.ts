// src/capture/feed.ts: chunks of any size, split anywhere, seen as runs of contiguous bytes.
//
// A run that lies in one chunk is read where it is. Only a run that crosses from one chunk to the next is copied,
// to `carry`, which grows as bytes arrive and never by what a length field claims:
//
//     chunk n   | record | record | rec|        carry | rec|ord |
//     chunk n+1 |ord | record | ...             then on in chunk n+1

const none = new Uint8Array(0);

export class Feed {
  /** After `need(n)` has answered true, the n bytes are `bytes[at]` to `bytes[at + n - 1]`, until the next `need`. */
  bytes: Uint8Array = none;
  view: DataView = new DataView(none.buffer);
  at = 0;
  /** Where in the file the head is: bytes taken so far. */
  offset = 0;

  private chunk: Uint8Array = none;
  private chunkView: DataView = this.view;
  private pos = 0;
  private carry: Uint8Array = none;
  private carryView: DataView = this.view;
  private carried = 0;

  /** Bytes that have come and are not taken. */
  get held(): number {
    return this.carried + this.chunk.length - this.pos;
  }

  /** True when `push` would lose unread bytes. */
  get unread(): boolean {
    return this.pos < this.chunk.length;
  }

  /** Where in the chunk the bytes start that are not taken; -1 while what is next started in an earlier chunk. */
  get head(): number {
    return this.carried === 0 ? this.pos : -1;
  }

  /** Leaves behind `n` bytes of the chunk that someone else read, from `head` on. */
  passed(n: number): void {
    this.pos += n;
    this.offset += n;
  }

  /** Gives the next chunk; the last must have been read to its end, that is until `need` answered false. */
  push(chunk: Uint8Array): void {
    // a Node Buffer becomes a plain array: `slice` of the two differs, and one kind is faster than two
    this.chunk =
      chunk.constructor === Uint8Array ? chunk : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.chunkView = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.pos = 0;
  }

  /** Makes the next `n` bytes contiguous; false when they have not all come, and then the chunk is used up. */
  need(n: number): boolean {
    if (this.carried === 0) {
      if (this.chunk.length - this.pos >= n) {
        if (this.bytes !== this.chunk) {
          this.bytes = this.chunk;
          this.view = this.chunkView;
        }
        this.at = this.pos;
        return true;
      }
      this.save(this.chunk.length - this.pos);
      return false;
    }
    if (this.carried < n) {
      this.save(Math.min(n - this.carried, this.chunk.length - this.pos));
      if (this.carried < n) return false;
    }
    this.bytes = this.carry;
    this.view = this.carryView;
    this.at = 0;
    return true;
  }

  /** Leaves behind the `n` bytes that the last `need` was asked for. They stay readable until the next `need`. */
  take(n: number): void {
    this.offset += n;
    if (this.carried === 0) this.pos += n;
    else this.carried = 0;
  }

  /** Drops up to `n` bytes that need not be contiguous, after a `take`; answers how many are still to be dropped. */
  skip(n: number): number {
    const dropped = Math.min(n, this.chunk.length - this.pos);
    this.pos += dropped;
    this.offset += dropped;
    return n - dropped;
  }

  private save(n: number): void {
    if (n === 0) return;
    const total = this.carried + n;
    if (total > this.carry.length) {
      const grown = new Uint8Array(Math.max(2048, total, this.carry.length * 2));
      grown.set(this.carry.subarray(0, this.carried));
      this.carry = grown;
      this.carryView = new DataView(grown.buffer);
    }
    this.carry.set(this.chunk.subarray(this.pos, this.pos + n), this.carried);
    this.carried = total;
    this.pos += n;
  }
}
