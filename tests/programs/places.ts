// tests/programs/places.ts: where a program runs: on this machine's loopback, or on emulated hosts. The same cases for both.

import { afterEach, describe, it } from "vitest";
import { drive } from "../../src/node/driver.ts";
import { runOn } from "../../src/node/program.ts";
import { routed } from "../support/hosts.ts";

export interface Place {
  readonly host: string;
  readonly clientHost: string;
  server<T>(program: () => T): T;
  client<T>(program: () => T): T;
  sleep(ms: number): Promise<void>;
}

const open: { destroy?(): void; close?(): void }[] = [];

/** Closed behind the case. */
export function keep<T extends object>(s: T): T {
  open.push(s as never);
  return s;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs each case over loopback, which shows that it is right, and on emulated hosts in several weathers. */
export function everywhere(
  name: string,
  cases: Record<string, (p: Place) => Promise<void>>,
  weathers: readonly string[] = ["", "delay 1ms", "delay 1ms loss 2%"],
): void {
  afterEach(() => {
    for (const s of open.splice(0)) {
      if (s.destroy) s.destroy();
      else s.close?.();
    }
  });
  describe(`${name} over loopback`, () => {
    const place: Place = {
      host: "127.0.0.1",
      clientHost: "127.0.0.1",
      server: (f) => f(),
      client: (f) => f(),
      sleep,
    };
    for (const [what, run] of Object.entries(cases)) it(what, () => run(place));
  });
  for (const netem of weathers) {
    describe(`${name} on emulated hosts ${netem}`, () => {
      for (const [what, run] of Object.entries(cases)) {
        it(what, async () => {
          const r = routed(netem);
          const place: Place = {
            host: "10.0.2.2",
            clientHost: "10.0.1.2",
            server: (f) => runOn(r.server, f),
            client: (f) => runOn(r.client, f),
            sleep,
          };
          await drive(r.lab.world, () => run(place));
        });
      }
    });
  }
}
