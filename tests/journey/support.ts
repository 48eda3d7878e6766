// What the tests of journeys share: one database that is booted once, bundled labs, what a browser gets.

import { readFileSync } from "node:fs";
import { LabText } from "../../src/lab/read.ts";
import { loadCore } from "../../src/node/core.ts";
import { type Journey, type Outcome, prepare, travel } from "../../src/node/journey.ts";
import { bootPostgres, type Engine } from "../../src/node/postgres.ts";
import type { Visit } from "../../src/service/http/browser.ts";
import { JourneyTeller } from "../../src/trace/journey.ts";
import { Recorder } from "../../src/trace/recorder.ts";

let engine: Promise<Engine | null> | null = null;

export async function database(): Promise<Engine> {
  engine ??= bootPostgres();
  const e = await engine;
  if (e === null) throw new Error("PGlite is not installed");
  return e;
}

let image: Promise<Blob> | null = null;

/** A database of its own, as it is when it was just booted: equal to every other one. */
export async function freshDatabase(): Promise<Engine> {
  const { PGlite } = await import("@electric-sql/pglite");
  image ??= PGlite.create().then((db) => db.dumpDataDir("none"));
  return (await PGlite.create({ loadDataDir: await image })) as unknown as Engine;
}

export function labFile(name: string): string {
  return readFileSync(new URL(`../../fixtures/journey/${name}.yaml`, import.meta.url), "utf8");
}

export interface Travelled extends Outcome {
  readonly journey: Journey;
  readonly lines: string[];
  readonly causes: string[];
  readonly capture: Buffer;
  /** `200`, or `ERR_CONNECTION_REFUSED`. */
  readonly got: string;
}

/** Opens a URL in a lab (its text), `before` having changed it. */
export async function opened(
  lab: string,
  url: string,
  options: {
    engine?: Engine;
    before?: (j: Journey) => void;
    visit?: Visit;
    verbose?: boolean;
    seed?: number;
    postgres?: boolean;
  } = {},
): Promise<Travelled> {
  const text = LabText.read("lab.yaml", lab);
  const db = options.postgres === false ? {} : { engine: options.engine ?? (await database()) };
  const seed = options.seed === undefined ? {} : { seed: options.seed };
  const journey = await prepare(loadCore(), text, { ...seed, ...db });
  options.before?.(journey);
  const { world, nodes } = journey.lab;
  const lines: string[] = [];
  const recorder = new Recorder(world);
  journey.keys.log = recorder.keyLog;
  const teller = new JourneyTeller(world, {
    print: (l) => lines.push(l),
    nodes: () => nodes.values(),
    traveller: journey.from.name,
    verbose: options.verbose ?? false,
  });
  world.tracer = (e) => {
    recorder.event(e);
    teller.event(e);
  };
  const outcome = await travel(journey, url, options.visit);
  const parts: Uint8Array[] = [];
  recorder.write((b: Uint8Array) => void parts.push(b.slice()), nodes.values());
  const got = outcome.page === null ? outcome.failure!.error : String(outcome.page.status);
  return { ...outcome, journey, lines, causes: teller.causes(), capture: Buffer.concat(parts), got };
}
