import { expect, it } from "vitest";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { runCommand } from "../../src/host/commands.ts";
import { TextError } from "../../src/host/text.ts";
import { coreOf } from "../support/cores.ts";

function host() {
  const text = `
nodes:
  nat:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { lan: { addresses: [10.0.0.1/24] }, wan: { addresses: [192.0.2.1/24] } }
    neighbours: ["192.0.2.9 dev wan lladdr 02:00:00:00:00:09 nud permanent"]
    iptables: |
      *nat
      -A POSTROUTING -o wan -j MASQUERADE
      COMMIT
    nftables: |
      table ip t {
        chain c {
          type filter hook input priority filter; policy accept;
        }
      }
`;
  return buildLab(coreOf("debug"), LabText.read("lab", text)).nodes.get("nat")!;
}

it("ip addr del takes away what was masqueraded with the address", () => {
  const ns = host();
  const { core, x } = ns.world;
  const payload = x.alloc(4);
  const frame = x.udpBuild(payload, 4, 0, 0, 0, 64, 0x0a000002, 1000, 0xc0000209, 53);
  x.etherPush(frame, ns.byName.get("lan")!.mac, ns.byName.get("wan")!.mac, 0x0800);
  core.u32[(frame + 36) >> 2] = 0;
  ns.world.backlog.push(ns.byName.get("lan")!, 0, frame);
  expect(ns.conntrack.list()).toHaveLength(1);
  expect(ns.conntrack.list()[0]).toContain("src=192.0.2.9 dst=192.0.2.1");
  runCommand(ns, "ip addr del 192.0.2.1/24 dev wan");
  expect(ns.conntrack.list()).toEqual([]);
});

it("nft lists and flushes", () => {
  const ns = host();
  expect(runCommand(ns, "nft list ruleset")).toContain("chain c");
  runCommand(ns, "nft flush ruleset");
  expect(runCommand(ns, "nft list ruleset")).toBe("");
});

it.each([
  ["frobnicate", 1, /unknown command 'frobnicate', expected ip, bridge, sysctl, tc, iptables or nft/],
  ["nft add rule x", 5, /expected 'list ruleset' or 'flush ruleset'/],
  ["ip route add 10.0.0.0/8 via nowhere", 29, /nowhere/],
  ["ip link set lan sideways", 17, /sideways/],
  ["ip link set nolan up", 13, /nat has no device 'nolan'/],
  ["sysctl -w net.ipv4.nothing=1", 11, /unknown sysctl/],
])("%s: says what and where", (line, column, what) => {
  const ns = host();
  const error = (() => {
    try {
      runCommand(ns, line);
    } catch (e) {
      return e;
    }
  })();
  expect(error).toBeInstanceOf(TextError);
  expect((error as TextError).message).toMatch(what);
  expect([(error as TextError).line, (error as TextError).column]).toEqual([1, column]);
});
