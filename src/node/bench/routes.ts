// src/node/bench/routes.ts: a routing table of the Internet's size and shape, or one from a file; keys to look up.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { parseIpv4 } from "../../core/address.ts";
import { Rng } from "../../link/rng.ts";
import { FileError } from "../files.ts";

/** Prefixes of each length from /8 on, in parts of about 950,000: what route collectors saw in 2024, rounded. */
const lengths: readonly (readonly [length: number, count: number])[] = [
  [8, 16],
  [9, 13],
  [10, 40],
  [11, 100],
  [12, 300],
  [13, 580],
  [14, 1_200],
  [15, 2_100],
  [16, 13_600],
  [17, 8_400],
  [18, 14_000],
  [19, 25_500],
  [20, 44_000],
  [21, 51_000],
  [22, 107_000],
  [23, 98_000],
  [24, 573_000],
  [25, 60],
  [26, 60],
  [27, 60],
  [28, 60],
  [29, 60],
  [30, 60],
  [31, 20],
  [32, 200],
];

/** Three words a route, as `fibLoad` takes them: prefix, length, value (the next hop's number, from 1 on). */
export interface Routes {
  readonly words: Uint32Array;
  readonly count: number;
}

/** A multihomed router has some hundred neighbours, a few of which carry most routes. */
const NEXT_HOPS = 250;

/**
 * About `wanted` routes, in random order. Prefixes longer than /16 lie inside shorter ones about half of the time, and
 * come in runs of neighbours, as blocks that are announced in pieces do; routes of one block mostly share a next hop.
 */
export function generateRoutes(wanted: number, seed: number): Routes {
  const rng = new Rng(seed);
  const total = lengths.reduce((n, [, count]) => n + count, 0);
  const taken = new Set<number>();
  const prefixes: number[] = [];
  const lens: number[] = [];
  const hopOf = new Uint32Array(1 << 16);
  const hop = (): number => 1 + Math.floor(NEXT_HOPS * rng.unit() ** 3);
  for (let i = 0; i < hopOf.length; i++) hopOf[i] = hop();
  for (const [len, share] of lengths) {
    const count = Math.max(1, Math.round((share / total) * wanted));
    const span = 2 ** (32 - len);
    const shorter = prefixes.length;
    let last = -1;
    for (let made = 0, tries = 0; made < count && tries < 20 * count; tries++) {
      let prefix: number;
      if (last >= 0 && rng.unit() < 0.6) prefix = last + span;
      else if (len > 16 && shorter > 0 && rng.unit() < 0.5) {
        const parent = rng.below(shorter);
        prefix = prefixes[parent]! + span * rng.below(2 ** (len - lens[parent]!));
      } else prefix = span * rng.below(2 ** len);
      const first = prefix / 2 ** 24;
      last = -1;
      // 0/8, 10/8, 127/8, and multicast and beyond, are not routed
      if (first < 1 || first >= 224 || Math.floor(first) === 10 || Math.floor(first) === 127) continue;
      const key = prefix * 64 + len;
      if (taken.has(key)) continue;
      taken.add(key);
      prefixes.push(prefix);
      lens.push(len);
      last = prefix;
      made++;
    }
  }
  const words = new Uint32Array(prefixes.length * 3);
  prefixes.forEach((prefix, i) => {
    const own = hopOf[Math.floor(prefix / 2 ** 16)]!;
    words.set([prefix, lens[i]!, rng.unit() < 0.75 ? own : hop()], i * 3);
  });
  shuffle(words, 3, rng);
  return { words, count: prefixes.length };
}

/** Mixes entries of `width` words. */
export function shuffle(words: Uint32Array, width: number, rng: Rng): void {
  for (let i = words.length / width - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    for (let k = 0; k < width; k++) {
      const w = words[i * width + k]!;
      words[i * width + k] = words[j * width + k]!;
      words[j * width + k] = w;
    }
  }
}

/** Lines of `PREFIX/LENGTH ...`, gzip or not. Values are given by first appearance of the next word, if there is one. */
export function readRoutes(path: string): Routes {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (e) {
    const { code, message } = e as NodeJS.ErrnoException;
    throw code?.startsWith("E") === true
      ? new FileError(path, code)
      : new FileError(path, "EINVAL", `gzip: ${message}`);
  }
  const taken = new Map<number, number>();
  const hops = new Map<string, number>();
  bytes
    .toString("latin1")
    .split("\n")
    .forEach((line, i) => {
      const text = line.replace(/#.*/, "").trim();
      if (text === "") return;
      const [prefix, ...rest] = text.split(/[\s,;]+/);
      const [address, length] = prefix!.split("/");
      const a = parseIpv4(address!);
      const len = Number(length ?? "");
      if (a === null || length === undefined || !Number.isInteger(len) || len < 0 || len > 32) {
        throw new FileError(
          path,
          "EINVAL",
          `line ${i + 1}: '${prefix!.slice(0, 40)}' is no prefix, expected ADDRESS/LENGTH`,
        );
      }
      const hop = rest.join(" ");
      if (!hops.has(hop)) hops.set(hop, 1 + (hops.size % 0xffff));
      const base = len === 0 ? 0 : Math.floor(a / 2 ** (32 - len)) * 2 ** (32 - len);
      taken.set(base * 64 + len, hops.get(hop)!);
    });
  if (taken.size === 0) throw new FileError(path, "EINVAL", "no routes in it");
  const words = new Uint32Array(taken.size * 3);
  let n = 0;
  for (const [key, value] of taken) {
    // without next hops in the file: spread over some
    const hop = hops.size > 1 ? value : 1 + (Math.imul(n, 2654435761) >>> 24);
    words.set([Math.floor(key / 64), key % 64, hop], 3 * n++);
  }
  shuffle(words, 3, new Rng(1));
  return { words, count: taken.size };
}

/** Addresses to look up: any; any inside a random prefix; inside prefixes of which few are asked for most (Zipf). */
export function keysOf(kind: string, routes: Routes, n: number, seed: number): Uint32Array {
  const rng = new Rng(seed);
  const keys = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    let at = 0;
    if (kind === "uniform") {
      keys[i] = rng.u32();
      continue;
    }
    // routes are in random order: rank r has a share of about 1 / r
    if (kind === "skewed") at = Math.min(routes.count - 1, Math.floor(routes.count ** rng.unit()));
    else at = rng.below(routes.count);
    const len = routes.words[at * 3 + 1]!;
    keys[i] = routes.words[at * 3]! + rng.below(2 ** (32 - len));
  }
  return keys;
}
