// src/cli/decode-text-tcp.ts: a TCP segment in tcpdump's words, with sequence numbers counted from a connection's first.

import { Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import { dnsText } from "./decode-text-dns.ts";
import { type ByteWriter, literal } from "./byte-writer.ts";

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

const SYN = 2;
const ACK = 16;
const letters = [..."FSRP.UEW"].map((c) => c.charCodeAt(0));
const l = {
  flags: literal(": Flags ["),
  seq: literal(", seq "),
  ack: literal(", ack "),
  win: literal(", win "),
  urg: literal(", urg "),
  options: literal(", options ["),
  mss: literal("mss "),
  sackOk: literal("sackOK"),
  ts: literal("TS val "),
  ecr: literal(" ecr "),
  nop: literal("nop"),
  eol: literal("eol"),
  wscale: literal("wscale "),
  sack: literal("sack "),
  length: literal(", length "),
  none: literal("none"),
};
const methods =
  /^(?:HTTP\/1\.[01] \d|(?:GET|PUT|COPY|HEAD|LOCK|MOVE|POLL|POST|BCOPY|BMOVE|MKCOL|TRACE|LABEL|MERGE|DELETE|SEARCH|UNLOCK|REPORT|UPDATE|NOTIFY|BDELETE|CONNECT|OPTIONS|CHECKIN|PROPFIND|CHECKOUT|SUBSCRIBE|PROPPATCH)[ \t])/;

/** First numbers of both directions: | lower end | higher end | ports | of the lower end | of the higher end |. */
const WORDS = 5;
const MOST = 1 << 16;

export class TcpText {
  private readonly bytes: Uint8Array;
  private readonly table = new Uint32Array(MOST * WORDS);

  constructor(
    private readonly d: Dissection,
    private readonly out: ByteWriter,
  ) {
    this.bytes = d.core.u8;
  }

  /** `cap` bytes at `p` of a segment of `length`. */
  segment(p: number, cap: number, length: number): void {
    const { out, bytes } = this;
    if (cap < 20) return out.text(":  [|tcp]");
    const headerLen = (bytes[p + 12]! >>> 4) << 2;
    if (headerLen < 20) return out.text(`:  tcp ${length - headerLen} [bad hdr length ${headerLen} - too short, < 20]`);
    const flags = bytes[p + 13]!;
    let seq = be32(bytes, p + 4);
    let ack = be32(bytes, p + 8);
    out.literal(l.flags);
    if (flags === 0) out.literal(l.none);
    for (let i = 0; i < letters.length; i++) if (flags & (1 << i)) out.byte(letters[i]!);
    out.byte(93);
    if (headerLen > length) return out.text(` [bad hdr length ${headerLen} - too long, > ${length}]`);
    let [seqBase, ackBase] = [0, 0];
    if (flags & ACK) {
      const at = this.entry(seq, ack, (flags & SYN) !== 0);
      if (at >= 0) {
        const turned = this.turned();
        seqBase = this.table[at + (turned ? 4 : 3)]!;
        ackBase = this.table[at + (turned ? 3 : 4)]!;
      }
    }
    seq = (seq - seqBase) >>> 0;
    ack = (ack - ackBase) >>> 0;
    const data = length - headerLen;
    if (data > 0 || flags & 7) {
      out.literal(l.seq);
      out.decimal(seq);
      if (data > 0) {
        out.byte(58);
        out.decimal((seq + data) >>> 0);
      }
    }
    if (flags & ACK) {
      out.literal(l.ack);
      out.decimal(ack);
    }
    out.literal(l.win);
    out.decimal(be16(bytes, p + 14));
    if (flags & 32) {
      out.literal(l.urg);
      out.decimal(be16(bytes, p + 18));
    }
    if (headerLen > 20) this.options(p, Math.min(cap, headerLen), ackBase);
    out.literal(l.length);
    out.decimal(data);
    if (data > 0 && cap > headerLen) this.payload(p + headerLen, cap - headerLen);
  }

  /** Whether this segment's source is the connection's higher end. */
  private turned(): boolean {
    const ports = this.d.get(Rec.Ports);
    const [a, b] = [ports >>> 16, ports & 0xffff];
    return a === b ? this.d.get(Rec.Src) > this.d.get(Rec.Dst) : a > b;
  }

  /** The connection's entry; -1 when this segment has just made it: its numbers are printed as they are. */
  private entry(seq: number, ack: number, syn: boolean): number {
    const { d, table } = this;
    const ports = d.get(Rec.Ports);
    const turned = this.turned();
    const low = d.get(turned ? Rec.Dst : Rec.Src);
    const high = d.get(turned ? Rec.Src : Rec.Dst);
    const key = turned ? ((ports << 16) | (ports >>> 16)) >>> 0 : ports;
    let h = Math.imul(low ^ Math.imul(high, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b), 0xc2b2ae35);
    h ^= h >>> 15;
    let at = 0;
    // of 16 places that the hash leads to, the last is used again when all are taken
    for (let i = 0; i < 16; i++) {
      at = ((h + i) & (MOST - 1)) * WORDS;
      if (table[at + 2] === 0) break;
      if (table[at] === low && table[at + 1] === high && table[at + 2] === key) {
        if (!syn) return at;
        break;
      }
    }
    table[at] = low;
    table[at + 1] = high;
    table[at + 2] = key;
    table[at + (turned ? 4 : 3)] = seq;
    table[at + (turned ? 3 : 4)] = ack - 1;
    return -1;
  }

  private options(p: number, n: number, ackBase: number): void {
    const { out, bytes } = this;
    out.reserve(1024);
    out.literal(l.options);
    for (let i = 20, first = true; i < n; first = false) {
      if (!first) out.byte(44);
      const kind = bytes[p + i]!;
      if (kind === 0) {
        out.literal(l.eol);
        break;
      }
      if (kind === 1) {
        out.literal(l.nop);
        i++;
        continue;
      }
      const len = i + 1 < n ? bytes[p + i + 1]! : 0;
      if (len < 2 || i + len > n) {
        out.text("[bad opt]");
        return;
      }
      this.option(kind, len, p + i + 2, ackBase);
      i += len;
    }
    out.byte(93);
  }

  private option(kind: number, len: number, q: number, ackBase: number): void {
    const { out, bytes } = this;
    if (kind === 2 && len === 4) {
      out.literal(l.mss);
      out.decimal(be16(bytes, q));
    } else if (kind === 3 && len === 3) {
      out.literal(l.wscale);
      out.decimal(bytes[q]!);
    } else if (kind === 4 && len === 2) out.literal(l.sackOk);
    else if (kind === 8 && len === 10) {
      out.literal(l.ts);
      out.decimal(be32(bytes, q));
      out.literal(l.ecr);
      out.decimal(be32(bytes, q + 4));
    } else if (kind === 5 && (len - 2) % 8 === 0) {
      out.literal(l.sack);
      out.decimal((len - 2) / 8);
      out.byte(32);
      for (let i = 0; i + 8 <= len - 2; i += 8) {
        out.byte(123);
        out.decimal((be32(bytes, q + i) - ackBase) >>> 0);
        out.byte(58);
        out.decimal((be32(bytes, q + i + 4) - ackBase) >>> 0);
        out.byte(125);
      }
    } else {
      out.text(`unknown-${kind} 0x`);
      out.hexBytes(bytes, q, len - 2, 0);
    }
  }

  /** A DNS message, or the start line on the ports that tcpdump takes for HTTP. */
  private payload(p: number, n: number): void {
    const ports = this.d.get(Rec.Ports);
    const [a, b] = [ports >>> 16, ports & 0xffff];
    const { out, bytes } = this;
    if (a === 53 || b === 53) {
      // behind the length of the message (RFC 1035 §4.2.2)
      if (n > 2) dnsText(out, bytes, p + 2, n - 2, " ");
      return;
    }
    if (a !== 80 && b !== 80 && a !== 8080 && b !== 8080) return;
    out.text(": HTTP");
    let end = 0;
    while (end < n && end < 1024 && bytes[p + end] !== 13 && bytes[p + end] !== 10) end++;
    const line = String.fromCharCode(...bytes.subarray(p, p + end));
    if (methods.test(line)) out.text(`: ${line.replace(/[^\x20-\x7e\t]/g, ".")}`);
  }
}
