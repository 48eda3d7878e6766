// assembly/ip.ts: what a host does to a packet's bytes on its way through, in one call each.

import { get16, set16, set32, set8 } from "./bytes.ts";
import { hold as holdConnection } from "./conntrack.ts";
import { Drop } from "./drop.ts";
import { KeyBit, Pkt, PktType } from "./layout.ts";
import { packetAlloc, pull } from "./packet.ts";
import * as ethernet from "./wire/ethernet.ts";
import * as icmp from "./wire/icmpv4.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as options from "./wire/ipv4options.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";
import { fold, pseudo, sum, update32 } from "./checksum.ts";

/**
 * eth_type_trans: reads the Ethernet header at `Data`, sets `Mac`, `Type` and `Protocol` and takes the header off.
 * A priority tag (VLAN 0) goes as well; another VLAN that no device claims makes the frame somebody else's.
 */
export function etherReceive(h: usize, mac: usize): Drop {
  const p: usize = load<u32>(h, Pkt.Data);
  const len = load<u32>(h, Pkt.Len);
  if (ethernet.check(p, len) != Drop.None) return Drop.Truncated;
  store<u32>(h, <u32>p, Pkt.Mac);
  let type: u32 = PktType.Host;
  if (load<u32>(p) != load<u32>(mac) || load<u16>(p, 4) != load<u16>(mac, 4)) {
    if (!ethernet.isGroup(p)) type = PktType.OtherHost;
    else type = load<u32>(p) == 0xffffffff && load<u16>(p, 4) == 0xffff ? PktType.Broadcast : PktType.Multicast;
  }
  let protocol = ethernet.type(p);
  let at: u32 = ethernet.HEADER_LEN;
  while (protocol == ethernet.TYPE_VLAN || protocol == ethernet.TYPE_QINQ) {
    if (len < at + 4) return Drop.Truncated;
    if ((get16(p, at) & 0xfff) != 0) type = PktType.OtherHost;
    protocol = get16(p, at + 2);
    at += 4;
    if (type == PktType.OtherHost) break;
  }
  store<u32>(h, type, Pkt.Type);
  store<u32>(h, protocol, Pkt.Protocol);
  pull(h, at);
  return Drop.None;
}

/** ip_rcv_core: checks the IPv4 header at `Data`, cuts padding, sets `Net` and `Trans`. */
export function ipReceive(h: usize): Drop {
  const p: usize = load<u32>(h, Pkt.Data);
  const bad = ipv4.check(p, load<u32>(h, Pkt.Len));
  if (bad != Drop.None) return bad;
  store<u32>(h, ipv4.length(p), Pkt.Len);
  store<u32>(h, <u32>p, Pkt.Net);
  store<u32>(h, <u32>p + ipv4.headerLen(p), Pkt.Trans);
  store<u32>(h, 0, Pkt.OptSrr);
  store<u32>(h, 0, Pkt.OptRr);
  store<u32>(h, 0, Pkt.OptTs);
  store<u32>(h, 0, Pkt.OptFlags);
  store<u32>(h, 0, Pkt.FragMax);
  ipKey(h);
  return Drop.None;
}

/** Marks a drop where a number is answered. */
const REFUSED: u32 = 0x80000000;
/** Says that `frameReceive` found an IPv4 packet for `ip_rcv`. */
const READY: u32 = 0x10000;

/**
 * A frame comes in: etherReceive, and for IPv4 that is not somebody else's ipReceive. Answers why it is dropped, or
 * 0x10000 when its IPv4 header is checked; 0 is any other protocol.
 */
export function frameReceive(h: usize, mac: usize): u32 {
  const bad = etherReceive(h, mac);
  if (bad != Drop.None) return bad;
  if (load<u32>(h, Pkt.Protocol) != ethernet.TYPE_IPV4) return 0;
  if (load<u32>(h, Pkt.Type) == PktType.OtherHost) return Drop.OtherHost;
  const wrong = ipReceive(h);
  return wrong != Drop.None ? wrong : READY;
}

/** Reads the fields that decide where a packet goes into its descriptor, in one call: `KeySrc`, `KeyDst`, `KeyInfo`. */
export function ipKey(h: usize): void {
  const p: usize = load<u32>(h, Pkt.Net);
  store<u32>(h, ipv4.src(p), Pkt.KeySrc);
  store<u32>(h, ipv4.dst(p), Pkt.KeyDst);
  const part = ipv4.isFragment(p) ? KeyBit.Fragment : 0;
  const words = ipv4.headerLen(p) << 22;
  store<u32>(h, part | words | (ipv4.tos(p) << 16) | (ipv4.proto(p) << 8) | ipv4.ttl(p), Pkt.KeyInfo);
}

/** TTL minus one with its checksum (RFC 1141). */
export function decreaseTtl(h: usize): void {
  const p: usize = load<u32>(h, Pkt.Net);
  ipv4.rewriteTtl(p, ipv4.ttl(p) - 1);
}

/** A packet with an IPv4 header (options from `echo` when `optLen` is not 0) before `len` bytes; `Data` at the header. */
function newPacket(
  optLen: u32,
  len: u32,
  tos: u32,
  id: u32,
  frag: u32,
  ttl: u32,
  proto: u32,
  src: u32,
  dst: u32,
  final: u32,
  time: u32,
): usize {
  const hl = ipv4.HEADER_LEN + optLen;
  const h = packetAlloc(hl + len);
  if (h == 0) return 0;
  const p: usize = load<u32>(h, Pkt.Data);
  store<u32>(h, <u32>p, Pkt.Net);
  store<u32>(h, <u32>p + hl, Pkt.Trans);
  store<u32>(h, ethernet.TYPE_IPV4, Pkt.Protocol);
  ipv4.emit(p, tos, hl + len, id, frag, ttl, proto, src, dst);
  if (optLen != 0) {
    options.build(p, optLen, final, src, time);
    set8(p, 0, 0x40 | (hl >> 2));
    ipv4.fillChecksum(p);
  }
  return h;
}

/** An ICMP message of ours: `rest` is the header's second word, `from` and `len` the data behind it. 0: no buffer. */
export function icmpBuild(
  type: u32,
  code: u32,
  rest: u32,
  from: usize,
  len: u32,
  tos: u32,
  id: u32,
  ttl: u32,
  src: u32,
  dst: u32,
  optLen: u32,
  final: u32,
  time: u32,
): usize {
  const h = newPacket(optLen, icmp.HEADER_LEN + len, tos, id, 0, ttl, icmp.PROTO, src, dst, final, time);
  if (h == 0) return 0;
  icmp.emitMessage(load<u32>(h, Pkt.Trans), type, code, rest, from, len);
  return h;
}

/** Writes the receive and transmit times of a timestamp reply (RFC 792) and sums the message again. */
export function icmpTimes(h: usize, time: u32): void {
  const p: usize = load<u32>(h, Pkt.Trans);
  set32(p, 12, time);
  set32(p, 16, time);
  icmp.fillChecksum(p, 20);
}

/** A raw IPv4 packet of ours with these bytes behind the header (for a socket that writes whole messages). */
export function ipBuild(
  from: usize,
  len: u32,
  tos: u32,
  id: u32,
  frag: u32,
  ttl: u32,
  proto: u32,
  src: u32,
  dst: u32,
): usize {
  const h = newPacket(0, len, tos, id, frag, ttl, proto, src, dst, 0, 0);
  if (h != 0) memory.copy(load<u32>(h, Pkt.Trans), from, len);
  return h;
}

/** A UDP datagram of ours. */
export function udpBuild(
  from: usize,
  len: u32,
  tos: u32,
  id: u32,
  frag: u32,
  ttl: u32,
  src: u32,
  srcPort: u32,
  dst: u32,
  dstPort: u32,
): usize {
  const h = newPacket(0, udp.HEADER_LEN + len, tos, id, frag, ttl, udp.PROTO, src, dst, 0, 0);
  if (h == 0) return 0;
  const p: usize = load<u32>(h, Pkt.Trans);
  udp.emit(p, srcPort, dstPort, udp.HEADER_LEN + len);
  memory.copy(p + udp.HEADER_LEN, from, len);
  udp.fillChecksum(p, src, dst);
  return h;
}

/** Bytes of sequence space that a segment takes: its data, SYN and FIN. */
function segmentLength(p: usize, len: u32): u32 {
  const flags = tcp.flags(p);
  return len - tcp.headerLen(p) + ((flags & tcp.SYN) != 0 ? 1 : 0) + ((flags & tcp.FIN) != 0 ? 1 : 0);
}

/** The reset that answers a segment which no socket wants (RFC 9293 §3.10.7.1): DF set, id 0, window 0. */
export function tcpReset(h: usize, tos: u32, ttl: u32, optLen: u32, dst: u32, time: u32): usize {
  const ip: usize = load<u32>(h, Pkt.Net);
  const p: usize = load<u32>(h, Pkt.Trans);
  const len = load<u32>(h, Pkt.Len) - ipv4.headerLen(ip);
  const src = ipv4.dst(ip);
  const final = ipv4.src(ip);
  const r = newPacket(optLen, tcp.HEADER_LEN, tos, 0, ipv4.DF, ttl, tcp.PROTO, src, dst, final, time);
  if (r == 0) return 0;
  const t: usize = load<u32>(r, Pkt.Trans);
  if ((tcp.flags(p) & tcp.ACK) != 0) {
    tcp.emit(t, tcp.dstPort(p), tcp.srcPort(p), tcp.ack(p), 0, tcp.HEADER_LEN, tcp.RST, 0);
  } else {
    tcp.emit(
      t,
      tcp.dstPort(p),
      tcp.srcPort(p),
      0,
      tcp.seq(p) + segmentLength(p, len),
      tcp.HEADER_LEN,
      tcp.RST | tcp.ACK,
      0,
    );
  }
  tcp.fillChecksum(t, tcp.HEADER_LEN, src, final);
  return r;
}

/**
 * __udp4_lib_rcv before its socket: checks the datagram at `Trans` and cuts what is behind it. Answers its destination
 * port, or the drop with bit 31 set.
 */
export function udpReceive(h: usize): u32 {
  const ip: usize = load<u32>(h, Pkt.Net);
  const p: usize = load<u32>(h, Pkt.Trans);
  const hl = ipv4.headerLen(ip);
  const bad = udp.check(p, load<u32>(h, Pkt.Len) - hl);
  if (bad != Drop.None) return REFUSED | bad;
  store<u32>(h, hl + udp.length(p), Pkt.Len);
  if (!udp.verify(p, ipv4.src(ip), ipv4.dst(ip))) return REFUSED | Drop.UdpCsum;
  return udp.dstPort(p);
}

/**
 * Whether a UDP-Lite datagram (RFC 3828 §3.1) of `len` bytes may be read: a checksum there must be, over as many bytes
 * as the second length field says, 0 for all.
 */
export function udpliteCheck(p: usize, len: u32, src: u32, dst: u32): Drop {
  if (len < udp.HEADER_LEN) return Drop.Truncated;
  if (udp.checksum(p) == 0) return Drop.BadChecksum;
  let covered = udp.length(p);
  if (covered == 0) covered = len;
  if (covered < udp.HEADER_LEN || covered > len) return Drop.BadLength;
  return fold(sum(p, covered, pseudo(src, dst, 136, len))) == 0xffff ? Drop.None : Drop.BadChecksum;
}

/** The destination of a source-routed packet as it is here: header checksum by difference. */
export function setDestination(h: usize, dst: u32): void {
  const p: usize = load<u32>(h, Pkt.Net);
  const before = ipv4.dst(p);
  set32(p, 16, dst);
  set16(p, 10, update32(ipv4.headerChecksum(p), before, dst));
}

/**
 * One fragment of a packet: its header and `len` bytes from `offset` (bytes, a multiple of 8) behind it. `more`: MF.
 * DF goes on when `df`. 0: no buffer.
 */
export function fragment(h: usize, offset: u32, len: u32, more: bool, df: bool): usize {
  const p: usize = load<u32>(h, Pkt.Net);
  const hl = ipv4.headerLen(p);
  const f = packetAlloc(hl + len);
  if (f == 0) return 0;
  const q: usize = load<u32>(f, Pkt.Data);
  memory.copy(q, p, hl);
  memory.copy(q + hl, p + hl + offset, len);
  const start = ((ipv4.frag(p) & ipv4.OFFSET_MASK) << 3) + offset;
  const last = !more && (ipv4.frag(p) & ipv4.MF) == 0;
  ipv4.setLength(q, hl + len);
  ipv4.setFrag(q, (start >> 3) | (last ? 0 : ipv4.MF) | (df ? ipv4.DF : 0));
  ipv4.fillChecksum(q);
  memory.copy(f + Pkt.In, h + Pkt.In, Pkt.OptSrr - Pkt.In);
  const ct: usize = load<u32>(f, Pkt.Ct);
  if (ct != 0) holdConnection(ct);
  store<u32>(f, <u32>q, Pkt.Net);
  store<u32>(f, start == 0 ? <u32>q + hl : 0, Pkt.Trans);
  store<u32>(f, load<u32>(h, Pkt.PhysIn), Pkt.PhysIn);
  store<u32>(f, load<u32>(h, Pkt.PhysOut), Pkt.PhysOut);
  store<u32>(f, load<u32>(h, Pkt.Story), Pkt.Story);
  return f;
}

/** Puts an Ethernet header before the packet; `dst` and `src` are addresses of six bytes. */
export function etherPush(h: usize, dst: usize, src: usize, type: u32): void {
  const p: usize = load<u32>(h, Pkt.Data) - ethernet.HEADER_LEN;
  assert(p >= <usize>load<u32>(h, Pkt.Head), "no room for an Ethernet header");
  store<u32>(h, <u32>p, Pkt.Data);
  store<u32>(h, load<u32>(h, Pkt.Len) + ethernet.HEADER_LEN, Pkt.Len);
  store<u32>(h, <u32>p, Pkt.Mac);
  ethernet.emit(p, dst, src, type);
}
