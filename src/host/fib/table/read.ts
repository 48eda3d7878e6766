// src/host/fib/table/read.ts: a routing table from bytes of any kind: text, MRT, both also gzipped.

import { CaptureError } from "../../../capture/format.ts";
import { gunzipped } from "../../../capture/gzip.ts";
import type { Core } from "../../../core/core.ts";
import { Faults, TableError } from "./faults.ts";
import { MrtReader, looksLikeMrt } from "./mrt.ts";
import { RouteTable, TableBuilder } from "./table.ts";
import { TextReader } from "./text.ts";

export interface ReadTableOptions {
  /** Count what is wrong and go on. Default false: the first fault is thrown. */
  readonly lenient?: boolean;
  /** The table of `ip route show table all` that is meant, by number. Default main. */
  readonly table?: number;
}

export interface ReadTable {
  readonly table: RouteTable;
  readonly format: "text" | "MRT";
  /** Lines or records that were wrong, with the first of them (`lenient` only). */
  readonly faults: number;
  readonly firstFault: TableError | null;
  /** What was right and is no IPv4 unicast route of this table: how many of each. */
  readonly passedOver: ReadonlyMap<string, number>;
}

const compressions: readonly (readonly [readonly number[], string, string])[] = [
  [[0x42, 0x5a, 0x68], "bzip2", "bunzip2"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "xz", "unxz"],
  [[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"],
];

/** Bytes from which the kind of a table is told. */
const HEAD = 12;

/** Tells the kind of a table by its first bytes and gives all of them to the reader of that kind. */
class Feed {
  readonly faults: Faults;
  private head: Uint8Array = new Uint8Array(0);
  private builder = new TableBuilder();
  private reader: TextReader | MrtReader | null = null;

  constructor(private readonly options: ReadTableOptions) {
    this.faults = new Faults(options.lenient === true);
  }

  push(chunk: Uint8Array): void {
    if (this.reader !== null) return this.reader.push(chunk);
    const joined = new Uint8Array(this.head.length + chunk.length);
    joined.set(this.head);
    joined.set(chunk, this.head.length);
    this.head = joined;
    if (joined.length >= HEAD) this.begin().push(joined);
  }

  private begin(): TextReader | MrtReader {
    for (const [magic, name, tool] of compressions) {
      if (magic.every((b, i) => this.head[i] === b)) {
        throw new TableError(
          "offset 0",
          `compressed with ${name}, which is not read here: ${tool} -c FILE | wirepath routes -`,
        );
      }
    }
    const mrt = looksLikeMrt(this.head);
    this.builder = new TableBuilder(mrt);
    this.reader = mrt
      ? new MrtReader(this.builder, this.faults)
      : new TextReader(this.builder, this.faults, this.options.table ?? null);
    return this.reader;
  }

  finish(core: Core): ReadTable {
    if (this.reader === null) this.begin().push(this.head);
    this.reader!.finish();
    const { builder, faults } = this;
    const columns = builder.columns();
    return {
      table: new RouteTable(core, columns, builder.hops, builder.duplicates),
      format: this.reader instanceof MrtReader ? "MRT" : "text",
      faults: faults.count,
      firstFault: faults.first,
      passedOver: faults.passedOver,
    };
  }
}

/**
 * Reads `ip route` text, lists of `prefix [nexthop ...]` and MRT dumps, which it tells apart by their first bytes, also
 * gzipped. Of two routes for a prefix the lower metric counts, then the last one; of an MRT dump's paths the best.
 * Throws TableError. The chunks may be reused by whoever gives them.
 */
export async function readTable(
  core: Core,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: ReadTableOptions = {},
): Promise<ReadTable> {
  const feed = new Feed(options);
  try {
    for await (const chunk of gunzipped(source)) feed.push(chunk);
  } catch (e) {
    if (e instanceof CaptureError) throw new TableError(`offset ${e.offset}`, e.message);
    throw e;
  }
  return feed.finish(core);
}
