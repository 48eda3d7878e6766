// src/host/fib/flow.ts: what a routing decision is asked about (Linux's struct flowi4).

/** ifindex of the loopback device; packets made here count as having come in by it. */
export const LOOPBACK_IFINDEX = 1;

/** A question to the routing tables; one object is filled again and again. Addresses are u32 in host order. */
export class Flow {
  dst = 0;
  /** 0: not chosen yet; `routeOutput` fills it in. */
  src = 0;
  /** The device that it must leave by, 0 for any; `routeOutput` fills it in. */
  oif = 0;
  iif = LOOPBACK_IFINDEX;
  /** The whole TOS byte. */
  tos = 0;
  mark = 0;
  /** Protocol and ports, for rules and for hashing; ICMP's type and code stand in for ports. */
  proto = 0;
  sport = 0;
  dport = 0;
  /** Only routes at least as near as this (`Scope`). */
  scope = 0;
  /** The source need not be one of the host's addresses (FLOWI_FLAG_ANYSRC: transparent sockets, REJECT). */
  anySource = false;

  clear(): void {
    this.dst = this.src = this.oif = this.tos = this.mark = this.proto = this.sport = this.dport = this.scope = 0;
    this.iif = LOOPBACK_IFINDEX;
    this.anySource = false;
  }
}
