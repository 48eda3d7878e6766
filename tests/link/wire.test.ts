import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { packetFrom } from "../../src/core/packet.ts";
import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import type { Interface } from "../../src/link/interface.ts";
import { partition } from "../../src/link/wire.ts";
import { coreOf } from "../support/cores.ts";

const MS = 1_000_000;

const text = (links: string): string => `
nodes:
  a: { interfaces: { eth0: { addresses: [10.0.0.1/24] }, eth1: {} } }
  b: { interfaces: { eth0: { addresses: [10.0.0.2/24] } } }
  c: { interfaces: { eth0: {} } }
links:
${links}`;

function lab(links: string): Lab {
  return buildLab(coreOf("release"), LabText.read("x.yaml", text(links)), { seed: 3 });
}

const two = '  - { endpoints: ["a:eth0", "b:eth0"] }\n  - { endpoints: ["a:eth1", "c:eth0"] }\n';

function dev(l: Lab, node: string, name = "eth0"): Interface {
  return l.nodes.get(node)!.byName.get(name)!;
}

function send(l: Lab, from: Interface, n = 1): void {
  for (let i = 0; i < n; i++) from.transmit(packetFrom(l.world.core, new Uint8Array(60)));
}

describe("a lab's netem", () => {
  it("one string rules both directions", () => {
    const l = lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: "delay 10ms" }\n');
    send(l, dev(l, "a"));
    send(l, dev(l, "b"));
    expect([dev(l, "a").rxPackets, dev(l, "b").rxPackets]).toEqual([0, 0]);
    l.world.clock.advance(10 * MS);
    expect([dev(l, "a").rxPackets, dev(l, "b").rxPackets]).toEqual([1, 1]);
  });

  it("two are the first end's and the second's; an empty one leaves its direction alone", () => {
    const l = lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: ["delay 10ms", ""] }\n');
    send(l, dev(l, "b"));
    expect(dev(l, "a").rxPackets).toBe(1);
    send(l, dev(l, "a"));
    expect(dev(l, "b").rxPackets).toBe(0);
    l.world.clock.advance(10 * MS);
    expect(dev(l, "b").rxPackets).toBe(1);
  });

  it("what is wrong is said with its place in the file", () => {
    expect(() => lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: "delay 10ms loss 1x" }\n')).toThrow(
      "x.yaml:7:64: netem: '1x', expected a percentage, random, state or gemodel, 0% to 100%",
    );
    expect(() => lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: ["", "rate fast"] }\n')).toThrow(
      "x.yaml:7:58: netem: rate 'fast', expected one such as 1gbit",
    );
  });

  it("a timeline changes it", () => {
    const l = buildLab(
      coreOf("release"),
      LabText.read(
        "x.yaml",
        `${text(two)}timeline:
  - { at: 1s, node: a, run: ["tc qdisc add dev eth0 root netem loss 100%"] }
  - { at: 2s, node: a, run: ["tc qdisc del dev eth0 root"] }
`,
      ),
    );
    for (const at of [0.5, 1.5, 2.5]) {
      l.world.clock.advance(at * 1e9);
      send(l, dev(l, "a"));
    }
    expect(dev(l, "b").rxPackets).toBe(2);
    expect(l.nodes.get("a")!.drops[Drop.LinkLoss]).toBe(1);
  });
});

describe("links", () => {
  it("down: both ends lose what they send, counted; up again they do not", () => {
    const l = lab(two);
    const [link] = l.links;
    link!.down();
    link!.down();
    send(l, dev(l, "a"), 2);
    send(l, dev(l, "b"), 3);
    expect(l.nodes.get("a")!.drops[Drop.LinkDown]).toBe(2);
    expect(l.nodes.get("b")!.drops[Drop.LinkDown]).toBe(3);
    link!.up();
    expect(link!.whole).toBe(true);
    send(l, dev(l, "a"));
    expect(dev(l, "b").rxPackets).toBe(1);
    expect(l.world.x.packetsInUse()).toBe(0);
  });

  it("what is under way when the carrier goes is lost; netem is there again afterwards", () => {
    const l = lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: "delay 10ms" }\n');
    send(l, dev(l, "a"), 3);
    l.links[0]!.down();
    expect(l.nodes.get("a")!.drops[Drop.LinkDown]).toBe(3);
    l.links[0]!.up();
    send(l, dev(l, "a"));
    expect(dev(l, "b").rxPackets).toBe(0);
    while (l.world.clock.step());
    expect(dev(l, "b").rxPackets).toBe(1);
  });

  it("a device that goes down lets nothing out that still waited", () => {
    const l = lab('  - { endpoints: ["a:eth0", "b:eth0"], netem: "delay 10ms" }\n');
    send(l, dev(l, "a"), 2);
    l.nodes.get("a")!.setLink(dev(l, "a"), false);
    expect(l.nodes.get("a")!.drops[Drop.LinkDown]).toBe(2);
    l.nodes.get("a")!.setLink(dev(l, "a"), true);
    while (l.world.clock.step());
    expect(dev(l, "b").rxPackets).toBe(0);
    expect(l.nodes.get("a")!.drops[Drop.LinkDown]).toBe(2);
  });

  it("partitions cut what lies between the sides, and add up", () => {
    const l = lab(two);
    const first = partition(l.links, ["a"], ["b"]);
    const second = partition(l.links, ["b", "c"], ["a"]);
    send(l, dev(l, "a"));
    send(l, dev(l, "a", "eth1"));
    expect([dev(l, "b").rxPackets, dev(l, "c").rxPackets]).toEqual([0, 0]);
    second.heal();
    second.heal();
    send(l, dev(l, "a"));
    send(l, dev(l, "a", "eth1"));
    expect([dev(l, "b").rxPackets, dev(l, "c").rxPackets]).toEqual([0, 1]);
    first.heal();
    send(l, dev(l, "a"));
    expect(dev(l, "b").rxPackets).toBe(1);
    expect(() => partition(l.links, ["b"], ["c"])).toThrow("no link joins b and c");
  });

  it("setNetem: a device of another link is a mistake", () => {
    const l = lab(two);
    expect(() => l.links[0]!.setNetem(dev(l, "c"), null)).toThrow("c:eth0 is no end of this link");
  });
});
