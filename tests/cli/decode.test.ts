import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { overBuilds } from "../support/cores.ts";
import { decodeLines, fixture } from "../support/decode.ts";
import { differences, type Decoded } from "../support/tshark.ts";

const names = ["link", "cut", "options", "dns", "http", "mutated", "rawip", "sll", "sll2", "null"];

overBuilds("decode --json", (make) => {
  it.each(names)("%s: every field as tshark shows it", (name) => {
    const expected = readFileSync(new URL(`../../fixtures/decode/${name}.expected.ndjson`, import.meta.url), "utf8")
      .trim()
      .split("\n");
    const got = decodeLines(make(), fixture(`decode/${name}.pcap`), "json");
    expect(got.length).toBe(expected.length);
    const wrong = got.flatMap((line, i) =>
      differences(JSON.parse(line) as Decoded, JSON.parse(expected[i]!) as Decoded).map((d) => `frame ${i + 1}: ${d}`),
    );
    expect(wrong).toEqual([]);
  });
});

overBuilds("decode --streams", (make) => {
  it("prints the frames that complete a message, as tshark shows them", () => {
    const expected = readFileSync(new URL("../../fixtures/decode/streams.expected.ndjson", import.meta.url), "utf8")
      .trim()
      .split("\n");
    const got = decodeLines(make(), fixture("decode/streams.pcap"), "streams");
    const wrong = expected.flatMap((line, i) =>
      differences(JSON.parse(got[i] ?? "{}") as Decoded, JSON.parse(line) as Decoded),
    );
    expect([wrong, got.length]).toEqual([[], expected.length]);
  });
});

overBuilds("decode", (make) => {
  it("prints the lines of tcpdump -nn -e -t", () => {
    const expected = readFileSync(new URL("../../fixtures/decode/text.expected.txt", import.meta.url), "utf8")
      .trimEnd()
      .split("\n");
    expect(decodeLines(make(), fixture("decode/text.pcap"), "text")).toEqual(expected);
  });
});

describe("wirepath decode", () => {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const words = ["--import", "tsx", main, "decode"];
  const path = (name: string): string => fileURLToPath(new URL(`../../fixtures/decode/${name}`, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "wirepath-decode-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  function run(args: string[], input?: Uint8Array): { status: number | null; out: string; err: string } {
    const r = spawnSync(process.execPath, [...words, ...args], { input, encoding: "utf8", maxBuffer: 1 << 28 });
    return { status: r.status, out: r.stdout, err: r.stderr };
  }

  it("reads stdin, counts and filters", () => {
    const r = run(["--json", "-c", "2", "--filter", "udp port 53", "-"], fixture("decode/dns.pcap"));
    const frames = r.out
      .trim()
      .split("\n")
      .map((l) => JSON.parse(l) as Decoded);
    expect(r).toMatchObject({ status: 0, err: "" });
    expect(frames.map((f) => [f["frame.number"], f["udp.dstport"]])).toEqual([
      [1, 53],
      [2, 53],
    ]);
  });

  it("prints all frames before the cut, then one line, status 2", () => {
    const whole = fixture("decode/text.pcap");
    const file = join(folder, "cut.pcap");
    writeFileSync(file, whole.subarray(0, whole.length - 3));
    const all = run([path("text.pcap")])
      .out.trim()
      .split("\n");
    const r = run([file]);
    expect(r.status).toBe(2);
    expect(r.out.trim().split("\n")).toEqual(all.slice(0, -1));
    expect(r.err).toMatch(
      /^wirepath: .*cut\.pcap: packet \d+ at offset \d+: \d+ bytes captured, \d+ left in the file\n$/,
    );
  });

  it.each([
    [["/nonexistent.pcap"], /nonexistent\.pcap/],
    [[tmpdir()], /is a directory/],
    [[path("link.md")], /not a capture/],
    [[], /no CAPTURE/],
    [["a", "b"], /got also 'b'/],
    [["-c", "0", path("text.pcap")], /-c '0'/],
    [["--filter", "tcp prot 80", path("text.pcap")], /filter: column/],
    [["--nonsense", path("text.pcap")], /nonsense/],
  ])("refuses %j with one line", (args, message) => {
    const r = run(args);
    expect(r.status).toBe(2);
    expect(r.err).toMatch(message);
    expect(r.err.trim().split("\n").length).toBe(1);
    expect(r.out).toBe("");
  });

  it("names a link type that it does not decode", () => {
    const bytes = fixture("decode/text.pcap").slice();
    bytes[20] = 105;
    const r = run(["-"], bytes);
    expect(r.status).toBe(2);
    expect(r.err).toMatch(/packet 1: link type 105/);
  });

  it("ends quietly when its reader goes away", async () => {
    const file = join(folder, "long.pcap");
    const whole = fixture("decode/options.pcap");
    const body = whole.subarray(24);
    const long = new Uint8Array(24 + body.length * 40);
    long.set(whole.subarray(0, 24));
    for (let i = 0; i < 40; i++) long.set(body, 24 + i * body.length);
    writeFileSync(file, long);
    const child = spawn(process.execPath, [...words, "--json", file], { stdio: ["ignore", "pipe", "pipe"] });
    let err = "";
    child.stderr.on("data", (s: Buffer) => (err += s.toString()));
    await once(child.stdout, "data");
    child.stdout.destroy();
    const [status] = (await once(child, "close")) as [number];
    expect([status, err]).toEqual([0, ""]);
  });

  it("prints bytes as tcpdump -X does", () => {
    const fd = openSync(path("text.pcap"), "r");
    const head = new Uint8Array(24 + 16);
    readSync(fd, head, 0, head.length, 0);
    closeSync(fd);
    const [, ...lines] = run(["-XX", "-t", "-c", "1", path("text.pcap")])
      .out.trimEnd()
      .split("\n");
    const hex = lines.map((l) => l.slice(10, 50).replaceAll(" ", "")).join("");
    expect(hex.length).toBe(2 * new DataView(head.buffer).getUint32(32, true));
    expect(lines[0]).toMatch(/^\t0x0000: ( [0-9a-f]{4}){8} {2}\S{16}$/);
  });
});
