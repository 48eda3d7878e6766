// assembly/wire/httptypes.ts: numbers that the HTTP code shares with TypeScript: literal values only.

/** What `headSpans` writes: three u32 each, kind, offset and length. */
export enum HttpSpan {
  Method = 1,
  Uri = 2,
  RequestVersion = 3,
  /** A header line with its end of line. */
  RequestLine = 4,
  ResponseVersion = 5,
  /** The three bytes at the place of the status code: digits or not. */
  Code = 6,
  Phrase = 7,
  ResponseLine = 8,
  /** Bytes of one entry. */
  Size = 12,
}
