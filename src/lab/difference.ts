// src/lab/difference.ts: two frames field by field, as a person reads them.

import { formatIpv4, formatMac } from "../core/address.ts";

type Field = readonly [name: string, value: string];

function u16(b: Uint8Array, i: number): number {
  return (b[i]! << 8) | b[i + 1]!;
}
function u32(b: Uint8Array, i: number): number {
  return ((b[i]! << 24) | (b[i + 1]! << 16) | (b[i + 2]! << 8) | b[i + 3]!) >>> 0;
}
function hex(b: Uint8Array, from: number, to: number): string {
  let s = "";
  for (let i = from; i < Math.min(to, b.length); i++) s += b[i]!.toString(16).padStart(2, "0");
  return s;
}

const flagNames = "FSRPAUEC";

/** The fields of a frame in order, with Wireshark's names. */
function fields(f: Uint8Array): Field[] {
  const out: Field[] = [["frame.len", String(f.length)]];
  if (f.length < 14) return [...out, ["data", hex(f, 0, f.length)]];
  out.push(["eth.dst", formatMac(f, 0)], ["eth.src", formatMac(f, 6)], ["eth.type", `0x${hex(f, 12, 14)}`]);
  const type = u16(f, 12);
  if (type === 0x0806 && f.length >= 42) {
    out.push(
      ["arp.opcode", String(u16(f, 20))],
      ["arp.src.hw_mac", formatMac(f, 22)],
      ["arp.src.proto_ipv4", formatIpv4(u32(f, 28))],
      ["arp.dst.hw_mac", formatMac(f, 32)],
      ["arp.dst.proto_ipv4", formatIpv4(u32(f, 38))],
      ["data", hex(f, 42, f.length)],
    );
    return out;
  }
  if (type !== 0x0800 || f.length < 34 || f[14]! >> 4 !== 4) return [...out, ["data", hex(f, 14, f.length)]];
  const hl = (f[14]! & 15) * 4;
  const l4 = 14 + hl;
  const flags = u16(f, 20);
  out.push(
    ["ip.hdr_len", String(hl)],
    ["ip.dsfield", `0x${hex(f, 15, 16)}`],
    ["ip.len", String(u16(f, 16))],
    ["ip.id", `0x${hex(f, 18, 20)}`],
    ["ip.flags", `${flags & 0x8000 ? "R" : ""}${flags & 0x4000 ? "DF" : ""}${flags & 0x2000 ? "MF" : ""}` || "-"],
    ["ip.frag_offset", String((flags & 0x1fff) * 8)],
    ["ip.ttl", String(f[22])],
    ["ip.proto", String(f[23])],
    ["ip.checksum", `0x${hex(f, 24, 26)}`],
    ["ip.src", formatIpv4(u32(f, 26))],
    ["ip.dst", formatIpv4(u32(f, 30))],
  );
  if (hl > 20) out.push(["ip.options", hex(f, 34, l4)]);
  const whole = (flags & 0x1fff) === 0;
  if (whole && f[23] === 6 && f.length >= l4 + 20) {
    const doff = (f[l4 + 12]! >> 4) * 4;
    let names = "";
    for (let i = 0; i < 8; i++) if ((f[l4 + 13]! & (1 << i)) !== 0) names += flagNames[i];
    out.push(
      ["tcp.srcport", String(u16(f, l4))],
      ["tcp.dstport", String(u16(f, l4 + 2))],
      ["tcp.seq_raw", String(u32(f, l4 + 4))],
      ["tcp.ack_raw", String(u32(f, l4 + 8))],
      ["tcp.hdr_len", String(doff)],
      ["tcp.flags", names || "-"],
      ["tcp.window_size_value", String(u16(f, l4 + 14))],
      ["tcp.checksum", `0x${hex(f, l4 + 16, l4 + 18)}`],
      ["tcp.urgent_pointer", String(u16(f, l4 + 18))],
      ["tcp.options", hex(f, l4 + 20, l4 + doff)],
      ["data", hex(f, l4 + doff, f.length)],
    );
  } else if (whole && f[23] === 17 && f.length >= l4 + 8) {
    out.push(
      ["udp.srcport", String(u16(f, l4))],
      ["udp.dstport", String(u16(f, l4 + 2))],
      ["udp.length", String(u16(f, l4 + 4))],
      ["udp.checksum", `0x${hex(f, l4 + 6, l4 + 8)}`],
      ["data", hex(f, l4 + 8, f.length)],
    );
  } else if (whole && f[23] === 1 && f.length >= l4 + 8) {
    out.push(
      ["icmp.type", String(f[l4])],
      ["icmp.code", String(f[l4 + 1])],
      ["icmp.checksum", `0x${hex(f, l4 + 2, l4 + 4)}`],
      ["icmp.rest", hex(f, l4 + 4, l4 + 8)],
      ["data", hex(f, l4 + 8, f.length)],
    );
  } else {
    out.push(["data", hex(f, l4, f.length)]);
  }
  return out;
}

function shorten(v: string): string {
  return v.length > 64 ? `${v.slice(0, 61)}...` : v;
}

/** The fields in which two frames differ: `name: expected X, got Y`. */
export function difference(expected: Uint8Array, got: Uint8Array): string[] {
  const a = fields(expected);
  const b = new Map(fields(got));
  const lines: string[] = [];
  for (const [name, value] of a) {
    const other = b.get(name);
    b.delete(name);
    if (other !== value)
      lines.push(`${name}: expected ${shorten(value)}, got ${other === undefined ? "none" : shorten(other)}`);
  }
  for (const [name, value] of b) lines.push(`${name}: expected none, got ${shorten(value)}`);
  return lines;
}

/** How alike two frames are: the share of fields that agree. */
export function likeness(a: Uint8Array, b: Uint8Array): number {
  const fa = fields(a);
  const fb = new Map(fields(b));
  let same = 0;
  for (const [name, value] of fa) if (fb.get(name) === value) same++;
  return same / Math.max(fa.length, fb.size);
}

/** A frame in one line. */
export function summary(f: Uint8Array): string {
  const v = new Map(fields(f));
  const end = (side: string): string => {
    const port = v.get(`tcp.${side}port`) ?? v.get(`udp.${side}port`);
    return `${v.get(`ip.${side}`)}${port === undefined ? "" : `:${port}`}`;
  };
  if (v.has("ip.src")) {
    const proto = v.has("tcp.flags")
      ? `TCP ${v.get("tcp.flags")}`
      : v.has("udp.length")
        ? "UDP"
        : v.has("icmp.type")
          ? `ICMP ${v.get("icmp.type")}/${v.get("icmp.code")}`
          : `proto ${v.get("ip.proto")}`;
    return `${end("src")} > ${end("dst")} ${proto} len ${v.get("ip.len")} ttl ${v.get("ip.ttl")}`;
  }
  if (v.has("arp.opcode")) {
    const op = v.get("arp.opcode");
    return op === "1"
      ? `ARP who-has ${v.get("arp.dst.proto_ipv4")} tell ${v.get("arp.src.proto_ipv4")}`
      : `ARP ${v.get("arp.src.proto_ipv4")} is-at ${v.get("arp.src.hw_mac")}`;
  }
  return `${v.get("eth.src") ?? "?"} > ${v.get("eth.dst") ?? "?"} type ${v.get("eth.type") ?? "?"} len ${f.length}`;
}
