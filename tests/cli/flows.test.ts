// `wirepath flows` and `wirepath decode --stats` as a user types them.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { afterAll, describe, expect, it } from "vitest";
import { expectRefusal, root, wirepath } from "../support/cli.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-flows-"));
afterAll(() => rmSync(dir, { recursive: true }));

const text = join(root, "fixtures/decode/text.pcap");
const demo = join(root, "fixtures/demo/host.pcapng");

type Row = Record<string, string | number>;
const rows = (out: string): Row[] =>
  out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

describe("flows", () => {
  it("prints a line for each, in the order of their first packets", () => {
    const r = wirepath(["flows", text]);
    expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
    const first = r.stdout.split("\n").slice(0, 5);
    expect(first[0]).toBe(
      '{"src":"10.0.0.1","dst":"10.0.0.2","proto":"icmp","packets":7,"bytes":447,"packets_back":0,"bytes_back":0,' +
        '"first":1577836800.000000000,"last":1577836806.006000000}',
    );
    expect(first[4]).toBe(
      '{"src":"10.0.0.1","sport":40000,"dst":"10.0.0.2","dport":80,"proto":"tcp","packets":5,"bytes":330,"packets_back":3,"bytes_back":208,' +
        '"first":1577836813.013000000,"last":1577836820.020000000,"flags":"SRPA","flags_back":"SPA"}',
    );
  });

  it("reads stdin, takes a filter", () => {
    const bytes = readFileSync(text);
    expect(wirepath(["flows", "-"], bytes).stdout).toBe(wirepath(["flows", text]).stdout);
    const udp = rows(wirepath(["flows", text, "--filter", "udp port 53"]).stdout);
    expect(udp.map((f) => [f["proto"], f["sport"], f["dport"]])).toEqual([
      ["udp", 40000, 53],
      ["udp", 53, 40000],
    ]);
  });

  it("writes CSV and Parquet with the same values", async () => {
    const json = rows(wirepath(["flows", demo]).stdout);
    const csv = wirepath(["flows", demo, "--csv"])
      .stdout.trimEnd()
      .split("\n")
      .map((line) => line.split(","));
    const [head, ...lines] = csv;
    expect(
      lines.map((line) => Object.fromEntries(line.map((v, i) => [head![i], v]).filter(([, v]) => v !== ""))),
    ).toEqual(
      json.map((f) =>
        Object.fromEntries(
          Object.entries(f).map(([k, v]) => [
            k,
            k === "first" || k === "last" ? expect.stringContaining(String(v).slice(0, 14)) : String(v),
          ]),
        ),
      ),
    );
    const file = join(dir, "flows.parquet");
    expect(wirepath(["flows", demo, "-o", file])).toEqual({ status: 0, stdout: "", stderr: "" });
    const bytes = Uint8Array.from(readFileSync(file)).buffer;
    expect(parquetMetadata(bytes).num_rows).toBe(BigInt(json.length));
    const read = (await parquetReadObjects({ file: bytes, parsers: undefined })) as Record<string, unknown>[];
    for (const [i, f] of read.entries()) {
      for (const [name, v] of Object.entries(f)) {
        if (name === "first" || name === "last") continue;
        expect([name, v === null ? undefined : typeof v === "bigint" ? Number(v) : v]).toEqual([name, json[i]![name]]);
      }
      expect(f["first"]).toBeInstanceOf(Date);
    }
    const named = join(dir, "flows.csv");
    wirepath(["flows", demo, "-o", named]);
    expect(readFileSync(named, "utf8")).toBe(wirepath(["flows", demo, "--csv"]).stdout);
  });

  it("tells what came before the damage, then the damage", () => {
    const bytes = readFileSync(text);
    const cut = join(dir, "cut.pcap");
    writeFileSync(cut, bytes.subarray(0, bytes.length - 3));
    const r = wirepath(["flows", cut]);
    expectRefusal(r, /cut\.pcap: packet \d+ at offset \d+: .* left in the file/);
    expect(rows(r.stdout).length).toBeGreaterThan(5);
    const both = wirepath(["flows", cut, demo]);
    expectRefusal(both, /cut\.pcap: packet/);
    expect(rows(both.stdout).map((f) => f["file"])).toContain(demo);
  });

  it.each([
    [[], /no CAPTURE/],
    [[text, "--nonsense"], /nonsense/],
    [[text, "--limit", "0"], /--limit '0', expected a number from 1/],
    [[text, "--filter", "udp prot 53"], /prot/],
    [[join(dir, "missing.pcap")], /missing\.pcap: no such file/],
    [[dir], /is a directory/],
    [[join(root, "README.md")], /README\.md: not a capture/],
    [[text, "-o", join(dir, "no/such/place.csv")], /place\.csv: no such file/],
    [[text, "--csv", "-o", join(dir, "x.parquet")], /expected one of the two/],
    [[text, "--limit", "3"], /more than 3 flows: \d+ packets are in none/],
  ] as [string[], RegExp][])("refuses %j", (words, what) => expectRefusal(wirepath(["flows", ...words]), what));
});

describe("decode --stats", () => {
  it("prints a table", () => {
    const r = wirepath(["decode", "--stats", text]);
    expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
    expect(r.stdout).toMatch(
      /^27 frames, 1663 bytes on the wire, 1663 captured\n2020-01-01 00:00:00\.000000000 to 2020-01-01 00:00:26\.026000000 UTC, /,
    );
    expect(r.stdout).toMatch(/\n  checksums  bad  good  unverified  absent\n/);
    expect(r.stdout).toMatch(/\n  eth:ip:tcp +\d+ +\d+\n/);
    expect(r.stdout).toMatch(/\n  tcp +10\.0\.0\.1:40000 +10\.0\.0\.2:80 +5 +330 +3 +208\n/);
  });

  it("adds up captures, as JSON, filtered and cut after N frames", () => {
    const of = (...words: string[]): Record<string, number> =>
      JSON.parse(wirepath(["decode", "--stats", "--json", ...words]).stdout) as Record<string, number>;
    const [a, b, both] = [of(text), of(demo), of(text, demo)];
    for (const key of ["frames", "bytes", "captured_bytes", "flows"])
      expect([key, both[key]]).toEqual([key, a[key]! + b[key]!]);
    expect(of(text, "-c", "3")["frames"]).toBe(3);
    const lines = wirepath(["decode", "--json", text, "--filter", "tcp"]).stdout.trimEnd().split("\n");
    expect(of(text, "--filter", "tcp")["frames"]).toBe(lines.length);
  });

  it("tells what came before the damage, then the damage", () => {
    const bytes = readFileSync(demo);
    const cut = join(dir, "stats.pcapng");
    writeFileSync(cut, bytes.subarray(0, bytes.length - 30));
    const r = wirepath(["decode", "--stats", cut]);
    expectRefusal(r, /stats\.pcapng: .* left in the file/);
    expect(r.stdout).toMatch(/^\d+ frames/);
    const none = wirepath(["decode", "--stats", join(root, "README.md")]);
    expectRefusal(none, /not a capture/);
    expect(none.stdout).toBe("");
  });
});

describe("threads", () => {
  // the sources run without: this is what the package has
  const built = (...words: string[]) =>
    spawnSync(process.execPath, [join(root, "dist/src/cli/main.js"), ...words], { encoding: "utf8", cwd: root });

  it("answer what one file after the other does", () => {
    const captures = [
      text,
      demo,
      join(root, "fixtures/decode/mutated.pcap"),
      text,
      join(root, "fixtures/captures/snap.pcap"),
    ];
    const flows = built("flows", ...captures);
    expect({ status: flows.status, stderr: flows.stderr }).toEqual({ status: 0, stderr: "" });
    expect(flows.stdout).toBe(wirepath(["flows", ...captures]).stdout);
    expect([...new Set(rows(flows.stdout).map((f) => f["file"]))]).toEqual([...new Set(captures)]);
    expect(built("decode", "--stats", ...captures).stdout).toBe(wirepath(["decode", "--stats", ...captures]).stdout);
  });

  it("name the file that is wrong, and do the others", () => {
    const r = built("flows", text, join(dir, "missing.pcap"), demo);
    expect({ status: r.status, stderr: r.stderr }).toEqual({
      status: 2,
      stderr: expect.stringMatching(/^wirepath: .*missing\.pcap: no such file\n$/),
    });
    expect(rows(r.stdout).map((f) => f["file"])).toContain(demo);
  });
});
