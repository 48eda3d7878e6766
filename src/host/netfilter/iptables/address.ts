// src/host/netfilter/iptables/address.ts: addresses with masks, as iptables reads and prints them.

import { formatIpv4, maskOf, parseIpv4 } from "../../../core/address.ts";

export interface Address {
  readonly address: number;
  readonly mask: number;
}

/** `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10/8`; bits behind the mask are cleared. Null when it is none of them. */
export function parseAddress(text: string): Address | null {
  const slash = text.indexOf("/");
  const head = slash < 0 ? text : text.slice(0, slash);
  const short = /^\d{1,3}(\.\d{1,3}){0,2}$/.test(head) && slash >= 0;
  const address = parseIpv4(short ? head + ".0".repeat(4 - head.split(".").length) : head);
  if (address === null) return null;
  if (slash < 0) return { address, mask: 0xffffffff };
  const tail = text.slice(slash + 1);
  const mask = /^\d{1,2}$/.test(tail) && Number(tail) <= 32 ? maskOf(Number(tail)) : parseIpv4(tail);
  return mask === null ? null : { address: (address & mask) >>> 0, mask };
}

/** `/24`, or `/255.0.255.0` for a mask with holes. */
export function formatMask(mask: number): string {
  const length = Math.clz32(~mask >>> 0);
  return maskOf(length) === mask >>> 0 ? `/${length}` : `/${formatIpv4(mask)}`;
}
