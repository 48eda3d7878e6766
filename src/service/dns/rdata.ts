// src/service/dns/rdata.ts: a record's data as master files write it (RFC 1035 §5.1, RFC 3596, RFC 2782, RFC 8659, RFC 3597).

import { parseIpv4 } from "../../core/address.ts";
import type { DnsData } from "../../core/dns.ts";
import { TextError } from "../../host/text.ts";
import { bytesOf, type Word } from "./lexer.ts";
import { labelText, NameError, parseName } from "./name.ts";
import { Type, typeText } from "./types.ts";

/** A record's words, taken one by one; `end` is where the record stops, for errors about what is missing. */
export class Words {
  private at = 0;

  constructor(
    private readonly words: readonly Word[],
    /** What relative names are relative to. */
    readonly origin: string,
  ) {}

  get left(): number {
    return this.words.length - this.at;
  }

  peek(): Word | undefined {
    return this.words[this.at];
  }

  next(what: string): Word {
    const word = this.words[this.at++];
    if (word !== undefined) return word;
    const last = this.words[this.words.length - 1]!;
    const column = last.column + last.text.length + (last.quoted ? 2 : 0);
    throw new TextError(last.line, column, `the record ends here, expected ${what}`);
  }

  /** The last word, when there is one that has no place. */
  done(type: string): void {
    const extra = this.words[this.at];
    if (extra === undefined) return;
    throw new TextError(
      extra.line,
      extra.column,
      `'${extra.text}' behind the data, expected the end of the ${type} record`,
    );
  }

  name(what: string): string {
    return nameAt(this.next(what), this.origin);
  }

  integer(what: string, max: number): number {
    const word = this.next(what);
    const n = /^\d{1,10}$/.test(word.text) && !word.quoted ? Number(word.text) : -1;
    if (n < 0 || n > max) throw wrong(word, `'${word.text}' is no ${what}, expected 0 to ${max}`);
    return n;
  }

  /** Seconds, also with BIND's units: `1h30m`. */
  seconds(what: string): number {
    const word = this.next(what);
    const n = parseTtl(word.text);
    if (n === null) throw wrong(word, `'${word.text}' is no ${what}, expected seconds or a time such as 1h30m`);
    return n;
  }

  string(what: string): Uint8Array {
    const word = this.next(what);
    const bytes = bytesOf(word);
    if (bytes.length > 255) throw wrong(word, `a string of ${bytes.length} bytes, expected at most 255`);
    return bytes;
  }
}

export function wrong(word: Word, what: string): TextError {
  return new TextError(word.line, word.column, what);
}

/** The name that a word writes; `@` is the origin. */
export function nameAt(word: Word, origin: string): string {
  if (word.text === "@" && !word.quoted) return origin;
  try {
    return parseName(word.text, origin);
  } catch (e) {
    if (!(e instanceof NameError)) throw e;
    throw new TextError(word.line, word.column + e.at, e.message);
  }
}

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** `3600`, `1h30m` → seconds up to 2^31 - 1 (RFC 2181 §8); null for anything else. */
export function parseTtl(text: string): number | null {
  if (!/^(\d{1,10}|(\d{1,10}[smhdw])+)$/i.test(text)) return null;
  let total = 0;
  for (const m of text.matchAll(/(\d+)([smhdw]?)/gi)) total += Number(m[1]) * units[(m[2] || "s").toLowerCase()]!;
  return total <= 0x7fffffff ? total : null;
}

/** `2001:db8::1`, `::ffff:192.0.2.1` → 16 bytes (RFC 4291 §2.2); null for anything else. */
export function parseIpv6(text: string): Uint8Array | null {
  let rest = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(rest);
  if (dotted !== null) {
    const v4 = parseIpv4(dotted[2]!);
    if (v4 === null) return null;
    rest = `${dotted[1]}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  }
  const halves = rest.split("::");
  if (halves.length > 2) return null;
  const groups = halves.map((h) => (h === "" ? [] : h.split(":")));
  if (groups.some((g) => g.some((x) => !/^[0-9a-f]{1,4}$/i.test(x)))) return null;
  const n = groups.reduce((sum, g) => sum + g.length, 0);
  if (halves.length === 1 ? n !== 8 : n > 7) return null;
  const all = [...groups[0]!, ...Array.from({ length: 8 - n }, () => "0"), ...(groups[1] ?? [])];
  return Uint8Array.from(all.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]));
}

/** A string on the wire: its length in front. */
function prefixed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(bytes.length, ...bytes);
}

/** Reads the data of `type`; throws `TextError`. */
export function readRdata(type: number, words: Words): DnsData {
  const first = words.peek();
  if (first !== undefined && first.text === "\\#" && !first.quoted) return readGeneric(type, words);
  const data = readKnown(type, words);
  words.done(typeText(type));
  return data;
}

function readKnown(type: number, words: Words): DnsData {
  switch (type) {
    case Type.A: {
      const word = words.next("an IPv4 address");
      const address = parseIpv4(word.text);
      if (address === null) throw wrong(word, `'${word.text}' is no IPv4 address, expected one such as 192.0.2.1`);
      return { type: "A", address };
    }
    case Type.AAAA: {
      const word = words.next("an IPv6 address");
      const address = parseIpv6(word.text);
      if (address === null) throw wrong(word, `'${word.text}' is no IPv6 address, expected one such as 2001:db8::1`);
      return { type: "AAAA", address };
    }
    case Type.NS:
      return { type: "NS", target: words.name("the name of a server") };
    case Type.CNAME:
      return { type: "CNAME", target: words.name("the canonical name") };
    case Type.PTR:
      return { type: "PTR", target: words.name("a name") };
    case Type.MX:
      return {
        type: "MX",
        preference: words.integer("preference", 0xffff),
        exchange: words.name("the mail server's name"),
      };
    case Type.SRV:
      return {
        type: "SRV",
        priority: words.integer("priority", 0xffff),
        weight: words.integer("weight", 0xffff),
        port: words.integer("port", 0xffff),
        target: words.name("the target's name"),
      };
    case Type.SOA:
      return {
        type: "SOA",
        mname: words.name("the primary server's name"),
        rname: words.name("the mailbox of who is responsible"),
        serial: words.integer("serial", 0xffffffff),
        refresh: words.seconds("refresh time"),
        retry: words.seconds("retry time"),
        expire: words.seconds("expire time"),
        minimum: words.seconds("minimum"),
      };
    case Type.TXT: {
      const strings = [words.string("a string")];
      while (words.left > 0) strings.push(words.string("a string"));
      return { type: "TXT", strings };
    }
    case Type.HINFO: {
      const parts = [prefixed(words.string("the kind of machine")), prefixed(words.string("the operating system"))];
      return { type: `TYPE${type}`, rdata: Uint8Array.from(parts.flatMap((p) => Array.from(p))) };
    }
    case Type.SPF: {
      const out: number[] = [];
      do out.push(...prefixed(words.string("a string")));
      while (words.left > 0);
      return { type: `TYPE${type}`, rdata: Uint8Array.from(out) };
    }
    case Type.CAA: {
      const flags = words.integer("flags", 255);
      const tag = words.next("a tag such as issue");
      if (!/^[a-z0-9]{1,15}$/i.test(tag.text)) throw wrong(tag, `'${tag.text}' is no tag, expected letters and digits`);
      const value = bytesOf(words.next("a value"));
      return { type: `TYPE${type}`, rdata: Uint8Array.of(flags, ...prefixed(bytesOf(tag)), ...value) };
    }
    default: {
      const word = words.next("\\#, a length and hexadecimal digits (RFC 3597)");
      throw wrong(
        word,
        `'${word.text}': ${typeText(type)} is read in the form of RFC 3597 only, expected \\# LENGTH HEX`,
      );
    }
  }
}

/** `\# 4 0A000001` (RFC 3597 §5), for known types as well. */
function readGeneric(type: number, words: Words): DnsData {
  const mark = words.next("\\#");
  const length = words.integer("length", 0xffff);
  let hex = "";
  while (words.left > 0) {
    const word = words.next("hexadecimal digits");
    if (!/^[0-9a-f]+$/i.test(word.text)) throw wrong(word, `'${word.text}' is no data, expected hexadecimal digits`);
    hex += word.text;
  }
  if (hex.length !== 2 * length) {
    throw wrong(mark, `the data has ${hex.length / 2} bytes, expected the ${length} that the record says`);
  }
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (d) => parseInt(d, 16));
  const data = fromWire(type, bytes);
  if (data === null) throw wrong(mark, `${typeText(type)} does not have such data, expected its format on the wire`);
  return data;
}

/** Data on the wire, names uncompressed; null where it has not the type's format. */
function fromWire(type: number, bytes: Uint8Array): DnsData | null {
  const view = new DataView(bytes.buffer);
  let at = 0;
  const name = (): string | null => {
    const labels: string[] = [];
    for (;;) {
      const n = bytes[at++];
      if (n === undefined || n > 63 || at + n > bytes.length) return null;
      if (n === 0) return labels.length === 0 ? "." : labels.join(".");
      labels.push(labelText(bytes.subarray(at, at + n)));
      at += n;
    }
  };
  const target = (): string | null => {
    const t = name();
    return at === bytes.length ? t : null;
  };
  switch (type) {
    case Type.A:
      return bytes.length === 4 ? { type: "A", address: view.getUint32(0) } : null;
    case Type.AAAA:
      return bytes.length === 16 ? { type: "AAAA", address: bytes } : null;
    case Type.NS:
    case Type.CNAME:
    case Type.PTR: {
      const t = target();
      return t === null ? null : { type: typeText(type) as "NS" | "CNAME" | "PTR", target: t };
    }
    case Type.MX: {
      at = 2;
      const exchange = bytes.length < 3 ? null : target();
      return exchange === null ? null : { type: "MX", preference: view.getUint16(0), exchange };
    }
    case Type.SRV: {
      at = 6;
      const t = bytes.length < 7 ? null : target();
      if (t === null) return null;
      return {
        type: "SRV",
        priority: view.getUint16(0),
        weight: view.getUint16(2),
        port: view.getUint16(4),
        target: t,
      };
    }
    case Type.SOA: {
      const mname = name();
      const rname = mname === null ? null : name();
      if (mname === null || rname === null || at + 20 !== bytes.length) return null;
      const [serial, refresh, retry, expire, minimum] = [0, 4, 8, 12, 16].map((i) => view.getUint32(at + i));
      return {
        type: "SOA",
        mname,
        rname,
        serial: serial!,
        refresh: refresh!,
        retry: retry!,
        expire: expire!,
        minimum: minimum!,
      };
    }
    case Type.TXT: {
      const strings: Uint8Array[] = [];
      while (at < bytes.length) {
        const n = bytes[at]!;
        if (at + 1 + n > bytes.length) return null;
        strings.push(bytes.slice(at + 1, at + 1 + n));
        at += 1 + n;
      }
      return strings.length === 0 ? null : { type: "TXT", strings };
    }
    default:
      return { type: `TYPE${type}`, rdata: bytes };
  }
}
