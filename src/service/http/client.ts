// src/service/http/client.ts: an HTTP/1.1 client: connections kept by origin, a request and its answer on each at a time.

import { HttpAnswers, type HttpField, type HttpMessage, HttpReader, HttpType, requestHead } from "../../core/http.ts";
import type { Timer } from "../../link/clock.ts";
import type { ProgramHost } from "../program.ts";
import { type Connector, connectTcp, type Stream, type StreamOwner } from "../stream.ts";
import { joined } from "./message.ts";
import { queueRelease } from "./server.ts";

/** Where a request goes. */
export interface Origin {
  readonly address: number;
  readonly port: number;
  /** What the server is called: whom TLS asks to prove it. */
  readonly name: string;
  readonly connect?: Connector;
}

export interface ClientRequest {
  readonly method: string;
  readonly target: string;
  /** Content-Length is added. */
  readonly headers: readonly HttpField[];
  readonly body?: Uint8Array;
}

export interface ClientResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: readonly HttpField[];
  readonly body: Uint8Array;
  /** The connection was there before. */
  readonly reused: boolean;
}

/** Virtual times of an exchange; -1 where it did not come to that. */
export interface Timing {
  start: number;
  /** The connection stands (with TLS, where there is any). */
  connected: number;
  sent: number;
  firstByte: number;
  end: number;
}

/** How an exchange fails: an errno's name, or what the client says. */
export type FailureCode = string;

export interface HttpFailure {
  /** `ECONNREFUSED`, `ECONNRESET`, `ETIMEDOUT` (the connection's own), `ETIMEOUT` (the client's patience), `EBADRESPONSE`. */
  readonly code: FailureCode;
  /** Whether the connection stood. */
  readonly connected: boolean;
  readonly what: string;
}

export type Done = (failure: HttpFailure | null, response: ClientResponse | null, timing: Timing) => void;

export interface ClientOptions {
  /** Nanoseconds for a connection to stand; default: as long as TCP tries. */
  readonly connectTimeout?: number;
  /** Nanoseconds between two arrivals of bytes; default none. */
  readonly readTimeout?: number;
  /** Nanoseconds for all of it; default none. */
  readonly timeout?: number;
  /** Idle connections are kept so long; 0: none is. */
  readonly keepAlive?: number;
  readonly bodyLimit?: number;
}

const BODY_LIMIT = 64 << 20;
const HEAD_LIMIT = 65536;

/** Methods that may be sent again when nobody knows whether they arrived (RFC 9110 §9.2.2). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export class HttpClient {
  /** Idle connections, by origin. */
  private readonly idle = new Map<string, ClientConnection[]>();
  private readonly open = new Set<ClientConnection>();

  constructor(
    readonly host: ProgramHost,
    readonly options: ClientOptions = {},
  ) {}

  /** Sends a request; `done` hears once, in a turn of its own. Answers how to give it up. */
  request(origin: Origin, request: ClientRequest, done: Done): () => void {
    const key = `${origin.name} ${origin.address}:${origin.port}`;
    const kept = this.idle.get(key)?.pop();
    const { now } = this.host.world.clock;
    const timing: Timing = { start: now, connected: -1, sent: -1, firstByte: -1, end: -1 };
    let connection = kept ?? this.connect(origin, key);
    let given = false;
    const go = (reused: boolean): void => {
      connection.begin(request, timing, reused, (failure, response) => {
        // RFC 9112 §9.3.1: the server closed it while it was idle
        const stale = failure !== null && reused && timing.firstByte < 0 && failure.code !== "ETIMEOUT";
        if (stale && idempotent.has(request.method)) {
          connection = this.connect(origin, key);
          return go(false);
        }
        timing.end = this.host.world.clock.now;
        if (!given) done(failure, response, timing);
      });
    };
    go(kept !== undefined);
    return () => {
      given = true;
      connection.destroy();
    };
  }

  private connect(origin: Origin, key: string): ClientConnection {
    const made = new ClientConnection(this, origin, key);
    this.open.add(made);
    return made;
  }

  /** A connection is free again. */
  keep(c: ClientConnection): void {
    const kept = this.idle.get(c.key);
    if (kept === undefined) this.idle.set(c.key, [c]);
    else kept.push(c);
  }

  gone(c: ClientConnection): void {
    this.open.delete(c);
    const kept = this.idle.get(c.key);
    const at = kept?.indexOf(c) ?? -1;
    if (at >= 0) kept!.splice(at, 1);
  }

  /** Closes what is idle, and gives up what is not. */
  close(): void {
    for (const c of this.open) c.destroy();
  }

  get connections(): number {
    return this.open.size;
  }
}

class ClientConnection implements StreamOwner {
  private readonly stream: Stream;
  private readonly reader: HttpReader;
  private readonly timer: Timer;
  private readonly deadline: Timer;
  private request: ClientRequest | null = null;
  private timing: Timing | null = null;
  private done: ((failure: HttpFailure | null, response: ClientResponse | null) => void) | null = null;
  private parts: Uint8Array[] = [];
  private length = 0;
  private finished: HttpMessage | null = null;
  private reused = false;
  private connected = false;
  private over = false;

  constructor(
    private readonly client: HttpClient,
    origin: Origin,
    readonly key: string,
  ) {
    const { host } = client;
    const { clock, core } = host.world;
    this.reader = new HttpReader(
      core,
      HttpType.Response,
      { head: (m) => this.head(m), body: (b) => this.body(b), complete: (m) => (this.finished = m) },
      { pause: true },
    );
    this.reader.setLimit(HEAD_LIMIT);
    this.timer = clock.timer(() => this.late());
    this.deadline = clock.timer(() => this.fail("ETIMEOUT", "no complete answer in time"));
    this.stream = (origin.connect ?? connectTcp)(host, origin.address, origin.port, origin.name, this);
    const { connectTimeout } = client.options;
    if (connectTimeout !== undefined) clock.arm(this.timer, clock.now + connectTimeout);
  }

  /** Sends a request on a connection that is free. */
  begin(
    request: ClientRequest,
    timing: Timing,
    reused: boolean,
    done: (failure: HttpFailure | null, response: ClientResponse | null) => void,
  ): void {
    const { clock } = this.client.host.world;
    this.request = request;
    this.timing = timing;
    this.reused = reused;
    this.done = done;
    const { timeout } = this.client.options;
    if (timeout !== undefined) clock.arm(this.deadline, clock.now + timeout);
    const { method } = request;
    const answers =
      method === "HEAD" ? HttpAnswers.Head : method === "CONNECT" ? HttpAnswers.Connect : HttpAnswers.Other;
    this.reader.setAnswers(answers);
    if (this.connected) this.send();
  }

  opened(): void {
    this.connected = true;
    if (this.request !== null) this.send();
  }

  private send(): void {
    const { method, target, headers, body } = this.request!;
    const { clock } = this.client.host.world;
    this.timing!.connected = clock.now;
    this.timing!.sent = clock.now;
    const more: HttpField[] = [...headers];
    // RFC 9110 §8.6: also when it is empty, where the method gives content a meaning
    if (body !== undefined || method === "POST" || method === "PUT" || method === "PATCH") {
      more.push(["Content-Length", String(body?.length ?? 0)]);
    }
    const head = requestHead(method, target, more);
    this.stream.send(body === undefined ? head : joined([head, body]));
    this.patience();
  }

  private patience(): void {
    const { clock } = this.client.host.world;
    const { readTimeout } = this.client.options;
    if (readTimeout === undefined) clock.cancel(this.timer);
    else clock.arm(this.timer, clock.now + readTimeout);
  }

  private late(): void {
    this.fail("ETIMEOUT", this.connected ? "no answer in time" : "no connection in time");
  }

  data(bytes: Uint8Array): void {
    if (this.over) return;
    if (this.request === null) return this.destroy(); // nobody asked for it
    if (this.timing!.firstByte < 0) this.timing!.firstByte = this.client.host.world.clock.now;
    this.patience();
    let taken = 0;
    while (taken < bytes.length && !this.over) {
      taken += this.reader.feed(bytes.subarray(taken));
      if (this.reader.fault !== null) {
        const { reason, offset } = this.reader.fault;
        return this.fail("EBADRESPONSE", `${reason} at byte ${offset}`);
      }
      const m: HttpMessage | null = this.finished;
      if (m === null) continue;
      this.finished = null;
      // RFC 9110 §15.2: interim answers come before the real one
      if (m.status! < 200 && m.status !== 101) continue;
      if (taken < bytes.length) this.over = true;
      return this.finish(m);
    }
  }

  private head(m: HttpMessage): void {
    if (m.status! >= 200) this.parts = [];
  }

  private body(bytes: Uint8Array): void {
    this.length += bytes.length;
    if (this.length > (this.client.options.bodyLimit ?? BODY_LIMIT)) return;
    this.parts.push(bytes);
  }

  private finish(m: HttpMessage): void {
    const { options, host } = this.client;
    const { clock } = host.world;
    if (this.length > (options.bodyLimit ?? BODY_LIMIT)) return this.fail("EBADRESPONSE", "the answer is too long");
    const response: ClientResponse = {
      status: m.status!,
      reason: m.reason,
      version: m.version!,
      headers: m.headers,
      body: joined(this.parts, this.length),
      reused: this.reused,
    };
    const done = this.done!;
    this.request = this.done = null;
    this.parts = [];
    this.length = 0;
    clock.cancel(this.timer);
    clock.cancel(this.deadline);
    const keep = options.keepAlive ?? Infinity;
    if (!m.persists || keep === 0 || this.over) {
      this.over = false;
      this.destroy();
    } else {
      this.client.keep(this);
      if (keep !== Infinity) {
        this.idleUntil = clock.now + keep;
        clock.arm(this.deadline, this.idleUntil);
      }
    }
    done(null, response);
  }

  private idleUntil = -1;

  ended(): void {
    if (this.over) return;
    if (this.request === null) return this.destroy();
    // content that lasts until the close
    if (this.timing!.firstByte >= 0 && this.reader.finish() && this.finished !== null) {
      const m = this.finished;
      this.finished = null;
      return this.finish({ ...m, persists: false });
    }
    this.fail("ECONNRESET", "the connection was closed before the answer was complete");
  }

  failed(code: string): void {
    this.fail(code, this.connected ? "the connection broke" : "no connection");
  }

  private fail(code: string, what: string): void {
    if (this.over) return;
    const { done, connected } = this;
    this.request = this.done = null;
    this.destroy();
    done?.({ code, connected, what }, null);
  }

  destroy(): void {
    if (this.over) return;
    this.over = true;
    const { clock } = this.client.host.world;
    clock.cancel(this.timer);
    clock.cancel(this.deadline);
    // what was begun and not finished is given up at once
    if (this.request !== null) this.stream.abort();
    else this.stream.close();
    queueRelease(this.client.host, this.reader);
    this.client.gone(this);
  }
}
