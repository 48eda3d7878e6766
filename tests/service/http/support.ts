// Two hosts with a router between, for programs of the web; what a hostile or careful peer says byte by byte.

import { buildLab } from "../../../src/lab/build.ts";
import { LabText } from "../../../src/lab/read.ts";
import { SECOND } from "../../../src/link/clock.ts";
import type { World } from "../../../src/link/world.ts";
import { loadCore } from "../../../src/node/core.ts";
import { gzipCodec } from "../../../src/node/gzip.ts";
import { programHost, type ProgramHost } from "../../../src/service/program.ts";
import { Browser, type BrowserFailure, type Page, type Visit } from "../../../src/service/http/browser.ts";
import { TcpStream } from "../../../src/service/stream.ts";
import { parseIpv4 } from "../../../src/core/address.ts";

export const SERVER = parseIpv4("10.0.2.2")!;

export interface Pair {
  readonly world: World;
  readonly client: ProgramHost;
  readonly server: ProgramHost;
  readonly browser: Browser;
  open(url: string, visit?: Visit): { failure: BrowserFailure | null; page: Page | null };
  /** Sends bytes on a connection of its own and answers what comes back, and whether the server closed. */
  raw(bytes: string | Uint8Array, piece?: number): { text: string; closed: boolean };
  run(seconds: number): void;
}

export function pair(netem = "delay 1ms"): Pair {
  const text = `
nodes:
  client: { interfaces: { eth0: { addresses: [10.0.1.2/24] } }, routes: ["default via 10.0.1.1"] }
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [10.0.1.1/24] }, eth1: { addresses: [10.0.2.1/24] } }
  server: { interfaces: { eth0: { addresses: [10.0.2.2/24] } }, routes: ["default via 10.0.2.1"] }
links:
  - { endpoints: ["client:eth0", "router:eth0"], netem: "${netem}" }
  - { endpoints: ["router:eth1", "server:eth0"], netem: "${netem}" }
`;
  const { world, nodes } = buildLab(loadCore(), LabText.read("pair", text), { seed: 1 });
  const [client, server] = [programHost(nodes.get("client")!), programHost(nodes.get("server")!)];
  const names = {
    resolve4: (name: string, callback: (e: Error | null, a: readonly string[]) => void): void =>
      name.endsWith("example.com")
        ? callback(null, ["10.0.2.2"])
        : callback(Object.assign(new Error("no"), { code: "ENOTFOUND" }), []),
  };
  const browser = new Browser(client, { names, codec: gzipCodec, timeout: 100 * SECOND });
  const run = (seconds: number): void => world.clock.advance(world.clock.now + seconds * SECOND);
  return {
    world,
    client,
    server,
    browser,
    run,
    open(url, visit = {}) {
      const results: { failure: BrowserFailure | null; page: Page | null }[] = [];
      browser.open(url, visit, (failure, page) => results.push({ failure, page }));
      const end = world.clock.now + 200 * SECOND;
      while (results.length === 0 && world.clock.next() <= end) world.clock.step();
      if (results.length === 0) throw new Error("nothing was shown");
      return results[0]!;
    },
    raw(bytes, piece = 1 << 20) {
      const all = typeof bytes === "string" ? Uint8Array.from(bytes, (c) => c.charCodeAt(0)) : bytes;
      let got = "";
      let closed = false;
      const stream = TcpStream.connect(client, SERVER, 80, {
        data: (b) => (got += String.fromCharCode(...b)),
        ended: () => (closed = true),
        failed: () => (closed = true),
      });
      for (let at = 0; at < all.length; at += piece) {
        stream.send(all.slice(at, at + piece));
        world.clock.advance(world.clock.now + SECOND / 1000);
      }
      run(2);
      stream.close();
      run(10);
      return { text: got, closed };
    },
  };
}
