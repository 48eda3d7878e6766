// src/repl/show.ts: what Linux's tools print of a host, asked of it as it stands: nothing here changes the world.

import { formatIpv4, formatMac, parseIpv4 } from "../core/address.ts";
import { runCommand } from "../host/commands.ts";
import { Flow } from "../host/fib/flow.ts";
import type { Namespace } from "../host/namespace.ts";
import { TextError } from "../host/text.ts";
import type { Stack } from "../transport/tcp/endpoint.ts";
import { LineError, type Word, Words } from "./words.ts";

/** What the line prints; null when it is one that changes the host, or none of these. */
export function showHost(ns: Namespace, line: string, tool: Word): string | null {
  const words = Words.of(line);
  while (words.peek() !== null && words.peek()!.column <= tool.column) words.take("");
  const rest = words.list.filter((w) => w.column > tool.column);
  const text = rest.map((w) => w.text);
  switch (tool.text) {
    case "ip":
      return ipShow(ns, rest, line, tool);
    case "iptables-save":
      return ns.iptables.save(text.includes("-c"));
    case "iptables":
      return iptablesShow(ns, rest);
    case "nft":
      return text[0] === "list" ? pass(ns, line, tool) : null;
    case "conntrack": {
      const w = rest[0];
      if (w === undefined || w.text === "-L" || w.text === "--dump") return lines(ns.conntrack.list());
      return null;
    }
    case "ss":
      return ss(ns, rest);
    case "bridge":
      return text.some((t) => /^(add|append|replace|del|delete|set|flush)$/.test(t)) ? null : pass(ns, line, tool);
    case "tc":
      return text.some((t) => /^(add|change|replace|del|delete)$/.test(t)) ? null : pass(ns, line, tool);
    case "sysctl":
      return rest.length > 0 && text.every((t) => !t.includes("=") && t !== "-w")
        ? rest
            .filter((w) => w.text !== "-n")
            .map((w) => sysctl(ns, w))
            .join("")
        : null;
    default:
      return null;
  }
}

const lines = (list: readonly string[]): string => list.map((l) => `${l}\n`).join("");

function pass(ns: Namespace, line: string, tool: Word): string {
  try {
    return runCommand(ns, line.slice(tool.column - 1));
  } catch (e) {
    if (e instanceof TextError) throw new LineError(e.column + tool.column - 1, e.message);
    throw e;
  }
}

function ipShow(ns: Namespace, words: readonly Word[], line: string, tool: Word): string | null {
  const object = words.find((w) => !w.text.startsWith("-"));
  if (object === undefined)
    throw new LineError(line.trimEnd().length + 1, "the line ends, expected route, neigh, addr, link or rule");
  const rest = words.slice(words.indexOf(object) + 1);
  const verb = rest[0]?.text ?? "show";
  const shows = "show".startsWith(verb) || verb === "list" || verb === "ls" || verb === "lst";
  const is = (name: string): boolean => name.startsWith(object.text);
  if (is("route")) {
    if (verb === "get") return routeGet(ns, rest[1], line);
    if (!shows) return null;
    const at = rest.findIndex((w) => w.text === "table");
    if (at < 0) return lines(ns.fib.listRoutes(254).map((l) => l.replace(/ table main$/, "")));
    const name = rest[at + 1];
    if (name === undefined) throw new LineError(line.trimEnd().length + 1, "the line ends, expected a table");
    const table =
      { all: null, main: 254, local: 255, default: 253 }[name.text] ?? (name.text === "all" ? null : Number(name.text));
    if (table !== null && !Number.isInteger(table))
      throw new LineError(name.column, `'${name.text}', expected a table: main, local, default, all or a number`);
    return lines(ns.fib.listRoutes(table));
  }
  if (is("rule")) return shows ? lines(ns.fib.listRules()) : null;
  if (is("neighbour"))
    return shows ? ns.neighbours.command(rest.length === 0 ? "show" : line.slice(rest[0]!.column - 1)) : null;
  if (is("address") || object.text === "a") return shows ? devices(ns, rest, true) : null;
  if (is("link")) return shows ? devices(ns, rest, false) : null;
  void tool;
  return null;
}

function routeGet(ns: Namespace, w: Word | undefined, line: string): string {
  if (w === undefined) throw new LineError(line.trimEnd().length + 1, "the line ends, expected an address");
  const dst = parseIpv4(w.text);
  if (dst === null) throw new LineError(w.column, `'${w.text}' is no IPv4 address, expected one such as 10.0.0.1`);
  const flow = new Flow();
  flow.clear();
  flow.dst = dst;
  const route = ns.fib.routeOutput(flow);
  if (route === null || route.dev === null) return "RTNETLINK answers: Network is unreachable\n";
  const via = route.gateway === 0 ? "" : ` via ${formatIpv4(route.gateway)}`;
  const src = flow.src !== 0 ? flow.src : route.source;
  return `${w.text}${via} dev ${route.dev.name} src ${formatIpv4(src)}\n    because of ${ns.fib.explain()}\n`;
}

/** `ip addr`, `ip link` */
function devices(ns: Namespace, rest: readonly Word[], addresses: boolean): string {
  const names = rest.filter((w) => !["show", "list", "ls", "dev"].includes(w.text));
  let out = "";
  for (const w of names)
    if (!ns.byName.has(w.text)) throw new LineError(w.column, `${ns.name} has no device '${w.text}'`);
  for (const dev of ns.interfaces) {
    if (names.length > 0 && !names.some((w) => w.text === dev.name)) continue;
    const loop = dev.kind === "loopback";
    const bits = [loop ? "LOOPBACK" : "BROADCAST,MULTICAST", dev.up ? "UP,LOWER_UP" : ""]
      .filter((s) => s !== "")
      .join(",");
    const master = [...ns.bridges.values()].find((b) => b.ports.some((p) => p.dev === dev));
    const of = master === undefined ? "" : ` master ${master.dev.name}`;
    out += `${dev.ifindex}: ${dev.name}: <${bits}> mtu ${dev.mtu}${of} state ${loop ? "UNKNOWN" : dev.up ? "UP" : "DOWN"}\n`;
    const mac = formatMac(ns.world.core.u8.subarray(dev.mac, dev.mac + 6));
    if (dev.kind !== "tun")
      out += `    link/${loop ? "loopback" : "ether"} ${mac} brd ${loop ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff"}\n`;
    if (!addresses) continue;
    for (const a of ns.fib.addresses(dev)) {
      const brd = a.broadcast === 0 ? "" : ` brd ${formatIpv4(a.broadcast)}`;
      const scope = a.scope === 254 ? "host" : a.scope === 253 ? "link" : "global";
      out += `    inet ${formatIpv4(a.local)}/${a.length}${brd} scope ${scope}${a.secondary ? " secondary" : ""} ${dev.name}\n`;
    }
  }
  return out;
}

/** `iptables -S` and `-L` print the rules as iptables-save does; anything else changes them. */
function iptablesShow(ns: Namespace, rest: readonly Word[]): string | null {
  const text = rest.map((w) => w.text);
  if (!text.some((t) => /^(-S|-L|--list-rules|--list|-n?v?L|-nvL|-vnL)$/.test(t))) return null;
  const at = text.findIndex((t) => t === "-t" || t === "--table");
  const table = at < 0 ? "filter" : (text[at + 1] ?? "");
  const saved = ns.iptables.save(text.some((t) => t.includes("v")));
  const m = new RegExp(`^\\*${table.replace(/[^a-z]/g, "")}\\n([^*]*?)COMMIT$`, "m").exec(saved);
  return m === null
    ? ""
    : m[1]!.replace(/^:(\S+) (\S+) .*$/gm, (_, chain: string, policy: string) =>
        policy === "-" ? `-N ${chain}` : `-P ${chain} ${policy}`,
      );
}

const socketStates: Readonly<Record<string, string>> = { ESTABLISHED: "ESTAB", "SYN-RCVD": "SYN-RECV" };

function ss(ns: Namespace, rest: readonly Word[]): string {
  const options = rest.map((w) => w.text).join("");
  const bad = rest.find((w) => !/^-[tuanlp]+$/.test(w.text));
  if (bad !== undefined) throw new LineError(bad.column, `'${bad.text}', expected -tan, -uan, -tln ...`);
  const both = !/[tu]/.test(options);
  const rows: string[][] = [];
  const at = (address: number, port: number): string =>
    `${address === 0 ? "0.0.0.0" : formatIpv4(address)}:${port === 0 ? "*" : port}`;
  const { tcp } = ns.transports;
  if (options.includes("t") || both) {
    const list = tcp !== null && "list" in tcp ? (tcp as unknown as Stack).list() : [];
    for (const r of list) {
      const listening = r.state === "LISTEN";
      if (options.includes("l") ? !listening : listening && !options.includes("a")) continue;
      rows.push([socketStates[r.state] ?? r.state, String(r.recvQ), String(r.sendQ), at(...r.local), at(...r.remote)]);
    }
  }
  for (const s of ns.sockets) {
    const udp = s.proto === 17;
    if (udp ? !(options.includes("u") || both) : !(options.includes("t") || both)) continue;
    rows.push([udp ? "UNCONN" : "LISTEN", "0", "0", at(s.address, s.port), at(0, 0)]);
  }
  const { udp } = ns.transports;
  if ((options.includes("u") || both) && udp !== null && "sockets" in udp) {
    for (const s of (
      udp as unknown as {
        sockets(): Iterable<{ localAddress: number; localPort: number; remoteAddress: number; remotePort: number }>;
      }
    ).sockets()) {
      rows.push([
        s.remotePort === 0 ? "UNCONN" : "ESTAB",
        "0",
        "0",
        at(s.localAddress, s.localPort),
        at(s.remoteAddress, s.remotePort),
      ]);
    }
  }
  const head = "State      Recv-Q Send-Q      Local Address:Port       Peer Address:Port\n";
  return (
    head +
    rows
      .map(
        ([state, r, s, l, p]) =>
          `${state!.padEnd(10)} ${r!.padStart(6)} ${s!.padStart(6)} ${l!.padStart(23)} ${p!.padStart(23)}\n`,
      )
      .join("")
  );
}

function sysctl(ns: Namespace, w: Word): string {
  for (const get of [() => ns.sysctl.get(w.text), () => ns.sysctl.getText(w.text), () => device(ns, w.text)]) {
    try {
      const v = get();
      if (v !== null) return `${w.text} = ${v}\n`;
    } catch {
      // it is one of the others
    }
  }
  throw new LineError(w.column, `unknown sysctl '${w.text}'`);
}

/** net.ipv4.conf.DEV.KEY and net.ipv4.neigh.DEV.KEY */
function device(ns: Namespace, name: string): string | number | null {
  const m = /^net\.ipv4\.(conf|neigh)\.(.+)\.([a-z_0-9]+)$/.exec(name);
  if (m === null) return null;
  const table = m[1] === "conf" ? ns.sysctl.conf(m[2]!) : ns.sysctl.neigh(m[2]!);
  return (table as unknown as Record<string, number> | null)?.[m[3]!] ?? null;
}
