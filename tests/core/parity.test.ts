// What both sides share has literal values, yet asc reads them on its own (and miscompiles enums that are computed from a
// constant). This compiles every shared file and asks the WebAssembly for each value.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { OptFlag, Pkt, PktFlag, PktType } from "../../assembly/layout.ts";

const assembly = new URL("../../assembly/", import.meta.url);
const src = new URL("../../src/", import.meta.url);
const asc = fileURLToPath(new URL("../../node_modules/assemblyscript/bin/asc.js", import.meta.url));

/** Files of assembly/ that a file of src/ imports values from: both sides share them. */
function sharedFiles(): string[] {
  const found = new Set<string>();
  for (const name of readdirSync(src, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const text = readFileSync(new URL(name, src), "utf8");
    for (const m of text.matchAll(/^import (type )?[^;]*? from "(?:\.\.\/)+assembly\/([^"]+)";/gm)) {
      if (m[1] === undefined) found.add(m[2]!);
    }
  }
  return [...found].toSorted();
}

interface Constant {
  /** `Enum.Member`, or the name of a constant. */
  readonly name: string;
  readonly value: number;
}

/** The numbers that a shared file exports, as TypeScript has them. */
async function constantsOf(file: string): Promise<Constant[]> {
  const module = (await import(new URL(file, assembly).href)) as Record<string, unknown>;
  const constants: Constant[] = [];
  for (const [name, value] of Object.entries(module)) {
    if (typeof value === "number") constants.push({ name, value });
    if (typeof value !== "object" || value === null) continue;
    for (const [member, v] of Object.entries(value)) {
      // the other direction of an enum has numbers for names
      if (typeof v === "number") constants.push({ name: `${name}.${member}`, value: v });
    }
  }
  return constants;
}

/** The same names' values out of WebAssembly, compiled as the product is. */
function compiled(files: ReadonlyMap<string, readonly Constant[]>, target: "debug" | "release"): Map<string, number[]> {
  const dir = mkdtempSync(join(tmpdir(), "parity-"));
  const imports: string[] = [];
  const stores: string[] = [];
  let n = 0;
  for (const [file, constants] of files) {
    const roots = [...new Set(constants.map((c) => c.name.split(".")[0]!))];
    const alias = (name: string): string => `f${imports.length}_${name}`;
    for (const c of constants) stores.push(`store<f64>(${n++ * 8}, <f64>${alias(c.name)});`);
    const path = relative(dir, fileURLToPath(new URL(file, assembly)));
    imports.push(`import { ${roots.map((r) => `${r} as ${alias(r)}`).join(", ")} } from "./${path}";`);
  }
  try {
    writeFileSync(
      join(dir, "entry.ts"),
      `${imports.join("\n")}\nexport function write(): void {\n${stores.join("\n")}\n}\n`,
    );
    const options = target === "debug" ? ["--debug"] : ["-O3", "--converge", "--noAssert"];
    const words = [asc, "entry.ts", "--outFile", "out.wasm", "--runtime", "stub", "--initialMemory", "1", ...options];
    // in a directory of its own: here asc would find the project's configuration and compile all of it
    const r = spawnSync(process.execPath, words, { encoding: "utf8", cwd: dir });
    if (r.status !== 0) throw new Error(r.stdout + r.stderr);
    const module = new WebAssembly.Module(readFileSync(join(dir, "out.wasm")));
    const { exports } = new WebAssembly.Instance(module, { env: { abort: () => {} } });
    (exports.write as () => void)();
    const values = new Float64Array((exports.memory as WebAssembly.Memory).buffer, 0, n);
    let at = 0;
    return new Map([...files].map(([file, constants]) => [file, constants.map(() => values[at++]!)]));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("constants of both sides", async () => {
  const files = new Map<string, Constant[]>();
  for (const file of sharedFiles()) files.set(file, await constantsOf(file));

  it("are in the files that this test knows how to find", () => {
    for (const file of ["drop.ts", "layout.ts", "conntracklayout.ts", "record.ts"]) {
      expect(files.get(file)?.length).toBeGreaterThan(0);
    }
  });

  for (const target of ["debug", "release"] as const) {
    it(`are the same in TypeScript and in WebAssembly (${target})`, () => {
      const values = compiled(files, target);
      for (const [file, constants] of files) {
        const want = constants.map((c) => [c.name, c.value]);
        expect(
          constants.map((c, i) => [c.name, values.get(file)![i]]),
          file,
        ).toEqual(want);
      }
    });
  }

  for (const file of files.keys()) {
    it(`${file}: enums have literal values only`, () => {
      const text = readFileSync(new URL(file, assembly), "utf8").replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
      const enums = [...text.matchAll(/enum (\w+) \{([^}]*)\}/g)];
      expect(enums.length).toBeGreaterThan(0);
      for (const [, name, body] of enums) {
        for (const m of body!.split(",").map((s) => s.trim())) {
          if (m !== "") expect(m, name).toMatch(/^\w+ = (0x[0-9a-fA-F]+|\d+)$/);
        }
      }
    });
  }

  it("drop reasons, descriptor fields and flags have a value each", () => {
    for (const [name, members] of Object.entries({ Drop, Pkt, PktType, PktFlag, OptFlag })) {
      const values = Object.values(members).filter((v) => typeof v === "number");
      expect(new Set(values).size, name).toBe(values.length);
    }
  });
});
