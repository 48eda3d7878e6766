// src/device/bridge.ts: a learning bridge, IEEE 802.1D-2004 clause 7 and 802.1Q clause 8, as Linux's does it
// (net/bridge/br_input.c, br_forward.c, br_device.c). Frames have their Ethernet header at `Data` throughout.

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
import type { FlowWatch } from "../link/flowpath.ts";
import type { Interface } from "../link/interface.ts";
import { type BridgeNetfilter, BridgePort, PortState } from "./bridgeport.ts";
import { Fdb } from "./fdb.ts";
import { VlanGroup } from "./vlangroup.ts";
import { insertTag, tagIn, takeTag } from "./vlantag.ts";

const HEADER = 14;
const TAG = 4;
/** Upper 16 and lower 32 bits of 01-80-C2-00-00-00, and of broadcast, as the core answers them. */
const RESERVED_HIGH = 0x0180;
const RESERVED_LOW = 0xc2000000 | 0;
const BROADCAST_HIGH = 0xffff;
const BROADCAST_LOW = -1;

enum Kind {
  Unicast = 0,
  Multicast = 1,
  Broadcast = 2,
}

export class Bridge {
  /** Newest first: the order in which Linux floods. */
  readonly ports: BridgePort[] = [];
  readonly fdb: Fdb<BridgePort>;
  /** The bridge device's own VLANs. */
  readonly vlans = new VlanGroup();
  private filtersVlans = false;
  /** 0x8100, or 0x88a8 for a provider bridge. */
  vlanProtocol = 0x8100;
  defaultPvid = 1;
  groupFwdMask = 0;
  noLinklocalLearn = false;
  private takesAll = false;
  private callsIptables = false;
  ageing: number;
  /** br_netfilter, while bridge-nf-call-iptables may be on. */
  netfilter: BridgeNetfilter | null = null;
  /** Port numbers in use, and the lowest that may be free. */
  private readonly taken: boolean[] = [];
  private lowestFree = 1;
  private readonly x;
  private readonly u32;
  /** VLAN of the frame that `ingress` accepted. */
  private vid = 0;
  /** What the bridge device sends by. */
  private readonly sends: (frame: Frame) => void;

  constructor(
    readonly dev: Interface,
    /** Centiseconds. */
    ageing = 30000,
  ) {
    const { core, clock } = dev.owner.world;
    this.x = core.x;
    this.u32 = core.u32;
    this.ageing = ageing;
    this.fdb = new Fdb(clock, ageing);
    this.fdb.watcher = dev.owner.flows ?? null;
    this.sends = (frame) => this.xmit(frame);
    dev.xmit = this.sends;
    this.addOwnAddress(null, dev.mac, 0);
    this.vlans.add(this.defaultPvid, true, true);
  }

  // ---- configuration

  get vlanFiltering(): boolean {
    return this.filtersVlans;
  }

  set vlanFiltering(on: boolean) {
    this.filtersVlans = on;
    this.changed();
  }

  get promisc(): boolean {
    return this.takesAll;
  }

  set promisc(on: boolean) {
    this.takesAll = on;
    this.changed();
  }

  /** The bridge's own switch beside net.bridge.bridge-nf-call-iptables. */
  get nfCallIptables(): boolean {
    return this.callsIptables;
  }

  set nfCallIptables(on: boolean) {
    this.callsIptables = on;
    this.changed();
  }

  /** Frames of a flow may go another way now. */
  changed(): void {
    this.dev.owner.flows?.changed();
  }

  /** Makes the device a port (br_add_if). Throws when it is a port already, or a bridge, or loopback. */
  addPort(dev: Interface): BridgePort {
    if (dev.rxHandler !== null) throw new Error(`${dev.name} is a bridge port already`);
    if (dev.kind !== "veth") throw new Error(`${dev.name} cannot be a bridge port: it is a ${dev.kind} device`);
    const number = this.takeNumber();
    const port = new BridgePort(this, dev, number);
    if (this.defaultPvid !== 0) port.vlans.add(this.defaultPvid, true, true);
    this.ports.unshift(port);
    dev.rxHandler = port;
    this.addOwnAddress(port, dev.mac, 0);
    if (this.vlanFiltering) for (const vid of port.vlans.vids()) this.addOwnAddress(port, dev.mac, vid);
    this.updateState(port);
    return port;
  }

  /** The lowest that no port has (find_portno); it is taken with that. */
  private takeNumber(): number {
    let n = this.lowestFree;
    while (this.taken[n] === true) n++;
    this.taken[n] = true;
    this.lowestFree = n + 1;
    return n;
  }

  /** Takes the device out, with all its entries (br_del_if). */
  removePort(dev: Interface): void {
    const i = this.ports.findIndex((p) => p.dev === dev);
    if (i < 0) throw new Error(`${dev.name} is no port of ${this.dev.name}`);
    const port = this.ports[i]!;
    this.ports.splice(i, 1);
    this.taken[port.number] = false;
    this.lowestFree = Math.min(this.lowestFree, port.number);
    dev.rxHandler = null;
    port.state = PortState.Disabled;
    this.fdb.removeWhere((e) => e.port === port);
    this.reclaimAddresses(dev.mac);
  }

  port(name: string): BridgePort | null {
    return this.ports.find((p) => p.dev.name === name) ?? null;
  }

  /** The bridge device went up or down: the states of all ports follow. */
  linkChanged(): void {
    // what all ports learned goes at once
    if (!this.dev.up) this.fdb.removeWhere((e) => !e.static && e.port !== null && e.port.linked);
    for (const port of this.ports) this.updateState(port);
  }

  /** br_port_state_selection without STP: nothing stays blocked. */
  setState(port: BridgePort, state: PortState): void {
    if (!port.dev.up) return;
    port.state = state === PortState.Blocking ? PortState.Forwarding : state;
  }

  /** The port's device, or the bridge device, went up or down; a port that is down loses what it learned. */
  updateState(port: BridgePort): void {
    const usable = port.dev.up && this.dev.up;
    if (!usable && port.linked && this.fdb.learned > 0) this.fdb.removeWhere((e) => e.port === port && !e.static);
    if (usable === port.linked) return;
    port.linked = usable;
    port.state = usable ? PortState.Forwarding : PortState.Disabled;
  }

  setAgeing(centiseconds: number): void {
    this.ageing = centiseconds;
    this.fdb.setAgeing(centiseconds);
  }

  /** br_vlan_filter_toggle; the own addresses stand in every VLAN while it is on. */
  setVlanFiltering(on: boolean): void {
    if (on === this.vlanFiltering) return;
    this.vlanFiltering = on;
    if (!on) {
      this.fdb.removeWhere((e) => e.local && e.vid !== 0);
      return;
    }
    for (const vid of this.vlans.vids()) this.addOwnAddress(null, this.dev.mac, vid);
    for (let i = this.ports.length - 1; i >= 0; i--) {
      const port = this.ports[i]!;
      for (const vid of port.vlans.vids()) this.addOwnAddress(port, port.dev.mac, vid);
    }
  }

  /** The PVID of the bridge and of ports that still have the old default (__br_vlan_set_default_pvid). */
  setDefaultPvid(vid: number): void {
    const old = this.defaultPvid;
    this.defaultPvid = vid;
    for (const target of [null, ...this.ports]) {
      const vlans = target === null ? this.vlans : target.vlans;
      // a user who chose another PVID, or the VLAN tagged, keeps it
      if (old !== 0 && (vlans.pvid !== old || !vlans.untagged(old))) continue;
      if (old === 0 && vlans.pvid !== 0) continue;
      if (vid !== 0) this.addVlan(target, vid, true, true);
      if (old !== 0) this.deleteVlan(target, old);
    }
  }

  /** `null`: the bridge itself (`bridge vlan add ... self`). */
  addVlan(target: BridgePort | null, vid: number, pvid: boolean, untagged: boolean): void {
    (target === null ? this.vlans : target.vlans).add(vid, pvid, untagged);
    if (this.vlanFiltering) this.addOwnAddress(target, (target === null ? this : target).dev.mac, vid);
  }

  /** False when it is no member. What was learned in the VLAN on the port goes with it. */
  deleteVlan(target: BridgePort | null, vid: number): boolean {
    if (!(target === null ? this.vlans : target.vlans).delete(vid)) return false;
    this.fdb.removeWhere((e) => e.port === target && e.vid === vid);
    return true;
  }

  /** A device's address is going to change: its entries follow (br_fdb_changeaddr). `change` writes the bytes. */
  changeAddress(target: BridgePort | null, change: () => void): void {
    const dev = target === null ? this.dev : target.dev;
    const high = this.x.ethDstHigh(dev.mac);
    const low = this.x.ethDstLow(dev.mac);
    this.fdb.removeWhere((e) => e.local && e.port === target && e.high === high && e.low === low);
    change();
    this.addOwnAddress(target, dev.mac, 0);
    if (this.vlanFiltering) {
      for (const vid of (target === null ? this.vlans : target.vlans).vids()) this.addOwnAddress(target, dev.mac, vid);
    }
  }

  /** fdb_add_local: of several devices with one address the first has it; what was learned gives way. */
  private addOwnAddress(port: BridgePort | null, mac: number, vid: number): void {
    const high = this.x.ethDstHigh(mac);
    const low = this.x.ethDstLow(mac);
    const e = this.fdb.find(high, low, vid);
    if (e !== null) {
      if (e.local) return;
      this.fdb.remove(e);
    }
    this.fdb.insert(high, low, vid, port, true, true);
  }

  /** After an own address went: another device that has the same one takes it over (fdb_delete_local). */
  private reclaimAddresses(mac: number): void {
    const high = this.x.ethDstHigh(mac);
    const low = this.x.ethDstLow(mac);
    for (const target of [...this.ports, null]) {
      const dev = target === null ? this.dev : target.dev;
      if (this.x.ethDstHigh(dev.mac) === high && this.x.ethDstLow(dev.mac) === low) {
        this.addOwnAddress(target, dev.mac, 0);
        if (!this.vlanFiltering) continue;
        for (const vid of (target === null ? this.vlans : target.vlans).vids()) {
          this.addOwnAddress(target, dev.mac, vid);
        }
      }
    }
  }

  // ---- frames

  /** A frame came in on a port (br_handle_frame). */
  receive(port: BridgePort, frame: Frame): void {
    const { x, u32 } = this;
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    const len = u32[(frame + Pkt.Len) >> 2]!;
    if (len < HEADER || !tagIn(x, eth, len)) return this.drop(frame, Drop.Truncated, port);
    const srcHigh = x.ethSrcHigh(eth);
    const srcLow = x.ethSrcLow(eth);
    // a group or all-zero source is no station's address
    if ((srcHigh & 0x100) !== 0 || (srcHigh | srcLow) === 0) return this.drop(frame, Drop.BadSourceMac, port);
    u32[(frame + Pkt.PhysIn) >> 2] = 0;
    u32[(frame + Pkt.PhysOut) >> 2] = 0;
    u32[(frame + Pkt.Flags) >> 2]! &= ~(PktFlag.Bridged | PktFlag.BridgedDnat);
    u32[(frame + Pkt.Vlan) >> 2] = 0;
    u32[(frame + Pkt.Mac) >> 2] = eth;
    const dstHigh = x.ethDstHigh(eth);
    const dstLow = x.ethDstLow(eth);
    this.setType(port.dev, frame, dstHigh, dstLow);
    if (dstHigh === RESERVED_HIGH && (dstLow & ~15) === RESERVED_LOW && !this.relaysReserved(port, dstLow & 15)) {
      return this.receiveReserved(port, frame, dstLow & 15, srcHigh, srcLow);
    }
    if (port.state !== PortState.Forwarding && port.state !== PortState.Learning) {
      return this.drop(frame, Drop.BridgePortState, port);
    }
    const { flows } = this.dev.owner;
    if (flows !== undefined && flows.notes.frame === frame) flows.notes.bridge();
    if (this.netfilter !== null && !this.netfilter.prerouting(port, frame)) return;
    this.finish(port, frame);
  }

  /**
   * Reserved groups (802.1D table 7-10) stay on the link unless a mask lets them through. Without STP the bridge group
   * address is relayed, so that bridges that do run it see their loops; pause frames never are.
   */
  private relaysReserved(port: BridgePort, last: number): boolean {
    if (last === 0) return true;
    if (last === 1) return false;
    return ((this.groupFwdMask | port.groupFwdMask) & (1 << last)) !== 0;
  }

  private receiveReserved(port: BridgePort, frame: Frame, last: number, srcHigh: number, srcLow: number): void {
    if (last === 1) return this.drop(frame, Drop.BridgeReserved, port);
    const learns = port.state === PortState.Forwarding || port.state === PortState.Learning;
    if (learns && port.learning && !this.noLinklocalLearn && this.learningVlan(port, frame)) {
      this.fdb.learn(port, srcHigh, srcLow, this.vid);
    }
    // RX_HANDLER_PASS: up the port's own stack, where a daemon might listen
    port.dev.deliver(frame);
  }

  /** br_should_learn: the VLAN that a frame from the port would be learned in; false when it would be refused. */
  private learningVlan(port: BridgePort, frame: Frame): boolean {
    this.vid = 0;
    if (!this.vlanFiltering) return true;
    const eth = this.u32[(frame + Pkt.Data) >> 2]!;
    let vid = 0;
    if (this.x.ethType(eth) === this.vlanProtocol) vid = this.x.vlanId(eth + HEADER);
    if (vid === 0) vid = port.vlans.pvid;
    if (vid === 0 || !port.vlans.has(vid)) return false;
    this.vid = vid;
    return true;
  }

  /** Learns and forwards (br_handle_frame_finish). Also where br_netfilter goes on after translating a destination. */
  finish(port: BridgePort, frame: Frame): void {
    const { x, u32 } = this;
    if (port.state === PortState.Disabled) return this.drop(frame, Drop.BridgePortState, port);
    if (!this.ingress(port.vlans, frame)) return this.drop(frame, Drop.BridgeVlan, port);
    const vid = this.vid;
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    const srcHigh = x.ethSrcHigh(eth);
    const srcLow = x.ethSrcLow(eth);
    if (port.locked) {
      const known = this.fdb.find(srcHigh, srcLow, vid);
      if (known === null || known.port !== port || known.local) return this.drop(frame, Drop.BridgeNoPort, port);
    }
    if (port.learning && this.fdb.learn(port, srcHigh, srcLow, vid)) this.traced(port, frame, "learned on");
    if (port.state === PortState.Learning) return this.drop(frame, Drop.BridgePortState, port);

    const { flows } = this.dev.owner;
    if (flows !== undefined && flows.notes.frame === frame) this.note(flows.notes, port, eth);
    const dstHigh = x.ethDstHigh(eth);
    const dstLow = x.ethDstLow(eth);
    let local = this.promisc;
    if ((dstHigh & 0x100) !== 0) {
      local = true;
      const broadcast = dstHigh === BROADCAST_HIGH && dstLow === BROADCAST_LOW;
      this.flood(broadcast ? Kind.Broadcast : Kind.Multicast, port, frame, vid, local);
    } else {
      const e = this.fdb.find(dstHigh, dstLow, vid);
      if (e !== null && e.local) return this.passUp(frame, port, vid);
      if (e !== null) this.forward(e.port!, port, frame, vid, local);
      else this.flood(Kind.Unicast, port, frame, vid, local);
    }
    if (local) this.passUp(frame, port, vid);
  }

  /** What a flow repeats here: a station that is known sends to the bridge's own address. */
  private note(notes: FlowWatch, port: BridgePort, eth: number): void {
    const { x, dev } = this;
    const toUs = x.ethDstLow(eth) === x.ethDstLow(dev.mac) && x.ethDstHigh(eth) === x.ethDstHigh(dev.mac);
    if (!toUs || this.vlanFiltering || this.promisc || port.locked) return notes.forget();
    const learns = port.learning && this.fdb.hold !== 0;
    const station = learns ? this.fdb.find(x.ethSrcHigh(eth), x.ethSrcLow(eth), 0) : null;
    if (learns && station === null) return notes.forget();
    notes.learned(station === null || station.local ? null : station, dev.mac);
  }

  /** The bridge's own host sends (br_dev_xmit). */
  xmit(frame: Frame): void {
    const { x, u32 } = this;
    const eth = u32[(frame + Pkt.Data) >> 2]!;
    const len = u32[(frame + Pkt.Len) >> 2]!;
    if (len < HEADER || !tagIn(x, eth, len)) return this.dev.owner.drop(frame, Drop.Truncated, this.dev);
    u32[(frame + Pkt.Mac) >> 2] = eth;
    if (this.netfilter !== null && this.netfilter.xmit(this, frame)) return;
    u32[(frame + Pkt.Vlan) >> 2] = 0;
    u32[(frame + Pkt.PhysIn) >> 2] = 0;
    u32[(frame + Pkt.PhysOut) >> 2] = 0;
    if (!this.ingress(this.vlans, frame)) return this.dev.owner.drop(frame, Drop.BridgeVlan, this.dev);
    const at = u32[(frame + Pkt.Data) >> 2]!;
    const dstHigh = x.ethDstHigh(at);
    const dstLow = x.ethDstLow(at);
    if ((dstHigh & 0x100) !== 0) {
      const broadcast = dstHigh === BROADCAST_HIGH && dstLow === BROADCAST_LOW;
      return this.flood(broadcast ? Kind.Broadcast : Kind.Multicast, null, frame, this.vid, false);
    }
    const e = this.fdb.find(dstHigh, dstLow, this.vid);
    if (e === null) return this.flood(Kind.Unicast, null, frame, this.vid, false);
    // its own address has no port: nobody to send to
    if (e.port === null) return this.dev.owner.drop(frame, Drop.BridgeNoPort, this.dev);
    const { flows } = this.dev.owner;
    if (flows !== undefined && flows.notes.frame === frame) {
      // netem before the bridge would hold it up
      if (this.vlanFiltering || this.dev.xmit !== this.sends) flows.notes.forget();
      else flows.notes.port(e.port.dev.mtu + TAG);
    }
    this.forward(e.port, null, frame, this.vid, false);
  }

  /** To one port (br_forward). `from` null: sent by the bridge's host. With `local` the frame stays with the caller. */
  private forward(to: BridgePort, from: BridgePort | null, frame: Frame, vid: number, local: boolean): void {
    const why = this.refusal(to, from, vid);
    if (why !== Drop.None) {
      if (!local) this.dev.owner.drop(frame, why, from === null ? this.dev : from.dev);
      return;
    }
    const sent = local ? this.x.packetCopy(frame) : frame;
    if (sent !== 0) this.sendOut(to, from, sent, vid);
  }

  /** To every port that takes it; copies for all but the last (br_flood). With `local` the frame stays with the caller. */
  private flood(kind: Kind, from: BridgePort | null, frame: Frame, vid: number, local: boolean): void {
    const { ports } = this;
    let last: BridgePort | null = null;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i]!;
      if (kind === Kind.Unicast) {
        if (!port.flood) continue;
      } else if (from !== null && !(kind === Kind.Multicast ? port.mcastFlood : port.bcastFlood)) continue;
      if (this.refusal(port, from, vid) !== Drop.None) continue;
      if (last !== null) {
        const copy = this.x.packetCopy(frame);
        if (copy !== 0) this.sendOut(last, from, copy, vid);
      }
      last = port;
    }
    if (last === null) {
      if (!local) this.dev.owner.drop(frame, Drop.BridgeNoPort, from === null ? this.dev : from.dev);
      return;
    }
    const sent = local ? this.x.packetCopy(frame) : frame;
    if (sent !== 0) this.sendOut(last, from, sent, vid);
  }

  /** should_deliver: why the port does not take it. */
  private refusal(to: BridgePort, from: BridgePort | null, vid: number): Drop {
    if (to === from && !to.hairpin) return Drop.BridgeNoPort;
    if (to.state !== PortState.Forwarding) return Drop.BridgePortState;
    if (this.vlanFiltering && !to.vlans.has(vid)) return Drop.BridgeVlan;
    if (to.isolated && from !== null && from.isolated) return Drop.BridgeIsolated;
    return Drop.None;
  }

  /** __br_forward and what follows: tag, hooks, size, device. */
  private sendOut(to: BridgePort, from: BridgePort | null, frame: Frame, vid: number): void {
    if (this.vlanFiltering) this.egress(to.vlans, frame, vid);
    const { netfilter } = this;
    if (netfilter !== null) {
      if (from !== null && !netfilter.forward(from, to, frame)) return;
      if (!netfilter.postrouting(to, frame)) return;
    }
    this.push(to, frame);
  }

  /**
   * The last step (br_dev_queue_push_xmit). A frame above the port's MTU, with room for a tag, is dropped and nobody is
   * told (802.1D 6.3.8; is_skb_forwardable).
   */
  push(to: BridgePort, frame: Frame): void {
    const eth = this.u32[(frame + Pkt.Data) >> 2]!;
    const len = this.u32[(frame + Pkt.Len) >> 2]!;
    const type = this.x.ethType(eth);
    const untagged = type === 0x8100 || type === 0x88a8 ? len - TAG : len;
    if (untagged > to.dev.mtu + HEADER + TAG) return this.drop(frame, Drop.PacketTooBig, to);
    to.dev.transmit(frame);
  }

  /** To the host, by way of the bridge device (br_pass_frame_up). */
  private passUp(frame: Frame, from: BridgePort, vid: number): void {
    if (this.vlanFiltering) {
      if (!this.vlans.has(vid) && !this.promisc) return this.drop(frame, Drop.BridgeVlan, from);
      this.egress(this.vlans, frame, vid);
    }
    const { flows } = this.dev.owner;
    if (flows !== undefined && flows.notes.frame === frame) flows.notes.passUp(this.dev);
    this.dev.receive(0, frame);
  }

  /**
   * Finds the frame's VLAN and says whether the member set has it (__allowed_ingress; 802.1Q 6.9 and 8.6.2). The tag moves
   * from the bytes to `Pkt.Vlan`; `vid` is 0 while filtering is off.
   */
  private ingress(vlans: VlanGroup, frame: Frame): boolean {
    this.vid = 0;
    if (!this.vlanFiltering) return true;
    const { core } = this.dev.owner.world;
    const tagged = takeTag(core, frame, this.vlanProtocol);
    const tci = this.u32[(frame + Pkt.Vlan) >> 2]! & 0xffff;
    let vid = tagged ? tci & 0xfff : 0;
    if (vid === 0) {
      // untagged, or only priority-tagged: the port's VLAN; the priority stays
      vid = vlans.pvid;
      if (vid === 0) return false;
      this.u32[(frame + Pkt.Vlan) >> 2] = ((this.vlanProtocol << 16) | (tagged ? tci : 0) | vid) >>> 0;
    }
    this.vid = vid;
    return vlans.has(vid);
  }

  /** br_handle_vlan: the tag goes back into the bytes unless the VLAN leaves untagged here. */
  private egress(vlans: VlanGroup, frame: Frame, vid: number): void {
    if (vlans.untagged(vid)) this.u32[(frame + Pkt.Vlan) >> 2] = 0;
    else insertTag(this.dev.owner.world.core, frame);
  }

  /** eth_type_trans on the port, and the bridge's own address counts as ours. */
  private setType(dev: Interface, frame: Frame, high: number, low: number): void {
    const { x } = this;
    let type = PktType.OtherHost;
    if ((high & 0x100) !== 0) {
      type = high === BROADCAST_HIGH && low === BROADCAST_LOW ? PktType.Broadcast : PktType.Multicast;
    } else if (low === x.ethDstLow(dev.mac) && high === x.ethDstHigh(dev.mac)) type = PktType.Host;
    else if (low === x.ethDstLow(this.dev.mac) && high === x.ethDstHigh(this.dev.mac)) type = PktType.Host;
    this.u32[(frame + Pkt.Type) >> 2] = type;
  }

  private drop(frame: Frame, why: Drop, port: BridgePort): void {
    this.dev.owner.drop(frame, why, port.dev);
  }

  private traced(port: BridgePort, frame: Frame, text: string): void {
    const { owner } = this.dev;
    if (owner.world.tracer !== null) owner.trace("bridge", port.dev, frame, `${text} ${port.dev.name}`);
  }
}
