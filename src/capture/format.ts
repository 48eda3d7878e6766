// src/capture/format.ts: what pcap and pcapng share: link types, limits, and the error that ends a damaged file.
//
// pcap: draft-ietf-opsawg-pcap and pcap-savefile(5). pcapng: draft-ietf-opsawg-pcapng.

/** Link types (tcpdump.org/linktypes.html) that wirepath looks into. Records of any other type are readable as well. */
export const LinkType = {
  Null: 0,
  Ethernet: 1,
  RawBsd: 12,
  RawOpenBsd: 14,
  Raw: 101,
  Loop: 108,
  LinuxSll: 113,
  Ipv4: 228,
  Ipv6: 229,
  LinuxSll2: 276,
} as const;

/** The way that a packet went on its interface (epb_flags, bits 0 and 1). */
export const Direction = { Unknown: 0, In: 1, Out: 2 } as const;

/** The longest record that libpcap and wiretap accept for ordinary link types: more is damage, not a packet. */
export const MAX_CAPTURED = 262_144;

/** The longest pcapng block that is held in memory, as in wiretap. Unknown blocks are skipped, whatever their length. */
export const MAX_BLOCK = 16_777_216;

/** The first damage in a capture. Every packet before it has been given; nothing follows. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
  constructor(
    message: string,
    /** Where in the file the damaged record, block or header starts, in bytes. */
    readonly offset: number,
  ) {
    super(message);
  }
}

/** An interface of a capture. A pcap file has exactly one, without a name. */
export interface CaptureInterface {
  /** Its index in `CaptureReader.interfaces`: unique over all sections of the file. */
  readonly id: number;
  /** The section that describes it, from 0, and its index there. */
  readonly section: number;
  readonly index: number;
  readonly linkType: number;
  /** Bytes kept of each packet; 0 means no limit. */
  readonly snapLength: number;
  readonly name?: string;
  readonly description?: string;
  /** Six bytes. */
  readonly mac?: Uint8Array;
  /** Bits a second. */
  readonly speed?: number;
  /** Units of time in a second: 1e6, 1e9, 2**20 ... */
  readonly unitsPerSecond: number;
  /** Seconds added to every time. */
  readonly timeOffset: number;
  /** Bytes of frame check sequence at the end of every packet, 0 when not told. */
  readonly fcsLength: number;
  readonly comments: readonly string[];
  /** The last Interface Statistics Block about it. */
  statistics?: InterfaceStatistics;
}

/** Counters of an Interface Statistics Block; one that the file does not give is absent. Exact up to 2^53. */
export interface InterfaceStatistics {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly received?: number;
  readonly dropped?: number;
  readonly accepted?: number;
  readonly droppedBySystem?: number;
  readonly delivered?: number;
}

/** A Section Header Block. */
export interface CaptureSection {
  readonly littleEndian: boolean;
  readonly major: number;
  readonly minor: number;
  readonly hardware?: string;
  readonly os?: string;
  readonly application?: string;
  readonly comments: readonly string[];
}

/** Secrets type of a Decryption Secrets Block that holds a TLS key log (NSS format): "TLSK". */
export const TLS_KEY_LOG = 0x544c534b;

/** A Decryption Secrets Block. */
export interface CaptureSecrets {
  readonly type: number;
  readonly data: Uint8Array;
}

/** A record of a Name Resolution Block: four bytes of address for IPv4, sixteen for IPv6. */
export interface CaptureName {
  readonly address: Uint8Array;
  readonly names: readonly string[];
}

/** Whether a record of this link type starts with the IP header itself. */
export function isRawIp(linkType: number): boolean {
  return (
    linkType === LinkType.Raw ||
    linkType === LinkType.RawBsd ||
    linkType === LinkType.RawOpenBsd ||
    linkType === LinkType.Ipv4 ||
    linkType === LinkType.Ipv6
  );
}
