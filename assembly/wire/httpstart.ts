// assembly/wire/httpstart.ts: the parser's states, and the parts with many of them: methods, targets, chunks' first lines.

import { HttpError, HttpParser } from "./httptypes.ts";
import { Flag, isFieldByte, isToken } from "./httpfield.ts";

export enum State {
  /** `HttpParser.Error` says why. */
  Bad = 255,
  Start = 0,
  StartLf = 1,
  Closed = 2,
  ClosedLf = 3,
  Body = 4,
  UntilClose = 5,
  ChunkData = 6,
  ChunkDataCr = 7,
  ChunkDataLf = 8,
  Tunnel = 9,
  // from here on the bytes count towards the limit
  Method = 16,
  TargetStart = 17,
  Scheme = 18,
  SchemeSlash = 19,
  SchemeSlashes = 20,
  SchemeHost = 21,
  AbsoluteAuthority = 22,
  AbsoluteHost = 23,
  Asterisk = 24,
  Authority = 25,
  AuthorityBracket = 26,
  AuthorityEnd = 27,
  AuthorityPort = 28,
  Target = 29,
  Version = 30,
  Minor = 31,
  LineCr = 32,
  LineLf = 33,
  StatusSp = 34,
  Status = 35,
  StatusEnd = 36,
  Reason = 37,
  FieldStart = 38,
  Name = 39,
  ValueStart = 40,
  Value = 41,
  FieldLf = 42,
  HeadLf = 43,
  ChunkStart = 44,
  ChunkSize = 45,
  ExtStart = 46,
  ExtName = 47,
  ExtValueStart = 48,
  ExtValue = 49,
  ExtQuoted = 50,
  ExtEscape = 51,
  ExtEnd = 52,
  ChunkLf = 53,
}

export function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}

function isAlpha(c: u32): bool {
  return (c | 0x20) - 0x61 < 26;
}

/** unreserved, sub-delims and %: what a host is made of (RFC 3986 §3.2.2). */
function isHost(c: u32): bool {
  if (c >= 128) return false;
  const mask: u64 = c < 64 ? (<u64>0x2bff7ff2) << 32 : ((<u64>0x47fffffe) << 32) | 0x87fffffe;
  return ((mask >> (c & 63)) & 1) != 0;
}

/** The value of a hexadecimal digit, 16 for another byte. */
function hexDigit(c: u32): u32 {
  if (isDigit(c)) return c - 0x30;
  const d = (c | 0x20) - 0x61;
  return d < 6 ? d + 10 : 16;
}

function bad(s: usize, error: HttpError): State {
  store<u32>(s, error, HttpParser.Error);
  return State.Bad;
}

/** The methods of Node 20's parser, 12 bytes each, nine a row: a sum of strings would be made on a heap. */
const METHODS_0 =
  "ACL         BIND        CHECKOUT    CONNECT     COPY        DELETE      GET         HEAD        LINK        ";
const METHODS_1 =
  "LOCK        M-SEARCH    MERGE       MKACTIVITY  MKCALENDAR  MKCOL       MOVE        NOTIFY      OPTIONS     ";
const METHODS_2 =
  "PATCH       POST        PROPFIND    PROPPATCH   PURGE       PUT         QUERY       REBIND      REPORT      ";
const METHODS_3 = "SEARCH      SOURCE      SUBSCRIBE   TRACE       UNBIND      UNLINK      UNLOCK      UNSUBSCRIBE ";
const METHODS: u32 = 35;
const METHOD_WIDTH: u32 = 12;

/** The `n`-th byte of the `k`-th method, a space behind its end. */
function methodAt(k: u32, n: u32): u32 {
  const row = k / 9;
  const words = row == 0 ? METHODS_0 : row == 1 ? METHODS_1 : row == 2 ? METHODS_2 : METHODS_3;
  return load<u16>(changetype<usize>(words) + (((k % 9) * METHOD_WIDTH + n) << 1));
}

/** The `n`-th byte of a method, or the space behind it: whether a method of Node's may still come of it. */
export function methodByte(s: usize, n: u32, c: u32): bool {
  if (n >= METHOD_WIDTH) return false;
  let fit: u64 = 0;
  for (
    let left = n == 0 ? ((<u64>1) << METHODS) - 1 : load<u64>(s, HttpParser.Candidates);
    left != 0;
    left &= left - 1
  ) {
    const k = <u32>ctz(left);
    if (methodAt(k, n) == c) fit |= (<u64>1) << k;
  }
  store<u64>(s, fit, HttpParser.Candidates);
  return fit != 0;
}

/**
 * One byte of a request's target, RFC 9112 §3.2: origin-form, absolute-form, `*`, and for CONNECT host and port.
 * A path's bytes are taken as they are when they are visible ASCII, as Node does; what they mean is for the reader.
 */
export function targetByte(s: usize, state: State, c: u32): State {
  let next = State.Bad;
  switch (state) {
    case State.TargetStart:
      if ((load<u32>(s, HttpParser.Flags) & Flag.Connect) != 0) {
        if (c == 0x5b) next = State.AuthorityBracket;
        else if (isHost(c)) next = State.Authority;
      } else if (c == 0x2f) next = State.Target;
      else if (c == 0x2a) next = State.Asterisk;
      else if (isAlpha(c)) next = State.Scheme;
      break;
    case State.Scheme:
      if (c == 0x3a) next = State.SchemeSlash;
      else if (isAlpha(c) || isDigit(c) || c == 0x2b || c == 0x2d || c == 0x2e) next = state;
      break;
    case State.SchemeSlash:
      if (c == 0x2f) next = State.SchemeSlashes;
      break;
    case State.SchemeSlashes:
      if (c == 0x2f) next = State.SchemeHost;
      break;
    case State.SchemeHost:
      if (isHost(c) || c == 0x5b) next = State.AbsoluteAuthority;
      break;
    case State.AbsoluteAuthority:
    case State.AbsoluteHost:
      if (isHost(c) || c == 0x3a || c == 0x5b || c == 0x5d) next = state;
      else if (c == 0x40 && state == State.AbsoluteAuthority) next = State.AbsoluteHost;
      else if (c == 0x2f || c == 0x3f) next = State.Target;
      break;
    case State.Authority:
      if (c == 0x3a) next = State.AuthorityPort;
      else if (isHost(c)) next = state;
      break;
    case State.AuthorityBracket:
      if (c == 0x5d) next = State.AuthorityEnd;
      else if (isHost(c) || c == 0x3a) next = state;
      break;
    case State.AuthorityEnd:
      if (c == 0x3a) next = State.AuthorityPort;
      break;
    case State.AuthorityPort:
      if (isDigit(c)) next = state;
      break;
    case State.Target:
      if (c > 0x20 && c < 0x7f) next = state;
      break;
    default:
      break;
  }
  return next == State.Bad ? bad(s, HttpError.Target) : next;
}

/**
 * One byte of a chunk's first line, RFC 9112 §7.1: hexadecimal size, extensions, CR. The white space that its grammar
 * knows around an extension's signs may not be sent (RFC 9110 §5.6.3) and is refused.
 */
export function chunkByte(s: usize, state: State, c: u32): State {
  let next = State.Bad;
  switch (state) {
    case State.ChunkStart:
    case State.ChunkSize: {
      const d = hexDigit(c);
      if (d < 16) {
        const size = state == State.ChunkStart ? 0 : load<u64>(s, HttpParser.Length);
        if (size >> 60 != 0) return bad(s, HttpError.ChunkOverflow);
        store<u64>(s, (size << 4) | d, HttpParser.Length);
        return State.ChunkSize;
      }
      if (state == State.ChunkStart) return bad(s, HttpError.ChunkSize);
      if (c == 0x0d) return State.ChunkLf;
      if (c == 0x3b) return State.ExtStart;
      return bad(s, c == 0x0a ? HttpError.BareLf : HttpError.ChunkSize);
    }
    case State.ExtStart:
      if (isToken(c)) next = State.ExtName;
      break;
    case State.ExtName:
      if (isToken(c)) next = state;
      else if (c == 0x3d) next = State.ExtValueStart;
      else next = afterExtension(c);
      break;
    case State.ExtValueStart:
      if (isToken(c)) next = State.ExtValue;
      else if (c == 0x22) next = State.ExtQuoted;
      break;
    case State.ExtValue:
      next = isToken(c) ? state : afterExtension(c);
      break;
    case State.ExtQuoted:
      if (c == 0x22) next = State.ExtEnd;
      else if (c == 0x5c) next = State.ExtEscape;
      else if (isFieldByte(c)) next = state;
      break;
    case State.ExtEscape:
      if (isFieldByte(c)) next = State.ExtQuoted;
      break;
    case State.ExtEnd:
      next = afterExtension(c);
      break;
    default:
      break;
  }
  return next == State.Bad ? bad(s, c == 0x0a ? HttpError.BareLf : HttpError.ChunkExtension) : next;
}

function afterExtension(c: u32): State {
  return c == 0x0d ? State.ChunkLf : c == 0x3b ? State.ExtStart : State.Bad;
}
