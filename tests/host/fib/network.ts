// tests/host/fib/network.ts: a namespace's routing alone: devices without a stack behind them.

import { Pkt } from "../../../assembly/layout.ts";
import { parseIpv4, parsePrefix } from "../../../src/core/address.ts";
import type { Core, Frame } from "../../../src/core/core.ts";
import { packetFrom, setField } from "../../../src/core/packet.ts";
import { Backlog } from "../../../src/link/backlog.ts";
import { Clock } from "../../../src/link/clock.ts";
import { Interface, type Owner } from "../../../src/link/interface.ts";
import { Rng } from "../../../src/link/rng.ts";
import type { World } from "../../../src/link/world.ts";
import { Fib } from "../../../src/host/fib/fib.ts";
import { Flow } from "../../../src/host/fib/flow.ts";
import type { Route } from "../../../src/host/fib/route.ts";
import { Sysctl } from "../../../src/host/sysctl.ts";

export const ip = (text: string): number => {
  const a = parseIpv4(text);
  if (a === null) throw new Error(`${text} is no address`);
  return a;
};

/** What a received packet looks like. */
export interface Arrival {
  readonly src: string;
  readonly dst: string;
  readonly iif: string;
  readonly tos?: number;
  readonly mark?: number;
  readonly proto?: number;
  readonly sport?: number;
  readonly dport?: number;
  readonly frag?: number;
}

export class Network {
  readonly core: Core;
  readonly sysctl = new Sysctl();
  readonly fib: Fib;
  readonly devs = new Map<string, Interface>();
  /** The frame of the last arrival. */
  frame: Frame = 0;

  constructor(core: Core) {
    this.core = core;
    const world: World = {
      core,
      x: core.x,
      clock: new Clock(),
      rng: new Rng(1),
      epoch: 0n,
      backlog: new Backlog(),
      tracer: null,
    };
    const owner: Owner = { name: "test", world, drop: () => {}, trace: () => {} };
    this.owner = owner;
    this.fib = new Fib(world, this.sysctl);
    this.device("lo", 1, true);
  }

  private readonly owner: Owner;

  device(name: string, ifindex = this.devs.size + 1, up = true): Interface {
    const kind = name === "lo" ? "loopback" : "veth";
    const dev = new Interface(this.owner, ifindex, name, kind, new Uint8Array(6), 1500, () => {});
    dev.up = up;
    this.sysctl.addDevice(name);
    this.devs.set(name, dev);
    this.fib.addInterface(dev);
    return dev;
  }

  dev(name: string): Interface {
    const dev = this.devs.get(name);
    if (dev === undefined) throw new Error(`no device ${name}`);
    return dev;
  }

  address(dev: string, prefix: string): void {
    const p = parsePrefix(prefix)!;
    this.fib.addAddress(this.dev(dev), p.address, p.length);
  }

  up(name: string, up: boolean): void {
    const dev = this.dev(name);
    dev.up = up;
    if (up) this.fib.linkUp(dev);
    else this.fib.linkDown(dev);
  }

  /** routeInput for a packet with this header; the frame before is given back. */
  input(a: Arrival): Route | null {
    const { core } = this;
    const bytes = new Uint8Array(28);
    const view = new DataView(bytes.buffer);
    bytes.set([0x45, a.tos ?? 0]);
    view.setUint16(2, 28);
    view.setUint16(6, a.frag ?? 0);
    bytes.set([64, a.proto ?? 17], 8);
    view.setUint32(12, ip(a.src));
    view.setUint32(16, ip(a.dst));
    view.setUint16(20, a.sport ?? 0);
    view.setUint16(22, a.dport ?? 0);
    if (this.frame !== 0) core.x.packetFree(this.frame);
    this.frame = packetFrom(core, bytes);
    setField(core, this.frame, Pkt.Net, core.u32[(this.frame + Pkt.Data) >> 2]!);
    setField(core, this.frame, Pkt.Mark, a.mark ?? 0);
    setField(core, this.frame, Pkt.Flags, 0);
    return this.fib.routeInput(this.frame, this.dev(a.iif));
  }

  get flags(): number {
    return this.core.u32[(this.frame + Pkt.Flags) >> 2]!;
  }

  output(words: {
    dst?: string | undefined;
    src?: string | undefined;
    oif?: string | undefined;
    tos?: number;
    mark?: number;
    proto?: number;
    sport?: number;
    dport?: number;
  }): {
    route: Route | null;
    flow: Flow;
  } {
    const flow = new Flow();
    flow.dst = words.dst === undefined ? 0 : ip(words.dst);
    flow.src = words.src === undefined ? 0 : ip(words.src);
    flow.oif = words.oif === undefined ? 0 : this.dev(words.oif).ifindex;
    flow.tos = words.tos ?? 0;
    flow.mark = words.mark ?? 0;
    flow.proto = words.proto ?? 0;
    flow.sport = words.sport ?? 0;
    flow.dport = words.dport ?? 0;
    return { route: this.fib.routeOutput(flow), flow };
  }
}
