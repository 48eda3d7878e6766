// tests/support/neighbourhost.ts: a host that knows its addresses and a few routes, for the neighbour table alone.

import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import { maskOf, parseIpv4, parsePrefix, type Prefix } from "../../src/core/address.ts";
import type { Frame } from "../../src/core/core.ts";
import type { Flow } from "../../src/host/fib/flow.ts";
import { type Route, RouteType, Scope } from "../../src/host/fib/route.ts";
import type { DeviceAddress, NeighbourHost } from "../../src/host/neighbour/host.ts";
import { Neighbours } from "../../src/host/neighbour/neighbours.ts";
import { type Conf, Sysctl } from "../../src/host/sysctl.ts";
import type { Interface } from "../../src/link/interface.ts";
import type { World } from "../../src/link/world.ts";
import { FakeOwner } from "./owner.ts";

interface Way extends Prefix {
  readonly gateway: number;
  readonly dev: Interface | null;
  readonly type: RouteType;
}

export class NeighbourTestHost extends FakeOwner implements NeighbourHost {
  readonly sysctl = new Sysctl();
  readonly confAll: Conf;
  readonly neighbours: Neighbours;
  readonly ways: Way[] = [];
  readonly failed: Frame[] = [];
  readonly counted: Drop[] = [];
  private readonly held = new Map<Interface, DeviceAddress[]>();

  constructor(world: World) {
    super(world);
    this.confAll = this.sysctl.conf("all");
    this.neighbours = new Neighbours(this);
    this.stack = (dev, frame) => this.received(dev, frame);
  }

  get interfaces(): Interface[] {
    return [...this.devices.values()];
  }

  get byName(): Map<string, Interface> {
    return this.devices;
  }

  conf(dev: Interface): Conf {
    return this.sysctl.conf(dev.name);
  }

  count(why: Drop): void {
    this.counted.push(why);
  }

  linkFailure(frame: Frame): void {
    this.failed.push(frame);
    this.world.x.packetFree(frame);
  }

  add(name: string, mac: string, ...addresses: string[]): Interface {
    const dev = this.device(name, mac);
    this.sysctl.addDevice(name);
    const list: DeviceAddress[] = [];
    for (const text of addresses) {
      const p = parsePrefix(text)!;
      list.push({ local: p.address, length: p.length, scope: Scope.Universe });
      const net = (p.address & maskOf(p.length)) >>> 0;
      this.ways.push({ address: p.address, length: 32, gateway: 0, dev, type: RouteType.Local });
      this.ways.push({ address: net, length: p.length, gateway: 0, dev, type: RouteType.Unicast });
      const last = (net | ~maskOf(p.length)) >>> 0;
      this.ways.push({ address: last, length: 32, gateway: 0, dev, type: RouteType.Broadcast });
    }
    this.held.set(dev, list);
    return dev;
  }

  route(prefix: string, gateway: string, dev: Interface): void {
    this.ways.push({ ...parsePrefix(prefix)!, gateway: parseIpv4(gateway)!, dev, type: RouteType.Unicast });
  }

  way(dst: number): Way | null {
    if (dst >>> 28 === 14) return { address: dst, length: 4, gateway: 0, dev: null, type: RouteType.Multicast };
    let best: Way | null = null;
    for (const w of this.ways) {
      if (((dst ^ w.address) & maskOf(w.length)) === 0 && (best === null || w.length > best.length)) best = w;
    }
    return best;
  }

  readonly fib = {
    addresses: (dev: Interface) => this.held.get(dev) ?? [],
    addrType: (address: number) => this.way(address)?.type ?? RouteType.Unicast,
    selectAddress: (dev: Interface | null, dst: number) => {
      const list = (dev !== null && this.held.get(dev)) || [];
      const near = list.find((a) => ((a.local ^ dst) & maskOf(a.length)) === 0);
      return (near ?? list[0])?.local ?? 0;
    },
    routeInput: (frame: Frame, dev: Interface): Route | null => {
      const { core, x } = this.world;
      const net = core.u32[(frame + Pkt.Net) >> 2]!;
      // a source of our own is a martian
      const src = this.way(x.ipv4Src(net) >>> 0);
      if (src?.type === RouteType.Local || src?.type === RouteType.Multicast) return null;
      const w = this.way(x.ipv4Dst(net) >>> 0);
      if (w === null || (w.type === RouteType.Unicast && this.conf(dev).forwarding === 0)) return null;
      return asRoute(w);
    },
    routeOutput: (flow: Flow): Route | null => {
      const w = this.way(flow.dst);
      return w === null ? null : asRoute(w);
    },
  };

  /** What comes in: ARP to the table, IPv4 forwarded without further ado. */
  private received(dev: Interface, frame: Frame): void {
    const { core, x } = this.world;
    const bad = x.etherReceive(frame, dev.mac);
    if (bad !== Drop.None) return this.drop(frame, bad);
    const protocol = core.u32[(frame + Pkt.Protocol) >> 2];
    if (protocol === 0x0806) return this.neighbours.arpReceive(dev, frame);
    if (protocol !== 0x0800 || x.ipReceive(frame) !== Drop.None) return this.drop(frame, Drop.UnknownProtocol);
    x.decreaseTtl(frame);
    const dst = x.ipv4Dst(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    const w = this.way(dst);
    if (w === null || w.dev === null || w.type !== RouteType.Unicast) return this.drop(frame, Drop.NoRoute);
    this.neighbours.output(frame, w.dev, w.gateway !== 0 ? w.gateway : dst);
  }

  /** A UDP packet of this host, sent without a checksum. */
  send(src: string, dst: string, length = 29): void {
    const { core, x } = this.world;
    const frame = x.packetAlloc(length);
    const p = core.u32[(frame + Pkt.Data) >> 2]!;
    core.u8.fill(0, p, p + length);
    const to = parseIpv4(dst)!;
    x.ipv4Emit(p, 0, length, 0, 0x4000, 64, 17, parseIpv4(src)!, to);
    core.u32[(frame + Pkt.Net) >> 2] = p;
    const w = this.way(to)!;
    this.neighbours.output(frame, w.dev!, w.gateway !== 0 ? w.gateway : to);
  }
}

function asRoute(w: Way): Route {
  return {
    type: w.type, dev: w.dev, gateway: w.gateway, source: 0, mtu: 0, mtuLocked: false, advmss: 0, scope: Scope.Universe, flags: 0,
    error: 0, text: "",
  };
}
