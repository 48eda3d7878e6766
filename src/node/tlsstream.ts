// src/node/tlsstream.ts: TLS by Node itself under the programs of the web: the same streams, encrypted.

import { connect, createServer, type TLSSocket } from "node:tls";
import { formatIpv4, parseIpv4 } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import type { Acceptor, Connector, Listening, Stream, StreamOwner } from "../service/stream.ts";
import { hostOf } from "../socket/host.ts";
import { nodePlatform } from "./platform.ts";
import { runOn } from "./program.ts";

/** A line of a key log, for whoever decrypts. */
export type KeyLog = (line: Uint8Array) => void;

class TlsStream implements Stream {
  owner: StreamOwner | null;
  private over = false;

  constructor(
    private readonly socket: TLSSocket,
    owner: StreamOwner | null,
  ) {
    this.owner = owner;
    // as Node's http has it
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.owner?.data(bytes));
    socket.on("end", () => this.owner?.ended());
    socket.on("drain", () => this.owner?.drained?.());
    socket.on("error", (e: NodeJS.ErrnoException) => this.fail(e.code ?? "EPROTO"));
    socket.on("close", () => this.fail("ECONNRESET"));
  }

  private fail(code: string): void {
    if (this.over) return;
    this.over = true;
    this.owner?.failed(code);
  }

  get localAddress(): number {
    return parseIpv4(this.socket.localAddress ?? "") ?? 0;
  }

  get localPort(): number {
    return this.socket.localPort ?? 0;
  }

  get remoteAddress(): number {
    return parseIpv4(this.socket.remoteAddress ?? "") ?? 0;
  }

  get remotePort(): number {
    return this.socket.remotePort ?? 0;
  }

  get queued(): number {
    return this.socket.writableLength;
  }

  send(bytes: Uint8Array): void {
    if (!this.over) this.socket.write(bytes);
  }

  finish(): void {
    if (!this.over) this.socket.end();
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.socket.end();
    // what still comes is nobody's
    this.socket.resume();
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.socket.destroy();
  }

  hold(on: boolean): void {
    if (on) this.socket.pause();
    else this.socket.resume();
  }
}

/** Connects from a namespace, and lets the peer prove its name to the authorities in `ca` (PEM). */
export function tlsConnector(ns: Namespace, ca: string, keyLog: KeyLog): Connector {
  return (_host, address, port, name, owner) =>
    runOn(hostOf(ns, nodePlatform), () => {
      const socket = connect({ host: formatIpv4(address), port, servername: name, ca, ALPNProtocols: ["http/1.1"] });
      const stream = new TlsStream(socket, owner);
      socket.on("keylog", keyLog);
      socket.on("secureConnect", () => stream.owner?.opened?.());
      return stream;
    });
}

/** Listens in a namespace with a certificate and its key (PEM). */
export function tlsListening(ns: Namespace, cert: string, key: string, keyLog: KeyLog): Listening {
  return (_host, at, ready): Acceptor =>
    runOn(hostOf(ns, nodePlatform), () => {
      const waiting: Stream[] = [];
      const server = createServer({ cert, key, ALPNProtocols: ["http/1.1"] }, (socket) => {
        waiting.push(new TlsStream(socket, null));
        ready();
      });
      server.on("keylog", keyLog);
      // a handshake that failed is its client's affair
      server.on("tlsClientError", () => {});
      server.listen({
        port: at.port,
        backlog: at.backlog,
        ...(at.address === 0 ? {} : { host: formatIpv4(at.address) }),
      });
      return {
        accept: () => waiting.shift() ?? null,
        get waiting() {
          return waiting.length;
        },
        close: () => void server.close(),
      };
    });
}
