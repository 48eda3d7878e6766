// src/core/address.ts: IPv4 and MAC addresses as text and as numbers. Numbers are in host order, unsigned.

/** `10.0.0.1` → 0x0a000001; null for anything but four decimal bytes without leading zeros. */
export function parseIpv4(text: string): number | null {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (m === null) return null;
  let v = 0;
  for (let i = 1; i <= 4; i++) {
    const part = m[i]!;
    const n = Number(part);
    if (n > 255 || (part.length > 1 && part[0] === "0")) return null;
    v = v * 256 + n;
  }
  return v;
}

export function formatIpv4(a: number): string {
  return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
}

/** The mask of a prefix length. */
export function maskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

export interface Prefix {
  readonly address: number;
  readonly length: number;
}

/** `10.0.0.0/8`, or an address (its length is 32). The bits behind the length are kept. */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf("/");
  const address = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  if (slash < 0) return { address, length: 32 };
  const tail = text.slice(slash + 1);
  if (!/^\d{1,2}$/.test(tail) || Number(tail) > 32) return null;
  return { address, length: Number(tail) };
}

export function formatPrefix(p: Prefix): string {
  return `${formatIpv4(p.address)}/${p.length}`;
}

/** `02:42:ac:11:00:02` → six bytes; null for anything else. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return null;
  return Uint8Array.from(text.split(":"), (b) => parseInt(b, 16));
}

export function formatMac(bytes: Uint8Array, at = 0): string {
  let s = "";
  for (let i = 0; i < 6; i++)
    s += (i === 0 ? "" : ":") + (bytes[at + i]! < 16 ? "0" : "") + bytes[at + i]!.toString(16);
  return s;
}
