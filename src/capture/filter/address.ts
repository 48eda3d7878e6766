// src/capture/filter/address.ts: addresses as filters write them: short IPv4 networks, IPv6, MAC in five spellings.

import { FilterError } from "./error.ts";

/** An IPv4 address or network: `value` is aligned to the left, `bits` says how many the text gave (8 a part). */
export function ipv4(text: string, at: number): { value: number; bits: number } {
  let value = 0;
  const parts = text.split(".");
  for (const part of parts) {
    // decimal, leading zeros or not: the reference reads addresses so, other than numbers
    const v = /^\d+$/.test(part) ? Number(part) : 256;
    if (v > 255) throw new FilterError(at, `bad IPv4 address '${text}', expected decimal numbers up to 255`);
    value = value * 256 + v;
  }
  const bits = parts.length * 8;
  return { value: (value * 2 ** (32 - bits)) >>> 0, bits };
}

/** The four words of an IPv6 address that the lexer found. */
export function ipv6(text: string, at: number): number[] {
  let plain = text;
  const dot = text.indexOf(".");
  if (dot >= 0) {
    const from = text.lastIndexOf(":", dot) + 1;
    const quad = text.slice(from);
    if (!/^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(quad) || /(^|\.)0\d/.test(quad)) {
      throw new FilterError(at, `bad IPv6 address '${text}'`);
    }
    const { value } = ipv4(quad, at);
    plain = `${text.slice(0, from)}${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
  }
  const [head, tail] = plain.split("::");
  const left = head === "" ? [] : head!.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  if (tail !== undefined && left.length + right.length > 7) throw new FilterError(at, `bad IPv6 address '${text}'`);
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
  return [0, 2, 4, 6].map((i) => parseInt(groups[i]!, 16) * 65536 + parseInt(groups[i + 1]!, 16));
}

/** Six bytes of a MAC address that the lexer found, in any of its spellings. */
export function mac(text: string): number[] {
  const parts = /^[0-9A-Fa-f]{12}$|^.{4}\..{4}\..{4}$/.test(text)
    ? text.replaceAll(".", "").match(/../g)!
    : text.split(/[:.-]/);
  return parts.map((p) => parseInt(p, 16));
}
