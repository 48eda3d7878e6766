// tests/socket/conformance.ts: what net does, case by case: the same for Node's own net over loopback and for an emulated one.

import type { AddressInfo, Server, ServerOpts, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Adapter, fields, once, record } from "./adapter.ts";
import { buffers } from "./cases-buffers.ts";
import { ends } from "./cases-ends.ts";
import { errors } from "./cases-errors.ts";
import { lookups } from "./cases-lookup.ts";
import { options } from "./cases-options.ts";
import { servers } from "./cases-server.ts";

/** What a case works with; everything it opens is closed behind it. */
export class Bench {
  private readonly open: (Socket | Server)[] = [];

  constructor(readonly a: Adapter) {}

  server(onConnection?: (s: Socket) => void, opts: ServerOpts = {}): Server {
    const server = this.a.serverNet.createServer(opts, (s) => {
      this.keep(s);
      onConnection?.(s);
    });
    this.open.push(server);
    return server;
  }

  keep<T extends Socket | Server>(s: T): T {
    this.open.push(s);
    return s;
  }

  /** A listening server's port. */
  async listen(server: Server): Promise<number> {
    server.listen(0, this.a.host);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  /** A client socket, its connection under way; errors are swallowed where the case does not look. */
  connect(port: number, more: object = {}): Socket {
    const socket = this.a.clientNet.connect({ port, host: this.a.host, ...more });
    socket.on("error", () => undefined);
    return this.keep(socket);
  }

  /** A connection with both its ends. */
  async pair(clientOptions: object = {}, serverOptions: ServerOpts = {}): Promise<Pair> {
    let accepted: (s: Socket) => void;
    const other = new Promise<Socket>((r) => (accepted = r));
    const server = this.server((s) => {
      s.on("error", () => undefined);
      accepted(s);
    }, serverOptions);
    const port = await this.listen(server);
    const client = this.connect(port, clientOptions);
    await once(client, "connect");
    return { server, port, client, peer: await other };
  }

  close(): void {
    for (const s of this.open.splice(0)) {
      if ("destroy" in s) s.destroy();
      else s.close();
    }
  }
}

export interface Pair {
  readonly server: Server;
  readonly port: number;
  readonly client: Socket;
  readonly peer: Socket;
}

export type Case = readonly [name: string, run: (b: Bench) => Promise<void>];

export { expect, fields, once, record };

export function conformance(
  name: string,
  make: () => Adapter,
  wanted: (group: string, what: string) => boolean = () => true,
): void {
  describe(name, () => {
    let bench: Bench | null = null;
    afterEach(() => {
      bench?.close();
      bench = null;
    });
    for (const [group, all] of Object.entries({ buffers, ends, errors, lookups, options, servers })) {
      const cases = all.filter(([what]) => wanted(group, what));
      if (cases.length === 0) continue;
      describe(group, () => {
        for (const [what, run] of cases) {
          it(what, async () => {
            const a = make();
            bench = new Bench(a);
            await a.run(() => run(bench!));
            bench.close();
            // TIME-WAIT, and orphans that nobody answers, in virtual time
            await a.run(() => a.sleep(a.real ? 1 : 1_800_000));
            expect(a.open() ?? 0).toBe(0);
          });
        }
      });
    }
  });
}
