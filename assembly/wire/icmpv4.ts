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

const TYPE: usize = 0;
const CODE: usize = 1;
const CHECKSUM: usize = 2;
const REST: usize = 4;
const IDENT: usize = 4;
const SEQ: usize = 6;
const MTU: usize = 6;

/** After `None`, no accessor reads past `len`. */
export function check(p: usize, len: u32): Drop {
  return len < HEADER_LEN ? Drop.Truncated : Drop.None;
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
/** Messages that quote the packet they are about (RFC 1122 §3.2.2). */
export function isError(type: u32): bool {
  return type == UNREACHABLE || type == SOURCE_QUENCH || type == REDIRECT || type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

export function setIdent(p: usize, v: u32): void {
  set16(p, IDENT, v);
}
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
