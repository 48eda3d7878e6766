// src/core/dns.ts: DNS messages as TypeScript makes and reads them. The bytes are read and written in the core.

import { Drop } from "../../assembly/drop.ts";
import { DnsClass, DnsRr, DnsType, DnsWriter } from "../../assembly/wire/dnstypes.ts";
import type { Core } from "./core.ts";

/** A type by its mnemonic, or as RFC 3597 §5 writes those without one. */
export type DnsTypeName = keyof typeof DnsType | `TYPE${number}`;

export interface DnsQuestion {
  readonly name: string;
  readonly type: DnsTypeName;
  readonly class: number;
}

export interface DnsOption {
  readonly code: number;
  readonly data: Uint8Array;
}

/** What a record holds. Addresses are numbers in host order, as in `address.ts`. */
export type DnsData =
  | { readonly type: "A"; readonly address: number }
  | { readonly type: "AAAA"; readonly address: Uint8Array }
  | { readonly type: "CNAME" | "NS" | "PTR"; readonly target: string }
  | { readonly type: "MX"; readonly preference: number; readonly exchange: string }
  | { readonly type: "TXT"; readonly strings: readonly Uint8Array[] }
  | {
      readonly type: "SOA";
      readonly mname: string;
      readonly rname: string;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    }
  | {
      readonly type: "SRV";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  /** RFC 6891 §6.1.3: the class is the sender's UDP payload size, the TTL holds extended RCODE, version and DO. */
  | { readonly type: "OPT"; readonly options: readonly DnsOption[] }
  | { readonly type: `TYPE${number}`; readonly rdata: Uint8Array };

/** Names are in presentation format (RFC 1035 §5.1) without the last dot; the root is `.`. */
export type DnsRecord = { readonly name: string; readonly class: number; readonly ttl: number } & DnsData;

export interface DnsFlags {
  /** Response. */
  readonly qr: boolean;
  readonly opcode: number;
  readonly aa: boolean;
  readonly tc: boolean;
  readonly rd: boolean;
  readonly ra: boolean;
  /** The reserved bit. */
  readonly z: boolean;
  readonly ad: boolean;
  readonly cd: boolean;
  readonly rcode: number;
}

export interface DnsMessage extends DnsFlags {
  readonly id: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** A message that breaks its format; `drop` says how. */
export class DnsError extends Error {
  readonly drop: Drop;
  constructor(drop: Drop) {
    super(`malformed DNS message: ${Drop[drop] ?? drop}`);
    this.drop = drop;
  }
}

/** | message 65,536 | expanded name 256 | text 1,056 | record words | writer | */
interface Scratch {
  readonly message: number;
  readonly wire: number;
  readonly text: number;
  readonly words: number;
  readonly writer: number;
}

const MESSAGE_MAX = 65535;
const TEXT_MAX = 1056;
const scratches = new WeakMap<Core, Scratch>();

function scratchOf(core: Core): Scratch {
  const known = scratches.get(core);
  if (known !== undefined) return known;
  const message = core.x.alloc(65536);
  const rest = core.x.alloc(256 + TEXT_MAX + 32 + DnsWriter.Size);
  if (message === 0 || rest === 0) throw new Error("the core has no room for the DNS tables");
  const text = rest + 256;
  const s = { message, wire: rest, text, words: text + TEXT_MAX, writer: text + TEXT_MAX + 32 };
  scratches.set(core, s);
  return s;
}

/** Reads a message; throws `DnsError`. Bytes behind the last record are left alone. */
export function decodeDns(core: Core, bytes: Uint8Array): DnsMessage {
  if (bytes.length > MESSAGE_MAX) throw new DnsError(Drop.BadLength);
  const at = scratchOf(core).message;
  core.u8.set(bytes, at);
  return readDns(core, at, bytes.length);
}

/** Reads the message of `len` bytes at address `p` of the core; throws `DnsError`. */
export function readDns(core: Core, p: number, len: number): DnsMessage {
  const bad = core.x.dnsCheck(p, len);
  if (bad !== Drop.None) throw new DnsError(bad);
  const { words } = scratchOf(core);
  let at = 12;
  const questions: DnsQuestion[] = [];
  for (let n = core.x.dnsQdcount(p); n > 0; n--) {
    at = core.x.dnsQuestion(p, len, at, words);
    questions.push({
      name: readName(core, p, len, word(core, words, DnsRr.Name)),
      type: dnsTypeName(word(core, words, DnsRr.Type)),
      class: word(core, words, DnsRr.Class),
    });
  }
  const section = (n: number): DnsRecord[] => {
    const records: DnsRecord[] = [];
    for (; n > 0; n--) {
      at = core.x.dnsRecord(p, len, at, words);
      records.push(readRecord(core, p, len));
    }
    return records;
  };
  return {
    id: core.x.dnsId(p),
    ...dnsFlags(core.x.dnsFlags(p)),
    questions,
    answers: section(core.x.dnsAncount(p)),
    authorities: section(core.x.dnsNscount(p)),
    additionals: section(core.x.dnsArcount(p)),
  };
}

/** The name at offset `at` of the message at `p`, in presentation format; throws `DnsError`. */
export function readName(core: Core, p: number, len: number, at: number): string {
  const { wire, text } = scratchOf(core);
  const r = core.x.dnsName(p, len, at, wire);
  if (r < 0) throw new DnsError(-r);
  const n = core.x.dnsNameToText(wire, r >>> 16, text);
  return String.fromCharCode(...core.u8.subarray(text, text + n));
}

/** The header's second word in its fields (RFC 1035 §4.1.1, RFC 4035 §3.1.6 and §3.2.2). */
export function dnsFlags(flags: number): DnsFlags {
  const bit = (n: number): boolean => (flags & n) !== 0;
  return {
    qr: bit(0x8000),
    opcode: (flags >> 11) & 15,
    aa: bit(0x400),
    tc: bit(0x200),
    rd: bit(0x100),
    ra: bit(0x80),
    z: bit(0x40),
    ad: bit(0x20),
    cd: bit(0x10),
    rcode: flags & 15,
  };
}

/** The reverse of `dnsFlags`; what is left out is 0. */
export function dnsFlagsWord(f: Partial<DnsFlags>): number {
  const bit = (on: boolean | undefined, n: number): number => (on === true ? n : 0);
  return (
    bit(f.qr, 0x8000) |
    (((f.opcode ?? 0) & 15) << 11) |
    bit(f.aa, 0x400) |
    bit(f.tc, 0x200) |
    bit(f.rd, 0x100) |
    bit(f.ra, 0x80) |
    bit(f.z, 0x40) |
    bit(f.ad, 0x20) |
    bit(f.cd, 0x10) |
    ((f.rcode ?? 0) & 15)
  );
}

export function dnsTypeName(type: number): DnsTypeName {
  return (DnsType[type] as keyof typeof DnsType | undefined) ?? `TYPE${type}`;
}

/** `A` → 1, `TYPE65` → 65; throws for anything else. */
export function dnsTypeNumber(name: DnsTypeName): number {
  if (Object.hasOwn(DnsType, name) && !/^\d/.test(name)) return DnsType[name as keyof typeof DnsType];
  const m = /^TYPE(\d{1,5})$/.exec(name);
  const n = m === null ? -1 : Number(m[1]);
  if (n < 0 || n > 0xffff) throw new Error(`DNS type '${name}': expected a mnemonic or TYPE0 to TYPE65535`);
  return n;
}

function word(core: Core, words: number, at: DnsRr): number {
  return core.u32[(words + at) >> 2]!;
}

function readRecord(core: Core, p: number, len: number): DnsRecord {
  const { words } = scratchOf(core);
  const type = word(core, words, DnsRr.Type);
  const cls = word(core, words, DnsRr.Class);
  const at = word(core, words, DnsRr.Rdata);
  const length = word(core, words, DnsRr.RdLength);
  const name = readName(core, p, len, word(core, words, DnsRr.Name));
  const head = { name, class: cls, ttl: word(core, words, DnsRr.Ttl) };
  return { ...head, ...readData(core, p, len, type, cls, at, length) };
}

function readData(core: Core, p: number, len: number, type: number, cls: number, at: number, length: number): DnsData {
  const { view, u8 } = core;
  const bytes = (from: number, n: number): Uint8Array => u8.slice(p + from, p + from + n);
  // addresses and services have their shape in class IN; an update's empty data is opaque (RFC 2136 §2.4)
  const shaped = cls === DnsClass.IN || (type !== DnsType.A && type !== DnsType.AAAA && type !== DnsType.SRV);
  if (!shaped || (length === 0 && type !== DnsType.OPT)) return { type: `TYPE${type}`, rdata: bytes(at, length) };
  switch (type) {
    case DnsType.A:
      return { type: "A", address: view.getUint32(p + at) };
    case DnsType.AAAA:
      return { type: "AAAA", address: bytes(at, 16) };
    case DnsType.CNAME:
    case DnsType.NS:
    case DnsType.PTR:
      return { type: dnsTypeName(type) as "CNAME" | "NS" | "PTR", target: readName(core, p, len, at) };
    case DnsType.MX:
      return { type: "MX", preference: view.getUint16(p + at), exchange: readName(core, p, len, at + 2) };
    case DnsType.SRV:
      return {
        type: "SRV",
        priority: view.getUint16(p + at),
        weight: view.getUint16(p + at + 2),
        port: view.getUint16(p + at + 4),
        target: readName(core, p, len, at + 6),
      };
    case DnsType.SOA: {
      const second = core.x.dnsSkipName(p, len, at);
      const n = p + core.x.dnsSkipName(p, len, second);
      return {
        type: "SOA",
        mname: readName(core, p, len, at),
        rname: readName(core, p, len, second),
        serial: view.getUint32(n),
        refresh: view.getUint32(n + 4),
        retry: view.getUint32(n + 8),
        expire: view.getUint32(n + 12),
        minimum: view.getUint32(n + 16),
      };
    }
    case DnsType.TXT: {
      const strings: Uint8Array[] = [];
      for (let i = at; i < at + length; i += 1 + u8[p + i]!) strings.push(bytes(i + 1, u8[p + i]!));
      return { type: "TXT", strings };
    }
    case DnsType.OPT: {
      const options: DnsOption[] = [];
      for (let i = at; i < at + length;) {
        const n = view.getUint16(p + i + 2);
        options.push({ code: view.getUint16(p + i), data: bytes(i + 4, n) });
        i += 4 + n;
      }
      return { type: "OPT", options };
    }
    default:
      return { type: `TYPE${type}`, rdata: bytes(at, length) };
  }
}

/** A message to write: what is left out is 0, false or empty. */
export type DnsDraft = Partial<DnsMessage>;

/**
 * Writes a message of at most `limit` bytes, names compressed. Where an answer or an authority does not fit, the rest
 * is left out and TC is set; additionals that do not fit are left out silently (RFC 2181 §9), but never an OPT.
 * Throws for a name, a number or a string that has no place on the wire.
 */
export function encodeDns(core: Core, message: DnsDraft, limit = MESSAGE_MAX): Uint8Array {
  const s = scratchOf(core);
  const n = writeDns(core, message, s.message, limit);
  return core.u8.slice(s.message, s.message + n);
}

/** `encodeDns` into the core's memory at `p`; the length. */
export function writeDns(core: Core, message: DnsDraft, p: number, limit: number): number {
  const { x } = core;
  const w = scratchOf(core).writer;
  const capacity = Math.min(limit, MESSAGE_MAX);
  const flags = dnsFlagsWord(message);
  const begun = x.dnsBegin(w, p, capacity, within(message.id ?? 0, 0xffff, "id"), flags);
  if (!begun) throw new Error(`DNS message: ${limit} bytes hold no header`);
  const additionals = message.additionals ?? [];
  let kept = additionals.reduce((n, r) => n + optLength(r), 0);
  x.dnsSetCapacity(w, Math.max(0, capacity - kept));
  let whole = true;
  for (const q of message.questions ?? []) {
    const cls = within(q.class, 0xffff, "class");
    whole = whole && !!x.dnsPutQuestion(w, putText(core, q.name), dnsTypeNumber(q.type), cls);
  }
  for (const r of message.answers ?? []) whole = whole && writeRecord(core, w, 6, r);
  for (const r of message.authorities ?? []) whole = whole && writeRecord(core, w, 8, r);
  for (const r of additionals) {
    kept -= optLength(r);
    x.dnsSetCapacity(w, Math.max(0, capacity - kept));
    const fits = (whole || r.type === "OPT") && writeRecord(core, w, 10, r);
    if (r.type === "OPT" && !fits) throw new Error(`DNS message: ${limit} bytes do not hold its OPT record`);
  }
  if (!whole) x.dnsSetFlags(p, flags | 0x200);
  return x.dnsLength(w);
}

/** Bytes of an OPT record, 0 for others. */
function optLength(r: DnsRecord): number {
  return r.type === "OPT" ? r.options.reduce((n, o) => n + 4 + o.data.length, 11) : 0;
}

/** The address of the name, expanded. */
function putText(core: Core, name: string): number {
  const { wire, text } = scratchOf(core);
  if (name.length < TEXT_MAX) {
    for (let i = 0; i < name.length; i++) core.u8[text + i] = Math.min(name.charCodeAt(i), 0x80);
    if (core.x.dnsNameFromText(text, name.length, wire) > 0) return wire;
  }
  throw new Error(`DNS name '${name}': expected labels of 1 to 63 bytes, 255 in all, in printable ASCII`);
}

function within(n: number, max: number, what: string): number {
  if (!Number.isInteger(n) || n < 0 || n > max) throw new Error(`DNS ${what} ${n}: expected 0 to ${max}`);
  return n;
}

/** False when the record does not fit: the message is as it was. */
function writeRecord(core: Core, w: number, section: number, r: DnsRecord): boolean {
  const { x } = core;
  const cls = within(r.class, 0xffff, "class");
  const ttl = within(r.ttl, 0xffffffff, "TTL");
  if (!x.dnsBeginRecord(w, section, putText(core, r.name), dnsTypeNumber(r.type), cls, ttl)) return false;
  return !!(writeData(core, w, r) ? x.dnsEndRecord(w) : x.dnsAbandon(w));
}

function writeData(core: Core, w: number, r: DnsRecord): boolean {
  const { x } = core;
  const name = (text: string, compress: boolean): boolean => !!x.dnsPutName(w, putText(core, text), compress);
  const short = (n: number, what: string): boolean => !!x.dnsPut16(w, within(n, 0xffff, what));
  const long = (n: number, what: string): boolean => !!x.dnsPut32(w, within(n, 0xffffffff, what));
  switch (r.type) {
    case "A":
      return long(r.address, "address");
    case "AAAA":
      if (r.address.length !== 16) throw new Error(`DNS AAAA of ${r.address.length} bytes: expected 16`);
      return putBytes(core, w, r.address);
    case "CNAME":
    case "NS":
    case "PTR":
      return name(r.target, true);
    case "MX":
      return short(r.preference, "preference") && name(r.exchange, true);
    case "SRV":
      return (
        short(r.priority, "priority") && short(r.weight, "weight") && short(r.port, "port") && name(r.target, false)
      );
    case "SOA":
      return (
        name(r.mname, true) &&
        name(r.rname, true) &&
        long(r.serial, "serial") &&
        long(r.refresh, "refresh") &&
        long(r.retry, "retry") &&
        long(r.expire, "expire") &&
        long(r.minimum, "minimum")
      );
    case "TXT": {
      if (r.strings.length === 0) throw new Error("DNS TXT without a string: expected one or more (RFC 1035 §3.3.14)");
      const room = new Uint8Array(r.strings.reduce((n, s) => n + 1 + s.length, 0));
      let at = 0;
      for (const s of r.strings) {
        room[at] = within(s.length, 255, "string length");
        room.set(s, at + 1);
        at += 1 + s.length;
      }
      return putBytes(core, w, room);
    }
    case "OPT":
      return r.options.every(
        (o) => short(o.code, "option") && short(o.data.length, "option length") && putBytes(core, w, o.data),
      );
    default:
      return putBytes(core, w, r.rdata);
  }
}

/** Bytes reach the core in pieces as long as its text buffer. */
function putBytes(core: Core, w: number, bytes: Uint8Array): boolean {
  const { text } = scratchOf(core);
  for (let i = 0; i < bytes.length; i += TEXT_MAX) {
    const piece = bytes.subarray(i, i + TEXT_MAX);
    core.u8.set(piece, text);
    if (!core.x.dnsPutBytes(w, text, piece.length)) return false;
  }
  return true;
}
