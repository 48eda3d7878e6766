// src/capture/blocks.ts: pcapng's blocks that describe: sections, interfaces, statistics, names, secrets; and its times.

import {
  type CaptureInterface,
  type CaptureName,
  type CaptureSecrets,
  type CaptureSection,
  type InterfaceStatistics,
  CaptureError,
} from "./format.ts";
import { decodeText, Option, walkOptions } from "./options.ts";
import type { CaptureRecord } from "./record.ts";

/** A whole block in memory: `at` is its type field, `end` is where its second length starts. */
export interface BlockBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly end: number;
  readonly littleEndian: boolean;
  /** Where in the file it is. */
  readonly offset: number;
}

/** Where the body starts: behind type and length. */
const BODY = 8;

/** Options of a Section Header Block. */
export const Shb = { Hardware: 2, Os: 3, Application: 4 } as const;

/** Options of an Interface Description Block. */
export const If = {
  Name: 2,
  Description: 3,
  Mac: 6,
  Speed: 8,
  TsResol: 9,
  FcsLen: 13,
  TsOffset: 14,
} as const;

/** Exact lengths; the codes without a name are addresses (IPv4 with mask, IPv6 with prefix length, EUI-64). */
const ifSizes = { 4: 8, 5: 17, [If.Mac]: 6, 7: 8, [If.Speed]: 8, [If.TsResol]: 1, [If.FcsLen]: 1, [If.TsOffset]: 8 };

/** Options of an Interface Statistics Block. */
export const Isb = { Received: 4, Dropped: 5, Accepted: 6, DroppedBySystem: 7, Delivered: 8 } as const;
const isbSizes = { 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 8, 8: 8 };

const noSizes = {};

/** 64 bits, unsigned; exact up to 2^53. */
function get64(b: BlockBytes, at: number): number {
  const first = b.view.getUint32(at, b.littleEndian);
  const second = b.view.getUint32(at + 4, b.littleEndian);
  return b.littleEndian ? second * 2 ** 32 + first : first * 2 ** 32 + second;
}

/** A body shorter than its fixed part. */
function short(b: BlockBytes, what: string, least: number): void {
  const length = b.end - b.at - BODY;
  if (length < least) {
    throw new CaptureError(`${what} at offset ${b.offset}: a body of ${length} bytes, expected ${least}`, b.offset);
  }
}

/** Section Header Block: byte order, version, section length (not used: blocks are counted as they come), options. */
export function sectionOf(b: BlockBytes): CaptureSection {
  short(b, "section header", 16);
  const major = b.view.getUint16(b.at + BODY + 4, b.littleEndian);
  const minor = b.view.getUint16(b.at + BODY + 6, b.littleEndian);
  // 1.2 is written by some tools and differs in nothing that matters
  if (major !== 1 || (minor !== 0 && minor !== 2)) {
    throw new CaptureError(
      `section header at offset ${b.offset}: pcapng version ${major}.${minor}, expected 1.0`,
      b.offset,
    );
  }
  const comments: string[] = [];
  const s: { hardware?: string; os?: string; application?: string } = {};
  walk(b, b.at + BODY + 16, "section header", noSizes, (code, at, length) => {
    const text = () => decodeText(b.bytes, at, at + length);
    if (code === Option.Comment) comments.push(text());
    else if (code === Shb.Hardware) s.hardware = text();
    else if (code === Shb.Os) s.os = text();
    else if (code === Shb.Application) s.application = text();
  });
  return { littleEndian: b.littleEndian, major, minor, ...s, comments };
}

/** Interface Description Block: link type, reserved, snaplen, options. */
export function interfaceOf(b: BlockBytes, id: number, section: number, index: number): CaptureInterface {
  short(b, "interface description", 8);
  const comments: string[] = [];
  const i: { name?: string; description?: string; mac?: Uint8Array; speed?: number } = {};
  let unitsPerSecond = 1e6;
  let timeOffset = 0;
  let fcsLength = 0;
  walk(b, b.at + BODY + 8, "interface description", ifSizes, (code, at, length) => {
    if (code === Option.Comment) comments.push(decodeText(b.bytes, at, at + length));
    else if (code === If.Name) i.name = decodeText(b.bytes, at, at + length);
    else if (code === If.Description) i.description = decodeText(b.bytes, at, at + length);
    else if (code === If.Mac) i.mac = b.bytes.slice(at, at + 6);
    else if (code === If.Speed) i.speed = get64(b, at);
    else if (code === If.TsResol) unitsPerSecond = unitsOf(b.bytes[at]!, b.offset);
    else if (code === If.FcsLen) fcsLength = b.bytes[at]!;
    else if (code === If.TsOffset) timeOffset = Number(b.view.getBigInt64(at, b.littleEndian));
  });
  return {
    id,
    section,
    index,
    linkType: b.view.getUint16(b.at + BODY, b.littleEndian),
    snapLength: b.view.getUint32(b.at + BODY + 4, b.littleEndian),
    ...i,
    unitsPerSecond,
    timeOffset,
    fcsLength,
    comments,
  };
}

/** if_tsresol: a negative power of ten, or with the top bit set of two. Finer than 64 bits can count is refused. */
function unitsOf(resolution: number, offset: number): number {
  const power = resolution & 127;
  const binary = (resolution & 128) !== 0;
  if (power > (binary ? 63 : 19)) {
    throw new CaptureError(
      `interface description at offset ${offset}: if_tsresol ${binary ? 2 : 10}^-${power} does not fit into 64 bits`,
      offset,
    );
  }
  return (binary ? 2 : 10) ** power;
}

/** Interface Statistics Block: interface, time, options. */
export function statisticsOf(b: BlockBytes, interfaces: readonly CaptureInterface[], first: number): void {
  short(b, "interface statistics", 12);
  const index = b.view.getUint32(b.at + BODY, b.littleEndian);
  const i = interfaces[first + index];
  if (i === undefined) {
    const known = interfaces.length - first;
    throw new CaptureError(
      `interface statistics at offset ${b.offset}: interface ${index}, the section has ${known}`,
      b.offset,
    );
  }
  const hi = b.view.getUint32(b.at + BODY + 4, b.littleEndian);
  const lo = b.view.getUint32(b.at + BODY + 8, b.littleEndian);
  const time = { seconds: 0, nanoseconds: 0 };
  setTime(time, i, hi, lo);
  const counters: { -readonly [K in keyof InterfaceStatistics]?: InterfaceStatistics[K] } = {};
  walk(b, b.at + BODY + 12, "interface statistics", isbSizes, (code, at) => {
    if (code === Isb.Received) counters.received = get64(b, at);
    else if (code === Isb.Dropped) counters.dropped = get64(b, at);
    else if (code === Isb.Accepted) counters.accepted = get64(b, at);
    else if (code === Isb.DroppedBySystem) counters.droppedBySystem = get64(b, at);
    else if (code === Isb.Delivered) counters.delivered = get64(b, at);
  });
  i.statistics = { ...counters, ...time };
}

/** Decryption Secrets Block: type, length, secrets. */
export function secretsOf(b: BlockBytes): CaptureSecrets {
  short(b, "decryption secrets", 8);
  const length = b.view.getUint32(b.at + BODY + 4, b.littleEndian);
  const from = b.at + BODY + 8;
  if (length > b.end - from) {
    throw new CaptureError(
      `decryption secrets at offset ${b.offset}: ${length} bytes of secrets, ${b.end - from} left in the block`,
      b.offset,
    );
  }
  return { type: b.view.getUint32(b.at + BODY, b.littleEndian), data: b.bytes.slice(from, from + length) };
}

/** Name Resolution Block: {type, length, address and names, padded} until type 0. MAC names (types 3, 4) are left out. */
export function nameRecords(b: BlockBytes): CaptureName[] {
  const found: CaptureName[] = [];
  for (let at = b.at + BODY; at + 4 <= b.end;) {
    const type = b.view.getUint16(at, b.littleEndian);
    const length = b.view.getUint16(at + 2, b.littleEndian);
    if (type === 0) break;
    const addressLength = type === 1 ? 4 : type === 2 ? 16 : 0;
    if (length > b.end - at - 4 || length < addressLength) {
      throw new CaptureError(
        `name resolution at offset ${b.offset}: record of type ${type} has ${length} bytes, ` +
          (length < addressLength ? `expected ${addressLength} and names` : `${b.end - at - 4} left in the block`),
        b.offset,
      );
    }
    if (addressLength > 0) {
      const from = at + 4 + addressLength;
      const names = decodeText(b.bytes, from, at + 4 + length)
        .split("\0")
        .filter((name) => name !== "");
      found.push({ address: b.bytes.slice(at + 4, from), names });
    }
    at += 4 + ((length + 3) & ~3);
  }
  return found;
}

function walk(
  b: BlockBytes,
  from: number,
  what: string,
  sizes: Readonly<Record<number, number>>,
  each: (code: number, at: number, length: number) => void,
): void {
  walkOptions(b.view, from, b.end, b.littleEndian, what, b.offset, sizes, each);
}

/**
 * A 64-bit time in the interface's units, to whole seconds and nanoseconds (finer units are cut off).
 * Exact without 64-bit integers: long division in two steps of less than 2^53.
 */
export function setTime(
  r: Pick<CaptureRecord, "seconds" | "nanoseconds">,
  i: CaptureInterface,
  hi: number,
  lo: number,
): void {
  const units = i.unitsPerSecond;
  if (units > 1e9 || 1e9 % units !== 0) {
    setTimeExactly(r, i, hi, lo);
    return;
  }
  // units <= 2^30, so that a remainder shifted by 22 bits stays below 2^52
  const top = Math.floor(hi / units);
  const high = (hi - top * units) * 2 ** 22 + (lo >>> 10);
  const middle = Math.floor(high / units);
  const low = (high - middle * units) * 2 ** 10 + (lo & 1023);
  const last = Math.floor(low / units);
  r.seconds = top * 2 ** 32 + middle * 2 ** 10 + last + i.timeOffset;
  r.nanoseconds = (low - last * units) * (1e9 / units);
}

/** The same for units that do not divide a second into whole nanoseconds. */
function setTimeExactly(
  r: Pick<CaptureRecord, "seconds" | "nanoseconds">,
  i: CaptureInterface,
  hi: number,
  lo: number,
): void {
  const units = BigInt(i.unitsPerSecond);
  const time = (BigInt(hi) << 32n) | BigInt(lo >>> 0);
  r.seconds = Number(time / units) + i.timeOffset;
  r.nanoseconds = Number(((time % units) * 1_000_000_000n) / units);
}
