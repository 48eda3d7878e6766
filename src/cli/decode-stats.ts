// src/cli/decode-stats.ts: `wirepath decode --stats`: what captures have, as a table or as one JSON object.

import { Flow, Flows, flowsOf, MOST_FLOWS } from "../capture/flows.ts";
import { FlowEntry } from "../../assembly/flowlayout.ts";
import { addStats, type CaptureStats, checksumLayers, sizeBounds } from "../capture/stats.ts";
import { formatIpv4 } from "../core/address.ts";
import { loadCore } from "../node/core.ts";
import { surveys } from "../node/survey.ts";
import { Failure } from "./command.ts";
import { protocolName, timeText } from "./flows-rows.ts";

/** Conversations that are told of: those with the most bytes. */
const TOP = 10;

const etherTypes: Readonly<Record<number, string>> = {
  0: "llc",
  0x0806: "arp",
  0x86dd: "ipv6",
  0x88a8: "802.1ad",
  0x88cc: "lldp",
  0x8847: "mpls",
  0x8863: "pppoe-discovery",
  0x8864: "pppoe",
};

interface Conversation {
  readonly src: string;
  readonly dst: string;
  readonly proto: string;
  readonly packets: number;
  readonly bytes: number;
  readonly packetsBack: number;
  readonly bytesBack: number;
}

function conversationOf(f: Flow): Conversation {
  const end = (address: FlowEntry, port: number): string => formatIpv4(f.u32(address)) + (f.hasPorts ? `:${port}` : "");
  return {
    src: end(FlowEntry.Src, f.sourcePort),
    dst: end(FlowEntry.Dst, f.destinationPort),
    proto: protocolName(f.protocol),
    packets: f.u32(FlowEntry.Packets),
    bytes: f.f64(FlowEntry.Bytes),
    packetsBack: f.u32(FlowEntry.PacketsBack),
    bytesBack: f.f64(FlowEntry.BytesBack),
  };
}

/** The flows with the most bytes; of equal ones the earlier. */
function largest(flows: Iterable<Flow>): { top: Conversation[]; count: number } {
  const top: { bytes: number; c: Conversation }[] = [];
  let count = 0;
  for (const f of flows) {
    count++;
    const { bytes } = f;
    if (top.length === TOP && bytes <= top[TOP - 1]!.bytes) continue;
    const at = top.findIndex((t) => t.bytes < bytes);
    top.splice(at < 0 ? top.length : at, 0, { bytes, c: conversationOf(f) });
    if (top.length > TOP) top.pop();
  }
  return { top: top.map((t) => t.c), count };
}

/** Columns: the first to the left, numbers to the right. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((r) => r.map(String));
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((r) => r[i]!.length)));
  const line = (r: string[], row: readonly (string | number)[]): string =>
    r
      .map((c, i) =>
        typeof rows.at(-1)![i] === "number" || typeof row[i] === "number"
          ? c.padStart(widths[i]!)
          : c.padEnd(widths[i]!),
      )
      .join("  ");
  return cells.map((r, i) => `  ${line(r, rows[i]!).trimEnd()}\n`).join("");
}

const sizeNames = [
  ...sizeBounds.map((bound, i) => `${i === 0 ? 0 : sizeBounds[i - 1]}-${bound - 1}`),
  `${sizeBounds.at(-1)}-`,
];

function spanOf(s: CaptureStats): number | null {
  if (s.first === null || s.last === null) return null;
  return s.last.seconds - s.first.seconds + (s.last.nanoseconds - s.first.nanoseconds) / 1e9;
}

function sorted<K>(map: ReadonlyMap<K, { frames: number; bytes: number }>): [K, { frames: number; bytes: number }][] {
  return [...map].toSorted((a, b) => b[1].frames - a[1].frames);
}

function asJson(s: CaptureStats, conversations: { top: Conversation[]; count: number }): string {
  const span = spanOf(s);
  const counts = (map: ReadonlyMap<number, number>, name: (n: number) => string): Record<string, number> =>
    Object.fromEntries([...map].map(([k, n]) => [name(k), n]));
  return `${JSON.stringify({
    frames: s.frames,
    bytes: s.bytes,
    captured_bytes: s.captured,
    first: s.first === null ? null : timeText(s.first.seconds, s.first.nanoseconds),
    last: s.last === null ? null : timeText(s.last.seconds, s.last.nanoseconds),
    seconds: span,
    frames_per_second: span === null || span === 0 ? null : s.frames / span,
    bits_per_second: span === null || span === 0 ? null : (s.bytes * 8) / span,
    protocols: Object.fromEntries(sorted(s.protocols)),
    ether_types: counts(s.etherTypes, (t) => `0x${t.toString(16).padStart(4, "0")}`),
    ip_protocols: counts(s.ipProtocols, String),
    sizes: Object.fromEntries(s.sizes.map((n, i) => [sizeNames[i]!, n])),
    checksums: s.checksums,
    flows: conversations.count,
    top_flows: conversations.top,
  })}\n`;
}

function asText(s: CaptureStats, conversations: { top: Conversation[]; count: number }): string {
  const lines: string[] = [];
  const span = spanOf(s);
  lines.push(`${s.frames} frames, ${s.bytes} bytes on the wire, ${s.captured} captured\n`);
  if (s.first !== null && s.last !== null && span !== null) {
    const day = (t: { seconds: number; nanoseconds: number }): string => {
      const date = new Date(t.seconds * 1000);
      return Number.isNaN(date.getTime())
        ? timeText(t.seconds, t.nanoseconds)
        : `${date.toISOString().slice(0, -5).replace("T", " ")}.${String(t.nanoseconds).padStart(9, "0")}`;
    };
    lines.push(`${day(s.first)} to ${day(s.last)} UTC, ${span.toFixed(6)} s`);
    lines.push(
      span > 0 ? `, ${(s.frames / span).toFixed(1)} frames/s, ${((s.bytes * 8) / span).toFixed(0)} bit/s\n` : "\n",
    );
  }
  if (s.frames === 0) return lines.join("");
  lines.push(
    "\n",
    table([["protocols", "frames", "bytes"], ...sorted(s.protocols).map(([chain, n]) => [chain, n.frames, n.bytes])]),
  );
  const others = [
    ...[...s.ipProtocols].map(
      ([p, n]) => [`ip protocol ${p}${protocolName(p) === String(p) ? "" : ` (${protocolName(p)})`}`, n] as const,
    ),
    ...[...s.etherTypes].map(
      ([t, n]) =>
        [
          t === 0
            ? "llc (802.3)"
            : `type 0x${t.toString(16).padStart(4, "0")}${t in etherTypes ? ` (${etherTypes[t]})` : ""}`,
          n,
        ] as const,
    ),
  ];
  if (others.length > 0) lines.push("\n", table([["behind them", "frames"], ...others]));
  lines.push(
    "\n",
    table([
      ["checksums", "bad", "good", "unverified", "absent"],
      ...checksumLayers.map((l) => [
        l,
        s.checksums[l].bad,
        s.checksums[l].good,
        s.checksums[l].unverified,
        s.checksums[l].absent,
      ]),
    ]),
  );
  const share = (n: number): string => `${((100 * n) / s.frames).toFixed(1)} %`;
  lines.push(
    "\n",
    table([
      ["length", "frames", "share"],
      ...s.sizes.map((n, i) => [sizeNames[i]!, n, share(n)]).filter((r) => r[1] !== 0),
    ]),
  );
  if (conversations.count > 0) {
    lines.push(
      "\n",
      table([
        ["flows", "", "", "packets", "bytes", "back", "bytes back"],
        ...conversations.top.map((c) => [c.proto, c.src, c.dst, c.packets, c.bytes, c.packetsBack, c.bytesBack]),
      ]),
    );
    const more = conversations.count - conversations.top.length;
    if (more > 0) lines.push(`  and ${more} more\n`);
  }
  return lines.join("");
}

export interface StatsOptions {
  readonly json: boolean;
  readonly filter: string | null;
  /** Frames of a capture at most. */
  readonly most: number;
}

/** Counts what the captures have, together, and prints it. What is wrong with a capture is said after that, as a Failure. */
export async function printStats(paths: readonly string[], options: StatsOptions): Promise<void> {
  let total: CaptureStats | null = null;
  let merged: Flows | null = null;
  let conversations: { top: Conversation[]; count: number } = { top: [], count: 0 };
  let missed = 0;
  const failures: string[] = [];
  for await (const found of surveys(paths, {
    stats: true,
    filter: options.filter,
    most: options.most,
    flows: MOST_FLOWS,
  })) {
    missed += found.missed;
    if (found.error !== null) failures.push(found.error);
    if (total === null) total = found.stats!;
    else addStats(total, found.stats!);
    if (paths.length === 1) conversations = largest(flowsOf(found.flows));
    else {
      merged ??= new Flows(loadCore());
      merged.merge(found.flows);
    }
  }
  if (merged !== null) {
    conversations = largest(merged);
    missed += merged.missed;
  }
  // a file that is no capture has nothing to tell
  if (failures.length < paths.length || total!.frames > 0) {
    process.stdout.write(options.json ? asJson(total!, conversations) : asText(total!, conversations));
  }
  if (missed > 0) failures.push(`more than ${MOST_FLOWS} flows: ${missed} packets are counted in none`);
  if (failures.length > 0)
    throw new Failure(failures[0]! + (failures.length > 1 ? ` (and ${failures.length - 1} more)` : ""));
}
