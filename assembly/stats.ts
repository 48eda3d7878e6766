// assembly/stats.ts: counters of a capture, from the columns that `walk` writes.

import { alloc } from "./arena.ts";
import { Stats } from "./flowlayout.ts";
import { hasAddresses, widen } from "./flows.ts";
import { Layer, Rec } from "./record.ts";
import { Column, ColumnFlag } from "./walklayout.ts";

/** Rows of `Stats.Checksums`: 32 bytes each. */
const IP: u32 = 0;
const ICMP: u32 = 32;
const UDP: u32 = 64;
const TCP: u32 = 96;

/** How much of a header is there when its checksum's status is known: up to behind the checksum, and for TCP what follows. */
const IP_SHOWN: u32 = 12;
const ICMP_SHOWN: u32 = 6;
const UDP_SHOWN: u32 = 8;
const TCP_SHOWN: u32 = 18;

/** Counters at zero; 0 when memory is used up. `release` them as `Stats.Size` bytes. */
export function statsNew(): usize {
  const s = alloc(Stats.Size);
  if (s == 0) return 0;
  store<f64>(s, NaN, Stats.FirstSeconds);
  store<f64>(s, NaN, Stats.LastSeconds);
  return s;
}

// @ts-ignore: decorator
@inline
function add(at: usize, more: f64): void {
  store<f64>(at, load<f64>(at) + more);
}

// @ts-ignore: decorator
@inline
function status(s: usize, row: u32, status: u32): void {
  add(s + Stats.Checksums + row + ((status & 3) << 3), 1);
}

/** Counts `count` frames. */
export function statsAdd(s: usize, rec: usize, count: u32): void {
  add(s + Stats.Frames, count);
  const end = rec + count * Column.Size;
  for (; rec < end; rec += Column.Size) {
    const layers = load<u32>(rec, Rec.Layers);
    const len = load<u32>(rec, Rec.Len);
    add(s + Stats.Captured, load<u32>(rec, Rec.CapLen));
    add(s + Stats.Bytes, len);
    let size: u32 = 32 - clz<u32>(len / 20);
    if (size > 9) size = 9;
    add(s + Stats.Sizes + (size << 3), 1);
    const chain = s + Stats.Chains + ((layers & 0x7f) << 4);
    add(chain, 1);
    add(chain + 8, len);
    if ((load<u32>(rec, Column.Interface) & ColumnFlag.Untimed) == 0) {
      widen(s + Stats.FirstSeconds, load<f64>(rec, Column.Seconds), load<u32>(rec, Column.Nanoseconds));
    }
    if ((layers & Layer.Ip) != 0) {
      const shown = load<u32>(rec, Rec.TransShown);
      if (load<u32>(rec, Rec.NetShown) >= IP_SHOWN) status(s, IP, layers >> 16);
      if ((layers & (Layer.Icmp | Layer.Udp | Layer.Tcp)) == 0 && hasAddresses(rec, layers)) {
        add(s + Stats.Protocols + ((load<u32>(rec, Rec.Type) & 0xff) << 3), 1);
      }
      if ((layers & Layer.Tcp) != 0) {
        if (shown >= TCP_SHOWN) status(s, TCP, layers >> 18);
      } else if ((layers & Layer.Udp) != 0) {
        if (shown >= UDP_SHOWN) status(s, UDP, layers >> 18);
      } else if ((layers & Layer.Icmp) != 0 && shown >= ICMP_SHOWN) status(s, ICMP, layers >> 18);
    } else if ((layers & (Layer.Eth | Layer.Arp)) == Layer.Eth)
      add(s + Stats.Types + ((load<u32>(rec, Rec.Type) >> 16) << 3), 1);
  }
}
