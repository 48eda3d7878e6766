// src/host/brnetfilter.ts: bridged IPv4 frames through the IP hooks, as bridge-nf-call-iptables asks
// (net/bridge/br_netfilter_hooks.c). To rules, such a frame comes in and goes out by the bridge device.

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
import type { Bridge } from "../device/bridge.ts";
import { BridgePort } from "../device/bridgeport.ts";
import type { BridgeNetfilter } from "../device/bridgeport.ts";
import { type Route, RouteType, Scope } from "./fib/route.ts";
import type { Namespace } from "./namespace.ts";
import { Hook } from "./netfilter/hooks.ts";

const ETHERNET = 14;
const TAG = 4;
const ADDRESS = 6;
const TYPE_IPV4 = 0x0800;
const TYPE_VLAN = 0x8100;
const TYPE_PROVIDER = 0x88a8;
const TYPE_PPPOE = 0x8864;
/** Bytes of a PPPoE session's header (RFC 2516 §4) with the PPP protocol field. */
const PPPOE = 8;
const DF = 0x4000;
/** Saved headers: one slot a nesting level. */
const SLOT = 32;
const DEPTH = 16;

const CALL = "net.bridge.bridge-nf-call-iptables";
const TAGGED = "net.bridge.bridge-nf-filter-vlan-tagged";

export class BridgeHooks implements BridgeNetfilter {
  private calls: boolean;
  private tagged: boolean;
  private readonly slots: number;
  private depth = 0;

  constructor(private readonly ns: Namespace) {
    const { sysctl } = ns;
    this.calls = sysctl.get(CALL) !== 0;
    this.tagged = sysctl.get(TAGGED) !== 0;
    sysctl.watch(this);
    this.slots = ns.world.x.alloc(SLOT * DEPTH);
  }

  sysctlChanged(name: string, value: number): void {
    if (name === CALL) this.calls = value !== 0;
    else if (name === TAGGED) this.tagged = value !== 0;
  }

  prerouting(port: BridgePort, frame: Frame): boolean {
    if (!this.hasEncapsulation(frame)) return this.gone(frame, Drop.Truncated, port);
    if (!this.calls && !port.bridge.nfCallIptables) return true;
    const header = this.headerOf(frame);
    if (header === 0) return true;
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u8, u32 } = core;
    if (this.depth === DEPTH) return this.gone(frame, Drop.QueueLimit, port);
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    const saved = this.slots + this.depth * SLOT;
    u8.copyWithin(saved, eth, eth + header);
    x.packetPull(frame, header);
    const bad = x.ipReceive(frame);
    if (bad !== Drop.None) return this.gone(frame, bad, port);
    const other = this.takeAsHost(frame);
    u32[(frame + Pkt.PhysIn) >> 2] = port.dev.ifindex;
    u32[(frame + Pkt.Protocol) >> 2] = TYPE_IPV4;
    const dst = x.ipv4Dst(u32[(frame + Pkt.Net) >> 2]!);
    this.depth++;
    const alive = ns.hooks.run(Hook.Prerouting, frame, port.bridge.dev, null);
    this.depth--;
    if (!alive) return false;
    if (other) u32[(frame + Pkt.Type) >> 2] = PktType.OtherHost;
    // defragmentation may have put other bytes behind the handle: the header is the last fragment's
    const at = u32[(frame + Pkt.Data) >> 2]!;
    u8.copyWithin(at - header, saved, saved + header);
    u32[(frame + Pkt.Mac) >> 2] = at - header;
    if (x.ipv4Dst(u32[(frame + Pkt.Net) >> 2]!) !== dst) return this.translated(port, frame, header);
    x.packetPush(frame, header);
    u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.Bridged;
    return true;
  }

  /** nf_bridge_encap_header_len: what stands behind one VLAN tag must be there, another tag's or PPPoE's header. */
  private hasEncapsulation(frame: Frame): boolean {
    const { core, x } = this.ns.world;
    const eth = core.u32[(frame + Pkt.Data) >> 2]!;
    let at = ETHERNET;
    let type = x.ethType(eth);
    if (type !== TYPE_PPPOE && type !== TYPE_VLAN && type !== TYPE_PROVIDER) return true;
    if (type !== TYPE_PPPOE) {
      type = x.ethType(eth + TAG);
      at += TAG;
    }
    const more = type === TYPE_PPPOE ? PPPOE : type === TYPE_VLAN ? TAG : 0;
    return core.u32[(frame + Pkt.Len) >> 2]! >= at + more;
  }

  /** br_nf_pre_routing_finish for a new destination: to this host, to its router, or on over the bridge. */
  private translated(port: BridgePort, frame: Frame, header: number): boolean {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u8, u32 } = core;
    if (ns.flows.notes.frame === frame) ns.flows.notes.forget();
    const out = port.bridge.dev;
    const dst = x.ipv4Dst(u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    // without forwarding the answer is an error route: the frame goes up and ends there
    const route = ns.fib.routeInput(frame, out);
    if (route === null) return this.gone(frame, ns.fib.failure, port);
    u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.Bridged;
    if (route.dev !== out || route.type !== RouteType.Unicast) {
      const eth = x.packetPush(frame, header);
      u8.copyWithin(eth, out.mac, out.mac + 6);
      u32[(frame + Pkt.Type) >> 2] = PktType.Host;
      return true;
    }
    const nexthop = route.gateway !== 0 ? route.gateway : dst;
    const hw = ns.neighbours.hardwareAddress(out, nexthop);
    if (hw !== 0) {
      const eth = x.packetPush(frame, header);
      u8.copyWithin(eth, hw, hw + 6);
      return true;
    }
    // the neighbour code writes a new header and sends by the bridge device, where `xmit` takes up the thread
    const eth = u32[(frame + Pkt.Mac) >> 2]!;
    u32[(frame + Pkt.Spare2) >> 2] = x.ethSrcHigh(eth);
    u32[(frame + Pkt.Spare3) >> 2] = x.ethSrcLow(eth);
    u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.BridgedDnat;
    ns.neighbours.output(frame, out, nexthop);
    return false;
  }

  forward(_from: BridgePort, to: BridgePort, frame: Frame): boolean {
    const { core, x } = this.ns.world;
    const { u32 } = core;
    if (u32[(frame + Pkt.PhysIn) >> 2] === 0) return true;
    const header = this.headerOf(frame);
    if (header === 0) return true;
    x.packetPull(frame, header);
    u32[(frame + Pkt.Net) >> 2] = u32[(frame + Pkt.Data) >> 2]!;
    const other = this.takeAsHost(frame);
    u32[(frame + Pkt.PhysOut) >> 2] = to.dev.ifindex;
    const { dev } = to.bridge;
    if (!this.ns.hooks.run(Hook.Forward, frame, dev, dev)) return false;
    if (other) u32[(frame + Pkt.Type) >> 2] = PktType.OtherHost;
    x.packetPush(frame, header);
    return true;
  }

  postrouting(to: BridgePort, frame: Frame): boolean {
    const { core, x } = this.ns.world;
    const { u32 } = core;
    if (u32[(frame + Pkt.PhysOut) >> 2] === 0) return true;
    const header = this.headerOf(frame);
    if (header === 0) return true;
    x.packetPull(frame, header);
    const other = this.takeAsHost(frame);
    if (!this.ns.hooks.run(Hook.Postrouting, frame, null, to.bridge.dev)) return false;
    if (other) u32[(frame + Pkt.Type) >> 2] = PktType.OtherHost;
    const largest = u32[(frame + Pkt.FragMax) >> 2]!;
    const mtu = largest !== 0 && largest < to.dev.mtu ? largest : to.dev.mtu;
    const fits = u32[(frame + Pkt.Len) >> 2]! <= mtu;
    u32[(frame + Pkt.PhysIn) >> 2] = 0;
    u32[(frame + Pkt.PhysOut) >> 2] = 0;
    u32[(frame + Pkt.Flags) >> 2]! &= ~PktFlag.Bridged;
    if (!fits) return this.refragment(to, frame, header, mtu);
    x.packetPush(frame, header);
    return true;
  }

  /** br_nf_ip_fragment: what defragmentation made is cut again; anything else too large for the port goes, without a word. */
  private refragment(to: BridgePort, frame: Frame, header: number, mtu: number): boolean {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u8, u32 } = core;
    const df = (x.ipv4Frag(u32[(frame + Pkt.Net) >> 2]!) & DF) !== 0;
    const largest = u32[(frame + Pkt.FragMax) >> 2]!;
    if ((df && (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.IgnoreDf) === 0) || largest > mtu) {
      return this.gone(frame, Drop.FragNeeded, to);
    }
    if (this.depth === DEPTH) return this.gone(frame, Drop.QueueLimit, to);
    // the bridge's own notes overwrite what IP noted on the packet: that fragments carried DF is forgotten
    u32[(frame + Pkt.Flags) >> 2]! &= ~PktFlag.FragPmtu;
    const saved = this.slots + this.depth * SLOT;
    const data = u32[(frame + Pkt.Data) >> 2]!;
    u8.copyWithin(saved, data - header, data);
    const send = (piece: Frame): void => {
      const eth = x.packetPush(piece, header);
      u8.copyWithin(eth, saved, saved + header);
      u32[(piece + Pkt.Mac) >> 2] = eth;
      to.bridge.push(to, piece);
    };
    this.depth++;
    ns.world.backlog.hold(() => ns.output.cut(frame, mtu, to.bridge.dev, send, onBridge(to.bridge)));
    this.depth--;
    return false;
  }

  xmit(bridge: Bridge, frame: Frame): boolean {
    const { core, x } = this.ns.world;
    const { u32 } = core;
    const flags = u32[(frame + Pkt.Flags) >> 2]!;
    if ((flags & PktFlag.BridgedDnat) === 0) return false;
    u32[(frame + Pkt.Flags) >> 2] = flags & ~PktFlag.BridgedDnat;
    const port = this.ns.byIndex[u32[(frame + Pkt.PhysIn) >> 2]!]?.rxHandler;
    if (!(port instanceof BridgePort) || port.bridge !== bridge) {
      this.ns.drop(frame, Drop.BridgeNoPort, bridge.dev);
      return true;
    }
    this.linearize(frame);
    // the neighbour code wrote the bridge's address: the frame keeps its own source
    const saved = this.slots + this.depth * SLOT;
    core.view.setUint16(saved, u32[(frame + Pkt.Spare2) >> 2]!);
    core.view.setUint32(saved + 2, u32[(frame + Pkt.Spare3) >> 2]!);
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    x.ethEmit(eth, eth, saved, x.ethType(eth));
    bridge.finish(port, frame);
    return true;
  }

  /** A device without scatter-gather gets one piece (skb_needs_linearize): how it was fragmented is forgotten. */
  private linearize(frame: Frame): void {
    const { core, x } = this.ns.world;
    const geometry = core.u32[(frame + Pkt.Geometry) >> 2]!;
    if (geometry === 0) return;
    x.release(geometry, (core.u32[geometry >> 2]! + 1) << 2);
    core.u32[(frame + Pkt.Geometry) >> 2] = 0;
  }

  /** Bytes before the IPv4 header; 0 for what the IP hooks do not look at. */
  private headerOf(frame: Frame): number {
    const { core, x } = this.ns.world;
    const eth = core.u32[(frame + Pkt.Data) >> 2]!;
    const type = x.ethType(eth);
    if (type === TYPE_IPV4) return core.u32[(frame + Pkt.Vlan) >> 2] === 0 || this.tagged ? ETHERNET : 0;
    if (type === TYPE_VLAN && this.tagged && x.vlanEtype(eth + ETHERNET) === TYPE_IPV4) return ETHERNET + TAG;
    return 0;
  }

  /** The IP hooks take a frame for another station as they take one for this host; true when it was such a frame. */
  private takeAsHost(frame: Frame): boolean {
    const { u32 } = this.ns.world.core;
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.OtherHost) return false;
    u32[(frame + Pkt.Type) >> 2] = PktType.Host;
    return true;
  }

  private gone(frame: Frame, why: Drop, port: BridgePort): false {
    this.ns.drop(frame, why, port.dev);
    return false;
  }
}

/**
 * A TCP reset about a packet that a bridge brought: out of the port that it came by, with the addresses of its Ethernet
 * header exchanged, past routes and hooks (nf_send_reset). Takes the answer, `Data` at its IP header.
 */
export function bridgedReset(ns: Namespace, reply: Frame, about: Frame): void {
  const { core, x } = ns.world;
  const { u32 } = core;
  const dev = ns.byIndex[u32[(about + Pkt.PhysIn) >> 2]!];
  const old = u32[(about + Pkt.Mac) >> 2]!;
  if (dev === undefined || old === 0) return x.packetFree(reply);
  const eth = x.packetPush(reply, ETHERNET);
  x.ethEmit(eth, old + ADDRESS, old, TYPE_IPV4);
  u32[(reply + Pkt.Mac) >> 2] = eth;
  dev.transmit(reply);
}

/** What stands for a route on a bridged frame (the bridge's fake_rtable). */
function onBridge(bridge: Bridge): Route {
  return {
    type: RouteType.Unicast,
    dev: bridge.dev,
    gateway: 0,
    source: 0,
    mtu: 0,
    mtuLocked: false,
    advmss: 0,
    scope: Scope.Universe,
    flags: 0,
    error: 0,
    text: "",
  };
}
