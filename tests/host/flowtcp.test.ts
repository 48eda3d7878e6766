// TCP over flows: what is made here takes the short way as well, and the wire carries the same bytes at the same times.

import { expect, it } from "vitest";
import { parseIpv4 } from "../../src/core/address.ts";
import type { Core } from "../../src/core/core.ts";
import { packetBytes } from "../../src/core/packet.ts";
import { runCommand } from "../../src/host/commands.ts";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { HOST, labText, TCP_PORT, WEB_PORT } from "../../src/node/bench/dockerlab.ts";
import { Tcp } from "../../src/transport/tcp/tcp.ts";
import { overBuilds } from "../support/cores.ts";

const SECOND = 1_000_000_000;
const BYTES = 600_000;
const names = ["client", "router", "host", "web0"] as const;

/** A transfer there and back; all that the device of `watched` sees, what was read, and packets that took the short way. */
function transfer(core: Core, short: boolean, watched: "client" | "web0", loss: boolean) {
  const { nodes, world } = buildLab(core, LabText.read("tcp", labText()));
  for (const name of names) nodes.get(name)!.flows.on = short;
  const [a, b] = [nodes.get("client")!, nodes.get("web0")!];
  const client = (a.transports.tcp = new Tcp(a));
  const web = (b.transports.tcp = new Tcp(b));
  const log: string[] = [];
  nodes.get(watched)!.byName.get("eth0")!.tap = (_dev, frame, outbound) => {
    log.push(`${world.clock.now} ${outbound} ${Buffer.from(packetBytes(core, frame)).toString("hex")}`);
  };
  if (loss) runCommand(nodes.get("router")!, "tc qdisc replace dev eth1 root netem delay 3ms loss 2%");
  const buffer = new Uint8Array(16384);
  let back = 0;
  const listener = web.listen(0, WEB_PORT, 8, {
    wake() {
      for (let end = listener.accept(); end !== null; end = listener.accept()) {
        const e = end;
        e.owner = {
          wake() {
            let n: number;
            while ((n = e.read(buffer)) > 0) e.write(buffer, 0, n & 0xfff);
          },
        };
        e.owner.wake(0);
      }
    },
  });
  const data = Uint8Array.from({ length: BYTES }, (_, i) => (i * 7) & 255);
  let sent = 0;
  const end = client.connect(parseIpv4(HOST)!, TCP_PORT, {
    wake() {
      while (sent < BYTES) {
        const n = end.write(data, sent, Math.min(9000, BYTES - sent));
        if (n === 0) break;
        sent += n;
      }
      for (let n = 0; (n = end.read(buffer)) > 0;) back += n;
    },
  });
  world.clock.advance(60 * SECOND);
  return { log, sent, back, taken: names.map((name) => nodes.get(name)!.flows.taken) };
}

overBuilds("TCP over flows", (core) => {
  for (const loss of [false, true]) {
    for (const watched of ["client", "web0"] as const) {
      it(`as without them, ${loss ? "over a wire that loses" : "over a good wire"}, seen at ${watched}`, () => {
        const a = transfer(core(), true, watched, loss);
        const b = transfer(core(), false, watched, loss);
        expect(a.sent).toBe(BYTES);
        expect(a.log.length).toBeGreaterThan(200);
        expect(a.log).toEqual(b.log);
        expect(a.back).toBe(b.back);
        expect(b.taken).toEqual([0, 0, 0, 0]);
        // whom nobody watches sends by the short way
        expect(a.taken[watched === "client" ? 3 : 0]).toBeGreaterThan(50);
        expect(a.taken[2]).toBeGreaterThan(50);
      });
    }
  }
});
