// src/host/flowways.ts: what becomes of the packets of tracked connections: each way once, however many go it.
//
// The core reads the ways (assembly/flowtable.ts); connections hold their numbers. A number is not given again before all
// connections forgot theirs: a connection must not come upon a way that nobody found for it.

import { CtTable } from "../../assembly/conntracklayout.ts";
import { Flow, FlowTable as Table } from "../../assembly/flowtablelayout.ts";
import type { Core } from "../core/core.ts";
import type { FlowNotes, Repeated } from "./flownotes.ts";

const SLOT = 128;
const ETHERNET = 14;
const FIRST = 4;
/** Numbers have 16 bits, and two of them mean something else. */
const MOST = 65534;
const ROOM = 65536;
/** Words of a way before those that count. */
const KEY = Flow.Packets >> 2;
/** Connections for each way that are gone through rather than more room taken. */
const THOROUGH = 16;

/** Tells those that the packets on a slot or way concern what these would have told them; they are counted no more. */
export function tell(core: Core, slot: number, r: Repeated | null, who: { countTold(packets: number): void }): void {
  if (r === null) return;
  const { view, u8, u32 } = core;
  if ((u32[(slot + Flow.Packets) >> 2]! | u32[(slot + Flow.Packets + 4) >> 2]!) === 0) return;
  const packets = Number(view.getBigUint64(slot + Flow.Packets, true));
  const bytes = Number(view.getBigUint64(slot + Flow.Bytes, true));
  const received = Number(view.getBigUint64(slot + Flow.RxBytes, true));
  const last = view.getFloat64(slot + Flow.Last, true);
  u8.fill(0, slot + Flow.Packets, slot + Flow.Last);
  who.countTold(packets);
  for (const c of r.counters) {
    c.packets += packets;
    c.bytes += bytes;
  }
  const framed = bytes + ETHERNET * packets;
  if (r.input !== null) r.input.countIn(packets, received);
  if (r.up !== null) r.up.countIn(packets, r.trimmed ? framed : received);
  for (const dev of r.outputs) dev.countOut(packets, framed);
  if (r.neighbour !== null && r.neighbour.used < last) r.neighbour.used = last;
  if (r.station !== null && r.station.updated < last) r.station.updated = last;
}

export class FlowWays {
  private readonly records: Repeated[] = [];
  /** Ways by a hash of their words: the last one with it, and for each the one before it (-1: none). */
  private readonly heads = new Map<number, number>();
  private readonly before: number[] = [];
  private hash = 0;
  /** Ways that there is room for. */
  room = 0;

  constructor(
    private readonly core: Core,
    private readonly table: number,
  ) {}

  private get base(): number {
    return this.core.u32[(this.table + Table.Ways) >> 2]!;
  }

  /** The way that these words and notes describe; -1: there is none yet. */
  find(words: Uint32Array, notes: FlowNotes): number {
    let h = 0;
    for (let i = 0; i < KEY; i++) h = Math.imul(h ^ words[i]!, 0x9e3779b1) ^ (h >>> 15);
    this.hash = h;
    const { u32 } = this.core;
    const { base } = this;
    let n = this.heads.get(h) ?? -1;
    for (; n >= 0; n = this.before[n]!) {
      const at = (base + n * SLOT) >> 2;
      let i = 0;
      while (i < KEY && u32[at + i] === words[i]) i++;
      if (i === KEY && notes.concerns(this.records[n]!)) break;
    }
    return n;
  }

  get isFull(): boolean {
    return this.records.length >= Math.min(this.room, MOST);
  }

  /** Adds what `find` did not find. */
  add(words: Uint32Array, notes: FlowNotes): number {
    const n = this.records.push(notes.repeated()) - 1;
    this.before[n] = this.heads.get(this.hash) ?? -1;
    this.heads.set(this.hash, n);
    this.core.u32.set(words, (this.base + n * SLOT) >> 2);
    return n;
  }

  /** Makes room, by more memory (for `most` more ways at most) or by forgetting all; false: there is none. */
  enlarge(generation: number, most: number): boolean {
    const { core, table, room } = this;
    const { u32, x } = core;
    const { base } = this;
    let present = 0;
    for (let n = 0; n < this.records.length; n++) {
      if (u32[(base + n * SLOT + Flow.Generation) >> 2] === generation) present++;
    }
    const ct = u32[(table + Table.Ct) >> 2]!;
    const stale = 2 * present < this.records.length && u32[(ct + CtTable.Count) >> 2]! < THOROUGH * room;
    const more = room === 0 ? FIRST : Math.min(room * 4, ROOM);
    if (!stale && more > room && more - room <= most && x.flowResizeWays(table, room, this.records.length, more)) {
      this.room = more;
      return true;
    }
    if (room === 0) return false;
    x.ctForgetWays(ct);
    this.records.length = this.before.length = 0;
    this.heads.clear();
    return true;
  }

  settle(who: { countTold(packets: number): void }): void {
    const { records, base } = this;
    for (let n = 0; n < records.length; n++) tell(this.core, base + n * SLOT, records[n]!, who);
  }
}
