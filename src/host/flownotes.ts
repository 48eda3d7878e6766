// src/host/flownotes.ts: what a packet met on the long way, noted step by step. Only a way whose every step is known here,
// in an order that is known here, becomes a flow; anything else met on the way forgets the notes.

import { Ct, CtInfo, CtStatus } from "../../assembly/conntracklayout.ts";
import { Flow, FlowBit } from "../../assembly/flowtablelayout.ts";
import { Pkt, PktFlag, PktType } from "../../assembly/layout.ts";
import type { Core, Frame } from "../core/core.ts";
import type { FlowWatch } from "../link/flowpath.ts";
import { Interface } from "../link/interface.ts";
import { Hook } from "./netfilter/hooks.ts";

/** What counts packets and their bytes: a rule, a chain's policy. */
export interface Counted {
  packets: number;
  bytes: number;
}

/** Whom the packets of a flow concern beside the core. */
export interface Repeated {
  readonly counters: readonly Counted[];
  /** Null: made here. */
  readonly input: Interface | null;
  /** The bridge device that they went up by, and whether padding was cut before. */
  readonly up: Interface | null;
  readonly trimmed: boolean;
  readonly outputs: readonly Interface[];
  /** Not known to be there: its use counts. */
  readonly neighbour: { used: number } | null;
  /** Where a bridge learned the sender. */
  readonly station: { updated: number } | null;
}

/** How far the packet came; each step says which ones it may follow. */
const Step = {
  start: 1,
  bridge: 2,
  prerouting: 4,
  learned: 8,
  up: 16,
  routed: 32,
  forward: 64,
  forwarded: 128,
  postrouting: 256,
  neighbour: 512,
  sent: 1024,
  ported: 2048,
  input: 4096,
  done: 8192,
  made: 16384,
  output: 32768,
} as const;

const ETHERNET = 14;
const ADDRESS = 6;
const TCP = 6;
const DROP_BITS = PktFlag.DoRedirect;
/** As assembly/flowtable.ts has it. */
const STATUS =
  CtStatus.Expected |
  CtStatus.SeenReply |
  CtStatus.Confirmed |
  CtStatus.SrcNat |
  CtStatus.DstNat |
  CtStatus.SeqAdjust |
  CtStatus.SrcNatDone |
  CtStatus.DstNatDone |
  CtStatus.Dying;

export class FlowNotes implements FlowWatch {
  /** The packet that is noted; 0: none. */
  frame: Frame = 0;
  /** The device that it left by, or that it came up by. */
  last: Interface | null = null;
  local = false;
  private step: number = Step.done;
  private gone = true;
  private input: Interface | null = null;
  private up: Interface | null = null;
  private trimmed = false;
  private hooked = false;
  private tracked = false;
  private bits = 0;
  private mtu = 0;
  private neighbour: { used: number } | null = null;
  private station: { updated: number } | null = null;
  private readonly counters: Counted[] = [];
  private readonly outputs: Interface[] = [];
  /** Rules asked for TCP's flags beside those that tell a segment of an open connection. */
  private exact = false;
  private tcp = false;
  /** The packet's connection, 0 when nobody tracks; its tuple as it came, and its other one. */
  entry = 0;
  private ct = 0;
  private readonly tuples = new Uint32Array(6);
  /** The slot's words as they will be written. */
  private readonly words = new Uint32Array(32);
  private readonly bytes = new Uint8Array(this.words.buffer);

  constructor(private readonly core: Core) {}

  /** The packet ended as a flow can. */
  get complete(): boolean {
    return !this.gone && this.step === Step.done;
  }

  /** `Data` at the Ethernet header of a frame that the core found fit for a flow. */
  begin(dev: Interface, frame: Frame, portsMask: number, infoMask: number): void {
    const { words, core } = this;
    const eth = core.u32[(frame + Pkt.Data) >> 2]!;
    this.start(Step.start, frame, eth + ETHERNET, portsMask, infoMask);
    this.input = dev;
    words[Flow.Dev >> 2] = dev.mac;
    this.bytes.set(core.u8.subarray(eth + ADDRESS, eth + 2 * ADDRESS), Flow.Station);
    words[Flow.Own >> 2] = dev.mac;
  }

  /** `Data` at the IPv4 header of a packet made here that the core found fit for a flow, with the route that it got. */
  beginMade(table: number, frame: Frame, route: number, portsMask: number, infoMask: number): void {
    const { words, core } = this;
    this.start(Step.made, frame, core.u32[(frame + Pkt.Data) >> 2]!, portsMask, infoMask);
    this.input = null;
    words[Flow.Dev >> 2] = table;
    words[Flow.Route >> 2] = route;
  }

  private start(step: number, frame: Frame, ip: number, portsMask: number, infoMask: number): void {
    const { u32, u8, view } = this.core;
    const { words } = this;
    this.frame = frame;
    this.step = step;
    this.gone = this.local = this.trimmed = this.hooked = this.tracked = this.exact = false;
    this.last = this.up = this.neighbour = this.station = null;
    this.bits = this.entry = 0;
    this.mtu = 65535;
    this.counters.length = 0;
    this.outputs.length = 0;
    words.fill(0);
    words[Flow.Src >> 2] = view.getUint32(ip + 12);
    words[Flow.Dst >> 2] = view.getUint32(ip + 16);
    words[Flow.Ports >> 2] = view.getUint32(ip + 20) & portsMask;
    const proto = u8[ip + 9]!;
    this.tcp = proto === TCP;
    words[Flow.Info >> 2] = (((this.tcp ? u8[ip + 33]! : 0) << 16) | (u8[ip + 1]! << 8) | proto) & infoMask;
    words[Flow.Mark >> 2] = u32[(frame + Pkt.Mark) >> 2]!;
  }

  /** Something that no flow repeats. */
  forget(): void {
    this.gone = true;
    this.frame = 0;
  }

  private to(next: number, from: number): void {
    if ((this.step & from) === 0) this.forget();
    else this.step = next;
  }

  /** A bridge takes it from a port. */
  bridge(): void {
    this.to(Step.bridge, Step.start);
  }

  /** A hook's functions run; `repeats`: all of them are noted here. */
  hook(hook: Hook, repeats: boolean): void {
    if (!repeats) return this.forget();
    switch (hook) {
      case Hook.Prerouting:
        if (this.hooked) return this.forget();
        this.hooked = true;
        return this.to(Step.prerouting, Step.start | Step.bridge | Step.up);
      case Hook.Input:
        return this.to(Step.input, Step.routed);
      case Hook.Output:
        return this.to(Step.output, Step.made);
      case Hook.Forward:
        return this.to(Step.forwarded, Step.forward);
      case Hook.Postrouting:
        return this.to(Step.postrouting, Step.forwarded);
      default:
        this.forget();
    }
  }

  /** Connection tracking took it. */
  track(): void {
    this.tracked = true;
  }

  /** NAT translates it as the connection is bound. */
  translate(hook: Hook): void {
    this.bits |= hook === Hook.Prerouting || hook === Hook.Output ? FlowBit.Destination : FlowBit.Source;
  }

  counted(c: Counted): void {
    this.counters.push(c);
  }

  /** Rules asked for any of TCP's flags. */
  asksFlags(): void {
    this.exact = true;
  }

  /** What is made here goes on to POSTROUTING, by a device that takes packets of `mtu` bytes. */
  leave(mtu: number): void {
    this.to(Step.forwarded, Step.made | Step.output);
    this.fits(mtu);
  }

  /** The bridge knew the sender on that port; `address`: six bytes in the core, the bridge's own. */
  learned(entry: { updated: number } | null, address: number): void {
    this.to(Step.learned, Step.bridge | Step.prerouting);
    this.station = entry;
    this.bits |= FlowBit.Station;
    this.words[Flow.Own >> 2] = address;
  }

  /** Up by the bridge device. */
  passUp(dev: Interface): void {
    this.to(Step.up, Step.learned);
    this.up = dev;
    this.trimmed = this.hooked;
  }

  /** Routed by what depends on the key and the generation alone. */
  routed(): void {
    if (!this.hooked || this.core.u32[(this.frame + Pkt.Type) >> 2] !== PktType.Host) return this.forget();
    this.to(Step.routed, Step.prerouting | Step.up);
  }

  forward(mtu: number): void {
    if ((this.core.u32[(this.frame + Pkt.Flags) >> 2]! & DROP_BITS) !== 0) return this.forget();
    this.to(Step.forward, Step.routed);
    this.fits(mtu);
  }

  fits(mtu: number): void {
    this.mtu = Math.min(this.mtu, mtu);
  }

  resolved(n: { used: number }, sure: boolean): void {
    this.to(Step.neighbour, Step.postrouting);
    this.neighbour = sure ? null : n;
  }

  /** A bridge sends it out of the port that it knows the address on. */
  port(mtu: number): void {
    this.to(Step.ported, Step.sent);
    this.fits(mtu);
  }

  /** It leaves by a device; `Data` at the Ethernet header. */
  leaves(dev: Interface): void {
    this.to(Step.sent, Step.neighbour | Step.ported);
    this.outputs.push(dev);
    if (dev.tap !== null) return this.forget();
    if (dev.xmit !== null) {
      // a bridge sends it on by a port, and says so
      if (dev.kind !== "bridge" || this.outputs.length > 1) this.forget();
      return;
    }
    const { peer } = dev;
    if (peer === null || dev.kind !== "veth" || this.gone) return this.forget();
    const { u8, u32 } = this.core;
    const eth = u32[(this.frame + Pkt.Data) >> 2]!;
    this.bytes.set(u8.subarray(eth, eth + 2 * ADDRESS), Flow.Ether);
    if (dev.crossesHosts) this.bits |= FlowBit.ClearMark;
    this.words[Flow.Next >> 2] = peer instanceof Interface ? peer.mac : 0;
    this.finish(dev);
  }

  /** The protocol takes it. */
  delivered(dev: Interface): void {
    this.to(Step.done, Step.input);
    // what a bridge brought says so to whoever answers it
    if (this.up !== null) return this.forget();
    this.local = true;
    this.bits |= FlowBit.Local;
    this.finish(dev);
  }

  private finish(dev: Interface): void {
    if (this.gone) return;
    const { frame } = this;
    this.last = dev;
    this.step = Step.done;
    this.frame = 0;
    if (!this.connection(frame)) this.gone = true;
  }

  /** How the packet's connection stands; false when no other packet can be told to stand so. */
  private connection(frame: Frame): boolean {
    const { u32, view } = this.core;
    const { words } = this;
    const e = u32[(frame + Pkt.Ct) >> 2]!;
    const hooks = this.bits & (FlowBit.Destination | FlowBit.Source);
    this.bits &= ~hooks;
    if ((e !== 0) !== this.tracked) return false;
    if (e === 0) return u32[(frame + Pkt.CtInfo) >> 2] === 0;
    const info = u32[(frame + Pkt.CtInfo) >> 2]!;
    const status = u32[(e + Ct.Status) >> 2]! & STATUS;
    if ((status & CtStatus.Confirmed) === 0 || (status & (CtStatus.Dying | CtStatus.Expected)) !== 0) return false;
    if (info !== CtInfo.New && info !== CtInfo.Established && info !== CtInfo.EstablishedReply) return false;
    const reply = info === CtInfo.EstablishedReply;
    if ((hooks & FlowBit.Destination) !== 0 && (status & (reply ? CtStatus.SrcNat : CtStatus.DstNat)) !== 0) {
      this.bits |= FlowBit.Destination;
    }
    if ((hooks & FlowBit.Source) !== 0 && (status & (reply ? CtStatus.DstNat : CtStatus.SrcNat)) !== 0) {
      this.bits |= FlowBit.Source;
    }
    // the connection's way is for all its segments (the core asks for it with those alone that have ACK, and not SYN, FIN, RST)
    if (this.exact && this.tcp) return false;
    this.entry = reply ? e + 1 : e;
    this.ct = u32[(e + Ct.Table) >> 2]!;
    for (let i = 0; i < 6; i++) this.tuples[i] = u32[((e + Ct.Src) >> 2) + i]!;
    words[Flow.CtInfo >> 2] = info;
    words[Flow.CtStatus >> 2] = status;
    words[Flow.CtMasq >> 2] = view.getUint16(e + Ct.MasqIndex, true);
    words[Flow.Src >> 2] = words[Flow.Dst >> 2] = words[Flow.Ports >> 2] = 0;
    words[Flow.Info >> 2]! &= 0xffff;
    return true;
  }

  /** The connection is still there, and is the one that it was. */
  get lasts(): boolean {
    const { u32, view } = this.core;
    const { tuples } = this;
    const e = this.entry & ~1;
    for (let i = 0; i < 6; i++) if (tuples[i] !== u32[((e + Ct.Src) >> 2) + i]) return false;
    const { words } = this;
    return (
      (u32[(e + Ct.Status) >> 2]! & STATUS) === words[Flow.CtStatus >> 2] &&
      view.getUint16(e + Ct.MasqIndex, true) === (words[Flow.CtMasq >> 2]! & 0xffff) &&
      u32[(e + Ct.Use) >> 2] !== 0 &&
      u32[(e + Ct.Table) >> 2] === this.ct
    );
  }

  /** The slot's words, but for what was counted: good until the next packet is noted. */
  finished(generation: number, end: number): Uint32Array {
    const { words } = this;
    words[Flow.Generation >> 2] = generation;
    words[Flow.CtMasq >> 2] = (words[Flow.CtMasq >> 2]! & 0xffff) | (this.bits << 16);
    words[Flow.Mtu >> 2] = this.mtu;
    words[Flow.End >> 2] = end;
    return words;
  }

  /** Whether the packets of `r` concern the same as the one that was noted. */
  concerns(r: Repeated): boolean {
    return (
      r.input === this.input &&
      r.up === this.up &&
      r.trimmed === this.trimmed &&
      r.neighbour === this.neighbour &&
      r.station === this.station &&
      isSame(r.counters, this.counters) &&
      isSame(r.outputs, this.outputs)
    );
  }

  /** Whom the packets concern. */
  repeated(): Repeated {
    return {
      counters: this.counters.slice(),
      input: this.input,
      up: this.up,
      trimmed: this.trimmed,
      outputs: this.outputs.slice(),
      neighbour: this.neighbour,
      station: this.station,
    };
  }
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
