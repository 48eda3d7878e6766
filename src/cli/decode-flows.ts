// src/cli/decode-flows.ts: what earlier segments said of a flow: Wireshark takes text behind a request for more of it.

/** Facts about a connection. */
export enum Flow {
  /** It carried a request: what follows without a start line of its own is part of that or of its answer. */
  Request = 1,
  /** On ports of no protocol, but its text was HTTP. */
  Http = 2,
}

/** | source | destination | ports | facts |, open addressing. */
const WORDS = 4;
const MOST = 1 << 16;

/** Remembers up to 49,152 flows and then begins anew, so that any capture takes the same memory. */
export class Flows {
  private table: Uint32Array = new Uint32Array(0);
  private used = 0;

  get isEmpty(): boolean {
    return this.used === 0;
  }

  /** Bits of `Flow`. */
  get(src: number, dst: number, ports: number): number {
    return this.used === 0 ? 0 : this.table[this.slot(src, dst, ports) + 3]!;
  }

  add(src: number, dst: number, ports: number, facts: Flow): void {
    if (this.used === 0 && this.table.length === 0) this.table = new Uint32Array(MOST * WORDS);
    if (this.used > (MOST >> 2) * 3) this.clear();
    const at = this.slot(src, dst, ports);
    if (this.table[at + 3] === 0) this.used++;
    this.table[at] = src;
    this.table[at + 1] = dst;
    this.table[at + 2] = ports;
    this.table[at + 3] = this.table[at + 3]! | facts;
  }

  /** A new connection between the same ports. */
  forget(src: number, dst: number, ports: number): void {
    if (this.used === 0) return;
    const at = this.slot(src, dst, ports);
    // the entry stays, without facts, so that chains through it hold
    if (this.table[at + 3] !== 0) this.table[at + 3] = KNOWN;
  }

  clear(): void {
    this.table.fill(0);
    this.used = 0;
  }

  /** Index of the flow's entry, or of the free one where it belongs. */
  private slot(src: number, dst: number, ports: number): number {
    let h = Math.imul(src ^ Math.imul(dst, 0x9e3779b1) ^ Math.imul(ports, 0x85ebca6b), 0xc2b2ae35);
    h ^= h >>> 15;
    for (;;) {
      const at = (h & (MOST - 1)) * WORDS;
      const t = this.table;
      if (t[at + 3] === 0 || (t[at] === src && t[at + 1] === dst && t[at + 2] === ports)) return at;
      h++;
    }
  }
}

/** An entry in use that says nothing. */
const KNOWN = 4;
