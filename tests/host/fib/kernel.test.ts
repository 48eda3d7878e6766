// tests/host/fib/kernel.test.ts: the same changes and questions as a kernel got, the same answers (fixtures/fib).

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { overBuilds } from "../../support/cores.ts";
import { type Scenario, replay } from "./kernel.ts";
import { Network } from "./network.ts";

const scenarios = JSON.parse(
  gunzipSync(readFileSync(new URL("../../../fixtures/fib/kernel.json.gz", import.meta.url))).toString(),
) as Scenario[];

overBuilds("fib against a kernel", (make) => {
  it("answers every command and question of the random walks alike", () => {
    let steps = 0;
    const core = make();
    for (const s of scenarios) {
      expect(replay(core, s).join("\n")).toBe("");
      steps += s.steps.length;
    }
    expect(steps).toBeGreaterThan(10000);
  });
});

overBuilds("ip route show", (make) => {
  it("reads back what it printed: every state that a kernel showed", () => {
    const core = make();
    let lines = 0;
    for (const s of scenarios) {
      const last = s.steps.findLast((x) => "show" in x)!.show;
      const n = new Network(core);
      for (const [name, ifindex] of Object.entries(s.ifindex)) n.device(name, ifindex);
      // the routes alone, without the addresses that made some of them: those with a source are refused, as on Linux
      // (`ip` leaves `scope global` out also where it would read `scope link`: such lines do not read back, there or here)
      const readable = (r: string) => /^(blackhole|unreachable|prohibit|throw)|scope/.test(r);
      const lone = last.routes.filter((r) => readable(r) && !/ src | table local |via|dead/.test(r));
      n.fib.loadRoutes(lone);
      const custom = n.fib.listRoutes().filter((r) => !r.includes("proto kernel") || lone.includes(r));
      expect(custom.toSorted()).toEqual(lone.toSorted());
      n.fib.loadRoutes(n.fib.listRoutes());
      expect(
        n.fib
          .listRoutes()
          .filter((r) => custom.includes(r))
          .toSorted(),
      ).toEqual(lone.toSorted());
      lines += lone.length;
    }
    expect(lines).toBeGreaterThan(100);
  });
});
