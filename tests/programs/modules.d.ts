// tests/programs/modules.d.ts: what the tests use of packages that bring no types.

declare module "express" {
  import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
  import type { Server } from "node:net";

  interface Request extends IncomingMessage {
    params: Record<string, string>;
    query: Record<string, string>;
    body: unknown;
    ip: string;
    hostname: string;
  }
  interface Response extends ServerResponse {
    status(code: number): Response;
    json(value: unknown): Response;
    send(body: unknown): Response;
    redirect(to: string): void;
  }
  type Handler = (req: Request, res: Response, next: (e?: unknown) => void) => void;
  interface App extends RequestListener {
    get(path: string, handler: Handler): App;
    post(path: string, handler: Handler): App;
    use(...handlers: unknown[]): App;
    listen(port: number, cb?: () => void): Server;
  }
  interface Express {
    (): App;
    json(): unknown;
    urlencoded(options: { extended: boolean }): unknown;
  }
  const express: Express;
  export default express;
}

declare module "pg" {
  interface Result {
    rows: Record<string, unknown>[];
    rowCount: number;
  }
  interface Options {
    host: string;
    port?: number;
    user?: string;
    password?: string;
    database?: string;
    max?: number;
    idleTimeoutMillis?: number;
    connectionTimeoutMillis?: number;
    keepAlive?: boolean;
  }
  class Client {
    constructor(options: Options);
    connect(): Promise<void>;
    query(text: string, values?: unknown[]): Promise<Result>;
    end(): Promise<void>;
    on(event: string, listener: (...args: never[]) => void): this;
  }
  class Pool {
    constructor(options: Options);
    query(text: string, values?: unknown[]): Promise<Result>;
    end(): Promise<void>;
    on(event: string, listener: (...args: never[]) => void): this;
    readonly totalCount: number;
    readonly idleCount: number;
  }
  const pg: { Client: typeof Client; Pool: typeof Pool };
  export default pg;
}
