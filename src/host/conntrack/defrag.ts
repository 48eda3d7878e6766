// src/host/conntrack/defrag.ts: reassembly of IPv4 datagrams (RFC 791 §3.2; ip_fragment.c): limits, and when they are given up.

import type { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Timer } from "../../link/clock.ts";
import type { Interface } from "../../link/interface.ts";
import type { ConntrackHost } from "./host.ts";

/** Who reassembles (enum ip_defrag_users): each has queues of its own. */
export const DefragUser = {
  local: 0,
  callRouterAlert: 1,
  conntrackIn: 2,
  conntrackOut: 3,
  conntrackBridge: 4,
} as const;

const WHOLE = 0;
const HELD = 1;
const SECOND = 1_000_000_000;
const TIME_EXCEEDED = 11;
const FRAGMENT_TIME = 1;
/** RTN_LOCAL */
const RTN_LOCAL = 2;

export class Defrag {
  private table = 0;
  private timer: Timer | null = null;

  constructor(private readonly host: ConntrackHost) {
    host.sysctl.watch(this);
  }

  sysctlChanged(name: string): void {
    if (this.table !== 0 && name.startsWith("net.ipv4.ipfrag_")) this.configure();
  }

  private configure(): void {
    const { sysctl, world } = this.host;
    const high = sysctl.get("net.ipv4.ipfrag_high_thresh");
    const time = sysctl.get("net.ipv4.ipfrag_time") * SECOND;
    world.x.fragConfigure(this.table, high, sysctl.get("net.ipv4.ipfrag_max_dist"), time);
  }

  /**
   * ip_defrag: true when the packet is whole, its bytes in the same handle; false when the fragment waits or is gone.
   * `user` of `DefragUser`, plus the conntrack zone where there is one.
   */
  defrag(frame: Frame, user: number): boolean {
    const { x, clock } = this.host.world;
    if (this.table === 0) {
      this.table = x.fragCreate() >>> 0;
      if (this.table === 0) throw new Error(`${this.host.name}: no memory for reassembly`);
      this.configure();
    }
    const answer = x.fragAdd(this.table, frame, user, 0, clock.now);
    if (answer === WHOLE) return true;
    this.dropKilled();
    if (answer !== HELD) this.host.drop(frame, answer as Drop, this.device(frame));
    if (this.timer === null) this.arm();
    return false;
  }

  /** Datagrams under way. */
  get queues(): number {
    return this.table === 0 ? 0 : this.host.world.x.fragQueues(this.table);
  }

  /** Bytes that they weigh, as Linux counts them (FRAG memory of /proc/net/sockstat), roughly. */
  get memory(): number {
    return this.table === 0 ? 0 : this.host.world.x.fragMemory(this.table);
  }

  private device(frame: Frame): Interface | null {
    return this.host.byIndex[this.host.world.core.u32[(frame + Pkt.In) >> 2]!] ?? null;
  }

  private dropKilled(): void {
    const { x } = this.host.world;
    for (let h = x.fragNextKilled(this.table) >>> 0; h !== 0; h = x.fragNextKilled(this.table) >>> 0) {
      this.host.drop(h, x.fragKillReason(this.table) as Drop, this.device(h));
    }
  }

  private arm(): void {
    const { x, clock } = this.host.world;
    const at = x.fragNextExpiry(this.table);
    this.timer = at < 0 ? null : clock.at(at, this.expire);
  }

  /** ip_expire */
  private readonly expire = (): void => {
    const { x, clock } = this.host.world;
    while (x.fragExpire(this.table, clock.now)) {
      this.complain();
      this.dropKilled();
    }
    this.arm();
  };

  /** Only an end host says that it gave up, and only if the first fragment came (RFC 792). */
  private complain(): void {
    const { host, table } = this;
    const { x } = host.world;
    const head = x.fragExpiredHead(table) >>> 0;
    const dev = host.byIndex[x.fragExpiredIn(table)];
    if (head === 0 || dev === undefined) return;
    const user = x.fragExpiredUser(table);
    const route = host.fib.routeInput(head, dev);
    if (route === null) return;
    // conntrack in PREROUTING has not routed it yet: it complains only for what is ours
    const between = user === DefragUser.conntrackIn || user >= DefragUser.conntrackBridge;
    if (between && route.type !== RTN_LOCAL) return;
    host.icmpSend(head, TIME_EXCEEDED, FRAGMENT_TIME, 0);
  }
}
