// src/docker/resolve.ts: a container's /etc/hosts and /etc/resolv.conf, for the programs in it.

import { defaultConf, type ResolvConf } from "../service/dns/resolvconf.ts";
import { Stub } from "../service/dns/stub.ts";
import { programHost } from "../service/program.ts";
import type { Host } from "../socket/host.ts";
import type { Container } from "./container.ts";

/** Its resolv.conf: with a name server of its own every name goes there as it is (`ndots:0`). */
export function resolvConf(container: Container): ResolvConf {
  const own = container.resolver !== null;
  return { ...defaultConf, nameservers: container.nameServers, ndots: own ? 0 : defaultConf.ndots };
}

/** What asks the container's name servers. */
export function stubOf(container: Container): Stub {
  return new Stub(programHost(container.ns!), resolvConf(container));
}

/** Gives `dns` of a program in the container its hosts table and its name servers. */
export function useNames(container: Container, host: Host): void {
  host.dns.hosts.clear();
  for (const [name, address] of container.hosts) {
    const key = name.toLowerCase();
    const known = host.dns.hosts.get(key);
    if (known === undefined) host.dns.hosts.set(key, [address]);
    else known.push(address);
  }
  host.dns.resolver = container.nameServers.length === 0 ? null : stubOf(container);
}
