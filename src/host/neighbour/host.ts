// src/host/neighbour/host.ts: what the neighbour table needs of the host that it stands in.

import type { Drop } from "../../../assembly/drop.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface, Owner } from "../../link/interface.ts";
import type { Flow } from "../fib/flow.ts";
import type { Route, RouteType, Scope } from "../fib/route.ts";
import type { Conf, Sysctl } from "../sysctl.ts";

/** An address of a device, in the order in which Linux keeps them. */
export interface DeviceAddress {
  readonly local: number;
  readonly length: number;
  readonly scope: Scope;
}

export interface NeighbourFib {
  addresses(dev: Interface): readonly DeviceAddress[];
  /** inet_addr_type_dev_table */
  addrType(address: number): RouteType;
  /** inet_select_addr: 0 when there is none. */
  selectAddress(dev: Interface | null, dst: number, scope: Scope): number;
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
  /** ipv4_link_failure: nobody answered for this packet; takes it. `Data` at its IP header. */
  linkFailure(frame: Frame, dev: Interface | null): void;
  /** Something was lost that never was a packet. */
  count(why: Drop): void;
}
