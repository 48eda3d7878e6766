// src/lab/webservices.ts: programs of the web on a lab's nodes: files, applications, proxies, databases, a Docker engine.

import { Compose } from "../docker/compose.ts";
import { buildCompose, builtInImages, type ComposeWorld } from "../docker/composebuild.ts";
import type { Images } from "../docker/images.ts";
import { registerWebImages } from "../docker/webimages.ts";
import { PlaceError } from "../host/yamltext.ts";
import type { Namespace } from "../host/namespace.ts";
import { Stub } from "../service/dns/stub.ts";
import { AppServer } from "../service/http/app.ts";
import type { NameLookup } from "../service/http/browser.ts";
import { StaticFiles } from "../service/http/files.ts";
import { ReverseProxy, type Upstream } from "../service/http/proxy.ts";
import { HttpServer } from "../service/http/server.ts";
import type { WebParts } from "../service/http/parts.ts";
import type { Listening } from "../service/stream.ts";
import { type Program, type ProgramHost, programHost } from "../service/program.ts";
import { parseResolvConf } from "../service/dns/resolvconf.ts";
import type { LabText, Path } from "./read.ts";
import type { ServiceFile } from "./schema.ts";
import { parseTime } from "./words.ts";

/** What is not of this folder's world: where Node or a browser has it, it is handed in. */
export interface Parts extends WebParts {
  /** More images for Compose files. */
  images?(images: Images): void;
}

/** A program of the web; what is wrong throws `LabError` with its place. */
export function makeWeb(text: LabText, ns: Namespace, service: ServiceFile, at: Path, parts: Parts): Program {
  const time = (t: string | number | undefined, path: Path): number | undefined =>
    t === undefined ? undefined : text.within(path, () => parseTime(t));
  const { files, app, proxy, postgres, compose } = service;
  if (files !== undefined) {
    const pages = new StaticFiles(Object.entries(files.pages), ns.world.epoch);
    return new HttpServer("web", { port: files.port ?? 80 }, pages.handler);
  }
  if (app !== undefined) {
    const where = [...at, "app"];
    const { database } = app;
    const connect = database === undefined ? undefined : connector(text, ns, database, [...where, "database"], parts);
    return new AppServer({
      port: app.port ?? (app.tls === true ? 443 : 80),
      ...defined({
        processes: app.processes,
        threads: app.threads,
        backlog: app.backlog,
        work: time(app.work, [...where, "work"]),
        update: time(app.update, [...where, "update"]),
        title: app.title,
        database: connect,
        listen: app.tls === true ? secure(text, ns, parts, [...where, "tls"]) : undefined,
      }),
    });
  }
  if (proxy !== undefined) {
    const where = [...at, "proxy"];
    const names = namesOf(text, ns);
    return new ReverseProxy({
      port: proxy.port ?? (proxy.tls === true ? 443 : 80),
      upstreams: proxy.upstreams.map((u, i) => upstream(text, u, [...where, "upstreams", i])),
      ...defined({
        files: proxy.pages === undefined ? undefined : new StaticFiles(Object.entries(proxy.pages), ns.world.epoch),
        names: names ?? undefined,
        connectTimeout: time(proxy.connect_timeout, [...where, "connect_timeout"]),
        readTimeout: time(proxy.read_timeout, [...where, "read_timeout"]),
        listen: proxy.tls === true ? secure(text, ns, parts, [...where, "tls"]) : undefined,
      }),
    });
  }
  if (postgres !== undefined) {
    if (parts.postgres === undefined) throw text.errorAtKey([...at, "postgres"], "there is no Postgres here");
    const work = time(postgres.work, [...at, "postgres", "work"]);
    return parts.postgres({ port: postgres.port ?? 5432, setup: postgres.setup ?? "", ...defined({ work }) });
  }
  return new DockerHost(text, ns, compose!, [...at, "compose"], parts);
}

/** A Docker engine, and what a Compose file runs on it. */
export class DockerHost implements Program {
  readonly name = "dockerd";
  private made: ComposeWorld | null = null;

  constructor(
    private readonly text: LabText,
    private readonly ns: Namespace,
    private readonly compose: string,
    private readonly at: Path,
    private readonly parts: Parts,
  ) {}

  get nodes(): ReadonlyMap<string, Namespace> {
    return this.made?.nodes ?? new Map();
  }

  get world(): ComposeWorld | null {
    return this.made;
  }

  start(_host: ProgramHost): void {
    if (this.made !== null) throw new Error(`${this.ns.name}: the engine runs already`);
    const { text, ns, at, parts } = this;
    const images = registerWebImages(builtInImages(), parts);
    parts.images?.(images);
    const resolv = text.file.nodes[ns.name]?.resolv_conf;
    const nameServers = resolv === undefined ? [] : parseResolvConf(resolv).nameservers;
    try {
      const compose = new Compose("compose", this.compose, { project: ns.name });
      this.made = buildCompose(ns.world.core, compose, { host: ns, images, engine: { nameServers } });
    } catch (e) {
      if (!(e instanceof PlaceError)) throw e;
      throw text.error(at, `compose, ${e.message.slice(e.message.indexOf(":") + 1)}`);
    }
  }

  /** Stops its containers, the last first. */
  stop(): void {
    const all = [...(this.made?.containers.values() ?? [])].flat();
    for (const c of all.toReversed()) c.stop();
    this.made = null;
  }
}

/** Without what is not given: options say nothing then, and defaults hold. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as never;
}

function connector(text: LabText, ns: Namespace, url: string, at: Path, parts: Parts): () => never {
  const make = parts.database;
  if (make === undefined) throw text.error(at, "there is no client for databases here");
  text.within(at, () => void new URL(url));
  return (() => make(ns, url)) as () => never;
}

function secure(text: LabText, ns: Namespace, parts: Parts, at: Path): Listening {
  if (parts.listenSecure === undefined) throw text.errorAtKey(at, "there is no TLS here");
  return parts.listenSecure(ns);
}

/** The node's own resolver; null when it has none. */
function namesOf(text: LabText, ns: Namespace): NameLookup | null {
  const conf = text.file.nodes[ns.name]?.resolv_conf;
  return conf === undefined ? null : new Stub(programHost(ns), parseResolvConf(conf));
}

/** `10.0.0.5:8000`, `app:8000` */
function upstream(text: LabText, word: string, at: Path): Upstream {
  const m = /^([A-Za-z0-9.-]+):(\d{1,5})$/.exec(word);
  const port = Number(m?.[2] ?? 0);
  if (m === null || port < 1 || port > 65535) throw text.error(at, `'${word}', expected HOST:PORT`);
  return { host: m[1]!, port };
}
