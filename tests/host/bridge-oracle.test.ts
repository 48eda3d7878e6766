// Four ports of a real kernel's bridge and 90 frames: what this bridge and its host send must be what Linux sent, in its order.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { overBuilds } from "../support/cores.ts";
import { TestNode } from "../support/node.ts";

const lines = readFileSync(new URL("../../fixtures/bridge-learning.frames", import.meta.url), "utf8")
  .trim()
  .split("\n");

overBuilds("a bridge as Linux 6.18 does it", (core) => {
  test("every frame of every port, in the kernel's order", () => {
    const node = new TestNode(core(), "sw");
    const ports = [1, 2, 3, 4].map((k) => node.wire(`p${k}`, `02:00:00:00:0b:0${k}`));
    node.bridge("br0", "02:00:00:00:0b:00", ports, "192.168.7.1/24");
    node.run("sysctl -w net.bridge.bridge-nf-call-iptables=0");
    const { clock } = node.world;
    const expected: string[] = [];
    for (const line of lines) {
      const [time, what, dir, ...rest] = line.split(" ");
      if (dir === "T") {
        if (what !== "br0") expected.push(`${what} ${comparable(rest[0]!)}`);
        continue;
      }
      clock.advance(Math.round(Number(time) * 1e9));
      if (what === "run") node.run([dir, ...rest].join(" "));
      else if (what === "note")
        node.ns.originate.raw(1, 0xc0a80701, 0xc0a8070c, Buffer.from("0800f7fe00000001", "hex"), 0);
      else if (what !== "br0") node.feed(ports[Number(what!.slice(1)) - 1]!, rest[0]!);
    }
    expect(node.take().map((s) => `${s.dev} ${comparable(s.hex)}`)).toEqual(expected);
    expect(node.run("bridge fdb show brport p2")).toBe(
      "02:00:00:00:0a:55 dev p2 master br0 static\n02:00:00:00:0b:02 dev p2 master br0 permanent\n",
    );
    expect(node.settle()).toBe(0);
  });
});

/** An echo reply's IP id is the host's own choice. */
function comparable(hex: string): string {
  if (hex.slice(24, 28) !== "0800") return hex;
  return `${hex.slice(0, 36)}....${hex.slice(40, 48)}....${hex.slice(52)}`;
}
