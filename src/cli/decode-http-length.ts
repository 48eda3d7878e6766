// src/cli/decode-http-length.ts: where an HTTP/1 message in a stream ends (RFC 9112 §6), for reading along.

/** The message ends where the connection does. */
export const UNTIL_CLOSE = -2;

const START = /^(?:HTTP\/\d|ICY |[A-Z][A-Z_-]{2,15} )/;

/**
 * Length of the message at the start of `b`, and the method if it is a request (else null). Length -1: more bytes are
 * needed; 0: no message begins here; `UNTIL_CLOSE`. `asked` is the method that a response answers.
 */
export function httpLength(b: Uint8Array, asked: string | null): [length: number, method: string | null] {
  const head = headLength(b);
  const text = latin1(b, 0, head < 0 ? Math.min(b.length, 32) : head);
  if (!START.test(text)) return [text.length < 18 && head < 0 ? -1 : 0, null];
  const response = text.startsWith("HTTP/") || text.startsWith("ICY ");
  const method = response ? null : text.slice(0, text.indexOf(" "));
  if (head < 0) return [-1, method];
  const length = field(text, "content-length");
  const chunked = /chunked/i.test(field(text, "transfer-encoding") ?? "");
  const code = response ? Number(/^\S+ +(\d{3})/.exec(text)?.[1] ?? 0) : 0;
  if (response && (asked === "HEAD" || (code >= 100 && code < 200) || code === 204 || code === 304))
    return [head, method];
  if (chunked) return [chunksEnd(b, head), method];
  if (length !== null && /^\s*\d+\s*$/.test(length)) {
    const end = head + Number(length);
    return [b.length < end ? -1 : end, method];
  }
  return [response ? UNTIL_CLOSE : head, method];
}

/** Bytes up to and with the empty line; -1 while there is none. */
function headLength(b: Uint8Array): number {
  for (let i = b.indexOf(10); i >= 0; i = b.indexOf(10, i + 1)) {
    if (b[i + 1] === 10) return i + 2;
    if (b[i + 1] === 13 && b[i + 2] === 10) return i + 3;
  }
  return -1;
}

/** End of a chunked body that begins at `at`, trailers included; -1 while it is not there. */
function chunksEnd(b: Uint8Array, at: number): number {
  for (;;) {
    const eol = b.indexOf(10, at);
    if (eol < 0) return -1;
    const size = parseInt(latin1(b, at, eol), 16);
    if (!(size > 0)) {
      let line = eol + 1;
      for (;;) {
        const end = b.indexOf(10, line);
        if (end < 0) return -1;
        if (end - line <= 1) return end + 1;
        line = end + 1;
      }
    }
    at = eol + 1 + size + 2;
    if (at > b.length) return -1;
  }
}

/** The value of the last field of this name; null when there is none. */
function field(head: string, name: string): string | null {
  const all = [...head.matchAll(new RegExp(`^${name}:(.*)$`, "gim"))];
  return all.at(-1)?.[1] ?? null;
}

function latin1(b: Uint8Array, from: number, to: number): string {
  let s = "";
  for (let i = from; i < to; i++) s += String.fromCharCode(b[i]!);
  return s;
}
