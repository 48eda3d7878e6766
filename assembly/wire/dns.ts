// assembly/wire/dns.ts: DNS messages, RFC 1035 §4; AAAA RFC 3596, SRV RFC 2782, OPT RFC 6891.
//
//     0    2       4         6         8         10        12
//     | id | flags | qdcount | ancount | nscount | arcount | questions, answers, authorities, additionals
//
// Offsets count from the message's first byte. A function that can fail answers a negative `Drop`.

import { get8, get16, get32, set16 } from "../bytes.ts";
import { Drop } from "../drop.ts";
import { DnsClass, DnsRr, DnsType } from "./dnstypes.ts";

export const HEADER_LEN: u32 = 12;
/** A name on the wire, its root label included (RFC 1035 §3.1). */
export const NAME_MAX: u32 = 255;
/** A name has no more labels than this; with more pointers some lead to nothing but pointers, to burn time. */
const HOPS_MAX: u32 = 127;

const ID: usize = 0;
const FLAGS: usize = 2;
const QDCOUNT: usize = 4;
const ANCOUNT: usize = 6;
const NSCOUNT: usize = 8;
const ARCOUNT: usize = 10;

/**
 * The whole message: every name, every record, the data of the known types. After `None` the readers below succeed
 * on each part. Bytes behind the last record are left alone, as BIND does.
 */
export function check(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  if (len > 65535) return Drop.BadLength;
  let at: i32 = HEADER_LEN;
  for (let i: u32 = get16(p, QDCOUNT); i > 0; i--) {
    at = skipName(p, len, at);
    if (at < 0) return <Drop>-at;
    at += 4;
    if (<u32>at > len) return Drop.Truncated;
  }
  let opts: u32 = 0;
  for (let section: usize = ANCOUNT; section <= ARCOUNT; section += 2) {
    for (let i: u32 = get16(p, section); i > 0; i--) {
      const owner = at;
      at = skipName(p, len, at);
      if (at < 0) return <Drop>-at;
      if (<u32>at + 10 > len) return Drop.Truncated;
      const type = get16(p, at);
      const rdLength = get16(p, at + 8);
      if (<u32>at + 10 + rdLength > len) return Drop.Truncated;
      if (type == DnsType.OPT) {
        // one at most, with the root as its owner, among the additionals (RFC 6891 §6.1.1)
        if (opts++ != 0 || section != ARCOUNT || get8(p, owner) != 0) return Drop.BadOption;
      }
      const bad = checkRdata(p, len, type, get16(p, at + 2), at + 10, rdLength);
      if (bad != Drop.None) return bad;
      at += 10 + rdLength;
    }
  }
  return Drop.None;
}

export function id(p: usize): u32 {
  return get16(p, ID);
}
export function flags(p: usize): u32 {
  return get16(p, FLAGS);
}
export function qdcount(p: usize): u32 {
  return get16(p, QDCOUNT);
}
export function ancount(p: usize): u32 {
  return get16(p, ANCOUNT);
}
export function nscount(p: usize): u32 {
  return get16(p, NSCOUNT);
}
export function arcount(p: usize): u32 {
  return get16(p, ARCOUNT);
}

export function setId(p: usize, v: u32): void {
  set16(p, ID, v);
}
export function setFlags(p: usize, v: u32): void {
  set16(p, FLAGS, v);
}

/** Writes the question at `at` as `DnsRr` words (Name, Type, Class); the offset behind it. */
export function question(p: usize, len: u32, at: u32, out: usize): i32 {
  const next = skipName(p, len, at);
  if (next < 0) return next;
  if (<u32>next + 4 > len) return -Drop.Truncated;
  store<u32>(out, at, DnsRr.Name);
  store<u32>(out, get16(p, next), DnsRr.Type);
  store<u32>(out, get16(p, next + 2), DnsRr.Class);
  return next + 4;
}

/** Writes the record at `at` as `DnsRr` words; the offset behind it. The data itself is not looked into. */
export function record(p: usize, len: u32, at: u32, out: usize): i32 {
  const next = skipName(p, len, at);
  if (next < 0) return next;
  if (<u32>next + 10 > len) return -Drop.Truncated;
  const rdLength = get16(p, next + 8);
  if (<u32>next + 10 + rdLength > len) return -Drop.Truncated;
  store<u32>(out, at, DnsRr.Name);
  store<u32>(out, get16(p, next), DnsRr.Type);
  store<u32>(out, get16(p, next + 2), DnsRr.Class);
  store<u32>(out, get32(p, next + 4), DnsRr.Ttl);
  store<u32>(out, next + 10, DnsRr.Rdata);
  store<u32>(out, rdLength, DnsRr.RdLength);
  return next + 10 + rdLength;
}

/**
 * The name at `at`, expanded into `out` (255 bytes, labels with their lengths, the root at the end). The answer holds
 * the offset behind the name in its low 16 bits and the expanded length above them.
 *
 * A pointer leads to a prior place (RFC 1035 §4.1.4): in front of the name, each further one in front of the last, and
 * behind the header. So no name loops.
 */
export function name(p: usize, len: u32, at: u32, out: usize): i32 {
  return walk(p, len, at, out);
}

/** The offset behind the name at `at`. */
export function skipName(p: usize, len: u32, at: u32): i32 {
  const r = walk(p, len, at, 0);
  return r < 0 ? r : r & 0xffff;
}

function walk(p: usize, len: u32, at: u32, out: usize): i32 {
  let limit = at;
  let end: u32 = 0;
  let total: u32 = 0;
  let hops: u32 = 0;
  while (true) {
    if (at >= len) return -Drop.Truncated;
    const n = get8(p, at);
    if (n < 64) {
      total += n + 1;
      if (total > NAME_MAX) return -Drop.BadName;
      if (at + 1 + n > len) return -Drop.Truncated;
      if (out != 0) memory.copy(out + total - n - 1, p + at, n + 1);
      at += n + 1;
      if (n != 0) continue;
      return ((end == 0 ? at : end) | (total << 16)) as i32;
    }
    // 01 and 10 are no labels of RFC 1035; the extended ones of RFC 2673 are withdrawn (RFC 6891 §5)
    if (n < 0xc0) return -Drop.BadName;
    if (at + 2 > len) return -Drop.Truncated;
    if (end == 0) end = at + 2;
    at = get16(p, at) & 0x3fff;
    if (at >= limit || at < HEADER_LEN || ++hops > HOPS_MAX) return -Drop.BadName;
    limit = at;
  }
}

/** Whether the data of a known type has its shape; the data of the others is opaque (RFC 3597 §5). */
export function checkRdata(p: usize, len: u32, type: u32, cls: u32, at: u32, rdLength: u32): Drop {
  const end = at + rdLength;
  // RFC 2136 §2.4: in an update's prerequisites and deletions the data is empty
  if (rdLength == 0 && (cls == DnsClass.ANY || cls == DnsClass.NONE)) return Drop.None;
  switch (type) {
    case DnsType.A:
      return cls == DnsClass.IN && rdLength != 4 ? Drop.BadLength : Drop.None;
    case DnsType.AAAA:
      return cls == DnsClass.IN && rdLength != 16 ? Drop.BadLength : Drop.None;
    case DnsType.NS:
    case DnsType.CNAME:
    case DnsType.PTR:
      return nameWithin(p, len, at, end, 0);
    case DnsType.MX:
      return nameWithin(p, len, at + 2, end, 0);
    case DnsType.SRV:
      return cls == DnsClass.IN ? nameWithin(p, len, at + 6, end, 0) : Drop.None;
    case DnsType.SOA: {
      const next = skipName(p, len, at);
      if (next < 0) return <Drop>-next;
      return nameWithin(p, len, next, end, 20);
    }
    case DnsType.TXT:
      if (rdLength == 0) return Drop.BadLength;
      while (at < end) at += 1 + get8(p, at);
      return at == end ? Drop.None : Drop.BadLength;
    case DnsType.OPT:
      while (at < end) {
        if (at + 4 > end) return Drop.BadOption;
        at += 4 + get16(p, at + 2);
      }
      return at == end ? Drop.None : Drop.BadOption;
    default:
      return Drop.None;
  }
}

/** A name that starts at `at` and leaves exactly `tail` bytes up to `end`. */
function nameWithin(p: usize, len: u32, at: u32, end: u32, tail: u32): Drop {
  if (at >= end) return Drop.BadLength;
  const next = skipName(p, len, at);
  if (next < 0) return <Drop>-next;
  return <u32>next + tail == end ? Drop.None : Drop.BadLength;
}

/**
 * The name at `wire` (expanded, of `len` bytes) in RFC 1035 §5.1's presentation format, without the last dot; the root
 * is `.`. `out` has room for 1,020 bytes. Answers the length of the text.
 */
export function nameToText(wire: usize, len: u32, out: usize): u32 {
  if (len <= 1) {
    store<u8>(out, 0x2e);
    return 1;
  }
  let o = out;
  let at: u32 = 0;
  while (true) {
    const n = get8(wire, at++);
    if (n == 0 || at + n > len) break;
    if (o != out) store<u8>(o++, 0x2e);
    for (const end = at + n; at < end; at++) {
      const c = get8(wire, at);
      if (c <= 0x20 || c >= 0x7f) {
        store<u8>(o, 0x5c);
        store<u8>(o, <u8>(0x30 + c / 100), 1);
        store<u8>(o, <u8>(0x30 + ((c / 10) % 10)), 2);
        store<u8>(o, <u8>(0x30 + (c % 10)), 3);
        o += 4;
      } else {
        if (isSpecial(c)) store<u8>(o++, 0x5c);
        store<u8>(o++, <u8>c);
      }
    }
  }
  return <u32>(o - out);
}

/** What a master file gives a meaning to: `"` `$` `(` `)` `.` `;` `@` and the backslash. */
function isSpecial(c: u32): bool {
  return c == 0x22 || c == 0x24 || c == 0x28 || c == 0x29 || c == 0x2e || c == 0x3b || c == 0x40 || c == 0x5c;
}

/**
 * The reverse: text of `len` bytes, with or without its last dot, into `out` (255 bytes); the length on the wire.
 * `\X` stands for X, `\DDD` for the byte of that decimal number (RFC 4343 §2.1).
 */
export function nameFromText(text: usize, len: u32, out: usize): i32 {
  if (len == 0) return -Drop.BadName;
  if (len == 1 && get8(text, 0) == 0x2e) {
    store<u8>(out, 0);
    return 1;
  }
  let label: u32 = 0;
  let o: u32 = 1;
  for (let at: u32 = 0; at < len; at++) {
    let c = get8(text, at);
    if (c <= 0x20 || c >= 0x7f) return -Drop.BadName;
    if (c == 0x2e) {
      if (o == label + 1) return -Drop.BadName;
      store<u8>(out + label, <u8>(o - label - 1));
      if (at + 1 == len) break;
      label = o++;
      continue;
    }
    if (c == 0x5c) {
      if (++at == len) return -Drop.BadName;
      c = get8(text, at);
      if (isDigit(c)) {
        if (at + 2 >= len) return -Drop.BadName;
        const tens = get8(text, at + 1);
        const ones = get8(text, at + 2);
        if (!isDigit(tens) || !isDigit(ones)) return -Drop.BadName;
        c = (c - 0x30) * 100 + (tens - 0x30) * 10 + (ones - 0x30);
        if (c > 255) return -Drop.BadName;
        at += 2;
      }
    }
    // 63 bytes to a label, 254 in front of the root
    if (o - label > 63 || o >= NAME_MAX - 1) return -Drop.BadName;
    store<u8>(out + o, <u8>c);
    o++;
  }
  if (o - label > 1) store<u8>(out + label, <u8>(o - label - 1));
  store<u8>(out + o, 0);
  return o + 1;
}

function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}
