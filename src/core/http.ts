// src/core/http.ts: HTTP/1.x messages as TypeScript reads and writes them. The parsing is done in the core.

import { HttpAnswers, HttpEntry, HttpError, HttpEvent, HttpParser, HttpType } from "../../assembly/wire/httptypes.ts";
import type { Core } from "./core.ts";

export { HttpAnswers, HttpError, HttpType };

/** A name as it was sent, and its value without white space around it; a char a byte (ISO 8859-1). */
export type HttpField = readonly [name: string, value: string];

/** A message as far as it was read; a part that is not complete is null, or not in its list. */
export interface HttpMessage {
  /** Of a request; null in a response. */
  method: string | null;
  target: string | null;
  /** "1.0" or "1.1" */
  version: string | null;
  /** Of a response; null in a request. */
  status: number | null;
  /** Empty when there is none. */
  reason: string;
  headers: HttpField[];
  trailers: HttpField[];
  headersComplete: boolean;
  complete: boolean;
  /** Once complete: whether a further message may follow on the connection (RFC 9112 §9.3). */
  persists: boolean;
}

/** What a reader tells its owner, while it is fed. Bytes are copies. */
export interface HttpSink {
  begin?(message: HttpMessage): void;
  head?(message: HttpMessage): void;
  body?(bytes: Uint8Array, message: HttpMessage): void;
  complete?(message: HttpMessage): void;
  /** Bytes behind CONNECT, 101 or an Upgrade: another protocol's. */
  tunnel?(bytes: Uint8Array): void;
}

/** Where the bytes stopped to be HTTP. */
export interface HttpFault {
  readonly error: HttpError;
  /** Of the first byte that breaks the grammar, from the first one fed. */
  readonly offset: number;
  readonly reason: string;
}

const reasons: Readonly<Record<HttpError, string>> = {
  [HttpError.None]: "no error",
  [HttpError.BareLf]: "LF without CR in front",
  [HttpError.BareCr]: "CR without LF behind",
  [HttpError.Method]: "invalid method",
  [HttpError.Target]: "invalid request target",
  [HttpError.Version]: "expected HTTP/1.0 or HTTP/1.1",
  [HttpError.Status]: "invalid status code",
  [HttpError.Reason]: "control byte in the reason phrase",
  [HttpError.Name]: "invalid field name",
  [HttpError.Value]: "control byte in a field value",
  [HttpError.Folding]: "white space at the start of a field line",
  [HttpError.LengthInvalid]: "invalid Content-Length",
  [HttpError.LengthOverflow]: "Content-Length too large",
  [HttpError.LengthRepeated]: "Content-Length repeated",
  [HttpError.LengthWithCoding]: "Content-Length beside Transfer-Encoding",
  [HttpError.CodingWithLength]: "Transfer-Encoding beside Content-Length",
  [HttpError.CodingInvalid]: "invalid Transfer-Encoding",
  [HttpError.CodingNotChunked]: "the last transfer coding of a request is not chunked",
  [HttpError.CodingAfterChunked]: "a transfer coding behind chunked",
  [HttpError.CodingOldVersion]: "Transfer-Encoding in HTTP/1.0",
  [HttpError.ChunkSize]: "invalid chunk size",
  [HttpError.ChunkOverflow]: "chunk size too large",
  [HttpError.ChunkExtension]: "invalid chunk extension",
  [HttpError.ChunkEnd]: "chunk data without CR LF behind",
  [HttpError.TrailerForbidden]: "framing field among the trailers",
  [HttpError.AfterClose]: "bytes behind the connection's last message",
  [HttpError.TooLarge]: "head too large",
};

/** | parser | entries | bytes fed |: 8 KiB of the core */
const ENTRIES = 64;
const ENTRIES_AT: number = HttpParser.Size;
const INPUT_AT = ENTRIES_AT + ENTRIES * HttpEntry.Size;
const BLOCK = 8192;
const INPUT = BLOCK - INPUT_AT;

export interface HttpOptions {
  /** `feed` reads at most to the end of one message. Default false. */
  readonly pause?: boolean;
  /** Only the methods that Node's parser knows; otherwise any token (RFC 9110 §9.1: an unknown one is for 501). */
  readonly nodeMethods?: boolean;
}

/** Reads one direction of a connection, whatever pieces its bytes come in. */
export class HttpReader {
  /** Set once the bytes are no HTTP; nothing more is read then. */
  fault: HttpFault | null = null;
  /** The message being read, or the last one. */
  message: HttpMessage | null = null;
  private readonly block: number;
  private offset = 0;
  private feeding = false;
  private name = "";
  private text = "";

  /** Throws when the core has no room. */
  constructor(
    private readonly core: Core,
    readonly type: HttpType,
    private readonly sink: HttpSink,
    private readonly options: HttpOptions = {},
  ) {
    this.block = core.x.alloc(BLOCK);
    if (this.block === 0) throw new Error("the core has no room for an HTTP parser");
    this.reset();
  }

  /** Begins anew, for another connection's bytes; a limit that was set is forgotten. */
  reset(): void {
    const { options } = this;
    this.core.x.httpInit(this.block, this.type, options.pause ?? false, options.nodeMethods ?? false);
    this.fault = this.message = null;
    this.offset = 0;
    this.name = this.text = "";
  }

  /** Gives the core's memory back; the reader is of no use afterwards. */
  release(): void {
    this.core.x.release(this.block, BLOCK);
  }

  /** The most bytes of a head, of the trailers and of a chunk's first line. Default 65,536. */
  setLimit(bytes: number): void {
    this.core.u32[(this.block + HttpParser.Limit) >> 2] = bytes;
  }

  /** Says what the next responses answer: HEAD and CONNECT change where they end. */
  setAnswers(answers: HttpAnswers): void {
    this.core.x.httpSetAnswers(this.block, answers);
  }

  /** Takes bytes in; answers how many it took: all, unless it paused or there is a fault. */
  feed(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length) {
      const piece = bytes.subarray(taken, taken + INPUT);
      this.core.u8.set(piece, this.block + INPUT_AT);
      const n = this.feedAt(this.block + INPUT_AT, piece.length);
      taken += n;
      if (n < piece.length) break;
    }
    return taken;
  }

  /** `feed` with `len` bytes at address `p` of the core. */
  feedAt(p: number, len: number): number {
    if (this.feeding) throw new Error("an HTTP reader cannot be fed from its own sink");
    const { x, u32 } = this.core;
    const out = this.block + ENTRIES_AT;
    let taken = 0;
    this.feeding = true;
    try {
      while (taken < len && this.fault === null) {
        const n = x.httpFeed(this.block, p + taken, len - taken, out, ENTRIES);
        const base = this.offset;
        this.offset += n;
        const events = u32[(this.block + HttpParser.Events) >> 2]!;
        for (let i = 0; i < events; i++) this.event((out + i * HttpEntry.Size) >> 2, p + taken);
        taken += n;
        const error: HttpError = u32[(this.block + HttpParser.Error) >> 2]!;
        if (error !== HttpError.None) this.fault = { error, offset: base + n, reason: reasons[error] };
        // what is left is left by a pause, or because the entries were full
        else if (events + 4 <= ENTRIES || (this.options.pause === true && this.message!.complete)) break;
      }
    } finally {
      this.feeding = false;
    }
    return taken;
  }

  /** Whether the bytes so far are whole messages, and nothing behind the last one. */
  get idle(): boolean {
    return !!this.core.x.httpIsIdle(this.block);
  }

  /** The sender closed: true when no message is cut off. Content that lasts until the close is complete then. */
  finish(): boolean {
    const whole = !!this.core.x.httpFinish(this.block);
    if (whole && this.message !== null && !this.message.complete) {
      this.message.complete = true;
      this.sink.complete?.(this.message);
    }
    return whole;
  }

  private event(word: number, base: number): void {
    const { u8, u32 } = this.core;
    const event = u32[word]!;
    const at = u32[word + 1]!;
    const n = u32[word + 2]!;
    if (event === HttpEvent.Tunnel) {
      this.sink.tunnel?.(u8.slice(base + at, base + at + n));
      return;
    }
    if (event === HttpEvent.Begin) {
      this.message = blank();
      this.text = "";
      this.sink.begin?.(this.message);
      return;
    }
    const m = this.message!;
    switch (event) {
      case HttpEvent.Version:
        m.version = `1.${at}`;
        return;
      case HttpEvent.Status:
        m.status = at;
        return;
      case HttpEvent.Head:
        m.headersComplete = true;
        this.sink.head?.(m);
        return;
      case HttpEvent.Body:
        this.sink.body?.(u8.slice(base + at, base + at + n), m);
        return;
      case HttpEvent.Complete:
        m.complete = true;
        m.persists = n !== 0;
        this.sink.complete?.(m);
        return;
      default:
        this.text += latin1(u8, base + at, n);
        if ((event & HttpEvent.Last) !== 0) this.part(event & ~HttpEvent.Last, m);
    }
  }

  /** A part whose last piece has come. */
  private part(event: number, m: HttpMessage): void {
    const text = this.text;
    this.text = "";
    if (event === HttpEvent.Method) m.method = text;
    else if (event === HttpEvent.Target) m.target = text;
    else if (event === HttpEvent.Reason) m.reason = text;
    else if (event === HttpEvent.Name) this.name = text;
    else (m.headersComplete ? m.trailers : m.headers).push([this.name, trimEnd(text)]);
  }
}

function blank(): HttpMessage {
  return {
    method: null,
    target: null,
    version: null,
    status: null,
    reason: "",
    headers: [],
    trailers: [],
    headersComplete: false,
    complete: false,
    persists: false,
  };
}

/** A char a byte. Eight at a time is some six times as fast as spreading a subarray. */
function latin1(u8: Uint8Array, at: number, n: number): string {
  const end = at + n;
  let s = "";
  for (; at + 8 <= end; at += 8) {
    s += String.fromCharCode(
      u8[at]!,
      u8[at + 1]!,
      u8[at + 2]!,
      u8[at + 3]!,
      u8[at + 4]!,
      u8[at + 5]!,
      u8[at + 6]!,
      u8[at + 7]!,
    );
  }
  for (; at < end; at++) s += String.fromCharCode(u8[at]!);
  return s;
}

/** SP and HTAB only: JavaScript's own trim takes obs-text off as well (0xA0). */
function trimEnd(text: string): string {
  let n = text.length;
  while (n > 0 && (text[n - 1] === " " || text[n - 1] === "\t")) n--;
  return n === text.length ? text : text.slice(0, n);
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A value without white space around it; no control byte, so neither CR, LF nor NUL. */
const VALUE = /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/;
const REASON = /^[\t -~\x80-\xff]*$/;
const TARGET = /^[!-~]+$/;

function fieldLines(headers: readonly HttpField[]): string {
  let s = "";
  for (const [name, value] of headers) {
    if (!TOKEN.test(name)) throw new Error(`HTTP field name ${JSON.stringify(name)}: expected a token`);
    if (!VALUE.test(value))
      throw new Error(`HTTP field ${name}: ${JSON.stringify(value)} holds a byte that cannot be sent`);
    s += `${name}: ${value}\r\n`;
  }
  return s;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** The head of a request. Throws for a part that would be read back as something else: no CR or LF slips in. */
export function requestHead(
  method: string,
  target: string,
  headers: readonly HttpField[],
  version = "1.1",
): Uint8Array {
  if (!TOKEN.test(method)) throw new Error(`HTTP method ${JSON.stringify(method)}: expected a token`);
  if (!TARGET.test(target)) throw new Error(`HTTP target ${JSON.stringify(target)}: expected visible ASCII`);
  return bytesOf(`${method} ${target} HTTP/${checkVersion(version)}\r\n${fieldLines(headers)}\r\n`);
}

/** The head of a response; as `requestHead`. */
export function responseHead(
  status: number,
  reason: string,
  headers: readonly HttpField[],
  version = "1.1",
): Uint8Array {
  if (!Number.isInteger(status) || status < 100 || status > 999)
    throw new Error(`HTTP status ${status}: expected 100 to 999`);
  if (!REASON.test(reason)) throw new Error(`HTTP reason ${JSON.stringify(reason)} holds a byte that cannot be sent`);
  return bytesOf(`HTTP/${checkVersion(version)} ${status} ${reason}\r\n${fieldLines(headers)}\r\n`);
}

function checkVersion(version: string): string {
  if (version !== "1.0" && version !== "1.1") throw new Error(`HTTP version '${version}': expected 1.0 or 1.1`);
  return version;
}
