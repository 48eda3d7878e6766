// src/repl/digest.ts: a fingerprint of a world: two that stand at the same place have the same.

import { createHash } from "node:crypto";
import type { Run } from "./session.ts";

/** SHA-256 over the core's memory, the clock, chance, and what hosts keep outside of the core. It changes nothing. */
export function digest(run: Run): string {
  const { world, nodes, links } = run.lab;
  const hash = createHash("sha256");
  hash.update(world.core.u8);
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
    state.push([...ns.drops], ns.icmp.listeners.size);
    for (const dev of ns.interfaces) {
      state.push([dev.name, dev.up, dev.mtu, dev.rxPackets, dev.rxBytes, dev.txPackets, dev.txBytes]);
    }
    for (const n of ns.neighbours.all()) state.push([n.address, n.dev.name, n.state, n.probes]);
    const { tcp } = ns.transports;
    if (tcp !== null && "list" in tcp) state.push((tcp as unknown as { list(): unknown }).list());
  }
  hash.update(JSON.stringify(state));
  return hash.digest("hex");
}
