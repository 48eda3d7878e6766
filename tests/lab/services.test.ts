// A lab whose nodes run name servers: from the client's dns.lookup over the ISP's resolver, the root and the TLD to the answer.

import { describe, expect, it } from "vitest";
import { SECOND } from "../../src/link/clock.ts";
import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { loadCore } from "../../src/node/core.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { hostOf } from "../../src/socket/host.ts";

const lab = `
nodes:
  client:
    interfaces: { eth0: { addresses: [10.0.0.2/24] } }
    routes: ["default via 10.0.0.1"]
    hosts: |
      10.0.0.1 isp
    resolv_conf: |
      nameserver 10.0.0.1
      search example.com
  isp:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [10.0.0.1/24] }, eth1: { addresses: [192.0.2.1/24] } }
    services:
      - resolver: { hints: [192.0.2.53], allow: [10.0.0.0/24], listen: 10.0.0.1 }
  servers:
    interfaces: { eth0: { addresses: [192.0.2.53/24, 192.0.2.54/24, 192.0.2.55/24] } }
    routes: ["default via 192.0.2.1"]
    services:
      - dns:
          listen: 192.0.2.53
          zones:
            .: |
              . 86400 SOA a.root hostmaster 1 7200 900 1209600 86400
              . 86400 NS a.root
              a.root 86400 A 192.0.2.53
              com 86400 NS a.gtld.com
              a.gtld.com 86400 A 192.0.2.54
      - dns:
          listen: 192.0.2.54
          zones:
            com: |
              @ 86400 SOA a.gtld hostmaster 1 7200 900 1209600 86400
              @ 86400 NS a.gtld
              a.gtld 86400 A 192.0.2.54
              example 86400 NS ns.example
              ns.example 86400 A 192.0.2.55
      - dns:
          listen: 192.0.2.55
          order: cyclic
          zones:
            example.com: |
              $TTL 300
              @ SOA ns hostmaster 1 7200 900 1209600 300
              @ NS ns
              ns A 192.0.2.55
              www CNAME web
              web A 198.51.100.1
              web A 198.51.100.2
links:
  - { endpoints: ["client:eth0", "isp:eth0"], netem: "delay 5ms" }
  - { endpoints: ["isp:eth1", "servers:eth0"], netem: "delay 20ms" }
`;

function built(text = lab): Lab {
  return buildLab(loadCore(), LabText.read("lab.yaml", text));
}

function wrong(text: string): string {
  try {
    built(text);
  } catch (e) {
    return (e as Error).message;
  }
  return "accepted";
}

describe("services", () => {
  it("answer a program's dns.lookup", async () => {
    const { world, nodes, programs } = built();
    const { dns } = hostOf(nodes.get("client")!, nodePlatform);
    const out: unknown[] = [];
    const run = async (name: string, options: object = {}): Promise<unknown> => {
      dns.lookup(name, options, (error: Error | null, address: unknown) => out.push(error?.message ?? address));
      world.clock.advance(world.clock.now + 20 * SECOND);
      await new Promise<void>((done) => process.nextTick(done));
      return out.pop();
    };
    expect(await run("www.example.com")).toBe("198.51.100.1");
    // found by searching, in the resolver's memory by now
    expect(await run("www", { all: true })).toEqual([
      { address: "198.51.100.1", family: 4 },
      { address: "198.51.100.2", family: 4 },
    ]);
    expect(await run("isp", { family: 6 })).toBe("getaddrinfo ENOTFOUND isp");
    expect(await run("none.example.com")).toBe("getaddrinfo ENOTFOUND none.example.com");
    expect(await run("www.example.org")).toBe("getaddrinfo ENOTFOUND www.example.org");
    expect(Array.from(programs, ([node, list]) => [node, list.map((p) => p.name)])).toEqual([
      ["client", []],
      ["isp", ["resolver"]],
      ["servers", ["named", "named", "named"]],
    ]);
    // the ISP's resolver is gone: another time, perhaps
    programs.get("isp")![0]!.stop();
    expect(await run("other.example.com")).toBe("getaddrinfo EAI_AGAIN other.example.com");
  });

  it("say what they do in the trace", () => {
    const { world, nodes } = built();
    const lines: string[] = [];
    world.tracer = (e) => {
      if (e.kind === "program") lines.push(`${(e.time / 1e6).toFixed(1)} ${e.node} ${e.text}`);
    };
    hostOf(nodes.get("client")!, nodePlatform).dns.lookup("www.example.com", {}, () => {});
    world.clock.advance(SECOND);
    expect(lines.map((l) => l.replace(/^\S+ /, ""))).toEqual([
      "isp resolver: asks 192.0.2.53 of . for www.example.com A",
      "servers named: 192.0.2.1 www.example.com A: NOERROR, 0 answers",
      "isp resolver: asks 192.0.2.54 of com for www.example.com A",
      "servers named: 192.0.2.1 www.example.com A: NOERROR, 0 answers",
      "isp resolver: asks 192.0.2.55 of example.com for www.example.com A",
      "servers named: 192.0.2.1 www.example.com A: NOERROR, 3 answers",
      "isp resolver: 10.0.0.2 www.example.com A: NOERROR, 3 answers",
    ]);
  });

  it("run once more with the same bytes", () => {
    const run = (): string => {
      const { world, nodes } = built();
      const seen: string[] = [];
      world.tracer = (e) => {
        if (e.kind === "transmit" || e.kind === "program") seen.push(`${e.time} ${e.node} ${e.iface} ${e.text}`);
      };
      hostOf(nodes.get("client")!, nodePlatform).dns.lookup("www.example.com", {}, () => {});
      world.clock.advance(20 * SECOND);
      expect(seen.length).toBeGreaterThan(20);
      return seen.join("\n");
    };
    expect(run()).toBe(run());
  });

  const replaced = (from: string, to: string): string => {
    expect(lab.split(from)).toHaveLength(2);
    return lab.replace(from, to);
  };
  it.each([
    [
      "www CNAME web\n",
      "www CNAME web web\n",
      "lab.yaml:47:29: 'web' behind the data, expected the end of the CNAME record",
    ],
    ["              @ NS ns\n", "", "lab.yaml:43:15: the zone 'example.com' has no NS, expected one at its apex"],
    [
      "            example.com: |",
      "            example..com: |",
      "lab.yaml:42:13: 'example..com' has an empty label, expected 1 to 63 bytes",
    ],
    [
      "hints: [192.0.2.53]",
      "hints: [192.0.2]",
      "lab.yaml:15:29: '192.0.2' is no IPv4 address, expected one such as 192.0.2.1",
    ],
    [
      "hints: [192.0.2.53]",
      "hints: []",
      "lab.yaml:15:19: a resolver that knows nobody to ask, expected hints, forward or zones",
    ],
    [
      "allow: [10.0.0.0/24]",
      "allow: [10.0.0.0/44]",
      "lab.yaml:15:50: '10.0.0.0/44' is no prefix, expected one such as 10.0.0.0/8",
    ],
    ["- resolver: {", "- resolve: {", "lab.yaml:15:9: unknown key 'resolve'"],
    [
      "- resolver: { hints",
      "- dns: { zones: {} }\n        resolver: { hints",
      "lab.yaml:15:9: 2 programs in one entry, expected one of dns, resolver, files, app, proxy, postgres, compose",
    ],
    ["listen: 10.0.0.1 }", "listen: 10.0.0.9 }", "lab.yaml:15:9: resolver does not start on isp: EADDRNOTAVAIL"],
    [
      "listen: 192.0.2.54",
      "listen: 192.0.2.53",
      "lab.yaml:29:9: named does not start on servers: its port is taken, expected one that is free",
    ],
    ["nameserver 10.0.0.1", "nameserver ten", "lab.yaml:9:18: 'ten' is no IPv4 address, expected a name server's"],
    ["10.0.0.1 isp", "10.0.0.1", "lab.yaml:7:15: an address without a name, expected one behind it"],
  ])("%j as %j is refused with its place", (from, to, want) => {
    expect(wrong(replaced(from, to))).toBe(want);
  });
});
