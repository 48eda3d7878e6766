// tests/support/mrt.ts: writes MRT dumps (RFC 6396), with as little in common with the reader as can be.

import { parseIpv4 } from "../../src/core/address.ts";

export const be = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) % 256);

/** A record: header and message. */
export function record(type: number, subtype: number, message: readonly number[], timestamp = 1_700_000_000): number[] {
  return [...be(timestamp, 4), ...be(type, 2), ...be(subtype, 2), ...be(message.length, 4), ...message];
}

export interface Path {
  readonly nexthop: string | null;
  readonly peer?: number;
  readonly localPref?: number;
  /** AS numbers of one AS_SEQUENCE; an inner list is an AS_SET. */
  readonly path?: readonly (number | readonly number[])[];
  readonly origin?: number;
  /** Two bytes of length in each attribute. */
  readonly extended?: boolean;
  readonly pathId?: number;
  /** More attributes, as they stand. */
  readonly more?: readonly number[];
}

export function attribute(code: number, value: readonly number[], extended = false, flags = 0x40): number[] {
  return [extended ? flags | 0x10 : flags, code, ...be(value.length, extended ? 2 : 1), ...value];
}

export function attributes(p: Path, asBytes = 4): number[] {
  const out: number[] = [];
  if (p.origin !== undefined) out.push(...attribute(1, [p.origin], p.extended));
  if (p.path !== undefined) {
    const segments = p.path.flatMap((as) =>
      typeof as === "number" ? [2, 1, ...be(as, asBytes)] : [1, as.length, ...as.flatMap((n) => be(n, asBytes))],
    );
    out.push(...attribute(2, segments, p.extended));
  }
  if (p.nexthop !== null) out.push(...attribute(3, be(parseIpv4(p.nexthop)!, 4), p.extended));
  if (p.localPref !== undefined) out.push(...attribute(5, be(p.localPref, 4), p.extended));
  return [...out, ...(p.more ?? [])];
}

/** PEER_INDEX_TABLE; peers take turns in having IPv4 and IPv6 addresses, and 2 and 4 byte AS numbers. */
export function peerIndexTable(peers: number, view = ""): number[] {
  const list = Array.from({ length: peers }, (_, i) => [
    i & 3,
    ...be(0x0a000000 + i, 4),
    ...be(0, (i & 1) === 0 ? 4 : 16),
    ...be(64500 + i, (i & 2) === 0 ? 2 : 4),
  ]);
  const name = [...view].map((c) => c.charCodeAt(0));
  return record(13, 1, [...be(0x0a0a0a0a, 4), ...be(name.length, 2), ...name, ...be(peers, 2), ...list.flat()]);
}

/** RIB_IPV4_UNICAST, or with `addPath` RIB_IPV4_UNICAST_ADDPATH (RFC 8050). `prefix`: `10.0.0.0/8`. */
export function rib(prefix: string, paths: readonly Path[], sequence = 0, addPath = false): number[] {
  const [address, length] = prefix.split("/");
  const octets = be(parseIpv4(address!)!, 4).slice(0, Math.ceil(Number(length) / 8));
  const entries = paths.flatMap((p) => {
    const a = attributes(p);
    return [
      ...be(p.peer ?? 0, 2),
      ...be(1_600_000_000, 4),
      ...(addPath ? be(p.pathId ?? 0, 4) : []),
      ...be(a.length, 2),
      ...a,
    ];
  });
  return record(13, addPath ? 8 : 2, [
    ...be(sequence, 4),
    Number(length),
    ...octets,
    ...be(paths.length, 2),
    ...entries,
  ]);
}

/** TABLE_DUMP with IPv4 addresses: one path. */
export function tableDump(prefix: string, p: Path, sequence = 0): number[] {
  const [address, length] = prefix.split("/");
  const a = attributes(p, 2);
  return record(12, 1, [
    ...be(0, 2),
    ...be(sequence, 2),
    ...be(parseIpv4(address!)!, 4),
    Number(length),
    1,
    ...be(1_600_000_000, 4),
    ...be(0x0a000001, 4),
    ...be(64500, 2),
    ...be(a.length, 2),
    ...a,
  ]);
}
