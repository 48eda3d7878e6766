// assembly/flowrewrite.ts: what the short way of a flow changes in a packet: NAT, TTL, checksums (RFC 1624).

import { get16, set16, set32 } from "./bytes.ts";
import { Ct } from "./conntracklayout.ts";
import { FlowBit } from "./flowtablelayout.ts";
import * as ipv4 from "./wire/ipv4.ts";

const TCP: u32 = 6;
const UDP: u32 = 17;

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

/**
 * NAT after the connection's `other` tuple (`Ct.Src` and on), and a TTL less by one where the packet is `forwarded`: each
 * checksum is read and written once for all of it.
 */
// @ts-ignore: decorator
@inline
export function rewrite(
  other: usize,
  bits: u32,
  forwarded: bool,
  ip: usize,
  p: usize,
  src: u32,
  dst: u32,
  ports: u32,
): void {
  const proto = ipv4.proto(ip);
  let ttl = ipv4.ttl(ip);
  let header = ~ipv4.headerChecksum(ip) & 0xffff;
  let transport: u32 = 0;
  if ((bits & FlowBit.Destination) != 0) {
    const to = load<u32>(other, Ct.Src);
    const port = load<u32>(other, Ct.Ports) >> 16;
    header += change32(dst, to);
    transport += change32(dst, to) + change16(ports & 0xffff, port);
    set32(ip, 16, to);
    set16(p, 2, port);
  }
  if ((bits & FlowBit.Source) != 0) {
    const to = load<u32>(other, Ct.Dst);
    const port = load<u32>(other, Ct.Ports) & 0xffff;
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
  if (forwarded) {
    header += change16(0x100, 0);
    ttl--;
  }
  set32(ip, 8, (ttl << 24) | (proto << 16) | complement(header));
}
