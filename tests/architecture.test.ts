// Imports run one way: a file imports from its own folder and from those to its left (design: folders).

import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const order = [
  "core",
  "capture",
  "link",
  "device",
  "host",
  "transport",
  "socket",
  "service",
  "docker",
  "cloud",
  "lab",
  "trace",
  "node",
  "repl",
  "cli",
  "web",
];
/** Folders that may use what only Node has. */
const nodeOnly = new Set(["node", "cli", "repl"]);

function files(dir: string): string[] {
  return readdirSync(dir).flatMap((f) => {
    const p = join(dir, f);
    return statSync(p).isDirectory() ? files(p) : p.endsWith(".ts") ? [p] : [];
  });
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;"']*?["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g,
  );
  return Array.from(found, (m) => (m[1] ?? m[2])!);
}

const sources = files(join(root, "src"));

describe("architecture", () => {
  it("finds the sources", () => {
    expect(sources.length).toBeGreaterThan(30);
  });

  it("imports to the left only", () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const folder = relative(join(root, "src"), file).split("/")[0]!;
      if (folder.endsWith(".ts")) continue; // the front door
      expect(order).toContain(folder);
      for (const to of importsOf(file)) {
        if (!to.startsWith(".")) continue;
        const target = relative(root, normalize(join(dirname(file), to))).split("/");
        if (target[0] !== "src") continue;
        if (order.indexOf(target[1]!) > order.indexOf(folder)) wrong.push(`${relative(root, file)} -> ${to}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("runs in a browser left of node/", () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const folder = relative(join(root, "src"), file).split("/")[0]!;
      if (nodeOnly.has(folder)) continue;
      for (const to of importsOf(file)) if (to.startsWith("node:")) wrong.push(`${relative(root, file)} -> ${to}`);
      // a socket has a method of that name: a call's argument has no type behind it
      if (/\b(Date\.now|Math\.random|(?<!\.)setTimeout\((?!\w+: )|performance\.now)/.test(readFileSync(file, "utf8"))) {
        wrong.push(`${relative(root, file)} reads the clock or chance`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("has no topology, time or policy in the core", () => {
    for (const file of files(join(root, "assembly"))) {
      for (const to of importsOf(file)) {
        const target = relative(root, normalize(join(dirname(file), to)));
        expect(target.startsWith("assembly/"), `${file} imports ${to}`).toBe(true);
      }
    }
  });
});
