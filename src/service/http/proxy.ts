// src/service/http/proxy.ts: a reverse proxy: files from here, all else from the servers behind it (RFC 9110 §7.6, nginx's words).

import { formatIpv4, parseIpv4 } from "../../core/address.ts";
import type { HttpField } from "../../core/http.ts";
import { SECOND } from "../../link/clock.ts";
import { log, type Program, type ProgramHost } from "../program.ts";
import type { NameLookup } from "./browser.ts";
import { type ClientRequest, HttpClient, type HttpFailure } from "./client.ts";
import { plain, StaticFiles, pathOf } from "./files.ts";
import { field, fieldList, type HttpRequest, type HttpResponse } from "./message.ts";
import { HttpServer, type HttpServerOptions } from "./server.ts";

/** A server behind the proxy: a name or an address, and a port. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
}

export interface ProxyOptions extends HttpServerOptions {
  readonly upstreams: readonly Upstream[];
  /** What is served from here. */
  readonly files?: StaticFiles;
  /** Needed where an upstream is a name. */
  readonly names?: NameLookup;
  /** proxy_connect_timeout, proxy_read_timeout: nanoseconds, default a minute each. */
  readonly connectTimeout?: number;
  readonly readTimeout?: number;
  /** A server that failed is left alone so long (fail_timeout, default ten seconds). */
  readonly failTimeout?: number;
}

/** Fields that are between two neighbours alone (RFC 9110 §7.6.1). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export class ReverseProxy implements Program {
  readonly name: string;
  private readonly server: HttpServer;
  private client: HttpClient | null = null;
  private turn = 0;
  /** Until when a server is left alone. */
  private readonly resting = new Map<Upstream, number>();

  constructor(
    readonly options: ProxyOptions,
    name = "proxy",
  ) {
    this.name = name;
    this.server = new HttpServer(name, { server: name, ...options }, (request, reply) => this.serve(request, reply));
  }

  start(host: ProgramHost): void {
    const { connectTimeout = 60 * SECOND, readTimeout = 60 * SECOND } = this.options;
    this.client = new HttpClient(host, { connectTimeout, readTimeout, keepAlive: 60 * SECOND });
    this.server.start(host);
  }

  stop(): void {
    this.server.stop();
    this.client?.close();
    this.client = null;
  }

  private serve(request: HttpRequest, reply: (r: HttpResponse) => void): void {
    const path = pathOf(request.target);
    if (path === null) return reply(plain(400, "Bad Request\n"));
    const { files } = this.options;
    if (files !== undefined && files.find(path) !== null) return reply(files.answer(request));
    this.pass(request, this.order(), reply, null);
  }

  /** The servers in the order in which this request tries them. */
  private order(): Upstream[] {
    const { upstreams } = this.options;
    const { now } = this.server.host.world.clock;
    const from = this.turn++ % Math.max(1, upstreams.length);
    const all = [...upstreams.slice(from), ...upstreams.slice(0, from)];
    const well = all.filter((u) => (this.resting.get(u) ?? -1) <= now);
    return [...well, ...all.filter((u) => !well.includes(u))];
  }

  private pass(
    request: HttpRequest,
    [upstream, ...others]: readonly Upstream[],
    reply: (r: HttpResponse) => void,
    last: HttpFailure | null,
  ): void {
    const { client, server, options } = this;
    if (client === null) return;
    if (upstream === undefined) return reply(this.broken(last));
    const failed = (failure: HttpFailure): void => {
      const { clock } = server.host.world;
      this.resting.set(upstream, clock.now + (options.failTimeout ?? 10 * SECOND));
      log(server.host, this.name, () => `upstream ${upstream.host}:${upstream.port}: ${failure.code}, ${failure.what}`);
      // proxy_next_upstream: what may have been done once is not asked for twice
      const again = !failure.connected || safe.has(request.method);
      this.pass(request, again ? others : [], reply, failure);
    };
    this.resolve(upstream, (address) => {
      if (address === null) return failed({ code: "ENOTFOUND", connected: false, what: "host not found in upstream" });
      const origin = { address, port: upstream.port, name: upstream.host };
      log(
        server.host,
        this.name,
        () => `passes ${request.method} ${request.target} to ${upstream.host}:${upstream.port}`,
      );
      client.request(origin, this.forwarded(request), (failure, response) => {
        if (failure !== null) return failed(failure);
        this.resting.delete(upstream);
        const headers = without(response!.headers).filter(([n]) => !/^(content-length|date|server)$/i.test(n));
        reply({ status: response!.status, reason: response!.reason, headers, body: response!.body });
      });
    });
  }

  private resolve({ host }: Upstream, done: (address: number | null) => void): void {
    const address = parseIpv4(host);
    const { names } = this.options;
    if (address !== null || names === undefined) return done(address);
    names.resolve4(host, (_error, found) => done(found.length === 0 ? null : parseIpv4(found[0]!)));
  }

  /** The request as the server behind sees it: who asked, and that it came through here. */
  private forwarded(request: HttpRequest): ClientRequest {
    const { headers, client, body, method, target } = request;
    const kept = without(headers).filter(([n]) => !/^(host|content-length|expect|x-forwarded-for|x-real-ip)$/i.test(n));
    const who = formatIpv4(client.address);
    const before = fieldList(headers, "x-forwarded-for");
    const out: HttpField[] = [
      ["Host", field(headers, "host") ?? "localhost"],
      ["X-Forwarded-For", [...before, who].join(", ")],
      ["X-Real-IP", who],
      ["Via", `1.1 ${this.name}`],
      ...kept,
    ];
    return { method, target, headers: out, ...(body.length > 0 ? { body } : {}) };
  }

  /** 504 for a server that is too slow, 502 for one that is not there or speaks no HTTP (RFC 9110 §15.6). */
  private broken(failure: HttpFailure | null): HttpResponse {
    const slow = failure?.code === "ETIMEOUT" || failure?.code === "ETIMEDOUT";
    return plain(slow ? 504 : 502, slow ? "504 Gateway Timeout\n" : "502 Bad Gateway\n");
  }
}

function without(headers: readonly HttpField[]): HttpField[] {
  const named = new Set(fieldList(headers, "connection").map((n) => n.toLowerCase()));
  return headers.filter(([n]) => !hopByHop.has(n.toLowerCase()) && !named.has(n.toLowerCase()));
}
