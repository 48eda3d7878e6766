// src/repl/shell.ts: what a line of the REPL does. It never throws: what is wrong is said, with its column.

import { LabError } from "../lab/read.ts";
import { parseTime } from "../lab/words.ts";
import { formatIpv4 } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import {
  compileFilter,
  LinkType,
  loadFilter,
  type LoadedFilter,
  matches,
  unloadFilter,
} from "../capture/filter/index.ts";
import { Interface } from "../link/interface.ts";
import { loadCore } from "../node/core.ts";
import { applyLine, nodeAt, programs } from "./change.ts";
import { digest } from "./digest.ts";
import { FieldReader } from "./fields.ts";
import { helpText } from "./help.ts";
import { makePacket } from "./make.ts";
import { Breakpoints } from "./breakpoints.ts";
import { type Seen, Session } from "./session.ts";
import { showHost } from "./show.ts";
import { bitLines, byteLines, clockText, eventLine, eventLines, layerLines, plain, type Style } from "./view.ts";
import { LineError, number, type Word, Words } from "./words.ts";

/** Files, where there are any. */
export interface Files {
  read(path: string): string;
  write(path: string, text: string): void;
}

export interface ShellOptions {
  readonly style?: Style;
  readonly files?: Files;
  readonly print: (line: string) => void;
}

/** More steps at once than anybody reads. */
const MOST_STEPS = 1_000_000;

/** What `print` is given when a line is wrong. */
export type Outcome =
  | { readonly ok: true; readonly quit: boolean }
  | { readonly ok: false; readonly column: number; readonly message: string };

export class Shell {
  session: Session;
  readonly breakpoints = new Breakpoints();
  private readonly forks = new Map<string, Session>();
  private readonly core: Core;
  private readonly reader: FieldReader;
  private built: string | null = null;
  private name = "main";
  private readonly style: Style;
  /** How much of each event is printed. */
  private detail: "line" | "layers" | "bytes" = "layers";

  constructor(
    name: string,
    labText: string,
    seed: number | undefined,
    private readonly options: ShellOptions,
  ) {
    this.style = options.style ?? plain;
    this.core = loadCore();
    this.reader = new FieldReader(this.core);
    this.session = new Session(name, labText, seed, applyLine);
    this.forks.set(this.name, this.session);
  }

  /** Does what a line says. */
  line(text: string): Outcome {
    const line = text.replace(/\s+$/, "");
    if (/^\s*(#.*)?$/.test(line)) return { ok: true, quit: false };
    try {
      return { ok: true, quit: this.run(line) };
    } catch (e) {
      if (e instanceof LineError) return { ok: false, column: e.column, message: e.message };
      const message = e instanceof Error ? e.message.split("\n")[0]! : String(e);
      return { ok: false, column: 1, message };
    }
  }

  /** What stands in front of a line on a terminal. */
  get prompt(): string {
    const now = this.session.run.lab.world.clock.now;
    return `${this.name === "main" ? "wirepath" : this.name} #${this.session.events} ${clockText(now)}> `;
  }

  private say(text: string): void {
    this.options.print(text);
  }

  private sayAll(lines: readonly string[]): void {
    for (const l of lines) this.say(l);
  }

  /** True: the REPL ends. */
  private run(line: string): boolean {
    const words = Words.of(line);
    const first = words.take("a command");
    const { text } = first;
    switch (text) {
      case "quit":
      case "exit":
        return true;
      case "help":
      case "?":
        this.say(helpText(words.peek()));
        return false;
      case "event":
      case "e":
      case "s":
      case "step":
      case "hop":
      case "h":
      case "layer":
      case "l":
      case "n":
      case "next":
        this.step(first, words);
        return false;
      case "back":
      case "b":
        this.back(words);
        return false;
      case "run":
        this.runUntil(words);
        return false;
      case "continue":
      case "c":
        words.done();
        this.move(() => this.session.forward((e) => this.breakpoints.hit(e, this.reader)), true);
        return false;
      case "break":
        this.say(this.breakpoints.add(line, words, this.session.run.lab.nodes));
        return false;
      case "delete":
        this.say(this.breakpoints.remove(words));
        return false;
      case "show":
      case "layers":
        words.done();
        this.show("layers");
        return false;
      case "bytes":
        words.done();
        this.show("bytes");
        return false;
      case "bits":
        this.bits(words);
        return false;
      case "detail": {
        const w = words.take("line, layers or bytes");
        if (w.text !== "line" && w.text !== "layers" && w.text !== "bytes") {
          throw new LineError(w.column, `'${w.text}', expected line, layers or bytes`);
        }
        words.done();
        this.detail = w.text;
        return false;
      }
      case "why":
        words.done();
        this.why();
        return false;
      case "log":
        this.log(words);
        return false;
      case "time":
        words.done();
        this.say(`${clockText(this.session.run.lab.world.clock.now)}, ${this.session.events} events`);
        return false;
      case "digest":
        words.done();
        this.session.run.looked = true;
        this.say(digest(this.session.run));
        return false;
      case "nodes":
        words.done();
        this.say("available nodes are:");
        this.say([...this.session.run.lab.nodes.keys()].join(" "));
        return false;
      case "net":
        words.done();
        this.net();
        return false;
      case "links":
        words.done();
        for (const l of this.session.run.lab.links) {
          this.say(
            `${l.a.owner.name}-${l.a.name}<->${l.b.owner.name}-${l.b.name} ${l.whole ? "(OK OK)" : "(MISSING MISSING)"}`,
          );
        }
        return false;
      case "dump":
        words.done();
        this.dump();
        return false;
      case "build":
        this.build(line, words);
        return false;
      case "send":
      case "inject": {
        const ns = nodeAt(this.session.run, words.take("a host"));
        const dev = words.take(`a device of ${ns.name}`);
        if (words.peek() !== null) return this.change(line);
        if (this.built === null)
          throw new LineError(line.length + 1, "there is no packet, expected one here or a 'build' before");
        return this.change(`${text} ${ns.name} ${dev.text} ${this.built}`);
      }
      case "history":
        words.done();
        this.session.inputs.forEach((i, k) =>
          this.say(
            `${String(k + 1).padStart(3)}  ${clockText(i.time)}  ${i.line}${k < this.session.run.applied ? "" : "   (ahead)"}`,
          ),
        );
        return false;
      case "save":
      case "load":
      case "fork":
      case "switch":
        this.keep(first, words);
        return false;
      case "pingall":
      case "iperf":
      case "link":
        return this.change(line);
      default:
        return this.host(line, first, words);
    }
  }

  // -- hosts

  private host(line: string, first: Word, words: Words): boolean {
    const { run } = this.session;
    const ns = nodeAt(run, first);
    const tool = words.take("a command of the host's: ip, ping, curl, tcpdump ...");
    if (!tools.includes(tool.text)) {
      throw new LineError(
        tool.column,
        `'${tool.text}' is no command of a host's here, expected one of: ${tools.join(", ")}`,
      );
    }
    if (tool.text === "tcpdump") {
      this.tcpdump(ns.name, words, line);
      return false;
    }
    run.looked = true;
    const shown = showHost(ns, line, tool);
    if (shown === null) return this.change(line);
    if (shown !== "") this.say(shown.replace(/\n$/, ""));
    return false;
  }

  /** A line that changes the world; programs in front run until they end or something breaks. */
  private change(line: string): boolean {
    const before = this.session.run.halted;
    this.session.settle();
    if (before) this.session.run.seen = null;
    const said = this.session.run.lines.length;
    try {
      this.session.give(line);
    } finally {
      this.printed(said);
    }
    if (this.session.run.jobs > 0) this.finish();
    return false;
  }

  private finish(): void {
    const from = this.session.run.lines.length;
    const { session } = this;
    const result = session.forward((e) => this.breakpoints.hit(e, this.reader), {
      until: () => session.run.jobs === 0,
    });
    this.printed(from);
    if (result === "stop") this.stopped();
    else if (result === "end") this.say("it does not end: nothing happens any more");
  }

  /** Lines that commands said since there were `from` of them. */
  private printed(from: number): void {
    const { lines } = this.session.run;
    for (let i = from; i < lines.length; i++) this.say(lines[i]!);
  }

  // -- moves

  private move(go: () => "stop" | "until" | "end", breaks = false): void {
    const from = this.session.run.lines.length;
    const result = go();
    this.printed(from);
    if (result === "stop") this.stopped(breaks);
    else if (result === "end") this.say("nothing more happens");
  }

  private stopped(breaks = true): void {
    const { seen } = this.session.run;
    if (seen === null) return;
    const why = breaks ? this.breakpoints.reason : "";
    if (why !== "") this.say(`stopped: ${why}`);
    this.sayAll(eventLines(seen, this.reader, this.style, this.detail));
  }

  private step(first: Word, words: Words): void {
    let kind = { s: "event", e: "event", h: "hop", l: "layer", n: "hop", next: "hop" }[first.text] ?? first.text;
    if (first.text === "step" || kind === "step") {
      kind = "event";
      const w = words.peek();
      if (w !== null && /^[a-z]/.test(w.text)) {
        words.take("");
        if (w.text !== "event" && w.text !== "hop" && w.text !== "layer") {
          throw new LineError(w.column, `'${w.text}', expected event, hop or layer`);
        }
        kind = w.text;
      }
    }
    const n = words.peek() === null ? 1 : number(words.take(""), 1, MOST_STEPS, "a number");
    words.done();
    if (kind === "event") {
      const to = this.session.events + n;
      return this.move(() => this.session.forward((e) => e.number >= to));
    }
    this.move(() => {
      let result: "stop" | "until" | "end" = "end";
      for (let i = 0; i < n; i++) {
        const wanted = kind === "hop" ? this.nextHop() : this.nextLayer();
        result = this.session.forward(wanted, { stay: true });
        if (result !== "stop") break;
      }
      return result;
    });
  }

  /** The packet's arrival at another host, or its end; without a packet under way, the next one's. */
  private nextHop(): (e: Seen) => boolean {
    const here = this.session.run.halted ? this.session.run.seen : null;
    const over = here === null || here.frame === 0 || here.kind === "drop" || here.kind === "deliver";
    if (over) return (e) => e.kind === "originate" || e.kind === "receive" || e.kind === "drop" || e.kind === "deliver";
    return (e) =>
      e.frame === here.frame &&
      (e.kind === "drop" || e.kind === "deliver" || (e.kind === "receive" && e.node !== here.node));
  }

  private nextLayer(): (e: Seen) => boolean {
    const here = this.session.run.halted ? this.session.run.seen : null;
    const over = here === null || here.frame === 0 || here.kind === "drop" || here.kind === "deliver";
    if (over) return (e) => e.frame !== 0;
    const layer = layerOf(here);
    return (e) => e.frame === here.frame && (layerOf(e) !== layer || e.node !== here.node);
  }

  private back(words: Words): void {
    const n = words.peek() === null ? 1 : number(words.take(""), 0, Number.MAX_SAFE_INTEGER, "a number");
    words.done();
    this.session.back(n);
    if (this.session.events === 0) this.say("at the start");
    else if (this.session.run.halted) this.stopped(false);
    else this.say(`at ${clockText(this.session.run.lab.world.clock.now)}, behind event #${this.session.events}`);
  }

  private runUntil(words: Words): void {
    if (words.peek() === null) {
      return this.move(() => this.session.forward((e) => this.breakpoints.hit(e, this.reader)), true);
    }
    const relative = !words.is("until");
    const w = words.take("a time such as 10ms, or a number of events");
    words.done();
    if (relative && /^\d+$/.test(w.text)) {
      const to = this.session.events + number(w, 1, MOST_STEPS, "a number of events");
      return this.move(() => this.session.forward((e) => e.number >= to || this.breakpoints.hit(e, this.reader)), true);
    }
    let time: number;
    try {
      time = parseTime(w.text);
    } catch (e) {
      throw new LineError(w.column, (e as Error).message);
    }
    const { now } = this.session.run.lab.world.clock;
    const end = relative ? now + time : time;
    if (end < now)
      throw new LineError(w.column, `${w.text} is past, expected a time from ${clockText(now)} on, or 'back'`);
    const from = this.session.run.lines.length;
    const result = this.session.forward((e) => this.breakpoints.hit(e, this.reader), { end });
    this.printed(from);
    if (result === "stop") this.stopped();
    else this.say(`at ${clockText(this.session.run.lab.world.clock.now)}, ${this.session.events} events`);
  }

  // -- looking

  private current(): Seen {
    const { seen } = this.session.run;
    if (seen === null || this.session.events === 0)
      throw new LineError(1, "nothing happened yet, expected a 'step', a 'run' or a command before");
    return seen;
  }

  private show(how: "layers" | "bytes"): void {
    this.sayAll(eventLines(this.current(), this.reader, this.style, how));
  }

  private bits(words: Words): void {
    const from = words.peek() === null ? 0 : number(words.take(""), 0, 70000, "a byte");
    const count = words.peek() === null ? 96 : number(words.take(""), 1, 70000, "a number of bytes");
    words.done();
    const { packet } = this.current();
    if (packet === null) throw new LineError(1, "this event has no packet");
    this.sayAll(bitLines(packet, from, count));
  }

  /** What decided about the packet since it came to this host. */
  private why(): void {
    const here = this.current();
    const reasons: Seen[] = [];
    let neighbour: Seen | null = null;
    this.session.replay((e) => {
      // a question for a neighbour is asked because of what the table says
      if (e.kind === "neighbour" && e.node === here.node) neighbour = e;
      if (e.frame !== here.frame || e.node !== here.node) return;
      if (e.kind === "receive" || e.kind === "originate") reasons.length = 0;
      if (reasons.length === 0 && e.kind === "transmit" && neighbour !== null) reasons.push(neighbour);
      reasons.push(e);
    });
    this.say(
      eventLine(
        here,
        here.packet === null ? [] : this.reader.read(here.packet.bytes, here.packet.ethernet),
        this.style,
      ),
    );
    const deciders = reasons.filter((e) => e.kind !== "receive" && e.kind !== "transmit" && e.text !== "");
    if (here.frame === 0 || deciders.length === 0) {
      this.say("  nothing decided here: it came off the wire or out of a program");
      return;
    }
    for (const e of deciders) this.say(`  #${e.number} ${e.kind.padEnd(9)} ${e.text}`);
    const last = deciders.findLast(
      (e) =>
        e.kind === "rule" ||
        e.kind === "route" ||
        e.kind === "bridge" ||
        e.kind === "neighbour" ||
        e.kind === "conntrack",
    );
    if (last !== undefined) this.say(`  because of the ${last.kind === "route" ? "route" : last.kind}: ${last.text}`);
  }

  /** The last events, a line each. */
  private log(words: Words): void {
    const n = words.peek() === null ? 20 : number(words.take(""), 1, MOST_STEPS, "a number");
    words.done();
    const from = this.session.events - n;
    this.session.replay((e) => {
      if (e.number <= from) return;
      const layers = e.packet === null ? [] : this.reader.read(e.packet.bytes, e.packet.ethernet);
      this.say(eventLine(e, layers, this.style));
    });
  }

  private net(): void {
    for (const ns of this.session.run.lab.nodes.values()) {
      let s = ns.name;
      for (const dev of ns.interfaces) {
        if (dev.kind === "loopback") continue;
        const { peer } = dev;
        const link = this.session.run.lab.links.find((l) => l.a === dev || l.b === dev);
        const other = link === undefined ? (peer instanceof Interface ? peer : null) : link.a === dev ? link.b : link.a;
        s += ` ${dev.name}:${other === null ? (dev.kind === "bridge" ? "bridge" : "-") : `${other.owner.name}-${other.name}`}`;
      }
      this.say(s);
    }
  }

  private dump(): void {
    for (const ns of this.session.run.lab.nodes.values()) {
      const devs = ns.interfaces.flatMap((dev) => {
        if (dev.kind === "loopback") return [];
        const list = ns.fib.addresses(dev).map((a) => `${formatIpv4(a.local)}/${a.length}`);
        return [`${dev.name}:${list.length === 0 ? "None" : list.join("+")}`];
      });
      const running = (this.session.run.lab.programs.get(ns.name) ?? []).map((p) => p.name);
      this.say(`<Host ${ns.name}: ${devs.join(",")}${running.length > 0 ? ` running=${running.join(",")}` : ""}>`);
    }
  }

  /** What passed a device up to here. */
  private tcpdump(node: string, words: Words, line: string): void {
    let dev: Word | null = null;
    let count = Infinity;
    let detail: "line" | "bytes" = "line";
    while (words.peek()?.text.startsWith("-") === true) {
      const o = words.take("");
      if (o.text === "-i") dev = words.take("a device");
      else if (o.text === "-c") count = number(words.take("a number"), 1, MOST_STEPS, "a number");
      else if (/^-x+$/i.test(o.text)) detail = "bytes";
      else if (!/^-[nevqt]+$/.test(o.text))
        throw new LineError(o.column, `'${o.text}', expected -i DEV, -c N, -x or -nn`);
    }
    const ns = this.session.run.lab.nodes.get(node)!;
    if (dev !== null && dev.text !== "any" && !ns.byName.has(dev.text)) {
      throw new LineError(
        dev.column,
        `${node} has no device '${dev.text}', expected one of: any, ${ns.interfaces.map((d) => d.name).join(", ")}`,
      );
    }
    const expression = line
      .slice(words.column - 1)
      .trim()
      .replace(/^(['"])(.*)\1$/, "$2");
    let filter: LoadedFilter | null = null;
    if (expression !== "") {
      try {
        filter = loadFilter(this.core, compileFilter(expression, LinkType.Ethernet));
      } catch (e) {
        throw new LineError(words.column, (e as Error).message);
      }
    }
    let n = 0;
    try {
      this.session.replay((e) => {
        if (e.node !== node || (e.kind !== "receive" && e.kind !== "transmit") || e.packet === null || n >= count)
          return;
        if (dev !== null && dev.text !== "any" && e.iface !== dev.text) return;
        if (filter !== null && !this.matches(filter, e.packet.bytes)) return;
        n++;
        const layers = this.reader.read(e.packet.bytes, e.packet.ethernet);
        this.say(
          `${(e.time / 1e9).toFixed(6)} ${e.iface} ${e.kind === "receive" ? "In " : "Out"} ${layers
            .map((l) => l.summary)
            .slice(-2)
            .join(": ")}, length ${e.packet.bytes.length}`,
        );
        if (detail === "bytes") this.sayAll(byteLines(e.packet, null, layers, this.style));
      });
    } finally {
      if (filter !== null) unloadFilter(filter);
    }
    this.say(`${n} packets captured`);
  }

  private matches(filter: LoadedFilter, bytes: Uint8Array): boolean {
    const at = this.reader.put(bytes);
    return matches(filter, at, bytes.length, bytes.length);
  }

  // -- packets by hand

  private build(line: string, words: Words): void {
    const { column } = words;
    const nobody = { srcMac: new Uint8Array(6), dstMac: new Uint8Array(6), srcIp: 0 };
    const bytes = makePacket(line, column, nobody);
    this.built = line.slice(column - 1);
    const layers = this.reader.read(bytes, true);
    const packet = { bytes, net: -1, ethernet: true };
    this.sayAll(layerLines(packet, layers));
    this.sayAll(byteLines(packet, null, layers, this.style));
    this.say("addresses that are all zero are the device's when it is sent: send HOST DEV, or inject HOST DEV");
  }

  // -- sessions

  private keep(first: Word, words: Words): void {
    const w = words.take(first.text === "fork" || first.text === "switch" ? "a name" : "a file");
    words.done();
    const { files } = this.options;
    switch (first.text) {
      case "save":
        if (files === undefined) throw new LineError(first.column, "there are no files here");
        atWord(w, () => files.write(w.text, `${JSON.stringify(this.session.toFile(), null, 1)}\n`));
        this.say(`saved ${w.text}: event #${this.session.events}`);
        return;
      case "load": {
        if (files === undefined) throw new LineError(first.column, "there are no files here");
        this.session = readSession(
          atWord(w, () => files.read(w.text)),
          w,
        );
        this.forks.set(this.name, this.session);
        this.say(`loaded ${w.text}: event #${this.session.events}`);
        return;
      }
      case "fork":
        if (this.forks.has(w.text))
          throw new LineError(w.column, `'${w.text}' is there already, expected a new name (switch NAME goes to one)`);
        this.session = this.session.fork();
        break;
      default: {
        const there = this.forks.get(w.text);
        if (there === undefined)
          throw new LineError(w.column, `'${w.text}', expected one of: ${[...this.forks.keys()].join(", ")}`);
        this.session = there;
      }
    }
    this.name = w.text;
    this.forks.set(w.text, this.session);
    this.say(`now in ${w.text}, at event #${this.session.events}`);
  }

  // -- completion

  /** What a line can go on with, and the part that it goes on from. */
  complete(line: string): [string[], string] {
    const words = line.split(/\s+/);
    const last = words.at(-1) ?? "";
    const { nodes } = this.session.run.lab;
    let all: string[];
    if (words.length === 1) all = [...commandNames, ...nodes.keys()];
    else {
      const ns = nodes.get(words[0]!) ?? nodes.get(words[1] ?? "");
      if (words.length === 2 && nodes.has(words[0]!)) all = [...tools];
      else if (words[0] === "help") all = commandNames;
      else if (words[0] === "break" && words.length === 2) all = ["host", "drop", "rule"];
      else if (words.length === 2 || (words[0] === "link" && words.length === 3)) all = [...nodes.keys()];
      else all = [...(ns?.interfaces.map((d) => d.name) ?? []), ...(subWords[words[1]!] ?? []), ...nodes.keys()];
    }
    return [all.filter((w) => w.startsWith(last)).map((w) => `${w} `), last];
  }
}

const tools: readonly string[] = [
  "ip",
  "iptables",
  "iptables-save",
  "nft",
  "conntrack",
  "ss",
  "bridge",
  "sysctl",
  "tc",
  "tcpdump",
  ...programs,
];
const subWords: Readonly<Record<string, readonly string[]>> = {
  ip: ["route", "neigh", "addr", "link", "rule", "show", "add", "del", "get", "set", "dev", "via"],
  bridge: ["fdb", "link", "vlan", "show"],
  ss: ["-tan", "-uan"],
  conntrack: ["-L", "-F"],
  tcpdump: ["-i", "-c", "-x"],
  nft: ["list", "ruleset"],
};
export const commandNames = [
  "step",
  "event",
  "hop",
  "layer",
  "back",
  "run",
  "continue",
  "break",
  "delete",
  "show",
  "layers",
  "bytes",
  "bits",
  "detail",
  "why",
  "digest",
  "log",
  "time",
  "nodes",
  "net",
  "links",
  "dump",
  "pingall",
  "iperf",
  "link",
  "build",
  "send",
  "inject",
  "history",
  "save",
  "load",
  "fork",
  "switch",
  "help",
  "quit",
];

/** Which layer of the host's an event is about. */
function layerOf(e: Seen): number {
  switch (e.kind) {
    case "receive":
    case "transmit":
      return 1;
    case "bridge":
    case "neighbour":
      return 2;
    case "originate":
    case "deliver":
    case "drop":
    case "program":
      return 4;
    default:
      return 3;
  }
}

/** What goes wrong with a file is the fault of the word that names it. */
function atWord<T>(w: Word, run: () => T): T {
  try {
    return run();
  } catch (e) {
    throw new LineError(w.column, `${w.text}: ${(e as Error).message.split("\n")[0]!}`);
  }
}

/** A session as `save` writes it. Throws `LineError` at the word that names the file. */
function readSession(text: string, w: Word): Session {
  const bad = (what: string): LineError =>
    new LineError(w.column, `${w.text}: ${what}, expected a file that 'save' wrote`);
  let f: Record<string, unknown>;
  try {
    f = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw bad("no JSON");
  }
  if (typeof f !== "object" || f === null || f["wirepath"] !== "session") throw bad("no session");
  const count = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  const { name, lab, seed, inputs } = f;
  const position = f["position"] as Record<string, unknown> | null;
  if (typeof name !== "string" || typeof lab !== "string" || !Number.isInteger(seed) || !Array.isArray(inputs))
    throw bad("a part is missing");
  for (const i of inputs as Record<string, unknown>[]) {
    if (i === null || !count(i["steps"]) || !count(i["time"]) || typeof i["line"] !== "string")
      throw bad("an input without steps, time and line");
  }
  if (typeof position !== "object" || position === null || !count(position["events"])) throw bad("no position");
  const whole = position["whole"] as Record<string, unknown> | null;
  if (
    whole !== null &&
    (typeof whole !== "object" || !count(whole["steps"]) || !count(whole["time"]) || !count(whole["applied"]))
  )
    throw bad("no position");
  try {
    return Session.fromFile(f as never, applyLine);
  } catch (e) {
    if (e instanceof LabError || e instanceof LineError) throw bad(e.message);
    throw e;
  }
}
