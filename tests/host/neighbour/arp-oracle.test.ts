// A real kernel's afternoon with ARP, frame by frame: what this router sends must be what Linux sent, in its order.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatIpv4, formatMac } from "../../../src/core/address.ts";
import { Nud, nudName, VALID } from "../../../src/host/neighbour/neighbour.ts";
import { overBuilds } from "../../support/cores.ts";
import { TestNode } from "../../support/node.ts";

const lines = readFileSync(new URL("../../../fixtures/arp.frames", import.meta.url), "utf8")
  .trim()
  .split("\n");

overBuilds("ARP as Linux 6.18 does it", (core) => {
  test("every frame of lan, and the table after every question", () => {
    const node = new TestNode(core(), "r");
    const lan = node.wire("lan", "02:00:0a:01:00:01", "10.1.0.1/24", "10.1.0.100/24");
    const wan = node.wire("wan", "02:00:0a:03:00:01", "10.3.0.1/24");
    node.run(
      "ip route add 192.0.2.0/24 via 10.3.0.2",
      "ip route add 198.51.100.0/24 via 10.1.0.77",
      "sysctl -w net.ipv4.ip_forward=1 net.ipv4.icmp_ratemask=0",
      "sysctl -w net.ipv4.neigh.lan.delay_first_probe_time=1 net.ipv4.neigh.lan.base_reachable_time_ms=2000",
      "ip neigh add 10.3.0.2 dev wan lladdr 02:00:0a:03:00:02 nud permanent",
    );
    const { clock } = node.world;
    const expected: string[] = [];
    for (const [i, line] of lines.entries()) {
      const [time, what, ...rest] = line.split(" ");
      if (time === "neigh") {
        // the kernel was asked at some moment before the next line: soon, or, after probes that waited, late
        const next = lines[i + 1];
        const rows = line.slice(6).split(", ").toSorted();
        const late = next === undefined ? clock.now : Math.max(clock.now, at(next) - 1000);
        clock.advance(Math.min(clock.now + 15e6, late));
        if (tableOf(node).join() !== rows.join()) clock.advance(late);
        expect(tableOf(node), `line ${i + 1}`).toEqual(rows);
      } else if (rest[0] === "T") {
        if (what === "lan") expected.push(rest[1]!);
      } else {
        clock.advance(at(line));
        if (what === "lan") node.feed(lan, rest[1]!);
        else if (what === "wan") node.feed(wan, rest[1]!);
        else if (what === "send") {
          const [src, dst] = rest.map((a) => a.split(".").reduce((v, b) => v * 256 + Number(b), 0));
          node.ns.originate.udp(src!, 3000, dst!, 9, Buffer.from("x"), 0);
        } else if (what === "run") node.run(rest.join(" "));
      }
    }
    // nobody answered for the router's own packets
    expect(
      node
        .take()
        .filter((s) => s.dev === "lan")
        .map((s) => s.hex),
    ).toEqual(expected);
    expect(node.settle()).toBe(0);
  });
});

function at(line: string): number {
  return Math.round(Number(line.split(" ")[0]) * 1e9);
}

function tableOf(node: TestNode): string[] {
  const rows: string[] = [];
  for (const n of node.ns.neighbours.all()) {
    if (n.state === Nud.Noarp || n.state === Nud.None) continue;
    const mac = (n.state & VALID) === 0 ? "-" : formatMac(node.world.core.u8, n.hw);
    rows.push(`${formatIpv4(n.address)} ${n.dev.name} ${mac} ${nudName(n.state)}`);
  }
  return rows.toSorted();
}
