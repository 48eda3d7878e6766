// src/repl/digest.ts: a fingerprint of a world: two that stand at the same place have the same.

import { createHash } from "node:crypto";
import type { Run } from "./session.ts";

/** More than lies in front of the arena; behind it nothing was ever written. */
const STATIC = 8 * 1024 * 1024;

interface Inner {
  readonly madeIcmp: { readonly listeners: ReadonlySet<unknown> } | null;
  readonly dropped: ReadonlyMap<number, number> | null;
}

interface Counters {
  readonly received: number;
  readonly receivedBytes: number;
  readonly sent: number;
  readonly sentBytes: number;
}

/** SHA-256 over the core's memory, the clock, chance, and what hosts keep outside of the core. It changes nothing. */
export function digest(run: Run): string {
  const { world, nodes, links } = run.lab;
  const hash = createHash("sha256");
  // listing tables uses the core's scratch memory: that is put back
  const used = Math.min(world.core.u8.length, (world.x.arenaUsed() >>> 0) + STATIC);
  const memory = world.core.u8.slice(0, used);
  hash.update(memory);
  const { clock, rng } = world;
  const chance = (rng as unknown as { generator: { getState?: () => readonly number[] } }).generator.getState?.() ?? [];
  const state: unknown[] = [clock.now, clock.pending, clock.next(), run.events, run.steps, run.applied, run.jobs];
  state.push(
    chance,
    run.lines,
    links.map((l) => l.whole),
    run.seen === null ? null : [run.seen.number, run.seen.text],
  );
  for (const ns of nodes.values()) {
    state.push(ns.name, ns.fib.listRoutes(), ns.fib.listRules());
    state.push(Array.from(ns.sockets, (s) => [s.proto, s.address, s.port, s.received]));
    // past the accessors: what they make or settle first would be a change
    const { madeIcmp, dropped } = ns as unknown as Inner;
    state.push([...(dropped ?? [])], madeIcmp?.listeners.size ?? 0);
    for (const dev of ns.interfaces) {
      const { received, receivedBytes, sent, sentBytes } = dev as unknown as Counters;
      state.push([dev.name, dev.up, dev.mtu, received, receivedBytes, sent, sentBytes]);
    }
    for (const n of ns.neighbours.all()) state.push([n.address, n.dev.name, n.state, n.probes]);
    const { tcp } = ns.transports;
    if (tcp !== null && "list" in tcp) state.push((tcp as unknown as { list(): unknown }).list());
  }
  world.core.u8.set(memory);
  hash.update(JSON.stringify(state));
  return hash.digest("hex");
}
