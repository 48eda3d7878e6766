// src/docker/transports.ts: a namespace's TCP and UDP, made when first asked for.

import type { Namespace } from "../host/namespace.ts";
import { Tcp } from "../transport/tcp/tcp.ts";
import { Udp } from "../transport/udp.ts";

export function tcpOf(ns: Namespace): Tcp {
  const { tcp } = ns.transports;
  if (tcp instanceof Tcp) return tcp;
  const made = new Tcp(ns);
  ns.transports.tcp = made;
  return made;
}

export function udpOf(ns: Namespace): Udp {
  const { udp } = ns.transports;
  return udp instanceof Udp ? udp : new Udp(ns);
}
