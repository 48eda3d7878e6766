import fc from "fast-check";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { CaptureReader } from "../../src/capture/reader.ts";
import { coreOf } from "../support/cores.ts";
import { decodeLines, fixture } from "../support/decode.ts";
import {
  type Decoded,
  differences,
  isMessage,
  STATELESS,
  STREAMS,
  tsharkFrames,
  tsharkVersion,
} from "../support/tshark.ts";

const version = tsharkVersion();
const here = version === "4.0";
if (!here)
  console.warn(
    `tshark 4.0 is not here (${version ?? "none"}): the decoder is compared with the committed fixtures only`,
  );

const names = ["link", "cut", "options", "dns", "http", "mutated", "rawip", "sll", "sll2", "null"];
const folder = mkdtempSync(join(tmpdir(), "wirepath-tshark-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function tshark(file: string): Promise<Decoded[]> {
  const frames: Decoded[] = [];
  await tsharkFrames(file, STATELESS, (f) => frames.push(f));
  return frames;
}

describe.runIf(here)("decode against tshark", () => {
  it.each(names)("fixtures/decode/%s.expected.ndjson is what tshark shows", async (name) => {
    const expected = readFileSync(new URL(`../../fixtures/decode/${name}.expected.ndjson`, import.meta.url), "utf8")
      .trim()
      .split("\n");
    const frames = await tshark(fileURLToPath(new URL(`../../fixtures/decode/${name}.pcap`, import.meta.url)));
    expect(frames.map((f) => JSON.stringify(f))).toEqual(expected);
  });

  it("fixtures/decode/streams.expected.ndjson is what tshark shows of complete messages", async () => {
    const expected = readFileSync(new URL("../../fixtures/decode/streams.expected.ndjson", import.meta.url), "utf8")
      .trim()
      .split("\n");
    const frames: Decoded[] = [];
    await tsharkFrames(fileURLToPath(new URL("../../fixtures/decode/streams.pcap", import.meta.url)), STREAMS, (f) => {
      if (isMessage(f)) frames.push(f);
    });
    expect(frames.map((f) => JSON.stringify(f))).toEqual(expected);
  });

  // one capture of some hundred frames a run: starting tshark is what costs
  const frames: Uint8Array[] = [];
  for (const name of ["link", "options", "dns", "http"]) {
    const reader = new CaptureReader();
    reader.push(fixture(`decode/${name}.pcap`));
    while (reader.next()) if (reader.capturedLength > 34) frames.push(reader.data().slice());
  }

  it("shows the same of mutated and shortened frames", async () => {
    const mutated = fc.record({
      which: fc.nat(frames.length - 1),
      bytes: fc.array(
        fc.tuple(fc.integer({ min: 12, max: 61 }), fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 255), fc.nat(255))),
        { maxLength: 3 },
      ),
      cut: fc.option(fc.nat(80), { freq: 5 }),
      short: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(mutated, { minLength: 300, maxLength: 300 }), async (list) => {
        const capture = pcap(
          list.map(({ which, bytes, cut, short }) => {
            const b = frames[which]!.slice();
            for (const [at, v] of bytes) if (at < b.length) b[at] = v;
            const kept = cut === null ? b : b.subarray(0, Math.min(cut, b.length));
            return { bytes: kept, length: short ? kept.length : b.length };
          }),
        );
        const file = join(folder, "mutated.pcap");
        writeFileSync(file, capture);
        const theirs = await tshark(file);
        const ours = decodeLines(coreOf("release"), capture, "json").map((l) => JSON.parse(l) as Decoded);
        const wrong = theirs.flatMap((t, i) => differences(ours[i] ?? {}, t).map((d) => `frame ${i + 1}: ${d}`));
        expect(wrong).toEqual([]);
      }),
      { numRuns: 5, seed: 20, endOnFailure: true },
    );
  });
});

/** A capture of Ethernet frames, `length` bytes each on the wire. */
function pcap(list: { bytes: Uint8Array; length: number }[]): Uint8Array {
  const out = new Uint8Array(24 + list.reduce((n, f) => n + 16 + f.bytes.length, 0));
  const v = new DataView(out.buffer);
  v.setUint32(0, 0xa1b2c3d4, true);
  v.setUint16(4, 2, true);
  v.setUint16(6, 4, true);
  v.setUint32(16, 262144, true);
  v.setUint32(20, 1, true);
  let at = 24;
  for (const { bytes, length } of list) {
    v.setUint32(at + 8, bytes.length, true);
    v.setUint32(at + 12, length, true);
    out.set(bytes, at + 16);
    at += 16 + bytes.length;
  }
  return out;
}
