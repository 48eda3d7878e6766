// The words of bridge(8) and `ip link ... type bridge`: what they change, what they print, what they refuse.

import { expect, test } from "vitest";
import { TextError } from "../../src/host/text.ts";
import { loadFdb } from "../../src/host/bridgecommand.ts";
import { coreOf } from "../support/cores.ts";
import { TestNode } from "../support/node.ts";

function setup() {
  const node = new TestNode(coreOf("debug"));
  const ports = [1, 2].map((k) => node.wire(`p${k}`, `02:00:00:00:0b:0${k}`));
  node.wire("eth0", "02:00:00:00:0b:09");
  node.bridge("bx", "02:00:00:00:0b:00", ports);
  const bridge = node.ns.bridges.get("bx")!;
  return { node, bridge, p1: bridge.port("p1")!, run: (...lines: string[]) => node.run(...lines) };
}

test("bridge fdb: entries as Linux 6.18 and iproute2 6.1 list them", () => {
  const t = setup();
  t.run(
    "bridge fdb add 02:00:00:00:0a:55 dev p1 master static",
    "bridge fdb add 02:00:00:00:0a:56 dev p1 master dynamic",
    "bridge fdb add 02:00:00:00:0a:57 dev p1 master",
  );
  expect(t.run("bridge fdb show br bx")).toBe(
    [
      "02:00:00:00:0a:57 dev p1 master bx permanent",
      "02:00:00:00:0a:56 dev p1 master bx ",
      "02:00:00:00:0a:55 dev p1 master bx static",
      "02:00:00:00:0b:01 dev p1 master bx permanent",
      "02:00:00:00:0b:02 dev p2 master bx permanent",
      "02:00:00:00:0b:00 dev bx master bx permanent",
      "",
    ].join("\n"),
  );
  expect(t.run("bridge fdb show dev p2")).toBe("02:00:00:00:0b:02 dev p2 master bx permanent\n");
  expect(t.run("bridge fdb show br bx dynamic")).toBe("02:00:00:00:0a:56 dev p1 master bx \n");
  // as the kernel does: append and replace move and change what is there
  t.run("bridge fdb append 02:00:00:00:0a:57 dev p2 master static", "bridge fdb add 02:00:00:00:0a:60 dev bx");
  expect(t.run("bridge fdb show dev p2")).toContain("02:00:00:00:0a:57 dev p2 master bx static\n");
  expect(t.run("bridge fdb show dev bx")).toContain("02:00:00:00:0a:60 dev bx master bx permanent\n");
  t.run("bridge fdb replace 02:00:00:00:0a:55 dev p1 master static sticky");
  expect(t.run("bridge fdb")).toContain("02:00:00:00:0a:55 dev p1 master bx sticky static\n");
  t.run("bridge fdb del 02:00:00:00:0a:55 dev p1 master");
  expect(t.run("bridge fdb")).not.toContain("0a:55");
});

test("bridge fdb flush: everything of a port or a bridge, or only some kinds", () => {
  const t = setup();
  const lines = () => t.run("bridge fdb").trim().split("\n");
  t.run(
    "bridge fdb add 02:00:00:00:0a:55 dev p1 master static",
    "bridge fdb add 02:00:00:00:0a:56 dev p1 master dynamic",
  );
  t.run("bridge fdb flush dev bx dynamic");
  expect(lines()).toHaveLength(4);
  t.run("bridge fdb flush dev bx nopermanent");
  expect(lines()).toHaveLength(3);
  t.run("bridge fdb flush dev p1 master");
  expect(lines()).toEqual([
    "02:00:00:00:0b:02 dev p2 master bx permanent",
    "02:00:00:00:0b:00 dev bx master bx permanent",
  ]);
  t.run("bridge fdb flush dev bx");
  expect(t.run("bridge fdb")).toBe("");
});

test("what bridge fdb show prints can be loaded again and changes nothing", () => {
  const t = setup();
  t.run("bridge fdb add 02:00:00:00:0a:55 dev p1 master static");
  const before = t.run("bridge fdb");
  for (const line of before.trim().split("\n")) loadFdb(t.node.ns, line);
  for (const line of ["02:00:00:00:0b:00 dev bx master permanent", "33:33:00:00:00:01 dev p1 self permanent"])
    loadFdb(t.node.ns, line);
  expect(t.run("bridge fdb")).toBe(before);
});

test("bridge link: flags in and out", () => {
  const t = setup();
  t.run(
    "bridge link set dev p1 hairpin on guard on learning off flood off mcast_flood off bcast_flood off isolated on cost 7",
  );
  expect(t.run("bridge -d link show dev p1")).toBe(
    "2: p1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master bx state forwarding priority 32 cost 7 \n" +
      "    hairpin on guard on root_block off fastleave off learning off flood off mcast_flood off bcast_flood off " +
      "mcast_router 1 mcast_to_unicast off neigh_suppress off vlan_tunnel off isolated on locked off \n",
  );
  t.run("bridge link set dev p1 state 2");
  expect(t.run("bridge link").split("\n")[0]).toContain("state learning");
  t.run("ip link set p1 down");
  expect(t.run("bridge link show dev p1")).toBe(
    "2: p1: <BROADCAST,MULTICAST> mtu 1500 master bx state disabled priority 32 cost 7 \n",
  );
});

test("bridge vlan: members, PVID and untagged set", () => {
  const t = setup();
  t.run(
    "ip link set bx type bridge vlan_filtering 1",
    "bridge vlan add vid 10-12 dev p1",
    "bridge vlan add vid 20 dev p1 pvid untagged",
  );
  t.run("bridge vlan del vid 11 dev p1", "bridge vlan add vid 10 dev bx self");
  expect(t.run("bridge vlan show")).toBe(
    [
      "port              vlan-id  ",
      "p1                1 Egress Untagged",
      "                  10",
      "                  12",
      "                  20 PVID Egress Untagged",
      "p2                1 PVID Egress Untagged",
      "bx                1 PVID Egress Untagged",
      "                  10",
      "",
    ].join("\n"),
  );
  expect(t.run("bridge fdb show dev bx")).toBe(
    "02:00:00:00:0b:00 dev bx vlan 10 master bx permanent\n02:00:00:00:0b:00 dev bx vlan 1 master bx permanent\n" +
      "02:00:00:00:0b:00 dev bx master bx permanent\n",
  );
  t.run("bridge fdb add 02:00:00:00:0a:55 dev p1 master static vlan 20");
  expect(t.run("bridge fdb show dev p1 vlan 20")).toContain("02:00:00:00:0a:55 dev p1 vlan 20 master bx static\n");
});

test("vlan_default_pvid moves ports that still have the old one", () => {
  const t = setup();
  t.run("bridge vlan add vid 5 dev p1 pvid untagged", "ip link set bx type bridge vlan_default_pvid 7");
  expect([t.p1.vlans.pvid, t.bridge.port("p2")!.vlans.pvid, t.bridge.vlans.pvid]).toEqual([5, 7, 7]);
  expect(t.bridge.port("p2")!.vlans.has(1)).toBe(false);
  t.run("ip link set bx type bridge vlan_default_pvid 0");
  expect([t.p1.vlans.pvid, t.bridge.port("p2")!.vlans.pvid]).toEqual([5, 0]);
});

test("bridge options", () => {
  const t = setup();
  t.run(
    "ip link set bx type bridge ageing_time 100 group_fwd_mask 0x4000 fdb_max_learned 9 no_linklocal_learn 1 vlan_protocol 802.1ad",
  );
  const b = t.bridge;
  expect([b.ageing, b.groupFwdMask, b.fdb.maxLearned, b.noLinklocalLearn, b.vlanProtocol]).toEqual([
    100,
    0x4000,
    9,
    true,
    0x88a8,
  ]);
  t.run("ip link set bx type bridge stp_state 0 mcast_snooping 1 forward_delay 1500 priority 32768");
});

test("ip link: ports join and leave, addresses change, learned entries are flushed", () => {
  const t = setup();
  t.run("ip link set p2 nomaster");
  expect(t.run("bridge link show dev p2") + t.run("bridge fdb show dev p2")).toBe("");
  t.run("ip link set eth0 master bx", "ip link set dev eth0 type bridge_slave hairpin on isolated on");
  expect(t.run("bridge fdb show dev eth0")).toBe("02:00:00:00:0b:09 dev eth0 master bx permanent\n");
  expect([t.bridge.port("eth0")!.hairpin, t.bridge.port("eth0")!.isolated]).toEqual([true, true]);
  t.run("ip link set eth0 address 02:00:00:00:0b:99", "ip link set bx address 02:00:00:00:0b:98");
  expect(t.run("bridge fdb show dev eth0")).toBe("02:00:00:00:0b:99 dev eth0 master bx permanent\n");
  expect(t.run("bridge fdb show dev bx")).toBe("02:00:00:00:0b:98 dev bx master bx permanent\n");
  t.run(
    "bridge fdb add 02:00:00:00:0a:56 dev p1 master dynamic",
    "bridge fdb add 02:00:00:00:0a:57 dev p1 master static",
  );
  t.run("ip link set bx type bridge fdb_flush");
  expect(t.run("bridge fdb show dev p1")).not.toContain("0a:56");
  expect(t.run("bridge fdb show dev p1")).toContain("0a:57");
  expect(() => t.run("ip link set eth0 master p1")).toThrow("node has no bridge 'p1'");
  expect(() => t.run("ip link set lo master bx")).toThrow("a loopback cannot be a bridge port");
});

test("wrong words are named with their place", () => {
  const t = setup();
  t.run("bridge fdb add 02:00:00:00:0a:55 dev p1 master static");
  const cases: [string, number, string][] = [
    ["bridge", 7, "bridge: the line ends"],
    ["bridge mdb show", 8, "bridge: 'mdb'"],
    ["bridge link set dev p9 flood on", 21, "node has no interface 'p9'"],
    ["bridge link set dev eth0 flood on", 21, "eth0 is no port of a bridge"],
    ["bridge link set dev p1 flood maybe", 30, "flood 'maybe'"],
    ["bridge link set dev p1 flod on", 24, "unknown port option 'flod'"],
    ["bridge link set dev p1 flood", 29, "bridge link set: no value of flood"],
    ["bridge link set dev p1 neigh_suppress on", 39, "neigh_suppress is not emulated"],
    ["bridge link set dev p1 state 9", 30, "state '9'"],
    ["bridge fdb add 02:00:00:00:0a:55 dev p1 master static", 16, "bridge fdb: 02:00:00:00:0a:55 exists already"],
    ["bridge fdb add 00:00:00:00:00:00 dev p1 master", 16, "bridge fdb: the zero address is no station's"],
    ["bridge fdb add 02:00:00:00:0a dev p1 master", 16, "'02:00:00:00:0a' is no MAC address"],
    [
      "bridge fdb add 02:00:00:00:0a:96 dev bx self static",
      16,
      "bridge fdb: an entry of the bridge bx itself can only be permanent",
    ],
    ["bridge fdb add 02:00:00:00:0a:99 dev p1 master vlan 5", 16, "bridge fdb: p1 is not in VLAN 5"],
    ["bridge fdb add 02:00:00:00:0a:99 dev p1 master vlan 4095", 53, "VLAN '4095'"],
    ["bridge fdb del 02:00:00:00:0a:98 dev p1 master", 16, "bridge fdb: no entry for 02:00:00:00:0a:98 on p1"],
    ["bridge fdb add 02:00:00:00:0a:98 dev eth0 master", 38, "eth0 is no port of a bridge"],
    ["bridge fdb add 02:00:00:00:0a:98 dev p1 dst 10.0.0.1", 41, "bridge fdb: 'dst' is for tunnels"],
    ["bridge vlan add vid 0 dev p1", 21, "VLAN '0'"],
    ["bridge vlan add vid 5-3 dev p1", 21, "VLAN '3'"],
    ["bridge vlan add dev p1", 23, "bridge vlan: no VLAN"],
    ["bridge vlan del vid 9 dev p1", 21, "bridge vlan: p1 is not in VLAN 9"],
    ["ip link set bx type bridge ageing_tim 5", 28, "unknown bridge option 'ageing_tim'"],
    ["ip link set bx type bridge stp_state 1", 38, "stp_state is not emulated"],
    ["ip link set bx type bridge group_fwd_mask 2", 43, "group_fwd_mask '2': bits 0 to 2 may not be set"],
    ["ip link set eth0 type bridge ageing_time 5", 30, "eth0 is no bridge"],
  ];
  const before = t.run("bridge fdb") + t.run("bridge -d link") + t.run("bridge vlan");
  for (const [line, column, message] of cases) {
    let error: unknown = null;
    try {
      t.run(line);
    } catch (e) {
      error = e;
    }
    expect(error, line).toBeInstanceOf(TextError);
    expect([(error as TextError).column, (error as TextError).message.split(",")[0]], line).toEqual([column, message]);
  }
  expect(t.run("bridge fdb") + t.run("bridge -d link") + t.run("bridge vlan")).toBe(before);
});
