// Tables for tests, and what they answer by a linear scan.

import fc from "fast-check";
import { maskOf, parsePrefix } from "../../../../src/core/address.ts";
import { TableError } from "../../../../src/host/fib/table/faults.ts";
import { type ReadTable, type ReadTableOptions, readTable } from "../../../../src/host/fib/table/read.ts";
import type { RouteTable } from "../../../../src/host/fib/table/table.ts";
import { coreOf } from "../../../support/cores.ts";

export const core = coreOf("release");

/** Reads text or bytes, in chunks of `step`. */
export function readAll(
  input: string | ArrayLike<number>,
  options: ReadTableOptions = {},
  step = Infinity,
): Promise<ReadTable> {
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : Uint8Array.from(input);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.slice(at, Math.min(bytes.length, at + step)));
  return readTable(core, chunks, options);
}

/** `WHERE: message` of what a table is refused with. */
export async function refusal(input: string | ArrayLike<number>, options: ReadTableOptions = {}): Promise<string> {
  try {
    await readAll(input, options);
  } catch (e) {
    if (e instanceof TableError) return `${e.where}: ${e.message}`;
    throw e;
  }
  return "read";
}

/** Its routes as lines, in order. */
export function linesOf(table: RouteTable): string[] {
  return Array.from({ length: table.size }, (_, i) => table.line(i));
}

export interface Entry {
  readonly prefix: string;
  readonly hop: string;
}

/** The text of a list. */
export function listOf(entries: readonly Entry[]): string {
  return entries.map((e) => `${e.prefix} ${e.hop}\n`).join("");
}

/** By a linear scan: the last of the longest prefixes that cover the address. */
export function naive(entries: readonly Entry[], address: number): Entry | null {
  let best: Entry | null = null;
  let length = -1;
  for (const e of entries) {
    const p = parsePrefix(e.prefix)!;
    if (p.length < length || ((p.address ^ address) & maskOf(p.length)) !== 0) continue;
    best = e;
    length = p.length;
  }
  return best;
}

/** Prefixes of `least` ... 32 bits in a corner of the address space, where they nest; a few are short. */
export function entries(base: number, least: number, hops: readonly string[], maxLength = 24): fc.Arbitrary<Entry[]> {
  const length = fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: least, max: 32 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: least }) },
  );
  const span = 2 ** (32 - least);
  const one = fc.tuple(fc.integer({ min: 0, max: span - 1 }), length, fc.constantFrom(...hops)).map(([low, l, hop]) => {
    const a = ((base + low) & maskOf(l)) >>> 0;
    return { prefix: `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}/${l}`, hop };
  });
  return fc.array(one, { maxLength });
}

/** Every address of the corner, and those around it and at both ends of the space. */
export function probes(base: number, least: number): number[] {
  const span = 2 ** (32 - least);
  const inside = Array.from({ length: span }, (_, i) => base + i);
  const outside = [0, 1, base - 1, base - 257, base + span, base + 2 * span, 0x7fffffff, 0x80000000, 0xffffffff];
  return [...inside, ...outside].filter((a) => a >= 0 && a <= 0xffffffff);
}
