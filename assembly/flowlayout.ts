// assembly/flowlayout.ts: the table of flows and the counters of a capture. Literal values only: TypeScript shares this file.

/** A flow: 64 bytes. "Back" is what went from `Dst` to `Src`; the sender of the flow's first packet is `Src`. */
export enum FlowEntry {
  /** Addresses in host order, and source port << 16 | destination port (0 where `Proto` tells no ports). */
  Src = 0,
  Dst = 4,
  Ports = 8,
  /** IPv4 protocol, with `FLOW_PORTS` when the packets have ports; the TCP flags seen, from bit 16 and, back, from bit 24 on. */
  Proto = 12,
  /** Packets, each way; they stop at 2^32 - 1. */
  Packets = 16,
  PacketsBack = 20,
  /** f64: bytes on the wire, whole frames, each way. */
  Bytes = 24,
  BytesBack = 32,
  /** f64 and u32: least and greatest time, seconds and nanoseconds; seconds are NaN when no packet had a time. */
  FirstSeconds = 40,
  LastSeconds = 48,
  FirstNanoseconds = 56,
  LastNanoseconds = 60,
  Size = 64,
}

/** A table of flows: its flows stand in slabs in the order of their first packets. */
export enum FlowTable {
  /** Address of the slots, their number - 1. */
  Slots = 0,
  Mask = 4,
  /** Flows there are, flows at most. */
  Count = 8,
  Limit = 12,
  /** Address of the slabs' addresses. */
  Slabs = 16,
  /** Added to every hash, so that nobody can know which flows collide. */
  Seed = 20,
  /** f64: frames that belong to no flow (no whole IPv4 header), and to flows that had no room. */
  Outside = 24,
  Missed = 32,
  Size = 64,
}

/** Numbers that the rest is counted with. */
export enum FlowSize {
  /** Flows of a slab, as a power of two. */
  SlabShift = 12,
  /** Slots of a new table. */
  FirstSlots = 4096,
  /** Bit of `FlowEntry.Proto`. */
  HasPorts = 256,
  /** The key's bits of `FlowEntry.Proto`. */
  Key = 511,
}

/** Counters of a capture: f64 at these byte offsets, but for the nanoseconds. */
export enum Stats {
  Frames = 0,
  Captured = 8,
  /** Bytes on the wire. */
  Bytes = 16,
  /** Least and greatest time; seconds are NaN when no frame had a time. */
  FirstSeconds = 24,
  LastSeconds = 32,
  FirstNanoseconds = 40,
  LastNanoseconds = 44,
  /** Frames by length on the wire: below 20, below 40, 80 ... 5120, and longer: ten. */
  Sizes = 64,
  /** Frames by checksum: IPv4, ICMP, UDP, TCP, for each the four of `Status`. */
  Checksums = 144,
  /** Frames and bytes by layers: two for each value of the bits `Layer.Eth` to `Layer.Tcp`. */
  Chains = 272,
  /** Packets with no ICMP, UDP or TCP header behind their IPv4 header, by protocol. */
  Protocols = 2320,
  /** Ethernet frames without ARP and IPv4, by EtherType. */
  Types = 4368,
  Size = 528656,
}

export enum StatsSize {
  Sizes = 10,
  Chains = 128,
}
