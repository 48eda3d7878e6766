// src/docker/container.ts: a container: a network namespace while it runs, its places on networks, its published ports.

import { formatIpv4, parseIpv4 } from "../core/address.ts";
import { Namespace } from "../host/namespace.ts";
import { SocketError } from "../transport/errno.ts";
import { EmbeddedDns } from "./embeddeddns.ts";
import type { Engine } from "./engine.ts";
import { DockerError } from "./error.ts";
import type { PortRules } from "./firewall.ts";
import { idOf } from "./ids.ts";
import type { Image, Process } from "./images.ts";
import type { Endpoint, EndpointOptions, Network } from "./network.ts";
import type { PublishedPort } from "./ports.ts";
import { type Proxy, TcpProxy, UdpProxy } from "./proxy.ts";
import { tcpOf, udpOf } from "./transports.ts";

/** `docker create`. */
export interface ContainerOptions {
  /** What `docker ps` shows. */
  readonly imageName?: string;
  /** What runs in it; nothing, when there is none. */
  readonly image?: Image;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  /** Networks by name, in the order of their devices; default: the engine's default network. */
  readonly networks?: Readonly<Record<string, EndpointOptions>>;
  /** `host`: the host's own namespace; `none`: loopback alone. Both leave `networks` unused. */
  readonly mode?: "bridge" | "host" | "none";
  readonly publish?: readonly PublishedPort[];
  /** Ports that it says it listens on: shown, nothing more. */
  readonly expose?: readonly string[];
  /** `--add-host`: addresses of names; `host-gateway` is the default bridge's gateway. */
  readonly extraHosts?: readonly (readonly [name: string, address: string])[];
  /** Name servers in place of the host's. */
  readonly dns?: readonly number[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** A port of the host that leads to the container. */
export interface Binding extends PortRules {
  readonly network: Network;
  /** What stands on the host's port: docker-proxy, or the engine itself. */
  readonly holder: { close(): void };
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export class Container {
  readonly id: string;
  readonly hostname: string;
  /** Its namespace; null while it does not run. */
  ns: Namespace | null = null;
  readonly endpoints = new Map<string, Endpoint>();
  bindings: Binding[] = [];
  state: "created" | "running" | "exited" = "created";
  /** Virtual time. */
  createdAt: number;
  startedAt = 0;
  /** The name server at 127.0.0.11. */
  resolver: EmbeddedDns | null = null;
  private process: Process | null = null;
  private readonly wanted: Map<string, EndpointOptions>;
  private starts = 0;
  private devices = 0;

  constructor(
    readonly engine: Engine,
    readonly name: string,
    readonly options: ContainerOptions,
    generation: number,
  ) {
    if (!NAME.test(name)) {
      throw new DockerError(`invalid container name '${name}', only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    }
    this.id = idOf("container", engine.host.name, name, generation);
    this.hostname = options.hostname ?? (options.mode === "host" ? engine.host.name : this.id.slice(0, 12));
    this.createdAt = engine.host.world.clock.now;
    const mode = options.mode ?? "bridge";
    this.wanted = new Map(mode === "bridge" ? Object.entries(options.networks ?? { [engine.defaultName]: {} }) : []);
  }

  get running(): boolean {
    return this.state === "running";
  }

  /** The networks it is to be on. */
  get networkNames(): readonly string[] {
    return [...this.wanted.keys()];
  }

  /** The place that its default route and its published ports go by; null: it has none. */
  get gateway(): Endpoint | null {
    let best: Endpoint | null = null;
    for (const e of this.endpoints.values()) {
      if (!e.network.internal && (best === null || precedes(e, best))) best = e;
    }
    return best;
  }

  /** /etc/hosts, in order. */
  get hosts(): readonly (readonly [name: string, address: string])[] {
    const out: (readonly [string, string])[] = [["localhost", "127.0.0.1"]];
    for (const [name, address] of this.options.extraHosts ?? []) {
      out.push([name, address === "host-gateway" ? this.engine.hostGateway : address]);
    }
    for (const e of this.endpoints.values()) out.push([this.hostname, formatIpv4(e.address)]);
    return out;
  }

  /** The name servers of its /etc/resolv.conf. */
  get nameServers(): readonly number[] {
    if (this.resolver !== null) return [EmbeddedDns.address];
    return this.forwarders;
  }

  /** Name servers that know the names outside. */
  get forwarders(): readonly number[] {
    return this.options.dns ?? this.engine.nameServers;
  }

  /** `docker start`. What cannot be done leaves it as it was. */
  start(): void {
    if (this.running) return;
    const { engine } = this;
    const mode = this.options.mode ?? "bridge";
    this.starts++;
    this.devices = 0;
    this.ns = mode === "host" ? engine.host : new Namespace(this.name, engine.host.world);
    this.state = "running";
    this.startedAt = engine.host.world.clock.now;
    try {
      // sysctls of a container's namespace: net.ipv4.ip_unprivileged_port_start lets programs take low ports
      if (mode !== "host") this.ns.sysctl.set("net.ipv4.ip_unprivileged_port_start", 0);
      for (const [name, options] of this.wanted) this.join(engine.network(name), options);
      this.gatewayChanged();
      this.process = this.options.image?.start(this) ?? null;
    } catch (e) {
      this.stop();
      throw e;
    }
  }

  /** `docker stop`: its rules, addresses and devices go. */
  stop(): void {
    if (!this.running) return;
    this.process?.stop();
    this.process = null;
    this.unpublish();
    this.resolver?.close();
    this.resolver = null;
    for (const e of [...this.endpoints.values()].toReversed()) e.network.detach(this);
    this.endpoints.clear();
    this.ns = null;
    this.state = "exited";
  }

  restart(): void {
    this.stop();
    this.start();
  }

  /** `docker network connect`. */
  connect(network: Network, options: EndpointOptions = {}): void {
    if ((this.options.mode ?? "bridge") !== "bridge") {
      throw new DockerError(`container sharing network namespace with another container or host cannot be connected`);
    }
    if (this.wanted.has(network.name)) {
      throw new DockerError(`endpoint with name ${this.name} already exists in network ${network.name}`);
    }
    if (this.running) {
      this.join(network, options);
      this.gatewayChanged();
    }
    this.wanted.set(network.name, options);
  }

  /** `docker network disconnect`. */
  disconnect(network: Network): void {
    if (!this.wanted.delete(network.name)) {
      throw new DockerError(`container ${this.name} is not connected to network ${network.name}`);
    }
    if (!this.endpoints.has(network.name)) return;
    if (this.bindings.some((b) => b.network === network)) this.unpublish();
    network.detach(this);
    this.endpoints.delete(network.name);
    this.gatewayChanged();
  }

  private join(network: Network, options: EndpointOptions): void {
    const generation = this.starts * 1000 + this.devices;
    this.endpoints.set(network.name, network.attach(this, `eth${this.devices++}`, options, generation));
    if (network.hasNames && this.resolver === null) this.resolver = new EmbeddedDns(this);
  }

  /** The default route and the published ports follow the place that is the gateway's. */
  private gatewayChanged(): void {
    const { fib } = this.ns!;
    const place = this.gateway;
    if (this.bindings.length > 0 && this.bindings[0]!.network !== place?.network) this.unpublish();
    if (this.options.mode === "host") return;
    for (const line of fib.listRoutes()) if (line.startsWith("default ")) fib.command(`route del ${line}`);
    if (place === null) return;
    fib.command(`route add default via ${formatIpv4(place.network.gateway)} dev ${place.device.name}`);
    if (this.bindings.length === 0) this.publish(place);
  }

  private publish(place: Endpoint): void {
    const { engine } = this;
    try {
      for (const wanted of this.options.publish ?? []) {
        const hostAddress = wanted.hostAddress === 0 ? (place.network.options.hostAddress ?? 0) : wanted.hostAddress;
        const p = { ...wanted, hostAddress };
        let holder: { close(): void } | null = null;
        const hostPort = engine.ports.take(p, (port) => {
          holder = this.hold(p, port, place);
          return holder !== null;
        });
        const rule: Binding = {
          protocol: p.protocol,
          hostAddress,
          hostPort,
          address: place.address,
          port: p.containerPort,
          network: place.network,
          holder: holder!,
        };
        this.bindings.push(rule);
        engine.firewall.addPort(place.network, rule);
      }
    } catch (e) {
      this.unpublish();
      throw e;
    }
  }

  /** Stands on the host's port, with the userland proxy or without; null: somebody else does. */
  private hold(p: PublishedPort, port: number, place: Endpoint): { close(): void } | null {
    const { engine } = this;
    const { host } = engine;
    try {
      if (!engine.hairpin) {
        const made: Proxy =
          p.protocol === "tcp"
            ? new TcpProxy(host, p.hostAddress, port, place.address, p.containerPort)
            : new UdpProxy(host, p.hostAddress, port, place.address, p.containerPort);
        return made;
      }
      if (p.protocol === "tcp") {
        const bound = tcpOf(host).bind(p.hostAddress, port, true);
        return { close: () => bound.release() };
      }
      const socket = udpOf(host).open();
      socket.bind(p.hostAddress, port);
      return socket;
    } catch (e) {
      if (e instanceof SocketError) return null;
      throw e;
    }
  }

  private unpublish(): void {
    for (const b of this.bindings.toReversed()) {
      this.engine.firewall.removePort(b.network, b);
      b.holder.close();
      this.engine.ports.release(b.protocol, b.hostAddress, b.hostPort);
    }
    this.bindings = [];
  }
}

/** Whether a network is preferred as the gateway: by priority, then by name. */
function precedes(a: Endpoint, b: Endpoint): boolean {
  const [pa, pb] = [a.options.gatewayPriority ?? 0, b.options.gatewayPriority ?? 0];
  return pa !== pb ? pa > pb : a.network.name < b.network.name;
}

/** An address that must be one. @throws DockerError */
export function addressOf(text: string): number {
  const a = parseIpv4(text);
  if (a === null) throw new DockerError(`'${text}' is no IPv4 address`);
  return a;
}
