// tests/capture/encode.ts: pcap and pcapng written the plainest way, in both byte orders: the oracle for the reader.

import { Buffer } from "node:buffer";

/** Numbers in one byte order. */
export function words(littleEndian: boolean) {
  return {
    u16(v: number): Buffer {
      const b = Buffer.alloc(2);
      if (littleEndian) b.writeUInt16LE(v);
      else b.writeUInt16BE(v);
      return b;
    },
    u32(v: number): Buffer {
      const b = Buffer.alloc(4);
      if (littleEndian) b.writeUInt32LE(v);
      else b.writeUInt32BE(v);
      return b;
    },
    u64(v: bigint): Buffer {
      const b = Buffer.alloc(8);
      if (littleEndian) b.writeBigUInt64LE(BigInt.asUintN(64, v));
      else b.writeBigUInt64BE(BigInt.asUintN(64, v));
      return b;
    },
  };
}

export interface TestPacket {
  interfaceId: number;
  seconds: number;
  nanoseconds: number;
  data: Uint8Array;
  originalLength: number;
  direction: number;
  comments: readonly string[];
}

export const pad4 = (b: Uint8Array): Buffer => Buffer.concat([b, Buffer.alloc((4 - (b.length % 4)) % 4)]);

export function pcapHeader(littleEndian: boolean, nano: boolean, network = 1, minor = 4): Buffer {
  const { u16, u32 } = words(littleEndian);
  const magic = u32(nano ? 0xa1b23c4d : 0xa1b2c3d4);
  return Buffer.concat([magic, u16(2), u16(minor), u32(0), u32(0), u32(65535), u32(network)]);
}

export function pcapRecord(littleEndian: boolean, nano: boolean, p: TestPacket): Buffer {
  const { u32 } = words(littleEndian);
  const fraction = nano ? p.nanoseconds : Math.floor(p.nanoseconds / 1000);
  return Buffer.concat([u32(p.seconds), u32(fraction), u32(p.data.length), u32(p.originalLength), p.data]);
}

/** A block around a body. */
export function block(littleEndian: boolean, type: number, ...body: Uint8Array[]): Buffer {
  const { u32 } = words(littleEndian);
  const inner = pad4(Buffer.concat(body));
  return Buffer.concat([u32(type), u32(inner.length + 12), inner, u32(inner.length + 12)]);
}

export function option(littleEndian: boolean, code: number, value: Uint8Array | string): Buffer {
  const { u16 } = words(littleEndian);
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([u16(code), u16(bytes.length), pad4(bytes)]);
}

export function section(littleEndian: boolean, ...options: Uint8Array[]): Buffer {
  const { u16, u32, u64 } = words(littleEndian);
  return block(littleEndian, 0x0a0d0d0a, u32(0x1a2b3c4d), u16(1), u16(0), u64(-1n), ...options);
}

export function description(littleEndian: boolean, linkType: number, snap: number, ...options: Uint8Array[]): Buffer {
  const { u16, u32 } = words(littleEndian);
  return block(littleEndian, 1, u16(linkType), u16(0), u32(snap), ...options);
}

/** An Enhanced Packet Block whose time counts `units` a second. */
export function enhanced(littleEndian: boolean, p: TestPacket, units = 1_000_000_000n): Buffer {
  const { u32 } = words(littleEndian);
  const time = BigInt(p.seconds) * units + (BigInt(p.nanoseconds) * units) / 1_000_000_000n;
  const options = p.comments.map((c) => option(littleEndian, 1, c));
  if (p.direction !== 0) options.push(option(littleEndian, 2, u32(p.direction)));
  if (options.length > 0) options.push(option(littleEndian, 0, Buffer.alloc(0)));
  return block(
    littleEndian,
    6,
    u32(p.interfaceId),
    u32(Number(time >> 32n)),
    u32(Number(time & 0xffffffffn)),
    u32(p.data.length),
    u32(p.originalLength),
    pad4(p.data),
    ...options,
  );
}
