// src/trace/recorder.ts: events as a capture: every frame at every device, with a comment on each that was changed,
// made or dropped, which says why.

import { Pkt } from "../../assembly/layout.ts";
import { type CaptureName, Direction } from "../capture/format.ts";
import { PcapngWriter, type Sink } from "../capture/writer.ts";
import type { Frame } from "../core/core.ts";
import type { Namespace } from "../host/namespace.ts";
import type { TraceEvent } from "../link/trace.ts";
import type { World } from "../link/world.ts";
import { changes, type Headers, readHeaders } from "./headers.ts";

/** A frame at a device. */
export interface Record {
  readonly time: number;
  readonly node: string;
  readonly iface: string;
  readonly direction: number;
  readonly bytes: Uint8Array;
  readonly comments: string[];
}

/** A packet inside a host: how it came, and what was decided since. */
interface Passage {
  readonly record: Record | null;
  readonly headers: Headers | null;
  readonly reasons: string[];
}

export class Recorder {
  readonly records: Record[] = [];
  private readonly passages = new Map<Frame, Passage>();
  private readonly keys: Uint8Array[] = [];

  constructor(private readonly world: World) {}

  /** A `Tracer`. */
  readonly event = (e: TraceEvent): void => {
    switch (e.kind) {
      case "receive": {
        const record = this.take(e, Direction.In);
        this.passages.set(e.frame, { record, headers: readHeaders(this.world.core, e.frame), reasons: [] });
        break;
      }
      case "originate":
        this.passages.set(e.frame, { record: null, headers: null, reasons: [`made here: ${e.text}`] });
        break;
      case "transmit":
        this.transmit(e);
        break;
      case "drop":
        this.passages.get(e.frame)?.record?.comments.push(`dropped by ${e.node}: ${e.text}${this.because(e.frame)}`);
        this.passages.delete(e.frame);
        break;
      case "deliver":
        this.passages.delete(e.frame);
        break;
      case "rule":
      case "conntrack":
      case "route":
      case "bridge":
        this.passages.get(e.frame)?.reasons.push(`${e.kind} ${e.text}`);
        break;
      default:
    }
  };

  /** A line of a TLS key log, as a socket's or a server's `keylog` event has it: the capture will hold it. */
  readonly keyLog = (line: Uint8Array): void => {
    this.keys.push(line);
  };

  private because(frame: Frame): string {
    const reasons = this.passages.get(frame)?.reasons ?? [];
    return reasons.length === 0 ? "" : `\n${reasons.join("\n")}`;
  }

  private transmit(e: TraceEvent): void {
    const record = this.take(e, Direction.Out);
    const passage = this.passages.get(e.frame);
    if (passage === undefined) return;
    const now = readHeaders(this.world.core, e.frame);
    if (passage.headers === null) record.comments.push(passage.reasons.join("\n"));
    else if (now !== null) {
      const what = changes(passage.headers, now);
      if (what.length > 0) record.comments.push(`${e.node}: ${what.join(", ")}${this.because(e.frame)}`);
    }
    // a bridge device hands the same frame to its port: what changed was said already
    this.passages.set(e.frame, { record, headers: now, reasons: [] });
  }

  private take(e: TraceEvent, direction: number): Record {
    const { u32, u8 } = this.world.core;
    const at = u32[(e.frame + Pkt.Data) >> 2]!;
    const bytes = u8.slice(at, at + u32[(e.frame + Pkt.Len) >> 2]!);
    const record = { time: e.time, node: e.node, iface: e.iface, direction, bytes, comments: [] };
    this.records.push(record);
    return record;
  }

  /**
   * Writes what was recorded as pcapng: an interface block a device, named NODE:DEVICE, the nodes' addresses by name, and
   * the secrets that decrypt it.
   */
  write(sink: Sink, nodes: Iterable<Namespace>): void {
    const writer = new PcapngWriter(sink);
    const ids = new Map<string, number>();
    const { u8 } = this.world.core;
    const names: CaptureName[] = [];
    for (const ns of nodes) {
      for (const dev of ns.interfaces) {
        if (dev.kind === "loopback") continue;
        for (const { local } of ns.fib.addresses(dev)) {
          names.push({ address: Uint8Array.of(local >>> 24, local >>> 16, local >>> 8, local), names: [ns.name] });
        }
        const name = `${ns.name}:${dev.name}`;
        ids.set(name, writer.addInterface({ name, mac: u8.slice(dev.mac, dev.mac + 6) }));
      }
    }
    if (names.length > 0) writer.writeNames(names);
    if (this.keys.length > 0) writer.writeSecrets(joined(this.keys));
    const zero = Number(this.world.epoch / 1_000_000_000n);
    for (const r of this.records) {
      const id = ids.get(`${r.node}:${r.iface}`);
      if (id === undefined) continue;
      const { bytes } = r;
      const seconds = zero + Math.floor(r.time / 1e9);
      writer.write(id, seconds, r.time % 1e9, bytes, 0, bytes.length, bytes.length, r.direction, r.comments);
    }
    writer.flush();
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}
