// src/repl/view.ts: an event and its packet as lines: what happened, the layers, each byte with its field.

import { Drop } from "../../assembly/drop.ts";
import type { TraceKind } from "../link/trace.ts";
import { bitsOf, manchester, onWire } from "./bits.ts";
import { type Field, type FieldReader, type LayerView, printable } from "./fields.ts";
import type { Packet, Seen } from "./session.ts";

/** How text is marked; on a terminal with colours, else as plain text. */
export interface Style {
  changed(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

export const plain: Style = { changed: (t) => t, dim: (t) => t, strong: (t) => t };
export const ansi: Style = {
  changed: (t) => `\u001b[1;33m${t}\u001b[0m`,
  dim: (t) => `\u001b[2m${t}\u001b[0m`,
  strong: (t) => `\u001b[1m${t}\u001b[0m`,
};

const verbs: Readonly<Record<TraceKind, string>> = {
  receive: "receives",
  transmit: "sends",
  hook: "hook",
  rule: "rule",
  conntrack: "conntrack",
  route: "route",
  neighbour: "neighbour",
  bridge: "bridge",
  rewrite: "rewrites",
  originate: "makes",
  deliver: "delivers",
  drop: "DROPS",
  program: "program",
};

export function clockText(ns: number): string {
  return `${(ns / 1e6).toFixed(6)} ms`;
}

/** `#12  0.000000 ms  h1 eth0  receives  10.0.0.2 > 10.0.0.1 ...` */
export function eventLine(e: Seen, layers: readonly LayerView[], style: Style = plain): string {
  const where = `${e.node}${e.iface === "" ? "" : ` ${e.iface}`}`;
  const what = e.kind === "drop" ? `${e.text} (${Drop[e.drop]})` : e.text;
  const last = layers.findLast((l) => l.number >= 3 && l.number <= 4) ?? layers.at(-1);
  const net = layers.find((l) => l.number === 3);
  const about =
    last === undefined ? "" : net === undefined || net === last ? last.summary : `${net.summary}: ${last.summary}`;
  const said = e.kind === "drop" && e.text === Drop[e.drop] ? e.text : what;
  const tail = printable(said === "" ? about : about === "" ? said : `${said}  [${about}]`);
  return `#${e.number}  ${clockText(e.time)}  ${style.strong(where)} ${verbs[e.kind]} ${tail}`.trimEnd();
}

/** Offsets into `packet` of bytes that differ from what the packet was before, both lined up at their network header. */
export function changedBytes(packet: Packet, before: Packet | null): Set<number> {
  const out = new Set<number>();
  if (before === null || packet.net < 0 || before.net < 0) return out;
  const shift = before.net - packet.net;
  for (let i = 0; i < packet.bytes.length; i++) {
    const j = i + shift;
    if (j < 0) continue; // a header that was not there
    if (j >= before.bytes.length || before.bytes[j] !== packet.bytes[i]) out.add(i);
  }
  return out;
}

const hex2 = (b: number): string => b.toString(16).padStart(2, "0");

function row(packet: Packet, f: Field, changed: ReadonlySet<number>, style: Style): string {
  const most = 16;
  const bytes: string[] = [];
  let any = false;
  for (let i = f.at; i < f.at + f.length && i < packet.bytes.length; i++) {
    const text = hex2(packet.bytes[i]!);
    any ||= changed.has(i);
    if (i - f.at < most) bytes.push(changed.has(i) ? style.changed(text) : text);
  }
  const shown = Math.min(f.length, most);
  const width = Math.max(0, 24 - (shown * 3 - 1 + (f.length > most ? 4 : 0)));
  const dump = `${bytes.join(" ")}${f.length > most ? " ..." : ""}${" ".repeat(width)}`;
  const mark = any ? "*" : " ";
  return `  ${f.at.toString(16).padStart(4, "0")} ${mark} ${dump}  ${f.name} = ${printable(f.value)}${f.meaning === "" ? "" : style.dim(`  ${printable(f.meaning)}`)}`;
}

/** The layers in a line each, from data (7) down to the bits (1). */
export function layerLines(packet: Packet, layers: readonly LayerView[]): string[] {
  const out: string[] = [];
  const has = (n: number): boolean => layers.some((l) => l.number === n);
  for (const l of layers.toReversed()) {
    // what is said of layers that leave no bytes of their own stands between 7 and 4
    if (l.number === 4 && has(7)) {
      if (!has(6))
        out.push(`  6 presentation       text or bytes as they are: no encryption, no other coding on the wire`);
      if (!has(5)) out.push(`  5 session            the connection or exchange itself: no bytes of its own`);
    }
    out.push(`  ${l.number} ${l.name.padEnd(18)} bytes ${l.at}-${l.at + l.length - 1}: ${printable(l.summary)}`);
  }
  if (packet.ethernet) {
    const { padding, fcs, bytes } = onWire(packet.bytes);
    const pad = padding > 0 ? `, ${padding} bytes of padding` : "";
    out.push(
      `  1 bits               preamble 7 x 55, SFD d5, ${packet.bytes.length} bytes${pad}, FCS 0x${fcs.toString(16).padStart(8, "0")}: ${bytes.length * 8} bits`,
    );
  } else out.push("  1 bits               none yet: it has no link header here");
  return out;
}

/** Each byte with its field, layer by layer from the data down. */
export function byteLines(packet: Packet, before: Packet | null, layers: readonly LayerView[], style: Style): string[] {
  const changed = changedBytes(packet, before);
  const out: string[] = [];
  for (const l of layers.toReversed()) {
    out.push(style.strong(`${l.number} ${l.name}`));
    for (const f of l.fields) out.push(row(packet, f, changed, style));
  }
  if (changed.size > 0) out.push(style.dim("  * changed since this host got it"));
  return out;
}

/** The frame on the wire, bit by bit. */
export function bitLines(packet: Packet, from: number, count: number): string[] {
  if (!packet.ethernet) return ["it has no link header here: there is nothing on a wire yet"];
  const { bytes, padding } = onWire(packet.bytes);
  const out = ["byte       bits       Manchester (IEEE 802.3: a 0 falls, a 1 rises; the lowest bit first)"];
  const end = Math.min(bytes.length, from + count);
  for (let i = from; i < end; i++) {
    const b = bytes[i]!;
    let what = `frame byte ${(i - 8).toString(16).padStart(4, "0")}`;
    if (i < 7) what = "preamble";
    else if (i === 7) what = "start of frame";
    else if (i >= bytes.length - 4) what = "frame check sequence";
    else if (i >= bytes.length - 4 - padding) what = "padding";
    out.push(`${String(i).padStart(5)}  ${hex2(b)}  ${bitsOf(b)}  ${manchester(b)}  ${what}`);
  }
  if (end < bytes.length) out.push(`... ${bytes.length - end} more bytes (bits ${end} tells on from there)`);
  return out;
}

/** All of an event. */
export function eventLines(e: Seen, reader: FieldReader, style: Style, how: "line" | "layers" | "bytes"): string[] {
  const layers = e.packet === null ? [] : reader.read(e.packet.bytes, e.packet.ethernet);
  const out = [eventLine(e, layers, style)];
  if (e.packet === null || how === "line") return out;
  out.push(...(how === "layers" ? layerLines(e.packet, layers) : byteLines(e.packet, e.before, layers, style)));
  return out;
}
