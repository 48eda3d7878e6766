// assembly/flowtable.ts: the short way of packets whose flow took the long way before (as Linux's nf_flow_table, but exact).
//
// A slot holds what the long way decided for one kind of packet: device, addresses, ports, protocol, TOS, TCP flags, mark.
// A packet that looks the same takes it while nothing changed that the decision rests on (`Generation`). Where connections
// are tracked, a packet's connection names the way instead (it must be as it was then), and many connections go one way:
// beside the connection, which must be found anyway, a packet of one among a million reads little. Whatever is out of the ordinary (options, fragments, wrong sums, too large, no TTL left) is missed here
// before anything was changed, and takes the long way.

import { alloc, release } from "./arena.ts";
import { get32, get8 } from "./bytes.ts";
import { fold, sum20 } from "./checksum.ts";
import { hold, peek } from "./conntrack.ts";
import { trackKnown } from "./conntrackin.ts";
import { Ct, CtStatus, CtTable } from "./conntracklayout.ts";
import { rewrite } from "./flowrewrite.ts";
import { FIRST_WAY, Flow, FlowBit, FlowDev, FlowTable, FlowTags } from "./flowtablelayout.ts";
import { Pkt, PktFlag, PktType } from "./layout.ts";
import { ipKey } from "./ip.ts";
import * as ethernet from "./wire/ethernet.ts";
import * as ipv4 from "./wire/ipv4.ts";

const SLOT: u32 = 128;
const TAGS_SHIFT: u32 = 3;
/** Of so many packets (and one) that miss where another flow is, one may put that out. */
const SELDOM: u32 = 15;
/** Of so many segments of TCP (and one) that could be noted, one is. */
const SOME: u32 = 7;
let segments: u32 = 0;
const ETHERNET: u32 = 14;
/** EtherType 0x0800 and the fragment bits, as a little-endian machine reads them. */
const IPV4: u16 = 0x0008;
const FRAGMENT: u16 = 0xff3f;
const TCP: u32 = 6;
const UDP: u32 = 17;
/** Least lengths with the IPv4 header. */
const TCP_LEN: u32 = 40;
const UDP_LEN: u32 = 28;

/** The bits of a connection's status that a flow rests on: all but those that come with time and change nothing. */
export const STATUS: u32 =
  CtStatus.Expected |
  CtStatus.SeenReply |
  CtStatus.Confirmed |
  CtStatus.SrcNat |
  CtStatus.DstNat |
  CtStatus.SeqAdjust |
  CtStatus.SrcNatDone |
  CtStatus.DstNatDone |
  CtStatus.Dying;

/** What the calls below answer when the packet takes the long way; `NOTE`: and is worth noting which. */
const MISS: i32 = 0;
const NOTE: i32 = -1;

/** Makes room for so many flows, a power of two; all that was kept is forgotten. False: no memory. */
export function resize(table: usize, slots: u32): bool {
  const p = slots == 0 ? 0 : alloc(slots * SLOT);
  const tags = slots == 0 ? 0 : alloc(slots << TAGS_SHIFT);
  if (slots != 0 && (p == 0 || tags == 0)) {
    release(p, slots * SLOT);
    release(tags, slots << TAGS_SHIFT);
    return false;
  }
  const old = load<u32>(table, FlowTable.Slots);
  const count = load<u32>(table, FlowTable.Mask) + 1;
  if (old != 0) {
    release(old, count * SLOT);
    release(load<u32>(table, FlowTable.Tags), count << TAGS_SHIFT);
  }
  store<u32>(table, <u32>p, FlowTable.Slots);
  store<u32>(table, <u32>tags, FlowTable.Tags);
  store<u32>(table, slots - 1, FlowTable.Mask);
  store<u32>(table, 0, FlowTable.Missed);
  store<u32>(table, 0, FlowTable.Crowded);
  return true;
}

/** Makes room for so many ways, `used` of them filled; 0: no memory, and nothing changed. */
export function resizeWays(table: usize, before: u32, used: u32, ways: u32): bool {
  const p = alloc(ways * SLOT);
  if (p == 0) return false;
  const old: usize = load<u32>(table, FlowTable.Ways);
  if (old != 0) {
    memory.copy(p, old, used * SLOT);
    release(old, before * SLOT);
  }
  store<u32>(table, <u32>p, FlowTable.Ways);
  return true;
}

/**
 * A frame came in by the device, `Data` at its Ethernet header, with nothing on its descriptor but its mark. Above 0:
 * `Flow.End` of the last flow that took it; it left by that device, or goes up its stack. Else it is untouched and takes
 * the long way. `chain`: it may go on through the next namespaces, because no other frame waits for its turn.
 */
export function receive(dev: usize, h: usize, now: u32, time: f64, chain: bool): i32 {
  if (
    (load<u32>(h, Pkt.Ct) |
      load<u32>(h, Pkt.CtInfo) |
      load<u32>(h, Pkt.Flags) |
      load<u32>(h, Pkt.Geometry) |
      load<u32>(h, Pkt.Vlan)) !=
    0
  ) {
    return MISS;
  }
  const slot = hop(dev, h, now, time, true);
  if (slot <= 1) return slot == 0 ? MISS : NOTE;
  return through(slot, h, now, time, chain);
}

/**
 * A packet made here, `Data` at its IPv4 header, which got the route of that number; 0 is none. Answers as `receive` does.
 */
export function send(table: usize, h: usize, route: u32, now: u32, time: f64, chain: bool): i32 {
  if (
    (load<u32>(h, Pkt.Ct) |
      load<u32>(h, Pkt.CtInfo) |
      (load<u32>(h, Pkt.Flags) & ~PktFlag.IgnoreDf) |
      load<u32>(h, Pkt.Geometry) |
      load<u32>(h, Pkt.Vlan)) !=
    0
  ) {
    return MISS;
  }
  const ip: usize = load<u32>(h, Pkt.Data);
  const len = load<u32>(h, Pkt.Len);
  if (len < UDP_LEN || get8(ip, 0) != 0x45 || (load<u16>(ip, 6) & FRAGMENT) != 0 || ipv4.length(ip) != len) return MISS;
  const slot = take(table, table, h, ip, len + ETHERNET, route, now, time, true);
  if (slot <= 1) return slot == 0 ? MISS : NOTE;
  store<u32>(h, 0, Pkt.Flags);
  return through(slot, h, now, time, chain);
}

/** On through the namespaces behind, as far as flows are known there. */
function through(first: usize, h: usize, now: u32, time: f64, chain: bool): i32 {
  let last = first;
  while (chain && load<u32>(last, Flow.Next) != 0) {
    const next = hop(load<u32>(last, Flow.Next), h, now, time, false);
    if (next <= 1) break;
    last = next;
  }
  const end = load<u32>(last, Flow.End);
  if ((end & 1) == 0) {
    // what a wire leaves of a packet (scrub)
    store<u32>(h, 0, Pkt.Mac);
    store<u32>(h, 0, Pkt.Net);
    store<u32>(h, 0, Pkt.Trans);
    store<u32>(h, PktType.Outgoing, Pkt.Type);
    store<u32>(h, ethernet.TYPE_IPV4, Pkt.Protocol);
  }
  return end;
}

// @ts-ignore: decorator
@inline
function hashOf(dev: usize, src: u32, dst: u32, ports: u32, info: u32): u32 {
  let x = (src ^ (<u32>dev)) * 0x9e3779b1 + dst;
  x = (x ^ (x >> 15)) * 0x85ebca77 + ports;
  x = (x ^ (x >> 13)) * 0xc2b2ae3d + info;
  return x ^ (x >> 16);
}

// @ts-ignore: decorator
@inline
function isFlow(slot: usize, dev: usize, src: u32, dst: u32, ports: u32, info: u32, mark: u32, now: u32): bool {
  return (
    load<u32>(slot, Flow.Dev) == dev &&
    load<u32>(slot, Flow.Src) == src &&
    load<u32>(slot, Flow.Dst) == dst &&
    load<u32>(slot, Flow.Ports) == ports &&
    load<u32>(slot, Flow.Info) == info &&
    load<u32>(slot, Flow.Mark) == mark &&
    load<u32>(slot, Flow.Generation) == now
  );
}

/** A frame at one namespace: as `take`. */
function hop(dev: usize, h: usize, now: u32, time: f64, first: bool): usize {
  const table: usize = load<u32>(dev, FlowDev.Table);
  if (table == 0) return 0;
  const eth: usize = load<u32>(h, Pkt.Data);
  const len = load<u32>(h, Pkt.Len);
  if (len < ETHERNET + UDP_LEN || load<u16>(eth, 12) != IPV4) return 0;
  const ip = eth + ETHERNET;
  // a header that the namespace before found good and rewrote (RFC 1624), or made, is good
  if (get8(ip, 0) != 0x45 || (load<u16>(ip, 6) & FRAGMENT) != 0 || (first && fold(sum20(ip)) != 0xffff)) return 0;
  return take(table, dev, h, ip, len, 0, now, time, first);
}

/**
 * One namespace: the slot or way that took the packet; 0: missed, 1: missed, and worth noting. `len` of the frame; `route`:
 * the number of the route of what is made here, 0 for what came in.
 */
function take(
  table: usize,
  dev: usize,
  h: usize,
  ip: usize,
  len: u32,
  route: u32,
  now: u32,
  time: f64,
  first: bool,
): usize {
  const total = ipv4.length(ip);
  if (total < UDP_LEN || total + ETHERNET > len) return 0;
  const proto = ipv4.proto(ip);
  const p = ip + ipv4.HEADER_LEN;
  let info = proto | (ipv4.tos(ip) << 8);
  if (proto == TCP) {
    if (total < TCP_LEN) return 0;
    info |= get8(p, 13) << 16;
  } else if (proto != UDP) return 0;
  const generation = load<u32>(table, FlowTable.Generation);
  if (load<u32>(table, FlowTable.Ready) != generation) return 1;
  const src = ipv4.src(ip);
  const dst = ipv4.dst(ip);
  const ports = get32(p, 0);
  const mark = load<u32>(h, Pkt.Mark);
  const ct: usize = load<u32>(table, FlowTable.Ct);
  const slot =
    ct != 0
      ? way(table, ct, dev, src, dst, ports, info, mark, generation, first, now)
      : find(table, dev, src, dst, ports, info, mark, generation, first);
  if (slot <= 1) return slot;
  const eth = ip - ETHERNET;
  const bits: u32 = load<u16>(slot, Flow.Bits);
  const local = (bits & FlowBit.Local) != 0;
  if (total > load<u32>(slot, Flow.Mtu)) return 0;
  if (route == 0) {
    const own: usize = load<u32>(slot, Flow.Own);
    if (load<u32>(eth) != load<u32>(own) || load<u16>(eth, 4) != load<u16>(own, 4)) return 0;
    if (!local && ipv4.ttl(ip) <= 1) return 0;
    if (
      (bits & FlowBit.Station) != 0 &&
      (load<u32>(eth, 6) != load<u32>(slot, Flow.Station) || load<u16>(eth, 10) != load<u16>(slot, Flow.Station + 4))
    ) {
      return 0;
    }
  } else if (load<u32>(slot, Flow.Route) != route) return 0;
  let other: usize = 0;
  if (ct != 0) {
    const e: usize = entry;
    const standing = load<u32>(slot, Flow.CtInfo);
    if (!trackKnown(ct, h, e, standing, ip, p, total, proto, route == 0, now)) return 0;
    other = e + (1 - direction) * 12;
    if (local) {
      hold(e);
      store<u32>(h, <u32>e, Pkt.Ct);
      store<u32>(h, standing, Pkt.CtInfo);
    }
  }
  const forwarded = !local && route == 0;
  if (forwarded || (bits & (FlowBit.Source | FlowBit.Destination)) != 0) {
    rewrite(other, bits, forwarded, ip, p, src, dst, ports);
  }
  if (local) {
    key(h, ip, total);
    // routing read the header before the source was rewritten
    store<u32>(h, src, Pkt.KeySrc);
    store<u32>(h, <u32>eth, Pkt.Mac);
    store<u32>(h, <u32>p, Pkt.Trans);
    store<u32>(h, PktType.Host, Pkt.Type);
    store<u32>(h, ethernet.TYPE_IPV4, Pkt.Protocol);
    store<u32>(h, PktFlag.RtLocal, Pkt.Flags);
    store<u32>(h, load<u32>(dev, FlowDev.Ifindex), Pkt.In);
    memory.fill(h + Pkt.OptSrr, 0, 20);
  } else {
    store<u64>(eth, load<u64>(slot, Flow.Ether));
    store<u32>(eth, load<u32>(slot, Flow.Ether + 8), 8);
    if (route != 0) {
      store<u16>(eth, IPV4, 12);
      store<u32>(h, <u32>eth, Pkt.Data);
    }
    store<u32>(h, total + ETHERNET, Pkt.Len);
    if ((bits & FlowBit.ClearMark) != 0) store<u32>(h, 0, Pkt.Mark);
  }
  store<u64>(slot, load<u64>(slot, Flow.Packets) + 1, Flow.Packets);
  store<u64>(slot, load<u64>(slot, Flow.Bytes) + total, Flow.Bytes);
  store<u64>(slot, load<u64>(slot, Flow.RxBytes) + len, Flow.RxBytes);
  store<f64>(slot, time, Flow.Last);
  store<u32>(table, 1, FlowTable.Dirty);
  return slot;
}

/** Where nobody tracks: as `take`. */
// @ts-ignore: decorator
@inline
function find(
  table: usize,
  dev: usize,
  src: u32,
  dst: u32,
  allPorts: u32,
  allInfo: u32,
  mark: u32,
  generation: u32,
  first: bool,
): usize {
  const slots: usize = load<u32>(table, FlowTable.Slots);
  if (slots == 0) {
    store<u32>(table, 0, FlowTable.Missed);
    return 1;
  }
  const ports = allPorts & load<u32>(table, FlowTable.PortsMask);
  const info = allInfo & load<u32>(table, FlowTable.InfoMask);
  const hash = hashOf(dev, src, dst, ports, info);
  const tag = hash | 1;
  const tags: usize = load<u32>(table, FlowTable.Tags);
  let i = hash & load<u32>(table, FlowTable.Mask);
  // of two flows that want one slot the second stands beside it
  if (load<u32>(tags + (i << TAGS_SHIFT), FlowTags.Flow) != tag) {
    const beside = tags + ((i ^ 1) << TAGS_SHIFT);
    if (load<u32>(beside, FlowTags.Flow) == tag || load<u32>(beside, FlowTags.Missed) == tag) i ^= 1;
    else if (load<u32>(beside, FlowTags.Flow) == 0 && load<u32>(tags + (i << TAGS_SHIFT), FlowTags.Flow) != 0) i ^= 1;
  }
  const slot = slots + i * SLOT;
  if (
    load<u32>(tags + (i << TAGS_SHIFT), FlowTags.Flow) != tag ||
    !isFlow(slot, dev, src, dst, ports, info, mark, generation)
  ) {
    return first ? miss(table, i, tag, ports != 0 && (info & 0xff) == TCP) : 0;
  }
  return slot;
}

/** The connection that `way` found, and which of its directions the packet goes. */
let entry: usize = 0;
let direction: u32 = 0;

/** Where connections are tracked: as `take`; `entry` and `direction` are set. */
// @ts-ignore: decorator
@inline
function way(
  table: usize,
  ct: usize,
  dev: usize,
  src: u32,
  dst: u32,
  ports: u32,
  info: u32,
  mark: u32,
  generation: u32,
  first: bool,
  now: u32,
): usize {
  // somebody listens to events: the long way tells them
  if (load<u32>(ct, CtTable.Events) != 0) return 0;
  // a connection's way is that of segments with ACK, without SYN, FIN and RST: others change more than its windows
  if ((info & 0xff) == TCP && (info & 0x170000) != 0x100000) return 0;
  const link = peek(ct, src, dst, ports, info & 0xff, now);
  if (link == 0) return 0;
  const e: usize = link & ~1;
  const dir = link & 1;
  const at = e + dir * (Ct.WayReply - Ct.Way);
  const n: u32 = load<u16>(at, Ct.Way);
  if (n < <u32>FIRST_WAY) {
    if (!first) return 0;
    // a flow is noted when its second packet comes by
    if (n != 0) return (info & 0xff) == TCP && (++segments & SOME) != 0 ? 0 : 1;
    store<u16>(at, 1, Ct.Way);
    return 0;
  }
  const slot: usize = load<u32>(table, FlowTable.Ways) + (n - <u32>FIRST_WAY) * SLOT;
  if (
    load<u32>(slot, Flow.Generation) != generation ||
    (load<u32>(e, Ct.Status) & STATUS) != load<u32>(slot, Flow.CtStatus) ||
    load<u16>(e, Ct.MasqIndex) != load<u16>(slot, Flow.CtMasq)
  ) {
    return first ? 1 : 0;
  }
  if (
    load<u32>(slot, Flow.Dev) != dev ||
    load<u32>(slot, Flow.Info) != (info & 0xffff) ||
    load<u32>(slot, Flow.Mark) != mark
  ) {
    if (!first) return 0;
    // packets of one connection that put out each other's way for ever would cost more than the long way alone
    const crowded = load<u32>(table, FlowTable.Crowded) + 1;
    store<u32>(table, crowded, FlowTable.Crowded);
    return (crowded & SELDOM) == 0 ? 1 : 0;
  }
  entry = e;
  direction = dir;
  return slot;
}

/** The packet at its IPv4 header, as routing reads it. */
function key(h: usize, ip: usize, total: u32): void {
  store<u32>(h, <u32>ip, Pkt.Data);
  store<u32>(h, <u32>ip, Pkt.Net);
  store<u32>(h, total, Pkt.Len);
  ipKey(h);
}

/**
 * A flow is noted when its second packet comes by: one that is the only one of its flow costs nothing. Where flows come by
 * in turn, more of them than there are slots, none would: then more slots are asked for (`Missed` 0).
 */
function miss(table: usize, i: u32, tag: u32, connection: bool): usize {
  const tags: usize = load<u32>(table, FlowTable.Tags) + (i << TAGS_SHIFT);
  const slot: usize = load<u32>(table, FlowTable.Slots) + i * SLOT;
  const before = load<u32>(tags, FlowTags.Missed);
  store<u32>(tags, tag, FlowTags.Missed);
  if (before == 0) return 0;
  // most connections are over before it pays: of such segments only some are noted
  if (connection && (++segments & SOME) != 0) return 0;
  if (
    before != tag ||
    (load<u32>(tags, FlowTags.Flow) != 0 && load<u32>(slot, Flow.Generation) == load<u32>(table, FlowTable.Generation))
  ) {
    const crowded = load<u32>(table, FlowTable.Crowded) + 1;
    store<u32>(table, crowded, FlowTable.Crowded);
    if (crowded > 2 * load<u32>(table, FlowTable.Mask)) {
      store<u32>(table, 0, FlowTable.Crowded);
      store<u32>(table, 0, FlowTable.Missed);
      return 1;
    }
    // flows that put out each other for ever would cost more than the long way alone
    if (before != tag || (crowded & SELDOM) != 0) return 0;
  }
  store<u32>(table, <u32>slot, FlowTable.Missed);
  store<u32>(table, tag, FlowTable.MissedTag);
  return 1;
}
