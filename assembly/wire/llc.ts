// assembly/wire/llc.ts: logical link control, IEEE 802.2, behind an 802.3 length; SNAP, RFC 1042.
//
//     0      1      2         3     6             8
//     | DSAP | SSAP | control | OUI | type (SNAP) | data      control: one byte when its low bits are 11, else two

import { get16, get8, set16, set8 } from "../bytes.ts";
import { Drop } from "../drop.ts";

/** With a control field of one byte; a numbered frame (I, S) has one byte more. */
export const HEADER_LEN: u32 = 3;
export const SNAP_LEN: u32 = 8;
export const SAP_STP: u32 = 0x42;
export const SAP_SNAP: u32 = 0xaa;
/** Unnumbered information. */
export const UI: u32 = 0x03;

const DSAP: usize = 0;
const SSAP: usize = 1;
const CONTROL: usize = 2;
const OUI: usize = 3;
const TYPE: usize = 6;

/** `len` is what the 802.3 length says. After `None`, no accessor of the fields that the header has reads past `len`. */
export function check(p: usize, len: u32): Drop {
  if (len < HEADER_LEN) return Drop.Truncated;
  return len < headerLen(p) ? Drop.Truncated : Drop.None;
}

export function dsap(p: usize): u32 {
  return get8(p, DSAP);
}
export function ssap(p: usize): u32 {
  return get8(p, SSAP);
}
/** The low byte of the control field. */
export function control(p: usize): u32 {
  return get8(p, CONTROL);
}
/** Unnumbered information between two SNAP SAPs: OUI and type follow. */
export function isSnap(p: usize): bool {
  return get16(p, DSAP) == ((SAP_SNAP << 8) | SAP_SNAP) && get8(p, CONTROL) == UI;
}
/** Bytes before the data, SNAP's five included. */
export function headerLen(p: usize): u32 {
  if (isSnap(p)) return SNAP_LEN;
  return (get8(p, CONTROL) & 3) == 3 ? HEADER_LEN : HEADER_LEN + 1;
}
/** Of a SNAP header: who numbers the types (0: EtherTypes), and the type. */
export function oui(p: usize): u32 {
  return (get8(p, OUI) << 16) | get16(p, OUI + 1);
}
export function type(p: usize): u32 {
  return get16(p, TYPE);
}

/** Writes a header of three bytes (an unnumbered frame). */
export function emit(p: usize, dsap: u32, ssap: u32, control: u32): void {
  set8(p, DSAP, dsap);
  set8(p, SSAP, ssap);
  set8(p, CONTROL, control);
}

/** Writes a header of eight bytes: SNAP (RFC 1042 has OUI 0). */
export function emitSnap(p: usize, oui: u32, type: u32): void {
  emit(p, SAP_SNAP, SAP_SNAP, UI);
  set8(p, OUI, oui >> 16);
  set16(p, OUI + 1, oui);
  set16(p, TYPE, type);
}
