// assembly/drop.ts: why a packet went away. Shared with TypeScript, so literal values only, and only appended to.

/** The names follow Linux's `enum skb_drop_reason` (include/net/dropreason-core.h) where it has one. */
export enum Drop {
  None = 0,
  // bytes: what `check` of a protocol answers
  Truncated = 1,
  BadLength = 2,
  BadChecksum = 3,
  BadVersion = 4,
  BadHeaderLength = 5,
  BadOption = 6,
  BadName = 7,
  BadType = 8,
  // the machine
  NoBuffer = 20,
  QueueLimit = 21,
  // link and bridge
  LinkDown = 30,
  OtherHost = 31,
  UnknownProtocol = 32,
  BadSourceMac = 33,
  BridgeNoPort = 34,
  BridgePortState = 35,
  BridgeReserved = 36,
  BridgeVlan = 37,
  BridgeIsolated = 38,
  PacketTooBig = 39,
  LinkLoss = 40,
  // neighbours
  NeighFailed = 50,
  NeighQueueFull = 51,
  ArpIgnored = 52,
  // routing
  NoRoute = 60,
  Blackhole = 61,
  Unreachable = 62,
  Prohibit = 63,
  Martian = 64,
  MartianSource = 65,
  ReversePath = 66,
  ForwardingOff = 67,
  TtlExceeded = 68,
  FragNeeded = 69,
  SourceRoute = 70,
  UnicastInL2Multicast = 71,
  // fragments
  FragTimeout = 80,
  FragOverlap = 81,
  FragLimit = 82,
  FragDuplicate = 83,
  // netfilter
  Netfilter = 90,
  ConntrackInvalid = 91,
  ConntrackFull = 92,
  NatFailed = 93,
  NetfilterReject = 94,
  // delivery
  NoSocket = 100,
  NoProtocol = 101,
  SocketCounted = 102,
  IcmpIgnored = 103,
  TcpCsum = 104,
  UdpCsum = 105,
  IcmpCsum = 106,
  Consumed = 107,
  RateLimited = 108,
  SocketRcvbuff = 109,
}
