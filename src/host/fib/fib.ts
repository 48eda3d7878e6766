// src/host/fib/fib.ts: the routing of a namespace: addresses, tables, rules, and the decisions on packets.

import { Drop } from "../../../assembly/drop.ts";
import { maskOf } from "../../core/address.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import type { World } from "../../link/world.ts";
import type { Conf, Sysctl } from "../sysctl.ts";
import {
  type Address,
  type AddressOptions,
  InetDevice,
  areOnlink,
  confirmOn,
  selectAddress as selectFrom,
} from "./addresses.ts";
import { type InsertMode, deleteRoute, hasRoute, insertRoute } from "./create.ts";
import { addAddress, disable, linkDown, linkUp, removeAddress } from "./device.ts";
import { Flow } from "./flow.ts";
import { formatRoute } from "./format.ts";
import { routeInput } from "./input.ts";
import { InputCache } from "./inputcache.ts";
import { RouteMaker } from "./maker.ts";
import { TABLE_LOCAL } from "./names.ts";
import { resultSource, routeOutput } from "./output.ts";
import { type Route, type RouteSpec, RouteType, Scope, routeFlag } from "./route.ts";
import { formatRule } from "./ruleformat.ts";
import type { RuleSpec } from "./rules.ts";
import { Result, Tables } from "./tables.ts";
import { loadRoutes, loadRules, run } from "./command.ts";

/** Whose routing it is. */
export interface FibOwner {
  /** The device's last address went: IPv4 is off there (fib_disable_ip). */
  addressesGone(dev: Interface): void;
  /** An address went: what holds on to it hears of it. */
  addressRemoved(dev: Interface, address: number): void;
  /** A decision may be another one now. */
  routesChanged?(): void;
}

/** For questions that are answered before anybody else asks. */
const flow = new Flow();
const scratch = new Result();

export class Fib {
  readonly tables: Tables;
  /** net.ipv4.conf.all */
  readonly all: Conf;
  /** Grows with every change: a Route that was kept is good while it stays the same. */
  generation = 0;
  /** Grows when addresses or links change: until then a route's source stays (dev_addr_genid). */
  addressGeneration = 0;
  /** How often `ip route flush cache` was said. */
  flushes = 0;
  /** Hears what happens to addresses. */
  owner: FibOwner | null = null;
  /** Why the last decision was refused. */
  failure: Drop = Drop.None;
  /** The same as `errno`; for `routeOutput` what a socket call returns. */
  error = 0;
  /** Somebody made a route of type local: source checks look at the tables, not at addresses. */
  customLocalRoutes = false;
  /** Seed of the multipath hash. Linux draws one at boot; here it is part of the lab's determinism. */
  hashSeed = 0x5bd1e995;
  /** What the last decision found; `explain` tells it. */
  readonly result = new Result();
  readonly maker: RouteMaker;
  readonly inputCache = new InputCache();
  /** By ifindex, which begins at 1. */
  private readonly byIndex: (InetDevice | undefined)[] = [undefined, undefined, undefined];
  private readonly byName = new Map<string, InetDevice>();
  /** How often each address is assigned. */
  private readonly own = new Map<number, Interface[]>();

  constructor(
    readonly world: World,
    readonly sysctl: Sysctl,
  ) {
    this.tables = new Tables(world.core);
    this.all = sysctl.conf("all");
    this.maker = new RouteMaker(this);
    // rp_filter, forwarding, accept_local ...: decisions rest on them
    sysctl.watch(this);
  }

  // devices and addresses

  /** A device comes. Its sysctls must exist (`Sysctl.addDevice`). Loopback that is up gets 127.0.0.1/8, as on Linux. */
  addInterface(dev: Interface): void {
    const device = new InetDevice(dev, this.sysctl.conf(dev.name));
    this.byIndex[dev.ifindex] = device;
    this.byName.set(dev.name, device);
    this.rebind();
    if (dev.up) linkUp(this, device);
  }

  /** A device goes, with its addresses and every route by it. */
  removeInterface(dev: Interface): void {
    const device = this.inet(dev);
    for (const a of device.addresses.slice()) {
      if (device.addresses.includes(a)) removeAddress(this, device, a.local, a.length);
    }
    disable(this, dev, true);
    this.byIndex[dev.ifindex] = undefined;
    this.byName.delete(dev.name);
    this.rebind();
    this.changed();
  }

  private rebind(): void {
    this.tables.rules.rebind((name) => this.byName.get(name)?.dev.ifindex ?? -1);
  }

  /** To be called after `dev.up` became true. */
  linkUp(dev: Interface): void {
    linkUp(this, this.inet(dev));
  }

  /** To be called after `dev.up` became false. */
  linkDown(dev: Interface): void {
    linkDown(this, this.inet(dev));
  }

  /** Gives a device an address with its local, connected and broadcast routes. Throws FibError. */
  addAddress(dev: Interface, address: number, length: number, options: AddressOptions = {}): void {
    addAddress(this, this.inet(dev), address, length, options);
  }

  /** Throws FibError when it is not there. */
  removeAddress(dev: Interface, address: number, length: number): void {
    removeAddress(this, this.inet(dev), address, length);
  }

  /** The device's addresses in the order in which Linux tries them. */
  addresses(dev: Interface): readonly Address[] {
    return this.inet(dev).addresses;
  }

  device(name: string): InetDevice | null {
    return this.byName.get(name) ?? null;
  }

  deviceAt(ifindex: number): InetDevice | null {
    return this.byIndex[ifindex] ?? null;
  }

  inet(dev: Interface): InetDevice {
    const device = this.byIndex[dev.ifindex];
    if (device === undefined) throw new Error(`${dev.name}: not known to the routing tables`);
    return device;
  }

  /** The device takes packets for a multicast group (ip_mc_join_group); counted. */
  joinGroup(dev: Interface, group: number): void {
    this.inet(dev).join(group);
  }

  leaveGroup(dev: Interface, group: number): void {
    this.inet(dev).leave(group);
  }

  // routes and rules

  /** Adds, appends, prepends, replaces or changes a route. Throws FibError in the words of `ip`. */
  add(spec: RouteSpec, mode: InsertMode = "add"): void {
    insertRoute(this, spec, mode);
    if (spec.type === RouteType.Local) this.customLocalRoutes = true;
  }

  /** Removes the first route that has everything that the words say. Throws FibError. */
  delete(spec: RouteSpec): void {
    deleteRoute(this, spec);
  }

  /** Whether exactly that route is there, whoever made it. */
  has(spec: RouteSpec): boolean {
    return hasRoute(this, spec);
  }

  addRule(spec: RuleSpec): void {
    this.tables.rules.add(spec, (name) => this.byName.get(name)?.dev.ifindex ?? -1);
    this.tables.unmerge();
    this.changed();
  }

  deleteRule(spec: RuleSpec): void {
    this.tables.rules.delete(spec);
    this.tables.unmerge();
    this.changed();
  }

  /** Runs `ip route ...`, `ip rule ...` or `ip addr ...` (the word `ip` may be left out). Throws TextError. */
  command(words: string): void {
    run(this, words);
  }

  /** A lab's routes: those that exist already are passed over; a gateway may be reachable by a later line. */
  loadRoutes(lines: readonly string[]): void {
    loadRoutes(this, lines);
  }

  /** A lab's rules: those that exist already (the default ones) are passed over. */
  loadRules(lines: readonly string[]): void {
    loadRules(this, lines);
  }

  /** Lines as `ip route show table all` prints them; with a table, that one alone. */
  listRoutes(table: number | null = null): string[] {
    const lines: string[] = [];
    for (const t of this.tables.all()) {
      if (table !== null && t.id !== table) continue;
      // prefixes that begin at the same address come longest first
      let at = 0;
      let last = -1;
      t.trie.forEach((prefix, length, leaf) => {
        const mine = leaf.aliases.flatMap((a) => (a.table === t.id ? [formatRoute(prefix, length, a)] : []));
        if (prefix !== last) at = lines.length;
        last = prefix;
        lines.splice(at, 0, ...mine);
      });
    }
    return lines;
  }

  /** Lines as `ip rule show` prints them. */
  listRules(): string[] {
    return this.tables.rules.list.map((r) => formatRule(r));
  }

  /** Something changed that a kept Route may depend on. */
  changed(): void {
    this.generation++;
    this.owner?.routesChanged?.();
  }

  sysctlChanged(): void {
    this.changed();
  }

  // decisions

  /**
   * ip_route_input: where a received packet goes; the IPv4 header is at `Pkt.Net`. `dst` stands in for the header's
   * destination (source routes). Error routes are answered as Routes with `error`; null: refused, see `failure`.
   */
  routeInput(frame: Frame, dev: Interface, dst = -1): Route | null {
    return routeInput(this, frame, dev, dst);
  }

  /** ip_route_output_key: the way of a packet made here. Fills in `flow.src` and `flow.oif`; null: see `error`. */
  routeOutput(flow: Flow): Route | null {
    return routeOutput(this, flow);
  }

  /** Refuses: sets `failure` and `error`. */
  refuse(why: Drop, error: number): null {
    this.failure = why;
    this.error = error;
    return null;
  }

  /** The line of the route that decided last, with the rule that led there; slow, for traces. */
  explain(): string {
    const { result } = this;
    if (result.alias === null) return result.rule === null ? "" : formatRule(result.rule);
    const length = Math.max(result.prefixLength(), 0);
    const line = formatRoute((result.dst & maskOf(length)) >>> 0, length, result.alias);
    return result.rule === null ? line : `${line} (rule ${formatRule(result.rule).replace("\t", " ")})`;
  }

  // addresses as ARP, ICMP and sockets ask for them

  /** inet_addr_type; with a device inet_dev_addr_type: the type only if the route is the device's. */
  addrType(address: number, dev: Interface | null = null): RouteType {
    return this.addrTypeIn(TABLE_LOCAL, address, dev);
  }

  /** inet_addr_type_table */
  addrTypeIn(table: number, address: number, dev: Interface | null): RouteType {
    if (address === 0 || address === 0xffffffff) return RouteType.Broadcast;
    if (address >>> 28 === 14) return RouteType.Multicast;
    const t = this.tables.get(table);
    if (t === null) return RouteType.Broadcast;
    flow.clear();
    flow.iif = 0;
    flow.dst = address;
    scratch.clear();
    if (this.tables.lookupIn(t, flow, scratch) !== 0) return RouteType.Unicast;
    return dev === null || scratch.nexthop!.dev === dev ? scratch.type : RouteType.Unicast;
  }

  /** Whether a device has this address (inet_lookup_ifaddr_rcu). */
  isOwnAddress(address: number): boolean {
    return this.own.has(address);
  }

  /** __ip_dev_find: the device that has the address, or whose local route covers it. */
  deviceOfAddress(address: number): Interface | null {
    const devs = this.own.get(address);
    if (devs !== undefined) return devs[0]!;
    flow.clear();
    flow.dst = address;
    scratch.clear();
    const err = this.tables.lookupIn(this.tables.get(TABLE_LOCAL)!, flow, scratch);
    return err === 0 && scratch.type === RouteType.Local ? scratch.nexthop!.dev : null;
  }

  /** Bookkeeping of `own`. */
  countAddress(address: number, dev: Interface): void {
    const list = this.own.get(address);
    if (list === undefined) this.own.set(address, [dev]);
    else list.unshift(dev); // the newest is found first (inet_hash_insert)
  }

  discountAddress(address: number, dev: Interface): void {
    const list = this.own.get(address)!;
    list.splice(list.indexOf(dev), 1);
    if (list.length === 0) this.own.delete(address);
  }

  /** inet_select_addr: an address of the device (or of another, or of any: null) towards `dst`; 0 for none. */
  selectAddress(dev: Interface | null, dst: number, scope: Scope): number {
    const device = dev === null ? null : (this.byIndex[dev.ifindex] ?? null);
    return selectFrom(this.byIndex, device, this.all, dst, scope);
  }

  /** inet_confirm_addr: whether `local` (0: any) is an address of the device (null: of any) fit for `dst`; 0 if not. */
  confirmAddress(dev: Interface | null, dst: number, local: number, scope: Scope): number {
    if (dev !== null) return confirmOn(this.inet(dev), this.all, dst, local, scope);
    for (const device of this.byIndex) {
      if (device === undefined) continue;
      const a = confirmOn(device, this.all, dst, local, scope);
      if (a !== 0) return a;
    }
    return 0;
  }

  /** inet_addr_onlink: `a` (and `b`, unless 0) are in one subnet of the device. */
  isOnlink(dev: Interface, a: number, b: number): boolean {
    return areOnlink(this.inet(dev), a, b);
  }

  /**
   * fib_compute_spec_dst: the address of ours that a received packet is answered from. `flags` are its Route's flags,
   * src, dst and tos the header's.
   */
  specificDestination(dev: Interface, flags: number, src: number, dst: number, tos: number, mark: number): number {
    if (flags === routeFlag.local) return dst;
    if (src === 0) return this.selectAddress(dev, src, Scope.Link);
    flow.clear();
    flow.dst = src;
    flow.tos = tos;
    flow.mark = (this.all.src_valid_mark | this.inet(dev).conf.src_valid_mark) !== 0 ? mark : 0;
    if (this.tables.lookup(flow, scratch) === 0) return resultSource(this, scratch);
    return this.selectAddress(dev, src, Scope.Universe);
  }
}
