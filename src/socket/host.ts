// src/socket/host.ts: what a program on a host has of the network: `net`, `dgram`, `dns`.

import { RouteType } from "../host/fib/route.ts";
import type { Namespace } from "../host/namespace.ts";
import type { World } from "../link/world.ts";
import type { BindingStack, Killable } from "./handle.ts";
import { Tcp } from "../transport/tcp/tcp.ts";
import { Udp } from "../transport/udp.ts";
import { type Dgram, type DgramHost, makeDgram } from "./dgram.ts";
import { Dns, type Names } from "./dns.ts";
import { loopOf } from "./loop.ts";
import { makeNet, type Net } from "./net.ts";
import type { Platform } from "./platform.ts";
import type { SocketHost } from "./socket.ts";

/** Where a host's sockets live: a namespace's, or less in a test. */
export interface HostParts {
  readonly name: string;
  readonly world: World;
  readonly tcp: BindingStack;
  readonly udp: Udp;
  isLocal(address: number): boolean;
}

/** A host as programs see it. */
export class Host implements SocketHost, DgramHost {
  readonly name: string;
  readonly world: World;
  readonly clock;
  readonly loop;
  readonly dns: Dns;
  /** Sockets and servers that are open: what a program forgot to close. */
  readonly open = new Set<Killable>();
  readonly isLocal: (address: number) => boolean;
  /** Hears the secrets of its programs' TLS connections, as lines of a key log (NSS), so that a capture can be read. */
  keyLog: ((line: Uint8Array) => void) | null = null;
  private madeNet: Net | null = null;
  private madeDgram: Dgram | null = null;

  constructor(
    readonly platform: Platform,
    private readonly parts: HostParts,
  ) {
    this.name = parts.name;
    this.world = parts.world;
    this.clock = parts.world.clock;
    this.loop = loopOf(parts.world);
    this.isLocal = (address) => parts.isLocal(address);
    this.dns = new Dns(platform, parts.name);
  }

  /** The class of this host's sockets. */
  get Socket() {
    return this.net.Socket;
  }

  /** How many are open. */
  get handles(): number {
    return this.open.size;
  }

  /** Runs a program on this host: in Node its `net`, `http`, `fetch` ... are the host's (src/node/program.ts). */
  run<T>(program: () => T): T {
    const { enter } = this.platform;
    return enter === undefined ? program() : enter(this, program);
  }

  /**
   * What a kernel does when the host's processes end: connections are closed, those with unread bytes reset, ports are
   * free again. The programs' objects hear nothing of it, as a process that is gone hears nothing.
   */
  kill(): void {
    for (const handle of this.open) handle.kill();
    this.open.clear();
  }

  get lookup() {
    return this.dns.lookup;
  }

  /** Node's `net`; made when it is first asked for, so that hosts without programs cost nothing. */
  get net(): Net {
    return (this.madeNet ??= makeNet(this));
  }

  /** Node's `dgram`. */
  get dgram(): Dgram {
    return (this.madeDgram ??= makeDgram(this));
  }

  get tcp(): BindingStack {
    return this.parts.tcp;
  }

  get udp(): Udp {
    return this.parts.udp;
  }
}

const hosts = new WeakMap<Namespace, Host>();
const namesOf = new WeakMap<Namespace, Names>();

/** The host that a namespace is; always the same. Its transports are made when a program first asks for one. */
export function hostOf(ns: Namespace, platform: Platform): Host {
  let host = hosts.get(ns);
  if (host === undefined) {
    hosts.set(ns, (host = new Host(platform, new NamespaceParts(ns))));
    const names = namesOf.get(ns);
    if (names !== undefined) host.dns.use(names);
  }
  return host;
}

/** Where the programs of a namespace find names, also of a host that is made later. */
export function setNames(ns: Namespace, names: Names): void {
  namesOf.set(ns, names);
  hosts.get(ns)?.dns.use(names);
}

/** A namespace as the place where sockets live: its transports are made when they are first asked for. */
export class NamespaceParts implements HostParts {
  readonly name: string;
  readonly world: World;

  constructor(private readonly ns: Namespace) {
    this.name = ns.name;
    this.world = ns.world;
  }

  get tcp(): BindingStack {
    const { tcp } = this.ns.transports;
    if (tcp instanceof Tcp) return tcp;
    const made = new Tcp(this.ns);
    this.ns.transports.tcp = made;
    return made;
  }

  get udp(): Udp {
    const { udp } = this.ns.transports;
    return udp instanceof Udp ? udp : new Udp(this.ns);
  }

  isLocal(address: number): boolean {
    return this.ns.fib.addrType(address) === RouteType.Local;
  }
}
