// src/socket/dgrambase.ts: what of dgram.Socket is about the socket itself: its names, its options, its groups.

import { parseIpv4 } from "../core/address.ts";
import type { Interface } from "../link/interface.ts";
import { type AddressInfo, addressInfo } from "./addresses.ts";
import type { Lookup } from "./dns.ts";
import { checkNumber, checkString, errnoError, nodeError, uvNumber } from "./errors.ts";
import type { Platform } from "./platform.ts";
import { failure, type UdpHandle, type UdpHost } from "./udphandle.ts";

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

/** The class that a platform's datagram Socket builds upon: it does not send yet. */
export function dgramBase(platform: Platform) {
  return class DgramBase extends platform.EventEmitter {
    readonly host: DgramHost;
    /** null once closed. */
    _handle: UdpHandle | null = null;
    _bindState: "unbound" | "binding" | "bound" = "unbound";
    _connectState: "disconnected" | "connecting" | "connected" = "disconnected";

    constructor(host: DgramHost) {
      super();
      this.host = host;
    }

    _running(): UdpHandle {
      if (this._handle === null) throw nodeError("ERR_SOCKET_DGRAM_NOT_RUNNING");
      return this._handle;
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

function oneTo255(ttl: number, syscall: string): number {
  if (ttl < 1 || ttl > 255) throw errnoError("EINVAL", syscall);
  return Math.trunc(ttl);
}
