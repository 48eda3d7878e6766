// tests/socket/fake.test.ts: the suite over the emulated sockets alone, on connections without packets.

import type net from "node:net";
import { Clock } from "../../src/link/clock.ts";
import type { World } from "../../src/link/world.ts";
import { drive } from "../../src/node/driver.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { Host } from "../../src/socket/host.ts";
import { FakeNetwork } from "../support/faketcp.ts";
import type { Adapter } from "./adapter.ts";
import { conformance } from "./conformance.ts";

const MS = 1_000_000;

conformance("emulated sockets over byte queues", (): Adapter => {
  const clock = new Clock();
  const world = { clock, epoch: 0n } as unknown as World;
  const network = new FakeNetwork(clock, MS);
  const [client, server] = [0x0a000001, 0x0a000002].map((address, i) => {
    const tcp = network.stack(address);
    return new Host(nodePlatform, {
      name: i === 0 ? "client" : "server",
      world,
      tcp,
      udp: null as never,
      isLocal: (a) => tcp.isLocal(a),
    });
  });
  client!.dns.hosts.set("server", ["10.0.0.2"]);
  return {
    name: "fake",
    real: false,
    nodeStreams: true,
    serverNet: server!.net as unknown as typeof net,
    clientNet: client!.net as unknown as typeof net,
    host: "10.0.0.2",
    clientHost: "10.0.0.1",
    hostname: "server",
    run: (test) => drive(world, test),
    sleep: (ms) => new Promise((r) => setTimeout(r, ms)),
    open: () => client!.handles + server!.handles,
  };
});
