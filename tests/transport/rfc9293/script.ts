// tests/transport/rfc9293/script.ts: TCP as packet scripts: the peer sends and expects segments, the program makes calls.
//
//     const t = new Script();
//     t.listen();
//     t.peer.send("SYN seq=100 win=8192");
//     t.peer.expect("SYN,ACK seq=0 ack=101");
//
// Sequence numbers of ours count from our initial one, the peer's are its own.

import { expect } from "vitest";
import type { Core } from "../../../src/core/core.ts";
import { Drive, type Packet, type Reply } from "../../support/drive.ts";
import { checksum, ipv4 } from "../../support/ip.ts";

export const LOCAL = "192.168.0.1";
export const PEER = "192.168.0.2";
export const PORT = 8080;
export const PEER_PORT = 4000;

const flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** A segment that the stack sent. */
export interface Segment {
  /** Seconds. */
  readonly t: number;
  readonly packet: Packet;
  readonly flags: string;
  /** As on the wire. */
  readonly rawSeq: number;
  readonly rawAck: number;
  readonly window: number;
  readonly urgent: number;
  /** kind: bytes behind kind and length. */
  readonly options: Map<number, Buffer>;
  readonly headerLen: number;
  readonly data: Buffer;
}

function flagsOf(text: string): number {
  let bits = 0;
  if (text === "-") return 0;
  for (const name of text.split(",")) {
    const i = flagNames.indexOf(name);
    if (i < 0) throw new Error(`'${name}' is no flag`);
    bits |= 1 << i;
  }
  return bits;
}

function read(p: Packet): Segment {
  const b = p.bytes.subarray((p.bytes[0]! & 15) * 4);
  const headerLen = (b[12]! >> 4) * 4;
  const options = new Map<number, Buffer>();
  for (let i = 20; i < headerLen;) {
    const kind = b[i]!;
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const length = b[i + 1]!;
    expect(length).toBeGreaterThanOrEqual(2);
    options.set(kind, b.subarray(i + 2, i + length));
    i += length;
  }
  return {
    t: p.t / 1e6,
    packet: p,
    flags: flagNames.filter((_, i) => (b[13]! & (1 << i)) !== 0 && flagNames[i] !== "PSH").join(","),
    rawSeq: b.readUInt32BE(4),
    rawAck: b.readUInt32BE(8),
    window: b.readUInt16BE(14),
    urgent: b.readUInt16BE(18),
    options,
    headerLen,
    data: b.subarray(headerLen),
  };
}

export const hasPush = (s: Segment): boolean => (s.packet.bytes[(s.packet.bytes[0]! & 15) * 4 + 13]! & 8) !== 0;

/** The other end of one connection. */
export class Peer {
  /** Our initial sequence number, once a SYN of ours was seen. */
  iss: number | null = null;

  constructor(
    private readonly script: Script,
    readonly address = PEER,
    readonly port = PEER_PORT,
    readonly localPort = PORT,
    readonly local = LOCAL,
  ) {}

  /** Bytes of a segment: `FLAGS key=value ...`. */
  segment(text: string): Buffer {
    const [flags, ...words] = text.trim().split(/\s+/);
    const v = new Map(words.map((w) => [w.split("=")[0]!, w.includes("=") ? w.slice(w.indexOf("=") + 1) : ""]));
    const number = (key: string, fallback: number): number => (v.has(key) ? Number(v.get(key)) : fallback);
    const options: Buffer[] = [];
    if (v.has("opt")) options.push(Buffer.from(v.get("opt")!, "hex"));
    if (v.has("mss")) options.push(Buffer.from([2, 4, number("mss", 0) >> 8, number("mss", 0) & 255]));
    if (v.has("sackok")) options.push(Buffer.from([1, 1, 4, 2]));
    if (v.has("ws")) options.push(Buffer.from([1, 3, 3, number("ws", 0)]));
    if (v.has("ts")) {
      const [val, ecr] = v.get("ts")!.split(":").map(Number);
      const o = Buffer.from([1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
      o.writeUInt32BE(val! >>> 0, 4);
      o.writeUInt32BE((ecr ?? 0) >>> 0, 8);
      options.push(o);
    }
    if (v.has("sack")) {
      const blocks = v
        .get("sack")!
        .split(";")
        .map((s) => s.split("-").map(Number));
      const o = Buffer.alloc(4 + 8 * blocks.length);
      o.set([1, 1, 5, 2 + 8 * blocks.length]);
      blocks.forEach(([from, to], i) => {
        o.writeUInt32BE((from! + (this.iss ?? 0)) >>> 0, 4 + 8 * i);
        o.writeUInt32BE((to! + (this.iss ?? 0)) >>> 0, 8 + 8 * i);
      });
      options.push(o);
    }
    let opt = Buffer.concat(options);
    if (opt.length % 4 !== 0) opt = Buffer.concat([opt, Buffer.alloc(4 - (opt.length % 4))]);
    const data = v.has("data") ? Buffer.from(v.get("data")!) : Buffer.alloc(number("len", 0), "x");
    const header = Buffer.alloc(20);
    header.writeUInt16BE(number("sport", this.port), 0);
    header.writeUInt16BE(number("dport", this.localPort), 2);
    header.writeUInt32BE(number("seq", 0) >>> 0, 4);
    const bits = flagsOf(flags!);
    if (v.has("ack")) header.writeUInt32BE((number("ack", 0) + (this.iss ?? 0)) >>> 0, 8);
    else if ((bits & 16) !== 0) throw new Error("ACK without ack=");
    header[12] = (5 + opt.length / 4) << 4;
    if (v.has("off")) header[12] = number("off", 5) << 4;
    header[13] = bits;
    header.writeUInt16BE(number("win", 65535), 14);
    header.writeUInt16BE(number("urg", 0), 18);
    let packet = ipv4(v.get("src") ?? this.address, v.get("dst") ?? this.local, 6, Buffer.concat([header, opt, data]));
    if (v.has("tos") || v.has("ipopt"))
      packet = withIp(packet, number("tos", 0), Buffer.from(v.get("ipopt") ?? "", "hex"));
    if (v.has("badsum")) packet[packet.length - data.length - opt.length - 4]! ^= 0x55;
    return packet;
  }

  send(text: string): void {
    this.script.rx(this.segment(text));
  }

  /** The next segment that was sent must be this one; what `text` does not name is not looked at. */
  expect(text: string): Segment {
    const s = this.script.sent.shift();
    if (s === undefined) throw new Error(`expected ${text}, but nothing was sent`);
    this.compare(s, text);
    return s;
  }

  private compare(s: Segment, text: string): void {
    const [flags, ...words] = text.trim().split(/\s+/);
    if (s.flags.split(",").includes("SYN")) this.iss = s.rawSeq;
    const want: Record<string, unknown> = { flags: flags === "-" ? "" : flags };
    const got: Record<string, unknown> = { flags: s.flags };
    const mss = s.options.get(2);
    const ts = s.options.get(8);
    const blocks = s.options.get(5);
    for (const w of words) {
      const key = w.split("=")[0]!;
      const value = w.includes("=") ? w.slice(w.indexOf("=") + 1) : "";
      want[key] = value === "" ? true : key === "data" || key === "sack" ? value : Number(value);
      const see: Record<string, () => unknown> = {
        seq: () => (s.rawSeq - (this.iss ?? 0)) >>> 0,
        ack: () => s.rawAck,
        win: () => s.window,
        len: () => s.data.length,
        data: () => s.data.toString(),
        urg: () => s.urgent,
        mss: () => (mss === undefined ? null : mss.readUInt16BE(0)),
        ws: () => s.options.get(3)?.[0] ?? null,
        sackok: () => s.options.has(4),
        ts: () => ts !== undefined,
        ecr: () => ts?.readUInt32BE(4) ?? null,
        tos: () => s.packet.tos,
        ttl: () => s.packet.ttl,
        dport: () => s.packet.dport,
        sport: () => s.packet.sport,
        psh: () => hasPush(s),
        sack: () =>
          blocks === undefined
            ? null
            : Array.from(
                { length: blocks.length / 8 },
                (_, i) => `${blocks.readUInt32BE(i * 8)}-${blocks.readUInt32BE(i * 8 + 4)}`,
              ).join(";"),
      };
      got[key] = see[key]?.();
    }
    expect(got, `expected ${text}`).toEqual(want);
  }
}

function withIp(packet: Buffer, tos: number, options: Buffer): Buffer {
  const hl = 20 + options.length;
  const p = Buffer.concat([packet.subarray(0, 20), options, packet.subarray(20)]);
  p[0] = 0x40 | (hl / 4);
  p[1] = tos;
  p.writeUInt16BE(p.length, 2);
  p.writeUInt16BE(0, 10);
  p.writeUInt16BE(checksum(p.subarray(0, hl)), 10);
  return p;
}

/** A stack, its program's calls and what it sent. */
export class Script {
  readonly drive: Drive;
  /** Segments sent and not yet expected, and packets that are none. */
  readonly sent: Segment[] = [];
  readonly other: Packet[] = [];
  /** Every packet that ever left. */
  readonly all: Packet[] = [];
  readonly done: Record<string, any>[] = [];
  peer: Peer;
  /** The listening descriptor, and that of the connection. */
  server = -1;
  fd = -1;

  constructor(cfg: object = {}, core?: () => Core) {
    const dev = [{ name: "tun0", kind: "ip", ip: LOCAL, prefix: 16, mtu: 1500 }];
    const routes = [{ dst: "default", via: PEER, dev: "tun0" }];
    this.drive = new Drive({ dev, routes, ...cfg }, core);
    this.peer = new Peer(this);
  }

  private took(r: Reply): Reply {
    for (const p of r.tx) {
      this.all.push(p);
      if (p.proto === 6) this.sent.push(read(p));
      else this.other.push(p);
    }
    this.done.push(...r.done);
    return r;
  }

  rx(bytes: Buffer): void {
    this.took(this.drive.request({ op: "rx", dev: "tun0", data: bytes.toString("hex") }));
  }

  /** Seconds since the beginning. */
  get now(): number {
    return this.drive.request({ op: "next" }).now / 1e6;
  }

  /** Lets so many seconds pass. */
  after(seconds: number): void {
    const { now } = this.drive.request({ op: "next" });
    this.took(this.drive.request({ op: "advance", to: now + Math.round(seconds * 1e6) }));
  }

  /** Lets time pass until something is sent, `most` seconds at most. */
  untilSent(most: number): void {
    if (this.sent.length > 0) return;
    const { now } = this.drive.request({ op: "next" });
    this.took(this.drive.request({ op: "advance", to: now + Math.round(most * 1e6), stop_on_tx: true }));
  }

  silence(): void {
    expect(this.sent.map((s) => `${s.flags} len=${s.data.length} t=${s.t}`)).toEqual([]);
  }

  /** Forgets what was sent so far. */
  ignore(): void {
    this.sent.length = 0;
  }

  call(fn: string, o: object = {}): Reply {
    return this.took(this.drive.call(fn, o));
  }

  /** `ret`, or the errno's name. */
  result(fn: string, o: object = {}): unknown {
    const r = this.call(fn, o);
    return r["pending"] === true ? "pending" : r["ret"] === -1 ? r["errno"] : r["ret"];
  }

  socket(): number {
    return this.call("socket", { type: "stream" })["ret"];
  }

  listen(backlog = 5, ip = "0.0.0.0", port = PORT): number {
    this.server = this.socket();
    expect(this.result("setsockopt", { fd: this.server, level: "SOL_SOCKET", name: "SO_REUSEADDR", value: 1 })).toBe(0);
    expect(this.result("bind", { fd: this.server, ip, port })).toBe(0);
    expect(this.result("listen", { fd: this.server, backlog })).toBe(0);
    return this.server;
  }

  accept(): number {
    this.fd = this.call("accept", { fd: this.server })["ret"];
    expect(this.fd).toBeGreaterThan(0);
    return this.fd;
  }

  /** A passive open: the peer's sequence numbers begin at 100, so that 101 is its next. */
  establish(syn = "win=65535 mss=1460", option = ""): number {
    if (this.server < 0) this.listen();
    this.peer.send(`SYN seq=100 ${syn}`);
    this.peer.expect("SYN,ACK seq=0 ack=101");
    this.peer.send(`ACK seq=101 ack=1 ${option}`);
    return this.accept();
  }

  /** An active open to the peer's PEER_PORT; `sockopts` before. */
  connect(sockopts: Record<string, unknown> = {}): number {
    this.fd = this.socket();
    for (const [name, value] of Object.entries(sockopts)) {
      expect(this.result("setsockopt", { fd: this.fd, name, value })).toBe(0);
    }
    expect(this.result("bind", { fd: this.fd, ip: "0.0.0.0", port: PORT })).toBe(0);
    expect(this.result("connect", { fd: this.fd, ip: PEER, port: PEER_PORT })).toBe("pending");
    return this.fd;
  }

  set(name: string, value: unknown): void {
    expect(this.result("setsockopt", { fd: this.fd, name, value })).toBe(0);
  }

  get(name: string): unknown {
    return this.call("getsockopt", { fd: this.fd, name })["value"];
  }

  send(data: number | string, flags: string[] = []): unknown {
    const what = typeof data === "number" ? { len: data } : { data: Buffer.from(data).toString("hex") };
    return this.result("send", { fd: this.fd, flags: ["MSG_DONTWAIT", ...flags], ...what });
  }

  /** What can be read now: text, an errno, or "" at the end. */
  recv(length = 100000, flags: string[] = []): unknown {
    const r = this.call("recv", { fd: this.fd, len: length, flags: ["MSG_DONTWAIT", ...flags] });
    return r["ret"] === -1 ? r["errno"] : Buffer.from(r["data"], "hex").toString();
  }

  state(): string {
    return this.drive.request({ op: "info", fd: this.fd })["info"].state;
  }

  conns(): string[] {
    return this.drive.request({ op: "conns" })["conns"].map((c: { state: string }) => c.state);
  }
}
