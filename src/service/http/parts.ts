// src/service/http/parts.ts: what web programs need that is not made here: a database and its client, TLS, gzip. Where Node or a
// browser has it, it is handed in.

import type { Namespace } from "../../host/namespace.ts";
import type { Program } from "../program.ts";
import type { Listening } from "../stream.ts";
import type { Database } from "./app.ts";
import type { Codec } from "./browser.ts";

export interface PostgresOptions {
  readonly port: number;
  /** SQL that runs before it listens. */
  readonly setup: string;
  /** Virtual nanoseconds that a message costs. */
  readonly work?: number;
}

export interface WebParts {
  /** A client of the database that `postgres://USER@HOST/NAME` names, for programs in this namespace. */
  readonly database?: (ns: Namespace, url: string) => Database;
  /** A Postgres server. */
  readonly postgres?: (options: PostgresOptions) => Program;
  /** TLS on a port of this namespace's. */
  readonly listenSecure?: (ns: Namespace) => Listening;
  readonly codec?: Codec;
}
