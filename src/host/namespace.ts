// src/host/namespace.ts: a network namespace: what a PC, a router, a VM and a container are (design: one thing, many roles).

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
import { Bridge } from "../device/bridge.ts";
import { BridgePort } from "../device/bridgeport.ts";
import { Interface, type InterfaceKind, type Owner } from "../link/interface.ts";
import type { TraceKind } from "../link/trace.ts";
import { Egress } from "../link/wire.ts";
import type { World } from "../link/world.ts";
import { BridgeHooks, bridgedReset } from "./brnetfilter.ts";
import { Conntrack } from "./conntrack/conntrack.ts";
import { Fib } from "./fib/fib.ts";
import { type Route, RouteType } from "./fib/route.ts";
import { FlowTable } from "./flowtable.ts";
import { Forward } from "./ipv4/forward.ts";
import { Icmp } from "./ipv4/icmp.ts";
import { icmp, unreachable } from "./ipv4/icmptypes.ts";
import { Input } from "./ipv4/input.ts";
import { Local } from "./ipv4/local.ts";
import { Output } from "./ipv4/output.ts";
import { Peers } from "./ipv4/peers.ts";
import { Neighbours } from "./neighbour/neighbours.ts";
import { Hooks } from "./netfilter/hooks.ts";
import { Iptables } from "./netfilter/iptables/iptables.ts";
import { Nft } from "./netfilter/nft/nft.ts";
import { Originate } from "./originate.ts";
import { Sockets } from "./sockets.ts";
import { type Conf, Sysctl } from "./sysctl.ts";
import type { Transports } from "./transport.ts";

/** What the core answers for an IPv4 packet whose header is checked. */
const READY = 0x10000;
const TYPE_IPV4 = 0x0800;
const TYPE_ARP = 0x0806;
const MS_PER_DAY = 86_400_000;
const noAddress = new Uint8Array(6);

/** What devices of namespaces hand frames to: one function for all of them. */
const receive = (dev: Interface, frame: Frame): void => (dev.owner as Namespace).receive(dev, frame);
const receiveRaw = (dev: Interface, frame: Frame): void => (dev.owner as Namespace).receiveRaw(dev, frame);

/** The loopback device's transmission: what it sends comes in. */
function loopBack(this: Interface, frame: Frame): void {
  this.owner.world.backlog.push(this, 0, frame);
}

export class Namespace implements Owner {
  readonly flows: FlowTable;
  readonly sysctl = new Sysctl();
  readonly hooks: Hooks;
  readonly fib: Fib;
  readonly neighbours: Neighbours;
  readonly sockets = new Sockets(this.sysctl);
  readonly transports: Transports = { tcp: null, udp: null };
  readonly input: Input;
  readonly forward: Forward;
  readonly output: Output;
  readonly local: Local;
  readonly interfaces: Interface[] = [];
  readonly byIndex: (Interface | undefined)[] = [];
  readonly byName = new Map<string, Interface>();
  readonly confAll: Conf;
  /** What most namespaces have no need of is made when something first asks for it: see the getters below. */
  private madePeers: Peers | null = null;
  private madeConntrack: Conntrack | null = null;
  private madeIptables: Iptables | null = null;
  private madeNft: Nft | null = null;
  private madeIcmp: Icmp | null = null;
  private madeOriginate: Originate | null = null;
  private madeBridges: Map<string, Bridge> | null = null;
  private dropped: Map<Drop, number> | null = null;
  /** The routes of packets that wait for a neighbour's address. */
  private waiting: Map<Frame, Route> | null = null;

  constructor(
    readonly name: string,
    readonly world: World,
  ) {
    this.flows = new FlowTable(this);
    this.confAll = this.sysctl.conf("all");
    this.hooks = new Hooks(this);
    this.fib = new Fib(world, this.sysctl);
    this.neighbours = new Neighbours(this);
    this.fib.owner = this;
    this.input = new Input(this);
    this.forward = new Forward(this);
    this.output = new Output(this);
    this.local = new Local(this);
    this.addInterface("lo", "loopback", noAddress, 65536).xmit = loopBack;
  }

  // -- made when asked for

  get peers(): Peers {
    return (this.madePeers ??= new Peers(this.world.clock));
  }

  get conntrack(): Conntrack {
    return (this.madeConntrack ??= new Conntrack(this));
  }

  get iptables(): Iptables {
    return (this.madeIptables ??= new Iptables(this));
  }

  get nft(): Nft {
    return (this.madeNft ??= new Nft(this));
  }

  get icmp(): Icmp {
    return (this.madeIcmp ??= new Icmp(this));
  }

  get originate(): Originate {
    return (this.madeOriginate ??= new Originate(this));
  }

  /** By the name of their device. */
  get bridges(): Map<string, Bridge> {
    return (this.madeBridges ??= new Map());
  }

  /** Packets dropped, by `Drop`. */
  get drops(): Float64Array {
    const all = new Float64Array(128);
    this.dropped?.forEach((n, why) => (all[why] = n));
    return all;
  }

  // -- devices

  addInterface(name: string, kind: InterfaceKind, mac: Uint8Array, mtu: number): Interface {
    if (this.byName.has(name)) throw new Error(`${this.name}: interface '${name}' exists already`);
    const take = kind === "tun" ? receiveRaw : receive;
    const dev = new Interface(this, Math.max(1, this.byIndex.length), name, kind, mac, mtu, take);
    this.sysctl.addDevice(name);
    this.interfaces.push(dev);
    this.byIndex[dev.ifindex] = dev;
    this.byName.set(name, dev);
    this.fib.addInterface(dev);
    return dev;
  }

  /** `ip link delete DEV`: it leaves its bridge (or lets its ports go), and its addresses, routes and neighbours go with it. */
  removeInterface(dev: Interface): void {
    if (this.byName.get(dev.name) !== dev || dev.kind === "loopback") {
      throw new Error(`${this.name}: interface '${dev.name}' is not here, or cannot go`);
    }
    if (dev.rxHandler instanceof BridgePort) dev.rxHandler.bridge.removePort(dev);
    const bridge = this.madeBridges?.get(dev.name);
    if (bridge !== undefined) for (const port of bridge.ports.slice()) bridge.removePort(port.dev);
    this.setLink(dev, false);
    this.madeBridges?.delete(dev.name);
    this.fib.removeInterface(dev);
    this.interfaces.splice(this.interfaces.indexOf(dev), 1);
    this.byIndex[dev.ifindex] = undefined;
    this.byName.delete(dev.name);
    dev.peer = null;
    this.flows.changed();
  }

  /** Makes a device of kind bridge a bridge. */
  addBridge(dev: Interface): Bridge {
    const bridge = new Bridge(dev);
    bridge.netfilter = new BridgeHooks(this);
    this.bridges.set(dev.name, bridge);
    return bridge;
  }

  /** net.ipv4.conf.DEV.* */
  conf(dev: Interface): Conf {
    return this.fib.inet(dev).conf;
  }

  /** `ip link set DEV up|down`: routes, neighbours and bridge entries follow. */
  setLink(dev: Interface, up: boolean): void {
    if (dev.up === up) return;
    dev.up = up;
    if (up) {
      this.fib.linkUp(dev);
      this.neighbours.linkUp(dev);
    } else {
      // dev_deactivate: what its queue holds is lost
      Egress.at(dev)?.netem?.reset();
      this.fib.linkDown(dev);
      this.neighbours.linkDown(dev);
      this.madeConntrack?.linkDown(dev);
    }
    dev.rxHandler?.linkChanged(dev, up);
    this.madeBridges?.get(dev.name)?.linkChanged();
  }

  /** The device's last address went: IPv4 is off there (fib_disable_ip). */
  addressesGone(dev: Interface): void {
    this.neighbours.linkDown(dev);
  }

  /** An address went: what holds on to it hears of it. */
  addressRemoved(dev: Interface, address: number): void {
    this.madeConntrack?.addressRemoved(dev, address);
  }

  /** A decision about a packet's way may be another one now. */
  routesChanged(): void {
    this.flows.changed();
  }

  /** The table of the connections that packets are tracked in; 0: they are not. */
  trackedBy(): number {
    return this.madeConntrack !== null && this.madeConntrack.inUse ? this.madeConntrack.table : 0;
  }

  // -- the way in

  /** __netif_receive_skb: the Ethernet header, then the protocol. Takes the frame. */
  receive(dev: Interface, frame: Frame): void {
    const { core, x } = this.world;
    const { u32 } = core;
    // whose a frame is was decided on the port; the bridge device asks no more
    const ours = dev.kind === "bridge" && u32[(frame + Pkt.Type) >> 2] === PktType.Host;
    const what = x.frameReceive(frame, ours ? u32[(frame + Pkt.Data) >> 2]! : dev.mac);
    if (what === READY) return this.input.receive(dev, frame);
    if (what !== 0) return this.drop(frame, what as Drop, dev);
    if (u32[(frame + Pkt.Protocol) >> 2] !== TYPE_ARP) return this.drop(frame, Drop.UnknownProtocol, dev);
    if (u32[(frame + Pkt.Type) >> 2] === PktType.OtherHost) return this.drop(frame, Drop.OtherHost, dev);
    this.neighbours.arpReceive(dev, frame);
  }

  /** The same for a device without a link layer. */
  receiveRaw(dev: Interface, frame: Frame): void {
    const { core, x } = this.world;
    const { u32 } = core;
    u32[(frame + Pkt.Mac) >> 2] = 0;
    u32[(frame + Pkt.Type) >> 2] = PktType.Host;
    u32[(frame + Pkt.Protocol) >> 2] = TYPE_IPV4;
    const bad = x.ipReceive(frame);
    if (bad !== Drop.None) return this.drop(frame, bad, dev);
    this.input.receive(dev, frame);
  }

  /** Remembers on the packet what its route is, for whoever asks later (RTCF_*). */
  setRouteFlags(frame: Frame, route: Route): void {
    const { u32 } = this.world.core;
    const at = (frame + Pkt.Flags) >> 2;
    let flags = u32[at]! & ~(PktFlag.RtLocal | PktFlag.RtBroadcast | PktFlag.RtMulticast);
    if (route.type === RouteType.Local) flags |= PktFlag.RtLocal;
    else if (route.type === RouteType.Broadcast) flags |= PktFlag.RtLocal | PktFlag.RtBroadcast;
    else if (route.type === RouteType.Multicast) flags |= PktFlag.RtLocal | PktFlag.RtMulticast;
    u32[at] = flags;
  }

  /** fib_compute_spec_dst: the address of ours that an answer to this packet comes from. */
  ownAddress(frame: Frame, dev: Interface): number {
    const { core, x } = this.world;
    const net = core.u32[(frame + Pkt.Net) >> 2]!;
    const dst = x.ipv4Dst(net) >>> 0;
    const flags = core.u32[(frame + Pkt.Flags) >> 2]!;
    if ((flags & (PktFlag.RtLocal | PktFlag.RtBroadcast | PktFlag.RtMulticast)) === PktFlag.RtLocal) return dst;
    const src = x.ipv4Src(net) >>> 0;
    return this.fib.specificDestination(dev, 0, src, dst, x.ipv4Tos(net), core.u32[(frame + Pkt.Mark) >> 2]!);
  }

  /** Reassembly for local delivery: false when the fragment waits or is gone, true when the packet is whole. */
  defragLocal(frame: Frame, _dev: Interface): boolean {
    return this.conntrack.defrag(frame, DefragUser.local);
  }

  // -- what subsystems ask for

  /** The next hop of the packet that is in POSTROUTING (rt_nexthop). */
  nextHop(frame: Frame): number {
    const { core, x } = this.world;
    const gateway = this.output.leaving?.gateway ?? 0;
    return gateway !== 0 ? gateway : x.ipv4Dst(core.u32[(frame + Pkt.Net) >> 2]!) >>> 0;
  }

  icmpSend(frame: Frame, type: number, code: number, info: number): void {
    this.icmp.send(frame, type, code, info);
  }

  /** A reset about a bridged packet, `Data` at its IPv4 header; takes it. */
  bridgedReset(reply: Frame, about: Frame): void {
    bridgedReset(this, reply, about);
  }

  /** A packet made here, `Data` at its IPv4 header; takes it. */
  ipLocalOut(frame: Frame, route: Route): void {
    this.output.local(frame, route);
  }

  /**
   * ip_dst_mtu_maybe_forward: what the path was found to take, else the route's MTU, else its device's. A learned MTU holds
   * for packets that are `forwarded` only where net.ipv4.ip_forward_use_pmtu says so, or where it is fixed.
   */
  routeMtu(route: Route, forwarded = false): number {
    const locked = route.pmtuLocked === true;
    if (
      route.pmtu &&
      this.world.clock.now < route.expires! &&
      (!forwarded || locked || route.mtuLocked || this.sysctl.get("net.ipv4.ip_forward_use_pmtu") !== 0)
    ) {
      return Math.min(route.pmtu, 65535);
    }
    return route.mtu !== 0 ? route.mtu : Math.min(route.dev!.mtu, 65535);
  }

  /** A transport believes that packets from `src` to `dst` longer than `mtu` do not get through (RFC 1191). */
  updatePmtu(proto: number, src: number, sport: number, dst: number, dport: number, mtu: number): void {
    this.icmp.learner.update(proto, src, sport, dst, dport, mtu);
  }

  waits(frame: Frame): void {
    const { leaving } = this.output;
    if (leaving !== null) (this.waiting ??= new Map()).set(frame, leaving);
  }

  /** ipv4_link_failure: the neighbour never answered; host unreachable, and the packet is gone. */
  linkFailure(frame: Frame, dev: Interface | null): void {
    const { u32 } = this.world.core;
    const route = this.waiting?.get(frame);
    this.waiting?.delete(frame);
    // its way was taken out of the tables meanwhile: there is no host left that could tell
    if (route !== undefined && this.fib.tables.store.released.has(route))
      return this.drop(frame, Drop.NeighFailed, dev);
    if ((u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Local) === 0) {
      u32[(frame + Pkt.Type) >> 2] = PktType.Host;
      this.icmp.send(frame, icmp.unreachable, unreachable.host, 0);
    } else this.icmp.learner.unreachable(u32[(frame + Pkt.Net) >> 2]!, frame);
    this.drop(frame, Drop.NeighFailed, dev);
  }

  /** An IP id for packets of ours that may be fragmented. */
  ipId(): number {
    return this.world.rng.below(65536);
  }

  defaultTtl(): number {
    return this.sysctl.get("net.ipv4.ip_default_ttl");
  }

  /** Milliseconds since midnight UTC (RFC 791 timestamps, RFC 792). */
  timestamp(): number {
    const ms = this.world.epoch / 1_000_000n + BigInt(Math.floor(this.world.clock.now / 1_000_000));
    return Number(ms % BigInt(MS_PER_DAY));
  }

  // -- ends

  /** The one exit for drops: counts, traces, frees. */
  drop(frame: Frame, why: Drop, dev: Interface | null): void {
    this.count(why);
    const { notes } = this.flows;
    if (notes.frame === frame) notes.forget();
    const { tracer } = this.world;
    if (tracer !== null) {
      tracer({
        time: this.world.clock.now,
        node: this.name,
        iface: dev === null ? "" : dev.name,
        kind: "drop",
        text: Drop[why],
        drop: why,
        frame,
      });
    }
    this.world.x.packetFree(frame);
  }

  /** Something was lost that never was a packet (no buffer for an answer). */
  count(why: Drop): void {
    const dropped = (this.dropped ??= new Map());
    dropped.set(why, (dropped.get(why) ?? 0) + 1);
  }

  /** A packet reached its end here. */
  consume(frame: Frame, dev: Interface, what: string): void {
    if (this.world.tracer !== null) this.trace("deliver", dev, frame, what);
    this.world.x.packetFree(frame);
  }

  trace(kind: TraceKind, dev: Interface | null, frame: Frame, text: string): void {
    this.world.tracer?.({
      time: this.world.clock.now,
      node: this.name,
      iface: dev === null ? "" : dev.name,
      kind,
      text,
      drop: Drop.None,
      frame,
    });
  }
}

/** Who reassembles (enum ip_defrag_users): each has queues of its own. */
const DefragUser = { local: 0 } as const;
