// src/cli/decode-text.ts: a dissected frame as a line in the form of `tcpdump -nn -e`, appended to a buffer.

import { Layer, LinkType, Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import { type ByteWriter, literal } from "./byte-writer.ts";
import { dnsText } from "./decode-text-dns.ts";
import { icmpText } from "./decode-text-icmp.ts";
import { TcpText } from "./decode-text-tcp.ts";

export interface TextOptions {
  /** How the time is printed: of the day, not at all, seconds since 1970, date and time. All of it is UTC. */
  readonly time: "day" | "none" | "epoch" | "date";
  /** Bytes below the line: none, from the network header on, all of them. */
  readonly hex: "none" | "packet" | "frame";
  /** Characters beside the bytes. */
  readonly ascii: boolean;
}

const types = new Map([
  [0x0800, "IPv4"],
  [0x0806, "ARP"],
  [0x86dd, "IPv6"],
  [0x8100, "802.1Q"],
  [0x9100, "802.1Q-9100"],
  [0x88a8, "802.1Q-QinQ"],
  [0x8863, "PPPoE D"],
  [0x8864, "PPPoE S"],
  [0x8847, "MPLS unicast"],
  [0x88cc, "LLDP"],
  [0x888e, "EAPOL"],
]);
const operations = new Map([
  [3, "Reverse Request"],
  [4, "Reverse Reply"],
  [8, "Inverse Request"],
  [9, "Inverse Reply"],
]);

const l = {
  to: literal(" > "),
  comma: literal(", "),
  ethertype: literal("ethertype "),
  length: literal(", length "),
  colon: literal(": "),
  vlan: literal("vlan "),
  priority: literal(", p "),
  dei: literal(", DEI"),
  ipv4: literal(", ethertype IPv4 (0x0800), length "),
  udp: literal(": UDP, length "),
};
const DOT = 46;
const NEWLINE = 10;
const COLON = 58;

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

export class TextLines {
  private readonly bytes: Uint8Array;
  private readonly tcp: TcpText;

  constructor(
    private readonly d: Dissection,
    private readonly out: ByteWriter,
    private readonly options: TextOptions,
  ) {
    this.bytes = d.core.u8;
    this.tcp = new TcpText(d, out);
  }

  /** The line of the frame that was dissected last, and its bytes when they are asked for. */
  frame(seconds: number, nanoseconds: number, linkType: number, interfaceName: string | null): void {
    const { out, d, bytes } = this;
    out.reserve(1024);
    this.time(seconds, nanoseconds);
    if (interfaceName !== null) out.text(`${interfaceName} `);
    const at = d.get(Rec.At);
    const captured = d.get(Rec.CapLen);
    const layers = d.get(Rec.Layers);
    const net = at + d.get(Rec.Net);
    if (linkType === LinkType.Ethernet) {
      if ((layers & Layer.Eth) === 0) out.text("[|ether]");
      else {
        out.hexBytes(bytes, at + 6, 6, COLON);
        out.literal(l.to);
        out.hexBytes(bytes, at, 6, COLON);
        if (be16(bytes, at + 12) === 0x0800) {
          out.literal(l.ipv4);
          out.decimal(d.get(Rec.Len));
          out.literal(l.colon);
        } else this.types(at, layers);
      }
    }
    if (layers & Layer.Arp) this.arp(net, d.get(Rec.NetShown));
    else if (layers & Layer.Ip) this.ipv4(net, layers);
    out.reserve(1);
    out.byte(NEWLINE);
    if (this.options.hex === "frame") this.dump(at, captured);
    else if (this.options.hex === "packet") this.dump(net, at + captured - net);
  }

  private time(seconds: number, nanoseconds: number): void {
    const { out } = this;
    const { time } = this.options;
    if (time === "none") return;
    if (time === "epoch") out.decimal(seconds);
    else {
      if (time === "date") out.text(`${new Date(seconds * 1000).toISOString().slice(0, 10)} `);
      const day = seconds % 86400;
      out.padded((day / 3600) >>> 0, 2);
      out.byte(COLON);
      out.padded(((day / 60) >>> 0) % 60, 2);
      out.byte(COLON);
      out.padded(day % 60, 2);
    }
    out.byte(DOT);
    out.padded((nanoseconds / 1000) >>> 0, 6);
    out.byte(32);
  }

  /** The type, the length of the frame, and the tags. */
  private types(at: number, layers: number): void {
    const { out, bytes } = this;
    let type = be16(bytes, at + 12);
    out.literal(l.comma);
    if (type < 1536) out.text("802.3");
    else this.type(type);
    out.literal(l.length);
    out.decimal(type < 1536 ? type : this.d.get(Rec.Len));
    out.literal(l.colon);
    for (let i = 0, p = at + 14; i < layers >>> 24 && p + 4 <= at + this.d.get(Rec.CapLen); i++, p += 4) {
      const tci = be16(bytes, p);
      out.reserve(256);
      out.literal(l.vlan);
      out.decimal(tci & 0xfff);
      out.literal(l.priority);
      out.decimal(tci >>> 13);
      if (tci & 0x1000) out.literal(l.dei);
      out.literal(l.comma);
      type = be16(bytes, p + 2);
      if (type < 1536) out.text("802.3");
      else this.type(type);
      out.literal(l.comma);
    }
  }

  private type(type: number): void {
    this.out.literal(l.ethertype);
    this.out.text(`${types.get(type) ?? "Unknown"} (0x`);
    this.out.hex16(type);
    this.out.byte(41);
  }

  private arp(p: number, n: number): void {
    const { out, bytes } = this;
    const ethernet = n >= 28 && bytes[p + 4] === 6 && bytes[p + 5] === 4 && be16(bytes, p + 2) === 0x0800;
    if (!ethernet) {
      out.text(
        n < 28
          ? " [|arp]"
          : `hardware ${be16(bytes, p)} (len ${bytes[p + 4]}) protocol ${be16(bytes, p + 2)} (len ${bytes[p + 5]})`,
      );
      return;
    }
    const op = be16(bytes, p + 6);
    if (op === 1) {
      out.text("Request who-has ");
      out.ipv4(be32(bytes, p + 24));
      let known = false;
      for (let i = 0; i < 6; i++) known ||= bytes[p + 18 + i] !== 0;
      if (known) {
        out.text(" (");
        out.hexBytes(bytes, p + 18, 6, COLON);
        out.byte(41);
      }
      out.text(" tell ");
      out.ipv4(be32(bytes, p + 14));
    } else if (op === 2) {
      out.text("Reply ");
      out.ipv4(be32(bytes, p + 14));
      out.text(" is-at ");
      out.hexBytes(bytes, p + 8, 6, COLON);
    } else out.text(operations.get(op) ?? `Unknown (${op})`);
    out.literal(l.length);
    out.decimal(this.d.get(Rec.NetLen));
  }

  private ipv4(p: number, layers: number): void {
    const { out, bytes, d } = this;
    const shown = d.get(Rec.NetShown);
    const headerLen = (bytes[p]! & 15) << 2;
    const total = d.get(Rec.NetLen);
    const there = d.get(Rec.Len) - d.get(Rec.Net);
    if (layers & Layer.NotIpv4)
      return out.text(
        `IP${bytes[p]! >>> 4}${bytes[p]! >>> 4 === 6 ? ", wrong link-layer encapsulation" : ""} (invalid)`,
      );
    if (headerLen < 20) return out.text(`bad-hlen ${headerLen}`);
    if (there < 20) return out.text(" [|ip]");
    if (shown <= 4 && total < headerLen) return out.text(`bad-len ${total}`);
    if (shown < 20) return out.text(" [|ip]");
    if (total > there) out.text(`truncated-ip - ${total - there} bytes missing! `);
    const at = p - d.get(Rec.Net) + d.get(Rec.Trans);
    const first = (be16(bytes, p + 6) & 0x1fff) === 0;
    const ports = first && layers & (Layer.Tcp | Layer.Udp) && d.get(Rec.TransShown) >= 4;
    out.ipv4(be32(bytes, p + 12));
    if (ports) {
      out.byte(DOT);
      out.decimal(d.get(Rec.Ports) >>> 16);
    }
    out.literal(l.to);
    out.ipv4(be32(bytes, p + 16));
    if (ports) {
      out.byte(DOT);
      out.decimal(d.get(Rec.Ports) & 0xffff);
    }
    const proto = bytes[p + 9]!;
    const length = Math.min(total, there) - headerLen;
    const cap = Math.min(total, d.get(Rec.CapLen) - d.get(Rec.Net)) - headerLen;
    if (!first) out.text(`: ip-proto-${proto}`);
    else if (proto === 6) this.tcp.segment(at, cap, total - headerLen);
    else if (proto === 17) this.udp(at, cap, length);
    else if (proto === 1) icmpText(out, bytes, at, cap, length);
    else out.text(`: ${proto === 2 ? "igmp" : `ip-proto-${proto}`}${proto === 2 ? "" : ` ${length}`}`);
  }

  private udp(p: number, cap: number, length: number): void {
    const { out, bytes } = this;
    if (cap < 8) return out.text(cap < 4 ? ":  [|udp]" : `: truncated-udp ${length}`);
    const n = be16(bytes, p + 4);
    if (n < 8) return out.text(`: truncated-udplength ${n}`);
    const dns = be16(bytes, p) === 53 || be16(bytes, p + 2) === 53;
    if (dns && n < 20) return out.text(`: domain [length ${n - 8} < 12] (invalid)`);
    if (dns && n <= length && cap >= n && dnsText(out, bytes, p + 8, n - 8)) return;
    if (n > length && !this.d.has(Layer.Fragment)) return out.text(`: UDP, bad length ${n - 8} > ${length - 8}`);
    out.literal(l.udp);
    out.decimal(n - 8);
  }

  /** Sixteen bytes a line, in words of two, as `tcpdump -x` and `-X` print them. */
  private dump(p: number, n: number): void {
    const { out, bytes } = this;
    for (let i = 0; i < n; i += 16) {
      out.reserve(128);
      out.text("\t0x");
      out.hex16(i);
      out.text(": ");
      const m = Math.min(16, n - i);
      const start = out.at;
      for (let j = 0; j < m; j++) {
        if ((j & 1) === 0) out.byte(32);
        out.hex8(bytes[p + i + j]!);
      }
      if (this.options.ascii) {
        while (out.at < start + 42) out.byte(32);
        for (let j = 0; j < m; j++) {
          const c = bytes[p + i + j]!;
          out.byte(c > 32 && c < 127 ? c : DOT);
        }
      }
      out.byte(NEWLINE);
    }
  }
}
