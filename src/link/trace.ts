// src/link/trace.ts: what happens to a packet, as events. With nobody listening each costs one branch.

import type { Drop } from "../../assembly/drop.ts";
import type { Frame } from "../core/core.ts";

export type TraceKind =
  /** a device took it in, or sent it out */
  | "receive"
  | "transmit"
  /** netfilter: the verdict of a hook, a rule that matched, what conntrack made of it */
  | "hook"
  | "rule"
  | "conntrack"
  /** a decision: route, neighbour, bridge port */
  | "route"
  | "neighbour"
  | "bridge"
  /** bytes were changed: NAT, TTL, mangle */
  | "rewrite"
  /** the ends: made here, delivered here, dropped */
  | "originate"
  | "deliver"
  | "drop"
  /** a line of a program's log; no frame */
  | "program";

export interface TraceEvent {
  readonly time: number;
  readonly node: string;
  /** The interface it concerns, "" when none. */
  readonly iface: string;
  readonly kind: TraceKind;
  /** What was decided, with the text of the rule or route that decided. */
  readonly text: string;
  /** Why, when `kind` is "drop". */
  readonly drop: Drop;
  /** Valid during the call only; 0 when the packet is gone. */
  readonly frame: Frame;
}

export type Tracer = (event: TraceEvent) => void;

/** A tracer throws it to stop the world in the middle of what it does: that world is looked at from then on, and never goes on. */
export class Halt extends Error {}
