// The columns of a chunk are those of its frames one by one, however the file is cut into chunks.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Rec } from "../../assembly/record.ts";
import { Column, ColumnFlag } from "../../assembly/walklayout.ts";
import { ColumnReader } from "../../src/capture/columns.ts";
import { CaptureError, Direction } from "../../src/capture/format.ts";
import { CaptureReader } from "../../src/capture/reader.ts";
import { PcapngWriter } from "../../src/capture/writer.ts";
import type { Core } from "../../src/core/core.ts";
import { Dissection } from "../../src/core/dissect.ts";
import { coreOf, overBuilds } from "../support/cores.ts";

const fixtures = join(import.meta.dirname, "../../fixtures");

/** One line a frame: number, interface, link type, time, direction, the record's words but its address. Then the error. */
type Lines = string[];

const said = (e: unknown): string => {
  if (!(e instanceof CaptureError)) throw e;
  return `${e.message} @${e.offset}`;
};

/** Frame by frame. */
function oneByOne(core: Core, bytes: Uint8Array): Lines {
  const d = new Dissection(core);
  const at = core.x.alloc(262144) >>> 0;
  const r = new CaptureReader();
  const lines: Lines = [];
  try {
    r.push(bytes);
    while (r.next()) {
      core.u8.set(r.data(), at);
      d.dissect(at, r.capturedLength, r.originalLength, r.linkType);
      const words = core.u32.slice(d.words + 1, d.words + Rec.Size / 4);
      lines.push([r.number, r.interfaceId, r.linkType, r.seconds, r.nanoseconds, r.timed, r.direction, words].join());
    }
    r.end();
  } catch (e) {
    lines.push(said(e));
  } finally {
    core.x.release(at, 262144);
  }
  return lines;
}

/** By chunks of these lengths in turn, batches of at most `batch`. */
function byChunks(core: Core, bytes: Uint8Array, lengths: readonly number[], batch: number): Lines {
  const c = new ColumnReader(core, batch);
  const lines: Lines = [];
  let turn = 0;
  try {
    for (let from = 0; from < bytes.length;) {
      const n = Math.min(bytes.length - from, c.chunk.length, lengths[turn++ % lengths.length]!);
      // what was in the chunk before must not matter
      c.chunk.fill(0xa5);
      c.chunk.set(bytes.subarray(from, from + n));
      from += n;
      c.push(n);
      while (c.next()) {
        expect(c.count).toBeLessThanOrEqual(batch);
        for (let i = 0; i < c.count; i++) {
          const entry = c.records + i * Column.Size;
          const flags = core.u32[(entry + Column.Interface) >>> 2]!;
          const id = c.interfaceOf(entry);
          lines.push(
            [
              c.first + i,
              id,
              c.reader.interfaces[id]!.linkType,
              core.view.getFloat64(entry + Column.Seconds, true),
              core.u32[(entry + Column.Nanoseconds) >>> 2],
              (flags & ColumnFlag.Untimed) === 0,
              (flags & ColumnFlag.Direction) >>> 24,
              core.u32.slice((entry >>> 2) + 1, (entry + Rec.Size) >>> 2),
            ].join(),
          );
        }
      }
    }
    c.end();
  } catch (e) {
    lines.push(said(e));
  }
  c.free();
  return lines;
}

const files = ["captures", "decode", "demo", "oracle", "conntrack", "filter"]
  .flatMap((dir) =>
    readdirSync(join(fixtures, dir), { recursive: true, encoding: "utf8" }).map((name) => join(dir, name)),
  )
  .filter((name) => /\.(pcap|pcapng)(\.gz)?$/.test(name));

const contents = (name: string): Uint8Array => {
  const bytes = readFileSync(join(fixtures, name));
  return name.endsWith(".gz") ? gunzipSync(bytes) : bytes;
};

describe("fixtures", () => {
  const core = coreOf("release");

  it("has some of each kind", () => {
    expect(files.length).toBeGreaterThan(60);
  });

  it.each(files)("%s", (name) => {
    const bytes = contents(name);
    const want = oneByOne(core, bytes);
    expect(want.length).toBeGreaterThan(0);
    for (const lengths of [[262144], [65536, 1], [997, 13, 4096]])
      expect(byChunks(core, bytes, lengths, 1024)).toEqual(want);
    expect(byChunks(core, bytes, [262144], 3)).toEqual(want);
    expect(byChunks(core, bytes.subarray(0, bytes.length - 7), [262144], 1024)).toEqual(
      oneByOne(core, bytes.subarray(0, bytes.length - 7)),
    );
  });
});

/** Small captures of every form, and one with packets of every direction, with and without comments. */
const small = [
  "captures/micro-be.pcap",
  "captures/micro-le.pcap",
  "captures/nano-be.pcap",
  "captures/nano-le.pcap",
  "captures/comments.pcapng",
  "captures/two-interfaces.pcapng",
  "captures/secrets.pcapng",
  "captures/sll2.pcap",
  "decode/text.pcap",
].map(contents);

function directions(): Uint8Array {
  const parts: Uint8Array[] = [];
  const w = new PcapngWriter((bytes) => void parts.push(bytes.slice()));
  w.addInterface();
  w.addInterface({ linkType: 101 });
  const packet = contents("captures/micro-le.pcap").subarray(40, 40 + 42);
  for (let i = 0; i < 24; i++) {
    const direction = [Direction.Unknown, Direction.In, Direction.Out][i % 3]!;
    w.write(i & 1, 1e9 + i, 999_999_999 - i, packet, 0, 42 - (i % 5), 42, direction, i % 4 === 3 ? ["noted"] : null);
  }
  w.flush();
  return Buffer.concat(parts);
}

overBuilds("columns", (make) => {
  const core = make();
  const captures = [...small, directions()];

  it("are the same at any chunking, of files cut and damaged anywhere", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...captures),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.option(fc.nat(), { nil: undefined }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        (capture, lengths, batch, cut, changes) => {
          const bytes = Uint8Array.from(cut === undefined ? capture : capture.subarray(0, cut % (capture.length + 1)));
          for (const [at, v] of changes) if (bytes.length > 0) bytes[at % bytes.length] = v;
          expect(byChunks(core, bytes, lengths, batch)).toEqual(oneByOne(core, bytes));
        },
      ),
      { numRuns: 400 },
    );
  });

  it("of two sections with different byte orders", () => {
    const section = (big: boolean, units: number): Uint8Array => {
      const b = new DataView(new ArrayBuffer(28 + 32 + 48));
      const words = [0x0a0d0d0a, 28, 0x1a2b3c4d, big ? 0x10000 : 1, 0xffffffff, 0xffffffff, 28];
      words.push(1, 32, big ? 1 << 16 : 1, 64, big ? 0x00090001 : 0x00010009, 0, 0, 32);
      words.push(6, 48, 0, 5, 77, 14, 60, 0, 0, 0, 0, 48);
      words.forEach((v, i) => b.setUint32(4 * i, v, !big));
      b.setUint8(28 + 20, units);
      return new Uint8Array(b.buffer);
    };
    // microseconds, nanoseconds, and two resolutions that are left to the reader
    const bytes = Buffer.concat([
      section(false, 6),
      section(true, 9),
      section(true, 0x94),
      section(false, 12),
      section(false, 9),
    ]);
    const want = oneByOne(core, bytes);
    expect(want).toHaveLength(5);
    for (const n of [1, 50, 4096]) expect(byChunks(core, bytes, [n], 8)).toEqual(want);
  });

  it("gives its memory back", () => {
    new ColumnReader(core).free();
    const before = core.x.arenaUsed();
    for (let i = 0; i < 100; i++) new ColumnReader(core).free();
    expect(core.x.arenaUsed()).toBe(before);
  });
});
