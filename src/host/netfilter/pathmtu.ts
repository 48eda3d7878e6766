// src/host/netfilter/pathmtu.ts: how large packets of a connection may be: the smaller MTU of the way on and the way back.

import { Flow } from "../fib/flow.ts";
import type { Context } from "./context.ts";
import type { FirewallHost } from "./host.ts";

/** IPv4 and TCP headers without options. */
export const HEADERS = 40;
const UNKNOWN = 0xffffffff;

export class PathMtu {
  private readonly flow = new Flow();

  constructor(private readonly host: FirewallHost) {}

  /** Bytes; above 65,535 when there is no route either way. */
  of(c: Context): number {
    return Math.min(this.to(c.dst, c, true), this.to(c.src, c, false));
  }

  private to(address: number, c: Context, on: boolean): number {
    const { flow, host } = this;
    flow.clear();
    flow.dst = address >>> 0;
    const route = host.fib.routeOutput(flow);
    if (route === null || route.dev === null) return on && c.output !== null ? c.output.mtu : UNKNOWN;
    return on && c.output !== null && route.dev !== c.output ? c.output.mtu : host.routeMtu(route);
  }
}
