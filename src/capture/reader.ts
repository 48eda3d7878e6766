// src/capture/reader.ts: captures, pcap or pcapng, from chunks of any size.
//
//     const reader = new CaptureReader();
//     for await (const chunk of source) {
//       reader.push(chunk);
//       while (reader.next()) core.u8.set(reader.data(), slot);
//     }
//     reader.end();

import { Feed } from "./feed.ts";
import {
  CaptureError,
  type CaptureInterface,
  type CaptureName,
  type CaptureSecrets,
  type CaptureSection,
} from "./format.ts";
import { gunzipped } from "./gzip.ts";
import { FILE_HEADER_LEN, PcapParser, pcapOrder } from "./pcap.ts";
import { isPcapng, PcapngParser } from "./pcapng.ts";
import { CaptureRecord } from "./record.ts";

const compressed: readonly (readonly [name: string, magic: readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
];

/** Why these first bytes are no capture. */
function notACapture(head: Uint8Array): CaptureError {
  for (const [name, magic] of compressed) {
    if (magic.length <= head.length && magic.every((b, i) => head[i] === b)) {
      return new CaptureError(`${name}: decompress it first`, 0);
    }
  }
  const hex = Array.from(head, (b) => b.toString(16).padStart(2, "0")).join(" ");
  const text = Array.from(head, (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
  return new CaptureError(`not a capture: starts with ${hex} ('${text}'), expected pcap or pcapng`, 0);
}

/**
 * Reads a capture of either format. The current packet is in the fields that it inherits; `next` replaces it.
 * Held in memory: the chunk pushed last, and one record or block that crosses chunks (16 MiB at most).
 */
export class CaptureReader extends CaptureRecord {
  /** Null until enough bytes have come. */
  format: "pcap" | "pcapng" | null = null;

  private readonly feed = new Feed();
  private parser: PcapParser | PcapngParser | null = null;
  private pcapInterfaces: readonly CaptureInterface[] = [];
  private state: "open" | "ended" | "failed" = "open";

  /** All interfaces described so far; a record's `interfaceId` is an index into them. */
  get interfaces(): readonly CaptureInterface[] {
    return this.parser instanceof PcapngParser ? this.parser.interfaces : this.pcapInterfaces;
  }

  /**
   * For a reader of columns (columns.ts): where in the chunk the next record or block starts. -1 while that is only for
   * `next`: before the head of the file, across chunks, in a block that is skipped, in files of pcap before 2.4.
   */
  get head(): number {
    const { parser } = this;
    if (this.state !== "open" || parser === null) return -1;
    return (parser instanceof PcapngParser ? parser.between : parser.swappedLengths === "no") ? this.feed.head : -1;
  }

  /** Length of a pcap record's header; 0 for pcapng. */
  get headerLength(): number {
    return this.parser instanceof PcapParser ? this.parser.headerLength : 0;
  }

  /** Sections that have started, and the index into `interfaces` of the current one's first. */
  get sections(): number {
    return this.parser instanceof PcapngParser ? this.parser.sections : 0;
  }
  get firstInterface(): number {
    return this.parser instanceof PcapngParser ? this.parser.first : 0;
  }

  /** Leaves behind `records` records, `bytes` bytes together, that a reader of columns read from `head` on. */
  passed(bytes: number, records: number): void {
    this.feed.passed(bytes);
    this.number += records;
  }

  /** The current section of a pcapng file; null for pcap. */
  get section(): CaptureSection | null {
    return this.parser instanceof PcapngParser ? this.parser.section : null;
  }

  /** The Decryption Secrets Blocks met so far. */
  get secrets(): readonly CaptureSecrets[] {
    return this.parser instanceof PcapngParser ? this.parser.secrets : [];
  }

  /** The records of the Name Resolution Blocks met so far. */
  get names(): readonly CaptureName[] {
    return this.parser instanceof PcapngParser ? this.parser.names : [];
  }

  /** Blocks of unknown types, and secrets and names beyond what is kept (16 MiB). */
  get skippedBlocks(): number {
    return this.parser instanceof PcapngParser ? this.parser.skippedBlocks : 0;
  }

  /**
   * Gives the next bytes of the file. They are not copied: leave them alone until `next` has answered false,
   * and push no more before that. After damage, and after `end`, nothing is taken any more.
   */
  push(chunk: Uint8Array): void {
    if (this.state !== "open") return;
    if (this.feed.unread) throw new Error("push: unread packets are left, call next() until it answers false");
    this.feed.push(chunk);
  }

  /** Moves on to the next packet; false when more bytes are needed. The first damage throws CaptureError, once. */
  next(): boolean {
    if (this.state !== "open") return false;
    try {
      return this.parser === null ? this.open() && this.next() : this.parser.next(this.feed, this);
    } catch (e) {
      this.state = "failed";
      throw e;
    }
  }

  /** The file ends here. Throws CaptureError when it ends inside of something, unless damage was already thrown. */
  end(): void {
    if (this.state !== "open") return;
    if (this.feed.unread) throw new Error("end: unread packets are left, call next() until it answers false");
    this.state = "ended";
    const error = this.parser === null ? this.cutHead() : this.parser.cut(this.feed, this);
    if (error !== null) {
      this.state = "failed";
      throw error;
    }
  }

  /** Tells the format from the first bytes; false when there are too few. */
  private open(): boolean {
    const { feed } = this;
    if (!feed.need(4)) return false;
    const magic = feed.view.getUint32(feed.at, true);
    if (isPcapng(magic)) {
      this.parser = new PcapngParser();
      this.format = "pcapng";
      return true;
    }
    const order = pcapOrder(magic);
    if (order === null) throw notACapture(feed.bytes.subarray(feed.at, feed.at + 4));
    this.format = "pcap";
    if (!feed.need(FILE_HEADER_LEN)) return false;
    this.littleEndian = order === "little";
    const parser = new PcapParser(feed);
    this.parser = parser;
    this.pcapInterfaces = [parser.interface];
    this.interfaceId = 0;
    this.linkType = parser.interface.linkType;
    this.timed = true;
    return true;
  }

  private cutHead(): CaptureError {
    const { feed } = this;
    const left = feed.held;
    if (left === 0) return new CaptureError("empty file, expected pcap or pcapng", 0);
    feed.need(left);
    if (left < 4) return notACapture(feed.bytes.subarray(feed.at, feed.at + left));
    return new CaptureError(`a pcap file header has ${FILE_HEADER_LEN} bytes, ${left} left in the file`, 0);
  }
}

/**
 * Reads a capture from chunks, compressed with gzip or not. Yields the same reader once for each chunk; read it empty each time:
 *
 *     for await (const r of readCapture(source)) while (r.next()) use(r);
 *
 * A chunk may be reused by the source when the next one is asked for. Damage throws CaptureError, from `next` or, when
 * the file is cut short, from the iteration.
 */
export async function* readCapture(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<CaptureReader, void, undefined> {
  const reader = new CaptureReader();
  for await (const chunk of gunzipped(source)) {
    reader.push(chunk);
    yield reader;
  }
  reader.end();
}

/** A packet of its own: a copy of a record, for tests and for the edges. */
export interface CapturedPacket {
  readonly number: number;
  readonly interfaceId: number;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly timed: boolean;
  readonly capturedLength: number;
  readonly originalLength: number;
  readonly direction: number;
  readonly data: Uint8Array;
  readonly comments: readonly string[];
}

/** Copies the current record. */
export function copyPacket(r: CaptureRecord): CapturedPacket {
  return {
    number: r.number,
    interfaceId: r.interfaceId,
    linkType: r.linkType,
    seconds: r.seconds,
    nanoseconds: r.nanoseconds,
    timed: r.timed,
    capturedLength: r.capturedLength,
    originalLength: r.originalLength,
    direction: r.direction,
    data: r.data().slice(),
    comments: r.comments ?? [],
  };
}
