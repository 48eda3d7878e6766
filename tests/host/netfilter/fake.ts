// tests/host/netfilter/fake.ts: a host that only has a firewall: what it asks of others is scripted, what it does is noted.

import { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import type { Core, Frame } from "../../../src/core/core.ts";
import { packetBytes } from "../../../src/core/packet.ts";
import type { Flow } from "../../../src/host/fib/flow.ts";
import type { Result } from "../../../src/host/fib/tables.ts";
import type { Route } from "../../../src/host/fib/route.ts";
import type { FirewallHost, NatRange, Tracking } from "../../../src/host/netfilter/host.ts";
import { type Hook, type HookFn, Hooks, Verdict } from "../../../src/host/netfilter/hooks.ts";
import { Sysctl } from "../../../src/host/sysctl.ts";
import { Backlog } from "../../../src/link/backlog.ts";
import { Clock } from "../../../src/link/clock.ts";
import { Interface } from "../../../src/link/interface.ts";
import { Rng } from "../../../src/link/rng.ts";
import type { TraceEvent, TraceKind } from "../../../src/link/trace.ts";
import type { World } from "../../../src/link/world.ts";

export interface NatCall {
  readonly what: string;
  readonly range: NatRange;
}

export class FakeHost implements FirewallHost {
  readonly name = "fake";
  readonly world: World;
  readonly hooks: Hooks;
  readonly sysctl = new Sysctl();
  readonly natCalls: NatCall[] = [];
  readonly sent: string[] = [];
  /** Packets made here, as bytes. */
  readonly out: Uint8Array[] = [];
  /** Where they were sent. */
  readonly gateways: number[] = [];
  readonly drops: string[] = [];
  readonly traced: string[] = [];
  readonly byName = new Map<string, Interface>();
  readonly byIndex: (Interface | undefined)[] = [];
  /** Addresses of this host. */
  readonly local = new Set<number>();
  used = 0;
  status = 0;
  ctMark = 0;
  /** What the packet's connection is, when a test gives it one. */
  readonly tuple = {
    direction: 0,
    proto: 17,
    expires: 30,
    src: [0, 0],
    dst: [0, 0],
    sport: [0, 0],
    dport: [0, 0],
    counters: [0, 0, 0, 0],
  };
  readonly natChains: { hook: Hook; fn: HookFn }[] = [];

  constructor(core: Core) {
    this.world = {
      core,
      x: core.x,
      clock: new Clock(),
      rng: new Rng(1),
      epoch: 0n,
      backlog: new Backlog(),
      tracer: null,
    };
    this.hooks = new Hooks(this);
  }

  readonly fib = {
    generation: 0,
    addrType: (a: number): number =>
      this.local.has(a >>> 0) ? 2 : a >>> 28 === 14 ? 5 : a >>> 0 === 0xffffffff ? 3 : 1,
    routeOutput: (_flow: Flow): Route | null => this.route,
    tables: { lookup: (_flow: Flow, _result: Result): number => 101 },
  };

  /** The only route that there is. */
  route: Route | null = null;

  readonly conntrack: Tracking = {
    use: () => void this.used++,
    release: () => void this.used--,
    status: () => this.status,
    mark: () => this.ctMark,
    setMark: (_f: Frame, m: number) => void (this.ctMark = m),
    attach: () => {},
    table: 0,
    jiffies: 0,
    state: () => 0,
    direction: () => this.tuple.direction,
    protocol: () => this.tuple.proto,
    zone: () => 0,
    tupleSrc: (_f, dir) => this.tuple.src[dir]!,
    tupleDst: (_f, dir) => this.tuple.dst[dir]!,
    tupleSport: (_f, dir) => this.tuple.sport[dir]!,
    tupleDport: (_f, dir) => this.tuple.dport[dir]!,
    expires: () => this.tuple.expires,
    counter: (_f, dir, what) => this.tuple.counters[dir * 2 + what]!,
    counted: () => true,
    account: () => undefined,
    notrack: (f) => this.world.x.ctNotrack(f),
    reset: () => {},
    nat: {
      registerChain: (hook, _priority, fn) => void this.natChains.push({ hook, fn }),
      unregisterChain: () => {},
      setup: (_f, manip, range) => this.nat(manip, range),
      masquerade: (_f, range, dev) => this.nat(`masquerade ${dev.name}`, range),
      redirect: (_f, range) => this.nat("redirect", range),
      netmap: (_f, range, hook) => this.nat(`netmap ${hook}`, range),
    },
  };

  private nat(what: string, range: NatRange): Verdict {
    this.natCalls.push({ what, range: { ...range } });
    return Verdict.Accept;
  }

  device(name: string): Interface {
    const mac = Uint8Array.of(2, 0, 0, 0, 0, this.byName.size + 1);
    const dev = new Interface(this, this.byName.size + 1, name, "veth", mac, 1500, (_d, f) =>
      this.world.x.packetFree(f),
    );
    this.byName.set(name, dev);
    this.byIndex[dev.ifindex] = dev;
    return dev;
  }

  listen(): void {
    this.world.tracer = (e: TraceEvent) => void this.traced.push(`${e.kind} ${e.text}`);
  }

  trace(kind: TraceKind, dev: Interface | null, frame: Frame, text: string): void {
    this.world.tracer?.({ time: 0, node: this.name, iface: dev?.name ?? "", kind, text, drop: Drop.None, frame });
  }

  drop(frame: Frame, why: Drop): void {
    this.drops.push(Drop[why]!);
    this.world.x.packetFree(frame);
  }

  count(why: Drop): void {
    this.drops.push(Drop[why]!);
  }

  icmpSend(_frame: Frame, type: number, code: number): void {
    this.sent.push(`icmp ${type}/${code}`);
  }

  ipLocalOut(frame: Frame, route: Route): void {
    this.gateways.push(route.gateway);
    this.out.push(packetBytes(this.world.core, frame));
    this.world.x.packetFree(frame);
  }

  routeMtu(): number {
    return 1500;
  }

  /** Runs a hook over a copy of the packet's bytes; what comes out, null when it was dropped. */
  run(
    hook: Hook,
    bytes: Uint8Array,
    input: Interface | null,
    output: Interface | null,
    prepare?: (f: Frame) => void,
  ): Uint8Array | null {
    const { core } = this.world;
    const frame = ipFrame(core, bytes);
    prepare?.(frame);
    if (!this.hooks.run(hook, frame, input, output)) return null;
    const after = packetBytes(core, frame);
    core.x.packetFree(frame);
    return after;
  }

  /** Runs the nat chain of a hook, as conntrack does for a new connection. */
  runNat(hook: Hook, bytes: Uint8Array, input: Interface | null, output: Interface | null): Verdict {
    const frame = ipFrame(this.world.core, bytes);
    let verdict = Verdict.Accept;
    for (const c of this.natChains) if (c.hook === hook) verdict = c.fn(frame, hook, input, output);
    this.world.x.packetFree(frame);
    return verdict;
  }
}

/** A packet with its `Data` at the IPv4 header, behind an Ethernet header from 02:00:00:00:00:aa. */
export function ipFrame(core: Core, bytes: Uint8Array): Frame {
  const frame = core.x.packetAlloc(bytes.length + 14);
  const at = core.u32[(frame + Pkt.Data) >> 2]!;
  core.u8.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xaa, 8, 0], at);
  core.u8.set(bytes, at + 14);
  core.u32[(frame + Pkt.Mac) >> 2] = at;
  core.x.packetPull(frame, 14);
  core.u32[(frame + Pkt.Net) >> 2] = at + 14;
  core.u32[(frame + Pkt.Trans) >> 2] = at + 14 + (bytes[0]! & 15) * 4;
  return frame;
}

export interface Spec {
  src?: number;
  dst?: number;
  proto?: number;
  tos?: number;
  ttl?: number;
  /** The whole flags-and-offset word. */
  frag?: number;
  options?: readonly number[];
  payload?: readonly number[];
}

/** Sums 16-bit words, big-endian. */
export function sum16(bytes: ArrayLike<number>, start = 0): number {
  let s = start;
  for (let i = 0; i < bytes.length; i += 2) s += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

const word = (v: number): number[] => [(v >>> 8) & 255, v & 255];
const long = (v: number): number[] => [...word(v >>> 16), ...word(v & 0xffff)];

/** An IPv4 packet with a good header checksum. */
export function ip(s: Spec): Uint8Array {
  const options = s.options ?? [];
  const payload = s.payload ?? [];
  const h = [
    0x45 + options.length / 4,
    s.tos ?? 0,
    ...word(20 + options.length + payload.length),
    ...word(0x1234),
    ...word(s.frag ?? 0),
    s.ttl ?? 64,
    s.proto ?? 17,
    0,
    0,
    ...long(s.src ?? 0x0a000001),
    ...long(s.dst ?? 0x0a000002),
    ...options,
  ];
  const c = ~sum16(h) & 0xffff;
  h[10] = c >> 8;
  h[11] = c & 255;
  return Uint8Array.of(...h, ...payload);
}

function pseudo(s: Spec, proto: number, length: number): number[] {
  return [...long(s.src ?? 0x0a000001), ...long(s.dst ?? 0x0a000002), 0, proto, ...word(length)];
}

export function udp(sport: number, dport: number, data: readonly number[] = [], s: Spec = {}): Uint8Array {
  const d = [...word(sport), ...word(dport), ...word(8 + data.length), 0, 0, ...data];
  const c = ~sum16([...pseudo(s, 17, d.length), ...d]) & 0xffff;
  d[6] = c >> 8;
  d[7] = c & 255;
  return ip({ ...s, proto: 17, payload: d });
}

export interface TcpSpec extends Spec {
  seq?: number;
  ack?: number;
  tcpOptions?: readonly number[];
  data?: readonly number[];
  window?: number;
}

export function tcp(sport: number, dport: number, flags: number, s: TcpSpec = {}): Uint8Array {
  const o = s.tcpOptions ?? [];
  const d = [
    ...word(sport),
    ...word(dport),
    ...long(s.seq ?? 1000),
    ...long(s.ack ?? 0),
    (5 + o.length / 4) << 4,
    flags,
    ...word(s.window ?? 64240),
    0,
    0,
    0,
    0,
    ...o,
    ...(s.data ?? []),
  ];
  const c = ~sum16([...pseudo(s, 6, d.length), ...d]) & 0xffff;
  d[16] = c >> 8;
  d[17] = c & 255;
  return ip({ ...s, proto: 6, payload: d });
}

export function icmp(type: number, code: number, data: readonly number[] = [0, 1, 0, 1], s: Spec = {}): Uint8Array {
  const d = [type, code, 0, 0, ...data];
  const c = ~sum16(d) & 0xffff;
  d[2] = c >> 8;
  d[3] = c & 255;
  return ip({ ...s, proto: 1, payload: d });
}
