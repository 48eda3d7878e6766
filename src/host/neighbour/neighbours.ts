// src/host/neighbour/neighbours.ts: from a next hop to a hardware address: the table, its timers, packets that wait
// (net/core/neighbour.c).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { formatIpv4 } from "../../core/address.ts";
import type { Frame } from "../../core/core.ts";
import { MS, SECOND } from "../../link/clock.ts";
import type { Interface } from "../../link/interface.ts";
import { timerExpiry } from "../../link/jiffies.ts";
import { RouteType } from "../fib/route.ts";
import { Arp } from "./arp.ts";
import type { NeighbourHost } from "./host.ts";
import { CONNECTED, DeviceNeighbours, IN_TIMER, Neighbour, Nud, VALID } from "./neighbour.ts";
import { NeighbourText } from "./text.ts";

const TYPE_IPV4 = 0x0800;
/** HZ/100: no timer is shorter. */
const MIN_TIMER = 10 * MS;
const REDRAW = 300 * SECOND;

export class Neighbours {
  private readonly tables: (DeviceNeighbours | undefined)[] = [];
  private madeArp: Arp | null = null;
  private madeText: NeighbourText | null = null;
  private count = 0;
  private lastFlush = -Infinity;
  private gcArmed = false;

  constructor(private readonly ns: NeighbourHost) {}

  private get arp(): Arp {
    return (this.madeArp ??= new Arp(this.ns, this));
  }

  private get text(): NeighbourText {
    return (this.madeText ??= new NeighbourText(this.ns, this));
  }

  // ---- packets

  /**
   * Sends an IPv4 packet to a next hop on the device; takes the frame, `Data` at its IP header. It leaves at once, or
   * waits for the neighbour's address; when nobody answers it goes to `linkFailure`.
   */
  output(frame: Frame, dev: Interface, nexthop: number): void {
    if (dev.kind === "tun") return dev.transmit(frame);
    const n = this.find(dev, nexthop) ?? this.create(dev, nexthop);
    if (n === null) return this.ns.drop(frame, Drop.NeighFailed, dev);
    if ((n.state & CONNECTED) !== 0 || this.eventSend(n, frame)) this.transmit(n, frame);
  }

  /** An ARP packet from the device; takes the frame, `Data` at the ARP header, `Pkt.Type` set. */
  arpReceive(dev: Interface, frame: Frame): void {
    this.arp.receive(dev, frame);
  }

  private transmit(n: Neighbour, frame: Frame): void {
    const { dev } = n;
    this.ns.world.x.etherPush(frame, n.hw, dev.mac, TYPE_IPV4);
    n.cached = true;
    const { flows } = this.ns;
    if (flows !== undefined && flows.notes.frame === frame) flows.notes.resolved(n, (n.state & CONNECTED) !== 0);
    dev.transmit(frame);
  }

  /**
   * The address of a neighbour that is known to be there and was sent to before: six bytes in the core, else 0. With it
   * br_netfilter sends a translated frame straight on.
   */
  hardwareAddress(dev: Interface, nexthop: number): number {
    const n = this.find(dev, nexthop) ?? this.create(dev, nexthop);
    return n !== null && n.cached && (n.state & CONNECTED) !== 0 ? n.hw : 0;
  }

  /** Whether the neighbour's address is known; if not, it is asked for. */
  isKnown(dev: Interface, address: number): boolean {
    if (dev.kind === "tun") return true;
    const n = this.find(dev, address) ?? this.create(dev, address);
    if (n === null) return false;
    if ((n.state & VALID) !== 0) return true;
    this.use(n);
    return false;
  }

  /** A transport got an answer from behind this next hop: it is there (dst_confirm_neigh). */
  confirm(dev: Interface, nexthop: number): void {
    const n = this.find(dev, nexthop);
    if (n !== null) n.confirmed = this.ns.world.clock.now;
  }

  // ---- table

  /** The device's part of the table. */
  of(dev: Interface): DeviceNeighbours {
    return (this.tables[dev.ifindex] ??= new DeviceNeighbours(dev, this.ns.sysctl.neigh(dev.name)));
  }

  find(dev: Interface, address: number): Neighbour | null {
    const table = this.tables[dev.ifindex];
    if (table === undefined) return null;
    const { recent } = table;
    if (recent !== null && recent.address === address) return recent;
    // as int32: a small integer in the engine, no number object a packet
    const n = table.entries.get(address | 0);
    if (n === undefined) return null;
    table.recent = n;
    return n;
  }

  /** A new entry (neigh_create, arp_constructor); null when the table is full. */
  create(dev: Interface, address: number): Neighbour | null {
    const { sysctl, world } = this.ns;
    if (this.count >= sysctl.get("net.ipv4.neigh.default.gc_thresh2")) {
      const full = this.count >= sysctl.get("net.ipv4.neigh.default.gc_thresh3");
      if ((full || world.clock.now > this.lastFlush + 5 * SECOND) && this.forcedGc() === 0 && full) return null;
    }
    const hw = world.x.alloc(6);
    if (hw === 0) return null;
    const table = this.of(dev);
    const n = new Neighbour(table, address, hw);
    const { now } = world.clock;
    n.used = n.updated = now;
    // older than any reachable time: nothing was ever confirmed
    n.confirmed = now - 2 * table.conf.base_reachable_time_ms * MS;
    this.fixed(n);
    table.entries.set(address | 0, n);
    this.count++;
    if (this.count >= sysctl.get("net.ipv4.neigh.default.gc_thresh1")) this.armGc();
    return n;
  }

  /** Addresses that need no question: groups (RFC 1112 §6.4), broadcast, the loopback device. */
  private fixed(n: Neighbour): void {
    const { core } = this.ns.world;
    const { u8 } = core;
    const { dev, address, hw } = n;
    const type = dev.kind === "loopback" ? RouteType.Unicast : this.ns.fib.addrType(address);
    if (dev.kind === "loopback") u8.copyWithin(hw, dev.mac, dev.mac + 6);
    else if (type === RouteType.Multicast) {
      core.view.setUint16(hw, 0x0100);
      core.view.setUint32(hw + 2, (0x5e000000 | (address & 0x7fffff)) >>> 0);
    } else if (type === RouteType.Broadcast) u8.fill(0xff, hw, hw + 6);
    else return;
    n.state = Nud.Noarp;
  }

  /** A request told the sender's address (neigh_event_ns). */
  learn(dev: Interface, address: number, sha: number): Neighbour | null {
    const n = this.find(dev, address) ?? this.create(dev, address);
    if (n !== null) this.update(n, sha, Nud.Stale, true);
    return n;
  }

  isProxy(dev: Interface, address: number): boolean {
    return this.tables[dev.ifindex]?.proxies?.has(address) ?? false;
  }

  remove(n: Neighbour): void {
    if (n.dead) return;
    n.dead = true;
    this.ns.flows?.changed();
    this.stopTimer(n);
    this.purge(n);
    n.table.entries.delete(n.address | 0);
    if (n.table.recent === n) n.table.recent = null;
    this.count--;
    this.ns.world.x.release(n.hw, 6);
  }

  *all(): Generator<Neighbour> {
    for (const table of this.tables) if (table !== undefined) yield* table.entries.values();
  }

  // ---- devices

  /** Gratuitous requests about the device's addresses: neighbours that know another hardware address learn this one. */
  announce(dev: Interface): void {
    this.arp.announce(dev);
  }

  /** With arp_notify the device tells the link its addresses. */
  linkUp(dev: Interface): void {
    if (dev.kind === "tun") return;
    if (Math.max(this.ns.confAll.arp_notify, this.ns.conf(dev).arp_notify) !== 0) this.arp.announce(dev);
  }

  /** neigh_ifdown: all its entries go, permanent ones too. */
  linkDown(dev: Interface): void {
    const table = this.tables[dev.ifindex];
    if (table === undefined) return;
    for (const n of table.entries.values()) this.remove(n);
    table.proxies?.clear();
  }

  /** The device's own address changed (neigh_changeaddr): entries are asked for again. */
  addressChanged(dev: Interface): void {
    this.ns.flows?.changed();
    const table = this.tables[dev.ifindex];
    if (table !== undefined) for (const n of table.entries.values()) this.remove(n);
    this.linkUp(dev);
  }

  // ---- words

  /** `10.3.0.2 dev wan lladdr 02:00:0a:03:00:02 nud permanent`, or with `proxy`: as `ip neigh replace` takes it. */
  load(words: string): void {
    this.text.load(words);
  }

  /** What follows `ip neigh`: `add ...`, `del ...`, `flush dev lan`, `show ...`. Answers what it prints. */
  command(words: string): string {
    return this.text.command(words);
  }

  /** The lines of `ip neigh`. */
  list(): string[] {
    return this.text.list();
  }

  // ---- states

  /** __neigh_event_send: true when the packet may leave now; else it waits or is gone. */
  private eventSend(n: Neighbour, frame: Frame): boolean {
    const { clock } = this.ns.world;
    n.used = clock.now;
    if ((n.state & (CONNECTED | Nud.Delay | Nud.Probe)) !== 0) return true;
    const { conf } = n.table;
    let probe = false;
    if (n.state === Nud.Stale) {
      this.setState(n, Nud.Delay);
      this.setTimer(n, conf.delay_first_probe_time * SECOND);
      return true;
    }
    if (n.state !== Nud.Incomplete) {
      if (conf.mcast_solicit + conf.app_solicit === 0) {
        this.setState(n, Nud.Failed);
        this.ns.drop(frame, Drop.NeighFailed, n.dev);
        return false;
      }
      n.probes = conf.ucast_solicit;
      this.setState(n, Nud.Incomplete);
      this.setTimer(n, this.retransTime(n));
      probe = true;
    }
    this.enqueue(n, frame);
    if (probe) this.probe(n);
    return false;
  }

  /** Starts a resolution without a packet (`ip neigh ... use`). */
  use(n: Neighbour): void {
    const { conf } = n.table;
    n.used = this.ns.world.clock.now;
    if ((n.state & (CONNECTED | Nud.Delay | Nud.Probe | Nud.Incomplete)) !== 0) return;
    if (n.state === Nud.Stale) {
      this.setState(n, Nud.Delay);
      return this.setTimer(n, conf.delay_first_probe_time * SECOND);
    }
    n.probes = conf.ucast_solicit;
    this.setState(n, Nud.Incomplete);
    this.setTimer(n, this.retransTime(n));
    this.probe(n);
  }

  private probe(n: Neighbour): void {
    this.arp.solicit(n);
    n.probes++;
  }

  /** neigh_timer_handler */
  private timerFired(n: Neighbour): void {
    n.timer = null;
    this.ns.flows?.settle();
    const { now } = this.ns.world.clock;
    const { conf } = n.table;
    const delay = conf.delay_first_probe_time * SECOND;
    let next = now;
    switch (n.state) {
      case Nud.Reachable:
        next = n.confirmed + this.reachableTime(n.table);
        if (now <= next) break;
        if (now <= n.used + delay) {
          this.setState(n, Nud.Delay);
          next = now + delay;
        } else this.setState(n, Nud.Stale);
        break;
      case Nud.Delay:
        if (now <= n.confirmed + delay) {
          this.setState(n, Nud.Reachable);
          next = n.confirmed + this.reachableTime(n.table);
        } else {
          this.setState(n, Nud.Probe);
          n.probes = 0;
          next = now + this.retransTime(n);
        }
        break;
      default:
        next = now + this.retransTime(n);
    }
    const asking = n.state === Nud.Incomplete || n.state === Nud.Probe;
    if (asking && n.probes >= this.maxProbes(n)) {
      this.setState(n, Nud.Failed);
      return this.invalidate(n);
    }
    if ((n.state & IN_TIMER) !== 0) this.setTimer(n, Math.max(next - now, MIN_TIMER));
    if (asking) this.probe(n);
  }

  private maxProbes(n: Neighbour): number {
    const c = n.table.conf;
    return c.ucast_solicit + c.app_solicit + (n.state === Nud.Probe ? c.mcast_resolicit : c.mcast_solicit);
  }

  /** neigh_invalidate: each packet that waited is told to its sender. */
  private invalidate(n: Neighbour): void {
    n.updated = this.ns.world.clock.now;
    while (n.state === Nud.Failed && n.first !== 0) this.ns.linkFailure(this.dequeue(n), n.dev);
    this.purge(n);
  }

  /**
   * neigh_update: what is said about the neighbour's address (`lladdr`: six bytes in the core, 0 to keep the known one).
   * Without `override` a known address is not replaced. `admin`: the user says so.
   * @returns false when it is refused.
   */
  update(n: Neighbour, lladdr: number, state: Nud, override: boolean, admin = false): boolean {
    const { core, clock } = this.ns.world;
    const { now } = clock;
    const old = n.state;
    if (!admin && (old & (Nud.Noarp | Nud.Permanent)) !== 0) return false;
    if ((state & VALID) === 0) {
      this.stopTimer(n);
      this.setState(n, state);
      if ((old & (Nud.Incomplete | Nud.Probe)) !== 0 && state === Nud.Failed) this.invalidate(n);
      return true;
    }
    if (lladdr === 0 && (old & VALID) === 0) return false;
    const changed = lladdr !== 0 && !((old & VALID) !== 0 && this.sameAddress(lladdr, n.hw));
    if ((state & CONNECTED) !== 0) n.confirmed = now;
    if ((old & VALID) !== 0) {
      if (changed && !override) return true;
      if (!changed && state === Nud.Stale && !admin) state = old;
    }
    if (state !== old || changed) n.updated = now;
    if (state !== old) {
      this.stopTimer(n);
      if (state === Nud.Probe) n.probes = 0;
      this.setState(n, state);
      if ((state & IN_TIMER) !== 0) this.setTimer(n, state === Nud.Reachable ? this.reachableTime(n.table) : 0);
    }
    if (changed) {
      this.ns.flows?.changed();
      core.u8.copyWithin(n.hw, lladdr, lladdr + 6);
      if ((state & CONNECTED) === 0) n.confirmed = now - 2 * n.table.conf.base_reachable_time_ms * MS;
    }
    if (state !== old && (old & VALID) === 0) {
      while ((n.state & VALID) !== 0 && n.first !== 0) this.flushOne(n);
      this.purge(n);
    }
    return true;
  }

  private flushOne(n: Neighbour): void {
    const frame = this.dequeue(n);
    if ((n.state & CONNECTED) !== 0 || this.eventSend(n, frame)) this.transmit(n, frame);
  }

  private setState(n: Neighbour, state: Nud): void {
    const { clock, tracer } = this.ns.world;
    n.state = state;
    n.updated = clock.now;
    this.ns.flows?.changed();
    if (tracer !== null) {
      this.ns.trace("neighbour", n.dev, n.last, `${formatIpv4(n.address)} ${Nud[state]!.toUpperCase()}`);
    }
  }

  private setTimer(n: Neighbour, delay: number): void {
    this.stopTimer(n);
    const { clock } = this.ns.world;
    n.run ??= () => this.timerFired(n);
    n.timer = clock.atWheel(timerExpiry(clock.now, delay), n.run);
  }

  private stopTimer(n: Neighbour): void {
    this.ns.world.clock.cancel(n.timer);
    n.timer = null;
  }

  private retransTime(n: Neighbour): number {
    return Math.max(n.table.conf.retrans_time_ms * MS, MIN_TIMER);
  }

  /** 0.5 to 1.5 of the base, drawn again every 300 s and when the base changes (RFC 4861 §6.3.2, neigh_rand_reach_time). */
  private reachableTime(table: DeviceNeighbours): number {
    const { clock, rng } = this.ns.world;
    const base = table.conf.base_reachable_time_ms;
    if (base !== table.base || clock.now > table.drawnAt + REDRAW) {
      table.base = base;
      table.drawnAt = clock.now;
      table.reachable = base <= 0 ? 0 : (rng.below(base) + Math.floor(base / 2)) * MS;
    }
    return table.reachable;
  }

  // ---- packets that wait

  private enqueue(n: Neighbour, frame: Frame): void {
    const { u32 } = this.ns.world.core;
    const size = truesize(u32[(frame + Pkt.Len) >> 2]!);
    const limit = n.table.conf.unres_qlen_bytes;
    while (n.first !== 0 && n.queuedBytes + size > limit) this.ns.drop(this.dequeue(n), Drop.NeighQueueFull, n.dev);
    this.ns.waits?.(frame);
    u32[(frame + Pkt.Next) >> 2] = 0;
    if (n.last !== 0) u32[(n.last + Pkt.Next) >> 2] = frame;
    else n.first = frame;
    n.last = frame;
    n.queued++;
    n.queuedBytes += size;
  }

  private dequeue(n: Neighbour): Frame {
    const { u32 } = this.ns.world.core;
    const frame = n.first;
    n.first = u32[(frame + Pkt.Next) >> 2]!;
    if (n.first === 0) n.last = 0;
    u32[(frame + Pkt.Next) >> 2] = 0;
    n.queued--;
    n.queuedBytes -= truesize(u32[(frame + Pkt.Len) >> 2]!);
    return frame;
  }

  private purge(n: Neighbour): void {
    while (n.first !== 0) this.ns.drop(this.dequeue(n), Drop.NeighFailed, n.dev);
  }

  private sameAddress(a: number, b: number): boolean {
    const { x } = this.ns.world;
    return x.ethDstHigh(a) === x.ethDstHigh(b) && x.ethDstLow(a) === x.ethDstLow(b);
  }

  // ---- room

  /** neigh_forced_gc: makes room below gc_thresh2 among what changed last more than 5 s ago. */
  private forcedGc(): number {
    const { now } = this.ns.world.clock;
    const room = this.count - this.ns.sysctl.get("net.ipv4.neigh.default.gc_thresh2") + 1;
    let shrunk = 0;
    this.lastFlush = now;
    for (const n of this.all()) {
      if (shrunk >= room) break;
      if (n.state === Nud.Permanent || n.externLearned) continue;
      const old = now - n.updated > 5 * SECOND;
      if (n.state !== Nud.Failed && n.state !== Nud.Noarp && !old) continue;
      this.remove(n);
      shrunk++;
    }
    return shrunk;
  }

  private armGc(): void {
    if (this.gcArmed) return;
    this.gcArmed = true;
    const base = this.ns.sysctl.neigh("default").base_reachable_time_ms;
    this.ns.world.clock.after(Math.max((base / 2) * MS, MIN_TIMER), () => this.periodicGc());
  }

  /** neigh_periodic_work: from gc_thresh1 entries on, what nobody used for gc_stale_time goes. */
  private periodicGc(): void {
    this.gcArmed = false;
    this.ns.flows?.settle();
    if (this.count < this.ns.sysctl.get("net.ipv4.neigh.default.gc_thresh1")) return;
    const { now } = this.ns.world.clock;
    for (const n of this.all()) {
      if ((n.state & (Nud.Permanent | IN_TIMER)) !== 0 || n.externLearned) continue;
      if (n.used < n.confirmed) n.used = n.confirmed;
      if (n.state === Nud.Failed || now >= n.used + n.table.conf.gc_stale_time * SECOND) this.remove(n);
    }
    if (this.count >= this.ns.sysctl.get("net.ipv4.neigh.default.gc_thresh1")) this.armGc();
  }
}

/** What Linux charges a queue for a packet: its descriptor, and the buffer rounded up by the allocator. */
function truesize(len: number): number {
  let size = 512;
  while (size < len + 448) size *= 2;
  return size + 256;
}
