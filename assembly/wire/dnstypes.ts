// assembly/wire/dnstypes.ts: numbers of DNS and the tables of the codec. Shared with TypeScript: literal values only.

/** IANA's registry of RR types, those whose data this codec reads. */
export enum DnsType {
  A = 1,
  NS = 2,
  CNAME = 5,
  SOA = 6,
  PTR = 12,
  MX = 15,
  TXT = 16,
  AAAA = 28,
  SRV = 33,
  OPT = 41,
}

export enum DnsClass {
  IN = 1,
  NONE = 254,
  ANY = 255,
}

/** Words that `record` and `question` write: u32 at these byte offsets. Offsets are from the message's first byte. */
export enum DnsRr {
  Name = 0,
  Type = 4,
  Class = 8,
  Ttl = 12,
  Rdata = 16,
  RdLength = 20,
  Size = 24,
}

/**
 * A message that is being written: u32 at these byte offsets, then the offsets (u16) of the labels that a compression
 * pointer may name.
 *
 *     | message | capacity | at | labels | start | start labels | counts | u16 × 1024 |
 */
export enum DnsWriter {
  Message = 0,
  Capacity = 4,
  /** Bytes written so far. */
  At = 8,
  Labels = 12,
  /** Where the open record began, and how many labels were known then. */
  Start = 16,
  StartLabels = 20,
  /** Offset of the open record's RDLENGTH. */
  RdLength = 24,
  /** Offset of the header's count that the open record belongs to. */
  Count = 28,
  Table = 32,
  Size = 2080,
}
