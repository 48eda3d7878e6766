// src/service/dns/server.ts: a name server's sockets: UDP with truncation and EDNS, TCP with many questions a connection
// (RFC 1035 §4.2, RFC 6891, RFC 7766).

import { decodeDns, type DnsDraft, DnsError, type DnsMessage, encodeDns } from "../../core/dns.ts";
import { SECOND, type Timer } from "../../link/clock.ts";
import { type Loop, loopOf, type Turn } from "../../socket/loop.ts";
import { SocketError } from "../../transport/errno.ts";
import { type Endpoint, type Listener, type Owner, Wake } from "../../transport/tcp/endpoint.ts";
import type { UdpSocket } from "../../transport/udpsocket.ts";
import type { ProgramHost } from "../program.ts";
import { EDNS_SIZE, ednsOf, optRecord, PLAIN_MAX } from "./edns.ts";
import { Rcode } from "./types.ts";

export const DNS_PORT = 53;
/** Connections at once, and how long one may be idle (BIND's tcp-clients and tcp-idle-timeout). */
const CONNECTIONS_MAX = 150;
const IDLE = 30 * SECOND;
const QUERY = 0;

/** Who asks. Addresses in host order. */
export interface Client {
  readonly address: number;
  readonly port: number;
  readonly tcp: boolean;
}

/** Answers a question, now or later; a question that is never answered costs its asker a timeout. */
export type Handler = (query: DnsMessage, client: Client, reply: (draft: DnsDraft) => void) => void;

export class DnsServer implements Owner, Turn {
  readonly loop: Loop;
  /** Open connections. */
  readonly connections = new Set<Connection>();
  private readonly socket: UdpSocket;
  /** By local address: an answer comes from where the question went. */
  private readonly byAddress = new Map<number, UdpSocket>();
  private readonly listener: Listener;
  private posted = false;
  private closed = false;
  private readonly room = new Uint8Array(65535);

  /** Opens the port on one address of the host, 0 for all. Throws `SocketError`. */
  constructor(
    readonly host: ProgramHost,
    readonly handler: Handler,
    address = 0,
    private readonly port = DNS_PORT,
  ) {
    this.loop = loopOf(host.world);
    this.socket = this.open(address);
    try {
      this.listener = host.tcp.listen(address, port, 128, { wake: () => this.accept() }, { reuseAddress: true });
    } catch (e) {
      this.socket.close();
      throw e;
    }
  }

  private open(address: number): UdpSocket {
    const socket = this.host.udp.open(this);
    // the address for all and each single one share the port
    socket.reuseAddress = true;
    socket.bind(address, this.port);
    return socket;
  }

  wake(): void {
    if (this.posted || this.closed) return;
    this.posted = true;
    this.loop.post(this);
  }

  turn(): void {
    this.posted = false;
    if (this.closed) return;
    this.drain(this.socket);
    for (const socket of this.byAddress.values()) this.drain(socket);
  }

  private drain(socket: UdpSocket): void {
    while (!this.closed) {
      let n: number;
      try {
        n = socket.receive(this.room);
      } catch {
        continue; // an error about an earlier answer is nobody's
      }
      if (n < 0) return;
      const { address, port, target } = socket.arrival;
      const client: Client = { address, port, tcp: false };
      this.ask(this.room.subarray(0, n), client, (bytes) => this.answer(target, client, bytes));
    }
  }

  private answer(from: number, to: Client, bytes: Uint8Array): void {
    if (this.closed) return;
    try {
      this.from(from).send(bytes, 0, bytes.length, to.address, to.port);
    } catch (e) {
      // no way back to the client, or its port unreachable: as lost on the way
      if (!(e instanceof SocketError)) throw e;
    }
  }

  /** The socket that sends from an address of the host's. */
  private from(address: number): UdpSocket {
    if (this.socket.boundAddress !== 0 || !this.host.isLocal(address)) return this.socket;
    let socket = this.byAddress.get(address);
    if (socket === undefined) this.byAddress.set(address, (socket = this.open(address)));
    return socket;
  }

  /** A message that came: checked, handed on, and its answer made bytes. */
  ask(bytes: Uint8Array, client: Client, send: (bytes: Uint8Array) => void): void {
    const { core } = this.host.world;
    let query: DnsMessage;
    try {
      query = decodeDns(core, bytes);
    } catch (e) {
      if (!(e instanceof DnsError)) throw e;
      // RFC 1035 §4.1.1: what cannot be read is a format error, as far as it names itself; an answer never is answered
      if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return;
      const id = (bytes[0]! << 8) | bytes[1]!;
      const opcode = (bytes[2]! >> 3) & 15;
      return send(encodeDns(core, { id, qr: true, opcode, rd: (bytes[2]! & 1) !== 0, rcode: Rcode.FormErr }));
    }
    if (query.qr) return;
    const edns = ednsOf(query);
    const limit = client.tcp ? 65535 : edns === null ? PLAIN_MAX : Math.min(edns.size, EDNS_SIZE);
    const reply = (draft: DnsDraft): void => {
      const { id, opcode, rd, cd } = query;
      const rcode = draft.rcode ?? 0;
      const additionals = [...(draft.additionals ?? [])];
      // RFC 6891 §6.1.1: an OPT in the answer exactly where there was one in the question
      if (edns !== null) additionals.push(optRecord(EDNS_SIZE, rcode >> 4, edns.dnssecOk));
      const whole = { ...draft, id, qr: true, opcode, rd, cd, rcode: rcode & 15, additionals };
      send(encodeDns(core, whole, limit));
    };
    const { questions } = query;
    if (query.opcode !== QUERY) return reply({ rcode: Rcode.NotImp });
    if (edns !== null && edns.version > 0) return reply({ rcode: Rcode.BadVers, questions });
    // RFC 9619: a query has one question
    if (questions.length !== 1) return reply({ rcode: Rcode.FormErr });
    this.handler(query, client, reply);
  }

  private accept(): void {
    for (;;) {
      const endpoint = this.closed ? null : this.listener.accept();
      if (endpoint === null) return;
      if (this.connections.size >= CONNECTIONS_MAX) {
        endpoint.abort();
        continue;
      }
      const connection = new Connection(this, endpoint);
      this.connections.add(connection);
      // questions may be there already
      connection.wake(Wake.Readable);
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
    for (const socket of this.byAddress.values()) socket.close();
    this.listener.close();
    for (const c of this.connections) c.abort();
  }
}

/** One client's connection: messages with their lengths in front (RFC 1035 §4.2.2), answered as they are ready. */
class Connection implements Owner {
  private readonly reader: MessageReader;
  private readonly writer: MessageWriter;
  private readonly idle: Timer;
  private readonly client: Client;
  private closed = false;
  /** Questions without their answers yet. */
  private open = 0;

  constructor(
    private readonly server: DnsServer,
    private readonly endpoint: Endpoint,
  ) {
    const { clock } = server.host.world;
    this.client = { address: endpoint.remoteAddress, port: endpoint.remotePort, tcp: true };
    this.reader = new MessageReader(endpoint);
    this.writer = new MessageWriter(endpoint);
    this.idle = clock.timer(() => this.finish());
    clock.arm(this.idle, clock.now + IDLE);
    endpoint.owner = this;
  }

  wake(what: number): void {
    if (this.closed) return;
    if ((what & (Wake.Error | Wake.Hangup)) !== 0) return this.abort();
    if (!this.writer.flush()) return this.abort();
    const { clock } = this.server.host.world;
    for (let m = this.reader.next(); m !== null; m = this.reader.next()) {
      clock.arm(this.idle, clock.now + IDLE);
      this.open++;
      this.server.ask(m, this.client, (bytes) => this.send(bytes));
      if (this.closed) return;
    }
    // the client's end of file: what it asked is answered first
    if (this.endpoint.readEnded && this.open === 0) this.finish();
  }

  private send(bytes: Uint8Array): void {
    if (this.closed) return;
    this.open--;
    if (!this.writer.send(bytes)) return this.abort();
    if (this.endpoint.readEnded && this.open === 0) this.finish();
  }

  private finish(): void {
    if (this.closed) return;
    this.forget();
    this.endpoint.close();
  }

  abort(): void {
    if (this.closed) return;
    this.forget();
    this.endpoint.abort();
  }

  private forget(): void {
    this.closed = true;
    this.endpoint.owner = null;
    this.server.host.world.clock.cancel(this.idle);
    this.server.connections.delete(this);
  }
}

/** Messages out of a stream; what is there of one is taken at once, so that the longest needs no window of its length. */
export class MessageReader {
  private readonly head = new Uint8Array(2);
  private body: Uint8Array | null = null;
  private filled = 0;

  constructor(private readonly endpoint: Endpoint) {}

  /** The next whole message; null when it is not there yet. */
  next(): Uint8Array | null {
    const { endpoint } = this;
    if (this.body === null) {
      if (endpoint.readable < 2) return null;
      endpoint.read(this.head);
      this.body = new Uint8Array((this.head[0]! << 8) | this.head[1]!);
      this.filled = 0;
    }
    const { body } = this;
    if (this.filled < body.length) this.filled += endpoint.read(body.subarray(this.filled));
    if (this.filled < body.length) return null;
    this.body = null;
    return body;
  }
}

/** Messages into a stream: those that find no room wait for it. */
export class MessageWriter {
  private waiting: Uint8Array[] = [];
  private from = 0;

  constructor(private readonly endpoint: Endpoint) {}

  /** False when the connection is gone. */
  send(message: Uint8Array): boolean {
    // RFC 7766 §8: the length and the message in one write
    const bytes = new Uint8Array(2 + message.length);
    bytes[0] = message.length >> 8;
    bytes[1] = message.length & 255;
    bytes.set(message, 2);
    this.waiting.push(bytes);
    return this.flush();
  }

  flush(): boolean {
    try {
      while (this.waiting.length > 0) {
        const bytes = this.waiting[0]!;
        if (this.endpoint.writable <= 0) return true;
        this.from += this.endpoint.write(bytes, this.from, bytes.length - this.from);
        if (this.from < bytes.length) return true;
        this.waiting.shift();
        this.from = 0;
      }
      return true;
    } catch (e) {
      if (e instanceof SocketError) return false;
      throw e;
    }
  }
}
