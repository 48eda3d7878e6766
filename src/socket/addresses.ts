// src/socket/addresses.ts: addresses as net has them, and the many forms of its arguments.

import { formatIpv4, parseIpv4 } from "../core/address.ts";

/** What `address()` answers. */
export interface AddressInfo {
  address: string;
  family: string;
  port: number;
}

export function addressInfo(address: number, port: number): AddressInfo {
  return { address: formatIpv4(address), family: "IPv4", port };
}

export function isIPv4(text: unknown): boolean {
  return parseIpv4(String(text)) !== null;
}

/** RFC 4291 §2.2's three forms, with a zone (RFC 4007 §11) behind `%`. */
export function isIPv6(input: unknown): boolean {
  let text = String(input);
  const zone = text.indexOf("%");
  if (zone >= 0) {
    if (!/^[0-9a-zA-Z\-.:]+$/.test(text.slice(zone + 1))) return false;
    text = text.slice(0, zone);
  }
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    if (half === "") continue;
    const parts = half.split(":");
    for (let k = 0; k < parts.length; k++) {
      const last = i === halves.length - 1 && k === parts.length - 1;
      if (last && parts[k]!.includes(".")) {
        if (parseIpv4(parts[k]!) === null) return false;
        groups += 2;
      } else {
        if (!/^[0-9a-fA-F]{1,4}$/.test(parts[k]!)) return false;
        groups++;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

/** 4, 6, or 0 for anything else. */
export function isIP(text: unknown): 0 | 4 | 6 {
  return isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0;
}

/** IPv4 addresses that IPv6 knows (::ffff:10.0.0.1) as IPv4's; others as they are. */
export function unmapped(address: string): string {
  const m = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return m !== null && parseIpv4(m[1]!) !== null ? m[1]! : address;
}

export type Callback = (...args: never[]) => void;

/** Number that is not negative, or false. */
export function toNumber(x: unknown): number | false {
  const n = Number(x);
  return n >= 0 ? n : false;
}

/**
 * Arguments of connect and listen: `(options[, cb])`, `(path[, cb])`, `([port][, host][...][, cb])`.
 * A list that was normalized once is known again.
 */
export function normalizeArgs(args: readonly unknown[]): [Record<string, unknown>, Callback | null] {
  const first = args[0];
  if (Array.isArray(first) && normalized.has(first)) return first as [Record<string, unknown>, Callback | null];
  let options: Record<string, unknown> = {};
  if (typeof first === "object" && first !== null) options = first as Record<string, unknown>;
  else if (args.length > 0 && typeof first === "string" && toNumber(first) === false) options.path = first;
  else if (args.length > 0) {
    options.port = first;
    if (args.length > 1 && typeof args[1] === "string") options.host = args[1];
  }
  const cb = args[args.length - 1];
  const result: [Record<string, unknown>, Callback | null] = [
    options,
    typeof cb === "function" ? (cb as Callback) : null,
  ];
  normalized.add(result);
  return result;
}

const normalized = new WeakSet<object>();
