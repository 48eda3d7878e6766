// tests/support/hosts.ts: programs' hosts in small networks: a client and a server with a router between.

import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { loadCore } from "../../src/node/core.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { type Host, hostOf } from "../../src/socket/host.ts";

export interface Routed {
  readonly lab: Lab;
  readonly client: Host;
  readonly server: Host;
}

/** client 10.0.1.2 - router - 10.0.2.2 server; `netem` on both links, each way. They know each other by name. */
export function routed(netem = "", seed = 1): Routed {
  const impair = netem === "" ? "" : `, netem: "${netem}"`;
  const text = `
nodes:
  client:
    interfaces: { eth0: { addresses: [10.0.1.2/24] } }
    routes: ["default via 10.0.1.1"]
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [10.0.1.1/24] }, eth1: { addresses: [10.0.2.1/24] } }
  server:
    interfaces: { eth0: { addresses: [10.0.2.2/24] } }
    routes: ["default via 10.0.2.1"]
links:
  - { endpoints: ["client:eth0", "router:eth0"]${impair} }
  - { endpoints: ["router:eth1", "server:eth0"]${impair} }
`;
  const lab = buildLab(loadCore(), LabText.read("routed", text), { seed });
  const client = hostOf(lab.nodes.get("client")!, nodePlatform);
  const server = hostOf(lab.nodes.get("server")!, nodePlatform);
  for (const host of [client, server]) {
    host.dns.hosts.set("client", ["10.0.1.2"]);
    host.dns.hosts.set("server", ["10.0.2.2"]);
  }
  return { lab, client, server };
}

/** Hosts 10.0.1.2, 10.0.2.2 ... in networks of their own around one router; they know each other by name. */
export function starOf(names: readonly string[], netem: string): { lab: Lab; hosts: Record<string, Host> } {
  const impair = netem === "" ? "" : `, netem: "${netem}"`;
  const nodes = names.map(
    (name, i) => `
  ${name}:
    interfaces: { eth0: { addresses: [10.0.${i + 1}.2/24] } }
    routes: ["default via 10.0.${i + 1}.1"]`,
  );
  const ports = names.map((_, i) => `eth${i}: { addresses: [10.0.${i + 1}.1/24] }`);
  const links = names.map((name, i) => `\n  - { endpoints: ["${name}:eth0", "router:eth${i}"]${impair} }`);
  const text = `
nodes:${nodes.join("")}
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { ${ports.join(", ")} }
links:${links.join("")}
`;
  const lab = buildLab(loadCore(), LabText.read("star", text), { seed: 1 });
  const hosts: Record<string, Host> = {};
  for (const name of names) hosts[name] = hostOf(lab.nodes.get(name)!, nodePlatform);
  names.forEach((name, i) => {
    for (const host of Object.values(hosts)) if (host.name !== name) host.dns.hosts.set(name, [`10.0.${i + 1}.2`]);
  });
  return { lab, hosts };
}
