// assembly/rulerecord.ts: the record that rulefields.ts fills, as both sides read it.
//
//     0     4      8     12    16       20     24          28    32    36       40      44        48      52
//     | net | len  | src | dst | proto  | frag | headerLen | tos | ttl | totlen | l4    | l4len   | sport | dport

/** Byte offsets in the record. Literal values only: TypeScript shares this file. */
export enum RuleField {
  /** Address of the IPv4 header, and bytes from there to the packet's end (skb->len). */
  Net = 0,
  Len = 4,
  Src = 8,
  Dst = 12,
  Proto = 16,
  /** The whole flags-and-offset word. */
  Frag = 20,
  HeaderLen = 24,
  Tos = 28,
  Ttl = 32,
  TotalLen = 36,
  /** Address of the byte behind the IPv4 header, and bytes from there to the packet's end. */
  L4 = 40,
  L4Len = 44,
  /** 0 where the packet is too short for them (`L4Len` below 2, 4). */
  Sport = 48,
  Dport = 52,
  Size = 56,
}
