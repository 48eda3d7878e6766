// src/host/conntrack/conntrack.ts: a namespace's connection tracking: when it runs, and what rules ask of it.

import { Ct, CtEvent, CtInfo, CtStatus, CtTable, TcpState } from "../../../assembly/conntracklayout.ts";
import { Drop } from "../../../assembly/drop.ts";
import { KeyBit, Pkt, PktFlag } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { Hook, type HookFn, priority, Verdict } from "../netfilter/hooks.ts";
import { Defrag, DefragUser } from "./defrag.ts";
import { formatEntry, formatEvent, secondsLeft } from "./format.ts";
import type { ConntrackHost } from "./host.ts";
import { Nat } from "./nat.ts";

/** A jiffy at HZ 250, in nanoseconds. */
const JIFFY = 4_000_000;
const HZ = 250;
/** How often a listener makes the dead be looked for. */
const GC_INTERVAL = 1_000_000_000;

/** Where each sysctl goes in the table; `scale`: seconds become jiffies. */
const settings: readonly (readonly [string, CtTable | number, boolean])[] = [
  ["nf_conntrack_max", CtTable.Max, false],
  ["nf_conntrack_checksum", CtTable.Checksum, false],
  ["nf_conntrack_acct", CtTable.Acct, false],
  ["nf_conntrack_tcp_loose", CtTable.TcpLoose, false],
  ["nf_conntrack_tcp_be_liberal", CtTable.TcpLiberal, false],
  ["nf_conntrack_tcp_ignore_invalid_rst", CtTable.TcpIgnoreRst, false],
  ["nf_conntrack_tcp_max_retrans", CtTable.TcpMaxRetrans, false],
  ["nf_conntrack_tcp_timeout_syn_sent", CtTable.TcpTimeouts + 4 * TcpState.SynSent, true],
  ["nf_conntrack_tcp_timeout_syn_recv", CtTable.TcpTimeouts + 4 * TcpState.SynRecv, true],
  ["nf_conntrack_tcp_timeout_established", CtTable.TcpTimeouts + 4 * TcpState.Established, true],
  ["nf_conntrack_tcp_timeout_fin_wait", CtTable.TcpTimeouts + 4 * TcpState.FinWait, true],
  ["nf_conntrack_tcp_timeout_close_wait", CtTable.TcpTimeouts + 4 * TcpState.CloseWait, true],
  ["nf_conntrack_tcp_timeout_last_ack", CtTable.TcpTimeouts + 4 * TcpState.LastAck, true],
  ["nf_conntrack_tcp_timeout_time_wait", CtTable.TcpTimeouts + 4 * TcpState.TimeWait, true],
  ["nf_conntrack_tcp_timeout_close", CtTable.TcpTimeouts + 4 * TcpState.Close, true],
  ["nf_conntrack_tcp_timeout_max_retrans", CtTable.TcpTimeouts + 4 * TcpState.Retrans, true],
  ["nf_conntrack_tcp_timeout_unacknowledged", CtTable.TcpTimeouts + 4 * TcpState.Unack, true],
  ["nf_conntrack_udp_timeout", CtTable.UdpTimeout, true],
  ["nf_conntrack_udp_timeout_stream", CtTable.UdpStream, true],
  ["nf_conntrack_icmp_timeout", CtTable.IcmpTimeout, true],
  ["nf_conntrack_generic_timeout", CtTable.GenericTimeout, true],
];

/** A line of `conntrack -E`. */
export type ConntrackListener = (line: string) => void;

export class Conntrack {
  readonly nat: Nat;
  readonly defragmenter: Defrag;
  private address = 0;
  private users = 0;
  /** Tracking ran before and stopped. */
  private paused = false;
  private listeners: ConntrackListener[] = [];
  private collecting = false;
  private readonly setters = new Map<string, (v: number) => void>();

  constructor(private readonly host: ConntrackHost) {
    this.nat = new Nat(host, this);
    this.defragmenter = new Defrag(host);
    for (const [name, at, seconds] of settings) {
      this.setters.set(`net.netfilter.${name}`, (v) => this.write(at, seconds ? v * HZ : v));
    }
    host.sysctl.watch(this);
  }

  sysctlChanged(name: string, value: number): void {
    if (this.address !== 0) this.setters.get(name)?.(value);
  }

  /** The table in the core; made when the first rule needs it. */
  get table(): number {
    if (this.address === 0) this.create();
    return this.address;
  }

  /** Now, in jiffies of 4 ms. */
  get jiffies(): number {
    return Math.floor(this.host.world.clock.now / JIFFY);
  }

  private create(): void {
    const { world, sysctl } = this.host;
    this.address = world.x.ctTableCreate(world.rng.u32()) >>> 0;
    if (this.address === 0) throw new Error(`${this.host.name}: no memory for connection tracking`);
    for (const [name, set] of this.setters) set(sysctl.get(name));
    // no sysctl of their own
    this.write(CtTable.TcpTimeouts + 4 * TcpState.SynSent2, 120 * HZ);
    this.write(CtTable.TcpTimeouts + 4 * TcpState.None, 0);
    this.write(CtTable.GreTimeout, 30 * HZ);
    this.write(CtTable.GreStream, 180 * HZ);
  }

  private write(at: number, v: number): void {
    this.host.world.core.u32[(this.address + at) >> 2] = v;
  }

  // -- while a rule needs it

  /** Packets are tracked. */
  get inUse(): boolean {
    return this.users > 0;
  }

  /** nf_ct_netns_get: a rule that needs tracking came. */
  use(): void {
    if (this.users++ > 0) return;
    const { hooks, world } = this.host;
    const { table } = this;
    if (this.paused) {
      // windows went on without us (nf_ct_tcp_fixup)
      for (let e = world.x.ctNextEntry(table, 0); e !== 0; e = world.x.ctNextEntry(table, e))
        world.x.ctForgetWindows(e);
    }
    for (const hook of [Hook.Prerouting, Hook.Output]) {
      hooks.register(hook, priority.conntrackDefrag, "defrag", this.gather, true);
      hooks.register(hook, priority.conntrack, "conntrack", this.track, true);
    }
    hooks.register(Hook.Input, priority.conntrackConfirm, "conntrack confirm", this.confirm, true);
    hooks.register(Hook.Postrouting, priority.conntrackConfirm, "conntrack confirm", this.confirm, true);
  }

  /** nf_ct_netns_put: it went. With the last one tracking stops, and so does the translation of flows under way. */
  release(): void {
    if (this.users === 0) throw new Error("conntrack released more often than used");
    if (--this.users > 0) return;
    const { hooks } = this.host;
    for (const hook of [Hook.Prerouting, Hook.Output]) {
      hooks.unregister(hook, this.gather);
      hooks.unregister(hook, this.track);
    }
    hooks.unregister(Hook.Input, this.confirm);
    hooks.unregister(Hook.Postrouting, this.confirm);
    this.paused = true;
  }

  // -- hooks

  /** ipv4_conntrack_defrag: rules see whole packets. */
  private readonly gather: HookFn = (frame, hook) => {
    const { u32 } = this.host.world.core;
    if (u32[(frame + Pkt.Ct) >> 2] !== 0 || u32[(frame + Pkt.CtInfo) >> 2] === CtInfo.Untracked) return Verdict.Accept;
    // a received packet's header was read as it came in; what is made here was not
    if (hook === Hook.Prerouting) {
      if ((u32[(frame + Pkt.KeyInfo) >> 2]! & KeyBit.Fragment) === 0) return Verdict.Accept;
    } else if (!this.host.world.x.ipv4IsFragment(u32[(frame + Pkt.Data) >> 2]!)) return Verdict.Accept;
    // nf_ct_defrag_user
    const bridged = hook === Hook.Prerouting && (u32[(frame + Pkt.Flags) >> 2]! & PktFlag.Bridged) !== 0;
    const inward = hook === Hook.Prerouting ? DefragUser.conntrackIn : DefragUser.conntrackOut;
    const user = bridged ? DefragUser.conntrackBridge : inward;
    return this.defragmenter.defrag(frame, user) ? Verdict.Accept : Verdict.Stolen;
  };

  /** nf_conntrack_in */
  private readonly track: HookFn = (frame, hook, input, output) => {
    const { world } = this.host;
    const verdict = world.x.ctTrack(this.address, frame, hook, 0, this.jiffies);
    const { flows } = this.host;
    if (flows !== undefined && flows.notes.frame === frame) flows.notes.track();
    if (this.listeners.length > 0) this.tellDead();
    if (world.tracer !== null) this.host.trace("conntrack", input ?? output, frame, this.describe(frame));
    if (verdict !== 0) return Verdict.Accept;
    this.host.hooks.dropReason = Drop.ConntrackFull;
    return Verdict.Drop;
  };

  /** nf_confirm */
  private readonly confirm: HookFn = (frame) => {
    const { world } = this.host;
    if (!world.x.ctConfirm(this.address, frame, this.jiffies)) {
      this.host.hooks.dropReason = Drop.ConntrackInvalid;
      return Verdict.Drop;
    }
    if (this.listeners.length > 0) {
      this.tellDead();
      this.tell(frame);
    }
    return Verdict.Accept;
  };

  // -- what rules ask

  private entry(frame: Frame): number {
    return this.host.world.core.u32[(frame + Pkt.Ct) >> 2]!;
  }

  /** How the packet stands to its connection; without one 0 is invalid and 7 untracked. */
  info(frame: Frame): CtInfo {
    return this.host.world.core.u32[(frame + Pkt.CtInfo) >> 2]! as CtInfo;
  }

  /** Whether the packet belongs to a connection. */
  tracked(frame: Frame): boolean {
    return this.entry(frame) !== 0;
  }

  /** XT_CONNTRACK_STATE bits: INVALID 1, ESTABLISHED 2, RELATED 4, NEW 8, UNTRACKED 256. */
  state(frame: Frame): number {
    const info = this.info(frame);
    if (this.entry(frame) === 0) return info === CtInfo.Untracked ? 256 : 1;
    return 2 << (info % 3);
  }

  /** 0 original, 1 reply. */
  direction(frame: Frame): number {
    return this.info(frame) >= CtInfo.EstablishedReply ? 1 : 0;
  }

  /** IPS_* bits (`CtStatus`); 0 without a connection. */
  status(frame: Frame): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : this.host.world.core.u32[(e + Ct.Status) >> 2]!;
  }

  mark(frame: Frame): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : this.host.world.core.u32[(e + Ct.Mark) >> 2]!;
  }

  setMark(frame: Frame, mark: number): void {
    const e = this.entry(frame);
    if (e === 0) return;
    const { core } = this.host.world;
    if (core.u32[(e + Ct.Mark) >> 2] === mark >>> 0) return;
    core.u32[(e + Ct.Mark) >> 2] = mark;
    core.view.setUint16(e + Ct.Events, core.view.getUint16(e + Ct.Events, true) | CtEvent.Mark, true);
  }

  zone(frame: Frame): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : this.host.world.core.view.getUint16(e + Ct.Zone, true);
  }

  /** The connection's protocol; 0 without one. */
  protocol(frame: Frame): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : this.host.world.core.u8[e + Ct.Proto]!;
  }

  /** Fields of the original (`dir` 0) or reply (1) tuple, in host order; 0 without a connection. */
  tupleSrc(frame: Frame, dir: number): number {
    return this.word(frame, Ct.Src + 12 * dir);
  }
  tupleDst(frame: Frame, dir: number): number {
    return this.word(frame, Ct.Dst + 12 * dir);
  }
  /** ICMP: the id. */
  tupleSport(frame: Frame, dir: number): number {
    return this.word(frame, Ct.Ports + 12 * dir) >>> 16;
  }
  /** ICMP: type << 8 | code. */
  tupleDport(frame: Frame, dir: number): number {
    return this.word(frame, Ct.Ports + 12 * dir) & 0xffff;
  }

  private word(frame: Frame, at: number): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : this.host.world.core.u32[(e + at) >> 2]!;
  }

  /** Seconds that the connection has left; 0 without one. */
  expires(frame: Frame): number {
    const e = this.entry(frame);
    return e === 0 ? 0 : secondsLeft(this.host.world.core, e, this.isConfirmed(e) ? this.jiffies : 0);
  }

  private isConfirmed(entry: number): boolean {
    return (this.host.world.core.u32[(entry + Ct.Status) >> 2]! & CtStatus.Confirmed) !== 0;
  }

  /** Packets (`what` 0) or bytes (1) of a direction, while net.netfilter.nf_conntrack_acct is on. */
  counter(frame: Frame, dir: number, what: 0 | 1): number {
    const e = this.entry(frame);
    const { core } = this.host.world;
    const acct = e === 0 ? 0 : core.u32[(e + Ct.Acct) >> 2]!;
    return acct === 0 ? 0 : Number(core.view.getBigUint64(acct + 16 * dir + 8 * what, true));
  }

  /** Whether the packet's connection is counted: one that was there before counting came on is not. */
  counted(frame: Frame): boolean {
    const e = this.entry(frame);
    return e !== 0 && this.host.world.core.u32[(e + Ct.Acct) >> 2] !== 0;
  }

  /** A rule asks for counters: they come on, and stay (connbytes_mt_check). */
  account(): void {
    const { sysctl } = this.host;
    if (sysctl.get("net.netfilter.nf_conntrack_acct") === 0) sysctl.set("net.netfilter.nf_conntrack_acct", 1);
  }

  /** NOTRACK: this packet is nobody's; before conntrack's hook. */
  notrack(frame: Frame): void {
    this.host.world.x.ctNotrack(frame);
  }

  /** nf_ct_attach: an answer made for `about` belongs to its connection. */
  attach(reply: Frame, about: Frame): void {
    this.host.world.x.ctAttachRelated(reply, about);
  }

  /** nf_reset_ct: the packet leaves the namespace and forgets its connection. */
  reset(frame: Frame): void {
    this.host.world.x.ctReset(frame);
  }

  /** ip_defrag: true when the packet is whole (bytes swapped in), false when the fragment waits or is gone. */
  defrag(frame: Frame, user: number): boolean {
    return this.defragmenter.defrag(frame, user);
  }

  // -- the table as a whole

  /** Entries that exist, unconfirmed ones too. */
  get count(): number {
    return this.address === 0 ? 0 : this.host.world.core.u32[(this.address + CtTable.Count) >> 2]!;
  }

  /** A counter of `conntrack -S`: `CtTable.Found` and what follows it. */
  statistic(at: CtTable): number {
    return this.address === 0 ? 0 : this.host.world.core.u32[(this.address + at) >> 2]!;
  }

  /** Lines of `conntrack -L`, in the order of the chains. */
  list(): string[] {
    if (this.address === 0) return [];
    const { x, core } = this.host.world;
    const now = this.jiffies;
    this.collect();
    const lines: string[] = [];
    for (let e = x.ctNextEntry(this.address, 0) >>> 0; e !== 0; e = x.ctNextEntry(this.address, e) >>> 0) {
      lines.push(formatEntry(core, e, now));
    }
    return lines;
  }

  /** Removes what expired. */
  collect(): void {
    if (this.address === 0) return;
    this.host.world.x.ctCollect(this.address, this.jiffies);
    this.tellDead();
  }

  /** `conntrack -F` */
  flush(): void {
    if (this.address === 0) return;
    this.host.world.x.ctFlush(this.address, 0, 0);
    this.tellDead();
  }

  /** A device went down, or away: what masquerades behind it goes (masq_device_event). */
  linkDown(dev: Interface): void {
    if (this.address === 0) return;
    this.host.world.x.ctFlush(this.address, dev.ifindex, 0);
    this.tellDead();
  }

  /** An address was taken from a device: what masquerades with it goes (masq_inet_event). */
  addressRemoved(dev: Interface, address: number): void {
    if (this.address === 0) return;
    this.host.world.x.ctFlush(this.address, dev.ifindex, address);
    this.tellDead();
  }

  // -- events

  /** Tells every event as a line of `conntrack -E`; while anybody listens, expired entries are looked for every second. */
  onEvent(listener: ConntrackListener): void {
    this.listeners.push(listener);
    this.host.world.core.u32[(this.table + CtTable.Events) >> 2] = 1;
    this.collectLater();
  }

  private collectLater(): void {
    if (this.collecting || this.count === 0) return;
    this.collecting = true;
    this.host.world.clock.after(GC_INTERVAL, () => {
      this.collecting = false;
      this.collect();
      this.collectLater();
    });
  }

  private emit(line: string): void {
    for (const l of this.listeners) l(line);
  }

  /** nf_ct_deliver_cached_events */
  private tell(frame: Frame): void {
    const { core } = this.host.world;
    const e = this.entry(frame);
    if (e === 0) return;
    const events = core.view.getUint16(e + Ct.Events, true);
    if (events === 0 || !this.isConfirmed(e) || (core.u32[(e + Ct.Status) >> 2]! & CtStatus.Dying) !== 0) return;
    core.view.setUint16(e + Ct.Events, 0, true);
    this.emit(formatEvent(core, e, events, this.jiffies));
    this.collectLater();
  }

  private tellDead(): void {
    if (this.listeners.length === 0) return;
    const { x, core } = this.host.world;
    for (let e = x.ctNextDead(this.address) >>> 0; e !== 0; e = x.ctNextDead(this.address) >>> 0) {
      this.emit(formatEvent(core, e, CtEvent.Destroy, this.jiffies));
      x.ctPut(e);
    }
  }

  /** What conntrack made of a packet, for traces. */
  private describe(frame: Frame): string {
    const e = this.entry(frame);
    const info = this.info(frame);
    if (e === 0) return info === CtInfo.Untracked ? "UNTRACKED" : "INVALID";
    const { core } = this.host.world;
    const name = stateNames[info] ?? "";
    return `${name} ${formatEntry(core, e, this.isConfirmed(e) ? this.jiffies : 0)}`;
  }
}

const stateNames = ["ESTABLISHED", "RELATED", "NEW", "ESTABLISHED reply", "RELATED reply"];
