// src/node/bench/tcp.ts: TCP: bulk, round trips, connections, and what idle ones weigh.

import { loadCore } from "../core.ts";
import { HOST, PAIR, TCP_PORT, WEB_PORT } from "./dockerlab.ts";
import type { Env, LineProgram, Suite } from "./env.ts";
import { KernelLab, KernelPair } from "./kernel.ts";
import { Absent, type Peer } from "./measure.ts";
import { memory } from "./memory.ts";
import { TcpPath } from "./tcppath.ts";

const DOCKER = "through router, DNAT, conntrack, filter, docker0 and veth";
const PAIRED = "between two hosts on a wire";

/** bench/tcpbench.c in namespaces. */
async function start(env: Env, docker: boolean): Promise<LineProgram> {
  const binary = await env.compile("tcpbench.c");
  let words: string[];
  if (docker) {
    const lab = new KernelLab(env);
    lab.make(lab.tcp());
    words = [lab.names.client, lab.names.web, HOST, `${TCP_PORT}`];
  } else {
    const pair = new KernelPair(env);
    pair.make(pair.batch());
    words = [pair.names.client, pair.names.web, PAIR.web, `${WEB_PORT}`];
  }
  const c = env.start(binary, [...words, `${WEB_PORT}`]);
  const said = await c.ask("ready");
  if (said !== "ready") throw new Absent(said);
  return c;
}

/** TCP stacks that are no peers here, and why. */
const others: Readonly<Record<string, string>> = {
  "tcpip.js": "not installed: the npm registry has no package of that name",
  lwIP: "not installed: no program for it is here",
};

async function run(env: Env): Promise<void> {
  for (const docker of [true, false]) {
    const suffix = docker ? "-docker" : "";
    const kinds = (docker ? ["bulk", "pingpong", "connections"] : ["pingpong", "connections"]) as (
      "bulk" | "pingpong" | "connections"
    )[];
    const rowOf = (kind: string): string => (kind === "bulk" ? "tcp.bulk" : `tcp.${kind}${suffix}`);
    const wanted = kinds.filter((k) => env.wants(rowOf(k)));
    if (wanted.length === 0) continue;
    const path = new TcpPath(loadCore(), docker);
    let program: Promise<LineProgram> | null = null;
    for (const kind of wanted) {
      const kernel: Peer = await env.peer("Linux kernel", async () => {
        const c = await (program ??= start(env, docker));
        return { answer: () => c.ask(`seen ${kind}`), run: () => c.number(`${kind} ${env.size(300, 20)}`) };
      });
      const where = docker ? DOCKER : PAIRED;
      const figure = {
        bulk: {
          unit: "Gbit/s",
          note: "one connection, MTU 1500, each segment by itself and summed; ",
          n: [100e6, 1e6],
        },
        pingpong: { unit: "k/s", note: "64 bytes there and back on one connection; ", n: [50_000, 100] },
        connections: { unit: "k/s", note: "one after another: opened, closed by both ends; ", n: [8_192, 20] },
      }[kind];
      const size = env.size(figure.n[0]!, figure.n[1]!);
      await env.measure({
        name: rowOf(kind),
        unit: figure.unit,
        better: "more",
        note: figure.note + where,
        answer: () => path.seen(kind),
        run: () => path[kind](size),
        warm: env.size(6, 1),
        peers: [kernel],
        absent: docker ? {} : others,
      });
    }
  }
  if (env.wants("tcp.idle")) {
    const n = env.size(10_000, 20);
    const path = new TcpPath(loadCore(), false);
    const first = memory(path.core);
    const ends = path.idle(n);
    const after = memory(path.core);
    if (ends.length !== n || path.web.list().length !== n + 1) throw new Error("tcp: connections are missing");
    const heap = (after.heap - first.heap) / 1e6;
    const core = (after.core - first.core) / 1e6;
    await env.measure({
      name: "tcp.idle",
      unit: "MB",
      better: "less",
      note: `${n} idle connections, both ends, after 100 bytes each way: ${core.toFixed(1)} in the core, ${heap.toFixed(1)} in JavaScript's heap`,
      once: true,
      run: () => heap + core,
    });
  }
}

export const tcp: Suite = {
  name: "tcp",
  summary: "TCP: bulk, 64-byte round trips, connections, idle connections' memory",
  rows: ["tcp.bulk", "tcp.pingpong-docker", "tcp.connections-docker", "tcp.pingpong", "tcp.connections", "tcp.idle"],
  run,
};
