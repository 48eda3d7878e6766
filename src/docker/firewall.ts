// src/docker/firewall.ts: the rules that the engine writes, by the same steps: Docker Engine 29, iptables backend.
//
// filter FORWARD -> DOCKER-USER (the administrator's) -> DOCKER-FORWARD -> DOCKER-CT        replies
//                                                                       -> DOCKER-INTERNAL  internal networks' borders
//                                                                       -> DOCKER-BRIDGE -> DOCKER  published ports
//                                                                       a line a network: what leaves it
// nat PREROUTING, OUTPUT (to the host's own addresses) -> DOCKER: a DNAT a published port; POSTROUTING: a MASQUERADE a network
// raw PREROUTING: nobody outside a container's network reaches it by its own address
//
// Rules are written as iptables-save prints them. Like the engine's, an addition that is there already changes nothing, nor
// does a removal of what is not there.

import { formatIpv4, formatPrefix, type Prefix } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";

type Table = "filter" | "nat" | "raw";

/** What the rules of a bridge network depend on. */
export interface NetworkRules {
  /** The bridge. */
  readonly device: string;
  readonly subnet: Prefix;
  readonly internal: boolean;
  /** Containers of the network may talk to each other (com.docker.network.bridge.enable_icc). */
  readonly icc: boolean;
  /** com.docker.network.bridge.enable_ip_masquerade */
  readonly masquerade: boolean;
}

/** A published port. */
export interface PortRules {
  readonly protocol: "tcp" | "udp";
  /** 0: any of the host's addresses. */
  readonly hostAddress: number;
  readonly hostPort: number;
  readonly address: number;
  readonly port: number;
}

interface Addition {
  readonly verb: "-A" | "-I";
  readonly table: Table;
  readonly chain: string;
  readonly rule: string;
}

/** So many rules are put in one by one; more go in with their table (iptables-restore). */
const FEW = 16;

const FILTER_CHAINS = ["DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-INTERNAL", "DOCKER-USER"];

export class Firewall {
  private readonly present = new Set<string>();
  /** Additions that wait, while many are made. */
  private waiting: Addition[] | null = null;

  /** Makes the chains. `hairpin`: there is no userland proxy, what containers send to the host's addresses is translated too. */
  constructor(
    private readonly host: Namespace,
    private readonly hairpin: boolean,
  ) {
    host.iptables.command("-t nat -N DOCKER");
    for (const chain of FILTER_CHAINS) host.iptables.command(`-N ${chain}`);
    this.append("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j DOCKER");
    this.append("nat", "OUTPUT", `${hairpin ? "" : "! -d 127.0.0.0/8 "}-m addrtype --dst-type LOCAL -j DOCKER`);
    this.insert("filter", "FORWARD", "-j DOCKER-FORWARD");
    for (const chain of ["DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-CT"]) {
      this.insert("filter", "DOCKER-FORWARD", `-j ${chain}`);
    }
    this.insert("filter", "FORWARD", "-j DOCKER-USER");
  }

  /** The engine switched ip_forward on: nothing else is to be forwarded. */
  dropForwarded(): void {
    this.host.iptables.command("-P FORWARD DROP");
  }

  addNetwork(n: NetworkRules): void {
    const dev = n.device;
    const subnet = formatPrefix(n.subnet);
    if (n.internal) {
      this.insert("filter", "DOCKER-INTERNAL", `! -d ${subnet} -i ${dev} -j DROP`);
      this.insert("filter", "DOCKER-INTERNAL", `! -s ${subnet} -o ${dev} -j DROP`);
      this.append("filter", "DOCKER-FORWARD", `-i ${dev} -o ${dev} -j ${n.icc ? "ACCEPT" : "DROP"}`);
      return;
    }
    if (n.masquerade) this.insert("nat", "POSTROUTING", `-s ${subnet} ! -o ${dev} -j MASQUERADE`);
    if (this.hairpin) this.insert("nat", "POSTROUTING", `-o ${dev} -m addrtype --src-type LOCAL -j MASQUERADE`);
    if (n.icc) this.append("filter", "DOCKER-FORWARD", `-i ${dev} -j ACCEPT`);
    else {
      this.append("filter", "DOCKER-FORWARD", `-i ${dev} -o ${dev} -j DROP`);
      this.append("filter", "DOCKER-FORWARD", `-i ${dev} ! -o ${dev} -j ACCEPT`);
    }
    this.append("filter", "DOCKER", `! -i ${dev} -o ${dev} -j DROP`);
    this.append("filter", "DOCKER-CT", `-o ${dev} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`);
    this.append("filter", "DOCKER-BRIDGE", `-o ${dev} -j DOCKER`);
  }

  removeNetwork(n: NetworkRules): void {
    const dev = n.device;
    const subnet = formatPrefix(n.subnet);
    this.remove("filter", "DOCKER-INTERNAL", `! -d ${subnet} -i ${dev} -j DROP`);
    this.remove("filter", "DOCKER-INTERNAL", `! -s ${subnet} -o ${dev} -j DROP`);
    this.remove("nat", "POSTROUTING", `-s ${subnet} ! -o ${dev} -j MASQUERADE`);
    this.remove("nat", "POSTROUTING", `-o ${dev} -m addrtype --src-type LOCAL -j MASQUERADE`);
    for (const rule of [`-i ${dev} -j ACCEPT`, `-i ${dev} -o ${dev} -j DROP`, `-i ${dev} -o ${dev} -j ACCEPT`]) {
      this.remove("filter", "DOCKER-FORWARD", rule);
    }
    this.remove("filter", "DOCKER-FORWARD", `-i ${dev} ! -o ${dev} -j ACCEPT`);
    this.remove("filter", "DOCKER", `! -i ${dev} -o ${dev} -j DROP`);
    this.remove("filter", "DOCKER-CT", `-o ${dev} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`);
    this.remove("filter", "DOCKER-BRIDGE", `-o ${dev} -j DOCKER`);
  }

  /** A container joins: nobody outside its network may send to its own address, but the host itself. */
  addEndpoint(n: NetworkRules, address: number): void {
    if (!n.internal) this.append("raw", "PREROUTING", `-d ${formatIpv4(address)}/32 ! -i ${n.device} -j DROP`);
  }

  removeEndpoint(n: NetworkRules, address: number): void {
    this.remove("raw", "PREROUTING", `-d ${formatIpv4(address)}/32 ! -i ${n.device} -j DROP`);
  }

  addPort(n: NetworkRules, p: PortRules): void {
    if (n.internal) return;
    const { loopback, dnat, masquerade, accept } = this.portRules(n, p);
    if (isLoopback(p.hostAddress)) this.append("raw", "PREROUTING", loopback);
    this.append("nat", "DOCKER", dnat);
    if (this.hairpin) this.append("nat", "POSTROUTING", masquerade);
    this.insert("filter", "DOCKER", accept);
  }

  removePort(n: NetworkRules, p: PortRules): void {
    const { loopback, dnat, masquerade, accept } = this.portRules(n, p);
    this.remove("raw", "PREROUTING", loopback);
    this.remove("nat", "DOCKER", dnat);
    this.remove("nat", "POSTROUTING", masquerade);
    this.remove("filter", "DOCKER", accept);
  }

  private portRules(
    n: NetworkRules,
    p: PortRules,
  ): { loopback: string; dnat: string; masquerade: string; accept: string } {
    const dev = n.device;
    const own = `${formatIpv4(p.address)}/32`;
    const match = (port: number): string => `-p ${p.protocol} -m ${p.protocol} --dport ${port}`;
    const to = p.hostAddress === 0 ? "" : `-d ${formatIpv4(p.hostAddress)}/32 `;
    return {
      loopback: `${to}! -i lo ${match(p.hostPort)} -j DROP`,
      dnat:
        `${to}${this.hairpin ? "" : `! -i ${dev} `}${match(p.hostPort)}` +
        ` -j DNAT --to-destination ${formatIpv4(p.address)}:${p.port}`,
      masquerade: `-s ${own} -d ${own} ${match(p.port)} -j MASQUERADE`,
      accept: `-d ${own} ! -i ${dev} -o ${dev} ${match(p.port)} -j ACCEPT`,
    };
  }

  private append(table: Table, chain: string, rule: string): void {
    this.add("-A", table, chain, rule);
  }

  private insert(table: Table, chain: string, rule: string): void {
    this.add("-I", table, chain, rule);
  }

  private add(verb: "-A" | "-I", table: Table, chain: string, rule: string): void {
    const key = `${table} ${chain} ${rule}`;
    if (this.present.has(key)) return;
    if (this.waiting !== null) this.waiting.push({ verb, table, chain, rule });
    else this.host.iptables.command(`-t ${table} ${verb} ${chain} ${rule}`);
    this.present.add(key);
  }

  /** Runs what adds many rules; they are in force when it returns, also when it throws. */
  together<T>(run: () => T): T {
    if (this.waiting !== null) return run();
    this.waiting = [];
    try {
      return run();
    } finally {
      this.flush();
      this.waiting = null;
    }
  }

  private flush(): void {
    const all = this.waiting?.splice(0) ?? [];
    const { iptables } = this.host;
    if (all.length <= FEW) {
      for (const { verb, table, chain, rule } of all) iptables.command(`-t ${table} ${verb} ${chain} ${rule}`);
      return;
    }
    const tables = new Set(all.map((a) => a.table));
    for (const name of tables) iptables.table(name);
    let text = "";
    for (const saved of iptables.save(true).matchAll(/^\*(\w+)\n((?::.*\n)*)((?:\[.*\n)*)COMMIT\n/gm)) {
      const [, name, heads, rules] = saved as unknown as [string, string, string, string];
      if (!tables.has(name as Table)) continue;
      const chains = new Map<string, string[]>();
      for (const head of heads.matchAll(/^:(\S+)/gm)) chains.set(head[1]!, []);
      for (const line of rules.matchAll(/^\[\S+ -A (\S+).*\n/gm)) chains.get(line[1]!)!.push(line[0]);
      for (const { verb, table, chain, rule } of all) {
        if (table !== name) continue;
        const list = chains.get(chain)!;
        const line = `[0:0] -A ${chain} ${rule}\n`;
        if (verb === "-A") list.push(line);
        else list.unshift(line);
      }
      text += `*${name}\n${heads}${[...chains.values()].flat().join("")}COMMIT\n`;
    }
    iptables.load(text);
  }

  private remove(table: Table, chain: string, rule: string): void {
    if (!this.present.delete(`${table} ${chain} ${rule}`)) return;
    this.flush();
    // the administrator may have flushed it
    const there = this.host.iptables.tables
      .get(table)
      ?.chains.get(chain)
      ?.rules.some((r) => r.spec === ` ${rule}`);
    if (there === true) this.host.iptables.command(`-t ${table} -D ${chain} ${rule}`);
  }
}

export function isLoopback(address: number): boolean {
  return address >>> 24 === 127;
}
