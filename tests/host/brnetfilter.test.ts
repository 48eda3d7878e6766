// Bridged frames at the IP hooks (bridge-nf-call-iptables).

import { expect, test } from "vitest";
import { Pkt } from "../../assembly/layout.ts";
import { Hook, hookNames, Verdict } from "../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../support/cores.ts";
import { ipv4, udp } from "../support/ip.ts";
import { TestNode } from "../support/node.ts";
import { ether } from "../support/owner.ts";

const A = "02:00:00:00:0a:01";
const B = "02:00:00:00:0a:02";
const C = "02:00:00:00:0a:03";
const ALL = "ff:ff:ff:ff:ff:ff";
const OWN = "02:00:00:00:0b:00";

overBuilds("br_netfilter", (core) => {
  function setup() {
    const node = new TestNode(core());
    const p1 = node.wire("p1", "02:00:00:00:0b:01");
    const p2 = node.wire("p2", "02:00:00:00:0b:02");
    const p3 = node.wire("p3", "02:00:00:00:0b:03");
    node.bridge("br0", OWN, [p1, p2, p3], "10.0.0.1/24");
    node.run("sysctl -w net.bridge.bridge-nf-call-iptables=1 net.ipv4.ip_forward=1");
    const seen: string[] = [];
    const watch = () => {
      for (let h = 0; h <= Hook.Postrouting; h++) {
        node.ns.hooks.register(h, 0, "watch", (frame, hook, input, output) => {
          const { u32 } = node.world.core;
          const phys = [Pkt.PhysIn, Pkt.PhysOut].map((f) => node.ns.byIndex[u32[(frame + f) >> 2]!]?.name ?? "-");
          seen.push(`${hookNames[hook]} ${input?.name ?? "-"} ${output?.name ?? "-"} ${phys.join(" ")}`);
          return Verdict.Accept;
        });
      }
    };
    const packet = (src = "10.0.0.11", dst = "10.0.0.12") => ipv4(src, dst, 17, udp(1000, 2000, "hello"));
    const feed = (dev: typeof p1, bytes: Uint8Array) => {
      node.feed(dev, bytes);
      return node.take();
    };
    return { node, p1, p2, p3, seen, watch, packet, feed };
  }

  test("a frame from port to port: PREROUTING, FORWARD, POSTROUTING with the bridge as device", () => {
    const t = setup();
    t.feed(t.p2, ether(B, ALL));
    t.watch();
    const f = ether(A, B, 0x0800, t.packet());
    expect(t.feed(t.p1, f)).toEqual([{ dev: "p2", hex: Buffer.from(f).toString("hex") }]);
    expect(t.seen).toEqual(["PREROUTING br0 - p1 -", "FORWARD br0 br0 p1 p2", "POSTROUTING - br0 p1 p2"]);
    expect(t.node.settle()).toBe(0);
  });

  test("a flooded frame: PREROUTING once, the rest for each port", () => {
    const t = setup();
    t.watch();
    expect(t.feed(t.p1, ether(A, B, 0x0800, t.packet())).map((o) => o.dev)).toEqual(["p3", "p2"]);
    expect(t.seen).toEqual([
      "PREROUTING br0 - p1 -",
      "FORWARD br0 br0 p1 p3",
      "POSTROUTING - br0 p1 p3",
      "FORWARD br0 br0 p1 p2",
      "POSTROUTING - br0 p1 p2",
    ]);
  });

  test("a frame for the host is at PREROUTING once", () => {
    const t = setup();
    t.watch();
    t.feed(t.p1, ether(A, OWN, 0x0800, t.packet("10.0.0.11", "10.0.0.1")));
    expect(t.seen.slice(0, 2)).toEqual(["PREROUTING br0 - p1 -", "INPUT br0 - p1 -"]);
    expect(t.seen.filter((s) => s.startsWith("PREROUTING"))).toHaveLength(1);
    expect(t.node.settle()).toBe(0);
  });

  test("ARP, tagged frames and switched-off hooks are not looked at", () => {
    const t = setup();
    t.watch();
    t.feed(t.p1, ether(A, B, 0x0806));
    const tag = ether(A, B, 0x8100, Buffer.concat([Buffer.from("00050800", "hex"), t.packet()]));
    expect(t.feed(t.p1, tag).map((o) => o.dev)).toEqual(["p3", "p2"]);
    expect(t.seen).toEqual([]);
    t.node.run("sysctl -w net.bridge.bridge-nf-filter-vlan-tagged=1");
    expect(t.feed(t.p1, tag).map((o) => o.hex)).toEqual([hex(tag), hex(tag)]);
    expect(t.seen).toHaveLength(5);
    t.seen.length = 0;
    t.node.run("sysctl -w net.bridge.bridge-nf-call-iptables=0");
    t.feed(t.p1, ether(A, B, 0x0800, t.packet()));
    expect(t.seen).toEqual([]);
    t.node.run("ip link set br0 type bridge nf_call_iptables 1");
    t.feed(t.p1, ether(A, B, 0x0800, t.packet()));
    expect(t.seen).toHaveLength(5);
  });

  test("a bad IPv4 header is dropped, padding is cut off", () => {
    const t = setup();
    const bad = t.packet();
    bad[10]! ^= 0xff;
    expect(t.feed(t.p1, ether(A, B, 0x0800, bad))).toEqual([]);
    const good = ether(A, B, 0x0800, t.packet());
    const padded = Buffer.concat([good, Buffer.alloc(20)]);
    expect(t.feed(t.p1, padded).map((o) => o.hex)).toEqual([hex(good), hex(good)]);
  });

  test("a rule drops between ports; ARP passes it", () => {
    const t = setup();
    t.node.run("iptables -A FORWARD -p udp --dport 2000 -j DROP");
    expect(t.feed(t.p1, ether(A, B, 0x0800, t.packet()))).toEqual([]);
    expect(t.feed(t.p1, ether(A, B, 0x0806))).toHaveLength(2);
    expect(t.node.settle()).toBe(0);
  });

  test("DNAT to a station whose address is known: bridged on, the source address stays", () => {
    const t = setup();
    t.feed(t.p3, ether(C, ALL));
    t.node.run(
      "ip neigh add 10.0.0.13 dev br0 lladdr 02:00:00:00:0a:03 nud permanent",
      "iptables -t nat -A PREROUTING -p udp --dport 2000 -j DNAT --to-destination 10.0.0.13:3000",
    );
    const expected = ether(A, C, 0x0800, ipv4("10.0.0.11", "10.0.0.13", 17, udp(1000, 3000, "hello")));
    const sent = t.feed(t.p1, ether(A, B, 0x0800, ipv4("10.0.0.11", "10.0.0.12", 17, udp(1000, 2000, "hello"))));
    expect(sent).toEqual([{ dev: "p3", hex: hex(expected) }]);
    expect(t.node.settle()).toBe(0);
  });

  test("DNAT to a station that must be asked for first: it goes on when the answer comes", () => {
    const t = setup();
    t.node.run("iptables -t nat -A PREROUTING -p udp --dport 2000 -j DNAT --to-destination 10.0.0.13");
    const asked = t.feed(t.p1, ether(A, B, 0x0800, ipv4("10.0.0.11", "10.0.0.12", 17, udp(1000, 2000, "hello"))));
    // a request from the bridge's host, out of every port
    expect(asked.map((o) => `${o.dev} ${o.hex.slice(12, 28)} ${o.hex.slice(76)}`)).toEqual(
      ["p3", "p2", "p1"].map((p) => `${p} 020000000b000806 0a00000d`),
    );
    const reply = ether(C, OWN, 0x0806, arpReply());
    const sent = t.feed(t.p3, reply);
    const expected = ether(A, C, 0x0800, ipv4("10.0.0.11", "10.0.0.13", 17, udp(1000, 2000, "hello")));
    expect(sent).toEqual([{ dev: "p3", hex: hex(expected) }]);
    expect(t.node.settle()).toBe(0);
  });

  test("DNAT without forwarding ends at the host, as on Linux", () => {
    const t = setup();
    t.node.run(
      "sysctl -w net.ipv4.ip_forward=0",
      "iptables -t nat -A PREROUTING -p udp --dport 2000 -j DNAT --to-destination 10.0.0.13",
    );
    expect(t.feed(t.p1, ether(A, B, 0x0800, ipv4("10.0.0.11", "10.0.0.12", 17, udp(1000, 2000, "hello"))))).toEqual([]);
    expect(t.node.ns.byName.get("br0")!.rxPackets).toBe(1);
    expect(t.node.settle()).toBe(0);
  });

  test("DNAT to the host itself", () => {
    const t = setup();
    t.node.run("iptables -t nat -A PREROUTING -p udp --dport 2000 -j DNAT --to-destination 10.0.0.1:2000");
    t.node.ns.sockets.open(17, 0, 2000);
    t.watch();
    expect(t.feed(t.p1, ether(A, B, 0x0800, ipv4("10.0.0.11", "10.0.0.12", 17, udp(1000, 2000, "hello"))))).toEqual([]);
    expect(t.seen).toEqual(["PREROUTING br0 - p1 -", "INPUT br0 - p1 -"]);
    expect(t.node.settle()).toBe(0);
  });

  test("fragments are put together for the rules and leave as they came; copies are cut to the largest", () => {
    const t = setup();
    t.node.run("iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP");
    const datagram = udp(1000, 2000, new Uint8Array(92).fill(7));
    const cuts = [
      [0, 24],
      [24, 72],
      [72, 100],
    ] as const;
    const pieces = cuts.map(([a, b]) => {
      const more = b < datagram.length ? 0x2000 : 0;
      return ether(A, B, 0x0800, ipv4("10.0.0.11", "10.0.0.12", 17, datagram.subarray(a, b), more | (a / 8)));
    });
    t.feed(t.p2, ether(B, ALL));
    for (const piece of [pieces[2]!, pieces[0]!]) expect(t.feed(t.p1, piece)).toEqual([]);
    expect(t.feed(t.p1, pieces[1]!)).toEqual(pieces.map((b) => ({ dev: "p2", hex: hex(b) })));
    t.node.run("bridge fdb flush dev br0 dynamic");
    const flooded = pieces.flatMap((piece) => t.feed(t.p1, piece));
    // 48 bytes are the largest: 48 + 48 + 4 for the copy, the last port's are as they came
    expect(flooded.map((o) => `${o.dev} ${o.hex.length / 2 - 34}`)).toEqual([
      "p3 48",
      "p3 48",
      "p3 4",
      "p2 24",
      "p2 48",
      "p2 28",
    ]);
    expect(t.node.settle()).toBe(0);
  });

  test("a reset about a bridged segment leaves by the port of arrival with the destination's address", () => {
    const t = setup();
    t.node.run("iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset");
    const syn = Buffer.from("03e807d000000001000000005002000000000000", "hex");
    const segment = ipv4("10.0.0.11", "10.0.0.12", 6, syn);
    t.feed(t.p2, ether(B, ALL));
    const sent = t.feed(t.p1, ether(A, B, 0x0800, segment));
    expect(sent.map((o) => `${o.dev} ${o.hex.slice(0, 28)}`)).toEqual(["p1 020000000a01020000000a020800"]);
    expect(t.node.settle()).toBe(0);
  });
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function arpReply(): Uint8Array {
  return Buffer.from("0001080006040002020000000a030a00000d020000000b000a000001", "hex");
}
