// tests/socket/cases-options.ts: timeouts and knobs.

import type { Socket } from "node:net";
import { type Case, expect, once, record } from "./conformance.ts";

export const options: readonly Case[] = [
  [
    "'timeout' after silence; the socket stays open",
    async (b) => {
      const { client } = await b.pair();
      const log = record(client);
      expect(client.setTimeout(50)).toBe(client);
      expect(client.timeout).toBe(50);
      await once(client, "timeout");
      expect(client.destroyed).toBe(false);
      expect(log).toEqual(["timeout"]);
    },
  ],
  [
    "'timeout' is put off by reading and writing",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.pipe(peer);
      client.resume();
      const log = record(client, ["timeout"]);
      client.setTimeout(200);
      for (let i = 0; i < 6; i++) {
        await b.a.sleep(60);
        client.write("x");
      }
      expect(log).toEqual([]);
      await b.a.sleep(400);
      expect(log).toEqual(["timeout"]);
    },
  ],
  [
    "setTimeout(0) takes it back, with its listener",
    async (b) => {
      const { client } = await b.pair();
      let fired = 0;
      const listener = (): void => void fired++;
      client.setTimeout(30, listener);
      expect(client.listenerCount("timeout")).toBe(1);
      client.setTimeout(0, listener);
      expect(client.listenerCount("timeout")).toBe(0);
      expect(client.timeout).toBe(0);
      await b.a.sleep(80);
      expect(fired).toBe(0);
    },
  ],
  [
    "the timeout option of connect",
    async (b) => {
      const port = await b.listen(b.server());
      const client = b.connect(port, { timeout: 40 });
      expect(client.timeout).toBe(40);
      await once(client, "connect");
      await once(client, "timeout");
      expect(client.destroyed).toBe(false);
    },
  ],
  [
    "a listener of 'timeout' that destroys",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.resume();
      const log = record(client);
      client.setTimeout(30, () => client.destroy());
      await once(client, "close");
      expect(log).toEqual(["timeout", "close false"]);
      expect(client.setTimeout(10)).toBe(client);
    },
  ],
  [
    "knobs answer the socket, at any time",
    async (b) => {
      const unborn = b.keep(new b.a.clientNet.Socket());
      for (const s of [unborn, (await b.pair()).client]) {
        expect(s.setNoDelay()).toBe(s);
        expect(s.setNoDelay(false)).toBe(s);
        expect(s.setKeepAlive(true, 1000)).toBe(s);
        expect(s.setKeepAlive()).toBe(s);
        expect(s.ref()).toBe(s);
        expect(s.unref()).toBe(s);
        expect(s.pause()).toBe(s);
        expect(s.resume()).toBe(s);
        s.destroy();
        expect(s.setNoDelay(true)).toBe(s);
        expect(s.setKeepAlive(true)).toBe(s);
      }
    },
  ],
  [
    "the forms of connect",
    async (b) => {
      const { clientNet, host } = b.a;
      const port = await b.listen(b.server((s) => s.end()));
      const forms: ((cb: () => void) => Socket)[] = [
        (cb) => clientNet.connect(port, host, cb),
        (cb) => clientNet.connect({ port, host }, cb),
        (cb) => clientNet.createConnection(port, host, cb),
        (cb) => clientNet.connect(String(port) as never, host, cb),
        (cb) => new clientNet.Socket().connect(port, host, cb),
        (cb) => new clientNet.Socket({}).connect({ port, host }, cb),
        (cb) => new clientNet.Socket().connect({ port, host, localAddress: b.a.clientHost }, cb),
      ];
      for (const form of forms) {
        const order: string[] = [];
        const socket = b.keep(form(() => order.push("callback")));
        socket.on("ready", () => order.push("ready"));
        await once(socket.resume(), "close");
        expect(order).toEqual(["callback", "ready"]);
      }
    },
  ],
  [
    "isIP, isIPv4, isIPv6",
    async (b) => {
      const { isIP, isIPv4, isIPv6 } = b.a.clientNet;
      const words = [
        "1.2.3.4",
        "1.2.3",
        "256.1.1.1",
        "01.2.3.4",
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1::8",
        "::ffff:1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        ":::",
        "1:::2",
        "12345::",
        "g::",
        "",
        " 1.2.3.4",
        "1.2.3.4 ",
        "::1%",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1::3:4:5:6:7:8",
        "::1.2.3.4.5",
        "1.2.3.4::",
        "::1.2.3.4:5",
      ];
      expect(words.map((w) => isIP(w))).toEqual([
        4, 0, 0, 0, 4, 6, 6, 6, 6, 0, 6, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 6, 6, 0, 0, 0,
      ]);
      expect([isIPv4("1.2.3.4"), isIPv4("::1"), isIPv6("::1"), isIPv6("1.2.3.4")]).toEqual([true, false, true, false]);
      expect(isIP(undefined as never)).toBe(0);
    },
  ],
  [
    "what a socket and a server are",
    async (b) => {
      const { Readable, Duplex } = await import("node:stream");
      const { EventEmitter } = await import("node:events");
      const { client, peer, server } = await b.pair();
      expect([client instanceof b.a.clientNet.Socket, peer instanceof b.a.serverNet.Socket]).toEqual([true, true]);
      expect(server instanceof b.a.serverNet.Server).toBe(true);
      const kinds = [client instanceof Duplex, client instanceof Readable, server instanceof EventEmitter];
      expect(kinds).toEqual(b.a.nodeStreams ? [true, true, true] : [false, false, true]);
      expect([client.constructor.name, server.constructor.name]).toEqual(["Socket", "Server"]);
      if (!b.a.nodeStreams) return;
      expect([client.allowHalfOpen, client.readableHighWaterMark, client.writableHighWaterMark]).toEqual([
        false,
        new Duplex().readableHighWaterMark,
        new Duplex().writableHighWaterMark,
      ]);
    },
  ],
];
