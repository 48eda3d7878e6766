// src/cli/decode.ts: `wirepath decode`: the frames of a capture as text or as JSON lines.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { LinkType } from "../../assembly/record.ts";
import { compileFilter, type LoadedFilter, loadFilter, matches } from "../capture/filter/index.ts";
import { CaptureError, Direction, MAX_CAPTURED } from "../capture/format.ts";
import { CaptureReader } from "../capture/reader.ts";
import type { Core } from "../core/core.ts";
import { Dissection } from "../core/dissect.ts";
import { loadCore } from "../node/core.ts";
import { ByteWriter, printable } from "./byte-writer.ts";
import { fileError } from "../node/files.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { JsonLines } from "./decode-json.ts";
import { TextLines, type TextOptions } from "./decode-text.ts";

const CHUNK = 256 * 1024;
/** Output is written in blocks of about this size. */
const BLOCK = 256 * 1024;

const help = `usage: wirepath decode CAPTURE [--json | --streams] [--filter EXPR] [-c N] [-t...] [-x | -xx | -X | -XX] [--interface]

Prints the frames of a capture (pcap or pcapng; - is stdin): text in the form of
'tcpdump -nn -e' with times in UTC, or JSON.

  --json          one JSON object a frame, with Wireshark's field names
  --streams       JSON lines of the frames that complete an HTTP or a DNS message, TCP put together
  --filter EXPR   only frames that the pcap filter matches
  -c N            stop after N frames
  -t, -tt, -tttt  no time; seconds since 1970; date and time
  -x, -X          the packet's bytes in hex, in hex and ASCII; twice: with the link header
  --interface     the name of the interface in front (pcapng)

Comments of a pcapng file stand below their frame.
`;

interface Options {
  readonly json: boolean;
  readonly filter: string | null;
  readonly most: number;
  readonly text: TextOptions;
  readonly interfaces: boolean;
  readonly streams: boolean;
}

/** Writes to stdout and waits until it was taken: a slow reader slows the decoder down. */
class Sink {
  private failed = false;

  constructor(private readonly out: ByteWriter) {}

  async flush(): Promise<void> {
    const { out } = this;
    if (out.at === 0 || this.failed) return;
    const bytes = out.bytes.subarray(0, out.at);
    // the callback comes when the bytes are with the system: only then may they be overwritten
    await new Promise<void>((done, fail) => {
      process.stdout.write(bytes, (e) => (e ? fail(e) : done()));
    });
    out.at = 0;
  }
}

function open(file: string): number {
  if (file === "-") return 0;
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (e) {
    throw fileError(file, e);
  }
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw new Failure(`${file}: is a directory, expected a capture file`);
  }
  return fd;
}

/** Bytes read into `to`, 0 at the end; a stdin that has nothing yet (a terminal, a FIFO) is waited for. */
async function read(fd: number, to: Uint8Array): Promise<number> {
  for (;;) {
    try {
      return readSync(fd, to, 0, to.length, null);
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      if (code === "EOF") return 0;
      if (code !== "EAGAIN") throw e;
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}

/** The filter, compiled for each link type that the capture has. */
class Filters {
  private readonly loaded = new Map<number, LoadedFilter>();

  constructor(private readonly core: Core, private readonly text: string) {}

  matches(r: CaptureReader, at: number): boolean {
    let filter = this.loaded.get(r.linkType);
    if (filter === undefined) {
      filter = loadFilter(this.core, compileFilter(this.text, r.linkType, { direction: true }));
      this.loaded.set(r.linkType, filter);
    }
    return matches(filter, at, r.capturedLength, r.originalLength, r.direction === Direction.Out);
  }
}

/** Link types that are looked into; raw IPv6 has nothing to show behind the frame. */
const known = new Set<number>([...Object.values(LinkType).filter((v) => typeof v === "number"), 229]);

async function decode(file: string, options: Options): Promise<void> {
  const core = loadCore();
  const d = new Dissection(core);
  const out = new ByteWriter(BLOCK * 2);
  const sink = new Sink(out);
  const json = options.json ? new JsonLines(d, out) : null;
  const text = new TextLines(d, out, options.text);
  const filters = options.filter === null ? null : new Filters(core, options.filter);
  // the words of the filter are checked before a file is opened
  if (options.filter !== null) compileFilter(options.filter, LinkType.Ethernet, { direction: true });
  const reader = new CaptureReader();
  // the file is read into the core; only a frame across two chunks is copied
  const chunkAt = core.x.alloc(CHUNK) >>> 0;
  const chunk = core.u8.subarray(chunkAt, chunkAt + CHUNK);
  const strayAt = core.x.alloc(MAX_CAPTURED) >>> 0;
  if (chunkAt === 0 || strayAt === 0) throw new Error("decode: the core's memory is used up");
  const fd = open(file);
  let printed = 0;
  try {
    for (let eof = false; !eof && printed < options.most; ) {
      const n = await read(fd, chunk);
      eof = n === 0;
      if (eof) reader.end();
      else reader.push(chunk.subarray(0, n));
      while (printed < options.most && reader.next()) {
        const captured = reader.capturedLength;
        let at = strayAt;
        if (reader.buffer.buffer === core.u8.buffer) at = reader.buffer.byteOffset + reader.offset;
        else core.u8.set(reader.buffer.subarray(reader.offset, reader.offset + captured), strayAt);
        if (filters !== null && !filters.matches(reader, at)) continue;
        if (!known.has(reader.linkType)) {
          throw new Failure(`${file}: packet ${reader.number}: link type ${reader.linkType} is not decoded`);
        }
        d.dissect(at, captured, reader.originalLength, reader.linkType);
        if (json !== null) {
          const before = out.at;
          if (options.streams) json.completed(reader.number);
          else json.frame(reader.number);
          if (out.at === before) continue;
        } else {
          const name = options.interfaces ? printable(reader.interfaces[reader.interfaceId]?.name ?? `if${reader.interfaceId}`) : null;
          text.frame(reader.seconds, reader.nanoseconds, reader.linkType, name);
          const comments = reader.optionsAt === 0 ? null : reader.comments;
          for (const comment of comments ?? []) out.text(comment.split("\n").map((line) => `\t# ${printable(line)}\n`).join(""));
        }
        printed++;
        if (out.at >= BLOCK) await sink.flush();
      }
    }
  } catch (e) {
    await sink.flush();
    if (e instanceof CaptureError) throw new Failure(`${file}: ${e.message}`);
    throw e;
  } finally {
    if (fd !== 0) closeSync(fd);
  }
  await sink.flush();
}

export const command: Command = {
  help,
  async run(words) {
    const flag = { type: "boolean", multiple: true } as const;
    const { values, positionals } = parseWords(words, {
      options: {
        json: { type: "boolean" }, streams: { type: "boolean" }, filter: { type: "string" }, interface: { type: "boolean" }, count: { type: "string", short: "c" },
        time: { ...flag, short: "t" }, hex: { ...flag, short: "x" }, ascii: { ...flag, short: "X" }, numeric: { ...flag, short: "n" },
        ethernet: { ...flag, short: "e" },
      },
      allowPositionals: true,
    });
    const [file, ...more] = positionals;
    if (file === undefined) throw new Failure("decode: no CAPTURE given (- is stdin)");
    if (more.length > 0) throw new Failure(`decode: one CAPTURE expected, got also '${more[0]}'`);
    if (values.count !== undefined && !/^[1-9]\d{0,14}$/.test(values.count)) {
      throw new Failure(`decode: -c '${values.count}', expected a number of frames from 1 on`);
    }
    const hex = Math.max(values.hex?.length ?? 0, values.ascii?.length ?? 0);
    await decode(file, {
      json: values.json === true || values.streams === true,
      filter: values.filter ?? null,
      most: values.count === undefined ? Infinity : Number(values.count),
      text: {
        time: (["day", "none", "epoch", "epoch", "date"] as const)[Math.min(4, values.time?.length ?? 0)]!,
        hex: hex === 0 ? "none" : hex === 1 ? "packet" : "frame",
        ascii: values.ascii !== undefined,
      },
      interfaces: values.interface === true,
      streams: values.streams === true,
    });
    return 0;
  },
};
