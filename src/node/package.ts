// src/node/package.ts: files that come with the package.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The path of a file of the package: from the sources, or from dist/. */
export function packageFile(name: string): string {
  for (const up of ["../../", "../../../"]) {
    const path = fileURLToPath(new URL(up + name, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new Error(`${name} is missing from the package`);
}
