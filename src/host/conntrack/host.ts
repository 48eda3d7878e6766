// src/host/conntrack/host.ts: what connection tracking and NAT need of the host that they stand in.

import type { Frame } from "../../core/core.ts";
import type { Interface, Owner } from "../../link/interface.ts";
import type { Hooks } from "../netfilter/hooks.ts";
import type { Sysctl } from "../sysctl.ts";

export interface ConntrackHost extends Owner {
  readonly sysctl: Sysctl;
  readonly hooks: Hooks;
  readonly byIndex: readonly (Interface | undefined)[];
  readonly fib: {
    /** inet_select_addr: `scope` 0 is RT_SCOPE_UNIVERSE; 0 when the device has none. */
    selectAddress(dev: Interface | null, dst: number, scope: number): number;
    /** In the order of the device's list. */
    addresses(dev: Interface): readonly { readonly local: number }[];
    /** Whether this received packet is for this host; null routes are refused ones. */
    routeInput(frame: Frame, dev: Interface): { readonly type: number } | null;
  };
  /** The next hop of the route that this packet leaves by; without it the destination stands for it. */
  nextHop?(frame: Frame): number;
  /** Sends an ICMP error about a received packet; the frame stays the caller's. */
  icmpSend(frame: Frame, type: number, code: number, info: number): void;
}
