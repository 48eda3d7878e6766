// src/host/flowtable.ts: a namespace's flow table: the short way of packets whose flow took the long way before.
//
// What the long way decides about a packet is noted as it goes (`FlowNotes`) and kept in the core (assembly/flowtable.ts),
// where the flow's next packets take one call, through several namespaces if nothing else waits for its turn. What they
// would have counted is counted in the core and told (`settle`) before anybody reads it.

import { Flow, FlowTable as Table, FlowTags } from "../../assembly/flowtablelayout.ts";
import type { Frame } from "../core/core.ts";
import type { FlowPath } from "../link/flowpath.ts";
import type { Interface } from "../link/interface.ts";
import type { World } from "../link/world.ts";
import { FlowNotes, type Repeated } from "./flownotes.ts";
import type { Namespace } from "./namespace.ts";

const TABLE_SIZE = 32;
const SLOT = 128;
const TAGS = 8;
const ETHERNET = 14;
/** Slots at first, and at most. */
const FIRST = 4;
const MOST = 65536;
/** What all tables of a world have together, at most: 32 MiB. */
const ALL = 262144;
/** Conntrack's time: jiffies of 4 ms. */
const JIFFY = 4_000_000;

/** What the tables of one world share: the devices by number, and the table of each one's host. */
class Shared {
  readonly devices: Interface[] = [];
  readonly tables: FlowTable[] = [];
  private readonly numbers = new Map<Interface, number>();
  /** The instant that `jiffies` was reckoned for. */
  at = 0;
  jiffies = 0;
  /** Slots of all tables. */
  slots = 0;

  /** One packet at a time is on the long way. */
  constructor(readonly notes: FlowNotes) {}

  /** Numbered from 1. */
  number(dev: Interface, table: FlowTable): number {
    let n = this.numbers.get(dev);
    if (n === undefined) {
      n = this.devices.push(dev);
      this.numbers.set(dev, n);
      this.tables[n - 1] = table;
    }
    return n;
  }
}

const worlds = new WeakMap<World, Shared>();

export class FlowTable implements FlowPath {
  /** In the core. */
  readonly table: number;
  readonly notes: FlowNotes;
  private readonly x;
  private readonly u32;
  private readonly world: World;
  private readonly shared: Shared;
  private records: (Repeated | null)[] = [];
  private isOn = true;
  private told = 0;

  constructor(private readonly ns: Namespace) {
    const { world } = ns;
    this.world = world;
    this.x = world.x;
    this.u32 = world.core.u32;
    this.table = world.x.alloc(TABLE_SIZE);
    let shared = worlds.get(world);
    if (shared === undefined) worlds.set(world, (shared = new Shared(new FlowNotes(world.core))));
    this.shared = shared;
    this.notes = shared.notes;
  }

  /** Whether packets take the short way at all (they do, unless a test wants to compare). */
  get on(): boolean {
    return this.isOn && this.table !== 0;
  }

  set on(on: boolean) {
    this.isOn = on;
    this.changed();
    for (const dev of this.ns.interfaces) dev.reopen();
  }

  /** Packets that took the short way. */
  get taken(): number {
    this.settle();
    return this.told;
  }

  /** Something changed that a flow may depend on. */
  changed(): void {
    this.u32[(this.table + Table.Generation) >> 2]!++;
  }

  /** A frame comes in by the device; true when it was taken. */
  receive(dev: Interface, frame: Frame): boolean {
    const { world, shared } = this;
    if (world.tracer !== null) return false;
    const { now } = world.clock;
    if (now !== shared.at) {
      shared.at = now;
      shared.jiffies = Math.floor(now / JIFFY);
    }
    const end = this.x.flowReceive(dev.mac, frame, shared.jiffies, now, world.backlog.idle);
    if (end === 0) return false;
    if (end > 0) {
      const n = (end >> 1) - 1;
      const last = shared.devices[n]!;
      if ((end & 1) !== 0) shared.tables[n]!.ns.local.receive(last, frame);
      else world.backlog.push(last.peer!, last.peerPort, frame);
      return true;
    }
    this.note(dev, frame);
    return true;
  }

  /** The long way, with an eye on it. */
  private note(dev: Interface, frame: Frame): void {
    const slot = this.u32[(this.table + Table.Missed) >> 2]!;
    const { notes } = this;
    if (slot === 0) this.grow();
    if (slot === 0 || notes.frame !== 0) return dev.accept(frame);
    const generation = this.u32[(this.table + Table.Generation) >> 2]!;
    notes.begin(dev, frame);
    try {
      dev.accept(frame);
    } finally {
      notes.frame = 0;
    }
    if (notes.complete && generation === this.u32[(this.table + Table.Generation) >> 2]) this.keep(slot, generation);
  }

  private keep(slot: number, generation: number): void {
    const { u32, notes, table } = this;
    const tag = u32[(table + Table.MissedTag) >> 2]!;
    const index = (slot - u32[(table + Table.Slots) >> 2]!) / SLOT;
    this.tell(slot, index);
    const last = notes.last!;
    const owner = (last.owner as Namespace).flows;
    const end = (this.shared.number(last, owner) << 1) | (notes.local ? 1 : 0);
    this.records[index] = notes.write(slot, generation, end);
    u32[(u32[(table + Table.Tags) >> 2]! + index * TAGS + FlowTags.Flow) >> 2] = tag;
  }

  /** More slots, empty ones; false: as many as may be are there. */
  private grow(): boolean {
    const { shared } = this;
    const now = this.records.length;
    const slots = now === 0 ? FIRST : now * 4;
    if (slots > MOST || shared.slots - now + slots > ALL) return false;
    shared.slots += slots - now;
    this.resize(slots);
    return true;
  }

  private resize(slots: number): void {
    this.settle();
    this.records = Array.from({ length: slots }, () => null);
    if (!this.x.flowResize(this.table, slots)) {
      this.x.flowResize(this.table, 0);
      this.records = [];
    }
  }

  /** Tells everyone what packets on the short way would have told them. */
  settle(): void {
    const { u32, table } = this;
    if (u32[(table + Table.Dirty) >> 2] === 0) return;
    u32[(table + Table.Dirty) >> 2] = 0;
    const slots = u32[(table + Table.Slots) >> 2]!;
    for (let i = 0; i < this.records.length; i++) this.tell(slots + i * SLOT, i);
  }

  private tell(slot: number, index: number): void {
    const r = this.records[index]!;
    if (r === null) return;
    const { view, u8 } = this.world.core;
    const packets = Number(view.getBigUint64(slot + Flow.Packets, true));
    if (packets === 0) return;
    const bytes = Number(view.getBigUint64(slot + Flow.Bytes, true));
    const received = Number(view.getBigUint64(slot + Flow.RxBytes, true));
    const last = view.getFloat64(slot + Flow.Last, true);
    u8.fill(0, slot + Flow.Packets, slot + Flow.Last);
    this.told += packets;
    for (const c of r.counters) {
      c.packets += packets;
      c.bytes += bytes;
    }
    const framed = bytes + ETHERNET * packets;
    r.input.countIn(packets, received);
    if (r.up !== null) r.up.countIn(packets, r.trimmed ? framed : received);
    for (const dev of r.outputs) dev.countOut(packets, framed);
    if (r.neighbour !== null && r.neighbour.used < last) r.neighbour.used = last;
    if (r.station !== null && r.station.updated < last) r.station.updated = last;
  }
}
