// src/capture/columns.ts: a capture to columns: the records of many frames at a time, written by the core.
//
//     const columns = new ColumnReader(core);
//     for (let n = read(columns.chunk); n > 0; n = read(columns.chunk)) {
//       columns.push(n);
//       while (columns.next()) use(core.u32, columns.records, columns.count);
//     }
//     columns.end();
//
// The core walks over the records that lie whole in the chunk (assembly/walk.ts). What it does not take (a record across two
// chunks, blocks that describe something, packets with comments, damage) goes through `CaptureReader`, a batch of one.

import { CaptureFormat, Column, ColumnFlag, Walk, WalkInterface } from "../../assembly/walklayout.ts";
import type { Core } from "../core/core.ts";
import { type CaptureInterface, MAX_CAPTURED } from "./format.ts";
import { CaptureReader } from "./reader.ts";

/** The best size in measurements: larger gains nothing, smaller costs system calls. */
const CHUNK = 256 * 1024;
/** Records of a batch: they stay in the processor's cache until they are read. */
const BATCH = 1024;
/** Interfaces of a section that the core knows; packets of further ones are read one by one. */
const MOST_INTERFACES = 1024;

/** Units of time that the core divides by; others are as exact one by one. */
function unitsOf(i: CaptureInterface): number {
  const units = i.unitsPerSecond;
  return units >= 1e6 && units <= 1e9 && 1e9 % units === 0 ? units : 0;
}

/** Reads one capture, pcap or pcapng. Memory of the core: a chunk, a batch and a record; `free` gives it back. */
export class ColumnReader {
  readonly core: Core;
  /** What is known of the file: its interfaces, sections, and for a batch of one its comments. */
  readonly reader = new CaptureReader();
  /** In the core: fill it from its start, then `push`. */
  readonly chunk: Uint8Array;
  /** Address of the batch: `count` entries of `Column.Size` bytes, good until the next `next`. */
  readonly records: number;
  count = 0;
  /** Number of the batch's first frame in the file, from 1. */
  first = 1;

  private readonly chunkAt: number;
  private readonly strayAt: number;
  private readonly walk: number;
  private readonly interfaces: number;
  private readonly batch: number;
  /** The batch is of the core's making. */
  private walked = false;
  private known = 0;
  private section = -1;

  /** `batch`: records at most. Throws when the core's memory is used up. */
  constructor(core: Core, batch = BATCH) {
    this.core = core;
    this.batch = batch;
    const alloc = (size: number): number => {
      const at = core.x.alloc(size) >>> 0;
      if (at === 0) throw new Error("columns: the core's memory is used up");
      return at;
    };
    this.chunkAt = alloc(CHUNK);
    this.chunk = core.u8.subarray(this.chunkAt, this.chunkAt + CHUNK);
    this.strayAt = alloc(MAX_CAPTURED);
    this.records = alloc(batch * Column.Size);
    this.walk = alloc(Walk.Size);
    this.interfaces = alloc(MOST_INTERFACES * WalkInterface.Size);
    this.set(Walk.Interfaces, this.interfaces);
    this.set(Walk.Records, this.records);
    this.set(Walk.Limit, batch);
  }

  /** Gives the memory back; nothing of the reader may be used after that. */
  free(): void {
    const { x } = this.core;
    x.release(this.chunkAt, CHUNK);
    x.release(this.strayAt, MAX_CAPTURED);
    x.release(this.records, this.batch * Column.Size);
    x.release(this.walk, Walk.Size);
    x.release(this.interfaces, MOST_INTERFACES * WalkInterface.Size);
  }

  /** The first `n` bytes of `chunk` are the next of the file. Before that, `next` must have answered false. */
  push(n: number): void {
    this.set(Walk.End, this.chunkAt + n);
    this.reader.push(this.chunk.subarray(0, n));
  }

  /** Makes the next batch; false when more bytes are needed. Damage throws CaptureError, after all frames before it. */
  next(): boolean {
    const { reader } = this;
    const head = reader.head;
    if (head >= 0) {
      const count = this.walkFrom(head);
      if (count > 0) {
        this.walked = true;
        return true;
      }
    }
    this.walked = false;
    this.count = 0;
    if (!reader.next()) return false;
    this.single();
    return true;
  }

  /** The file ends here. Throws CaptureError when it ends inside of something. */
  end(): void {
    this.reader.end();
  }

  /** The interface of an entry of the batch: an index into `reader.interfaces`. */
  interfaceOf(entry: number): number {
    return this.core.u32[(entry + Column.Interface) >>> 2]! & ColumnFlag.Interface;
  }

  /** The comments of the batch's frame: a packet that has some is a batch of its own. Null when it has none. */
  get comments(): readonly string[] | null {
    return this.walked ? null : this.reader.comments;
  }

  /** Whole seconds since 1970 of an entry of the batch. */
  secondsOf(entry: number): number {
    return this.core.view.getFloat64(entry + Column.Seconds, true);
  }

  private set(field: Walk, value: number): void {
    this.core.u32[(this.walk + field) >>> 2] = value;
  }

  private walkFrom(head: number): number {
    const { reader, core } = this;
    if (reader.sections !== this.section || reader.interfaces.length !== this.known) this.describe();
    const at = this.chunkAt + head;
    this.set(Walk.At, at);
    const count = core.x.walk(this.walk) >>> 0;
    if (count > 0) {
      this.first = reader.number + 1;
      this.count = count;
      reader.passed(core.u32[(this.walk + Walk.At) >>> 2]! - at, count);
    }
    return count;
  }

  /** Tells the core what the file has said of itself so far. */
  private describe(): void {
    const { reader, core } = this;
    const pcapng = reader.format === "pcapng";
    const { interfaces, firstInterface } = reader;
    const count = Math.min(interfaces.length - firstInterface, MOST_INTERFACES);
    // of the section's interfaces, only the new ones: a file may describe one after the other
    const from = reader.sections === this.section ? Math.min(this.known - firstInterface, count) : 0;
    for (let i = from; i < count; i++) {
      const { linkType, snapLength, timeOffset } = interfaces[firstInterface + i]!;
      const entry = this.interfaces + i * WalkInterface.Size;
      core.u32[(entry + WalkInterface.LinkType) >>> 2] = linkType;
      core.u32[(entry + WalkInterface.Units) >>> 2] = unitsOf(interfaces[firstInterface + i]!);
      core.u32[(entry + WalkInterface.SnapLen) >>> 2] = snapLength;
      core.view.setFloat64(entry + WalkInterface.Offset, timeOffset, true);
    }
    this.set(Walk.Format, pcapng ? CaptureFormat.Pcapng : CaptureFormat.Pcap);
    this.set(Walk.Swap, (reader.section?.littleEndian ?? reader.littleEndian) ? 0 : 1);
    this.set(Walk.HeaderLen, reader.headerLength);
    this.set(Walk.InterfaceCount, count);
    this.set(Walk.FirstInterface, firstInterface);
    this.section = reader.sections;
    this.known = interfaces.length;
  }

  /** The reader's current packet as a batch. */
  private single(): void {
    const { reader, core, records } = this;
    let at = this.strayAt;
    if (reader.buffer.buffer === core.u8.buffer) at = reader.buffer.byteOffset + reader.offset;
    else core.u8.set(reader.buffer.subarray(reader.offset, reader.offset + reader.capturedLength), at);
    core.x.dissect(at, reader.capturedLength, reader.originalLength, reader.linkType, records);
    core.view.setFloat64(records + Column.Seconds, reader.seconds, true);
    core.u32[(records + Column.Nanoseconds) >>> 2] = reader.nanoseconds;
    core.u32[(records + Column.Interface) >>> 2] =
      reader.interfaceId | (reader.direction << 24) | (reader.timed ? 0 : ColumnFlag.Untimed);
    this.first = reader.number;
    this.count = 1;
  }
}
