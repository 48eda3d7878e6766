// What a benchmark says: its shape, what it refuses to time, what is missing. Never how fast anything is.

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { Env } from "../../src/node/bench/env.ts";
import { suites } from "../../src/node/bench/index.ts";
import { Absent, measure, type Result, summary } from "../../src/node/bench/measure.ts";
import { generateRoutes, keysOf, readRoutes } from "../../src/node/bench/routes.ts";
import { expectRefusal, wirepath } from "../support/cli.ts";
import { have } from "../support/have.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-benchtest-"));
afterAll(() => rmSync(dir, { recursive: true }));

function expectShape(r: Result): void {
  const spread = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };
  expect(r).toMatchObject({ name: expect.any(String), unit: expect.any(String), runs: expect.any(Number), ...spread });
  expect(Object.keys(r.ratio)).toEqual(Object.keys(r.peers));
  for (const s of [r, ...Object.values(r.peers)]) {
    expect(s).toMatchObject(spread);
    expect(s.min <= s.median && s.median <= s.max).toBe(true);
  }
  for (const why of Object.values(r.absent)) expect(why).not.toMatch(/mismatch|failed/);
}

describe("measure", () => {
  const figures = [5, 1, 2, 3];
  it("takes medians, and ratios run by run", async () => {
    expect(summary([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(summary([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    let i = 0;
    let k = 0;
    const r = await measure(
      {
        name: "x",
        unit: "ns",
        better: "less",
        note: "",
        run: () => figures[i++]!,
        peers: [{ name: "twice", run: () => figures[k++]! * 2 }],
      },
      3,
    );
    // the first of each is the warm-up
    expect(r).toMatchObject({
      median: 2,
      min: 1,
      max: 3,
      runs: 3,
      peers: { twice: { median: 4 } },
      ratio: { twice: 2 },
    });
  });

  it("takes the median of a run's slices, in turn with the peers'", async () => {
    const order: string[] = [];
    const run = (who: string) => () => order.push(who);
    await measure(
      {
        name: "x",
        unit: "",
        better: "more",
        note: "",
        slices: 2,
        run: run("a"),
        peers: [{ name: "b", run: run("b") }],
      },
      1,
    );
    expect(order.join("")).toBe("baabab");
  });

  it("does not time a peer whose results differ, nor one that is absent or fails", async () => {
    let timed = 0;
    const r = await measure(
      {
        name: "x",
        unit: "",
        better: "more",
        note: "",
        answer: () => "7",
        run: () => 1,
        peers: [
          { name: "wrong", answer: () => "8", run: () => ++timed },
          { name: "part", answer: () => "2", expect: () => "2", run: () => 4 },
          { name: "none", run: () => Promise.reject(new Absent("gcc: not installed")) },
          { name: "broken", answer: () => Promise.reject(new Error("ended with 2\nmore")), run: () => ++timed },
        ],
      },
      2,
    );
    expect(timed).toBe(0);
    expect(r.absent).toEqual({
      wrong: "mismatch: it answers 8, wirepath 7",
      none: "gcc: not installed",
      broken: "failed: ended with 2",
    });
    expect(r.ratio).toEqual({ part: 0.25 });
  });
});

describe("routes", () => {
  it("are as many as wanted, none twice, none where nothing is routed; the same each time", () => {
    const { words, count } = generateRoutes(20_000, 1);
    expect(Math.abs(count - 20_000)).toBeLessThan(200);
    const seen = new Set<string>();
    for (let i = 0; i < count; i++) {
      const [prefix, len, hop] = words.subarray(i * 3, i * 3 + 3) as unknown as [number, number, number];
      seen.add(`${prefix}/${len}`);
      expect(len >= 8 && len <= 32 && prefix % 2 ** (32 - len) === 0 && hop >= 1).toBe(true);
      expect([0, 10, 127].includes(prefix >>> 24) || prefix >>> 24 >= 224).toBe(false);
    }
    expect(seen.size).toBe(count);
    expect(generateRoutes(20_000, 1).words).toEqual(words);
    expect(keysOf("skewed", { words, count }, 100, 2)).toEqual(keysOf("skewed", { words, count }, 100, 2));
  });

  it("come from a file, gzip or not; a wrong line is named", () => {
    const path = join(dir, "table");
    const text = "# routes\n10.0.0.0/8 via a\n10.1.0.0/16 via b\n10.1.2.3/16 via a\n0.0.0.0/0\n";
    for (const bytes of [Buffer.from(text), gzipSync(text)]) {
      writeFileSync(path, bytes);
      expect(readRoutes(path).count).toBe(3);
    }
    writeFileSync(path, "10.0.0.0/8\n10.0.0.300/8\n");
    expect(() => readRoutes(path)).toThrow(/table: line 2: '10.0.0.300\/8' is no prefix/);
  });
});

describe("programs beside it", () => {
  it.skipIf(!have("gcc"))("answer as wirepath does", async () => {
    const results: Result[] = [];
    const env = new Env({ quick: true, runs: 1, wants: () => true, table: null, onResult: (r) => results.push(r) });
    try {
      for (const name of ["lpm", "checksum"]) await suites.find((s) => s.name === name)!.run(env);
    } finally {
      env.close();
    }
    results.forEach(expectShape);
    const of = (name: string) => Object.keys(results.find((r) => r.name === name)!.peers);
    for (const kind of ["uniform", "in-table", "skewed", "single"])
      expect(of(`lpm.${kind}`)).toContain("C, same structure");
    expect(of("checksum")).toEqual(expect.arrayContaining(["C scalar", "JavaScript"]));
    expect(existsSync(env.dir)).toBe(false);
  });
});

describe("wirepath bench", () => {
  it("TCP and HTTP answer as the kernel's do", () => {
    const r = wirepath(["bench", "tcp", "http", "--quick", "--json"]);
    expect(r).toMatchObject({ status: 0, stderr: "" });
    const rows = JSON.parse(r.stdout) as Result[];
    rows.forEach((row) => expectShape(row));
    expect(rows.map((row) => row.name)).toEqual(
      suites.filter((s) => s.name === "tcp" || s.name === "http").flatMap((s) => s.rows),
    );
  }, 60_000);

  it("--json is an array of rows, and leaves nothing behind", () => {
    const before = readdirSync(tmpdir()).filter((f) => f.startsWith("wirepath-bench-"));
    const r = wirepath(["bench", "decode", "docker.frames", "scale", "--quick", "--json"]);
    expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
    const rows = JSON.parse(r.stdout) as Result[];
    rows.forEach(expectShape);
    const names = rows.map((row) => row.name);
    expect(names).toEqual(
      expect.arrayContaining(["decode", "docker.frames", "scale.containers.8", "scale.connections.40"]),
    );
    expect(names).not.toContain("docker.sockets");
    for (const row of rows.filter((row) => /\.(8|40)$/.test(row.name))) expect(row.growth).toEqual(expect.any(Number));
    expect(readdirSync(tmpdir()).filter((f) => f.startsWith("wirepath-bench-") && !before.includes(f))).toEqual([]);
  });

  it("says plainly what is not installed", () => {
    const path = process.env["PATH"];
    process.env["PATH"] = join(dir, "nothing");
    try {
      const r = wirepath(["bench", "checksum", "--quick"]);
      expect(r.status).toBe(0);
      expect(r.stdout).toMatch(/^ {2}C scalar +gcc: not installed$/m);
      expect(r.stdout).toMatch(/^ {2}JavaScript +[\d.]+ GB\/s/m);
    } finally {
      process.env["PATH"] = path;
    }
  });

  it("refuses wrong words", () => {
    expectRefusal(wirepath(["bench", "tcpp"]), /there is no 'tcpp', expected one of: lpm, /);
    expectRefusal(wirepath(["bench", "--runs", "0"]), /--runs '0', expected a number/);
    expectRefusal(wirepath(["bench", "lpm", "--quick", "--table", join(dir, "missing")]), /missing: no such file/);
  });
});
