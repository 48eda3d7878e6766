// src/socket/host.ts: what a program on a host has of the network: `net`, `dgram`, `dns`.

import type { World } from "../link/world.ts";
import type { Stack } from "../transport/tcp/endpoint.ts";
import { Dns } from "./dns.ts";
import { loopOf } from "./loop.ts";
import { makeNet, type Net } from "./net.ts";
import type { Platform } from "./platform.ts";
import type { SocketHost } from "./socket.ts";

/** Where a host's sockets live: `Namespace`, or less in a test. */
export interface HostParts {
  readonly name: string;
  readonly world: World;
  readonly tcp: Stack;
  isLocal(address: number): boolean;
}

/** A host as programs see it. */
export class Host implements SocketHost {
  readonly name: string;
  readonly world: World;
  readonly clock;
  readonly loop;
  readonly tcp: Stack;
  readonly dns: Dns;
  /** Sockets and servers that are open: what a program forgot to close. */
  handles = 0;
  readonly isLocal: (address: number) => boolean;
  private madeNet: Net | null = null;

  constructor(
    readonly platform: Platform,
    parts: HostParts,
  ) {
    this.name = parts.name;
    this.world = parts.world;
    this.clock = parts.world.clock;
    this.loop = loopOf(parts.world);
    this.tcp = parts.tcp;
    this.isLocal = (address) => parts.isLocal(address);
    this.dns = new Dns(platform, parts.name);
  }

  /** The class of this host's sockets. */
  get Socket() {
    return this.net.Socket;
  }

  get lookup() {
    return this.dns.lookup;
  }

  /** Node's `net`; made when it is first asked for, so that hosts without programs cost nothing. */
  get net(): Net {
    return (this.madeNet ??= makeNet(this));
  }
}
