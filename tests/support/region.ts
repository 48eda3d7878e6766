// tests/support/region.ts: bytes at the end of a region of the core's memory, with something known before and behind them.

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Core } from "../../src/core/core.ts";

const GUARD = 128;
const FILLS = [0xa5, 0x00, 0xff, 0x01];

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));

/** The frames of fixtures/headers.hex by name. */
export const frames: ReadonlyMap<string, Uint8Array> = new Map(
  readFileSync(new URL("../../fixtures/headers.hex", import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
    .map((line): [string, Uint8Array] => [line.split(" ")[0]!, hex(line.split(" ")[1]!)]),
);

/** A frame of fixtures/headers.hex from byte `from` to byte `to`. */
export function frame(name: string, from = 0, to?: number): Uint8Array {
  const found = frames.get(name);
  if (found === undefined) throw new Error(`fixtures/headers.hex has no ${name}`);
  return found.slice(from, to);
}

export const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.length);

/** A stretch of the core's memory for packets of up to `room` bytes. */
export class Region {
  readonly core: Core;
  readonly room: number;
  readonly base: number;

  constructor(core: Core, room = 2048) {
    this.core = core;
    this.room = room;
    this.base = core.x.alloc(room + 2 * GUARD);
    if (this.base === 0) throw new Error("no memory for a region");
  }

  /** Puts the bytes so that they end where the region does, `fill` all around; their address. */
  put(bytes: Uint8Array, fill = 0xa5): number {
    this.core.u8.fill(fill, this.base, this.base + this.room + 2 * GUARD);
    const p = this.base + GUARD + this.room - bytes.length;
    this.core.u8.set(bytes, p);
    return p;
  }

  /**
   * What `read` answers for these bytes, whatever lies before and behind them, and where nothing lies behind them: at the
   * end of the core's memory, where a read too far traps.
   */
  read<T>(bytes: Uint8Array, read: (p: number) => T): T {
    const answers = FILLS.map((fill) => read(this.put(bytes, fill)));
    const last = this.core.u8.length - bytes.length;
    this.core.u8.set(bytes, last);
    answers.push(read(last));
    for (const other of answers.slice(1)) expect(other).toEqual(answers[0]);
    return answers[0]!;
  }

  /** The `len` bytes that `write` leaves in a region full of 0xa5 (or in `bytes`), nothing around them touched. */
  write(len: number | Uint8Array, write: (p: number) => void): Uint8Array {
    const before = typeof len === "number" ? new Uint8Array(len).fill(0xa5) : len;
    const p = this.put(before);
    write(p);
    const end = this.base + this.room + 2 * GUARD;
    expect(
      this.core.u8.subarray(this.base, p).every((b) => b === 0xa5),
      "bytes before",
    ).toBe(true);
    expect(
      this.core.u8.subarray(p + before.length, end).every((b) => b === 0xa5),
      "bytes behind",
    ).toBe(true);
    return this.core.u8.slice(p, p + before.length);
  }

  /** Bytes in memory of their own, for arguments that are addresses. */
  keep(bytes: Uint8Array): number {
    const p = this.core.x.alloc(Math.max(bytes.length, 1));
    this.core.u8.set(bytes, p);
    return p;
  }
}
