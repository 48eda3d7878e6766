// src/host/netfilter/nft/types.ts: nftables' data types: values as they are written, as numbers, and as they are printed.

import { formatIpv4, formatMac, maskOf, parseIpv4, parseMac } from "../../../core/address.ts";
import { formatProtocol, parsePort, parseProtocol } from "../iptables/names.ts";
import { type Reader, type Token, parseNumber, show } from "./lexer.ts";

/** A value, a range of values (a prefix is one), or a name, perhaps with `*` behind. */
export interface Atom {
  readonly low: number;
  readonly high: number;
  /** Interface names. */
  readonly name: string;
  readonly text: string;
}

export interface DataType {
  readonly name: string;
  /** Bytes on the wire: what jhash takes. */
  readonly bytes: number;
  /** Elements that nft prints in a line of a set. */
  readonly perLine: number;
  /** A list of flags, so that `a,b` means any of them. */
  readonly flags?: boolean;
  /** Compared as names. */
  readonly names?: boolean;
  readonly parse: (text: string, quoted: boolean) => number | null;
  readonly format: (v: number) => string;
}

/** A type whose values have names; others are written as numbers. */
function named(
  name: string,
  bytes: number,
  names: Readonly<Record<string, number>>,
  flags = false,
  width = 0,
): DataType {
  const byValue = new Map<number, string>();
  for (const [n, v] of Object.entries(names)) if (!byValue.has(v)) byValue.set(v, n);
  return {
    name,
    bytes,
    perLine: 1,
    flags,
    parse: (t) => (Object.hasOwn(names, t) ? names[t]! : parseNumber(t)),
    format: (v) => byValue.get(v) ?? (width > 0 ? `0x${v.toString(16).padStart(width, "0")}` : String(v)),
  };
}

function integer(name: string, bytes: number): DataType {
  return { name, bytes, perLine: 5, parse: parseNumber, format: String };
}

const icmpTypes = {
  "echo-reply": 0,
  "destination-unreachable": 3,
  "source-quench": 4,
  redirect: 5,
  "echo-request": 8,
  "router-advertisement": 9,
  "router-solicitation": 10,
  "time-exceeded": 11,
  "parameter-problem": 12,
  "timestamp-request": 13,
  "timestamp-reply": 14,
  "info-request": 15,
  "info-reply": 16,
  "address-mask-request": 17,
  "address-mask-reply": 18,
};
/** Codes of destination unreachable; REJECT takes the same words. */
export const icmpCodes: Readonly<Record<string, number>> = {
  "net-unreachable": 0,
  "host-unreachable": 1,
  "prot-unreachable": 2,
  "port-unreachable": 3,
  "frag-needed": 4,
  "net-prohibited": 9,
  "host-prohibited": 10,
  "admin-prohibited": 13,
};
const dscpNames = {
  cs0: 0,
  cs1: 8,
  cs2: 16,
  cs3: 24,
  cs4: 32,
  cs5: 40,
  cs6: 48,
  cs7: 56,
  df: 0,
  be: 0,
  lephb: 1,
  af11: 10,
  af12: 12,
  af13: 14,
  af21: 18,
  af22: 20,
  af23: 22,
  af31: 26,
  af32: 28,
  af33: 30,
  af41: 34,
  af42: 36,
  af43: 38,
  va: 44,
  ef: 46,
};

export const types = {
  ipv4_addr: { name: "ipv4_addr", bytes: 4, perLine: 2, parse: parseIpv4, format: formatIpv4 },
  inet_service: { name: "inet_service", bytes: 2, perLine: 5, parse: parsePort, format: String },
  inet_proto: {
    name: "inet_proto",
    bytes: 1,
    perLine: 5,
    parse: (t: string) => parseProtocol(t),
    format: formatProtocol,
  },
  mark: {
    name: "mark",
    bytes: 4,
    perLine: 5,
    parse: parseNumber,
    format: (v: number) => `0x${(v >>> 0).toString(16).padStart(8, "0")}`,
  },
  integer: integer("integer", 4),
  integer2: integer("integer", 2),
  integer1: integer("integer", 1),
  ifname: { name: "ifname", bytes: 16, perLine: 1, names: true, parse: () => 0, format: String },
  iface_index: { name: "iface_index", bytes: 4, perLine: 1, names: true, parse: () => 0, format: String },
  ether_addr: {
    name: "ether_addr",
    bytes: 6,
    perLine: 1,
    parse: (t: string) => {
      const m = parseMac(t);
      return m === null ? null : m.reduce((a, b) => a * 256 + b, 0);
    },
    format: (v: number) => {
      const bytes = new Uint8Array(6);
      for (let i = 5, x = v; i >= 0; i--, x = Math.floor(x / 256)) bytes[i] = x % 256;
      return formatMac(bytes);
    },
  },
  ct_state: named("ct_state", 4, { invalid: 1, established: 2, related: 4, new: 8, untracked: 256 }, true),
  ct_status: named(
    "ct_status",
    4,
    {
      expected: 1,
      "seen-reply": 2,
      assured: 4,
      confirmed: 8,
      snat: 16,
      dnat: 32,
      dying: 512,
    },
    true,
  ),
  ct_dir: named("ct_dir", 1, { original: 0, reply: 1 }),
  icmp_type: named("icmp_type", 1, icmpTypes),
  icmp_code: named("icmp_code", 1, icmpCodes),
  tcp_flag: named("tcp_flag", 1, { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 }, true),
  dscp: named("dscp", 1, dscpNames, false, 2),
  ecn: named("ecn", 1, { "not-ect": 0, ect1: 1, ect0: 2, ce: 3 }),
  fib_addrtype: named("fib_addrtype", 4, {
    unspec: 0,
    unicast: 1,
    local: 2,
    broadcast: 3,
    anycast: 4,
    multicast: 5,
    blackhole: 6,
    unreachable: 7,
    prohibit: 8,
  }),
  pkt_type: named("pkt_type", 1, { unicast: 0, host: 0, broadcast: 1, multicast: 2, other: 3 }),
  nf_proto: named("nf_proto", 1, { ipv4: 2, ipv6: 10 }),
  ether_type: named("ether_type", 2, { ip: 0x0800, arp: 0x0806, ip6: 0x86dd }),
  boolean: named("boolean", 1, { missing: 0, exists: 1 }),
  time: {
    name: "time",
    bytes: 8,
    perLine: 1,
    parse: parseTime,
    format: formatTime,
  },
} satisfies Record<string, DataType>;

/** `1d2h3m4s`, or a number of seconds. */
function parseTime(t: string): number | null {
  if (/^\d+$/.test(t)) return Number(t);
  const m = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(t);
  if (m === null || t === "") return null;
  return Number(m[1] ?? 0) * 86400 + Number(m[2] ?? 0) * 3600 + Number(m[3] ?? 0) * 60 + Number(m[4] ?? 0);
}

function formatTime(v: number): string {
  let out = "";
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const n = Math.floor(v / size);
    v -= n * size;
    if (n > 0) out += `${n}${unit}`;
  }
  return out === "" ? "0s" : out;
}

function fail(r: Reader, t: Token, type: DataType): never {
  return r.fail(t, `${show(t)} is no value of type ${type.name}`);
}

/** One value of a type; ranges and prefixes where `ranges`. */
export function parseAtom(r: Reader, type: DataType, ranges = true): Atom {
  const t = r.next(`a value of type ${type.name}`);
  if (t.kind !== "word" && !(t.kind === "string" && type.names === true)) fail(r, t, type);
  if (type.names === true) {
    if (t.text.length > 15) r.fail(t, `interface name '${t.text}' is too long`);
    return { low: 0, high: 0, name: t.text, text: `"${t.text}"` };
  }
  const one = type.parse(t.text, false);
  if (one !== null) return { low: one, high: one, name: "", text: type.format(one) };
  if (!ranges) fail(r, t, type);
  const slash = type === types.ipv4_addr ? t.text.indexOf("/") : -1;
  if (slash >= 0) {
    const address = parseIpv4(t.text.slice(0, slash));
    const length = parseNumber(t.text.slice(slash + 1));
    if (address === null || length === null || length > 32) fail(r, t, type);
    const low = (address & maskOf(length)) >>> 0;
    return { low, high: (low | ~maskOf(length)) >>> 0, name: "", text: `${formatIpv4(low)}/${length}` };
  }
  const dash = t.text.indexOf("-");
  if (dash < 0) fail(r, t, type);
  const low = type.parse(t.text.slice(0, dash), false);
  const high = type.parse(t.text.slice(dash + 1), false);
  if (low === null || high === null) fail(r, t, type);
  if (low > high) r.fail(t, `range '${t.text}' ends below its beginning`);
  return { low, high, name: "", text: `${type.format(low)}-${type.format(high)}` };
}
