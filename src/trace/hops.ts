// src/trace/hops.ts: the way of a packet as a person wants to read it: a line a hop, what decided, what it changed.

import type { Frame } from "../core/core.ts";
import type { TraceEvent } from "../link/trace.ts";
import type { World } from "../link/world.ts";
import { changes, frameLine, type Headers, readHeaders } from "./headers.ts";

/** A packet's stay in a host, or in a bridge within it. */
interface Stay {
  readonly iface: string;
  readonly headers: Headers | null;
  readonly why: string[];
}

const column = 26;

export class Hops {
  private readonly stays = new Map<Frame, Stay>();
  private stories = 0;
  private silent = 0;

  constructor(
    private readonly world: World,
    private readonly print: (line: string) => void,
    /** Whether a device has no link: a packet that it receives comes from outside, and begins a story. */
    private readonly isEdge: (node: string, iface: string) => boolean,
    /** After so many packets from outside, the others are only counted. */
    private readonly most: number,
  ) {}

  /** A `Tracer`. */
  readonly event = (e: TraceEvent): void => {
    switch (e.kind) {
      case "receive":
        this.receive(e);
        break;
      case "originate":
        this.stays.set(e.frame, { iface: "", headers: null, why: [e.text] });
        break;
      case "rule":
        if (isDecisive(e.text)) this.stays.get(e.frame)?.why.push(e.text);
        break;
      case "route":
      case "bridge":
        this.stays.get(e.frame)?.why.push(`${e.kind} ${e.text}`);
        break;
      case "transmit":
        this.leave(e, e.iface);
        this.stays.set(e.frame, { iface: e.iface, headers: readHeaders(this.world.core, e.frame), why: [] });
        break;
      case "drop":
        this.leave(e, `dropped: ${e.text}`);
        break;
      case "deliver":
        this.leave(e, `delivered (${e.text})`);
        break;
      default:
    }
  };

  /** Says what was left out. */
  end(): void {
    if (this.silent > 0) this.print(`\n... and ${this.silent} more packets (--all shows their hops)`);
    this.print("");
  }

  private receive(e: TraceEvent): void {
    const headers = readHeaders(this.world.core, e.frame);
    // a bridge device receives what one of its ports received: still the same packet
    const known = this.stays.get(e.frame);
    if (known !== undefined && known.headers !== null && !this.isEdge(e.node, e.iface)) {
      this.stays.set(e.frame, { iface: e.iface, headers, why: known.why });
      return;
    }
    this.stays.set(e.frame, { iface: e.iface, headers, why: [] });
    if (headers === null || !this.isEdge(e.node, e.iface)) return;
    this.stories++;
    if (this.stories > this.most) this.silent++;
    else this.print(`\n${(e.time / 1e6).toFixed(3)} ms  ${frameLine(this.world.core, e.frame)}`);
  }

  private leave(e: TraceEvent, where: string): void {
    const stay = this.stays.get(e.frame);
    this.stays.delete(e.frame);
    if (stay === undefined || stay.headers === null || this.stories > this.most || stay.iface === where) return;
    const now = readHeaders(this.world.core, e.frame);
    const lines = [...stay.why, ...(now === null ? [] : changes(stay.headers, now))];
    const head = `  ${e.node.padEnd(7)} ${stay.iface} -> ${where}`;
    this.print(`${head.padEnd(column)} ${lines[0] ?? ""}`.trimEnd());
    for (const line of lines.slice(1)) this.print(`${" ".repeat(column)} ${line}`);
  }
}

/** A rule that ended its table's walk or changed the packet; jumps and returns are the way there. */
export function isDecisive(text: string): boolean {
  const target = /-j (\S+)/.exec(text)?.[1];
  if (target === undefined) return / policy DROP/.test(text);
  return target !== "RETURN" && builtin.has(target);
}

const builtin = new Set([
  "ACCEPT",
  "DROP",
  "REJECT",
  "DNAT",
  "SNAT",
  "MASQUERADE",
  "REDIRECT",
  "NETMAP",
  "MARK",
  "CONNMARK",
  "TTL",
  "TOS",
  "DSCP",
  "ECN",
  "TCPMSS",
  "TCPOPTSTRIP",
  "TEE",
  "NOTRACK",
  "CT",
  "LOG",
]);
