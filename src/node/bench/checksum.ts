// src/node/bench/checksum.ts: the one's-complement sum over packets of 1460 bytes.

import type { Core } from "../../core/core.ts";
import { loadCore } from "../core.ts";
import type { Env, Suite } from "./env.ts";
import { now, type Peer } from "./measure.ts";

const LENGTH = 1460;
/** Packets in turn, as many as fit into a first-level cache with room to spare. */
const PACKETS = 16;
/** Every packet has its own alignment to 16 bytes, as behind a 14-byte link header. */
const STRIDE = 1474;

/** The packets' bytes: a rule that the C program follows as well. */
function fill(core: Core): number {
  const at = core.x.alloc(PACKETS * STRIDE) >>> 0;
  let state = 1;
  for (let i = 0; i < PACKETS * STRIDE; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    core.u8[at + i] = state >>> 24;
  }
  return at;
}

/** What one would write in JavaScript (RFC 1071). */
function plain(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  const end = at + (length & ~1);
  for (let i = at; i < end; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if ((length & 1) !== 0) sum += bytes[end]! << 8;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

async function run(env: Env): Promise<void> {
  const core = loadCore();
  const { x, u8 } = core;
  const at = fill(core);
  const rounds = env.size(4_000, 10);
  const gigabytes = (ms: number, n: number): number => (n * PACKETS * LENGTH) / ms / 1e6;
  const digest = (sum: (p: number) => number): string => {
    let h = 0;
    for (let k = 0; k < PACKETS; k++) h = (Math.imul(h, 31) + sum(at + k * STRIDE)) >>> 0;
    return h.toString(16);
  };
  let sink = 0;
  const program = (kind: string): Promise<Peer> =>
    env.peer(`C ${kind}`, async () => {
      const c = env.start(await env.compile("checksum.c"), []);
      return { answer: () => c.ask(`digest ${kind}`), run: () => c.number(`run ${kind} ${rounds}`) };
    });
  const peers: Peer[] = [await program("scalar"), await program("avx2"), await program("avx512")];
  peers.push({
    name: "JavaScript",
    answer: () => digest((p) => plain(u8, p, LENGTH)),
    run() {
      const few = Math.max(1, rounds >> 4);
      let sum = 0;
      const from = now();
      for (let i = 0; i < few; i++) {
        for (let k = 0; k < PACKETS; k++) sum = (sum + plain(u8, at + k * STRIDE, LENGTH)) | 0;
      }
      const ms = now() - from;
      sink += sum;
      return gigabytes(ms, few);
    },
  });
  await env.measure({
    name: "checksum",
    unit: "GB/s",
    better: "more",
    slices: 9,
    note: `Internet checksum of ${LENGTH} bytes, one call a packet, ${PACKETS} packets in turn`,
    answer: () => digest((p) => x.checksum(p, LENGTH)),
    run() {
      let sum = 0;
      const from = now();
      for (let i = 0; i < rounds; i++) {
        for (let k = 0; k < PACKETS; k++) sum = (sum + x.checksum(at + k * STRIDE, LENGTH)) | 0;
      }
      const ms = now() - from;
      sink += sum;
      return gigabytes(ms, rounds);
    },
    peers,
  });
  if (!Number.isFinite(sink)) throw new Error("checksum: no sum");
}

export const checksum: Suite = {
  name: "checksum",
  summary: "one's-complement sum, 1460 bytes",
  rows: ["checksum"],
  run,
};
