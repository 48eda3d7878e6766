// tests/support/drive.ts: pdsut/1 from a test: requests in, parsed packets out.

import { formatIpv4 } from "../../src/core/address.ts";
import { Session } from "../../src/cli/drive-session.ts";
import type { Core } from "../../src/core/core.ts";
import { checksum, ipv4, udp } from "./ip.ts";
import { loadCore } from "../../src/node/core.ts";

/** A packet as it was sent: what tests ask of it. */
export interface Packet {
  readonly t: number;
  readonly dev: string;
  readonly bytes: Buffer;
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ttl: number;
  readonly tos: number;
  readonly frag: number;
  readonly sport: number;
  readonly dport: number;
  /** ICMP */
  readonly type: number;
  readonly code: number;
  /** Behind the transport header (8 bytes for UDP and ICMP, the data offset's for TCP). */
  readonly payload: Buffer;
}

export interface Reply {
  now: number;
  tx: Packet[];
  done: Record<string, any>[];
  [key: string]: any;
}

export class Drive {
  private readonly session: Session;
  private calls = 0;

  constructor(cfg: object = {}, core: () => Core = loadCore) {
    this.session = new Session(core);
    const reply = this.request({ op: "reset", cfg });
    if (reply["ignored"] !== undefined) throw new Error(`ignored: ${reply["ignored"]}`);
  }

  request(o: object): Reply {
    const reply = JSON.parse(this.session.answer(JSON.stringify(o)));
    if (reply.error !== undefined) throw new Error(reply.error);
    return { ...reply, tx: (reply.tx ?? []).map(parse), done: reply.done ?? [] };
  }

  rx(dev: string, bytes: Uint8Array): Packet[] {
    return this.request({ op: "rx", dev, data: Buffer.from(bytes).toString("hex") }).tx;
  }

  /** Seconds of virtual time. */
  advance(to: number): Reply {
    return this.request({ op: "advance", to: Math.round(to * 1e6) });
  }

  call(fn: string, o: object = {}): Reply {
    return this.request({ op: "call", call: ++this.calls, fn, ...o });
  }
}

function parse(sent: { t: number; dev: string; data: string }): Packet {
  const bytes = Buffer.from(sent.data, "hex");
  return { t: sent.t, dev: sent.dev, ...parsePacket(bytes) };
}

/** An IPv4 packet, also a quoted one that is cut behind its eighth byte of data. */
export function parsePacket(bytes: Buffer): Omit<Packet, "t" | "dev"> {
  const ihl = (bytes[0]! & 15) * 4;
  const proto = bytes[9]!;
  const frag = bytes.readUInt16BE(6);
  const first = (frag & 0x1fff) === 0;
  const ports = first && proto !== 1 && bytes.length >= ihl + 4;
  const offset = proto === 6 && first ? ((bytes[ihl + 12] ?? 0x50) >> 2) & 0x3c : first ? 8 : 0;
  return {
    bytes,
    src: formatIpv4(bytes.readUInt32BE(12)),
    dst: formatIpv4(bytes.readUInt32BE(16)),
    proto,
    ttl: bytes[8]!,
    tos: bytes[1]!,
    frag,
    sport: ports ? bytes.readUInt16BE(ihl) : 0,
    dport: ports ? bytes.readUInt16BE(ihl + 2) : 0,
    type: proto === 1 ? bytes[ihl]! : -1,
    code: proto === 1 ? bytes[ihl + 1]! : -1,
    payload: bytes.subarray(ihl + offset),
  };
}

/** `10.0.0.2:5000` */
function split(end: string): [string, number] {
  const [address, port] = end.split(":");
  return [address!, Number(port)];
}

/** A UDP datagram, its checksum filled in. */
export function udpPacket(from: string, to: string, payload: string | Uint8Array = "x", frag = 0): Buffer {
  const [src, sport] = split(from);
  const [dst, dport] = split(to);
  const body = udp(sport, dport, payload);
  const whole = ipv4(src, dst, 17, body, frag);
  const pseudo = Buffer.concat([whole.subarray(12, 20), Buffer.from([0, 17, body.length >> 8, body.length & 255])]);
  whole.writeUInt16BE(checksum(pseudo, body) || 0xffff, 26);
  return whole;
}

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export function tcpPacket(
  from: string,
  to: string,
  flags: number,
  seq = 1000,
  ack = 0,
  payload: string | Uint8Array = "",
): Buffer {
  const [src, sport] = split(from);
  const [dst, dport] = split(to);
  const header = Buffer.alloc(20);
  header.writeUInt16BE(sport, 0);
  header.writeUInt16BE(dport, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header[12] = 0x50;
  header[13] = flags;
  header.writeUInt16BE(65535, 14);
  return ipv4(src, dst, 6, Buffer.concat([header, Buffer.from(payload as string)]));
}

/** An ICMP message: `rest` is the second word. */
export function icmpPacket(
  src: string,
  dst: string,
  type: number,
  code: number,
  rest: number,
  body: Uint8Array | string = "",
): Buffer {
  const b = Buffer.alloc(8 + body.length);
  b[0] = type;
  b[1] = code;
  b.writeUInt32BE(rest >>> 0, 4);
  Buffer.from(body as string).copy(b, 8);
  b.writeUInt16BE(checksum(b), 2);
  return ipv4(src, dst, 1, b, 0);
}

/** Whether IP header, and UDP, TCP or ICMP checksum verify. */
export function verifies(p: Omit<Packet, "t" | "dev">): boolean {
  const ihl = (p.bytes[0]! & 15) * 4;
  const body = p.bytes.subarray(ihl);
  if (checksum(p.bytes.subarray(0, ihl)) !== 0) return false;
  if (p.proto === 1) return checksum(body) === 0;
  if (p.proto === 17 && body.readUInt16BE(6) === 0) return true;
  const pseudo = Buffer.concat([
    p.bytes.subarray(12, 20),
    Buffer.from([0, p.proto, body.length >> 8, body.length & 255]),
  ]);
  return checksum(pseudo, body) === 0;
}
