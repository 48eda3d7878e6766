// src/lab/build.ts: a world from a lab: namespaces, devices, tables, links.

import { parseMac } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import { bridgeOption, bridgePortOption, loadFdb } from "../host/bridgecommand.ts";
import { Namespace } from "../host/namespace.ts";
import { parseNetem } from "../host/netemwords.ts";
import { TextError } from "../host/text.ts";
import { connect, type Link } from "../link/wire.ts";
import type { Interface } from "../link/interface.ts";
import type { NetemOptions } from "../link/netem.ts";
import { newWorld } from "../link/newworld.ts";
import type { World } from "../link/world.ts";
import type { Program } from "../service/program.ts";
import { generatePlan, Internet, readPlan } from "./internet.ts";
import type { LabText, Path } from "./read.ts";
import type { InterfaceFile, NodeFile } from "./schema.ts";
import { addServices } from "./services.ts";
import { DockerHost, type Parts } from "./webservices.ts";
import { scheduleTimeline } from "./timeline.ts";
import { deriveMac, parseEndpoint, parseListen, parseTime } from "./words.ts";

/** A lab that stands, its clock at zero. */
export interface Lab {
  readonly world: World;
  readonly nodes: ReadonlyMap<string, Namespace>;
  /** In the file's order; none where one node runs alone. */
  readonly links: readonly Link[];
  /** By node: the programs of its `services`, in the file's order. They run. */
  readonly programs: ReadonlyMap<string, readonly Program[]>;
}

export interface BuildOptions {
  readonly seed?: number;
  /** Nanoseconds since 1970 at virtual time zero. */
  readonly epoch?: bigint;
  /** This node is to run alone: all are built and checked, but no link is made and no other's timeline runs. */
  readonly only?: string;
  /** What programs of the nodes need that is not here: databases, TLS. */
  readonly parts?: Parts;
}

/** Builds the world; what is wrong throws `LabError` with its place. */
export function buildLab(core: Core, text: LabText, options: BuildOptions = {}): Lab {
  const world = newWorld(core, options);
  const nodes = new Map<string, Namespace>();
  const legacy = legacyNodes(text);
  for (const [name, file] of Object.entries(text.file.nodes)) {
    const ns = new Namespace(name, world);
    nodes.set(name, ns);
    if (legacy === "all" || legacy.has(name)) ns.iptables.backend = "legacy";
    if (file !== null) configure(text, ns, file);
  }
  // a node that runs alone has no internet
  if (options.only === undefined) for (const ns of addInternet(text, world, nodes)) nodes.set(ns.name, ns);
  const made: Link[] = [];
  for (const { ends, netem } of links(text, nodes)) {
    if (options.only !== undefined) continue;
    const link = connect(...ends);
    made.push(link);
    netem.forEach((o, i) => o !== null && link.setNetem(ends[i]!, o));
  }
  const programs = new Map<string, readonly Program[]>();
  for (const [name, file] of Object.entries(text.file.nodes)) {
    const idle = options.only !== undefined && options.only !== name;
    if (file === null) continue;
    const ns = nodes.get(name)!;
    const made = addServices(text, ns, file, { idle, parts: options.parts ?? {} });
    programs.set(name, made);
    // containers are nodes as well
    for (const p of made) if (p instanceof DockerHost) for (const [n, c] of p.nodes) nodes.set(n, c);
  }
  scheduleTimeline(text, world, nodes, options.only ?? null);
  return { world, nodes, links: made, programs };
}

/** The routers of `internet`, and the nodes' connections to them. */
function addInternet(text: LabText, world: World, nodes: ReadonlyMap<string, Namespace>): Iterable<Namespace> {
  const { internet } = text.file;
  if (internet === undefined) return [];
  const { seed = 1, table, systems, prefixes, attach } = internet;
  const plan = text.within(table === undefined ? ["internet"] : ["internet", "table"], () =>
    table === undefined
      ? generatePlan({
          seed,
          ...(systems === undefined ? {} : { systems }),
          ...(prefixes === undefined ? {} : { prefixes }),
        })
      : readPlan(table, seed),
  );
  for (const asn of plan.systems.keys()) {
    if (nodes.has(`as${asn}`)) throw text.errorAtKey(["nodes", `as${asn}`], `'as${asn}' is a router of the internet's`);
  }
  const made = text.within(["internet"], () => new Internet(world, plan, table === undefined));
  for (const [name, a] of Object.entries(attach ?? {})) {
    const at: Path = ["internet", "attach", name];
    const ns = nodes.get(name);
    if (ns === undefined) throw text.errorAtKey(at, `'${name}': there is no such node`);
    const delay = a.delay === undefined ? undefined : text.within([...at, "delay"], () => parseTime(a.delay!));
    text.within([...at, "as"], () => made.join(a.as, ns, a.interface ?? "inet", delay));
  }
  return made.routers.values();
}

/**
 * The two backends differ on cut headers; a lab whose rules iptables-legacy wrote says so in its head comment, or by
 * using it later on.
 */
function legacyNodes(text: LabText): "all" | Set<string> {
  if (/\biptables-legacy\b/.test(text.headComment)) return "all";
  const found = new Set<string>();
  for (const e of text.file.timeline ?? []) {
    if (e.run?.some((line) => /^\s*iptables-legacy\b/.test(line))) found.add(e.node);
  }
  return found;
}

function configure(text: LabText, ns: Namespace, file: NodeFile): void {
  const at = (...path: (string | number)[]): Path => ["nodes", ns.name, ...path];
  const devices = Object.entries(file.interfaces ?? {});
  for (const [name, dev] of devices) addDevice(text, ns, name, dev ?? {}, at("interfaces", name));
  for (const [name, value] of Object.entries(file.sysctl ?? {})) {
    text.within(at("sysctl", name), () => ns.sysctl.set(name, value));
  }
  for (const [name, dev] of devices) {
    if (dev?.kind === "bridge") bridge(text, ns, name, dev, at("interfaces", name));
    else if (dev?.ports !== undefined || dev?.bridge !== undefined) {
      const key = dev.ports !== undefined ? "ports" : "bridge";
      throw text.errorAtKey(at("interfaces", name, key), `'${key}' is for interfaces of kind bridge`);
    }
  }
  // addresses first, then up: of a local and a broadcast route for the same address the local one was there before
  for (const [name] of devices) ns.setLink(ns.byName.get(name)!, false);
  for (const [name, dev] of devices) {
    dev?.addresses?.forEach((a, i) =>
      text.within(at("interfaces", name, "addresses", i), () => addAddress(ns, name, a)),
    );
  }
  for (const [name, dev] of devices) if (dev?.up !== false) ns.setLink(ns.byName.get(name)!, true);
  // behind the links: a port that comes up starts to forward
  for (const [name, dev] of devices) portFlags(text, ns, name, dev ?? {}, at("interfaces", name, "port"));
  if (file.routes !== undefined) text.withinList(at("routes"), () => ns.fib.loadRoutes(file.routes!));
  if (file.rules !== undefined) text.withinList(at("rules"), () => ns.fib.loadRules(file.rules!));
  file.neighbours?.forEach((n, i) => text.within(at("neighbours", i), () => ns.neighbours.load(n)));
  file.fdb?.forEach((e, i) => text.within(at("fdb", i), () => loadFdb(ns, e)));
  file.nat_choices?.forEach((c, i) => text.within(at("nat_choices", i), () => ns.conntrack.nat.addChoice(c)));
  if (file.iptables !== undefined) text.within(at("iptables"), () => ns.iptables.load(file.iptables!));
  if (file.nftables !== undefined) text.within(at("nftables"), () => ns.nft.load(file.nftables!));
  file.listen?.forEach((l, i) =>
    text.within(at("listen", i), () => {
      const { proto, address, port } = parseListen(l);
      ns.sockets.open(proto, address, port);
    }),
  );
}

/** `10.0.0.1/24`, or what `ip addr add` takes before `dev`. */
function addAddress(ns: Namespace, dev: string, words: string): void {
  const verb = "addr add ";
  try {
    ns.fib.command(`${verb}${words} dev ${dev}`);
  } catch (e) {
    if (e instanceof TextError) throw new TextError(1, Math.max(1, e.column - verb.length), e.message);
    throw e;
  }
}

function addDevice(text: LabText, ns: Namespace, name: string, dev: InterfaceFile, at: Path): void {
  if (name === "lo") throw text.errorAtKey(at, "'lo' exists always and is not listed");
  if (!/^[^\s/]{1,15}$/.test(name)) {
    throw text.errorAtKey(at, `'${name}' is no interface name, expected 1 to 15 characters without spaces and slashes`);
  }
  const mac = dev.mac === undefined ? deriveMac(ns.name, name) : parseMac(dev.mac);
  if (mac === null)
    throw text.error([...at, "mac"], `'${dev.mac}' is no MAC address, expected six bytes such as 02:42:ac:11:00:02`);
  if ((mac[0]! & 1) !== 0)
    throw text.error([...at, "mac"], `'${dev.mac}' is a group address, expected one with an even first byte`);
  ns.addInterface(name, dev.kind ?? "veth", mac, dev.mtu ?? 1500);
}

function bridge(text: LabText, ns: Namespace, name: string, dev: InterfaceFile, at: Path): void {
  ns.addBridge(ns.byName.get(name)!);
  for (const [key, value] of Object.entries(dev.bridge ?? {})) {
    text.within([...at, "bridge", key], () => bridgeOption(ns, name, key, String(value)));
  }
  (dev.ports ?? []).forEach((port, i) => {
    const where = [...at, "ports", i];
    const p = ns.byName.get(port);
    if (p === undefined) throw text.error(where, `port '${port}': ${ns.name} has no such interface`);
    if (p.kind === "bridge") throw text.error(where, `port '${port}' is a bridge itself`);
    if (p.rxHandler !== null) throw text.error(where, `port '${port}' is a port of another bridge already`);
    ns.bridges.get(name)!.addPort(p);
  });
}

function portFlags(text: LabText, ns: Namespace, name: string, dev: InterfaceFile, at: Path): void {
  if (dev.port === undefined) return;
  if (ns.byName.get(name)!.rxHandler === null) throw text.errorAtKey(at, `'port': ${name} is no port of a bridge`);
  for (const [key, value] of Object.entries(dev.port)) {
    const word = value === true ? "on" : value === false ? "off" : String(value);
    text.within([...at, key], () => bridgePortOption(ns, name, key, word));
  }
}

interface Joined {
  readonly ends: readonly [Interface, Interface];
  /** Of what each end sends. */
  readonly netem: readonly (NetemOptions | null)[];
}

/** The pairs of devices that the lab joins. */
function links(text: LabText, nodes: ReadonlyMap<string, Namespace>): Joined[] {
  const taken = new Set<Interface>();
  return (text.file.links ?? []).map((l, i) => {
    const [a, b] = l.endpoints.map((e, k) =>
      text.within(["links", i, "endpoints", k], () => {
        const { node, iface } = parseEndpoint(e);
        const ns = nodes.get(node);
        if (ns === undefined) throw new TextError(1, 1, `'${e}': there is no node '${node}'`);
        const dev = ns.byName.get(iface);
        if (dev === undefined) throw new TextError(1, node.length + 2, `'${e}': ${node} has no interface '${iface}'`);
        if (dev.kind !== "veth") throw new TextError(1, node.length + 2, `'${e}': a ${dev.kind} has no wire`);
        if (taken.has(dev)) throw new TextError(1, 1, `'${e}' is linked already`);
        taken.add(dev);
        return dev;
      }),
    );
    return { ends: [a!, b!], netem: netemOf(text, l.netem, ["links", i, "netem"]) };
  });
}

/** One string rules both directions, two the first end's and the second's; an empty one leaves its direction alone. */
function netemOf(text: LabText, words: string | string[] | undefined, at: Path): (NetemOptions | null)[] {
  const read = (line: string, path: Path): NetemOptions | null =>
    line.trim() === "" ? null : text.within(path, () => parseNetem(line));
  if (words === undefined) return [];
  if (typeof words === "string") return [read(words, at), read(words, at)];
  return words.map((line, k) => read(line, [...at, k]));
}
