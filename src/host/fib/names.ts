// src/host/fib/names.ts: numbers with names, as /etc/iproute2 has them.

import { RouteType, Scope } from "./route.ts";

export const TABLE_LOCAL = 255;
export const TABLE_MAIN = 254;
export const TABLE_DEFAULT = 253;
export const PROTO_KERNEL = 2;
export const PROTO_BOOT = 3;

/** Names and numbers both ways. */
export class Names {
  private readonly numbers = new Map<string, number>();
  private readonly names = new Map<number, string>();

  constructor(
    pairs: readonly (readonly [number, string])[],
    private readonly max: number,
  ) {
    for (const [n, name] of pairs) {
      this.numbers.set(name, n);
      if (!this.names.has(n)) this.names.set(n, name);
    }
  }

  /** A name, or a number (decimal or 0x) up to the maximum; null for neither. */
  parse(text: string): number | null {
    return this.numbers.get(text) ?? parseNumber(text, this.max);
  }

  format(n: number): string {
    return this.names.get(n) ?? String(n);
  }

  /** The name alone, null when it has none. */
  nameOf(n: number): string | null {
    return this.names.get(n) ?? null;
  }
}

/** `12`, `0x1f`: an integer up to `max`; null for anything else. */
export function parseNumber(text: string, max: number): number | null {
  if (!/^(0[xX][0-9a-fA-F]{1,8}|\d{1,10})$/.test(text)) return null;
  const n = Number(text);
  return n > max ? null : n;
}

export const tableNames = new Names(
  [
    [TABLE_LOCAL, "local"],
    [TABLE_MAIN, "main"],
    [TABLE_DEFAULT, "default"],
    [0, "unspec"],
  ],
  0xffffffff,
);

export const protocolNames = new Names(
  [
    [0, "unspec"],
    [1, "redirect"],
    [PROTO_KERNEL, "kernel"],
    [PROTO_BOOT, "boot"],
    [4, "static"],
    [8, "gated"],
    [9, "ra"],
    [10, "mrt"],
    [11, "zebra"],
    [12, "bird"],
    [13, "dnrouted"],
    [14, "xorp"],
    [15, "ntk"],
    [16, "dhcp"],
    [18, "keepalived"],
    [42, "babel"],
    [99, "openr"],
    [186, "bgp"],
    [187, "isis"],
    [188, "ospf"],
    [189, "rip"],
    [192, "eigrp"],
  ],
  255,
);

export const scopeNames = new Names(
  [
    [Scope.Universe, "global"],
    [Scope.Universe, "universe"],
    [Scope.Site, "site"],
    [Scope.Link, "link"],
    [Scope.Host, "host"],
    [Scope.Nowhere, "nowhere"],
  ],
  255,
);

export const typeNames = new Names(
  [
    [RouteType.Unspec, "none"],
    [RouteType.Unicast, "unicast"],
    [RouteType.Local, "local"],
    [RouteType.Broadcast, "broadcast"],
    [RouteType.Anycast, "anycast"],
    [RouteType.Multicast, "multicast"],
    [RouteType.Blackhole, "blackhole"],
    [RouteType.Unreachable, "unreachable"],
    [RouteType.Prohibit, "prohibit"],
    [RouteType.Throw, "throw"],
  ],
  -1,
);

const dsfields = new Names(
  [
    [0x00, "default"],
    [0x28, "AF11"],
    [0x30, "AF12"],
    [0x38, "AF13"],
    [0x48, "AF21"],
    [0x50, "AF22"],
    [0x58, "AF23"],
    [0x68, "AF31"],
    [0x70, "AF32"],
    [0x78, "AF33"],
    [0x88, "AF41"],
    [0x90, "AF42"],
    [0x98, "AF43"],
    [0x20, "CS1"],
    [0x40, "CS2"],
    [0x60, "CS3"],
    [0x80, "CS4"],
    [0xa0, "CS5"],
    [0xc0, "CS6"],
    [0xe0, "CS7"],
    [0xb8, "EF"],
  ],
  255,
);

/** A dsfield: a name, or a hexadecimal number with or without 0x (rtnl_dsfield_a2n reads base 16). */
export function parseDsfield(text: string): number | null {
  const named = dsfields.parse(text);
  if (dsfields.nameOf(named ?? -1) === text) return named;
  return /^(0[xX])?[0-9a-fA-F]{1,2}$/.test(text) ? parseInt(text, 16) : null;
}

/** Its name, or `0x10`. */
export function formatDsfield(n: number): string {
  return dsfields.nameOf(n) ?? `0x${n.toString(16).padStart(2, "0")}`;
}

/** IP protocols as `ipproto` prints them (/etc/protocols). */
export const ipProtocolNames = new Names(
  [
    [1, "icmp"],
    [2, "igmp"],
    [4, "ipencap"],
    [6, "tcp"],
    [17, "udp"],
    [33, "dccp"],
    [41, "ipv6"],
    [47, "gre"],
    [50, "esp"],
    [51, "ah"],
    [58, "ipv6-icmp"],
    [89, "ospf"],
    [103, "pim"],
    [112, "vrrp"],
    [115, "l2tp"],
    [132, "sctp"],
    [136, "udplite"],
  ],
  255,
);
