// src/service/http/server.ts: an HTTP/1.1 server's connections (RFC 9112): requests in, answers in their order, connections
// kept or closed. What answers is the handler's affair.

import { type HttpField, HttpError, type HttpMessage, HttpReader, HttpType, responseHead } from "../../core/http.ts";
import { SECOND, type Timer } from "../../link/clock.ts";
import { log, type Program, type ProgramHost } from "../program.ts";
import { type Acceptor, type Listening, listenTcp, type Stream, type StreamOwner } from "../stream.ts";
import { field, httpDate, type HttpHandler, type HttpRequest, type HttpResponse, joined, reasonOf } from "./message.ts";
import { toBytes } from "./message.ts";

export interface HttpServerOptions {
  readonly port: number;
  /** The address to listen on, host order; left out: all. */
  readonly address?: number;
  /** Connections that wait to be accepted, at most (listen(2)). */
  readonly backlog?: number;
  /** Connections at once; more wait in the listen queue. */
  readonly connections?: number;
  /** Nanoseconds that a connection may be idle; 0: it is closed after one answer. */
  readonly keepAlive?: number;
  /** Nanoseconds that a request may take to arrive. */
  readonly requestTimeout?: number;
  /** Bytes of a request's body, and of its head, at most. */
  readonly bodyLimit?: number;
  readonly headLimit?: number;
  /** The field Server. */
  readonly server?: string;
  readonly listen?: Listening;
}

const defaults = {
  address: 0,
  backlog: 511,
  connections: Infinity,
  keepAlive: 60 * SECOND,
  requestTimeout: 60 * SECOND,
  bodyLimit: 1 << 20,
  headLimit: 16384,
  server: "wirepath",
  listen: listenTcp,
};

/** Pipelined requests before no more are read. */
const PIPELINE_MAX = 16;

export class HttpServer implements Program {
  readonly options: Required<HttpServerOptions>;
  /** Open connections. */
  readonly connections = new Set<Connection>();
  private acceptor: Acceptor | null = null;
  private at: ProgramHost | null = null;

  constructor(
    readonly name: string,
    options: HttpServerOptions,
    readonly handler: HttpHandler,
  ) {
    this.options = { ...defaults, ...options };
  }

  get host(): ProgramHost {
    if (this.at === null) throw new Error(`${this.name} does not run`);
    return this.at;
  }

  start(host: ProgramHost): void {
    if (this.acceptor !== null) throw new Error(`${host.name}: ${this.name} runs already`);
    this.at = host;
    const { address, port, backlog, listen } = this.options;
    this.acceptor = listen(host, { address, port, backlog }, () => this.accept());
  }

  stop(): void {
    this.acceptor?.close();
    this.acceptor = null;
    for (const c of this.connections) c.abort();
  }

  /** Connections that wait in the listen queue. */
  get waiting(): number {
    return this.acceptor?.waiting ?? 0;
  }

  accept(): void {
    while (this.acceptor !== null && this.connections.size < this.options.connections) {
      const stream = this.acceptor.accept();
      if (stream === null) return;
      this.connections.add(new Connection(this, stream));
    }
  }

  /** A connection is over. */
  gone(c: Connection): void {
    if (this.connections.delete(c)) this.accept();
  }
}

/** A request and, once it is there, its answer. */
interface Exchange {
  readonly method: string;
  readonly version: string;
  readonly last: boolean;
  answer: HttpResponse | null;
}

class Connection implements StreamOwner {
  private readonly reader: HttpReader;
  private readonly exchanges: Exchange[] = [];
  private readonly timer: Timer;
  private parts: Uint8Array[] = [];
  private length = 0;
  /** The message being read is refused: its content is not kept. */
  private refused = false;
  /** Nothing more is read. */
  private last = false;
  private over = false;
  private readEnded = false;

  constructor(
    private readonly server: HttpServer,
    private readonly stream: Stream,
  ) {
    const { world } = server.host;
    this.reader = new HttpReader(world.core, HttpType.Request, {
      head: (m) => this.head(m),
      body: (bytes) => this.body(bytes),
      complete: (m) => this.complete(m),
    });
    this.reader.setLimit(server.options.headLimit);
    this.timer = world.clock.timer(() => this.late());
    world.clock.arm(this.timer, world.clock.now + server.options.requestTimeout);
    stream.owner = this;
  }

  data(bytes: Uint8Array): void {
    const { reader } = this;
    if (this.last || this.over) return;
    reader.feed(bytes);
    if (reader.fault !== null && !this.last) {
      const status = statusOf(reader.fault.error);
      this.refuse(status, `${reasonOf(status)}: ${reader.fault.reason} at byte ${reader.fault.offset}\n`);
    }
    if (this.exchanges.length >= PIPELINE_MAX) this.stream.hold(true);
    this.flush();
  }

  private head(m: HttpMessage): void {
    if (this.last) return;
    const { clock } = this.server.host.world;
    clock.arm(this.timer, clock.now + this.server.options.requestTimeout);
    // RFC 9112 §3.2: exactly one Host in HTTP/1.1
    const hosts = m.headers.filter(([n]) => n.toLowerCase() === "host").length;
    if (hosts > 1 || (hosts === 0 && m.version === "1.1")) {
      return this.refuse(400, "Bad Request: expected one Host field\n");
    }
    const expects = field(m.headers, "expect");
    if (expects === null || m.version === "1.0") return;
    // RFC 9110 §10.1.1
    if (expects.toLowerCase() === "100-continue") this.stream.send(responseHead(100, reasonOf(100), []));
  }

  private body(bytes: Uint8Array): void {
    if (this.last) return;
    this.length += bytes.length;
    if (this.length > this.server.options.bodyLimit) {
      return this.refuse(413, `Content Too Large: more than ${this.server.options.bodyLimit} bytes\n`);
    }
    this.parts.push(bytes);
  }

  private complete(m: HttpMessage): void {
    if (this.last) return;
    const { server, stream } = this;
    const body = joined(this.parts, this.length);
    this.parts = [];
    this.length = 0;
    const last = !m.persists || server.options.keepAlive === 0;
    if (last) this.last = true;
    const exchange: Exchange = { method: m.method!, version: m.version!, last, answer: null };
    this.exchanges.push(exchange);
    this.disarm();
    const request: HttpRequest = {
      method: m.method!,
      target: m.target!,
      headers: m.headers,
      body,
      client: { address: stream.remoteAddress, port: stream.remotePort },
      local: { address: stream.localAddress, port: stream.localPort },
    };
    server.handler(request, (answer) => {
      if (exchange.answer !== null) return;
      exchange.answer = answer;
      if (this.over) return;
      log(server.host, server.name, () => `${request.method} ${request.target} ${answer.status}`);
      this.flush();
    });
  }

  /** An answer that nobody was asked for, and the end of the connection. */
  private refuse(status: number, body: string): void {
    if (this.refused) return;
    this.refused = true;
    this.last = true;
    const { server } = this;
    log(server.host, server.name, () => `refuses a request: ${body.trim()}`);
    const headers: HttpField[] = [["Content-Type", "text/plain; charset=utf-8"]];
    this.exchanges.push({ method: "GET", version: "1.1", last: true, answer: { status, headers, body } });
    this.disarm();
  }

  /** Sends the answers that are there, in order. */
  private flush(): void {
    while (!this.over && this.exchanges.length > 0 && this.exchanges[0]!.answer !== null) {
      const exchange = this.exchanges.shift()!;
      this.write(exchange, exchange.answer!);
      if (exchange.last) return this.finish();
      if (this.exchanges.length === PIPELINE_MAX - 1) this.stream.hold(false);
      if (this.exchanges.length === 0) this.idle();
    }
    if (this.readEnded && this.exchanges.length === 0) this.finish();
  }

  private write({ method, version, last }: Exchange, answer: HttpResponse): void {
    const { server } = this;
    const { world } = server.host;
    const body = toBytes(answer.body);
    const bare = answer.status < 200 || answer.status === 204 || answer.status === 304;
    const headers: HttpField[] = [
      ["Date", httpDate(world.epoch + BigInt(Math.floor(world.clock.now)))],
      ["Server", server.options.server],
      ...(answer.headers ?? []),
    ];
    if (!bare) headers.push(["Content-Length", String(body.length)]);
    if (last) headers.push(["Connection", "close"]);
    else if (version === "1.0") headers.push(["Connection", "keep-alive"]);
    const head = responseHead(answer.status, answer.reason ?? reasonOf(answer.status), headers);
    // one write, so that what fits a segment is one segment
    this.stream.send(bare || method === "HEAD" ? head : joined([head, body]));
  }

  private idle(): void {
    const { clock } = this.server.host.world;
    clock.arm(this.timer, clock.now + this.server.options.keepAlive);
  }

  private disarm(): void {
    this.server.host.world.clock.cancel(this.timer);
  }

  private late(): void {
    if (this.over) return;
    const { message } = this.reader;
    if (message === null || message.complete) return this.close();
    this.refuse(408, "Request Timeout\n");
    this.flush();
  }

  /** All is answered: a FIN; the client's own end closes it (RFC 9112 §9.6). */
  private finish(): void {
    if (this.over) return;
    if (this.readEnded) return this.close();
    this.last = true;
    this.stream.finish();
    const { clock } = this.server.host.world;
    clock.arm(this.timer, clock.now + LINGER);
    this.finished = true;
  }

  private finished = false;

  ended(): void {
    this.readEnded = true;
    if (this.finished || this.exchanges.length === 0) this.close();
  }

  failed(code: string): void {
    log(this.server.host, this.server.name, () => `a connection failed: ${code}`);
    this.forget();
  }

  close(): void {
    if (this.over) return;
    this.stream.close();
    this.forget();
  }

  abort(): void {
    if (this.over) return;
    this.stream.abort();
    this.forget();
  }

  private forget(): void {
    if (this.over) return;
    this.over = true;
    this.disarm();
    // not within a callback of the reader's own
    queueRelease(this.server.host, this.reader);
    this.server.gone(this);
  }
}

/** How long a client has to close its side (nginx's lingering_timeout). */
const LINGER = 5 * SECOND;

/** Gives a reader's memory back once nobody is inside it. */
export function queueRelease(host: ProgramHost, reader: HttpReader): void {
  host.world.clock.at(host.world.clock.now, () => reader.release());
}

function statusOf(error: HttpError): number {
  switch (error) {
    case HttpError.TooLarge:
      return 431;
    case HttpError.Version:
      return 505;
    case HttpError.CodingInvalid:
      return 501;
    default:
      return 400;
  }
}
