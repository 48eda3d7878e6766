import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { requirements } from "./requirement.ts";

test("each line of rfc9293_check.tsv has one test", () => {
  const named: string[] = [];
  for (const file of readdirSync(new URL(".", import.meta.url)).filter((f) => f.endsWith(".test.ts"))) {
    const text = readFileSync(new URL(file, import.meta.url), "utf8");
    for (const m of text.matchAll(/^ {2}requirement\("([^"]+)"/gm)) named.push(m[1]!);
  }
  expect(named.toSorted()).toEqual([...requirements.keys()].toSorted());
});
