// tests/socket/cases-ends.ts: connections begin and end: the events and their order.

import { type Bench, type Case, expect, fields, once, record } from "./conformance.ts";

const gone = async (b: Bench, ...sockets: import("node:net").Socket[]): Promise<void> => {
  for (const s of sockets) if (!s.closed) await once(s, "close");
  await b.a.sleep(5);
};

export const ends: readonly Case[] = [
  [
    "connect, a few bytes, the client ends, the server's side follows",
    async (b) => {
      const logs: string[][] = [];
      const server = b.server((s) => logs.push(record(s)));
      const port = await b.listen(server);
      const client = b.connect(port);
      const log = record(client);
      client.end("hello");
      await gone(b, client);
      expect(log).toEqual(["connectionAttempt", "connect", "ready", "finish", "end", "close false"]);
      expect(logs).toEqual([["data 5", "end", "finish", "close false"]]);
    },
  ],
  [
    "the server ends, the client's side follows",
    async (b) => {
      let served: string[] = [];
      const server = b.server((s) => {
        served = record(s);
        s.end("welcome");
      });
      const port = await b.listen(server);
      const client = b.connect(port);
      const log = record(client);
      await gone(b, client);
      expect(log).toEqual(["connectionAttempt", "connect", "ready", "data 7", "end", "finish", "close false"]);
      expect(served).toEqual(["finish", "end", "close false"]);
    },
  ],
  [
    "allowHalfOpen: an end of the peer's leaves our side open",
    async (b) => {
      const server = b.server((s) => s.on("end", () => s.end("late")).resume(), { allowHalfOpen: true });
      const port = await b.listen(server);
      const client = b.connect(port);
      const log = record(client);
      client.end("early");
      expect(client.writableEnded).toBe(true);
      await gone(b, client);
      expect(log).toEqual(["connectionAttempt", "connect", "ready", "finish", "data 4", "end", "close false"]);
    },
  ],
  [
    "allowHalfOpen on the client: it writes behind the server's end",
    async (b) => {
      let got = "";
      const server = b.server(
        (s) => {
          s.setEncoding("utf8").on("data", (t) => (got += t));
          s.end();
        },
        { allowHalfOpen: true },
      );
      const port = await b.listen(server);
      const client = b.connect(port, { allowHalfOpen: true });
      client.resume();
      await once(client, "end");
      expect(client.readyState).toBe("writeOnly");
      client.end("still here");
      await gone(b, client);
      await b.a.sleep(20);
      expect(got).toBe("still here");
    },
  ],
  [
    "readyState along a connection's life",
    async (b) => {
      const server = b.server((s) => s.resume());
      const port = await b.listen(server);
      const unborn = new b.a.clientNet.Socket();
      expect([unborn.readyState, unborn.pending, unborn.connecting]).toEqual(["open", true, false]);
      const client = b.connect(port);
      expect([client.readyState, client.pending, client.connecting]).toEqual(["opening", true, true]);
      await once(client, "connect");
      expect([client.readyState, client.pending, client.connecting]).toEqual(["open", false, false]);
      client.end();
      expect(client.readyState).toBe("readOnly");
      client.resume();
      await gone(b, client);
      expect([client.readyState, client.pending, client.destroyed]).toEqual(["closed", true, true]);
    },
  ],
  [
    "destroy before connecting",
    async (b) => {
      const server = b.server();
      const port = await b.listen(server);
      const client = b.connect(port);
      const log = record(client);
      client.destroy();
      await gone(b, client);
      await b.a.sleep(20);
      expect(log).toEqual(["close false"]);
    },
  ],
  [
    "destroy before connecting, with an error",
    async (b) => {
      const client = b.connect(await b.listen(b.server()));
      const log = record(client);
      client.destroy(Object.assign(new Error("enough"), { code: "EENOUGH" }));
      await gone(b, client);
      await b.a.sleep(20);
      expect(log).toEqual(["error EENOUGH", "close true"]);
    },
  ],
  [
    "destroy of a socket that never connected",
    async (b) => {
      const client = b.keep(new b.a.clientNet.Socket());
      const log = record(client);
      client.destroy();
      await gone(b, client);
      expect(log).toEqual(["close undefined"]);
    },
  ],
  [
    "destroy in 'connect'",
    async (b) => {
      const client = b.connect(await b.listen(b.server((s) => s.on("error", () => undefined))));
      const log = record(client);
      client.once("connect", () => client.destroy());
      await gone(b, client);
      expect(log).toEqual(["connectionAttempt", "connect", "ready", "close false"]);
    },
  ],
  [
    "destroy in 'data'",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client);
      const other = record(peer);
      client.once("data", () => client.destroy());
      peer.write("x");
      await gone(b, client, peer);
      expect(log).toEqual(["data 1", "close false"]);
      expect(other).toEqual(["end", "finish", "close false"]);
    },
  ],
  [
    "destroy with an error: 'error' once, then 'close' with true",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client);
      client.destroy(Object.assign(new Error("mine"), { code: "EMINE" }));
      client.destroy(new Error("again"));
      await gone(b, client, peer);
      expect(log).toEqual(["error EMINE", "close true"]);
    },
  ],
  [
    "destroy twice closes once",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client);
      client.destroy();
      client.destroy();
      await gone(b, client, peer);
      expect(log).toEqual(["close false"]);
    },
  ],
  [
    "end twice is once",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client);
      client.end();
      client.end();
      await gone(b, client, peer);
      expect(log).toEqual(["finish", "end", "close false"]);
    },
  ],
  [
    "end's callback runs before 'finish'",
    async (b) => {
      const { client, peer } = await b.pair();
      const order: string[] = [];
      client.on("finish", () => order.push("finish"));
      client.resume();
      peer.resume();
      client.end("bye", () => order.push("callback"));
      await gone(b, client, peer);
      expect(order).toEqual(["callback", "finish"]);
    },
  ],
  [
    "end before the connection stands",
    async (b) => {
      let got = "";
      const server = b.server((s) => s.setEncoding("utf8").on("data", (t) => (got += t)));
      const client = b.connect(await b.listen(server));
      client.write("a");
      client.write("b");
      client.end("c");
      client.resume();
      await gone(b, client);
      expect(got).toBe("abc");
    },
  ],
  [
    "destroySoon waits for what was written",
    async (b) => {
      let got = 0;
      const server = b.server((s) => s.on("data", (d) => (got += d.length)));
      const client = b.connect(await b.listen(server));
      await once(client, "connect");
      client.write(Buffer.alloc(100_000));
      client.destroySoon();
      await gone(b, client);
      await b.a.sleep(50);
      expect(got).toBe(100_000);
      expect(client.destroyed).toBe(true);
    },
  ],
  [
    "resetAndDestroy: the peer reads ECONNRESET",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client);
      const other = record(peer);
      peer.resume();
      client.resetAndDestroy();
      await gone(b, client, peer);
      expect(log).toEqual(["close false"]);
      expect(other).toEqual(["error ECONNRESET", "close true"]);
    },
  ],
  [
    "resetAndDestroy before the connection stands waits for it",
    async (b) => {
      let other: string[] = [];
      const server = b.server((s) => {
        other = record(s);
      });
      const client = b.connect(await b.listen(server));
      const log = record(client);
      client.resetAndDestroy();
      await gone(b, client);
      await b.a.sleep(20);
      expect(log).toEqual(["connectionAttempt", "connect", "ready", "close false"]);
      expect(other).toEqual(["error ECONNRESET", "close true"]);
    },
  ],
  [
    "resetAndDestroy of a socket without a connection",
    async (b) => {
      const client = b.keep(new b.a.clientNet.Socket());
      const log = record(client);
      client.resetAndDestroy();
      await gone(b, client);
      expect(log).toEqual(["error ERR_SOCKET_CLOSED", "close undefined"]);
    },
  ],
  [
    "resetAndDestroy behind end is refused, and no 'close' comes",
    async (b) => {
      const { client, peer } = await b.pair();
      const other = record(peer);
      client.resume();
      const log = record(client);
      client.end();
      client.resetAndDestroy();
      await gone(b, peer);
      expect(log).toEqual(["error EINVAL"]);
      expect(other).toEqual(["end", "finish", "close false"]);
    },
  ],
  [
    "a socket closed with unread bytes resets",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.resume();
      const other = record(peer);
      client.pause();
      peer.write("unread");
      await b.a.sleep(20);
      client.destroy();
      await gone(b, client, peer);
      expect(other.filter((e) => e.startsWith("error") || e.startsWith("close"))[0]).toMatch(
        /^(error ECONNRESET|close)/,
      );
    },
  ],
  [
    "a paused socket hears of the end once it reads",
    async (b) => {
      const { client, peer } = await b.pair();
      client.pause();
      const log = record(client);
      peer.end("abc");
      await b.a.sleep(20);
      expect(log).toEqual([]);
      client.resume();
      await gone(b, client);
      expect(log).toEqual(["data 3", "end", "finish", "close false"]);
    },
  ],
  [
    "connect again after 'close'",
    async (b) => {
      const seen: string[] = [];
      const server = b.server((s) => s.on("data", (d) => seen.push(String(d))));
      const port = await b.listen(server);
      const client = b.connect(port);
      client.end("one");
      client.resume();
      await gone(b, client);
      client.connect(port, b.a.host);
      await once(client, "connect");
      client.end("two");
      client.resume();
      await gone(b, client);
      expect(seen).toEqual(["one", "two"]);
    },
  ],
  [
    "an AbortSignal destroys the socket",
    async (b) => {
      const controller = new AbortController();
      const client = b.connect(await b.listen(b.server()), { signal: controller.signal });
      await once(client, "connect");
      const log = record(client);
      controller.abort();
      await gone(b, client);
      expect(log).toEqual(["error ABORT_ERR", "close true"]);
    },
  ],
  [
    "a signal that is aborted already: the socket is destroyed, and then connects all the same",
    async (b) => {
      const client = b.connect(await b.listen(b.server()), { signal: AbortSignal.abort("why") });
      const log = record(client);
      const [e] = await once(client, "error");
      expect({ ...fields(e) }).toEqual({ name: "AbortError", message: "The operation was aborted", code: "ABORT_ERR" });
      expect((e as Error).cause).toBe("why");
      await b.a.sleep(20);
      expect(log).toEqual(["error ABORT_ERR", "close undefined", "connectionAttempt", "connect", "ready"]);
    },
  ],
  [
    "for await reads to the end",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.write("one ");
      peer.end("two");
      let text = "";
      for await (const chunk of client) text += String(chunk);
      expect(text).toBe("one two");
    },
  ],
  [
    "connections at once do not mix",
    async (b) => {
      const server = b.server((s) => s.pipe(s));
      const port = await b.listen(server);
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const c = b.connect(port);
          c.setEncoding("utf8");
          c.end(`message ${i} `.repeat(i + 1));
          let text = "";
          for await (const t of c) text += t;
          return text;
        }),
      );
      answers.forEach((text, i) => expect(text).toBe(`message ${i} `.repeat(i + 1)));
    },
  ],
];
