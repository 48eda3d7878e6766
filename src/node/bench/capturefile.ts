// src/node/bench/capturefile.ts: a large capture of small packets, made by rule.

import { closeSync, openSync, writeSync } from "node:fs";
import type { Core } from "../../core/core.ts";
import { Rng } from "../../link/rng.ts";

const ETH = 14;
const RECORD = 16;
const BLOCK = 1 << 24;
/** Different frames; the file is a random sequence of them. */
const FRAMES = 1 << 15;

/** Bytes of a frame: mostly acknowledgements and questions, some answers, few full segments. */
function lengthOf(rng: Rng): number {
  const r = rng.unit();
  if (r < 0.7) return 60 + rng.below(15);
  if (r < 0.94) return 80 + rng.below(121);
  return r < 0.99 ? 200 + rng.below(401) : 1514;
}

/** An Ethernet frame with TCP, UDP or ICMP in it. Of a thousand, one has a wrong checksum. */
function makeFrame(core: Core, scratch: number, rng: Rng): Uint8Array {
  const { x, u8, view } = core;
  const length = lengthOf(rng);
  const tagged = rng.unit() < 0.05 ? 4 : 0;
  const p = scratch + ETH + tagged;
  const total = length - ETH - tagged;
  for (let i = 0; i < length; i++) u8[scratch + i] = rng.u32() >>> 24;
  u8[scratch] = 2;
  u8[scratch + 6] = 2;
  if (tagged !== 0) view.setUint32(scratch + 12, 0x81000064);
  view.setUint16(p - 2, 0x0800);
  const kind = rng.unit();
  const proto = kind < 0.7 ? 6 : kind < 0.97 ? 17 : 1;
  view.setUint32(p, 0x45000000 | total);
  view.setUint32(p + 4, (rng.below(65536) << 16) | 0x4000);
  view.setUint32(p + 8, (64 << 24) | (proto << 16));
  const src = view.getUint32(p + 12);
  const dst = view.getUint32(p + 16);
  view.setUint16(p + 10, x.checksum(p, 20));
  const t = p + 20;
  const rest = total - 20;
  if (proto === 6) {
    u8[t + 12] = 0x50;
    u8[t + 13] = 0x10;
    view.setUint16(t + 16, 0);
    view.setUint16(t + 16, x.transportChecksum(src, dst, 6, t, rest));
  } else if (proto === 17) {
    view.setUint16(t + 4, rest);
    view.setUint16(t + 6, 0);
    // a sum of 0 is written as all ones (RFC 768)
    if (rng.unit() > 0.05) view.setUint16(t + 6, x.transportChecksum(src, dst, 17, t, rest) || 0xffff);
  } else {
    view.setUint16(t, 0x0800);
    view.setUint16(t + 2, 0);
    view.setUint16(t + 2, x.checksum(t, rest));
  }
  if (rng.unit() < 0.001) u8[scratch + length - 1]! ^= 0x55;
  return u8.slice(scratch, scratch + length);
}

/** Writes pcap files of the same packets, each of so many bytes at least; answers how many packets each has. */
export function writeCaptures(core: Core, files: readonly { path: string; bytes: number }[]): number[] {
  const rng = new Rng(5);
  const scratch = core.x.alloc(2048) >>> 0;
  const frames = Array.from({ length: FRAMES }, () => makeFrame(core, scratch, rng));
  core.x.release(scratch, 2048);
  return files.map(({ path, bytes }) => {
    const order = new Rng(6);
    const block = new Uint8Array(BLOCK);
    const view = new DataView(block.buffer);
    const fd = openSync(path, "w");
    try {
      [0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1].forEach((w, i) => view.setUint32(i * 4, w, true));
      let at = 24;
      let written = 0;
      let packets = 0;
      while (written + at < bytes) {
        const frame = frames[order.u32() >>> 17]!;
        if (at + RECORD + frame.length > BLOCK) {
          writeSync(fd, block, 0, at);
          written += at;
          at = 0;
        }
        view.setUint32(at, 1_700_000_000 + Math.floor(packets / 1e6), true);
        view.setUint32(at + 4, packets % 1e6, true);
        view.setUint32(at + 8, frame.length, true);
        view.setUint32(at + 12, frame.length, true);
        block.set(frame, at + RECORD);
        at += RECORD + frame.length;
        packets++;
      }
      writeSync(fd, block, 0, at);
      return packets;
    } finally {
      closeSync(fd);
    }
  });
}
