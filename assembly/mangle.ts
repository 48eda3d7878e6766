// assembly/mangle.ts: edits of packets on behalf of firewall rules, each with its checksums, and what they ask first.
// `Data` is at a checked IPv4 header; transport offsets are taken from it, not from `Trans`.

import { get16, get32, get8, set16, set8 } from "./bytes.ts";
import { fold, pseudo, sum, update16 } from "./checksum.ts";
import { Pkt } from "./layout.ts";
import { packetLinear, tailroom } from "./packet.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";

const PROTO_GRE: u32 = 47;
const PROTO_ESP: u32 = 50;
const PROTO_AH: u32 = 51;
const PROTO_SCTP: u32 = 132;
const PROTO_UDPLITE: u32 = 136;

/** nf_reject_verify_csum: whether the protocol has a checksum over its whole packet that can be checked. */
function hasChecksum(p: usize, len: u32, proto: u32): bool {
  switch (proto) {
    case udp.PROTO:
      return len < udp.HEADER_LEN || udp.checksum(p) != 0;
    case PROTO_GRE:
      // GRE's C bit (RFC 2784 §2.2)
      return len < 4 || (get8(p, 0) & 0x80) != 0;
    case PROTO_AH:
    case PROTO_ESP:
    case PROTO_SCTP:
    case PROTO_UDPLITE:
      return false;
    default:
      return true;
  }
}

/** nf_ip_checksum: whether the sum over everything behind the IPv4 header verifies, with a pseudo-header for TCP and UDP. */
export function checksumGood(h: usize): bool {
  const net: usize = load<u32>(h, Pkt.Data);
  const hl = ipv4.headerLen(net);
  const len = load<u32>(h, Pkt.Len) - hl;
  const proto = ipv4.proto(net);
  const withPseudo = proto == tcp.PROTO || proto == udp.PROTO;
  const start: u64 = withPseudo ? pseudo(ipv4.src(net), ipv4.dst(net), proto, len) : 0;
  // the kernel sums the IP header too, which is 0xffff: nothing but zeros verifies as well
  const s = fold(sum(net + hl, len, start));
  return s == 0xffff || s == 0;
}

/** Whether REJECT may answer with an ICMP error: no later fragment, and a checksum, if there is one, that verifies. */
export function mayReject(h: usize): bool {
  const net: usize = load<u32>(h, Pkt.Data);
  if ((ipv4.frag(net) & ipv4.OFFSET_MASK) != 0) return false;
  const hl = ipv4.headerLen(net);
  return !hasChecksum(net + hl, load<u32>(h, Pkt.Len) - hl, ipv4.proto(net)) || checksumGood(h);
}

/** Whether a TCP reset may answer (nf_reject_ip_tcphdr_get): the whole header in a first fragment, no reset, a good checksum. */
export function mayReset(h: usize): bool {
  const net: usize = load<u32>(h, Pkt.Data);
  if ((ipv4.frag(net) & ipv4.OFFSET_MASK) != 0) return false;
  const hl = ipv4.headerLen(net);
  if (load<u32>(h, Pkt.Len) - hl < tcp.HEADER_LEN || ipv4.proto(net) != tcp.PROTO) return false;
  return (get8(net + hl, 13) & tcp.RST) == 0 && checksumGood(h);
}

// -- edits

const OPT_NOP: u32 = 1;
const OPT_MSS: u32 = 2;
const MSS_LEN: u32 = 4;
/** RFC 9293 §3.7.1: what is assumed where no MSS option comes. */
const DEFAULT_MSS: u32 = 536;
const NOTHING: i32 = 0;
const REFUSED: i32 = -1;

/** csum_replace4 on a checksum field in network order: ~(~HC + ~m + m'), RFC 1624 §3, over 32 bits. */
function replaced(hc: u32, from: u32, to: u32): u32 {
  return ~fold(<u64>(0xffffffff ^ hc) + <u64>(0xffffffff ^ from) + <u64>to) & 0xffff;
}

/** Where the options of a TCP header go on behind the one at `off`. */
function optionLength(p: usize, off: u32): u32 {
  const n = get8(p, off + 1);
  return get8(p, off) <= OPT_NOP || n == 0 ? 1 : n;
}

/** TTL to `ttl`, checksum by difference. */
export function setTtl(h: usize, ttl: u32): void {
  ipv4.rewriteTtl(load<u32>(h, Pkt.Data), ttl);
}

/** TOS = (TOS & ~mask) ^ value, checksum by difference. */
export function setTos(h: usize, value: u32, mask: u32): void {
  const p: usize = load<u32>(h, Pkt.Data);
  const v = (ipv4.tos(p) & ~mask & 0xff) ^ value;
  if (v != ipv4.tos(p)) ipv4.rewriteTos(p, v);
}

/** Takes ECE and CWR off a TCP header. False when there is no whole one (ECN target). */
export function clearEcn(h: usize): bool {
  const net: usize = load<u32>(h, Pkt.Data);
  const hl = ipv4.headerLen(net);
  if (load<u32>(h, Pkt.Len) < hl + tcp.HEADER_LEN) return false;
  const p = net + hl;
  const before = get16(p, 12);
  const after = before & 0xff3f;
  if (after == before) return true;
  set16(p, 12, after);
  tcp.setChecksum(p, replaced(tcp.checksum(p), before, after));
  return true;
}

/**
 * tcpmss_mangle_packet: lowers the MSS option to `mss`, or, with `add`, puts one into a segment without data. 0: done; -1: the
 * packet must be dropped. Linux sums the option's value as an aligned word wherever it stands: at an odd offset the
 * checksum comes out wrong, and so it does here.
 */
export function setMss(h: usize, mss: u32, add: bool): i32 {
  const net: usize = load<u32>(h, Pkt.Data);
  if ((ipv4.frag(net) & ipv4.OFFSET_MASK) != 0) return NOTHING;
  const hl = ipv4.headerLen(net);
  const total = load<u32>(h, Pkt.Len);
  if (total < hl + tcp.HEADER_LEN) return REFUSED;
  const len = total - hl;
  packetLinear(h, len);
  const p = net + hl;
  const header = tcp.headerLen(p);
  if (header < tcp.HEADER_LEN || len < header) return REFUSED;
  for (let i: u32 = tcp.HEADER_LEN; i <= header - MSS_LEN; i += optionLength(p, i)) {
    if (get8(p, i) != OPT_MSS || get8(p, i + 1) != MSS_LEN) continue;
    const old = get16(p, i + 2);
    if (old <= mss) return NOTHING;
    set16(p, i + 2, mss);
    tcp.setChecksum(p, replaced(tcp.checksum(p), old, mss));
    return NOTHING;
  }
  if (!add || len > header || header >= 60) return NOTHING;
  if (tailroom(h) < MSS_LEN) return REFUSED;
  store<u32>(h, total + MSS_LEN, Pkt.Len);
  const value = mss < DEFAULT_MSS ? mss : DEFAULT_MSS;
  const opt = p + tcp.HEADER_LEN;
  memory.copy(opt + MSS_LEN, opt, len - tcp.HEADER_LEN);
  let c = replaced(tcp.checksum(p), len, len + MSS_LEN);
  set8(opt, 0, OPT_MSS);
  set8(opt, 1, MSS_LEN);
  set16(opt, 2, value);
  c = replaced(c, 0, get32(opt, 0));
  const before = get16(p, 12);
  set8(p, 12, ((header + MSS_LEN) << 2) | (get8(p, 12) & 15));
  tcp.setChecksum(p, replaced(c, before, get16(p, 12)));
  const length = ipv4.length(net);
  ipv4.setLength(net, length + MSS_LEN);
  set16(net, 10, update16(ipv4.headerChecksum(net), length, length + MSS_LEN));
  return NOTHING;
}

/**
 * tcpoptstrip_mangle_packet: overwrites options with no-operations; `bitmap` is eight words, bit n of word n / 32 for
 * option n. 0: done; -1: the packet must be dropped.
 */
export function stripOptions(h: usize, bitmap: usize): i32 {
  const net: usize = load<u32>(h, Pkt.Data);
  if ((ipv4.frag(net) & ipv4.OFFSET_MASK) != 0) return NOTHING;
  const hl = ipv4.headerLen(net);
  const total = load<u32>(h, Pkt.Len);
  if (total < hl + tcp.HEADER_LEN) return REFUSED;
  const p = net + hl;
  const header = tcp.headerLen(p);
  if (total - hl < header) return REFUSED;
  packetLinear(h, header);
  let i: u32 = tcp.HEADER_LEN;
  while (i + 1 < header) {
    const n = optionLength(p, i);
    if (i + n > header) break;
    const kind = get8(p, i);
    if ((load<u32>(bitmap + ((kind >> 5) << 2)) & (1 << (kind & 31))) != 0) {
      let c = tcp.checksum(p);
      for (let j: u32 = 0; j < n; j++) {
        const shift: u32 = ((i + j) & 1) == 0 ? 8 : 0;
        c = replaced(c, get8(p, i + j) << shift, OPT_NOP << shift);
        set8(p, i + j, OPT_NOP);
      }
      tcp.setChecksum(p, c);
    }
    i += n;
  }
  return NOTHING;
}

/** What TEE does to its copy: DF on, the TTL one lower where that guards against loops, the header summed anew. */
export function prepareCopy(h: usize, lowerTtl: bool): void {
  const p: usize = load<u32>(h, Pkt.Data);
  ipv4.setFrag(p, ipv4.frag(p) | ipv4.DF);
  if (lowerTtl) ipv4.rewriteTtl(p, (ipv4.ttl(p) - 1) & 0xff);
  ipv4.fillChecksum(p);
}
