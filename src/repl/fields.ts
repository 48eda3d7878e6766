// src/repl/fields.ts: a packet as a list of fields: where each stands, Wireshark's name, its value, what it means.

import { Layer, LinkType, Rec, Status } from "../../assembly/record.ts";
import { formatIpv4, formatMac } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import { Dissection } from "../core/dissect.ts";
import { dnsLine, httpLine, Port, postgresLine, readDns, tlsLine } from "../trace/payload.ts";

export interface Field {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  readonly value: string;
  readonly meaning: string;
}

/** One layer of a packet: `number` is the OSI model's. */
export interface LayerView {
  readonly number: number;
  readonly name: string;
  readonly at: number;
  readonly length: number;
  readonly summary: string;
  readonly fields: readonly Field[];
}

const u16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const u32 = (b: Uint8Array, p: number): number => u16(b, p) * 65536 + u16(b, p + 2);
const hex = (n: number, width: number): string => `0x${n.toString(16).padStart(width, "0")}`;
const hexBytes = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
const mac = (b: Uint8Array, p: number): string => formatMac(b.subarray(p, p + 6));
const ip = (b: Uint8Array, p: number): string => formatIpv4(u32(b, p));

const etherTypes: Readonly<Record<number, string>> = {
  0x0800: "IPv4 follows",
  0x0806: "ARP follows",
  0x86dd: "IPv6 follows",
  0x8100: "a VLAN tag follows",
  0x88a8: "a service VLAN tag follows",
};
const protocols: Readonly<Record<number, string>> = { 1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP" };
const status: Readonly<Record<number, string>> = {
  [Status.Bad]: "WRONG",
  [Status.Good]: "right",
  [Status.Unverified]: "not verified: not all of it is here",
  [Status.Absent]: "none",
};
const icmpTypes: Readonly<Record<number, string>> = {
  0: "echo reply",
  3: "destination unreachable",
  4: "source quench",
  5: "redirect",
  8: "echo request",
  11: "time exceeded",
  12: "parameter problem",
  13: "timestamp",
  14: "timestamp reply",
};
const unreachableCodes: Readonly<Record<number, string>> = {
  0: "network",
  1: "host",
  2: "protocol",
  3: "port",
  4: "fragmentation needed",
  9: "network prohibited",
  10: "host prohibited",
  13: "administratively prohibited",
};
const tcpFlagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
const tcpOptions: Readonly<Record<number, string>> = {
  0: "end of options",
  1: "no operation",
  2: "maximum segment size",
  3: "window scale",
  4: "SACK permitted",
  5: "SACK",
  8: "timestamps",
};

/** Most bytes of a frame that are looked at. */
const MOST = 65536 + 64;

/** Reads packets; has a core of its own, since the world's is not to change for a look. */
export class FieldReader {
  private readonly d: Dissection;
  private readonly at: number;

  constructor(readonly core: Core) {
    this.d = new Dissection(core);
    this.at = core.x.alloc(MOST) >>> 0;
    if (this.at === 0) throw new Error("the core's memory is used up");
  }

  /** The layers of a packet, the outermost first. `ethernet`: it begins with that header, else with IPv4's. */
  read(
    bytes: Uint8Array,
    ethernet: boolean,
    linkType: number = ethernet ? LinkType.Ethernet : LinkType.Raw,
  ): LayerView[] {
    const b = bytes.length > MOST ? bytes.subarray(0, MOST) : bytes;
    this.put(b);
    const { d } = this;
    d.dissect(this.at, b.length, b.length, linkType);
    const out: LayerView[] = [];
    if (d.has(Layer.Eth)) out.push(this.ethernet(b));
    const net = d.get(Rec.Net);
    if (d.has(Layer.Arp)) out.push(arp(b, net, d.get(Rec.NetShown)));
    else if (d.has(Layer.Ip) && !d.has(Layer.NotIpv4) && d.get(Rec.NetShown) >= 20) this.internet(b, net, out);
    else if (net < b.length && out.length > 0) out.push(data(2, "data", b, net, b.length - net));
    else if (out.length === 0) out.push(data(2, "bytes", b, 0, b.length));
    return out;
  }

  /** Puts bytes into the core, where they stay until the next ones come; answers their address. */
  put(bytes: Uint8Array): number {
    this.core.u8.set(bytes.length > MOST ? bytes.subarray(0, MOST) : bytes, this.at);
    return this.at;
  }

  private ethernet(b: Uint8Array): LayerView {
    const { d } = this;
    const fields: Field[] = [
      { at: 0, length: 6, name: "eth.dst", value: mac(b, 0), meaning: macMeaning(b, 0) },
      { at: 6, length: 6, name: "eth.src", value: mac(b, 6), meaning: "the device that sent this frame" },
    ];
    const tags = d.get(Rec.Layers) >>> 24;
    let at = 12;
    for (let i = 0; i < tags && at + 4 <= b.length; i++, at += 4) {
      const tci = u16(b, at + 2);
      fields.push({
        at,
        length: 2,
        name: i === 0 ? "eth.type" : "vlan.etype",
        value: hex(u16(b, at), 4),
        meaning: "a VLAN tag follows",
      });
      fields.push({
        at: at + 2,
        length: 2,
        name: "vlan.id",
        value: String(tci & 0xfff),
        meaning: `priority ${tci >> 13}${(tci & 0x1000) !== 0 ? ", may be dropped" : ""}`,
      });
    }
    if (at + 2 <= b.length) {
      const type = u16(b, at);
      const meaning = type < 1536 ? "length of an 802.3 frame" : (etherTypes[type] ?? "unknown");
      fields.push({ at, length: 2, name: tags > 0 ? "vlan.etype" : "eth.type", value: hex(type, 4), meaning });
      at += 2;
    }
    return { number: 2, name: "Ethernet frame", at: 0, length: at, summary: `${mac(b, 6)} > ${mac(b, 0)}`, fields };
  }

  private internet(b: Uint8Array, p: number, out: LayerView[]): void {
    const { d } = this;
    const shown = d.get(Rec.NetShown);
    const layers = d.get(Rec.Layers);
    const sum = status[(layers & Layer.NetStatus) >>> 16]!;
    const frag = u16(b, p + 6);
    const bits = [
      frag & 0x8000 ? "reserved" : "",
      frag & 0x4000 ? "DF: do not fragment" : "",
      frag & 0x2000 ? "MF: more fragments" : "",
    ];
    const offset = (frag & 0x1fff) * 8;
    const headerLen = (b[p]! & 15) * 4;
    const proto = b[p + 9]!;
    const name = protocols[proto] ?? `protocol ${proto}`;
    const fields: Field[] = [
      {
        at: p,
        length: 1,
        name: "ip.version, ip.hdr_len",
        value: `${b[p]! >> 4}, ${headerLen}`,
        meaning: `version ${b[p]! >> 4}, a header of ${headerLen} bytes`,
      },
      {
        at: p + 1,
        length: 1,
        name: "ip.dsfield",
        value: hex(b[p + 1]!, 2),
        meaning: `DSCP ${b[p + 1]! >> 2}, ECN ${b[p + 1]! & 3}`,
      },
      { at: p + 2, length: 2, name: "ip.len", value: String(u16(b, p + 2)), meaning: "bytes of the packet" },
      {
        at: p + 4,
        length: 2,
        name: "ip.id",
        value: hex(u16(b, p + 4), 4),
        meaning: "which packet fragments belong to",
      },
      {
        at: p + 6,
        length: 2,
        name: "ip.flags, ip.frag_offset",
        value: `${hex(frag >> 13, 1)}, ${offset}`,
        meaning:
          [...bits, offset > 0 ? `a fragment from byte ${offset} on` : ""].filter((s) => s !== "").join(", ") ||
          "whole, may be fragmented",
      },
      { at: p + 8, length: 1, name: "ip.ttl", value: String(b[p + 8]!), meaning: "routers that it may still pass" },
      { at: p + 9, length: 1, name: "ip.proto", value: String(proto), meaning: `${name} follows` },
      { at: p + 10, length: 2, name: "ip.checksum", value: hex(u16(b, p + 10), 4), meaning: sum },
      { at: p + 12, length: 4, name: "ip.src", value: ip(b, p + 12), meaning: "who sent it" },
      { at: p + 16, length: 4, name: "ip.dst", value: ip(b, p + 16), meaning: "whom it is for" },
    ];
    if (shown > 20) {
      fields.push({
        at: p + 20,
        length: shown - 20,
        name: "ip.options",
        value: hexBytes(b.subarray(p + 20, p + shown)),
        meaning: "options",
      });
    }
    out.push({
      number: 3,
      name: "IPv4 packet",
      at: p,
      length: shown,
      summary: `${ip(b, p + 12)} > ${ip(b, p + 16)} ttl ${b[p + 8]!} ${name}`,
      fields,
    });
    const trans = d.get(Rec.Trans);
    const transShown = d.get(Rec.TransShown);
    const transSum = status[(layers & Layer.TransStatus) >>> 18]!;
    const end = Math.min(b.length, p + Math.max(d.get(Rec.NetLen), headerLen));
    if (offset === 0 && d.has(Layer.Tcp) && transShown >= 20) tcp(b, trans, transShown, transSum, out);
    else if (offset === 0 && d.has(Layer.Udp) && transShown >= 8) udp(b, trans, transSum, out);
    else if (offset === 0 && d.has(Layer.Icmp) && transShown >= 4) return this.icmp(b, trans, end, transSum, out);
    else {
      if (trans < end && headerLen <= end - p) out.push(data(4, `${name} data`, b, p + headerLen, end - p - headerLen));
      return;
    }
    const payload = d.get(Rec.Payload);
    const length = Math.min(d.get(Rec.PayloadCap), b.length - payload);
    if (length > 0) this.application(b, payload, length, d.has(Layer.Tcp), out);
    const trailer = b.length - end;
    if (trailer > 0) out.push(data(2, "Ethernet padding", b, end, trailer));
  }

  /** Behind an error's header stands the packet that it is about: its fields, where they are. */
  private icmp(b: Uint8Array, p: number, end: number, sum: string, out: LayerView[]): void {
    const echo = icmpHeader(b, p, end, sum, out);
    const at = p + 8;
    if (at >= end) return;
    if (echo) return void out.push(data(7, "echo data", b, at, end - at));
    const about = data(7, "the packet that it is about", b, at, end - at);
    const inner = this.read(b.subarray(at, end), false).filter((l) => l.number >= 3);
    if (inner.length === 0) return void out.push(about);
    const fields = inner.flatMap((l) => l.fields.map((f) => ({ ...f, at: f.at + at })));
    out.push({ ...about, summary: inner.map((l) => l.summary).join(": "), fields });
  }

  /** Layers 5 to 7: what the data says, as far as its ports and bytes tell. */
  private application(b: Uint8Array, at: number, length: number, stream: boolean, out: LayerView[]): void {
    const bytes = b.subarray(at, at + length);
    const ports = this.d.get(Rec.Ports);
    const has = (port: number): boolean => ports >>> 16 === port || (ports & 0xffff) === port;
    const tls = stream ? tlsLine(bytes) : "";
    if (tls !== "") {
      out.push({
        ...data(5, "TLS session", b, at, length),
        summary: `records of a session: ${tls}`,
        fields: tlsRecords(b, at, length),
      });
      out.push({ ...data(6, "TLS encoding", b, at, length), summary: tls, fields: [] });
      const hidden = tls.includes("encrypted");
      if (hidden)
        out.push({
          ...data(7, "application data", b, at, length),
          summary: "encrypted: only the ends can read it",
          fields: [],
        });
      return;
    }
    let said = "";
    let name = "data";
    if (!stream && has(Port.dns)) {
      const m = readDns(this.core, bytes);
      if (m !== null) [name, said] = ["DNS message", dnsLine(m)];
    }
    if (said === "" && has(Port.postgres)) {
      said = postgresLine(bytes, (ports & 0xffff) === Port.postgres);
      if (said !== "") name = "Postgres messages";
    }
    if (said === "" && stream) {
      said = httpLine(bytes);
      if (said !== "") name = "HTTP message";
    }
    const fields =
      name === "HTTP message" ? httpFields(b, at, length) : name === "DNS message" ? dnsFields(b, at, length) : [];
    out.push({
      ...data(7, name, b, at, length),
      ...(said === "" ? {} : { summary: said }),
      ...(fields.length > 0 ? { fields } : {}),
    });
  }
}

function macMeaning(b: Uint8Array, p: number): string {
  let all = true;
  for (let i = 0; i < 6; i++) all &&= b[p + i] === 255;
  return all
    ? "everybody on this link"
    : (b[p]! & 1) !== 0
      ? "a group on this link"
      : "the device on this link that it is for";
}

/** Bytes without a shape of their own. */
function data(number: number, name: string, b: Uint8Array, at: number, length: number): LayerView {
  const text = Array.from(b.subarray(at, at + Math.min(length, 40)), (c) =>
    c >= 32 && c < 127 ? String.fromCharCode(c) : ".",
  ).join("");
  const field = { at, length, name: "data", value: `${length} bytes`, meaning: `"${text}${length > 40 ? "..." : ""}"` };
  return {
    number,
    name,
    at,
    length,
    summary: `${length} bytes "${text}${length > 40 ? "..." : ""}"`,
    fields: length > 0 ? [field] : [],
  };
}

function arp(b: Uint8Array, p: number, shown: number): LayerView {
  if (shown < 28) return data(3, "ARP packet, cut", b, p, Math.max(0, Math.min(shown, b.length - p)));
  const op = u16(b, p + 6);
  const verb = op === 1 ? "request" : op === 2 ? "reply" : "other";
  const f = (at: number, length: number, name: string, value: string, meaning: string): Field => ({
    at: p + at,
    length,
    name,
    value,
    meaning,
  });
  const summary =
    op === 1 ? `who has ${ip(b, p + 24)}? tell ${ip(b, p + 14)}` : `${ip(b, p + 14)} is at ${mac(b, p + 8)}`;
  const fields = [
    f(0, 2, "arp.hw.type", String(u16(b, p)), u16(b, p) === 1 ? "Ethernet" : "other"),
    f(2, 2, "arp.proto.type", hex(u16(b, p + 2), 4), u16(b, p + 2) === 0x0800 ? "IPv4" : "other"),
    f(4, 1, "arp.hw.size", String(b[p + 4]!), "bytes of a MAC address"),
    f(5, 1, "arp.proto.size", String(b[p + 5]!), "bytes of an address"),
    f(6, 2, "arp.opcode", String(op), verb),
    f(8, 6, "arp.src.hw_mac", mac(b, p + 8), "the sender's MAC address"),
    f(14, 4, "arp.src.proto_ipv4", ip(b, p + 14), "the sender's address"),
    f(18, 6, "arp.dst.hw_mac", mac(b, p + 18), op === 1 ? "not known: that is the question" : "whom it is told"),
    f(24, 4, "arp.dst.proto_ipv4", ip(b, p + 24), op === 1 ? "the address that is looked for" : "whom it is told"),
  ];
  return { number: 3, name: "ARP packet", at: p, length: 28, summary, fields };
}

function tcp(b: Uint8Array, p: number, shown: number, sum: string, out: LayerView[]): void {
  const flags = u16(b, p + 12) & 0x1ff;
  const names = tcpFlagNames.filter((_, i) => (flags & (1 << i)) !== 0).join(", ");
  const headerLen = (b[p + 12]! >> 4) * 4;
  const f = (at: number, length: number, name: string, value: string | number, meaning: string): Field => ({
    at: p + at,
    length,
    name,
    value: String(value),
    meaning,
  });
  const fields = [
    f(0, 2, "tcp.srcport", u16(b, p), "the sender's port"),
    f(2, 2, "tcp.dstport", u16(b, p + 2), "the port that it is for"),
    f(4, 4, "tcp.seq_raw", u32(b, p + 4), "number of the first byte of data, or of the SYN"),
    f(8, 4, "tcp.ack_raw", u32(b, p + 8), (flags & 0x10) !== 0 ? "the byte that is awaited next" : "not used: no ACK"),
    f(12, 2, "tcp.hdr_len, tcp.flags", `${headerLen}, ${hex(flags, 3)}`, names),
    f(14, 2, "tcp.window_size_value", u16(b, p + 14), "room for data, before scaling"),
    f(16, 2, "tcp.checksum", hex(u16(b, p + 16), 4), sum),
    f(18, 2, "tcp.urgent_pointer", u16(b, p + 18), (flags & 0x20) !== 0 ? "end of urgent data" : "not used: no URG"),
  ];
  for (let at = 20; at < shown;) {
    const kind = b[p + at]!;
    const length = kind < 2 ? 1 : Math.max(2, Math.min(b[p + at + 1] ?? 2, shown - at));
    const q = p + at;
    let value = length > 2 ? hexBytes(b.subarray(q + 2, q + length)) : String(kind);
    if (kind === 2 && length === 4) value = String(u16(b, q + 2));
    else if (kind === 3 && length === 3) value = `${b[q + 2]!}`;
    else if (kind === 8 && length === 10) value = `${u32(b, q + 2)}, ${u32(b, q + 6)}`;
    fields.push(f(at, Math.min(length, shown - at), "tcp.options", value, tcpOptions[kind] ?? `option ${kind}`));
    if (kind === 0) break;
    at += length;
  }
  const summary = `${u16(b, p)} > ${u16(b, p + 2)} ${names} seq ${u32(b, p + 4)}${(flags & 0x10) !== 0 ? ` ack ${u32(b, p + 8)}` : ""}`;
  out.push({ number: 4, name: "TCP segment", at: p, length: shown, summary, fields });
}

function udp(b: Uint8Array, p: number, sum: string, out: LayerView[]): void {
  const fields = [
    { at: p, length: 2, name: "udp.srcport", value: String(u16(b, p)), meaning: "the sender's port" },
    { at: p + 2, length: 2, name: "udp.dstport", value: String(u16(b, p + 2)), meaning: "the port that it is for" },
    { at: p + 4, length: 2, name: "udp.length", value: String(u16(b, p + 4)), meaning: "bytes of the datagram" },
    { at: p + 6, length: 2, name: "udp.checksum", value: hex(u16(b, p + 6), 4), meaning: sum },
  ];
  out.push({ number: 4, name: "UDP datagram", at: p, length: 8, summary: `${u16(b, p)} > ${u16(b, p + 2)}`, fields });
}

/** Answers whether it is an echo's, whose data is the user's. */
function icmpHeader(b: Uint8Array, p: number, end: number, sum: string, out: LayerView[]): boolean {
  const [type, code] = [b[p]!, b[p + 1]!];
  const name = icmpTypes[type] ?? `type ${type}`;
  const detail = type === 3 ? (unreachableCodes[code] ?? "") : "";
  const fields: Field[] = [
    { at: p, length: 1, name: "icmp.type", value: String(type), meaning: name },
    { at: p + 1, length: 1, name: "icmp.code", value: String(code), meaning: detail },
    { at: p + 2, length: 2, name: "icmp.checksum", value: hex(u16(b, p + 2), 4), meaning: sum },
  ];
  const echo = type === 8 || type === 0;
  if (p + 8 <= end) {
    if (echo) {
      fields.push({
        at: p + 4,
        length: 2,
        name: "icmp.ident",
        value: String(u16(b, p + 4)),
        meaning: "whose question it is",
      });
      fields.push({ at: p + 6, length: 2, name: "icmp.seq", value: String(u16(b, p + 6)), meaning: "which question" });
    } else
      fields.push({
        at: p + 4,
        length: 4,
        name: "icmp.rest",
        value: hex(u32(b, p + 4), 8),
        meaning: type === 3 && code === 4 ? `the next MTU is ${u16(b, p + 6)}` : "",
      });
  }
  const length = Math.min(8, end - p);
  const summary = `${name}${detail === "" ? "" : `: ${detail}`}${echo && p + 8 <= end ? ` seq ${u16(b, p + 6)}` : ""}`;
  out.push({ number: 3, name: "ICMP message", at: p, length, summary, fields });
  return echo;
}

function tlsRecords(b: Uint8Array, from: number, length: number): Field[] {
  const kinds: Readonly<Record<number, string>> = {
    20: "ChangeCipherSpec",
    21: "alert",
    22: "handshake",
    23: "application data",
  };
  const fields: Field[] = [];
  for (let at = from; at + 5 <= from + length;) {
    const n = u16(b, at + 3);
    fields.push({
      at,
      length: 1,
      name: "tls.record.content_type",
      value: String(b[at]!),
      meaning: kinds[b[at]!] ?? "unknown",
    });
    fields.push({
      at: at + 1,
      length: 2,
      name: "tls.record.version",
      value: hex(u16(b, at + 1), 4),
      meaning: "as TLS 1.2 wrote it",
    });
    fields.push({ at: at + 3, length: 2, name: "tls.record.length", value: String(n), meaning: "bytes of the record" });
    const there = Math.min(n, from + length - at - 5);
    if (there > 0)
      fields.push({ at: at + 5, length: there, name: "tls.record.fragment", value: `${there} bytes`, meaning: "" });
    at += 5 + n;
  }
  return fields;
}

/** The lines of an HTTP message's head, then its body. */
function httpFields(b: Uint8Array, from: number, length: number): Field[] {
  const fields: Field[] = [];
  const end = from + length;
  let at = from;
  while (at < end) {
    let stop = at;
    while (stop < end && b[stop] !== 10) stop++;
    const next = Math.min(end, stop + 1);
    const line = String.fromCharCode(...b.subarray(at, Math.min(stop, at + 200))).replace(/\r$/, "");
    const name = at === from ? "http.start_line" : line === "" ? "http.end_of_head" : "http.header";
    fields.push({ at, length: next - at, name, value: printable(line), meaning: "" });
    at = next;
    if (line === "") break;
  }
  if (at < end)
    fields.push({ at, length: end - at, name: "http.file_data", value: `${end - at} bytes`, meaning: "the body" });
  return fields;
}

function dnsFields(b: Uint8Array, p: number, length: number): Field[] {
  if (length < 12) return [];
  const names = [
    "dns.id",
    "dns.flags",
    "dns.count.queries",
    "dns.count.answers",
    "dns.count.auth_rr",
    "dns.count.add_rr",
  ];
  const fields: Field[] = names.map((name, i) => ({
    at: p + 2 * i,
    length: 2,
    name,
    value: i < 2 ? hex(u16(b, p + 2 * i), 4) : String(u16(b, p + 2 * i)),
    meaning: i === 1 ? ((u16(b, p + 2) & 0x8000) !== 0 ? "an answer" : "a question") : "",
  }));
  if (length > 12)
    fields.push({
      at: p + 12,
      length: length - 12,
      name: "dns.sections",
      value: `${length - 12} bytes`,
      meaning: "questions and records",
    });
  return fields;
}

/** Without what a terminal would obey. */
export function printable(text: string): string {
  return text.replace(/[^ -~]/g, ".");
}
