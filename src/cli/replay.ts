// src/cli/replay.ts: `wirepath replay`: one node of a lab as the device under test.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Drop } from "../../assembly/drop.ts";
import { buildLab } from "../lab/build.ts";
import { feedCaptures, type Source } from "../lab/feed.ts";
import { LabError } from "../lab/read.ts";
import { Replay } from "../lab/replay.ts";
import { Verification } from "../lab/verify.ts";
import { PcapWriter } from "../capture/writer.ts";
import { DEFAULT_SEED, EPOCH } from "../link/newworld.ts";
import { loadCore } from "../node/core.ts";
import { openOutput, readChunks } from "../node/files.ts";
import { readLabFile } from "../node/lab.ts";
import { Story } from "../trace/story.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import type { Namespace } from "../host/namespace.ts";

const help = `usage: wirepath replay LAB --node NAME --in CAPTURE [--out DIR] [--verify] [--trace]

Feeds what NAME received, at its times, into the emulated NAME, and takes down what it sends.

  --node NAME      the node of LAB that is the device under test
  --in FILE        a pcapng with one interface block an interface (its if_name) and the direction in
                   each packet's flags: inbound packets are fed, outbound ones are what was sent;
                   or IF=FILE, once an interface: a capture of what IF received. - is stdin
  --out DIR        write DIR/IF.pcap: what the node sent, an interface a file
  --verify         compare with the outbound packets; print the first difference; status 1 if any
  --trace          print each step of each packet: hooks, rules, routes, rewrites, drops
  --seed N         of what the node chooses (default ${DEFAULT_SEED})
`;

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      node: { type: "string" },
      in: { type: "string", multiple: true },
      out: { type: "string" },
      verify: { type: "boolean" },
      trace: { type: "boolean" },
      seed: { type: "string" },
    },
  });
  if (positionals.length !== 1) throw new Failure("replay: expected one LAB file");
  if (values.node === undefined) throw new Failure("replay: expected --node NAME");
  if (values.in === undefined) throw new Failure("replay: expected --in CAPTURE");
  const seed = values.seed === undefined ? DEFAULT_SEED : Number(values.seed);
  if (!Number.isInteger(seed)) throw new Failure(`--seed '${values.seed}': expected an integer`);
  const text = await readLabFile(positionals[0]!);
  if (!Object.hasOwn(text.file.nodes, values.node)) {
    throw new Failure(
      `${positionals[0]}: there is no node '${values.node}', expected one of: ${Object.keys(text.file.nodes).join(", ")}`,
    );
  }
  const lab = buildLab(loadCore(), text, { only: values.node, seed });
  const node = lab.nodes.get(values.node)!;
  const verification = values.verify === true ? new Verification(node) : null;
  const sources = values.in.map((word) => source(word, node, verification));
  const replay = new Replay(lab.world, [node]);
  const story = values.trace === true ? new Story(lab.world, (line) => void process.stdout.write(`${line}\n`)) : null;
  if (story !== null) lab.world.tracer = story.event;
  let problem: Error | null = null;
  try {
    await feedCaptures(replay, sources);
  } catch (e) {
    if (!(e instanceof Error) || e instanceof LabError) throw e;
    problem = e;
  }
  if (values.out !== undefined) await writeSent(values.out, node, replay);
  if (verification !== null) {
    process.stdout.write(verification.report(replay.sent));
  } else if (story === null) {
    process.stdout.write(account(node, replay));
  }
  if (problem !== null) throw problem;
  return verification !== null && !verification.same ? 1 : 0;
}

/** `N.pcapng` or `IF=FILE`. */
function source(word: string, node: Namespace, verification: Verification | null): Source {
  const eq = word.indexOf("=");
  const iface = eq > 0 ? word.slice(0, eq) : null;
  const file = eq > 0 ? word.slice(eq + 1) : word;
  if (iface !== null && !node.byName.has(iface)) {
    throw new Failure(`--in ${word}: ${node.name} has no interface '${iface}'`);
  }
  return { name: file, node, verification, iface, chunks: readChunks(file) };
}

async function writeSent(dir: string, node: Namespace, replay: Replay): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const dev of node.interfaces) {
    if (dev.kind !== "veth") continue;
    const file = await openOutput(join(dir, `${dev.name}.pcap`));
    const writer = new PcapWriter(file.write, { nanoseconds: false });
    const base = Number(EPOCH / 1_000_000_000n);
    for (const s of replay.sent) {
      if (s.iface !== dev.name) continue;
      writer.write(base + Math.floor(s.time / 1e9), s.time % 1e9, s.bytes);
      if (file.full) await file.drained();
    }
    writer.flush();
    await file.close();
  }
}

function account(node: Namespace, replay: Replay): string {
  const sent = new Map<string, number>();
  for (const s of replay.sent) sent.set(s.iface, (sent.get(s.iface) ?? 0) + 1);
  const ways = [...sent].map(([name, n]) => `${name} ${n}`).join(", ");
  const drops: string[] = [];
  node.drops.forEach((n, why) => {
    if (n > 0) drops.push(`${Drop[why]} ${n}`);
  });
  return (
    `fed ${replay.fed} frames, sent ${replay.sent.length}${ways === "" ? "" : ` (${ways})`}` +
    `${drops.length === 0 ? "" : `; dropped: ${drops.join(", ")}`}\n`
  );
}

export const command: Command = { help, run };
