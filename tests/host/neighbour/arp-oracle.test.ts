// A real kernel's afternoon with ARP, frame by frame: what this table sends must be what Linux sent, in its order.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatIpv4, formatMac } from "../../../src/core/address.ts";
import { Nud, nudName, VALID } from "../../../src/host/neighbour/neighbour.ts";
import { overBuilds } from "../../support/cores.ts";
import { makeWorld } from "../../support/owner.ts";
import { NeighbourTestHost } from "../../support/neighbourhost.ts";

const lines = readFileSync(new URL("../../../fixtures/arp.frames", import.meta.url), "utf8").trim().split("\n");

overBuilds("ARP as Linux 6.18 does it", (core) => {
  test("every frame of lan, and the table after every question", () => {
    const world = makeWorld(core());
    const host = new NeighbourTestHost(world);
    const lan = host.add("lan", "02:00:0a:01:00:01", "10.1.0.1/24", "10.1.0.100/24");
    const wan = host.add("wan", "02:00:0a:03:00:01", "10.3.0.1/24");
    host.route("192.0.2.0/24", "10.3.0.2", wan);
    host.route("198.51.100.0/24", "10.1.0.77", lan);
    host.sysctl.set("net.ipv4.ip_forward", 1);
    host.sysctl.set("net.ipv4.neigh.lan.delay_first_probe_time", 1);
    host.sysctl.set("net.ipv4.neigh.lan.base_reachable_time_ms", 2000);
    host.neighbours.load("10.3.0.2 dev wan lladdr 02:00:0a:03:00:02 nud permanent");

    const expected: string[] = [];
    for (const [i, line] of lines.entries()) {
      const [time, what, ...rest] = line.split(" ");
      if (time === "neigh") {
        // the kernel was asked at some moment before the next line: soon, or, after probes that waited, late
        const next = lines[i + 1];
        const rows = line.slice(6).split(", ").toSorted();
        const late = next === undefined ? world.clock.now : Math.max(world.clock.now, at(next) - 1000);
        world.clock.advance(Math.min(world.clock.now + 15e6, late));
        if (tableOf(host).join() !== rows.join()) world.clock.advance(late);
        expect(tableOf(host), `line ${i + 1}`).toEqual(rows);
        continue;
      }
      if (what === "lan" && rest[0] === "T") {
        expected.push(rest[1]!);
        continue;
      }
      if (what === "wan" && rest[0] === "T") continue;
      world.clock.advance(at(line));
      if (what === "lan" || what === "wan") host.feed(what === "lan" ? lan : wan, Buffer.from(rest[1]!, "hex"));
      else if (what === "send") host.send(rest[0]!, rest[1]!);
      else if (what === "run" && rest[0] === "sysctl") {
        const [name, value] = rest[2]!.split("=");
        host.sysctl.set(name!, value!);
      } else if (what === "run") {
        lan.up = rest[4] === "up";
        if (lan.up) host.neighbours.linkUp(lan);
        else host.neighbours.linkDown(lan);
      }
    }
    // the router's own UDP packets never left: nobody answered for them
    const sent = host.sent.filter((s) => s.dev === "lan").map((s) => Buffer.from(s.bytes).toString("hex"));
    expect(sent).toEqual(expected);
    world.clock.advance(world.clock.now + 400e9);
    expect(world.x.packetsInUse()).toBe(0);
    expect(world.clock.pending).toBe(0);
  });
});

function tableOf(host: NeighbourTestHost): string[] {
  const rows: string[] = [];
  for (const n of host.neighbours.all()) {
    if (n.state === Nud.Noarp || n.state === Nud.None) continue;
    const mac = (n.state & VALID) === 0 ? "-" : formatMac(host.world.core.u8, n.hw);
    rows.push(`${formatIpv4(n.address)} ${n.dev.name} ${mac} ${nudName(n.state)}`);
  }
  return rows.toSorted();
}

function at(line: string): number {
  return Math.round(Number(line.split(" ")[0]) * 1e9);
}
