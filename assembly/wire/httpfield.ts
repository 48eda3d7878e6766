// assembly/wire/httpfield.ts: the header fields that decide where an HTTP/1.1 message ends, RFC 9112 §6, §7 and §9.3.
//
// Nothing of a field is stored: its name and the tokens in its value are compared with known words as the bytes come.

import { HttpAnswers, HttpError, HttpParser, HttpType } from "./httptypes.ts";

/** Bits of `HttpParser.Flags`; they last for one message. */
export enum Flag {
  Length = 1,
  Coding = 2,
  /** The last coding so far is chunked. */
  Chunked = 4,
  Close = 8,
  KeepAlive = 16,
  /** `upgrade` in Connection, and an Upgrade field. */
  UpgradeOption = 32,
  Upgrade = 64,
  Trailers = 128,
  Connect = 256,
  /** Inside a quoted string of a transfer coding's parameter, and behind its backslash. */
  Quoted = 512,
  Escaped = 1024,
  /** Chunked was among the codings. */
  Once = 2048,
}

/** The fields that are looked into. */
enum Field {
  Other = 0,
  Length = 1,
  Coding = 2,
  Connection = 3,
  Upgrade = 4,
}

/** Where the reading of a list element stands: `HttpParser.Index` holds the token's length beside it. */
enum Part {
  Before = 0,
  Token = 0x10000,
  After = 0x20000,
  Parameter = 0x30000,
}
const PART: u32 = 0x30000;

/** How a message goes on behind its head. */
export enum Rest {
  None = 0,
  Length = 1,
  Chunks = 2,
  Close = 3,
  Tunnel = 4,
}

const ALL: u32 = 0xffffffff;

/** RFC 9110 §5.6.2: letters, digits and !#$%&'*+-.^_`|~ */
export function isToken(c: u32): bool {
  if (c >= 128) return false;
  const mask: u64 = c < 64 ? (<u64>0x03ff6cfa) << 32 : ((<u64>0x57ffffff) << 32) | 0xc7fffffe;
  return ((mask >> (c & 63)) & 1) != 0;
}

/** RFC 9110 §5.5: visible, white space, or obs-text; no other control. */
export function isFieldByte(c: u32): bool {
  return (c >= 0x20 && c != 0x7f) || c == 0x09;
}

export function isBlank(c: u32): bool {
  return c == 0x20 || c == 0x09;
}

function has(s: usize, flag: Flag): bool {
  return (load<u32>(s, HttpParser.Flags) & flag) != 0;
}

function set(s: usize, flag: Flag): void {
  store<u32>(s, load<u32>(s, HttpParser.Flags) | flag, HttpParser.Flags);
}

function clear(s: usize, flag: Flag): void {
  store<u32>(s, load<u32>(s, HttpParser.Flags) & ~(<u32>flag), HttpParser.Flags);
}

/** Whether `c`, letter case aside, is at `index` of `word` (in lower case); 1 or 0. */
function fits(word: string, index: u32, c: u32): u32 {
  const lower = c - 0x41 < 26 ? c + 32 : c;
  return index < <u32>word.length && load<u16>(changetype<usize>(word) + (index << 1)) == lower ? 1 : 0;
}

/** Begins to compare: a name, or a token. */
export function matchStart(s: usize): void {
  store<u32>(s, 0, HttpParser.Index);
  store<u32>(s, ALL, HttpParser.Match);
}

/** One byte of a field's name. */
export function nameByte(s: usize, c: u32): void {
  const i = load<u32>(s, HttpParser.Index);
  const m = load<u32>(s, HttpParser.Match);
  if (m != 0) {
    const fit =
      fits("content-length", i, c) |
      (fits("transfer-encoding", i, c) << 1) |
      (fits("connection", i, c) << 2) |
      (fits("upgrade", i, c) << 3);
    store<u32>(s, m & fit, HttpParser.Match);
  }
  store<u32>(s, i + 1, HttpParser.Index);
}

/** The colon behind a name. */
export function nameEnd(s: usize): HttpError {
  const i = load<u32>(s, HttpParser.Index);
  const m = load<u32>(s, HttpParser.Match);
  let field = Field.Other;
  if ((m & 1) != 0 && i == 14) field = Field.Length;
  else if ((m & 2) != 0 && i == 17) field = Field.Coding;
  else if ((m & 4) != 0 && i == 10) field = Field.Connection;
  else if ((m & 8) != 0 && i == 7) field = Field.Upgrade;
  if (has(s, Flag.Trailers)) {
    // RFC 9110 §6.5.1: a trailer is no place for what frames the message
    if (field == Field.Length || field == Field.Coding) return HttpError.TrailerForbidden;
    field = Field.Other;
  } else if (field == Field.Length) {
    if (has(s, Flag.Coding)) return HttpError.LengthWithCoding;
  } else if (field == Field.Coding) {
    if (has(s, Flag.Length)) return HttpError.CodingWithLength;
    // RFC 9112 §6.1: the framing of an HTTP/1.0 message with a coding is faulty
    if (load<u32>(s, HttpParser.Minor) == 0) return HttpError.CodingOldVersion;
    set(s, Flag.Coding);
    clear(s, Flag.Quoted | Flag.Escaped);
  }
  store<u32>(s, field, HttpParser.Field);
  matchStart(s);
  return HttpError.None;
}

/** Whether the value that is being read is one that is looked into. */
export function isKnown(s: usize): bool {
  return load<u32>(s, HttpParser.Field) != Field.Other;
}

/** One byte of such a value. */
export function valueByte(s: usize, c: u32): HttpError {
  const field = load<u32>(s, HttpParser.Field);
  if (field == Field.Length) return lengthByte(s, c);
  if (field == Field.Coding) return codingByte(s, c);
  if (field == Field.Connection) {
    if (c == 0x2c) optionEnd(s);
    else elementByte(s, c);
  } else if (!isBlank(c)) set(s, Flag.Upgrade);
  return HttpError.None;
}

/** The end of a value's line. */
export function valueEnd(s: usize): HttpError {
  switch (load<u32>(s, HttpParser.Field)) {
    case Field.Length:
      return has(s, Flag.Length) && load<u32>(s, HttpParser.Index) != 0 ? HttpError.None : HttpError.LengthInvalid;
    case Field.Coding:
      return has(s, Flag.Quoted) ? HttpError.CodingInvalid : codingEnd(s);
    case Field.Connection:
      optionEnd(s);
      return HttpError.None;
    default:
      return HttpError.None;
  }
}

/**
 * Content-Length = 1*DIGIT, RFC 9110 §8.6. A repeated one is refused even when it says the same, as Node does; that
 * section leaves the choice.
 */
function lengthByte(s: usize, c: u32): HttpError {
  const i = load<u32>(s, HttpParser.Index);
  if (isBlank(c)) {
    if ((i & PART) == Part.Token) store<u32>(s, Part.After, HttpParser.Index);
    return HttpError.None;
  }
  const d = c - 0x30;
  if (d > 9 || (i & PART) == Part.After) return HttpError.LengthInvalid;
  if ((i & PART) == Part.Before) {
    if (has(s, Flag.Length)) return HttpError.LengthRepeated;
    set(s, Flag.Length);
    store<u32>(s, Part.Token, HttpParser.Index);
    store<u64>(s, d, HttpParser.Length);
    return HttpError.None;
  }
  const v = load<u64>(s, HttpParser.Length);
  if (v > (u64.MAX_VALUE - d) / 10) return HttpError.LengthOverflow;
  store<u64>(s, v * 10 + d, HttpParser.Length);
  return HttpError.None;
}

/**
 * Transfer-Encoding = #transfer-coding, RFC 9112 §6.1. Chunked is applied once and has no parameters (§7.1). In a
 * request nothing may follow it; a response with another coding behind it lasts until the connection closes.
 */
function codingByte(s: usize, c: u32): HttpError {
  if (has(s, Flag.Quoted)) {
    if (has(s, Flag.Escaped)) clear(s, Flag.Escaped);
    else if (c == 0x5c) set(s, Flag.Escaped);
    else if (c == 0x22) clear(s, Flag.Quoted);
    return HttpError.None;
  }
  const part = load<u32>(s, HttpParser.Index) & PART;
  if (c == 0x2c) {
    const bad = codingEnd(s);
    if (bad != HttpError.None) return bad;
    const last = has(s, Flag.Chunked) && load<u32>(s, HttpParser.Type) == HttpType.Request;
    return last ? HttpError.CodingAfterChunked : HttpError.None;
  }
  if (c == 0x3b && part != Part.Before) {
    if (isChunked(s)) return HttpError.CodingInvalid;
    store<u32>(s, Part.Parameter, HttpParser.Index);
    return HttpError.None;
  }
  if (part == Part.Parameter) {
    if (c == 0x22) set(s, Flag.Quoted);
    return HttpError.None;
  }
  if (isBlank(c)) {
    elementByte(s, c);
    return HttpError.None;
  }
  if (!isToken(c) || part == Part.After) return HttpError.CodingInvalid;
  if (part == Part.Before && has(s, Flag.Chunked)) {
    if (load<u32>(s, HttpParser.Type) == HttpType.Request) return HttpError.CodingAfterChunked;
  }
  elementByte(s, c);
  return HttpError.None;
}

/** One byte of a list's element that is not its comma: a token with white space around it. */
function elementByte(s: usize, c: u32): void {
  const i = load<u32>(s, HttpParser.Index);
  const part = i & PART;
  if (isBlank(c)) {
    if (part == Part.Token) store<u32>(s, (i & 0xffff) | Part.After, HttpParser.Index);
    return;
  }
  // a second token without a comma between them is none of the words
  if (part == Part.After) store<u32>(s, 0, HttpParser.Match);
  const n = i & 0xffff;
  const m = load<u32>(s, HttpParser.Match);
  if (m != 0) {
    const fit =
      fits("chunked", n, c) |
      (fits("close", n, c) << 1) |
      (fits("keep-alive", n, c) << 2) |
      (fits("upgrade", n, c) << 3);
    store<u32>(s, m & fit, HttpParser.Match);
  }
  store<u32>(s, (n < 0xffff ? n + 1 : n) | Part.Token, HttpParser.Index);
}

function isChunked(s: usize): bool {
  const i = load<u32>(s, HttpParser.Index);
  return (i & 0xffff) == 7 && (i & PART) != Part.Parameter && (load<u32>(s, HttpParser.Match) & 1) != 0;
}

/** The end of a coding. Empty elements count for nothing (RFC 9110 §5.6.1). */
function codingEnd(s: usize): HttpError {
  if ((load<u32>(s, HttpParser.Index) & PART) != Part.Before) {
    if (isChunked(s)) {
      if (has(s, Flag.Once)) return HttpError.CodingAfterChunked;
      set(s, Flag.Chunked | Flag.Once);
    } else clear(s, Flag.Chunked);
  }
  matchStart(s);
  return HttpError.None;
}

/** The end of a connection option. */
function optionEnd(s: usize): void {
  const n = load<u32>(s, HttpParser.Index) & 0xffff;
  const m = load<u32>(s, HttpParser.Match);
  if ((m & 2) != 0 && n == 5) set(s, Flag.Close);
  if ((m & 4) != 0 && n == 10) set(s, Flag.KeepAlive);
  if ((m & 8) != 0 && n == 7) set(s, Flag.UpgradeOption);
  matchStart(s);
}

/** The head's fields are all there: whether they contradict each other. */
export function headError(s: usize): HttpError {
  const request = load<u32>(s, HttpParser.Type) == HttpType.Request;
  return request && has(s, Flag.Coding) && !has(s, Flag.Chunked) ? HttpError.CodingNotChunked : HttpError.None;
}

/** Where the message ends, in the order of RFC 9112 §6.3; tunnels as RFC 9110 §9.3.6 (CONNECT) and §7.8 (Upgrade). */
export function headEnd(s: usize): Rest {
  const length = has(s, Flag.Length) ? load<u64>(s, HttpParser.Length) : 0;
  if (load<u32>(s, HttpParser.Type) == HttpType.Request) {
    if (has(s, Flag.Connect)) return Rest.Tunnel;
    if (has(s, Flag.Chunked)) return Rest.Chunks;
    return length != 0 ? Rest.Length : upgrades(s) ? Rest.Tunnel : Rest.None;
  }
  const code = load<u32>(s, HttpParser.Code);
  const answers = load<u32>(s, HttpParser.Answers);
  if (code == 101) return Rest.Tunnel;
  if (code / 100 == 1 || code == 204 || code == 304 || answers == HttpAnswers.Head) return Rest.None;
  if (answers == HttpAnswers.Connect && code / 100 == 2) return Rest.Tunnel;
  if (has(s, Flag.Coding)) return has(s, Flag.Chunked) ? Rest.Chunks : Rest.Close;
  if (!has(s, Flag.Length)) return Rest.Close;
  return length != 0 ? Rest.Length : Rest.None;
}

/** A request that asks for another protocol behind itself; one of HTTP/1.0 cannot (RFC 9110 §7.8). */
export function upgrades(s: usize): bool {
  return (
    load<u32>(s, HttpParser.Type) == HttpType.Request &&
    has(s, Flag.UpgradeOption) &&
    has(s, Flag.Upgrade) &&
    load<u32>(s, HttpParser.Minor) != 0
  );
}

/** Whether a further message may follow, RFC 9112 §9.3. */
export function persists(s: usize): bool {
  if (has(s, Flag.Close)) return false;
  return load<u32>(s, HttpParser.Minor) != 0 || has(s, Flag.KeepAlive);
}
