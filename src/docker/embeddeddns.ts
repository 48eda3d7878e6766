// src/docker/embeddeddns.ts: the name server at 127.0.0.11 of containers on networks with names. It listens on ports that the
// kernel chose; the container's own nat table leads port 53 there and answers back, as dockerd writes it.

import { DnsClass } from "../../assembly/wire/dnstypes.ts";
import { formatIpv4, parseIpv4 } from "../core/address.ts";
import { decodeDns, type DnsDraft, DnsError, type DnsMessage, type DnsRecord, encodeDns } from "../core/dns.ts";
import type { Namespace } from "../host/namespace.ts";
import { SocketError } from "../transport/errno.ts";
import type { Endpoint, Listener } from "../transport/tcp/endpoint.ts";
import type { UdpSocket } from "../transport/udpsocket.ts";
import type { Container } from "./container.ts";
import { Forward } from "./dnsforward.ts";
import { isLoopback } from "./firewall.ts";
import { lookupAddress, lookupName } from "./names.ts";
import { tcpOf, udpOf } from "./transports.ts";

const PORT = 53;
/** Seconds that an answer about a container may be kept. */
const TTL = 600;
/** Name servers outside that are asked, one after the other. */
const MOST_FORWARDERS = 3;
/** RFC 1035 §4.2.1: what a client without EDNS takes. */
const UDP_LIMIT = 512;
const BACKLOG = 128;
const REVERSE = ".in-addr.arpa";
const Rcode = { NoError: 0, FormErr: 1, ServFail: 2, NotImp: 4 } as const;
const buffer = new Uint8Array(65535);

/** What happened to a question, for whoever shows it. */
export interface DnsStep {
  readonly name: string;
  readonly type: string;
  /** `own`: a container's name; `forward`: asked outside; `refused`: nobody may be asked. */
  readonly by: "own" | "forward" | "refused";
}

export class EmbeddedDns {
  static readonly address = 0x7f00000b;
  /** Hears of each question. */
  watcher: ((step: DnsStep) => void) | null = null;
  private readonly ns: Namespace;
  private readonly udp: UdpSocket;
  private readonly listener: Listener;
  private readonly streams = new Set<Endpoint>();
  private readonly forwards = new Set<Forward>();

  /** Listens, and writes the container's nat table. */
  constructor(private readonly container: Container) {
    this.ns = container.ns!;
    const { address } = EmbeddedDns;
    this.udp = udpOf(this.ns).open({ wake: () => this.datagrams() });
    this.udp.bind(address, 0);
    this.listener = tcpOf(this.ns).listen(address, 0, BACKLOG, { wake: () => this.accept() });
    this.ns.iptables.load(dnsRules(this.udp.localPort, this.listener.localPort));
  }

  close(): void {
    this.udp.close();
    this.listener.close();
    for (const c of this.streams) c.abort();
    for (const f of this.forwards) f.cancel();
  }

  // -- in and out

  private datagrams(): void {
    for (;;) {
      let n;
      try {
        n = this.udp.receive(buffer);
      } catch (e) {
        if (e instanceof SocketError) continue;
        throw e;
      }
      if (n < 0) return;
      const { address, port } = this.udp.arrival;
      this.answer(buffer.slice(0, n), false, (bytes) => {
        try {
          this.udp.send(bytes, 0, bytes.length, address, port);
        } catch (e) {
          if (!(e instanceof SocketError)) throw e;
        }
      });
    }
  }

  private accept(): void {
    for (let c = this.listener.accept(); c !== null; c = this.listener.accept()) {
      const stream = c;
      this.streams.add(stream);
      const read = this.reader(stream);
      stream.owner = { wake: read };
      read();
    }
  }

  /** Messages of a connection, each behind its length (RFC 1035 §4.2.2). */
  private reader(c: Endpoint): () => void {
    let held = new Uint8Array(0);
    const end = (): void => {
      if (this.streams.delete(c)) c.close();
    };
    return () => {
      if (!this.streams.has(c)) return;
      if (c.error !== null) return end();
      while (c.readable > 0) {
        const n = c.read(buffer);
        const joined = new Uint8Array(held.length + n);
        joined.set(held);
        joined.set(buffer.subarray(0, n), held.length);
        held = joined;
      }
      while (held.length >= 2) {
        const length = (held[0]! << 8) | held[1]!;
        if (held.length < 2 + length) break;
        const message = held.slice(2, 2 + length);
        held = held.slice(2 + length);
        this.answer(message, true, (bytes) => {
          if (!this.streams.has(c) || c.writable < bytes.length + 2) return;
          c.write(Uint8Array.of(bytes.length >> 8, bytes.length & 255));
          c.write(bytes);
        });
      }
      if (c.readEnded) end();
    };
  }

  // -- answers

  private answer(query: Uint8Array, stream: boolean, send: (bytes: Uint8Array) => void): void {
    const { core } = this.ns.world;
    let message: DnsMessage;
    try {
      message = decodeDns(core, query);
    } catch (e) {
      if (e instanceof DnsError) return;
      throw e;
    }
    if (message.qr) return;
    const reply = (draft: DnsDraft): void => {
      const { id, opcode, rd, questions } = message;
      const limit = stream ? 65535 : udpLimit(message);
      send(encodeDns(core, { id, qr: true, opcode, rd, ra: true, questions, ...draft }, limit));
    };
    if (message.opcode !== 0) return reply({ rcode: Rcode.NotImp });
    const question = message.questions[0];
    if (question === undefined || message.questions.length !== 1) return reply({ rcode: Rcode.FormErr });
    const step = (by: DnsStep["by"]): void => this.watcher?.({ name: question.name, type: question.type, by });
    const own = question.class === DnsClass.IN ? this.own(question.name, question.type) : null;
    if (own !== null) {
      step("own");
      return reply({ answers: own });
    }
    const servers = this.container.gateway === null ? [] : this.container.forwarders.slice(0, MOST_FORWARDERS);
    if (servers.length === 0) {
      step("refused");
      return reply({ rcode: Rcode.ServFail });
    }
    step("forward");
    // a server on the host's own loopback is asked by the host
    const from = (server: number): Namespace => (isLoopback(server) ? this.container.engine.host : this.ns);
    const forward = new Forward(query, servers, stream, from, (bytes) => {
      this.forwards.delete(forward);
      if (bytes === null) reply({ rcode: Rcode.ServFail });
      else send(bytes);
    });
    this.forwards.add(forward);
    forward.start();
  }

  /** What the networks of the container know of the name; null: nothing, somebody else may. */
  private own(name: string, type: string): DnsRecord[] | null {
    if (type === "PTR") {
      const address = reverseAddress(name);
      const target = address === null ? null : lookupAddress(this.container, address);
      return target === null ? null : [{ name, class: DnsClass.IN, ttl: TTL, type: "PTR", target }];
    }
    const found = lookupName(this.container, name);
    if (found === null) return null;
    // the name is here, and has IPv4 addresses only: other questions have an empty answer
    if (type !== "A") return type === "AAAA" || type === "MX" ? [] : null;
    const { rng } = this.ns.world;
    const first = found.length > 1 ? rng.below(found.length) : 0;
    const turned = [...found.slice(first), ...found.slice(0, first)];
    return turned.map((address) => ({ name, class: DnsClass.IN, ttl: TTL, type: "A", address }));
  }
}

function udpLimit(query: DnsMessage): number {
  const opt = query.additionals.find((r) => r.type === "OPT");
  return opt === undefined ? UDP_LIMIT : Math.max(UDP_LIMIT, opt.class);
}

/** `2.0.18.172.in-addr.arpa` */
function reverseAddress(name: string): number | null {
  const lower = name.toLowerCase();
  if (!lower.endsWith(REVERSE)) return null;
  return parseIpv4(lower.slice(0, -REVERSE.length).split(".").toReversed().join("."));
}

/** A container's nat table. */
export function dnsRules(udpPort: number, tcpPort: number): string {
  const own = formatIpv4(EmbeddedDns.address);
  return [
    "*nat",
    ":PREROUTING ACCEPT [0:0]",
    ":INPUT ACCEPT [0:0]",
    ":OUTPUT ACCEPT [0:0]",
    ":POSTROUTING ACCEPT [0:0]",
    ":DOCKER_OUTPUT - [0:0]",
    ":DOCKER_POSTROUTING - [0:0]",
    `-A OUTPUT -d ${own}/32 -j DOCKER_OUTPUT`,
    `-A POSTROUTING -d ${own}/32 -j DOCKER_POSTROUTING`,
    `-A DOCKER_OUTPUT -d ${own}/32 -p tcp -m tcp --dport ${PORT} -j DNAT --to-destination ${own}:${tcpPort}`,
    `-A DOCKER_OUTPUT -d ${own}/32 -p udp -m udp --dport ${PORT} -j DNAT --to-destination ${own}:${udpPort}`,
    `-A DOCKER_POSTROUTING -s ${own}/32 -p tcp -m tcp --sport ${tcpPort} -j SNAT --to-source :${PORT}`,
    `-A DOCKER_POSTROUTING -s ${own}/32 -p udp -m udp --sport ${udpPort} -j SNAT --to-source :${PORT}`,
    "COMMIT",
    "",
  ].join("\n");
}
