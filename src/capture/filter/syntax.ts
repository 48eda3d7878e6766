// src/capture/filter/syntax.ts: what the parser makes of a filter.

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
  | { readonly kind: "number"; readonly at: number; readonly value: number }
  | { readonly kind: "ipv4" | "ipv6"; readonly at: number; readonly text: string; readonly bits: number | null; readonly mask: string | null }
  | { readonly kind: "mac" | "name"; readonly at: number; readonly text: string };

export type Arithmetic =
  | { readonly kind: "number"; readonly at: number; readonly value: number }
  | { readonly kind: "len"; readonly at: number }
  | { readonly kind: "load"; readonly at: number; readonly protocol: string; readonly index: Arithmetic; readonly size: number }
  | { readonly kind: "negate"; readonly at: number; readonly of: Arithmetic }
  | { readonly kind: "binary"; readonly at: number; readonly op: string; readonly left: Arithmetic; readonly right: Arithmetic };

export type Expression =
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "id"; readonly qualifiers: Qualifiers; readonly id: Id }
  | { readonly kind: "protocol"; readonly at: number; readonly name: string }
  | { readonly kind: "relation"; readonly at: number; readonly op: string; readonly left: Arithmetic; readonly right: Arithmetic }
  | { readonly kind: "cast"; readonly at: number; readonly protocol: string | null; readonly multicast: boolean }
  /** vlan, mpls, pppoes (with a number or null), pppoed, less, greater, inbound, outbound, ifindex. */
  | { readonly kind: "special"; readonly at: number; readonly name: string; readonly value: number | null };
