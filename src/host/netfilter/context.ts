// src/host/netfilter/context.ts: the packet as rules see it while a hook runs: its header fields, read once.

import { Pkt } from "../../../assembly/layout.ts";
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
  private readonly u32: Uint32Array;
  private readonly view: DataView;

  constructor(world: World) {
    this.u32 = world.core.u32;
    this.view = world.core.view;
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
    const { u32, view } = this;
    const { frame } = this;
    const net = u32[(frame + Pkt.Data) >> 2]!;
    const len = u32[(frame + Pkt.Len) >> 2]!;
    const first = view.getInt32(net);
    const third = view.getInt32(net + 8);
    this.net = net;
    this.len = len;
    this.src = view.getInt32(net + 12);
    this.dst = view.getInt32(net + 16);
    this.proto = (third >> 16) & 255;
    this.ttl = third >>> 24;
    this.frag = view.getUint16(net + 6);
    this.fragOffset = this.frag & 0x1fff;
    const headerLen = (first >>> 22) & 60;
    this.headerLen = headerLen;
    this.tos = (first >> 16) & 255;
    this.totalLen = first & 65535;
    const l4 = net + headerLen;
    const l4Len = len - headerLen;
    this.l4 = l4;
    this.l4Len = l4Len;
    if (l4Len >= 4) {
      const ports = view.getInt32(l4);
      this.sport = ports >>> 16;
      this.dport = ports & 65535;
    } else {
      this.sport = l4Len >= 2 ? view.getUint16(l4) : 0;
      this.dport = 0;
    }
  }

  /** A field of the packet's descriptor, unsigned. */
  field(at: Pkt): number {
    return this.u32[(this.frame + at) >> 2]!;
  }

  setField(at: Pkt, v: number): void {
    this.u32[(this.frame + at) >> 2] = v;
  }
}
