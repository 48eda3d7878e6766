// src/cli/decode-streams.ts: TCP streams put together, for the messages that no single segment holds.
//
// A direction's bytes are taken in the order of their sequence numbers; what comes early waits, what came already is
// left out. A message is told at the segment that brings its last byte.

import { Layer, Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import type { Payload } from "./decode-payload.ts";
import { httpLength, UNTIL_CLOSE } from "./decode-http-length.ts";

/** Connections and bytes that are remembered; the oldest connection goes when there are more. */
const MOST_FLOWS = 16384;
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_HELD = 256;

const SYN = 2;
const FIN = 1;
const RST = 4;

/** The bytes of one direction that belong to no message yet. */
class Stream {
  /** The next sequence number; null before the first segment. */
  next: number | null = null;
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;
  /** `HttpPort` or `DnsPort`; 0 while nothing is known. */
  protocol = 0;
  /** Methods of requests that went the other way and are not answered yet. */
  readonly methods: string[] = [];
  readonly held = new Map<number, Uint8Array>();

  append(b: Uint8Array): void {
    if (this.length + b.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length + b.length, this.bytes.length * 2, 4096));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(b, this.length);
    this.length += b.length;
    this.next = ((this.next ?? 0) + b.length) >>> 0;
  }

  drop(n: number): void {
    this.bytes.copyWithin(0, n, this.length);
    this.length -= n;
  }
}

export class Streams {
  private readonly flows = new Map<string, Stream>();
  /** The message that the last segment completed: the first one when there were several. */
  message: Uint8Array = new Uint8Array(0);
  protocol = 0;

  constructor(
    private readonly d: Dissection,
    private readonly payload: Payload,
  ) {}

  /** Takes the segment that was dissected last; whether it completes a message. */
  segment(): boolean {
    const { d } = this;
    const { u8 } = d.core;
    const at = d.get(Rec.At);
    const trans = at + d.get(Rec.Trans);
    const flags = u8[trans + 13]!;
    const src = `${d.get(Rec.Src)}:${d.get(Rec.Ports) >>> 16}`;
    const dst = `${d.get(Rec.Dst)}:${d.get(Rec.Ports) & 0xffff}`;
    const stream = this.stream(`${src}>${dst}`);
    const back = this.stream(`${dst}>${src}`);
    const seq = d.core.view.getUint32(trans + 4);
    if (flags & SYN) {
      this.flows.set(`${src}>${dst}`, new Stream());
      this.stream(`${src}>${dst}`).next = (seq + 1) >>> 0;
      return false;
    }
    if (flags & RST) return false;
    const n = d.get(Rec.PayloadCap);
    const from = at + d.get(Rec.Payload);
    if (n > 0) {
      // a segment of which bytes were not captured cannot be part of anything
      if (n < d.get(Rec.PayloadLen) || n > MOST_BYTES) return false;
      if (stream.protocol === 0) stream.protocol = back.protocol || this.payload.protocol(d.get(Rec.Layers), from, n);
      if (stream.protocol === 0) return false;
      if (!this.take(stream, seq, u8.subarray(from, from + n))) return false;
    }
    return this.complete(stream, back, (flags & FIN) !== 0);
  }

  private stream(key: string): Stream {
    let s = this.flows.get(key);
    if (s === undefined) {
      s = new Stream();
      this.flows.set(key, s);
      if (this.flows.size > MOST_FLOWS) this.flows.delete(this.flows.keys().next().value!);
    }
    return s;
  }

  /** Puts a segment's bytes in their place; false when nothing new follows what is there. */
  private take(s: Stream, seq: number, b: Uint8Array): boolean {
    s.next ??= seq;
    const ahead = (seq - s.next) | 0;
    if (ahead > 0) {
      if (s.held.size < MOST_HELD) s.held.set(seq, b.slice());
      return false;
    }
    if (-ahead >= b.length) return false;
    if (s.length + b.length > MOST_BYTES) s.length = 0;
    s.append(b.subarray(-ahead));
    for (let more = true; more;) {
      more = false;
      for (const [at, bytes] of s.held) {
        const gap = (at - s.next) | 0;
        if (gap > 0) continue;
        s.held.delete(at);
        if (-gap < bytes.length) s.append(bytes.subarray(-gap));
        more = true;
      }
    }
    return true;
  }

  /** Takes complete messages off the stream; the first of them is kept for printing. */
  private complete(s: Stream, back: Stream, closed: boolean): boolean {
    let found = false;
    while (s.length > 0) {
      const n = s.protocol === Layer.DnsPort ? dnsLength(s) : this.httpLength(s, back, closed);
      if (n < 0) break;
      if (n === 0) {
        // no message begins here: on with the next segment
        s.length = 0;
        break;
      }
      if (!found) {
        this.message = s.bytes.slice(s.protocol === Layer.DnsPort ? 2 : 0, n);
        this.protocol = s.protocol;
        found = true;
      }
      s.drop(n);
    }
    return found;
  }

  private httpLength(s: Stream, back: Stream, closed: boolean): number {
    const bytes = s.bytes.subarray(0, s.length);
    const [n, request] = httpLength(bytes, s.methods[0] ?? null);
    if (n === UNTIL_CLOSE) return closed ? s.length : -1;
    if (n <= 0) return n;
    if (request === null) s.methods.shift();
    else if (back.methods.length < 1024) back.methods.push(request);
    return n;
  }
}

/** Bytes of a DNS message with its length in front; -1 while some are missing. */
function dnsLength(s: Stream): number {
  if (s.length < 2) return -1;
  const n = 2 + ((s.bytes[0]! << 8) | s.bytes[1]!);
  return s.length < n ? -1 : n;
}
