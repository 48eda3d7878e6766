// assembly/conntracklayout.ts: connection tracking's records as both sides read them. Literal values only.

/**
 * An entry (Linux's nf_conn): 128 bytes, the fields at these byte offsets.
 *
 *     0       8                  20                 32               68                        108        128
 *     | links | original tuple   | reply tuple      | state, timeout | TCP: two windows of 20  | last seen |
 *
 * A link is an entry's address with the direction of the tuple in bit 0. Addresses are numbers in host order; ports
 * are one word, source << 16 | destination; ICMP has its id << 16 | type << 8 | code there.
 */
export enum Ct {
  /** Next in the hash chain of the original tuple, and of the reply tuple. */
  Next = 0,
  NextReply = 4,
  /** The status that a dead entry died with, while its end waits to be told (the chain needs the word no more). */
  StatusAtDeath = 4,
  Src = 8,
  Dst = 12,
  Ports = 16,
  ReplySrc = 20,
  ReplyDst = 24,
  ReplyPorts = 28,
  /** u8 */
  Proto = 32,
  /** u8, `TcpState` */
  State = 33,
  /** u16 */
  Zone = 34,
  /** Bits of `CtStatus`. */
  Status = 36,
  /** Jiffies (4 ms): relative until confirmed, absolute after. */
  Timeout = 40,
  /** connmark */
  Mark = 44,
  /** References: one of the table, one of each packet. */
  Use = 48,
  Table = 52,
  /** Next in the chain of sources that NAT looks for an earlier mapping in. */
  NextSource = 56,
  /** u16: ifindex of the device that masquerading took the address of. */
  MasqIndex = 60,
  /** u16: bits of `CtEvent` not told yet. */
  Events = 62,
  /** Counters (32 bytes: packets and bytes of both directions, u64), 0 while accounting is off. */
  Acct = 64,
  /** UDP: jiffies from which on it is a stream. TCP: the original direction's window starts here. */
  StreamTs = 68,
  Window = 68,
  /** u16 each, in what the two windows leave free: the flow table's way for the packets of a direction, 20 bytes apart. */
  Way = 86,
  WayReply = 106,
  LastSeq = 108,
  LastAck = 112,
  LastEnd = 116,
  /** u16 */
  LastWin = 120,
  /** u8 each from here */
  LastScale = 122,
  LastFlags = 123,
  LastDir = 124,
  LastIndex = 125,
  Retrans = 126,
}

/** One direction's window (ip_ct_tcp_state), 20 bytes from `Ct.Window + 20 * direction`. */
export enum CtWindow {
  End = 0,
  MaxEnd = 4,
  MaxWin = 8,
  MaxAck = 12,
  /** u8 each */
  Scale = 16,
  Flags = 17,
}

/** enum ip_conntrack_info: how a packet stands to its entry. Without an entry 0 is invalid (or not seen yet). */
export enum CtInfo {
  Established = 0,
  Related = 1,
  New = 2,
  EstablishedReply = 3,
  RelatedReply = 4,
  Untracked = 7,
}

/** enum ip_conntrack_status */
export enum CtStatus {
  Expected = 1,
  SeenReply = 2,
  Assured = 4,
  Confirmed = 8,
  SrcNat = 16,
  DstNat = 32,
  SeqAdjust = 64,
  SrcNatDone = 128,
  DstNatDone = 256,
  Dying = 512,
  FixedTimeout = 1024,
  NatClash = 4096,
}

/** enum tcp_conntrack; the last four are answers of the table and places of timeouts, never states. */
export enum TcpState {
  None = 0,
  SynSent = 1,
  SynRecv = 2,
  Established = 3,
  FinWait = 4,
  CloseWait = 5,
  LastAck = 6,
  TimeWait = 7,
  Close = 8,
  SynSent2 = 9,
  Invalid = 10,
  Ignore = 11,
  Retrans = 12,
  Unack = 13,
}

/** What happened to an entry since its events were last told (enum ip_conntrack_events, as bits). */
export enum CtEvent {
  New = 1,
  Related = 2,
  Destroy = 4,
  Reply = 8,
  Assured = 16,
  ProtoInfo = 32,
  Mark = 256,
}

/** A table: one for each namespace, 256 bytes. Settings are u32 that TypeScript writes; times are jiffies. */
export enum CtTable {
  Buckets = 0,
  Mask = 4,
  /** While it grows: the smaller array, and how many of its chains have moved. */
  Old = 8,
  OldMask = 12,
  Moved = 16,
  /** Entries that exist, unconfirmed ones too; tuples in the chains. */
  Count = 20,
  Tuples = 24,
  Max = 28,
  Seed = 32,
  Checksum = 36,
  TcpLoose = 40,
  TcpLiberal = 44,
  TcpIgnoreRst = 48,
  TcpMaxRetrans = 52,
  Acct = 56,
  /** Not 0: somebody listens, so that dying entries wait in `Dead` until they were told. */
  Events = 60,
  /** 14 words by `TcpState` */
  TcpTimeouts = 64,
  UdpTimeout = 120,
  UdpStream = 124,
  IcmpTimeout = 128,
  GenericTimeout = 132,
  GreTimeout = 136,
  GreStream = 140,
  Chance = 144,
  Cursor = 148,
  Dead = 152,
  DeadTail = 156,
  /** Counters, as `conntrack -S` names them. */
  Found = 160,
  InvalidCount = 164,
  Insert = 168,
  InsertFailed = 172,
  DropCount = 176,
  EarlyDrop = 180,
  Error = 184,
  ClashResolve = 188,
}

/** What nat's hook must do next. */
export enum NatStep {
  /** No entry: NAT does not concern itself with the packet. */
  Skip = 0,
  /** The packet is done, rewritten if need be. */
  Done = 1,
  /** The packet must go. */
  Drop = 2,
  /** The rules are asked; then `natNull` if they did not bind, then `natPacket`. */
  Rules = 3,
}

/** Bits of a NAT range (enum nf_nat range flags). */
export enum RangeFlag {
  MapIps = 1,
  ProtoSpecified = 2,
  ProtoRandom = 4,
  Persistent = 8,
  ProtoRandomFully = 16,
  ProtoOffset = 32,
  Netmap = 64,
}

/** enum nf_nat_manip_type */
export enum Manip {
  Src = 0,
  Dst = 1,
}
