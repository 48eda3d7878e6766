// assembly/flows.ts: packets grouped into flows by addresses, ports and protocol, both directions together.
//
//     slots   | hash 4 | flow + 1, 4 | ...      open addressing, at most half of them taken
//     slabs   | 4096 flows of 64 bytes | ...    never moved

import { alloc, release } from "./arena.ts";
import { get8 } from "./bytes.ts";
import { FlowEntry, FlowSize, FlowTable } from "./flowlayout.ts";
import { Layer, Rec } from "./record.ts";
import { Column, ColumnFlag } from "./walklayout.ts";

const SLAB: u32 = 4096 * 64;
const SLOT: u32 = 8;
/** Offset of the flags in a TCP header. */
const TCP_FLAGS: u32 = 13;

/** An empty table for `limit` flows at most; 0 when memory is used up. */
export function flowsNew(limit: u32, seed: u32): usize {
  const t = alloc(FlowTable.Size);
  if (t == 0) return 0;
  const slots = alloc(FlowSize.FirstSlots * SLOT);
  const slabs = alloc(slabsOf(limit) << 2);
  if (slots == 0 || slabs == 0) {
    release(slots, FlowSize.FirstSlots * SLOT);
    release(slabs, slabsOf(limit) << 2);
    release(t, FlowTable.Size);
    return 0;
  }
  store<u32>(t, <u32>slots, FlowTable.Slots);
  store<u32>(t, FlowSize.FirstSlots - 1, FlowTable.Mask);
  store<u32>(t, limit, FlowTable.Limit);
  store<u32>(t, <u32>slabs, FlowTable.Slabs);
  store<u32>(t, seed, FlowTable.Seed);
  return t;
}

function slabsOf(limit: u32): u32 {
  return (limit >> FlowSize.SlabShift) + 1;
}

export function flowsFree(t: usize): void {
  const limit = load<u32>(t, FlowTable.Limit);
  const slabs = <usize>load<u32>(t, FlowTable.Slabs);
  for (let i: u32 = 0; i < slabsOf(limit); i++) release(load<u32>(slabs + (i << 2)), SLAB);
  release(slabs, slabsOf(limit) << 2);
  release(load<u32>(t, FlowTable.Slots), (load<u32>(t, FlowTable.Mask) + 1) * SLOT);
  release(t, FlowTable.Size);
}

/** Address of flow `i`. */
export function flowsAt(t: usize, i: u32): usize {
  const slab = load<u32>(load<u32>(t, FlowTable.Slabs) + ((i >> FlowSize.SlabShift) << 2));
  return slab + ((i & ((1 << FlowSize.SlabShift) - 1)) << 6);
}

// @ts-ignore: decorator
@inline
function mix(a: u64, b: u64): u64 {
  const h = (a ^ b) * 0x9e3779b97f4a7c15;
  return h ^ (h >> 32);
}

/** The same for both directions: the lesser end comes first. */
function hashOf(src: u32, dst: u32, ports: u32, key: u32, seed: u32): u32 {
  const a = ((<u64>src) << 16) | (ports >> 16);
  const b = ((<u64>dst) << 16) | (ports & 0xffff);
  const low = a < b ? a : b;
  const high = a < b ? b : a;
  return <u32>mix(mix(mix(seed, key), low), high);
}

/** Twice as many slots; false when there is no memory for them. */
function grow(t: usize): bool {
  const mask = load<u32>(t, FlowTable.Mask);
  const old = <usize>load<u32>(t, FlowTable.Slots);
  const slots = alloc((mask + 1) * 2 * SLOT);
  if (slots == 0) return false;
  const wider = mask * 2 + 1;
  for (let i: u32 = 0; i <= mask; i++) {
    const slot = load<u64>(old + i * SLOT);
    if (slot == 0) continue;
    let h = <u32>slot;
    while (load<u64>(slots + (h & wider) * SLOT) != 0) h++;
    store<u64>(slots + (h & wider) * SLOT, slot);
  }
  release(old, (mask + 1) * SLOT);
  store<u32>(t, <u32>slots, FlowTable.Slots);
  store<u32>(t, wider, FlowTable.Mask);
  return true;
}

/** The flow of this packet or of one that goes back, made when there is none; 0: no room for it. */
function find(t: usize, src: u32, dst: u32, ports: u32, key: u32): usize {
  const hash = hashOf(src, dst, ports, key, load<u32>(t, FlowTable.Seed));
  const back = (ports << 16) | (ports >> 16);
  let mask = load<u32>(t, FlowTable.Mask);
  let slots = <usize>load<u32>(t, FlowTable.Slots);
  let at = hash;
  for (;;) {
    const slot = load<u64>(slots + (at & mask) * SLOT);
    if (slot == 0) break;
    if (<u32>slot == hash) {
      const e = flowsAt(t, <u32>(slot >> 32) - 1);
      const s = load<u32>(e, FlowEntry.Src);
      const d = load<u32>(e, FlowEntry.Dst);
      const p = load<u32>(e, FlowEntry.Ports);
      if ((load<u32>(e, FlowEntry.Proto) & FlowSize.Key) == key) {
        if ((s == src && d == dst && p == ports) || (s == dst && d == src && p == back)) return e;
      }
    }
    at++;
  }
  const count = load<u32>(t, FlowTable.Count);
  if (count >= load<u32>(t, FlowTable.Limit)) return 0;
  if (count * 2 > mask) {
    if (!grow(t)) return 0;
    mask = load<u32>(t, FlowTable.Mask);
    slots = load<u32>(t, FlowTable.Slots);
    at = hash;
    while (load<u64>(slots + (at & mask) * SLOT) != 0) at++;
  }
  const slab = load<u32>(t, FlowTable.Slabs) + ((count >> FlowSize.SlabShift) << 2);
  if (load<u32>(slab) == 0) {
    const made = alloc(SLAB);
    if (made == 0) return 0;
    store<u32>(slab, <u32>made);
  }
  store<u64>(slots + (at & mask) * SLOT, ((<u64>(count + 1)) << 32) | hash);
  store<u32>(t, count + 1, FlowTable.Count);
  const e = flowsAt(t, count);
  store<u32>(e, src, FlowEntry.Src);
  store<u32>(e, dst, FlowEntry.Dst);
  store<u32>(e, ports, FlowEntry.Ports);
  store<u32>(e, key, FlowEntry.Proto);
  store<f64>(e, NaN, FlowEntry.FirstSeconds);
  store<f64>(e, NaN, FlowEntry.LastSeconds);
  return e;
}

/** A time into the span of two that stand at `at`: seconds f64, seconds f64, nanoseconds, nanoseconds. */
// @ts-ignore: decorator
@inline
export function widen(at: usize, seconds: f64, nanoseconds: u32): void {
  const first = load<f64>(at);
  const last = load<f64>(at, 8);
  // not later, not earlier: a NaN is neither
  if (!(seconds > first) && !(seconds == first && nanoseconds >= load<u32>(at, 16))) {
    store<f64>(at, seconds);
    store<u32>(at, nanoseconds, 16);
  }
  if (!(seconds < last) && !(seconds == last && nanoseconds <= load<u32>(at, 20))) {
    store<f64>(at, seconds, 8);
    store<u32>(at, nanoseconds, 20);
  }
}

// @ts-ignore: decorator
@inline
function plus(at: usize, more: u32): void {
  const n = load<u32>(at) + more;
  store<u32>(at, n < more ? 0xffffffff : n);
}

// @ts-ignore: decorator
@inline
function add(at: usize, more: f64): void {
  store<f64>(at, load<f64>(at) + more);
}

/** Whether the record has an IPv4 header up to its destination. */
// @ts-ignore: decorator
@inline
export function hasAddresses(rec: usize, layers: u32): bool {
  if ((layers & (Layer.Ip | Layer.NotIpv4)) != Layer.Ip) return false;
  return load<u32>(rec, Rec.NetShown) >= 16 && load<u32>(rec, Rec.CapLen) - load<u32>(rec, Rec.Net) >= 20;
}

/** Counts `count` frames, whose columns `walk` wrote. */
export function flowsAdd(t: usize, rec: usize, count: u32): void {
  const end = rec + count * Column.Size;
  for (; rec < end; rec += Column.Size) {
    const layers = load<u32>(rec, Rec.Layers);
    if (!hasAddresses(rec, layers)) {
      add(t + FlowTable.Outside, 1);
      continue;
    }
    const src = load<u32>(rec, Rec.Src);
    let key = load<u32>(rec, Rec.Type) & 0xff;
    let ports: u32 = 0;
    let flags: u32 = 0;
    if ((layers & (Layer.Tcp | Layer.Udp)) != 0) {
      ports = load<u32>(rec, Rec.Ports);
      key |= FlowSize.HasPorts;
      if ((layers & Layer.Tcp) != 0 && load<u32>(rec, Rec.TransShown) > TCP_FLAGS) {
        flags = get8(load<u32>(rec, Rec.At) + load<u32>(rec, Rec.Trans), TCP_FLAGS);
      }
    }
    const e = find(t, src, load<u32>(rec, Rec.Dst), ports, key);
    if (e == 0) {
      add(t + FlowTable.Missed, 1);
      continue;
    }
    const back: u32 = src != load<u32>(e, FlowEntry.Src) || ports != load<u32>(e, FlowEntry.Ports) ? 1 : 0;
    plus(e + FlowEntry.Packets + (back << 2), 1);
    add(e + FlowEntry.Bytes + (back << 3), <f64>load<u32>(rec, Rec.Len));
    store<u32>(e, load<u32>(e, FlowEntry.Proto) | (flags << (16 + (back << 3))), FlowEntry.Proto);
    if ((load<u32>(rec, Column.Interface) & ColumnFlag.Untimed) == 0) {
      widen(e + FlowEntry.FirstSeconds, load<f64>(rec, Column.Seconds), load<u32>(rec, Column.Nanoseconds));
    }
  }
}

/** Adds `count` flows of another table, one behind the other at `from`. */
export function flowsMerge(t: usize, from: usize, count: u32): void {
  const end = from + count * FlowEntry.Size;
  for (; from < end; from += FlowEntry.Size) {
    const src = load<u32>(from, FlowEntry.Src);
    const ports = load<u32>(from, FlowEntry.Ports);
    const proto = load<u32>(from, FlowEntry.Proto);
    const there = load<u32>(from, FlowEntry.Packets);
    const thence = load<u32>(from, FlowEntry.PacketsBack);
    const e = find(t, src, load<u32>(from, FlowEntry.Dst), ports, proto & FlowSize.Key);
    if (e == 0) {
      add(t + FlowTable.Missed, <f64>there + <f64>thence);
      continue;
    }
    const back: u32 = src != load<u32>(e, FlowEntry.Src) || ports != load<u32>(e, FlowEntry.Ports) ? 1 : 0;
    const flags = back ? (proto >> 24) | (((proto >> 16) & 0xff) << 8) : proto >> 16;
    plus(e + FlowEntry.Packets + (back << 2), there);
    plus(e + FlowEntry.PacketsBack - (back << 2), thence);
    add(e + FlowEntry.Bytes + (back << 3), load<f64>(from, FlowEntry.Bytes));
    add(e + FlowEntry.BytesBack - (back << 3), load<f64>(from, FlowEntry.BytesBack));
    store<u32>(e, load<u32>(e, FlowEntry.Proto) | (flags << 16), FlowEntry.Proto);
    const first = load<f64>(from, FlowEntry.FirstSeconds);
    if (first != first) continue;
    widen(e + FlowEntry.FirstSeconds, first, load<u32>(from, FlowEntry.FirstNanoseconds));
    widen(
      e + FlowEntry.FirstSeconds,
      load<f64>(from, FlowEntry.LastSeconds),
      load<u32>(from, FlowEntry.LastNanoseconds),
    );
  }
}
