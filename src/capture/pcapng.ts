// src/capture/pcapng.ts: reading the pcapng format, draft-ietf-opsawg-pcapng.
//
//     | type 4 | length 4 | body ... | options ... | length 4 |      every block; both lengths tell the whole block
//
// A Section Header Block starts a section with a byte order and interfaces of its own.

import { interfaceOf, nameRecords, secretsOf, sectionOf, setTime, statisticsOf } from "./blocks.ts";
import type { Feed } from "./feed.ts";
import {
  type CaptureInterface,
  type CaptureName,
  type CaptureSecrets,
  type CaptureSection,
  CaptureError,
  MAX_BLOCK,
  MAX_CAPTURED,
} from "./format.ts";
import { badOption, Option, optionEnd } from "./options.ts";
import type { CaptureRecord } from "./record.ts";

/** Block types. */
export const Block = {
  Interface: 1,
  Packet: 2,
  SimplePacket: 3,
  NameResolution: 4,
  InterfaceStatistics: 5,
  EnhancedPacket: 6,
  DecryptionSecrets: 10,
  SectionHeader: 0x0a0d0d0a,
} as const;

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Options of an Enhanced Packet Block: direction and more, then those that only have a length here. */
export const EPB_FLAGS = 2;
const EPB_DROPCOUNT = 4;
const EPB_PACKETID = 5;
const EPB_QUEUE = 6;

/** Type and length in front, length behind. */
const BODY = 8;
const FRAMING = 12;
/** Interface, time (or interface and drops, time), captured and original length. */
const PACKET_FIXED = 20;
const SIMPLE_FIXED = 4;
/** What is kept of secrets and names, in bytes. */
const MAX_KEPT = 16_777_216;
/** More interfaces than any capture has: bounds what a hostile file makes the reader hold. */
const MAX_INTERFACES = 262_144;

/** Whether these four bytes, read in either order, start a pcapng file. */
export function isPcapng(magic: number): boolean {
  return magic === Block.SectionHeader;
}

/** The blocks that describe something; every other block that is no packet is skipped. */
const described: Readonly<Record<number, string>> = {
  [Block.Interface]: "interface description",
  [Block.NameResolution]: "name resolution",
  [Block.InterfaceStatistics]: "interface statistics",
  [Block.DecryptionSecrets]: "decryption secrets",
  [Block.SectionHeader]: "section header",
};

function isPacket(type: number): boolean {
  return type === Block.EnhancedPacket || type === Block.Packet || type === Block.SimplePacket;
}

/** Reads the blocks of one pcapng file. */
export class PcapngParser {
  readonly interfaces: CaptureInterface[] = [];
  readonly secrets: CaptureSecrets[] = [];
  readonly names: CaptureName[] = [];
  section: CaptureSection | null = null;
  skippedBlocks = 0;

  private littleEndian = true;
  /** Sections that have started. */
  sections = 0;
  /** The current section's first index into `interfaces`. */
  first = 0;
  private kept = 0;
  /** A block that is being skipped: where it starts, its length, and how much of its body is to come. */
  private skipAt = 0;
  private skipLength = 0;
  private skipLeft = 0;

  /** Whether the next bytes start a block: not while one is being skipped. */
  get between(): boolean {
    return this.skipLength === 0;
  }

  /** Puts the next packet into `r`; false when more bytes are needed. Damage throws CaptureError. */
  next(feed: Feed, r: CaptureRecord): boolean {
    for (;;) {
      if (this.skipLength > 0 && !this.skipOn(feed)) return false;
      if (!feed.need(BODY)) return false;
      const type = feed.view.getUint32(feed.at, this.littleEndian);
      if (type === Block.SectionHeader) {
        if (!feed.need(FRAMING)) return false;
        this.setOrder(feed);
      }
      const length = feed.view.getUint32(feed.at + 4, this.littleEndian);
      if (length < FRAMING || (length & 3) !== 0) {
        const rule = length < FRAMING ? `at least ${FRAMING}` : "a multiple of 4";
        throw this.damage(feed, r, type, `a length of ${length}, expected ${rule}`);
      }
      if (!isPacket(type) && described[type] === undefined) {
        this.skipAt = feed.offset;
        this.skipLength = length;
        feed.take(BODY);
        this.skipLeft = length - FRAMING;
        continue;
      }
      if (length > MAX_BLOCK) throw this.damage(feed, r, type, `a length of ${length}, at most ${MAX_BLOCK} expected`);
      if (!feed.need(length)) return false;
      const again = feed.view.getUint32(feed.at + length - 4, this.littleEndian);
      if (again !== length) throw this.damage(feed, r, type, `starts with length ${length}, ends with ${again}`);
      if (type === Block.EnhancedPacket || type === Block.Packet) {
        this.packet(feed, r, type, length);
        feed.take(length);
        return true;
      }
      if (type === Block.SimplePacket) {
        this.simplePacket(feed, r, length);
        feed.take(length);
        return true;
      }
      this.describe(feed, r, type, length);
      feed.take(length);
    }
  }

  /** What is wrong with a file that ends here, or null. */
  cut(feed: Feed, r: CaptureRecord): CaptureError | null {
    const left = feed.held;
    if (this.skipLength > 0) {
      const have = feed.offset + left - this.skipAt;
      return new CaptureError(
        `block at offset ${this.skipAt}: ${this.skipLength} bytes long, ${have} left in the file`,
        this.skipAt,
      );
    }
    if (left === 0) return null;
    if (left < BODY) {
      return new CaptureError(
        `block at offset ${feed.offset}: a block header has ${BODY} bytes, ${left} left in the file`,
        feed.offset,
      );
    }
    feed.need(BODY);
    const type = feed.view.getUint32(feed.at, this.littleEndian);
    const length = feed.view.getUint32(feed.at + 4, this.littleEndian);
    if (type === Block.SectionHeader && left < FRAMING) {
      return this.damage(feed, r, type, `no byte order yet, ${left} left in the file`);
    }
    return this.damage(feed, r, type, `${length} bytes long, ${left} left in the file`);
  }

  private damage(feed: Feed, r: CaptureRecord, type: number, text: string): CaptureError {
    const what = isPacket(type) ? `packet ${r.number + 1}` : (described[type] ?? `block of type ${type}`);
    return new CaptureError(`${what} at offset ${feed.offset}: ${text}`, feed.offset);
  }

  /** The byte-order magic of a section header, which also rules how its length is read. */
  private setOrder(feed: Feed): void {
    const magic = feed.view.getUint32(feed.at + BODY, true);
    if (magic === BYTE_ORDER_MAGIC) this.littleEndian = true;
    else if (magic === 0x4d3c2b1a) this.littleEndian = false;
    else {
      const hex = feed.view
        .getUint32(feed.at + BODY, false)
        .toString(16)
        .padStart(8, "0");
      throw new CaptureError(
        `section header at offset ${feed.offset}: byte-order magic ${hex}, expected 1a2b3c4d or 4d3c2b1a`,
        feed.offset,
      );
    }
  }

  /** Goes on with a block that is skipped; false when more bytes are needed. */
  private skipOn(feed: Feed): boolean {
    this.skipLeft = feed.skip(this.skipLeft);
    if (this.skipLeft > 0 || !feed.need(4)) return false;
    const again = feed.view.getUint32(feed.at, this.littleEndian);
    if (again !== this.skipLength) {
      throw new CaptureError(
        `block at offset ${this.skipAt}: starts with length ${this.skipLength}, ends with ${again}`,
        this.skipAt,
      );
    }
    feed.take(4);
    this.skipLength = 0;
    this.skippedBlocks++;
    return true;
  }

  /** Enhanced Packet Block, and the obsolete Packet Block, whose interface has 16 bits beside a count of drops. */
  private packet(feed: Feed, r: CaptureRecord, type: number, length: number): void {
    const le = this.littleEndian;
    const { view, at } = feed;
    const room = length - FRAMING - PACKET_FIXED;
    if (room < 0) throw this.damage(feed, r, type, `a block of ${length} bytes, expected ${FRAMING + PACKET_FIXED}`);
    const index = type === Block.Packet ? view.getUint16(at + BODY, le) : view.getUint32(at + BODY, le);
    const i = this.interfaceAt(feed, r, type, index);
    const captured = this.capturedOf(feed, r, type, view.getUint32(at + 20, le), room);
    setTime(r, i, view.getUint32(at + 12, le), view.getUint32(at + 16, le));
    r.timed = true;
    r.originalLength = view.getUint32(at + 24, le);
    this.fill(feed, r, i, at + BODY + PACKET_FIXED, captured);
    const options = at + BODY + PACKET_FIXED + ((captured + 3) & ~3);
    const end = at + length - 4;
    if (options < end) this.packetOptions(feed, r, options, end);
  }

  /** Simple Packet Block: the section's first interface, no time, and a length that only the snap length cuts. */
  private simplePacket(feed: Feed, r: CaptureRecord, length: number): void {
    const room = length - FRAMING - SIMPLE_FIXED;
    if (room < 0) {
      throw this.damage(feed, r, Block.SimplePacket, `a block of ${length} bytes, expected ${FRAMING + SIMPLE_FIXED}`);
    }
    const i = this.interfaceAt(feed, r, Block.SimplePacket, 0);
    const original = feed.view.getUint32(feed.at + BODY, this.littleEndian);
    const cut = i.snapLength > 0 && i.snapLength < original ? i.snapLength : original;
    const captured = this.capturedOf(feed, r, Block.SimplePacket, cut, room);
    r.seconds = 0;
    r.nanoseconds = 0;
    r.timed = false;
    r.originalLength = original;
    this.fill(feed, r, i, feed.at + BODY + SIMPLE_FIXED, captured);
  }

  private interfaceAt(feed: Feed, r: CaptureRecord, type: number, index: number): CaptureInterface {
    const i = this.interfaces[this.first + index];
    if (i === undefined) {
      const known = this.interfaces.length - this.first;
      throw this.damage(feed, r, type, `interface ${index}, the section describes ${known}`);
    }
    return i;
  }

  private capturedOf(feed: Feed, r: CaptureRecord, type: number, captured: number, room: number): number {
    if (captured > MAX_CAPTURED) {
      throw this.damage(feed, r, type, `${captured} bytes captured, at most ${MAX_CAPTURED} expected`);
    }
    if (captured > room) throw this.damage(feed, r, type, `${captured} bytes captured, ${room} left in the block`);
    return captured;
  }

  private fill(feed: Feed, r: CaptureRecord, i: CaptureInterface, offset: number, captured: number): void {
    r.number++;
    r.fileOffset = feed.offset;
    r.interfaceId = i.id;
    r.linkType = i.linkType;
    r.capturedLength = captured;
    r.buffer = feed.bytes;
    r.offset = offset;
    r.flags = 0;
    r.direction = 0;
    r.optionsAt = 0;
    r.optionsEnd = 0;
    r.littleEndian = this.littleEndian;
  }

  /** Checks the options, reads the flags, and leaves the comments to whoever asks for them. */
  private packetOptions(feed: Feed, r: CaptureRecord, from: number, end: number): void {
    const le = this.littleEndian;
    const { view } = feed;
    for (let at = from; at + 4 <= end;) {
      const code = view.getUint16(at, le);
      if (code === Option.End) return;
      const length = view.getUint16(at + 2, le);
      const left = end - at - 4;
      if (length > left) throw this.badPacketOption(feed, r, code, length, `${left} left in the block`);
      switch (code) {
        case Option.Comment:
          r.optionsAt = from;
          r.optionsEnd = end;
          break;
        case EPB_FLAGS:
          if (length !== 4) throw this.badPacketOption(feed, r, code, length, "expected 4");
          r.flags = view.getUint32(at + 4, le);
          // 3 is reserved
          r.direction = (r.flags & 3) === 3 ? 0 : r.flags & 3;
          break;
        case EPB_DROPCOUNT:
        case EPB_PACKETID:
          if (length !== 8) throw this.badPacketOption(feed, r, code, length, "expected 8");
          break;
        case EPB_QUEUE:
          if (length !== 4) throw this.badPacketOption(feed, r, code, length, "expected 4");
          break;
      }
      at = optionEnd(at, length);
    }
  }

  /** The packet has its number already, and is taken back. */
  private badPacketOption(feed: Feed, r: CaptureRecord, code: number, length: number, expected: string): CaptureError {
    return badOption(`packet ${r.number--}`, feed.offset, code, length, expected);
  }

  /** A block that describes something. */
  private describe(feed: Feed, r: CaptureRecord, type: number, length: number): void {
    const b = {
      bytes: feed.bytes,
      view: feed.view,
      at: feed.at,
      end: feed.at + length - 4,
      littleEndian: this.littleEndian,
      offset: feed.offset,
    };
    switch (type) {
      case Block.SectionHeader:
        this.section = sectionOf(b);
        this.first = this.interfaces.length;
        this.sections++;
        break;
      case Block.Interface: {
        const id = this.interfaces.length;
        if (id === MAX_INTERFACES) throw this.damage(feed, r, type, `more than ${MAX_INTERFACES} interfaces`);
        this.interfaces.push(interfaceOf(b, id, this.sections - 1, id - this.first));
        break;
      }
      case Block.InterfaceStatistics:
        statisticsOf(b, this.interfaces, this.first);
        break;
      case Block.DecryptionSecrets:
        if (this.keep(length)) this.secrets.push(secretsOf(b));
        break;
      default:
        // a short name takes some eight times its bytes in memory
        if (this.keep(length * 8)) for (const name of nameRecords(b)) this.names.push(name);
    }
  }

  /** False, and the block counted as skipped, when that much more is too much. */
  private keep(cost: number): boolean {
    if (this.kept + cost > MAX_KEPT) {
      this.skippedBlocks++;
      return false;
    }
    this.kept += cost;
    return true;
  }
}
