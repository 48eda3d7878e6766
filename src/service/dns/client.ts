// src/service/dns/client.ts: one question to one server: UDP from a port of its own, TCP where the answer is cut short
// (RFC 1035 §4.2, RFC 5452 §9, RFC 7766 §5).

import { decodeDns, DnsError, type DnsMessage, dnsTypeName, encodeDns } from "../../core/dns.ts";
import { MS, SECOND, type Timer } from "../../link/clock.ts";
import type { Rng } from "../../link/rng.ts";
import { loopOf, type Turn } from "../../socket/loop.ts";
import { type Errno, SocketError } from "../../transport/errno.ts";
import { type Endpoint, type Owner, Wake } from "../../transport/tcp/endpoint.ts";
import type { UdpSocket } from "../../transport/udpsocket.ts";
import type { ProgramHost } from "../program.ts";
import { EDNS_SIZE, optRecord } from "./edns.ts";
import { keyOf } from "./name.ts";
import { MessageReader, MessageWriter } from "./server.ts";
import { Class } from "./types.ts";

/** At least this long for a connection and its answer: a SYN that is lost comes again after a second. */
const TCP_TIMEOUT = 4 * SECOND;

export interface Asked {
  /** Address (host order) and port of the server. */
  readonly server: number;
  readonly port: number;
  readonly name: string;
  readonly type: number;
  /** Recursion desired. */
  readonly rd: boolean;
  readonly edns: boolean;
  /** TCP from the start. */
  readonly tcp: boolean;
  /** Letters of the name in a random case, which the answer must repeat (draft-vixie-dnsext-dns0x20). */
  readonly mixedCase: boolean;
  /** Nanoseconds for the answer over UDP. */
  readonly timeout: number;
}

export type Outcome =
  | { readonly kind: "answer"; readonly message: DnsMessage; readonly tcp: boolean; readonly rtt: number }
  | { readonly kind: "timeout" }
  /** The host says that there is no way, or no server. */
  | { readonly kind: "unreachable"; readonly errno: Errno }
  /** Somebody answered with the question in other letters. */
  | { readonly kind: "mismatch" };

/** Asks; `done` hears once, never before this returns. `rng` chooses the id. */
export function ask(host: ProgramHost, rng: Rng, asked: Asked, done: (o: Outcome) => void): Exchange {
  return new Exchange(host, rng, asked, done);
}

export class Exchange implements Owner, Turn {
  private socket: UdpSocket | null = null;
  private endpoint: Endpoint | null = null;
  private reader: MessageReader | null = null;
  private writer: MessageWriter | null = null;
  private readonly timer: Timer;
  private readonly name: string;
  private id = 0;
  private sentAt = 0;
  private over = false;
  private posted = false;
  /** The question went down the connection. */
  private streamed = false;
  private failed: Errno | null = null;

  constructor(
    private readonly host: ProgramHost,
    private readonly rng: Rng,
    private readonly asked: Asked,
    private readonly done: (o: Outcome) => void,
  ) {
    const { clock } = host.world;
    this.name = asked.mixedCase ? mixCase(asked.name, rng) : asked.name;
    this.timer = clock.timer(() => this.finish({ kind: "timeout" }));
    if (asked.tcp) this.connect();
    else this.send();
  }

  /** Nobody wants the answer any more. */
  cancel(): void {
    this.over = true;
    this.close();
  }

  private query(): Uint8Array {
    const { rd, type, edns } = this.asked;
    this.id = this.rng.below(65536);
    this.sentAt = this.host.world.clock.now;
    return encodeDns(this.host.world.core, {
      id: this.id,
      rd,
      questions: [{ name: this.name, type: dnsTypeName(type), class: Class.IN }],
      additionals: edns ? [optRecord(EDNS_SIZE)] : [],
    });
  }

  private send(): void {
    const { clock } = this.host.world;
    clock.arm(this.timer, clock.now + this.asked.timeout);
    try {
      // connected: only the server's datagrams come, and its ICMP errors; the kernel's choice of port is a random one
      const socket = (this.socket = this.host.udp.open(this));
      socket.connect(this.asked.server, this.asked.port);
      const bytes = this.query();
      socket.send(bytes, 0, bytes.length);
    } catch (e) {
      this.fail(e);
    }
  }

  private connect(): void {
    const { clock } = this.host.world;
    clock.arm(this.timer, clock.now + Math.max(TCP_TIMEOUT, this.asked.timeout));
    this.socket?.close();
    this.socket = null;
    try {
      const endpoint = this.host.tcp.connect(this.asked.server, this.asked.port, this, {}, { noDelay: true });
      this.endpoint = endpoint;
      this.reader = new MessageReader(endpoint);
      this.writer = new MessageWriter(endpoint);
    } catch (e) {
      this.fail(e);
    }
  }

  /** Told in a turn of its own: never before the call that failed returns. */
  private fail(e: unknown): void {
    if (!(e instanceof SocketError)) throw e;
    this.failed = e.code;
    this.post();
  }

  wake(what: number): void {
    if (this.endpoint !== null) this.stream(what);
    else this.post();
  }

  private post(): void {
    if (this.posted || this.over) return;
    this.posted = true;
    loopOf(this.host.world).post(this);
  }

  turn(): void {
    this.posted = false;
    if (this.over) return;
    if (this.failed !== null) return this.finish({ kind: "unreachable", errno: this.failed });
    const room = new Uint8Array(EDNS_SIZE * 4);
    while (this.socket !== null && !this.over) {
      let n: number;
      try {
        n = this.socket.receive(room);
      } catch (e) {
        if (!(e instanceof SocketError)) throw e;
        return this.finish({ kind: "unreachable", errno: e.code });
      }
      if (n < 0) return;
      this.take(room.subarray(0, Math.min(n, room.length)), false);
    }
  }

  private stream(what: number): void {
    if (this.over) return;
    const endpoint = this.endpoint!;
    if ((what & Wake.Error) !== 0) {
      return this.finish({ kind: "unreachable", errno: endpoint.takeError() ?? "ECONNRESET" });
    }
    if ((what & Wake.Writable) !== 0) {
      const sent = this.streamed ? this.writer!.flush() : this.begin();
      if (!sent) return this.finish({ kind: "unreachable", errno: "EPIPE" });
    }
    for (let m = this.reader!.next(); m !== null && !this.over; m = this.reader!.next()) this.take(m, true);
    if (this.over) return;
    if (endpoint.readEnded || (what & Wake.Hangup) !== 0) this.finish({ kind: "unreachable", errno: "ECONNRESET" });
  }

  /** The connection stands: the question goes out. */
  private begin(): boolean {
    this.streamed = true;
    return this.writer!.send(this.query());
  }

  /** RFC 5452 §9.1: what does not match the question is not there. */
  private take(bytes: Uint8Array, tcp: boolean): void {
    let message: DnsMessage;
    try {
      message = decodeDns(this.host.world.core, bytes);
    } catch (e) {
      if (!(e instanceof DnsError)) throw e;
      return;
    }
    if (!message.qr || message.id !== this.id || message.opcode !== 0) return;
    const [q] = message.questions;
    if (q === undefined) {
      // a server that cannot read the question does not repeat it
      if (message.rcode === 0) return;
    } else {
      if (message.questions.length !== 1 || q.class !== Class.IN || q.type !== dnsTypeName(this.asked.type)) return;
      if (keyOf(q.name) !== keyOf(this.name)) return;
      if (q.name !== this.name && this.asked.mixedCase && !tcp) return this.finish({ kind: "mismatch" });
    }
    if (message.tc && !tcp) return this.connect();
    this.finish({ kind: "answer", message, tcp, rtt: this.host.world.clock.now - this.sentAt });
  }

  private finish(outcome: Outcome): void {
    if (this.over) return;
    this.over = true;
    this.close();
    this.done(outcome);
  }

  private close(): void {
    this.host.world.clock.cancel(this.timer);
    this.socket?.close();
    this.socket = null;
    if (this.endpoint === null) return;
    this.endpoint.owner = null;
    this.endpoint.close();
    this.endpoint = null;
  }
}

/** Each letter's case by a bit of its own. */
export function mixCase(name: string, rng: Rng): string {
  let bits = 0;
  let left = 0;
  return name.replace(/[a-z]/gi, (c) => {
    if (left === 0) {
      bits = rng.u32();
      left = 32;
    }
    left--;
    const up = (bits & 1) !== 0;
    bits >>>= 1;
    return up ? c.toUpperCase() : c.toLowerCase();
  });
}

/** Timeouts grow by two with each try, up to three seconds. */
export function backOff(first: number, tries: number): number {
  return Math.min(first * 2 ** tries, Math.max(first, 3000 * MS));
}
