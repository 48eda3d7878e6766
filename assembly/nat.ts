// assembly/nat.ts: network address translation (nf_nat_core, nf_nat_proto): which tuple a connection gets, and the
// packets' bytes rewritten in place with incremental checksums (RFC 1624).

import { jhash } from "./jhash.ts";
import { get16, set16 } from "./bytes.ts";
import { checksum, update16, update32 } from "./checksum.ts";
import { bindSource, chance, dirOf, find, kill, kindOf, sourceChainOf } from "./conntrack.ts";
import { invertPorts, PROTO_GRE, PROTO_UDPLITE } from "./conntrackin.ts";
import { Ct, CtInfo, CtStatus, Manip, NatStep, RangeFlag, TcpState } from "./conntracklayout.ts";
import { mayReplace } from "./conntracktcp.ts";
import { Pkt } from "./layout.ts";
import { packetLinear } from "./packet.ts";
import * as icmp from "./wire/icmpv4.ts";
import * as ipv4 from "./wire/ipv4.ts";

const INPUT: u32 = 1;
const POSTROUTING: u32 = 4;
const NAT_MASK: u32 = CtStatus.SrcNat | CtStatus.DstNat;
const DONE_MASK: u32 = CtStatus.SrcNatDone | CtStatus.DstNatDone;
/** NF_NAT_MAX_ATTEMPTS, and from how many left on it may put out closed connections. */
const MAX_ATTEMPTS: u32 = 128;
const HARDER: u32 = 32;

// the range and the tuples at work: one call's scratch, no results
let minIp: u32 = 0;
let maxIp: u32 = 0;
let minPort: u32 = 0;
let maxPort: u32 = 0;
let basePort: u32 = 0;
let rangeFlags: u32 = 0;
let tSrc: u32 = 0;
let tDst: u32 = 0;
let tPorts: u32 = 0;

/** HOOK2MANIP: POSTROUTING and INPUT rewrite sources, the others destinations. */
// @ts-ignore: decorator
@inline
export function manipOf(hook: u32): u32 {
  return hook == POSTROUTING || hook == INPUT ? Manip.Src : Manip.Dst;
}

function hasPorts(proto: u32): bool {
  return proto == 6 || proto == 17 || proto == PROTO_UDPLITE;
}

/** l4proto_in_range: the port (or ICMP id) that `manip` would change lies within the range. */
function portInRange(proto: u32, manip: u32): bool {
  let v: u32;
  if (proto == icmp.PROTO) v = tPorts >> 16;
  else if (hasPorts(proto) || proto == PROTO_GRE) v = manip == Manip.Src ? tPorts >> 16 : tPorts & 0xffff;
  else return true;
  return v >= minPort && v <= maxPort;
}

/** nf_in_range: the source of the tuple is one that the range allows. */
function sourceInRange(proto: u32): bool {
  if ((rangeFlags & RangeFlag.MapIps) != 0 && (tSrc < minIp || tSrc > maxIp)) return false;
  return (rangeFlags & RangeFlag.ProtoSpecified) == 0 || portInRange(proto, Manip.Src);
}

/** nf_conntrack_tuple_taken: another connection's packets would look like the answers to this tuple. */
function used(t: usize, e: usize, now: u32): bool {
  const proto = <u32>load<u8>(e, Ct.Proto);
  const link = find(t, tDst, tSrc, <u32>invertPorts(tPorts, proto), kindOf(e), now);
  if (link == 0) return false;
  const other: usize = link & ~1;
  if (other == e) return false;
  // the same flow twice: confirming will settle it
  return !(
    load<u32>(e, Ct.Src) == load<u32>(other, Ct.Src) &&
    load<u32>(e, Ct.Dst) == load<u32>(other, Ct.Dst) &&
    load<u32>(e, Ct.Ports) == load<u32>(other, Ct.Ports)
  );
}

/** nf_nat_used_tuple_harder: near the end of the attempts a TIME-WAIT connection whose numbers are behind gives way. */
function usedHarder(t: usize, e: usize, left: u32, now: u32): bool {
  if (left > HARDER || load<u8>(e, Ct.Proto) != 6 || load<u8>(e, Ct.State) != <u8>TcpState.SynSent)
    return used(t, e, now);
  const link = find(t, tDst, tSrc, rotl<u32>(tPorts, 16), kindOf(e), now);
  if (link == 0) return false;
  const other: usize = link & ~1;
  if ((link & 1) == 0 || other == e || !mayReplace(other, e)) return true;
  kill(t, other);
  return false;
}

/** find_appropriate_src: where an earlier connection of the same source was mapped to, if the range allows it. */
function earlierSource(t: usize, e: usize): bool {
  const src = tSrc;
  const port = tPorts >> 16;
  const kind = kindOf(e);
  const proto = kind & 0xff;
  const ports = tPorts;
  let o: usize = load<u32>(sourceChainOf(t, src, ports, kind));
  while (o != 0) {
    if (load<u32>(o, Ct.Src) == src && load<u32>(o, Ct.Ports) >> 16 == port && kindOf(o) == kind) {
      const reply = load<u32>(o, Ct.ReplyPorts);
      tSrc = load<u32>(o, Ct.ReplyDst);
      // the destination stays this connection's
      const mapped = proto == icmp.PROTO ? reply >> 16 : reply & 0xffff;
      tPorts = (mapped << 16) | (ports & 0xffff);
      if (sourceInRange(proto)) return true;
    }
    o = load<u32>(o, Ct.NextSource);
  }
  tSrc = src;
  tPorts = ports;
  return false;
}

// @ts-ignore: decorator
@inline
function bytesOf(v: u32): u32 {
  return bswap<u32>(v);
}

/** The four words of an address that are hashed; IPv4 fills the first. */
const hashed: usize = memory.data(16, 16);

/**
 * Bob Jenkins' lookup3 (2006) over the four words of an address, as jhash2 with Linux's start value: clients keep their
 * address of the range. Words and the start value are in network order as a little-endian machine reads them.
 */
function addressHash(src: u32, start: u32): u32 {
  store<u32>(hashed, src);
  return jhash(hashed, 16, start);
}

/** find_best_ips_proto: the address of the range that source and destination hash to. */
function chooseAddress(e: usize, manip: u32): void {
  if ((rangeFlags & RangeFlag.MapIps) == 0) return;
  let address = minIp;
  if (minIp != maxIp) {
    const start = (rangeFlags & RangeFlag.Persistent) != 0 ? 0 : bytesOf(tDst) ^ (<u32>load<u16>(e, Ct.Zone));
    const j = addressHash(bytesOf(tSrc), start);
    address = minIp + <u32>((<u64>j * <u64>(maxIp - minIp + 1)) >> 32);
  }
  if (manip == Manip.Src) tSrc = address;
  else tDst = address;
}

/** nf_nat_l4proto_unique_tuple: tries ports (or ICMP ids) of the range until one is free; a `wanted` one comes first. */
function choosePort(t: usize, e: usize, manip: u32, wanted: u32, now: u32): void {
  const proto = <u32>load<u8>(e, Ct.Proto);
  let low: u32;
  let size: u32;
  const source = proto == icmp.PROTO || manip == Manip.Src;
  if (!hasPorts(proto) && proto != icmp.PROTO) return;
  const port = source ? tPorts >> 16 : tPorts & 0xffff;
  if ((rangeFlags & RangeFlag.ProtoSpecified) != 0) {
    low = min<u32>(minPort, maxPort);
    size = max<u32>(minPort, maxPort) - low + 1;
    if (proto == icmp.PROTO && maxPort < minPort) {
      low = minPort;
      size = maxPort - minPort + 1;
      if (size == 0) return;
    }
  } else if (proto == icmp.PROTO) {
    low = 0;
    size = 65536;
  } else {
    if (manip == Manip.Dst) return;
    if (port >= 1024) {
      low = 1024;
      size = 65535 - 1024 + 1;
    } else if (port < 512) {
      low = 1;
      size = 511;
    } else {
      low = 600;
      size = 1023 - 600 + 1;
    }
  }
  if (wanted < 65536) {
    setPort(source, wanted);
    // the real box may have come to it late in its attempts
    if (!usedHarder(t, e, 0, now)) return;
  }
  // offsets are 16 bits and wrap
  let off: u32;
  if ((rangeFlags & RangeFlag.ProtoOffset) != 0) off = (port - basePort) & 0xffff;
  else if (
    (rangeFlags & RangeFlag.ProtoRandomFully) != 0 ||
    (rangeFlags & RangeFlag.ProtoRandom) != 0 ||
    manip != Manip.Dst
  ) {
    off = chance(t) & 0xffff;
  } else off = 0;
  let attempts = min<u32>(size, MAX_ATTEMPTS);
  for (;;) {
    for (let i: u32 = 0; i < attempts; i++, off = (off + 1) & 0xffff) {
      setPort(source, (low + (off % size)) & 0xffff);
      if (!usedHarder(t, e, attempts - i, now)) return;
    }
    if (attempts >= size || attempts < 16) return;
    attempts >>= 1;
    off = chance(t) & 0xffff;
  }
}

// @ts-ignore: decorator
@inline
function setPort(source: bool, port: u32): void {
  tPorts = source ? (port << 16) | (tPorts & 0xffff) : (tPorts & 0xffff0000) | port;
}

/** get_unique_tuple */
function unique(t: usize, e: usize, manip: u32, wanted: u32, now: u32): void {
  const proto = <u32>load<u8>(e, Ct.Proto);
  const src = tSrc;
  const dst = tDst;
  const ports = tPorts;
  const random = (rangeFlags & (RangeFlag.ProtoRandom | RangeFlag.ProtoRandomFully)) != 0;
  if (manip == Manip.Src && !random) {
    if (sourceInRange(proto)) {
      if (!used(t, e, now)) return;
    } else if (earlierSource(t, e)) {
      if (!used(t, e, now)) return;
    }
  }
  tSrc = src;
  tDst = dst;
  tPorts = ports;
  chooseAddress(e, manip);
  if (!random) {
    if ((rangeFlags & RangeFlag.ProtoSpecified) != 0) {
      if (
        (rangeFlags & RangeFlag.ProtoOffset) == 0 &&
        portInRange(proto, manip) &&
        (minPort == maxPort || !used(t, e, now))
      )
        return;
    } else if (!used(t, e, now)) {
      return;
    }
  }
  choosePort(t, e, manip, wanted, now);
}

/**
 * nf_nat_setup_info: binds a new connection's source or destination. `wanted`: the address (0: none) and port (65536:
 * none) that a real box chose where the choice is free. False: the packet must go.
 */
function bind(t: usize, e: usize, manip: u32, wantedIp: u32, wantedPort: u32, now: u32): bool {
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.Confirmed) != 0) return true;
  const done: u32 = manip == Manip.Src ? CtStatus.SrcNatDone : CtStatus.DstNatDone;
  if ((status & done) != 0) return false;
  const proto = <u32>load<u8>(e, Ct.Proto);
  // what the packet looks like by now: the inverse of the reply
  tSrc = load<u32>(e, Ct.ReplyDst);
  tDst = load<u32>(e, Ct.ReplySrc);
  tPorts = <u32>invertPorts(load<u32>(e, Ct.ReplyPorts), proto);
  const src = tSrc;
  const dst = tDst;
  const ports = tPorts;
  if (wantedIp != 0 && minIp != maxIp && wantedIp >= minIp && wantedIp <= maxIp) {
    minIp = wantedIp;
    maxIp = wantedIp;
  }
  unique(t, e, manip, wantedPort, now);
  let bits = done;
  if (tSrc != src || tDst != dst || tPorts != ports) {
    store<u32>(e, tDst, Ct.ReplySrc);
    store<u32>(e, tSrc, Ct.ReplyDst);
    store<u32>(e, <u32>invertPorts(tPorts, proto), Ct.ReplyPorts);
    bits |= manip == Manip.Src ? CtStatus.SrcNat : CtStatus.DstNat;
  }
  store<u32>(e, status | bits, Ct.Status);
  if (manip == Manip.Src) bindSource(t, e);
  return true;
}

/**
 * Binds the packet's connection as a rule says. Addresses as numbers, `flags` of `RangeFlag`; `masqIndex`: ifindex of the
 * device whose address it takes, else 0. False: the packet must go.
 */
export function setup(
  t: usize,
  h: usize,
  manip: u32,
  flags: u32,
  ipLow: u32,
  ipHigh: u32,
  portLow: u32,
  portHigh: u32,
  base: u32,
  masqIndex: u32,
  wantedIp: u32,
  wantedPort: u32,
  now: u32,
): bool {
  const e: usize = load<u32>(h, Pkt.Ct);
  if (e == 0) return true;
  rangeFlags = flags;
  minIp = ipLow;
  maxIp = ipHigh;
  minPort = portLow;
  maxPort = portHigh;
  basePort = base;
  if (masqIndex != 0) store<u16>(e, masqIndex, Ct.MasqIndex);
  return bind(t, e, manip, wantedIp, wantedPort, now);
}

/** alloc_null_binding: no rule wanted anything, so the connection keeps its address, and its port if that is free. */
export function setupNull(t: usize, h: usize, hook: u32, wantedPort: u32, now: u32): bool {
  const e: usize = load<u32>(h, Pkt.Ct);
  const manip = manipOf(hook);
  rangeFlags = RangeFlag.MapIps;
  minIp = manip == Manip.Src ? load<u32>(e, Ct.ReplyDst) : load<u32>(e, Ct.ReplySrc);
  maxIp = minIp;
  return bind(t, e, manip, 0, wantedPort, now);
}

/** Whether the packet's connection is bound for this hook already (nf_nat_initialized). */
export function bound(h: usize, hook: u32): bool {
  const e: usize = load<u32>(h, Pkt.Ct);
  const bit: u32 = manipOf(hook) == Manip.Src ? CtStatus.SrcNatDone : CtStatus.DstNatDone;
  return e != 0 && (load<u32>(e, Ct.Status) & bit) != 0;
}

/** What NAT's hook does first (nf_nat_ipv4_fn, nf_nat_inet_fn). `out`: ifindex in POSTROUTING, else 0. */
export function step(t: usize, h: usize, hook: u32, out: u32): NatStep {
  const e: usize = load<u32>(h, Pkt.Ct);
  if (e == 0) return NatStep.Skip;
  const info = load<u32>(h, Pkt.CtInfo);
  const related = info == CtInfo.Related || info == CtInfo.RelatedReply;
  if (related && ipv4.proto(load<u32>(h, Pkt.Data)) == icmp.PROTO) {
    return translateError(h, e, info, hook) ? NatStep.Done : NatStep.Drop;
  }
  if ((related || info == CtInfo.New) && !bound(h, hook)) return NatStep.Rules;
  if (hook == POSTROUTING && dirOf(info) == 0) {
    const masq = <u32>load<u16>(e, Ct.MasqIndex);
    if (masq != 0 && masq != out) {
      // the address was another device's (nf_nat_oif_changed)
      kill(t, e);
      return NatStep.Drop;
    }
  }
  return packet(h, hook) ? NatStep.Done : NatStep.Drop;
}

/** nf_nat_packet: rewrites a packet of a bound connection; false when it is too short for that. */
export function packet(h: usize, hook: u32): bool {
  const e: usize = load<u32>(h, Pkt.Ct);
  const manip = manipOf(hook);
  const dir = dirOf(load<u32>(h, Pkt.CtInfo));
  let bit: u32 = manip == Manip.Src ? CtStatus.SrcNat : CtStatus.DstNat;
  if (dir == 1) bit ^= NAT_MASK;
  if ((load<u32>(e, Ct.Status) & bit) == 0) return true;
  return rewrite(load<u32>(h, Pkt.Data), load<u32>(h, Pkt.Len), e, 1 - dir, manip, false);
}

/**
 * Rewrites the packet at `ip` after the tuple of direction `other` (nf_nat_ipv4_manip_pkt): into its inverse, or, for a
 * packet that an error quotes, into the tuple itself.
 */
function rewrite(ip: usize, len: u32, e: usize, other: u32, manip: u32, quoted: bool): bool {
  const tuple = e + other * 12;
  const proto = <u32>load<u8>(e, Ct.Proto);
  const own = load<u32>(tuple, Ct.Ports);
  const ports = quoted ? own : <u32>invertPorts(own, proto);
  const address = (manip == Manip.Src) == quoted ? load<u32>(tuple, Ct.Src) : load<u32>(tuple, Ct.Dst);
  if (len < ipv4.HEADER_LEN) return false;
  const headerLen = ipv4.headerLen(ip);
  if (headerLen < ipv4.HEADER_LEN || headerLen > len) return false;
  const old = manip == Manip.Src ? ipv4.src(ip) : ipv4.dst(ip);
  if (!rewriteTransport(ip + headerLen, len - headerLen, proto, ports, manip, old, address)) return false;
  if (manip == Manip.Src) ipv4.rewriteSrc(ip, address);
  else ipv4.rewriteDst(ip, address);
  return true;
}

/** l4proto_manip_pkt: port and checksum; a checksum that a quoted header was cut before stays as it is. */
function rewriteTransport(p: usize, len: u32, proto: u32, ports: u32, manip: u32, from: u32, to: u32): bool {
  const at: usize = manip == Manip.Src ? 0 : 2;
  const port = manip == Manip.Src ? ports >> 16 : ports & 0xffff;
  switch (proto) {
    case 17:
    case PROTO_UDPLITE: {
      if (len < 8) return false;
      const sum = get16(p, 6);
      // 0 says that there is none (RFC 768); UDP-Lite always has one
      if (sum != 0 || proto == PROTO_UDPLITE) {
        const s = update16(update32(sum, from, to), get16(p, at), port);
        set16(p, 6, s == 0 ? 0xffff : s);
      }
      set16(p, at, port);
      return true;
    }
    case 6: {
      if (len < 8) return false;
      const old = get16(p, at);
      set16(p, at, port);
      if (len >= 20) set16(p, 16, update16(update32(get16(p, 16), from, to), old, port));
      return true;
    }
    case icmp.PROTO: {
      if (len < 8) return false;
      const type = icmp.type(p);
      if (type != 0 && type != 8 && (type < 13 || type > 18)) return true;
      set16(p, 2, update16(get16(p, 2), get16(p, 4), ports >> 16));
      set16(p, 4, ports >> 16);
      return true;
    }
    case PROTO_GRE:
      // only PPTP's calls have a key to change, and those need its helper
      return len >= 8;
    default:
      return true;
  }
}

/**
 * nf_nat_icmp_reply_translation: an error about a translated packet quotes it as its sender knew it, and comes from
 * whom the sender talked to.
 */
function translateError(h: usize, e: usize, info: u32, hook: u32): bool {
  const ip: usize = load<u32>(h, Pkt.Data);
  const total = load<u32>(h, Pkt.Len);
  const headerLen = ipv4.headerLen(ip);
  if (total < headerLen + 28) return false;
  const p = ip + headerLen;
  const len = total - headerLen;
  packetLinear(h, 28);
  if (checksum(p, len) != 0) return false;
  const status = load<u32>(e, Ct.Status);
  if (icmp.type(p) == icmp.REDIRECT) {
    // a gateway told for one of two address spaces is of no use in the other
    if ((status & DONE_MASK) != DONE_MASK || (status & NAT_MASK) != 0) return false;
  }
  const manip = manipOf(hook);
  const dir = dirOf(info);
  let bit: u32 = manip == Manip.Src ? CtStatus.SrcNat : CtStatus.DstNat;
  if (dir == 1) bit ^= NAT_MASK;
  if ((status & bit) == 0) return true;
  const inner: u32 = ipv4.headerLen(p + 8) + 8;
  const whole = load<u8>(e, Ct.Proto) == 6 && len >= inner + 20;
  packetLinear(h, inner + (whole ? 20 : 8));
  if (!rewrite(p + 8, len - 8, e, 1 - dir, 1 - manip, true)) return false;
  icmp.fillChecksum(p, len);
  // the outside: the address alone, whatever the connection's protocol is
  const tuple = e + (1 - dir) * 12;
  if (manip == Manip.Src) ipv4.rewriteSrc(ip, load<u32>(tuple, Ct.Dst));
  else ipv4.rewriteDst(ip, load<u32>(tuple, Ct.Src));
  return true;
}
