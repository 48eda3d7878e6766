// src/docker/whoami.ts: the image `whoami`: an HTTP server that answers with what it sees of itself and of the request, in the
// words of traefik/whoami. WHOAMI_PORT_NUMBER and WHOAMI_NAME are read as there.

import { formatIpv4 } from "../core/address.ts";
import { type HttpMessage, HttpReader, HttpType, responseHead } from "../core/http.ts";
import { SocketError } from "../transport/errno.ts";
import type { Endpoint } from "../transport/tcp/endpoint.ts";
import type { Container } from "./container.ts";
import { DockerError } from "./error.ts";
import type { Image, Process } from "./images.ts";
import { tcpOf } from "./transports.ts";

const BACKLOG = 511;
const PORT = 80;
/** The longest head that it reads. */
const HEAD_LIMIT = 16384;
const buffer = new Uint8Array(16384);

export const whoami: Image = {
  exposes: [`${PORT}/tcp`],
  start: (container) => new Whoami(container),
};

class Whoami implements Process {
  private readonly listener;
  private readonly connections = new Set<HttpConnection>();

  constructor(readonly container: Container) {
    const port = Number(container.options.environment?.["WHOAMI_PORT_NUMBER"] ?? PORT);
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new DockerError(`container ${container.name}: WHOAMI_PORT_NUMBER '${port}', expected 1 to 65535`);
    }
    this.listener = tcpOf(container.ns!).listen(0, port, BACKLOG, { wake: () => this.accept() });
  }

  private accept(): void {
    for (let c = this.listener.accept(); c !== null; c = this.listener.accept()) {
      this.connections.add(new HttpConnection(this, c, (over) => this.connections.delete(over)));
    }
  }

  stop(): void {
    this.listener.close();
    for (const c of this.connections) c.close();
  }

  /** The body of an answer. */
  describe(request: HttpMessage, endpoint: Endpoint): string {
    const { container } = this;
    const lines = [`Hostname: ${container.hostname}`];
    const name = container.options.environment?.["WHOAMI_NAME"];
    if (name !== undefined) lines.unshift(`Name: ${name}`);
    for (const dev of container.ns!.interfaces) {
      for (const a of container.ns!.fib.addresses(dev)) lines.push(`IP: ${formatIpv4(a.local)}`);
    }
    lines.push(`RemoteAddr: ${formatIpv4(endpoint.remoteAddress)}:${endpoint.remotePort}`);
    lines.push(`${request.method} ${request.target} HTTP/${request.version}`);
    const host = request.headers.find(([field]) => field.toLowerCase() === "host");
    if (host !== undefined) lines.push(`Host: ${host[1]}`);
    const others = request.headers.filter((h) => h !== host).toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [field, value] of others) lines.push(`${field}: ${value}`);
    return `${lines.join("\n")}\n\n`;
  }
}

class HttpConnection {
  private readonly reader: HttpReader;
  private pending: Uint8Array[] = [];
  private over = false;
  private last = false;

  constructor(
    private readonly server: Whoami,
    private readonly endpoint: Endpoint,
    private readonly ended: (c: HttpConnection) => void,
  ) {
    const { core } = server.container.engine.host.world;
    this.reader = new HttpReader(core, HttpType.Request, { complete: (m) => this.answer(m) });
    this.reader.setLimit(HEAD_LIMIT);
    endpoint.owner = { wake: () => this.wake() };
    this.wake();
  }

  private wake(): void {
    const { endpoint, reader } = this;
    if (this.over) return;
    if (endpoint.error !== null) return this.close();
    try {
      while (endpoint.readable > 0 && !this.last) {
        const n = endpoint.read(buffer);
        reader.feed(buffer.subarray(0, n));
        if (reader.fault !== null) this.refuse();
      }
      this.flush();
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      return this.close();
    }
    if (this.pending.length === 0 && (this.last || endpoint.readEnded)) this.close();
  }

  private answer(m: HttpMessage): void {
    const body = new TextEncoder().encode(this.server.describe(m, this.endpoint));
    if (!m.persists) this.last = true;
    this.pending.push(
      responseHead(200, "OK", [
        ["Content-Length", String(body.length)],
        ["Content-Type", "text/plain; charset=utf-8"],
        ...(m.persists ? [] : ([["Connection", "close"]] as const)),
      ]),
    );
    if (m.method !== "HEAD") this.pending.push(body);
  }

  private refuse(): void {
    this.last = true;
    this.pending.push(
      responseHead(400, "Bad Request", [
        ["Content-Length", "0"],
        ["Connection", "close"],
      ]),
    );
  }

  private flush(): void {
    const { endpoint, pending } = this;
    while (pending.length > 0 && endpoint.writable > 0) {
      const first = pending[0]!;
      const n = endpoint.write(first, 0, Math.min(first.length, endpoint.writable));
      if (n < first.length) pending[0] = first.subarray(n);
      else pending.shift();
    }
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.reader.release();
    this.endpoint.close();
    this.ended(this);
  }
}
