// tests/socket/cases-errors.ts: what fails, and how Node says it.

import { type Bench, type Case, expect, fields, once, record } from "./conformance.ts";

/** What a call throws. */
function thrown(call: () => void): Record<string, unknown> {
  try {
    call();
  } catch (e) {
    return fields(e);
  }
  return { nothing: true };
}

/** A port where nobody listens. */
async function closedPort(b: Bench): Promise<number> {
  const server = b.server();
  const port = await b.listen(server);
  server.close();
  await once(server, "close");
  return port;
}

export const errors: readonly Case[] = [
  [
    "ECONNREFUSED, field by field",
    async (b) => {
      const port = await closedPort(b);
      const client = b.connect(port);
      const log = record(client);
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: `connect ECONNREFUSED ${b.a.host}:${port}`,
        errno: -111,
        code: "ECONNREFUSED",
        syscall: "connect",
        address: b.a.host,
        port,
      });
      expect(Object.keys(e as object)).toEqual(["errno", "code", "syscall", "address", "port"]);
      await once(client, "close");
      expect(log).toEqual(["connectionAttempt", "connectionAttemptFailed", "error ECONNREFUSED", "close true"]);
      expect(client.destroyed).toBe(true);
    },
  ],
  [
    "ECONNREFUSED from a chosen address and port",
    async (b) => {
      const port = await closedPort(b);
      let localPort = port;
      // a socket that connects to itself is not refused
      while (localPort === port) localPort = await closedPort(b);
      const client = b.connect(port, { localAddress: b.a.clientHost, localPort });
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: `connect ECONNREFUSED ${b.a.host}:${port} - Local (${b.a.clientHost}:${localPort})`,
        errno: -111,
        code: "ECONNREFUSED",
        syscall: "connect",
        address: b.a.host,
        port,
        localAddress: b.a.clientHost,
        localPort,
      });
    },
  ],
  [
    "ECONNREFUSED with bytes written before: their callback hears",
    async (b) => {
      const client = b.connect(await closedPort(b));
      let code: unknown;
      client.write("lost", (e) => (code = (e as NodeJS.ErrnoException | undefined)?.code));
      await once(client, "close");
      await b.a.sleep(5);
      expect(code).toBe("ERR_SOCKET_CLOSED_BEFORE_CONNECTION");
    },
  ],
  [
    "bind EADDRNOTAVAIL: an address that is not ours",
    async (b) => {
      const client = b.connect(4242, { localAddress: "192.0.2.77" });
      const log = record(client);
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: "bind EADDRNOTAVAIL 192.0.2.77",
        errno: -99,
        code: "EADDRNOTAVAIL",
        syscall: "bind",
        address: "192.0.2.77",
      });
      await once(client, "close");
      expect(log).toEqual(["error EADDRNOTAVAIL", "close true"]);
    },
  ],
  [
    "listen EADDRINUSE, field by field",
    async (b) => {
      const port = await b.listen(b.server());
      const second = b.server();
      second.listen(port, b.a.host);
      const [e] = await once(second, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: `listen EADDRINUSE: address already in use ${b.a.host}:${port}`,
        code: "EADDRINUSE",
        errno: -98,
        syscall: "listen",
        address: b.a.host,
        port,
      });
      expect(Object.keys(e as object).toSorted()).toEqual(["address", "code", "errno", "port", "syscall"]);
      expect(second.listening).toBe(false);
    },
  ],
  [
    "listen EADDRNOTAVAIL",
    async (b) => {
      const server = b.server();
      server.listen(0, "192.0.2.77");
      const [e] = await once(server, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: "listen EADDRNOTAVAIL: address not available 192.0.2.77",
        code: "EADDRNOTAVAIL",
        errno: -99,
        syscall: "listen",
        address: "192.0.2.77",
      });
    },
  ],
  [
    "listen twice throws",
    async (b) => {
      const server = b.server();
      await b.listen(server);
      expect(thrown(() => server.listen(0))).toEqual({
        name: "Error",
        message: "Listen method has been called more than once without closing.",
        code: "ERR_SERVER_ALREADY_LISTEN",
      });
    },
  ],
  [
    "close of a server that does not run",
    async (b) => {
      const e = await new Promise((r) => b.server().close(r));
      expect(fields(e)).toEqual({ name: "Error", message: "Server is not running.", code: "ERR_SERVER_NOT_RUNNING" });
    },
  ],
  [
    "bad ports throw",
    async (b) => {
      const { clientNet } = b.a;
      expect(thrown(() => clientNet.connect(65536))).toEqual({
        name: "RangeError",
        message: "Port should be >= 0 and < 65536. Received type number (65536).",
        code: "ERR_SOCKET_BAD_PORT",
      });
      expect(thrown(() => clientNet.connect({ port: -1 })).message).toBe(
        "Port should be >= 0 and < 65536. Received type number (-1).",
      );
      expect(thrown(() => clientNet.connect({ port: " " as never })).message).toBe(
        "Port should be >= 0 and < 65536. Received type string (' ').",
      );
      expect(thrown(() => clientNet.connect({ port: true as never }))).toEqual({
        name: "TypeError",
        message: 'The "options.port" property must be one of type number or string. Received type boolean (true)',
        code: "ERR_INVALID_ARG_TYPE",
      });
      expect(thrown(() => b.server().listen(99999)).message).toBe(
        "options.port should be >= 0 and < 65536. Received type number (99999).",
      );
    },
  ],
  [
    "connect without a port throws",
    async (b) => {
      expect(thrown(() => b.a.clientNet.connect({} as never))).toEqual({
        name: "TypeError",
        message: 'The "options" or "port" or "path" argument must be specified',
        code: "ERR_MISSING_ARGS",
      });
    },
  ],
  [
    "a local address that is none throws",
    async (b) => {
      expect(thrown(() => b.a.clientNet.connect({ port: 1, localAddress: "nonsense" }))).toEqual({
        name: "TypeError",
        message: "Invalid IP address: nonsense",
        code: "ERR_INVALID_IP_ADDRESS",
      });
    },
  ],
  [
    "listen with neither port nor path throws",
    async (b) => {
      expect(thrown(() => b.server().listen({} as never))).toEqual({
        name: "TypeError",
        message: 'The argument \'options\' must have the property "port" or "path". Received {}',
        code: "ERR_INVALID_ARG_VALUE",
      });
    },
  ],
  [
    "object modes throw",
    async (b) => {
      expect(thrown(() => new b.a.clientNet.Socket({ objectMode: true } as never)).message).toBe(
        "The property 'options.objectMode' is not supported. Received true",
      );
    },
  ],
  [
    "write after end",
    async (b) => {
      const { client } = await b.pair();
      client.end();
      const failed = new Promise((r) => client.write("late", r));
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({ name: "Error", message: "write after end", code: "ERR_STREAM_WRITE_AFTER_END" });
      expect((await failed) === e).toBe(true);
    },
  ],
  [
    "write after the other side has ended",
    async (b) => {
      const { client, peer } = await b.pair();
      client.resume();
      peer.end();
      await once(client, "end");
      const failed = new Promise((r) => client.write("late", r));
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: "This socket has been ended by the other party",
        code: "EPIPE",
      });
      expect((await failed) === e).toBe(true);
    },
  ],
  [
    "write after destroy",
    async (b) => {
      const { client } = await b.pair();
      client.destroy();
      const e = await new Promise((r) => client.write("late", r));
      expect(fields(e)).toEqual({
        name: "Error",
        message: "Cannot call write after a stream was destroyed",
        code: "ERR_STREAM_DESTROYED",
      });
    },
  ],
  [
    "write to a socket that never connects",
    async (b) => {
      const client = b.keep(new b.a.clientNet.Socket());
      const failed = new Promise((r) => client.write("x", r));
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({ name: "Error", message: "Socket is closed", code: "ERR_SOCKET_CLOSED" });
      expect((await failed) === e).toBe(true);
    },
  ],
  [
    "destroyed before the connection stands: what was written hears",
    async (b) => {
      const client = b.connect(await b.listen(b.server()));
      const failed = new Promise((r) => client.write("x", r));
      client.destroy();
      expect(fields(await failed)).toEqual({
        name: "Error",
        message: "Socket closed before the connection was established",
        code: "ERR_SOCKET_CLOSED_BEFORE_CONNECTION",
      });
    },
  ],
  [
    "read ECONNRESET, field by field",
    async (b) => {
      const { client, peer } = await b.pair();
      client.resume();
      peer.resetAndDestroy();
      const [e] = await once(client, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: "read ECONNRESET",
        errno: -104,
        code: "ECONNRESET",
        syscall: "read",
      });
      expect(Object.keys(e as object)).toEqual(["errno", "code", "syscall"]);
    },
  ],
  [
    "a reset is heard though the program does not read; writing comes too late",
    async (b) => {
      const { client, peer } = await b.pair();
      const log = record(client, ["error", "close", "end"]);
      peer.resetAndDestroy();
      await b.a.sleep(20);
      const e = await new Promise((r) => client.write("x", r));
      expect((e as NodeJS.ErrnoException).code).toBe("ERR_STREAM_DESTROYED");
      expect(log).toEqual(["error ECONNRESET", "close true"]);
    },
  ],
  [
    "a reset while bytes wait for room: those behind the one under way fail with it",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.pause();
      const codes: unknown[] = [];
      for (let i = 0; i < 40; i++) {
        client.write(Buffer.alloc(1 << 20), (e) => codes.push((e as NodeJS.ErrnoException | undefined)?.code));
      }
      await b.a.sleep(50);
      const before = codes.length;
      peer.resetAndDestroy();
      const [e] = await once(client, "error");
      await b.a.sleep(20);
      expect((e as NodeJS.ErrnoException).code).toBe("ECONNRESET");
      // the one under way is let go of, those behind it hear why
      const [current, ...waiting] = codes.slice(before);
      expect(codes.length).toBe(40);
      // Node 22 says that it was cancelled
      expect([undefined, "ECANCELED"]).toContain(current);
      expect(new Set(waiting)).toEqual(new Set(["ECONNRESET"]));
    },
  ],
  [
    "write EPIPE: the peer closed, our write draws its reset, the next fails",
    async (b) => {
      const { client, peer } = await b.pair({ allowHalfOpen: true });
      client.resume();
      peer.destroy();
      await once(client, "end");
      const codes: unknown[] = [];
      client.on("error", (e) => codes.push((e as NodeJS.ErrnoException).code, e.message));
      client.write("first");
      await b.a.sleep(30);
      client.write("second");
      await once(client, "close");
      expect(codes).toEqual(["EPIPE", "write EPIPE"]);
    },
  ],
  [
    "setTimeout and its arguments",
    async (b) => {
      const { client } = await b.pair();
      expect(thrown(() => client.setTimeout("1" as never))).toEqual({
        name: "TypeError",
        message: "The \"msecs\" argument must be of type number. Received type string ('1')",
        code: "ERR_INVALID_ARG_TYPE",
      });
      expect(thrown(() => client.setTimeout(-1))).toEqual({
        name: "RangeError",
        message: 'The value of "msecs" is out of range. It must be a non-negative finite number. Received -1',
        code: "ERR_OUT_OF_RANGE",
      });
      expect(thrown(() => client.setTimeout(1, 5 as never)).code).toBe("ERR_INVALID_ARG_TYPE");
    },
  ],
  [
    "an error that nobody listens for does not come from a listener's mistake",
    async (b) => {
      const port = await closedPort(b);
      const client = b.connect(port);
      const codes: unknown[] = [];
      client.on("error", (e) => codes.push((e as NodeJS.ErrnoException).code));
      await once(client, "close");
      client.connect(port, b.a.host);
      await once(client, "close");
      expect(codes).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
    },
  ],
];
