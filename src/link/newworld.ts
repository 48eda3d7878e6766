// src/link/newworld.ts: an empty world.

import type { Core } from "../core/core.ts";
import { Backlog } from "./backlog.ts";
import { Clock } from "./clock.ts";
import { Rng } from "./rng.ts";
import type { World } from "./world.ts";

/** Virtual time starts here unless a capture says otherwise. */
export const EPOCH = 1_577_836_800n * 1_000_000_000n; // 2020-01-01T00:00:00Z

/** Any number will do; with this one, symhash chooses as the recorded kernel's random seed did (fixtures/oracle). */
export const DEFAULT_SEED = 17;

export function newWorld(core: Core, options: { seed?: number; epoch?: bigint } = {}): World {
  return {
    core,
    x: core.x,
    clock: new Clock(),
    rng: new Rng(options.seed ?? DEFAULT_SEED),
    backlog: new Backlog(),
    epoch: options.epoch ?? EPOCH,
    tracer: null,
  };
}
