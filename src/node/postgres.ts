// src/node/postgres.ts: a real Postgres (PGlite) on an emulated host, and the real `pg` as its client.
//
// What makes PGlite a server is the framing of Postgres's protocol. It has one session: connections take turns, transaction by
// transaction, and a lab has one database for each server.

import type { Namespace } from "../host/namespace.ts";
import type { Database } from "../service/http/app.ts";
import type { PostgresOptions } from "../service/http/parts.ts";
import { log, type Program, type ProgramHost } from "../service/program.ts";
import { type Acceptor, listenTcp, type Stream, type StreamOwner } from "../service/stream.ts";
import { hostOf } from "../socket/host.ts";
import { loopOf } from "../socket/loop.ts";
import { holdTime } from "./driver.ts";
import { nodePlatform } from "./platform.ts";
import { runOn } from "./program.ts";

/** What this file needs of PGlite. */
export interface Engine {
  exec(sql: string): Promise<unknown>;
  execProtocolRaw(message: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

interface PgPool {
  query(sql: string, values: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  on(event: "error", listener: (e: Error) => void): void;
  end(): Promise<void>;
}

type Pool = new (options: object) => PgPool;

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
/** A frontend's message, at most. */
const MESSAGE_MAX = 1 << 24;
const BACKLOG = 200;
const WORK = 200_000;

/** Boots a database; null where PGlite is not installed. Takes a second or two of real time. */
export async function bootPostgres(): Promise<Engine | null> {
  try {
    const { PGlite } = await import("@electric-sql/pglite");
    return (await PGlite.create()) as unknown as Engine;
  } catch (e) {
    if ((e as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return null;
    throw e;
  }
}

/** Serves an engine on a port; messages of its sessions run one after the other. */
export class PostgresServer implements Program {
  readonly name = "postgres";
  private acceptor: Acceptor | null = null;
  private readonly sessions = new Set<Session>();
  private at: ProgramHost | null = null;
  /** Whose transaction is open: others wait. */
  holder: Session | null = null;
  private readonly queue: { session: Session; message: Uint8Array }[] = [];
  private busy = false;

  constructor(
    readonly engine: Engine,
    readonly options: PostgresOptions,
  ) {}

  get host(): ProgramHost {
    return this.at!;
  }

  start(host: ProgramHost): void {
    if (this.acceptor !== null) throw new Error(`${host.name}: postgres runs already`);
    this.at = host;
    const at = { address: 0, port: this.options.port, backlog: BACKLOG };
    this.acceptor = listenTcp(host, at, () => {
      for (let s = this.acceptor?.accept(); s; s = this.acceptor?.accept()) this.sessions.add(new Session(this, s));
    });
  }

  stop(): void {
    this.acceptor?.close();
    this.acceptor = null;
    for (const s of this.sessions) s.abort();
    this.sessions.clear();
    this.queue.length = 0;
  }

  /** A message of a session's; its answer goes back to it. */
  run(session: Session, message: Uint8Array): void {
    this.queue.push({ session, message });
    if (!this.busy) this.next();
  }

  gone(session: Session): void {
    this.sessions.delete(session);
    if (this.holder === session) {
      this.holder = null;
      // what it left open is undone
      this.queue.unshift({ session, message: rollback });
    }
    if (!this.busy) this.next();
  }

  private next(): void {
    const i = this.holder === null ? 0 : this.queue.findIndex((q) => q.session === this.holder);
    const work = this.queue[i];
    if (work === undefined || this.at === null) return;
    this.queue.splice(i, 1);
    this.busy = true;
    const { world } = this.host;
    // a turn of its own: whoever drives the clock waits for what it begins
    const turn = { turn: () => void this.exec(work.session, work.message) };
    world.clock.after(this.options.work ?? WORK, () => loopOf(world).post(turn));
  }

  private async exec(session: Session, message: Uint8Array): Promise<void> {
    const release = holdTime(this.host.world);
    try {
      const answer = await this.engine.execProtocolRaw(message);
      const state = transactionState(answer);
      if (state !== null) this.holder = state === "I" || !this.sessions.has(session) ? null : session;
      session.answer(answer);
    } catch (e) {
      log(this.host, this.name, () => `failed: ${(e as Error).message}`);
      session.abort();
    } finally {
      release();
      this.busy = false;
      this.next();
    }
  }
}

/** The last ReadyForQuery's state: idle, in a transaction, in a failed one; null when there is none. */
function transactionState(answer: Uint8Array): string | null {
  const n = answer.length;
  if (n < 6 || answer[n - 6] !== 0x5a || answer[n - 2] !== 5) return null;
  return String.fromCharCode(answer[n - 1]!);
}

const rollback = Uint8Array.from("Q\0\0\0\rROLLBACK\0", (c) => c.charCodeAt(0));

/** One connection: messages out of its bytes. */
class Session implements StreamOwner {
  private held = Buffer.alloc(0);
  private started = false;
  private over = false;

  constructor(
    private readonly server: PostgresServer,
    private readonly stream: Stream,
  ) {
    stream.owner = this;
  }

  data(bytes: Uint8Array): void {
    this.held = Buffer.concat([this.held, bytes]);
    while (!this.over) {
      const { held } = this;
      // the first message has no type in front of its length
      const head = this.started ? 1 : 0;
      if (held.length < head + 4) return;
      const length = head + held.readUInt32BE(head);
      if (length < head + (this.started ? 4 : 8) || length > MESSAGE_MAX) return this.abort();
      if (held.length < length) return;
      const message = Uint8Array.from(held.subarray(0, length));
      this.held = held.subarray(length);
      if (!this.started) {
        const code = held.readUInt32BE(4);
        if (code === CANCEL_REQUEST) return this.close();
        if (code === SSL_REQUEST || code === GSS_REQUEST) {
          this.stream.send(Uint8Array.of(0x4e));
          continue;
        }
        this.started = true;
      } else if (message[0] === 0x58) return this.close();
      this.server.run(this, message);
    }
  }

  answer(bytes: Uint8Array): void {
    if (!this.over) this.stream.send(Uint8Array.from(bytes));
  }

  ended(): void {
    this.close();
  }

  failed(): void {
    this.forget();
  }

  private close(): void {
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
    this.server.gone(this);
  }
}

/** How long a connection to a database may take (pg's connectionTimeoutMillis), and a statement. */
const CONNECT_MS = 5_000;
const QUERY_MS = 10_000;

/** `pg`, loaded once; null where it is not installed. */
export async function loadPg(): Promise<((ns: Namespace, url: string) => Database) | null> {
  let Pool: Pool;
  try {
    const pg = (await import("pg")) as unknown as { default: { Pool: Pool } };
    ({ Pool } = pg.default);
  } catch (e) {
    if ((e as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return null;
    throw e;
  }
  return (ns, url) => new PgDatabase(Pool, ns, url);
}

class PgDatabase implements Database {
  private pool: PgPool | null = null;

  constructor(
    private readonly Class: Pool,
    private readonly ns: Namespace,
    private readonly url: string,
  ) {}

  query(
    sql: string,
    values: readonly unknown[],
    done: (error: Error | null, rows: readonly Record<string, unknown>[]) => void,
  ): void {
    const turn = (): void => {
      runOn(hostOf(this.ns, nodePlatform), () => {
        this.open()
          .query(sql, values)
          .then(
            ({ rows }) => done(null, rows),
            (e: unknown) => done(e as Error, []),
          );
      });
    };
    loopOf(this.ns.world).post({ turn });
  }

  private open(): PgPool {
    if (this.pool !== null) return this.pool;
    const u = new URL(this.url);
    this.pool = new this.Class({
      host: u.hostname,
      port: u.port === "" ? 5432 : Number(u.port),
      user: decodeURIComponent(u.username) || "postgres",
      database: u.pathname.slice(1) || "postgres",
      max: 8,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: QUERY_MS,
      idleTimeoutMillis: 60_000,
    });
    // an idle connection that broke is made anew when it is needed
    this.pool.on("error", () => {});
    return this.pool;
  }

  close(): void {
    const { pool } = this;
    this.pool = null;
    if (pool !== null) runOn(hostOf(this.ns, nodePlatform), () => void pool.end().catch(() => {}));
  }
}
