import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCapture } from "../../src/capture/reader.ts";
import { openOutput, readChunks } from "../../src/node/files.ts";

let dir = "";
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "wirepath-files-"))));
afterAll(() => rmSync(dir, { recursive: true }));

const source = fileURLToPath(new URL("../../src/node/files.ts", import.meta.url));

async function join2(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const c of chunks) parts.push(Uint8Array.from(c));
  return Buffer.concat(parts);
}

describe("readChunks", () => {
  it("gives a file in chunks, kept or reused", async () => {
    const file = join(dir, "a");
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => i & 255));
    writeFileSync(file, bytes);
    for (const chunkLength of [1, 7, 256, 1000, 4096]) {
      expect(await join2(readChunks(file, { chunkLength }))).toEqual(bytes);
      expect(await join2(readChunks(file, { chunkLength, reuse: true }))).toEqual(bytes);
    }
    const kept: Uint8Array[] = [];
    for await (const c of readChunks(file, { chunkLength: 300 })) kept.push(c);
    expect(kept.map((c) => c.length)).toEqual([300, 300, 300, 100]);
    expect(Buffer.concat(kept)).toEqual(bytes);
  });

  it("reads a capture in a reused buffer", async () => {
    const file = fileURLToPath(new URL("../../fixtures/captures/micro-le.pcap", import.meta.url));
    const lengths: number[] = [];
    for await (const r of readCapture(readChunks(file, { reuse: true, chunkLength: 50 }))) {
      while (r.next()) lengths.push(r.capturedLength);
    }
    expect(lengths).toEqual([42, 75, 62, 81, 1442]);
  });

  it("says what is wrong with a path", async () => {
    const missing = join(dir, "missing");
    await expect(join2(readChunks(missing))).rejects.toThrow(`${missing}: no such file`);
    await expect(join2(readChunks(dir))).rejects.toThrow(`${dir}: is a directory`);
    writeFileSync(join(dir, "file"), "x");
    await expect(join2(readChunks(join(dir, "file/below")))).rejects.toThrow("a part of the path is not a directory");
    await expect(join2(readChunks(missing))).rejects.toMatchObject({
      name: "FileError",
      code: "ENOENT",
      path: missing,
    });
  });
});

describe("openOutput", () => {
  it("writes in order, with room when there is none", async () => {
    const file = join(dir, "out");
    const out = await openOutput(file);
    let waits = 0;
    for (let i = 0; i < 100; i++) {
      out.write(new Uint8Array(100_000).fill(i));
      if (out.full) {
        waits++;
        await out.drained();
        expect(out.full).toBe(false);
      }
    }
    await out.close();
    const written = readFileSync(file);
    expect(written.length).toBe(10_000_000);
    expect(written.every((b, i) => b === Math.floor(i / 100_000))).toBe(true);
    expect(waits).toBeGreaterThan(0);
  });

  it("says what is wrong with a path", async () => {
    await expect(openOutput(dir)).rejects.toThrow(`${dir}: is a directory`);
    await expect(openOutput(join(dir, "no/where"))).rejects.toThrow(`${join(dir, "no/where")}: no such file`);
  });

  it("says when the device is full", async () => {
    const out = await openOutput("/dev/full");
    out.write(new Uint8Array(10));
    await expect(out.close()).rejects.toThrow("/dev/full: no space left on the device");
  });
});

it("reads stdin and writes stdout for `-`", () => {
  const program = `
    import { openOutput, readChunks } from ${JSON.stringify(source)};
    const copy = async () => {
      const out = await openOutput("-");
      for await (const c of readChunks("-")) { out.write(c); if (out.full) await out.drained(); }
      await out.close();
    };
    void copy();`;
  const input = Buffer.alloc(1_000_000, "wirepath ");
  const tsx = fileURLToPath(import.meta.resolve("tsx"));
  const r = spawnSync(process.execPath, ["--import", tsx, "--input-type=module", "-e", program], {
    input,
    maxBuffer: 2 ** 24,
  });
  expect(r.stderr.toString()).toBe("");
  expect(r.status).toBe(0);
  expect(r.stdout.equals(input)).toBe(true);
});
