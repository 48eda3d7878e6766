// src/socket/net.ts: a host's `net`: Node's own module, over the host's TCP.

import { isIP, isIPv4, isIPv6, normalizeArgs } from "./addresses.ts";
import type { Platform } from "./platform.ts";
import { type ServerClass, serverClass } from "./server.ts";
import { type Socket, type SocketClass, socketClass, type SocketHost, type SocketOptions } from "./socket.ts";

/** The classes that all hosts of a platform share. */
interface Classes {
  readonly Socket: SocketClass;
  readonly Server: ServerClass;
}

const classes = new WeakMap<Platform, Classes>();

export function classesOf(platform: Platform): Classes {
  let made = classes.get(platform);
  if (made === undefined) {
    const Socket = socketClass(platform);
    classes.set(platform, (made = { Socket, Server: serverClass(platform) }));
  }
  return made;
}

/** What `import net from "node:net"` is, for programs on this host. */
export function makeNet(host: SocketHost) {
  const base = classesOf(host.platform);

  class Socket extends base.Socket {
    constructor(options?: SocketOptions) {
      super(options, host);
    }
  }

  class Server extends base.Server {
    constructor(options?: unknown, onConnection?: unknown) {
      super(options, onConnection, host);
    }
  }

  /** `(options[, cb])`, `(port[, host][, cb])` */
  const connect = (...args: unknown[]): Socket => {
    const normalized = normalizeArgs(args);
    const options = normalized[0] as SocketOptions & { timeout?: number };
    const socket = new Socket(options);
    if (options.timeout) socket.setTimeout(options.timeout);
    return socket.connect(normalized);
  };

  return {
    Socket,
    Stream: Socket,
    Server,
    connect,
    createConnection: connect,
    createServer: (options?: unknown, onConnection?: unknown) => new Server(options, onConnection),
    isIP,
    isIPv4,
    isIPv6,
    getDefaultAutoSelectFamily: () => true,
    getDefaultAutoSelectFamilyAttemptTimeout: () => 250,
  };
}

export type Net = ReturnType<typeof makeNet>;
export type { Socket };
