// src/node/bench/scale.ts: whether a packet's cost stays flat as containers and connections grow, and what each weighs.

import { parseIpv4 } from "../../core/address.ts";
import { Rng } from "../../link/rng.ts";
import { loadCore } from "../core.ts";
import { CLIENT, containerAddress, DockerPath } from "./dockerlab.ts";
import type { Env, Suite } from "./env.ts";
import { now, type Result, summary } from "./measure.ts";
import { memory, type Weight } from "./memory.ts";

/** Offsets in the client's frame. */
const IP_CHECKSUM = 24;
const SRC = 26;
const DST = 30;
const SOURCE_PORT = 34;
const UDP_CHECKSUM = 40;
/** Addresses of the client's /24 that connections come from. */
const SOURCES = 200;

const containerSteps = [1, 1_000, 10_000];
const connectionSteps = [10, 100_000, 1_000_000];

/** A path, and frames that go to all of its containers, or belong to all of its connections. */
class Step {
  private readonly at: number;
  private readonly length: number;

  constructor(
    readonly path: DockerPath,
    readonly count: number,
    frame: Uint8Array,
    /** Writes packet `i`'s addresses and ports into the frame at `at`. */
    private readonly aim: (at: number, i: number) => void,
    readonly label = `${count}`,
  ) {
    const { core } = path;
    this.length = frame.length;
    this.at = core.x.alloc(frame.length) >>> 0;
    core.u8.set(frame, this.at);
    // without a checksum (RFC 768) addresses may change freely
    core.view.setUint16(this.at + UDP_CHECKSUM, 0);
  }

  /** The same path, with packets to ten of its containers only: what is asked for often is in the processor's caches. */
  few(): Step {
    const frame = this.path.core.u8.slice(this.at, this.at + this.length);
    return new Step(this.path, Math.min(10, this.count), frame, this.aim, `${this.label}-ten`);
  }

  send(i: number): void {
    const { x, view } = this.path.core;
    this.aim(this.at, i);
    view.setUint16(this.at + IP_CHECKSUM, 0);
    view.setUint16(this.at + IP_CHECKSUM, x.checksum(this.at + 14, 20));
    this.path.inject(this.at, this.length);
  }

  /** Nanoseconds a packet, `n` of them in random order. */
  time(n: number, rng: Rng): number {
    const order = Uint32Array.from({ length: n }, () => rng.below(this.count));
    const before = this.path.received();
    const from = now();
    for (let i = 0; i < n; i++) this.send(order[i]!);
    const ns = ((now() - from) * 1e6) / n;
    const came = this.path.received() - before;
    if (came !== n) throw new Error(`scale: of ${n} packets ${came} came`);
    return ns;
  }
}

/** A host with so many containers on its bridge, each reached by its own address. */
function withContainers(n: number): { step: Step; weight: Weight } {
  const before = memory(null);
  const path = new DockerPath(loadCore(), n, true);
  const first = parseIpv4(containerAddress(0))!;
  // the bridge learns where each is from a packet of its own: what it does not know would go to all ports at once
  const payload = new Uint8Array(1);
  for (let k = 0; k < n; k++) path.lab.nodes.get(`web${k}`)!.originate.udp(0, 53, parseIpv4(CLIENT)!, 9, payload, 0);
  path.settle(first, 53);
  const frame = path.frame(first, 53);
  const { view } = path.core;
  const step = new Step(path, n, frame, (at, i) => view.setUint32(at + DST, first + i));
  // all flows are tracked, and known to those that remember the ways of flows
  for (let r = 0; r < 3; r++) for (let k = 0; k < n; k++) step.send(k);
  const after = memory(path.core);
  return { step, weight: { core: after.core, heap: after.heap - before.heap } };
}

/** A host that tracks so many connections to its one container. */
function withConnections(n: number): { step: Step; weight: Weight } {
  const path = new DockerPath(loadCore());
  path.settle();
  const frame = path.frame();
  const { view } = path.core;
  const src = parseIpv4("203.0.113.20")!;
  const step = new Step(path, n, frame, (at, i) => {
    view.setUint32(at + SRC, src + (i % SOURCES));
    view.setUint16(at + SOURCE_PORT, 1024 + Math.floor(i / SOURCES));
  });
  const before = memory(path.core);
  // tracked by its first packet, known to those that remember the ways of flows by its third
  for (let r = 0; r < 3; r++) for (let i = 0; i < n; i++) step.send(i);
  const after = memory(path.core);
  return { step, weight: { core: after.core - before.core, heap: after.heap - before.heap } };
}

/** A row for each step, timed in turn: a slow moment of the machine strikes all alike. */
function table(env: Env, row: string, what: string, steps: readonly Step[]): void {
  // long enough that what the others left in the caches matters little
  const n = env.size(50_000, 20);
  const { runs } = env.options;
  const slices = env.size(3, 1);
  const rng = new Rng(9);
  const times: number[][] = steps.map(() => []);
  for (const s of steps) s.time(n, rng);
  for (let r = 0; r < runs; r++) {
    const some: number[][] = steps.map(() => []);
    for (let k = 0; k < slices; k++) steps.forEach((s, i) => some[i]!.push(s.time(n, rng)));
    some.forEach((list, i) => times[i]!.push(summary(list).median));
  }
  steps.forEach((s, i) => {
    const growth = summary(times[i]!.map((t, r) => t / times[0]![r]!)).median;
    const than = i === 0 ? "" : `: ${growth.toFixed(2)} times the cost with ${steps[0]!.count}`;
    const note = s.label.endsWith("-ten") ? `the same, packets to ten of them${than}` : `${s.count} ${what}${than}`;
    env.options.onResult({
      ...rowOf(`${row}.${s.label}`, "ns/packet", note, times[i]!),
      ...(i === 0 ? {} : { growth }),
    });
  });
}

function rowOf(name: string, unit: string, note: string, values: readonly number[]): Result {
  return {
    name,
    unit,
    better: "less",
    ...summary(values),
    runs: values.length,
    peers: {},
    ratio: {},
    absent: {},
    note,
  };
}

function weightRow(env: Env, row: string, what: string, core: number, heap: number): void {
  const note = `${what}: ${Math.round(core)} in the core, ${Math.max(0, Math.round(heap))} in JavaScript's heap`;
  env.options.onResult(rowOf(row, "bytes", note, [core + Math.max(0, heap)]));
}

async function run(env: Env): Promise<void> {
  if (env.wants("scale.containers")) {
    const counts = env.quick ? [1, 4, 8] : containerSteps;
    const all = counts.map((n) => withContainers(n));
    const steps = all.map((s) => s.step);
    table(env, "scale.containers", "containers on one bridge, packets to any of them", [...steps, steps.at(-1)!.few()]);
    const [small, , large] = all.map((s) => s.weight) as [Weight, Weight, Weight];
    const more = counts[2]! - counts[0]!;
    weightRow(
      env,
      "scale.containers.bytes",
      "a container (its namespace, veth pair, neighbours, one flow)",
      (large.core - small.core) / more,
      (large.heap - small.heap) / more,
    );
  }
  if (env.wants("scale.connections")) {
    const counts = env.quick ? [10, 20, 40] : connectionSteps;
    const all = counts.map((n) => withConnections(n));
    table(
      env,
      "scale.connections",
      "connections tracked and translated, packets of any of them",
      all.map((s) => s.step),
    );
    const last = all.at(-1)!;
    weightRow(
      env,
      "scale.connections.bytes",
      "a tracked connection with NAT",
      last.weight.core / last.step.count,
      last.weight.heap / last.step.count,
    );
  }
}

export const scale: Suite = {
  name: "scale",
  summary: "cost a packet and memory with 1 to 10,000 containers, 10 to 1,000,000 connections",
  rows: ["scale.containers", "scale.connections"],
  run,
};
