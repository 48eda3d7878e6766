// assembly/dissect.ts: a captured frame to a columnar record (record.ts). It stops where Wireshark 4.0 stops.
//
// Every layer is seen twice: `cap` bytes of it are in the file, `len` bytes were on the wire. A frame may be cut short
// by the capture (cap < len) or be short itself; what can be read is shown, and a checksum over bytes that were not
// captured is not verified.

import { get16, get32, get8 } from "./bytes.ts";
import { fold, pseudo, sum, sum20 } from "./checksum.ts";
import { Layer, LinkType, Rec, Status } from "./record.ts";
import { HEADER_LEN as ETH_LEN, TYPE_ARP, TYPE_IPV4, TYPE_MIN, TYPE_VLAN, type as ethType } from "./wire/ethernet.ts";
import { destinationInHeader, optionsOf } from "./dissectoptions.ts";
import { HEADER_LEN as TAG_LEN, etype } from "./wire/vlan.ts";
import * as arp from "./wire/arp.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as icmp from "./wire/icmpv4.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";

/** Stacked tags of before 802.1ad, which Wireshark takes for VLAN as well. 0x88a8 is a protocol of its own there. */
const TYPE_QINQ_OLD: u32 = 0x9100;
const HTYPE_AX25: u32 = 3;
const HTYPE_ATM: u32 = 19;
const MAX_TAGS: u32 = 100;

// @ts-ignore: decorator
@inline
function min(a: u32, b: u32): u32 {
  return a < b ? a : b;
}

// @ts-ignore: decorator
@inline
function add(rec: usize, bits: u32): void {
  store<u32>(rec, load<u32>(rec, Rec.Layers) | bits, Rec.Layers);
}

/** Ports that Wireshark gives to HTTP. */
// @ts-ignore: decorator
@inline
function isHttpPort(port: u32): bool {
  if (port == 80) return true;
  if (port < 1900) return false;
  return (
    port == 8080 ||
    port == 8088 ||
    port == 3128 ||
    port == 3132 ||
    port == 5985 ||
    port == 11371 ||
    port == 1900 ||
    port == 2869 ||
    port == 2710
  );
}

/** TCP ports that Wireshark gives to DNS; multicast DNS over UDP is a protocol of its own. */
// @ts-ignore: decorator
@inline
function isDnsPort(port: u32): bool {
  return port == 53 || port == 5353;
}

/** One's-complement sum of the payload with its pseudo-header. */
// @ts-ignore: decorator
@inline
function transportStatus(rec: usize, p: usize, len: u32, proto: u32): u32 {
  const s = pseudo(load<u32>(rec, Rec.Src), load<u32>(rec, Rec.Dst), proto, len);
  return fold(sum(p, len, s)) == 0xffff ? Status.Good : Status.Bad;
}

function dissectTcp(p: usize, cap: u32, len: u32, rec: usize, fragment: bool): void {
  if (cap < 4) return;
  const at = load<u32>(rec, Rec.Trans);
  const ports = get32(p, 0);
  store<u32>(rec, ports, Rec.Ports);
  let layers: u32 = Layer.Tcp;
  // everything up to the window is read before any of it is shown
  if (cap < 16) {
    store<u32>(rec, 4, Rec.TransShown);
    add(rec, layers);
    return;
  }
  const headerLen = tcp.headerLen(p);
  let shown: u32 = min(cap, 20);
  if (headerLen < tcp.HEADER_LEN) {
    store<u32>(rec, 14, Rec.TransShown);
    store<u32>(rec, len - headerLen, Rec.PayloadLen);
    add(rec, fragment ? layers : layers | Layer.SegmentLen);
    return;
  }
  if (len >= headerLen && !fragment) {
    layers |= Layer.SegmentLen;
    store<u32>(rec, len - headerLen, Rec.PayloadLen);
  }
  if (cap >= 18) {
    const status: u32 = fragment || cap < len ? Status.Unverified : transportStatus(rec, p, len, tcp.PROTO);
    layers |= status << 18;
  }
  if (cap >= 20) shown = min(cap, headerLen);
  store<u32>(rec, shown, Rec.TransShown);
  if (cap > headerLen) {
    store<u32>(rec, at + headerLen, Rec.Payload);
    store<u32>(rec, cap - headerLen, Rec.PayloadCap);
    // what comes with a reset is a text about its reason (RFC 9293 §3.5.3)
    if ((tcp.flags(p) & tcp.RST) != 0) {
      add(rec, layers | Layer.Reset);
      return;
    }
    const a = ports >> 16;
    const b = ports & 0xffff;
    const low = min(a, b);
    const high = a < b ? b : a;
    if (isDnsPort(low)) layers |= Layer.DnsPort;
    else if (isHttpPort(low)) layers |= Layer.HttpPort;
    else if (isDnsPort(high)) layers |= Layer.DnsPort;
    else if (isHttpPort(high)) layers |= Layer.HttpPort;
  }
  add(rec, layers);
}

function dissectUdp(p: usize, cap: u32, len: u32, rec: usize, fragment: bool): void {
  if (cap < 4) return;
  if (cap < 8) {
    store<u32>(rec, get32(p, 0), Rec.Ports);
    store<u32>(rec, cap, Rec.TransShown);
    add(rec, Layer.Udp);
    return;
  }
  const at = load<u32>(rec, Rec.Trans);
  const ports = get32(p, 0);
  let layers: u32 = Layer.Udp;
  store<u32>(rec, ports, Rec.Ports);
  const n = udp.length(p);
  if (n < udp.HEADER_LEN) {
    store<u32>(rec, 6, Rec.TransShown);
    add(rec, layers);
    return;
  }
  store<u32>(rec, 8, Rec.TransShown);
  let status: u32 = Status.Unverified;
  if (udp.checksum(p) == 0) status = Status.Absent;
  else if (!fragment && cap >= len && n <= len) status = transportStatus(rec, p, n, udp.PROTO);
  layers |= status << 18;
  const end = min(n, len);
  if (cap > 8 && end > 8) {
    store<u32>(rec, at + 8, Rec.Payload);
    store<u32>(rec, min(cap, end) - 8, Rec.PayloadCap);
    store<u32>(rec, end - 8, Rec.PayloadLen);
    if (ports >> 16 == 53 || (ports & 0xffff) == 53) layers |= Layer.DnsPort;
  }
  add(rec, layers);
}

function dissectIcmp(p: usize, cap: u32, len: u32, rec: usize, fragment: bool): void {
  // its first six bytes are read before any of it is shown
  if (cap < 6) return;
  let status: u32 = Status.Unverified;
  if (!fragment && cap >= len) status = fold(sum(p, len, 0)) == 0xffff ? Status.Good : Status.Bad;
  store<u32>(rec, min(cap, icmp.HEADER_LEN), Rec.TransShown);
  add(rec, Layer.Icmp | (status << 18));
}

function dissectIpv4(p: usize, cap: u32, len: u32, rec: usize): void {
  if (cap == 0) return;
  add(rec, Layer.Ip);
  if (ipv4.version(p) != 4) {
    add(rec, Layer.NotIpv4);
    store<u32>(rec, 1, Rec.NetShown);
    return;
  }
  const headerLen = ipv4.headerLen(p);
  if (headerLen < ipv4.HEADER_LEN) {
    store<u32>(rec, 1, Rec.NetShown);
    return;
  }
  store<u32>(rec, min(cap, headerLen), Rec.NetShown);
  if (cap < 4) return;
  let total = ipv4.length(p);
  // a length of 0 is a packet that the card will segment (TSO): it goes to the frame's end
  if (total == 0) total = len;
  store<u32>(rec, total, Rec.NetLen);
  if (total < headerLen) {
    store<u32>(rec, 4, Rec.NetShown);
    return;
  }
  len = min(len, total);
  cap = min(cap, len);
  store<u32>(rec, min(cap, headerLen), Rec.NetShown);
  if (cap < ipv4.HEADER_LEN) {
    add(rec, Status.Unverified << 16);
    return;
  }
  const proto = ipv4.proto(p);
  store<u32>(rec, load<u32>(rec, Rec.Type) | proto, Rec.Type);
  store<u32>(rec, ipv4.src(p), Rec.Src);
  store<u32>(rec, ipv4.dst(p), Rec.Dst);
  if (cap < headerLen) {
    // with options behind, the destination is looked for in a source route first
    store<u32>(rec, destinationInHeader(p, cap, headerLen) ? 20 : 16, Rec.NetShown);
    add(rec, Status.Unverified << 16);
    return;
  }
  const headerSum = headerLen == ipv4.HEADER_LEN ? sum20(p) : sum(p, headerLen, 0);
  add(rec, (fold(headerSum) == 0xffff ? Status.Good : Status.Bad) << 16);
  if (headerLen > ipv4.HEADER_LEN) {
    if (!destinationInHeader(p, cap, headerLen)) {
      add(rec, Layer.NoDst);
      store<u32>(rec, 0, Rec.Dst);
    }
    if (!optionsOf(p, headerLen, rec)) return;
  }
  const frag = ipv4.frag(p);
  if ((frag & ipv4.OFFSET_MASK) != 0) return;
  const fragment = (frag & ipv4.MF) != 0;
  if (fragment) add(rec, Layer.Fragment);
  store<u32>(rec, load<u32>(rec, Rec.Net) + headerLen, Rec.Trans);
  p += headerLen;
  cap -= headerLen;
  len -= headerLen;
  if (cap == 0) return;
  if (proto == ipv4.PROTO_TCP) dissectTcp(p, cap, len, rec, fragment);
  else if (proto == ipv4.PROTO_UDP) dissectUdp(p, cap, len, rec, fragment);
  else if (proto == ipv4.PROTO_ICMP) dissectIcmp(p, cap, len, rec, fragment);
}

/** Whether Wireshark shows an ARP packet: over AX.25 and ATM only when all of it is there. */
function arpThere(p: usize, cap: u32): bool {
  if (cap < 2) return false;
  const htype = arp.htype(p);
  if (htype == HTYPE_AX25) return cap >= 8 && cap >= 8 + 2 * (arp.hlen(p) + arp.plen(p));
  if (htype != HTYPE_ATM) return true;
  // RFC 2225 §6.2: types, two lengths of the source, operation, its third, three of the target (six bits each), addresses
  if (cap < 12) return false;
  let total: u32 = 12;
  total += (get8(p, 4) & 0x3f) + (get8(p, 5) & 0x3f) + get8(p, 8);
  total += (get8(p, 9) & 0x3f) + (get8(p, 10) & 0x3f) + get8(p, 11);
  return cap >= total;
}

/** Bytes of the header in front of the type's payload, for link types other than Ethernet; -1: not to be decoded. */
function linkHeader(p: usize, cap: u32, linkType: u32): i32 {
  switch (linkType) {
    case LinkType.Raw:
    case LinkType.Raw12:
    case LinkType.Raw14:
      return cap < 8 || get8(p, 0) >> 4 == 6 ? -1 : 0;
    case LinkType.Ipv4:
      return 0;
    case LinkType.Null:
      // the address family in the byte order of the machine that captured: AF_INET is 2 everywhere
      return cap >= 4 && (load<u32>(p) == 2 || get32(p, 0) == 2) ? 4 : -1;
    case LinkType.Loop:
      return cap >= 4 && get32(p, 0) == 2 ? 4 : -1;
    case LinkType.LinuxSll:
      return cap >= 16 ? 16 : -1;
    case LinkType.LinuxSll2:
      return cap >= 20 ? 20 : -1;
    default:
      return -1;
  }
}

/**
 * Writes the record of one frame: `cap` bytes at `p`, of `len` that were on the wire. Reads nothing beyond `cap` and
 * never fails: what the bytes do not hold is missing from the record.
 */
export function dissect(p: usize, cap: u32, len: u32, linkType: u32, rec: usize): void {
  // written out: a fill of 64 bytes is a call
  const zero = i64x2.splat(0);
  v128.store(rec, zero);
  v128.store(rec, zero, 16);
  v128.store(rec, zero, 32);
  v128.store(rec, zero, 48);
  store<u32>(rec, <u32>p, Rec.At);
  store<u32>(rec, cap, Rec.CapLen);
  store<u32>(rec, len, Rec.Len);
  if (len < cap) len = cap;
  let layers: u32 = 0;
  let type = TYPE_IPV4;
  let at: u32 = ETH_LEN;
  if (linkType == LinkType.Ethernet) {
    if (cap < ETH_LEN) return;
    layers = Layer.Eth;
    type = ethType(p);
  } else {
    const header = linkHeader(p, cap, linkType);
    if (header < 0) return;
    at = header;
    if (linkType == LinkType.LinuxSll) type = get16(p, 14);
    else if (linkType == LinkType.LinuxSll2) type = get16(p, 0);
  }
  let tags: u32 = 0;
  while ((type == TYPE_VLAN || type == TYPE_QINQ_OLD) && tags < MAX_TAGS && cap >= at + 2) {
    tags++;
    if (cap < at + TAG_LEN) {
      layers |= Layer.CutTag;
      type = 0;
    } else type = etype(p + at);
    at += TAG_LEN;
  }
  if (tags != 0) layers |= Layer.Vlan | (tags << 24);
  store<u32>(rec, layers, Rec.Layers);
  store<u32>(rec, type << 16, Rec.Type);
  store<u32>(rec, at, Rec.Net);
  if (type == TYPE_IPV4) dissectIpv4(p + at, cap - at, len - at, rec);
  else if (type == TYPE_ARP && cap > at) {
    if (!arpThere(p + at, cap - at)) return;
    store<u32>(rec, cap - at, Rec.NetShown);
    store<u32>(rec, len - at, Rec.NetLen);
    add(rec, Layer.Arp);
  }
}
