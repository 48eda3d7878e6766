// assembly/flowtable.ts: the short way of packets whose flow took the long way before (as Linux's nf_flow_table, but exact).
//
// A slot holds what the long way decided for one kind of packet: device, addresses, ports, protocol, TOS, TCP flags, mark.
// A packet that looks the same takes it while nothing changed that the decision rests on (`Generation`) and its connection
// is as it was. Whatever is out of the ordinary (options, fragments, wrong sums, too large, no TTL left) is missed here
// before anything was changed, and takes the long way.

import { alloc, release } from "./arena.ts";
import { get16, get32, get8, set16, set32 } from "./bytes.ts";
import { fold, sum20 } from "./checksum.ts";
import { dirOf, find, hold } from "./conntrack.ts";
import { trackKnown } from "./conntrackin.ts";
import { Ct, CtStatus, CtTable } from "./conntracklayout.ts";
import { Flow, FlowBit, FlowDev, FlowTable, FlowTags } from "./flowtablelayout.ts";
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

/** What `receive` answers when the packet takes the long way; `NOTE`: and is worth noting which (see `FlowTable.Missed`). */
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
  let last: usize = slot;
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

/** One namespace: the slot that took the packet; 0: missed, 1: missed, and worth noting. */
function hop(dev: usize, h: usize, now: u32, time: f64, first: bool): usize {
  const table: usize = load<u32>(dev, FlowDev.Table);
  if (table == 0) return 0;
  const eth: usize = load<u32>(h, Pkt.Data);
  const len = load<u32>(h, Pkt.Len);
  if (len < ETHERNET + UDP_LEN || load<u16>(eth, 12) != IPV4) return 0;
  const ip = eth + ETHERNET;
  // a header that the namespace before found good and rewrote (RFC 1624) is good
  if (get8(ip, 0) != 0x45 || (load<u16>(ip, 6) & FRAGMENT) != 0 || (first && fold(sum20(ip)) != 0xffff)) return 0;
  const total = ipv4.length(ip);
  if (total < UDP_LEN || total + ETHERNET > len) return 0;
  const proto = ipv4.proto(ip);
  const p = ip + ipv4.HEADER_LEN;
  let info = proto | (ipv4.tos(ip) << 8);
  if (proto == TCP) {
    if (total < TCP_LEN) return 0;
    info |= get8(p, 13) << 16;
  } else if (proto != UDP) return 0;
  const src = ipv4.src(ip);
  const dst = ipv4.dst(ip);
  const ports = get32(p, 0);
  const mark = load<u32>(h, Pkt.Mark);
  const slots: usize = load<u32>(table, FlowTable.Slots);
  if (slots == 0) {
    store<u32>(table, 0, FlowTable.Missed);
    return 1;
  }
  const hash = hashOf(dev, src, dst, ports, info);
  const tag = hash | 1;
  const generation = load<u32>(table, FlowTable.Generation);
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
    return first ? miss(table, i, tag, proto) : 0;
  }
  const own: usize = load<u32>(slot, Flow.Own);
  if (load<u32>(eth) != load<u32>(own) || load<u16>(eth, 4) != load<u16>(own, 4)) return 0;
  if (total > load<u32>(slot, Flow.Mtu)) return 0;
  const bits: u32 = load<u16>(slot, Flow.Bits);
  const local = (bits & FlowBit.Local) != 0;
  if (!local && ipv4.ttl(ip) <= 1) return 0;
  if (
    (bits & FlowBit.Station) != 0 &&
    (load<u32>(eth, 6) != load<u32>(slot, Flow.Station) || load<u16>(eth, 10) != load<u16>(slot, Flow.Station + 4))
  ) {
    return 0;
  }
  if (load<u32>(slot, Flow.CtTable) != 0) {
    const e = known(slot, h, ip, p, total, src, dst, ports, proto, now);
    if (e <= 1) return first && e == 1 ? miss(table, i, tag, proto) : 0;
    if (local) {
      hold(e);
      store<u32>(h, <u32>e, Pkt.Ct);
      store<u32>(h, load<u32>(slot, Flow.CtInfo), Pkt.CtInfo);
    }
  }
  if (!local || (bits & (FlowBit.Source | FlowBit.Destination)) != 0) rewrite(slot, bits, ip, p, src, dst, ports);
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

/** What a checksum's complement grows by where these 32 bits, or 16, become those (RFC 1624 §3). */
// @ts-ignore: decorator
@inline
function change32(from: u32, to: u32): u32 {
  return (~from & 0xffff) + (~from >> 16) + (to & 0xffff) + (to >> 16);
}
// @ts-ignore: decorator
@inline
function change16(from: u32, to: u32): u32 {
  return (~from & 0xffff) + to;
}
// @ts-ignore: decorator
@inline
function complement(sum: u32): u32 {
  sum = (sum & 0xffff) + (sum >> 16);
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}

/** NAT after the connection's other tuple, and a TTL less by one: each checksum is read and written once for all of it. */
// @ts-ignore: decorator
@inline
function rewrite(slot: usize, bits: u32, ip: usize, p: usize, src: u32, dst: u32, ports: u32): void {
  const proto = ipv4.proto(ip);
  let ttl = ipv4.ttl(ip);
  let header = ~ipv4.headerChecksum(ip) & 0xffff;
  let transport: u32 = 0;
  if ((bits & FlowBit.Destination) != 0) {
    const to = load<u32>(slot, Flow.CtSrc);
    const port = load<u32>(slot, Flow.CtPorts) >> 16;
    header += change32(dst, to);
    transport += change32(dst, to) + change16(ports & 0xffff, port);
    set32(ip, 16, to);
    set16(p, 2, port);
  }
  if ((bits & FlowBit.Source) != 0) {
    const to = load<u32>(slot, Flow.CtDst);
    const port = load<u32>(slot, Flow.CtPorts) & 0xffff;
    header += change32(src, to);
    transport += change32(src, to) + change16(ports >> 16, port);
    set32(ip, 12, to);
    set16(p, 0, port);
  }
  if (transport != 0) {
    const at: usize = proto == TCP ? 16 : 6;
    const before = get16(p, at);
    // 0 says that there is none (RFC 768)
    if (before != 0 || proto == TCP) {
      const after = complement((~before & 0xffff) + transport);
      set16(p, at, after == 0 && proto == UDP ? 0xffff : after);
    }
  }
  if ((bits & FlowBit.Local) == 0) {
    header += change16(0x100, 0);
    ttl--;
  }
  set32(ip, 8, (ttl << 24) | (proto << 16) | complement(header));
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
function miss(table: usize, i: u32, tag: u32, proto: u32): usize {
  const tags: usize = load<u32>(table, FlowTable.Tags) + (i << TAGS_SHIFT);
  const slot: usize = load<u32>(table, FlowTable.Slots) + i * SLOT;
  const before = load<u32>(tags, FlowTags.Missed);
  store<u32>(tags, tag, FlowTags.Missed);
  if (before == 0) return 0;
  // most connections are over before it pays: of such segments only some are noted
  if (proto == TCP && (++segments & SOME) != 0) return 0;
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

/**
 * nf_conntrack_in for a packet of a connection that is as the flow found it: the entry; 1: the connection is another one
 * by now, and the flow must be noted anew; 0: the packet takes the long way.
 */
function known(
  slot: usize,
  h: usize,
  ip: usize,
  p: usize,
  total: u32,
  src: u32,
  dst: u32,
  ports: u32,
  proto: u32,
  now: u32,
): usize {
  const t: usize = load<u32>(slot, Flow.CtTable);
  // somebody listens to events: the long way tells them
  if (load<u32>(t, CtTable.Events) != 0) return 0;
  const link = find(t, src, dst, ports, proto, now);
  if (link == 0) return 1;
  const e: usize = link & ~1;
  const info = load<u32>(slot, Flow.CtInfo);
  const dir = dirOf(info);
  if (
    (link & 1) != dir ||
    (load<u32>(e, Ct.Status) & STATUS) != load<u32>(slot, Flow.CtStatus) ||
    load<u16>(e, Ct.MasqIndex) != load<u16>(slot, Flow.CtMasq)
  ) {
    return 1;
  }
  const other = e + (1 - dir) * 12;
  if (
    load<u32>(other, Ct.Src) != load<u32>(slot, Flow.CtSrc) ||
    load<u32>(other, Ct.Dst) != load<u32>(slot, Flow.CtDst) ||
    load<u32>(other, Ct.Ports) != load<u32>(slot, Flow.CtPorts)
  ) {
    return 1;
  }
  return trackKnown(t, h, e, info, ip, p, total, proto, now) ? e : 0;
}
