// tests/support/kernel/recorded.ts: the TCP conversations in a capture of a real network, each end of them as a script: what
// it received at its times, and the calls that its program must have made, from what it sent.

import { formatIpv4 } from "../../../src/core/address.ts";
import { readCapture } from "../../../src/capture/reader.ts";
import { Direction } from "../../../src/capture/format.ts";
import { readChunks } from "../../../src/node/files.ts";
import { type Conversation, type Event, stampOf } from "./conversation.ts";

const FIN = 1;
const SYN = 2;
const RST = 4;
const PSH = 8;
const ACK = 16;
/** How long after a segment the program has read it. */
const READ_AFTER = 30_000;

interface Seen {
  readonly t: number;
  /** The device under capture sent it. */
  readonly out: boolean;
  readonly packet: Buffer;
}

const sport = (p: Buffer): number => p.readUInt16BE((p[0]! & 15) * 4);
const dport = (p: Buffer): number => p.readUInt16BE((p[0]! & 15) * 4 + 2);
const flags = (p: Buffer): number => p[(p[0]! & 15) * 4 + 13]!;
const headerOf = (p: Buffer): number => (p[0]! & 15) * 4 + (p[(p[0]! & 15) * 4 + 12]! >> 4) * 4;
const seqOf = (p: Buffer): number => p.readUInt32BE((p[0]! & 15) * 4 + 4);
const length = (p: Buffer): number => p.readUInt16BE(2) - headerOf(p);

/** Whether an end is a kernel's: its SYN has what Linux's have, in its order (MSS, SACK permitted, timestamps, NOP, shift of 9). */
function isKernel(p: Buffer): boolean {
  const at = (p[0]! & 15) * 4 + 20;
  return (
    headerOf(p) === at + 20 && p[at] === 2 && p[at + 4] === 4 && p[at + 6] === 8 && p[at + 16] === 1 && p[at + 19] === 9
  );
}

/** How far from the capture's clock the milliseconds begin of which an end's timestamps tell; ns. */
function phaseOf(seen: readonly Seen[], isOwn: (s: Seen) => boolean): number {
  let low = -Infinity;
  let high = Infinity;
  let first: number | null = null;
  for (const s of seen) {
    if (!isOwn(s)) continue;
    const stamp = stampOf(s.packet);
    if (stamp === null) continue;
    first ??= stamp.val;
    const r = ((stamp.val - first) | 0) * 1e6 - (s.t - seen[0]!.t);
    low = Math.max(low, r);
    high = Math.min(high, r + 1e6);
  }
  return first === null ? 0 : Math.round((low + high) / 2) - seen[0]!.t;
}

/** Conversations of one interface, by their ends. */
async function conversationsOf(file: string): Promise<Map<string, Seen[]>> {
  const found = new Map<string, Seen[]>();
  const latest = new Map<string, string>();
  for await (const r of readCapture(readChunks(file))) {
    while (r.next()) {
      const f = Buffer.from(r.data());
      if (f.length < 54 || f.readUInt16BE(12) !== 0x0800 || f[23] !== 6 || (f.readUInt16BE(20) & 0x3fff) !== 0)
        continue;
      const packet = f.subarray(14, 14 + f.readUInt16BE(16));
      const ends = [
        `${formatIpv4(packet.readUInt32BE(12))}:${sport(packet)}`,
        `${formatIpv4(packet.readUInt32BE(16))}:${dport(packet)}`,
      ].toSorted();
      const name = `${r.interfaces[r.interfaceId]!.name} ${ends.join(" ")}`;
      // a SYN of another number: the same ends talk again
      const begins = (flags(packet) & (SYN | ACK)) === SYN;
      let key = name;
      if (begins) {
        for (let again = 2; ; again++) {
          const first = found.get(key)?.[0];
          if (first === undefined || seqOf(first.packet) === seqOf(packet)) break;
          key = `${name} #${again}`;
        }
      }
      if (begins) latest.set(name, key);
      key = latest.get(name) ?? name;
      const list = found.get(key) ?? [];
      found.set(key, list);
      const t = (r.seconds % 1e6) * 1e9 + r.nanoseconds;
      list.push({ t, out: r.direction === Direction.Out, packet });
    }
  }
  return found;
}

/** The calls of a program that sends what this end sent, and reads at once. */
function script(name: string, seen: readonly Seen[], isOwn: (s: Seen) => boolean): Conversation | null {
  const first = seen.find((s) => isOwn(s) && (flags(s.packet) & SYN) !== 0);
  if (first === undefined || !isKernel(first.packet)) return null;
  if (seen[0] === undefined || (flags(seen[0].packet) & (SYN | ACK)) !== SYN) return null;
  const active = isOwn(seen[0]);
  const local = formatIpv4(first.packet.readUInt32BE(12));
  const remote = formatIpv4(first.packet.readUInt32BE(16));
  const mss = first.packet.readUInt16BE((first.packet[0]! & 15) * 4 + 22);
  const events: Event[] = [];
  const call = (t: number, fn: string, args: object, result: unknown): void => {
    events.push({ t, kind: "call", fn, args: args as Record<string, unknown>, result });
  };
  const start = seen[0].t;
  call(start - 3000, "socket", { type: "stream" }, 3);
  call(start - 2900, "setsockopt", { fd: 3, level: "SOL_SOCKET", name: "SO_REUSEADDR", value: 1 }, 0);
  call(start - 2800, "bind", { fd: 3, ip: local, port: sport(first.packet) }, 0);
  let fd = 3;
  if (active) call(start - 10, "connect", { fd: 3, ip: remote, port: dport(first.packet) }, "EINPROGRESS");
  else call(start - 2700, "listen", { fd: 3, backlog: 128 }, 0);
  let written = 0;
  const begin = seqOf(first.packet) + 1;
  let closed = false;
  seen.forEach((s, i) => {
    const { packet } = s;
    const f = flags(packet);
    if (!isOwn(s)) {
      events.push({ t: s.t, kind: "in", packet });
      if (!active && fd === 3 && (f & (SYN | ACK | RST)) === ACK) {
        fd = 4;
        call(s.t + 5000, "accept", { fd: 3 }, 4);
      }
      if (length(packet) > 0 || (f & FIN) !== 0) {
        const next = seen[i + 1]?.t ?? Infinity;
        if (!closed)
          call(Math.min(s.t + READ_AFTER, Math.max(s.t + 1, next - 1000)), "recv", { fd, len: 1 << 20 }, null);
      }
      return;
    }
    const seq = seqOf(packet);
    if (length(packet) > 0 && ((seq - begin - written) | 0) >= 0) {
      // all up to the next PSH that somebody asked for is one write
      let n = 0;
      for (let j = i; j < seen.length; j++) {
        const p = seen[j]!.packet;
        if (!isOwn(seen[j]!) || length(p) === 0) continue;
        const at = seqOf(p) - begin;
        if (((at - written - n) | 0) !== 0) continue;
        n += length(p);
        if ((flags(p) & PSH) !== 0 && length(p) < 1448) break;
      }
      call(s.t - 10, "send", { fd, len: n, flags: [] }, n);
      written += n;
    }
    if ((f & FIN) !== 0 && !closed) {
      closed = true;
      const later = seen.slice(i + 1).some((x) => !isOwn(x) && length(x.packet) > 0);
      if (later) call(s.t - 5, "shutdown", { fd, how: "WR" }, 0);
      else call(s.t - 5, "close", { fd }, 0);
    }
    if ((f & RST) !== 0 && (f & ACK) !== 0 && !closed && (f & SYN) === 0) {
      closed = true;
      call(s.t - 6, "setsockopt", { fd, level: "SOL_SOCKET", name: "SO_LINGER", value: [1, 0] }, 0);
      call(s.t - 5, "close", { fd }, 0);
    }
    events.push({ t: s.t, kind: "out", packet });
  });
  const phase = phaseOf(seen, isOwn);
  const shift = ((phase % 1e6) + 1e6) % 1e6;
  const shifted = events.map((e) => ({ ...e, t: e.t + shift }));
  shifted.sort((a, b) => a.t - b.t);
  return {
    name,
    address: `${local}/32`,
    mtu: Math.min(65535, mss + 40),
    // the recording kernel's
    sysctl: { "net.ipv4.tcp_rmem": "4096 131072 6291456" },
    rmemMax: 16777216,
    jiffies: 0,
    congestion: "reno",
    what: active ? "connects" : "listens",
    events: shifted,
  };
}

/** Every end of a conversation that the capture has next to it: `own`: the captured node's own TCP ports. */
export async function recordedEnds(
  file: string,
  own: readonly number[],
  bridges: ReadonlySet<string>,
): Promise<Conversation[]> {
  const list: Conversation[] = [];
  for (const [key, seen] of await conversationsOf(file)) {
    if (bridges.has(key.split(" ")[0]!)) continue;
    const far = script(`${key}, far end`, seen, (s) => !s.out);
    if (far !== null) list.push(far);
    const port = seen.find((s) => s.out);
    if (port === undefined || !own.includes(sport(port.packet))) continue;
    const near = script(`${key}, near end`, seen, (s) => s.out);
    if (near !== null) list.push(near);
  }
  return list;
}
