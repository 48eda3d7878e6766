// tests/socket/real.test.ts: the suite over Node's own net: what it asserts is what Node does.

import net from "node:net";
import type { Adapter } from "./adapter.ts";
import { conformance } from "./conformance.ts";

conformance("node:net over loopback", (): Adapter => ({
  name: "node:net",
  real: true,
  nodeStreams: true,
  serverNet: net,
  clientNet: net,
  host: "127.0.0.1",
  clientHost: "127.0.0.1",
  hostname: "localhost",
  run: (test) => test(),
  sleep: (ms) => new Promise((r) => setTimeout(r, ms)),
  open: () => null,
}));
