// src/node/bench/kernel.ts: the same topology in this machine's kernel: namespaces of its own, always taken away again.

import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { CLIENT, HOST, PAIR, rules, rulesText } from "./dockerlab.ts";
import { type Env, tool } from "./env.ts";
import { Absent } from "./measure.ts";

/** Names that nobody else on this machine has. */
const stem = `wirepath${process.pid}`;
let made = 0;

/** Namespaces, until the benchmark ends. */
abstract class KernelNamespaces<Node extends string> {
  readonly names: Readonly<Record<Node, string>>;
  protected readonly ip = tool("ip");
  protected readonly sh = tool("sh");

  /** Answers `Absent` where this user or machine cannot. */
  constructor(
    protected readonly env: Env,
    nodes: readonly Node[],
  ) {
    if (process.getuid?.() !== 0) throw new Absent("not root: network namespaces cannot be made");
    const id = `${stem}${made++}`;
    this.names = Object.fromEntries(nodes.map((n) => [n, `${id}${n[0]}`])) as Record<Node, string>;
    env.atEnd(() => this.remove());
  }

  /** Runs a script; what goes wrong is an `Absent` in the tool's words. */
  make(script: string): void {
    const r = spawnSync(this.sh, ["-c", script], { encoding: "utf8", timeout: 60_000 });
    if (r.status === 0) return;
    this.remove();
    throw new Absent(
      `the kernel refuses: ${r.stderr.trim().split("\n").at(-1) ?? r.error?.message ?? "no reason given"}`,
    );
  }

  remove(): void {
    for (const name of Object.values<string>(this.names)) {
      if (existsSync(`/run/netns/${name}`)) spawnSync(this.ip, ["netns", "del", name], { timeout: 10_000 });
    }
  }

  /** Every segment goes by itself and is summed, and ports of connections that ended may be taken again soon. */
  protected forTcp(client: string, devices: readonly (readonly [string, string])[]): string {
    const ethtool = tool("ethtool");
    const off = ["tso", "gso", "gro", "tx", "rx"].map((w) => `${w} off`).join(" ");
    const set = (file: string, v: string): string =>
      `${this.ip} netns exec ${client} ${this.sh} -c 'echo ${v} > /proc/sys/net/ipv4/${file}'\n`;
    return (
      devices.map(([ns, dev]) => `${this.ip} netns exec ${ns} ${ethtool} -K ${dev} ${off} > /dev/null\n`).join("") +
      set("tcp_tw_reuse", "1") +
      set("ip_local_port_range", "1024 65535")
    );
  }
}

/** Two hosts on a wire. */
export class KernelPair extends KernelNamespaces<"client" | "web"> {
  constructor(env: Env) {
    super(env, ["client", "web"]);
  }

  batch(): string {
    const { client, web } = this.names;
    const { ip } = this;
    return `set -e
${ip} netns add ${client}
${ip} netns add ${web}
${ip} link add eth0 netns ${client} type veth peer name eth0 netns ${web}
${ip} -n ${client} link set eth0 up
${ip} -n ${web} link set eth0 up
${ip} -n ${client} addr add ${PAIR.client}/24 dev eth0
${ip} -n ${web} addr add ${PAIR.web}/24 dev eth0
${this.forTcp(client, [
  [client, "eth0"],
  [web, "eth0"],
])}`;
  }
}

export class KernelLab extends KernelNamespaces<"client" | "router" | "host" | "web"> {
  private readonly iptables = tool("iptables");

  constructor(env: Env) {
    super(env, ["client", "router", "host", "web"]);
  }

  /** What makes the links and addresses; `[namespace or none, words of ip]`. */
  private links(): [string | null, string][] {
    const { client, router, host, web } = this.names;
    const at = (ns: string, ...lines: string[]): [string, string][] => lines.map((l) => [ns, l]);
    return [
      ...Object.values(this.names).map((n): [null, string] => [null, `netns add ${n}`]),
      [
        null,
        `link add eth0 netns ${client} address 02:00:cb:00:71:0a type veth peer name eth0 address 02:00:cb:00:71:01 netns ${router}`,
      ],
      [
        null,
        `link add eth1 netns ${router} address 02:00:c6:33:64:01 type veth peer name eth0 address 02:00:c6:33:64:14 netns ${host}`,
      ],
      [null, `link add veth0 netns ${host} type veth peer name eth0 netns ${web}`],
      ...at(
        client,
        "link set lo up",
        "link set eth0 up",
        `addr add ${CLIENT}/24 dev eth0`,
        "route add default via 203.0.113.1",
      ),
      ...at(
        router,
        "link set lo up",
        "link set eth0 up",
        "link set eth1 up",
        "addr add 203.0.113.1/24 dev eth0",
        "addr add 198.51.100.1/24 dev eth1",
      ),
      ...at(
        host,
        "link set lo up",
        "link set eth0 up",
        "link add docker0 type bridge",
        "link set veth0 master docker0",
        "link set veth0 up",
        "link set docker0 up",
        `addr add ${HOST}/24 dev eth0`,
        "addr add 172.17.0.1/16 dev docker0",
        "route add default via 198.51.100.1",
      ),
      ...at(
        web,
        "link set lo up",
        "link set eth0 up",
        "addr add 172.17.0.2/16 dev eth0",
        "route add default via 172.17.0.1",
      ),
    ];
  }

  private sysctls(): string {
    const { router, host } = this.names;
    const set = (ns: string, file: string, v: number): string =>
      `${this.ip} netns exec ${ns} ${this.sh} -c 'test ! -e /proc/sys/net/${file} || echo ${v} > /proc/sys/net/${file}'\n`;
    return (
      set(router, "ipv4/ip_forward", 1) +
      set(host, "ipv4/ip_forward", 1) +
      set(host, "bridge/bridge-nf-call-iptables", 0)
    );
  }

  /** A shell script: one ip and one iptables a line, as most scripts and dockerd itself do it. */
  commands(): string {
    const lines = this.links().map(([ns, words]) => `${this.ip} ${ns === null ? "" : `-n ${ns} `}${words}`);
    for (const [table, list] of Object.entries(rules)) {
      for (const rule of list) {
        const chain = /^:(\S+) (\S+)/.exec(rule);
        const words = chain === null ? rule : chain[2] === "-" ? `-N ${chain[1]}` : `-P ${chain[1]} ${chain[2]}`;
        lines.push(`${this.ip} netns exec ${this.names.host} ${this.iptables} -w -t ${table} ${words}`);
      }
    }
    return `set -e\n${lines.join("\n")}\n${this.sysctls()}`;
  }

  /** The same with as few processes as these tools allow: `ip -batch`, `iptables-restore`. */
  batch(): string {
    const files = new Map<string | null, string[]>();
    for (const [ns, words] of this.links()) files.set(ns, [...(files.get(ns) ?? []), words]);
    let script = "set -e\n";
    for (const [ns, lines] of files) {
      const file = this.env.file(`batch-${ns ?? "all"}`);
      writeFileSync(file, `${lines.join("\n")}\n`);
      script += `${this.ip} ${ns === null ? "" : `-n ${ns} `}-batch ${file}\n`;
    }
    const restore = this.env.file("rules");
    writeFileSync(restore, rulesText());
    return `${script}${this.ip} netns exec ${this.names.host} ${this.iptables}-restore < ${restore}\n${this.sysctls()}`;
  }

  /** `batch`, and what TCP is measured with. */
  tcp(): string {
    const { client, router, host, web } = this.names;
    return (
      this.batch() +
      this.forTcp(client, [
        [client, "eth0"],
        [router, "eth0"],
        [router, "eth1"],
        [host, "eth0"],
        [host, "docker0"],
        [host, "veth0"],
        [web, "eth0"],
      ])
    );
  }
}
