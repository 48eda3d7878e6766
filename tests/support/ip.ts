// tests/support/ip.ts: packets made by hand, slowly, as an oracle for the core's.

import { parseIpv4 } from "../../src/core/address.ts";

/** RFC 1071, byte pair by byte pair. */
export function checksum(...parts: Uint8Array[]): number {
  const all = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < all.length; i += 2) sum += (all[i]! << 8) | (all[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function addresses(src: string, dst: string): Buffer {
  const b = Buffer.alloc(8);
  b.writeUInt32BE(parseIpv4(src)!, 0);
  b.writeUInt32BE(parseIpv4(dst)!, 4);
  return b;
}

/** An IPv4 packet; a TCP payload gets its checksum at offset 16. `frag` is the flags-and-offset word. */
export function ipv4(src: string, dst: string, proto: number, payload: Uint8Array, frag = 0x4000, id = 0x1234): Buffer {
  const header = Buffer.from("450000000000000040000000", "hex");
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE(frag, 6);
  header[9] = proto;
  const ends = addresses(src, dst);
  header.writeUInt16BE(checksum(header, ends), 10);
  const body = Buffer.from(payload);
  if (proto === 6)
    body.writeUInt16BE(checksum(ends, Buffer.from([0, 6, body.length >> 8, body.length & 255]), body), 16);
  return Buffer.concat([header, ends, body]);
}

/** A UDP datagram without checksum (RFC 768: zero). */
export function udp(sport: number, dport: number, payload: string | Uint8Array): Buffer {
  const body = Buffer.from(payload as string);
  const b = Buffer.alloc(8 + body.length);
  b.writeUInt16BE(sport, 0);
  b.writeUInt16BE(dport, 2);
  b.writeUInt16BE(b.length, 4);
  body.copy(b, 8);
  return b;
}
