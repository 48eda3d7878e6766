// src/host/flowtable.ts: a namespace's flow table: the short way of packets whose flow took the long way before.
//
// What the long way decides about a packet is noted as it goes (`FlowNotes`) and kept in the core (assembly/flowtable.ts),
// where the flow's next packets take one call, through several namespaces if nothing else waits for its turn. What they
// would have counted is counted in the core and told (`settle`) before anybody reads it.

import { Ct } from "../../assembly/conntracklayout.ts";
import { FIRST_WAY, Flow, FlowTable as Table, FlowTags } from "../../assembly/flowtablelayout.ts";
import type { Frame } from "../core/core.ts";
import type { FlowPath } from "../link/flowpath.ts";
import type { Interface } from "../link/interface.ts";
import type { World } from "../link/world.ts";
import { FlowNotes, type Repeated } from "./flownotes.ts";
import { type Route, RouteType } from "./fib/route.ts";
import { FlowWays, tell } from "./flowways.ts";
import type { Namespace } from "./namespace.ts";
import { Hook } from "./netfilter/hooks.ts";

const TABLE_SIZE = 64;
const SLOT = 128;
const TAGS = 8;
/** Slots at first, and at most. */
const FIRST = 4;
const MOST = 65536;
/** What all tables of a world have together, at most, ways included: 32 MiB. */
const ALL = 262144;
const HOOKS = [Hook.Prerouting, Hook.Input, Hook.Forward, Hook.Output, Hook.Postrouting];
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
  /** Slots and ways of all tables. */
  slots = 0;
  private routes = 0;

  /** One packet at a time is on the long way. */
  constructor(readonly notes: FlowNotes) {}

  /** A route's number, from 1. */
  route(route: Route): number {
    return (route.number ??= ++this.routes);
  }

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
  /** What becomes of tracked packets; null until the first one. */
  private ways: FlowWays | null = null;
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
    if (now !== shared.at) this.tick(now);
    const end = this.x.flowReceive(dev.mac, frame, shared.jiffies, now, world.backlog.idle);
    if (end === 0) return false;
    if (end > 0) {
      const n = (end >> 1) - 1;
      const last = shared.devices[n]!;
      if ((end & 1) !== 0) shared.tables[n]!.ns.local.receive(last, frame);
      else world.backlog.push(last.peer!, last.peerPort, frame);
      return true;
    }
    if (this.mayNote()) this.note(dev, frame);
    else dev.accept(frame);
    return true;
  }

  /** A packet made here, `Data` at its IPv4 header, goes by the route; true when it was taken. */
  send(frame: Frame, route: Route): boolean {
    const { world, shared } = this;
    if (!this.isOn || world.tracer !== null || route.type !== RouteType.Unicast || route.pmtu) return false;
    const { now } = world.clock;
    if (now !== shared.at) this.tick(now);
    // what is sent while another frame is on its way waits behind that
    const { backlog } = world;
    const chain = backlog.enter();
    const end = this.x.flowSend(this.table, frame, shared.route(route), shared.jiffies, now, chain && backlog.idle);
    if (end > 0) {
      const n = (end >> 1) - 1;
      const last = shared.devices[n]!;
      if ((end & 1) !== 0) shared.tables[n]!.ns.local.receive(last, frame);
      else backlog.push(last.peer!, last.peerPort, frame);
    }
    if (chain) backlog.leave();
    if (end >= 0) return end > 0;
    if (!this.mayNote()) return false;
    this.noteMade(frame, route);
    return true;
  }

  private tick(now: number): void {
    const { shared } = this;
    shared.at = now;
    shared.jiffies = Math.floor(now / JIFFY);
  }

  /** Whether there is room for what the packet that was missed would teach. */
  private mayNote(): boolean {
    const { u32, table } = this;
    if (u32[(table + Table.Ready) >> 2] !== u32[(table + Table.Generation) >> 2]) {
      this.prepare();
      return false;
    }
    if (u32[(table + Table.Ct) >> 2] === 0 && u32[(table + Table.Missed) >> 2] === 0) {
      this.grow();
      return false;
    }
    return this.notes.frame === 0;
  }

  /** What flows depend on here, for this generation: with the next one hooks may be others. */
  private prepare(): void {
    const { u32, table, ns } = this;
    const bare = HOOKS.every((h) => ns.hooks.isEmpty(h));
    u32[(table + Table.PortsMask) >> 2] = bare ? 0 : -1;
    u32[(table + Table.InfoMask) >> 2] = bare ? 0xffff : -1;
    u32[(table + Table.Ct) >> 2] = bare ? 0 : ns.trackedBy();
    u32[(table + Table.Ready) >> 2] = u32[(table + Table.Generation) >> 2]!;
  }

  /** The long way, with an eye on it. */
  private note(dev: Interface, frame: Frame): void {
    const { notes, u32, table } = this;
    const slot = u32[(table + Table.Missed) >> 2]!;
    const generation = u32[(table + Table.Generation) >> 2]!;
    notes.begin(dev, frame, u32[(table + Table.PortsMask) >> 2]!, u32[(table + Table.InfoMask) >> 2]!);
    try {
      dev.accept(frame);
    } finally {
      notes.frame = 0;
    }
    if (notes.complete) this.keep(slot, generation);
  }

  private noteMade(frame: Frame, route: Route): void {
    const { notes, u32, table } = this;
    const slot = u32[(table + Table.Missed) >> 2]!;
    const generation = u32[(table + Table.Generation) >> 2]!;
    const n = this.shared.route(route);
    notes.beginMade(table, frame, n, u32[(table + Table.PortsMask) >> 2]!, u32[(table + Table.InfoMask) >> 2]!);
    const { backlog } = this.world;
    // the notes end before anybody answers
    const waits = backlog.enter();
    try {
      this.ns.output.make(frame, route);
    } finally {
      notes.frame = 0;
      if (notes.complete) this.keep(slot, generation);
      if (waits) backlog.leave();
    }
  }

  /** Keeps what was noted, if nothing changed meanwhile. */
  private keep(slot: number, generation: number): void {
    const { u32, notes, table } = this;
    if (u32[(table + Table.Generation) >> 2] !== generation) return;
    const last = notes.last!;
    const owner = (last.owner as Namespace).flows;
    const end = (this.shared.number(last, owner) << 1) | (notes.local ? 1 : 0);
    const ct = u32[(table + Table.Ct) >> 2]!;
    if (notes.entry !== 0) {
      if (ct !== 0 && notes.lasts) this.keepWay(notes.finished(generation, end));
      return;
    }
    if (ct !== 0) return;
    const tag = u32[(table + Table.MissedTag) >> 2]!;
    const index = (slot - u32[(table + Table.Slots) >> 2]!) / SLOT;
    tell(this.world.core, slot, this.records[index]!, this);
    u32.set(notes.finished(generation, end), slot >> 2);
    this.records[index] = notes.repeated();
    u32[(u32[(table + Table.Tags) >> 2]! + index * TAGS + FlowTags.Flow) >> 2] = tag;
  }

  /** The packets of this connection and direction go the way that was noted. */
  private keepWay(words: Uint32Array): void {
    const { notes, world, table, shared } = this;
    const ways = (this.ways ??= new FlowWays(world.core, table));
    let n = ways.find(words, notes);
    if (n < 0) {
      if (ways.isFull) {
        this.settle();
        const before = ways.room;
        const more = ways.enlarge(words[Flow.Generation >> 2]!, ALL - shared.slots);
        shared.slots += ways.room - before;
        if (!more) return;
      }
      n = ways.add(words, notes);
    }
    const at = notes.entry & 1 ? Ct.WayReply : Ct.Way;
    world.core.view.setUint16((notes.entry & ~1) + at, FIRST_WAY + n, true);
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
    const { u32, table, world } = this;
    if (u32[(table + Table.Dirty) >> 2] === 0) return;
    u32[(table + Table.Dirty) >> 2] = 0;
    const slots = u32[(table + Table.Slots) >> 2]!;
    const { records } = this;
    for (let i = 0; i < records.length; i++) tell(world.core, slots + i * SLOT, records[i]!, this);
    this.ways?.settle(this);
  }

  countTold(packets: number): void {
    this.told += packets;
  }
}
