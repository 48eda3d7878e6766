// tests/socket/cases-lookup.ts: names on the way to a connection.

import { type Case, expect, fields, once, record } from "./conformance.ts";

type Answer = (error: Error | null, address?: unknown, family?: number) => void;

export const lookups: readonly Case[] = [
  [
    "a name is looked up, then connected to",
    async (b) => {
      const port = await b.listen(b.server((s) => s.end()));
      const client = b.a.clientNet.connect({ port, host: b.a.hostname, family: 4 });
      const seen: unknown[] = [];
      client.on("lookup", (...args: unknown[]) => seen.push(args));
      const log = record(b.keep(client), ["lookup", "connectionAttempt", "connect", "ready", "close"]);
      await once(client.resume(), "close");
      expect(seen).toEqual([[null, b.a.host, 4, b.a.hostname]]);
      expect(log).toEqual(["lookup", "connectionAttempt", "connect", "ready", "close false"]);
    },
  ],
  [
    "a lookup of the program's own, asked for all",
    async (b) => {
      const port = await b.listen(b.server((s) => s.end()));
      const asked: unknown[] = [];
      const lookup = (host: string, opts: object, cb: Answer): void => {
        asked.push([host, opts]);
        process.nextTick(cb, null, [{ address: b.a.host, family: 4 }]);
      };
      const client = b.keep(b.a.clientNet.connect({ port, host: "example.test", lookup: lookup as never }));
      const log = record(client, ["lookup", "connectionAttempt", "connect"]);
      await once(client.resume(), "close");
      expect(asked).toEqual([["example.test", { family: undefined, hints: 32, all: true }]]);
      expect(log).toEqual(["lookup", "connectionAttempt", "connect"]);
    },
  ],
  [
    "a lookup of the program's own, asked for IPv4",
    async (b) => {
      const port = await b.listen(b.server((s) => s.end()));
      const asked: unknown[] = [];
      const lookup = (host: string, opts: object, cb: Answer): void => {
        asked.push([host, opts]);
        process.nextTick(cb, null, b.a.host, 4);
      };
      const client = b.keep(b.a.clientNet.connect({ port, host: "example.test", family: 4, lookup: lookup as never }));
      const log = record(client, ["lookup", "connectionAttempt", "connect"]);
      await once(client.resume(), "close");
      expect(asked).toEqual([["example.test", { family: 4, hints: 0 }]]);
      expect(log).toEqual(["lookup", "connectionAttempt", "connect"]);
    },
  ],
  [
    "a lookup that fails",
    async (b) => {
      const failure = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
      const lookup = (_host: string, _opts: object, cb: Answer): void => void process.nextTick(cb, failure);
      const client = b.keep(b.a.clientNet.connect({ port: 80, host: "example.test", lookup: lookup as never }));
      const log = record(client);
      const [e] = await once(client, "error");
      expect(e).toBe(failure);
      await once(client, "close");
      expect(log).toEqual(["lookup", "error ENOTFOUND", "close true"]);
    },
  ],
  [
    "a lookup that answers nonsense",
    async (b) => {
      const lookup = (_host: string, _opts: object, cb: Answer): void => void process.nextTick(cb, null, "nowhere", 4);
      const client = b.connect(80, { host: "example.test", family: 4, lookup });
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "TypeError",
        message: "Invalid IP address: nowhere",
        code: "ERR_INVALID_IP_ADDRESS",
      });
    },
  ],
  [
    "destroyed during the lookup",
    async (b) => {
      let answer: Answer | null = null;
      const client = b.connect(80, {
        host: "example.test",
        lookup: (_h: string, _o: object, cb: Answer) => (answer = cb),
      });
      const log = record(client);
      client.destroy();
      answer!(null, [{ address: b.a.host, family: 4 }]);
      await once(client, "close");
      await b.a.sleep(10);
      expect(log.filter((e) => e !== "lookup")).toEqual(["close false"]);
    },
  ],
  [
    "several addresses: the second answers where the first refuses",
    async (b) => {
      const port = await b.listen(b.server((s) => s.end("here")));
      const all = [
        { address: "127.0.0.77", family: 4 },
        { address: b.a.host, family: 4 },
      ];
      const client = b.connect(port, {
        host: "two.test",
        lookup: (_h: string, _o: object, cb: Answer) => process.nextTick(cb, null, all),
      });
      const log = record(client, ["connectionAttempt", "connectionAttemptFailed", "connect", "error"]);
      let text = "";
      for await (const d of client) text += String(d);
      expect(text).toBe("here");
      expect(log).toEqual(["connectionAttempt", "connectionAttemptFailed", "connectionAttempt", "connect"]);
      expect(client.autoSelectFamilyAttemptedAddresses).toEqual([`127.0.0.77:${port}`, `${b.a.host}:${port}`]);
    },
  ],
  [
    "several addresses, none answers: an AggregateError",
    async (b) => {
      const server = b.server();
      const port = await b.listen(server);
      server.close();
      await once(server, "close");
      const all = ["127.0.0.77", "127.0.0.78"].map((address) => ({ address, family: 4 }));
      const client = b.connect(port, {
        host: "two.test",
        lookup: (_h: string, _o: object, cb: Answer) => process.nextTick(cb, null, all),
      });
      const [e] = await once(client, "error");
      expect(e).toBeInstanceOf(AggregateError);
      expect((e as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
      expect((e as AggregateError).errors.map((x: Error) => x.message)).toEqual([
        `connect ECONNREFUSED 127.0.0.77:${port}`,
        `connect ECONNREFUSED 127.0.0.78:${port}`,
      ]);
    },
  ],
  [
    "a server listens on a name",
    async (b) => {
      const server = b.server((s) => s.end());
      server.listen(0, "localhost");
      await once(server, "listening");
      expect((server.address() as { address: string }).address).toMatch(/^(127\.0\.0\.1|::1)$/);
    },
  ],
];
