// src/repl/bits.ts: a frame as it is on a wire: preamble, start delimiter, padding, check sequence, and the line code.

/** The table of CRC-32 (IEEE 802.3 §3.2.9), the lowest bit first. */
const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c >>> 0;
});

/** The frame check sequence of a frame, from its destination address to the end of its data or padding. */
export function frameCheck(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const b of bytes) crc = (crc >>> 8) ^ table[(crc ^ b) & 255]!;
  return ~crc >>> 0;
}

/** IEEE 802.3 §4.2.3.3: 64 bytes with the check sequence. */
const SHORTEST = 60;
export const PREAMBLE = Uint8Array.of(0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55);
export const SFD = 0xd5;

export interface OnWire {
  /** Preamble, SFD, frame, padding, FCS. */
  readonly bytes: Uint8Array;
  /** Bytes of padding. */
  readonly padding: number;
  readonly fcs: number;
}

/** What a device puts on the wire for this frame. */
export function onWire(frame: Uint8Array): OnWire {
  const padding = Math.max(0, SHORTEST - frame.length);
  const padded = new Uint8Array(frame.length + padding);
  padded.set(frame);
  const fcs = frameCheck(padded);
  const bytes = new Uint8Array(8 + padded.length + 4);
  bytes.set(PREAMBLE);
  bytes[7] = SFD;
  bytes.set(padded, 8);
  // the lowest byte is sent first
  for (let i = 0; i < 4; i++) bytes[8 + padded.length + i] = (fcs >>> (8 * i)) & 255;
  return { bytes, padding, fcs };
}

/** The bits of a byte in the order of the wire: the lowest first. */
export function bitsOf(byte: number): string {
  let s = "";
  for (let i = 0; i < 8; i++) s += (byte >> i) & 1;
  return s;
}

/** Manchester code (IEEE 802.3 §7.3.1.1): a 0 is high then low, a 1 is low then high. */
export function manchester(byte: number): string {
  let s = "";
  for (let i = 0; i < 8; i++) s += ((byte >> i) & 1) === 0 ? "-_" : "_-";
  return s;
}
