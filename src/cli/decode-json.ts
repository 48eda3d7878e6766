// src/cli/decode-json.ts: a dissected frame as one JSON line with Wireshark's field names, appended to a buffer.

import { Layer, Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import { HttpSpan } from "../../assembly/wire/httptypes.ts";
import { DnsMessage } from "./decode-dns.ts";
import { Payload } from "./decode-payload.ts";
import { Streams } from "./decode-streams.ts";
import { type ByteWriter, literal } from "./byte-writer.ts";

const key = (name: string): Uint8Array => literal(`,"${name}":`);

const k = {
  number: literal('{"frame.number":'),
  len: key("frame.len"),
  capLen: key("frame.cap_len"),
  ethDst: literal(',"eth.dst":"'),
  ethSrc: literal('","eth.src":"'),
  ethType: literal('","eth.type":'),
  ethLen: literal('","eth.len":'),
  vlanId: key("vlan.id"),
  vlanPriority: key("vlan.priority"),
  vlanEtype: key("vlan.etype"),
  arpHwType: key("arp.hw.type"),
  arpProtoType: key("arp.proto.type"),
  arpHwSize: key("arp.hw.size"),
  arpProtoSize: key("arp.proto.size"),
  arpOpcode: key("arp.opcode"),
  arpSrcMac: literal(',"arp.src.hw_mac":"'),
  arpSrcIp: literal(',"arp.src.proto_ipv4":"'),
  arpDstMac: literal(',"arp.dst.hw_mac":"'),
  arpDstIp: literal(',"arp.dst.proto_ipv4":"'),
  ipVersion: key("ip.version"),
  ipHdrLen: key("ip.hdr_len"),
  ipDsfield: key("ip.dsfield"),
  ipLen: key("ip.len"),
  ipId: key("ip.id"),
  ipRb: key("ip.flags.rb"),
  ipDf: key("ip.flags.df"),
  ipMf: key("ip.flags.mf"),
  ipOffset: key("ip.frag_offset"),
  ipTtl: key("ip.ttl"),
  ipProto: key("ip.proto"),
  ipChecksum: key("ip.checksum"),
  ipStatus: key("ip.checksum.status"),
  ipSrc: literal(',"ip.src":"'),
  ipDst: literal(',"ip.dst":"'),
  ipOptType: literal(',"ip.opt.type":['),
  icmpType: key("icmp.type"),
  icmpCode: key("icmp.code"),
  icmpChecksum: key("icmp.checksum"),
  icmpStatus: key("icmp.checksum.status"),
  icmpIdent: key("icmp.ident"),
  icmpSeq: key("icmp.seq"),
  icmpMtu: key("icmp.mtu"),
  icmpGateway: literal(',"icmp.redir_gw":"'),
  udpSrc: key("udp.srcport"),
  udpDst: key("udp.dstport"),
  udpLength: key("udp.length"),
  udpChecksum: key("udp.checksum"),
  udpStatus: key("udp.checksum.status"),
  tcpSrc: key("tcp.srcport"),
  tcpDst: key("tcp.dstport"),
  tcpLen: key("tcp.len"),
  tcpSeq: key("tcp.seq_raw"),
  tcpAck: key("tcp.ack_raw"),
  tcpHdrLen: key("tcp.hdr_len"),
  tcpFlags: key("tcp.flags"),
  tcpWindow: key("tcp.window_size_value"),
  tcpChecksum: key("tcp.checksum"),
  tcpStatus: key("tcp.checksum.status"),
  tcpUrgent: key("tcp.urgent_pointer"),
  tcpOptions: literal(',"tcp.options":"'),
  mss: key("tcp.options.mss_val"),
  wscale: key("tcp.options.wscale.shift"),
  sackPerm: literal(',"tcp.options.sack_perm":1'),
  sackLe: literal(',"tcp.options.sack_le":['),
  sackRe: literal(',"tcp.options.sack_re":['),
  tsval: key("tcp.options.timestamp.tsval"),
  tsecr: key("tcp.options.timestamp.tsecr"),
  httpMethod: literal(',"http.request.method":"'),
  httpUri: literal(',"http.request.uri":"'),
  httpRequestVersion: literal(',"http.request.version":"'),
  httpRequestLine: literal(',"http.request.line":['),
  httpResponseVersion: literal(',"http.response.version":"'),
  httpCode: key("http.response.code"),
  httpPhrase: literal(',"http.response.phrase":"'),
  httpResponseLine: literal(',"http.response.line":['),
  proto: literal(',"proto":['),
  eth: literal('"eth"'),
  vlan: literal('"vlan"'),
  arp: literal('"arp"'),
  ip: literal('"ip"'),
  icmp: literal('"icmp"'),
  udp: literal('"udp"'),
  tcp: literal('"tcp"'),
  http: literal('"http"'),
  dns: literal('"dns"'),
  end: literal("]}\n"),
};

const dnsHeader = ["id", "flags", "count.queries", "count.answers", "count.auth_rr", "count.add_rr"].map((n) =>
  key(`dns.${n}`),
);

const TCP_SYN = 2;
const OPCODE_UPDATE = 5;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const CLOSE = 93;
const OPEN = 91;
/** Bytes of a reassembled message that are looked at. */
const MOST_HEAD = 65536 + 1024;
/** More than all fixed keys of a frame with their numbers. */
const FIXED_ROOM = 4096;

const HTYPE_ATM = 19;
const TYPE_IPV4 = 0x0800;
/** IPv4 over AX.25. */
const TYPE_AX25_IP = 0xcc;

/** How many of its four addresses the summary line of an ARP operation needs. */
const inSummary = [0, 4, 4, 3, 4, 3, 4, 0, 3, 2, 0, 2, 2, 2];

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

/** IPv4 options that Wireshark shows the type of. */
function isKnownOption(type: number): boolean {
  return knownOptions[type] === 1;
}
const knownOptions = new Uint8Array(256);
for (const type of [0, 1, 7, 11, 12, 25, 68, 82, 130, 131, 133, 134, 136, 137, 148, 149]) knownOptions[type] = 1;

const SACK = 5;
const SCPS = 20;
const MPTCP = 30;

/**
 * Whether a TCP option is so short that its own fields end behind it: nothing more of the segment is dissected. A SACK
 * option's first block is looked at for a duplicate (RFC 2883) when the acknowledgement is above 0, as serial numbers go.
 */
function isDamaged(kind: number, len: number, ack: number): boolean {
  return (
    (kind === SACK && len < 10 && ack < 0x8000_0000) ||
    (kind === MPTCP && len < 4) ||
    (kind === SCPS && len > 4 && (len & 1) === 1)
  );
}

/** Wireshark shows a text up to its first NUL. */
function textLength(b: Uint8Array, p: number, n: number): number {
  for (let i = 0; i < n; i++) if (b[p + i] === 0) return i;
  return n;
}

/** A status code as a number: its digits up to the first character that is none. */
function leadingDigits(b: Uint8Array, p: number): number {
  let v = 0;
  for (let i = 0; i < 3 && b[p + i]! >= 48 && b[p + i]! <= 57; i++) v = v * 10 + b[p + i]! - 48;
  return v;
}

/** Types of ICMP messages with an identifier and a sequence number. */
function hasIdent(type: number): boolean {
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

/** Appends the JSON lines of frames to `out`. */
export class JsonLines {
  private readonly out: ByteWriter;
  private readonly d: Dissection;
  private readonly bytes: Uint8Array;
  private readonly payload: Payload;
  private readonly dns = new DnsMessage();
  private streams: Streams | null = null;
  private whole: Uint8Array | null = null;
  private wholeProtocol = 0;
  private wholeAt = 0;
  /** An option of the segment ends behind it: its payload is not looked at. */
  private damaged = false;

  constructor(d: Dissection, out: ByteWriter) {
    this.payload = new Payload(d);
    this.out = out;
    this.d = d;
    this.bytes = d.core.u8;
  }

  /**
   * The line of the frame that was dissected last, when it completes a message: of a stream, or of a datagram. The
   * message is printed as a whole, wherever its bytes were.
   */
  completed(number: number): void {
    const { d, payload } = this;
    const layers = d.get(Rec.Layers);
    if ((layers & Layer.Tcp) !== 0 && layers & Layer.SegmentLen) {
      const streams = (this.streams ??= new Streams(d, payload));
      if (!streams.segment()) return;
      this.whole = streams.message;
      this.wholeProtocol = streams.protocol;
      this.frame(number);
      this.whole = null;
      return;
    }
    const n = d.get(Rec.PayloadCap);
    const at = d.get(Rec.At) + d.get(Rec.Payload);
    if ((layers & Layer.Udp) !== 0 && n >= 4 && payload.protocol(layers, at, n) === Layer.DnsPort) this.frame(number);
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
    if (layers & Layer.Eth) this.ethernet(at);
    if (layers & Layer.Vlan) this.vlan(net - 4 * (layers >>> 24), layers >>> 24, layers);
    if (layers & Layer.Arp) this.arp(net, netShown);
    let app: Uint8Array | null = null;
    this.damaged = false;
    if (layers & Layer.Ip) {
      this.ipv4(net, netShown, layers);
      const trans = at + w[r + (Rec.Trans >>> 2)]!;
      const shown = w[r + (Rec.TransShown >>> 2)]!;
      if (layers & Layer.Tcp) this.tcp(trans, shown, layers);
      else if (layers & Layer.Udp) this.udp(trans, shown, layers);
      else if (layers & Layer.Icmp) this.icmp(trans, shown, layers);
      if (layers & (Layer.Tcp | Layer.Udp) && (layers & Layer.Reset) === 0 && !this.damaged)
        app = this.application(layers);
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

  private ethernet(at: number): void {
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
  }

  /** The fields of `tags` VLAN tags; the first begins at `at`. */
  private vlan(at: number, tags: number, layers: number): void {
    const cut = (layers & Layer.CutTag) !== 0;
    this.tags(k.vlanPriority, at, tags, 0, cut);
    this.tags(k.vlanId, at, tags, 1, cut);
    this.tags(k.vlanEtype, at + 2, tags, 2, cut);
  }

  /** A field of every tag: a number, or a list when there are several. */
  private tags(name: Uint8Array, at: number, tags: number, field: 0 | 1 | 2, cut: boolean): void {
    const { out, bytes } = this;
    let n = tags;
    if (field === 2) {
      // an 802.3 length is no type
      const last = cut ? 0 : be16(bytes, at + 4 * (tags - 1));
      if (last < 1536) n--;
    }
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
    const { bytes } = this;
    const hw = be16(bytes, p);
    this.number(k.arpHwType, hw);
    if (n < 4) return;
    const proto = be16(bytes, p + 2);
    this.number(k.arpProtoType, proto);
    if (hw === HTYPE_ATM) {
      // its lengths and addresses have names of their own
      this.number(k.arpOpcode, be16(bytes, p + 6));
      return;
    }
    if (n < 5) return;
    const hwSize = bytes[p + 4]!;
    this.number(k.arpHwSize, hwSize);
    if (n < 6) return;
    const protoSize = bytes[p + 5]!;
    this.number(k.arpProtoSize, protoSize);
    if (n < 8) return;
    const op = be16(bytes, p + 6);
    this.number(k.arpOpcode, op);
    const ethernet = (hw === 1 || hw === 6) && hwSize === 6;
    const ipv4 = (proto === TYPE_IPV4 || proto === TYPE_AX25_IP) && protoSize === 4;
    // a packet too short for its own lengths shows no addresses; of one that the capture cut, all those up to the last
    // one that stands in the summary line, or else what is there
    const total = 8 + 2 * hwSize + 2 * protoSize;
    if (this.d.get(Rec.NetLen) < total) return;
    const summary = op > 13 ? 0 : inSummary[op]!;
    if (n < (summary === 4 ? total : summary === 3 ? total - protoSize : summary === 2 ? 8 + hwSize + protoSize : 8))
      return;
    let at = 8;
    if (ethernet && n >= at + 6) this.quoted(k.arpSrcMac, p + at, true);
    at += hwSize;
    if (ipv4 && n >= at + 4) this.quoted(k.arpSrcIp, p + at, false);
    at += protoSize;
    if (ethernet && n >= at + 6) this.quoted(k.arpDstMac, p + at, true);
    at += hwSize;
    // a DRARP error has a code there
    if (ipv4 && n >= at + 4 && op !== 7) this.quoted(k.arpDstIp, p + at, false);
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
    if ((layers & Layer.NoDst) === 0) {
      this.out.literal(k.ipDst);
      this.out.ipv4(this.d.get(Rec.Dst));
      this.out.byte(QUOTE);
    }
    if (n > 20) this.ipv4Options(p, n);
  }

  /** The type of each option that Wireshark knows, as far as the options are to be shown. */
  private ipv4Options(p: number, n: number): void {
    const { out, bytes } = this;
    let some = false;
    for (let i = 20; i < n;) {
      const type = bytes[p + i]!;
      if (isKnownOption(type)) {
        out.literal(some ? comma : k.ipOptType);
        some = true;
        out.decimal(type);
      }
      if (type === 0) break;
      i += type === 1 ? 1 : bytes[p + i + 1]!;
    }
    if (some) out.byte(CLOSE);
  }

  private icmp(p: number, n: number, layers: number): void {
    const { bytes } = this;
    if (n < 6) return;
    const type = bytes[p]!;
    this.number(k.icmpType, type);
    this.number(k.icmpCode, bytes[p + 1]!);
    this.number(k.icmpChecksum, be16(bytes, p + 2));
    this.number(k.icmpStatus, (layers >>> 18) & 3);
    if (hasIdent(type)) {
      this.number(k.icmpIdent, be16(bytes, p + 4));
      if (n >= 8) this.number(k.icmpSeq, be16(bytes, p + 6));
    } else if (type === 42 || type === 43) {
      this.number(k.icmpIdent, be16(bytes, p + 4));
    } else if (type === 3 && bytes[p + 1] === 4 && n >= 8) {
      this.number(k.icmpMtu, be16(bytes, p + 6));
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
    if (n < 14) return;
    this.number(k.tcpSeq, be32(bytes, p + 4));
    const headerLen = (bytes[p + 12]! >>> 4) << 2;
    this.number(k.tcpHdrLen, headerLen);
    if (n < 16) return;
    if (bytes[p + 13]! & TCP_SYN) this.payload.opened();
    this.number(k.tcpAck, be32(bytes, p + 8));
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
    for (let i = 20; i < n;) {
      const kind = bytes[p + i]!;
      if (kind === 0) break;
      if (kind === 1) {
        i++;
        continue;
      }
      if (i + 1 >= n) break;
      const len = bytes[p + i + 1]!;
      if (len < 2 || i + len > headerLen) break;
      // of an option that the capture cut, the fields in front of the cut
      const there = n - i;
      const first = kind < 32 && (seen & (1 << kind)) === 0;
      const q = p + i + 2;
      if (kind === 2 && len === 4 && there >= 4) {
        if (first) this.number(k.mss, be16(bytes, q));
        seen |= 1 << kind;
      } else if (kind === 3 && len === 3 && there >= 3) {
        if (first) this.number(k.wscale, bytes[q]!);
        seen |= 1 << kind;
      } else if (kind === 4) {
        if (first) out.literal(k.sackPerm);
        seen |= 1 << kind;
      } else if (kind === 8 && len === 10) {
        if (first && there >= 6) this.number(k.tsval, be32(bytes, q));
        seen |= 1 << kind;
        if (first && there >= 10) this.number(k.tsecr, be32(bytes, q + 4));
      } else if (kind === 5) {
        if (sackAt === 0) sackAt = i;
      }
      this.damaged = isDamaged(kind, len, be32(bytes, p + 8));
      if (this.damaged) break;
      i += len;
    }
    if (sackAt !== 0) {
      this.sack(k.sackLe, p, sackAt, n, headerLen, 0);
      this.sack(k.sackRe, p, sackAt, n, headerLen, 4);
    }
  }

  /** One edge of every SACK block, in the order of the options. */
  private sack(name: Uint8Array, p: number, from: number, n: number, headerLen: number, edge: 0 | 4): void {
    const { out, bytes } = this;
    let some = false;
    for (let i = from; i < n;) {
      const kind = bytes[p + i]!;
      if (kind === 0) break;
      if (kind === 1) {
        i++;
        continue;
      }
      if (i + 1 >= n) break;
      const len = bytes[p + i + 1]!;
      if (len < 2 || i + len > headerLen) break;
      if (kind === 5) {
        for (let at = 2; at + edge + 4 <= len && i + at + edge + 4 <= n; at += 8) {
          out.literal(some ? comma : name);
          some = true;
          out.decimal(be32(bytes, p + i + at + edge));
        }
      }
      if (isDamaged(kind, len, be32(bytes, p + 8))) break;
      i += len;
    }
    if (some) out.byte(CLOSE);
  }

  /** The payload's fields; null when it is no message of a protocol that is decoded. */
  private application(layers: number): Uint8Array | null {
    const { d } = this;
    if (this.whole !== null) return this.message(this.whole);
    const n = d.get(Rec.PayloadCap);
    const at = d.get(Rec.At) + d.get(Rec.Payload);
    const protocol = n === 0 ? 0 : this.payload.protocol(layers, at, n);
    if (protocol === Layer.HttpPort) {
      const known = this.payload.http.read(at, n);
      return this.payload.isHttp(known) ? this.httpFields(at) : null;
    }
    if (protocol !== Layer.DnsPort) return null;
    if (layers & Layer.Udp) return this.dnsFields(at, at + n);
    // each message behind its length (RFC 1035 §4.2.2); one that is empty is passed over
    for (let p = at; p + 2 <= at + n;) {
      const length = be16(this.bytes, p);
      if (length >= 4) return this.dnsFields(p + 2, Math.min(at + n, p + 2 + length));
      p += 2 + length;
    }
    return null;
  }

  /** A message that was put together: copied to the core, as far as a head can reach. */
  private message(whole: Uint8Array): Uint8Array | null {
    const { core } = this.d;
    if (this.wholeAt === 0) this.wholeAt = core.x.alloc(MOST_HEAD) >>> 0;
    if (this.wholeAt === 0) throw new Error("decode: the core's memory is used up");
    const n = Math.min(whole.length, MOST_HEAD);
    core.u8.set(whole.subarray(0, n), this.wholeAt);
    if (this.wholeProtocol === Layer.DnsPort) return this.dnsFields(this.wholeAt, this.wholeAt + n);
    this.payload.http.read(this.wholeAt, n);
    return this.httpFields(this.wholeAt);
  }

  private httpFields(p: number): Uint8Array {
    this.httpText(k.httpMethod, HttpSpan.Method, p);
    this.httpText(k.httpUri, HttpSpan.Uri, p);
    this.httpText(k.httpRequestVersion, HttpSpan.RequestVersion, p);
    this.httpLines(k.httpRequestLine, HttpSpan.RequestLine, p);
    this.httpText(k.httpResponseVersion, HttpSpan.ResponseVersion, p);
    const code = this.payload.http.find(HttpSpan.Code);
    if (code >= 0) this.number(k.httpCode, leadingDigits(this.bytes, p + this.payload.http.offset(code)));
    this.httpText(k.httpPhrase, HttpSpan.Phrase, p);
    this.httpLines(k.httpResponseLine, HttpSpan.ResponseLine, p);
    return k.http;
  }

  private httpText(name: Uint8Array, kind: HttpSpan, p: number): void {
    const { out } = this;
    const { http } = this.payload;
    const i = http.find(kind);
    if (i < 0) return;
    out.reserve(FIXED_ROOM);
    out.literal(name);
    out.jsonAscii(this.bytes, p + http.offset(i), textLength(this.bytes, p + http.offset(i), http.length(i)));
    out.reserve(FIXED_ROOM);
    out.byte(QUOTE);
  }

  private httpLines(name: Uint8Array, kind: HttpSpan, p: number): void {
    const { out } = this;
    const { http } = this.payload;
    let i = http.find(kind);
    if (i < 0) return;
    out.literal(name);
    for (let first = true; i >= 0; i = http.find(kind, i + 1), first = false) {
      out.reserve(FIXED_ROOM);
      if (!first) out.byte(COMMA);
      out.byte(QUOTE);
      out.jsonAscii(this.bytes, p + http.offset(i), textLength(this.bytes, p + http.offset(i), http.length(i)));
      out.reserve(FIXED_ROOM);
      out.byte(QUOTE);
    }
    out.byte(CLOSE);
  }

  private dnsFields(p: number, end: number): Uint8Array | null {
    const { dns } = this;
    if (!dns.read(this.bytes, p, end)) return null;
    const f = dns.fields;
    for (let i = 0; i < f.header; i++) {
      // the first three counts of an update (RFC 2136) have names of their own
      if (i < 2 || i === 5 || ((f.numbers[1]! >>> 11) & 15) !== OPCODE_UPDATE)
        this.number(dnsHeader[i]!, f.numbers[i]!);
    }
    this.list("dns.qry.name", f.queryName);
    this.list("dns.qry.type", f.queryType);
    this.list("dns.qry.class", f.queryClass);
    this.list("dns.resp.name", f.name);
    this.list("dns.resp.type", f.type);
    this.list("dns.resp.class", f.class);
    this.list("dns.resp.ttl", f.ttl);
    this.list("dns.resp.len", f.length);
    this.list("dns.a", f.a);
    this.list("dns.aaaa", f.aaaa);
    this.list("dns.cname", f.cname);
    this.list("dns.ns", f.ns);
    this.list("dns.ptr.domain_name", f.ptr);
    this.list("dns.mx.mail_exchange", f.mx);
    this.list("dns.txt", f.txt);
    return k.dns;
  }

  private list(name: string, values: readonly (string | number)[]): void {
    if (values.length === 0) return;
    this.out.text(`,"${name}":${JSON.stringify(values)}`);
    this.out.reserve(FIXED_ROOM);
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
