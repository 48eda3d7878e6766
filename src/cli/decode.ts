// src/cli/decode.ts: `wirepath decode`: the frames of a capture as text or as JSON lines.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { CaptureError } from "../capture/format.ts";
import { CaptureReader } from "../capture/reader.ts";
import { Dissection } from "../core/dissect.ts";
import { loadCore } from "../node/core.ts";
import { ByteWriter } from "./byte-writer.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { JsonLines } from "./decode-json.ts";

const CHUNK = 256 * 1024;
/** Output is written in blocks of about this size. */
const BLOCK = 256 * 1024;

const help = `usage: wirepath decode CAPTURE [--json] [--filter EXPR]

Prints the frames of a capture (pcap or pcapng; - is stdin).

  --json          one JSON object a frame, with Wireshark's field names
  --filter EXPR   only frames that the pcap filter matches
  -c N            stop after N frames
`;

/** Writes all of `bytes` to stdout, waiting while the reader is busy. */
function write(bytes: Uint8Array): Promise<void> {
  return new Promise((done) => {
    if (process.stdout.write(bytes)) done();
    else process.stdout.once("drain", done);
  });
}

function open(file: string): number {
  if (file === "-") return 0;
  const fd = openSync(file, "r");
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw new Failure(`${file}: is a directory, expected a capture file`);
  }
  return fd;
}

async function decode(file: string, most: number): Promise<void> {
  const core = loadCore();
  const d = new Dissection(core);
  const out = new ByteWriter(BLOCK * 2);
  const json = new JsonLines(d, out);
  const reader = new CaptureReader();
  const chunkAt = core.x.alloc(CHUNK) >>> 0;
  const chunk = core.u8.subarray(chunkAt, chunkAt + CHUNK);
  const strayAt = core.x.alloc(CHUNK) >>> 0;
  const fd = open(file);
  let printed = 0;
  try {
    for (let eof = false; !eof && printed < most; ) {
      const n = readSync(fd, chunk, 0, CHUNK, null);
      eof = n === 0;
      if (eof) reader.end();
      else reader.push(chunk.subarray(0, n));
      while (printed < most && reader.next()) {
        const length = reader.capturedLength;
        let at = strayAt;
        if (reader.buffer.buffer === core.u8.buffer) at = reader.buffer.byteOffset + reader.offset;
        else core.u8.set(reader.data(), strayAt);
        d.dissect(at, length, reader.originalLength, reader.linkType);
        json.frame(reader.number);
        printed++;
        if (out.at >= BLOCK) {
          await write(out.bytes.slice(0, out.at));
          out.at = 0;
        }
      }
    }
  } catch (e) {
    if (e instanceof CaptureError) throw new Failure(`${file}: ${e.message}`);
    throw e;
  } finally {
    if (fd !== 0) closeSync(fd);
    if (out.at > 0) await write(out.bytes.slice(0, out.at));
  }
}

export const command: Command = {
  help,
  async run(words) {
    const { values, positionals } = parseWords(words, {
      options: { json: { type: "boolean" }, filter: { type: "string" }, count: { type: "string", short: "c" } },
      allowPositionals: true,
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new Failure("decode: one CAPTURE expected");
    await decode(file, values.count === undefined ? Infinity : Number(values.count));
    return 0;
  },
};
