// assembly/mangle.ts: edits of packets on behalf of firewall rules, each with its checksums, and what they ask first.
// `Data` is at a checked IPv4 header; transport offsets are taken from it, not from `Trans`.

import { get8 } from "./bytes.ts";
import { fold, pseudo, sum } from "./checksum.ts";
import { Pkt } from "./layout.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";

const PROTO_IPIP: u32 = 4;
const PROTO_DCCP: u32 = 33;
const PROTO_IPV6: u32 = 41;
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
    case PROTO_DCCP:
    case PROTO_IPIP:
    case PROTO_IPV6:
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
  return fold(sum(net + hl, len, start)) == 0xffff;
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
