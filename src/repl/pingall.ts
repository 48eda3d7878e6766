// src/repl/pingall.ts: Mininet's `pingall`: each node pings each other once.

import type { Namespace } from "../host/namespace.ts";
import { SECOND } from "../link/clock.ts";
import { Ping } from "../service/ping.ts";

export class PingAll {
  private readonly hosts: { ns: Namespace; address: number }[] = [];
  private readonly rows: string[] = [];
  private sent = 0;
  private received = 0;

  constructor(
    nodes: readonly Namespace[],
    private readonly print: (text: string) => void,
    private readonly done: () => void,
  ) {
    for (const ns of nodes) {
      const dev = ns.interfaces.find((d) => d.kind !== "loopback" && ns.fib.addresses(d).length > 0);
      if (dev !== undefined) this.hosts.push({ ns, address: ns.fib.addresses(dev)[0]!.local });
    }
    print("*** Ping: testing ping reachability");
    this.next(0, 0, "");
  }

  private next(i: number, j: number, row: string): void {
    const { hosts } = this;
    if (i === hosts.length) {
      const lost = this.sent === 0 ? 0 : Math.floor(((this.sent - this.received) * 100) / this.sent);
      this.print(`*** Results: ${lost}% dropped (${this.received}/${this.sent} received)`);
      return this.done();
    }
    if (i === j) return this.next(i, j + 1, row);
    if (j >= hosts.length) {
      this.rows.push(row);
      this.print(`${hosts[i]!.ns.name} -> ${row.trim()}`);
      return this.next(i + 1, 0, "");
    }
    void new Ping(hosts[i]!.ns, {
      to: hosts[j]!.address,
      count: 1,
      patience: SECOND,
      quiet: true,
      print: () => {},
      done: (p) => {
        this.sent++;
        this.received += p.received;
        this.next(i, j + 1, `${row} ${p.received > 0 ? hosts[j]!.ns.name : "X"}`);
      },
    });
  }
}
