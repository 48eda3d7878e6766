// src/cli/up.ts: `wirepath up`: a Compose file's containers on a host, open to this machine or for one request.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { formatIpv4 } from "../core/address.ts";
import { Compose, type ComposeOptions } from "../docker/compose.ts";
import { buildCompose, type ComposeWorld, HOST_ADDRESS } from "../docker/composebuild.ts";
import { parseEnvFile } from "../docker/interpolate.ts";
import { columns, formatBinding, formatPorts } from "../docker/show.ts";
import { TextError } from "../host/text.ts";
import { parseTime } from "../lab/words.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { prepare, startProgram } from "../node/containerprogram.ts";
import { loadCore } from "../node/core.ts";
import { FileError, openOutput } from "../node/files.ts";
import { Gateway, parsePublish, type Publish } from "../node/gateway.ts";
import { Pacer } from "../node/pacer.ts";
import { Recorder } from "../trace/recorder.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { once, urlOf } from "./up-once.ts";

const help = `usage: wirepath up [COMPOSE.yaml] [--no-publish] [--publish [ADDRESS:]PORT=NODE->ADDRESS:PORT ...]
       wirepath up [COMPOSE.yaml] --once URL
       wirepath up [COMPOSE.yaml] --rules

Starts a Compose file's services as containers on a host, with the networks, addresses, names and iptables rules of Docker
Engine 29, and a client outside. Published TCP ports are open on this machine's 127.0.0.1, at the pace of real time, until
interrupted. A service's program is its image's (whoami), or a Node program of yours: x-wirepath: ./server.js

  COMPOSE.yaml       default: compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml here
  --once URL         one GET by the client in virtual time, hop by hop; then it ends. /PATH alone: of the first published port
  --rules            print the host's iptables-save, and nothing is started
  --no-publish       no port is opened on this machine
  --publish P        also carry what connects to a port of this machine into the network, as connections of NODE's
  --no-userland-proxy  the engine runs without docker-proxy
  --env-file FILE    variables for \${NAME} (default .env beside the file); those of the shell go first
  --until TIME       stop then (10s, 2m ...)
  --capture FILE     every frame at every device, with a comment on each that was changed, made or dropped
  --seed N           of what hosts choose by chance (default ${DEFAULT_SEED})
`;

const defaultFiles = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      once: { type: "string" },
      rules: { type: "boolean" },
      "no-publish": { type: "boolean" },
      publish: { type: "string", multiple: true },
      "no-userland-proxy": { type: "boolean" },
      "env-file": { type: "string" },
      until: { type: "string" },
      capture: { type: "string" },
      seed: { type: "string" },
    },
  });
  if (positionals.length > 1) throw new Failure("up: expected one Compose file");
  const seed = Number(values.seed ?? DEFAULT_SEED);
  if (!Number.isInteger(seed)) throw new Failure(`--seed '${values.seed}': expected an integer`);
  const publish = (values.publish ?? []).map((p) => said("--publish", () => parsePublish(p)));
  const until = values.until === undefined ? null : said("--until", () => parseTime(values.until!));
  const { path, text } = await findFile(positionals[0]);
  const compose = new Compose(path, text, await composeOptions(path, values["env-file"]));
  if (compose.services.some((service) => service.program !== null)) await prepare();
  const loads: Promise<unknown>[] = [];
  const failures: string[] = [];
  const lab = buildCompose(loadCore(), compose, {
    seed,
    engine: { userlandProxy: values["no-userland-proxy"] !== true },
    program: (file, container) =>
      values.rules === true
        ? { stop: () => {} }
        : startProgram(
            container,
            resolve(dirname(path), file),
            (e) => {
              const what = e instanceof Error ? e.message.split("\n")[0] : String(e);
              failures.push(`${container.name}: ${file}: ${what}`);
              process.stderr.write(`wirepath: ${failures.at(-1)}\n`);
            },
            (load) => loads.push(load),
          ),
  });
  const url = values.once === undefined ? null : urlOf(lab, values.once);
  for (const note of compose.notes) process.stderr.write(`${note}\n`);
  if (values.rules === true) {
    process.stdout.write(lab.host.iptables.save());
    return 0;
  }
  const recorder = values.capture === undefined ? null : new Recorder(lab.world);
  if (recorder !== null) lab.world.tracer = recorder.event;
  process.stdout.write(describe(lab));
  let status = 0;
  if (url !== null) status = await once(lab, url, loads, recorder);
  else await serve(lab, values["no-publish"] === true, publish, until, loads);
  if (recorder !== null) {
    const file = await openOutput(values.capture!);
    recorder.write(file.write, lab.nodes.values());
    await file.close();
  }
  return failures.length > 0 ? 1 : status;
}

/** What a word of the command line is made into; what is wrong with it names the option. */
function said<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    throw new Failure(`${option}: ${(e as Error).message}`);
  }
}

async function findFile(given: string | undefined): Promise<{ path: string; text: string }> {
  for (const path of given === undefined ? defaultFiles : [given]) {
    try {
      return { path, text: await readFile(path, "utf8") };
    } catch (e) {
      const code = (e as NodeJS.ErrnoException).code ?? "EIO";
      if (given !== undefined || code !== "ENOENT") throw new FileError(path, code);
    }
  }
  throw new Failure(`up: there is none of ${defaultFiles.join(", ")} here`);
}

async function composeOptions(path: string, envFile: string | undefined): Promise<ComposeOptions> {
  const variables = new Map<string, string>();
  const env = envFile ?? join(dirname(path), ".env");
  try {
    for (const [name, value] of parseEnvFile(await readFile(env, "utf8"))) variables.set(name, value);
  } catch (e) {
    if (e instanceof TextError) throw new Failure(`${env}:${e.line}:${e.column}: ${e.message}`);
    const code = (e as NodeJS.ErrnoException).code ?? "EIO";
    if (envFile !== undefined || code !== "ENOENT") throw new FileError(env, code);
  }
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) variables.set(name, value);
  const project = variables.get("COMPOSE_PROJECT_NAME") ?? basename(dirname(resolve(path)));
  const read = (file: string): string | null => {
    try {
      return readFileSync(resolve(dirname(path), file), "utf8");
    } catch {
      return null;
    }
  };
  return { variables, project, readFile: read };
}

/** Who runs where. */
export function describe(lab: ComposeWorld): string {
  const rows = [["SERVICE", "CONTAINER", "IMAGE", "NETWORK", "ADDRESS", "PORTS"]];
  for (const [service, list] of lab.containers) {
    for (const c of list) {
      const image = c.options.imageName ?? "-";
      const places = [...c.endpoints.values()];
      const first = places[0];
      const mode = c.options.mode ?? "bridge";
      const where = first === undefined ? [mode, mode === "host" ? HOST_ADDRESS : "-"] : [];
      if (first !== undefined) where.push(first.network.name, formatIpv4(first.address));
      rows.push([service, c.name, image, ...where, formatPorts(c)]);
      for (const e of places.slice(1)) rows.push(["", "", "", e.network.name, formatIpv4(e.address), ""]);
    }
  }
  return columns(rows);
}

/** At the pace of real time, until a signal or the end. */
async function serve(
  lab: ComposeWorld,
  closed: boolean,
  more: readonly Publish[],
  until: number | null,
  loads: readonly Promise<unknown>[],
): Promise<void> {
  const pacer = new Pacer(lab.world);
  const gateway = new Gateway(lab.nodes, pacer);
  const stop = (): void => pacer.stop();
  const open = async (p: Publish, what: string): Promise<void> => {
    const port = await gateway.publish(p);
    process.stdout.write(`http://${p.address}:${port}/ -> ${p.node} -> ${p.to}:${p.toPort}${what}\n`);
  };
  // programs listen before anybody is let in, and time runs before anything comes
  await Promise.all(loads);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  const over = pacer.start();
  over.catch(() => {});
  try {
    for (const list of closed ? [] : lab.containers.values()) {
      for (const c of list) {
        for (const b of c.bindings) {
          if (b.protocol !== "tcp") continue;
          const local = b.hostAddress >>> 24 === 127;
          const to =
            local || b.hostAddress === 0
              ? local
                ? formatIpv4(b.hostAddress)
                : HOST_ADDRESS
              : formatIpv4(b.hostAddress);
          const p = { address: "127.0.0.1", port: b.hostPort, node: local ? "host" : "client", to, toPort: b.hostPort };
          try {
            await open(p, ` (${c.name})`);
          } catch (e) {
            const { code } = e as NodeJS.ErrnoException;
            process.stderr.write(`wirepath: ${formatBinding(b)} of ${c.name} is not open on this machine: ${code}\n`);
          }
        }
      }
    }
    for (const p of more) {
      await open(p, "").catch((e: Error) => {
        throw new Failure(`--publish: ${e.message}`);
      });
    }
    if (until !== null) lab.world.clock.at(Math.max(until, lab.world.clock.now), stop);
    await over;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, stop);
    pacer.stop();
    gateway.close();
  }
}

export const command: Command = { help, run };
