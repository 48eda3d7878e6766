// src/socket/handle.ts: a connection as libuv's uv_tcp_t has it: reading that starts and stops, writes that complete,
// a shutdown behind them, and closing; each callback a turn of the loop of its own.

import { SocketError } from "../transport/errno.ts";
import {
  type Endpoint,
  type EndpointOptions,
  type Listener,
  type Owner,
  type Stack,
  Wake,
} from "../transport/tcp/endpoint.ts";
import type { Bound } from "../transport/tcp/ports.ts";
import { type AddressInfo, addressInfo } from "./addresses.ts";
import type { Code } from "./errors.ts";
import type { Loop, Turn } from "./loop.ts";
import type { Platform, Scope } from "./platform.ts";

/** What the kernel closes when the process ends that it belongs to: nobody is called back. */
export interface Killable {
  kill(): void;
}

/** A stack that can bind before it connects (class Tcp). */
export interface BindingStack extends Omit<Stack, "connect"> {
  bind?(address: number, port: number, reuse: boolean): Bound;
  connect(
    address: number,
    port: number,
    owner: Owner,
    local?: { address?: number; port?: number; reuse?: boolean },
    options?: EndpointOptions,
    bound?: Bound,
  ): Endpoint;
}

/** What a handle needs of its host. */
export interface HandleHost {
  readonly platform: Platform;
  readonly loop: Loop;
  readonly tcp: BindingStack;
  /** Handles that are open. */
  readonly open: Set<Killable>;
}

/** libuv reads at most this much at once. */
const READ_SIZE = 65536;

interface Write {
  readonly chunk: Uint8Array;
  at: number;
  readonly done: (error: Code | null) => void;
}

/** Runs a call on the stack; the errno that it threw, or null. */
function attempt(call: () => void): Code | null {
  try {
    call();
    return null;
  } catch (e) {
    if (e instanceof SocketError) return e.code;
    throw e;
  }
}

/** No write waits; never written to. */
const none: Write[] = [];

export class TcpHandle implements Owner, Turn, Killable {
  /** Bytes read (null: end of file) or an error. */
  onread: ((bytes: Buffer | null, error: Code | null) => void) | null = null;
  reading = false;
  bytesRead = 0;
  bytesWritten = 0;
  /** Bytes accepted by `write` that the send buffer had no room for. */
  writeQueueSize = 0;
  /** Whether the last `write` must wait for room. */
  lastWriteAsync = false;
  private events = 0;
  private posted = false;
  private closed = false;
  private ended = false;
  private local: { address?: number; port?: number } = {};
  private whenConnected: ((error: Code | null) => void) | null = null;
  private whenShut: (() => void) | null = null;
  private shut = false;
  private writes: Write[] = none;
  private readonly scope: Scope;

  constructor(
    private readonly host: HandleHost,
    private endpoint: Endpoint | null = null,
    scope?: Scope,
  ) {
    this.scope = scope ?? host.platform.scope("TCPWRAP");
    if (endpoint === null) return;
    endpoint.owner = this;
    host.open.add(this);
  }

  get isOpen(): boolean {
    return !this.closed;
  }

  // -- connecting

  bind(address: number, port: number): void {
    this.local = { address, port };
  }

  /** Starts to connect: an errno at once, else `done` hears. */
  connect(address: number, port: number, done: (error: Code | null) => void): Code | null {
    const { address: own = 0, port: from = 0 } = this.local;
    const local = own !== 0 || from !== 0 ? { address: own, port: from, reuse: true } : undefined;
    const { tcp } = this.host;
    const error = attempt(() => {
      // bind(2) fails before anybody asks for a way
      const bound = from === 0 ? undefined : tcp.bind?.(own, from, true);
      try {
        this.endpoint = tcp.connect(address, port, this, local, undefined, bound);
      } catch (e) {
        bound?.release();
        throw e;
      }
      this.host.open.add(this);
    });
    if (error !== null && error !== "ECONNREFUSED") return error;
    this.whenConnected = done;
    // libuv hands a refusal that comes at once to the callback
    if (error !== null) this.host.loop.post({ turn: () => this.connected(error) });
    return null;
  }

  private connected(error: Code | null): void {
    const done = this.whenConnected;
    if (done === null || this.closed) return;
    this.whenConnected = null;
    this.scope(done, undefined, error);
  }

  getsockname(): AddressInfo {
    const e = this.endpoint;
    if (e !== null) return addressInfo(e.localAddress, e.localPort);
    return addressInfo(this.local.address ?? 0, this.local.port ?? 0);
  }

  getpeername(): AddressInfo | null {
    const e = this.endpoint;
    return e === null || this.whenConnected !== null ? null : addressInfo(e.remoteAddress, e.remotePort);
  }

  // -- what the connection says

  wake(what: number): void {
    this.events |= what;
    this.post();
  }

  private post(): void {
    if (this.posted || this.closed) return;
    this.posted = true;
    this.host.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    const events = this.events;
    this.events = 0;
    if (this.closed) return;
    const e = this.endpoint!;
    if (this.whenConnected !== null) {
      if (e.error !== null) this.connected(e.takeError());
      else if ((events & Wake.Hangup) !== 0) this.connected("ECONNABORTED");
      else if ((events & Wake.Writable) !== 0) this.connected(null);
      return;
    }
    if (this.reading) this.scope(this.read, this);
    if (this.writes.length > 0 && (events & (Wake.Writable | Wake.Error | Wake.Hangup)) !== 0)
      this.scope(this.flush, this);
  }

  // -- reading

  readStart(): void {
    if (this.closed) return;
    this.reading = true;
    if (this.readable) this.post();
  }

  readStop(): void {
    this.reading = false;
  }

  private get readable(): boolean {
    const e = this.endpoint;
    return e !== null && !this.ended && (e.readable > 0 || e.readEnded || e.error !== null);
  }

  private read(): void {
    const e = this.endpoint!;
    const n = Math.min(e.readable, READ_SIZE);
    if (n > 0) {
      const bytes = this.host.platform.Buffer.allocUnsafeSlow(n);
      e.read(bytes);
      this.bytesRead += n;
      this.onread?.(bytes, null);
      // the rest, the end or the error: another turn
      if (this.reading && !this.closed && this.readable) this.post();
      return;
    }
    if (this.ended) return;
    if (e.error !== null) {
      this.reading = false;
      this.onread?.(null, e.takeError());
    } else if (e.readEnded) {
      this.reading = false;
      this.ended = true;
      this.onread?.(null, null);
    }
  }

  // -- writing

  /**
   * Writes what there is room for and keeps the rest, in which case `lastWriteAsync` is set and `done` is called later.
   * The errno of a write that failed at once.
   */
  write(chunk: Uint8Array, done: (error: Code | null) => void): Code | null {
    this.lastWriteAsync = false;
    if (this.closed) return "EPIPE";
    this.bytesWritten += chunk.length;
    let at = 0;
    if (this.writes.length === 0) {
      if (chunk.length === 0) return null;
      const error = attempt(() => {
        at = this.endpoint!.write(chunk, 0, chunk.length);
      });
      if (error !== null || at === chunk.length) return error;
    }
    this.lastWriteAsync = true;
    if (this.writes === none) this.writes = [];
    this.writes.push({ chunk, at, done });
    this.writeQueueSize += chunk.length - at;
    return null;
  }

  private flush(): void {
    while (this.writes.length > 0 && !this.closed) {
      const w = this.writes[0]!;
      const rest = w.chunk.length - w.at;
      let n = rest;
      const error = attempt(() => {
        n = this.endpoint!.write(w.chunk, w.at, rest);
      });
      if (error === null && n < rest) {
        w.at += n;
        this.writeQueueSize -= n;
        return;
      }
      this.writeQueueSize -= rest;
      this.writes.shift();
      w.done(error);
    }
    if (this.writes.length === 0 && this.whenShut !== null) this.drain();
  }

  /** A FIN behind what was written; `done` hears once it is sent off. */
  shutdown(done: () => void): Code | null {
    if (this.closed || this.shut) return "ENOTCONN";
    this.shut = true;
    this.whenShut = done;
    if (this.writes.length === 0) this.host.loop.post({ turn: () => this.scope(this.drain, this) });
    return null;
  }

  private drain(): void {
    const done = this.whenShut;
    if (done === null || this.closed || this.writes.length > 0) return;
    this.whenShut = null;
    // a connection that is gone has nothing to shut: nobody is told
    attempt(() => this.endpoint!.shutdownWrite());
    done();
  }

  // -- the end

  /** Closes; `done` comes after what was waiting is told that it was cancelled. */
  close(done: () => void): void {
    this.end(false, done);
  }

  /** Closes with a reset. */
  reset(done: () => void): Code | null {
    if (this.shut && this.whenShut !== null) return "EINVAL";
    this.end(true, done);
    return null;
  }

  kill(): void {
    this.release(false);
  }

  private end(abort: boolean, done: () => void): void {
    if (this.closed) return;
    this.release(abort);
    this.host.loop.post({ turn: () => this.scope(this.finish, this, done) });
  }

  private release(abort: boolean): void {
    this.closed = true;
    this.reading = false;
    const e = this.endpoint;
    if (e !== null) {
      this.host.open.delete(this);
      e.owner = null;
      if (abort) e.abort();
      else e.close();
    }
  }

  private finish(done: () => void): void {
    const { whenConnected, whenShut } = this;
    this.whenConnected = this.whenShut = null;
    whenConnected?.("ECANCELED");
    const { writes } = this;
    this.writes = none;
    for (const w of writes) w.done("ECANCELED");
    this.writeQueueSize = 0;
    whenShut?.();
    this.onread = null;
    done();
  }

  // -- options

  setNoDelay(on: boolean): void {
    this.endpoint?.setNoDelay(on);
  }

  /** libuv sets the delay before the first probe and one second between them, ten times (uv__tcp_keepalive). */
  setKeepAlive(on: boolean, seconds: number): void {
    if (!on) this.endpoint?.setKeepAlive(false);
    else if (seconds > 0) this.endpoint?.setKeepAlive(true, seconds, 1, 10);
    else this.endpoint?.setKeepAlive(true);
  }

  /** The connection below, for whoever must know more than Node shows. */
  get tcp(): Endpoint | null {
    return this.endpoint;
  }
}

/** A listening socket (uv_listen): one connection a turn. */
export class ListenHandle implements Owner, Turn, Killable {
  private posted = false;
  private closed = false;
  private readonly scope: Scope;
  readonly listener: Listener;

  /** Throws SocketError: EADDRINUSE, EADDRNOTAVAIL, EACCES. */
  constructor(
    private readonly host: HandleHost,
    address: number,
    port: number,
    backlog: number,
    private readonly onconnection: (handle: TcpHandle) => void,
  ) {
    this.scope = host.platform.scope("TCPSERVERWRAP");
    this.listener = host.tcp.listen(address, port, backlog, this, { reuseAddress: true });
    this.listener.owner = this;
    host.open.add(this);
  }

  wake(_what: number): void {
    if (this.posted || this.closed) return;
    this.posted = true;
    this.host.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    if (this.closed) return;
    const endpoint = this.listener.accept();
    if (endpoint === null) return;
    if (this.listener.waiting > 0) this.wake(Wake.Readable);
    this.scope(this.onconnection, undefined, new TcpHandle(this.host, endpoint, this.scope));
  }

  address(): AddressInfo {
    return addressInfo(this.listener.localAddress, this.listener.localPort);
  }

  /** The same as Node's own net.Server asks for it. */
  getsockname(into: object): number {
    Object.assign(into, this.address());
    return 0;
  }

  ref(): void {}

  unref(): void {}

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.host.open.delete(this);
    this.listener.owner = null;
    this.listener.close();
  }

  kill(): void {
    this.close();
  }
}
