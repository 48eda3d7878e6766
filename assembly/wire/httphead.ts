// assembly/wire/httphead.ts: what of one TCP segment looks like HTTP/1, as Wireshark 4.0 sees it without reassembly.
//
// This is a reader for people: it takes nearly anything and refuses nothing. Who serves requests uses wire/http.ts.
// A line ends at CR LF, LF or a lone CR, a head at an empty line or at the first line without a colon.

import { get16, get32, get8 } from "../bytes.ts";
import { HttpEntry, HttpSpan } from "./httptypes.ts";

enum Kind {
  Other = 0,
  Request = 1,
  Response = 2,
  Notification = 3,
}

/** Until an unknown length: the segment's rest. */
const REST: u32 = 0xffffffff;

let table: usize = 0;
let room: u32 = 0;
let count: u32 = 0;

function span(kind: HttpSpan, at: u32, len: u32): void {
  if (count == room) return;
  const e = table + count++ * HttpEntry.Size;
  store<u32>(e, kind, HttpEntry.Kind);
  store<u32>(e, at, HttpEntry.At);
  store<u32>(e, len, HttpEntry.Length);
}

/**
 * The parts of the messages in a segment's `len` bytes at `p`, in their order, as `HttpEntry`s at `out` (room for `max`).
 * The number of entries; 0 when nothing looks like HTTP. Several messages follow each other when the lengths of their
 * bodies are known.
 */
export function headSpans(p: usize, len: u32, out: usize, max: u32): u32 {
  table = out;
  room = max;
  count = 0;
  let at: u32 = 0;
  while (at < len) {
    const n = message(p + at, len - at, at);
    if (n >= len - at) break;
    at += n;
  }
  return count;
}

/** One message: its start line, header lines and body. Its length. `base` is its offset in the segment. */
function message(p: usize, len: u32, base: u32): u32 {
  let at: u32 = 0;
  let kind = Kind.Other;
  let code: u32 = 0;
  let length: u32 = REST;
  let coded = false;
  let chunked = false;
  // RFC 9112 §2.2: an empty line in front of a message is skipped
  if (len >= 2 && get16(p, 0) == 0x0d0a) at = 2;
  while (at < len) {
    const n = lineLength(p + at, len - at);
    const next = at + n + eolLength(p + at + n, len - at - n);
    const k = startKind(p + at, n);
    if (k != Kind.Other) {
      kind = k;
      if (k == Kind.Response) code = statusSpans(p, at, n, base);
      else requestSpans(p, at, n, base);
    } else if (n == 0) {
      at = next;
      break;
    } else {
      const colon = find(p + at, n, 0x3a);
      if (colon == n) break;
      if (kind == Kind.Request) span(HttpSpan.RequestLine, base + at, next - at);
      else if (kind == Kind.Response) span(HttpSpan.ResponseLine, base + at, next - at);
      if (isName(p + at, colon, "content-length")) length = decimal(p + at + colon + 1, n - colon - 1);
      if (isName(p + at, colon, "transfer-encoding")) {
        coded = true;
        chunked = chunked || holdsChunked(p + at + colon + 1, n - colon - 1);
      }
    }
    at = next;
  }
  const rest = len - at;
  if (!coded && length != REST) return at + (length < rest ? length : rest);
  if (chunked) return at + chunks(p + at, rest);
  if (kind == Kind.Request && !coded) return at;
  if (kind == Kind.Response && (code / 100 == 1 || code == 204 || code == 304)) return at;
  return len;
}

/** Method, target, and as the version all that is left, whatever it is. */
function requestSpans(p: usize, at: u32, n: u32, base: u32): void {
  const end = at + n;
  const method = find(p + at, n, 0x20);
  span(HttpSpan.Method, base + at, method);
  let uri = at + method;
  while (uri < end && get8(p, uri) == 0x20) uri++;
  // of two spaces the second stands for an empty target
  if (uri - (at + method) > 1) uri--;
  const uriLength = find(p + uri, end - uri, 0x20);
  span(HttpSpan.Uri, base + uri, uriLength);
  let version = uri + uriLength;
  while (version < end && get8(p, version) == 0x20) version++;
  span(HttpSpan.RequestVersion, base + version, end - version);
}

/** Version, code and phrase as far as they are there; the code as a number, 0 for none. */
function statusSpans(p: usize, at: u32, n: u32, base: u32): u32 {
  const end = at + n;
  const version = find(p + at, n, 0x20);
  span(HttpSpan.ResponseVersion, base + at, version);
  at += version;
  while (at < end && get8(p, at) == 0x20) at++;
  const token = find(p + at, end - at, 0x20);
  if (token < 3) return 0;
  span(HttpSpan.Code, base + at, 3);
  let code: u32 = 0;
  for (let i: u32 = 0; i < 3; i++) {
    const d = get8(p, at + i) - 0x30;
    if (d > 9) break;
    code = code * 10 + d;
  }
  at += token;
  while (at < end && get8(p, at) == 0x20) at++;
  if (at < end) span(HttpSpan.Phrase, base + at, end - at);
  return code;
}

/** Bytes in front of the first CR or LF. */
function lineLength(p: usize, len: u32): u32 {
  let n: u32 = 0;
  while (n < len && get8(p, n) != 0x0d && get8(p, n) != 0x0a) n++;
  return n;
}

function eolLength(p: usize, len: u32): u32 {
  if (len == 0) return 0;
  return len >= 2 && get16(p, 0) == 0x0d0a ? 2 : 1;
}

/** Offset of the first `c`, or `len`. */
function find(p: usize, len: u32, c: u32): u32 {
  let n: u32 = 0;
  while (n < len && get8(p, n) != c) n++;
  return n;
}

/** What a line begins: a request of a method that Wireshark knows, a response, or nothing. `M-` is of RFC 2774. */
function startKind(p: usize, len: u32): Kind {
  if (len >= 2 && get16(p, 0) == 0x4d2d) {
    p += 2;
    len -= 2;
  }
  if (len >= 5 && get32(p, 0) == 0x48545450 && get8(p, 4) == 0x2f) return Kind.Response;
  if (len >= 3 && is(p, "ICY")) return Kind.Response;
  const n = find(p, len, 0x20);
  switch (n) {
    case 3:
      return any(p, n, "GET PUT ");
    case 4:
      return any(p, n, "COPY HEAD LOCK MOVE POLL POST ");
    case 5:
      return any(p, n, "BCOPY BMOVE MKCOL TRACE LABEL MERGE PATCH ");
    case 6:
      if (is(p, "NOTIFY")) return Kind.Notification;
      return any(p, n, "DELETE SEARCH UNLOCK REPORT UPDATE ");
    case 7:
      return any(p, n, "BDELETE CONNECT OPTIONS CHECKIN ");
    case 8:
      return any(p, n, "PROPFIND CHECKOUT CCM_POST ");
    case 9:
      if (is(p, "SUBSCRIBE")) return Kind.Notification;
      return any(p, n, "PROPPATCH BPROPFIND ");
    case 10:
      return any(p, n, "BPROPPATCH UNCHECKOUT MKACTIVITY ");
    case 11:
      if (is(p, "UNSUBSCRIBE")) return Kind.Notification;
      return any(p, n, "MKWORKSPACE RPC_CONNECT RPC_IN_DATA ");
    case 12:
      return any(p, n, "RPC_OUT_DATA ");
    case 15:
      return any(p, n, "VERSION-CONTROL ");
    case 16:
      return any(p, n, "BASELINE-CONTROL SSTP_DUPLEX_POST ");
    default:
      return Kind.Other;
  }
}

/** Whether the `n` bytes are one of the words of length `n`, each with a space behind it. A literal is static data. */
function any(p: usize, n: u32, words: string): Kind {
  const w = changetype<usize>(words);
  for (let at: i32 = 0; at < words.length; at += <i32>n + 1) {
    let i: u32 = 0;
    while (i < n && load<u16>(w + ((at + i) << 1)) == get8(p, i)) i++;
    if (i == n) return Kind.Request;
  }
  return Kind.Other;
}

function is(p: usize, word: string): bool {
  const w = changetype<usize>(word);
  for (let i = 0; i < word.length; i++) if (load<u16>(w + (i << 1)) != get8(p, i)) return false;
  return true;
}

function isName(p: usize, len: u32, name: string): bool {
  if (len != <u32>name.length) return false;
  const w = changetype<usize>(name);
  for (let i: u32 = 0; i < len; i++) {
    const c = get8(p, i);
    const lower = c - 0x41 < 26 ? c + 32 : c;
    if (load<u16>(w + (i << 1)) != lower) return false;
  }
  return true;
}

/** A Content-Length with white space around it; `REST` when it is none. */
function decimal(p: usize, len: u32): u32 {
  let at: u32 = 0;
  while (at < len && isSpace(get8(p, at))) at++;
  const start = at;
  let v: u64 = 0;
  for (; at < len && get8(p, at) - 0x30 < 10; at++) if (v < 0xfffffffe) v = v * 10 + get8(p, at) - 0x30;
  if (at == start || (at < len && !isSpace(get8(p, at)))) return REST;
  return v < 0xfffffffe ? <u32>v : 0xfffffffe;
}

function isSpace(c: u32): bool {
  return c == 0x20 || c - 9 < 5;
}

function holdsChunked(p: usize, len: u32): bool {
  for (let at: u32 = 0; at + 7 <= len; at++) if (is(p + at, "chunked")) return true;
  return false;
}

/**
 * The length of a chunked body: up to the empty line behind the last chunk, or all there is. Two bytes are passed over
 * behind a chunk's data, and an empty line in place of a size ends the body, whatever stands there.
 */
function chunks(p: usize, len: u32): u32 {
  let at: u32 = 0;
  while (at < len) {
    const n = lineLength(p + at, len - at);
    if (n == 0) return at;
    const data = at + n + eolLength(p + at + n, len - at - n);
    const size = hexadecimal(p + at, n);
    if (size == 0) return trailers(p, data, len);
    if (size > len - data) return len;
    at = data + size + 2;
  }
  return len;
}

function trailers(p: usize, at: u32, len: u32): u32 {
  while (at < len) {
    const n = lineLength(p + at, len - at);
    at += n + eolLength(p + at + n, len - at - n);
    if (n == 0) return at;
  }
  return len;
}

/** The leading hexadecimal digits, 0 for none. */
function hexadecimal(p: usize, len: u32): u32 {
  let v: u64 = 0;
  for (let at: u32 = 0; at < len; at++) {
    const c = get8(p, at) | 0x20;
    const d = c - 0x30 < 10 ? c - 0x30 : c - 0x61 < 6 ? c - 0x57 : 16;
    if (d == 16) break;
    if (v < 0xffffffff) v = v * 16 + d;
  }
  return v < 0xffffffff ? <u32>v : 0xffffffff;
}
