// src/node/programtls.ts: node:tls for programs on hosts: TLS by Node itself, over the host's connections.
//
// TLS wraps a connection that is not one of libuv's by way of a stream in JavaScript (JSStreamSocket). That stream lacks
// the addresses and options of a connection, and its TLSSocket keeps time by the process's own timers: both are added.

import { syncBuiltinESMExports } from "node:module";
import type net from "node:net";
import type tls from "node:tls";
import { MS } from "../link/clock.ts";
import { normalizeArgs } from "../socket/addresses.ts";
import { checkDuration, checkFunction } from "../socket/errors.ts";
import type { Host } from "../socket/host.ts";
import { classesOf } from "../socket/net.ts";
import type { Socket } from "../socket/socket.ts";
import { type Current, dispatch, modules } from "./programnet.ts";

type Any = (...args: unknown[]) => unknown;

export function patchTls(current: Current): void {
  const node = modules<typeof tls>("node:tls");
  const real = node.connect as unknown as Any;
  dispatch(node, "connect", current, (host, _self, args) => connect(real, host, args));
  patchInit(node);
  patchTimeout(modules<typeof net>("node:net"));
  syncBuiltinESMExports();
}

/** tls.connect: the host's connection below, unless the program brings its own. */
function connect(real: Any, host: Host, args: unknown[]): unknown {
  const [given, cb] = normalizeArgs(args);
  const more = [args[1], args[2]].find((a) => typeof a === "object" && a !== null);
  const options: Record<string, unknown> = { ...given, ...more };
  if (options.socket) return real(...args);
  const raw = new host.Socket({ allowHalfOpen: Boolean(options.allowHalfOpen) });
  // TLS speaks at once: what it says is kept until the connection stands
  raw.connect(connectOptions(options));
  const { timeout } = options;
  delete options.timeout;
  const socket = real({ ...options, socket: raw }, ...(cb === null ? [] : [cb])) as tls.TLSSocket;
  // as a socket that connects by itself
  const state = socket as unknown as { connecting: boolean };
  state.connecting = true;
  raw.on("lookup", (...a: unknown[]) => socket.emit("lookup", ...a));
  raw.once("connect", () => {
    if (socket.destroyed) return;
    state.connecting = false;
    socket.emit("connect");
    socket.emit("ready");
  });
  if (timeout) socket.setTimeout(timeout as number);
  return socket;
}

/** What of tls.connect's options is the connection's; a signal is for the TLS socket, which takes the other down. */
function connectOptions(options: Record<string, unknown>): Record<string, unknown> {
  const { signal: _signal, onread: _onread, ...rest } = options;
  return rest;
}

interface FailingTls extends tls.TLSSocket {
  _emitTLSError(e: Error): void;
}

/** What fails below destroys the TLS socket, as where TLS reads the connection itself; else 'close' would say no error. */
function failAsOne(socket: FailingTls, below: Socket): void {
  const told = socket._emitTLSError;
  socket._emitTLSError = function (e) {
    if (e === below.errored) this.destroy(e);
    else told.call(this, e);
  };
}

interface Inside {
  _init(socket: unknown, wrap: unknown): void;
}

const hostKey = Symbol("wirepath.host");

/** Every TLSSocket over one of our sockets knows its addresses, options and host. */
function patchInit(node: typeof tls): void {
  const proto = node.TLSSocket.prototype as unknown as Inside & Record<symbol, unknown>;
  const { _init: init } = proto;
  if (typeof init !== "function") return;
  proto._init = function (this: Record<symbol, unknown>, socket, wrap) {
    const ours = asSocket(socket);
    const handle = (wrap as { _handle?: object } | null)?._handle;
    if (ours !== null && handle) {
      Object.assign(handle, connectionMethods(ours));
      this[hostKey] = ours.host;
      // TLS says goodbye behind the other side's end, and closes what is below when it is done
      ours.allowHalfOpen = true;
      failAsOne(this as unknown as FailingTls, ours);
    }
    init.call(this as never, socket, wrap);
    const log = ours?.host.keyLog;
    if (log) (this as unknown as tls.TLSSocket).on("keylog", log);
  };
}

/** One of our sockets, else null. */
function asSocket(socket: unknown): Socket | null {
  const host = (socket as { host?: Host } | null | undefined)?.host;
  if (host?.platform === undefined) return null;
  return socket instanceof classesOf(host.platform).Socket ? socket : null;
}

/** What TLS asks of the handle below (net's proxied methods). */
function connectionMethods(socket: Socket): object {
  const told = (into: object, what: object): number => {
    Object.assign(into, what);
    return 0;
  };
  return {
    getpeername: (into: object) => told(into, socket._getpeername()),
    getsockname: (into: object) => told(into, socket._getsockname()),
    setNoDelay: (on: boolean) => void socket.setNoDelay(on),
    setKeepAlive: (on: boolean, seconds: number) => void socket.setKeepAlive(on, seconds * 1000),
    ref: () => undefined,
    unref: () => undefined,
  };
}

/** socket.setTimeout of TLS sockets over ours: in the host's time. */
function patchTimeout(node: typeof net): void {
  const proto = node.Socket.prototype as unknown as { setTimeout: Any };
  const real = proto.setTimeout;
  const timerKey = timerSymbol(node);
  if (timerKey === null) return;
  proto.setTimeout = function (this: TimedSocket, ...args: unknown[]): unknown {
    const host = this[hostKey] as Host | undefined;
    if (host === undefined) return real.apply(this, args);
    return setVirtualTimeout(this, host, timerKey, args);
  };
}

interface TimedSocket extends Omit<net.Socket, "timeout"> {
  timeout: number;
  [key: symbol]: unknown;
  _onTimeout(): void;
}

function setVirtualTimeout(socket: TimedSocket, host: Host, key: symbol, args: unknown[]): unknown {
  const [ms, callback] = args;
  if (socket.destroyed) return socket;
  socket.timeout = ms as number;
  const wait = checkDuration(ms, "msecs");
  if (callback !== undefined) checkFunction(callback, "callback");
  (socket[key] as VirtualTimer | null | undefined)?.close?.();
  socket[key] = null;
  if (wait === 0) {
    if (callback !== undefined) socket.removeListener("timeout", callback as () => void);
    return socket;
  }
  socket[key] = new VirtualTimer(host, Math.max(1, Math.trunc(wait)) * MS, socket);
  if (callback !== undefined) socket.once("timeout", callback as () => void);
  return socket;
}

/** Stands where Node keeps a socket's timer; Node calls `refresh` on each read and write. */
class VirtualTimer {
  private readonly timer;
  private readonly scope;

  constructor(
    private readonly host: Host,
    private readonly ns: number,
    private readonly socket: TimedSocket,
  ) {
    this.scope = host.platform.scope("Timeout");
    this.timer = host.clock.timer(() => host.loop.post(this));
    this.refresh();
    socket.once("close", () => this.close());
  }

  turn(): void {
    if (!this.socket.destroyed) this.scope(this.socket._onTimeout, this.socket);
  }

  refresh(): this {
    this.host.clock.arm(this.timer, this.host.clock.now + this.ns);
    return this;
  }

  close(): void {
    this.host.clock.cancel(this.timer);
  }
}

/** The symbol under which Node's sockets keep their timer. */
function timerSymbol(node: typeof net): symbol | null {
  const probe = new node.Socket();
  const before = new Set(Object.getOwnPropertySymbols(probe).filter((s) => (probe as never)[s] === null));
  probe.setTimeout(1_000_000);
  const found = [...before].find((s) => (probe as never as Record<symbol, unknown>)[s] !== null);
  probe.destroy();
  return found ?? null;
}
