// src/node/gateway.ts: real connections into the emulated network, and out of it to where it is allowed.
//
// Each is one connection here and one there, whose bytes, ends and resets are carried over.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { parseIpv4 } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import { type Host, hostOf } from "../socket/host.ts";
import type { Pacer } from "./pacer.ts";
import { nodePlatform } from "./platform.ts";

/** What comes to the real `address:port` leaves `node` for `to:toPort`. */
export interface Publish {
  readonly address: string;
  readonly port: number;
  readonly node: string;
  readonly to: string;
  readonly toPort: number;
}

/** What comes to the node's `port` goes to the real `host:toPort`. */
export interface Allow {
  readonly node: string;
  readonly port: number;
  readonly host: string;
  readonly toPort: number;
}

function portOf(text: string, what: string, least: number): number {
  const port = Number(text);
  if (!(port >= least && port <= 65535)) throw new Error(`${what}: port ${text}, expected ${least} to 65535`);
  return port;
}

/** `[127.0.0.1:]8080=client->198.51.100.20:8080`; without an address it is loopback, port 0 takes any that is free. */
export function parsePublish(text: string): Publish {
  const m = /^(?:(\[[^\]]+\]|[^:=]+):)?(\d+)=([^=>]+)->([^:]+):(\d+)$/.exec(text);
  if (m === null) throw new Error(`'${text}': expected [ADDRESS:]PORT=NODE->ADDRESS:PORT`);
  const to = m[4]!;
  if (parseIpv4(to) === null) throw new Error(`'${text}': '${to}' is no IPv4 address`);
  return {
    address: (m[1] ?? "127.0.0.1").replace(/^\[|\]$/g, ""),
    port: portOf(m[2]!, `'${text}'`, 0),
    node: m[3]!,
    to,
    toPort: portOf(m[5]!, `'${text}'`, 1),
  };
}

/** `NODE:PORT=HOST:PORT` */
export function parseAllow(text: string): Allow {
  const m = /^([^:=]+):(\d+)=(\[[^\]]+\]|[^:=]+):(\d+)$/.exec(text);
  if (m === null) throw new Error(`'${text}': expected NODE:PORT=HOST:PORT`);
  return {
    node: m[1]!,
    port: portOf(m[2]!, `'${text}'`, 1),
    host: m[3]!.replace(/^\[|\]$/g, ""),
    toPort: portOf(m[4]!, `'${text}'`, 1),
  };
}

/** An emulated socket: a Duplex with net.Socket's methods. */
type Emulated = Duplex & { resetAndDestroy(): unknown };

export class Gateway {
  /** Connections carried so far, and those open. */
  carried = 0;
  open = 0;
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  constructor(
    private readonly nodes: ReadonlyMap<string, Namespace>,
    private readonly pacer: Pacer,
  ) {}

  private host(name: string): Host {
    const ns = this.nodes.get(name);
    if (ns === undefined)
      throw new Error(`there is no node '${name}', expected one of ${[...this.nodes.keys()].join(", ")}`);
    return hostOf(ns, nodePlatform);
  }

  /** Listens on the real machine; answers the port. Rejects as listen(2) fails (EADDRINUSE ...). */
  publish(p: Publish): Promise<number> {
    const host = this.host(p.node);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.pacer.input(() => {
        const emulated = host.net.connect({ host: p.to, port: p.toPort, allowHalfOpen: true, noDelay: true } as never);
        this.join(socket, emulated as unknown as Emulated);
      });
    });
    return new Promise((done, fail) => {
      server.on("error", fail);
      server.listen(p.port, p.address, () => {
        this.servers.push(server);
        done((server.address() as { port: number }).port);
      });
    });
  }

  /** Lets connections to the node's port out, to this one real host. */
  allow(a: Allow): void {
    const host = this.host(a.node);
    const server = host.net.createServer({ allowHalfOpen: true, noDelay: true }, (emulated: unknown) => {
      this.join(connect({ host: a.host, port: a.toPort, allowHalfOpen: true, noDelay: true }), emulated as Emulated);
    });
    server.listen(a.port);
  }

  /** Nothing is taken any more, and what is open is reset. */
  close(): void {
    for (const s of this.servers.splice(0)) s.close();
    for (const s of this.sockets) s.resetAndDestroy();
  }

  private join(real: Socket, emulated: Emulated): void {
    const { pacer } = this;
    this.carried++;
    this.open++;
    this.sockets.add(real);
    real.on("data", (bytes: Buffer) => {
      pacer.input(() => {
        if (!emulated.write(bytes)) real.pause();
      });
    });
    emulated.on("drain", () => real.resume());
    real.on("end", () => pacer.input(() => emulated.end()));
    emulated.on("data", (bytes: Buffer) => {
      if (!real.write(bytes)) emulated.pause();
    });
    real.on("drain", () => pacer.input(() => emulated.resume()));
    emulated.on("end", () => real.end());
    // a connection that fails on one side is reset on the other
    emulated.on("error", () => real.resetAndDestroy());
    real.on("error", () => pacer.input(() => emulated.resetAndDestroy()));
    emulated.on("close", () => {
      if (!real.writableEnded) real.resetAndDestroy();
    });
    real.on("close", () => {
      this.sockets.delete(real);
      this.open--;
      pacer.input(() => {
        if (!emulated.writableEnded) emulated.resetAndDestroy();
      });
    });
  }
}
