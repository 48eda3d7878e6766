// assembly/walk.ts: a chunk of a capture file to columns: every whole packet record of it in one call.
//
// It takes what nearly all packets of all files are: pcap records, and pcapng's Enhanced and Simple Packet Blocks with no
// option but their flags. At anything else, damage as well, it stops in front: the capture's reader goes on from there and
// says what it is.

import { dissect } from "./dissect.ts";
import { CaptureFormat, Column, ColumnFlag, Walk, WalkInterface } from "./walklayout.ts";

const MAX_CAPTURED: u32 = 262144;
const MAX_BLOCK: u32 = 16777216;

const ENHANCED: u32 = 6;
const SIMPLE: u32 = 3;
/** A block's type and length in front and its length behind; with the fixed part of each of the two. */
const ENHANCED_LEN: u32 = 32;
const SIMPLE_LEN: u32 = 16;
const END_OF_OPTIONS: u32 = 0;
const FLAGS_OPTION: u32 = 2;

/** A field of the file in its byte order. */
// @ts-ignore: decorator
@inline
function word(p: usize, swap: bool): u32 {
  const v = load<u32>(p);
  return swap ? bswap<u32>(v) : v;
}

// @ts-ignore: decorator
@inline
function half(p: usize, swap: bool): u32 {
  const v = load<u16>(p);
  return swap ? bswap<u16>(v) : v;
}

// @ts-ignore: decorator
@inline
function put(rec: usize, seconds: f64, nanoseconds: u32, flags: u32): void {
  store<f64>(rec, seconds, Column.Seconds);
  store<u32>(rec, nanoseconds, Column.Nanoseconds);
  store<u32>(rec, flags, Column.Interface);
}

/** pcap (draft-ietf-opsawg-pcap): | seconds 4 | fraction 4 | captured 4 | original 4 | bytes ... | */
// @ts-ignore: decorator
@inline
function walkPcap(w: usize, swap: bool): u32 {
  const end = <usize>load<u32>(w, Walk.End);
  const limit = load<u32>(w, Walk.Limit);
  const header = load<u32>(w, Walk.HeaderLen);
  const table = <usize>load<u32>(w, Walk.Interfaces);
  const linkType = load<u32>(table, WalkInterface.LinkType);
  const units = load<u32>(table, WalkInterface.Units);
  const scale: u32 = 1000000000 / units;
  let at = <usize>load<u32>(w, Walk.At);
  let rec = <usize>load<u32>(w, Walk.Records);
  let n: u32 = 0;
  while (n < limit) {
    const left = <u32>(end - at);
    if (left < header) break;
    const captured = word(at + 8, swap);
    if (captured > MAX_CAPTURED || captured > left - header) break;
    let seconds = <f64>word(at, swap);
    let fraction = word(at + 4, swap);
    if (fraction >= units) {
      seconds += <f64>(fraction / units);
      fraction %= units;
    }
    put(rec, seconds, fraction * scale, 0);
    dissect(at + header, captured, word(at + 12, swap), linkType, rec);
    at += header + captured;
    rec += Column.Size;
    n++;
  }
  store<u32>(w, <u32>at, Walk.At);
  return n;
}

/** The direction that a block's options tell, in place of `ColumnFlag.Direction`; all bits: an option that is not for `walk`. */
function directionOf(at: usize, end: usize, swap: bool): u32 {
  let direction: u32 = 0;
  while (at + 4 <= end) {
    const code = half(at, swap);
    if (code == END_OF_OPTIONS) break;
    if (code != FLAGS_OPTION || half(at + 2, swap) != 4 || at + 8 > end) return 0xffffffff;
    direction = word(at + 4, swap) & 3;
    // 3 is reserved
    if (direction == 3) direction = 0;
    at += 8;
  }
  return direction << 24;
}

/**
 * pcapng (draft-ietf-opsawg-pcapng), | type 4 | length 4 | body ... | length 4 |, the body of a Simple Packet Block
 * | original 4 | bytes ... |, of an Enhanced one | interface 4 | time 8 | captured 4 | original 4 | bytes ... | options ... |
 */
// @ts-ignore: decorator
@inline
function walkPcapng(w: usize, swap: bool): u32 {
  const end = <usize>load<u32>(w, Walk.End);
  const limit = load<u32>(w, Walk.Limit);
  const table = <usize>load<u32>(w, Walk.Interfaces);
  const interfaces = load<u32>(w, Walk.InterfaceCount);
  const first = load<u32>(w, Walk.FirstInterface);
  let at = <usize>load<u32>(w, Walk.At);
  let rec = <usize>load<u32>(w, Walk.Records);
  let n: u32 = 0;
  while (n < limit) {
    const left = <u32>(end - at);
    if (left < SIMPLE_LEN) break;
    const type = word(at, swap);
    const length = word(at + 4, swap);
    if (length > left || length > MAX_BLOCK || (length & 3) != 0) break;
    if (type == ENHANCED) {
      if (length < ENHANCED_LEN || word(at + length - 4, swap) != length) break;
      const index = word(at + 8, swap);
      if (index >= interfaces) break;
      const entry = table + index * WalkInterface.Size;
      const units = load<u32>(entry, WalkInterface.Units);
      if (units == 0) break;
      const captured = word(at + 20, swap);
      if (captured > MAX_CAPTURED || captured > length - ENHANCED_LEN) break;
      const options = at + 28 + ((captured + 3) & ~3);
      const direction = directionOf(options, at + length - 4, swap);
      if (direction == 0xffffffff) break;
      const time = ((<u64>word(at + 12, swap)) << 32) | word(at + 16, swap);
      const seconds = time / units;
      const fraction = <u32>(time - seconds * units);
      put(
        rec,
        <f64>seconds + load<f64>(entry, WalkInterface.Offset),
        fraction * (1000000000 / units),
        (first + index) | direction,
      );
      dissect(at + 28, captured, word(at + 24, swap), load<u32>(entry, WalkInterface.LinkType), rec);
    } else if (type == SIMPLE) {
      if (length < SIMPLE_LEN || word(at + length - 4, swap) != length || interfaces == 0) break;
      const original = word(at + 8, swap);
      const snap = load<u32>(table, WalkInterface.SnapLen);
      const captured = snap != 0 && snap < original ? snap : original;
      if (captured > MAX_CAPTURED || captured > length - SIMPLE_LEN) break;
      put(rec, 0, 0, first | ColumnFlag.Untimed);
      dissect(at + 12, captured, original, load<u32>(table, WalkInterface.LinkType), rec);
    } else break;
    at += length;
    rec += Column.Size;
    n++;
  }
  store<u32>(w, <u32>at, Walk.At);
  return n;
}

function walkPcapSwapped(w: usize): u32 {
  return walkPcap(w, true);
}

function walkPcapngSwapped(w: usize): u32 {
  return walkPcapng(w, true);
}

/**
 * Dissects the records from `Walk.At` on that are whole, `Walk.Limit` at most, into `Walk.Records`. Answers how many, and
 * moves `Walk.At` behind them. Reads nothing from `Walk.End` on.
 */
export function walk(w: usize): u32 {
  const swap = load<u32>(w, Walk.Swap) != 0;
  if (load<u32>(w, Walk.Format) == CaptureFormat.Pcap) return swap ? walkPcapSwapped(w) : walkPcap(w, false);
  return swap ? walkPcapngSwapped(w) : walkPcapng(w, false);
}
