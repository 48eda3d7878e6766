// src/host/sockets.ts: which ports are open on a host.

import type { Sysctl } from "./sysctl.ts";

/** An open port. What arrives is counted here until a transport takes it. */
export interface Socket {
  readonly proto: number;
  /** 0: any of the host's addresses. */
  readonly address: number;
  readonly port: number;
  /** IP_PMTUDISC_WANT: what it sends carries DF; settled by net.ipv4.ip_no_pmtu_disc as it opens (inet_create). */
  readonly dontFragment: boolean;
  received: number;
}

export class Sockets {
  private readonly byPort = new Map<number, Socket[]>();

  constructor(private readonly sysctl: Sysctl) {}

  /** What a socket that opens now does about DF. */
  get dontFragment(): boolean {
    return this.sysctl.get("net.ipv4.ip_no_pmtu_disc") === 0;
  }

  /** Opens a port; one that is open already stays as it is. */
  open(proto: number, address: number, port: number): Socket {
    const key = proto * 65536 + port;
    let list = this.byPort.get(key);
    if (list === undefined) this.byPort.set(key, (list = []));
    for (let i = 0; i < list.length; i++) if (list[i]!.address === address) return list[i]!;
    const socket = { proto, address, port, dontFragment: this.dontFragment, received: 0 };
    list.push(socket);
    return socket;
  }

  /** The socket that a datagram or segment to this address and port belongs to: the exact address first. Counts it. */
  find(proto: number, address: number, port: number): Socket | null {
    const list = this.byPort.get(proto * 65536 + port);
    if (list === undefined) return null;
    let found: Socket | null = null;
    for (let i = 0; i < list.length; i++) {
      const s = list[i]!;
      if (s.address === address) {
        found = s;
        break;
      }
      if (s.address === 0) found = s;
    }
    if (found !== null) found.received++;
    return found;
  }

  /** Whether a socket is open there; counts nothing. */
  has(proto: number, address: number, port: number): boolean {
    const list = this.byPort.get(proto * 65536 + port);
    return list !== undefined && list.some((s) => s.address === 0 || s.address === address);
  }

  *[Symbol.iterator](): Iterator<Socket> {
    for (const list of this.byPort.values()) yield* list;
  }
}
