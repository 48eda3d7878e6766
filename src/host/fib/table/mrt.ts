// src/host/fib/table/mrt.ts: routing tables in MRT dumps, RFC 6396: TABLE_DUMP_V2 and TABLE_DUMP, and RFC 8050's
// ADDPATH subtypes.

import { maskOf } from "../../../core/address.ts";
import { type Faults, TableError } from "./faults.ts";
import { Hops, plainHop } from "./hops.ts";
import type { TableBuilder } from "./table.ts";

//      0                   1                   2                   3
//     |                           Timestamp                           |
//     |             Type              |            Subtype            |
//     |                             Length                            |
//     |                      Message ... (Length octets)
const HEADER_LEN = 12;
/** Above what any record needs that a collector writes; a length beyond it means that this is no MRT header. */
const MAX_LENGTH = 1 << 24;

const TYPE_TABLE_DUMP = 12;
const TYPE_TABLE_DUMP_V2 = 13;

const typeTexts: Readonly<Record<number, string>> = {
  11: "OSPFv2",
  12: "TABLE_DUMP",
  13: "TABLE_DUMP_V2",
  16: "BGP4MP",
  17: "BGP4MP_ET",
  32: "ISIS",
  33: "ISIS_ET",
  48: "OSPFv3",
  49: "OSPFv3_ET",
};

const PEER_INDEX_TABLE = 1;
const RIB_IPV4_UNICAST = 2;
const RIB_IPV4_UNICAST_ADDPATH = 8;
const AFI_IPV4 = 1;

const subtypeTexts: Readonly<Record<number, string>> = {
  1: "PEER_INDEX_TABLE",
  2: "RIB_IPV4_UNICAST",
  3: "RIB_IPV4_MULTICAST",
  4: "RIB_IPV6_UNICAST",
  5: "RIB_IPV6_MULTICAST",
  6: "RIB_GENERIC",
  7: "GEO_PEER_TABLE",
  8: "RIB_IPV4_UNICAST_ADDPATH",
  9: "RIB_IPV4_MULTICAST_ADDPATH",
  10: "RIB_IPV6_UNICAST_ADDPATH",
  11: "RIB_IPV6_MULTICAST_ADDPATH",
  12: "RIB_GENERIC_ADDPATH",
};

// Path attributes, RFC 4271 section 5 and RFC 4760.
const ATTR_EXTENDED_LENGTH = 0x10;
const ORIGIN = 1;
const AS_PATH = 2;
const NEXT_HOP = 3;
const LOCAL_PREF = 5;
const MP_REACH_NLRI = 14;

const AS_SET = 1;
const AS_SEQUENCE = 2;

const DEFAULT_LOCAL_PREF = 100;
const MAX_PATH = 1023;
const MAX_ORIGIN = 3;

/** Whether a file that begins so may be an MRT dump: types are small numbers, and text has no byte 0. */
export function looksLikeMrt(head: Uint8Array): boolean {
  return head.length > 4 && head[4] === 0;
}

/** Reads records from chunks of any size. Of a prefix's paths the best by RFC 4271 section 9.1.2.2 a) and b) counts. */
export class MrtReader {
  private rest: Uint8Array = new Uint8Array(0);
  /** Offset of `rest` in the dump. */
  private base = 0;
  private peers = -1;
  private tables = 0;
  private records = 0;

  /** Nobody knows where the next record begins. */
  private lost = false;

  // the record that is read: `at` … `end` of these bytes, which begin at offset `origin` of the dump
  private bytes: Uint8Array = new Uint8Array(0);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private origin = 0;
  private at = 0;
  private end = 0;

  // what `attributes` found
  private hop = 0;
  private rank = 0;

  constructor(
    private readonly into: TableBuilder,
    private readonly faults: Faults,
  ) {}

  push(chunk: Uint8Array): void {
    if (this.lost) return;
    let bytes = chunk;
    if (this.rest.length > 0) {
      bytes = new Uint8Array(this.rest.length + chunk.length);
      bytes.set(this.rest);
      bytes.set(chunk, this.rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (bytes.length - at >= HEADER_LEN) {
      const length = view.getUint32(at + 8);
      if (length > MAX_LENGTH) {
        this.lost = true;
        this.rest = new Uint8Array(0);
        const message = `a record of ${length} bytes, expected at most ${MAX_LENGTH}: not an MRT header`;
        return this.faults.add(new TableError(`offset ${this.base + at + 8}`, message));
      }
      if (bytes.length - at < HEADER_LEN + length) break;
      this.bytes = bytes;
      this.view = view;
      this.origin = this.base;
      this.record(at, length);
      at += HEADER_LEN + length;
    }
    this.base += at;
    // the chunk may be used again by whoever gave it
    this.rest = bytes.slice(at);
  }

  finish(): void {
    const n = this.rest.length;
    if (n > 0) {
      const wanted =
        n < HEADER_LEN ? HEADER_LEN : HEADER_LEN + new DataView(this.rest.buffer, this.rest.byteOffset).getUint32(8);
      this.rest = new Uint8Array(0);
      this.faults.add(new TableError(`offset ${this.base}`, `the record is cut: ${n} of ${wanted} bytes are there`));
    }
    if (this.tables === 0 && this.records > 0) {
      const names = [...this.faults.passedOver].map(([what, count]) => `${count} ${what}`);
      this.faults.add(
        new TableError(
          "offset 0",
          `no IPv4 unicast table is in it${names.length > 0 ? `, but ${names.join(", ")}` : ""}`,
        ),
      );
    }
  }

  private record(start: number, length: number): void {
    this.records++;
    const type = this.view.getUint16(start + 4);
    const subtype = this.view.getUint16(start + 6);
    this.at = start + HEADER_LEN;
    this.end = this.at + length;
    try {
      if (type === TYPE_TABLE_DUMP && subtype === AFI_IPV4) this.tableDump();
      else if (type === TYPE_TABLE_DUMP_V2 && subtype === PEER_INDEX_TABLE) this.peerIndexTable();
      else if (type === TYPE_TABLE_DUMP_V2 && (subtype === RIB_IPV4_UNICAST || subtype === RIB_IPV4_UNICAST_ADDPATH)) {
        this.rib(subtype === RIB_IPV4_UNICAST_ADDPATH);
      } else if (type === TYPE_TABLE_DUMP_V2) {
        this.faults.passOver(`${subtypeTexts[subtype] ?? `TABLE_DUMP_V2 subtype ${subtype}`} records`);
        return;
      } else {
        const known = typeTexts[type];
        if (known === undefined)
          throw new TableError(`offset ${this.origin + start + 4}`, `type ${type} is none of MRT's (RFC 6396)`);
        this.faults.passOver(
          type === TYPE_TABLE_DUMP ? `TABLE_DUMP records of address family ${subtype}` : `${known} records`,
        );
        return;
      }
      this.tables++;
    } catch (e) {
      if (!(e instanceof TableError)) throw e;
      this.faults.add(e);
    }
  }

  private fault(message: string, at = this.at): TableError {
    return new TableError(`offset ${this.origin + at}`, message);
  }

  /** Takes `n` bytes of the record; answers where they begin. */
  private take(n: number, what: string, end = this.end): number {
    const from = this.at;
    if (end - from < n) throw this.fault(`${what} needs ${n} bytes, ${end - from} are left in the record`);
    this.at += n;
    return from;
  }

  /** RFC 6396 section 4.3.1. */
  private peerIndexTable(): void {
    this.take(4, "the collector's BGP ID");
    const name = this.view.getUint16(this.take(2, "the view name's length"));
    this.take(name, "the view name");
    const count = this.view.getUint16(this.take(2, "the peer count"));
    for (let i = 0; i < count; i++) {
      const type = this.bytes[this.take(1, `the type of peer ${i}`)]!;
      // bit 0: an IPv6 address; bit 1: a four-byte AS number
      this.take(4 + ((type & 1) === 0 ? 4 : 16) + ((type & 2) === 0 ? 2 : 4), `peer ${i}`);
    }
    this.nothingLeft("PEER_INDEX_TABLE");
    this.peers = count;
  }

  private nothingLeft(what: string): void {
    if (this.at !== this.end) throw this.fault(`${this.end - this.at} bytes behind the end of ${what}`);
  }

  /** RFC 6396 section 4.3.2, RFC 8050 section 4. */
  private rib(addPath: boolean): void {
    this.take(4, "the sequence number");
    const length = this.bytes[this.take(1, "the prefix length")]!;
    if (length > 32) throw this.fault(`prefix length ${length}, expected 0 to 32`, this.at - 1);
    const from = this.take((length + 7) >>> 3, "the prefix");
    let prefix = 0;
    for (let i = 0; i < 4; i++) prefix = prefix * 256 + (from + i < this.at ? this.bytes[from + i]! : 0);
    // what the bits behind the length are does not matter (section 4.3.2 cites RFC 4271's encoding)
    prefix = (prefix & maskOf(length)) >>> 0;
    const count = this.view.getUint16(this.take(2, "the entry count"));
    if (count === 0) this.faults.passOver("RIB records without an entry");
    if (this.peers < 0) this.faults.passOver("RIB records' peer indices before a PEER_INDEX_TABLE");
    let best = -1;
    let hop = 0;
    for (let i = 0; i < count; i++) {
      const peer = this.view.getUint16(this.take(2, `peer index of entry ${i}`));
      if (this.peers >= 0 && peer >= this.peers)
        throw this.fault(`peer index ${peer}, expected below ${this.peers}`, this.at - 2);
      this.take(addPath ? 8 : 4, `originated time of entry ${i}`);
      const bytes = this.view.getUint16(this.take(2, `attribute length of entry ${i}`));
      this.attributes(this.take(bytes, `attributes of entry ${i}`), this.at, true);
      if (best >= 0 && this.rank >= best) continue;
      best = this.rank;
      hop = this.hop;
    }
    this.nothingLeft("the RIB entries");
    if (best >= 0) this.into.add(prefix, length, hop, best);
  }

  /** RFC 6396 section 4.2: one path of a prefix. */
  private tableDump(): void {
    this.take(4, "view number and sequence number");
    const from = this.take(4, "the prefix");
    const length = this.bytes[this.take(1, "the prefix length")]!;
    if (length > 32) throw this.fault(`prefix length ${length}, expected 0 to 32`, this.at - 1);
    this.take(11, "status, originated time, peer");
    const bytes = this.view.getUint16(this.take(2, "the attribute length"));
    this.attributes(this.take(bytes, "the attributes"), this.at, false);
    this.nothingLeft("the record");
    this.into.add((this.view.getUint32(from) & maskOf(length)) >>> 0, length, this.hop, this.rank);
  }

  /**
   * The path attributes at `from` … `end`: next hop to `hop`, preference to `rank`, lower is better: the higher
   * LOCAL_PREF, then the shorter AS_PATH, then the lower ORIGIN.
   */
  private attributes(from: number, end: number, wide: boolean): void {
    const { bytes, view } = this;
    this.at = from;
    let nextHop = -1;
    let other: string | null = null;
    let preference = DEFAULT_LOCAL_PREF;
    let path = 0;
    let origin = 0;
    while (this.at < end) {
      const flags = bytes[this.take(2, "an attribute's head", end)]!;
      const code = bytes[this.at - 1]!;
      const extended = (flags & ATTR_EXTENDED_LENGTH) !== 0;
      const lengthAt = this.take(extended ? 2 : 1, `the length of attribute ${code}`, end);
      const length = extended ? view.getUint16(lengthAt) : bytes[lengthAt]!;
      const at = this.take(length, `attribute ${code}`, end);
      if (code === NEXT_HOP) nextHop = view.getUint32(this.fixed(at, length, 4, "NEXT_HOP"));
      else if (code === LOCAL_PREF) preference = view.getUint32(this.fixed(at, length, 4, "LOCAL_PREF"));
      else if (code === ORIGIN) origin = Math.min(bytes[this.fixed(at, length, 1, "ORIGIN")]!, MAX_ORIGIN);
      else if (code === AS_PATH) path = this.pathLength(at, at + length, wide ? 4 : 2);
      else if (code === MP_REACH_NLRI) other = this.otherNextHop(at, length);
    }
    this.rank = ((0xffffffff - preference) * (MAX_PATH + 1) + Math.min(path, MAX_PATH)) * (MAX_ORIGIN + 1) + origin;
    if (nextHop >= 0) this.hop = this.into.hops.ofAddress(nextHop);
    else if (other !== null) this.hop = this.into.hops.number(plainHop(other));
    else {
      this.hop = Hops.UNKNOWN;
      this.faults.passOver("paths' missing NEXT_HOP attributes");
    }
  }

  private fixed(at: number, length: number, wanted: number, what: string): number {
    if (length !== wanted) throw this.fault(`${what} of ${length} bytes, expected ${wanted}`, at);
    return at;
  }

  /** An AS_SET counts as one, confederation segments do not count (RFC 4271 section 9.1.2.2, RFC 5065). */
  private pathLength(at: number, end: number, width: number): number {
    let length = 0;
    while (at < end) {
      const count = at + 1 < end ? this.bytes[at + 1]! : 0;
      const next = at + 2 + count * width;
      if (next > end) throw this.fault("AS_PATH: a segment is longer than the attribute", at);
      const type = this.bytes[at]!;
      if (type === AS_SEQUENCE) length += count;
      else if (type === AS_SET) length++;
      at = next;
    }
    return length;
  }

  /**
   * The IPv6 next hop of an IPv4 route (RFC 8950). A dump holds the next hop's length and address alone (RFC 6396
   * section 4.3.4); some writers leave the AFI and SAFI, which begin with a byte 0, in front.
   */
  private otherNextHop(at: number, length: number): string | null {
    let from = at;
    if (length > 4 && this.bytes[at] === 0) from += 3;
    const size = length > from - at ? this.bytes[from]! : 0;
    if (from + 1 + size > at + length) throw this.fault("MP_REACH_NLRI: the next hop is longer than the attribute", at);
    if (size !== 16 && size !== 32) return null;
    const groups = Array.from({ length: 8 }, (_, i) => this.view.getUint16(from + 1 + 2 * i).toString(16));
    return compressed(groups);
  }
}

/** An IPv6 address with its longest run of zeros as `::` (RFC 5952 section 4.2). */
function compressed(groups: string[]): string {
  let best = 0;
  let from = 0;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === "0") n++;
    if (n > best) [best, from] = [n, i];
  }
  if (best < 2) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + best).join(":")}`;
}
