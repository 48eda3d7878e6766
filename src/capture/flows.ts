// src/capture/flows.ts: packets grouped into flows: addresses, ports and protocol, both directions together.

import { FlowEntry, FlowSize, FlowTable } from "../../assembly/flowlayout.ts";
import type { Core } from "../core/core.ts";
import type { ColumnReader } from "./columns.ts";

/** Flows of a table unless told otherwise: with them it takes 200 MB of the core's memory. */
export const MOST_FLOWS = 1 << 21;

/** Flows copied into the core at a time when two tables are put together. */
const MERGED_AT_ONCE = 4096;

/** A flow's numbers, as `FlowEntry` says, in whatever memory they are. One object serves all flows of a table. */
export class Flow {
  private readonly view: DataView;
  at = 0;

  constructor(buffer: ArrayBufferLike) {
    this.view = new DataView(buffer);
  }

  u32(field: FlowEntry): number {
    return this.view.getUint32(this.at + field, true);
  }
  f64(field: FlowEntry): number {
    return this.view.getFloat64(this.at + field, true);
  }
  /** IPv4 protocol. */
  get protocol(): number {
    return this.u32(FlowEntry.Proto) & 0xff;
  }
  get hasPorts(): boolean {
    return (this.u32(FlowEntry.Proto) & FlowSize.HasPorts) !== 0;
  }
  get sourcePort(): number {
    return this.u32(FlowEntry.Ports) >>> 16;
  }
  get destinationPort(): number {
    return this.u32(FlowEntry.Ports) & 0xffff;
  }
  /** Eight bits, each way. */
  get tcpFlags(): number {
    return (this.u32(FlowEntry.Proto) >>> 16) & 0xff;
  }
  get tcpFlagsBack(): number {
    return this.u32(FlowEntry.Proto) >>> 24;
  }
  /** False when none of its packets had a time. */
  get timed(): boolean {
    return !Number.isNaN(this.f64(FlowEntry.FirstSeconds));
  }
  get bytes(): number {
    return this.f64(FlowEntry.Bytes) + this.f64(FlowEntry.BytesBack);
  }
  get packets(): number {
    return this.u32(FlowEntry.Packets) + this.u32(FlowEntry.PacketsBack);
  }
}

/** The flows of one capture or of several, in the order of their first packets. */
export class Flows {
  private readonly core: Core;
  private readonly table: number;

  /** `seed`: any number; the flows do not depend on it. Throws when the core's memory is used up. */
  constructor(core: Core, limit = MOST_FLOWS, seed = 0) {
    this.core = core;
    this.table = core.x.flowsNew(limit, seed) >>> 0;
    if (this.table === 0) throw new Error("flows: the core's memory is used up");
  }

  /** Counts the first `count` frames of a batch. */
  add(columns: ColumnReader, count = columns.count): void {
    this.core.x.flowsAdd(this.table, columns.records, count);
  }

  get count(): number {
    return this.core.u32[(this.table + FlowTable.Count) >>> 2]!;
  }
  /** Frames that belong to no flow: no IPv4 header that is whole. */
  get outside(): number {
    return this.core.view.getFloat64(this.table + FlowTable.Outside, true);
  }
  /** Packets of flows that had no room. */
  get missed(): number {
    return this.core.view.getFloat64(this.table + FlowTable.Missed, true);
  }

  /** Each flow as the same object. */
  *[Symbol.iterator](): Generator<Flow> {
    const flow = new Flow(this.core.u8.buffer);
    const { count } = this;
    for (let i = 0; i < count; i++) {
      flow.at = this.core.x.flowsAt(this.table, i) >>> 0;
      yield flow;
    }
  }

  /** A copy of all flows, one behind the other, `FlowEntry.Size` bytes each. */
  bytes(): Uint8Array<ArrayBuffer> {
    const { core, count } = this;
    const all = new Uint8Array(count * FlowEntry.Size);
    const slab = 1 << FlowSize.SlabShift;
    for (let i = 0; i < count; i += slab) {
      const at = core.x.flowsAt(this.table, i) >>> 0;
      all.set(core.u8.subarray(at, at + Math.min(slab, count - i) * FlowEntry.Size), i * FlowEntry.Size);
    }
    return all;
  }

  /** Adds what `bytes` of another table gave. */
  merge(bytes: Uint8Array): void {
    const { core } = this;
    const room = MERGED_AT_ONCE * FlowEntry.Size;
    const at = core.x.alloc(room) >>> 0;
    if (at === 0) throw new Error("flows: the core's memory is used up");
    for (let from = 0; from < bytes.length; from += room) {
      const part = bytes.subarray(from, from + room);
      core.u8.set(part, at);
      core.x.flowsMerge(this.table, at, part.length / FlowEntry.Size);
    }
    core.x.release(at, room);
  }

  free(): void {
    this.core.x.flowsFree(this.table);
  }
}

/** The flows that `bytes` gave, each as the same object. */
export function* flowsOf(bytes: Uint8Array<ArrayBuffer>): Generator<Flow> {
  const flow = new Flow(bytes.buffer);
  for (flow.at = bytes.byteOffset; flow.at < bytes.byteOffset + bytes.length; flow.at += FlowEntry.Size) yield flow;
}
