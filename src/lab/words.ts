// src/lab/words.ts: the small words of a lab file: times, endpoints, ports to listen on.

import { parseIpv4 } from "../core/address.ts";
import { TextError } from "../host/text.ts";

const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `1.5s`, `20ms`, `7us` → nanoseconds, rounded. A bare number is seconds. */
export function parseTime(text: string | number): number {
  const m = /^(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|h)?$/.exec(String(text).trim());
  if (m === null) throw new TextError(1, 1, `'${text}' is no time, expected a number with ns, us, ms or s`);
  return Math.round(Number(m[1]) * units[m[2] ?? "s"]!);
}

export interface Endpoint {
  readonly node: string;
  readonly iface: string;
}

/** `client:eth0` */
export function parseEndpoint(text: string): Endpoint {
  const colon = text.indexOf(":");
  if (colon <= 0 || colon === text.length - 1) {
    throw new TextError(1, 1, `'${text}' is no endpoint, expected NODE:INTERFACE`);
  }
  return { node: text.slice(0, colon), iface: text.slice(colon + 1) };
}

export interface Listen {
  readonly proto: number;
  readonly address: number;
  readonly port: number;
}

const protocols: Record<string, number> = { tcp: 6, udp: 17 };

/** `tcp 80`, `udp 172.17.0.1:53`, `tcp 0.0.0.0:80` */
export function parseListen(text: string): Listen {
  const m = /^(\S+)\s+(?:(\S+):)?(\d+)$/.exec(text.trim());
  const proto = m === null ? undefined : protocols[m[1]!];
  if (m === null || proto === undefined) {
    throw new TextError(1, 1, `'${text}' is no socket, expected 'tcp PORT', 'udp PORT' or 'udp ADDRESS:PORT'`);
  }
  const where = m[2] === undefined || m[2] === "*" ? "0.0.0.0" : m[2];
  const address = parseIpv4(where);
  if (address === null) throw new TextError(1, text.indexOf(where) + 1, `'${where}' is no IPv4 address`);
  const port = Number(m[3]);
  if (port > 65535) throw new TextError(1, text.lastIndexOf(m[3]!) + 1, `port ${port} is above 65535`);
  return { proto, address, port };
}

/** Hex digits, two a byte, spaces allowed. */
export function parseHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits))
    throw new TextError(1, 1, `'${text.slice(0, 20)}' is no hex, expected two digits a byte`);
  return Uint8Array.from(digits.match(/../g) ?? [], (d) => parseInt(d, 16));
}

/** A locally administered address that depends on the names alone. */
export function deriveMac(node: string, iface: string): Uint8Array {
  // FNV-1a, 64 bits in two halves
  let a = 0x811c9dc5;
  let b = 0xcbf29ce4;
  for (const ch of `${node}\0${iface}`) {
    const c = ch.codePointAt(0)!;
    a = Math.imul(a ^ c, 0x01000193) >>> 0;
    b = Math.imul(b ^ (c + 0x9e), 0x01000193) >>> 0;
  }
  return Uint8Array.from([0x02, b >>> 24, (b >>> 16) & 255, a >>> 24, (a >>> 16) & 255, (a ^ b) & 255]);
}
