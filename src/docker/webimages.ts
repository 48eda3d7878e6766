// src/docker/webimages.ts: images of a web service: nginx (files, and a proxy), a board of posts, Postgres. Their environment
// tells them what to do.

import { AppServer } from "../service/http/app.ts";
import { StaticFiles } from "../service/http/files.ts";
import type { WebParts } from "../service/http/parts.ts";
import { ReverseProxy } from "../service/http/proxy.ts";
import { HttpServer } from "../service/http/server.ts";
import { type Program, programHost } from "../service/program.ts";
import { setNames } from "../socket/host.ts";
import type { Container } from "./container.ts";
import { DockerError } from "./error.ts";
import type { Image, Images, Process } from "./images.ts";
import { stubOf } from "./resolve.ts";

const welcome = "<!doctype html>\n<title>Welcome</title>\n<h1>It works</h1>\n";

/**
 * nginx: UPSTREAM=HOST:PORT[,HOST:PORT...] makes it a proxy, all but /about.html is passed on; TLS=on opens 443 as well. wirepath/board: DATABASE_URL, PORT (8000), PROCESSES, THREADS, TITLE.
 * postgres: POSTGRES_SETUP (SQL); only where there is a Postgres.
 */
export function registerWebImages(images: Images, parts: WebParts): Images {
  images.register("nginx", { exposes: ["80/tcp", "443/tcp"], start: (c) => run(c, nginx(c, parts)) });
  images.register("wirepath/board", { exposes: ["8000/tcp"], start: (c) => run(c, board(c, parts)) });
  const { postgres } = parts;
  if (postgres !== undefined) {
    const image: Image = {
      exposes: ["5432/tcp"],
      start: (c) => run(c, postgres({ port: 5432, setup: variable(c, "POSTGRES_SETUP") ?? "" })),
    };
    images.register("postgres", image);
  }
  return images;
}

function run(container: Container, program: Program): Process {
  const hosts = new Map<string, string[]>();
  for (const [name, address] of container.hosts) {
    const key = name.toLowerCase();
    hosts.set(key, [...(hosts.get(key) ?? []), address]);
  }
  setNames(container.ns!, { hosts, resolver: container.nameServers.length === 0 ? null : stubOf(container) });
  program.start(programHost(container.ns!));
  return { stop: () => program.stop() };
}

function variable(container: Container, name: string): string | undefined {
  return container.options.environment?.[name];
}

function whole(container: Container, name: string, standard: number, most: number): number {
  const text = variable(container, name);
  const n = text === undefined ? standard : Number(text);
  if (!Number.isInteger(n) || n < 1 || n > most) {
    throw new DockerError(`container ${container.name}: ${name} '${text}', expected 1 to ${most}`);
  }
  return n;
}

function nginx(container: Container, parts: WebParts): Program {
  const upstreams = (variable(container, "UPSTREAM") ?? "").split(",").filter((u) => u !== "");
  const files = new StaticFiles([["/index.html", welcome]], container.engine.host.world.epoch);
  if (upstreams.length === 0) return new HttpServer("nginx", { port: 80, server: "nginx" }, files.handler);
  const read = upstreams.map((u) => {
    const m = /^([A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(u.trim());
    if (m === null) throw new DockerError(`container ${container.name}: UPSTREAM '${u}', expected HOST:PORT`);
    return { host: m[1]!, port: Number(m[2] ?? 80) };
  });
  const pages = new StaticFiles([["/about.html", welcome]], container.engine.host.world.epoch);
  const options = { upstreams: read, files: pages, names: stubOf(container) };
  const plain = new ReverseProxy({ ...options, port: 80 }, "nginx");
  const { listenSecure } = parts;
  if (listenSecure === undefined || variable(container, "TLS") !== "on") return plain;
  const secure = new ReverseProxy({ ...options, port: 443, listen: listenSecure(container.ns!) }, "nginx");
  return {
    name: "nginx",
    start: (host) => {
      plain.start(host);
      secure.start(host);
    },
    stop: () => {
      plain.stop();
      secure.stop();
    },
  };
}

function board(container: Container, parts: WebParts): Program {
  const url = variable(container, "DATABASE_URL");
  const { database } = parts;
  if (url !== undefined && database === undefined) {
    throw new DockerError(`container ${container.name}: DATABASE_URL: there is no client for databases here`);
  }
  const { ns } = container;
  return new AppServer({
    port: whole(container, "PORT", 8000, 65535),
    processes: whole(container, "PROCESSES", 2, 1000),
    threads: whole(container, "THREADS", 4, 1000),
    title: variable(container, "TITLE") ?? "Board",
    ...(url === undefined ? {} : { database: () => database!(ns!, url) }),
  });
}
