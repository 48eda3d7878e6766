// The reader against tshark, capinfos and tcpdump over the fixtures, and what the writers make as those tools see it.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CapturedPacket } from "../../src/capture/reader.ts";
import { PcapngWriter, PcapWriter } from "../../src/capture/writer.ts";
import { have } from "../support/have.ts";
import { readAll, split } from "./support.ts";

const folder = fileURLToPath(new URL("../../fixtures/captures/", import.meta.url));
const files = readdirSync(folder).filter((name) => /\.pcap(ng)?$/.test(name));

let scratch = "";
beforeAll(() => void (scratch = mkdtempSync(join(tmpdir(), "wirepath-capture-"))));
afterAll(() => rmSync(scratch, { recursive: true }));

const output = (tool: string, ...words: string[]): string =>
  execFileSync(tool, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 2 ** 26 });

/** What tshark says of every frame, and the same of ours. */
const fields = [
  "frame.number",
  "frame.time_epoch",
  "frame.cap_len",
  "frame.len",
  "frame.interface_id",
  "frame.comment",
];
const byTshark = (file: string, ...more: string[]): string[] =>
  output("tshark", "-n", "-r", file, "-T", "fields", ...[...fields, ...more].flatMap((f) => ["-e", f]))
    .replace(/\n$/, "")
    .split("\n");
const time = (p: CapturedPacket): string => `${p.seconds}.${String(p.nanoseconds).padStart(9, "0")}`;
const asTshark = (p: CapturedPacket, interfaces: boolean): string =>
  [p.number, time(p), p.capturedLength, p.originalLength, interfaces ? p.interfaceId : "", p.comments.join(",")].join(
    "\t",
  );

/** tcpdump's lines of hex, put together: one text a packet. */
function byTcpdump(file: string): string[] {
  const packets: string[] = [];
  for (const line of output("tcpdump", "-nn", "-tt", "--nano", "-xx", "-r", file).split("\n")) {
    const hex = /^\t0x[0-9a-f]{4}: {2}([0-9a-f ]+)$/.exec(line);
    if (hex !== null) packets[packets.length - 1] += hex[1]!.replaceAll(" ", "");
    else if (/^\d+\.\d{9} /.test(line)) packets.push(`${line.split(" ")[0]!} `);
  }
  return packets;
}

it("has fixtures of each kind", () => {
  expect(files).toEqual(
    expect.arrayContaining(["micro-le.pcap", "nano-be.pcap", "two-interfaces.pcapng", "sll2.pcap"]),
  );
});

describe.each(files)("%s", (name) => {
  const file = join(folder, name);
  const bytes = readFileSync(file);
  const { packets, errors, reader } = readAll([bytes]);
  const ng = name.endsWith("ng");

  it("is read whole, the same in pieces", () => {
    expect(errors).toEqual([]);
    expect(packets.length).toBeGreaterThan(2);
    expect(readAll(split(bytes, [3, 100, 101, 777])).packets).toEqual(packets);
  });

  it.skipIf(!have("tshark"))("is what tshark reads", () => {
    expect(packets.map((p) => asTshark(p, ng))).toEqual(byTshark(file));
  });

  it.skipIf(!have("capinfos"))("is what capinfos counts", () => {
    const [, count, size, dataSize] = output("capinfos", "-T", "-r", "-M", "-c", "-s", "-d", file)
      .trimEnd()
      .split("\t");
    expect(Number(count)).toBe(packets.length);
    expect(Number(size)).toBe(bytes.length);
    expect(Number(dataSize)).toBe(packets.reduce((sum, p) => sum + p.originalLength, 0));
  });

  // libpcap gives a pcapng file only when all its interfaces have one link type
  const mixed = new Set(reader.interfaces.map((i) => i.linkType)).size > 1;
  it.skipIf(mixed || !have("tcpdump"))("is what tcpdump reads, byte by byte", () => {
    expect(packets.map((p) => `${time(p)} ${Buffer.from(p.data).toString("hex")}`)).toEqual(byTcpdump(file));
  });

  it.skipIf(!have("tshark"))("is the same for tshark when it is written again", () => {
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c), { os: "none", comments: ["a copy"] });
    for (const { linkType, id } of reader.interfaces) w.addInterface({ linkType, name: `if${id}` });
    for (const s of reader.secrets) w.writeSecrets(s.data, s.type);
    for (const p of packets) {
      const direction = 1 + (p.number % 2);
      w.write(
        p.interfaceId,
        p.seconds,
        p.nanoseconds,
        p.data,
        0,
        p.capturedLength,
        p.originalLength,
        direction,
        p.comments,
      );
    }
    w.flush();
    const copy = join(scratch, `${name}.copy`);
    writeFileSync(copy, Buffer.concat(chunks));
    const want = packets.map((p) => `${asTshark(p, true)}\tif${p.interfaceId}\t0x0000000${1 + (p.number % 2)}`);
    expect(byTshark(copy, "frame.interface_name", "frame.packet_flags")).toEqual(want);

    if (mixed) return;
    const plain: Uint8Array[] = [];
    const { linkType } = reader.interfaces[0]!;
    const old = new PcapWriter((c) => plain.push(c), { linkType });
    for (const p of packets) old.write(p.seconds, p.nanoseconds, p.data, 0, p.capturedLength, p.originalLength);
    old.flush();
    writeFileSync(copy, Buffer.concat(plain));
    expect(byTshark(copy)).toEqual(packets.map((p) => asTshark({ ...p, comments: [] }, false)));
  });
});

describe("a file cut short", () => {
  const cuts: [name: string, length: number][] = [
    ["micro-be.pcap", 110],
    ["nano-le.pcap", 300],
    ["micro-le.pcap", 331],
    ["comments.pcapng", 700],
    ["two-interfaces.pcapng", 2000],
  ];
  it.skipIf(!have("tshark")).each(cuts)("has as many packets as tshark finds: %s at %i", (name, length) => {
    const bytes = readFileSync(join(folder, name)).subarray(0, length);
    const file = join(scratch, "cut");
    writeFileSync(file, bytes);
    const r = spawnSync("tshark", ["-n", "-r", file, "-T", "fields", "-e", "frame.number"], { encoding: "utf8" });
    expect(r.stderr).toMatch(/cut short/);
    const { packets, errors } = readAll([bytes]);
    expect(packets.map((p) => `${p.number}\n`).join("")).toBe(r.stdout);
    expect(errors).toHaveLength(1);
  });
});

describe("secrets and what is told of a file", () => {
  it("finds the key log that editcap put in", () => {
    const { reader } = readAll([readFileSync(join(folder, "secrets.pcapng"))]);
    expect(reader.secrets.map((s) => Buffer.from(s.data).toString())).toEqual([
      `CLIENT_RANDOM ${"ab".repeat(32)} ${"cd".repeat(48)}\n`,
    ]);
  });

  it.skipIf(!have("editcap"))("writes secrets that editcap takes out again", () => {
    const log = `CLIENT_RANDOM ${"12".repeat(32)} ${"34".repeat(48)}\n`;
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c));
    w.addInterface();
    w.writeSecrets(Buffer.from(log));
    w.write(0, 1, 0, new Uint8Array(60));
    w.flush();
    const [file, keys, bare] = ["secrets.pcapng", "keys", "bare.pcapng"].map((n) => join(scratch, n)) as [
      string,
      string,
      string,
    ];
    writeFileSync(file, Buffer.concat(chunks));
    expect(Buffer.concat(chunks).includes(log)).toBe(true);
    output("editcap", "--discard-all-secrets", file, bare);
    expect(readAll([readFileSync(bare)]).reader.secrets).toEqual([]);
    // injected by the tool into the bare file, they come back as we wrote them
    writeFileSync(keys, log);
    output("editcap", "--inject-secrets", `tls,${keys}`, bare, file);
    expect(readAll([readFileSync(file)]).reader.secrets.map((s) => Buffer.from(s.data).toString())).toEqual([log]);
  });

  it.skipIf(!have("capinfos"))("tells capinfos about program, system and interfaces", () => {
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c), { os: "an os", hardware: "a machine", comments: ["why"] });
    w.addInterface({ name: "eth0", description: "the uplink", speed: 1_000_000_000 });
    w.addInterface({ name: "tun0", linkType: 101, snapLength: 96 });
    w.write(1, 1_600_000_000, 1, Buffer.from("450000140001000040000000c0000201c0000202", "hex"));
    w.writeStatistics(1, { seconds: 1_600_000_001, nanoseconds: 0, received: 1, dropped: 0 });
    w.flush();
    const file = join(scratch, "told.pcapng");
    writeFileSync(file, Buffer.concat(chunks));
    const said = output("capinfos", file);
    for (const line of [/hardware: +a machine/, /oper-sys: +an os/, /application: +wirepath/, /comment: +why/]) {
      expect(said).toMatch(line);
    }
    expect(said).toMatch(/Name = eth0\s+Description = the uplink[^]+Name = tun0\s+Encapsulation = Raw IP/);
    expect(said).toMatch(/Speed = 1000000000/);
    expect(said.match(/Number of stat entries = 1/g)).toHaveLength(1);
  });
});
