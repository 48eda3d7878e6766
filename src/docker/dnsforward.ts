// src/docker/dnsforward.ts: a question that no container answers, passed on to name servers outside, one after the other.

import type { Namespace } from "../host/namespace.ts";
import type { Timer } from "../link/clock.ts";
import { SocketError } from "../transport/errno.ts";
import type { Endpoint } from "../transport/tcp/endpoint.ts";
import type { UdpSocket } from "../transport/udpsocket.ts";
import { tcpOf, udpOf } from "./transports.ts";

const PORT = 53;
/** What one server has for its answer, in nanoseconds (dockerd's extIOTimeout). */
const PATIENCE = 4_000_000_000;
const SERVFAIL = 2;
const buffer = new Uint8Array(65535);

export class Forward {
  private turn = -1;
  private socket: UdpSocket | null = null;
  private stream: Endpoint | null = null;
  private timer: Timer | null = null;
  private over = false;
  /** An answer that says no: given when nobody has a better one. */
  private worst: Uint8Array | null = null;

  /** `from`: whose socket asks a server. `done` hears the answer, or null when none came. */
  constructor(
    private readonly query: Uint8Array,
    private readonly servers: readonly number[],
    private readonly overTcp: boolean,
    private readonly from: (server: number) => Namespace,
    private readonly done: (answer: Uint8Array | null) => void,
  ) {}

  start(): void {
    this.next();
  }

  cancel(): void {
    this.over = true;
    this.close();
  }

  private next(): void {
    this.close();
    this.turn++;
    const server = this.servers[this.turn];
    if (server === undefined) return this.finish(this.worst);
    const ns = this.from(server);
    this.timer = ns.world.clock.after(PATIENCE, () => this.next());
    try {
      if (this.overTcp) this.askStream(ns, server);
      else {
        const socket = udpOf(ns).open({ wake: () => this.receive(socket) });
        this.socket = socket;
        socket.connect(server, PORT);
        socket.send(this.query, 0, this.query.length);
      }
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      this.next();
    }
  }

  private receive(socket: UdpSocket): void {
    if (this.over || socket !== this.socket) return;
    let n;
    try {
      n = socket.receive(buffer);
    } catch (e) {
      // refused
      if (e instanceof SocketError) return this.next();
      throw e;
    }
    if (n >= 0) this.take(buffer.slice(0, n));
  }

  private askStream(ns: Namespace, server: number): void {
    let held = new Uint8Array(0);
    let asked = false;
    const stream = tcpOf(ns).connect(server, PORT, {
      wake: () => {
        if (this.over || this.stream !== stream) return;
        if (stream.error !== null) return this.next();
        if (!asked && stream.stateName === "ESTABLISHED") {
          asked = true;
          stream.write(Uint8Array.of(this.query.length >> 8, this.query.length & 255));
          stream.write(this.query);
        }
        while (stream.readable > 0) {
          const n = stream.read(buffer);
          const joined = new Uint8Array(held.length + n);
          joined.set(held);
          joined.set(buffer.subarray(0, n), held.length);
          held = joined;
        }
        if (held.length < 2 || held.length < 2 + ((held[0]! << 8) | held[1]!)) {
          if (stream.readEnded) this.next();
          return;
        }
        this.take(held.slice(2, 2 + ((held[0]! << 8) | held[1]!)));
      },
    });
    this.stream = stream;
  }

  /** An answer to this question; SERVFAIL is one only when no server is left. */
  private take(bytes: Uint8Array): void {
    if (bytes.length < 12 || bytes[0] !== this.query[0] || bytes[1] !== this.query[1] || (bytes[2]! & 0x80) === 0)
      return;
    if ((bytes[3]! & 15) !== SERVFAIL) return this.finish(bytes);
    this.worst = bytes;
    this.next();
  }

  private finish(answer: Uint8Array | null): void {
    if (this.over) return;
    this.over = true;
    this.close();
    this.done(answer);
  }

  private close(): void {
    this.socket?.close();
    this.socket = null;
    this.stream?.close();
    this.stream = null;
    if (this.timer !== null) {
      const ns = this.from(this.servers[0]!);
      ns.world.clock.cancel(this.timer);
    }
    this.timer = null;
  }
}
