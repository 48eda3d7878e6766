// tests/programs/support.ts: what the tests of programs share: two hosts with a router between, in three kinds of weather.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { drive } from "../../src/node/driver.ts";
import { runOn } from "../../src/node/program.ts";
import { type Routed, routed } from "../support/hosts.ts";

const pem = (name: string): string =>
  readFileSync(new URL(`../../fixtures/programs/${name}`, import.meta.url), "latin1");

export const cert = pem("server-cert.pem");
export const key = pem("server-key.pem");

/** What a test works with: code `on` either host; the server's names. */
export interface Net extends Routed {
  onServer<T>(program: () => T): T;
  onClient<T>(program: () => T): T;
  /** Nanoseconds of virtual time. */
  readonly now: number;
}

export const weathers = ["", "delay 20ms", "delay 10ms 2ms loss 2%"];

/** Runs a test of programs in each weather, in virtual time; nothing may stay open. */
export function overWires(
  name: string,
  test: (net: Net) => Promise<void>,
  options: { leavesOpen?: boolean; only?: readonly string[] } = {},
): void {
  describe(name, () => {
    for (const netem of options.only ?? weathers) {
      it(netem === "" ? "at once" : netem, async () => {
        const r = routed(netem);
        const net: Net = {
          ...r,
          onServer: (program) => runOn(r.server, program),
          onClient: (program) => runOn(r.client, program),
          get now() {
            return r.lab.world.clock.now;
          },
        };
        await drive(r.lab.world, async () => {
          await test(net);
          // what was closed goes in its own time
          await new Promise((resolve) => setTimeout(resolve, 5_000));
        });
        if (options.leavesOpen !== true) expect([r.client.handles, r.server.handles]).toEqual([0, 0]);
      });
    }
  });
}

/** Waits for an event; an 'error' before it is thrown. */
export { once } from "node:events";

/** Reads a stream to its end as text; one that closes before is an error. */
export function text(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = "";
    stream.on("data", (chunk: unknown) => (all += String(chunk)));
    stream.once("end", () => resolve(all));
    stream.once("error", reject);
    stream.once("close", () => reject(new Error("closed before its end")));
  });
}
