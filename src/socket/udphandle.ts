// src/socket/udphandle.ts: a UDP socket as libuv's uv_udp_t has it: one datagram or one error a turn of the loop.

import { SocketError } from "../transport/errno.ts";
import { type Owner, Wake } from "../transport/tcp/endpoint.ts";
import type { Udp } from "../transport/udp.ts";
import type { UdpSocket } from "../transport/udpsocket.ts";
import { type AddressInfo, addressInfo } from "./addresses.ts";
import type { Code } from "./errors.ts";
import type { Killable } from "./handle.ts";
import type { Loop, Turn } from "./loop.ts";
import type { Platform, Scope } from "./platform.ts";

/** What a handle needs of its host. */
export interface UdpHost {
  readonly platform: Platform;
  readonly loop: Loop;
  readonly udp: Udp;
  readonly open: Set<Killable>;
}

export interface RemoteInfo extends AddressInfo {
  size: number;
}

/** Runs a call on the socket; its errno, or null. */
export function failure(call: () => void): Code | null {
  try {
    call();
    return null;
  } catch (e) {
    if (e instanceof SocketError) return e.code;
    throw e;
  }
}

export class UdpHandle implements Owner, Turn, Killable {
  /** null until something needs it, as libuv's file descriptor. */
  socket: UdpSocket | null = null;
  receiving = false;
  private posted = false;
  private closed = false;
  private readonly scope: Scope;

  constructor(
    private readonly host: UdpHost,
    private readonly onmessage: (bytes: Buffer, from: RemoteInfo) => void,
    private readonly onfailure: (error: Code) => void,
  ) {
    this.scope = host.platform.scope("UDPWRAP");
  }

  /** The socket, made now if it must be. */
  open(): UdpSocket {
    if (this.socket === null) {
      this.socket = this.host.udp.open(this);
      this.host.open.add(this);
    }
    return this.socket;
  }

  recvStart(): void {
    this.receiving = true;
    this.post();
  }

  wake(what: number): void {
    if ((what & (Wake.Readable | Wake.Error)) !== 0) this.post();
  }

  private post(): void {
    if (this.posted || this.closed || !this.receiving) return;
    this.posted = true;
    this.host.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    const { socket } = this;
    if (this.closed || !this.receiving || socket === null) return;
    if (socket.error === null && socket.nextLength < 0) return;
    let bytes: Buffer | null = null;
    const error = failure(() => {
      bytes = this.host.platform.Buffer.allocUnsafeSlow(Math.max(0, socket.nextLength));
      socket.receive(bytes);
    });
    // the next one has a turn of its own
    if (socket.error !== null || socket.nextLength >= 0) this.post();
    if (error !== null) {
      // an unconnected socket's pending error is nobody's: libuv hears of it with recvmsg all the same
      this.scope(this.onfailure, undefined, error);
      return;
    }
    const { address, port } = socket.arrival;
    this.scope(this.onmessage, undefined, bytes!, { ...addressInfo(address, port), size: bytes!.length });
  }

  close(): void {
    this.closed = true;
    this.receiving = false;
    if (this.socket === null) return;
    this.host.open.delete(this);
    this.socket.close();
  }

  kill(): void {
    this.close();
  }
}
