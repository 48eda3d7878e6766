// assembly/packet.ts: the pool of packet buffers. A handle is the address of a descriptor (layout.ts).
//
//     | descriptor 160 | headroom 128 | frame ≤ 1760        |   small: 2,048 bytes
//     | descriptor 160 | headroom 128 | frame ≤ 65,535 + 32 |   large
//
// A swap exchanges two descriptors' buffers, so a handle that somebody holds can take over other bytes.

import { alloc, release } from "./arena.ts";
import { hold as holdConnection, put as putConnection } from "./conntrack.ts";
import { Pkt } from "./layout.ts";

export const HEADROOM: u32 = 128;
const DESCRIPTOR: u32 = 160;
const SMALL: u32 = 2048;
const LARGE: u32 = DESCRIPTOR + HEADROOM + 65535 + 33;
const SMALL_ROOM: u32 = SMALL - DESCRIPTOR - HEADROOM;
const LARGE_ROOM: u32 = LARGE - DESCRIPTOR - HEADROOM;
const FREE: u32 = 0x80000000;

let smallFree: usize = 0;
let largeFree: usize = 0;
let smallMade: u32 = 0;
let largeMade: u32 = 0;
let smallLimit: u32 = 16384;
let largeLimit: u32 = 512;
let inUse: u32 = 0;
let exhausted: u32 = 0;

/** Descriptors come in slabs, so that the arena's power-of-two blocks waste nothing. */
const SLAB: u32 = 32;

function carve(size: u32, count: u32, cls: u32): usize {
  const slab = alloc(size * count);
  if (slab == 0) return 0;
  let list: usize = 0;
  for (let i: u32 = count; i > 0; i--) {
    const h = slab + (i - 1) * size;
    store<u32>(h, <u32>(h + DESCRIPTOR), Pkt.Head);
    store<u32>(h, <u32>(h + size), Pkt.End);
    store<u32>(h, cls | FREE, Pkt.Class);
    store<u32>(h, <u32>list, Pkt.Next);
    list = h;
  }
  return list;
}

/** Limits of the pool; what is already made stays. */
export function packetLimits(small: u32, large: u32): void {
  smallLimit = small;
  largeLimit = large;
}

/**
 * A packet of `len` uninitialised bytes behind the headroom; 0 when the pool is exhausted (counted) or
 * `len` is above 65,535 + 32 (an IPv4 packet of full size with its Ethernet header and tags).
 */
export function packetAlloc(len: u32): usize {
  let h: usize = 0;
  if (len <= SMALL_ROOM) {
    if (smallFree == 0 && smallMade < smallLimit) {
      smallFree = carve(SMALL, SLAB, 0);
      if (smallFree != 0) smallMade += SLAB;
    }
    h = smallFree;
    if (h != 0) smallFree = load<u32>(h, Pkt.Next);
  } else if (len <= LARGE_ROOM) {
    if (largeFree == 0 && largeMade < largeLimit) {
      largeFree = carve(LARGE, 1, 1);
      if (largeFree != 0) largeMade++;
    }
    h = largeFree;
    if (h != 0) largeFree = load<u32>(h, Pkt.Next);
  }
  if (h == 0) {
    exhausted++;
    return 0;
  }
  inUse++;
  const head = load<u32>(h, Pkt.Head);
  const end = load<u32>(h, Pkt.End);
  const cls = load<u32>(h, Pkt.Class) & ~FREE;
  memory.fill(h, 0, DESCRIPTOR);
  store<u32>(h, head, Pkt.Head);
  store<u32>(h, end, Pkt.End);
  store<u32>(h, cls, Pkt.Class);
  store<u32>(h, head + HEADROOM, Pkt.Data);
  store<u32>(h, len, Pkt.Len);
  return h;
}

/** Gives a packet back. Twice is a bug of ours and traps in the debug build. */
export function packetFree(h: usize): void {
  const cls = load<u32>(h, Pkt.Class);
  assert((cls & FREE) == 0, "packet freed twice");
  const ct: usize = load<u32>(h, Pkt.Ct);
  // the packet's hold on its connection ends with it (an unconfirmed one dies here)
  if (ct != 0) putConnection(ct);
  const geometry = load<u32>(h, Pkt.Geometry);
  if (geometry != 0) release(geometry, (load<u32>(geometry) + 1) << 2);
  store<u32>(h, cls | FREE, Pkt.Class);
  inUse--;
  if (cls == 0) {
    store<u32>(h, <u32>smallFree, Pkt.Next);
    smallFree = h;
  } else {
    store<u32>(h, <u32>largeFree, Pkt.Next);
    largeFree = h;
  }
}

/** Room in front of the data, and behind it. */
export function headroom(h: usize): u32 {
  return load<u32>(h, Pkt.Data) - load<u32>(h, Pkt.Head);
}
export function tailroom(h: usize): u32 {
  return load<u32>(h, Pkt.End) - load<u32>(h, Pkt.Data) - load<u32>(h, Pkt.Len);
}

/** Takes `n` bytes off the front: the next layer's view. */
// @ts-ignore: decorator
@inline
export function pull(h: usize, n: u32): void {
  assert(n <= load<u32>(h, Pkt.Len), "pull past the end");
  store<u32>(h, load<u32>(h, Pkt.Data) + n, Pkt.Data);
  store<u32>(h, load<u32>(h, Pkt.Len) - n, Pkt.Len);
}

/** Puts `n` bytes in front; the new address of the data. */
// @ts-ignore: decorator
@inline
export function push(h: usize, n: u32): usize {
  const data = load<u32>(h, Pkt.Data) - n;
  assert(data >= load<u32>(h, Pkt.Head), "push past the headroom");
  store<u32>(h, data, Pkt.Data);
  store<u32>(h, load<u32>(h, Pkt.Len) + n, Pkt.Len);
  return data;
}

export function packetPull(h: usize, n: u32): void {
  pull(h, n);
}
export function packetPush(h: usize, n: u32): usize {
  return push(h, n);
}

/** Cuts the packet to `len` bytes. */
export function packetTrim(h: usize, len: u32): void {
  if (len < load<u32>(h, Pkt.Len)) store<u32>(h, len, Pkt.Len);
}

/** A copy with its descriptor's fields and header addresses; 0 when the pool is exhausted. */
export function packetCopy(h: usize): usize {
  const len = load<u32>(h, Pkt.Len);
  const data = load<u32>(h, Pkt.Data);
  const mac = load<u32>(h, Pkt.Mac);
  // what lies before the data (an Ethernet header already pulled) belongs to the packet as well
  const from = mac != 0 && mac < data ? mac : data;
  const before = data - from;
  const c = packetAlloc(len + before);
  if (c == 0) return 0;
  const head = load<u32>(c, Pkt.Head);
  const end = load<u32>(c, Pkt.End);
  const cls = load<u32>(c, Pkt.Class);
  const at = load<u32>(c, Pkt.Data);
  memory.copy(at, from, len + before);
  memory.copy(c, h, DESCRIPTOR);
  const shift = at - from;
  store<u32>(c, head, Pkt.Head);
  store<u32>(c, end, Pkt.End);
  store<u32>(c, cls, Pkt.Class);
  store<u32>(c, data + shift, Pkt.Data);
  if (mac != 0) store<u32>(c, mac + shift, Pkt.Mac);
  const net = load<u32>(h, Pkt.Net);
  if (net != 0) store<u32>(c, net + shift, Pkt.Net);
  const trans = load<u32>(h, Pkt.Trans);
  if (trans != 0) store<u32>(c, trans + shift, Pkt.Trans);
  store<u32>(c, 0, Pkt.Next);
  const ct: usize = load<u32>(c, Pkt.Ct);
  if (ct != 0) holdConnection(ct);
  // a copy does not know its fragments: Linux cuts clones afresh, to the largest of them (ip_do_fragment)
  store<u32>(c, 0, Pkt.Geometry);
  return c;
}

/**
 * A packet of ours that was longer than its way's MTU was made in pieces for it (ip_append_data), and leaves in them even
 * where another way takes it.
 */
export function packetPieces(h: usize, headerLen: u32, mtu: u32): void {
  const total = load<u32>(h, Pkt.Len) - headerLen;
  const room = mtu - headerLen;
  const step = room & ~7;
  if (load<u32>(h, Pkt.Geometry) != 0 || mtu < headerLen + 8 || total <= room) return;
  const count = (total - room + step - 1) / step + 1;
  const lengths = alloc((count + 1) << 2);
  if (lengths == 0) return;
  store<u32>(lengths, count);
  for (let i: u32 = 1; i < count; i++) store<u32>(lengths + (i << 2), step);
  store<u32>(lengths + (count << 2), total - step * (count - 1));
  store<u32>(h, <u32>lengths, Pkt.Geometry);
}

/**
 * The first `n` bytes behind the IP header lie in one piece from now on (__pskb_pull_tail): of a packet that conntrack
 * put together the first fragment grows and those behind it shrink. Nothing happens when there are not so many bytes.
 */
export function packetLinear(h: usize, n: u32): void {
  const lengths: usize = load<u32>(h, Pkt.Geometry);
  if (lengths == 0) return;
  const end = lengths + (load<u32>(lengths) << 2);
  const first = load<u32>(lengths, 4);
  if (first >= n) return;
  let all: u32 = 0;
  for (let p = lengths + 4; p <= end; p += 4) all += load<u32>(p);
  if (all < n) return;
  store<u32>(lengths, n, 4);
  let need = n - first;
  for (let p = lengths + 8; p <= end; p += 4) {
    const piece = load<u32>(p);
    const part = piece < need ? piece : need;
    store<u32>(p, piece - part);
    need -= part;
  }
  if (all > n) return;
  // no list is left: it is cut afresh
  release(lengths, (load<u32>(lengths) + 1) << 2);
  store<u32>(h, 0, Pkt.Geometry);
}

function exchange(a: usize, b: usize): void {
  const t = load<u32>(a);
  store<u32>(a, load<u32>(b));
  store<u32>(b, t);
}

/** Exchanges the bytes of two packets (buffer, data, header addresses); marks, tracking and lists stay. */
export function packetSwap(a: usize, b: usize): void {
  exchange(a + Pkt.Data, b + Pkt.Data);
  exchange(a + Pkt.Len, b + Pkt.Len);
  exchange(a + Pkt.Head, b + Pkt.Head);
  exchange(a + Pkt.End, b + Pkt.End);
  exchange(a + Pkt.Mac, b + Pkt.Mac);
  exchange(a + Pkt.Net, b + Pkt.Net);
  exchange(a + Pkt.Trans, b + Pkt.Trans);
  exchange(a + Pkt.Class, b + Pkt.Class);
  exchange(a + Pkt.Geometry, b + Pkt.Geometry);
}

/** Packets that somebody holds. A test that leaves it above where it began has leaked. */
export function packetsInUse(): u32 {
  return inUse;
}
/** Allocations refused so far. */
export function packetsExhausted(): u32 {
  return exhausted;
}
