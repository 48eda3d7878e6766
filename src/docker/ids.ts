// src/docker/ids.ts: the random numbers of an engine (identifiers, MAC addresses, device names), made to depend on names
// alone: the same set-up has the same bytes each time.

/** Bits of an identifier, and of a MAC address, in hexadecimal digits. */
const ID_DIGITS = 64;
const WORD_DIGITS = 8;

/** FNV-1a of the words behind `salt`, its bits mixed as MurmurHash3 ends. */
function hash(salt: number, text: string): number {
  let h = (0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function digits(length: number, words: readonly (string | number)[]): string {
  const text = words.join("\0");
  let out = "";
  for (let salt = 1; out.length < length; salt++) out += hash(salt, text).toString(16).padStart(WORD_DIGITS, "0");
  return out.slice(0, length);
}

/** 64 hexadecimal digits, as the engine names networks and containers. */
export function idOf(...words: readonly (string | number)[]): string {
  return digits(ID_DIGITS, words);
}

/** `veth` and seven hexadecimal digits. */
export function vethName(...words: readonly (string | number)[]): string {
  return `veth${digits(7, words)}`;
}

/** Six bytes of chance, unicast and locally administered: what the engine takes since version 28. */
export function randomMac(...words: readonly (string | number)[]): Uint8Array {
  const hex = digits(12, ["mac", ...words]);
  const mac = Uint8Array.from({ length: 6 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  mac[0] = (mac[0]! & 0xfe) | 0x02;
  return mac;
}

/** `02:42` and the address: what the engine took before version 28. */
export function macOfAddress(address: number): Uint8Array {
  return Uint8Array.from([0x02, 0x42, address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]);
}
