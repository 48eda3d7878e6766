// src/socket/dgram.ts: a host's `dgram`: Node's own module, over the host's UDP.

import { parseIpv4 } from "../core/address.ts";
import { type DgramHost, type DgramOptions, dgramBase } from "./dgrambase.ts";
import type { LookupCallback } from "./dns.ts";
import {
  argType,
  type Code,
  checkFunction,
  checkNumber,
  checkPort,
  checkSignal,
  checkString,
  errnoError,
  hostPortError,
  nodeError,
  outOfRange,
} from "./errors.ts";
import type { Platform } from "./platform.ts";
import { failure, UdpHandle } from "./udphandle.ts";

export type { DgramHost, DgramOptions } from "./dgrambase.ts";

type SendCallback = (error: Error | null, bytes?: number) => void;
type Data = string | ArrayBufferView;

/** The class of a platform's datagram sockets; the host is given to each. */
export function dgramSocketClass(platform: Platform) {
  const { Buffer, nextTick } = platform;

  const bytesOf = (data: unknown, name = "buffer"): Buffer => {
    if (typeof data === "string") return Buffer.from(data);
    if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    throw argType(name, "of type string or an instance of Buffer, TypedArray, or DataView", data);
  };

  return class Socket extends dgramBase(platform) {
    readonly type: "udp4" | "udp6";
    _queue: (() => void)[] | null = null;
    readonly _options: Partial<DgramOptions>;
    readonly _find: (address: string, callback: LookupCallback) => void;

    constructor(type: unknown, listener: unknown, host: DgramHost) {
      super(host);
      const options: Partial<DgramOptions> =
        typeof type === "object" && type !== null ? type : { type: type as "udp4" };
      for (const name of ["recvBufferSize", "sendBufferSize"] as const) {
        const size = options[name];
        if (size) checkUint32(size, `options.${name}`);
      }
      if (options.lookup !== undefined) checkFunction(options.lookup, "lookup");
      if (options.type !== "udp4" && options.type !== "udp6") throw nodeError("ERR_SOCKET_BAD_TYPE");
      this.type = options.type;
      this._options = options;
      const lookup = options.lookup ?? host.lookup;
      const [family, local] = this.type === "udp4" ? ([4, "127.0.0.1"] as const) : ([6, "::1"] as const);
      // as Node calls it: with the family alone
      this._find = (address, callback) => lookup(address || local, family as never, callback);
      this._handle = new UdpHandle(
        host,
        (bytes, from) => this.emit("message", bytes, from),
        (code) => this.emit("error", errnoError(code, "recvmsg")),
      );
      if (typeof listener === "function") this.on("message", listener as () => void);
      if (options.signal !== undefined) this._closeOn(options.signal);
    }

    _closeOn(signal: AbortSignal): void {
      checkSignal(signal, "options.signal");
      const onAbort = (): void => {
        if (this._handle !== null) this.close();
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      this.once("close", () => signal.removeEventListener("abort", onAbort));
    }

    // -- bind

    /** `([port][, address][, callback])`, `(options[, callback])` */
    bind(...args: unknown[]): this {
      this._running();
      if (this._bindState !== "unbound") throw nodeError("ERR_SOCKET_ALREADY_BOUND");
      this._bindState = "binding";
      const cb = args.at(-1);
      if (typeof cb === "function") this._whenListening(cb as () => void);
      let [port, address] = args as [unknown, string | undefined];
      if (typeof port === "object" && port !== null) {
        ({ port, address } = port as { port?: number; address?: string });
      } else if (typeof address === "function") address = undefined;
      this._find(address || (this.type === "udp4" ? "0.0.0.0" : "::"), (error, ip) => {
        if (this._handle === null) return;
        if (error) {
          this._bindState = "unbound";
          this.emit("error", error);
          return;
        }
        this._bound(ip as string, port as number | undefined);
      });
      return this;
    }

    _whenListening(cb: () => void): void {
      const remove = (): void => {
        this.removeListener("error", remove);
        this.removeListener("listening", onListening);
      };
      const onListening = (): void => {
        remove();
        cb.call(this);
      };
      this.on("error", remove);
      this.on("listening", onListening);
    }

    _bound(ip: string, port: number | undefined): void {
      const at = parseIpv4(ip);
      const code: Code | null =
        at === null
          ? "EAFNOSUPPORT"
          : failure(() => {
              const socket = this._running().open();
              socket.reuseAddress = this._options.reuseAddr === true;
              socket.reusePort = this._options.reusePort === true;
              socket.bind(at, Number(port) || 0);
            });
      if (code !== null) {
        this._bindState = "unbound";
        this.emit("error", hostPortError(code, "bind", ip, port));
        return;
      }
      this._bindState = "bound";
      const { recvBufferSize, sendBufferSize } = this._options;
      this._running().recvStart();
      if (recvBufferSize) this.setRecvBufferSize(recvBufferSize);
      if (sendBufferSize) this.setSendBufferSize(sendBufferSize);
      this.emit("listening");
    }

    /** Kept until the socket is bound; forgotten where it cannot be. */
    _enqueue(what: () => void): void {
      if (this._queue === null) {
        this._queue = [];
        const onError = (): void => {
          this.removeListener("listening", onListening);
          this._queue = null;
        };
        const onListening = (): void => {
          this.removeListener(platform.errorMonitor, onError);
          const queue = this._queue ?? [];
          this._queue = null;
          for (const entry of queue) entry();
        };
        this.once(platform.errorMonitor, onError);
        this.once("listening", onListening);
      }
      this._queue.push(what);
    }

    // -- connect

    connect(port: unknown, address?: unknown, callback?: unknown): void {
      const to = checkPort(port, "Port", false);
      const cb = (typeof address === "function" ? address : callback) as SendCallback | undefined;
      const where = typeof address === "function" || address === undefined ? "" : address;
      checkString(where, "address");
      if (this._connectState !== "disconnected") throw nodeError("ERR_SOCKET_DGRAM_IS_CONNECTED");
      this._connectState = "connecting";
      if (this._bindState === "unbound") this.bind({ port: 0 });
      const go = (): void => {
        if (cb) this.once("connect", cb);
        this._find(where as string, (error, ip) => this._connect(error, ip as string, where as string, to, cb));
      };
      if (this._bindState !== "bound") this._enqueue(go);
      else go();
    }

    _connect(error: Error | null, ip: string, address: string, port: number, cb: SendCallback | undefined): void {
      if (this._handle === null) return;
      let e = error;
      if (e === null) {
        const code = failure(() => this._running().open().connect(parseIpv4(ip)!, port));
        if (code !== null) e = hostPortError(code, "connect", address, port);
      }
      if (e === null) {
        this._connectState = "connected";
        nextTick(() => void this.emit("connect"));
        return;
      }
      const failed = e;
      this._connectState = "disconnected";
      nextTick(() => {
        if (cb === undefined) return void this.emit("error", failed);
        this.removeListener("connect", cb);
        cb(failed);
      });
    }

    disconnect(): void {
      if (this._connectState !== "connected") throw nodeError("ERR_SOCKET_DGRAM_NOT_CONNECTED");
      this._running().open().disconnect();
      this._connectState = "disconnected";
    }

    // -- send

    /**
     * `(msg[, offset, length][, port][, address][, callback])`: a string, bytes, or a list of them; without port and
     * address where the socket is connected.
     */
    send(...args: unknown[]): void {
      let [data, offset, length, port, address, callback] = args;
      const connected = this._connectState === "connected";
      if (!connected) {
        if (address || (port && typeof port !== "function")) data = slice(bytesOf(data), offset, length);
        else [callback, port, address] = [port, offset, length];
      } else {
        if (typeof length === "number") {
          data = slice(bytesOf(data), offset, length);
          if (typeof port === "function") [callback, port] = [port, null];
        } else callback = offset;
        if ((port && typeof port !== "function") || address) throw nodeError("ERR_SOCKET_DGRAM_IS_CONNECTED");
      }
      const list = Array.isArray(data) ? (data as Data[]).map((d) => listed(d, data, bytesOf)) : [bytesOf(data)];
      const to = connected ? 0 : checkPort(port, "Port", false);
      if (typeof address === "function") [callback, address] = [address, undefined];
      else if (address !== undefined && address !== null) checkString(address, "address");
      const cb = typeof callback === "function" ? (callback as SendCallback) : undefined;
      this._running();
      if (this._bindState === "unbound") this.bind({ port: 0 });
      const bytes = list.length === 1 ? list[0]! : Buffer.concat(list);
      const go = (): void => {
        if (connected) this._send(null, null, bytes, undefined, -1, cb);
        else {
          const where = address as string | undefined;
          this._find(where ?? "", (error, ip) => this._send(error, ip as string, bytes, where, to, cb));
        }
      };
      if (this._bindState !== "bound") this._enqueue(go);
      else go();
    }

    _send(
      error: Error | null,
      ip: string | null,
      bytes: Buffer,
      address: string | undefined,
      port: number,
      cb: SendCallback | undefined,
    ): void {
      if (error !== null) return nextTick(() => void (cb === undefined ? this.emit("error", error) : cb(error)));
      if (this._handle === null) return;
      const socket = this._handle.open();
      const code = failure(() => socket.send(bytes, 0, bytes.length, ip === null ? 0 : parseIpv4(ip)!, port));
      if (cb === undefined) return;
      if (code === null) nextTick(cb, null, bytes.length);
      else nextTick(cb, hostPortError(code, "send", address, port > 0 ? port : undefined));
    }

    sendto(data: Data, offset: number, length: number, port: number, address: string, callback?: SendCallback): void {
      checkNumber(offset, "offset");
      checkNumber(length, "length");
      checkNumber(port, "port");
      checkString(address, "address");
      this.send(data, offset, length, port, address, callback);
    }

    // -- the end

    close(callback?: () => void): this {
      if (typeof callback === "function") this.on("close", callback);
      if (this._queue !== null) {
        this._queue.push(() => this.close());
        return this;
      }
      this._running().close();
      this._handle = null;
      nextTick(() => void this.emit("close"));
      return this;
    }
  };
}

export type DgramSocketClass = ReturnType<typeof dgramSocketClass>;

function slice(bytes: Buffer, offset: unknown, length: unknown): Buffer {
  const from = Number(offset) >>> 0;
  const n = Number(length) >>> 0;
  if (from > bytes.byteLength) throw bounds("offset");
  if (from + n > bytes.byteLength) throw bounds("length");
  return bytes.subarray(from, from + n);
}

function bounds(name: string): Error {
  return nodeError("ERR_BUFFER_OUT_OF_BOUNDS", `"${name}" is outside of buffer bounds`, RangeError);
}

/** One of a list of pieces; the message is about the list. */
function listed(piece: unknown, list: unknown, bytesOf: (d: unknown) => Buffer): Buffer {
  if (typeof piece === "string" || ArrayBuffer.isView(piece)) return bytesOf(piece);
  throw argType("buffer list arguments", "of type string or an instance of Buffer, TypedArray, or DataView", list);
}

function checkUint32(value: unknown, name: string): void {
  checkNumber(value, name);
  const n = value as number;
  if (!Number.isInteger(n)) throw outOfRange(name, "an integer", n);
  if (n < 0 || n > 0xffffffff) throw outOfRange(name, ">= 0 && <= 4294967295", n);
}

const classes = new WeakMap<Platform, DgramSocketClass>();

/** What `import dgram from "node:dgram"` is, for programs on this host. */
export function makeDgram(host: DgramHost) {
  let Base = classes.get(host.platform);
  if (Base === undefined) classes.set(host.platform, (Base = dgramSocketClass(host.platform)));

  class Socket extends Base {
    constructor(type?: unknown, listener?: unknown) {
      super(type, listener, host);
    }
  }

  return { Socket, createSocket: (type?: unknown, listener?: unknown) => new Socket(type, listener) };
}

export type Dgram = ReturnType<typeof makeDgram>;
