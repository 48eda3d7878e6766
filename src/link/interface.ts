// src/link/interface.ts: a network device: what sends frames out of a host and takes them in.

import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import { FlowDev } from "../../assembly/flowtablelayout.ts";
import type { Frame } from "../core/core.ts";
import type { FlowPath, FlowWatch } from "./flowpath.ts";
import { scrub } from "./scrub.ts";
import type { Node, World } from "./world.ts";
import type { TraceKind } from "./trace.ts";

/** Who a device belongs to. */
export interface Owner {
  readonly name: string;
  readonly world: World;
  /** The one exit for drops: counts, traces and frees. */
  drop(frame: Frame, why: Drop, dev: Interface | null): void;
  trace(kind: TraceKind, dev: Interface | null, frame: Frame, text: string): void;
  /** It remembers the ways of flows. */
  readonly flows?: FlowPath;
}

/** Takes frames from a device before the host's own stack does (Linux's rx_handler): a bridge. It takes the frame. */
export interface RxHandler {
  handle(dev: Interface, frame: Frame): void;
  /** The device went up or down. */
  linkChanged(dev: Interface, up: boolean): void;
}

/** Looks at frames as they pass (a capture); it does not take them. `Data` is at the Ethernet header. */
export type Tap = (dev: Interface, frame: Frame, outbound: boolean) => void;

/** A tun has no link layer: its frames are IPv4 packets, `Data` at their header (RFC 894's header is neither made nor read). */
export type InterfaceKind = "veth" | "bridge" | "loopback" | "tun";

/** Bytes of `FlowDev` in the core. */
const DEVICE_SIZE = 16;

export class Interface implements Node {
  /** Six bytes in the core, where what it knows of the device begins (`FlowDev`). */
  readonly mac: number;
  private isUp = true;
  private other: Node | null = null;
  peerPort = 0;
  /** The peer belongs to another host. */
  crossesHosts = true;
  private handler: RxHandler | null = null;
  private sender: ((this: Interface, frame: Frame) => void) | null = null;
  private watcher: Tap | null = null;
  private largest: number;
  private received = 0;
  private receivedBytes = 0;
  private sent = 0;
  private sentBytes = 0;
  private readonly flows: FlowPath | null;
  private readonly notes: FlowWatch | null;
  /** What takes frames before anything else looks at them. */
  private short: FlowPath | null = null;

  constructor(
    readonly owner: Owner,
    readonly ifindex: number,
    readonly name: string,
    readonly kind: InterfaceKind,
    macBytes: Uint8Array,
    mtu: number,
    /** What the host does with a frame that nobody took before; it takes the frame. */
    private readonly stack: (dev: Interface, frame: Frame) => void,
  ) {
    const { core } = owner.world;
    this.largest = mtu;
    this.mac = core.x.alloc(DEVICE_SIZE);
    core.u8.set(macBytes, this.mac);
    core.u32[(this.mac + FlowDev.Ifindex) >> 2] = ifindex;
    this.flows = owner.flows ?? null;
    this.notes = this.flows === null ? null : this.flows.notes;
    this.reopen();
  }

  // -- settings: what flows depend on

  get up(): boolean {
    return this.isUp;
  }

  set up(up: boolean) {
    this.isUp = up;
    this.reopen();
  }

  /** The other end of the wire. */
  get peer(): Node | null {
    return this.other;
  }

  set peer(peer: Node | null) {
    this.other = peer;
    this.changed();
  }

  /** The bridge that it is a port of. */
  get rxHandler(): RxHandler | null {
    return this.handler;
  }

  set rxHandler(handler: RxHandler | null) {
    this.handler = handler;
    this.changed();
  }

  /** Sends in place of the wire: a bridge device, loopback. It takes the frame. */
  get xmit(): ((this: Interface, frame: Frame) => void) | null {
    return this.sender;
  }

  set xmit(xmit: ((this: Interface, frame: Frame) => void) | null) {
    this.sender = xmit;
    this.changed();
  }

  get tap(): Tap | null {
    return this.watcher;
  }

  set tap(tap: Tap | null) {
    this.watcher = tap;
    this.reopen();
  }

  get mtu(): number {
    return this.largest;
  }

  set mtu(mtu: number) {
    this.largest = mtu;
    this.changed();
  }

  /** Opens or closes the short way in: it is for devices that are up and that nobody watches. */
  reopen(): void {
    const { flows } = this;
    if (flows === null) return;
    flows.changed();
    const open = flows.on && this.isUp && this.watcher === null && this.kind === "veth";
    this.short = open ? flows : null;
    this.owner.world.core.u32[(this.mac + FlowDev.Table) >> 2] = open ? flows.table : 0;
  }

  private changed(): void {
    this.flows?.changed();
  }

  // -- counters

  get rxPackets(): number {
    this.flows?.settle();
    return this.received;
  }

  get rxBytes(): number {
    this.flows?.settle();
    return this.receivedBytes;
  }

  get txPackets(): number {
    this.flows?.settle();
    return this.sent;
  }

  get txBytes(): number {
    this.flows?.settle();
    return this.sentBytes;
  }

  /** Packets that came in by the short way. */
  countIn(packets: number, bytes: number): void {
    this.received += packets;
    this.receivedBytes += bytes;
  }

  /** Packets that left by the short way. */
  countOut(packets: number, bytes: number): void {
    this.sent += packets;
    this.sentBytes += bytes;
  }

  // -- frames

  /** A frame from the wire; `Data` is at its Ethernet header (a tun: at the IPv4 header). */
  receive(_port: number, frame: Frame): void {
    if (this.short !== null && this.short.receive(this, frame)) return;
    this.accept(frame);
  }

  /** The same, the long way. */
  accept(frame: Frame): void {
    const { core, tracer } = this.owner.world;
    if (!this.isUp) return this.owner.drop(frame, Drop.LinkDown, this);
    core.u32[(frame + Pkt.In) >> 2] = this.ifindex;
    this.received++;
    this.receivedBytes += core.u32[(frame + Pkt.Len) >> 2]!;
    if (this.watcher !== null) this.watcher(this, frame, false);
    if (tracer !== null) this.owner.trace("receive", this, frame, "");
    if (this.handler !== null) this.handler.handle(this, frame);
    else this.stack(this, frame);
  }

  /** Up the host's own stack, past the rx handler: what a bridge does with frames for the host. */
  deliver(frame: Frame): void {
    this.stack(this, frame);
  }

  /** Out of the device; `Data` is at the Ethernet header. */
  transmit(frame: Frame): void {
    const { core, tracer } = this.owner.world;
    if (!this.isUp) return this.owner.drop(frame, Drop.LinkDown, this);
    this.sent++;
    this.sentBytes += core.u32[(frame + Pkt.Len) >> 2]!;
    if (this.watcher !== null) this.watcher(this, frame, true);
    if (tracer !== null) this.owner.trace("transmit", this, frame, "");
    if (this.notes !== null && this.notes.frame === frame) this.notes.leaves(this);
    if (this.sender !== null) this.sender(frame);
    else if (this.other !== null) {
      scrub(core, frame, this.crossesHosts);
      this.owner.world.backlog.push(this.other, this.peerPort, frame);
    } else core.x.packetFree(frame);
  }
}
