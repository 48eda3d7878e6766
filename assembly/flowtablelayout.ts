// assembly/flowtablelayout.ts: the flow table's records as both sides read them. Literal values only.

/** What the core knows of a device, 32 bytes; its Ethernet address stands first, so that this is also where that is. */
export enum FlowDev {
  Mac = 0,
  /** The flow table of its namespace; 0: what comes in here takes the long way. */
  Table = 8,
  Ifindex = 12,
}

/**
 * A namespace's table, 64 bytes. Where nobody tracks connections a flow has a slot, found by what its packets look like.
 * Where they are tracked each connection says what becomes of its packets (`Ct.Way`, `Ct.WayReply`): the ways, numbered
 * from `FIRST_WAY`, that many connections share.
 */
export enum FlowTable {
  /** Slots of 128 bytes, a power of two of them; 0 until the first flow is kept. */
  Slots = 0,
  Mask = 4,
  /** Moves with every change that a flow may depend on: slots of another generation are stale. */
  Generation = 8,
  /** The slot for the packet that was missed last, and its tag. */
  Missed = 12,
  MissedTag = 16,
  /** Not 0: packets were counted in slots since it was cleared. */
  Dirty = 20,
  /** Packets since the size was last looked at that missed in a slot that another flow has, or missed in before. */
  Crowded = 24,
  /** Two words for each slot, apart from them so that a miss reads little: `FlowTags`. */
  Tags = 28,
  /** Whose connections are tracked (`CtTable`), 0: nobody's. */
  Ct = 32,
  /** Ways of 128 bytes, laid out as slots are. */
  Ways = 36,
  /** The generation that what follows, and `Ct`, were found out for. */
  Ready = 40,
  /** What of the ports, and of `Flow.Info`, a flow depends on: nothing of ports and TCP's flags where no hook looks. */
  PortsMask = 44,
  InfoMask = 48,
}

/** A connection's number of a way: none, none but a packet came by, else that of a way. */
export const FIRST_WAY = 2;

/**
 * A flow: what its packets must look like, what becomes of them, and what was counted. 128 bytes:
 *
 *     0                    32                         56               76            92                 120
 *     | key, generation    | connection as it was     | new addresses  | way on      | counters         | last seen |
 *
 * A way has no addresses and ports in its key: those are the connection's.
 */
export enum Flow {
  /** The device that it comes in by (`FlowDev`), the table's own address for what is made here; 0: the slot is empty. */
  Dev = 0,
  Src = 4,
  Dst = 8,
  Ports = 12,
  /** TCP flags << 16 (in ways: 0) | TOS << 8 | protocol. */
  Info = 16,
  Mark = 20,
  Generation = 24,
  /** In a way: how its packets stand to their connection, and the status of that. */
  CtInfo = 32,
  CtStatus = 36,
  /** u16: `Ct.MasqIndex`. */
  CtMasq = 52,
  /** u16: bits of `FlowBit`. */
  Bits = 54,
  /** Twelve bytes: the Ethernet addresses to leave with. */
  Ether = 56,
  /** The source address that a bridge learned, six bytes. Of what is made here: the number of the route that it got. */
  Station = 68,
  Route = 68,
  /** Where the Ethernet address stands that the packet must have been sent to. */
  Own = 76,
  /** The largest packet that goes this way without being cut. */
  Mtu = 80,
  /** The device at the other end (`FlowDev`), 0 when that is none of ours. */
  Next = 84,
  /** What TypeScript does with the packet then: number of a device << 1, bit 0: up its own stack. */
  End = 88,
  /** Packets (u64), bytes of their IP packets, bytes of the frames that came in, when the last one came (f64, ns). */
  Packets = 92,
  Bytes = 100,
  RxBytes = 108,
  Last = 120,
}

/** A slot's tags: hashes with bit 0 set. */
export enum FlowTags {
  /** Of the flow that has it; 0: none. */
  Flow = 0,
  /** Of the packet that missed here last. */
  Missed = 4,
}

export enum FlowBit {
  /** NAT's destination hook and its source hook rewrite. */
  Destination = 1,
  Source = 2,
  /** Delivered here: TTL and Ethernet header stay. */
  Local = 4,
  /** `Station` must be its source. */
  Station = 8,
  /** The next host does not see the mark. */
  ClearMark = 16,
}
