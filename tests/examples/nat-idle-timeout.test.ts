// A worked example: a keep-alive connection through a NAT that forgets idle connections.

import http from "node:http";
import { describe, expect, it } from "vitest";
import { lab } from "../../src/vitest.ts";

/** A home network: what the router does with packets of connections that it forgot is `forgotten`. */
const network = (forgotten: string): string => `
nodes:
  laptop:
    interfaces: { eth0: { addresses: [192.168.1.10/24] } }
    routes: ["default via 192.168.1.1"]
  router:
    interfaces:
      lan: { addresses: [192.168.1.1/24] }
      wan: { addresses: [203.0.113.7/24] }
    sysctl:
      net.ipv4.ip_forward: 1
      net.netfilter.nf_conntrack_tcp_timeout_established: 300
      net.netfilter.nf_conntrack_tcp_loose: 0
    iptables: |
      *nat
      -A POSTROUTING -o wan -j MASQUERADE
      COMMIT
      *filter
      -A FORWARD -m conntrack --ctstate INVALID ${forgotten}
      COMMIT
  server:
    interfaces: { eth0: { addresses: [203.0.113.80/24] } }
links:
  - { endpoints: ["laptop:eth0", "router:lan"], netem: "delay 2ms" }
  - { endpoints: ["router:wan", "server:eth0"], netem: "delay 10ms" }
`;

const minutes = (n: number): Promise<void> => new Promise((done) => setTimeout(done, n * 60_000));

/** GET / by the agent: the body, and whether the connection had served before. */
function get(agent: http.Agent): Promise<string> {
  return new Promise((done, fail) => {
    const request = http.get("http://server/", { agent }, (answer) => {
      let body = "";
      answer.on("data", (d: Buffer) => (body += d.toString()));
      answer.on("end", () => done(`${body}${request.reusedSocket ? ", on the old connection" : ""}`));
      answer.on("error", fail);
    });
    request.on("error", fail);
  });
}

/** A server that never closes idle connections. */
function patientServer(): http.Server {
  const server = http.createServer((_request, answer) => answer.end("hello"));
  server.keepAliveTimeout = 0;
  return server;
}

describe("a keep-alive connection behind a NAT with an idle timeout of five minutes", () => {
  it("is used again after four minutes", async () => {
    const net = lab(network("-j DROP"));
    await net.run(async () => {
      net.listen("server", 80, patientServer());
      const agent = net.agent("laptop", { keepAlive: true, keepAliveMsecs: 3600_000 });
      expect(await get(agent)).toBe("hello");
      await minutes(4);
      expect(await get(agent)).toBe("hello, on the old connection");
      agent.destroy();
    });
    expect(net.drops).toEqual([]);
  });

  it("is dead after ten: the router drops what it does not know, and the request times out after a quarter of an hour", async () => {
    const net = lab(network("-j DROP"));
    await net.run(async () => {
      net.listen("server", 80, patientServer());
      const agent = net.agent("laptop", { keepAlive: true, keepAliveMsecs: 3600_000 });
      await get(agent);
      await minutes(10);
      const from = Date.now();
      await expect(get(agent)).rejects.toMatchObject({ code: "ETIMEDOUT", syscall: "read" });
      // tcp_retries2: 15 times, 924.6 s and the wait before the first
      expect((Date.now() - from) / 1000).toBeGreaterThan(900);
      expect((Date.now() - from) / 1000).toBeLessThan(1000);
      // the next request opens a new connection
      expect(await get(agent)).toBe("hello");
      agent.destroy();
    });
    expect(new Set(net.drops.map((d) => `${d.node} ${d.reason}`))).toEqual(new Set(["router Netfilter"]));
    const [first, last] = [net.drops[0]!, net.drops[net.drops.length - 1]!];
    expect(net.drops.length).toBeGreaterThanOrEqual(15);
    expect(last.time - first.time).toBeGreaterThan(800);
  });

  it("is reset where the router refuses what it does not know, as AWS's NAT gateway does", async () => {
    const net = lab(network("-p tcp -j REJECT --reject-with tcp-reset"));
    await net.run(async () => {
      net.listen("server", 80, patientServer());
      const agent = net.agent("laptop", { keepAlive: true, keepAliveMsecs: 3600_000 });
      await get(agent);
      await minutes(10);
      await expect(get(agent)).rejects.toMatchObject({ code: "ECONNRESET" });
      agent.destroy();
    });
    expect(net.frames({ at: "laptop:eth0", filter: "tcp[tcpflags] & tcp-rst != 0" }).length).toBe(1);
  });

  it("stays alive with TCP keepalive below the timeout, for a day", async () => {
    const net = lab(network("-j DROP"));
    await net.run(async () => {
      net.listen("server", 80, patientServer());
      const agent = net.agent("laptop", { keepAlive: true, keepAliveMsecs: 120_000 });
      await get(agent);
      for (let hour = 0; hour < 24; hour++) {
        await minutes(60);
        expect(await get(agent)).toBe("hello, on the old connection");
      }
      agent.destroy();
    });
    // what a probe asks again is old to the server, which answers it and drops it
    expect(net.drops.filter((d) => d.node === "router")).toEqual([]);
    expect(net.time).toBeGreaterThan(24 * 3600);
  });
});
