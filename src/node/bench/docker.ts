// src/node/bench/docker.ts: the docker path: client, router, host (DNAT, conntrack, filter), docker0, veth, container;
// and how long it takes to make that topology.

import { parseIpv4 } from "../../core/address.ts";
import { buildLab } from "../../lab/build.ts";
import { LabText } from "../../lab/read.ts";
import { loadCore } from "../core.ts";
import { buildByCommands, DockerPath, HOST, labText, PORT, standing } from "./dockerlab.ts";
import type { Env, LineProgram, Suite } from "./env.ts";
import { KernelLab } from "./kernel.ts";
import { Absent, now, type Peer } from "./measure.ts";

async function path(env: Env): Promise<void> {
  const core = loadCore();
  const p = new DockerPath(core);
  p.settle();
  const to = parseIpv4(HOST)!;
  const n = env.size(100_000, 200);
  const frame = p.frame();
  const at = core.x.alloc(frame.length) >>> 0;
  core.u8.set(frame, at);
  const rate = (send: () => void): number => {
    const before = p.received();
    const from = now();
    for (let i = 0; i < n; i++) send();
    const ms = now() - from;
    if (p.received() - before !== n) throw new Error(`docker: ${n} datagrams sent, ${p.received() - before} came`);
    return n / ms / 1000;
  };
  let program: Promise<LineProgram> | null = null;
  const start = async (): Promise<LineProgram> => {
    const binary = await env.compile("udpflood.c");
    const lab = new KernelLab(env);
    lab.make(lab.batch());
    const c = env.start(binary, [lab.names.client, lab.names.web]);
    const said = await c.ask("ready");
    if (said !== "ready") throw new Absent(said);
    return c;
  };
  const kernel = (kind: string): Promise<Peer> =>
    env.peer("Linux kernel", async () => {
      const c = await (program ??= start());
      return { answer: () => c.ask(`seen ${kind}`), run: () => c.number(`${kind} ${env.size(300, 20)}`) };
    });
  const note = "64-byte frames through router, DNAT, conntrack, filter, docker0 and veth";
  if (env.wants("docker.sockets")) {
    await env.measure({
      name: "docker.sockets",
      unit: "Mpkt/s",
      better: "more",
      note: `from socket to socket; ${note}`,
      answer: () => p.seen(),
      run: () => rate(() => p.send(to, PORT)),
      peers: [await kernel("udp")],
    });
  }
  if (env.wants("docker.frames")) {
    await env.measure({
      name: "docker.frames",
      unit: "Mpkt/s",
      better: "more",
      note: `from the client's wire to the container's socket; ${note}`,
      answer: () => p.seen(),
      run: () => rate(() => p.inject(at, frame.length)),
      peers: [await kernel("raw")],
    });
  }
}

async function topologyRows(env: Env): Promise<void> {
  const text = labText();
  const kernel = (name: string, script: (lab: KernelLab) => string): Promise<Peer> =>
    env.peer(name, async () => {
      const lab = new KernelLab(env);
      const commands = script(lab);
      return {
        run() {
          const from = now();
          lab.make(commands);
          const ms = now() - from;
          lab.remove();
          return ms;
        },
      };
    });
  // labs are never given back to a core: each few get a fresh one, outside of the time taken
  const build = (what: () => (core: ReturnType<typeof loadCore>) => void): (() => number) => {
    const rounds = env.size(40, 1);
    return () => {
      const core = loadCore();
      const make = what();
      const times: number[] = [];
      for (let i = 0; i < rounds; i++) {
        const from = now();
        make(core);
        times.push(now() - from);
      }
      return times.toSorted((a, b) => a - b)[rounds >> 1]!;
    };
  };
  const peers = [
    await kernel("ip, iptables", (lab) => lab.commands()),
    await kernel("ip -batch, iptables-restore", (lab) => lab.batch()),
  ];
  const first = now();
  const lab = buildLab(loadCore(), LabText.read("docker", text));
  const cold = `the very first, with a core to load and nothing compiled yet, took ${(now() - first).toFixed(0)} ms`;
  if (env.wants("topology.commands")) {
    if (standing(buildByCommands(loadCore())) !== standing(lab.nodes)) throw new Error("topology: two that differ");
    await env.measure({
      name: "topology.commands",
      unit: "ms",
      better: "less",
      note: "four namespaces, three veth pairs, a bridge, routes and docker's rules by the words of ip and iptables",
      run: build(() => (core) => void buildByCommands(core)),
      peers,
    });
  }
  if (env.wants("topology.build")) {
    await env.measure({
      name: "topology.build",
      unit: "ms",
      better: "less",
      note: "the same from a lab that was read",
      run: build(() => {
        const read = LabText.read("docker", text);
        return (core) => void buildLab(core, read);
      }),
      peers,
    });
  }
  if (env.wants("topology.text")) {
    await env.measure({
      name: "topology.text",
      unit: "ms",
      better: "less",
      note: `the same from the lab's text to the standing world; ${cold}`,
      run: build(() => (core) => void buildLab(core, LabText.read("docker", text))),
      peers,
    });
  }
}

export const docker: Suite = {
  name: "docker",
  summary: "small UDP through the docker path",
  rows: ["docker.sockets", "docker.frames"],
  run: path,
};

export const topology: Suite = {
  name: "topology",
  summary: "building the docker topology",
  rows: ["topology.commands", "topology.build", "topology.text"],
  run: topologyRows,
};
