// assembly/layout.ts: the packet descriptor, as both sides read it. Literal values only: TypeScript shares this file.

/**
 * A handle is the address of a descriptor of 160 bytes; the fields are u32 at these byte offsets.
 *
 *     head                 data                       data+len       end
 *     | headroom ≥ 128     | frame or packet          | tailroom     |
 */
export enum Pkt {
  /** Address of the first byte that the current layer sees. */
  Data = 0,
  /** Bytes from `Data` to the packet's last byte. */
  Len = 4,
  /** First address of the buffer, and one past its last. */
  Head = 8,
  End = 12,
  /** Addresses of the Ethernet, network and transport headers; 0 while unknown. */
  Mac = 16,
  Net = 20,
  Trans = 24,
  /** Links a list of packets (a queue, a chain of fragments); 0 ends it. */
  Next = 28,
  /** 0 small, 1 large buffer; `Class | FREE` while on the free list. */
  Class = 32,
  /** ifindex of the device that received it (Linux's skb_iif), 0 when made here. */
  In = 36,
  /** Linux's pkt_type, `PktType`. */
  Type = 40,
  /** EtherType behind all tags. */
  Protocol = 44,
  /** fwmark */
  Mark = 48,
  /** conntrack entry (its address in the core) and how this packet stands to it (`CtInfo`). */
  Ct = 52,
  CtInfo = 56,
  /** Bits of `PktFlag`. */
  Flags = 60,
  /** IPv4 options as compiled on receive: offsets from `Net` (0: none), and bits of `OptFlag`. */
  OptSrr = 64,
  OptRr = 68,
  OptTs = 72,
  OptFlags = 76,
  /** Largest fragment that reassembly saw (conntrack defragmentation keeps the geometry). */
  FragMax = 80,
  /** VLAN tag taken off on receive: 0x10000 | TPID… see `vlan`: (TPID << 16 | TCI), 0 when untagged. */
  Vlan = 84,
  /** Number of the trace story that this packet belongs to. */
  Story = 88,
  /** ifindex of the bridge port that it came by (br_netfilter), and the one that it leaves by. */
  PhysIn = 92,
  PhysOut = 96,
  /** skb->priority */
  Priority = 100,
  /**
   * Lengths of the data of the fragments that conntrack put together, so that they can leave as they came: the
   * address of a block of the arena {count, length...} as u32, 0 when there is none. Freed with the packet.
   */
  Geometry = 104,
  /** Next hop of a source route that was hit (opt->nexthop). */
  OptNexthop = 108,
  Spare2 = 112,
  Spare3 = 116,
  Spare4 = 120,
  Spare5 = 124,
  /**
   * What `ipKey` read last: source and destination in host order;
   * `KeyBit.Fragment` | IHL (words) << 24 | TOS << 16 | protocol << 8 | TTL.
   */
  KeySrc = 128,
  KeyDst = 132,
  KeyInfo = 136,
}

/** Beside the numbers in `Pkt.KeyInfo`. */
export enum KeyBit {
  Fragment = 0x10000000,
  /** Bits 24 to 27. */
  Words = 0x0f000000,
}

export enum PktType {
  Host = 0,
  Broadcast = 1,
  Multicast = 2,
  OtherHost = 3,
  Outgoing = 4,
  Loopback = 5,
}

export enum PktFlag {
  /** Came in by forwarding (IPSKB_FORWARDED). */
  Forwarded = 1,
  /** The router should tell the sender a better way (IPSKB_DOREDIRECT). */
  DoRedirect = 2,
  /** Reassembled from fragments (IPSKB_FRAG_COMPLETE). */
  FragComplete = 4,
  /** The transport checksum was found good. */
  CsumOk = 8,
  /** Made by this host. */
  Local = 16,
  /** Bridged frame inside the IP hooks (BRNF_BRIDGED_DNAT and such live in the bridge). */
  Bridged = 32,
  /** Sent back to where it came from: xmit through rx (hairpin after DNAT on a bridge). */
  BridgedDnat = 64,
  /** The datagram carried DF on any fragment (IPSKB_FRAG_PMTU). */
  FragPmtu = 128,
  /** A packet that a TEE or fan-out made. */
  Copy = 256,
  /** conntrack must not look at it (NOTRACK). */
  Untracked = 512,
  /** What its route is: for this host, to a broadcast, to a group (RTCF_LOCAL, RTCF_BROADCAST, RTCF_MULTICAST). */
  RtLocal = 1024,
  RtBroadcast = 2048,
  RtMulticast = 4096,
  /** Fragment it even if DF is set: conntrack put it together (skb->ignore_df). */
  IgnoreDf = 8192,
  /** Sent again after a route lookup of netfilter's (IPSKB_REROUTED): POSTROUTING saw it. */
  Rerouted = 16384,
  /** conntrack looked at it on the short way and found it out of place: it is invalid when the long way comes to that. */
  Refused = 32768,
}

export enum OptFlag {
  StrictRoute = 1,
  RouterAlert = 2,
  RrNeedAddr = 4,
  TsNeedAddr = 8,
  TsNeedTime = 16,
  SrrIsHit = 32,
  IsChanged = 64,
  /** A CIPSO option was met. */
  Cipso = 128,
}
