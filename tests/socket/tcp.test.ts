// tests/socket/tcp.test.ts: the suite over emulated hosts: TCP segments through a router, with delay, with loss.

import type net from "node:net";
import { drive } from "../../src/node/driver.ts";
import { type Routed, routed } from "../support/hosts.ts";
import type { Adapter } from "./adapter.ts";
import { conformance } from "./conformance.ts";

/** Sockets, connections below them, and packets that somebody holds. */
function left(r: Routed): number {
  const { client, server, lab } = r;
  const connections = client.tcp.list().length + server.tcp.list().length;
  return client.handles + server.handles + connections + lab.world.x.packetsInUse();
}

function make(netem: string, seed = 1, patience = 1): Adapter {
  const r = routed(netem, seed);
  const { lab, client, server } = r;
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
    sleep: (ms) => new Promise((r) => setTimeout(r, ms * patience)),
    open: () => left(r),
  };
}

for (const netem of ["", "delay 1ms"]) conformance(`emulated hosts ${netem}`, () => make(netem));

/** A reset may overtake the handshake's last segment when that is lost: then nobody was ever accepted. */
function onBadWires(group: string, what: string): boolean {
  return (
    (group === "ends" || group === "lookups") && what !== "resetAndDestroy before the connection stands waits for it"
  );
}

// what has no word about when things happen holds on bad wires too
for (const netem of ["delay 1ms loss 5%", "delay 2ms 1ms duplicate 5% reorder 10%", "delay 1ms corrupt 3%"]) {
  conformance(`emulated hosts ${netem}`, () => make(netem, 7, 100), onBadWires);
}
