// src/cli/decode.ts: `wirepath decode`: the frames of a capture as text or as JSON lines.

import { LinkType } from "../../assembly/record.ts";
import { Column } from "../../assembly/walklayout.ts";
import { ColumnReader } from "../capture/columns.ts";
import { ColumnFilter } from "../capture/filter/columns.ts";
import { CaptureError } from "../capture/format.ts";
import { Dissection } from "../core/dissect.ts";
import { readColumns } from "../node/columns.ts";
import { loadCore } from "../node/core.ts";
import { ByteWriter, printable } from "./byte-writer.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { JsonLines } from "./decode-json.ts";
import { printStats } from "./decode-stats.ts";
import { TextLines, type TextOptions } from "./decode-text.ts";

/** Output is written in blocks of about this size. */
const BLOCK = 256 * 1024;

const help = `usage: wirepath decode CAPTURE [--json | --streams | --stats] [--filter EXPR] [-c N] [-t...] [-x | -xx | -X | -XX] [--interface]

Prints the frames of a capture (pcap or pcapng; - is stdin): text in the form of
'tcpdump -nn -e' with times in UTC, or JSON.

  --json          one JSON object a frame, with Wireshark's field names
  --streams       JSON lines of the frames that complete an HTTP or a DNS message, TCP put together
  --stats         what the captures have (several are read at once): protocols, checksums, sizes, the largest flows;
                  with --json one JSON object
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

/** Link types that are looked into; raw IPv6 has nothing to show behind the frame. */
const known = new Set<number>([...Object.values(LinkType).filter((v) => typeof v === "number"), 229]);

async function decode(file: string, options: Options): Promise<void> {
  // the words of the filter are checked before a file is opened
  const filter = options.filter === null ? null : new ColumnFilter(options.filter);
  const core = loadCore();
  const d = new Dissection(core);
  const out = new ByteWriter(BLOCK * 2);
  const sink = new Sink(out);
  const json = options.json ? new JsonLines(d, out) : null;
  const text = new TextLines(d, out, options.text);
  const columns = new ColumnReader(core);
  const { reader } = columns;
  let printed = 0;

  /** Prints the batch from its frame `i` on; the output is written when there is enough of it. */
  const print = (i: number): boolean | Promise<boolean> => {
    for (; i < columns.count; i++) {
      const entry = columns.records + i * Column.Size;
      if (filter !== null && !filter.matches(columns, entry)) continue;
      const interfaceId = columns.interfaceOf(entry);
      const { linkType, name } = reader.interfaces[interfaceId]!;
      if (!known.has(linkType))
        throw new Failure(`${file}: packet ${columns.first + i}: link type ${linkType} is not decoded`);
      d.look(entry);
      if (json !== null) {
        const before = out.at;
        if (options.streams) json.completed(columns.first + i);
        else json.frame(columns.first + i);
        if (out.at === before) continue;
      } else {
        const shown = options.interfaces ? printable(name ?? `if${interfaceId}`) : null;
        text.frame(columns.secondsOf(entry), core.u32[(entry + Column.Nanoseconds) >>> 2]!, linkType, shown);
        for (const comment of columns.comments ?? [])
          out.text(
            comment
              .split("\n")
              .map((line) => `\t# ${printable(line)}\n`)
              .join(""),
          );
      }
      if (++printed === options.most) return false;
      if (out.at >= BLOCK) return sink.flush().then(() => print(i + 1));
    }
    return true;
  };

  try {
    await readColumns(file, columns, () => print(0));
  } catch (e) {
    await sink.flush();
    if (e instanceof CaptureError) throw new Failure(`${file}: ${e.message}`);
    throw e;
  }
  await sink.flush();
}

export const command: Command = {
  help,
  async run(words) {
    const flag = { type: "boolean", multiple: true } as const;
    const { values, positionals } = parseWords(words, {
      options: {
        json: { type: "boolean" },
        streams: { type: "boolean" },
        stats: { type: "boolean" },
        filter: { type: "string" },
        interface: { type: "boolean" },
        count: { type: "string", short: "c" },
        time: { ...flag, short: "t" },
        hex: { ...flag, short: "x" },
        ascii: { ...flag, short: "X" },
        numeric: { ...flag, short: "n" },
        ethernet: { ...flag, short: "e" },
      },
      allowPositionals: true,
    });
    const [file, ...more] = positionals;
    if (file === undefined) throw new Failure("decode: no CAPTURE given (- is stdin)");
    if (more.length > 0 && values.stats !== true)
      throw new Failure(`decode: one CAPTURE expected, got also '${more[0]}'`);
    if (values.count !== undefined && !/^[1-9]\d{0,14}$/.test(values.count)) {
      throw new Failure(`decode: -c '${values.count}', expected a number of frames from 1 on`);
    }
    const most = values.count === undefined ? Infinity : Number(values.count);
    if (values.stats === true) {
      if (values.streams === true) throw new Failure("decode: --stats and --streams, expected one of the two");
      if (values.filter !== undefined) void new ColumnFilter(values.filter);
      await printStats(positionals, { json: values.json === true, filter: values.filter ?? null, most });
      return 0;
    }
    const hex = Math.max(values.hex?.length ?? 0, values.ascii?.length ?? 0);
    await decode(file, {
      json: values.json === true || values.streams === true,
      filter: values.filter ?? null,
      most,
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
