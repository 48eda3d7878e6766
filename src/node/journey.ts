// src/node/journey.ts: a journey: a lab with its programs, a browser in it, a URL that it opens, in virtual time.

import { type Lab, buildLab } from "../lab/build.ts";
import { readFile } from "node:fs/promises";
import type { LabText } from "../lab/read.ts";
import { DockerHost, type Parts } from "../lab/webservices.ts";
import { parseResolvConf } from "../service/dns/resolvconf.ts";
import { Stub } from "../service/dns/stub.ts";
import { Browser, type BrowserFailure, type Page, type Visit } from "../service/http/browser.ts";
import { programHost } from "../service/program.ts";
import type { Core } from "../core/core.ts";
import type { Namespace } from "../host/namespace.ts";
import { loopOf } from "../socket/loop.ts";
import { drive } from "./driver.ts";
import { packageFile } from "./package.ts";
import { type KeyLog, tlsConnector, tlsListening } from "./tlsstream.ts";
import { gzipCodec } from "./gzip.ts";
import { bootPostgres, type Engine, loadPg, PostgresServer } from "./postgres.ts";

/** A lab that can be travelled in. */
export interface Journey {
  readonly lab: Lab;
  readonly browser: Browser;
  /** Whose browser it is. */
  readonly from: Namespace;
  readonly url: string;
  /** Databases that run; to be closed in the end. */
  readonly engines: readonly Engine[];
  /** `log` hears the secrets of TLS. */
  readonly keys: { log: KeyLog | null };
  close(): Promise<void>;
}

/** What a lab needs cannot be had here. */
export class MissingPart extends Error {}

/** How long a person waits. */
const PATIENCE = 300_000_000_000;
export const DEFAULT_URL = "http://www.example.com/";

/** Whether a program of this kind is anywhere in the lab. */
function uses(text: LabText, pattern: RegExp, kind: "postgres" | "database"): boolean {
  return Object.values(text.file.nodes).some((node) =>
    (node?.services ?? []).some(
      (s) =>
        (kind === "postgres" && s.postgres !== undefined) ||
        (kind === "database" && s.app?.database !== undefined) ||
        (s.compose !== undefined && pattern.test(s.compose)),
    ),
  );
}

export interface PrepareOptions {
  readonly seed?: number;
  /** A database that is there already: it is emptied, used, and left open. */
  readonly engine?: Engine;
}

/** What a database is before a lab's setup. */
const EMPTY = "ROLLBACK; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;";

/** Boots what the lab needs in real time, then builds it. What is wrong in it throws `LabError`. */
export async function prepare(core: Core, text: LabText, options: PrepareOptions = {}): Promise<Journey> {
  const engines: Engine[] = [];
  const setups: { engine: Engine; sql: string }[] = [];
  const free: Engine[] = [];
  if (uses(text, /image:\s*\S*postgres/, "postgres")) {
    const engine = options.engine ?? (await bootPostgres());
    if (engine === null) throw new MissingPart("the lab has a Postgres: npm install @electric-sql/pglite");
    if (options.engine === undefined) engines.push(engine);
    else await engine.exec(EMPTY);
    free.push(engine);
  }
  const database = uses(text, /DATABASE_URL/, "database") ? await loadPg() : null;
  if (database === null && uses(text, /DATABASE_URL/, "database")) {
    throw new MissingPart("an application of the lab has a database: npm install pg");
  }
  const [cert, key] = await Promise.all(
    ["cert", "key"].map((n) => readFile(packageFile(`fixtures/journey/tls/${n}.pem`), "latin1")),
  );
  const keys: { log: KeyLog | null } = { log: null };
  const keyLog: KeyLog = (line) => keys.log?.(line);
  const parts: Parts = {
    listenSecure: (ns) => tlsListening(ns, cert!, key!, keyLog),
    codec: gzipCodec,
    ...(database === null ? {} : { database }),
    postgres: (o) => {
      const engine = free.pop();
      if (engine === undefined) throw new Error("a lab has one Postgres at most");
      if (o.setup !== "") setups.push({ engine, sql: o.setup });
      return new PostgresServer(engine, o);
    },
  };
  const lab = buildLab(core, text, { ...(options.seed === undefined ? {} : { seed: options.seed }), parts });
  for (const { engine, sql } of setups) await engine.exec(sql);
  const wanted = text.file.journey?.from ?? Object.keys(text.file.nodes)[0]!;
  const from = lab.nodes.get(wanted);
  if (from === undefined) throw text.error(["journey", "from"], `'${wanted}': there is no such node`);
  const conf = text.file.nodes[wanted]?.resolv_conf ?? "";
  const host = programHost(from);
  const browser = new Browser(host, {
    names: new Stub(host, parseResolvConf(conf)),
    codec: gzipCodec,
    secure: tlsConnector(from, cert!, keyLog),
    timeout: PATIENCE,
  });
  const close = async (): Promise<void> => {
    for (const e of engines) await e.close();
  };
  return { keys, lab, browser, from, url: text.file.journey?.url ?? DEFAULT_URL, engines, close };
}

/** A machine loses its power: a node's devices go down, a container is stopped. @throws Error for a node that is not there */
export function powerOff(lab: Lab, name: string): void {
  const ns = lab.nodes.get(name);
  if (ns === undefined)
    throw new Error(`there is no node '${name}', expected one of ${[...lab.nodes.keys()].join(", ")}`);
  for (const p of [...lab.programs.values()].flat()) {
    if (!(p instanceof DockerHost)) continue;
    const all = [...(p.world?.containers.values() ?? [])].flat();
    const container = all.find((c) => c.ns === ns);
    if (container !== undefined) return container.stop();
  }
  for (const dev of ns.interfaces) ns.setLink(dev, false);
}

export interface Outcome {
  readonly failure: BrowserFailure | null;
  readonly page: Page | null;
}

/** What is still on its way when the page is there: the last FINs. */
const AFTER = 3_000_000_000;

/** Opens a URL and runs the world until the page, or the failure, is there, and what follows it is over. */
export function travel(journey: Journey, url: string, visit: Visit = {}): Promise<Outcome> {
  const { lab, browser } = journey;
  const { clock } = lab.world;
  return drive(
    lab.world,
    () =>
      new Promise<Outcome>((resolve) => {
        browser.open(url, visit, (failure, page) => {
          browser.close();
          const turn = (): void => resolve({ failure, page });
          clock.after(AFTER, () => loopOf(lab.world).post({ turn }));
        });
      }),
  );
}
