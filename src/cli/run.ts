// src/cli/run.ts: `wirepath run`: a lab in virtual time.

import { buildLab } from "../lab/build.ts";
import { parseTime } from "../lab/words.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import type { Namespace } from "../host/namespace.ts";
import type { World } from "../link/world.ts";
import { loadCore } from "../node/core.ts";
import { openOutput } from "../node/files.ts";
import { type Allow, Gateway, parseAllow, parsePublish, type Publish } from "../node/gateway.ts";
import { readLabFile } from "../node/lab.ts";
import { Pacer } from "../node/pacer.ts";
import { Recorder } from "../trace/recorder.ts";
import { Story } from "../trace/story.ts";
import { Drop } from "../../assembly/drop.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const help = `usage: wirepath run LAB [--until TIME] [--capture FILE.pcapng] [--trace] [--seed N]
       wirepath run LAB --publish [ADDRESS:]PORT=NODE->ADDRESS:PORT ... [--allow NODE:PORT=HOST:PORT ...]

Builds the lab and runs its timeline in virtual time, or, with a gateway, at the pace of real time until interrupted.

  --until TIME     stop there (10s, 20ms ...); without it, when nothing is left to happen, at one hour at the latest
  --capture FILE   every frame at every device, with a comment on each that was changed, made or dropped
  --trace          print each step of each packet
  --seed N         of what hosts choose by chance (default ${DEFAULT_SEED})
  --publish P      carry what connects to a port of this machine (loopback without ADDRESS) to ADDRESS:PORT in the lab,
                   as connections of NODE's: 8080=client->198.51.100.20:80
  --allow A        carry what connects to NODE's PORT in the lab out to the real HOST:PORT; nothing else gets out
  --factor N       virtual seconds in a real one, with a gateway (default 1)
`;

/** What a word of the command line is made into; what is wrong with it names the option. */
function said<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    throw new Failure(`${option}: ${(e as Error).message}`);
  }
}

interface Paced {
  readonly world: World;
  readonly nodes: ReadonlyMap<string, Namespace>;
  readonly publish: readonly Publish[];
  readonly allow: readonly Allow[];
  readonly until: number | null;
  readonly pacer: Pacer;
}

/** At the pace of real time, until a signal or the end. */
async function runGateway({ world, nodes, publish, allow, until, pacer }: Paced): Promise<void> {
  const gateway = new Gateway(nodes, pacer);
  const stop = (): void => pacer.stop();
  const lines: string[] = [];
  try {
    for (const a of allow) {
      said("--allow", () => gateway.allow(a));
      lines.push(`${a.node}:${a.port} -> ${a.host}:${a.toPort}`);
    }
    for (const p of publish) {
      const port = await said("--publish", () => gateway.publish(p)).catch((e: Error) => {
        throw new Failure(`--publish: ${e.message}`);
      });
      lines.push(`${p.address}:${port} -> ${p.node} -> ${p.to}:${p.toPort}`);
    }
    process.stdout.write(`${lines.join("\n")}\n`);
    if (until !== null) world.clock.at(until, stop);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
    await pacer.start();
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, stop);
    gateway.close();
  }
}

const HOUR = 3_600_000_000_000;

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      until: { type: "string" },
      capture: { type: "string" },
      trace: { type: "boolean" },
      seed: { type: "string" },
      publish: { type: "string", multiple: true },
      allow: { type: "string", multiple: true },
      factor: { type: "string" },
    },
  });
  if (positionals.length !== 1) throw new Failure("run: expected one LAB file");
  const seed = values.seed === undefined ? DEFAULT_SEED : Number(values.seed);
  if (!Number.isInteger(seed)) throw new Failure(`--seed '${values.seed}': expected an integer`);
  let until: number | null = null;
  if (values.until !== undefined) {
    try {
      until = parseTime(values.until);
    } catch (e) {
      throw new Failure(`--until: ${(e as Error).message}`);
    }
  }
  const publish = (values.publish ?? []).map((p) => said("--publish", () => parsePublish(p)));
  const allow = (values.allow ?? []).map((a) => said("--allow", () => parseAllow(a)));
  if (values.factor !== undefined && publish.length + allow.length === 0) {
    throw new Failure("--factor: expected --publish or --allow with it");
  }
  const { world, nodes } = buildLab(loadCore(), await readLabFile(positionals[0]!), { seed });
  const recorder = values.capture === undefined ? null : new Recorder(world);
  const story = values.trace === true ? new Story(world, (line) => void process.stdout.write(`${line}\n`)) : null;
  if (recorder !== null || story !== null) {
    world.tracer = (e) => {
      recorder?.event(e);
      story?.event(e);
    };
  }
  if (publish.length + allow.length > 0) {
    const pacer = said("--factor", () => new Pacer(world, { factor: Number(values.factor ?? 1) }));
    await runGateway({ world, nodes, publish, allow, until, pacer });
  } else if (until !== null) world.clock.advance(until);
  else while (world.clock.next() <= HOUR) world.clock.step();
  if (recorder !== null) {
    const file = await openOutput(values.capture!);
    recorder.write(file.write, nodes.values());
    await file.close();
  }
  const lines: string[] = [];
  for (const ns of nodes.values()) {
    const rx = ns.interfaces.reduce((n, dev) => n + dev.rxPackets, 0);
    const tx = ns.interfaces.reduce((n, dev) => n + dev.txPackets, 0);
    const drops = Array.from(ns.drops, (n, why) => (n > 0 ? `${Drop[why]} ${n}` : "")).filter((s) => s !== "");
    lines.push(`${ns.name}: received ${rx}, sent ${tx}${drops.length > 0 ? `, dropped: ${drops.join(", ")}` : ""}`);
  }
  process.stdout.write(`${(world.clock.now / 1e9).toFixed(6)} s of virtual time\n${lines.join("\n")}\n`);
  return 0;
}

export const command: Command = { help, run };
