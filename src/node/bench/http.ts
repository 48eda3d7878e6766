// src/node/bench/http.ts: HTTP through the docker path, with a connection for each request and with connections that stay.

import { writeFileSync } from "node:fs";
import { HttpReader, HttpType, requestHead, responseHead } from "../../core/http.ts";
import type { Endpoint, Owner } from "../../transport/tcp/endpoint.ts";
import { loadCore } from "../core.ts";
import { HOST, TCP_PORT, WEB_PORT } from "./dockerlab.ts";
import { type Env, output, type Suite, tool } from "./env.ts";
import { KernelLab } from "./kernel.ts";
import { Absent, now, type Peer } from "./measure.ts";
import { TcpPath } from "./tcppath.ts";

/** Connections at the same time. */
const AT_ONCE = 16;
/** After so many requests, time for connections that ended to be forgotten. */
const BATCH = 2048;
const BODY = "hello, wirepath\n";

const body = new TextEncoder().encode(BODY);

function message(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + rest.length);
  bytes.set(head);
  bytes.set(rest, head.length);
  return bytes;
}

const noBody = new Uint8Array(0);
const hostField = ["Host", `${HOST}:${TCP_PORT}`] as const;
const request = {
  close: message(requestHead("GET", "/", [hostField, ["Connection", "close"]]), noBody),
  keep: message(requestHead("GET", "/", [hostField]), noBody),
};
const common = [
  ["Server", "wirepath"],
  ["Content-Type", "text/plain"],
  ["Content-Length", `${body.length}`],
] as const;
const response = {
  close: message(responseHead(200, "OK", [...common, ["Connection", "close"]]), body),
  keep: message(responseHead(200, "OK", [...common, ["Connection", "keep-alive"]]), body),
  missing: message(
    responseHead(404, "Not Found", [
      ["Content-Length", "0"],
      ["Connection", "close"],
    ]),
    noBody,
  ),
};

/** Readers of messages, and who uses each: taken again by other connections. */
class Readers {
  private readonly free: Conversation[] = [];
  readonly buffer = new Uint8Array(4096);

  constructor(
    readonly path: TcpPath,
    private readonly make: (all: Readers) => Conversation,
  ) {}

  take(): Conversation {
    return this.free.pop() ?? this.make(this);
  }

  give(c: Conversation): void {
    this.free.push(c);
  }
}

/** One end of a connection, and what it reads. */
abstract class Conversation implements Owner {
  end: Endpoint | null = null;
  protected readonly reader: HttpReader;

  constructor(
    protected readonly all: Readers,
    type: HttpType,
  ) {
    this.reader = new HttpReader(all.path.core, type, {
      body: (bytes) => this.body(bytes),
      complete: () => this.complete(),
    });
  }

  begin(end: Endpoint | null): void {
    this.end = end;
    this.reader.reset();
  }

  abstract body(bytes: Uint8Array): void;
  abstract complete(): void;

  /** Reads what is there; answers whether the other end closed. */
  protected read(): boolean {
    const { all, reader } = this;
    const end = this.end!;
    for (let n = end.read(all.buffer); n > 0; n = end.read(all.buffer)) {
      reader.feed(all.buffer.subarray(0, n));
      if (reader.fault !== null) throw new Error(`http: ${reader.fault.reason}`);
    }
    return end.readEnded;
  }

  wake(): void {
    if (this.end !== null && this.read() && this.end !== null) this.leave();
  }

  protected leave(): void {
    const end = this.end!;
    this.end = null;
    end.close();
    this.all.give(this);
  }
}

class Server extends Conversation {
  private answered = false;

  constructor(all: Readers) {
    super(all, HttpType.Request);
  }

  override begin(end: Endpoint | null): void {
    super.begin(end);
    this.answered = false;
  }

  override body(): void {
    throw new Error("http: a GET with content");
  }

  override complete(): void {
    const { method, target, persists } = this.reader.message!;
    const found = method === "GET" && target === "/";
    this.end!.write(!found ? response.missing : persists ? response.keep : response.close);
    this.answered = !found || !persists;
  }

  override wake(): void {
    if (this.end === null) return;
    if (this.read() || this.answered) this.leave();
  }
}

/** Asks again and again, with new connections or one. */
class Client extends Conversation {
  private text = 0;

  constructor(
    all: Readers,
    private readonly load: Load,
  ) {
    super(all, HttpType.Response);
  }

  override body(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== body[this.text + i]) throw new Error("http: another body");
    this.text += bytes.length;
  }

  override complete(): void {
    const { status } = this.reader.message!;
    if (status !== 200 || this.text !== body.length) throw new Error(`http: status ${status}, ${this.text} bytes`);
    this.load.seen ??= `${status} ${BODY.trim()}`;
    this.load.done++;
    this.text = 0;
    if (!this.load.keep) return;
    if (this.load.left-- > 0) this.end!.write(request.keep);
    else this.leave();
  }

  /** Established: ask. */
  private asked = false;

  open(): void {
    this.begin(null);
    this.asked = false;
    this.text = 0;
    this.end = this.all.path.connect(this);
  }

  override wake(): void {
    const { end } = this;
    if (end === null) return;
    if (!this.asked) {
      if (end.stateName !== "ESTABLISHED") throw new Error(`http: no connection: ${end.error ?? end.stateName}`);
      this.asked = true;
      end.setNoDelay(true);
      end.write(this.load.keep ? request.keep : request.close);
      return;
    }
    if (this.read() && this.end !== null) {
      this.leave();
      this.load.next();
    }
  }
}

/** So many requests, a few at a time. */
class Load {
  done = 0;
  left = 0;
  keep = false;
  /** The first answer, in words. */
  seen: string | null = null;
  private readonly clients: Readers;

  constructor(private readonly path: TcpPath) {
    this.clients = new Readers(path, (all) => new Client(all, this));
  }

  next(): void {
    if (this.left <= 0) return;
    this.left--;
    (this.clients.take() as Client).open();
  }

  /** Thousand requests a second. */
  run(n: number, keep: boolean): number {
    const { clock } = this.path;
    this.keep = keep;
    const from = now();
    for (let all = 0; all < n; all += BATCH) {
      const size = Math.min(n - all, BATCH);
      this.left = size;
      this.done = 0;
      for (let i = 0; i < Math.min(AT_ONCE, size); i++) this.next();
      while (this.done < size && clock.step());
      if (this.done !== size) throw new Error(`http: of ${size} requests ${this.done} were answered`);
      this.path.rest();
    }
    return n / (now() - from);
  }
}

/** nginx in the container's namespace. */
async function start(env: Env): Promise<KernelLab> {
  const nginx = tool("nginx");
  const curl = tool("curl");
  tool("wrk");
  const lab = new KernelLab(env);
  lab.make(lab.tcp());
  const conf = env.file("nginx.conf");
  writeFileSync(
    conf,
    `daemon off; master_process off; pid ${env.file("nginx.pid")}; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; default_type text/plain; tcp_nodelay on;
  client_body_temp_path ${env.file("body")}; proxy_temp_path ${env.file("proxy")};
  fastcgi_temp_path ${env.file("fastcgi")}; uwsgi_temp_path ${env.file("uwsgi")}; scgi_temp_path ${env.file("scgi")};
  server { listen ${WEB_PORT} backlog=4096; location = / { return 200 "${BODY.replace("\n", "\\n")}"; } }
}
`,
  );
  env.start(tool("ip"), ["netns", "exec", lab.names.web, nginx, "-c", conf, "-p", env.dir]);
  for (let tries = 0; tries < 50; tries++) {
    const r = await within(lab, curl, ["-s", "-m", "2", `http://${HOST}:${TCP_PORT}/`]);
    if (r.status === 0) return lab;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Absent("nginx does not answer");
}

function within(lab: KernelLab, program: string, words: readonly string[]): ReturnType<typeof output> {
  return output(tool("ip"), ["netns", "exec", lab.names.client, program, ...words]);
}

async function run(env: Env): Promise<void> {
  const path: TcpPath = new TcpPath(loadCore(), true, (end) => {
    const server = servers.take();
    server.begin(end);
    return server;
  });
  const servers = new Readers(path, (all) => new Server(all));
  const load = new Load(path);
  const url = `http://${HOST}:${TCP_PORT}/`;
  let lab: Promise<KernelLab> | null = null;
  const nginx = (close: boolean): Promise<Peer> =>
    env.peer("nginx, wrk, Linux kernel", async () => {
      const at = await (lab ??= start(env));
      return {
        async answer() {
          const r = await within(at, tool("curl"), ["-s", "-m", "5", "-w", "%{http_code}", url]);
          const text = r.stdout;
          return `${text.slice(-3)} ${text.slice(0, -3).trim()}`;
        },
        async run() {
          const words = ["-t1", `-c${AT_ONCE}`, "-d1s", ...(close ? ["-H", "Connection: close"] : []), url];
          const r = await within(at, tool("wrk"), words);
          const rate = /^Requests\/sec:\s*([\d.]+)/m.exec(r.stdout);
          if (rate === null) throw new Absent("wrk gave no rate");
          const wrong = /^\s*Non-2xx.*$/m.exec(r.stdout);
          if (wrong !== null) throw new Absent(wrong[0].trim());
          return Number(rate[1]) / 1000;
        },
      };
    });
  for (const keep of [false, true]) {
    const name = keep ? "http.keepalive" : "http.requests";
    if (!env.wants(name)) continue;
    await env.measure({
      name,
      unit: "k/s",
      better: "more",
      note: `GET of ${body.length} bytes through the docker path, ${AT_ONCE} at a time, ${keep ? "on connections that stay" : "a connection for each"}`,
      answer() {
        load.seen = null;
        load.run(1, keep);
        return load.seen ?? "nothing";
      },
      warm: env.size(6, 1),
      run: () => load.run(env.size(keep ? 32_768 : 8_192, 40), keep),
      peers: [await nginx(!keep)],
    });
  }
}

export const http: Suite = {
  name: "http",
  summary: "HTTP through the docker path: a connection for each request, and connections that stay",
  rows: ["http.requests", "http.keepalive"],
  run,
};
