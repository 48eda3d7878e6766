// tests/transport/rfc9293/requirement.ts: a test named after a line of fixtures/requirements/rfc9293_check.tsv.

import { readFileSync } from "node:fs";
import { test } from "vitest";

/** The numbers, with what is asked for. */
export const requirements: ReadonlyMap<string, string> = new Map(
  readFileSync(new URL("../../../fixtures/requirements/rfc9293_check.tsv", import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [id, , what] = line.split("\t");
      return [id!, what!];
    }),
);

export function requirement(id: string, run: () => void): void {
  const what = requirements.get(id);
  if (what === undefined) throw new Error(`${id} is no line of rfc9293_check.tsv`);
  test(`${id}: ${what}`, run);
}
