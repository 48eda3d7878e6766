// src/trace/headers.ts: the fields of a packet that change on its way, read for a person.

import { Pkt } from "../../assembly/layout.ts";
import { formatIpv4 } from "../core/address.ts";
import type { Core, Frame } from "../core/core.ts";

/** What the trace shows of an IPv4 packet. */
export interface Headers {
  readonly src: string;
  readonly dst: string;
  readonly proto: string;
  /** Flags, type and code: what the packet is about. */
  readonly what: string;
  readonly ttl: number;
  readonly tos: number;
  readonly length: number;
  readonly id: number;
  readonly fragment: string;
  /** The first line of a TCP segment's data, if it is text (HTTP's start line); "" else. */
  readonly text: string;
}

const flagNames = "FSRP.UEW";

/** null when the frame is no IPv4 packet, or not yet known as one. */
export function readHeaders(core: Core, frame: Frame): Headers | null {
  const { u32, u8, x } = core;
  const data = u32[(frame + Pkt.Data) >> 2]!;
  const end = data + u32[(frame + Pkt.Len) >> 2]!;
  let net = u32[(frame + Pkt.Net) >> 2]!;
  if (net === 0) {
    if (data + 34 > end || u8[data + 12] !== 8 || u8[data + 13] !== 0) return null;
    net = data + 14;
  }
  if (net + 20 > end || u8[net]! >> 4 !== 4) return null;
  const ihl = x.ipv4HeaderLen(net);
  const frag = x.ipv4Frag(net);
  const l4 = net + ihl;
  const proto = x.ipv4Proto(net);
  let src = formatIpv4(x.ipv4Src(net) >>> 0);
  let dst = formatIpv4(x.ipv4Dst(net) >>> 0);
  let name = `proto ${proto}`;
  let what = "";
  let text = "";
  if ((frag & 0x1fff) === 0) {
    if (proto === 6) {
      name = "TCP";
      if (l4 + 14 <= end) for (let i = 0; i < 8; i++) if ((x.tcpFlags(l4) & (1 << i)) !== 0) what += flagNames[i];
      if (l4 + 20 <= end) text = firstLine(u8, l4 + x.tcpHeaderLen(l4), end);
    } else if (proto === 17) name = "UDP";
    else if (proto === 1) {
      name = "ICMP";
      if (l4 + 2 <= end) what = `${x.icmpType(l4)}/${x.icmpCode(l4)}`;
    }
    if ((proto === 6 || proto === 17) && l4 + 4 <= end) {
      src += `:${x.udpSrcPort(l4)}`;
      dst += `:${x.udpDstPort(l4)}`;
    }
  }
  return {
    src,
    dst,
    proto: name,
    what,
    ttl: x.ipv4Ttl(net),
    tos: x.ipv4Tos(net),
    length: x.ipv4Length(net),
    id: x.ipv4Id(net),
    fragment: (frag & 0x3fff) === 0 ? "" : `fragment at ${(frag & 0x1fff) * 8}${(frag & 0x2000) !== 0 ? "+" : ""}`,
    text,
  };
}

/** Printable characters up to a line end, 60 at most; "" when other bytes come first. */
function firstLine(u8: Uint8Array, from: number, end: number): string {
  let s = "";
  for (let i = from; i < end && s.length < 60; i++) {
    const c = u8[i]!;
    if (c === 13 || c === 10) return s;
    if (c < 32 || c > 126) return "";
    s += String.fromCharCode(c);
  }
  return s;
}

/** One line: `203.0.113.10:40001 > 198.51.100.20:8080 TCP S len 60 ttl 63`. */
export function headerLine(h: Headers): string {
  const parts = [
    `${h.src} > ${h.dst}`,
    h.proto,
    h.what,
    h.fragment,
    `len ${h.length}`,
    `ttl ${h.ttl}`,
    h.text === "" ? "" : `"${h.text}"`,
  ];
  return parts.filter((p) => p !== "").join(" ");
}

/** What differs between two looks at a packet: `dst 198.51.100.20:8080 -> 172.17.0.2:80`. */
export function changes(a: Headers, b: Headers): string[] {
  const out: string[] = [];
  if (a.src !== b.src) out.push(`src ${a.src} -> ${b.src}`);
  if (a.dst !== b.dst) out.push(`dst ${a.dst} -> ${b.dst}`);
  if (a.ttl !== b.ttl) out.push(`ttl ${a.ttl} -> ${b.ttl}`);
  if (a.tos !== b.tos) out.push(`tos 0x${a.tos.toString(16)} -> 0x${b.tos.toString(16)}`);
  if (a.id !== b.id) out.push(`id ${a.id} -> ${b.id}`);
  if (a.length !== b.length) out.push(`length ${a.length} -> ${b.length}`);
  if (a.fragment !== b.fragment)
    out.push(`${a.fragment === "" ? "whole" : a.fragment} -> ${b.fragment === "" ? "whole" : b.fragment}`);
  return out;
}

/** An ARP packet, or any other frame, in one line. */
export function frameLine(core: Core, frame: Frame): string {
  const h = readHeaders(core, frame);
  if (h !== null) return headerLine(h);
  const { u32, u8, x } = core;
  const mac = u32[(frame + Pkt.Mac) >> 2]!;
  const data = u32[(frame + Pkt.Data) >> 2]!;
  const p = mac !== 0 ? mac : data;
  const end = data + u32[(frame + Pkt.Len) >> 2]!;
  if (p + 42 <= end && x.ethType(p) === 0x0806) {
    const arp = p + 14;
    const spa = formatIpv4(x.arpSpa(arp) >>> 0);
    const tpa = formatIpv4(x.arpTpa(arp) >>> 0);
    return x.arpOp(arp) === 1 ? `ARP who has ${tpa}, tell ${spa}` : `ARP ${spa} is at ${hexMac(u8, x.arpSha(arp))}`;
  }
  if (p + 14 <= end) return `type 0x${x.ethType(p).toString(16).padStart(4, "0")} ${end - p} bytes`;
  return `${end - p} bytes`;
}

function hexMac(u8: Uint8Array, at: number): string {
  return Array.from(u8.subarray(at, at + 6), (b) => b.toString(16).padStart(2, "0")).join(":");
}
