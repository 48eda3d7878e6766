// src/repl/capture.ts: the REPL on a capture: its packets forward and back, by layers, bytes and bits, through a filter.

import { LinkType } from "../../assembly/record.ts";
import type { CapturedPacket } from "../capture/reader.ts";
import { compileFilter, loadFilter, matches, unloadFilter } from "../capture/filter/index.ts";
import { loadCore } from "../node/core.ts";
import { FieldReader, printable } from "./fields.ts";
import type { Packet } from "./session.ts";
import type { Outcome } from "./shell.ts";
import { bitLines, byteLines, layerLines, type Style } from "./view.ts";
import { LineError, number, Words } from "./words.ts";

/** A packet of a file, and the name of the interface that it was seen at. */
export interface Captured extends CapturedPacket {
  readonly iface: string;
}

const help = `step [N], n      the next packet, or N on        back [N], b     the one before
goto N           packet number N of the file     first, last
show, layers     by layers, from data to bits    bytes            each byte with its field, value, meaning
bits [FROM [N]]  as the wire has it              list [N]         the next N packets, a line each
filter EXPR      only what the pcap filter matches; filter alone: all
help, quit
  filter tcp port 80
  step 3
  bytes`;

const names = [
  "step",
  "back",
  "goto",
  "first",
  "last",
  "show",
  "layers",
  "bytes",
  "bits",
  "list",
  "filter",
  "help",
  "quit",
];

export class CaptureShell {
  private readonly reader = new FieldReader(loadCore());
  /** Index into `packets`; -1: in front of the first. */
  private at = -1;
  private wanted: readonly number[];

  constructor(
    private readonly packets: readonly Captured[],
    private readonly style: Style,
    private readonly print: (line: string) => void,
  ) {
    this.wanted = packets.map((_, i) => i);
  }

  get prompt(): string {
    return `packet ${this.at < 0 ? 0 : this.packets[this.at]!.number} of ${this.packets.length}> `;
  }

  line(text: string): Outcome {
    const line = text.replace(/\s+$/, "");
    if (/^\s*(#.*)?$/.test(line)) return { ok: true, quit: false };
    try {
      return { ok: true, quit: this.run(line) };
    } catch (e) {
      const message = e instanceof Error ? e.message.split("\n")[0]! : String(e);
      return { ok: false, column: e instanceof LineError ? e.column : 1, message };
    }
  }

  complete(line: string): [string[], string] {
    return [names.filter((n) => n.startsWith(line)).map((n) => `${n} `), line];
  }

  private run(line: string): boolean {
    const words = Words.of(line);
    const first = words.take("a command");
    const count = (otherwise: number): number => {
      const n = words.peek() === null ? otherwise : number(words.take(""), 1, 1e9, "a number");
      words.done();
      return n;
    };
    switch (first.text) {
      case "quit":
      case "exit":
        return true;
      case "help":
      case "?":
        this.print(help);
        return false;
      case "step":
      case "s":
      case "n":
      case "next":
        this.move(count(1));
        return false;
      case "back":
      case "b":
        this.move(-count(1));
        return false;
      case "first":
      case "last":
        words.done();
        if (this.wanted.length === 0) throw new LineError(1, "no packet matches the filter");
        this.to(first.text === "first" ? this.wanted[0]! : this.wanted.at(-1)!);
        return false;
      case "goto": {
        const w = words.take("a packet's number");
        const n = number(w, 1, 1e9, "a number");
        words.done();
        const i = this.packets.findIndex((p) => p.number === n);
        if (i < 0) throw new LineError(w.column, `there is no packet ${n}, expected 1 to ${this.packets.length}`);
        this.to(i);
        return false;
      }
      case "show":
      case "layers":
        words.done();
        this.show("layers");
        return false;
      case "bytes":
        words.done();
        this.show("bytes");
        return false;
      case "bits": {
        const from = words.peek() === null ? 0 : number(words.take(""), 0, 1e9, "a byte");
        const most = words.peek() === null ? 96 : number(words.take(""), 1, 1e9, "a number of bytes");
        words.done();
        for (const l of bitLines(this.packet(), from, most)) this.print(l);
        return false;
      }
      case "list": {
        const most = count(20);
        for (const i of this.wanted.filter((k) => k > this.at).slice(0, most)) this.print(this.summary(i));
        return false;
      }
      case "filter":
        this.filter(line, words);
        return false;
      default:
        throw new LineError(first.column, `'${first.text}', expected one of: ${names.join(", ")}`);
    }
  }

  private move(n: number): void {
    const { wanted } = this;
    // where the position stands among those wanted
    let k = n > 0 ? wanted.findIndex((i) => i > this.at) : wanted.findLastIndex((i) => i < this.at);
    if (k < 0) {
      this.print(n > 0 ? "no packet behind this one" : "no packet in front of this one");
      return;
    }
    k += n > 0 ? n - 1 : n + 1;
    this.to(wanted[Math.min(Math.max(k, 0), wanted.length - 1)]!);
  }

  private to(i: number): void {
    this.at = i;
    this.show("layers");
  }

  private packet(): Packet {
    const p = this.packets[this.at];
    if (p === undefined) throw new LineError(1, "no packet yet, expected 'step' before");
    return { bytes: p.data, net: -1, ethernet: p.linkType === LinkType.Ethernet };
  }

  private show(how: "layers" | "bytes"): void {
    const packet = this.packet();
    const layers = this.reader.read(packet.bytes, packet.ethernet, this.packets[this.at]!.linkType);
    this.print(this.summary(this.at));
    for (const c of this.packets[this.at]!.comments) for (const l of c.split("\n")) this.print(`  # ${printable(l)}`);
    for (const l of how === "layers" ? layerLines(packet, layers) : byteLines(packet, null, layers, this.style))
      this.print(l);
  }

  private summary(i: number): string {
    const p = this.packets[i]!;
    const layers = this.reader.read(p.data, p.linkType === LinkType.Ethernet, p.linkType);
    const time = p.timed ? `${p.seconds}.${String(p.nanoseconds).padStart(9, "0")} ` : "";
    const iface = p.iface === "" ? "" : `${printable(p.iface)} `;
    const cut = p.capturedLength < p.originalLength ? ` (${p.capturedLength} of them here)` : "";
    return `#${p.number}  ${time}${iface}${p.originalLength} bytes${cut}  ${printable(
      layers
        .slice(-2)
        .map((l) => l.summary)
        .join(": "),
    )}`;
  }

  private filter(line: string, words: Words): void {
    const { column } = words;
    const expression = line
      .slice(column - 1)
      .trim()
      .replace(/^(['"])(.*)\1$/, "$2");
    const all = this.packets.map((_, i) => i);
    if (expression === "") this.wanted = all;
    else {
      const { core } = this.reader;
      const programs = new Map<number, ReturnType<typeof loadFilter>>();
      try {
        const takes = (i: number): boolean => {
          const p = this.packets[i]!;
          let f = programs.get(p.linkType);
          if (f === undefined) programs.set(p.linkType, (f = loadFilter(core, compileFilter(expression, p.linkType))));
          return matches(f, this.reader.put(p.data), p.data.length, p.originalLength);
        };
        this.wanted = all.filter(takes);
      } catch (e) {
        throw new LineError(column, (e as Error).message);
      } finally {
        for (const f of programs.values()) unloadFilter(f);
      }
    }
    this.print(`${this.wanted.length} of ${all.length} packets`);
  }
}
