// src/socket/socket.ts: net.Socket: a Duplex over a connection, with Node's events in Node's order.

import { parseIpv4 } from "../core/address.ts";
import { isIP, normalizeArgs } from "./addresses.ts";
import { type ConnectOptions, lookupAndConnect } from "./connect.ts";
import { abortError, type Code, checkSignal, errnoError, nodeError } from "./errors.ts";
import { TcpHandle } from "./handle.ts";
import type { Platform } from "./platform.ts";
import { type Chunk, type Done, socketBase, type SocketHost, type SocketOptions } from "./socketbase.ts";

export type { SocketHost, SocketOptions } from "./socketbase.ts";

/** The class of a platform's sockets; the host is given to each. Its `_handle` is left out: `tls` and `http` take only their own. */
export function socketClass(platform: Platform) {
  const { Duplex, Buffer, nextTick } = platform;
  const bytesOf = (data: Uint8Array | string, encoding: BufferEncoding): Uint8Array =>
    typeof data === "string" ? Buffer.from(data, encoding) : data;

  class Socket extends socketBase(platform) {
    constructor(options: SocketOptions | undefined, host: SocketHost) {
      super(options ?? {}, host);
      const onread = options?.onread;
      if (onread && typeof onread === "object" && typeof onread.callback === "function") this._onread = { ...onread };
      this.on("end", this._onEnd);
      if (options?.signal) this._destroyOn(options.signal);
      if (options?.tcp) {
        this._attach(options.tcp);
        if (options.pauseOnCreate) (this as { readableFlowing: boolean | null }).readableFlowing = false;
        else if (options.readable !== false) this.read(0);
      }
    }

    /** The signal destroys the socket; one that was given already does so at once. */
    _destroyOn(signal: AbortSignal): void {
      checkSignal(signal, "signal");
      const onAbort = (): void => {
        this._aborted = true;
        this.destroy(abortError(signal.reason));
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      this.once("close", () => signal.removeEventListener("abort", onAbort));
    }

    _attach(handle: TcpHandle): void {
      this.tcp = handle;
      handle.onread = (bytes, error) => this._onBytes(bytes, error);
    }

    // -- connecting

    connect(...args: unknown[]): this {
      const [given, cb] = normalizeArgs(args);
      const options = given as ConnectOptions;
      if (cb !== null) this.once("connect", cb as () => void);
      if (options.port === undefined && (options.path === undefined || options.path === null)) {
        const message = 'The "options" or "port" or "path" argument must be specified';
        throw nodeError("ERR_MISSING_ARGS", message, TypeError);
      }
      if (Object.hasOwn(this, "write")) delete (this as { write?: unknown }).write;
      if (this.destroyed) {
        this.tcp = null;
        this._peername = this._sockname = null;
      }
      if (this.tcp === null) {
        (this as unknown as { _undestroy(): void })._undestroy();
        this._sockname = null;
        this._attach(new TcpHandle(this.host));
      }
      this._unrefTimer();
      this.connecting = true;
      lookupAndConnect(this, options);
      return this;
    }

    /** The handle is connected, or could not be. */
    _connected(error: Code | null, failure: (code: Code) => Error): void {
      // may come behind a call to destroy
      if (this.destroyed || this.tcp === null) return;
      this.connecting = false;
      this._sockname = null;
      if (error !== null) {
        this.destroy(failure(error));
        return;
      }
      this._unrefTimer();
      if (this._noDelay) this.tcp.setNoDelay(true);
      if (this._keepAlive) this.tcp.setKeepAlive(true, this._keepAliveDelay);
      this.emit("connect");
      this.emit("ready");
      // the first read, or an end of file at once
      if (!this.isPaused()) this.read(0);
    }

    // -- reading

    override _read(n: number): void {
      if (this.connecting || this.tcp === null) this.once("connect", () => this._read(n));
      else if (!this.tcp.reading) this.tcp.readStart();
    }

    _onBytes(bytes: Buffer | null, error: Code | null): void {
      this._unrefTimer();
      if (error !== null) {
        this.destroy(errnoError(error, "read"));
      } else if (bytes !== null) {
        if (this.destroyed) return;
        const more = this._onread === null ? this.push(bytes) : this._fill(bytes);
        if (!more) this.tcp?.readStop();
      } else if (!(this as unknown as { _readableState: { endEmitted: boolean } })._readableState.endEmitted) {
        this.push(null);
        this.read(0);
      }
    }

    /** `onread`: bytes into the program's own buffer. */
    _fill(bytes: Buffer): boolean {
      const { buffer, callback } = this._onread!;
      for (let at = 0; at < bytes.length;) {
        const into = typeof buffer === "function" ? buffer() : buffer;
        const n = Math.min(into.length, bytes.length - at);
        into.set(bytes.subarray(at, at + n));
        at += n;
        if (callback(n, into) === false) return false;
        if (n === 0) break;
      }
      return true;
    }

    override pause(): this {
      if (this._onread !== null && !this.connecting && this.tcp?.reading) this.tcp.readStop();
      return super.pause();
    }

    override resume(): this {
      this._startOnread();
      return super.resume();
    }

    override read(n?: number): unknown {
      this._startOnread();
      return super.read(n);
    }

    _startOnread(): void {
      if (this._onread !== null && !this.connecting && this.tcp !== null && !this.tcp.reading) this.tcp.readStart();
    }

    /** The other side has ended, and so have we: writing is an EPIPE from here on. */
    _onEnd(): void {
      if (!this.allowHalfOpen) (this as { write: unknown }).write = writeAfterFin;
    }

    // -- writing

    override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Done): void {
      this._writeAll([{ chunk, encoding }], done);
    }

    override _writev(chunks: Chunk[], done: Done): void {
      this._writeAll(chunks, done);
    }

    _writeAll(chunks: readonly Chunk[], done: Done): void {
      if (this.connecting) {
        this._pending = chunks;
        const onClose = (): void => done(nodeError("ERR_SOCKET_CLOSED_BEFORE_CONNECTION"));
        this.once("connect", () => {
          this.off("close", onClose);
          this._writeAll(chunks, done);
        });
        this.once("close", onClose);
        return;
      }
      this._pending = null;
      if (this.tcp === null) return done(nodeError("ERR_SOCKET_CLOSED"));
      this._unrefTimer();
      const before = this.tcp.bytesWritten;
      // several go down as one, as writev(2) sends them
      const bytes = chunks.map((c) => bytesOf(c.chunk, c.encoding));
      const all = bytes.length === 1 ? bytes[0]! : Buffer.concat(bytes);
      const error = this.tcp.write(all, (code) => this._written(code, done));
      if (error !== null) return done(errnoError(error, "write"));
      if (this.tcp.lastWriteAsync) this._lastWriteQueueSize = this.tcp.bytesWritten - before;
      else done();
    }

    _written(error: Code | null, done: Done): void {
      if (this.destroyed) return done(null);
      if (error !== null) return done(errnoError(error, "write"));
      this._unrefTimer();
      this._lastWriteQueueSize = 0;
      done(null);
    }

    /** All is written: a FIN, once there is a connection. */
    override _final(done: Done): void {
      if (this.pending) {
        this.once("connect", () => this._final(done));
        return;
      }
      const error = this.tcp!.shutdown(done);
      if (error === "ENOTCONN") done();
      else if (error !== null) done(errnoError(error, "shutdown"));
    }

    // -- the end

    destroySoon(): void {
      if (this.writable) this.end();
      if (this.writableFinished) this.destroy();
      else this.once("finish", this.destroy);
    }

    resetAndDestroy(): this {
      if (this.tcp === null) this.destroy(nodeError("ERR_SOCKET_CLOSED"));
      else if (this.connecting) this.once("connect", () => this._reset());
      else this._reset();
      return this;
    }

    _reset(): this {
      this.resetAndClosing = true;
      return this.destroy();
    }

    override _destroy(exception: Error | null, done: Done): void {
      this.connecting = false;
      this._clearTimer();
      const handle = this.tcp;
      if (handle !== null) {
        const hadError = exception !== null && exception !== undefined;
        this._bytesRead = handle.bytesRead;
        this._bytesDispatched = handle.bytesWritten;
        const closed = (): void => void this.emit("close", hadError);
        if (this.resetAndClosing) {
          this.resetAndClosing = false;
          const error = handle.reset(closed);
          if (error !== null) {
            // behind end() Node tells no 'close', and forgets a handle that still says goodbye
            handle.kill();
            this.emit("error", errnoError(error, "reset"));
          }
        } else handle.close(closed);
        this.tcp = null;
        this._sockname = null;
        done(exception);
      } else {
        done(exception);
        nextTick(() => this.emit("close"));
      }
      if (this._server !== null) {
        this._server._connections--;
        this._server._emitCloseIfDrained?.();
      }
    }
  }

  /** `write` of a socket whose peer has ended: clearer words than "write after end". */
  function writeAfterFin(this: Socket, chunk: unknown, encoding?: unknown, cb?: unknown): boolean {
    if (!this.writableEnded) {
      return (Duplex.prototype.write as (...a: unknown[]) => boolean).call(this, chunk, encoding, cb);
    }
    const done = typeof encoding === "function" ? encoding : cb;
    const e = Object.assign(new Error("This socket has been ended by the other party"), { code: "EPIPE" });
    if (typeof done === "function") nextTick(done as (e: Error) => void, e);
    this.destroy(e);
    return false;
  }

  return Socket;
}

export type SocketClass = ReturnType<typeof socketClass>;
export type Socket = InstanceType<SocketClass>;

/** An IPv4 address as a number; null for one of IPv6, which an emulated host does not have. */
export function ipv4(address: string): number | null {
  return isIP(address) === 4 ? parseIpv4(address) : null;
}
