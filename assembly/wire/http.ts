// assembly/wire/http.ts: HTTP/1.0 and 1.1 messages, RFC 9112, as a state machine over bytes that come in any pieces.
//
//     method SP target SP HTTP/1.x CRLF          HTTP/1.x SP code SP reason CRLF
//     *( name ":" OWS value OWS CRLF ) CRLF      content by length | chunks and trailers | until the close
//
// The parser keeps no bytes: it answers spans of what it was fed. Lines end in CR LF and nothing else.

import { get8 } from "../bytes.ts";
import { HttpAnswers, HttpEntry, HttpError, HttpEvent, HttpParser, HttpType } from "./httptypes.ts";
import { State, chunkByte, isDigit, methodByte, targetByte } from "./httpstart.ts";
import {
  Flag,
  Rest,
  headEnd,
  headError,
  isBlank,
  isFieldByte,
  isKnown,
  isToken,
  matchStart,
  nameByte,
  nameEnd,
  persists,
  upgrades,
  valueByte,
  valueEnd,
} from "./httpfield.ts";

/** Node's default is 16 KiB; this leaves room for large cookies. */
const LIMIT: u32 = 65536;

/** Where `feed` writes, while it runs. */
let entries: usize = 0;
let count: u32 = 0;

function emit(event: u32, at: u32, len: u32): void {
  const e = entries + count++ * HttpEntry.Size;
  store<u32>(e, event, HttpEntry.Kind);
  store<u32>(e, at, HttpEntry.At);
  store<u32>(e, len, HttpEntry.Length);
}

/** A parser of `HttpParser.Size` bytes at `s` for one connection's one direction; see `Pause` and `Methods` there. */
export function init(s: usize, type: HttpType, pause: bool, methods: bool): void {
  memory.fill(s, 0, HttpParser.Size);
  store<u32>(s, type, HttpParser.Type);
  store<u32>(s, LIMIT, HttpParser.Limit);
  store<u32>(s, pause ? 1 : 0, HttpParser.Pause);
  store<u32>(s, methods ? 1 : 0, HttpParser.Methods);
}

/** Says what the responses from the next one on answer; 1xx responses do not use it up. */
export function setAnswers(s: usize, answers: HttpAnswers): void {
  store<u32>(s, answers, HttpParser.Answers);
}

/**
 * Takes bytes in; answers how many it took. It writes `HttpParser.Events` entries to `out`, which has room for `max` (8 or
 * more), and stops early when that is full, behind a message when it pauses, or at the first byte that breaks the
 * grammar: `HttpParser.Error` is set then, and that byte is the one not taken.
 */
export function feed(s: usize, p: usize, len: u32, out: usize, max: u32): u32 {
  entries = out;
  count = 0;
  let i: u32 = 0;
  let state: State = load<u32>(s, HttpParser.State);
  let head = load<u32>(s, HttpParser.Head);
  let error = load<u32>(s, HttpParser.Error) as HttpError;
  const limit = load<u32>(s, HttpParser.Limit);
  const pause = load<u32>(s, HttpParser.Pause) != 0;
  /** Where the part that is being read begins. */
  let mark: u32 = 0;
  let stop = false;

  while (!stop && i < len && error == HttpError.None && count + 4 <= max) {
    const c = get8(p, i);
    if (state >= State.Method && ++head > limit) {
      error = HttpError.TooLarge;
      break;
    }
    switch (state) {
      case State.Start:
        if (c == 0x0d) {
          // RFC 9112 §2.2: empty lines in front of a message are skipped
          state = State.StartLf;
        } else if (c == 0x0a) {
          error = HttpError.BareLf;
        } else {
          emit(HttpEvent.Begin, i, 0);
          head = 0;
          mark = i;
          store<u32>(s, 0, HttpParser.Index);
          state = load<u32>(s, HttpParser.Type) == HttpType.Request ? State.Method : State.Version;
          store<u32>(s, state == State.Method ? Flag.Connect : 0, HttpParser.Flags);
          continue;
        }
        break;
      case State.StartLf:
        if (c == 0x0a) state = State.Start;
        else error = HttpError.BareCr;
        break;
      case State.Closed:
        if (c == 0x0d) state = State.ClosedLf;
        else error = HttpError.AfterClose;
        break;
      case State.ClosedLf:
        if (c == 0x0a) state = State.Closed;
        else error = HttpError.BareCr;
        break;

      case State.Method: {
        const n = load<u32>(s, HttpParser.Index);
        if (load<u32>(s, HttpParser.Methods) != 0 && !methodByte(s, n, c)) {
          error = HttpError.Method;
        } else if (isToken(c)) {
          if (n >= 7 || <u32>load<u16>(changetype<usize>("CONNECT") + (n << 1)) != c) clearConnect(s);
          store<u32>(s, n + 1, HttpParser.Index);
        } else if (c == 0x20 && n != 0) {
          if (n != 7) clearConnect(s);
          emit(HttpEvent.Method | HttpEvent.Last, mark, i - mark);
          state = State.TargetStart;
        } else error = HttpError.Method;
        break;
      }

      case State.TargetStart:
        mark = i;
        state = targetByte(s, state, c);
        break;
      case State.AbsoluteAuthority:
      case State.AbsoluteHost:
      case State.AuthorityPort:
      case State.Asterisk:
      case State.Target:
        if (c == 0x20) {
          emit(HttpEvent.Target | HttpEvent.Last, mark, i - mark);
          store<u32>(s, 0, HttpParser.Index);
          state = State.Version;
        } else state = targetByte(s, state, c);
        break;
      case State.Scheme:
      case State.SchemeSlash:
      case State.SchemeSlashes:
      case State.SchemeHost:
      case State.Authority:
      case State.AuthorityBracket:
      case State.AuthorityEnd:
        state = targetByte(s, state, c);
        break;

      case State.Version: {
        const n = load<u32>(s, HttpParser.Index);
        if (c != <u32>load<u16>(changetype<usize>("HTTP/1.") + (n << 1))) error = HttpError.Version;
        store<u32>(s, n + 1, HttpParser.Index);
        if (n == 6) state = State.Minor;
        break;
      }
      case State.Minor:
        if (c != 0x30 && c != 0x31) {
          error = HttpError.Version;
          break;
        }
        store<u32>(s, c - 0x30, HttpParser.Minor);
        emit(HttpEvent.Version, c - 0x30, 0);
        state = load<u32>(s, HttpParser.Type) == HttpType.Request ? State.LineCr : State.StatusSp;
        break;
      case State.LineCr:
        if (c == 0x0d) state = State.LineLf;
        else error = c == 0x0a ? HttpError.BareLf : HttpError.Version;
        break;
      case State.LineLf:
      case State.FieldLf:
        if (c == 0x0a) state = State.FieldStart;
        else error = HttpError.BareCr;
        break;
      case State.StatusSp:
        if (c != 0x20) error = HttpError.Version;
        store<u32>(s, 0, HttpParser.Index);
        store<u32>(s, 0, HttpParser.Code);
        state = State.Status;
        break;
      case State.Status: {
        if (!isDigit(c)) {
          error = HttpError.Status;
          break;
        }
        const n = load<u32>(s, HttpParser.Index) + 1;
        const code = load<u32>(s, HttpParser.Code) * 10 + c - 0x30;
        store<u32>(s, n, HttpParser.Index);
        store<u32>(s, code, HttpParser.Code);
        if (n == 3) {
          emit(HttpEvent.Status, code, 0);
          state = State.StatusEnd;
        }
        break;
      }
      case State.StatusEnd:
        // the space is there even when the reason is not (RFC 9112 §4); some servers forget it, and nothing hangs on it
        mark = i + 1;
        if (c == 0x20) state = State.Reason;
        else if (c == 0x0d) state = State.LineLf;
        else error = c == 0x0a ? HttpError.BareLf : HttpError.Status;
        break;
      case State.Reason:
        if (c == 0x0d) {
          emit(HttpEvent.Reason | HttpEvent.Last, mark, i - mark);
          state = State.LineLf;
        } else if (!isFieldByte(c)) error = c == 0x0a ? HttpError.BareLf : HttpError.Reason;
        break;

      case State.FieldStart:
        mark = i;
        if (c == 0x0d) {
          error = headError(s);
          state = State.HeadLf;
        } else if (isToken(c)) {
          matchStart(s);
          nameByte(s, c);
          state = State.Name;
        } else error = c == 0x0a ? HttpError.BareLf : isBlank(c) ? HttpError.Folding : HttpError.Name;
        break;
      case State.Name:
        if (isToken(c)) {
          nameByte(s, c);
        } else if (c == 0x3a) {
          error = nameEnd(s);
          if (error != HttpError.None) break;
          emit(HttpEvent.Name | HttpEvent.Last, mark, i - mark);
          state = State.ValueStart;
        } else error = HttpError.Name;
        break;
      case State.ValueStart:
        if (isBlank(c)) break;
        mark = i;
        state = State.Value;
        head--;
        continue;
      case State.Value:
        if (isFieldByte(c)) {
          if (isKnown(s)) error = valueByte(s, c);
          else {
            // most values mean nothing here: on to the first byte that may end one
            while (i + 1 < len && head < limit && isFieldByte(get8(p, i + 1))) {
              i++;
              head++;
            }
          }
        } else if (c == 0x0d) {
          error = valueEnd(s);
          if (error != HttpError.None) break;
          emit(HttpEvent.Value | HttpEvent.Last, mark, i - mark);
          state = State.FieldLf;
        } else error = c == 0x0a ? HttpError.BareLf : HttpError.Value;
        break;
      case State.HeadLf:
        if (c != 0x0a) {
          error = HttpError.BareCr;
          break;
        }
        if ((load<u32>(s, HttpParser.Flags) & Flag.Trailers) != 0) {
          state = complete(s, i + 1);
        } else {
          emit(HttpEvent.Head, i + 1, 0);
          state = afterHead(s, i + 1);
          head = 0;
        }
        stop = pause && (state == State.Start || state == State.Closed);
        break;

      case State.Body:
      case State.ChunkData: {
        const left = load<u64>(s, HttpParser.Length);
        const n: u32 = <u64>(len - i) < left ? len - i : <u32>left;
        emit(HttpEvent.Body, i, n);
        store<u64>(s, left - n, HttpParser.Length);
        i += n;
        if (left != n) continue;
        if (state == State.ChunkData) {
          state = State.ChunkDataCr;
          continue;
        }
        state = complete(s, i);
        stop = pause && state != State.Tunnel;
        continue;
      }
      case State.UntilClose:
        emit(HttpEvent.Body, i, len - i);
        i = len;
        continue;
      case State.Tunnel:
        emit(HttpEvent.Tunnel, i, len - i);
        i = len;
        continue;

      case State.ChunkDataCr:
        if (c == 0x0d) state = State.ChunkDataLf;
        else error = HttpError.ChunkEnd;
        break;
      case State.ChunkDataLf:
        if (c != 0x0a) error = HttpError.ChunkEnd;
        state = State.ChunkStart;
        head = 0;
        break;
      case State.ChunkLf:
        if (c != 0x0a) {
          error = HttpError.BareCr;
          break;
        }
        head = 0;
        if (load<u64>(s, HttpParser.Length) != 0) {
          state = State.ChunkData;
        } else {
          store<u32>(s, load<u32>(s, HttpParser.Flags) | Flag.Trailers, HttpParser.Flags);
          state = State.FieldStart;
        }
        break;
      default:
        state = chunkByte(s, state, c);
    }
    if (state == State.Bad) error = load<u32>(s, HttpParser.Error) as HttpError;
    if (error != HttpError.None) break;
    i++;
  }

  if (error == HttpError.None && i > mark) flush(state, mark, i - mark);
  store<u32>(s, state, HttpParser.State);
  store<u32>(s, head, HttpParser.Head);
  store<u32>(s, error, HttpParser.Error);
  store<u32>(s, count, HttpParser.Events);
  return i;
}

/** A part whose end is not there yet: what of it was fed. */
function flush(state: State, mark: u32, len: u32): void {
  if (state == State.Method) emit(HttpEvent.Method, mark, len);
  else if (state >= State.Scheme && state <= State.Target) emit(HttpEvent.Target, mark, len);
  else if (state == State.Reason) emit(HttpEvent.Reason, mark, len);
  else if (state == State.Name) emit(HttpEvent.Name, mark, len);
  else if (state == State.Value) emit(HttpEvent.Value, mark, len);
}

function clearConnect(s: usize): void {
  store<u32>(s, load<u32>(s, HttpParser.Flags) & ~(<u32>Flag.Connect), HttpParser.Flags);
}

function afterHead(s: usize, at: u32): State {
  switch (headEnd(s)) {
    case Rest.Length:
      return State.Body;
    case Rest.Chunks:
      return State.ChunkStart;
    case Rest.Close:
      return State.UntilClose;
    case Rest.Tunnel:
      emit(HttpEvent.Complete, at, 1);
      return State.Tunnel;
    default:
      return complete(s, at);
  }
}

function complete(s: usize, at: u32): State {
  const more = persists(s);
  emit(HttpEvent.Complete, at, more ? 1 : 0);
  return upgrades(s) ? State.Tunnel : more ? State.Start : State.Closed;
}

/** Whether all messages fed so far are complete: nothing, or only empty lines, behind the last one. */
export function isIdle(s: usize): bool {
  const state: State = load<u32>(s, HttpParser.State);
  const between = state == State.Start || state == State.Closed || state == State.Tunnel;
  return between && load<u32>(s, HttpParser.Error) == HttpError.None;
}

/**
 * The connection was closed by its sender: true when no message is cut off by that. Content that lasts until the close
 * is complete then (RFC 9112 §8).
 */
export function finish(s: usize): bool {
  const state: State = load<u32>(s, HttpParser.State);
  if (state != State.UntilClose) return isIdle(s);
  store<u32>(s, State.Closed, HttpParser.State);
  return true;
}
