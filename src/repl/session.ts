// src/repl/session.ts: a lab that can be gone through forward and back.
//
// A session is the lab's text, a seed, the commands that were given with the moment of each, and a position. The world is
// deterministic: every position is reached by building it anew and running it up to there, so that going back is exact.

import type { Frame } from "../core/core.ts";
import { Pkt } from "../../assembly/layout.ts";
import type { Drop } from "../../assembly/drop.ts";
import { type Lab, buildLab } from "../lab/build.ts";
import { LabText } from "../lab/read.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { Halt, type TraceEvent, type TraceKind } from "../link/trace.ts";
import { loadCore } from "../node/core.ts";

/** A command that changed the world, and when: behind so many events of the clock, at this time. */
export interface Input {
  readonly steps: number;
  readonly time: number;
  readonly line: string;
}

/** Where a session stands. */
export interface Position {
  /** Trace events so far: the last of them is the one that is looked at. */
  readonly events: number;
  /** null: in the middle of an instant, right at that event. Else behind so many events of the clock, at `time`. */
  readonly whole: { readonly steps: number; readonly time: number; readonly applied: number } | null;
}

/** An event, with the packet as it was then. */
export interface Seen {
  readonly number: number;
  readonly time: number;
  readonly node: string;
  readonly iface: string;
  readonly kind: TraceKind;
  readonly text: string;
  readonly drop: Drop;
  readonly frame: Frame;
  readonly packet: Packet | null;
  /** As it came to this host, or was made there; null when it was not seen before. */
  readonly before: Packet | null;
}

/** A packet's bytes. */
export interface Packet {
  readonly bytes: Uint8Array;
  /** Where its IPv4 or ARP header is; -1: not known. */
  readonly net: number;
  /** It begins with an Ethernet header. */
  readonly ethernet: boolean;
}

/** What a line that was given does to a world. `print` is what it says, now or later. */
export type Apply = (run: Run, line: string, print: (text: string) => void) => void;

/** What a packet by hand says of its origin: it is a whole frame already. */
export const BY_HAND = "by hand";
const HOUR = 3_600_000_000_000;

/** One world on its way. */
export class Run {
  readonly lab: Lab;
  events = 0;
  /** Events of the clock. */
  steps = 0;
  /** Inputs that were given to it. */
  applied = 0;
  /** What commands and programs said, with the number of events before each. */
  readonly lines: string[] = [];
  /** The event that it stands at. */
  seen: Seen | null = null;
  halted = false;
  /** Somebody asked it what may leave traces (tables are tidied up, or made, when they are asked for): it is not to go on. */
  looked = false;
  /** Programs of commands that run in front: the world is to go on until there are none. */
  jobs = 0;
  /** Where it stood after the last event of the clock in which anything happened. */
  lively: Position = { events: 0, whole: { steps: 0, time: 0, applied: 0 } };
  private stop: ((e: Seen) => boolean) | null = null;
  private readonly arrived = new Map<Frame, Packet>();
  private before: Packet | null = null;
  /** Where the Ethernet header of a frame was that a device sent: until the next one takes it in nothing else says so. */
  private readonly sentFrom = new Map<Frame, number>();

  constructor(
    private readonly text: LabText,
    seed: number,
    private readonly apply: Apply,
  ) {
    this.lab = buildLab(loadCore(), text, { seed });
    this.lab.world.tracer = this.event;
  }

  /** What the lab says of a node's name servers. */
  resolvConf(node: string): string {
    return this.text.file.nodes[node]?.resolv_conf ?? "";
  }

  private readonly event = (e: TraceEvent): void => {
    if (this.halted) throw new Halt();
    this.events++;
    this.before = this.arrived.get(e.frame) ?? null;
    if (e.frame !== 0) {
      if (e.kind === "receive" || e.kind === "originate" || this.before === null)
        this.arrived.set(e.frame, this.packet(e));
      else if (e.kind === "drop" || e.kind === "deliver") this.arrived.delete(e.frame);
    }
    const packet = e.frame === 0 ? null : this.packet(e);
    const seen = { ...pick(e), number: this.events, packet, before: this.before };
    this.seen = seen;
    if (this.stop === null || !this.stop(seen)) return;
    this.halted = true;
    this.lab.world.backlog.halt();
    throw new Halt();
  };

  /** The bytes of the packet, from its Ethernet header on where it has one. */
  private packet(e: TraceEvent): Packet {
    const { u8, u32 } = this.lab.world.core;
    const f = e.frame >> 2;
    const data = u32[f + (Pkt.Data >> 2)]!;
    const end = data + u32[f + (Pkt.Len >> 2)]!;
    const mac = u32[f + (Pkt.Mac >> 2)]!;
    const net = u32[f + (Pkt.Net >> 2)]!;
    const tun = this.lab.nodes.get(e.node)?.byName.get(e.iface)?.kind === "tun";
    const atDevice = (e.kind === "receive" || e.kind === "transmit") && !tun;
    if (e.kind === "transmit" && !tun) this.sentFrom.set(e.frame, data);
    else if (e.kind === "receive" || e.kind === "originate") this.sentFrom.delete(e.frame);
    const onItsWay = mac === 0 && this.sentFrom.get(e.frame) === data;
    if (atDevice || onItsWay || (e.kind === "originate" && e.text === BY_HAND))
      return { bytes: u8.slice(data, end), net: networkOf(u8, data, end), ethernet: true };
    if (mac !== 0 && mac <= data && data - mac <= 22 && networkOf(u8, mac, end) >= 0) {
      return { bytes: u8.slice(mac, end), net: networkOf(u8, mac, end), ethernet: true };
    }
    const from = net !== 0 && net < data ? net : data;
    return { bytes: u8.slice(from, end), net: 0, ethernet: false };
  }

  /** Gives it a line at the moment where it stands; it must stand between two events of the clock. */
  give(line: string): void {
    this.applied++;
    this.lab.world.backlog.hold(() => this.apply(this, line, (text) => void this.lines.push(text)));
  }

  /**
   * Goes on, giving it the inputs when their moment comes, until `stop` says so at an event (the world is halted then), or
   * `until` says so between two events of the clock, or nothing is left to happen before `end`: then it stands at `end`,
   * unless that is infinite.
   */
  go(
    inputs: readonly Input[],
    how: { stop?: (e: Seen) => boolean; until?: () => boolean; end?: number },
  ): "stop" | "until" | "end" {
    const { clock } = this.lab.world;
    this.stop = how.stop ?? null;
    const end = how.end ?? Infinity;
    const latest = Math.min(end, clock.now + HOUR);
    try {
      for (;;) {
        const input = inputs[this.applied];
        if (input !== undefined && input.steps <= this.steps && input.time <= end) {
          clock.now = Math.max(clock.now, input.time);
          this.give(input.line);
          this.lively = this.position;
          continue;
        }
        if (how.until?.() === true) return "until";
        if (clock.next() > latest) break;
        this.steps++;
        const { events } = this;
        clock.step();
        if (this.halted) return "stop";
        if (this.events > events) this.lively = this.position;
      }
    } catch (e) {
      if (e instanceof Halt || this.halted) return "stop";
      throw e;
    } finally {
      this.stop = null;
    }
    if (end !== Infinity) clock.now = Math.max(clock.now, end);
    return "end";
  }

  get position(): Position {
    if (this.halted) return { events: this.events, whole: null };
    return { events: this.events, whole: { steps: this.steps, time: this.lab.world.clock.now, applied: this.applied } };
  }
}

function pick(e: TraceEvent): Omit<Seen, "number" | "packet" | "before"> {
  const { time, node, iface, kind, text, drop, frame } = e;
  return { time, node, iface, kind, text, drop, frame };
}

/** Behind the Ethernet header and its tags: where IPv4 or ARP begins; -1 for anything else. */
function networkOf(u8: Uint8Array, from: number, end: number): number {
  let at = from + 12;
  let type = at + 2 <= end ? (u8[at]! << 8) | u8[at + 1]! : 0;
  for (let tags = 0; tags < 2 && (type === 0x8100 || type === 0x88a8) && at + 6 <= end; tags++) {
    at += 4;
    type = (u8[at]! << 8) | u8[at + 1]!;
  }
  return type === 0x0800 || type === 0x0806 ? at + 2 - from : -1;
}

/** What a file keeps of a session. */
export interface SessionFile {
  readonly wirepath: "session";
  readonly name: string;
  readonly lab: string;
  readonly seed: number;
  readonly inputs: readonly Input[];
  readonly position: Position;
}

export class Session {
  inputs: Input[] = [];
  run: Run;
  /** The last whole position at each number of events, so that `back` returns to where one was. */
  private readonly trail = new Map<number, Position>();
  private readonly text: LabText;

  constructor(
    readonly name: string,
    readonly labText: string,
    readonly seed: number = DEFAULT_SEED,
    private readonly apply: Apply,
  ) {
    this.text = LabText.read(name, labText);
    this.run = this.fresh();
    this.mark();
  }

  private fresh(): Run {
    return new Run(this.text, this.seed, this.apply);
  }

  private mark(): void {
    const { position } = this.run;
    if (position.whole !== null) this.trail.set(position.events, position);
  }

  get events(): number {
    return this.run.events;
  }

  /** Goes to a position by a run of its own. */
  goto(to: Position): void {
    const run = this.fresh();
    this.run = run;
    if (to.whole === null) {
      run.go(this.inputs, { stop: (e) => e.number >= to.events });
      return;
    }
    const { steps, time, applied } = to.whole;
    run.go(this.inputs, { until: () => run.steps >= steps && run.applied >= applied, end: time });
    run.lab.world.clock.now = Math.max(run.lab.world.clock.now, time);
    // the event that it stands behind, with its packet
    this.mark();
  }

  /** `n` events back; where one stood there before between two instants, exactly there. */
  back(n: number): void {
    const events = Math.max(0, this.events - n);
    this.goto(this.trail.get(events) ?? { events, whole: null });
  }

  /**
   * Forward to the first event behind this position that `wanted` takes ("stop"). "until": `limit.until` said so between two
   * instants; "end": the time `limit.end` came, or nothing more happens: then it stands behind the last event, or with
   * `stay` where it stood.
   */
  forward(
    wanted: (e: Seen) => boolean,
    limit: { end?: number; until?: () => boolean; stay?: boolean } = {},
  ): "stop" | "until" | "end" {
    const from = this.run.position;
    const run = this.run.halted || this.run.looked ? this.fresh() : this.run;
    this.run = run;
    const stop = (e: Seen): boolean => e.number > from.events && wanted(e);
    const how: { stop: typeof stop; end?: number; until?: () => boolean } = { stop };
    if (limit.end !== undefined) how.end = limit.end;
    if (limit.until !== undefined) how.until = () => run.events >= from.events && limit.until!();
    let result: "stop" | "until" | "end";
    try {
      result = run.go(this.inputs, how);
    } catch (e) {
      // a world that broke is looked at no more
      this.goto(from);
      throw e;
    }
    // what there was behind the last event were timers that change nothing to be seen
    if (result === "end" && limit.end === undefined) {
      const further = limit.stay !== true && run.lively.events > from.events;
      this.goto(further ? run.lively : from);
    }
    this.mark();
    return result;
  }

  /** Shows every event up to this position, in order. */
  replay(visit: (e: Seen, run: Run) => void): void {
    const { events } = this;
    if (events === 0) return;
    const run = this.fresh();
    run.go(this.inputs, {
      stop: (e) => {
        visit(e, run);
        return e.number >= events;
      },
    });
  }

  /** Ends the instant that it stands in: commands are given between two events of the clock. */
  settle(): void {
    if (!this.run.halted) {
      if (this.run.looked) this.goto(this.run.position);
      return;
    }
    const { events } = this.run;
    const run = this.fresh();
    this.run = run;
    run.go(this.inputs, { until: () => run.events >= events });
    this.mark();
  }

  /** Gives a line now; what was given later is forgotten. */
  give(line: string): void {
    this.settle();
    const { run } = this;
    this.inputs.length = run.applied;
    for (const [events, p] of this.trail)
      if (events > run.events || p.whole!.applied > run.applied) this.trail.delete(events);
    const input = { steps: run.steps, time: run.lab.world.clock.now, line };
    this.inputs.push(input);
    try {
      run.give(line);
    } catch (e) {
      // what failed did nothing, or half of it: the world is made again without it
      this.inputs.pop();
      this.goto({ events: run.events, whole: { steps: input.steps, time: input.time, applied: run.applied - 1 } });
      throw e;
    }
    this.mark();
  }

  toFile(): SessionFile {
    const { name, labText, seed, inputs } = this;
    return { wirepath: "session", name, lab: labText, seed, inputs, position: this.run.position };
  }

  static fromFile(file: SessionFile, apply: Apply): Session {
    const session = new Session(file.name, file.lab, file.seed, apply);
    session.inputs = file.inputs.slice();
    session.goto(file.position);
    return session;
  }

  fork(): Session {
    return Session.fromFile(this.toFile(), this.apply);
  }
}
