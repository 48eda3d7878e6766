// src/link/wire.ts: what joins two devices, and what a frame meets on its way: netem, a cut.

import { Drop } from "../../assembly/drop.ts";
import type { Frame } from "../core/core.ts";
import type { Interface } from "./interface.ts";
import { Netem, type NetemOptions } from "./netem.ts";
import type { Node } from "./world.ts";

/** Kept beside the devices: those without one pay nothing. */
const egresses = new WeakMap<Interface, Egress>();

/** Where what a device sends goes. Most devices have none of it: their `peer` is the other end's device. */
export class Egress implements Node {
  netem: Netem | null = null;
  /** How many want it cut: the link being down, each partition. */
  private cuts = 0;
  /** What the device would do by itself. */
  private readonly xmit: ((frame: Frame) => void) | null;
  private peer: Node | null;
  private port: number;

  private constructor(private readonly dev: Interface) {
    this.xmit = dev.xmit;
    this.peer = dev.peer;
    this.port = dev.peerPort;
  }

  /** The device's; made when first asked for. */
  static of(dev: Interface): Egress {
    let egress = egresses.get(dev);
    if (egress === undefined) egresses.set(dev, (egress = new Egress(dev)));
    return egress;
  }

  /** The device's, null when nothing was ever put there. */
  static at(dev: Interface): Egress | null {
    return egresses.get(dev) ?? null;
  }

  /** The device is (re)connected. */
  connect(peer: Node, port: number): void {
    this.peer = peer;
    this.port = port;
    this.apply();
  }

  /** `tc qdisc replace`: netem is put there, or told otherwise. */
  setNetem(options: NetemOptions | null): void {
    if (options === null) {
      this.netem?.reset();
      this.netem = null;
    } else if (this.netem === null) this.netem = new Netem(this.dev, options, this.output);
    else this.netem.change(options);
    this.apply();
  }

  /** What is under way on a cut wire is lost, and so is all that is sent until it is whole again. */
  cut(by: 1 | -1): void {
    this.cuts += by;
    if (this.cuts > 0) this.netem?.reset();
    this.apply();
  }

  get isCut(): boolean {
    return this.cuts > 0;
  }

  /** A frame on a cut wire. */
  receive(_port: number, frame: Frame): void {
    this.dev.owner.drop(frame, Drop.LinkDown, this.dev);
  }

  private readonly output = (frame: Frame): void => {
    const { dev } = this;
    if (!dev.up) dev.owner.drop(frame, Drop.LinkDown, dev);
    else if (this.xmit !== null) this.xmit.call(dev, frame);
    else if (this.peer !== null) dev.owner.world.backlog.push(this.peer, this.port, frame);
    else dev.owner.world.x.packetFree(frame);
  };

  /** In front of a bridge: no flow may learn a way past what stands here. */
  private through(node: Node, frame: Frame): void {
    const watch = this.dev.owner.flows?.notes;
    if (watch !== undefined && watch.frame === frame) watch.forget();
    node.receive(0, frame);
  }

  private apply(): void {
    const { dev, netem } = this;
    const node = this.cuts > 0 ? this : netem;
    if (this.xmit !== null) dev.xmit = node === null ? this.xmit : (frame) => this.through(node, frame);
    else {
      dev.peer = node ?? this.peer;
      dev.peerPort = node === null ? this.port : 0;
    }
  }
}

/** A wire between two devices. */
export class Link {
  private isDown = false;

  constructor(
    readonly a: Interface,
    readonly b: Interface,
  ) {}

  /** netem on what `from` sends; null takes it away. */
  setNetem(from: Interface, options: NetemOptions | null): void {
    if (from !== this.a && from !== this.b) throw new Error(`${from.owner.name}:${from.name} is no end of this link`);
    Egress.of(from).setNetem(options);
  }

  /** The carrier is lost: both ends lose what they send (counted as LinkDown), and what is under way. */
  down(): void {
    if (this.isDown) return;
    this.isDown = true;
    this.cut(1);
  }

  up(): void {
    if (!this.isDown) return;
    this.isDown = false;
    this.cut(-1);
  }

  /** Whether frames pass: not while it is down, nor while a partition runs through it. */
  get whole(): boolean {
    return Egress.at(this.a)?.isCut !== true;
  }

  /** One more, or one less, who wants both directions cut. */
  cut(by: 1 | -1): void {
    Egress.of(this.a).cut(by);
    Egress.of(this.b).cut(by);
  }
}

/** Joins two devices as a veth pair: what one sends the other receives, at the same instant. */
export function connect(a: Interface, b: Interface): Link {
  join(a, b);
  join(b, a);
  a.crossesHosts = b.crossesHosts = a.owner !== b.owner;
  return new Link(a, b);
}

function join(dev: Interface, peer: Interface): void {
  const egress = Egress.at(dev);
  if (egress !== null) return egress.connect(peer, 0);
  dev.peer = peer;
  dev.peerPort = 0;
}

/** A partition that holds until `heal`. */
export interface Partition {
  heal(): void;
}

/**
 * Cuts every link between a host of `left` and one of `right`. Hosts that only talk through others have no link to cut:
 * it is an error when there is none at all between the two sides.
 */
export function partition(links: Iterable<Link>, left: readonly string[], right: readonly string[]): Partition {
  const cut = Array.from(links).filter((l) => {
    const [a, b] = [l.a.owner.name, l.b.owner.name];
    return (left.includes(a) && right.includes(b)) || (left.includes(b) && right.includes(a));
  });
  if (cut.length === 0) throw new Error(`no link joins ${left.join(", ")} and ${right.join(", ")}`);
  for (const l of cut) l.cut(1);
  let whole = false;
  return {
    heal: () => {
      if (whole) return;
      whole = true;
      for (const l of cut) l.cut(-1);
    },
  };
}
