// src/socket/socketbase.ts: what of net.Socket is about the socket itself: its timer, its options, its addresses.

import type { DuplexOptions } from "stream";
import { MS } from "../link/clock.ts";
import type { Timer } from "../link/clock.ts";
import type { AddressInfo } from "./addresses.ts";
import type { Lookup } from "./dns.ts";
import { argValue, checkDuration, checkFunction, checkNumber } from "./errors.ts";
import type { HandleHost, TcpHandle } from "./handle.ts";
import type { Platform, Scope } from "./platform.ts";
import type { Socket } from "./socket.ts";

/** What sockets need of their host. */
export interface SocketHost extends HandleHost {
  readonly name: string;
  readonly lookup: Lookup;
  readonly clock: {
    readonly now: number;
    timer(run: () => void): Timer;
    arm(t: Timer, at: number): void;
    cancel(t: Timer): void;
  };
  /** Hears the secrets of TLS connections, as lines of a key log. */
  readonly keyLog?: ((line: Uint8Array) => void) | null;
  /** The class of its sockets. */
  readonly Socket: new (options?: SocketOptions) => Socket;
  /** Whether an address is the host's own. */
  isLocal(address: number): boolean;
}

export interface SocketOptions extends DuplexOptions {
  allowHalfOpen?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  onread?: OnRead | null;
  /** A connection that there is already (what a server accepted). */
  tcp?: TcpHandle;
  pauseOnCreate?: boolean;
  readable?: boolean;
  writable?: boolean;
}

export interface OnRead {
  buffer: Uint8Array | (() => Uint8Array);
  callback(bytes: number, buffer: Uint8Array): boolean | void;
}

/** Who counts a socket: a server. */
export interface Keeper {
  _connections: number;
  _emitCloseIfDrained?(): void;
}

export type Chunk = { chunk: Uint8Array | string; encoding: BufferEncoding };
export type Done = (error?: Error | null) => void;

/** The class that a platform's Socket builds upon: a Duplex that does not move bytes yet. */
export function socketBase(platform: Platform) {
  const { Duplex, Buffer } = platform;

  return class SocketBase extends Duplex {
    readonly host: SocketHost;
    /** What libuv's handle is to Node's socket: null before connect and once destroyed. */
    tcp: TcpHandle | null = null;
    connecting = false;
    server: object | null = null;
    timeout?: number;
    resetAndClosing = false;
    autoSelectFamilyAttemptedAddresses?: string[];
    _hadError = false;
    _parent: null = null;
    _host: string | null = null;
    _server: Keeper | null = null;
    _aborted = false;
    _peername: AddressInfo | null = null;
    _sockname: AddressInfo | null = null;
    _noDelay: boolean;
    _keepAlive: boolean;
    _keepAliveDelay: number;
    _timer: Timer | null = null;
    _timerEnd = 0;
    _timerScope: Scope | null = null;
    _onread: OnRead | null = null;
    _pending: readonly Chunk[] | null = null;
    _lastWriteQueueSize = 0;
    _bytesRead = 0;
    _bytesDispatched = 0;

    constructor(options: SocketOptions, host: SocketHost) {
      checkOptions(options);
      // net.Socket: closed only by its handle; strings go down as they are
      const { signal: _signal, ...rest } = options;
      const allowHalfOpen = Boolean(rest.allowHalfOpen);
      super({ ...rest, allowHalfOpen, emitClose: false, autoDestroy: true, decodeStrings: false });
      this.host = host;
      this._noDelay = Boolean(options.noDelay);
      this._keepAlive = Boolean(options.keepAlive);
      this._keepAliveDelay = ~~((options.keepAliveInitialDelay ?? 0) / 1000);
    }

    // -- timers

    setTimeout(ms: number, callback?: () => void): this {
      if (this.destroyed) return this;
      this.timeout = ms;
      const wait = checkDuration(ms, "msecs");
      this._clearTimer();
      if (callback !== undefined) checkFunction(callback, "callback");
      if (wait === 0) {
        if (callback !== undefined) this.removeListener("timeout", callback);
        return this;
      }
      this._timerScope = platform.scope("Timeout");
      // timers of Node's last a millisecond at least, whole ones
      this._timeoutNs = Math.max(1, Math.trunc(wait)) * MS;
      this._timer = this.host.clock.timer(() => this._timerFired());
      this._unrefTimer();
      this.host.clock.arm(this._timer, this._timerEnd);
      if (callback !== undefined) this.once("timeout", callback);
      return this;
    }
    _timeoutNs = 0;

    /** Something happened: the time begins anew. The timer itself is moved when it fires. */
    _unrefTimer(): void {
      if (this._timer === null) return;
      this._timerEnd = this.host.clock.now + this._timeoutNs;
      if (this._timer.at < 0) this.host.clock.arm(this._timer, this._timerEnd);
    }

    _clearTimer(): void {
      if (this._timer !== null) this.host.clock.cancel(this._timer);
      this._timer = null;
    }

    _timerFired(): void {
      const { clock, loop } = this.host;
      if (this._timer === null) return;
      if (clock.now < this._timerEnd) clock.arm(this._timer, this._timerEnd);
      else loop.post({ turn: () => this._timerScope!(this._onTimeout, this) });
    }

    _onTimeout(): void {
      if (this._timer === null) return;
      const handle = this.tcp;
      if (this._lastWriteQueueSize > 0 && handle !== null && this._lastWriteQueueSize !== handle.writeQueueSize) {
        // a write moves on: no silence
        this._lastWriteQueueSize = handle.writeQueueSize;
        this._unrefTimer();
        return;
      }
      this.emit("timeout");
    }

    // -- options

    setNoDelay(enable?: boolean): this {
      const on = Boolean(enable === undefined ? true : enable);
      if (this.tcp !== null && !this.connecting && on !== this._noDelay) this.tcp.setNoDelay(on);
      this._noDelay = on;
      return this;
    }

    setKeepAlive(enable?: boolean, initialDelay?: number): this {
      const on = Boolean(enable);
      const seconds = ~~((initialDelay ?? 0) / 1000);
      const changed = on !== this._keepAlive || (on && seconds !== this._keepAliveDelay);
      if (this.tcp !== null && !this.connecting && changed) this.tcp.setKeepAlive(on, seconds);
      this._keepAlive = on;
      this._keepAliveDelay = seconds;
      return this;
    }

    /** There is no process that a socket would keep alive. */
    ref(): this {
      return this;
    }

    unref(): this {
      return this;
    }

    // -- what it is

    address(): AddressInfo | Record<string, never> {
      return this._getsockname();
    }

    _getsockname(): AddressInfo | Record<string, never> {
      if (this.tcp === null) return {};
      return (this._sockname ??= this.tcp.getsockname());
    }

    _getpeername(): Partial<AddressInfo> {
      if (this.tcp === null || this.connecting) return this._peername ?? {};
      return (this._peername ??= this.tcp.getpeername()) ?? {};
    }

    get remoteAddress(): string | undefined {
      return this._getpeername().address;
    }

    get remoteFamily(): string | undefined {
      return this._getpeername().family;
    }

    get remotePort(): number | undefined {
      return this._getpeername().port;
    }

    get localAddress(): string | undefined {
      return this._getsockname().address;
    }

    get localFamily(): string | undefined {
      return this._getsockname().family;
    }

    get localPort(): number | undefined {
      return this._getsockname().port;
    }

    get pending(): boolean {
      return this.tcp === null || this.connecting;
    }

    get readyState(): string {
      if (this.connecting) return "opening";
      if (this.readable) return this.writable ? "open" : "readOnly";
      return this.writable ? "writeOnly" : "closed";
    }

    get bufferSize(): number | undefined {
      return this.tcp === null ? undefined : this.writableLength;
    }

    get bytesRead(): number {
      return this.tcp === null ? this._bytesRead : this.tcp.bytesRead;
    }

    get bytesWritten(): number | undefined {
      const buffered = (this as unknown as { writableBuffer?: readonly Chunk[] }).writableBuffer;
      if (!buffered) return undefined;
      let bytes = this.tcp === null ? this._bytesDispatched : this.tcp.bytesWritten;
      for (const list of [buffered, this._pending ?? []]) {
        for (const c of list)
          bytes += typeof c.chunk === "string" ? Buffer.byteLength(c.chunk, c.encoding) : c.chunk.length;
      }
      return bytes;
    }
  };
}

function checkOptions(options: SocketOptions): void {
  const o = options as Record<string, unknown>;
  for (const mode of ["objectMode", "readableObjectMode", "writableObjectMode"]) {
    if (o[mode]) throw argValue(`options.${mode}`, String(o[mode]), "is not supported");
  }
  if (options.keepAliveInitialDelay !== undefined) {
    checkNumber(options.keepAliveInitialDelay, "options.keepAliveInitialDelay");
    if (options.keepAliveInitialDelay < 0) options.keepAliveInitialDelay = 0;
  }
}
