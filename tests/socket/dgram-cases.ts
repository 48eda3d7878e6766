// tests/socket/dgram-cases.ts: what dgram does, case by case: the same for Node's own over loopback and for an emulated one.

import type dgram from "node:dgram";
import { afterEach, describe, expect, it } from "vitest";
import { fields, once } from "./adapter.ts";

export interface DgramAdapter {
  readonly serverDgram: typeof dgram;
  readonly clientDgram: typeof dgram;
  /** The server's address and the client's. */
  readonly host: string;
  readonly clientHost: string;
  run(test: () => Promise<void>): Promise<void>;
  sleep(ms: number): Promise<void>;
  open(): number | null;
}

class Bench {
  private readonly sockets: dgram.Socket[] = [];

  constructor(readonly a: DgramAdapter) {}

  keep(s: dgram.Socket): dgram.Socket {
    this.sockets.push(s);
    return s;
  }

  client(): dgram.Socket {
    return this.keep(this.a.clientDgram.createSocket("udp4"));
  }

  /** A bound socket on the server's side, and its port. */
  async server(onMessage?: (m: Buffer, from: dgram.RemoteInfo) => void): Promise<[dgram.Socket, number]> {
    const s = this.keep(this.a.serverDgram.createSocket("udp4", onMessage));
    s.bind(0, this.a.host);
    await once(s, "listening");
    return [s, s.address().port];
  }

  close(): void {
    for (const s of this.sockets.splice(0)) {
      try {
        s.close();
      } catch {
        // the case closed it
      }
    }
  }
}

function thrown(call: () => void): Record<string, unknown> {
  try {
    call();
  } catch (e) {
    return fields(e);
  }
  return { nothing: true };
}

type Case = readonly [name: string, run: (b: Bench) => Promise<void>];

const cases: readonly Case[] = [
  [
    "a datagram there and one back",
    async (b) => {
      const [server, port] = await b.server((m, from) => server.send(`re: ${String(m)}`, from.port, from.address));
      const client = b.client();
      client.send("hello", port, b.a.host);
      const [m, from] = (await once(client, "message")) as [Buffer, dgram.RemoteInfo];
      expect(String(m)).toBe("re: hello");
      expect(from).toEqual({ address: b.a.host, family: "IPv4", port, size: 9 });
    },
  ],
  [
    "the forms of send",
    async (b) => {
      const got: string[] = [];
      const [, port] = await b.server((m) => got.push(String(m)));
      const { host } = b.a;
      const client = b.client();
      const bytes = Buffer.from("0123456789");
      const sent: unknown[] = [];
      const cb = (e: Error | null, n: number): void => void sent.push(e, n);
      client.send("text", port, host, cb);
      client.send(bytes, port, host, cb);
      client.send(bytes, 2, 3, port, host, cb);
      client.send([bytes.subarray(0, 2), "xy"] as never, port, host, cb);
      client.send(new Uint16Array([0x4241, 0x4443]), port, host, cb);
      client.send("", port, host, cb);
      client.send([], port, host, cb);
      await b.a.sleep(30);
      expect(got).toEqual(["text", "0123456789", "234", "01xy", "ABCD", "", ""]);
      expect(sent).toEqual([null, 4, null, 10, null, 3, null, 4, null, 4, null, 0, null, 0]);
    },
  ],
  [
    "bind: its forms, 'listening' and address",
    async (b) => {
      const forms: ((s: dgram.Socket, cb: () => void) => void)[] = [
        (s, cb) => s.bind(cb),
        (s, cb) => s.bind(0, cb),
        (s, cb) => s.bind(0, b.a.host, cb),
        (s, cb) => s.bind({ port: 0, address: b.a.host }, cb),
        (s, cb) => s.bind({}, cb),
      ];
      for (const [i, form] of forms.entries()) {
        const s = b.keep(b.a.serverDgram.createSocket("udp4"));
        const order: string[] = [];
        s.on("listening", () => order.push("listening"));
        await new Promise<void>((resolve) => form(s, resolve));
        expect(order).toEqual(["listening"]);
        const at = s.address();
        expect([at.address, at.family]).toEqual([i === 2 || i === 3 ? b.a.host : "0.0.0.0", "IPv4"]);
        expect(at.port).toBeGreaterThan(1023);
      }
    },
  ],
  [
    "bind EADDRINUSE and EADDRNOTAVAIL",
    async (b) => {
      const [, port] = await b.server();
      const second = b.keep(b.a.serverDgram.createSocket("udp4"));
      second.bind(port, b.a.host);
      const [e] = await once(second, "error");
      expect(fields(e)).toEqual({
        name: "Error",
        message: `bind EADDRINUSE ${b.a.host}:${port}`,
        errno: -98,
        code: "EADDRINUSE",
        syscall: "bind",
        address: b.a.host,
        port,
      });
      second.bind(0, "192.0.2.77");
      const [e2] = await once(second, "error");
      expect((e2 as Error).message).toBe("bind EADDRNOTAVAIL 192.0.2.77");
    },
  ],
  [
    "reuseAddr lets two share a port",
    async (b) => {
      const make = (): dgram.Socket => b.keep(b.a.serverDgram.createSocket({ type: "udp4", reuseAddr: true }));
      const first = make();
      first.bind(0, b.a.host);
      await once(first, "listening");
      const second = make();
      second.bind(first.address().port, b.a.host);
      await once(second, "listening");
      expect(second.address().port).toBe(first.address().port);
    },
  ],
  [
    "connect: send without an address, and only the peer is heard",
    async (b) => {
      const [server, port] = await b.server((m, from) => server.send(m, from.port, from.address));
      const [stranger] = await b.server();
      const client = b.client();
      const got: string[] = [];
      client.on("message", (m) => got.push(String(m)));
      client.connect(port, b.a.host);
      await once(client, "connect");
      expect(client.remoteAddress()).toEqual({ address: b.a.host, family: "IPv4", port });
      expect(client.address().address).toBe(b.a.clientHost);
      stranger.send("noise", client.address().port, b.a.clientHost);
      client.send("a");
      client.send("bcd", 1, 2);
      for (let i = 0; i < 50 && got.length < 2; i++) await b.a.sleep(10);
      expect(got).toEqual(["a", "cd"]);
      expect(thrown(() => client.send("x", 0, 1, port, b.a.host))).toEqual({
        name: "Error",
        message: "Already connected",
        code: "ERR_SOCKET_DGRAM_IS_CONNECTED",
      });
      client.disconnect();
      expect(thrown(() => client.remoteAddress()).code).toBe("ERR_SOCKET_DGRAM_NOT_CONNECTED");
    },
  ],
  [
    "a connected socket hears that nobody listens",
    async (b) => {
      const [server, port] = await b.server();
      server.close();
      await once(server, "close");
      const client = b.client();
      client.connect(port, b.a.host);
      await once(client, "connect");
      client.send("anyone?");
      const [e] = await once(client, "error");
      expect(["recvmsg ECONNREFUSED", "send ECONNREFUSED"]).toContain((e as Error).message);
      expect((e as NodeJS.ErrnoException).errno).toBe(-111);
    },
  ],
  [
    "an unconnected one does not",
    async (b) => {
      const [server, port] = await b.server();
      server.close();
      const client = b.client();
      const errors: Error[] = [];
      client.on("error", (e) => errors.push(e));
      client.send("anyone?", port, b.a.host);
      await b.a.sleep(30);
      expect(errors).toEqual([]);
    },
  ],
  [
    "send EMSGSIZE",
    async (b) => {
      const [, port] = await b.server();
      const client = b.client();
      const e = await new Promise((r) => client.send(Buffer.alloc(65508), port, b.a.host, r));
      expect(fields(e)).toEqual({
        name: "Error",
        message: `send EMSGSIZE ${b.a.host}:${port}`,
        errno: -90,
        code: "EMSGSIZE",
        syscall: "send",
        address: b.a.host,
        port,
      });
    },
  ],
  [
    "a datagram in fragments arrives whole",
    async (b) => {
      const got: Buffer[] = [];
      const [, port] = await b.server((m) => got.push(m));
      const sent = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7) & 255));
      b.client().send(sent, port, b.a.host);
      await b.a.sleep(50);
      expect(got.length).toBe(1);
      expect(got[0]!.equals(sent)).toBe(true);
    },
  ],
  [
    "broadcast needs setBroadcast",
    async (b) => {
      const client = b.client();
      client.bind(0);
      await once(client, "listening");
      const e = await new Promise((r) => client.send("all", 9, "255.255.255.255", r));
      expect((e as Error).message).toBe("send EACCES 255.255.255.255:9");
      client.setBroadcast(true);
    },
  ],
  [
    "what an unbound socket cannot do",
    async (b) => {
      const s = b.client();
      expect(thrown(() => s.address())).toEqual({
        name: "Error",
        message: "getsockname EBADF",
        errno: -9,
        code: "EBADF",
        syscall: "getsockname",
      });
      expect(thrown(() => s.setBroadcast(true)).message).toBe("setBroadcast EBADF");
      expect(thrown(() => s.setTTL(10)).message).toBe("setTTL EBADF");
      const size = thrown(() => s.getRecvBufferSize());
      expect([size.code, size.name, size.message]).toEqual([
        "ERR_SOCKET_BUFFER_SIZE",
        "SystemError",
        "Could not get or set buffer size: uv_recv_buffer_size returned EBADF (bad file descriptor)",
      ]);
    },
  ],
  [
    "options of a bound socket",
    async (b) => {
      const [s] = await b.server();
      expect(s.setTTL(64)).toBe(64);
      expect(thrown(() => s.setTTL(0)).message).toBe("setTTL EINVAL");
      expect(thrown(() => s.setTTL(256)).message).toBe("setTTL EINVAL");
      expect(thrown(() => s.setTTL("1" as never)).code).toBe("ERR_INVALID_ARG_TYPE");
      expect(s.setMulticastTTL(3)).toBe(3);
      s.setRecvBufferSize(10_000);
      expect(s.getRecvBufferSize()).toBe(20_000);
      s.setSendBufferSize(10_000);
      expect(s.getSendBufferSize()).toBe(20_000);
      expect(thrown(() => s.setRecvBufferSize(-1)).code).toBe("ERR_SOCKET_BAD_BUFFER_SIZE");
      expect([s.ref(), s.unref()]).toEqual([s, s]);
    },
  ],
  [
    "wrong calls throw",
    async (b) => {
      const s = b.client();
      const { clientDgram } = b.a;
      expect(thrown(() => clientDgram.createSocket("udp5" as never))).toEqual({
        name: "TypeError",
        message: "Bad socket type specified. Valid types are: udp4, udp6",
        code: "ERR_SOCKET_BAD_TYPE",
      });
      expect(thrown(() => s.send("x", 0, b.a.host)).message).toBe(
        "Port should be > 0 and < 65536. Received type number (0).",
      );
      expect(thrown(() => s.send(5 as never, 1, b.a.host)).message).toBe(
        'The "buffer" argument must be of type string or an instance of Buffer, TypedArray, or DataView. ' +
          "Received type number (5)",
      );
      expect(thrown(() => s.send([5] as never, 1, b.a.host)).message).toBe(
        'The "buffer list arguments" argument must be of type string or an instance of Buffer, TypedArray, or DataView. ' +
          "Received an instance of Array",
      );
      expect(thrown(() => s.send("abc", 2, 5, 1, b.a.host)).message).toBe('"length" is outside of buffer bounds');
      expect(thrown(() => s.send("abc", 4, 0, 1, b.a.host)).message).toBe('"offset" is outside of buffer bounds');
      expect(thrown(() => s.disconnect()).code).toBe("ERR_SOCKET_DGRAM_NOT_CONNECTED");
      s.bind(0);
      expect(thrown(() => s.bind(0)).code).toBe("ERR_SOCKET_ALREADY_BOUND");
      await once(s, "listening");
      s.close();
      expect(thrown(() => s.close())).toEqual({
        name: "Error",
        message: "Not running",
        code: "ERR_SOCKET_DGRAM_NOT_RUNNING",
      });
      expect(thrown(() => s.address()).code).toBe("ERR_SOCKET_DGRAM_NOT_RUNNING");
    },
  ],
  [
    "close: 'close' comes later; what was being bound is let be",
    async (b) => {
      const s = b.client();
      const log: string[] = [];
      for (const e of ["listening", "close"]) s.on(e, () => log.push(e));
      s.bind(0);
      s.close(() => log.push("callback"));
      expect(log).toEqual([]);
      await b.a.sleep(10);
      expect(log).toEqual(["close", "callback"]);
    },
  ],
  [
    "close behind a send that waits for the port",
    async (b) => {
      const got: string[] = [];
      const [, port] = await b.server((m) => got.push(String(m)));
      const s = b.client();
      s.send("last", port, b.a.host);
      s.close();
      await b.a.sleep(30);
      expect(got).toEqual([]);
      expect(thrown(() => s.address()).code).toBe("ERR_SOCKET_DGRAM_NOT_RUNNING");
    },
  ],
  [
    "an AbortSignal closes",
    async (b) => {
      const controller = new AbortController();
      const s = b.a.clientDgram.createSocket({ type: "udp4", signal: controller.signal });
      s.bind(0);
      await once(s, "listening");
      controller.abort();
      await once(s, "close");
      expect(thrown(() => s.address()).code).toBe("ERR_SOCKET_DGRAM_NOT_RUNNING");
    },
  ],
  [
    "datagrams keep their order and their borders",
    async (b) => {
      const got: number[] = [];
      const [, port] = await b.server((m) => got.push(m.length));
      const client = b.client();
      for (let i = 0; i < 50; i++) client.send(Buffer.alloc(i), port, b.a.host);
      await b.a.sleep(50);
      expect(got).toEqual(Array.from({ length: 50 }, (_, i) => i));
    },
  ],
];

export function dgramConformance(name: string, make: () => DgramAdapter): void {
  describe(name, () => {
    let bench: Bench | null = null;
    afterEach(() => {
      bench?.close();
      bench = null;
    });
    for (const [what, run] of cases) {
      it(what, async () => {
        const a = make();
        bench = new Bench(a);
        await a.run(() => run(bench!));
        bench.close();
        expect(a.open() ?? 0).toBe(0);
      });
    }
  });
}
