// src/service/http/app.ts: an application server and its application, a board of posts: processes with threads that take virtual
// time, a listen queue in front of them, a lock that lets one update at a time through, a database behind.

import { formatIpv4 } from "../../core/address.ts";
import { MS } from "../../link/clock.ts";
import { log, type Program, type ProgramHost } from "../program.ts";
import { plain, pathOf } from "./files.ts";
import { field, type HttpRequest, type HttpResponse, toText } from "./message.ts";
import { HttpServer, type HttpServerOptions } from "./server.ts";

export type Row = Readonly<Record<string, unknown>>;

/** A database as the application asks it. `done` hears once. */
export interface Database {
  query(sql: string, values: readonly unknown[], done: (error: Error | null, rows: readonly Row[]) => void): void;
  close(): void;
}

export interface AppOptions extends HttpServerOptions {
  /** Processes, each with one processor's worth of work at a time, and threads in each. */
  readonly processes?: number;
  readonly threads?: number;
  /** Nanoseconds of a processor that a request takes. */
  readonly work?: number;
  /** Nanoseconds that an update takes while it holds the lock. */
  readonly update?: number;
  /** Where the posts are; in memory without one. */
  readonly database?: (host: ProgramHost) => Database;
  readonly title?: string;
}

/** gunicorn's --backlog is 2048; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 2048;
const BODY_MAX = 2000;
const NAME_MAX = 200;

/** A process of the server: its threads share one processor's time. */
class Worker {
  active = 0;
  private free = 0;

  constructor(
    readonly id: number,
    private readonly host: ProgramHost,
  ) {}

  /** Calls back when the processor did so much for this thread, behind what it has to do for the others. */
  compute(ns: number, then: () => void): void {
    const { clock } = this.host.world;
    this.free = Math.max(clock.now, this.free) + ns;
    clock.at(this.free, then);
  }
}

/** One holder at a time; those who wait are served in order. */
export class Lock {
  private held = false;
  private readonly queue: (() => void)[] = [];

  take(then: () => void): void {
    if (this.held) {
      this.queue.push(then);
      return;
    }
    this.held = true;
    then();
  }

  release(): void {
    const next = this.queue.shift();
    if (next === undefined) this.held = false;
    else next();
  }

  get waiting(): number {
    return this.queue.length;
  }
}

export class AppServer implements Program {
  readonly name: string;
  readonly server: HttpServer;
  readonly lock = new Lock();
  private workers: Worker[] = [];
  private database: Database | null = null;
  private readonly posts: { id: number; name: string; body: string }[] = [];
  private host: ProgramHost | null = null;

  constructor(
    readonly options: AppOptions,
    name = "app",
  ) {
    this.name = name;
    const { processes = 2, threads = 4 } = options;
    // a thread serves a connection to its end
    const all = { backlog: BACKLOG, keepAlive: 0, server: name, connections: processes * threads, ...options };
    this.server = new HttpServer(name, all, (request, reply) => this.serve(request, reply));
  }

  start(host: ProgramHost): void {
    const { processes = 2 } = this.options;
    this.host = host;
    this.workers = Array.from({ length: processes }, (_, i) => new Worker(i + 1, host));
    this.database = this.options.database?.(host) ?? null;
    this.server.start(host);
  }

  stop(): void {
    this.server.stop();
    this.database?.close();
    this.database = null;
    this.host = null;
  }

  private serve(request: HttpRequest, reply: (r: HttpResponse) => void): void {
    const host = this.host!;
    // the process with the fewest threads at work
    const worker = this.workers.reduce((a, b) => (b.active < a.active ? b : a));
    worker.active++;
    const who = `process ${worker.id} thread ${worker.active}`;
    log(
      host,
      this.name,
      () => `${who} takes ${request.method} ${request.target} from ${formatIpv4(request.client.address)}`,
    );
    worker.compute(this.options.work ?? 2 * MS, () => {
      if (this.host === null) return;
      this.answer(request, worker, (response) => {
        worker.active--;
        reply(response);
      });
    });
  }

  private answer(request: HttpRequest, worker: Worker, reply: (r: HttpResponse) => void): void {
    const path = pathOf(request.target);
    const { method } = request;
    if (path === "/health") return reply(plain(200, "ok\n"));
    if (path === "/whoami") {
      return reply(
        plain(200, `${this.host!.name}, process ${worker.id}, asked by ${formatIpv4(request.client.address)}\n`),
      );
    }
    if (path !== "/" && path !== "/posts") return reply(plain(404, "Not Found\n"));
    if (method === "POST") return this.post(request, worker, reply);
    if (method !== "GET" && method !== "HEAD") {
      return reply({ ...plain(405, "Method Not Allowed\n"), headers: [["Allow", "GET, HEAD, POST"]] });
    }
    this.list((error, posts) => {
      if (error !== null) return reply(this.broken(error));
      if (path === "/posts") {
        return reply({ status: 200, headers: [["Content-Type", "application/json"]], body: JSON.stringify(posts) });
      }
      const headers = [["Content-Type", "text/html; charset=utf-8"] as const, ...this.session(request)];
      reply({ status: 200, headers, body: page(this.options.title ?? "Board", posts) });
    });
  }

  /** A cookie for who comes the first time. */
  private session(request: HttpRequest): (readonly [string, string])[] {
    if (/(^|; )session=/.test(field(request.headers, "cookie") ?? "")) return [];
    const id = this.host!.world.rng.u32().toString(16).padStart(8, "0");
    return [["Set-Cookie", `session=${id}; Path=/; HttpOnly; SameSite=Lax`]];
  }

  private list(done: (error: Error | null, posts: readonly Row[]) => void): void {
    if (this.database === null) return done(null, this.posts.slice(-20).toReversed());
    this.database.query("SELECT id, name, body FROM posts ORDER BY id DESC LIMIT $1", [20], done);
  }

  private post(request: HttpRequest, worker: Worker, reply: (r: HttpResponse) => void): void {
    const type = (field(request.headers, "content-type") ?? "").split(";")[0]!.trim().toLowerCase();
    let name: unknown;
    let body: unknown;
    if (type === "application/x-www-form-urlencoded") {
      const form = new URLSearchParams(toText(request.body));
      [name, body] = [form.get("name"), form.get("body")];
    } else if (type === "application/json") {
      try {
        const value = JSON.parse(toText(request.body)) as { name?: unknown; body?: unknown } | null;
        [name, body] = [value?.name, value?.body];
      } catch {
        return reply(plain(400, "Bad Request: the content is no JSON\n"));
      }
    } else return reply(plain(415, "Unsupported Media Type: expected a form or JSON\n"));
    if (typeof name !== "string" || typeof body !== "string" || name === "" || body === "") {
      return reply(plain(422, "Unprocessable Content: expected name and body\n"));
    }
    if (name.length > NAME_MAX || body.length > BODY_MAX) return reply(plain(413, "Content Too Large\n"));
    const asked = this.host!.world.clock.now;
    this.lock.take(() => {
      const { clock } = this.host?.world ?? {};
      if (clock === undefined) return this.lock.release();
      const waited = clock.now - asked;
      if (waited > 0)
        log(this.host!, this.name, () => `process ${worker.id} waited ${(waited / MS).toFixed(3)} ms for the lock`);
      clock.after(this.options.update ?? 1 * MS, () => {
        if (this.host === null) return this.lock.release();
        this.insert(name, body, (error, id) => {
          this.lock.release();
          if (error !== null) return reply(this.broken(error));
          if (type === "application/json") {
            const headers = [
              ["Content-Type", "application/json"],
              ["Location", `/posts`],
            ] as const;
            return reply({ status: 201, headers, body: JSON.stringify({ id }) });
          }
          reply({ status: 303, headers: [["Location", "/"]] });
        });
      });
    });
  }

  private insert(name: string, body: string, done: (error: Error | null, id: number) => void): void {
    if (this.database === null) {
      const id = this.posts.length + 1;
      this.posts.push({ id, name, body });
      return done(null, id);
    }
    const sql = "INSERT INTO posts (name, body) VALUES ($1, $2) RETURNING id";
    this.database.query(sql, [name, body], (error, rows) => done(error, Number(rows[0]?.["id"] ?? 0)));
  }

  private broken(error: Error): HttpResponse {
    log(this.host!, this.name, () => `the database failed: ${error.message}`);
    return plain(500, "Internal Server Error\n");
  }
}

function page(title: string, posts: readonly Row[]): string {
  const items = posts.map((p) => `<li><b>${escape(p["name"])}</b>: ${escape(p["body"])}</li>`);
  return `<!doctype html>
<title>${escape(title)}</title>
<h1>${escape(title)}</h1>
<ul>
${items.join("\n")}
</ul>
<form method="post" action="/posts"><input name="name"><input name="body"><button>Post</button></form>
`;
}

function escape(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
