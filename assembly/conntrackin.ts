// assembly/conntrackin.ts: a packet meets its connection (nf_conntrack_in, nf_conntrack_proto_{udp,icmp,generic}).

import { get16, get8 } from "./bytes.ts";
import { fold, pseudo, sum } from "./checksum.ts";
import { attach, count, create, dirOf, find, hold, note, put, refresh, reset } from "./conntrack.ts";
import { Ct, CtEvent, CtInfo, CtStatus, CtTable } from "./conntracklayout.ts";
import { DROP, INVALID, portsAt, REPEAT, track as trackTcp, VALID } from "./conntracktcp.ts";
import { Pkt, PktFlag } from "./layout.ts";
import * as icmp from "./wire/icmpv4.ts";
import * as ipv4 from "./wire/ipv4.ts";

export const PROTO_GRE: u32 = 47;
export const PROTO_UDPLITE: u32 = 136;
/** What GRE's version 1 carries (RFC 2637 §4.1). */
const GRE_PPP: u32 = 0x880b;
const PREROUTING: u32 = 0;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const HZ: u32 = 250;
/** NR_ICMP_TYPES: the highest type that is not a mystery. */
const HIGHEST_ICMP: u32 = 18;

/** The type that answers `type`, or asked for it; 0xff: none does. */
function answerOf(type: u32): u32 {
  switch (type) {
    case 0:
      return 8;
    case 8:
      return 0;
    case 13:
      return 14;
    case 14:
      return 13;
    case 15:
      return 16;
    case 16:
      return 15;
    case 17:
      return 18;
    case 18:
      return 17;
    default:
      return 0xff;
  }
}

/** The ports' word of the inverse tuple (nf_ct_invert_tuple); `NO_TUPLE` when there is no inverse. */
export function invertPorts(ports: u32, proto: u32): u64 {
  if (proto != icmp.PROTO) return rotl<u32>(ports, 16);
  const type = answerOf((ports >> 8) & 0xff);
  return type == 0xff ? NO_TUPLE : (ports & 0xffff00ff) | (type << 8);
}

const NO_TUPLE: u64 = 1 << 32;

/**
 * The ports' word of the transport header at `p` with `left` bytes behind it (nf_ct_get_tuple); `NO_TUPLE` when the
 * header is too short. Four bytes are enough for ports.
 */
function portsOf(p: usize, left: u32, proto: u32): u64 {
  switch (proto) {
    case 6:
    case 17:
    case PROTO_UDPLITE:
      return left < 4 ? NO_TUPLE : portsAt(p);
    case icmp.PROTO:
      return left < 8 ? NO_TUPLE : (icmp.ident(p) << 16) | (icmp.type(p) << 8) | icmp.code(p);
    case PROTO_GRE:
      // without PPTP's helper the keys of version 1 are not followed: only the call id tells calls apart
      if (left < 8 || (get16(p, 0) & 7) != 1) return 0;
      return get16(p, 2) == GRE_PPP ? get16(p, 6) : NO_TUPLE;
    default:
      return 0;
  }
}

/** The ports' word of a packet's own tuple (nf_ct_get_tuplepr), -1 where it has none. */
export function flowPorts(h: usize): f64 {
  const ip: usize = load<u32>(h, Pkt.Data);
  const total = load<u32>(h, Pkt.Len);
  if (total < ipv4.HEADER_LEN || (ipv4.frag(ip) & ipv4.OFFSET_MASK) != 0 || ipv4.headerLen(ip) > total) return -1;
  const ports = portsOf(ip + ipv4.headerLen(ip), total - ipv4.headerLen(ip), ipv4.proto(ip));
  return ports == NO_TUPLE ? -1 : <f64>ports;
}

/** nf_ip_checksum over everything behind the IP header. */
function verifies(ip: usize, p: usize, len: u32, proto: u32): bool {
  const start = proto == icmp.PROTO ? 0 : pseudo(ipv4.src(ip), ipv4.dst(ip), proto, len);
  return fold(sum(p, len, start)) == 0xffff;
}

/** UDP-Lite sums what its coverage says (RFC 3828 §3.1). */
function liteVerifies(ip: usize, p: usize, len: u32, coverage: u32): bool {
  return fold(sum(p, coverage, pseudo(ipv4.src(ip), ipv4.dst(ip), PROTO_UDPLITE, len))) == 0xffff;
}

/** udp_error and udplite_error; `check`: the checksum counts. */
function udpWrong(ip: usize, p: usize, len: u32, proto: u32, check: bool): bool {
  if (len < 8) return true;
  const said = get16(p, 4);
  if (proto == 17) {
    if (said > len || said < 8) return true;
    if (get16(p, 6) == 0) return false;
    return check && !verifies(ip, p, len, proto);
  }
  const coverage = said == 0 ? len : said;
  if (coverage < 8 || coverage > len || get16(p, 6) == 0) return true;
  return check && !liteVerifies(ip, p, len, coverage);
}

function trackUdp(t: usize, h: usize, e: usize, info: u32, now: u32): u32 {
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.Confirmed) == 0) store<u32>(e, now + 2 * HZ, Ct.StreamTs);
  const len = load<u32>(h, Pkt.Len);
  if ((status & CtStatus.SeenReply) == 0) {
    refresh(t, e, info, len, load<u32>(t, CtTable.UdpTimeout), now);
    return VALID;
  }
  // a stream only when it is still alive after two seconds
  if (<i32>(load<u32>(e, Ct.StreamTs) - now) >= 0) {
    refresh(t, e, info, len, load<u32>(t, CtTable.UdpTimeout), now);
    return VALID;
  }
  refresh(t, e, info, len, load<u32>(t, CtTable.UdpStream), now);
  if ((status & (CtStatus.Assured | CtStatus.NatClash)) == 0) {
    store<u32>(e, status | CtStatus.Assured, Ct.Status);
    note(e, CtEvent.Assured);
  }
  return VALID;
}

function trackGre(t: usize, h: usize, e: usize, info: u32, now: u32): u32 {
  const status = load<u32>(e, Ct.Status);
  const len = load<u32>(h, Pkt.Len);
  if ((status & CtStatus.SeenReply) == 0) {
    refresh(t, e, info, len, load<u32>(t, CtTable.GreTimeout), now);
    return VALID;
  }
  refresh(t, e, info, len, load<u32>(t, CtTable.GreStream), now);
  if ((status & (CtStatus.Assured | CtStatus.NatClash)) == 0) {
    store<u32>(e, status | CtStatus.Assured, Ct.Status);
    note(e, CtEvent.Assured);
  }
  return VALID;
}

/** nf_conntrack_handle_packet: the protocol's own view. */
function handle(t: usize, h: usize, e: usize, info: u32, p: usize, len: u32, proto: u32, check: bool, now: u32): u32 {
  const ip: usize = load<u32>(h, Pkt.Data);
  switch (proto) {
    case 6:
      if (len < 20) return INVALID;
      if ((get8(p, 12) >> 4) << 2 < 20 || (get8(p, 12) >> 4) << 2 > len) return INVALID;
      if (check && !verifies(ip, p, len, proto)) return INVALID;
      return trackTcp(t, h, e, info, dirOf(info), p, len, now);
    case 17:
    case PROTO_UDPLITE:
      return udpWrong(ip, p, len, proto, check) ? INVALID : trackUdp(t, h, e, info, now);
    case icmp.PROTO: {
      const type = (load<u32>(e, Ct.Ports) >> 8) & 0xff;
      // only a question starts a connection
      if (type != 8 && type != 13 && type != 15 && type != 17) return INVALID;
      refresh(t, e, info, load<u32>(h, Pkt.Len), load<u32>(t, CtTable.IcmpTimeout), now);
      return VALID;
    }
    case PROTO_GRE:
      return trackGre(t, h, e, info, now);
    default:
      refresh(t, e, info, load<u32>(h, Pkt.Len), load<u32>(t, CtTable.GenericTimeout), now);
      return VALID;
  }
}

/** nf_conntrack_inet_error: an ICMP error belongs to the connection of the packet that it quotes. */
function trackError(t: usize, h: usize, inner: usize, left: u32, zone: u32, now: u32): void {
  if (left < ipv4.HEADER_LEN || (ipv4.frag(inner) & ipv4.OFFSET_MASK) != 0) return;
  const headerLen = ipv4.headerLen(inner);
  if (headerLen > left) return;
  const proto = ipv4.proto(inner);
  const ports = portsOf(inner + headerLen, left - headerLen, proto);
  if (ports == NO_TUPLE) return;
  const inverse = invertPorts(<u32>ports, proto);
  if (inverse == NO_TUPLE) return;
  const link = find(t, ipv4.dst(inner), ipv4.src(inner), <u32>inverse, proto | (zone << 8), now);
  if (link == 0) return;
  const e: usize = link & ~1;
  const dir = link & 1;
  // the error must go to whoever sent the quoted packet
  if (ipv4.dst(load<u32>(h, Pkt.Data)) != load<u32>(e + dir * 12, Ct.Dst)) return;
  hold(e);
  attach(h, e, dir == 0 ? CtInfo.Related : CtInfo.RelatedReply);
}

/**
 * nf_conntrack_in: finds or makes the packet's connection. `hook` is 0 in PREROUTING, 3 in OUTPUT; `now` in jiffies;
 * `zone` 0 unless a template said otherwise. The answer: 1 go on (`Pkt.Ct` 0 and info 0: invalid), 0 drop.
 */
export function track(t: usize, h: usize, hook: u32, zone: u32, now: u32): u32 {
  // seen already (loopback), or not to be looked at
  if (load<u32>(h, Pkt.Ct) != 0 || load<u32>(h, Pkt.CtInfo) == CtInfo.Untracked) return NF_ACCEPT;
  if ((load<u32>(h, Pkt.Flags) & PktFlag.Untracked) != 0) {
    store<u32>(h, CtInfo.Untracked, Pkt.CtInfo);
    return NF_ACCEPT;
  }
  const flags = load<u32>(h, Pkt.Flags);
  if ((flags & PktFlag.Refused) != 0) {
    store<u32>(h, flags & ~PktFlag.Refused, Pkt.Flags);
    count(t, CtTable.InvalidCount);
    return NF_ACCEPT;
  }
  const ip: usize = load<u32>(h, Pkt.Data);
  const total = load<u32>(h, Pkt.Len);
  if (total < ipv4.HEADER_LEN || (ipv4.frag(ip) & ipv4.OFFSET_MASK) != 0 || ipv4.headerLen(ip) > total) {
    count(t, CtTable.InvalidCount);
    return NF_ACCEPT;
  }
  const proto = ipv4.proto(ip);
  const p = ip + ipv4.headerLen(ip);
  const len = total - ipv4.headerLen(ip);
  const check =
    hook == PREROUTING && load<u32>(t, CtTable.Checksum) != 0 && (load<u32>(h, Pkt.Flags) & PktFlag.CsumOk) == 0;
  if (proto == icmp.PROTO) {
    if (len < 8 || (check && !verifies(ip, p, len, proto)) || icmp.type(p) > HIGHEST_ICMP) {
      count(t, CtTable.Error);
      return NF_ACCEPT;
    }
    if (icmp.isError(icmp.type(p))) {
      trackError(t, h, p + 8, len - 8, zone, now);
      if (load<u32>(h, Pkt.Ct) == 0) count(t, CtTable.Error);
      return NF_ACCEPT;
    }
  }
  const ports = portsOf(p, len, proto);
  const inverse = ports == NO_TUPLE ? NO_TUPLE : invertPorts(<u32>ports, proto);
  if (inverse == NO_TUPLE) {
    count(t, CtTable.InvalidCount);
    return NF_ACCEPT;
  }
  const kind = proto | (zone << 8);
  // twice at most: a reopened connection is new the second time
  for (let i = 0; i < 2; i++) {
    const link = find(t, ipv4.src(ip), ipv4.dst(ip), <u32>ports, kind, now);
    let e: usize = link & ~1;
    let info: u32 = CtInfo.New;
    if (e == 0) {
      e = create(t, ipv4.src(ip), ipv4.dst(ip), <u32>ports, <u32>inverse, kind, now);
      if (e == 0) {
        count(t, CtTable.DropCount);
        return NF_DROP;
      }
    } else {
      hold(e);
      const status = load<u32>(e, Ct.Status);
      if ((link & 1) != 0) info = CtInfo.EstablishedReply;
      else if ((status & CtStatus.SeenReply) != 0) info = CtInfo.Established;
      else if ((status & CtStatus.Expected) != 0) info = CtInfo.Related;
    }
    const answer = handle(t, h, e, info, p, len, proto, check, now);
    if (answer == VALID) {
      store<u32>(h, <u32>e, Pkt.Ct);
      store<u32>(h, info, Pkt.CtInfo);
      if (info == CtInfo.EstablishedReply) {
        const status = load<u32>(e, Ct.Status);
        if ((status & CtStatus.SeenReply) == 0) {
          store<u32>(e, status | CtStatus.SeenReply, Ct.Status);
          note(e, CtEvent.Reply);
        }
      }
      return NF_ACCEPT;
    }
    put(e);
    if (answer == REPEAT) continue;
    count(t, CtTable.InvalidCount);
    if (answer == DROP) {
      count(t, CtTable.DropCount);
      return NF_DROP;
    }
    return NF_ACCEPT;
  }
  return NF_ACCEPT;
}

/**
 * The same for a packet of `total` bytes, UDP or TCP, whose confirmed connection was found and stands as `info` says
 * (`received`: PREROUTING, else OUTPUT): true when it goes on as it is. False: nothing was done; or the segment is out of place, which its flags tell.
 */
export function trackKnown(
  t: usize,
  h: usize,
  e: usize,
  info: u32,
  ip: usize,
  p: usize,
  total: u32,
  proto: u32,
  received: bool,
  now: u32,
): bool {
  const len = total - ipv4.HEADER_LEN;
  const check = received && load<u32>(t, CtTable.Checksum) != 0;
  const before = load<u32>(h, Pkt.Len);
  if (proto == 17) {
    if (udpWrong(ip, p, len, proto, check)) return false;
    store<u32>(h, total, Pkt.Len);
    trackUdp(t, h, e, info, now);
    store<u32>(h, before, Pkt.Len);
    return true;
  }
  // beginnings and ends of connections change more than their windows
  if ((get8(p, 13) & 0x17) != 0x10 || (get8(p, 12) >> 4) << 2 < 20 || (get8(p, 12) >> 4) << 2 > len) return false;
  if (check && !verifies(ip, p, len, proto)) return false;
  store<u32>(h, total, Pkt.Len);
  const answer = trackTcp(t, h, e, info, dirOf(info), p, len, now);
  store<u32>(h, before, Pkt.Len);
  if (answer == VALID) return true;
  store<u32>(h, load<u32>(h, Pkt.Flags) | PktFlag.Refused, Pkt.Flags);
  return false;
}

/** NOTRACK: nobody shall look for this packet's connection. */
export function notrack(h: usize): void {
  reset(h);
  store<u32>(h, CtInfo.Untracked, Pkt.CtInfo);
}
