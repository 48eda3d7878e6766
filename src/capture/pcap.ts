// src/capture/pcap.ts: reading the pcap format, draft-ietf-opsawg-pcap.
//
//     | magic 4 | major 2 | minor 2 | 4 | 4 | snaplen 4 | f and link type 4 |      the file, once
//     | seconds 4 | fraction 4 | captured 4 | original 4 | bytes ... |             each packet
//
// The magic number tells the byte order of all fields and the unit of `fraction`.

import { type CaptureInterface, CaptureError, MAX_CAPTURED } from "./format.ts";
import type { Feed } from "./feed.ts";
import type { CaptureRecord } from "./record.ts";

export const FILE_HEADER_LEN = 24;
export const RECORD_HEADER_LEN = 16;
/** Microseconds, and nanoseconds. */
export const MAGIC_MICRO = 0xa1b2c3d4;
export const MAGIC_NANO = 0xa1b23c4d;
/** Kuznetzov's variant, which libpcap reads: eight bytes more in each record's header. */
export const MAGIC_PATCHED = 0xa1b2cd34;

const MAJOR = 4;
const MINOR = 6;
const SNAPLEN = 16;
const NETWORK = 20;

const SECONDS = 0;
const FRACTION = 4;
const CAPTURED = 8;
const ORIGINAL = 12;

/** Whether these four bytes, read little-endian, start a pcap file: its byte order, or null. */
export function pcapOrder(magic: number): "little" | "big" | null {
  if (magic === MAGIC_MICRO || magic === MAGIC_NANO || magic === MAGIC_PATCHED) return "little";
  if (magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1 || magic === 0x34cdb2a1) return "big";
  return null;
}

/** Reads the records of one pcap file. */
export class PcapParser {
  readonly interface: CaptureInterface;
  private readonly littleEndian: boolean;
  readonly headerLength: number;
  private readonly units: number;
  private readonly nanosecondsPerUnit: number;
  /** Whether the two lengths of a record stand the other way round: `maybe` is found out record by record. */
  readonly swappedLengths: "no" | "yes" | "maybe";

  /** `feed` holds the whole file header; it is taken. */
  constructor(feed: Feed) {
    const { view, at } = feed;
    const le = view.getUint32(at, true);
    this.littleEndian = pcapOrder(le) === "little";
    const magic = view.getUint32(at, this.littleEndian);
    const major = view.getUint16(at + MAJOR, this.littleEndian);
    const minor = view.getUint16(at + MINOR, this.littleEndian);
    if (major !== 2) throw new CaptureError(`pcap version ${major}.${minor} at offset 4, expected 2.x`, 4);
    // before 2.3 the two lengths stood the other way round, and 2.3 had writers of both kinds
    this.swappedLengths = minor < 3 ? "yes" : minor === 3 ? "maybe" : "no";
    this.headerLength = magic === MAGIC_PATCHED ? RECORD_HEADER_LEN + 8 : RECORD_HEADER_LEN;
    this.units = magic === MAGIC_NANO ? 1e9 : 1e6;
    this.nanosecondsPerUnit = 1e9 / this.units;
    // bits 0-15 link type, 26 "the length of the FCS is known", 28-31 that length in 16-bit words
    const network = view.getUint32(at + NETWORK, this.littleEndian);
    this.interface = {
      id: 0,
      section: 0,
      index: 0,
      linkType: network & 0xffff,
      snapLength: view.getUint32(at + SNAPLEN, this.littleEndian),
      unitsPerSecond: this.units,
      timeOffset: 0,
      fcsLength: (network & 0x0400_0000) === 0 ? 0 : (network >>> 28) * 2,
      comments: [],
    };
    feed.take(FILE_HEADER_LEN);
  }

  /** Puts the next packet into `r`; false when more bytes are needed. Damage throws CaptureError. */
  next(feed: Feed, r: CaptureRecord): boolean {
    const header = this.headerLength;
    if (!feed.need(header)) return false;
    const le = this.littleEndian;
    const swapped = this.swapped(feed);
    const captured = feed.view.getUint32(feed.at + (swapped ? ORIGINAL : CAPTURED), le);
    if (captured > MAX_CAPTURED) {
      throw new CaptureError(
        `packet ${r.number + 1} at offset ${feed.offset}: ${captured} bytes captured, at most ${MAX_CAPTURED} expected`,
        feed.offset,
      );
    }
    const length = header + captured;
    if (!feed.need(length)) return false;
    const { view, at } = feed;
    let seconds = view.getUint32(at + SECONDS, le);
    let fraction = view.getUint32(at + FRACTION, le);
    if (fraction >= this.units) {
      seconds += Math.floor(fraction / this.units);
      fraction %= this.units;
    }
    r.number++;
    r.fileOffset = feed.offset;
    r.seconds = seconds;
    r.nanoseconds = fraction * this.nanosecondsPerUnit;
    r.capturedLength = captured;
    r.originalLength = view.getUint32(at + (swapped ? CAPTURED : ORIGINAL), le);
    r.buffer = feed.bytes;
    r.offset = at + header;
    feed.take(length);
    return true;
  }

  /** What is wrong with a file that ends here, or null. */
  cut(feed: Feed, r: CaptureRecord): CaptureError | null {
    const left = feed.held;
    if (left === 0) return null;
    const where = `packet ${r.number + 1} at offset ${feed.offset}`;
    const header = this.headerLength;
    if (left < header) {
      return new CaptureError(`${where}: a record header has ${header} bytes, ${left} left in the file`, feed.offset);
    }
    feed.need(header);
    const captured = feed.view.getUint32(feed.at + (this.swapped(feed) ? ORIGINAL : CAPTURED), this.littleEndian);
    return new CaptureError(`${where}: ${captured} bytes captured, ${left - header} left in the file`, feed.offset);
  }

  /** Whether the header at hand has its two lengths the other way round. */
  private swapped(feed: Feed): boolean {
    if (this.swappedLengths === "no") return false;
    const le = this.littleEndian;
    return (
      this.swappedLengths === "yes" ||
      feed.view.getUint32(feed.at + CAPTURED, le) > feed.view.getUint32(feed.at + ORIGINAL, le)
    );
  }
}
