// src/cli/up-once.ts: one GET through a Compose file's host in virtual time, hop by hop.

import { get, type IncomingMessage } from "node:http";
import type { Frame } from "../core/core.ts";
import { type ComposeWorld, HOST_ADDRESS } from "../docker/composebuild.ts";
import type { TraceEvent } from "../link/trace.ts";
import type { World } from "../link/world.ts";
import { Driver } from "../node/driver.ts";
import { nodePlatform } from "../node/platform.ts";
import { hostAgent } from "../node/programs.ts";
import { hostOf } from "../socket/host.ts";
import { frameLine } from "../trace/headers.ts";
import { Hops } from "../trace/hops.ts";
import type { Recorder } from "../trace/recorder.ts";
import { Failure } from "./command.ts";

const NS_PER_MS = 1e6;
/** Virtual nanoseconds that programs have to begin to listen. */
const SETTLE = 1_000_000_000;
const MINUTE = 60_000_000_000;
/** What people call the host. */
const hostNames = new Set(["localhost", "127.0.0.1", "host", "[::1]"]);

/** 0: there was an answer, whatever its status; 1: there was none. */
export async function once(
  lab: ComposeWorld,
  url: URL,
  loads: readonly Promise<unknown>[],
  recorder: Recorder | null,
): Promise<number> {
  const { world } = lab;
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const driver = new Driver(world);
  await driver.run(async () => {
    await driver.during(Promise.all(loads));
    await new Promise((done) => setTimeout(done, SETTLE / NS_PER_MS));
  });
  const start = world.clock.now;
  const teller = new Teller(world, start, print);
  world.tracer = (e) => {
    recorder?.event(e);
    teller.event(e);
  };
  const agent = hostAgent(hostOf(lab.client!, nodePlatform));
  try {
    const until = start + MINUTE;
    const { status, body } = await driver.run(() => request(url, agent), { until });
    teller.end();
    print(`\nGET ${url.href}: ${status} after ${((world.clock.now - start) / NS_PER_MS).toFixed(3)} ms\n\n${body}`);
    return 0;
  } catch (e) {
    teller.end();
    print(`\nGET ${url.href}: ${e instanceof Error ? e.message : String(e)}`);
    return 1;
  } finally {
    world.tracer = recorder === null ? null : recorder.event;
    agent.destroy();
    driver.time.clearAll();
  }
}

interface Telling {
  readonly lines: string[];
  over: boolean;
}

/** Tells the hops of each packet under a line that says what it is, packet by packet in the order in which they began. */
class Teller {
  private readonly hops: Hops;
  private readonly begun = new Set<Frame>();
  private readonly byFrame = new Map<Frame, Telling>();
  private readonly all: Telling[] = [];
  private current: Telling | null = null;

  constructor(
    private readonly world: World,
    private readonly start: number,
    private readonly print: (line: string) => void,
  ) {
    this.hops = new Hops(
      world,
      (line) => this.current?.lines.push(line),
      () => false,
      Infinity,
    );
  }

  event(e: TraceEvent): void {
    const { frame, kind } = e;
    if (kind === "originate") this.begun.add(frame);
    else if (kind === "transmit" && this.begun.delete(frame)) {
      const ms = ((e.time - this.start) / NS_PER_MS).toFixed(3);
      const telling = { lines: [`\n${ms} ms  ${e.node}: ${frameLine(this.world.core, frame)}`], over: false };
      this.byFrame.set(frame, telling);
      this.all.push(telling);
    }
    this.current = this.byFrame.get(frame) ?? null;
    this.hops.event(e);
    if (kind !== "deliver" && kind !== "drop") return;
    this.begun.delete(frame);
    this.byFrame.delete(frame);
    if (this.current !== null) this.current.over = true;
    while (this.all.length > 0 && this.all[0]!.over) this.tell(this.all.shift()!);
  }

  /** What is still under way. */
  end(): void {
    for (const telling of this.all.splice(0)) this.tell(telling);
  }

  private tell(telling: Telling): void {
    for (const line of telling.lines) this.print(line);
  }
}

/** What `--once` asks for: a path is of the first port that a service publishes; people's names for the host are its address. */
export function urlOf(lab: ComposeWorld, text: string): URL {
  if (text.startsWith("/")) {
    for (const list of lab.containers.values()) {
      for (const c of list) {
        const b = c.bindings.find((x) => x.protocol === "tcp" && x.hostAddress >>> 24 !== 127);
        if (b !== undefined) return new URL(text, `http://${HOST_ADDRESS}:${b.hostPort}`);
      }
    }
    throw new Failure("--once: no service publishes a TCP port");
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Failure(`--once '${text}': expected a URL such as http://${HOST_ADDRESS}:8080/, or /PATH`);
  }
  if (url.protocol !== "http:") throw new Failure(`--once '${text}': expected http://`);
  if (hostNames.has(url.hostname)) url.hostname = HOST_ADDRESS;
  return url;
}

function request(url: URL, agent: ReturnType<typeof hostAgent>): Promise<{ status: string; body: string }> {
  return new Promise((done, fail) => {
    const taken = (response: IncomingMessage): void => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (s: string) => (body += s));
      response.on("error", fail);
      response.on("end", () => done({ status: `${response.statusCode} ${response.statusMessage}`, body }));
    };
    get(url, { agent }, taken).on("error", fail);
  });
}
