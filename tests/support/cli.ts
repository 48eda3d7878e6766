// tests/support/cli.ts: the command as a user types it.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "vitest";

export const root = join(import.meta.dirname, "../..");

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `wirepath WORDS...` from the sources. */
export function wirepath(words: string[], input: string | Uint8Array = "", cwd = root): Run {
  const main = join(root, "src/cli/main.ts");
  const tsx = join(root, "node_modules/tsx/dist/esm/index.mjs");
  const r = spawnSync(process.execPath, ["--import", tsx, main, ...words], { input, cwd, maxBuffer: 1 << 28 });
  return { status: r.status, stdout: r.stdout.toString(), stderr: r.stderr.toString() };
}

/** It could not run: status 2, one line on stderr that says why, no stack trace. */
export function expectRefusal(r: Run, what: RegExp | string): void {
  expect({ status: r.status, stderr: r.stderr }).toEqual({
    status: 2,
    stderr: expect.stringMatching(/^wirepath: [^\n]+\n$/),
  });
  expect(r.stderr).toMatch(what);
  expect(r.stderr).not.toMatch(/\n\s+at /);
}
