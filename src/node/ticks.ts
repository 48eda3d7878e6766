// src/node/ticks.ts: what nextTick and promises have queued, run at once.

/** Runs it all; null where this Node has no such function, and only a round of the event loop does it. */
export const runTicks: (() => void) | null =
  (process as unknown as Record<string, (() => void) | undefined>)["_tickCallback"] ?? null;
