// src/node/bench/dockerlab.ts: a docker host behind a router, as a lab and as commands for the kernel.

import { parseIpv4 } from "../../core/address.ts";
import type { Core } from "../../core/core.ts";
import { packetBytes, setField } from "../../core/packet.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { Namespace } from "../../host/namespace.ts";
import { buildLab, type Lab } from "../../lab/build.ts";
import { LabText } from "../../lab/read.ts";
import type { Interface } from "../../link/interface.ts";
import { newWorld } from "../../link/newworld.ts";
import { connect } from "../../link/wire.ts";

export const CLIENT = "203.0.113.10";
export const HOST = "198.51.100.20";
export const PORT = 5353;
/** Of TCP, and what the container listens on. */
export const TCP_PORT = 8080;
export const WEB_PORT = 80;
export const SOURCE_PORT = 4000;
export const PAYLOAD = 18;

/** What dockerd writes for one container that publishes UDP port 53 as 5353 and TCP port 80 as 8080, by table. */
export const rules: Readonly<Record<"filter" | "nat", readonly string[]>> = {
  filter: [
    ":INPUT ACCEPT",
    ":FORWARD DROP",
    ":OUTPUT ACCEPT",
    ":DOCKER -",
    ":DOCKER-ISOLATION-STAGE-1 -",
    ":DOCKER-ISOLATION-STAGE-2 -",
    ":DOCKER-USER -",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A FORWARD -o docker0 -j DOCKER",
    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
    "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
    "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT",
    `-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport ${WEB_PORT} -j ACCEPT`,
    "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
    "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
    "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
    "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
    "-A DOCKER-USER -j RETURN",
  ],
  nat: [
    ":PREROUTING ACCEPT",
    ":INPUT ACCEPT",
    ":OUTPUT ACCEPT",
    ":POSTROUTING ACCEPT",
    ":DOCKER -",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p udp -m udp --dport 53 -j MASQUERADE",
    `-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport ${WEB_PORT} -j MASQUERADE`,
    "-A DOCKER -i docker0 -j RETURN",
    `-A DOCKER ! -i docker0 -p udp -m udp --dport ${PORT} -j DNAT --to-destination 172.17.0.2:53`,
    `-A DOCKER ! -i docker0 -p tcp -m tcp --dport ${TCP_PORT} -j DNAT --to-destination 172.17.0.2:${WEB_PORT}`,
  ],
};

/** The rules as iptables-restore takes them. */
export function rulesText(): string {
  const table = (name: "filter" | "nat"): string =>
    [`*${name}`, ...rules[name].map((r) => (r.startsWith(":") ? `${r} [0:0]` : r)), "COMMIT"].join("\n");
  return `${table("filter")}\n${table("nat")}\n`;
}

/** Address of container `k`, from 0 on: 172.17.0.2 and up. */
export function containerAddress(k: number): string {
  const n = k + 2;
  return `172.17.${n >> 8}.${n & 255}`;
}

/** As docker makes it of the address. */
function containerMac(k: number): string {
  const hex = (v: number): string => v.toString(16).padStart(2, "0");
  return `02:42:ac:11:${hex((k + 2) >> 8)}:${hex((k + 2) & 255)}`;
}

/**
 * The lab's text with so many containers on docker0. `direct`: the host lets port 53 of all through, so that the client
 * reaches each by its own address, and neighbours are known: each question for one would go to all ports.
 */
export function labText(containers = 1, direct = false): string {
  const ks = Array.from({ length: containers }, (_, k) => k);
  const restored = direct
    ? rulesText().replace("-d 172.17.0.2/32 ! -i docker0", "-d 172.17.0.0/16 ! -i docker0")
    : rulesText();
  return [
    "nodes:",
    "  client:",
    `    interfaces: { eth0: { mac: "02:00:cb:00:71:0a", addresses: [${CLIENT}/24] } }`,
    '    routes: ["default via 203.0.113.1"]',
    "  router:",
    "    sysctl: { net.ipv4.ip_forward: 1 }",
    "    interfaces:",
    '      eth0: { mac: "02:00:cb:00:71:01", addresses: [203.0.113.1/24] }',
    '      eth1: { mac: "02:00:c6:33:64:01", addresses: [198.51.100.1/24] }',
    `    routes: ["172.17.0.0/16 via ${HOST}"]`,
    "  host:",
    "    sysctl: { net.ipv4.ip_forward: 1, net.bridge.bridge-nf-call-iptables: 0, net.netfilter.nf_conntrack_max: 2000000, net.ipv4.neigh.default.gc_thresh2: 20000, net.ipv4.neigh.default.gc_thresh3: 20000 }",
    "    interfaces:",
    `      eth0: { mac: "02:00:c6:33:64:14", addresses: [${HOST}/24] }`,
    `      docker0: { kind: bridge, mac: "02:42:ac:11:00:01", addresses: [172.17.0.1/16], ports: [${ks.map((k) => `veth${k}`).join(", ")}] }`,
    ...ks.map((k) => `      veth${k}: {}`),
    '    routes: ["default via 198.51.100.1"]',
    ...(direct
      ? [
          "    neighbours:",
          ...ks.map((k) => `      - "${containerAddress(k)} dev docker0 lladdr ${containerMac(k)} nud permanent"`),
        ]
      : []),
    "    iptables: |",
    ...restored
      .trimEnd()
      .split("\n")
      .map((l) => `      ${l}`),
    ...ks.flatMap((k) => [
      `  web${k}:`,
      `    interfaces: { eth0: { mac: "${containerMac(k)}", addresses: [${containerAddress(k)}/16] } }`,
      ...(direct ? ['    neighbours: ["172.17.0.1 dev eth0 lladdr 02:42:ac:11:00:01 nud permanent"]'] : []),
      '    routes: ["default via 172.17.0.1"]',
      '    listen: ["udp 53"]',
    ]),
    "links:",
    '  - { endpoints: ["client:eth0", "router:eth0"] }',
    '  - { endpoints: ["router:eth1", "host:eth0"] }',
    ...ks.map((k) => `  - { endpoints: ["host:veth${k}", "web${k}:eth0"] }`),
    "",
  ].join("\n");
}

/** Two hosts on a wire. */
export const PAIR = { client: "10.0.0.1", web: "10.0.0.2" } as const;

export function pairText(): string {
  return [
    "nodes:",
    `  client: { interfaces: { eth0: { addresses: [${PAIR.client}/24] } } }`,
    `  web0: { interfaces: { eth0: { addresses: [${PAIR.web}/24] } } }`,
    "links:",
    '  - { endpoints: ["client:eth0", "web0:eth0"] }',
    "",
  ].join("\n");
}

const hex = (mac: string): Uint8Array => Uint8Array.from(mac.split(":"), (b) => parseInt(b, 16));

/** The same topology as `labText()`, as a program makes it: namespaces, and the words of ip and iptables-restore. */
export function buildByCommands(core: Core): ReadonlyMap<string, Namespace> {
  const world = newWorld(core);
  const make = (name: string, devices: readonly (readonly [string, string, string | null])[]): Namespace => {
    const ns = new Namespace(name, world);
    for (const [dev, mac, address] of devices) {
      ns.addInterface(dev, dev === "docker0" ? "bridge" : "veth", hex(mac), 1500);
      if (address !== null) ns.fib.command(`addr add ${address} dev ${dev}`);
    }
    return ns;
  };
  const client = make("client", [["eth0", "02:00:cb:00:71:0a", `${CLIENT}/24`]]);
  const router = make("router", [
    ["eth0", "02:00:cb:00:71:01", "203.0.113.1/24"],
    ["eth1", "02:00:c6:33:64:01", "198.51.100.1/24"],
  ]);
  const host = make("host", [
    ["eth0", "02:00:c6:33:64:14", `${HOST}/24`],
    ["docker0", "02:42:ac:11:00:01", "172.17.0.1/16"],
    ["veth0", "02:42:ac:11:ff:01", null],
  ]);
  const web = make("web0", [["eth0", containerMac(0), `${containerAddress(0)}/16`]]);
  const dev = (ns: Namespace, name: string): Interface => ns.byName.get(name)!;
  connect(dev(client, "eth0"), dev(router, "eth0"));
  connect(dev(router, "eth1"), dev(host, "eth0"));
  connect(dev(host, "veth0"), dev(web, "eth0"));
  host.addBridge(dev(host, "docker0")).addPort(dev(host, "veth0"));
  client.fib.command("route add default via 203.0.113.1");
  router.sysctl.set("net.ipv4.ip_forward", 1);
  router.fib.command(`route add 172.17.0.0/16 via ${HOST}`);
  host.sysctl.set("net.ipv4.ip_forward", 1);
  host.sysctl.set("net.bridge.bridge-nf-call-iptables", 0);
  host.fib.command("route add default via 198.51.100.1");
  host.iptables.load(rulesText());
  web.fib.command("route add default via 172.17.0.1");
  return new Map([client, router, host, web].map((ns) => [ns.name, ns]));
}

/** What a topology routes and filters, to see that two are the same. */
export function standing(nodes: ReadonlyMap<string, Namespace>): string {
  return [...nodes.values()]
    .map((ns) => `${ns.name}\n${ns.fib.listRoutes().toSorted().join("\n")}\n${ns.iptables.save()}`)
    .join("\n");
}

/** The lab, its client, and frames as the client's device sends them. */
export class DockerPath {
  readonly lab: Lab;
  readonly client: Namespace;
  readonly entry: Interface;
  private readonly payload = new Uint8Array(PAYLOAD).fill(0x61);

  constructor(
    readonly core: Core,
    readonly containers = 1,
    direct = false,
  ) {
    this.lab = buildLab(core, LabText.read("docker", labText(containers, direct)));
    this.client = this.lab.nodes.get("client")!;
    this.entry = this.lab.nodes.get("router")!.byName.get("eth0")!;
  }

  /** Datagrams that came to the containers' sockets. */
  received(): number {
    let n = 0;
    for (let k = 0; k < this.containers; k++) for (const s of this.lab.nodes.get(`web${k}`)!.sockets) n += s.received;
    return n;
  }

  /** One datagram from the client's socket. */
  send(to: number, port: number): void {
    this.client.originate.udp(0, SOURCE_PORT, to, port, this.payload, 0);
  }

  /** A datagram that makes all resolve their neighbours, and virtual time for that. */
  settle(to = parseIpv4(HOST)!, port = PORT): void {
    const { clock } = this.lab.world;
    this.send(to, port);
    clock.advance(clock.now + 1_000_000);
  }

  /** The Ethernet frame that a datagram leaves the client in. */
  frame(to = parseIpv4(HOST)!, port = PORT): Uint8Array {
    const dev = this.client.byName.get("eth0")!;
    let bytes: Uint8Array | null = null;
    const { tap } = dev;
    dev.tap = (_dev, frame, outbound) => {
      if (outbound) bytes ??= packetBytes(this.core, frame);
    };
    this.send(to, port);
    dev.tap = tap;
    if (bytes === null) throw new Error("docker: the client sent nothing");
    return bytes;
  }

  /** The frame at `from` in the core arrives at the router. */
  inject(from: number, length: number): void {
    const { core } = this;
    const f = core.x.packetAlloc(length);
    if (f === 0) throw new Error("docker: no packet left");
    const at = core.u32[(f + Pkt.Data) >> 2]!;
    core.u8.copyWithin(at, from, from + length);
    setField(core, f, Pkt.Mac, at);
    this.lab.world.backlog.push(this.entry, 0, f);
  }

  /** What the first container's socket sees of a datagram, in the words of bench/udpflood.c. */
  seen(): string {
    const dev = this.lab.nodes.get("web0")!.byName.get("eth0")!;
    const { u8 } = this.core;
    const all: string[] = [];
    dev.tap = (_dev, frame, outbound) => {
      if (outbound) return;
      const p = this.core.u32[(frame + Pkt.Data) >> 2]! + 14;
      const [src, dst] = [12, 16].map((o) => u8.slice(p + o, p + o + 4).join("."));
      const port = (o: number): number => (u8[p + 20 + o]! << 8) | u8[p + 21 + o]!;
      all.push(`${src}:${port(0)} > ${dst}:${port(2)} ttl ${u8[p + 8]} length ${port(4) - 8}`);
    };
    this.send(parseIpv4(HOST)!, PORT);
    dev.tap = null;
    return all.join("; ");
  }
}
