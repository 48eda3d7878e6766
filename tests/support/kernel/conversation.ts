// tests/support/kernel/conversation.ts: a conversation that a real kernel had, had again by our TCP in virtual time: the
// same calls, the same packets from the peer, at the same times; what we send is compared segment by segment.

import type { Namespace as Host } from "../../../src/host/namespace.ts";
import { formatIpv4, parseIpv4 } from "../../../src/core/address.ts";
import type { Core } from "../../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../../src/core/packet.ts";
import { runCommand } from "../../../src/host/commands.ts";
import { Namespace } from "../../../src/host/namespace.ts";
import type { Timer } from "../../../src/link/clock.ts";
import { newWorld } from "../../../src/link/newworld.ts";
import type { World } from "../../../src/link/world.ts";
import type { MessageFlags, Outcome } from "../../../src/transport/posix/file.ts";
import { levelOf } from "../../../src/transport/posix/options.ts";
import { Posix } from "../../../src/transport/posix/posix.ts";
import { configOf } from "../../../src/transport/tcp/config.ts";
import { Tcp } from "../../../src/transport/tcp/tcp.ts";
import { Udp } from "../../../src/transport/udp.ts";

/** Times are nanoseconds of the recording kernel's monotonic clock. */
export type Event =
  | { readonly t: number; readonly kind: "in"; readonly packet: Buffer }
  | { readonly t: number; readonly kind: "out"; readonly packet: Buffer }
  | { readonly t: number; readonly kind: "info"; readonly text: string }
  | { readonly t: number; readonly kind: "call"; readonly fn: string; readonly args: Args; readonly result: unknown };

export interface Args {
  readonly fd?: number;
  readonly [key: string]: unknown;
}

export interface Conversation {
  readonly name: string;
  /** The host's address, with the length of its network. */
  readonly address: string;
  readonly mtu: number;
  readonly sysctl: Readonly<Record<string, string | number>>;
  readonly congestion: "reno" | "cubic";
  readonly what: string;
  /** net.core.rmem_max */
  readonly rmemMax: number;
  /** What its jiffies were beyond the clock's ticks (HZ=250). */
  readonly jiffies: number;
  readonly events: readonly Event[];
}

/** What converse.py writes. */
export function readConversation(name: string, text: string): Conversation {
  const [first, ...lines] = text.trim().split("\n");
  const head = JSON.parse(first!) as Record<string, any>;
  const events = lines.map((line): Event => {
    const [t, kind, a, b, c] = JSON.parse(line) as [number, string, string, Args, unknown];
    if (kind === "info") return { t, kind, text: a };
    if (kind === "call") return { t, kind, fn: a, args: b, result: c };
    const packet = Buffer.from(a, "hex");
    return kind === "<" ? { t, kind: "in", packet } : { t, kind: "out", packet };
  });
  return {
    name,
    address: "10.0.0.1/24",
    mtu: head["mtu"],
    sysctl: head["sysctl"],
    congestion: head["congestion"],
    what: head["what"],
    rmemMax: head["rmem_max"],
    jiffies: head["jiffies"],
    events,
  };
}

export interface Sent {
  readonly t: number;
  readonly packet: Buffer;
}

/** What our stack did. */
export interface Replayed {
  readonly sent: Sent[];
  /** Calls whose outcome was another one than the kernel's. */
  readonly calls: string[];
  readonly ns: Host;
}

const JIFFY = 4_000_000;

/**
 * When a timer of Linux's wheel fires that is to run at `at` (HZ=250): the first level counts jiffies and adds one, so that
 * no timer is early; each further level is eight times as coarse (kernel/time/timer.c, calc_wheel_index).
 */
export function wheelTime(now: number, at: number, phase: number): number {
  const base = Math.floor(now / JIFFY) + phase;
  const delta = Math.ceil((at - now) / JIFFY);
  const expires = base + delta;
  let shift = 0;
  for (let level = 1; level < 8 && delta >= 63 * 8 ** (level - 1); level++) shift = 3 * level;
  const gran = 2 ** shift;
  return Math.floor((expires + gran) / gran) * gran * JIFFY - phase * JIFFY;
}

/** Timers run in jiffies, as Linux's do; those of up to a millisecond are hrtimers. */
export function useJiffies(world: World, phase: number): void {
  const { clock } = world;
  const arm = clock.arm.bind(clock);
  clock.arm = (timer: Timer, at: number): void => {
    const delay = at - clock.now;
    const exact = timer.owner === null || (delay > 0 && delay <= 1_000_000);
    arm(timer, exact ? at : wheelTime(clock.now, at, phase));
  };
}

const ihlOf = (p: Buffer): number => (p[0]! & 15) * 4;
const isTcp = (p: Buffer): boolean => p[9] === 6 && (p.readUInt16BE(6) & 0x1fff) === 0;

/** The timestamps option. */
export function stampOf(p: Buffer): { val: number; ecr: number } | null {
  for (const [kind, o] of optionsOf(p)) if (kind === 8) return { val: o.readUInt32BE(0), ecr: o.readUInt32BE(4) };
  return null;
}

function* optionsOf(p: Buffer): Generator<[number, Buffer]> {
  const at = ihlOf(p);
  const end = at + (p[at + 12]! >> 4) * 4;
  for (let i = at + 20; i < end;) {
    const kind = p[i]!;
    if (kind === 0) {
      yield [0, p.subarray(i, end)];
      return;
    }
    if (kind === 1) {
      yield [1, p.subarray(i, i)];
      i++;
      continue;
    }
    const length = Math.max(2, p[i + 1]!);
    yield [kind, p.subarray(i + 2, i + length)];
    i += length;
  }
}

/** Initial sequence numbers and the timestamps' offset as the kernel chose them. */
class RecordedSecrets {
  private readonly sequences = new Map<string, number[]>();
  private readonly offsets = new Map<string, number>();

  constructor(events: readonly Event[]) {
    for (const e of events) {
      if (e.kind !== "out" || !isTcp(e.packet)) continue;
      const p = e.packet;
      const at = ihlOf(p);
      const src = p.readUInt32BE(12);
      const dst = p.readUInt32BE(16);
      const stamp = stampOf(p);
      if (stamp !== null) {
        const offset = (stamp.val - Math.floor(e.t / 1e6)) | 0;
        const key = `${src} ${dst}`;
        const known = this.offsets.get(key);
        if (known === undefined || ((offset - known) | 0) > 0) this.offsets.set(key, offset);
      }
      if ((p[at + 13]! & 2) === 0) continue;
      const key = keyOf(src, dst, p.readUInt16BE(at), p.readUInt16BE(at + 2));
      const list = this.sequences.get(key) ?? [];
      this.sequences.set(key, list);
      const seq = p.readUInt32BE(at + 4) | 0;
      if (list.at(-1) !== seq) list.push(seq);
    }
  }

  hash(i: number, a: number, b: number, c: number, d = 0): number {
    return Math.imul(a ^ Math.imul(b, 31) ^ Math.imul(c, 17) ^ d, 0x9e3779b1 + 2 * i);
  }

  initialSequence(local: number, remote: number, ports: number): number {
    const list =
      this.sequences.get(keyOf(local, remote, ports >>> 16, ports & 0xffff)) ??
      this.sequences.get(keyOf(local, remote, ports & 0xffff, ports >>> 16));
    if (list === undefined) return 12345;
    return list.length > 1 ? list.shift()! : list[0]!;
  }

  timestampOffset(local: number, remote: number): number {
    return this.offsets.get(`${local >>> 0} ${remote >>> 0}`) ?? 0;
  }
}

function keyOf(a: number, b: number, sport: number, dport: number): string {
  return `${a >>> 0} ${b >>> 0} ${sport} ${dport}`;
}

const shutdowns: Readonly<Record<string, number>> = { RD: 1, WR: 2, RDWR: 3 };
const flagsOf: Readonly<Record<string, MessageFlags>> = {
  MSG_MORE: { more: true },
  MSG_OOB: { outOfBand: true },
  MSG_PEEK: { peek: true },
};

export function replay(core: Core, talk: Conversation, jiffies = true): Replayed {
  const world = newWorld(core);
  const { clock } = world;
  clock.advance(Math.max(0, (talk.events[0]?.t ?? 0) - 1000));
  if (jiffies) useJiffies(world, talk.jiffies);
  const ns = new Namespace("host", world);
  for (const [name, value] of Object.entries(talk.sysctl)) ns.sysctl.set(name, value as number);
  const dev = ns.addInterface("tun0", "tun", new Uint8Array(6), talk.mtu);
  runCommand(ns, `ip addr add ${talk.address} dev tun0`);
  runCommand(ns, "ip route add default dev tun0");
  const tcp = new Tcp(ns, { ...configOf(ns.sysctl), congestion: talk.congestion, socketBufferMax: talk.rmemMax });
  ns.transports.tcp = tcp;
  Object.assign(tcp, { secrets: new RecordedSecrets(talk.events) });
  const posix = new Posix(ns, new Udp(ns), tcp);
  const sent: Sent[] = [];
  const calls: string[] = [];
  dev.peer = {
    receive: (_port, frame) => {
      sent.push({ t: clock.now, packet: Buffer.from(packetBytes(core, frame)) });
      world.x.packetFree(frame);
    },
  };
  const settle = (): void => {
    while (clock.next() <= clock.now) clock.step();
    posix.settle();
  };
  const fds = new Map<number, number>();
  const call = (fn: string, a: Args): Outcome => {
    const fd = fds.get(a.fd ?? -1) ?? -1;
    const late = (): void => {};
    const ip = (): number => (typeof a["ip"] === "string" ? (parseIpv4(a["ip"]) ?? 0) : 0);
    const flags: MessageFlags = Object.assign(
      {},
      ...((a["flags"] as string[] | undefined) ?? []).map((f) => flagsOf[f]),
    );
    const outcome = ((): Outcome | null => {
      switch (fn) {
        case "socket":
          return posix.socket("stream");
        case "bind":
          return posix.bind(fd, ip(), a["port"] as number);
        case "listen":
          return posix.listen(fd, a["backlog"] as number);
        case "connect":
          return posix.connect(fd, ip(), a["port"] as number, late);
        case "accept":
          return posix.accept(fd, late);
        case "send":
          return posix.send(fd, { bytes: null, length: a["len"] as number }, flags, 0, -1, late);
        case "recv":
          return posix.receive(fd, a["len"] as number, flags, late);
        case "shutdown":
          return posix.shutdown(fd, shutdowns[a["how"] as string]!);
        case "close":
          return posix.close(fd, late);
        case "setsockopt":
          return posix.setOption(fd, levelOf(a["level"] as string)!, a["name"] as string, a["value"] as number);
        default:
          throw new Error(`no such call: ${fn}`);
      }
    })();
    return outcome ?? { ret: 0 };
  };
  for (const e of talk.events) {
    if (e.kind === "out" || e.kind === "info") continue;
    if (e.t > clock.now) clock.advance(e.t);
    posix.settle();
    if (e.kind === "in") {
      const frame = packetFrom(core, e.packet);
      if (frame === 0) throw new Error("no packet buffer");
      world.backlog.push(dev, 0, frame);
    } else {
      const o = call(e.fn, e.args);
      if ((e.fn === "socket" || e.fn === "accept") && o.ret >= 0) {
        if (typeof e.result === "number") fds.set(e.result, o.ret);
        posix.setNonblocking(o.ret, true);
      }
      const got = o.ret < 0 ? o.errno : e.fn === "socket" || e.fn === "accept" ? e.result : o.ret;
      if (got !== e.result)
        calls.push(`${ms(e.t, talk)} ${e.fn} ${JSON.stringify(e.args)}: ${got}, kernel: ${e.result}`);
    }
    settle();
  }
  const last = talk.events.at(-1)?.t ?? 0;
  clock.advance(Math.max(clock.now, last));
  settle();
  return { sent, calls, ns };
}

const ms = (t: number, talk: Conversation): string => ((t - talk.events[0]!.t) / 1e6).toFixed(3);

const flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** A segment in words. Sequence numbers count from `base` (ours and the peer's first). */
export function describe(p: Buffer, base: Base): Record<string, string | number> {
  if (!isTcp(p)) return { proto: p[9]!, bytes: p.subarray(ihlOf(p)).toString("hex") };
  const at = ihlOf(p);
  const flags = p[at + 13]!;
  const seq = p.readUInt32BE(at + 4);
  const ack = p.readUInt32BE(at + 8);
  const data = p.subarray(at + (p[at + 12]! >> 4) * 4);
  const options: string[] = [];
  let stamp: [number, number] | null = null;
  for (const [kind, o] of optionsOf(p)) {
    if (kind === 8) {
      stamp = [o.readUInt32BE(0), o.readUInt32BE(4)];
      options.push("ts");
    } else if (kind === 5) {
      const blocks: string[] = [];
      for (let i = 0; i + 8 <= o.length; i += 8) {
        blocks.push(`${(o.readUInt32BE(i) - base.ack) >>> 0}-${(o.readUInt32BE(i + 4) - base.ack) >>> 0}`);
      }
      options.push(`sack ${blocks.join(" ")}`);
    } else
      options.push(
        ["eol", "nop", "mss ", "ws ", "sackok"][kind]! + (o.length > 0 ? parseInt(o.toString("hex"), 16) : ""),
      );
  }
  return {
    from: p.readUInt16BE(at),
    to: p.readUInt16BE(at + 2),
    flags: flagNames.filter((_, i) => (flags & (1 << i)) !== 0 && i !== 3).join(",") || "-",
    psh: flags & 8 ? 1 : 0,
    seq: (seq - base.seq) >>> 0,
    ack: (flags & 16) !== 0 ? (ack - base.ack) >>> 0 : 0,
    len: data.length,
    win: p.readUInt16BE(at + 14),
    urg: p.readUInt16BE(at + 18),
    options: options.join(","),
    tsval: stamp?.[0] ?? 0,
    tsecr: stamp?.[1] ?? 0,
    tos: p[1]!,
    ttl: p[8]!,
    frag: p.readUInt16BE(6),
  };
}

export interface Base {
  seq: number;
  ack: number;
}

export function baseOf(talk: Conversation): Base {
  const first = (kind: string): number => {
    for (const e of talk.events) {
      if (
        (e.kind === "in" || e.kind === "out") &&
        e.kind === kind &&
        isTcp(e.packet) &&
        (e.packet[ihlOf(e.packet) + 13]! & 2) !== 0
      ) {
        return e.packet.readUInt32BE(ihlOf(e.packet) + 4);
      }
    }
    return 0;
  };
  return { seq: first("out"), ack: first("in") };
}

export function words(p: Buffer, base: Base): string {
  const d = describe(p, base);
  if (d["flags"] === undefined) return `proto ${d["proto"]} ${d["bytes"]}`;
  const options = d["options"] === "" ? "" : ` <${d["options"]}>`;
  const urgent = d["urg"] === 0 ? "" : ` urg=${d["urg"]}`;
  const stamp = d["tsval"] === 0 ? "" : ` ts=${d["tsval"]}:${d["tsecr"]}`;
  const tos = d["tos"] === 0 ? "" : ` tos=${d["tos"]}`;
  return `${d["flags"]}${d["psh"] ? ",PSH" : ""} seq=${d["seq"]} len=${d["len"]} ack=${d["ack"]} win=${d["win"]}${urgent}${options}${stamp}${tos}`;
}

export interface Difference {
  /** Milliseconds since the beginning. */
  readonly t: number;
  readonly field: string;
  readonly kernel: string;
  readonly ours: string;
}

/** The first difference between what the kernel sent and what we sent; null: none. `slack`: how many ns times may differ. */
export function compare(
  talk: Conversation,
  got: Replayed,
  slack = 8.5e6,
  except: ReadonlySet<string> = new Set(),
): Difference | null {
  const base = baseOf(talk);
  const start = talk.events[0]!.t;
  const want = talk.events.filter((e) => e.kind === "out") as Sent[];
  const n = Math.max(want.length, got.sent.length);
  for (let i = 0; i < n; i++) {
    const k = want[i];
    const o = got.sent[i];
    const t = ((k ?? o)!.t - start) / 1e6;
    if (k === undefined) return { t, field: "extra", kernel: "-", ours: words(o!.packet, base) };
    if (o === undefined) return { t, field: "missing", kernel: words(k.packet, base), ours: "-" };
    const a = describe(k.packet, base);
    const b = describe(o.packet, base);
    for (const field of Object.keys(a)) {
      if (a[field] === b[field] || except.has(field)) continue;
      if (field === "tsval" && Math.abs(((a[field] as number) - (b[field] as number)) | 0) <= 1 + slack / 1e6) continue;
      return {
        t,
        field,
        kernel: words(k.packet, base),
        ours: `${words(o.packet, base)} at ${((o.t - start) / 1e6).toFixed(3)}`,
      };
    }
    if (Math.abs(k.t - o.t) > slack) {
      return { t, field: "time", kernel: words(k.packet, base), ours: `at ${((o.t - start) / 1e6).toFixed(3)}` };
    }
  }
  return null;
}

/** Both, side by side, up to a little behind `until` (ms). */
export function story(talk: Conversation, got: Replayed, until = Infinity): string {
  const base = baseOf(talk);
  const start = talk.events[0]!.t;
  const lines: [number, number, string][] = [];
  for (const e of talk.events) {
    if (e.kind === "call") lines.push([e.t, 0, `call ${e.fn} ${JSON.stringify(e.args)} = ${e.result}`]);
    else if (e.kind === "info") lines.push([e.t, 0, `      ${e.text}`]);
    else if (e.kind === "in") lines.push([e.t, 0, `  < ${words(e.packet, { seq: base.ack, ack: base.seq })}`]);
    else lines.push([e.t, 1, `  > ${words(e.packet, base)}`]);
  }
  for (const s of got.sent) lines.push([s.t, 2, `                    ours > ${words(s.packet, base)}`]);
  lines.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return lines
    .map(([t, , text]) => [(t - start) / 1e6, text] as const)
    .filter(([t]) => t <= until + 1)
    .map(([t, text]) => `${t.toFixed(3).padStart(9)} ${text}`)
    .join("\n");
}

export const addressText = formatIpv4;
