// tests/support/faketcp.ts: connections without packets: two byte queues with a delay between, for tests of the sockets above.

import type { Clock } from "../../src/link/clock.ts";
import { type Errno, SocketError } from "../../src/transport/errno.ts";
import {
  type Endpoint,
  type Listener,
  type Owner,
  type Stack,
  type TcpState,
  Wake,
} from "../../src/transport/tcp/endpoint.ts";

const BUFFER = 65536;

/** Hosts that reach each other by address. */
export class FakeNetwork {
  readonly stacks: FakeStack[] = [];

  constructor(
    readonly clock: Clock,
    /** One way, nanoseconds. */
    readonly delay: number,
  ) {}

  stack(address: number): FakeStack {
    const made = new FakeStack(this, address);
    this.stacks.push(made);
    return made;
  }

  of(address: number, from: FakeStack): FakeStack | undefined {
    return address >>> 24 === 127 ? from : this.stacks.find((s) => s.address === address);
  }
}

export class FakeStack implements Stack {
  readonly listeners: FakeListener[] = [];
  readonly endpoints: FakeEndpoint[] = [];
  private nextPort = 40000;

  constructor(
    readonly network: FakeNetwork,
    readonly address: number,
  ) {}

  isLocal(address: number): boolean {
    return address === this.address || address >>> 24 === 127;
  }

  listen(address: number, port: number, backlog: number, owner: Owner): Listener {
    if (address !== 0 && !this.isLocal(address)) throw new SocketError("EADDRNOTAVAIL");
    const taken = this.listeners.some(
      (l) => l.localPort === port && (l.localAddress === 0 || address === 0 || l.localAddress === address),
    );
    if (taken) throw new SocketError("EADDRINUSE");
    const l = new FakeListener(this, address, port || this.nextPort++, backlog, owner);
    this.listeners.push(l);
    return l;
  }

  connect(address: number, port: number, owner: Owner, local: { address?: number; port?: number } = {}): Endpoint {
    if (address >>> 24 !== 10 && address >>> 24 !== 127) throw new SocketError("ENETUNREACH");
    if (local.port && this.listeners.some((l) => l.localPort === local.port)) throw new SocketError("EADDRINUSE");
    const own = local.address || (address >>> 24 === 127 ? address : this.address);
    const e = new FakeEndpoint(this, own, local.port || this.nextPort++, address, port, owner);
    const { clock, delay } = this.network;
    const other = this.network.of(address, this);
    if (other === undefined) {
      clock.after(3_000_000_000, () => e.fail("EHOSTUNREACH"));
      return e;
    }
    clock.after(delay, () => {
      const l = other.listeners.find(
        (x) => x.localPort === port && (x.localAddress === 0 || x.localAddress === address),
      );
      if (l === undefined) return void clock.after(delay, () => e.fail("ECONNREFUSED"));
      const peer = new FakeEndpoint(other, address, port, own, e.localPort, null);
      peer.peer = e;
      peer.stateName = "ESTABLISHED";
      clock.after(delay, () => {
        if (e.stateName !== "SYN-SENT") return peer.reset();
        e.peer = peer;
        e.stateName = "ESTABLISHED";
        e.owner?.wake(Wake.Writable);
        l.arrived(peer);
      });
    });
    return e;
  }

  list(): ReturnType<Stack["list"]> {
    return this.endpoints.map((e) => ({
      state: e.stateName,
      local: [e.localAddress, e.localPort],
      remote: [e.remoteAddress, e.remotePort],
      recvQ: e.readable,
      sendQ: e.unacknowledged,
    }));
  }
}

class FakeListener implements Listener {
  private readonly queue: FakeEndpoint[] = [];

  constructor(
    private readonly stack: FakeStack,
    readonly localAddress: number,
    readonly localPort: number,
    private readonly backlog: number,
    public owner: Owner | null,
  ) {}

  get waiting(): number {
    return this.queue.length;
  }

  arrived(e: FakeEndpoint): void {
    if (this.queue.length > this.backlog || this.owner === null) return e.abort();
    this.queue.push(e);
    this.owner.wake(Wake.Readable);
  }

  accept(): Endpoint | null {
    return this.queue.shift() ?? null;
  }

  close(): void {
    this.stack.listeners.splice(this.stack.listeners.indexOf(this), 1);
    for (const e of this.queue.splice(0)) e.abort();
  }
}

export class FakeEndpoint implements Endpoint {
  stateName: TcpState = "SYN-SENT";
  peer: FakeEndpoint | null = null;
  error: Errno | null = null;
  softError: Errno | null = null;
  readEnded = false;
  unacknowledged = 0;
  readonly atMark = false;
  /** What was asked for, for tests to look at. */
  readonly options: Record<string, unknown> = {};
  private received: Uint8Array[] = [];
  readable = 0;
  /** Bytes on the way or waiting for room at the other side. */
  private flying: Uint8Array[] = [];
  private finSent = false;
  private dead = false;

  constructor(
    private readonly stack: FakeStack,
    readonly localAddress: number,
    readonly localPort: number,
    readonly remoteAddress: number,
    readonly remotePort: number,
    public owner: Owner | null,
  ) {
    stack.endpoints.push(this);
  }

  private gone(state: TcpState = "CLOSED"): void {
    this.stateName = state;
    this.dead = true;
    const i = this.stack.endpoints.indexOf(this);
    if (i >= 0) this.stack.endpoints.splice(i, 1);
  }

  fail(code: Errno): void {
    if (this.dead) return;
    this.error = code;
    this.gone();
    this.owner?.wake(Wake.Error | Wake.Hangup);
  }

  takeError(): Errno | null {
    const e = this.error;
    this.error = null;
    return e;
  }

  read(into: Uint8Array, peek = false): number {
    let at = 0;
    let i = 0;
    while (at < into.length && i < this.received.length) {
      const c = this.received[i]!;
      const n = Math.min(c.length, into.length - at);
      into.set(c.subarray(0, n), at);
      at += n;
      if (!peek && n < c.length) this.received[i] = c.subarray(n);
      else i++;
    }
    if (!peek) {
      this.received.splice(0, i);
      this.readable -= at;
      this.peer?.move();
    }
    return at;
  }

  discard(n: number): void {
    this.read(new Uint8Array(n));
  }

  get writable(): number {
    return this.dead ? 0 : BUFFER - this.unacknowledged;
  }

  write(bytes: Uint8Array, from = 0, length = bytes.length - from): number {
    if (this.error !== null) throw new SocketError(this.takeError()!);
    if (this.dead || this.finSent) throw new SocketError("EPIPE");
    const n = Math.min(length, this.writable);
    if (n === 0) return 0;
    const chunk = bytes.slice(from, from + n);
    this.unacknowledged += n;
    this.stack.network.clock.after(this.stack.network.delay, () => {
      this.flying.push(chunk);
      this.move();
    });
    return n;
  }

  writeZeros(length: number): number {
    return this.write(new Uint8Array(length));
  }

  writeUrgent(bytes: Uint8Array): number {
    return this.write(bytes);
  }

  readUrgent(): number {
    return -1;
  }

  /** What arrived goes into the other's buffer as far as there is room; the acknowledgement takes its time. */
  private move(): void {
    const { peer } = this;
    if (peer === null) return;
    while (this.flying.length > 0) {
      const c = this.flying[0]!;
      if (peer.dead || peer.readClosed) {
        // nobody is there any more to read it (RFC 1122 §4.2.2.13)
        this.flying.length = 0;
        if (!peer.dead) peer.gone();
        return void this.stack.network.clock.after(this.stack.network.delay, () => this.reset());
      }
      const n = Math.min(c.length, BUFFER - peer.readable);
      if (n === 0) return;
      peer.received.push(c.subarray(0, n));
      peer.readable += n;
      if (n < c.length) this.flying[0] = c.subarray(n);
      else this.flying.shift();
      this.stack.network.clock.after(this.stack.network.delay, () => {
        this.unacknowledged -= n;
        this.owner?.wake(Wake.Writable);
        if (this.unacknowledged === 0 && this.finSent) this.sendFin();
      });
      peer.owner?.wake(Wake.Readable);
    }
  }

  private readClosed = false;
  private finGone = false;

  private sendFin(): void {
    if (this.finGone || this.dead) return;
    this.finGone = true;
    const { clock, delay } = this.stack.network;
    clock.after(delay, () => {
      const { peer } = this;
      if (peer === null || peer.dead) return;
      peer.readEnded = true;
      peer.owner?.wake(Wake.Readable);
      if (peer.finGone) peer.gone();
      if (peer.finGone) this.gone();
    });
  }

  shutdownWrite(): void {
    if (this.dead) throw new SocketError("ENOTCONN");
    if (this.finSent) return;
    this.finSent = true;
    if (this.unacknowledged === 0) this.sendFin();
  }

  shutdownRead(): void {
    this.readEnded = true;
  }

  close(): void {
    if (this.dead) return;
    if (this.peer === null || this.readable > 0) return this.abort();
    this.owner = null;
    this.readClosed = true;
    this.shutdownWrite();
  }

  abort(): void {
    if (this.dead) return;
    this.gone();
    this.readable = 0;
    const { peer } = this;
    if (peer !== null) this.stack.network.clock.after(this.stack.network.delay, () => peer.reset());
  }

  reset(): void {
    if (this.dead) return;
    this.error = this.readEnded ? "EPIPE" : "ECONNRESET";
    this.readEnded = true;
    this.gone();
    this.owner?.wake(Wake.Error | Wake.Readable | Wake.Hangup);
  }

  setNoDelay(on: boolean): void {
    this.options.noDelay = on;
  }
  setCork(): void {}
  setQuickAck(): void {}
  setKeepAlive(on: boolean, idle?: number, interval?: number, count?: number): void {
    this.options.keepAlive = on ? { idle, interval, count } : null;
  }
  setUserTimeout(): void {}
  setTos(): void {}
  setTtl(): void {}
  setReceiveBuffer(): void {}
  setSendBuffer(): void {}
  info(): Record<string, number | string> {
    return {};
  }
}
