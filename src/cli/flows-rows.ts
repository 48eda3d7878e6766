// src/cli/flows-rows.ts: flows as JSON lines, as CSV, and as a Parquet file.

import type { ByteWriter, ColumnSource, ParquetWriter, SchemaElement } from "hyparquet-writer";
import { FlowEntry } from "../../assembly/flowlayout.ts";
import type { Flow } from "../capture/flows.ts";
import { formatIpv4 } from "../core/address.ts";

/** IANA's protocol numbers, those that are met. */
const protocolNames: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  4: "ipip",
  6: "tcp",
  17: "udp",
  41: "ipv6",
  47: "gre",
  50: "esp",
  51: "ah",
  89: "ospf",
  103: "pim",
  112: "vrrp",
  132: "sctp",
  136: "udplite",
};

export function protocolName(p: number): string {
  return protocolNames[p] ?? String(p);
}

/** One letter each: FIN SYN RST PSH ACK URG ECE CWR. */
const flagLetters = "FSRPAUEC";

export function flagText(flags: number): string {
  let text = "";
  for (let i = 0; i < 8; i++) if ((flags & (1 << i)) !== 0) text += flagLetters[i];
  return text;
}

/** Seconds since 1970 with nine decimals: exact, also for seconds before 1970. */
export function timeText(seconds: number, nanoseconds: number): string {
  if (seconds >= 0) return `${seconds}.${String(nanoseconds).padStart(9, "0")}`;
  const whole = nanoseconds === 0 ? -seconds : -seconds - 1;
  return `-${whole}.${String(nanoseconds === 0 ? 0 : 1e9 - nanoseconds).padStart(9, "0")}`;
}

type Kind = "string" | "integer" | "time";

export interface FlowColumn {
  readonly name: string;
  readonly kind: Kind;
  /** Null: the flow has none. Times are text. */
  readonly value: (f: Flow) => string | number | null;
}

const tcpOnly = (f: Flow, text: string): string | null => (f.protocol === 6 && f.hasPorts ? text : null);
const time = (f: Flow, s: FlowEntry, ns: FlowEntry): string | null => (f.timed ? timeText(f.f64(s), f.u32(ns)) : null);

export const flowColumns: readonly FlowColumn[] = [
  { name: "src", kind: "string", value: (f) => formatIpv4(f.u32(FlowEntry.Src)) },
  { name: "sport", kind: "integer", value: (f) => (f.hasPorts ? f.sourcePort : null) },
  { name: "dst", kind: "string", value: (f) => formatIpv4(f.u32(FlowEntry.Dst)) },
  { name: "dport", kind: "integer", value: (f) => (f.hasPorts ? f.destinationPort : null) },
  { name: "proto", kind: "string", value: (f) => protocolName(f.protocol) },
  { name: "packets", kind: "integer", value: (f) => f.u32(FlowEntry.Packets) },
  { name: "bytes", kind: "integer", value: (f) => f.f64(FlowEntry.Bytes) },
  { name: "packets_back", kind: "integer", value: (f) => f.u32(FlowEntry.PacketsBack) },
  { name: "bytes_back", kind: "integer", value: (f) => f.f64(FlowEntry.BytesBack) },
  { name: "first", kind: "time", value: (f) => time(f, FlowEntry.FirstSeconds, FlowEntry.FirstNanoseconds) },
  { name: "last", kind: "time", value: (f) => time(f, FlowEntry.LastSeconds, FlowEntry.LastNanoseconds) },
  { name: "flags", kind: "string", value: (f) => tcpOnly(f, flagText(f.tcpFlags)) },
  { name: "flags_back", kind: "string", value: (f) => tcpOnly(f, flagText(f.tcpFlagsBack)) },
];

/** `file`: the capture's name, when there are several. */
export function jsonLine(f: Flow, file: string | null): string {
  let line = file === null ? "" : `"file":${JSON.stringify(file)}`;
  for (const { name, kind, value } of flowColumns) {
    const v = value(f);
    if (v === null) continue;
    line += `${line === "" ? "" : ","}"${name}":${kind === "string" ? JSON.stringify(v) : v}`;
  }
  return `{${line}}\n`;
}

export function csvHead(files: boolean): string {
  return `${files ? "file," : ""}${flowColumns.map((c) => c.name).join(",")}\n`;
}

/** RFC 4180: a field with a comma, a quote or a line's end is quoted. */
export function csvLine(f: Flow, file: string | null): string {
  const quoted = file === null ? "" : `${/[",\r\n]/.test(file) ? `"${file.replaceAll('"', '""')}"` : file},`;
  return `${quoted}${flowColumns.map((c) => c.value(f) ?? "").join(",")}\n`;
}

/** Nanoseconds since 1970; null where 64 bits do not hold them. */
function nanoseconds(seconds: number, ns: number): bigint | null {
  const t = BigInt(seconds) * 1_000_000_000n + BigInt(ns);
  return BigInt.asIntN(64, t) === t ? t : null;
}

/** Flows of a row group: what is held in memory at a time. */
const GROUP = 1 << 16;

/** Flows as the row groups of a Parquet file. Times are timestamps in nanoseconds, UTC. */
export class FlowParquet {
  private data: (string | number | bigint | null)[][] = flowColumns.map(() => []);
  private names: string[] = [];
  private readonly bytes: ByteWriter;
  private readonly parquet: ParquetWriter;

  private constructor(
    { ByteWriter, ParquetWriter }: typeof import("hyparquet-writer"),
    private readonly files: boolean,
  ) {
    const schema: SchemaElement[] = files
      ? [{ name: "file", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" }]
      : [];
    for (const { name, kind } of flowColumns) {
      const repetition_type = "OPTIONAL";
      if (kind === "string") schema.push({ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type });
      else if (kind === "time") {
        schema.push({
          name,
          type: "INT64",
          logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "NANOS" },
          repetition_type,
        });
      } else schema.push({ name, type: name.endsWith("port") ? "INT32" : "INT64", repetition_type });
    }
    schema.unshift({ name: "root", num_children: schema.length });
    this.bytes = new ByteWriter();
    this.parquet = new ParquetWriter({ writer: this.bytes, schema, createdBy: "wirepath" });
  }

  /** `files`: whether there is a column for the captures' names. */
  static async make(files: boolean): Promise<FlowParquet> {
    return new FlowParquet(await import("hyparquet-writer"), files);
  }

  /** Appends a flow; true when it is time to `take` what there is. */
  add(f: Flow, file: string | null): boolean {
    if (file !== null) this.names.push(file);
    flowColumns.forEach(({ name, kind, value }, i) => {
      let v: string | number | bigint | null = value(f);
      if (v !== null && kind === "time") {
        v =
          name === "first"
            ? nanoseconds(f.f64(FlowEntry.FirstSeconds), f.u32(FlowEntry.FirstNanoseconds))
            : nanoseconds(f.f64(FlowEntry.LastSeconds), f.u32(FlowEntry.LastNanoseconds));
      } else if (v !== null && kind === "integer" && !name.endsWith("port")) v = BigInt(v);
      this.data[i]!.push(v);
    });
    return this.data[0]!.length === GROUP;
  }

  /** The next bytes of the file: the flows since the last time as a row group. */
  async take(): Promise<Uint8Array> {
    const rows = this.data[0]!.length;
    if (rows > 0) {
      const columnData: ColumnSource[] = flowColumns.map(({ name }, i) => ({ name, data: this.data[i]! }));
      if (this.files) columnData.unshift({ name: "file", data: this.names });
      await this.parquet.write({ columnData, rowGroupSize: rows });
      this.data = flowColumns.map(() => []);
      this.names = [];
    }
    return this.written();
  }

  /** The last bytes of the file. */
  async end(): Promise<Uint8Array> {
    const rest = await this.take();
    await this.parquet.finish();
    const foot = this.written();
    const both = new Uint8Array(rest.length + foot.length);
    both.set(rest);
    both.set(foot, rest.length);
    return both;
  }

  private written(): Uint8Array {
    const { bytes } = this;
    const part = new Uint8Array(bytes.buffer.slice(0, bytes.index));
    bytes.index = 0;
    return part;
  }
}
