// tests/support/have.ts: whether a tool that a test compares with is on this machine.

import { spawnSync } from "node:child_process";

const known = new Map<string, boolean>();

/** True when `tool` runs. Says once, in plain words, when it does not, for `it.skipIf(!have(tool))`. */
export function have(tool: string): boolean {
  let there = known.get(tool);
  if (there === undefined) {
    there = spawnSync(tool, ["--version"]).error === undefined;
    known.set(tool, there);
    if (!there) console.log(`skipped: ${tool} is not installed, what it would say is not compared`);
  }
  return there;
}
