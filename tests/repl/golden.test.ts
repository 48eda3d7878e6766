// Whole scripts, and what they print. The goldens stand beside; each was read line by line before it was kept.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { demo, docker, shellOf, twoHosts } from "./support.ts";

const cases = [
  ["two-hosts", twoHosts],
  ["demo", demo],
  ["docker", docker],
  ["errors", twoHosts],
] as const;

describe("scripts", () => {
  for (const [name, lab] of cases) {
    it(name, async () => {
      const script = readFileSync(join(import.meta.dirname, "scripts", `${name}.txt`), "utf8");
      const { shell, out } = shellOf(lab);
      script.split("\n").forEach((line, i) => {
        if (line === "") return;
        out.push(`> ${line}`);
        const outcome = shell.line(line);
        if (!outcome.ok) out.push(`stdin:${i + 1}:${outcome.column}: ${outcome.message}`);
      });
      await expect(`${out.join("\n")}\n`).toMatchFileSnapshot(join("golden", `${name}.txt`));
    });
  }
});
