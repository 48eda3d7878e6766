// assembly/tcplayout.ts: a TCP segment as the core reads it for a connection. Literal values only: TypeScript shares this file.

/** The record that `tcpRead` fills: u32 at these byte offsets. */
export enum Seg {
  Seq = 0,
  Ack = 4,
  /** The eight flags CWR to FIN. */
  Flags = 8,
  /** As it stands in the header, not scaled. */
  Window = 12,
  Urgent = 16,
  /** Address and length of the data. */
  Payload = 20,
  Len = 24,
  /** Bits of `SegOpt`. */
  Options = 28,
  Mss = 32,
  Shift = 36,
  Tsval = 40,
  Tsecr = 44,
  SackCount = 48,
  /** Up to four pairs: first sequence number, one behind the last. */
  Sack = 52,
  Src = 84,
  Dst = 88,
  SrcPort = 92,
  DstPort = 96,
  Tos = 100,
  /** Bytes of header. */
  HeaderLen = 104,
  Size = 108,
}

/** Which options a segment carries. */
export enum SegOpt {
  Mss = 1,
  Shift = 2,
  SackPermitted = 4,
  Timestamps = 8,
  Sack = 16,
}
