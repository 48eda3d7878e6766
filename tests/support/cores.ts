// tests/support/cores.ts: the same suite over the debug build (bounds and traps on) and the release build.

import { readFileSync } from "node:fs";
import { describe } from "vitest";
import { type Core, makeCore } from "../../src/core/core.ts";

const builds = ["debug", "release"] as const;

/** A fresh core of one build. */
export function coreOf(build: (typeof builds)[number]): Core {
  return makeCore(readFileSync(new URL(`../../build/${build}.wasm`, import.meta.url)));
}

/** Runs `suite` once for each build; `core()` makes a fresh core. */
export function overBuilds(name: string, suite: (core: () => Core) => void): void {
  for (const build of builds) describe(`${name} (${build})`, () => suite(() => coreOf(build)));
}
