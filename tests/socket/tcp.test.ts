// tests/socket/tcp.test.ts: the suite over emulated hosts: TCP segments through a router, with delay, with loss.

import type net from "node:net";
import { drive } from "../../src/node/driver.ts";
import { routed } from "../support/hosts.ts";
import type { Adapter } from "./adapter.ts";
import { conformance } from "./conformance.ts";

for (const netem of ["", "delay 1ms"]) {
  conformance(`emulated hosts ${netem}`, (): Adapter => {
    const { lab, client, server } = routed(netem);
    return {
      name: "emulated",
      real: false,
      nodeStreams: true,
      serverNet: server.net as unknown as typeof net,
      clientNet: client.net as unknown as typeof net,
      host: "10.0.2.2",
      clientHost: "10.0.1.2",
      hostname: "server",
      run: (test) => drive(lab.world, test),
      sleep: (ms) => new Promise((r) => setTimeout(r, ms)),
      open: () => client.handles + server.handles,
    };
  });
}
