// src/node/bench/memory.ts: bytes in use once what nobody needs is gone.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Core } from "../../core/core.ts";

export interface Weight {
  readonly core: number;
  readonly heap: number;
}

let collect: (() => void) | null = null;

/** JavaScript's heap. */
export function heapUsed(): number {
  if (collect === null) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  return process.memoryUsage().heapUsed;
}

/** The heap, and what is given out of a core's memory. */
export function memory(core: Core | null): Weight {
  return { core: core === null ? 0 : core.x.arenaUsed() >>> 0, heap: heapUsed() };
}
