// tests/socket/unreachable.test.ts: what the network refuses, as Node said it in a network namespace with these addresses
// (10.77.0.1/24 on a veth, `unreachable 10.78.0.0/24`; Node 20, Linux 6.18).

import { expect, it } from "vitest";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { loadCore } from "../../src/node/core.ts";
import { drive } from "../../src/node/driver.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { type Host, hostOf } from "../../src/socket/host.ts";
import { record } from "./adapter.ts";

const lab = `
nodes:
  host:
    interfaces: { eth0: { addresses: [10.77.0.1/24] } }
    routes: ["unreachable 10.78.0.0/24"]
  silent:
    interfaces: { eth0: { addresses: [10.77.0.2/24] } }
    iptables: |
      *filter
      -A INPUT -p tcp --dport 25 -j DROP
      -A INPUT -p tcp --dport 26 -j REJECT --reject-with icmp-host-prohibited
      -A INPUT -p tcp --dport 27 -j REJECT --reject-with icmp-net-unreachable
      -A INPUT -p tcp --dport 28 -j REJECT --reject-with tcp-reset
      COMMIT
links:
  - { endpoints: ["host:eth0", "silent:eth0"] }
`;

function fresh(): { host: Host; world: Parameters<typeof drive>[0] } {
  const built = buildLab(loadCore(), LabText.read("lab", lab));
  return { host: hostOf(built.nodes.get("host")!, nodePlatform), world: built.world };
}

const atOnce = ["connectionAttempt", "error", "close"];
const later = ["connectionAttempt", "connectionAttemptFailed", "error", "close"];
const to = (host: string, port = 80, more: object = {}): object => ({ host, port, ...more });

const cases: [options: object, message: string, events: string[], seconds: number][] = [
  [to("8.8.8.8"), "connect ENETUNREACH 8.8.8.8:80 - Local (0.0.0.0:0)", atOnce, 0],
  [to("10.77.0.9"), "connect EHOSTUNREACH 10.77.0.9:80", later, 3],
  [
    to("10.77.0.9", 80, { localAddress: "10.77.0.1", localPort: 4444 }),
    "connect EHOSTUNREACH 10.77.0.9:80 - Local (10.77.0.1:4444)",
    later,
    3,
  ],
  [to("10.78.0.9"), "connect EHOSTUNREACH 10.78.0.9:80 - Local (0.0.0.0:0)", atOnce, 0],
  [to("10.77.0.255"), "connect ENETUNREACH 10.77.0.255:80 - Local (0.0.0.0:0)", atOnce, 0],
  [to("255.255.255.255"), "connect ENETUNREACH 255.255.255.255:80 - Local (0.0.0.0:0)", atOnce, 0],
  [to("224.0.0.1"), "connect ENETUNREACH 224.0.0.1:80 - Local (0.0.0.0:0)", atOnce, 0],
  [to("0.0.0.0", 81), "connect ECONNREFUSED 0.0.0.0:81", later, 0],
  [to("8.8.8.8", 80, { localPort: 9000 }), "bind EADDRINUSE 0.0.0.0:9000", ["error", "close"], 0],
  [to("10.77.0.1", 0), "connect ECONNREFUSED 10.77.0.1", later, 0],
  [to("::1"), "connect EAFNOSUPPORT ::1:80 - Local (undefined:undefined)", atOnce, 0],
  // tcp_syn_retries 6: 127 seconds of silence
  [to("10.77.0.2", 25), "connect ETIMEDOUT 10.77.0.2:25", later, 127],
  [to("10.77.0.2", 26), "connect EHOSTUNREACH 10.77.0.2:26", later, 0],
  [to("10.77.0.2", 27), "connect ENETUNREACH 10.77.0.2:27", later, 0],
  [to("10.77.0.2", 28), "connect ECONNREFUSED 10.77.0.2:28", later, 0],
];

for (const [options, message, events, seconds] of cases) {
  it(`${JSON.stringify(options)}: ${message}`, async () => {
    const { host, world } = fresh();
    await drive(world, async () => {
      const server = host.net.createServer().listen(9000, "10.77.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
      const began = world.clock.now;
      const socket = host.net.connect(options);
      const seen = record(socket);
      const e = await new Promise<Error>((resolve) => socket.once("error", resolve));
      await new Promise((resolve) => socket.once("close", resolve));
      expect(e.message).toBe(message);
      expect(seen.map((s) => s.split(" ")[0])).toEqual(events);
      const took = (world.clock.now - began) / 1e9;
      expect(took).toBeGreaterThanOrEqual(seconds);
      expect(took).toBeLessThan(seconds * 1.05 + 0.2);
      server.close();
    });
    expect(host.handles).toBe(0);
  });
}

it("dgram says ENETUNREACH to whoever asks", async () => {
  const { host, world } = fresh();
  await drive(world, async () => {
    const s = host.dgram.createSocket("udp4");
    const sent = await new Promise<Error>((r) => s.send("x", 53, "8.8.8.8", (e: Error) => r(e)));
    expect(sent.message).toBe("send ENETUNREACH 8.8.8.8:53");
    const connected = await new Promise<Error>((r) => s.connect(53, "8.8.8.8", (e: Error) => r(e)));
    expect(connected.message).toBe("connect ENETUNREACH 8.8.8.8:53");
    s.close();
  });
});
