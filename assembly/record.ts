// assembly/record.ts: the columnar record that `dissect` writes for a frame. Literal values only: TypeScript shares this file.

/** 64 bytes; the fields are u32 at these byte offsets. */
export enum Rec {
  /** Address of the frame's first byte in the core. */
  At = 0,
  /** Bytes captured, bytes on the wire. */
  CapLen = 4,
  Len = 8,
  /** Bits of `Layer`. */
  Layers = 12,
  /** Bytes from the frame's start to the network header and to the transport header. */
  Net = 16,
  Trans = 20,
  /**
   * How many bytes of each header there are to show, at most its length (options included). Where IPv4 options are
   * damaged, what is in front of the damage and the damaged option's type.
   */
  NetShown = 24,
  TransShown = 28,
  /** Payload of the transport: its offset in the frame, bytes captured, bytes on the wire. */
  Payload = 32,
  PayloadCap = 36,
  PayloadLen = 40,
  /** IPv4 addresses in host order; the destination is a source route's last, while the route is not used up. */
  Src = 44,
  Dst = 48,
  /** Source port << 16 | destination port. */
  Ports = 52,
  /** Total length of the IPv4 packet as taken: the field, or what is there where the field is 0. ARP: what is there. */
  NetLen = 56,
  /** EtherType behind all tags (or length of an 802.3 frame) << 16 | IPv4 protocol. */
  Type = 60,
  /** Length of a record. */
  Size = 64,
}

export enum Layer {
  Eth = 0x1,
  Vlan = 0x2,
  Arp = 0x4,
  Ip = 0x8,
  Icmp = 0x10,
  Udp = 0x20,
  Tcp = 0x40,
  /** The payload goes to a dissector that its ports name; whether it is a message only its bytes tell. */
  HttpPort = 0x80,
  DnsPort = 0x100,
  /** Stopped at the version: it is not 4. */
  NotIpv4 = 0x200,
  /** The last VLAN tag ends in front of its type. */
  CutTag = 0x400,
  /** The TCP segment's length is known (its header fits in the packet). */
  SegmentLen = 0x800,
  /** A first fragment. */
  Fragment = 0x1000,
  /** The destination is at the end of a source route that cannot be read. */
  NoDst = 0x2000,
  /** A TCP segment that resets: its payload belongs to no protocol. */
  Reset = 0x4000,
  /** Two bits each: `Status` of the header checksum and of the transport checksum. */
  NetStatus = 0x30000,
  TransStatus = 0xc0000,
  /** Number of VLAN tags, from bit 24 on. */
  Tags = 0x7f000000,
}

/** Wireshark's values of a checksum's status. */
export enum Status {
  Bad = 0,
  Good = 1,
  Unverified = 2,
  Absent = 3,
}

/** DLT_ numbers, https://www.tcpdump.org/linktypes.html */
export enum LinkType {
  Null = 0,
  Ethernet = 1,
  Raw12 = 12,
  Raw14 = 14,
  Raw = 101,
  Loop = 108,
  LinuxSll = 113,
  Ipv4 = 228,
  LinuxSll2 = 276,
}
