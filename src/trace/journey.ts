// src/trace/journey.ts: a journey as a person wants to read it: what was asked of whom, what each router, bridge and translation
// did with it, what the programs said. Every line comes from an event of a real packet or a program's log.

import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import { formatIpv4 } from "../core/address.ts";
import type { Frame } from "../core/core.ts";
import type { Namespace } from "../host/namespace.ts";
import type { TraceEvent } from "../link/trace.ts";
import type { World } from "../link/world.ts";
import { byteChanges, hexDump } from "./bytes.ts";
import { changes, type Headers, readHeaders } from "./headers.ts";
import { isDecisive } from "./hops.ts";
import { dnsLine, httpLine, Port, postgresLine, readDns, tlsLine } from "./payload.ts";

/** A packet's stay on a node. */
interface Hop {
  readonly node: string;
  readonly time: number;
  /** The devices that it went through, in order. */
  readonly devices: string[];
  readonly why: string[];
  /** Bytes as they left, for who wants to see them. */
  bytes: Uint8Array | null;
}

/** A packet from where it was made to where it ended. */
interface Passage {
  readonly born: number;
  readonly made: string;
  readonly hops: Hop[];
  /** As it was last seen. */
  headers: Headers | null;
  first: Headers | null;
  payload: Uint8Array | null;
}

/** Packets of one connection or conversation, in both directions, whatever translations make of their addresses. */
interface Flow {
  readonly id: number;
  readonly client: string;
  readonly server: string;
  readonly port: number;
  readonly proto: string;
  /** Directions whose way was told hop by hop. */
  readonly told: Set<string>;
  /** Packets that say nothing by themselves. */
  silent: number;
  encrypted: boolean;
}

export interface JourneyOptions {
  readonly print: (line: string) => void;
  readonly nodes: () => Iterable<Namespace>;
  /** Bytes too. */
  readonly verbose?: boolean;
  /** Whose journey it is: hop by hop is told what this node's packets meet. */
  readonly traveller: string;
}

const clockWidth = 10;
const margin = " ".repeat(clockWidth + 5);

export class JourneyTeller {
  private readonly passages = new Map<Frame, Passage>();
  private readonly flows = new Map<string, Flow>();
  private readonly reasons = new Map<string, number>();
  private names: Map<string, string> | null = null;
  private named = -1;
  private heading = "";
  private step = 0;
  /** Packets that were under way. */
  packets = 0;

  constructor(
    private readonly world: World,
    private readonly options: JourneyOptions,
  ) {}

  /** A `Tracer`. */
  readonly event = (e: TraceEvent): void => {
    switch (e.kind) {
      case "originate":
        if (e.text.startsWith("netem")) return;
        this.originate(e);
        break;
      case "receive":
        this.receive(e);
        break;
      case "transmit":
        this.transmit(e);
        break;
      case "route":
        this.hop(e)?.why.push(`route ${e.text.replace(/ proto kernel scope (link|host).*$/, "")}`);
        break;
      case "rule":
        if (isDecisive(e.text) && !/-j ACCEPT\b/.test(e.text)) this.hop(e)?.why.push(e.text);
        break;
      case "bridge":
        this.hop(e)?.why.push(`bridge ${e.text}`);
        break;
      case "drop":
        this.lost(e);
        break;
      case "deliver":
        this.arrived(e);
        break;
      case "program":
        this.program(e);
        break;
      default:
    }
  };

  // -- packets under way

  private originate(e: TraceEvent): void {
    const passage = this.passage(e, e.text);
    // before any translation of its own host's
    passage.headers = passage.first = readHeaders(this.world.core, e.frame);
    this.passages.set(e.frame, passage);
  }

  private passage(e: TraceEvent, made: string): Passage {
    const first: Hop = { node: e.node, time: e.time, devices: [], why: [], bytes: null };
    return { born: e.time, made, hops: [first], headers: null, first: null, payload: null };
  }

  private hop(e: TraceEvent): Hop | null {
    return this.passages.get(e.frame)?.hops.at(-1) ?? null;
  }

  private receive(e: TraceEvent): void {
    let passage = this.passages.get(e.frame);
    if (passage === undefined) this.passages.set(e.frame, (passage = this.passage(e, "")));
    const last = passage.hops.at(-1)!;
    // a bridge device receives what its port received, loopback what it sent
    if (last.node === e.node) {
      if (last.devices.at(-1) !== e.iface) last.devices.push(e.iface);
    } else {
      this.changed(passage, e.frame, last);
      passage.hops.push({ node: e.node, time: e.time, devices: [e.iface], why: [], bytes: null });
    }
  }

  private transmit(e: TraceEvent): void {
    const passage = this.passages.get(e.frame);
    if (passage === undefined) return;
    const hop = passage.hops.at(-1)!;
    hop.devices.push(e.iface);
    this.changed(passage, e.frame, hop);
    if (this.options.verbose === true) hop.bytes = this.frameBytes(e.frame);
    if (passage.payload === null) passage.payload = this.payload(e.frame);
  }

  /** Notes what a node changed in the packet. */
  private changed(passage: Passage, frame: Frame, hop: Hop): void {
    const now = readHeaders(this.world.core, frame);
    if (now === null) return;
    if (passage.headers === null) passage.first = now;
    else {
      const what = changes(passage.headers, now);
      const translated = what.some((w) => w.startsWith("src ") || w.startsWith("dst "));
      const ruled = hop.why.some((w) => /-j (DNAT|SNAT|MASQUERADE|REDIRECT|NETMAP)\b/.test(w));
      const how = translated && !ruled ? " (conntrack knows the connection)" : "";
      if (what.length > 0) hop.why.push(`${what.join(", ")}${how}`);
    }
    passage.headers = now;
  }

  private frameBytes(frame: Frame): Uint8Array {
    const { u32, u8 } = this.world.core;
    const at = u32[(frame + Pkt.Data) >> 2]!;
    return u8.slice(at, at + u32[(frame + Pkt.Len) >> 2]!);
  }

  /** A whole packet's data behind its UDP or TCP header; null for others. The frame begins with its Ethernet header. */
  private payload(frame: Frame): Uint8Array | null {
    const { u32, u8, x } = this.world.core;
    const net = u32[(frame + Pkt.Data) >> 2]! + 14;
    const end = u32[(frame + Pkt.Data) >> 2]! + u32[(frame + Pkt.Len) >> 2]!;
    if (net + 20 > end || u8[net]! >> 4 !== 4 || (x.ipv4Frag(net) & 0x1fff) !== 0) return null;
    const l4 = net + x.ipv4HeaderLen(net);
    const stop = Math.min(end, net + x.ipv4Length(net));
    const proto = x.ipv4Proto(net);
    if (proto === 17 && l4 + 8 <= stop) return u8.slice(l4 + 8, stop);
    if (proto === 6 && l4 + 20 <= stop) return u8.slice(Math.min(stop, l4 + x.tcpHeaderLen(l4)), stop);
    return null;
  }

  // -- ends

  private arrived(e: TraceEvent): void {
    const passage = this.passages.get(e.frame);
    this.passages.delete(e.frame);
    if (passage === undefined || passage.first === null || passage.made === "") return;
    this.packets++;
    const hop = passage.hops.at(-1)!;
    hop.why.push(`delivered to ${e.text}`);
    this.tell(passage, null);
  }

  private lost(e: TraceEvent): void {
    // a reset ends here as it should
    if (e.drop === Drop.TcpReset) return this.arrived({ ...e, text: "tcp: the connection is over" });
    const passage = this.passages.get(e.frame);
    this.passages.delete(e.frame);
    if (passage === undefined || passage.made === "") return;
    const headers = passage.headers ?? readHeaders(this.world.core, e.frame);
    if (headers === null) return;
    passage.first ??= headers;
    this.packets++;
    const words = inWords.get(e.drop);
    const text = words === undefined ? e.text : `${e.text}, ${words}`;
    this.because(`${e.node} dropped ${this.short(headers)}: ${text}${lastReason(passage.hops.at(-1)!)}`);
    this.tell(passage, text);
  }

  /** Remembers what went wrong. */
  private because(line: string): void {
    this.reasons.set(line, (this.reasons.get(line) ?? 0) + 1);
  }

  /** What went wrong on the way, in the order of its first time. */
  causes(): string[] {
    return Array.from(this.reasons, ([line, n]) => (n > 1 ? `${line} (${n} times)` : line));
  }

  // -- telling

  private tell(passage: Passage, drop: string | null): void {
    const h = passage.first!;
    const flow = this.flowOf(passage);
    const forward = flow.client === h.src;
    const direction = forward ? ">" : "<";
    const { what, phase, whole } = this.meaning(passage, flow, forward);
    if (passage.made === "tcp retransmission") {
      this.because(`${passage.hops[0]!.node} sent ${this.short(h)} again`);
    }
    if (what === "" && drop === null) {
      flow.silent++;
      return;
    }
    this.head(phase);
    const from = passage.hops[0]!.node;
    const way = passage.hops.slice(1, drop === null ? -1 : undefined).map((p) => p.node);
    // a direction's way is told once; what the traveller gets in the end once more
    const key = `${direction}${whole ? " whole" : ""}`;
    const fresh = !flow.told.has(key) && (whole || direction === ">");
    const inFull = fresh || drop !== null || this.options.verbose === true;
    if (fresh) flow.told.add(key);
    const via = inFull || way.length === 0 ? "" : `  via ${way.join(", ")}`;
    const again = passage.made === "tcp retransmission" ? " (again)" : "";
    this.line(passage.born, `${from} ${what === "" ? this.short(h) : what}${again}${via}`);
    if (inFull) this.hops(passage, drop);
  }

  /** A line a hop, what decided and what it changed below. */
  private hops(passage: Passage, drop: string | null): void {
    let before: Uint8Array | null = null;
    passage.hops.forEach((hop, i) => {
      const last = i === passage.hops.length - 1;
      const where = `${hop.node.padEnd(12)} ${hop.devices.join(" > ")}`;
      const why = last && drop !== null ? [...hop.why, `LOST: ${drop}`] : hop.why;
      const head = `${margin}${ms(hop.time)} ${where.padEnd(34)}`;
      this.options.print(`${head} ${why[0] ?? ""}`.trimEnd());
      for (const line of why.slice(1)) this.options.print(`${" ".repeat(head.length)} ${line}`);
      if (hop.bytes === null) return;
      const lines = before === null ? hexDump(hop.bytes) : byteChanges(before, hop.bytes);
      for (const line of lines) this.options.print(`${" ".repeat(head.length)} ${line}`);
      before = hop.bytes;
    });
  }

  /** What a packet says, and to which part of the story that belongs. `whole`: it is worth telling its whole way. */
  private meaning(passage: Passage, flow: Flow, forward: boolean): { what: string; phase: string; whole: boolean } {
    const h = passage.first!;
    const to = this.who(h.dst);
    const data = passage.payload;
    if (h.proto === "ICMP") {
      const text = icmpNames[h.what] ?? `ICMP ${h.what}`;
      if (h.what.startsWith("3/") || h.what.startsWith("11/")) this.because(`${passage.hops[0]!.node} says: ${text}`);
      return { what: `tells ${to}: ${text}`, phase: "On the way", whole: false };
    }
    if (flow.port === Port.dns && data !== null && h.proto === "UDP") {
      const m = readDns(this.world.core, data);
      if (m === null) return { what: `sends ${data.length} bytes to ${to}`, phase: "On the way", whole: false };
      const phase = `The name ${m.questions[0]?.name ?? "?"}`;
      if (m.qr && m.rcode !== 0) this.because(`${passage.hops[0]!.node} says: ${dnsLine(m)}`);
      const verb = m.qr ? "answers" : "asks";
      return { what: `${verb} ${to}: ${dnsLine(m)}`, phase, whole: false };
    }
    if (h.proto !== "TCP") return { what: `sends ${h.proto} to ${to}`, phase: "On the way", whole: false };
    const mine = flow.client.startsWith(`${this.address(this.options.traveller)}:`);
    const database = flow.port === Port.postgres;
    const place = database ? "The database" : mine ? "" : `Behind ${this.who(flow.client)}`;
    if (h.what.includes("R")) {
      this.because(`${passage.hops[0]!.node} resets ${this.who(flow.client)} - ${this.who(flow.server)}:${flow.port}`);
      return { what: `refuses or resets: RST to ${to}`, phase: place === "" ? "The connection" : place, whole: false };
    }
    if (h.what.includes("S")) {
      const ack = h.what.includes(".");
      const what = ack ? `accepts: SYN, ACK to ${to}` : `opens a connection to ${to}:${flow.port}: SYN`;
      return { what, phase: place === "" ? "The connection" : place, whole: false };
    }
    if (data !== null && data.length > 0) {
      const said = this.content(data, flow, forward);
      if (said !== "") {
        const encrypted = flow.encrypted;
        const sent = forward ? (encrypted ? "TLS" : "The request") : encrypted ? "TLS" : "The answer";
        return { what: `to ${to}: ${said}`, phase: place === "" ? sent : place, whole: !forward && !database };
      }
      return { what: "", phase: "", whole: false };
    }
    if (h.what.includes("F")) {
      return { what: `closes: FIN to ${to}`, phase: place === "" ? "The end" : place, whole: false };
    }
    return { what: "", phase: "", whole: false };
  }

  private content(data: Uint8Array, flow: Flow, forward: boolean): string {
    if (flow.port === Port.postgres) return postgresLine(data, forward);
    const http = httpLine(data);
    if (http !== "") return http;
    const tls = tlsLine(data);
    if (tls !== "") flow.encrypted = true;
    return tls;
  }

  private flowOf(passage: Passage): Flow {
    const { src, dst, proto } = passage.first!;
    const key = `${proto} ${src} ${dst}`;
    let flow = this.flows.get(key);
    if (flow === undefined) {
      flow = {
        id: this.flows.size,
        client: src,
        server: dst,
        port: Number(dst.split(":")[1] ?? 0),
        proto,
        told: new Set(),
        silent: 0,
        encrypted: false,
      };
      this.flows.set(key, flow);
      const { src: s, dst: d } = passage.headers!;
      this.flows.set(`${proto} ${d} ${s}`, flow);
    }
    // what answers carry is known once a packet arrived: translations are behind it
    const { src: s, dst: d } = passage.headers!;
    if (!this.flows.has(`${proto} ${d} ${s}`)) this.flows.set(`${proto} ${d} ${s}`, flow);
    return flow;
  }

  private program(e: TraceEvent): void {
    const at = e.text.indexOf(": ");
    const [name, said] = [e.text.slice(0, at), e.text.slice(at + 2)];
    if (quiet.has(name)) return;
    if (name === "browser") {
      if (said.startsWith("opens ")) this.head(`${said.replace(/^opens /, "The user opens ")}`);
      else if (said.startsWith("shows ") || said.startsWith("cannot ")) this.head("The page");
    } else this.head(e.node === name ? `The program ${name}` : `The program ${name} on ${e.node}`);
    if (/fail|refuse|upstream|waited/.test(said)) this.because(`${e.node} ${name}: ${said}`);
    this.line(e.time, `${e.node} [${name}] ${said}`);
  }

  private head(phase: string): void {
    if (phase === this.heading) return;
    this.heading = phase;
    this.options.print(`\n${++this.step}. ${phase}`);
  }

  private line(time: number, what: string): void {
    this.options.print(`${ms(time)} ms  ${what}`);
  }

  /** What else there was. */
  end(): void {
    const silent = new Set(this.flows.values());
    let n = 0;
    for (const f of silent) n += f.silent;
    this.options.print(
      `\n${this.packets} packets arrived or were lost, ${n} of them without a line here (acknowledgements, the middle of long answers).`,
    );
  }

  // -- names

  /** A node by the address of one of its devices, with the address behind. */
  private who(endpoint: string): string {
    const address = endpoint.split(":")[0]!;
    const name = this.byAddress().get(address);
    return name === undefined ? address : `${name} (${address})`;
  }

  private address(node: string): string {
    for (const [address, name] of this.byAddress()) if (name === node) return address;
    return "";
  }

  private short(h: Headers): string {
    const flags = h.proto === "TCP" ? flagText(h.what) : h.what;
    return `${h.proto}${flags === "" ? "" : ` ${flags}`} ${h.src} > ${h.dst}`;
  }

  private byAddress(): Map<string, string> {
    const { now } = this.world.clock;
    if (this.names !== null && this.named === now) return this.names;
    this.names = new Map();
    this.named = now;
    for (const ns of this.options.nodes()) {
      for (const dev of ns.interfaces) {
        if (dev.kind === "loopback") continue;
        for (const { local } of ns.fib.addresses(dev)) this.names.set(formatIpv4(local), ns.name);
      }
    }
    return this.names;
  }
}

/** What a drop means to a person. */
const inWords = new Map<Drop, string>([
  [Drop.NoSocket, "nobody listens there"],
  [Drop.TcpListenOverflow, "the listen queue is full"],
  [Drop.LinkLoss, "lost on the wire"],
  [Drop.LinkDown, "the link is down"],
  [Drop.NeighFailed, "nobody answers for that address on the link"],
  [Drop.NoRoute, "no route leads there"],
  [Drop.Unreachable, "an unreachable route"],
  [Drop.TtlExceeded, "its time to live is over"],
  [Drop.Netfilter, "a firewall says so"],
  [Drop.NetfilterReject, "a firewall refuses it"],
  [Drop.FragNeeded, "too long for the next link"],
  [Drop.OtherHost, "for another station"],
]);

/** Their packets say it already. */
const quiet = new Set(["resolver", "named"]);

const icmpNames: Readonly<Record<string, string>> = {
  "0/0": "echo reply",
  "8/0": "echo request",
  "3/0": "network unreachable",
  "3/1": "host unreachable",
  "3/3": "port unreachable",
  "3/4": "fragmentation needed",
  "3/10": "host administratively prohibited",
  "3/13": "communication administratively prohibited",
  "11/0": "time to live exceeded",
};

function flagText(flags: string): string {
  const names: Readonly<Record<string, string>> = { F: "FIN", S: "SYN", R: "RST", P: "PSH", ".": "ACK", U: "URG" };
  return Array.from(flags, (f) => names[f] ?? f).join(",");
}

function lastReason(hop: Hop): string {
  const last = hop.why.at(-1);
  return last === undefined || last.startsWith("route local ") ? "" : ` (${last})`;
}

function ms(ns: number): string {
  return (ns / 1e6).toFixed(3).padStart(clockWidth);
}
