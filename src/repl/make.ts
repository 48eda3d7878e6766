// src/repl/make.ts: packets by hand: `eth / ip dst 10.0.0.1 ttl 5 / tcp dport 80 flags S / "data"`. What is not said is filled
// in: lengths, checksums, types, the addresses of the device that sends.

import { Drop } from "../../assembly/drop.ts";
import { parseIpv4, parseMac } from "../core/address.ts";
import type { Frame } from "../core/core.ts";
import { packetFrom } from "../core/packet.ts";
import type { Namespace } from "../host/namespace.ts";
import { Interface } from "../link/interface.ts";
import { BY_HAND, type Run } from "./session.ts";
import { LineError, number, type Word, Words } from "./words.ts";

/** What stands for the addresses that were not said. */
export interface Ends {
  readonly srcMac: Uint8Array;
  readonly dstMac: Uint8Array;
  readonly srcIp: number;
}

interface Part {
  readonly kind: string;
  readonly column: number;
  readonly set: ReadonlyMap<string, Word>;
  readonly data: Uint8Array | null;
}

const known: Readonly<Record<string, readonly string[]>> = {
  eth: ["src", "dst", "type"],
  vlan: ["id", "prio"],
  arp: ["op", "sha", "spa", "tha", "tpa"],
  ip: ["src", "dst", "ttl", "id", "tos", "proto", "df", "mf", "offset", "len", "checksum"],
  icmp: ["type", "code", "id", "seq", "checksum"],
  udp: ["sport", "dport", "len", "checksum"],
  tcp: ["sport", "dport", "seq", "ack", "flags", "window", "checksum"],
};

/** Fields that need no value. */
const flags = new Set(["df", "mf"]);

/** The parts of a line from `column` on. */
function parse(line: string, column: number): Part[] {
  const parts: Part[] = [];
  let at = column - 1;
  const skip = (): void => {
    while (line[at] === " " || line[at] === "\t") at++;
  };
  skip();
  if (at >= line.length)
    throw new LineError(
      line.length + 1,
      'the line ends, expected a packet such as eth / ip dst 10.0.0.1 / udp dport 53 / "data"',
    );
  for (;;) {
    skip();
    const start = at;
    if (line[at] === '"') {
      const end = line.indexOf('"', at + 1);
      if (end < 0) throw new LineError(at + 1, 'the text has no end, expected "');
      const text = line
        .slice(at + 1, end)
        .replace(/\\(r|n|t|\\|x[0-9a-fA-F]{2})/g, (_, e: string) =>
          e === "r"
            ? "\r"
            : e === "n"
              ? "\n"
              : e === "t"
                ? "\t"
                : e === "\\"
                  ? "\\"
                  : String.fromCharCode(parseInt(e.slice(1), 16)),
        );
      parts.push({
        kind: "data",
        column: start + 1,
        set: new Map(),
        data: Uint8Array.from(text, (c) => c.charCodeAt(0) & 255),
      });
      at = end + 1;
    } else {
      let stop = line.indexOf(" / ", at);
      if (stop < 0) stop = line.length;
      const text = line.slice(at, stop);
      const words = Words.of(" ".repeat(at) + text);
      const kind = words.take("eth, vlan, arp, ip, icmp, udp, tcp, hex or a text in quotes");
      if (kind.text === "hex") {
        const digits = words.take("hex digits");
        words.done();
        if (!/^([0-9a-fA-F]{2})*$/.test(digits.text))
          throw new LineError(digits.column, `'${digits.text}', expected pairs of hex digits`);
        const data = Uint8Array.from(digits.text.match(/../g) ?? [], (h) => parseInt(h, 16));
        parts.push({ kind: "data", column: kind.column, set: new Map(), data });
      } else {
        const fields = Object.hasOwn(known, kind.text) ? known[kind.text]! : null;
        if (fields === null) {
          throw new LineError(
            kind.column,
            `'${kind.text}', expected eth, vlan, arp, ip, icmp, udp, tcp, hex or a text in quotes`,
          );
        }
        const set = new Map<string, Word>();
        while (words.peek() !== null) {
          const key = words.take("");
          if (!fields.includes(key.text))
            throw new LineError(key.column, `${kind.text} has no '${key.text}', expected ${fields.join(", ")}`);
          set.set(key.text, flags.has(key.text) ? key : words.take(`a value of ${key.text}`));
        }
        parts.push({ kind: kind.text, column: kind.column, set, data: null });
      }
      at = stop;
    }
    skip();
    if (at >= line.length) return parts;
    if (line[at] !== "/")
      throw new LineError(at + 1, `'${line.slice(at, at + 10)}', expected / or the end of the line`);
    at++;
  }
}

const join = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
};

function checksum(b: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < b.length; i += 2) sum += (b[i]! << 8) | (b[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return ~sum & 0xffff;
}

function num(p: Part, key: string, otherwise: number, most: number): number {
  const w = p.set.get(key);
  return w === undefined ? otherwise : number(w, 0, most, key);
}

function address(p: Part, key: string, otherwise: number): number {
  const w = p.set.get(key);
  if (w === undefined) return otherwise;
  const a = parseIpv4(w.text);
  if (a === null) throw new LineError(w.column, `'${w.text}' is no IPv4 address, expected one such as 10.0.0.1`);
  return a;
}

function macOf(p: Part, key: string, otherwise: Uint8Array): Uint8Array {
  const w = p.set.get(key);
  if (w === undefined) return otherwise;
  const m = parseMac(w.text);
  if (m === null)
    throw new LineError(w.column, `'${w.text}' is no MAC address, expected one such as 02:00:00:00:00:01`);
  return m;
}

const letters = "FSRPAUEC";

function tcpFlags(p: Part): number {
  const w = p.set.get("flags");
  if (w === undefined) return 2;
  let bits = 0;
  for (const c of w.text.toUpperCase().replaceAll(".", "A")) {
    const i = letters.indexOf(c);
    if (i < 0) throw new LineError(w.column, `flags '${w.text}', expected letters of ${letters}`);
    bits |= 1 << i;
  }
  return bits;
}

const put16 = (b: Uint8Array, at: number, v: number): void => {
  b[at] = (v >> 8) & 255;
  b[at + 1] = v & 255;
};
const put32 = (b: Uint8Array, at: number, v: number): void => {
  put16(b, at, v >>> 16);
  put16(b, at + 2, v & 0xffff);
};

/** The bytes of the packet that stands in `line` from `column` on. Throws `LineError`. */
export function makePacket(line: string, column: number, ends: Ends): Uint8Array {
  const parts = parse(line, column);
  let out: Uint8Array = new Uint8Array(0);
  let src = 0;
  let dst = 0;
  const ipPart = parts.find((p) => p.kind === "ip");
  if (ipPart !== undefined) {
    src = address(ipPart, "src", ends.srcIp);
    if (!ipPart.set.has("dst")) throw new LineError(ipPart.column, "ip without dst, expected dst ADDRESS");
    dst = address(ipPart, "dst", 0);
  }
  const order = ["eth", "vlan", "arp", "ip", "icmp", "udp", "tcp", "data"];
  let last = -1;
  for (const p of parts) {
    const rank = order.indexOf(p.kind);
    const fits = rank > last || (p.kind === kindAt(order, last) && (p.kind === "vlan" || p.kind === "data"));
    if (!fits)
      throw new LineError(p.column, `'${p.kind}' cannot stand here, expected this order: ${order.join(" / ")}`);
    last = rank;
  }
  for (let i = parts.length - 1; i >= 0; i--) {
    const p = parts[i]!;
    const inner = parts[i + 1]?.kind ?? "";
    switch (p.kind) {
      case "data":
        out = join(p.data!, out);
        break;
      case "udp":
      case "tcp":
      case "icmp":
        out = transport(p, out, src, dst);
        break;
      case "ip":
        out = internet(p, out, src, dst, inner);
        break;
      case "arp":
        out = join(arp(p, ends), out);
        break;
      case "vlan": {
        const tag = new Uint8Array(4);
        put16(tag, 0, (num(p, "prio", 0, 7) << 13) | num(p, "id", 1, 4095));
        put16(tag, 2, typeOf(inner));
        out = join(tag, out);
        break;
      }
      case "eth": {
        const head = new Uint8Array(14);
        const broadcast = inner === "arp" || (inner === "vlan" && parts[i + 2]?.kind === "arp");
        head.set(macOf(p, "dst", broadcast ? new Uint8Array(6).fill(255) : ends.dstMac));
        head.set(macOf(p, "src", ends.srcMac), 6);
        put16(head, 12, num(p, "type", typeOf(inner), 0xffff));
        out = join(head, out);
        break;
      }
      default:
    }
  }
  if (parts[0]!.kind !== "eth") {
    throw new LineError(parts[0]!.column, `'${parts[0]!.kind}', expected eth first: devices send Ethernet frames`);
  }
  return out;
}

function kindAt(order: readonly string[], last: number): string {
  return last < 0 ? "" : order[last]!;
}

function typeOf(inner: string): number {
  return inner === "arp" ? 0x0806 : inner === "vlan" ? 0x8100 : 0x0800;
}

function arp(p: Part, ends: Ends): Uint8Array {
  const b = new Uint8Array(28);
  put16(b, 0, 1);
  put16(b, 2, 0x0800);
  b[4] = 6;
  b[5] = 4;
  const op = p.set.get("op")?.text;
  put16(b, 6, op === "reply" ? 2 : op === "request" ? 1 : num(p, "op", 1, 0xffff));
  b.set(macOf(p, "sha", ends.srcMac), 8);
  put32(b, 14, address(p, "spa", ends.srcIp));
  b.set(macOf(p, "tha", new Uint8Array(6)), 18);
  put32(b, 24, address(p, "tpa", 0));
  return b;
}

const protocols: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17 };

function internet(p: Part, payload: Uint8Array, src: number, dst: number, inner: string): Uint8Array {
  const b = new Uint8Array(20);
  b[0] = 0x45;
  b[1] = num(p, "tos", 0, 255);
  const length = 20 + payload.length;
  if (length > 65535) throw new LineError(p.column, `${length} bytes, expected 65535 at most`);
  put16(b, 2, num(p, "len", length, 65535));
  put16(b, 4, num(p, "id", 0, 65535));
  put16(b, 6, (p.set.has("df") ? 0x4000 : 0) | (p.set.has("mf") ? 0x2000 : 0) | (num(p, "offset", 0, 65528) >> 3));
  b[8] = num(p, "ttl", 64, 255);
  b[9] = num(p, "proto", protocols[inner] ?? 253, 255);
  put32(b, 12, src);
  put32(b, 16, dst);
  put16(b, 10, num(p, "checksum", checksum(b, 0), 65535));
  return join(b, payload);
}

function transport(p: Part, payload: Uint8Array, src: number, dst: number): Uint8Array {
  const pseudo = (proto: number, length: number): number =>
    (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + proto + length;
  let b: Uint8Array;
  let sumAt: number;
  let start = 0;
  if (p.kind === "udp") {
    b = join(new Uint8Array(8), payload);
    put16(b, 0, num(p, "sport", 40000, 65535));
    put16(b, 2, num(p, "dport", 9, 65535));
    put16(b, 4, num(p, "len", b.length & 0xffff, 65535));
    sumAt = 6;
    start = pseudo(17, b.length);
  } else if (p.kind === "tcp") {
    b = join(new Uint8Array(20), payload);
    put16(b, 0, num(p, "sport", 40000, 65535));
    put16(b, 2, num(p, "dport", 80, 65535));
    put32(b, 4, num(p, "seq", 1, 0xffffffff));
    put32(b, 8, num(p, "ack", 0, 0xffffffff));
    b[12] = 0x50;
    b[13] = tcpFlags(p);
    put16(b, 14, num(p, "window", 65535, 65535));
    sumAt = 16;
    start = pseudo(6, b.length);
  } else {
    b = join(new Uint8Array(8), payload);
    b[0] = num(p, "type", 8, 255);
    b[1] = num(p, "code", 0, 255);
    put16(b, 4, num(p, "id", 1, 65535));
    put16(b, 6, num(p, "seq", 1, 65535));
    sumAt = 2;
  }
  let sum = checksum(b, start);
  if (p.kind === "udp" && sum === 0) sum = 0xffff;
  put16(b, sumAt, num(p, "checksum", sum, 65535));
  return b;
}

const stranger = Uint8Array.of(2, 0, 0, 0, 0, 1);
const everybody = new Uint8Array(6).fill(255);

/** The addresses that a frame has if it does not say: out of the device, or (`inject`) as if it came to it. */
export function endsOf(ns: Namespace, dev: Interface, inject: boolean): Ends {
  const { u8 } = ns.world.core;
  const own = u8.slice(dev.mac, dev.mac + 6);
  const peer = dev.peer instanceof Interface ? u8.slice(dev.peer.mac, dev.peer.mac + 6) : everybody;
  const first = ns.fib.addresses(dev)[0]?.local ?? 0;
  if (!inject) return { srcMac: own, dstMac: peer, srcIp: first };
  // somebody else of the same subnet
  return { srcMac: stranger, dstMac: own, srcIp: first === 0 ? 0 : (first ^ 0x40) >>> 0 };
}

/** `send HOST DEV PACKET`, `inject HOST DEV PACKET`. */
export function sendPacket(run: Run, ns: Namespace, w: Word, inject: boolean, line: string, column: number): void {
  const dev = ns.byName.get(w.text);
  if (dev === undefined) {
    const names = ns.interfaces.map((d) => d.name).join(", ");
    throw new LineError(w.column, `${ns.name} has no device '${w.text}', expected one of: ${names}`);
  }
  const { world } = run.lab;
  const bytes = makePacket(line, column, endsOf(ns, dev, inject));
  const frame = packetFrom(world.core, bytes);
  if (frame === 0) throw new LineError(column, `${bytes.length} bytes, expected a frame that a device can hold`);
  // an event of the clock's own, so that one can step through what follows
  world.clock.after(0, () => {
    if (inject) return world.backlog.push(dev, 0, frame);
    world.backlog.hold(() => transmit(ns, dev, frame));
  });
}

function transmit(ns: Namespace, dev: Interface, frame: Frame): void {
  const { world } = ns;
  world.tracer?.({
    time: world.clock.now,
    node: ns.name,
    iface: dev.name,
    kind: "originate",
    text: BY_HAND,
    drop: Drop.None,
    frame,
  });
  dev.transmit(frame);
}
