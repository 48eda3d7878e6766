// src/cli/demo.ts: `wirepath demo`, the main job of `npm start`: a GET through a published port, hop by hop, beside the kernel.

import { buildLab } from "../lab/build.ts";
import { feedCaptures, type Source } from "../lab/feed.ts";
import { Replay } from "../lab/replay.ts";
import { Verification } from "../lab/verify.ts";
import { loadCore } from "../node/core.ts";
import { openOutput, readChunks } from "../node/files.ts";
import { readLabFile } from "../node/lab.ts";
import { packageFile } from "../node/package.ts";
import { Hops } from "../trace/hops.ts";
import { Recorder } from "../trace/recorder.ts";
import { Story } from "../trace/story.ts";
import { type Command, parseWords } from "./command.ts";

const help = `usage: wirepath demo [--all | --verbose] [--out FILE]

A real kernel's capture of a GET through a published port (router, host, DNAT, docker0, container) goes through
emulated nodes: prints the hops of the first exchange, says how many frames equal the kernel's, and writes a pcapng
with every frame at every device and a comment on each that was changed, made or dropped.

  --all         the hops of every packet, not only of the first exchange
  --verbose     every step of every packet: hooks, rules, routes, rewrites
  --out FILE    where the capture goes (default wirepath.pcapng)
`;

async function run(words: string[]): Promise<number> {
  const { values } = parseWords(words, {
    options: { all: { type: "boolean" }, verbose: { type: "boolean" }, out: { type: "string" } },
  });
  const out = values.out ?? "wirepath.pcapng";
  const text = await readLabFile(packageFile("fixtures/demo/lab.yaml"));
  const { world, nodes } = buildLab(loadCore(), text);
  const devices = [...nodes.values()];
  const replay = new Replay(world, devices);
  const sources: Source[] = devices.map((node) => ({
    name: `${node.name}.pcapng`,
    node,
    iface: null,
    verification: new Verification(node),
    chunks: readChunks(packageFile(`fixtures/demo/${node.name}.pcapng`)),
  }));
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const recorder = new Recorder(world);
  const isEdge = (node: string, iface: string): boolean => {
    const dev = nodes.get(node)!.byName.get(iface)!;
    return dev.kind === "veth" && dev.peer === null;
  };
  const hops = new Hops(world, print, isEdge, values.all === true ? Infinity : 6);
  const teller = values.verbose === true ? new Story(world, print) : hops;
  world.tracer = (e) => {
    recorder.event(e);
    teller.event(e);
  };
  print(
    "GET http://198.51.100.20:8080/ from 203.0.113.10: client, router, host, docker0, veth, container web1, and back",
  );
  await feedCaptures(replay, sources);
  if (teller === hops) hops.end();
  let equal = 0;
  let total = 0;
  let same = true;
  for (const { verification } of sources) {
    const report = verification!.report(replay.sent);
    equal += verification!.equal;
    total += verification!.total;
    if (!verification!.same) {
      same = false;
      process.stdout.write(report);
    }
  }
  print(`${equal} of the ${total} frames that the kernel's router and host sent were sent here too, byte for byte.`);
  const file = await openOutput(out);
  recorder.write(file.write, devices);
  await file.close();
  const places = new Set(recorder.records.map((r) => `${r.node}:${r.iface}`)).size;
  const commented = recorder.records.filter((r) => r.comments.length > 0).length;
  print(
    `${out}: ${recorder.records.length} frames at ${places} devices, ${commented} with a comment that says what changed and why.`,
  );
  return same ? 0 : 1;
}

export const command: Command = { help, run };
