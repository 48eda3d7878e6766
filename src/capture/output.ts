// src/capture/output.ts: the chunk that a writer fills and hands out, little-endian.

import { Buffer } from "buffer/index.js";
import { Option } from "./options.ts";

/** Takes the bytes of a file, in order. A chunk is the sink's own: the writer does not touch it again. */
export type Sink = (chunk: Uint8Array) => void;

/** Bytes that fit into an option's value. */
export const MAX_OPTION = 65_535;

export class Output {
  private bytes: Uint8Array;
  private view: DataView;
  private at = 0;

  constructor(
    private readonly sink: Sink,
    private readonly chunkLength: number,
  ) {
    this.bytes = new Uint8Array(chunkLength);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `n` bytes in one chunk. */
  reserve(n: number): void {
    if (this.bytes.length - this.at >= n) return;
    this.flush();
    if (this.bytes.length < n) this.renew(n);
  }

  u16(v: number): void {
    this.view.setUint16(this.at, v, true);
    this.at += 2;
  }

  u32(v: number): void {
    this.view.setUint32(this.at, v, true);
    this.at += 4;
  }

  u8(v: number): void {
    this.bytes[this.at++] = v;
  }

  /** `n` bytes of `from`. */
  copy(from: Uint8Array, offset: number, n: number): void {
    this.bytes.set(from.subarray(offset, offset + n), this.at);
    this.at += n;
  }

  /** Zeros up to the next multiple of four behind `n` bytes. */
  pad(n: number): void {
    for (let i = n; (i & 3) !== 0; i++) this.u8(0);
  }

  /** An option; `optionLength(value)` bytes. */
  option(code: number, value: Uint8Array): void {
    this.u16(code);
    this.u16(value.length);
    this.copy(value, 0, value.length);
    this.pad(value.length);
  }

  endOfOptions(): void {
    this.u16(Option.End);
    this.u16(0);
  }

  /** Hands out what there is. */
  flush(): void {
    if (this.at === 0) return;
    const full = this.bytes.subarray(0, this.at);
    this.renew(this.chunkLength);
    this.sink(full);
  }

  private renew(length: number): void {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.at = 0;
  }
}

/** An option's length in the file. */
export function optionLength(value: Uint8Array): number {
  return 4 + ((value.length + 3) & ~3);
}

/** Text as an option's value; longer than `MAX_OPTION` is a RangeError that names it. */
export function encodeText(what: string, text: string): Uint8Array {
  const bytes = utf8(text);
  if (bytes.length > MAX_OPTION) throw new RangeError(`${what}: ${bytes.length} bytes, at most ${MAX_OPTION} fit`);
  return bytes;
}

/** ASCII, which nearly every comment is, goes the short way: an array of bytes costs a tenth of a Buffer. */
function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 127) return Buffer.from(text, "utf8");
    bytes[i] = c;
  }
  return bytes;
}
