// src/node/core.ts: finds the core's bytes in the package.

import { readFileSync } from "node:fs";
import { type Core, makeCore } from "../core/core.ts";

/** A fresh core. Beside the compiled JavaScript in the package; below `build/` when run from the sources. */
export function loadCore(): Core {
  for (const place of ["../../core.wasm", "../../build/release.wasm"]) {
    try {
      return makeCore(readFileSync(new URL(place, import.meta.url)));
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== "ENOENT") throw e;
    }
  }
  throw new Error("the core is missing: run `npm run build`");
}
