// tests/socket/dgram.test.ts: one suite over Node's own dgram and over emulated hosts with a router between.

import dgram from "node:dgram";
import { drive } from "../../src/node/driver.ts";
import { routed } from "../support/hosts.ts";
import { dgramConformance } from "./dgram-cases.ts";

const sleep = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

dgramConformance("node:dgram over loopback", () => ({
  serverDgram: dgram,
  clientDgram: dgram,
  host: "127.0.0.1",
  clientHost: "127.0.0.1",
  run: (test) => test(),
  sleep,
  open: () => null,
}));

for (const netem of ["", "delay 2ms"]) {
  dgramConformance(`emulated hosts ${netem}`, () => {
    const { lab, client, server } = routed(netem);
    return {
      serverDgram: server.dgram as unknown as typeof dgram,
      clientDgram: client.dgram as unknown as typeof dgram,
      host: "10.0.2.2",
      clientHost: "10.0.1.2",
      run: (test) => drive(lab.world, test),
      sleep,
      open: () => client.handles + server.handles,
    };
  });
}
