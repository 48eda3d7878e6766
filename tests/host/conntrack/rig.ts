// tests/host/conntrack/rig.ts: a router of two devices with nothing but hooks, so that conntrack and NAT stand alone.

import { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { parseIpv4 } from "../../../src/core/address.ts";
import type { Core, Frame } from "../../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../../src/core/packet.ts";
import { Conntrack } from "../../../src/host/conntrack/conntrack.ts";
import type { ConntrackHost } from "../../../src/host/conntrack/host.ts";
import { Hook, Hooks } from "../../../src/host/netfilter/hooks.ts";
import { Sysctl } from "../../../src/host/sysctl.ts";
import { Backlog } from "../../../src/link/backlog.ts";
import { Clock } from "../../../src/link/clock.ts";
import { Interface } from "../../../src/link/interface.ts";
import { Rng } from "../../../src/link/rng.ts";
import type { TraceEvent, TraceKind } from "../../../src/link/trace.ts";
import type { World } from "../../../src/link/world.ts";

export const hex = (s: string): Uint8Array => Uint8Array.from(Buffer.from(s.replace(/\s+/g, ""), "hex"));
export const toHex = (b: Uint8Array): string => Buffer.from(b).toString("hex");
export const ip = (s: string): number => parseIpv4(s)!;

export class Rig implements ConntrackHost {
  readonly name = "nat";
  readonly world: World;
  readonly sysctl = new Sysctl();
  readonly hooks: Hooks;
  readonly conntrack: Conntrack;
  readonly wan: Interface;
  readonly lan: Interface;
  readonly byIndex: (Interface | undefined)[] = [];
  readonly local = new Set<number>();
  readonly drops: Drop[] = [];
  readonly sent: { type: number; code: number; bytes: string }[] = [];
  readonly traces: string[] = [];
  private readonly own = new Map<Interface, { local: number }[]>();

  constructor(core: Core, wan: string, lan: string, seed = 1) {
    this.world = {
      core,
      x: core.x,
      clock: new Clock(),
      rng: new Rng(seed),
      epoch: 0n,
      backlog: new Backlog(),
      tracer: null,
    } as unknown as World;
    this.hooks = new Hooks(this);
    const dev = (index: number, name: string, address: string): Interface => {
      const d = new Interface(this, index, name, "veth", new Uint8Array(6), 1500, () => {});
      this.byIndex[index] = d;
      this.own.set(d, [{ local: ip(address) }]);
      this.local.add(ip(address));
      return d;
    };
    this.wan = dev(2, "wan", wan);
    this.lan = dev(3, "lan", lan);
    this.conntrack = new Conntrack(this);
  }

  readonly fib = {
    selectAddress: (dev: Interface | null): number => this.own.get(dev!)?.[0]?.local ?? 0,
    addresses: (dev: Interface): readonly { local: number }[] => this.own.get(dev) ?? [],
    routeInput: (frame: Frame): { type: number } => ({ type: this.local.has(this.dst(frame)) ? 2 : 1 }),
  };

  private dst(frame: Frame): number {
    return this.world.x.ipv4Dst(this.world.core.u32[(frame + Pkt.Data) >> 2]!) >>> 0;
  }

  drop(frame: Frame, why: Drop): void {
    this.drops.push(why);
    this.world.x.packetFree(frame);
  }
  trace(kind: TraceKind, _dev: Interface | null, _frame: Frame, text: string): void {
    this.traces.push(`${kind}: ${text}`);
  }
  listen(): void {
    this.world.tracer = (_e: TraceEvent) => {};
  }
  icmpSend(frame: Frame, type: number, code: number): void {
    this.sent.push({ type, code, bytes: toHex(packetBytes(this.world.core, frame)) });
  }

  /** Moves the clock to a time in microseconds. */
  at(us: number): void {
    this.world.clock.advance(us * 1000);
  }

  frame(bytes: Uint8Array): Frame {
    const { core } = this.world;
    const h = packetFrom(core, bytes);
    core.u32[(h + Pkt.Net) >> 2] = core.u32[(h + Pkt.Data) >> 2]!;
    core.x.ipKey(h);
    return h;
  }

  /** A packet from the wire through the router: what leaves (hex), "local" when it is for this host, or "gone". */
  receive(dev: Interface, bytes: Uint8Array, seen?: (frame: Frame) => void): string {
    const { core, x } = this.world;
    const h = this.frame(bytes);
    core.u32[(h + Pkt.In) >> 2] = dev.ifindex;
    if (!this.hooks.run(Hook.Prerouting, h, dev, null)) return "gone";
    seen?.(h);
    if (this.local.has(this.dst(h))) {
      if (!this.hooks.run(Hook.Input, h, dev, null)) return "gone";
      x.packetFree(h);
      return "local";
    }
    const out = dev === this.wan ? this.lan : this.wan;
    const at = core.u32[(h + Pkt.Data) >> 2]!;
    x.ipv4RewriteTtl(at, x.ipv4Ttl(at) - 1);
    if (!this.hooks.run(Hook.Forward, h, dev, out)) return "gone";
    return this.leave(h, dev, out);
  }

  /** A packet of this host's own: what leaves. */
  output(dev: Interface, bytes: Uint8Array): string {
    const h = this.frame(bytes);
    if (!this.hooks.run(Hook.Output, h, null, dev)) return "gone";
    return this.leave(h, null, dev);
  }

  private leave(h: Frame, input: Interface | null, out: Interface): string {
    if (!this.hooks.run(Hook.Postrouting, h, input, out)) return "gone";
    const s = toHex(packetBytes(this.world.core, h));
    this.world.x.packetFree(h);
    return s;
  }
}
