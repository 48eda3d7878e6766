// src/service/program.ts: what a program is that runs on a host.
//
// A program is called back by events of the clock alone: it waits for nothing, takes no virtual time of its own, and has no
// other source of time and chance than its host's world.

import { Drop } from "../../assembly/drop.ts";
import type { Namespace } from "../host/namespace.ts";
import type { World } from "../link/world.ts";
import { NamespaceParts } from "../socket/host.ts";
import type { Stack } from "../transport/tcp/endpoint.ts";
import type { Udp } from "../transport/udp.ts";

/** What a program has of its host. `Host` (src/socket/host.ts) has it too, and Node's modules besides. */
export interface ProgramHost {
  readonly name: string;
  readonly world: World;
  readonly tcp: Stack;
  readonly udp: Udp;
  /** Whether the host takes packets for this address. */
  isLocal(address: number): boolean;
}

/** A program that wants more of its host than `ProgramHost` names it as `H`. */
export interface Program<H extends ProgramHost = ProgramHost> {
  /** What it is, for people: `named`, `resolver`. */
  readonly name: string;
  /** Opens its sockets. Throws `SocketError` where a port is taken or an address is not the host's. */
  start(host: H): void;
  /** Closes them, and forgets whoever waited. It may be started again. */
  stop(): void;
}

const hosts = new WeakMap<Namespace, ProgramHost>();

/** The host that a namespace is, for programs that need nothing of Node's; always the same. */
export function programHost(ns: Namespace): ProgramHost {
  let host = hosts.get(ns);
  if (host === undefined) hosts.set(ns, (host = new NamespaceParts(ns)));
  return host;
}

/** A line of a program's log, as an event of the trace. `line` is asked for its text only when somebody listens. */
export function log(host: ProgramHost, program: string, line: () => string): void {
  const { tracer, clock } = host.world;
  if (tracer === null) return;
  tracer({
    time: clock.now,
    node: host.name,
    iface: "",
    kind: "program",
    text: `${program}: ${line()}`,
    drop: Drop.None,
    frame: 0,
  });
}
