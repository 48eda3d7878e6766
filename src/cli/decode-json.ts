// src/cli/decode-json.ts: a dissected frame as one JSON line with Wireshark's field names, appended to a buffer.

import { Layer, Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import { type ByteWriter, literal } from "./byte-writer.ts";

const key = (name: string): Uint8Array => literal(`,"${name}":`);

const k = {
  number: literal('{"frame.number":'), len: key("frame.len"), capLen: key("frame.cap_len"),
  ethDst: literal(',"eth.dst":"'), ethSrc: literal('","eth.src":"'), ethType: literal('","eth.type":'), ethLen: literal('","eth.len":'),
  vlanId: key("vlan.id"), vlanPriority: key("vlan.priority"), vlanEtype: key("vlan.etype"),
  arpHwType: key("arp.hw.type"), arpProtoType: key("arp.proto.type"), arpHwSize: key("arp.hw.size"), arpProtoSize: key("arp.proto.size"),
  arpOpcode: key("arp.opcode"), arpSrcMac: literal(',"arp.src.hw_mac":"'), arpSrcIp: literal(',"arp.src.proto_ipv4":"'),
  arpDstMac: literal(',"arp.dst.hw_mac":"'), arpDstIp: literal(',"arp.dst.proto_ipv4":"'),
  ipVersion: key("ip.version"), ipHdrLen: key("ip.hdr_len"), ipDsfield: key("ip.dsfield"), ipLen: key("ip.len"), ipId: key("ip.id"),
  ipRb: key("ip.flags.rb"), ipDf: key("ip.flags.df"), ipMf: key("ip.flags.mf"), ipOffset: key("ip.frag_offset"), ipTtl: key("ip.ttl"),
  ipProto: key("ip.proto"), ipChecksum: key("ip.checksum"), ipStatus: key("ip.checksum.status"), ipSrc: literal(',"ip.src":"'),
  ipDst: literal(',"ip.dst":"'), ipOptType: literal(',"ip.opt.type":['),
  icmpType: key("icmp.type"), icmpCode: key("icmp.code"), icmpChecksum: key("icmp.checksum"), icmpStatus: key("icmp.checksum.status"),
  icmpIdent: key("icmp.ident"), icmpSeq: key("icmp.seq"), icmpMtu: key("icmp.mtu"), icmpGateway: literal(',"icmp.redir_gw":"'),
  udpSrc: key("udp.srcport"), udpDst: key("udp.dstport"), udpLength: key("udp.length"), udpChecksum: key("udp.checksum"),
  udpStatus: key("udp.checksum.status"),
  tcpSrc: key("tcp.srcport"), tcpDst: key("tcp.dstport"), tcpLen: key("tcp.len"), tcpSeq: key("tcp.seq_raw"), tcpAck: key("tcp.ack_raw"),
  tcpHdrLen: key("tcp.hdr_len"), tcpFlags: key("tcp.flags"), tcpWindow: key("tcp.window_size_value"), tcpChecksum: key("tcp.checksum"),
  tcpStatus: key("tcp.checksum.status"), tcpUrgent: key("tcp.urgent_pointer"), tcpOptions: literal(',"tcp.options":"'),
  mss: key("tcp.options.mss_val"), wscale: key("tcp.options.wscale.shift"), sackPerm: literal(',"tcp.options.sack_perm":1'),
  sackLe: literal(',"tcp.options.sack_le":['), sackRe: literal(',"tcp.options.sack_re":['), tsval: key("tcp.options.timestamp.tsval"),
  tsecr: key("tcp.options.timestamp.tsecr"),
  proto: literal(',"proto":['), eth: literal('"eth"'), vlan: literal('"vlan"'), arp: literal('"arp"'), ip: literal('"ip"'),
  icmp: literal('"icmp"'), udp: literal('"udp"'), tcp: literal('"tcp"'), http: literal('"http"'), dns: literal('"dns"'),
  end: literal("]}\n"),
};

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const CLOSE = 93;
const OPEN = 91;
/** More than all fixed keys of a frame with their numbers. */
const FIXED_ROOM = 4096;

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number => ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

/** Types of ICMP messages with an identifier and a sequence number. */
function hasIdent(type: number): boolean {
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

/** Appends the JSON lines of frames to `out`. */
export class JsonLines {
  private readonly out: ByteWriter;
  private readonly d: Dissection;
  private readonly bytes: Uint8Array;

  constructor(d: Dissection, out: ByteWriter) {
    this.out = out;
    this.d = d;
    this.bytes = d.core.u8;
  }

  /** The line of the frame that was dissected last; `number` as in the file, from 1. */
  frame(number: number): void {
    const { out, d } = this;
    const w = d.core.u32;
    const r = d.words;
    out.reserve(FIXED_ROOM);
    out.literal(k.number);
    out.decimal(number);
    this.number(k.len, w[r + (Rec.Len >>> 2)]!);
    this.number(k.capLen, w[r + (Rec.CapLen >>> 2)]!);
    const at = w[r + (Rec.At >>> 2)]!;
    const layers = w[r + (Rec.Layers >>> 2)]!;
    const net = at + w[r + (Rec.Net >>> 2)]!;
    const netShown = w[r + (Rec.NetShown >>> 2)]!;
    if (layers & Layer.Eth) this.ethernet(at, layers >>> 24, layers);
    if (layers & Layer.Arp) this.arp(net, netShown);
    let app: Uint8Array | null = null;
    if (layers & Layer.Ip) {
      this.ipv4(net, netShown, layers);
      const trans = at + w[r + (Rec.Trans >>> 2)]!;
      const shown = w[r + (Rec.TransShown >>> 2)]!;
      if (layers & Layer.Tcp) this.tcp(trans, shown, layers);
      else if (layers & Layer.Udp) this.udp(trans, shown, layers);
      else if (layers & Layer.Icmp) this.icmp(trans, shown, layers);
      if (layers & (Layer.HttpPort | Layer.DnsPort)) app = this.application(layers);
    }
    this.proto(layers, app);
  }

  private number(name: Uint8Array, n: number): void {
    this.out.literal(name);
    this.out.decimal(n);
  }

  private mac(p: number): void {
    this.out.hexBytes(this.bytes, p, 6, COLON);
  }

  private ethernet(at: number, tags: number, layers: number): void {
    const { out, bytes } = this;
    out.literal(k.ethDst);
    this.mac(at);
    out.literal(k.ethSrc);
    this.mac(at + 6);
    const type = be16(bytes, at + 12);
    if (type >= 1536 || type === 0) {
      out.literal(k.ethType);
      out.decimal(type);
    } else if (type <= 1500) {
      out.literal(k.ethLen);
      out.decimal(type);
    } else out.byte(QUOTE);
    if ((layers & Layer.Vlan) === 0) return;
    this.tags(k.vlanPriority, at + 14, tags, 0);
    this.tags(k.vlanId, at + 14, tags, 1);
    this.tags(k.vlanEtype, at + 16, tags, 2);
  }

  /** A field of every tag: a number, or a list when there are several. */
  private tags(name: Uint8Array, at: number, tags: number, field: 0 | 1 | 2): void {
    const { out, bytes } = this;
    const last = be16(bytes, at + 4 * (tags - 1));
    // behind an 802.3 length there is no type
    const n = field === 2 && last < 1536 && last !== 0 ? tags - 1 : tags;
    if (n === 0) return;
    out.reserve(64 + 8 * n);
    out.literal(name);
    if (n > 1) out.byte(OPEN);
    for (let i = 0; i < n; i++) {
      if (i !== 0) out.byte(COMMA);
      const v = be16(bytes, at + 4 * i);
      out.decimal(field === 0 ? v >>> 13 : field === 1 ? v & 0xfff : v);
    }
    if (n > 1) out.byte(CLOSE);
    out.reserve(FIXED_ROOM);
  }

  private arp(p: number, n: number): void {
    const { out, bytes } = this;
    const hw = be16(bytes, p);
    const proto = be16(bytes, p + 2);
    const hwSize = bytes[p + 4]!;
    const protoSize = bytes[p + 5]!;
    this.number(k.arpHwType, hw);
    this.number(k.arpProtoType, proto);
    this.number(k.arpHwSize, hwSize);
    this.number(k.arpProtoSize, protoSize);
    this.number(k.arpOpcode, be16(bytes, p + 6));
    const ethernet = (hw === 1 || hw === 6) && hwSize === 6;
    const ipv4 = proto === 0x0800 && protoSize === 4;
    const at = [8, 8 + hwSize, 8 + hwSize + protoSize, 8 + 2 * hwSize + protoSize];
    if (n < 8 + 2 * hwSize + 2 * protoSize) return;
    if (ethernet) this.quoted(k.arpSrcMac, p + at[0]!, true);
    if (ipv4) this.quoted(k.arpSrcIp, p + at[1]!, false);
    if (ethernet) this.quoted(k.arpDstMac, p + at[2]!, true);
    if (ipv4) this.quoted(k.arpDstIp, p + at[3]!, false);
    out.reserve(FIXED_ROOM);
  }

  private quoted(name: Uint8Array, p: number, mac: boolean): void {
    this.out.literal(name);
    if (mac) this.mac(p);
    else this.out.ipv4(be32(this.bytes, p));
    this.out.byte(QUOTE);
  }

  private ipv4(p: number, n: number, layers: number): void {
    const { bytes } = this;
    this.number(k.ipVersion, bytes[p]! >>> 4);
    if (layers & Layer.NotIpv4) return;
    const headerLen = (bytes[p]! & 15) << 2;
    this.number(k.ipHdrLen, headerLen);
    if (n < 2) return;
    this.number(k.ipDsfield, bytes[p + 1]!);
    if (n < 4) return;
    this.number(k.ipLen, this.d.get(Rec.NetLen));
    if (n < 6) return;
    this.number(k.ipId, be16(bytes, p + 4));
    if (n < 8) return;
    const frag = be16(bytes, p + 6);
    this.number(k.ipRb, frag >>> 15);
    this.number(k.ipDf, (frag >>> 14) & 1);
    this.number(k.ipMf, (frag >>> 13) & 1);
    this.number(k.ipOffset, frag & 0x1fff);
    if (n < 9) return;
    this.number(k.ipTtl, bytes[p + 8]!);
    if (n < 10) return;
    this.number(k.ipProto, bytes[p + 9]!);
    if (n < 12) return;
    this.number(k.ipChecksum, be16(bytes, p + 10));
    this.number(k.ipStatus, (layers >>> 16) & 3);
    if (n < 16) return;
    this.quoted(k.ipSrc, p + 12, false);
    if (n < 20) return;
    this.quoted(k.ipDst, p + 16, false);
    if (headerLen > 20) this.ipv4Options(p, n, headerLen);
  }

  /** The type of each option, up to the end of the list or the first one that is damaged. */
  private ipv4Options(p: number, n: number, headerLen: number): void {
    const { out, bytes } = this;
    let some = false;
    for (let i = 20; i < n; ) {
      const type = bytes[p + i]!;
      out.literal(some ? comma : k.ipOptType);
      some = true;
      out.decimal(type);
      if (type === 0) break;
      if (type === 1) {
        i++;
        continue;
      }
      if (i + 1 >= n) break;
      const len = bytes[p + i + 1]!;
      if (len < 2 || i + len > headerLen) break;
      i += len;
    }
    if (some) out.byte(CLOSE);
  }

  private icmp(p: number, n: number, layers: number): void {
    const { bytes } = this;
    if (n < 1) return;
    const type = bytes[p]!;
    this.number(k.icmpType, type);
    if (n < 2) return;
    this.number(k.icmpCode, bytes[p + 1]!);
    if (n < 4) return;
    this.number(k.icmpChecksum, be16(bytes, p + 2));
    this.number(k.icmpStatus, (layers >>> 18) & 3);
    if (hasIdent(type)) {
      if (n < 6) return;
      this.number(k.icmpIdent, be16(bytes, p + 4));
      if (n < 8) return;
      this.number(k.icmpSeq, be16(bytes, p + 6));
    } else if (type === 42 || type === 43) {
      if (n >= 6) this.number(k.icmpIdent, be16(bytes, p + 4));
    } else if (type === 3 && bytes[p + 1] === 4) {
      if (n >= 8) this.number(k.icmpMtu, be16(bytes, p + 6));
    } else if (type === 5 && n >= 8) this.quoted(k.icmpGateway, p + 4, false);
  }

  private udp(p: number, n: number, layers: number): void {
    const { bytes } = this;
    if (n < 4) return;
    this.number(k.udpSrc, be16(bytes, p));
    this.number(k.udpDst, be16(bytes, p + 2));
    if (n < 6) return;
    this.number(k.udpLength, be16(bytes, p + 4));
    if (n < 8) return;
    this.number(k.udpChecksum, be16(bytes, p + 6));
    this.number(k.udpStatus, (layers >>> 18) & 3);
  }

  private tcp(p: number, n: number, layers: number): void {
    const { bytes } = this;
    this.number(k.tcpSrc, be16(bytes, p));
    this.number(k.tcpDst, be16(bytes, p + 2));
    if (layers & Layer.SegmentLen) this.number(k.tcpLen, this.d.get(Rec.PayloadLen));
    if (n < 16) return;
    this.number(k.tcpSeq, be32(bytes, p + 4));
    this.number(k.tcpAck, be32(bytes, p + 8));
    const headerLen = (bytes[p + 12]! >>> 4) << 2;
    this.number(k.tcpHdrLen, headerLen);
    this.number(k.tcpFlags, be16(bytes, p + 12) & 0xfff);
    this.number(k.tcpWindow, be16(bytes, p + 14));
    if (n < 18) return;
    this.number(k.tcpChecksum, be16(bytes, p + 16));
    this.number(k.tcpStatus, (layers >>> 18) & 3);
    if (n < 20) return;
    this.number(k.tcpUrgent, be16(bytes, p + 18));
    if (headerLen > 20) this.tcpOptions(p, n, headerLen);
  }

  private tcpOptions(p: number, n: number, headerLen: number): void {
    const { out, bytes } = this;
    out.literal(k.tcpOptions);
    out.hexBytes(bytes, p + 20, n - 20, 0);
    out.byte(QUOTE);
    let seen = 0;
    let sackAt = 0;
    for (let i = 20; i < n; ) {
      const kind = bytes[p + i]!;
      if (kind === 0) break;
      if (kind === 1) {
        i++;
        continue;
      }
      if (i + 1 >= n) break;
      const len = bytes[p + i + 1]!;
      if (len < 2 || i + len > headerLen || i + len > n) break;
      const first = kind < 32 && (seen & (1 << kind)) === 0;
      if (kind < 32) seen |= 1 << kind;
      const q = p + i + 2;
      if (kind === 2 && len === 4) {
        if (first) this.number(k.mss, be16(bytes, q));
      } else if (kind === 3 && len === 3) {
        if (first) this.number(k.wscale, bytes[q]!);
      } else if (kind === 4) {
        if (first) out.literal(k.sackPerm);
      } else if (kind === 8 && len === 10) {
        if (first) {
          this.number(k.tsval, be32(bytes, q));
          this.number(k.tsecr, be32(bytes, q + 4));
        }
      } else if (kind === 5 && sackAt === 0) sackAt = i;
      i += len;
    }
    if (sackAt !== 0) {
      this.sack(k.sackLe, p, sackAt, n, 0);
      this.sack(k.sackRe, p, sackAt, n, 4);
    }
  }

  /** One edge of every SACK block, in the order of the options. */
  private sack(name: Uint8Array, p: number, from: number, n: number, edge: 0 | 4): void {
    const { out, bytes } = this;
    let some = false;
    for (let i = from; i < n; ) {
      const kind = bytes[p + i]!;
      if (kind === 0) break;
      if (kind === 1) {
        i++;
        continue;
      }
      if (i + 1 >= n) break;
      const len = bytes[p + i + 1]!;
      if (len < 2 || i + len > n) break;
      if (kind === 5) {
        for (let at = 2; at + 8 <= len; at += 8) {
          out.literal(some ? comma : name);
          some = true;
          out.decimal(be32(bytes, p + i + at + edge));
        }
      }
      i += len;
    }
    if (some) out.byte(CLOSE);
  }

  /** The payload's fields; null when it is no message of the protocol that its ports name. */
  private application(_layers: number): Uint8Array | null {
    return null;
  }

  private proto(layers: number, app: Uint8Array | null): void {
    const { out } = this;
    const tags = layers >>> 24;
    out.reserve(256 + 8 * tags);
    out.literal(k.proto);
    const start = out.at;
    if (layers & Layer.Eth) this.layer(k.eth, start);
    if (layers & Layer.Vlan) for (let i = 0; i < tags; i++) this.layer(k.vlan, start);
    if (layers & Layer.Arp) this.layer(k.arp, start);
    if (layers & Layer.Ip) this.layer(k.ip, start);
    if (layers & Layer.Icmp) this.layer(k.icmp, start);
    if (layers & Layer.Udp) this.layer(k.udp, start);
    if (layers & Layer.Tcp) this.layer(k.tcp, start);
    if (app !== null) this.layer(app, start);
    out.literal(k.end);
  }

  private layer(name: Uint8Array, start: number): void {
    if (this.out.at !== start) this.out.byte(COMMA);
    this.out.literal(name);
  }
}

const comma = literal(",");
