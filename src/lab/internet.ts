// src/lab/internet.ts: an internet: autonomous systems with a router each, who buys from whom, tables of thousands of prefixes
// chosen as BGP chooses them (RFC 4271 §9.1 as far as policy and path length go), latencies by distance.

import { formatIpv4, formatPrefix, maskOf, parsePrefix, type Prefix } from "../core/address.ts";
import { TextError } from "../host/text.ts";
import { parseNetem } from "../host/netemwords.ts";
import { Namespace } from "../host/namespace.ts";
import { connect } from "../link/wire.ts";
import { Rng } from "../link/rng.ts";
import type { World } from "../link/world.ts";
import { deriveMac } from "./words.ts";

/** What a neighbour is to an autonomous system: it pays us, we pay it, nobody pays (Gao and Rexford's model). */
export type Relation = "customer" | "provider" | "peer";

export interface AutonomousSystem {
  readonly asn: number;
  /** 1: those that buy from nobody; 2: transit; 3: those that only buy. */
  readonly tier: 1 | 2 | 3;
  /** Kilometres on a plane. */
  readonly x: number;
  readonly y: number;
  readonly prefixes: Prefix[];
  readonly neighbours: Map<number, Relation>;
}

export interface InternetPlan {
  /** By number, in the order of their making. */
  readonly systems: ReadonlyMap<number, AutonomousSystem>;
}

export interface PlanOptions {
  readonly seed: number;
  /** Autonomous systems, at least 4. Default 24. Each holds a route to each prefix: the core has room for some 100,000 in all. */
  readonly systems?: number;
  /** Prefixes in all, at least one a system. Default 2,000. */
  readonly prefixes?: number;
}

const FIRST_ASN = 64500;
const WIDTH = 18_000;
const HEIGHT = 8_000;
/** Light in glass, and cables that do not run straight: kilometres a nanosecond. */
const SPEED = 200_000 / 1e9 / 1.4;
const LEAST_DELAY = 100_000;
const opposite: Readonly<Record<Relation, Relation>> = { customer: "provider", provider: "customer", peer: "peer" };

function link(plan: Map<number, AutonomousSystem>, a: number, b: number, bIs: Relation): void {
  plan.get(a)!.neighbours.set(b, bIs);
  plan.get(b)!.neighbours.set(a, opposite[bIs]);
}

/** An internet made of a seed: a core of peers, transit systems that buy from two, the others from one or two near ones. */
export function generatePlan(options: PlanOptions): InternetPlan {
  const { seed, systems: count = 24, prefixes = 2000 } = options;
  if (!(count >= 4 && count <= 1000)) throw new Error(`${count} autonomous systems, expected 4 to 1000`);
  if (!(prefixes >= count && prefixes <= 100_000)) throw new Error(`${prefixes} prefixes, expected ${count} to 100000`);
  const rng = new Rng(seed);
  const plan = new Map<number, AutonomousSystem>();
  const core = Math.min(4, count);
  const transit = Math.max(core, Math.floor(count / 4));
  for (let i = 0; i < count; i++) {
    const tier = i < core ? 1 : i < transit ? 2 : 3;
    const place = { x: rng.below(WIDTH), y: rng.below(HEIGHT) };
    plan.set(FIRST_ASN + i, { asn: FIRST_ASN + i, tier, ...place, prefixes: [], neighbours: new Map() });
  }
  const all = [...plan.values()];
  for (const a of all) {
    const bigger = all.filter((b) => b.asn < a.asn && b.tier < a.tier);
    if (a.tier === 1) {
      for (const b of all) if (b.asn < a.asn && b.tier === 1) link(plan, a.asn, b.asn, "peer");
      continue;
    }
    const near = bigger.toSorted((b, c) => distance(a, b) - distance(a, c) || b.asn - c.asn);
    const providers = a.tier === 2 ? 2 : 1 + rng.below(2);
    for (const b of near.slice(0, providers)) link(plan, a.asn, b.asn, "provider");
    // neighbours of the second tier exchange what is theirs
    const peer = a.tier === 2 ? all.find((b) => b.tier === 2 && b.asn < a.asn && !a.neighbours.has(b.asn)) : undefined;
    if (peer !== undefined && rng.below(2) === 0) link(plan, a.asn, peer.asn, "peer");
  }
  // 20.0.0.0/8 and on, in /22 to /24, one system after the other: none overlaps
  let next = 0x14000000;
  for (let i = 0; i < prefixes; i++) {
    const length = 22 + rng.below(3);
    all[i % count]!.prefixes.push({ address: next, length });
    next += 1024;
  }
  return { systems: plan };
}

/**
 * An internet from a table: lines of a prefix and the AS path behind it (`192.0.2.0/24 64500 64501`), as a route collector's
 * dump has them; the last number is the origin's. Neighbours on a path are neighbours. Throws `TextError`.
 */
export function readPlan(text: string, seed: number): InternetPlan {
  const rng = new Rng(seed);
  const plan = new Map<number, AutonomousSystem>();
  const owners = new Map<string, number>();
  const system = (asn: number): AutonomousSystem => {
    let a = plan.get(asn);
    if (a === undefined) {
      a = { asn, tier: 3, x: rng.below(WIDTH), y: rng.below(HEIGHT), prefixes: [], neighbours: new Map() };
      plan.set(asn, a);
    }
    return a;
  };
  text.split("\n").forEach((line, i) => {
    const words = line.replace(/#.*$/, "").trim().split(/\s+/);
    if (words[0] === "") return;
    const prefix = words[0]!.includes("/") ? parsePrefix(words[0]!) : null;
    if (prefix === null || (prefix.address & ~maskOf(prefix.length)) >>> 0 !== 0) {
      throw new TextError(
        i + 1,
        line.indexOf(words[0]!) + 1,
        `'${words[0]}' is no prefix, expected one such as 192.0.2.0/24`,
      );
    }
    const path = words.slice(1).map((w) => {
      if (!/^\d{1,10}$/.test(w) || Number(w) < 1 || Number(w) > 0xffffffff) {
        throw new TextError(i + 1, line.indexOf(w, words[0]!.length) + 1, `'${w}' is no AS number`);
      }
      return Number(w);
    });
    if (path.length === 0) throw new TextError(i + 1, line.length + 1, "a prefix without a path, expected AS numbers");
    // prepending says a number several times
    const hops = path.filter((a, k) => k === 0 || a !== path[k - 1]);
    for (const a of hops) system(a);
    for (let k = 1; k < hops.length; k++) link(plan, hops[k - 1]!, hops[k]!, "peer");
    const key = formatPrefix(prefix);
    const origin = hops.at(-1)!;
    // of a prefix that several claim, the first line's
    if (owners.has(key)) return;
    owners.set(key, origin);
    system(origin).prefixes.push(prefix);
  });
  if (plan.size === 0) throw new TextError(1, 1, "the table is empty, expected lines of a prefix and an AS path");
  return { systems: plan };
}

function distance(a: AutonomousSystem, b: AutonomousSystem): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** One way, in nanoseconds. */
export function delayBetween(a: AutonomousSystem, b: AutonomousSystem): number {
  return LEAST_DELAY + Math.round(distance(a, b) / SPEED);
}

/** How good a route is by whom it was learned from; higher goes first (LOCAL_PREF). */
const preference: Readonly<Record<Relation, number>> = { customer: 300, peer: 200, provider: 100 };

export interface Best {
  /** From the neighbour to the origin. */
  readonly path: readonly number[];
  /** What the neighbour is. */
  readonly from: Relation;
}

/**
 * Of every system the best way to `origin`: customers' routes before peers', those before providers', then the shortest path,
 * then the lowest neighbour. Routes of customers go to everybody, others to customers alone (`policy`); without policy the
 * path's length decides.
 */
export function bestPaths(plan: InternetPlan, origin: number, policy = true): Map<number, Best> {
  const best = new Map<number, Best>();
  let changed: number[] = [origin];
  // a distance-vector's rounds: those who changed tell their neighbours
  for (let round = 0; changed.length > 0 && round <= 2 * plan.systems.size; round++) {
    const next = new Set<number>();
    for (const asn of changed) {
      const mine = best.get(asn);
      for (const [to, relation] of plan.systems.get(asn)!.neighbours) {
        if (to === origin) continue;
        // what is not a customer's is told to customers alone
        if (policy && mine !== undefined && mine.from !== "customer" && relation !== "customer") continue;
        const path = [asn, ...(mine?.path ?? [])];
        if (path.includes(to)) continue;
        const offer: Best = { path, from: policy ? opposite[relation] : "peer" };
        const has = best.get(to);
        if (has === undefined || isBetter(offer, has)) {
          best.set(to, offer);
          next.add(to);
        }
      }
    }
    changed = [...next].toSorted((a, b) => a - b);
  }
  return best;
}

function isBetter(a: Best, b: Best): boolean {
  const preferred = preference[a.from] - preference[b.from];
  if (preferred !== 0) return preferred > 0;
  if (a.path.length !== b.path.length) return a.path.length < b.path.length;
  return a.path[0]! < b.path[0]!;
}

const still = parseNetem("delay 0ms");

/** Links between routers: 100.64.0.0/10 in /30s. */
const LINKS = 0x64400000;
const LINKS_MAX = 1 << 20;

export class Internet {
  readonly routers = new Map<number, Namespace>();
  private links = 0;
  /** Of each system, how many networks were attached. */
  private readonly used = new Map<number, number>();

  constructor(
    readonly world: World,
    readonly plan: InternetPlan,
    /** Whether who pays whom matters, beside the paths' lengths. */
    readonly policy = true,
  ) {
    for (const a of plan.systems.values()) {
      const ns = new Namespace(`as${a.asn}`, world);
      ns.sysctl.set("net.ipv4.ip_forward", 1);
      this.routers.set(a.asn, ns);
      // a router's own address: the first of its first prefix
      const own = a.prefixes[0];
      if (own !== undefined) ns.fib.command(`addr add ${formatIpv4(own.address + 1)}/32 dev lo`);
    }
    /** By system: the address of each neighbour on their link. */
    const via = new Map<number, Map<number, number>>();
    for (const a of plan.systems.values()) via.set(a.asn, new Map());
    for (const a of plan.systems.values()) {
      for (const b of a.neighbours.keys()) {
        if (b < a.asn) continue;
        const [left, right] = this.wire(
          this.routers.get(a.asn)!,
          this.routers.get(b)!,
          delayBetween(a, plan.systems.get(b)!),
        );
        via.get(a.asn)!.set(b, right);
        via.get(b)!.set(a.asn, left);
      }
    }
    for (const origin of plan.systems.values()) {
      if (origin.prefixes.length === 0) continue;
      for (const [asn, { path }] of bestPaths(plan, origin.asn, policy)) {
        const gateway = formatIpv4(via.get(asn)!.get(path[0]!)!);
        this.routers
          .get(asn)!
          .fib.loadRoutes(origin.prefixes.map((p) => `${formatPrefix(p)} via ${gateway} proto bgp`));
      }
    }
    for (const a of plan.systems.values()) {
      // what of our own nobody has is nowhere: no packet goes round
      const lines = a.prefixes.map((p) => `blackhole ${formatPrefix(p)}`);
      if (lines.length > 0) this.routers.get(a.asn)!.fib.loadRoutes(lines);
    }
  }

  /** A wire between two namespaces, a /30 on it; answers the addresses of its ends. */
  private wire(a: Namespace, b: Namespace, delay: number): readonly [number, number] {
    if (this.links === LINKS_MAX) throw new Error(`more than ${LINKS_MAX} links`);
    const net = LINKS + 4 * this.links++;
    const [x, y] = [a, b].map((ns, i) => {
      const name = `to-${(i === 0 ? b : a).name}`.slice(0, 15);
      const dev = ns.addInterface(name, "veth", deriveMac(ns.name, name), 1500);
      ns.fib.command(`addr add ${formatIpv4(net + 1 + i)}/30 dev ${name}`);
      return dev;
    });
    const made = connect(x!, y!);
    for (const end of [x!, y!]) made.setNetem(end, { ...still, latency: delay });
    return [net + 1, net + 2];
  }

  /** Puts a new host into a system. */
  attach(asn: number, name: string, delay = LEAST_DELAY): { readonly ns: Namespace; readonly address: number } {
    const ns = new Namespace(name, this.world);
    return { ns, address: this.join(asn, ns, "eth0", delay) };
  }

  /**
   * Connects a host to a system: `device` gets an address of the system's, which is answered, and the default route leads to
   * the system's router, `delay` nanoseconds away. @throws Error
   */
  join(asn: number, ns: Namespace, device: string, delay = LEAST_DELAY): number {
    const a = this.plan.systems.get(asn);
    const router = this.routers.get(asn);
    if (a === undefined || router === undefined) {
      const known = [...this.routers.keys()].slice(0, 8).join(", ");
      throw new Error(`there is no AS ${asn}, expected one of ${known}${this.routers.size > 8 ? " ..." : ""}`);
    }
    const n = this.used.get(asn) ?? 0;
    const prefix = a.prefixes[0];
    if (prefix === undefined || 4 * (n + 2) > 2 ** (32 - prefix.length)) {
      throw new Error(`AS ${asn} has no addresses left`);
    }
    if (ns.byName.has(device)) throw new Error(`${ns.name} has an interface '${device}' already`);
    this.used.set(asn, n + 1);
    const net = prefix.address + 4 * (n + 1);
    const dev = ns.addInterface(device, "veth", deriveMac(ns.name, device), 1500);
    const port = `to-${ns.name}`.slice(0, 15);
    const up = router.addInterface(port, "veth", deriveMac(router.name, port), 1500);
    const made = connect(up, dev);
    for (const end of [up, dev]) made.setNetem(end, { ...still, latency: delay });
    router.fib.command(`addr add ${formatIpv4(net + 1)}/30 dev ${port}`);
    ns.fib.command(`addr add ${formatIpv4(net + 2)}/30 dev ${device}`);
    ns.fib.command(`route add default via ${formatIpv4(net + 1)}`);
    return net + 2;
  }

  /** A client of a provider's: a PC behind a home router that translates. */
  attachHome(asn: number, name: string): { readonly pc: Namespace; readonly router: Namespace } {
    const { ns: router } = this.attach(asn, `${name}-router`, 4_000_000);
    router.sysctl.set("net.ipv4.ip_forward", 1);
    const pc = new Namespace(name, this.world);
    const lan = router.addInterface("lan", "veth", deriveMac(router.name, "lan"), 1500);
    const dev = pc.addInterface("eth0", "veth", deriveMac(name, "eth0"), 1500);
    const made = connect(lan, dev);
    for (const end of [lan, dev]) made.setNetem(end, { ...still, latency: 200_000 });
    router.fib.command("addr add 192.168.1.1/24 dev lan");
    pc.fib.command("addr add 192.168.1.10/24 dev eth0");
    pc.fib.command("route add default via 192.168.1.1");
    router.iptables.load("*nat\n-A POSTROUTING -s 192.168.1.0/24 -o eth0 -j MASQUERADE\nCOMMIT\n");
    return { pc, router };
  }

  /** The system whose prefix, or whose router's link, an address is of; null: nobody's. */
  systemOf(address: number): number | null {
    for (const [asn, ns] of this.routers) {
      for (const dev of ns.interfaces) if (ns.fib.addresses(dev).some((a) => a.local === address)) return asn;
    }
    for (const a of this.plan.systems.values()) {
      if (a.prefixes.some((p) => ((p.address ^ address) & maskOf(p.length)) === 0)) return a.asn;
    }
    return null;
  }

  /** A system's table as `show ip bgp` has it: prefix, next AS, path; best ways alone. */
  table(asn: number): string[] {
    const out: string[] = [];
    for (const origin of this.plan.systems.values()) {
      const best = bestPaths(this.plan, origin.asn, this.policy).get(asn);
      const path = origin.asn === asn ? "i" : best === undefined ? null : `${best.path.join(" ")} i`;
      if (path !== null) for (const p of origin.prefixes) out.push(`*> ${formatPrefix(p).padEnd(18)} ${path}`);
    }
    return out;
  }
}
