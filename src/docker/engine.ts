// src/docker/engine.ts: dockerd on a host: its networks, containers and rules. It follows Docker Engine 29 with the iptables
// backend and IPv4; where 29 differs from what came before, the comment says how.

import { formatIpv4, type Prefix, parsePrefix } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import { portRange } from "../transport/ports.ts";
import { Container, type ContainerOptions } from "./container.ts";
import { DockerError } from "./error.ts";
import { Firewall } from "./firewall.ts";
import { type AddressRange, AddressSpace } from "./ipam.ts";
import { Network, type NetworkOptions } from "./network.ts";
import { HostPorts } from "./ports.ts";

/** daemon.json. */
export interface EngineOptions {
  /** Default true: docker-proxy stands on published ports. Without it the host's own packets are translated too. */
  readonly userlandProxy?: boolean;
  /** `random` as since version 28 (made of names here), `address` as before: 02:42 and the address. Default random. */
  readonly macs?: "random" | "address";
  /** The default network: `bip`, `icc`, `mtu` ...; null: there is none (`"bridge": "none"`). */
  readonly defaultBridge?: Omit<NetworkOptions, "device" | "internal"> | null;
  /** default-address-pools */
  readonly ranges?: readonly AddressRange[];
  /** The host's resolv.conf: who knows the names that no container has. */
  readonly nameServers?: readonly number[];
}

const DEFAULT_NETWORK = "bridge";

export class Engine {
  readonly networks = new Map<string, Network>();
  readonly containers = new Map<string, Container>();
  readonly space: AddressSpace;
  readonly firewall: Firewall;
  readonly ports: HostPorts;
  readonly macs: "random" | "address";
  /** There is no userland proxy. */
  readonly hairpin: boolean;
  readonly nameServers: readonly number[];
  readonly defaultName = DEFAULT_NETWORK;
  readonly defaultNetwork: Network | null;
  private readonly generations = new Map<string, number>();

  constructor(
    readonly host: Namespace,
    options: EngineOptions = {},
  ) {
    this.hairpin = options.userlandProxy === false;
    this.macs = options.macs ?? "random";
    this.nameServers = options.nameServers ?? [];
    this.space = new AddressSpace(options.ranges);
    this.ports = new HostPorts(() => {
      const [first, count] = portRange(host.sysctl);
      return { first, last: first + count - 1 };
    });
    // the module br_netfilter is there once a network needs it
    host.sysctl.set("net.bridge.bridge-nf-call-iptables", 0);
    this.firewall = new Firewall(host, this.hairpin);
    this.defaultNetwork =
      options.defaultBridge === null
        ? null
        : this.createNetwork(DEFAULT_NETWORK, { ...options.defaultBridge, device: "docker0" });
  }

  /** `docker network create` with the bridge driver. */
  createNetwork(name: string, options: NetworkOptions = {}): Network {
    if (this.networks.has(name)) throw new DockerError(`network with name ${name} already exists`);
    if (name === "host" || name === "none")
      throw new DockerError(`operation is not permitted on predefined ${name} network`);
    const { sysctl } = this.host;
    const network = new Network(this, name, options, this.generation(`network ${name}`));
    this.networks.set(name, network);
    // setupIPForwarding: who switches forwarding on does not open the host for everybody
    if (sysctl.get("net.ipv4.ip_forward") === 0) {
      sysctl.set("net.ipv4.ip_forward", 1);
      this.firewall.dropForwarded();
    }
    if (this.hairpin) sysctl.set(`net.ipv4.conf.${network.device}.route_localnet`, 1);
    // setupBridgeNetFiltering: bridged packets must meet the rules that part containers, and translations on their way back
    if (this.hairpin || !network.icc) sysctl.set("net.bridge.bridge-nf-call-iptables", 1);
    this.firewall.addNetwork(network);
    return network;
  }

  /** `docker network rm` */
  removeNetwork(name: string): void {
    const network = this.network(name);
    if (network === this.defaultNetwork) {
      throw new DockerError(`${name} is a pre-defined network and cannot be removed`);
    }
    if (network.endpoints.size > 0) {
      const [container, e] = [...network.endpoints][0]!;
      throw new DockerError(
        `error while removing network: network ${name} has active endpoints (name:"${container.name}" id:"${e.id.slice(0, 12)}")`,
      );
    }
    this.firewall.removeNetwork(network);
    network.remove();
    this.networks.delete(name);
  }

  network(name: string): Network {
    const found = this.networks.get(name);
    if (found === undefined) throw new DockerError(`network ${name} not found`);
    return found;
  }

  /** `docker create` */
  createContainer(name: string, options: ContainerOptions = {}): Container {
    if (this.containers.has(name)) {
      const id = this.containers.get(name)!.id.slice(0, 12);
      throw new DockerError(`Conflict. The container name "/${name}" is already in use by container "${id}"`);
    }
    const made = new Container(this, name, options, this.generation(`container ${name}`));
    for (const network of made.networkNames) this.network(network);
    this.containers.set(name, made);
    return made;
  }

  /** `docker run -d` */
  run(name: string, options: ContainerOptions = {}): Container {
    const container = this.createContainer(name, options);
    try {
      container.start();
    } catch (e) {
      this.containers.delete(name);
      throw e;
    }
    return container;
  }

  /** By its name, or by the beginning of its identifier. */
  container(name: string): Container {
    const found = this.containers.get(name);
    if (found !== undefined) return found;
    const by = name.length < 3 ? [] : [...this.containers.values()].filter((c) => c.id.startsWith(name));
    if (by.length !== 1) throw new DockerError(`No such container: ${name}`);
    return by[0]!;
  }

  /** `docker rm -f` */
  removeContainer(name: string): void {
    const container = this.container(name);
    container.stop();
    this.containers.delete(container.name);
  }

  /** What `host-gateway` is: the address of the host on the default network. */
  get hostGateway(): string {
    const network = this.defaultNetwork;
    if (network === null) throw new DockerError("unable to derive the IP value for host-gateway");
    return formatIpv4(network.gateway);
  }

  /** Where the host itself goes: subnets of new networks must not overlap it. */
  reserved(): Prefix[] {
    const out: Prefix[] = this.nameServers.map((address) => ({ address, length: 32 }));
    for (const line of this.host.fib.listRoutes()) {
      const word = line.split(" ", 1)[0]!;
      const prefix = parsePrefix(word);
      if (prefix !== null) out.push(prefix);
    }
    return out;
  }

  /** How often the name was given before. */
  private generation(key: string): number {
    const n = this.generations.get(key) ?? 0;
    this.generations.set(key, n + 1);
    return n;
  }
}
