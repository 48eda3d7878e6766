// src/host/neighbour/arp.ts: ARP for IPv4 over Ethernet, RFC 826, with the choices Linux leaves to sysctls (net/ipv4/arp.c).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { JIFFY, timerExpiry } from "../../link/jiffies.ts";
import { Flow } from "../fib/flow.ts";
import { type Route, RouteType, Scope } from "../fib/route.ts";
import type { NeighbourHost } from "./host.ts";
import { Nud, type Neighbour } from "./neighbour.ts";
import type { Neighbours } from "./neighbours.ts";

const TYPE_ARP = 0x0806;
const REQUEST = 1;
const REPLY = 2;
const HTYPE_IEEE802 = 6;
const FRAME_LEN = 42;
const HEADER = 14;
const CENTISECOND = 10_000_000;

export class Arp {
  private readonly flow = new Flow();
  /** ff:ff:ff:ff:ff:ff in the core. */
  private readonly broadcast: number;
  /** The frame that is being read was put off before (LOCALLY_ENQUEUED). */
  private late = false;

  constructor(
    private readonly ns: NeighbourHost,
    private readonly table: Neighbours,
  ) {
    this.broadcast = ns.world.x.alloc(6);
    ns.world.core.u8.fill(0xff, this.broadcast, this.broadcast + 6);
  }

  /** arp_rcv: takes the frame; `Data` at the ARP header, `Type` says whose it is. */
  receive(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const type = u32[(frame + Pkt.Type) >> 2]!;
    if (dev.kind === "loopback" || type === PktType.OtherHost || type === PktType.Loopback) {
      return ns.drop(frame, Drop.OtherHost, dev);
    }
    const p = u32[(frame + Pkt.Data) >> 2]!;
    const bad = x.arpCheck(p, u32[(frame + Pkt.Len) >> 2]!);
    // IEEE 802 (6) is taken for Ethernet, as RFC 1122 §2.3.2 and older equipment want it
    if (bad !== Drop.None && !(bad === Drop.BadType && x.arpHtype(p) === HTYPE_IEEE802 && x.arpPtype(p) === 0x0800)) {
      return ns.drop(frame, bad, dev);
    }
    const op = x.arpOp(p);
    if (op !== REQUEST && op !== REPLY) return ns.drop(frame, Drop.BadType, dev);
    this.process(dev, frame, p, op);
  }

  /** arp_process: `p` is the checked packet. */
  private process(dev: Interface, frame: Frame, p: number, op: number): void {
    const ns = this.ns;
    const { x, core } = ns.world;
    const conf = ns.conf(dev);
    const sip = x.arpSpa(p) >>> 0;
    const tip = x.arpTpa(p) >>> 0;
    const sha = x.arpSha(p);
    if (tip >>> 28 === 14 || (tip >>> 24 === 127 && (ns.confAll.route_localnet | conf.route_localnet) === 0)) {
      return ns.drop(frame, Drop.ArpIgnored, dev);
    }
    if (sip === tip && (ns.confAll.drop_gratuitous_arp | conf.drop_gratuitous_arp) !== 0) {
      return ns.drop(frame, Drop.ArpIgnored, dev);
    }
    if (sip === 0) {
      // an address probe (RFC 5227 §2.1.1): answered, and nobody is learned
      if (op === REQUEST && ns.fib.addrType(tip) === RouteType.Local && !this.ignored(dev, sip, tip)) {
        this.reply(dev, sip, tip, sha);
      }
      return this.done(frame, dev);
    }
    if (op === REQUEST) {
      const route = this.routeOf(dev, sip, tip);
      if (route !== null && route.type === RouteType.Local) {
        if (!this.ignored(dev, sip, tip) && !this.filtered(dev, sip, tip)) {
          if (this.table.learn(dev, sip, sha) !== null) this.reply(dev, sip, tip, sha);
        }
        return this.done(frame, dev);
      }
      if (
        route !== null &&
        route.type === RouteType.Unicast &&
        conf.forwarding !== 0 &&
        this.standsFor(dev, route, sip, tip)
      ) {
        this.table.learn(dev, sip, sha);
        const delay = this.table.of(dev).conf.proxy_delay;
        if (!this.late && core.u32[(frame + Pkt.Type) >> 2] !== PktType.Host && delay !== 0) {
          return this.putOff(dev, frame, delay);
        }
        this.reply(dev, sip, tip, sha);
        return this.done(frame, dev);
      }
    }
    this.update(dev, frame, p, op, sip, tip);
    this.done(frame, dev);
  }

  /** What an answer or an announcement says about an address that is known, or may be learned (arp_accept). */
  private update(dev: Interface, frame: Frame, p: number, op: number, sip: number, tip: number): void {
    const ns = this.ns;
    const { core, x, clock } = ns.world;
    const sha = x.arpSha(p);
    let n = this.table.find(dev, sip);
    const accept = this.accepts(dev, sip);
    if (n === null && !accept) return;
    // gratuitous: about itself; as a reply it must name its own hardware address as target too
    let gratuitous = tip === sip && (op !== REPLY || this.sameAddress(sha, x.arpTha(p)));
    if (gratuitous) gratuitous = ns.fib.addrType(sip) === RouteType.Unicast;
    if (n === null && (gratuitous || (op === REPLY && ns.fib.addrType(sip) === RouteType.Unicast))) {
      n = this.table.create(dev, sip);
    }
    if (n === null) return;
    const { locktime } = n.table.conf;
    // of several answers the first counts: the fastest
    const override = gratuitous || clock.now > n.updated + locktime * CENTISECOND;
    const solicited = op === REPLY && core.u32[(frame + Pkt.Type) >> 2] === PktType.Host;
    this.table.update(n, sha, solicited ? Nud.Reachable : Nud.Stale, override);
  }

  /** arp_solicit: asks for a neighbour's address, in the name of the newest packet that waits for it. */
  solicit(n: Neighbour): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { dev } = n;
    let source = 0;
    const announce = Math.max(ns.confAll.arp_announce, ns.conf(dev).arp_announce);
    if (n.last !== 0 && announce < 2) {
      const src = x.ipv4Src(core.u32[(n.last + Pkt.Data) >> 2]!) >>> 0;
      const ours = ns.fib.addrType(src) === RouteType.Local;
      if (ours && (announce <= 0 || ns.fib.isOnlink(dev, n.address, src))) source = src;
    }
    if (source === 0) source = ns.fib.selectAddress(dev, n.address, Scope.Link);
    const { ucast_solicit, app_solicit } = n.table.conf;
    if (n.probes < ucast_solicit) return this.send(dev, REQUEST, source, n.address, n.hw, 0);
    // app_solicit of the probes belong to a daemon (neigh_app_ns)
    if (n.probes < ucast_solicit + app_solicit) return;
    this.send(dev, REQUEST, source, n.address, this.broadcast, 0);
  }

  /** A gratuitous request for each address of the device (inetdev_send_gratuitous_arp). */
  announce(dev: Interface): void {
    for (const a of this.ns.fib.addresses(dev)) this.send(dev, REQUEST, a.local, a.local, this.broadcast, 0);
  }

  private reply(dev: Interface, sip: number, tip: number, sha: number): void {
    this.send(dev, REPLY, tip, sip, sha, sha);
  }

  /** arp_send: `dst` and `tha` are addresses of six bytes, `tha` 0 for zeros. */
  private send(dev: Interface, op: number, spa: number, tpa: number, dst: number, tha: number): void {
    const ns = this.ns;
    if (dev.kind === "loopback") return;
    const { core, x } = ns.world;
    const { u32 } = core;
    const frame = x.packetAlloc(FRAME_LEN);
    if (frame === 0) return ns.count(Drop.NoBuffer);
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    x.ethEmit(eth, dst, dev.mac, TYPE_ARP);
    x.arpEmit(eth + HEADER, op, dev.mac, spa, tha, tpa);
    u32[(frame + Pkt.Mac) >> 2] = eth;
    u32[(frame + Pkt.Net) >> 2] = eth + HEADER;
    u32[(frame + Pkt.Protocol) >> 2] = TYPE_ARP;
    u32[(frame + Pkt.Type) >> 2] = PktType.Outgoing;
    u32[(frame + Pkt.Flags) >> 2] = PktFlag.Local;
    dev.transmit(frame);
  }

  /** Linux asks the routing tables as if an IP packet had come from the sender to the target. */
  private routeOf(dev: Interface, sip: number, tip: number): Route | null {
    const ns = this.ns;
    const { core, x } = ns.world;
    const question = x.packetAlloc(20);
    if (question === 0) return null;
    const p = core.u32[(question + Pkt.Data) >> 2]!;
    x.ipv4Emit(p, 0, 20, 0, 0, 64, 0, sip, tip);
    core.u32[(question + Pkt.Net) >> 2] = p;
    core.u32[(question + Pkt.In) >> 2] = dev.ifindex;
    const route = ns.fib.routeInput(question, dev);
    x.packetFree(question);
    return route;
  }

  /** arp_ignore: 1 only for addresses of this device, 2 and the sender in its subnet, 3 not for scope host, 8 never. */
  private ignored(dev: Interface, sip: number, tip: number): boolean {
    const ns = this.ns;
    switch (Math.max(ns.confAll.arp_ignore, ns.conf(dev).arp_ignore)) {
      case 1:
        return ns.fib.confirmAddress(dev, 0, tip, Scope.Host) === 0;
      case 2:
        return ns.fib.confirmAddress(dev, sip, tip, Scope.Host) === 0;
      case 3:
        return ns.fib.confirmAddress(null, 0, tip, Scope.Link) === 0;
      case 8:
        return true;
      default:
        return false;
    }
  }

  /** arp_filter: answered only by the device that the host would send to the sender by. */
  private filtered(dev: Interface, sip: number, tip: number): boolean {
    const ns = this.ns;
    if ((ns.confAll.arp_filter | ns.conf(dev).arp_filter) === 0) return false;
    this.flow.clear();
    this.flow.dst = sip;
    this.flow.src = tip;
    const route = ns.fib.routeOutput(this.flow);
    return route === null || route.dev !== dev;
  }

  /** Whether this host answers in the name of the target: proxy_arp, proxy_arp_pvlan, or a proxy entry. */
  private standsFor(dev: Interface, route: Route, sip: number, tip: number): boolean {
    const ns = this.ns;
    const conf = ns.conf(dev);
    const out = route.dev;
    if (out === dev) return sip !== tip && (ns.confAll.proxy_arp_pvlan | conf.proxy_arp_pvlan) !== 0;
    if ((ns.confAll.proxy_arp | conf.proxy_arp) !== 0) {
      const medium = conf.medium_id;
      if (medium === 0) return true;
      if (medium !== -1) {
        const other = out === null ? -1 : ns.conf(out).medium_id;
        if (other !== medium && other !== -1) return true;
      }
    }
    return this.table.isProxy(dev, tip);
  }

  private accepts(dev: Interface, sip: number): boolean {
    const ns = this.ns;
    const level = Math.max(ns.confAll.arp_accept, ns.conf(dev).arp_accept);
    if (level === 2) return ns.fib.confirmAddress(dev, sip, 0, Scope.Link) !== 0;
    return level === 1;
  }

  /** pneigh_enqueue: a proxy answers a broadcast after a while, so that the owner of the address comes first. */
  private putOff(dev: Interface, frame: Frame, delay: number): void {
    const table = this.table.of(dev);
    if (table.proxyQueued > table.conf.proxy_qlen) return this.ns.drop(frame, Drop.QueueLimit, dev);
    table.proxyQueued++;
    const { clock, rng } = this.ns.world;
    // drawn in whole ticks
    const ticks = Math.max(1, Math.floor((delay * CENTISECOND) / JIFFY));
    clock.atWheel(timerExpiry(clock.now, rng.below(ticks) * JIFFY), () => {
      table.proxyQueued--;
      if (!dev.up) return this.ns.drop(frame, Drop.LinkDown, dev);
      this.late = true;
      try {
        this.receive(dev, frame);
      } finally {
        this.late = false;
      }
    });
  }

  private done(frame: Frame, dev: Interface): void {
    const ns = this.ns;
    if (ns.world.tracer !== null) ns.trace("deliver", dev, frame, "arp");
    ns.world.x.packetFree(frame);
  }

  private sameAddress(a: number, b: number): boolean {
    const { x } = this.ns.world;
    return x.ethDstHigh(a) === x.ethDstHigh(b) && x.ethDstLow(a) === x.ethDstLow(b);
  }
}
