// src/link/world.ts: what everything in one emulated network shares.

import type { Core, CoreExports, Frame } from "../core/core.ts";
import type { Backlog } from "./backlog.ts";
import type { Clock } from "./clock.ts";
import type { Rng } from "./rng.ts";
import type { Tracer } from "./trace.ts";

export interface World {
  readonly core: Core;
  /** `core.x`, at hand. */
  readonly x: CoreExports;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Nanoseconds since 1970 at the world's start: captures and ICMP timestamps count from it. */
  readonly epoch: bigint;
  /** Frames under way between devices at this instant. */
  readonly backlog: Backlog;
  tracer: Tracer | null;
}

/** Anything that a frame can be handed to; `receive` takes the frame. */
export interface Node {
  receive(port: number, frame: Frame): void;
}
