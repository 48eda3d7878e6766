// src/docker/network.ts: a bridge network of the engine: a bridge on the host, its subnet, who is on it.

import { bridgeOption, bridgePortOption } from "../host/bridgecommand.ts";
import { formatMac, type Prefix } from "../core/address.ts";
import type { Bridge } from "../device/bridge.ts";
import type { Namespace } from "../host/namespace.ts";
import type { Interface } from "../link/interface.ts";
import { connect } from "../link/wire.ts";
import type { Container } from "./container.ts";
import type { Engine } from "./engine.ts";
import { DockerError } from "./error.ts";
import type { NetworkRules } from "./firewall.ts";
import { idOf, macOfAddress, randomMac, vethName } from "./ids.ts";
import { AddressPool } from "./ipam.ts";

/** `docker network create`. */
export interface NetworkOptions {
  readonly subnet?: Prefix;
  readonly gateway?: number;
  readonly ipRange?: Prefix;
  /** Addresses of the subnet that nobody gets (`--aux-address`). */
  readonly auxAddresses?: readonly number[];
  readonly internal?: boolean;
  /** com.docker.network.bridge.enable_icc */
  readonly icc?: boolean;
  /** com.docker.network.bridge.enable_ip_masquerade */
  readonly masquerade?: boolean;
  /** com.docker.network.bridge.name; default `br-` and twelve digits of the identifier. */
  readonly device?: string;
  /** com.docker.network.driver.mtu */
  readonly mtu?: number;
  /** com.docker.network.bridge.host_binding_ipv4: where ports are published that name no address. */
  readonly hostAddress?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** `docker network connect`. */
export interface EndpointOptions {
  /** Names on this network beside the container's own. */
  readonly aliases?: readonly string[];
  readonly address?: number;
  readonly mac?: Uint8Array;
  /** The default route goes by the network with the highest (`gw-priority`). */
  readonly gatewayPriority?: number;
}

/** A container's place on a network, while it runs. */
export interface Endpoint {
  readonly network: Network;
  readonly options: EndpointOptions;
  readonly id: string;
  readonly address: number;
  readonly mac: Uint8Array;
  /** The host's end of the veth pair: a port of the bridge. */
  readonly veth: Interface;
  /** The container's end: `eth0` ... */
  readonly device: Interface;
  /** What other containers of the network may call it, in lower case. */
  readonly names: ReadonlySet<string>;
}

const DEVICE_NAME_LENGTH = 15;
/** com.docker.network.advertise_addr_nmsgs and advertise_addr_ms */
const ANNOUNCEMENTS = 3;
const ANNOUNCE_EVERY = 1_000_000_000;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export class Network implements NetworkRules {
  readonly id: string;
  readonly device: string;
  readonly subnet: Prefix;
  readonly gateway: number;
  readonly internal: boolean;
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly mtu: number;
  readonly bridge: Bridge;
  readonly pool: AddressPool;
  /** Running containers. */
  readonly endpoints = new Map<Container, Endpoint>();
  /** Addresses by name. */
  readonly named = new Map<string, number[]>();
  readonly byAddress = new Map<number, Container>();
  /** The hardware address that each address had last. */
  private readonly seen = new Map<number, string>();

  constructor(
    readonly engine: Engine,
    readonly name: string,
    readonly options: NetworkOptions,
    generation: number,
  ) {
    if (!NAME.test(name)) throw new DockerError(`invalid network name '${name}'`);
    const { host, space } = engine;
    this.id = idOf("network", host.name, name, generation);
    this.device = options.device ?? `br-${this.id.slice(0, 12)}`;
    if (this.device.length > DEVICE_NAME_LENGTH || !NAME.test(this.device)) {
      throw new DockerError(`invalid bridge name '${this.device}', expected up to 15 letters and digits`);
    }
    if (host.byName.has(this.device)) throw new DockerError(`the host has a device '${this.device}' already`);
    this.internal = options.internal ?? false;
    this.icc = options.icc ?? true;
    this.masquerade = options.masquerade ?? true;
    this.mtu = options.mtu ?? 1500;
    this.subnet = options.subnet === undefined ? space.allocate(engine.reserved()) : space.take(options.subnet);
    try {
      this.pool = new AddressPool(this.subnet, options.ipRange ?? null);
      for (const a of options.auxAddresses ?? []) this.pool.take(a);
      this.gateway = options.gateway === undefined ? this.pool.allocate() : this.pool.take(options.gateway);
    } catch (e) {
      space.release(this.subnet);
      throw e;
    }
    const mac =
      engine.macs === "address" ? macOfAddress(this.gateway) : randomMac(host.name, "bridge", name, generation);
    const dev = host.addInterface(this.device, "bridge", mac, this.mtu);
    this.bridge = host.addBridge(dev);
    host.setLink(dev, false);
    bridgeOption(host, dev, "forward_delay", "0");
    host.fib.addAddress(dev, this.gateway, this.subnet.length);
    host.setLink(dev, true);
  }

  /** The default network of the engine has no names (but links), as it always was. */
  get hasNames(): boolean {
    return this !== this.engine.defaultNetwork;
  }

  /** Gives the container a device and an address here. `device`: what it is called there. */
  attach(container: Container, device: string, options: EndpointOptions, generation: number): Endpoint {
    const { host, macs } = this.engine;
    const address = options.address === undefined ? this.pool.allocate() : this.pool.take(options.address);
    const words = [host.name, this.name, container.name, generation] as const;
    const mac = options.mac ?? (macs === "address" ? macOfAddress(address) : randomMac(...words));
    const veth = host.addInterface(vethName(...words), "veth", randomMac("veth", ...words), this.mtu);
    const inside = container.ns!.addInterface(device, "veth", mac, this.mtu);
    connect(veth, inside);
    this.bridge.addPort(veth);
    if (this.engine.hairpin) bridgePortOption(host, veth, "hairpin", "on");
    container.ns!.fib.addAddress(inside, address, this.subnet.length);
    this.engine.firewall.addEndpoint(this, address);
    const names = new Set<string>();
    for (const name of [container.name, ...(options.aliases ?? []), container.id.slice(0, 12), container.hostname]) {
      names.add(name.toLowerCase());
    }
    const id = idOf("endpoint", ...words);
    const e: Endpoint = { network: this, options, id, address, mac, veth, device: inside, names };
    this.endpoints.set(container, e);
    this.byAddress.set(address, container);
    for (const name of names) {
      const known = this.named.get(name);
      if (known === undefined) this.named.set(name, [address]);
      else known.push(address);
    }
    this.announce(e);
    return e;
  }

  /**
   * Since version 28 the engine tells the network of a container's addresses, three times a second apart. Here it does where
   * somebody may know another hardware address for one: on a network of a thousand each message goes to a thousand.
   */
  private announce(e: Endpoint): void {
    const mac = formatMac(e.mac);
    const before = this.seen.get(e.address);
    this.seen.set(e.address, mac);
    if (before === undefined || before === mac) return;
    const { clock } = this.engine.host.world;
    const tell = (left: number): void => {
      if (!e.device.up) return;
      (e.device.owner as Namespace).neighbours.announce(e.device);
      if (left > 1) clock.after(ANNOUNCE_EVERY, () => tell(left - 1));
    };
    clock.after(0, () => tell(ANNOUNCEMENTS));
  }

  detach(container: Container): void {
    const e = this.endpoints.get(container)!;
    this.endpoints.delete(container);
    this.byAddress.delete(e.address);
    for (const name of e.names) {
      const left = this.named.get(name)!.filter((a) => a !== e.address);
      if (left.length === 0) this.named.delete(name);
      else this.named.set(name, left);
    }
    this.engine.firewall.removeEndpoint(this, e.address);
    this.pool.release(e.address);
    this.engine.host.removeInterface(e.veth);
    container.ns!.removeInterface(e.device);
  }

  /** `docker network rm`; the engine calls it. */
  remove(): void {
    const { host, space } = this.engine;
    host.removeInterface(this.bridge.dev);
    space.release(this.subnet);
  }
}
