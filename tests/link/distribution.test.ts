import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { distribution } from "../../src/link/distribution.ts";

const where = ["/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/tc", "/usr/share/tc", "/usr/lib64/tc"].find((d) =>
  existsSync(`${d}/normal.dist`),
);
if (where === undefined)
  console.log("skipped: tc's tables are not installed, ours are compared with their hashes alone");

/** SHA-256 of the 4096 values, two bytes each, low byte first, of iproute2 6.1.0's tables. */
const hashes = {
  normal: "ea496767068d0be9eb46cb69ee90470105525b9090a6d479dadf04db0f3d44a5",
  pareto: "bb133e76721f7df4fd75dd647aad368fa8e9eaf9b9797fc8d208dde5f9ffbd2a",
  paretonormal: "ca372e5f4871aa11f38e71c82bd18e074e068f0704291e8a859ebd1aaee2f9f1",
} as const;

describe.each(["normal", "pareto", "paretonormal"] as const)("distribution %s", (name) => {
  it("is iproute2's table", () => {
    const table = distribution(name);
    const bytes = new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(hashes[name]);
  });

  it.skipIf(where === undefined)("is the table of the tc on this machine", () => {
    const lines = readFileSync(`${where}/${name}.dist`, "utf8").split("\n");
    const values = lines.filter((l) => !l.startsWith("#")).flatMap((l) => l.match(/-?\d+/g) ?? []);
    expect(Array.from(distribution(name))).toEqual(values.map(Number));
  });
});
