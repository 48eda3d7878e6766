// src/cli/run.ts: `wirepath run`: a lab in virtual time.

import { buildLab } from "../lab/build.ts";
import { parseTime } from "../lab/words.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { loadCore } from "../node/core.ts";
import { openOutput } from "../node/files.ts";
import { readLabFile } from "../node/lab.ts";
import { Recorder } from "../trace/recorder.ts";
import { Story } from "../trace/story.ts";
import { Drop } from "../../assembly/drop.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const help = `usage: wirepath run LAB [--until TIME] [--capture FILE.pcapng] [--trace] [--seed N]

Builds the lab and runs its timeline in virtual time.

  --until TIME     stop there (10s, 20ms ...); without it, when nothing is left to happen, at one hour at the latest
  --capture FILE   every frame at every device, with a comment on each that was changed, made or dropped
  --trace          print each step of each packet
  --seed N         of what hosts choose by chance (default ${DEFAULT_SEED})
`;

const HOUR = 3_600_000_000_000;

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      until: { type: "string" },
      capture: { type: "string" },
      trace: { type: "boolean" },
      seed: { type: "string" },
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
  const { world, nodes } = buildLab(loadCore(), await readLabFile(positionals[0]!), { seed });
  const recorder = values.capture === undefined ? null : new Recorder(world);
  const story = values.trace === true ? new Story(world, (line) => void process.stdout.write(`${line}\n`)) : null;
  if (recorder !== null || story !== null) {
    world.tracer = (e) => {
      recorder?.event(e);
      story?.event(e);
    };
  }
  if (until !== null) world.clock.advance(until);
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
