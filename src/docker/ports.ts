// src/docker/ports.ts: what `-p` says, and which ports of the host are taken.

import { formatIpv4, parseIpv4 } from "../core/address.ts";
import { TextError } from "../host/text.ts";
import { DockerError } from "./error.ts";

export type Protocol = "tcp" | "udp";

/** One port of a container that is to be published. */
export interface PublishedPort {
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** 0: any of the host's addresses. */
  readonly hostAddress: number;
  /** The first that is free from here to there; null: one of the ephemeral ports. */
  readonly hostPorts: { readonly first: number; readonly last: number } | null;
}

/** Sizes of a range that somebody means. */
const MOST_PORTS = 65536;

/** `80`, `8080:80`, `8000-8010:80`, `3000-3005:3000-3005/udp`, `127.0.0.1:8080:80`, `127.0.0.1::80`. @throws TextError */
export function parsePublish(text: string): PublishedPort[] {
  const slash = text.indexOf("/");
  const protocol = slash < 0 ? "tcp" : text.slice(slash + 1).toLowerCase();
  if (protocol !== "tcp" && protocol !== "udp") {
    throw new TextError(1, slash + 2, `protocol '${text.slice(slash + 1)}', expected tcp or udp`);
  }
  const body = slash < 0 ? text : text.slice(0, slash);
  if (body.startsWith("[")) throw new TextError(1, 1, `'${text}': IPv6 addresses are not emulated`);
  const parts = body.split(":");
  if (parts.length > 3) {
    throw new TextError(1, 1, `'${text}' is no port, expected CONTAINER, HOST:CONTAINER or ADDRESS:HOST:CONTAINER`);
  }
  const container = parseRange(parts.at(-1)!, body.length - parts.at(-1)!.length + 1, text);
  const hostText = parts.length > 1 ? parts.at(-2)! : "";
  let hostAddress = 0;
  if (parts.length === 3) {
    const a = parseIpv4(parts[0]!);
    if (a === null) throw new TextError(1, 1, `'${parts[0]}' is no IPv4 address`);
    hostAddress = a;
  }
  const host = hostText === "" ? null : parseRange(hostText, parts.length === 3 ? parts[0]!.length + 2 : 1, text);
  const count = container.last - container.first + 1;
  if (host !== null && count > 1 && host.last - host.first + 1 !== count) {
    throw new TextError(1, 1, `'${text}': the ranges differ in length`);
  }
  return Array.from({ length: count }, (_, i) => ({
    protocol,
    containerPort: container.first + i,
    hostAddress,
    hostPorts: host === null ? null : count === 1 ? host : { first: host.first + i, last: host.first + i },
  }));
}

/** `80` or `80-90`. */
export function parseRange(text: string, column: number, whole: string): { first: number; last: number } {
  const m = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = m === null ? 0 : Number(m[1]);
  const last = m === null ? 0 : Number(m[2] ?? m[1]);
  if (m === null || first < 1 || last >= MOST_PORTS || last < first) {
    throw new TextError(1, column, `'${text}' in '${whole}' is no port or range of ports, expected 1 to 65535`);
  }
  return { first, last };
}

/** The ports of the host that containers have. */
export class HostPorts {
  private readonly taken = new Map<string, number[]>();
  private next = 0;

  /** `ephemeral`: net.ipv4.ip_local_port_range. `tryBind` asks the host's sockets. */
  constructor(private readonly ephemeral: () => { first: number; last: number }) {}

  /** The port that it gets. @throws DockerError */
  take(p: PublishedPort, isFree: (port: number) => boolean): number {
    const { hostAddress: address, protocol } = p;
    const key = (port: number): string => `${protocol}/${port}`;
    const open = (port: number): boolean => {
      const at = this.taken.get(key(port));
      return at === undefined || !at.some((a) => a === 0 || address === 0 || a === address);
    };
    const give = (port: number): number => {
      const at = this.taken.get(key(port));
      if (at === undefined) this.taken.set(key(port), [address]);
      else at.push(address);
      return port;
    };
    const where = formatIpv4(address);
    if (p.hostPorts !== null) {
      const { first, last } = p.hostPorts;
      for (let port = first; port <= last; port++) if (open(port) && isFree(port)) return give(port);
      if (first !== last) throw new DockerError("all ports are allocated");
      if (!open(first)) throw new DockerError(`Bind for ${where}:${first} failed: port is already allocated`);
      throw new DockerError(`failed to bind host port ${where}:${first}/${protocol}: address already in use`);
    }
    const { first, last } = this.ephemeral();
    for (let n = last - first + 1; n > 0; n--) {
      if (this.next < first || this.next > last) this.next = first;
      const port = this.next++;
      if (open(port) && isFree(port)) return give(port);
    }
    throw new DockerError("all ports are allocated");
  }

  release(protocol: Protocol, address: number, port: number): void {
    const at = this.taken.get(`${protocol}/${port}`);
    if (at === undefined) return;
    at.splice(at.indexOf(address), 1);
    if (at.length === 0) this.taken.delete(`${protocol}/${port}`);
  }
}
