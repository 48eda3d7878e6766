// src/node/programs.ts: Node's own http over an emulated host's sockets.

import { Agent, type AgentOptions } from "node:http";
import type { Server as NetServer, Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import type { Host } from "../socket/host.ts";

/** An `http.Agent` whose connections this host makes: `http.get("http://server/", { agent })`. */
export function hostAgent(host: Host, options: AgentOptions = {}): Agent {
  const agent = new Agent(options);
  const make = (where: { host?: string | null; port?: number | string | null }): NetSocket => {
    const socket = host.net.connect({ ...where, path: undefined } as never) as unknown as NetSocket;
    // http sets the first delay itself only when it gives a socket back to the agent
    if (options.keepAlive === true) socket.setKeepAlive(true, options.keepAliveMsecs ?? 1000);
    return socket;
  };
  return Object.assign(agent, { createConnection: make });
}

/** What takes connections: an http.Server, an http2 or TLS server, any emitter of `connection`. */
export interface TakesConnections {
  emit(event: "connection", socket: Duplex): boolean;
}

/** Listens on the host's port for a server that was made without a network (`http.createServer()`). */
export function listenOn(host: Host, port: number, server: TakesConnections, address?: string): NetServer {
  const listener = host.net.createServer((socket: unknown) => server.emit("connection", socket as Duplex));
  listener.listen(port, address);
  return listener as unknown as NetServer;
}
