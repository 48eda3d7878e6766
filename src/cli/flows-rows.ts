// src/cli/flows-rows.ts: flows as JSON lines, as CSV, and as the columns of a Parquet file.

import { FlowEntry } from "../../assembly/flowlayout.ts";
import type { Flow } from "../capture/flows.ts";
import { formatIpv4 } from "../core/address.ts";

/** IANA's protocol numbers, those that are met. */
const protocolNames: Readonly<Record<number, string>> = {
  1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 89: "ospf", 103: "pim", 112: "vrrp",
  132: "sctp", 136: "udplite",
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

/** Flows gathered as columns for a Parquet file. */
export class FlowTableColumns {
  private readonly data: (string | number | bigint | null)[][] = flowColumns.map(() => []);
  private readonly files: string[] = [];

  add(f: Flow, file: string | null): void {
    if (file !== null) this.files.push(file);
    flowColumns.forEach(({ name, kind, value }, i) => {
      let v: string | number | bigint | null = value(f);
      if (v !== null && name.startsWith("bytes")) v = BigInt(v);
      else if (v !== null && name.startsWith("packets")) v = BigInt(v);
      else if (v !== null && kind === "time") {
        v = name === "first"
          ? nanoseconds(f.f64(FlowEntry.FirstSeconds), f.u32(FlowEntry.FirstNanoseconds))
          : nanoseconds(f.f64(FlowEntry.LastSeconds), f.u32(FlowEntry.LastNanoseconds));
      }
      this.data[i]!.push(v);
    });
  }

  /** The file's bytes. Times are timestamps in nanoseconds, UTC. */
  async bytes(): Promise<Uint8Array> {
    const { parquetWriteBuffer } = await import("hyparquet-writer");
    const columnData = flowColumns.map(({ name }, i) => ({ name, data: this.data[i]! }));
    const schema = flowColumns.map(({ name, kind }) => {
      const repetition_type = "OPTIONAL" as const;
      if (kind === "string") return { name, type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const, repetition_type };
      if (kind === "time") {
        const logical_type = { type: "TIMESTAMP" as const, isAdjustedToUTC: true, unit: "NANOS" as const };
        return { name, type: "INT64" as const, logical_type, repetition_type };
      }
      return { name, type: name.endsWith("port") ? ("INT32" as const) : ("INT64" as const), repetition_type };
    });
    if (this.files.length > 0) {
      columnData.unshift({ name: "file", data: this.files });
      schema.unshift({ name: "file", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" });
    }
    const root = { name: "root", num_children: schema.length };
    return new Uint8Array(parquetWriteBuffer({ columnData, schema: [root, ...schema], createdBy: "wirepath" }));
  }
}
