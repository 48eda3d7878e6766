// assembly/wire/icmpv4.ts: ICMP, RFC 792; fragmentation needed with its MTU, RFC 1191 §4.
//
//     0      1      2          4                8
//     | type | code | checksum | rest of header | quoted packet or data

import { get16, get32, get8, set16, set32, set8 } from "../bytes.ts";
import { checksum as sumOf } from "../checksum.ts";
import { Drop } from "../drop.ts";

export const HEADER_LEN: u32 = 8;
export const PROTO: u32 = 1;
export const ECHO_REPLY: u32 = 0;
export const UNREACHABLE: u32 = 3;
export const SOURCE_QUENCH: u32 = 4;
export const REDIRECT: u32 = 5;
export const ECHO: u32 = 8;
export const TIME_EXCEEDED: u32 = 11;
export const PARAMETER_PROBLEM: u32 = 12;
export const TIMESTAMP: u32 = 13;
export const TIMESTAMP_REPLY: u32 = 14;

/** A timestamp or its reply: three times of four bytes, ms since midnight UTC. */
export const TIMESTAMP_LEN: u32 = 20;

const TYPE: usize = 0;
const CODE: usize = 1;
const CHECKSUM: usize = 2;
const REST: usize = 4;
const IDENT: usize = 4;
const SEQ: usize = 6;
const MTU: usize = 6;
const POINTER: usize = 4;
const ORIGINATE: usize = 8;
const RECEIVE: usize = 12;
const TRANSMIT: usize = 16;
/** An IPv4 header without options. */
const QUOTED_MIN: u32 = 20;

/** After `None`, no accessor reads past `len`. */
export function check(p: usize, len: u32): Drop {
  return len < HEADER_LEN ? Drop.Truncated : Drop.None;
}
/** After `None`, the three times of a timestamp message lie inside of `len`. */
export function checkTimestamp(p: usize, len: u32): Drop {
  return len < TIMESTAMP_LEN ? Drop.Truncated : Drop.None;
}
/** After `None`, the whole IPv4 header that an error quotes lies inside of `len`; its checksum and length are not looked at. */
export function checkQuoted(p: usize, len: u32): Drop {
  if (len < HEADER_LEN + QUOTED_MIN) return Drop.Truncated;
  const first = get8(p, HEADER_LEN);
  if (first >> 4 != 4) return Drop.BadVersion;
  const n = (first & 15) << 2;
  if (n < QUOTED_MIN) return Drop.BadHeaderLength;
  return HEADER_LEN + n > len ? Drop.Truncated : Drop.None;
}
/** Whether the checksum verifies over the `len` bytes of the message. */
export function verify(p: usize, len: u32): bool {
  return sumOf(p, len) == 0;
}

export function type(p: usize): u32 {
  return get8(p, TYPE);
}
export function code(p: usize): u32 {
  return get8(p, CODE);
}
export function checksum(p: usize): u32 {
  return get16(p, CHECKSUM);
}
export function ident(p: usize): u32 {
  return get16(p, IDENT);
}
export function seq(p: usize): u32 {
  return get16(p, SEQ);
}
/** Next-hop MTU of "fragmentation needed". */
export function mtu(p: usize): u32 {
  return get16(p, MTU);
}
/** Gateway of a redirect. */
export function gateway(p: usize): u32 {
  return get32(p, REST);
}
/** Offset in the quoted packet that a parameter problem is about. */
export function pointer(p: usize): u32 {
  return get8(p, POINTER);
}
/** Address of the packet that an error quotes. */
export function quoted(p: usize): usize {
  return p + HEADER_LEN;
}
export function originate(p: usize): u32 {
  return get32(p, ORIGINATE);
}
export function receive(p: usize): u32 {
  return get32(p, RECEIVE);
}
export function transmit(p: usize): u32 {
  return get32(p, TRANSMIT);
}
/** Messages that quote the packet they are about (RFC 1122 §3.2.2). */
export function isError(type: u32): bool {
  return (
    type == UNREACHABLE ||
    type == SOURCE_QUENCH ||
    type == REDIRECT ||
    type == TIME_EXCEEDED ||
    type == PARAMETER_PROBLEM
  );
}

export function setIdent(p: usize, v: u32): void {
  set16(p, IDENT, v);
}
export function setSeq(p: usize, v: u32): void {
  set16(p, SEQ, v);
}
/** Sums the message of `len` bytes. */
export function fillChecksum(p: usize, len: u32): void {
  set16(p, CHECKSUM, 0);
  set16(p, CHECKSUM, sumOf(p, len));
}

/** Writes the header with checksum 0; `rest` is the second word. */
export function emit(p: usize, type: u32, code: u32, rest: u32): void {
  set8(p, TYPE, type);
  set8(p, CODE, code);
  set16(p, CHECKSUM, 0);
  set32(p, REST, rest);
}

/** Writes the header of an echo or of its reply, checksum 0: the data may follow; `fillChecksum` when they stand. */
export function emitEcho(p: usize, type: u32, ident: u32, seq: u32): void {
  emit(p, type, 0, (ident << 16) | (seq & 0xffff));
}

/** Writes a whole timestamp message of 20 bytes with its checksum. */
export function emitTimestamp(
  p: usize,
  type: u32,
  ident: u32,
  seq: u32,
  originate: u32,
  receive: u32,
  transmit: u32,
): void {
  emitEcho(p, type, ident, seq);
  set32(p, ORIGINATE, originate);
  set32(p, RECEIVE, receive);
  set32(p, TRANSMIT, transmit);
  fillChecksum(p, TIMESTAMP_LEN);
}

/**
 * Writes a whole message with its checksum: `rest` is the second word (an error's MTU, gateway or pointer), `from` the
 * `len` bytes of data or of the quoted packet.
 */
export function emitMessage(p: usize, type: u32, code: u32, rest: u32, from: usize, len: u32): void {
  emit(p, type, code, rest);
  memory.copy(p + HEADER_LEN, from, len);
  fillChecksum(p, HEADER_LEN + len);
}
