// src/docker/proxy.ts: docker-proxy: a program on the host that listens on a published port and passes on what comes to the
// container. Packets from outside do not meet it (nat DOCKER translates them before); the host's own to 127.0.0.1 and those
// of containers on the same network do.

import type { Namespace } from "../host/namespace.ts";
import type { Timer } from "../link/clock.ts";
import { SocketError } from "../transport/errno.ts";
import type { Endpoint, Listener } from "../transport/tcp/endpoint.ts";
import type { UdpSocket } from "../transport/udpsocket.ts";
import { tcpOf, udpOf } from "./transports.ts";

/** A client that says nothing for so long is forgotten. */
const UDP_IDLE = 90_000_000_000;
const BACKLOG = 4096;
const buffer = new Uint8Array(65536);

/** What stands on the host's port. */
export interface Proxy {
  close(): void;
}

export class TcpProxy implements Proxy {
  private readonly listener: Listener;
  private readonly relays = new Set<Relay>();

  /** Listens at once. @throws SocketError */
  constructor(
    readonly ns: Namespace,
    address: number,
    port: number,
    readonly target: number,
    readonly targetPort: number,
  ) {
    this.listener = tcpOf(ns).listen(address, port, BACKLOG, { wake: () => this.accept() }, { reuseAddress: true });
  }

  private accept(): void {
    for (let c = this.listener.accept(); c !== null; c = this.listener.accept()) {
      const relay = new Relay(this, c, (r) => this.relays.delete(r));
      this.relays.add(relay);
      relay.start();
    }
  }

  close(): void {
    this.listener.close();
    for (const r of this.relays) r.abort();
  }
}

/** Two connections, each fed with what the other one reads. */
class Relay {
  private back: Endpoint | null = null;
  private readonly ended = [false, false];
  private over = false;

  constructor(
    private readonly proxy: TcpProxy,
    private readonly front: Endpoint,
    private readonly done: (relay: Relay) => void,
  ) {}

  start(): void {
    const owner = { wake: () => this.pump() };
    try {
      this.back = tcpOf(this.proxy.ns).connect(this.proxy.target, this.proxy.targetPort, owner);
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      return this.close();
    }
    this.front.owner = owner;
  }

  private pump(): void {
    const { front, back } = this;
    if (this.over || back === null) return;
    // the container refused, or either side was reset
    if (front.error !== null) return this.abort();
    if (back.error !== null) return back.stateName === "CLOSED" && this.ended[1] !== true ? this.close() : this.abort();
    if (back.stateName === "SYN-SENT") return;
    try {
      this.copy(front, back, 0);
      this.copy(back, front, 1);
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      return this.abort();
    }
    if (this.ended[0] && this.ended[1]) this.close();
  }

  private copy(from: Endpoint, to: Endpoint, way: 0 | 1): void {
    if (this.ended[way]) return;
    while (from.readable > 0 && to.writable > 0) {
      const n = from.read(buffer.subarray(0, Math.min(buffer.length, to.writable)));
      if (n === 0) break;
      to.write(buffer, 0, n);
    }
    if (!from.readEnded || from.readable > 0) return;
    this.ended[way] = true;
    to.shutdownWrite();
  }

  private close(): void {
    if (this.over) return;
    this.over = true;
    this.front.close();
    this.back?.close();
    this.done(this);
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.front.abort();
    this.back?.abort();
    this.done(this);
  }
}

export class UdpProxy implements Proxy {
  private readonly socket: UdpSocket;
  /** The way to the container, by the client's address and port and where it sent to. */
  private readonly clients = new Map<string, { socket: UdpSocket; timer: Timer }>();

  /** Listens at once. @throws SocketError */
  constructor(
    readonly ns: Namespace,
    address: number,
    port: number,
    readonly target: number,
    readonly targetPort: number,
  ) {
    this.socket = udpOf(ns).open({ wake: () => this.receive() });
    this.socket.bind(address, port);
  }

  private receive(): void {
    for (let n = take(this.socket); n >= 0; n = take(this.socket)) {
      const { address, port, target } = this.socket.arrival;
      const client = this.client(address, port, target);
      if (client !== null) quietly(() => client.send(buffer, 0, n));
    }
  }

  /** `target`: which of the host's addresses the client sent to. */
  private client(address: number, port: number, target: number): UdpSocket | null {
    const { clock } = this.ns.world;
    const key = `${address}:${port}:${target}`;
    const known = this.clients.get(key);
    if (known !== undefined) {
      clock.arm(known.timer, clock.now + UDP_IDLE);
      return known.socket;
    }
    const socket = udpOf(this.ns).open({ wake: () => this.answer(socket, address, port, target) });
    if (!quietly(() => socket.connect(this.target, this.targetPort))) return null;
    const timer = clock.timer(() => {
      socket.close();
      this.clients.delete(key);
    });
    clock.arm(timer, clock.now + UDP_IDLE);
    this.clients.set(key, { socket, timer });
    return socket;
  }

  /** Answers come from where the client sent to (IP_PKTINFO). */
  private answer(from: UdpSocket, address: number, port: number, target: number): void {
    const { socket } = this;
    const bound = socket.localAddress;
    if (bound === 0) socket.localAddress = target;
    for (let n = take(from); n >= 0; n = take(from)) quietly(() => socket.send(buffer, 0, n, address, port));
    socket.localAddress = bound;
  }

  close(): void {
    this.socket.close();
    for (const { socket, timer } of this.clients.values()) {
      this.ns.world.clock.cancel(timer);
      socket.close();
    }
    this.clients.clear();
  }
}

/** The next datagram into `buffer`; -1 when there is none. What ICMP said before is passed over. */
function take(socket: UdpSocket): number {
  for (;;) {
    try {
      return socket.receive(buffer);
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
    }
  }
}

/** Whether it went well: a datagram that cannot go is lost, as datagrams are. */
function quietly(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (e) {
    if (!(e instanceof SocketError)) throw e;
    return false;
  }
}
