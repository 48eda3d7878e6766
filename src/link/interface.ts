// src/link/interface.ts: a network device: what sends frames out of a host and takes them in.

import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
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

export class Interface implements Node {
  /** Six bytes in the core. */
  readonly mac: number;
  up = true;
  /** The other end of the wire, and whether it belongs to another host. */
  peer: Node | null = null;
  peerPort = 0;
  crossesHosts = true;
  /** The bridge that it is a port of. */
  rxHandler: RxHandler | null = null;
  /** Sends in place of the wire: a bridge device, loopback. It takes the frame. */
  xmit: ((this: Interface, frame: Frame) => void) | null = null;
  tap: Tap | null = null;
  rxPackets = 0;
  rxBytes = 0;
  txPackets = 0;
  txBytes = 0;

  constructor(
    readonly owner: Owner,
    readonly ifindex: number,
    readonly name: string,
    readonly kind: InterfaceKind,
    macBytes: Uint8Array,
    public mtu: number,
    /** What the host does with a frame that nobody took before; it takes the frame. */
    private readonly stack: (dev: Interface, frame: Frame) => void,
  ) {
    this.mac = owner.world.x.alloc(6);
    owner.world.core.u8.set(macBytes, this.mac);
  }

  /** A frame from the wire; `Data` is at its Ethernet header (a tun: at the IPv4 header). */
  receive(_port: number, frame: Frame): void {
    const { core, tracer } = this.owner.world;
    if (!this.up) return this.owner.drop(frame, Drop.LinkDown, this);
    core.u32[(frame + Pkt.In) >> 2] = this.ifindex;
    this.rxPackets++;
    this.rxBytes += core.u32[(frame + Pkt.Len) >> 2]!;
    if (this.tap !== null) this.tap(this, frame, false);
    if (tracer !== null) this.owner.trace("receive", this, frame, "");
    if (this.rxHandler !== null) this.rxHandler.handle(this, frame);
    else this.stack(this, frame);
  }

  /** Up the host's own stack, past the rx handler: what a bridge does with frames for the host. */
  deliver(frame: Frame): void {
    this.stack(this, frame);
  }

  /** Out of the device; `Data` is at the Ethernet header. */
  transmit(frame: Frame): void {
    const { core, tracer } = this.owner.world;
    if (!this.up) return this.owner.drop(frame, Drop.LinkDown, this);
    this.txPackets++;
    this.txBytes += core.u32[(frame + Pkt.Len) >> 2]!;
    if (this.tap !== null) this.tap(this, frame, true);
    if (tracer !== null) this.owner.trace("transmit", this, frame, "");
    if (this.xmit !== null) this.xmit(frame);
    else if (this.peer !== null) {
      scrub(core, frame, this.crossesHosts);
      this.owner.world.backlog.push(this.peer, this.peerPort, frame);
    } else core.x.packetFree(frame);
  }
}
