// assembly/rulefields.ts: what firewall rules read of a packet, gathered in one call (rulerecord.ts).

import { get16, get32, get8 } from "./bytes.ts";
import { Pkt } from "./layout.ts";
import { RuleField } from "./rulerecord.ts";

/** Fills `out` from a packet whose `Data` is at a checked IPv4 header. */
export function gather(h: usize, out: usize): void {
  const net = load<u32>(h, Pkt.Data);
  const len = load<u32>(h, Pkt.Len);
  const hl = (get8(net, 0) & 15) << 2;
  const l4 = net + hl;
  const l4len = len > hl ? len - hl : 0;
  store<u32>(out, net, RuleField.Net);
  store<u32>(out, len, RuleField.Len);
  store<u32>(out, get32(net, 12), RuleField.Src);
  store<u32>(out, get32(net, 16), RuleField.Dst);
  store<u32>(out, get8(net, 9), RuleField.Proto);
  store<u32>(out, get16(net, 6), RuleField.Frag);
  store<u32>(out, hl, RuleField.HeaderLen);
  store<u32>(out, get8(net, 1), RuleField.Tos);
  store<u32>(out, get8(net, 8), RuleField.Ttl);
  store<u32>(out, get16(net, 2), RuleField.TotalLen);
  store<u32>(out, l4, RuleField.L4);
  store<u32>(out, l4len, RuleField.L4Len);
  store<u32>(out, l4len >= 2 ? get16(l4, 0) : 0, RuleField.Sport);
  store<u32>(out, l4len >= 4 ? get16(l4, 2) : 0, RuleField.Dport);
}

/** One byte, or a big-endian word, of a packet: for matches that read at offsets that a rule names. The caller checks bounds. */
export function byteAt(p: usize): u32 {
  return get8(p, 0);
}
export function wordAt(p: usize): u32 {
  return get32(p, 0);
}
