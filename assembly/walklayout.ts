// assembly/walklayout.ts: what `walk` (walk.ts) is told and what it writes. Literal values only: TypeScript shares this file.

/** A walk over the bytes of a capture: 64 bytes of u32 at these byte offsets. `walk` moves `At`; the rest is its caller's. */
export enum Walk {
  /** Address of the next record or block, and of the first byte behind those that have come. */
  At = 0,
  End = 4,
  /** `CaptureFormat`. */
  Format = 8,
  /** 1 when the file's fields are big-endian. */
  Swap = 12,
  /** Length of a record's header (pcap). */
  HeaderLen = 16,
  /** Table of `WalkInterface`, how many it has, and the number of the first of them in the file. */
  Interfaces = 20,
  InterfaceCount = 24,
  FirstInterface = 28,
  /** Where to write, and how many records at most. */
  Records = 32,
  Limit = 36,
  Size = 64,
}

export enum CaptureFormat {
  Pcap = 0,
  Pcapng = 1,
}

/** An interface of the capture's section. */
export enum WalkInterface {
  LinkType = 0,
  /** Units of time in a second, a divisor of 10^9 from 10^6 on; 0: its packets are not for `walk`. */
  Units = 4,
  /** Bytes kept of each packet; 0: no limit. */
  SnapLen = 8,
  /** f64: seconds added to every time. */
  Offset = 16,
  Size = 32,
}

/** A frame's columns: the record of `dissect` (record.ts), 64 bytes, and behind it what the capture says. */
export enum Column {
  /** f64: whole seconds since 1970. */
  Seconds = 64,
  Nanoseconds = 72,
  /** Number of the interface in the file, with bits of `ColumnFlag`. */
  Interface = 76,
  Size = 80,
}

export enum ColumnFlag {
  /** Bits of the interface's number. */
  Interface = 0xffffff,
  /** The way that the packet went, two bits: 1 in, 2 out. */
  Direction = 0x3000000,
  /** The capture has no time for the packet. */
  Untimed = 0x4000000,
}
