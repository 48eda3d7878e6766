// src/host/netfilter/host.ts: what the firewall needs of the host that it stands in.

import type { Frame } from "../../core/core.ts";
import type { Interface, Owner } from "../../link/interface.ts";
import type { Drop } from "../../../assembly/drop.ts";
import type { Flow } from "../fib/flow.ts";
import type { Route } from "../fib/route.ts";
import type { Sysctl } from "../sysctl.ts";
import type { HookFn, Hook, Hooks, Verdict } from "./hooks.ts";

/** nf_nat_range2: addresses in host order; `flags` are `NatFlag` bits. Built once a rule. */
export interface NatRange {
  readonly flags: number;
  readonly minAddr: number;
  readonly maxAddr: number;
  readonly minPort: number;
  readonly maxPort: number;
  readonly basePort: number;
}

/** include/uapi/linux/netfilter/nf_nat.h */
export enum NatFlag {
  MapIps = 1,
  ProtoSpecified = 2,
  ProtoRandom = 4,
  Persistent = 8,
  ProtoRandomFully = 16,
  ProtoOffset = 32,
  Netmap = 64,
}

export interface Translation {
  /** nf_nat_register_fn: `evaluate` decides for new connections; others keep their binding. */
  registerChain(hook: Hook, priority: number, evaluate: HookFn): void;
  unregisterChain(hook: Hook, evaluate: HookFn): void;
  setup(frame: Frame, manip: "src" | "dst", range: NatRange): Verdict;
  masquerade(frame: Frame, range: NatRange, output: Interface): Verdict;
  redirect(frame: Frame, range: NatRange, hook: Hook, input: Interface | null): Verdict;
}

/** The tracked connection of a packet is `Pkt.Ct`; what rules ask about it. Addresses and ports in host order. */
export interface Tracking {
  /** Rules that need tracking count themselves in and out. */
  use(): void;
  release(): void;
  readonly nat: Translation;
  /** IPS_* bits; 0 without a connection. */
  status(frame: Frame): number;
  mark(frame: Frame): number;
  setMark(frame: Frame, mark: number): void;
  /** nf_ct_attach: an answer made for `about` belongs to its connection; a reset closes it. */
  attach(reply: Frame, about: Frame): void;
}

export interface FirewallHost extends Owner {
  readonly hooks: Hooks;
  readonly sysctl: Sysctl;
  readonly conntrack: Tracking;
  readonly fib: {
    /** inet_addr_type, or inet_dev_addr_type with a device: RTN_*. */
    addrType(address: number, dev?: Interface | null): number;
    routeOutput(flow: Flow): Route | null;
  };
  /** Sends an ICMP error about a received packet; the frame stays the caller's. */
  icmpSend(frame: Frame, type: number, code: number, info: number): void;
  /** Sends a packet made here; takes it. */
  ipLocalOut(frame: Frame, route: Route): void;
  routeMtu(route: Route): number;
  count(why: Drop): void;
  /** Sends a reset back through the bridge port that `about` came by; takes `reply` only. */
  bridgedReset?(reply: Frame, about: Frame): void;
}
