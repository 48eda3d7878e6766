// assembly/wire/httptypes.ts: numbers that the HTTP code shares with TypeScript: literal values only.

/** What the readers write: entries of u32 at these byte offsets. */
export enum HttpEntry {
  /** `HttpSpan` or `HttpEvent`. */
  Kind = 0,
  At = 4,
  Length = 8,
  Size = 12,
}

/** What `headSpans` finds, one entry each: kind, offset and length. */
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
  /** Bytes of an entry: `HttpEntry.Size`. */
  Size = 12,
}

/** Which side's messages a parser reads. */
export enum HttpType {
  Request = 0,
  Response = 1,
}

/** What a response answers: it decides where the response ends (RFC 9112 §6.3). */
export enum HttpAnswers {
  Other = 0,
  Head = 1,
  Connect = 2,
}

/**
 * A parser: u32 at these byte offsets.
 *
 *     | state | type | error | flags | minor | code | index | match | field | head | limit | length u64 | events | ...
 */
export enum HttpParser {
  State = 0,
  Type = 4,
  /** `HttpError`; once set the parser takes no more bytes. */
  Error = 8,
  Flags = 12,
  Minor = 16,
  Code = 20,
  /** Bytes or digits seen of the part that is being read. */
  Index = 24,
  /** Bit n: what was read so far may still become the n-th of the words that it is compared with. */
  Match = 28,
  /** Which header field the value belongs to, `HttpField`. */
  Field = 32,
  /** Bytes of the head, the trailers or the chunk's first line so far, and the most that is read. */
  Head = 36,
  Limit = 40,
  /** Bytes of content to come, or of the chunk: u64. */
  Length = 48,
  /** Entries that the last `feed` wrote. */
  Events = 56,
  Answers = 60,
  /** Not 0: `feed` returns behind each message. */
  Pause = 64,
  /** Not 0: a request's method must be one that Node knows, not just a token. */
  Methods = 68,
  /** Bit n: the method may still become the n-th of them: u64. */
  Candidates = 72,
  Size = 80,
}

/** What happened, one entry each: event, offset in the bytes fed, length. */
export enum HttpEvent {
  /** A message begins. */
  Begin = 1,
  Method = 2,
  Target = 3,
  /** HTTP/1.x: the offset's place holds x. */
  Version = 4,
  /** The offset's place holds the code. */
  Status = 5,
  Reason = 6,
  Name = 7,
  /** Without the white space in front; what is behind belongs to the reader (RFC 9112 §5.1). */
  Value = 8,
  /** The empty line behind the header fields. */
  Head = 9,
  Body = 10,
  /** The message's last byte was read; the length's place holds 1 when the connection persists (RFC 9112 §9.3). */
  Complete = 11,
  /** Bytes of another protocol, behind CONNECT or Upgrade. */
  Tunnel = 12,
  /** Set on an event that gives the last piece of its part; without it more of the part follows. */
  Last = 256,
}

/** Why bytes are no HTTP/1.x message. */
export enum HttpError {
  None = 0,
  BareLf = 1,
  BareCr = 2,
  Method = 3,
  Target = 4,
  Version = 5,
  Status = 6,
  Reason = 7,
  Name = 8,
  Value = 9,
  Folding = 10,
  LengthInvalid = 11,
  LengthOverflow = 12,
  LengthRepeated = 13,
  LengthWithCoding = 14,
  CodingWithLength = 15,
  CodingInvalid = 16,
  CodingNotChunked = 17,
  CodingAfterChunked = 18,
  CodingOldVersion = 19,
  ChunkSize = 20,
  ChunkOverflow = 21,
  ChunkExtension = 22,
  ChunkEnd = 23,
  TrailerForbidden = 24,
  AfterClose = 25,
  TooLarge = 26,
}
