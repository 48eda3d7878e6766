// src/socket/server.ts: net.Server: listening, accepting, closing once the last connection has gone.

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

/** A server that can listen: `_handle` is its listening socket, `_listeningId` tells a later call from an earlier one. */
export interface Listening extends ServerLike {
  _handle: unknown;
  _listeningId: number;
  once(event: string, listener: (...args: never[]) => void): unknown;
  close(): unknown;
}

/** listen(...): for a Server of ours, and for Node's own, when it runs on a host. */
export function listen(server: Listening, host: SocketHost, args: readonly unknown[]): void {
  const [options, cb] = normalizeArgs(args);
  if (server._handle) throw nodeError("ERR_SERVER_ALREADY_LISTEN");
  if (cb !== null) server.once("listening", cb);
  const id = ++server._listeningId;
  const asked = listenRequest(args, options);
  if (typeof asked === "string") {
    host.platform.nextTick(() => void server.emit("error", pathError(asked)));
    return;
  }
  if (asked.signal !== undefined) closeOn(server, asked.signal, host);
  if (asked.host === undefined) open(server, host, null, asked.port, asked.backlog);
  else {
    host.lookup(asked.host, {}, (error, ip) => {
      if (id !== server._listeningId) return;
      if (error) server.emit("error", error);
      else open(server, host, ip as string, asked.port, asked.backlog);
    });
  }
}

/** Opens the listening socket; why it cannot be is an 'error'. */
function open(server: Listening, host: SocketHost, address: string | null, port: number, backlog: number): void {
  // an emulated host has no IPv6: without an address Node falls back to this one
  const at = ipv4(unmapped(address ?? "0.0.0.0"));
  let code: Code | null = at === null ? "EAFNOSUPPORT" : null;
  if (at !== null) {
    try {
      server._handle = new ListenHandle(host, at, port, backlog, (handle) => accepted(server, handle, host));
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      ({ code } = e);
    }
  }
  host.platform.nextTick(() => {
    if (code !== null) server.emit("error", listenError(code, address ?? "0.0.0.0", port));
    else if (server._handle) server.emit("listening");
  });
}

function closeOn(server: Listening, signal: AbortSignal, host: SocketHost): void {
  const onAbort = (): void => void server.close();
  if (signal.aborted) return host.platform.nextTick(onAbort);
  signal.addEventListener("abort", onAbort, { once: true });
  server.once("close", () => signal.removeEventListener("abort", onAbort));
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
    _handle: ListenHandle | null = null;
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
      listen(this as unknown as Listening, this.host, args);
      return this;
    }

    close(cb?: (error?: Error) => void): this {
      this._listeningId++;
      if (typeof cb === "function") {
        if (this._handle === null) this.once("close", () => cb(nodeError("ERR_SERVER_NOT_RUNNING")));
        else this.once("close", cb);
      }
      this._handle?.close();
      this._handle = null;
      this._emitCloseIfDrained();
      return this;
    }

    _emitCloseIfDrained(): void {
      if (this._handle !== null || this._connections > 0) return;
      nextTick(() => this.emit("close"));
    }

    getConnections(cb: (error: Error | null, count: number) => void): this {
      nextTick(cb, null as Error | null, this._connections);
      return this;
    }

    get listening(): boolean {
      return this._handle !== null;
    }

    address(): AddressInfo | null {
      return this._handle === null ? null : this._handle.address();
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
