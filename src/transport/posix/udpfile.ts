// src/transport/posix/udpfile.ts: a SOCK_DGRAM socket behind a descriptor.

import { SocketError } from "../errno.ts";
import type { Udp } from "../udp.ts";
import type { UdpSocket } from "../udpsocket.ts";
import {
  type Attempt,
  File,
  type Level,
  type MessageFlags,
  type OptionValue,
  type Outcome,
  type Payload,
  Poll,
  type Wakes,
  fail,
  ok,
} from "./file.ts";
import { integer, lowWater, setBuffer } from "./options.ts";

const nothing = new Uint8Array(0);
/** Bytes of a datagram that an IPv4 packet holds. */
const longest = 65507;

export class UdpFile extends File {
  private readonly socket: UdpSocket;
  private linger: readonly [number, number] = [0, 0];
  private receiveTos = 0;
  /** Options that are kept and change nothing. */
  private readonly plain = new Map<string, number>();
  private corked: { readonly address: number; readonly port: number; bytes: Uint8Array } | null = null;

  constructor(wakes: Wakes, udp: Udp) {
    super(wakes);
    this.socket = udp.open(this);
  }

  bind(address: number, port: number): Outcome {
    this.socket.bind(address, port);
    return ok();
  }

  listen(): Outcome {
    return fail("EOPNOTSUPP");
  }

  accept(): Attempt {
    return () => fail("EOPNOTSUPP");
  }

  connect(address: number, port: number): Attempt {
    return () => {
      this.socket.connect(address, port);
      return ok();
    };
  }

  send(payload: Payload, flags: MessageFlags, address: number, port: number): Attempt {
    return () => {
      if (payload.length > 0xffff) return fail("EMSGSIZE");
      if (flags.outOfBand === true) return fail("EOPNOTSUPP");
      if (flags.more === true || this.corked !== null) return this.append(payload, flags, address, port);
      return ok(this.socket.send(payload.bytes, 0, payload.length, address, port));
    };
  }

  /** MSG_MORE: datagrams that become one, sent to where the first was for. */
  private append({ bytes, length }: Payload, flags: MessageFlags, address: number, port: number): Outcome {
    const { socket } = this;
    if (this.corked === null) {
      // what cannot begin fails as any datagram does, and has a port from then on
      const lost = port === -1 ? !socket.isConnected : port === 0;
      if (lost || socket.writeEnded) return ok(socket.send(bytes, 0, length, address, port));
      this.corked = { address, port, bytes: nothing };
    }
    const pending = socket.takeError();
    if (pending !== null) {
      this.corked = null;
      return fail(pending);
    }
    const before = this.corked.bytes;
    if (before.length + length > longest) {
      this.corked = null;
      return fail("EMSGSIZE");
    }
    const all = new Uint8Array(before.length + length);
    all.set(before);
    if (bytes !== null) all.set(bytes.subarray(0, length), before.length);
    this.corked.bytes = all;
    if (flags.more === true) return ok(length);
    const { address: to, port: at } = this.corked;
    this.corked = null;
    socket.send(all, 0, all.length, to, at);
    return ok(length);
  }

  receive(length: number, flags: MessageFlags): Attempt {
    const { socket } = this;
    return () => {
      if (flags.errorQueue === true) return this.queuedError(length, flags);
      const next = socket.nextLength;
      const room = next > 0 ? new Uint8Array(Math.min(next, length)) : nothing;
      const whole = socket.receive(room, flags.peek === true);
      if (whole < 0) return socket.readEnded && !this.mayNotWait(flags) ? { ret: 0, data: nothing } : null;
      const { address, port } = socket.arrival;
      return { ret: flags.truncate === true ? whole : room.length, data: room, address, port };
    };
  }

  private mayNotWait(flags: MessageFlags): boolean {
    return this.nonblocking || flags.dontWait === true;
  }

  private queuedError(length: number, flags: MessageFlags): Outcome {
    const e = this.socket.takeQueuedError();
    // the error queue is never waited for
    if (e === null) return fail("EAGAIN");
    const data = e.data.subarray(0, length);
    const { address, port } = e;
    return { ret: flags.truncate === true ? e.data.length : data.length, data, address, port };
  }

  shutdown(how: number): Outcome {
    this.socket.shutdown(how);
    return ok();
  }

  close(): Attempt {
    this.socket.close();
    return () => ok();
  }

  /** datagram_poll */
  poll(): number {
    const { socket } = this;
    let bits: number = Poll.Out | Poll.WrNorm | Poll.WrBand;
    if (socket.nextLength >= 0) bits |= Poll.In | Poll.RdNorm;
    if (socket.readEnded) bits |= Poll.In | Poll.RdNorm | Poll.RdHup;
    if (socket.readEnded && socket.writeEnded) bits |= Poll.Hup;
    if (socket.error !== null || socket.queuedErrors > 0) bits |= Poll.Err;
    return bits;
  }

  getOption(level: Level, name: string): OptionValue {
    const { socket } = this;
    switch (name) {
      case "SO_ERROR":
        return socket.takeError() ?? 0;
      case "SO_TYPE":
        return 2;
      case "SO_PROTOCOL":
        return 17;
      case "SO_DOMAIN":
        return 2;
      case "SO_ACCEPTCONN":
        return 0;
      case "SO_REUSEADDR":
        return Number(socket.reuseAddress);
      case "SO_REUSEPORT":
        return Number(socket.reusePort);
      case "SO_BROADCAST":
        return Number(socket.broadcast);
      case "SO_RCVBUF":
        return socket.receiveBuffer;
      case "SO_SNDBUF":
        return socket.sendBuffer;
      case "SO_LINGER":
        return this.linger;
      case "SO_KEEPALIVE":
      case "SO_OOBINLINE":
      case "SO_TIMESTAMP":
      case "SO_PRIORITY":
        return this.plain.get(name) ?? 0;
      case "SO_RCVLOWAT":
        return this.plain.get(name) ?? 1;
      case "SIOCINQ":
      case "FIONREAD":
        return Math.max(socket.nextLength, 0);
      case "SIOCOUTQ":
      case "TIOCOUTQ":
        return 0;
      case "IP_TOS":
        return socket.tos;
      case "IP_TTL":
        return socket.effectiveTtl;
      case "IP_MTU_DISCOVER":
        return socket.pmtuDiscovery;
      case "IP_MTU":
        return socket.mtu;
      case "IP_RECVERR":
        return Number(socket.receiveErrors);
      case "IP_RECVTOS":
        return this.receiveTos;
      case "IP_MULTICAST_TTL":
        return socket.multicastTtl;
      case "IP_MULTICAST_ALL":
        return Number(socket.hearsAll);
      case "SIOCATMARK":
        throw new SocketError("ENOTTY");
      default:
        throw new SocketError(level === "tcp" ? "EOPNOTSUPP" : "ENOPROTOOPT");
    }
  }

  setOption(_level: Level, name: string, value: OptionValue): void {
    const { socket } = this;
    if (name === "SO_LINGER") {
      if (!Array.isArray(value)) throw new SocketError("EINVAL");
      this.linger = value as unknown as readonly [number, number];
      return;
    }
    const v = integer(value);
    switch (name) {
      case "SO_REUSEADDR":
        socket.reuseAddress = v !== 0;
        return;
      case "SO_REUSEPORT":
        socket.reusePort = v !== 0;
        return;
      case "SO_BROADCAST":
        socket.broadcast = v !== 0;
        return;
      case "SO_RCVBUF":
        return socket.setReceiveBuffer(setBuffer(v));
      case "SO_SNDBUF":
        return socket.setSendBuffer(setBuffer(v));
      case "SO_KEEPALIVE":
      case "SO_OOBINLINE":
      case "SO_TIMESTAMP":
        this.plain.set(name, Number(v !== 0));
        return;
      case "SO_PRIORITY":
        this.plain.set(name, v);
        return;
      case "SO_RCVLOWAT":
        this.plain.set(name, lowWater(v));
        return;
      case "IP_TOS":
        socket.tos = v & 255;
        return;
      case "IP_TTL":
        if (v !== -1 && (v < 1 || v > 255)) throw new SocketError("EINVAL");
        socket.ttl = v === -1 ? 0 : v;
        return;
      case "IP_MTU_DISCOVER":
        if (v < 0 || v > 5) throw new SocketError("EINVAL");
        socket.pmtuDiscovery = v;
        return;
      case "IP_RECVERR":
        socket.receiveErrors = v !== 0;
        return;
      case "IP_RECVTOS":
        this.receiveTos = v;
        return;
      case "IP_MULTICAST_TTL":
        if (v < -1 || v > 255) throw new SocketError("EINVAL");
        socket.multicastTtl = v === -1 ? 1 : v;
        return;
      case "IP_MULTICAST_ALL":
        if (v !== 0 && v !== 1) throw new SocketError("EINVAL");
        socket.hearsAll = v === 1;
        return;
      default:
        throw new SocketError("ENOPROTOOPT");
    }
  }
}
