// src/cli/decode-dns.ts: a DNS message (RFC 1035) as Wireshark shows it: damaged ones as far as they can be read.

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

const A = 1;
const NS = 2;
const CNAME = 5;
const SOA = 6;
const PTR = 12;
const MX = 15;
const TXT = 16;
const AAAA = 28;
const NXT = 30;
const SRV = 33;
const DNAME = 39;
const OPT = 41;
const NSEC = 47;
const NSEC3 = 50;
const CSYNC = 62;

/** The bytes ended. */
class Short extends Error {}
const short = new Short("short");

export interface DnsFields {
  /** How many of the six numbers of the header could be read. */
  header: number;
  readonly numbers: number[];
  readonly queryName: string[];
  readonly queryType: number[];
  readonly queryClass: number[];
  readonly name: string[];
  readonly type: number[];
  readonly class: number[];
  readonly ttl: number[];
  readonly length: number[];
  readonly a: string[];
  readonly aaaa: string[];
  readonly cname: string[];
  readonly ns: string[];
  readonly ptr: string[];
  readonly mx: string[];
  readonly txt: string[];
}

/** Fields to fill, used again for every message. */
export function dnsFields(): DnsFields {
  return {
    header: 0,
    numbers: [0, 0, 0, 0, 0, 0],
    queryName: [],
    queryType: [],
    queryClass: [],
    name: [],
    type: [],
    class: [],
    ttl: [],
    length: [],
    a: [],
    aaaa: [],
    cname: [],
    ns: [],
    ptr: [],
    mx: [],
    txt: [],
  };
}

/** Characters of a name with its dots, RFC 1035 §3.1. */
const MAX_NAME = 253;
const MAX_POINTERS = 1000;

/** Adds `value` to the list and answers it. */
function last(list: string[], value: string): string {
  list.push(value);
  return value;
}

/** A name with its last dot. */
export function dotted(name: string): string {
  return name === "<Root>" ? "." : `${name}.`;
}

/** Reads one message of `b` between `start` and `end`. */
export class DnsMessage {
  readonly fields = dnsFields();
  /** What each record holds, as a line of text. */
  readonly values: string[] = [];
  private b: Uint8Array = new Uint8Array(0);
  private start = 0;
  private end = 0;
  private at = 0;

  /** Whether there is a message at all. */
  read(b: Uint8Array, start: number, end: number): boolean {
    const f = this.fields;
    this.b = b;
    this.start = start;
    this.end = end;
    this.at = start + 12;
    for (const list of [
      f.queryName,
      f.queryType,
      f.queryClass,
      f.name,
      f.type,
      f.class,
      f.ttl,
      f.length,
      f.a,
      f.aaaa,
      f.cname,
      f.ns,
      f.ptr,
      f.mx,
      f.txt,
    ]) {
      list.length = 0;
    }
    this.values.length = 0;
    f.header = Math.min(6, (end - start) >> 1);
    for (let i = 0; i < f.header; i++) f.numbers[i] = be16(b, start + 2 * i);
    if (f.header < 2) return false;
    if (f.header < 6) return true;
    try {
      for (let i = f.numbers[2]!; i > 0; i--) this.question();
      for (let i = f.numbers[3]! + f.numbers[4]! + f.numbers[5]!; i > 0; i--) this.record();
    } catch (e) {
      if (e !== short) throw e;
    }
    return true;
  }

  private need(n: number): void {
    if (this.at + n > this.end) throw short;
  }

  private question(): void {
    const f = this.fields;
    const name = this.name();
    this.need(4);
    f.queryName.push(name);
    f.queryType.push(be16(this.b, this.at));
    f.queryClass.push(be16(this.b, this.at + 2));
    this.at += 4;
  }

  private record(): void {
    const f = this.fields;
    const { b } = this;
    const name = this.name();
    this.need(10);
    this.need(10 + be16(b, this.at + 8));
    const type = be16(b, this.at);
    const cls = be16(b, this.at + 2);
    const length = be16(b, this.at + 8);
    // an owner of a service has names of its own (RFC 2782)
    if (type !== SRV) f.name.push(name);
    f.type.push(type);
    if (type !== OPT) {
      f.class.push(cls);
      f.ttl.push(be32(b, this.at + 4));
    }
    f.length.push(length);
    this.at += 10;
    const next = this.at + length;
    this.values.push("");
    this.values[this.values.length - 1] = this.data(type, cls, length);
    this.at = next;
  }

  /** Fields of the data; what it holds in tcpdump's words. */
  private data(type: number, cls: number, length: number): string {
    const f = this.fields;
    const { b } = this;
    const start = this.at;
    switch (type) {
      case A:
        this.need(4);
        return `A ${last(f.a, `${b[start]}.${b[start + 1]}.${b[start + 2]}.${b[start + 3]}`)}`;
      case AAAA:
        this.need(16);
        return `AAAA ${last(f.aaaa, formatIpv6(b, start))}`;
      case NS:
        return `NS ${dotted(last(f.ns, this.name()))}`;
      case CNAME:
        return `CNAME ${dotted(last(f.cname, this.name()))}`;
      case PTR:
        return `PTR ${dotted(last(f.ptr, this.name()))}`;
      case MX:
        this.need(2);
        this.at += 2;
        return `MX ${dotted(last(f.mx, this.name()))} ${be16(b, start)}`;
      case TXT: {
        let s = "TXT";
        for (const end = start + length; this.at < end;) {
          this.need(1);
          const n = b[this.at]!;
          this.at++;
          this.need(n);
          s += ` "${last(f.txt, ascii(b, this.at, n))}"`;
          this.at += n;
        }
        return s;
      }
      case DNAME:
        return `DNAME ${dotted(this.name())}`;
      case SRV:
        this.need(6);
        this.at += 6;
        return `SRV ${dotted(this.name())}:${be16(b, start + 4)} ${be16(b, start)} ${be16(b, start + 2)}`;
      case SOA:
        this.name();
        this.name();
        this.need(20);
        return "SOA";
      case OPT:
        // options, each a code and a length in front; one that is too long ends the message
        for (const end = this.at + length; this.at < end;) {
          if (this.at + 4 > end) throw short;
          const n = be16(b, this.at + 2);
          if (this.at + 4 + n > end) throw short;
          this.at += 4 + n;
        }
        return `OPT UDPsize=${cls}`;
      case NXT:
        this.name();
        this.oldTypes(this.at, start + length);
        return "NXT";
      case NSEC:
        this.name();
        this.types(start + length);
        return "NSEC";
      case NSEC3:
        // algorithm, flags and iterations; then salt and hash, each with its length
        this.at += 4;
        for (let i = 0; i < 2; i++) {
          this.need(1);
          this.at += 1 + b[this.at]!;
        }
        this.types(start + length);
        return "NSEC3";
      case CSYNC:
        this.at += 6;
        this.types(start + length);
        return "CSYNC";
      default:
        return `Type${type}`;
    }
  }

  /** A bitmap of types in windows of 256 (RFC 4034 §4.1.2), each shown as a type of the record. */
  private types(end: number): void {
    while (this.at < end) {
      this.need(2);
      const window = this.b[this.at]!;
      const length = this.b[this.at + 1]!;
      this.at += 2;
      for (let i = 0; i < length; i++, this.at++) {
        this.need(1);
        for (let bit = 0; bit < 8; bit++) {
          if ((this.b[this.at]! & (0x80 >> bit)) !== 0) this.fields.type.push(window * 256 + i * 8 + bit);
        }
      }
    }
  }

  /** A bitmap from type 0 on (RFC 2535 §5.2). */
  private oldTypes(at: number, end: number): void {
    for (let i = 0; at + i < end; i++) {
      for (let bit = 0; bit < 8; bit++) if ((this.b[at + i]! & (0x80 >> bit)) !== 0) this.fields.type.push(i * 8 + bit);
    }
  }

  /** The name at `at`, which moves behind it. */
  private name(): string {
    const { b } = this;
    let at = this.at;
    let behind = -1;
    let pointers = 0;
    const bytes: number[] = [];
    for (;;) {
      if (at >= this.end) throw short;
      const n = b[at++]!;
      if (n === 0) break;
      if (n >= 0xc0) {
        if (at >= this.end) throw short;
        const to = this.start + (((n & 0x3f) << 8) | b[at++]!);
        if (behind < 0) behind = at;
        if (++pointers > MAX_POINTERS) {
          this.at = behind;
          return "<Name contains a pointer that loops>";
        }
        at = to;
      } else if (n >= 0x40) {
        // a label of unknown length (RFC 6891 §5): reading goes on behind its first byte
        if (at - 1 === this.at || n >= 0x80) throw short;
        this.at = behind < 0 ? at : behind;
        return "<Unknown extended label>";
      } else {
        if (at + n > this.end) throw short;
        if (bytes.length > 0) bytes.push(46);
        for (let i = 0; i < n; i++) if (bytes.length <= MAX_NAME) bytes.push(b[at + i]!);
        at += n;
      }
    }
    const start = this.at;
    this.at = behind < 0 ? at : behind;
    if (bytes.length > MAX_NAME) return "<Name too long>";
    // a pointer to a label that begins with a NUL counts as the root as well
    return bytes.length === 0 || (bytes[0] === 0 && this.at - start <= 2) ? "<Root>" : escaped(bytes);
  }
}

/** A character string up to its first NUL; bytes that are not ASCII become U+FFFD. */
function ascii(b: Uint8Array, at: number, n: number): string {
  let s = "";
  for (let i = at; i < at + n && b[i] !== 0; i++) s += b[i]! < 0x80 ? String.fromCharCode(b[i]!) : "\ufffd";
  return s;
}

const letters: Record<number, string> = { 7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r" };

/**
 * A name's bytes as UTF-8, characters that do not print as C writes them. A sequence ends where its continuation bytes
 * do, one that is cut short or means no character becomes U+FFFD, and overlong ones are taken.
 */
function escaped(bytes: readonly number[]): string {
  let s = "";
  for (let i = 0; i < bytes.length;) {
    const c = bytes[i++]!;
    if (c < 0x80) {
      s += c >= 0x20 && c !== 0x7f ? String.fromCharCode(c) : `\\${letters[c] ?? c.toString(8).padStart(3, "0")}`;
      continue;
    }
    // continuation bytes that the lead asks for; a stray one or 0xfe, 0xff stand alone
    let more = c < 0xc0 || c > 0xfd ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : c < 0xfc ? 4 : 5;
    const whole = more > 0;
    let v = c & (0x3f >> more);
    while (more > 0 && i < bytes.length && (bytes[i]! & 0xc0) === 0x80) {
      v = v * 64 + (bytes[i++]! & 0x3f);
      more--;
    }
    s += whole && more === 0 ? shown(v) : "\ufffd";
  }
  return s;
}

/** A character, or its number where it does not print. */
function shown(v: number): string {
  if (v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) return "\ufffd";
  const char = String.fromCodePoint(v);
  if (!/[\p{Cc}\p{Cf}\p{Cn}]/u.test(char)) return char;
  const hex = v.toString(16).toUpperCase();
  return v < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** RFC 5952, as inet_ntop writes it. */
export function formatIpv6(b: Uint8Array, at: number): string {
  let [best, bestLength] = [-1, 1];
  for (let i = 0; i < 8;) {
    let j = i;
    while (j < 8 && be16(b, at + 2 * j) === 0) j++;
    if (j - i > bestLength) [best, bestLength] = [i, j - i];
    i = j > i ? j : i + 1;
  }
  const v4 =
    best === 0 &&
    (bestLength === 6 ||
      (bestLength === 7 && be16(b, at + 14) !== 1) ||
      (bestLength === 5 && be16(b, at + 10) === 0xffff));
  let s = "";
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      s += "::";
      i += bestLength - 1;
      continue;
    }
    if (i > 0 && !s.endsWith(":")) s += ":";
    if (i === 6 && v4) return `${s}${b[at + 12]}.${b[at + 13]}.${b[at + 14]}.${b[at + 15]}`;
    s += be16(b, at + 2 * i).toString(16);
  }
  return s;
}
