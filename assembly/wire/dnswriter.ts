// assembly/wire/dnswriter.ts: writing DNS messages with name compression, RFC 1035 §4.1.4.
//
// A suffix of a name becomes a pointer when the same labels, letter case included, stand at an offset below 0x4000;
// the earliest place wins. So equal messages give equal bytes, and a name keeps its case.

import { get16, get8, set16, set32 } from "../bytes.ts";
import { DnsWriter } from "./dnstypes.ts";
import { HEADER_LEN } from "./dns.ts";

const TABLE_MAX: u32 = 1024;
const POINTER_MAX: u32 = 0x4000;

/** Begins a message of at most `capacity` bytes at `message`; false when not even a header fits. */
export function begin(w: usize, message: usize, capacity: u32, id: u32, flags: u32): bool {
  if (capacity < HEADER_LEN) return false;
  store<u32>(w, <u32>message, DnsWriter.Message);
  store<u32>(w, capacity > 65535 ? 65535 : capacity, DnsWriter.Capacity);
  store<u32>(w, HEADER_LEN, DnsWriter.At);
  store<u32>(w, 0, DnsWriter.Labels);
  memory.fill(message, 0, HEADER_LEN);
  set16(message, 0, id);
  set16(message, 2, flags);
  return true;
}

/** Bytes written so far: the message's length. */
export function length(w: usize): u32 {
  return load<u32>(w, DnsWriter.At);
}

/** Gives up or takes back room at the end: what is kept for an OPT record while the others are written. */
export function setCapacity(w: usize, capacity: u32): void {
  store<u32>(w, capacity > 65535 ? 65535 : capacity, DnsWriter.Capacity);
}

/** A question; `name` is expanded. False when it does not fit: nothing is written then. */
export function putQuestion(w: usize, name: usize, type: u32, cls: u32): bool {
  open(w, 4);
  if (!putName(w, name, true) || !put16(w, type) || !put16(w, cls)) return abandon(w);
  return count(w);
}

/**
 * Opens a record in the section whose count stands at byte `section` of the header (6 answers, 8 authorities,
 * 10 additionals). Its data follows, then `endRecord`. False when it does not fit: nothing is written then.
 */
export function beginRecord(w: usize, section: u32, name: usize, type: u32, cls: u32, ttl: u32): bool {
  open(w, section);
  if (!putName(w, name, true) || !put16(w, type) || !put16(w, cls) || !put32(w, ttl)) return abandon(w);
  store<u32>(w, load<u32>(w, DnsWriter.At), DnsWriter.RdLength);
  return put16(w, 0) ? true : abandon(w);
}

/** Closes the record: its RDLENGTH, and the section's count. */
export function endRecord(w: usize): bool {
  const message: usize = load<u32>(w, DnsWriter.Message);
  const at = load<u32>(w, DnsWriter.RdLength);
  set16(message, at, load<u32>(w, DnsWriter.At) - at - 2);
  return count(w);
}

/** Takes the open record back, with the labels that it taught. Always false. */
export function abandon(w: usize): bool {
  store<u32>(w, load<u32>(w, DnsWriter.Start), DnsWriter.At);
  store<u32>(w, load<u32>(w, DnsWriter.StartLabels), DnsWriter.Labels);
  return false;
}

export function put16(w: usize, v: u32): bool {
  const at = reserve(w, 2);
  if (at == 0) return false;
  set16(at, 0, v);
  return true;
}

export function put32(w: usize, v: u32): bool {
  const at = reserve(w, 4);
  if (at == 0) return false;
  set32(at, 0, v);
  return true;
}

export function putBytes(w: usize, from: usize, n: u32): bool {
  const at = reserve(w, n);
  if (at == 0) return false;
  memory.copy(at, from, n);
  return true;
}

/**
 * An expanded name. `compress` is for owners and the names in the data of RFC 1035's types; those of later types,
 * SRV's target with them, are written out (RFC 3597 §4, RFC 2782).
 */
export function putName(w: usize, name: usize, compress: bool): bool {
  const message: usize = load<u32>(w, DnsWriter.Message);
  let n = get8(name, 0);
  while (n != 0) {
    if (compress) {
      const target = find(w, message, name);
      if (target != 0) return put16(w, 0xc000 | target);
    }
    const offset = load<u32>(w, DnsWriter.At);
    if (!putBytes(w, name, n + 1)) return false;
    learn(w, offset);
    name += n + 1;
    n = get8(name, 0);
  }
  return putBytes(w, name, 1);
}

function open(w: usize, section: u32): void {
  store<u32>(w, load<u32>(w, DnsWriter.At), DnsWriter.Start);
  store<u32>(w, load<u32>(w, DnsWriter.Labels), DnsWriter.StartLabels);
  store<u32>(w, section, DnsWriter.Count);
}

function count(w: usize): bool {
  const message: usize = load<u32>(w, DnsWriter.Message);
  const at = load<u32>(w, DnsWriter.Count);
  set16(message, at, get16(message, at) + 1);
  return true;
}

/** The address of `n` new bytes, 0 when they do not fit. */
function reserve(w: usize, n: u32): usize {
  const at = load<u32>(w, DnsWriter.At);
  if (n > 65535 || at + n > load<u32>(w, DnsWriter.Capacity)) return 0;
  store<u32>(w, at + n, DnsWriter.At);
  return <usize>load<u32>(w, DnsWriter.Message) + at;
}

function learn(w: usize, offset: u32): void {
  const n = load<u32>(w, DnsWriter.Labels);
  if (offset >= POINTER_MAX || n == TABLE_MAX) return;
  store<u16>(w + (n << 1), <u16>offset, DnsWriter.Table);
  store<u32>(w, n + 1, DnsWriter.Labels);
}

/** The earliest offset where the labels of `name` stand, 0 for none. */
function find(w: usize, message: usize, name: usize): u32 {
  const n = load<u32>(w, DnsWriter.Labels);
  const end = load<u32>(w, DnsWriter.At);
  for (let i: u32 = 0; i < n; i++) {
    const offset: u32 = load<u16>(w + (i << 1), DnsWriter.Table);
    if (same(message, offset, end, name)) return offset;
  }
  return 0;
}

/** Whether the name at `offset` of what was written up to `end` is `name`. A name still being written has no root. */
function same(message: usize, offset: u32, end: u32, name: usize): bool {
  while (offset < end) {
    const n = get8(message, offset);
    if (n >= 0xc0) {
      offset = get16(message, offset) & 0x3fff;
      continue;
    }
    if (n != get8(name, 0) || memory.compare(message + offset + 1, name + 1, n) != 0) return false;
    if (n == 0) return true;
    offset += n + 1;
    name += n + 1;
  }
  return false;
}
