// src/host/neighbour/host.ts: what the neighbour table needs of the host that it stands in.

import type { Drop } from "../../../assembly/drop.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface, Owner } from "../../link/interface.ts";
import type { Flow } from "../fib/flow.ts";
import type { Route, RouteType, Scope } from "../fib/route.ts";
import type { Conf, Sysctl } from "../sysctl.ts";

export interface NeighbourFib {
  /** The device's addresses in the order in which Linux keeps them. */
  addresses(dev: Interface): readonly { readonly local: number }[];
  /** inet_addr_type_dev_table */
  addrType(address: number): RouteType;
  /** inet_select_addr: 0 when there is none. */
  selectAddress(dev: Interface | null, dst: number, scope: Scope): number;
  /** inet_confirm_addr: `local` (0: any) if the device (null: any) has it, fit for `dst` (0: any) within `scope`; else 0. */
  confirmAddress(dev: Interface | null, dst: number, local: number, scope: Scope): number;
  /** inet_addr_onlink: both are in one subnet of the device. */
  isOnlink(dev: Interface, a: number, b: number): boolean;
  /** ip_route_input: by the IPv4 header at `Pkt.Net`; null when refused. */
  routeInput(frame: Frame, dev: Interface): Route | null;
  routeOutput(flow: Flow): Route | null;
}

export interface NeighbourHost extends Owner {
  readonly sysctl: Sysctl;
  readonly fib: NeighbourFib;
  /** In order of ifindex. */
  readonly interfaces: readonly Interface[];
  readonly byName: ReadonlyMap<string, Interface>;
  readonly confAll: Conf;
  conf(dev: Interface): Conf;
  /** The packet begins to wait for its neighbour's address. */
  waits?(frame: Frame): void;
  /** ipv4_link_failure: nobody answered for this packet; takes it. `Data` at its IP header. */
  linkFailure(frame: Frame, dev: Interface | null): void;
  /** Something was lost that never was a packet. */
  count(why: Drop): void;
}
