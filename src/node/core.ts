// src/node/core.ts: finds the core's bytes in the package.

import { readFileSync } from "node:fs";
import { type Core, makeCore } from "../core/core.ts";

/** Compiled once: a process may want many (each world has its own). */
let compiled: WebAssembly.Module | null = null;

/** A fresh core. Beside the compiled JavaScript in the package; below `build/` when run from the sources. */
export function loadCore(): Core {
  if (compiled !== null) return makeCore(compiled);
  for (const place of ["../../core.wasm", "../../build/release.wasm"]) {
    try {
      compiled = new WebAssembly.Module(readFileSync(new URL(place, import.meta.url)));
      return makeCore(compiled);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== "ENOENT") throw e;
    }
  }
  throw new Error("the core is missing: run `npm run build`");
}
