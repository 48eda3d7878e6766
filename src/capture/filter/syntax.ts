// src/capture/filter/syntax.ts: what the parser makes of a filter. Read-only to everybody else; `at` is an offset in the
// text, for errors.

export type Direction = "src" | "dst" | "or" | "and";
export type Kind = "host" | "net" | "port" | "portrange" | "proto" | "protochain" | "gateway";

/** The qualifiers in front of an id; null where the text has none. */
export interface Qualifiers {
  readonly protocol: string | null;
  readonly direction: Direction | null;
  readonly kind: Kind | null;
}

/** What qualifiers qualify. */
export type Id =
  | { kind: "number"; at: number; value: number }
  | { kind: "ipv4" | "ipv6"; at: number; text: string; bits: number | null; mask: string | null }
  | { kind: "mac" | "name"; at: number; text: string };

export type Arithmetic =
  | { kind: "number"; at: number; value: number }
  | { kind: "len"; at: number }
  | { kind: "load"; at: number; protocol: string; index: Arithmetic; size: number }
  | { kind: "negate"; at: number; of: Arithmetic }
  | { kind: "binary"; at: number; op: string; left: Arithmetic; right: Arithmetic };

export type Expression =
  | { kind: "and" | "or"; left: Expression; right: Expression }
  | { kind: "not"; of: Expression }
  | { kind: "id"; qualifiers: Qualifiers; id: Id }
  | { kind: "protocol"; at: number; name: string }
  | { kind: "relation"; at: number; op: string; left: Arithmetic; right: Arithmetic }
  | { kind: "cast"; at: number; protocol: string | null; multicast: boolean }
  /** vlan, mpls, pppoes (with a number or null), pppoed, less, greater, inbound, outbound, ifindex. */
  | { kind: "special"; at: number; name: string; value: number | null };
