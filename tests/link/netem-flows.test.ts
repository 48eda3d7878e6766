// Flows whose way a host remembers (src/host/flowtable.ts) meet netem and cuts all the same.

import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { parseIpv4 } from "../../src/core/address.ts";
import { runCommand } from "../../src/host/commands.ts";
import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { coreOf } from "../support/cores.ts";

const text = `
nodes:
  a: { interfaces: { eth0: { addresses: [10.0.1.2/24] } }, routes: ["default via 10.0.1.1"] }
  host:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces:
      eth0: { addresses: [10.0.1.1/24] }
      docker0: { kind: bridge, ports: [veth1], addresses: [172.17.0.1/16] }
      veth1: {}
  web: { interfaces: { eth0: { addresses: [172.17.0.2/16] } }, routes: ["default via 172.17.0.1"], listen: ["udp 53"] }
links:
  - { endpoints: ["a:eth0", "host:eth0"] }
  - { endpoints: ["host:veth1", "web:eth0"] }
`;

function flow(): { lab: Lab; send: (n: number) => number } {
  const lab = buildLab(coreOf("release"), LabText.read("x", text), { seed: 5 });
  const a = lab.nodes.get("a")!;
  const web = lab.nodes.get("web")!.byName.get("eth0")!;
  const [src, dst] = [parseIpv4("10.0.1.2")!, parseIpv4("172.17.0.2")!];
  return {
    lab,
    send: (n) => {
      const before = web.rxPackets;
      for (let i = 0; i < n; i++) a.originate.udp(src, 1000, dst, 53, Uint8Array.of(i), 0);
      for (let i = 0; i < 1e5 && lab.world.clock.next() < lab.world.clock.now + 1e9; i++) lab.world.clock.step();
      return web.rxPackets - before;
    },
  };
}

const run = (lab: Lab, line: string): string => runCommand(lab.nodes.get("host")!, line);

describe("a flow that is under way", () => {
  it.each(["veth1", "docker0", "eth0"])("netem on %s takes effect at once, and ends at once", (dev) => {
    const { lab, send } = flow();
    send(5);
    expect(send(50)).toBe(50);
    // what comes back by eth0 is nothing: there it only must not get in the way
    const lossy = dev === "eth0" ? 50 : 0;
    run(lab, `tc qdisc add dev ${dev} root netem loss 100%`);
    expect(send(50)).toBe(lossy);
    expect(send(50)).toBe(lossy);
    expect(lab.nodes.get("host")!.drops[Drop.LinkLoss]).toBe(100 - 2 * lossy);
    run(lab, `tc qdisc change dev ${dev} root netem delay 1ms`);
    expect(send(50)).toBe(50);
    run(lab, `tc qdisc del dev ${dev} root`);
    expect(send(50)).toBe(50);
    expect(lab.world.x.packetsInUse()).toBe(0);
  });

  it("netem that loses nothing at first is passed by each packet of the flow", () => {
    const { lab, send } = flow();
    run(lab, "tc qdisc add dev docker0 root netem loss 0%");
    send(5);
    send(50);
    expect(run(lab, "tc -s qdisc show dev docker0")).toMatch(/ 5[0-9] pkt \(dropped 0/);
    run(lab, "tc qdisc change dev docker0 root netem loss 100%");
    expect(send(50)).toBe(0);
  });

  it("a cut wire lets nothing through, whichever it is", () => {
    const { lab, send } = flow();
    send(5);
    for (const link of lab.links) {
      expect(send(20)).toBe(20);
      link.down();
      expect(send(20)).toBe(0);
      link.up();
    }
    expect(send(20)).toBe(20);
  });
});
