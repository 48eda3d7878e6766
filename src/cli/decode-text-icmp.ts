// src/cli/decode-text-icmp.ts: an ICMP message in tcpdump's words.

import { formatIpv4 } from "../core/address.ts";
import type { ByteWriter } from "./byte-writer.ts";

const be16 = (b: Uint8Array, p: number): number => (b[p]! << 8) | b[p + 1]!;
const be32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;

/** What is unreachable, by code; `@` stands for the address. */
const unreachable = [
  "net @ unreachable",
  "host @ unreachable",
  "",
  "",
  "",
  "@ unreachable - source route failed",
  "net @ unreachable - unknown",
  "host @ unreachable - unknown",
  "@ unreachable - source host isolated",
  "net @ unreachable - admin prohibited",
  "host @ unreachable - admin prohibited",
  "net @ unreachable - tos prohibited",
  "host @ unreachable - tos prohibited",
  "host @ unreachable - admin prohibited filter",
  "host @ unreachable - host precedence violation",
  "host @ unreachable - precedence cutoff",
];
const redirects = ["redirect @ to net ", "redirect @ to host ", "redirect-tos @ to net ", "redirect-tos @ to host "];

/** Appends `: ICMP ...`; `cap` bytes at `p` of a message of `length`. */
export function icmpText(out: ByteWriter, b: Uint8Array, p: number, cap: number, length: number): void {
  const text = cap < 8 ? null : message(b, p, cap);
  out.text(text === null ? ":  [|icmp]" : `: ICMP ${text}, length ${length}`);
}

function message(b: Uint8Array, p: number, cap: number): string | null {
  const type = b[p]!;
  const code = b[p + 1]!;
  switch (type) {
    case 0:
    case 8:
      return `echo ${type === 8 ? "request" : "reply"}, id ${be16(b, p + 4)}, seq ${be16(b, p + 6)}`;
    case 3:
      return cap < 28 ? null : unreach(b, p, cap, code);
    case 4:
      return "source quench";
    case 5: {
      if (cap < 28) return null;
      const to = redirects[code];
      const about = formatIpv4(be32(b, p + 24));
      const by = formatIpv4(be32(b, p + 4));
      return to === undefined ? `redirect-#${code} ${about} to net ${by}` : to.replace("@", about) + by;
    }
    case 11:
      return code === 0
        ? "time exceeded in-transit"
        : code === 1
          ? "ip reassembly time exceeded"
          : `time exceeded-#${code}`;
    case 12:
      return code !== 0 ? `parameter problem - code ${code}` : `parameter problem - octet ${b[p + 4]}`;
    case 13:
      return `time stamp query id ${be16(b, p + 4)} seq ${be16(b, p + 6)}`;
    case 17:
      return "address mask request";
    default:
      return `type-#${type}`;
  }
}

function unreach(b: Uint8Array, p: number, cap: number, code: number): string | null {
  const quoted = p + 8;
  const address = formatIpv4(be32(b, quoted + 16));
  const proto = b[quoted + 9]!;
  if (code === 2) return `${address} protocol ${proto} unreachable`;
  if (code === 3) {
    const ports = quoted + ((b[quoted]! & 15) << 2);
    if (ports + 4 > p + cap) return null;
    const name = proto === 6 ? "tcp" : proto === 17 ? "udp" : `protocol ${proto}`;
    return `${address} ${name} port ${be16(b, ports + 2)} unreachable`;
  }
  if (code === 4) {
    const mtu = be16(b, p + 6);
    return `${address} unreachable - need to frag${mtu === 0 ? "" : ` (mtu ${mtu})`}`;
  }
  return unreachable[code]?.replace("@", address) ?? `${address} unreachable - #${code}`;
}
