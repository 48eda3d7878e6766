// src/service/stream.ts: a connection as a program uses it: bytes that come, bytes that go, and how it ended. TLS and others may
// stand in the place of plain TCP.

import { type Loop, loopOf, type Turn } from "../socket/loop.ts";
import { SocketError } from "../transport/errno.ts";
import type { Endpoint, EndpointOptions, Listener, Owner } from "../transport/tcp/endpoint.ts";
import type { ProgramHost } from "./program.ts";

/** Who is told. Calls come in turns of their own, never inside a call to the stream. */
export interface StreamOwner {
  /** The connection is established. */
  opened?(): void;
  /** Valid during the call only. */
  data(bytes: Uint8Array): void;
  /** The peer sends no more; what is sent to it still goes. */
  ended(): void;
  /** It is over, by an error: an errno's name, or what the layer above TCP says. Nothing is called after that. */
  failed(code: string): void;
  /** All that was sent was taken by the connection. */
  drained?(): void;
}

/** One end of a connection. Addresses are numbers in host order. */
export interface Stream {
  owner: StreamOwner | null;
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** Bytes that wait for room. */
  readonly queued: number;
  /** Sends, or keeps until there is room; the stream owns the bytes then. */
  send(bytes: Uint8Array): void;
  /** No more will be sent: a FIN behind what waits. */
  finish(): void;
  /** Neither reads nor sends new bytes; what was sent still goes out. The owner hears nothing more. */
  close(): void;
  /** A reset. The owner hears nothing more. */
  abort(): void;
  /** Reads no more until told otherwise: the window closes. */
  hold(on: boolean): void;
}

/** Makes connections: TCP alone, or TLS over it. `name` is what the peer is asked to prove. */
export type Connector = (host: ProgramHost, address: number, port: number, name: string, owner: StreamOwner) => Stream;

/** What waits for connections, and hands them over when they are ready for bytes. */
export interface Acceptor {
  /** The next connection, null when none waits. */
  accept(): Stream | null;
  /** Connections in the queue. */
  readonly waiting: number;
  close(): void;
}

/** Opens a port; `ready` hears that something waits. Throws `SocketError`. */
export type Listening = (
  host: ProgramHost,
  at: { readonly address: number; readonly port: number; readonly backlog: number },
  ready: () => void,
) => Acceptor;

const room = new Uint8Array(65536);

export class TcpStream implements Stream, Owner, Turn {
  owner: StreamOwner | null;
  private endpoint!: Endpoint;
  private readonly loop: Loop;
  private posted = false;
  private over = false;
  private held = false;
  private opened: boolean;
  private ended = false;
  private finishing = false;
  private waiting: Uint8Array[] = [];
  queued = 0;

  private constructor(host: ProgramHost, owner: StreamOwner | null, opened: boolean) {
    this.loop = loopOf(host.world);
    this.owner = owner;
    this.opened = opened;
  }

  /** Starts to connect. What cannot even begin is heard as a failure, too. */
  static connect(host: ProgramHost, address: number, port: number, owner: StreamOwner): TcpStream {
    const stream = new TcpStream(host, owner, false);
    try {
      stream.endpoint = host.tcp.connect(address, port, stream, {}, { noDelay: true });
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      stream.endpoint = noEndpoint;
      stream.over = true;
      stream.loop.post({ turn: () => stream.owner?.failed(e.code) });
    }
    return stream;
  }

  /** A connection that was accepted. */
  static accepted(host: ProgramHost, endpoint: Endpoint): TcpStream {
    const stream = new TcpStream(host, null, true);
    stream.endpoint = endpoint;
    endpoint.owner = stream;
    endpoint.setNoDelay(true);
    stream.wake();
    return stream;
  }

  get localAddress(): number {
    return this.endpoint.localAddress;
  }

  get localPort(): number {
    return this.endpoint.localPort;
  }

  get remoteAddress(): number {
    return this.endpoint.remoteAddress;
  }

  get remotePort(): number {
    return this.endpoint.remotePort;
  }

  wake(): void {
    if (this.posted || this.over) return;
    this.posted = true;
    this.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    if (this.over) return;
    const { endpoint } = this;
    if (!this.opened && endpoint.stateName !== "SYN-SENT" && endpoint.error === null) {
      this.opened = true;
      this.owner?.opened?.();
    }
    this.flush();
    this.read();
    // what came before an error is read before the error
    if (!this.over && endpoint.error !== null) this.fail(endpoint.takeError()!);
  }

  private read(): void {
    const { endpoint } = this;
    while (!this.over && !this.held && endpoint.readable > 0) {
      const n = endpoint.read(room);
      // the owner may come back here with another stream's bytes
      this.owner?.data(room.slice(0, n));
    }
    if (this.over || this.held || this.ended || endpoint.error !== null) return;
    if (endpoint.readable === 0 && endpoint.readEnded) {
      this.ended = true;
      this.owner?.ended();
    }
  }

  private flush(): void {
    const { waiting, endpoint } = this;
    if (this.over || !this.opened || (waiting.length === 0 && !this.finishing)) return;
    try {
      while (waiting.length > 0 && endpoint.writable > 0) {
        const bytes = waiting[0]!;
        const n = endpoint.write(bytes, 0, bytes.length);
        this.queued -= n;
        if (n < bytes.length) waiting[0] = bytes.subarray(n);
        else waiting.shift();
      }
      if (waiting.length > 0) return;
      if (this.finishing) {
        this.finishing = false;
        endpoint.shutdownWrite();
      }
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      return this.fail(e.code);
    }
    this.owner?.drained?.();
  }

  private fail(code: string): void {
    if (this.over) return;
    this.over = true;
    this.endpoint.owner = null;
    this.endpoint.close();
    this.owner?.failed(code);
  }

  send(bytes: Uint8Array): void {
    if (this.over || bytes.length === 0) return;
    this.waiting.push(bytes);
    this.queued += bytes.length;
    this.wake();
  }

  finish(): void {
    this.finishing = true;
    this.wake();
  }

  close(): void {
    if (this.over) return;
    // what waits goes first
    if (this.opened) this.flush();
    this.over = true;
    this.endpoint.owner = null;
    this.endpoint.close();
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.endpoint.owner = null;
    this.endpoint.abort();
  }

  hold(on: boolean): void {
    this.held = on;
    if (!on) this.wake();
  }
}

/** Stands where a connection could not even begin. */
const noEndpoint = {
  localAddress: 0,
  localPort: 0,
  remoteAddress: 0,
  remotePort: 0,
} as Endpoint;

export const connectTcp: Connector = (host, address, port, _name, owner) =>
  TcpStream.connect(host, address, port, owner);

export const listenTcp: Listening = (host, at, ready) => new TcpAcceptor(host, at, ready);

const listening: EndpointOptions = { reuseAddress: true };

class TcpAcceptor implements Acceptor, Owner, Turn {
  private readonly listener: Listener;
  private readonly loop: Loop;
  private posted = false;
  private closed = false;

  constructor(
    private readonly host: ProgramHost,
    at: { readonly address: number; readonly port: number; readonly backlog: number },
    private readonly ready: () => void,
  ) {
    this.loop = loopOf(host.world);
    this.listener = host.tcp.listen(at.address, at.port, at.backlog, this, listening);
  }

  wake(): void {
    if (this.posted || this.closed) return;
    this.posted = true;
    this.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    if (!this.closed) this.ready();
  }

  accept(): Stream | null {
    const endpoint = this.closed ? null : this.listener.accept();
    return endpoint === null ? null : TcpStream.accepted(this.host, endpoint);
  }

  get waiting(): number {
    return this.listener.waiting;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.listener.close();
  }
}
