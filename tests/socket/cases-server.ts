// tests/socket/cases-server.ts: servers: the forms of listen, who is counted, when 'close' comes.

import type { AddressInfo, Socket } from "node:net";
import { type Case, expect, once, record } from "./conformance.ts";

export const servers: readonly Case[] = [
  [
    "listen(0, host): 'listening' comes later; address() says where",
    async (b) => {
      const server = b.server();
      expect(server.address()).toBe(null);
      const log = record(server, ["listening", "close", "error"]);
      expect(server.listen(0, b.a.host)).toBe(server);
      expect(log).toEqual([]);
      await once(server, "listening");
      expect(server.listening).toBe(true);
      const at = server.address() as AddressInfo;
      expect([at.address, at.family]).toEqual([b.a.host, "IPv4"]);
      expect(at.port).toBeGreaterThan(1023);
      server.close();
      expect([server.listening, server.address()]).toEqual([false, null]);
      await once(server, "close");
      expect(log).toEqual(["listening", "close undefined"]);
    },
  ],
  [
    "the forms of listen",
    async (b) => {
      const { host } = b.a;
      const forms: ((cb: () => void) => import("node:net").Server)[] = [
        (cb) => b.server().listen(cb),
        (cb) => b.server().listen(0, cb),
        (cb) => b.server().listen(0, host, cb),
        (cb) => b.server().listen(0, host, 5, cb),
        (cb) => b.server().listen(0, 5, cb),
        (cb) => b.server().listen({ port: 0, host }, cb),
        (cb) => b.server().listen({ port: 0, host, backlog: 3, exclusive: true }, cb),
        (cb) => b.server().listen({ port: undefined as never }, cb),
        (cb) => b.server().listen("0" as never, cb),
      ];
      for (const form of forms) {
        const server = await new Promise<import("node:net").Server>((resolve) => {
          const s = form(() => resolve(s));
        });
        expect((server.address() as AddressInfo).port).toBeGreaterThan(0);
        server.close();
      }
    },
  ],
  [
    "a given port is the one that is listened on, and free again after close",
    async (b) => {
      const first = b.server();
      const port = await b.listen(first);
      first.close();
      await once(first, "close");
      const second = b.server((s) => s.end("second"));
      second.listen(port, b.a.host);
      await once(second, "listening");
      const client = b.connect(port);
      let text = "";
      for await (const d of client) text += String(d);
      expect(text).toBe("second");
    },
  ],
  [
    "'connection' gives a socket that knows both ends",
    async (b) => {
      const { client, peer, port, server } = await b.pair();
      expect([client.remoteAddress, client.remotePort, client.remoteFamily]).toEqual([b.a.host, port, "IPv4"]);
      expect([client.localAddress, client.localFamily]).toEqual([b.a.clientHost, "IPv4"]);
      expect(client.localPort).toBe(peer.remotePort);
      expect([peer.remoteAddress, peer.remoteFamily]).toEqual([b.a.clientHost, "IPv4"]);
      expect([peer.localAddress, peer.localPort]).toEqual([b.a.host, port]);
      expect(client.address()).toEqual({ address: b.a.clientHost, family: "IPv4", port: client.localPort });
      expect((peer as Socket & { server: unknown }).server).toBe(server);
      client.destroy();
      expect(client.remoteAddress).toBe(b.a.host);
      expect([client.localPort, client.address()]).toEqual([undefined, {}]);
    },
  ],
  [
    "addresses of a socket without a connection",
    async (b) => {
      const socket = b.keep(new b.a.clientNet.Socket());
      expect([socket.remoteAddress, socket.remotePort, socket.localAddress, socket.address()]).toEqual([
        undefined,
        undefined,
        undefined,
        {},
      ]);
      expect([socket.bytesRead, socket.bytesWritten, socket.timeout]).toEqual([0, 0, undefined]);
    },
  ],
  [
    "close waits for the connections, getConnections counts them",
    async (b) => {
      const { server, client, peer } = await b.pair();
      const count = (): Promise<number> => new Promise((r) => server.getConnections((_e, n) => r(n)));
      expect(await count()).toBe(1);
      const log = record(server, ["close"]);
      server.close(() => log.push("callback"));
      await b.a.sleep(20);
      expect(log).toEqual([]);
      peer.resume();
      client.end();
      await once(peer, "close");
      await b.a.sleep(5);
      expect(log).toEqual(["close undefined", "callback"]);
      expect(await count()).toBe(0);
    },
  ],
  [
    "a closed server refuses; its connections go on",
    async (b) => {
      const { server, client, peer, port } = await b.pair();
      server.close();
      const late = b.connect(port);
      const [e] = await once(late, "error");
      expect((e as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
      peer.end("still");
      let text = "";
      for await (const d of client) text += String(d);
      expect(text).toBe("still");
    },
  ],
  [
    "maxConnections: 'drop' says who was dropped",
    async (b) => {
      const server = b.server((s) => s.resume());
      server.maxConnections = 1;
      const port = await b.listen(server);
      const first = b.connect(port);
      await once(first, "connect");
      await b.a.sleep(10);
      const dropped = once(server, "drop");
      const second = b.connect(port);
      second.resume();
      const [data] = await dropped;
      expect({ ...(data as object), remotePort: 0 }).toEqual({
        localAddress: b.a.host,
        localPort: port,
        localFamily: "IPv4",
        remoteAddress: b.a.clientHost,
        remotePort: 0,
        remoteFamily: "IPv4",
      });
      await once(second, "close");
      expect(first.destroyed).toBe(false);
    },
  ],
  [
    "pauseOnConnect: nothing is read until resume",
    async (b) => {
      const { client, peer } = await b.pair({}, { pauseOnConnect: true });
      expect(peer.isPaused()).toBe(true);
      expect(peer.readableFlowing).toBe(false);
      client.write("waits");
      await b.a.sleep(20);
      expect(peer.bytesRead).toBe(0);
      peer.resume();
      const [d] = await once(peer, "data");
      expect(String(d)).toBe("waits");
    },
  ],
  [
    "an AbortSignal closes the server",
    async (b) => {
      const controller = new AbortController();
      const server = b.server();
      server.listen({ port: 0, host: b.a.host, signal: controller.signal });
      await once(server, "listening");
      controller.abort();
      await once(server, "close");
      expect(server.listening).toBe(false);
    },
  ],
  [
    "closed before 'listening' could come: it does not",
    async (b) => {
      const server = b.server();
      const log = record(server, ["listening", "close"]);
      server.listen(0);
      server.close();
      await b.a.sleep(10);
      expect(log).toEqual(["close undefined"]);
    },
  ],
  [
    "listen again after close",
    async (b) => {
      const server = b.server((s) => s.end("again"));
      await b.listen(server);
      server.close();
      await once(server, "close");
      const port = await b.listen(server);
      const client = b.connect(port);
      let text = "";
      for await (const d of client) text += String(d);
      expect(text).toBe("again");
    },
  ],
  [
    "two servers, one port, two addresses",
    async (b) => {
      const first = b.server((s) => s.end("first"));
      const port = await b.listen(first);
      const second = b.a.serverNet.createServer((s) => s.end("second"));
      b.keep(second);
      second.listen(port, "127.0.0.9");
      await once(second, "listening");
      const client = b.keep(b.a.serverNet.connect(port, "127.0.0.9"));
      let text = "";
      for await (const d of client) text += String(d);
      expect(text).toBe("second");
    },
  ],
];
