// src/host/netfilter/context.ts: the packet as rules see it while a hook runs: its header fields, read once.

import { Pkt } from "../../../assembly/layout.ts";
import { RuleField } from "../../../assembly/rulerecord.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import type { World } from "../../link/world.ts";
import type { Hook } from "./hooks.ts";

/** Addresses and lengths are int32 as loaded (compare after `| 0`). One object a nesting level, used again for every packet. */
export class Context {
  frame: Frame = 0;
  hook: Hook = 0;
  input: Interface | null = null;
  output: Interface | null = null;
  /** Address of the IPv4 header; bytes from there on (skb->len). */
  net = 0;
  len = 0;
  src = 0;
  dst = 0;
  proto = 0;
  /** The flags-and-offset word, and its offset in units of 8 bytes. */
  frag = 0;
  fragOffset = 0;
  headerLen = 0;
  tos = 0;
  ttl = 0;
  totalLen = 0;
  /** Address behind the IPv4 header; bytes from there on. */
  l4 = 0;
  l4Len = 0;
  sport = 0;
  dport = 0;
  /** A match set it: the packet is dropped here and now (xt_action_param.hotdrop). */
  hotdrop = false;
  private readonly record: number;
  private readonly at: number;
  private readonly i32: Int32Array;

  constructor(private readonly world: World) {
    this.record = world.x.alloc(RuleField.Size);
    if (this.record === 0) throw new Error("no memory in the core for a rule context");
    this.at = this.record >> 2;
    this.i32 = new Int32Array(world.core.u32.buffer);
  }

  /** Takes up a packet whose `Data` is at its checked IPv4 header. */
  begin(frame: Frame, hook: Hook, input: Interface | null, output: Interface | null): void {
    this.frame = frame;
    this.hook = hook;
    this.input = input;
    this.output = output;
    this.hotdrop = false;
    this.read();
  }

  /** Reads the header again, after a target changed it. */
  read(): void {
    this.world.x.ruleGather(this.frame, this.record);
    const r = this.i32;
    const at = this.at;
    this.net = r[at + (RuleField.Net >> 2)]!;
    this.len = r[at + (RuleField.Len >> 2)]!;
    this.src = r[at + (RuleField.Src >> 2)]!;
    this.dst = r[at + (RuleField.Dst >> 2)]!;
    this.proto = r[at + (RuleField.Proto >> 2)]!;
    this.frag = r[at + (RuleField.Frag >> 2)]!;
    this.fragOffset = this.frag & 0x1fff;
    this.headerLen = r[at + (RuleField.HeaderLen >> 2)]!;
    this.tos = r[at + (RuleField.Tos >> 2)]!;
    this.ttl = r[at + (RuleField.Ttl >> 2)]!;
    this.totalLen = r[at + (RuleField.TotalLen >> 2)]!;
    this.l4 = r[at + (RuleField.L4 >> 2)]!;
    this.l4Len = r[at + (RuleField.L4Len >> 2)]!;
    this.sport = r[at + (RuleField.Sport >> 2)]!;
    this.dport = r[at + (RuleField.Dport >> 2)]!;
  }

  /** A field of the packet's descriptor, unsigned. */
  field(at: Pkt): number {
    return this.world.core.u32[(this.frame + at) >> 2]!;
  }

  setField(at: Pkt, v: number): void {
    this.world.core.u32[(this.frame + at) >> 2] = v;
  }
}
