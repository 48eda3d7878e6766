// src/cli/journey.ts: `wirepath journey`, the main job of `npm start`: what happens when a user opens a URL.

import { readUrl } from "../service/http/browser.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { loadCore } from "../node/core.ts";
import { openOutput } from "../node/files.ts";
import { MissingPart, powerOff, prepare, travel } from "../node/journey.ts";
import { readLabFile } from "../node/lab.ts";
import { packageFile } from "../node/package.ts";
import { JourneyTeller } from "../trace/journey.ts";
import { Recorder } from "../trace/recorder.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const bundled = ["containers", "single", "apart"] as const;

const help = `usage: wirepath journey [URL] [LAB] [--verbose] [--down NODE ...] [--capture FILE] [--seed N]

A user opens a URL: the name is asked for from root to answer, the connection crosses routers, translations, a published
port, docker0 and a veth pair, reaches a process and its database, and the page comes back. Every line is told by a real
packet on its way, with the virtual time that has passed. All frames go to a capture for Wireshark.

  URL              default http://www.example.com/
  LAB              ${bundled.join(", ")} (default ${bundled[0]}), or a lab file of yours with 'journey: { from: NODE }'
  --verbose        every packet hop by hop, with its bytes and those that each hop changed
  --down NODE      this machine or container is off; may be given several times
  --capture FILE   where the frames go (default journey.pcapng)
  --seed N         of what hosts choose by chance (default ${DEFAULT_SEED})
`;

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      verbose: { type: "boolean" },
      down: { type: "string", multiple: true },
      capture: { type: "string" },
      seed: { type: "string" },
    },
  });
  if (positionals.length > 2) throw new Failure("journey: expected a URL and a LAB at most");
  const seed = Number(values.seed ?? DEFAULT_SEED);
  if (!Number.isInteger(seed)) throw new Failure(`--seed '${values.seed}': expected an integer`);
  // the one that is a file or a bundled lab's name is the lab
  const isLab = (word: string): boolean => /\.ya?ml$/.test(word) || (bundled as readonly string[]).includes(word);
  const labWord = positionals.find(isLab) ?? (positionals.length === 2 ? positionals[1]! : bundled[0]);
  const urlWord = positionals.find((p) => p !== labWord);
  const path = (bundled as readonly string[]).includes(labWord)
    ? packageFile(`fixtures/journey/${labWord}.yaml`)
    : labWord;
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  let url: string;
  let journey;
  try {
    const text = await readLabFile(path);
    url = readUrl(urlWord ?? text.file.journey?.url ?? "http://www.example.com/").href;
    journey = await prepare(loadCore(), text, { seed });
  } catch (e) {
    if (e instanceof MissingPart || (e as Error).message.includes("is no URL")) throw new Failure((e as Error).message);
    throw e;
  }
  const { lab, from } = journey;
  for (const name of values.down ?? []) {
    try {
      powerOff(lab, name);
    } catch (e) {
      await journey.close();
      throw new Failure(`--down: ${(e as Error).message}`);
    }
  }
  const recorder = new Recorder(lab.world);
  journey.keys.log = recorder.keyLog;
  const teller = new JourneyTeller(lab.world, {
    print,
    nodes: () => lab.nodes.values(),
    verbose: values.verbose === true,
    traveller: from.name,
  });
  lab.world.tracer = (e) => {
    recorder.event(e);
    teller.event(e);
  };
  const cpu = process.cpuUsage();
  const { failure, page } = await travel(journey, url);
  const used = process.cpuUsage(cpu);
  teller.end();
  await journey.close();
  const out = values.capture ?? "journey.pcapng";
  const file = await openOutput(out);
  recorder.write(file.write, lab.nodes.values());
  await file.close();
  const places = new Set(recorder.records.map((r) => `${r.node}:${r.iface}`)).size;
  const commented = recorder.records.filter((r) => r.comments.length > 0).length;
  print(`${out}: ${recorder.records.length} frames at ${places} devices, ${commented} with a comment that says why.`);
  if (process.env["WIREPATH_DEBUG"] !== undefined) {
    process.stderr.write(`journey: ${((used.user + used.system) / 1000).toFixed(0)} ms of CPU\n`);
  }
  const steps = page?.steps ?? failure!.steps;
  for (const s of steps) {
    const t = s.timing;
    const part = (from: number, to: number): string =>
      from < 0 || to < 0 ? "-" : `${((to - from) / 1e6).toFixed(3)} ms`;
    print(
      `${s.method} ${s.url} ${s.status === 0 ? "failed" : s.status}: name ${part(0, s.lookup)}, connection ${part(t.start, t.connected)}, ` +
        `first byte ${part(t.sent, t.firstByte)}, rest ${part(t.firstByte, t.end)}`,
    );
  }
  if (failure === null) return 0;
  print(`\nThe browser shows ${failure.error} (${failure.code}). Why:`);
  for (const line of teller.causes()) print(`  ${line}`);
  return 1;
}

export const command: Command = { help, run };
