// The short way of flows makes no difference that anybody could see: the same random traffic and changes of configuration
// in two equal networks, one without it, end in the same bytes, drops, counters, connections and neighbours.

import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import type { Core } from "../../src/core/core.ts";
import { runCommand } from "../../src/host/commands.ts";
import type { Namespace } from "../../src/host/namespace.ts";
import type { Transport } from "../../src/host/transport.ts";
import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { overBuilds } from "../support/cores.ts";
import { checksum } from "../support/ip.ts";

const lab = readFileSync(new URL("../../fixtures/demo/lab.yaml", import.meta.url), "utf8")
  .replace(
    "nodes:\n",
    `nodes:
  client:
    interfaces: { eth0: { mac: "02:00:cb:00:71:0a", addresses: [203.0.113.10/24] } }
    routes: ["default via 203.0.113.1"]
  web1:
    interfaces: { eth0: { mac: "02:42:ac:11:00:02", addresses: [172.17.0.2/16] } }
    routes: ["default via 172.17.0.1"]
`,
  )
  .replace(
    '- { endpoints: ["router:eth1"',
    `- { endpoints: ["client:eth0", "router:eth0"] }
  - { endpoints: ["host:vethweb1", "web1:eth0"] }
  - { endpoints: ["router:eth1"`,
  )
  .replace(
    "      -A DOCKER -i docker0 -j RETURN\n",
    `      -A DOCKER -i docker0 -j RETURN
      -A DOCKER ! -i docker0 -p udp -m udp --dport 5353 -j DNAT --to-destination 172.17.0.2:53
`,
  )
  .replace(
    "      -A DOCKER-ISOLATION-STAGE-1 -i",
    `      -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT
      -A DOCKER-ISOLATION-STAGE-1 -i`,
  );

const names = ["client", "router", "host", "web1"] as const;
type Name = (typeof names)[number];

const CLIENT = [203, 0, 113, 10];
const HOST = [198, 51, 100, 20];
const WEB = [172, 17, 0, 2];
const TO_ROUTER = [2, 0, 0xcb, 0, 0x71, 1, 2, 0, 0xcb, 0, 0x71, 0x0a, 8, 0];
const TO_BRIDGE = [2, 0x42, 0xac, 0x11, 0, 1, 2, 0x42, 0xac, 0x11, 0, 2, 8, 0];

/** Commands, by the host that they are for. */
const commands: readonly (readonly [Name, string])[] = [
  ["host", "iptables -I DOCKER-USER -p udp -j DROP"],
  ["host", "iptables -F DOCKER-USER"],
  ["host", "iptables -I DOCKER-USER -m ttl --ttl-lt 60 -j REJECT"],
  ["host", "iptables -I FORWARD -m limit --limit 2/sec --limit-burst 3 -j ACCEPT"],
  ["host", "iptables -I FORWARD -m connbytes --connbytes 4 --connbytes-dir both --connbytes-mode packets -j DROP"],
  ["host", "iptables -D FORWARD 1"],
  ["host", "iptables -P FORWARD ACCEPT"],
  ["host", "iptables -P FORWARD DROP"],
  ["host", "iptables -Z"],
  ["host", "iptables -t mangle -A PREROUTING -p tcp -j MARK --set-mark 7"],
  ["host", "iptables -t mangle -A POSTROUTING -m dscp --dscp 4 -j TTL --ttl-set 9"],
  ["host", "iptables -t mangle -A FORWARD -p udp -m length --length 60:200"],
  ["host", "iptables -t mangle -F"],
  ["host", "iptables -t raw -A PREROUTING -p udp --dport 5353 -j NOTRACK"],
  ["host", "iptables -t raw -F"],
  ["host", "iptables -A INPUT -p udp -j REJECT"],
  ["host", "iptables -F INPUT"],
  ["host", "ip route add 172.17.0.2/32 via 198.51.100.1"],
  ["host", "ip route del 172.17.0.2/32"],
  ["host", "ip route add blackhole 203.0.113.0/24"],
  ["host", "ip route del blackhole 203.0.113.0/24"],
  ["host", "ip rule add fwmark 7 lookup 100"],
  ["host", "ip rule del fwmark 7 lookup 100"],
  ["host", "ip addr add 10.9.9.9/24 dev eth0"],
  ["host", "ip addr del 10.9.9.9/24 dev eth0"],
  ["host", "ip link set vethweb1 down"],
  ["host", "ip link set vethweb1 up"],
  ["host", "ip link set docker0 mtu 1000"],
  ["host", "ip link set docker0 mtu 1500"],
  ["host", "ip link set vethweb1 mtu 900"],
  ["host", "ip link set vethweb1 mtu 1500"],
  ["host", "ip link set docker0 address 02:42:ac:11:00:09"],
  ["host", "ip link set docker0 address 02:42:ac:11:00:01"],
  ["host", "ip neigh flush dev docker0"],
  ["host", "ip neigh flush dev eth0"],
  ["host", "ip neigh replace 172.17.0.2 lladdr 02:42:ac:11:00:02 dev docker0 nud permanent"],
  ["host", "ip neigh replace 172.17.0.2 lladdr 02:42:ac:11:00:07 dev docker0 nud permanent"],
  ["host", "ip neigh del 172.17.0.2 dev docker0"],
  ["host", "bridge fdb del 02:42:ac:11:00:02 dev vethweb1 master"],
  ["host", "bridge fdb add 02:42:ac:11:00:02 dev vethweb2 master static"],
  ["host", "bridge fdb replace 02:42:ac:11:00:02 dev vethweb1 master static"],
  ["host", "bridge link set dev vethweb1 learning off"],
  ["host", "bridge link set dev vethweb1 learning on"],
  ["host", "ip link set docker0 type bridge ageing_time 500"],
  ["host", "ip link set docker0 type bridge vlan_filtering 1"],
  ["host", "ip link set docker0 type bridge vlan_filtering 0"],
  ["host", "sysctl net.ipv4.ip_forward=0"],
  ["host", "sysctl net.ipv4.ip_forward=1"],
  ["host", "sysctl net.bridge.bridge-nf-call-iptables=1"],
  ["host", "sysctl net.bridge.bridge-nf-call-iptables=0"],
  ["host", "sysctl net.netfilter.nf_conntrack_acct=1"],
  ["host", "sysctl net.netfilter.nf_conntrack_checksum=0"],
  ["host", "sysctl net.netfilter.nf_conntrack_checksum=1"],
  ["host", "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1"],
  ["host", "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=0"],
  ["host", "sysctl net.netfilter.nf_conntrack_max=4"],
  ["host", "nft list ruleset"],
  ["router", "ip link set eth1 mtu 700"],
  ["router", "ip link set eth1 mtu 1500"],
  ["router", "sysctl net.ipv4.conf.eth0.rp_filter=1"],
  ["router", "ip route add 198.51.100.20/32 dev eth0"],
  ["router", "ip route del 198.51.100.20/32 dev eth0"],
  ["router", "iptables -A FORWARD -p tcp --tcp-flags SYN,ACK SYN"],
  ["router", "iptables -A FORWARD -d 198.51.100.20 -p udp"],
  ["router", "iptables -F"],
  ["router", "iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE"],
  ["router", "iptables -t nat -F"],
  ["router", "ip neigh flush dev eth1"],
  ["router", "tc qdisc replace dev eth1 root netem delay 1ms"],
  ["router", "tc qdisc del dev eth1 root"],
  ["web1", "ip link set eth0 down"],
  ["web1", "ip link set eth0 up"],
  ["web1", "iptables -A INPUT -p tcp --dport 80 -j ACCEPT"],
  ["web1", "iptables -F"],
  ["web1", "ip addr add 172.17.0.3/16 dev eth0"],
  ["client", "sysctl net.ipv4.conf.all.rp_filter=1"],
];

/** What makes the published ports work again. */
const remedies: readonly (readonly [Name, string])[] = [
  ["host", "iptables -F DOCKER-USER"],
  ["host", "iptables -t mangle -F"],
  ["host", "iptables -t raw -F"],
  ["host", "ip route del 172.17.0.2/32"],
  ["host", "ip route del blackhole 203.0.113.0/24"],
  ["host", "ip link set vethweb1 up"],
  ["host", "ip link set docker0 address 02:42:ac:11:00:01"],
  ["host", "ip link set docker0 type bridge vlan_filtering 0"],
  ["host", "bridge fdb del 02:42:ac:11:00:02 dev vethweb2 master"],
  ["host", "ip neigh flush dev docker0"],
  ["host", "sysctl net.ipv4.ip_forward=1"],
  ["host", "sysctl net.netfilter.nf_conntrack_max=1000"],
  ["host", "ip link set docker0 mtu 1500"],
  ["host", "ip link set vethweb1 mtu 1500"],
  ["host", "iptables -P FORWARD ACCEPT"],
  ["router", "ip route del 198.51.100.20/32 dev eth0"],
  ["router", "tc qdisc del dev eth1 root"],
  ["web1", "ip link set eth0 up"],
  ["web1", "ip route add default via 172.17.0.1"],
];

const times = [1e6, 3e8, 1e9, 2.5e9, 6e9, 31e9, 130e9];
const flagSets = [0x02, 0x12, 0x10, 0x10, 0x10, 0x18, 0x18, 0x11, 0x04, 0x14, 0x00, 0x30];
const ttls = [64, 64, 64, 64, 1, 2, 3];
const toses = [0, 0, 0, 0x10];
const sizes = [18, 18, 0, 100, 700, 1300, 1400];

/** What a packet is made of beside its addresses; each number picks from a list. */
interface Shape {
  readonly sport: number;
  readonly dport: number;
  readonly ttl: number;
  readonly tos: number;
  readonly size: number;
  readonly flags: number;
  readonly seq: number;
  readonly spoilt: number;
}

type Step =
  | { readonly kind: "client" | "web" | "mixed"; readonly proto: number; readonly times: number; readonly shape: Shape }
  | { readonly kind: "run"; readonly command: number }
  | {
      readonly kind: "around";
      readonly command: number;
      readonly proto: number;
      readonly answers: boolean;
      readonly shape: Shape;
    }
  | { readonly kind: "stream"; readonly proto: number; readonly answers: boolean; readonly shape: Shape }
  | { readonly kind: "talk"; readonly shape: Shape; readonly times: number }
  | { readonly kind: "wait"; readonly time: number }
  | { readonly kind: "flush" | "look" | "events" | "out" | "heal" };

const shape: fc.Arbitrary<Shape> = fc.record({
  sport: fc.nat(1),
  dport: fc.nat(9),
  ttl: fc.nat(ttls.length - 1),
  tos: fc.nat(toses.length - 1),
  size: fc.nat(sizes.length - 1),
  flags: fc.nat(flagSets.length - 1),
  seq: fc.nat(9),
  spoilt: fc.nat(19),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom("client" as const, "client" as const, "web" as const, "mixed" as const),
      proto: fc.constantFrom(6, 17),
      times: fc.integer({ min: 1, max: 6 }),
      shape,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("run" as const), command: fc.nat(commands.length - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), time: fc.nat(times.length - 1) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("around" as const),
      command: fc.nat(commands.length - 1),
      proto: fc.constantFrom(6, 17),
      answers: fc.boolean(),
      shape,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("stream" as const),
      proto: fc.constantFrom(6, 17),
      answers: fc.boolean(),
      shape,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("talk" as const), shape, times: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("flush" as const, "look" as const, "out" as const, "heal" as const, "heal" as const),
    }),
  },
);

function packet(
  from: number[],
  to: number[],
  proto: number,
  sport: number,
  dport: number,
  s: Shape,
  seq: number,
  ack: number,
): Uint8Array {
  const size = sizes[s.size]!;
  const spoilt = s.spoilt;
  const l4 = Buffer.alloc((proto === 6 ? 20 : 8) + size, 0x61 + (size & 7));
  l4.writeUInt16BE(sport, 0);
  l4.writeUInt16BE(dport, 2);
  if (proto === 6) {
    l4.writeUInt32BE(seq >>> 0, 4);
    l4.writeUInt32BE(ack >>> 0, 8);
    l4.writeUInt16BE(0x5000 | flagSets[s.flags]!, 12);
    l4.writeUInt16BE(spoilt === 1 ? 0 : 30000, 14);
    l4.writeUInt32BE(0, 16);
  } else {
    l4.writeUInt16BE(spoilt === 2 ? 7 : l4.length, 4);
    l4.writeUInt16BE(0, 6);
  }
  const at = proto === 6 ? 16 : 6;
  const pseudo = Buffer.from([...from, ...to, 0, proto, l4.length >> 8, l4.length & 255]);
  if (spoilt !== 3 || proto === 6) l4.writeUInt16BE(checksum(pseudo, l4) ^ (spoilt === 4 ? 0x0101 : 0), at);
  const options = spoilt === 5 ? Buffer.from([7, 7, 4, 0, 0, 0, 0, 1]) : Buffer.alloc(0);
  const ip = Buffer.alloc(20 + options.length);
  options.copy(ip, 20);
  ip[0] = 0x40 | (ip.length >> 2);
  ip[1] = toses[s.tos]!;
  ip.writeUInt16BE(ip.length + l4.length, 2);
  ip.writeUInt16BE(0x1234, 4);
  ip.writeUInt16BE(spoilt === 6 ? 0x2000 : spoilt < 12 ? 0x4000 : 0, 6);
  ip[8] = ttls[s.ttl]!;
  ip[9] = proto;
  Buffer.from([...from, ...to]).copy(ip, 12);
  ip.writeUInt16BE(checksum(ip) ^ (spoilt === 7 ? 1 : 0), 10);
  return Buffer.concat([ip, l4, Buffer.alloc(spoilt === 8 ? 6 : 0)]);
}

/** One of the two networks. */
class Net {
  readonly lab: Lab;
  readonly log: string[] = [];
  /** Sequence numbers that both ends of a TCP connection are at. */
  private readonly seqs = [1000, 5000, 1000, 5000];

  constructor(
    readonly core: Core,
    readonly short: boolean,
    hooked: boolean,
  ) {
    this.lab = buildLab(core, LabText.read("lab.yaml", lab));
    for (const name of names) {
      const ns = this.node(name);
      ns.flows.on = short;
      if (name !== "host") ns.transports.udp = ns.transports.tcp = this.taker(name);
    }
    if (hooked) this.run("host", "sysctl net.bridge.bridge-nf-call-iptables=1");
  }

  node(name: Name): Namespace {
    return this.lab.nodes.get(name)!;
  }

  private taker(name: Name): Transport {
    const { core } = this;
    return {
      receive: (dev, frame) => {
        this.log.push(`${name} ${dev.name} ${Buffer.from(packetBytes(core, frame)).toString("hex")}`);
        core.x.packetFree(frame);
        return true;
      },
      error: (quoted, length, type, code, info, from) => {
        this.log.push(
          `${name} error ${type}/${code} ${info} ${from} ${Buffer.from(core.u8.slice(quoted, quoted + length)).toString("hex")}`,
        );
      },
      hasPort: () => true,
    };
  }

  private run(name: Name, command: string): void {
    try {
      this.log.push(runCommand(this.node(name), command));
    } catch (e) {
      this.log.push(String(e));
    }
  }

  private feed(name: Name, dev: string, header: number[], bytes: Uint8Array): void {
    const frame = packetFrom(this.core, Buffer.concat([Buffer.from(header), bytes]));
    if (frame === 0) throw new Error("no packet buffer");
    this.lab.world.backlog.push(this.node(name).byName.get(dev)!, 0, frame);
  }

  /** Sequence and acknowledgement number of a segment from the client (0) or the server (1). */
  private numbers(who: 0 | 1, s: Shape): [number, number] {
    const mine = 2 * s.sport + who;
    const flags = flagSets[s.flags]!;
    const seq = this.seqs[mine]!;
    const ack = this.seqs[2 * s.sport + 1 - who]!;
    // now and then far away, or said again
    if (s.seq === 0) return [seq + 1_000_000, ack];
    if (s.seq === 1) return [seq - 1, ack];
    if (s.seq === 2) return [seq, ack - 200_000];
    this.seqs[mine] = seq + sizes[s.size]! + ((flags & 3) !== 0 ? 1 : 0);
    return [seq, ack];
  }

  private fromClient(proto: number, s: Shape): void {
    const [seq, ack] = this.numbers(0, s);
    const dport = s.dport === 0 ? 9 : proto === 6 ? 8080 : 5353;
    this.feed("router", "eth0", TO_ROUTER, packet(CLIENT, HOST, proto, 4000 + s.sport, dport, s, seq, ack));
  }

  private fromWeb(proto: number, s: Shape): void {
    const [seq, ack] = this.numbers(1, s);
    const sport = s.dport === 0 ? 9000 : proto === 6 ? 80 : 53;
    const to = s.dport === 1 ? [172, 17, 0, 1] : CLIENT;
    this.feed("host", "vethweb1", TO_BRIDGE, packet(WEB, to, proto, sport, 4000 + s.sport, s, seq, ack));
  }

  /** A connection is opened and used, as two that understand each other do. */
  private talk(s: Shape, times: number): void {
    const good = { ...s, ttl: 0, spoilt: 9, seq: 9, dport: 9 };
    const [syn, synAck, ack, data] = [0, 1, 2, 5].map((flags) => ({ ...good, flags, size: flags < 5 ? 2 : s.size }));
    this.fromClient(6, syn!);
    this.fromWeb(6, synAck!);
    this.fromClient(6, ack!);
    for (let i = 0; i < times; i++) {
      this.fromClient(6, data!);
      this.fromWeb(6, ack!);
      this.fromWeb(6, data!);
      this.fromClient(6, ack!);
    }
  }

  /** Packets as they mostly are, enough of them for their flows to be known. */
  private plain(s: { proto: number; answers: boolean; shape: Shape }): void {
    const good = { ...s.shape, ttl: 0, tos: 0, spoilt: 9, seq: 9, dport: 9, flags: 5 };
    if (s.proto === 6) this.talk(good, 1);
    for (let i = 0; i < 4; i++) {
      this.fromClient(s.proto, good);
      if (s.answers) this.fromWeb(s.proto, good);
    }
  }

  private heal(): void {
    for (const [name, command] of remedies) this.run(name, command);
  }

  /** Traffic for longer than bridges and neighbours remember who is silent. */
  private stream(s: { proto: number; answers: boolean; shape: Shape }): void {
    const { clock } = this.lab.world;
    this.heal();
    this.run("host", "ip link set docker0 type bridge ageing_time 500");
    for (let i = 0; i < 12; i++) {
      this.plain(s);
      clock.advance(clock.now + 4e9);
    }
  }

  do(s: Step): void {
    const { world } = this.lab;
    switch (s.kind) {
      case "client":
        for (let i = 0; i < s.times; i++) this.fromClient(s.proto, s.shape);
        break;
      case "web":
        for (let i = 0; i < s.times; i++) this.fromWeb(s.proto, s.shape);
        break;
      case "mixed":
        world.backlog.hold(() => {
          for (let i = 0; i < s.times; i++) {
            this.fromClient(s.proto, s.shape);
            this.fromWeb(s.proto, s.shape);
          }
        });
        break;
      case "out":
        for (let i = 0; i < 4; i++) {
          this.node("web1").originate.udp(0, 5000, 0xcb00710a, 6000, new Uint8Array(30), 0);
          this.node("client").originate.udp(0, 4000, 0xc6336414, 5353, new Uint8Array(i < 3 ? 30 : 1400), 0);
          this.node("host").originate.udp(0, 4001, 0xac110002, 53, new Uint8Array(30), i < 2 ? 0 : 9);
          this.node("host").originate.udp(0, 4002, 0xcb00710a, 6000, new Uint8Array(30), 0);
        }
        break;
      case "run": {
        const [name, command] = commands[s.command]!;
        this.run(name, command);
        break;
      }
      case "talk":
        this.talk(s.shape, s.times);
        break;
      case "around": {
        const [name, command] = commands[s.command]!;
        this.heal();
        this.plain(s);
        this.run(name, command);
        this.plain(s);
        break;
      }
      case "stream":
        this.stream(s);
        break;
      case "heal":
        this.heal();
        break;
      case "wait":
        world.clock.advance(world.clock.now + times[s.time]!);
        break;
      case "flush":
        this.node("host").conntrack.flush();
        break;
      case "events":
        this.node("host").conntrack.onEvent((line) => this.log.push(line));
        break;
      case "look":
        this.log.push(...this.state());
    }
  }

  /** All that can be asked. */
  state(): string[] {
    const lines: string[] = [];
    for (const name of names) {
      const ns = this.node(name);
      lines.push(name);
      ns.drops.forEach((n, why) => {
        if (n > 0) lines.push(`${Drop[why]} ${n}`);
      });
      for (const dev of ns.interfaces) {
        lines.push(`${dev.name} rx ${dev.rxPackets} ${dev.rxBytes} tx ${dev.txPackets} ${dev.txBytes}`);
      }
      lines.push(ns.iptables.save(true), ...ns.neighbours.list(), ...ns.conntrack.list(), `${ns.conntrack.count}`);
      for (const at of [160, 164, 168, 172, 176, 180, 184, 188]) lines.push(`${at}: ${ns.conntrack.statistic(at)}`);
      for (const b of ns.bridges.values()) {
        for (let e = b.fdb.first; e !== null; e = e.next) {
          lines.push(`${e.high} ${e.low} ${e.vid} ${e.port?.dev.name} ${b.fdb.expired(e)} ${e.updated}`);
        }
      }
    }
    lines.push(
      `in use ${this.core.x.packetsInUse()} now ${this.lab.world.clock.now} rng ${this.lab.world.clock.pending}`,
    );
    return lines;
  }

  taken(): number {
    return names.reduce((n, name) => n + this.node(name).flows.taken, 0);
  }
}

/** Answers how many packets took the short way. */
function compare(make: () => Core, steps: readonly Step[], hooked: boolean): number {
  const a = new Net(make(), true, hooked);
  const b = new Net(make(), false, hooked);
  steps.forEach((s, i) => {
    a.do(s);
    b.do(s);
    expect(a.log, `step ${i}: ${JSON.stringify(s)}`).toEqual(b.log);
    a.log.length = b.log.length = 0;
  });
  expect(a.state()).toEqual(b.state());
  expect(b.taken()).toBe(0);
  return a.taken();
}

overBuilds("the short way", (core) => {
  it("ends as the long one does", { timeout: 300_000 }, () => {
    const runs = Number(process.env["FLOW_RUNS"] ?? 25);
    let taken = 0;
    const seed = process.env["FLOW_SEED"] === undefined ? 20261121 : Number(process.env["FLOW_SEED"]);
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 160, size: "max" }), fc.boolean(), (steps, hooked) => {
        taken += compare(core, steps, hooked);
      }),
      { numRuns: runs, seed, endOnFailure: process.env["FLOW_SHRINK"] === undefined },
    );
    expect(taken).toBeGreaterThan(1000);
  });
});
