// src/lab/replay.ts: nodes as devices under test: what they received goes in at its times, what they send is taken down.

import { Pkt } from "../../assembly/layout.ts";
import type { Namespace } from "../host/namespace.ts";
import type { Interface } from "../link/interface.ts";
import type { World } from "../link/world.ts";
import { EPOCH } from "../link/newworld.ts";

const DAY = 86_400_000_000_000n;
const SECOND = 1_000_000_000n;

/**
 * Virtual time zero for a capture whose first packet is at `first` (ns since 1970): captures of virtual time begin at
 * 2020-01-01; for others the clock starts with the first packet's second.
 */
export function zeroOf(first: bigint): bigint {
  return first >= EPOCH && first < EPOCH + DAY ? EPOCH : (first / SECOND) * SECOND;
}

/** What a node sent by one device: copies, in order. */
export interface Sent {
  readonly node: string;
  readonly iface: string;
  /** Nanoseconds of virtual time. */
  readonly time: number;
  readonly bytes: Uint8Array;
}

export class Replay {
  /** Everything that the nodes sent, in order. */
  readonly sent: Sent[] = [];
  fed = 0;
  /** Frames for which there was no buffer. */
  lost = 0;

  constructor(
    readonly world: World,
    readonly nodes: readonly Namespace[],
  ) {
    for (const node of nodes) for (const dev of node.interfaces) if (dev.kind === "veth") dev.tap = this.take;
  }

  private readonly take = (dev: Interface, frame: number, outbound: boolean): void => {
    if (!outbound) return;
    const { u32, u8 } = this.world.core;
    const at = u32[(frame + Pkt.Data) >> 2]!;
    const bytes = u8.slice(at, at + u32[(frame + Pkt.Len) >> 2]!);
    this.sent.push({ node: dev.owner.name, iface: dev.name, time: this.world.clock.now, bytes });
  };

  /** Runs up to `time` (ns) and hands the frame to the device; what it causes at this instant happens at once. */
  feed(dev: Interface, time: number, buffer: Uint8Array, offset: number, length: number): void {
    const { core, clock, backlog, x } = this.world;
    clock.advance(time);
    const frame = x.packetAlloc(length);
    if (frame === 0) {
      this.lost++;
      return;
    }
    const at = core.u32[(frame + Pkt.Data) >> 2]!;
    if (offset === 0 && length === buffer.length) core.u8.set(buffer, at);
    else core.u8.set(buffer.subarray(offset, offset + length), at);
    core.u32[(frame + Pkt.Mac) >> 2] = at;
    this.fed++;
    backlog.push(dev, 0, frame);
  }

  /** Runs on: what timers still do by then (neighbours that never answer, fragments that never come). */
  finish(until: number): void {
    this.world.clock.advance(until);
  }
}
