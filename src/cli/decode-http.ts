// src/cli/decode-http.ts: the first HTTP message of a segment, as Wireshark shows it without reassembly.

import { HttpSpan } from "../../assembly/wire/httptypes.ts";
import type { Core } from "../core/core.ts";

/** Spans that one segment can have: a head of short lines in a segment of 64 KiB. */
const MAX_SPANS = 8192;

const WORDS = HttpSpan.Size >>> 2;
const CR = 13;
const LF = 10;

/** Characters that end a token: with one of them in front of the colon a line is no header (RFC 9110 §5.6.2). */
const separators = new Uint8Array(256);
for (const c of '()<>@,;\\"/[]?={} ') separators[c.charCodeAt(0)] = 1;

/** Where the parts of a message are: offsets in the core, lengths; -1 for a part that is not there. */
export class HttpMessage {
  private readonly core: Core;
  private readonly spans: number;
  private count = 0;

  constructor(core: Core) {
    this.core = core;
    this.spans = core.x.alloc(MAX_SPANS * HttpSpan.Size) >>> 0;
    if (this.spans === 0) throw new Error("decode: the core's memory is used up");
  }

  /** Reads the `n` bytes at `p`; false when they do not begin with a start line or with a header line. */
  read(p: number, n: number): boolean {
    this.count = this.firstMessage(p, this.core.x.httpHead(p, n, this.spans, MAX_SPANS) >>> 0);
    return this.count > 0 || this.isHeader(p, n);
  }

  /** Whether a request's start line was read. */
  get isRequest(): boolean {
    return this.find(HttpSpan.Method) >= 0;
  }

  /** Index of the first span of a kind from `from` on; -1: none. */
  find(kind: HttpSpan, from = 0): number {
    const { u32 } = this.core;
    for (let i = from; i < this.count; i++) if (u32[(this.spans >>> 2) + i * WORDS] === kind) return i;
    return -1;
  }

  offset(i: number): number {
    return this.core.u32[(this.spans >>> 2) + i * WORDS + 1]!;
  }

  length(i: number): number {
    return this.core.u32[(this.spans >>> 2) + i * WORDS + 2]!;
  }

  /** How many of the spans belong to the first message: in one head each line begins where the last one ended. */
  private firstMessage(p: number, count: number): number {
    const { u32, u8 } = this.core;
    let end = -1;
    for (let i = 0; i < count; i++) {
      const kind = u32[(this.spans >>> 2) + i * WORDS]!;
      const at = this.offset(i);
      if ((kind === HttpSpan.Method || kind === HttpSpan.ResponseVersion) && end >= 0 && at !== end) return i;
      end = at + this.length(i);
      if (kind === HttpSpan.RequestLine || kind === HttpSpan.ResponseLine) continue;
      if (u8[p + end] === CR && u8[p + end + 1] === LF) end += 2;
      else if (u8[p + end] === CR || u8[p + end] === LF) end++;
    }
    return count;
  }

  /** Whether the first line is a header: printable characters up to a colon, none of them a separator. */
  private isHeader(p: number, n: number): boolean {
    const { u8 } = this.core;
    for (let i = p; i < p + n; i++) {
      const c = u8[i]!;
      if (c === 58) return true;
      if (c < 0x20 || c > 0x7e || separators[c] === 1) return false;
    }
    return false;
  }
}
