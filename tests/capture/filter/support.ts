// tests/capture/filter/support.ts: frames in a core, and what the reference is known to do that wirepath does not.

import { readFileSync } from "node:fs";
import type { Core } from "../../../src/core/core.ts";
import { type LoadedFilter, type Program, matches, parseProgram } from "../../../src/capture/filter/index.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/filter/${name}`, import.meta.url), "utf8"));

export const frames = fixture("frames.json") as Record<string, string[]>;
export const reference = fixture("reference.json") as { programs: string[]; cases: [number, string, number][] };

/** A program as reference.json writes it. */
export function programOf(text: string): Program {
  const rows = text.split(";");
  return parseProgram(`${rows.length}\n${rows.join("\n")}`);
}

/** Frames copied into a core: address and length of each. */
export function place(core: Core, hex: readonly string[]): [number, number][] {
  return hex.map((h) => {
    const bytes = Buffer.from(h, "hex");
    const at = core.x.alloc(bytes.length) >>> 0;
    core.u8.set(bytes, at);
    return [at, bytes.length];
  });
}

/** The first frame (`#index/length`) on which two filters differ, whole or cut short; null when they agree. */
export function difference(
  a: LoadedFilter,
  b: LoadedFilter,
  placed: readonly [number, number][],
  step: number,
): string | null {
  for (const [i, [at, len]] of placed.entries()) {
    for (let cut = len; cut >= 0; cut -= cut === len ? 1 + (i % step) : step) {
      if (matches(a, at, cut, len) !== matches(b, at, cut, len)) return `#${i}/${cut}`;
    }
  }
  return null;
}

/** Accepted by tcpdump, refused here on purpose. */
export const gaps: readonly [RegExp, string][] = [
  [/protochain/, "needs backward jumps, which the machine does not have"],
  [/ip broadcast/, "needs the interface's mask"],
  [/decnet (host|net|src|dst)/, "DECnet addresses"],
  [/ifindex/, "only Linux cooked v2 has the interface's index in the frame"],
  [/portrange \d+-\d+-/, "garbage behind the range"],
];
