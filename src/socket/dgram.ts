// src/socket/dgram.ts: a host's `dgram`: Node's own module, over the host's UDP.

import { parseIpv4 } from "../core/address.ts";
import type { Interface } from "../link/interface.ts";
import { type AddressInfo, addressInfo } from "./addresses.ts";
import type { LookupCallback, Lookup } from "./dns.ts";
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
  uvNumber,
} from "./errors.ts";
import type { Platform } from "./platform.ts";
import { failure, UdpHandle, type UdpHost } from "./udphandle.ts";

export interface DgramHost extends UdpHost {
  readonly lookup: Lookup;
}

export interface DgramOptions {
  type: "udp4" | "udp6";
  reuseAddr?: boolean;
  reusePort?: boolean;
  ipv6Only?: boolean;
  recvBufferSize?: number;
  sendBufferSize?: number;
  lookup?: Lookup;
  signal?: AbortSignal;
}

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

  return class Socket extends platform.EventEmitter {
    readonly type: "udp4" | "udp6";
    readonly host: DgramHost;
    _handle: UdpHandle | null;
    _bindState: "unbound" | "binding" | "bound" = "unbound";
    _connectState: "disconnected" | "connecting" | "connected" = "disconnected";
    _queue: (() => void)[] | null = null;
    readonly _options: Partial<DgramOptions>;
    readonly _find: (address: string, callback: LookupCallback) => void;

    constructor(type: unknown, listener: unknown, host: DgramHost) {
      super();
      const options: Partial<DgramOptions> =
        typeof type === "object" && type !== null ? type : { type: type as "udp4" };
      for (const name of ["recvBufferSize", "sendBufferSize"] as const) {
        const size = options[name];
        if (size) checkUint32(size, `options.${name}`);
      }
      if (options.lookup !== undefined) checkFunction(options.lookup, "lookup");
      if (options.type !== "udp4" && options.type !== "udp6") throw nodeError("ERR_SOCKET_BAD_TYPE");
      this.type = options.type;
      this.host = host;
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

    _running(): UdpHandle {
      if (this._handle === null) throw nodeError("ERR_SOCKET_DGRAM_NOT_RUNNING");
      return this._handle;
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

    // -- names and options

    address(): AddressInfo {
      const { socket } = this._running();
      if (socket === null) throw errnoError("EBADF", "getsockname");
      return addressInfo(socket.localAddress, socket.localPort);
    }

    remoteAddress(): AddressInfo {
      const { socket } = this._running();
      if (this._connectState !== "connected") throw nodeError("ERR_SOCKET_DGRAM_NOT_CONNECTED");
      return addressInfo(socket!.remoteAddress, socket!.remotePort);
    }

    /** Runs an option's call on the socket, which must be bound. */
    _set(syscall: string, call: (socket: NonNullable<UdpHandle["socket"]>) => void): void {
      const { socket } = this._running();
      const code = socket === null ? "EBADF" : failure(() => call(socket));
      if (code !== null) throw errnoError(code, syscall);
    }

    setBroadcast(on: boolean): void {
      this._set("setBroadcast", (s) => (s.broadcast = Boolean(on)));
    }

    setTTL(ttl: number): number {
      checkNumber(ttl, "ttl");
      this._set("setTTL", (s) => (s.ttl = oneTo255(ttl, "setTTL")));
      return ttl;
    }

    setMulticastTTL(ttl: number): number {
      checkNumber(ttl, "ttl");
      this._set("setMulticastTTL", (s) => (s.multicastTtl = oneTo255(ttl, "setMulticastTTL")));
      return ttl;
    }

    /** What a host sends to a group that it joined itself comes back to it: there is no way to turn that off here. */
    setMulticastLoopback(on: boolean): boolean {
      this._set("setMulticastLoopback", () => undefined);
      return on;
    }

    setMulticastInterface(address: string): void {
      this._running();
      checkString(address, "interfaceAddress");
      this._set("setMulticastInterface", (s) => {
        const dev = this._device(address, "setMulticastInterface");
        s.multicastDevice = dev.ifindex;
        s.multicastAddress = parseIpv4(address)!;
      });
    }

    addMembership(group: string, address?: string): void {
      this._membership("addMembership", group, address);
    }

    dropMembership(group: string, address?: string): void {
      this._membership("dropMembership", group, address);
    }

    _membership(syscall: "addMembership" | "dropMembership", group: string, address?: string): void {
      const handle = this._running();
      if (!group) {
        throw nodeError("ERR_MISSING_ARGS", 'The "multicastAddress" argument must be specified', TypeError);
      }
      const at = parseIpv4(group);
      if (at === null) throw errnoError("EINVAL", syscall);
      // libuv binds what is not bound yet
      const socket = handle.open();
      const code = failure(() => {
        if (socket.localPort === 0) socket.bind(0, 0);
        const dev = this._device(address, syscall, at);
        if (syscall === "addMembership") socket.join(at, dev);
        else socket.leave(at, dev);
      });
      if (code !== null) throw errnoError(code, syscall);
      if (this._bindState === "unbound") {
        this._bindState = "bound";
        handle.recvStart();
      }
    }

    /** The device that an address belongs to, or that the group is reached by. */
    _device(address: string | undefined, syscall: string, group = 0): Interface {
      const { ns } = this.host.udp;
      const at = address === undefined ? 0 : parseIpv4(address);
      if (at === null) throw errnoError("EINVAL", syscall);
      const found =
        at !== 0
          ? ns.interfaces.find((dev) => ns.fib.addresses(dev).some((a) => a.local === at))
          : ns.interfaces.find((dev) => dev.kind !== "loopback" && dev.up && group !== 0);
      if (found === undefined) throw errnoError("ENODEV", syscall);
      return found;
    }

    getRecvBufferSize(): number {
      return this._buffer("uv_recv_buffer_size").receiveBuffer;
    }

    getSendBufferSize(): number {
      return this._buffer("uv_send_buffer_size").sendBuffer;
    }

    setRecvBufferSize(size: number): void {
      if (size >>> 0 !== size) throw nodeError("ERR_SOCKET_BAD_BUFFER_SIZE");
      this._buffer("uv_recv_buffer_size").setReceiveBuffer(size);
    }

    setSendBufferSize(size: number): void {
      if (size >>> 0 !== size) throw nodeError("ERR_SOCKET_BAD_BUFFER_SIZE");
      this._buffer("uv_send_buffer_size").setSendBuffer(size);
    }

    _buffer(syscall: string): NonNullable<UdpHandle["socket"]> {
      const { socket } = this._running();
      if (socket !== null) return socket;
      const message = `Could not get or set buffer size: ${syscall} returned EBADF (bad file descriptor)`;
      const info = { errno: uvNumber("EBADF"), code: "EBADF", message: "bad file descriptor", syscall };
      const e = nodeError("ERR_SOCKET_BUFFER_SIZE", message);
      Object.defineProperty(e, "name", { value: "SystemError", configurable: true, writable: true });
      throw Object.assign(e, { info, errno: info.errno, syscall });
    }

    getSendQueueSize(): number {
      return 0;
    }

    getSendQueueCount(): number {
      return 0;
    }

    /** There is no process that a socket would keep alive. */
    ref(): this {
      return this;
    }

    unref(): this {
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

function oneTo255(ttl: number, syscall: string): number {
  if (ttl < 1 || ttl > 255) throw errnoError("EINVAL", syscall);
  return Math.trunc(ttl);
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
