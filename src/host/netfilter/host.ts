// src/host/netfilter/host.ts: what the firewall needs of the host that it stands in.

import type { Frame } from "../../core/core.ts";
import type { Interface, Owner } from "../../link/interface.ts";
import type { Drop } from "../../../assembly/drop.ts";
import type { Flow } from "../fib/flow.ts";
import type { Result } from "../fib/tables.ts";
import type { Route } from "../fib/route.ts";
import type { Sysctl } from "../sysctl.ts";
import type { NatRange } from "../conntrack/nat.ts";
import type { HookFn, Hook, Hooks, Verdict } from "./hooks.ts";

export type { NatRange };
export { RangeFlag as NatFlag } from "../../../assembly/conntracklayout.ts";

export interface Translation {
  /** nf_nat_register_fn: `evaluate` decides for new connections; others keep their binding. */
  registerChain(hook: Hook, priority: number, evaluate: HookFn): void;
  unregisterChain(hook: Hook, evaluate: HookFn): void;
  setup(frame: Frame, manip: "src" | "dst", range: NatRange): Verdict;
  masquerade(frame: Frame, range: NatRange, output: Interface): Verdict;
  redirect(frame: Frame, range: NatRange, hook: Hook, input: Interface | null): Verdict;
  netmap(frame: Frame, range: NatRange, hook: Hook): Verdict;
}

/** The tracked connection of a packet is `Pkt.Ct`; what rules ask about it. Addresses and ports in host order. */
export interface Tracking {
  /** Rules that need tracking count themselves in and out. */
  use(): void;
  release(): void;
  readonly nat: Translation;
  /** The table in the core, and the time that its entries count in. */
  readonly table: number;
  readonly jiffies: number;
  /** XT_CONNTRACK_STATE bits. */
  state(frame: Frame): number;
  /** 0 original, 1 reply. */
  direction(frame: Frame): number;
  /** IPS_* bits; 0 without a connection. */
  status(frame: Frame): number;
  protocol(frame: Frame): number;
  zone(frame: Frame): number;
  tupleSrc(frame: Frame, dir: number): number;
  tupleDst(frame: Frame, dir: number): number;
  tupleSport(frame: Frame, dir: number): number;
  tupleDport(frame: Frame, dir: number): number;
  /** Seconds left. */
  expires(frame: Frame): number;
  /** Packets (0) or bytes (1) of a direction. */
  counter(frame: Frame, dir: number, what: 0 | 1): number;
  /** Whether the connection has such counters. */
  counted(frame: Frame): boolean;
  /** A rule asks for them: connections from now on have them. */
  account(): void;
  mark(frame: Frame): number;
  setMark(frame: Frame, mark: number): void;
  notrack(frame: Frame): void;
  /** nf_reset_ct */
  reset(frame: Frame): void;
  /** nf_ct_attach: an answer made for `about` belongs to its connection. */
  attach(reply: Frame, about: Frame): void;
}

export interface FirewallHost extends Owner {
  readonly hooks: Hooks;
  readonly sysctl: Sysctl;
  readonly conntrack: Tracking;
  readonly fib: {
    /** Moves with every change of addresses and routes. */
    readonly generation: number;
    /** inet_addr_type, or inet_dev_addr_type with a device: RTN_*. */
    addrType(address: number, dev?: Interface | null): number;
    routeOutput(flow: Flow): Route | null;
    /** fib_lookup: 0 when `result` holds what was found, else an errno. */
    readonly tables: { lookup(flow: Flow, result: Result): number };
  };
  readonly byIndex: readonly (Interface | undefined)[];
  readonly byName: ReadonlyMap<string, Interface>;
  /** Sends an ICMP error about a received packet; the frame stays the caller's. */
  icmpSend(frame: Frame, type: number, code: number, info: number): void;
  /** Sends a packet made here; takes it. */
  ipLocalOut(frame: Frame, route: Route): void;
  routeMtu(route: Route): number;
  count(why: Drop): void;
}
