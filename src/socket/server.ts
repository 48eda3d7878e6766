// src/socket/server.ts: net.Server: listening, accepting, closing once the last connection has gone.

import type { Errno } from "../transport/errno.ts";
import { SocketError } from "../transport/errno.ts";
import { type AddressInfo, normalizeArgs, toNumber, unmapped } from "./addresses.ts";
import { argType, argValue, checkNumber, checkPort, checkSignal, type Code, listenError, nodeError } from "./errors.ts";
import { ListenHandle, type TcpHandle } from "./handle.ts";
import type { Platform } from "./platform.ts";
import { ipv4, type SocketHost } from "./socket.ts";

/** Node asks for this many waiting connections where the program does not say. */
const BACKLOG = 511;

/** What is common to a Server here and to Node's own, which http, https and http2 build on. */
export interface ServerLike {
  maxConnections?: number;
  _connections: number;
  allowHalfOpen?: boolean;
  pauseOnConnect?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  highWaterMark?: number;
  emit(event: string, ...args: unknown[]): boolean;
}

/** A connection to a server: dropped where it has too many, else a socket and 'connection' (net's onconnection). */
export function accepted(server: ServerLike, handle: TcpHandle, host: SocketHost): void {
  const { maxConnections } = server;
  if (maxConnections && server._connections >= maxConnections) {
    const local = handle.getsockname();
    const remote = handle.getpeername();
    const data = {
      localAddress: local.address,
      localPort: local.port,
      localFamily: local.family,
      remoteAddress: remote?.address,
      remotePort: remote?.port,
      remoteFamily: remote?.family,
    };
    server.emit("drop", Object.assign(Object.create(null), data));
    handle.close(() => undefined);
    return;
  }
  const socket = new host.Socket({
    tcp: handle,
    allowHalfOpen: server.allowHalfOpen === true,
    pauseOnCreate: server.pauseOnConnect === true,
    readableHighWaterMark: server.highWaterMark!,
    writableHighWaterMark: server.highWaterMark!,
  });
  if (server.noDelay) socket.setNoDelay(true);
  // a server keeps seconds
  if (server.keepAlive) socket.setKeepAlive(true, (server.keepAliveInitialDelay ?? 0) * 1000);
  server._connections++;
  socket.server = server;
  socket._server = server;
  server.emit("connection", socket);
}

/** Opens the listening socket, or answers why not. */
export function openListener(
  host: SocketHost,
  address: string | null,
  port: number,
  backlog: number,
  onconnection: (handle: TcpHandle) => void,
): ListenHandle | Code {
  // an emulated host has no IPv6: without an address Node falls back to this one
  const at = ipv4(unmapped(address ?? "0.0.0.0"));
  if (at === null) return "EAFNOSUPPORT";
  try {
    return new ListenHandle(host, at, port, backlog, onconnection);
  } catch (e) {
    if (e instanceof SocketError) return e.code satisfies Errno;
    throw e;
  }
}

export interface ServerOptions {
  allowHalfOpen?: boolean;
  pauseOnConnect?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  highWaterMark?: number;
}

/** What `listen` was asked for. */
export interface ListenRequest {
  readonly host: string | undefined;
  readonly port: number;
  readonly backlog: number;
  readonly signal: AbortSignal | undefined;
}

/** The many forms of listen's arguments; throws what Node throws. null: a path, which an emulated host does not have. */
export function listenRequest(args: readonly unknown[], options: Record<string, unknown>): ListenRequest | string {
  const fromArgs = toNumber(args.length > 1 && args[1]) || toNumber(args.length > 2 && args[2]) || 0;
  checkSignal(options.signal, "options.signal");
  const signal = options.signal as AbortSignal | undefined;
  let { port } = options;
  const none = args.length === 0 || typeof args[0] === "function" || (port === undefined && "port" in options);
  if (none || port === null) port = 0;
  if (typeof port === "number" || typeof port === "string") {
    const n = checkPort(port, "options.port");
    const host = (options.host as string | undefined) || undefined;
    return { host, port: n, backlog: (options.backlog as number) || fromArgs || BACKLOG, signal };
  }
  if (typeof options.path === "string" && options.path !== "") return options.path;
  const reason = "port" in options || "path" in options ? undefined : 'must have the property "port" or "path"';
  throw argValue("options", shown(options), reason);
}

/** util.inspect's words for simple options. */
function shown(options: Record<string, unknown>): string {
  const entries = Object.entries(options).map(([k, v]) => `${k}: ${typeof v === "string" ? `'${v}'` : String(v)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

/** ENOENT and its like for a socket in the file system. */
export function pathError(path: string): Error {
  const e = new Error(`listen EACCES: permission denied ${path}`);
  return Object.assign(e, { code: "EACCES", errno: -13, syscall: "listen", address: path, port: -1 });
}

/** The class of a platform's servers. */
export function serverClass(platform: Platform) {
  const { nextTick } = platform;

  return class Server extends platform.EventEmitter {
    readonly host: SocketHost;
    maxConnections?: number;
    allowHalfOpen: boolean;
    pauseOnConnect: boolean;
    noDelay: boolean;
    keepAlive: boolean;
    keepAliveInitialDelay: number;
    highWaterMark: number;
    _connections = 0;
    _listen: ListenHandle | null = null;
    _listeningId = 1;

    constructor(options: unknown, onConnection: unknown, host: SocketHost) {
      super();
      let listener = onConnection;
      let given: ServerOptions = {};
      if (typeof options === "function") listener = options;
      else if (options === undefined || options === null || typeof options === "object") given = { ...options };
      else throw argType("options", "of type object", options);
      if (typeof listener === "function") this.on("connection", listener as () => void);
      if (given.keepAliveInitialDelay !== undefined) {
        checkNumber(given.keepAliveInitialDelay, "options.keepAliveInitialDelay");
        given.keepAliveInitialDelay = Math.max(0, given.keepAliveInitialDelay);
      }
      if (given.highWaterMark !== undefined) {
        checkNumber(given.highWaterMark, "options.highWaterMark");
        if (given.highWaterMark < 0) delete given.highWaterMark;
      }
      this.host = host;
      this.allowHalfOpen = given.allowHalfOpen || false;
      this.pauseOnConnect = Boolean(given.pauseOnConnect);
      this.noDelay = Boolean(given.noDelay);
      this.keepAlive = Boolean(given.keepAlive);
      this.keepAliveInitialDelay = ~~((given.keepAliveInitialDelay ?? 0) / 1000);
      this.highWaterMark = given.highWaterMark ?? platform.highWaterMark;
    }

    listen(...args: unknown[]): this {
      const [options, cb] = normalizeArgs(args);
      if (this._listen !== null) throw nodeError("ERR_SERVER_ALREADY_LISTEN");
      if (cb !== null) this.once("listening", cb as () => void);
      const id = ++this._listeningId;
      const asked = listenRequest(args, options);
      if (typeof asked === "string") {
        nextTick(() => this.emit("error", pathError(asked)));
        return this;
      }
      if (asked.signal !== undefined) this._closeOn(asked.signal);
      if (asked.host === undefined) this._open(null, asked.port, asked.backlog);
      else {
        this.host.lookup(asked.host, {}, (error, ip) => {
          if (id !== this._listeningId) return;
          if (error) this.emit("error", error);
          else this._open(ip as string, asked.port, asked.backlog);
        });
      }
      return this;
    }

    _open(address: string | null, port: number, backlog: number): void {
      const opened = openListener(this.host, address, port, backlog, (handle) => accepted(this, handle, this.host));
      if (typeof opened === "string") {
        nextTick(() => this.emit("error", listenError(opened, address ?? "0.0.0.0", port)));
        return;
      }
      this._listen = opened;
      nextTick(() => {
        if (this._listen !== null) this.emit("listening");
      });
    }

    _closeOn(signal: AbortSignal): void {
      const onAbort = (): void => void this.close();
      if (signal.aborted) return nextTick(onAbort);
      signal.addEventListener("abort", onAbort, { once: true });
      this.once("close", () => signal.removeEventListener("abort", onAbort));
    }

    close(cb?: (error?: Error) => void): this {
      this._listeningId++;
      if (typeof cb === "function") {
        if (this._listen === null) this.once("close", () => cb(nodeError("ERR_SERVER_NOT_RUNNING")));
        else this.once("close", cb);
      }
      this._listen?.close();
      this._listen = null;
      this._emitCloseIfDrained();
      return this;
    }

    _emitCloseIfDrained(): void {
      if (this._listen !== null || this._connections > 0) return;
      nextTick(() => this.emit("close"));
    }

    getConnections(cb: (error: Error | null, count: number) => void): this {
      nextTick(cb, null as Error | null, this._connections);
      return this;
    }

    get listening(): boolean {
      return this._listen !== null;
    }

    address(): AddressInfo | null {
      return this._listen === null ? null : this._listen.getsockname();
    }

    ref(): this {
      return this;
    }

    unref(): this {
      return this;
    }
  };
}

export type ServerClass = ReturnType<typeof serverClass>;
export type Server = InstanceType<ServerClass>;
