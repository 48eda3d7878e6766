// src/trace/story.ts: events as lines: what came, each step that it took and why, what became of it.

import type { Frame } from "../core/core.ts";
import type { TraceEvent } from "../link/trace.ts";
import type { World } from "../link/world.ts";
import { changes, frameLine, type Headers, readHeaders } from "./headers.ts";

const indent = " ".repeat(14);

function clock(ns: number): string {
  return (ns / 1e9).toFixed(6).padStart(12);
}

export class Story {
  /** The packet as it was when last seen, by handle. */
  private readonly last = new Map<Frame, Headers>();

  constructor(
    private readonly world: World,
    private readonly print: (line: string) => void,
  ) {}

  /** A `Tracer`. */
  readonly event = (e: TraceEvent): void => {
    const { core } = this.world;
    const where = `${e.node}${e.iface === "" ? "" : ` ${e.iface}`}`;
    if (e.kind === "receive" || e.kind === "originate") this.last.delete(e.frame);
    if (e.frame !== 0) this.rewritten(e);
    switch (e.kind) {
      case "receive":
        this.print(`${clock(e.time)}  ${where} <- ${frameLine(core, e.frame)}`);
        break;
      case "transmit":
        this.print(`${clock(e.time)}  ${where} -> ${frameLine(core, e.frame)}`);
        this.last.delete(e.frame);
        break;
      case "originate":
        this.print(`${indent}makes ${e.text}: ${frameLine(core, e.frame)}`);
        break;
      case "drop":
        this.print(`${indent}DROP ${e.text}: ${frameLine(core, e.frame)}`);
        this.last.delete(e.frame);
        break;
      case "deliver":
        this.print(`${indent}delivered: ${e.text}`);
        this.last.delete(e.frame);
        break;
      case "hook":
        // what was accepted goes on, as the next step shows
        if (!e.text.endsWith(" accept")) this.print(`${indent}${e.text}`);
        break;
      default:
        this.print(`${indent}${e.kind} ${e.text}`);
    }
  };

  /** Says what changed in the packet since the step before. */
  private rewritten(e: TraceEvent): void {
    const now = readHeaders(this.world.core, e.frame);
    if (now === null) return;
    const before = this.last.get(e.frame);
    this.last.set(e.frame, now);
    if (before === undefined) return;
    const what = changes(before, now);
    if (what.length > 0) this.print(`${indent}rewrite ${what.join(", ")}`);
  }
}
