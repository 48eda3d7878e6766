// src/transport/tcp/ports.ts: which local ports are taken, and by whom (inet_csk_get_port, inet_hash_connect).

import type { Rng } from "../../link/rng.ts";

/** A local port that somebody holds. A listener's connections hold it as well. */
export class Bound {
  /** Whoever holds it: a socket, a listener, its connections. */
  holders = 1;
  listening = false;

  constructor(
    private readonly ports: Ports,
    /** 0: every address. */
    readonly address: number,
    readonly port: number,
    readonly reuseAddress: boolean,
    readonly reusePort: boolean,
    /** Taken by connect(2): only whole connections must differ. */
    readonly anonymous: boolean,
  ) {}

  hold(): this {
    this.holders++;
    return this;
  }

  release(): void {
    if (--this.holders === 0) this.ports.remove(this);
  }
}

export class Ports {
  private readonly byPort = new Map<number, Bound[]>();
  /** Where the search for the next free port begins. */
  private next = -1;

  constructor(
    private readonly rng: Rng,
    /** net.ipv4.ip_local_port_range */
    private readonly range: () => readonly [number, number],
  ) {}

  /** bind(2): null when the port is taken. Port 0: any free one of the range. */
  bind(address: number, port: number, reuseAddress: boolean, reusePort: boolean): Bound | null {
    if (port !== 0) {
      if (this.conflicts(address, port, reuseAddress, reusePort)) return null;
      return this.add(new Bound(this, address, port, reuseAddress, reusePort, false));
    }
    return this.search((p) =>
      this.byPort.has(p) ? null : this.add(new Bound(this, address, p, reuseAddress, reusePort, false)),
    );
  }

  /** listen(2) on a bound port: null when another listens there. */
  mayListen(bound: Bound): boolean {
    for (const b of this.byPort.get(bound.port) ?? []) {
      if (b === bound || !b.listening || !overlap(b.address, bound.address)) continue;
      if (!(b.reusePort && bound.reusePort)) return false;
    }
    return true;
  }

  /** A port for connect(2), such that `isFree`; null when there is none. */
  ephemeral(isFree: (port: number) => boolean): Bound | null {
    return this.search((port) => {
      const list = this.byPort.get(port);
      if (list === undefined) return this.add(new Bound(this, 0, port, true, false, true));
      if (list.length !== 1 || !list[0]!.anonymous || !isFree(port)) return null;
      return list[0]!.hold();
    });
  }

  remove(bound: Bound): void {
    const list = this.byPort.get(bound.port);
    if (list === undefined) return;
    const i = list.indexOf(bound);
    if (i >= 0) list.splice(i, 1);
    if (list.length === 0) this.byPort.delete(bound.port);
  }

  /** Whether anybody has the port; address 0 asks for any. */
  has(address: number, port: number): boolean {
    return (this.byPort.get(port) ?? []).some((b) => overlap(b.address, address));
  }

  get size(): number {
    return this.byPort.size;
  }

  private add(bound: Bound): Bound {
    const list = this.byPort.get(bound.port);
    if (list === undefined) this.byPort.set(bound.port, [bound]);
    else list.push(bound);
    return bound;
  }

  /** inet_csk_bind_conflict */
  private conflicts(address: number, port: number, reuseAddress: boolean, reusePort: boolean): boolean {
    for (const b of this.byPort.get(port) ?? []) {
      if (!overlap(b.address, address)) continue;
      if (reuseAddress && b.reuseAddress && !b.listening) continue;
      if (reusePort && b.reusePort) continue;
      return true;
    }
    return false;
  }

  /** Every second port of the range, from one that the seed chose on, then the others. */
  private search(take: (port: number) => Bound | null): Bound | null {
    const [low, high] = this.range();
    const count = high - low + 1;
    if (this.next < 0) this.next = this.rng.below(count) & ~1;
    for (let parity = 0; parity < 2; parity++) {
      for (let i = parity; i < count + (count & 1); i += 2) {
        const port = low + ((this.next + i) % count);
        const bound = take(port);
        if (bound === null) continue;
        if (parity === 0) this.next = ((this.next + i + 2) % count) & ~1;
        return bound;
      }
    }
    return null;
  }
}

function overlap(a: number, b: number): boolean {
  return a === 0 || b === 0 || a === b;
}
