// tests/programs/tls.test.ts: node:tls: the same program over loopback and on emulated hosts does the same.

import net, { type AddressInfo, type Server } from "node:net";
import tls, { type TLSSocket } from "node:tls";
import { expect } from "vitest";
import { fields, record } from "../socket/adapter.ts";
import { everywhere, keep, type Place } from "./places.ts";
import { cert, key, once, text } from "./support.ts";

async function listening(
  p: Place,
  onConnection: (s: TLSSocket) => void,
  options: tls.TlsOptions = {},
): Promise<[tls.Server, number]> {
  const server = keep(
    p.server(() =>
      tls.createServer({ key, cert, ...options }, (s) => {
        s.on("error", () => undefined);
        onConnection(keep(s));
      }),
    ),
  );
  server.on("tlsClientError", () => undefined);
  p.server(() => server.listen(0, p.host));
  await once(server, "listening");
  return [server, (server.address() as AddressInfo).port];
}

const trust = { ca: cert, servername: "server" };

const cases: Record<string, (p: Place) => Promise<void>> = {
  "connects, talks, ends": async (p) => {
    const served: string[][] = [];
    const [, port] = await listening(p, (s) => {
      served.push(record(s, ["data", "end", "finish", "close", "error"]));
      s.write("hello");
    });
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const log = record(c, ["connect", "ready", "secureConnect", "data", "end", "finish", "close", "error"]);
    await once(c, "data");
    expect([c.authorized, c.getProtocol(), c.encrypted, c.connecting]).toEqual([true, "TLSv1.3", true, false]);
    expect([c.remoteAddress, c.remotePort, c.remoteFamily, c.localAddress]).toEqual([
      p.host,
      port,
      "IPv4",
      p.clientHost,
    ]);
    c.end("bye");
    await once(c, "close");
    await p.sleep(20);
    expect(log).toEqual(["connect", "ready", "secureConnect", "data 5", "finish", "end", "close false"]);
    expect(served).toEqual([["data 3", "end", "finish", "close false"]]);
  },
  "the forms of tls.connect": async (p) => {
    const [, port] = await listening(p, (s) => s.end(`${s.remoteAddress}`));
    const forms: ((cb: () => void) => TLSSocket)[] = [
      (cb) => tls.connect({ port, host: p.host, ...trust }, cb),
      (cb) => tls.connect(port, p.host, trust, cb),
      (cb) => tls.connect(port, { host: p.host, ...trust } as never, cb),
      (cb) => tls.connect({ socket: net.connect(port, p.host), ...trust }, cb),
    ];
    for (const form of forms) {
      let called = 0;
      const c = keep(p.client(() => form(() => called++)));
      expect(await text(c)).toBe(p.clientHost);
      expect(called).toBe(1);
    }
  },
  "a connection that is there already gets TLS (STARTTLS)": async (p) => {
    const secureContext = tls.createSecureContext({ key, cert });
    const server = keep(
      p.server(() =>
        net.createServer((raw) => {
          keep(raw).on("error", () => undefined);
          raw.once("data", () => {
            raw.write("ready");
            const s = keep(new tls.TLSSocket(raw, { isServer: true, secureContext }));
            s.on("data", (d) => s.end(`secret ${String(d)}`));
          });
        }),
      ),
    );
    p.server(() => server.listen(0, p.host));
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const said = await p.client(async () => {
      const raw = keep(net.connect(port, p.host));
      raw.write("starttls");
      await once(raw, "data");
      const c = keep(tls.connect({ socket: raw, ...trust }));
      await once(c, "secureConnect");
      c.write("word");
      return text(c);
    });
    expect(said).toBe("secret word");
  },
  "half a megabyte each way": async (p) => {
    const [, port] = await listening(p, (s) => s.pipe(s), { allowHalfOpen: true } as never);
    const c = keep(
      p.client(() => tls.connect({ port, host: p.host, allowHalfOpen: true, ...trust } as tls.ConnectionOptions)),
    );
    const sent = Buffer.alloc(500_000, "0123456789abcdef!");
    c.end(sent);
    const parts: Buffer[] = [];
    for await (const d of c) parts.push(d as Buffer);
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
  },
  "ALPN and SNI": async (p) => {
    const seen: unknown[] = [];
    const [, port] = await listening(
      p,
      (s) => {
        seen.push([s.alpnProtocol, s.servername]);
        s.end();
      },
      { ALPNProtocols: ["h2", "other"] },
    );
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ALPNProtocols: ["other"], ...trust })));
    await once(c, "secureConnect");
    expect(c.alpnProtocol).toBe("other");
    c.resume();
    await once(c, "close");
    expect(seen).toEqual([["other", "server"]]);
  },
  "sessions are taken up again": async (p) => {
    const [, port] = await listening(p, (s) => s.end("x"));
    const connect = (session?: Buffer): TLSSocket =>
      keep(p.client(() => tls.connect({ port, host: p.host, ...(session ? { session } : {}), ...trust })));
    const first = connect();
    const got = once(first, "session");
    first.resume();
    const [session] = (await got) as [Buffer];
    const before = first.isSessionReused();
    const second = connect(session);
    await once(second, "secureConnect");
    expect([before, second.isSessionReused()]).toEqual([false, true]);
  },
  "an unknown certificate is an error": async (p) => {
    const [, port] = await listening(p, () => undefined);
    const c = keep(p.client(() => tls.connect({ port, host: p.host })));
    const log = record(c, ["connect", "secureConnect", "error", "close"]);
    await new Promise((resolve) => c.once("close", resolve));
    expect(log).toEqual(["connect", "error DEPTH_ZERO_SELF_SIGNED_CERT", "close true"]);
  },
  "a name that is not the certificate's": async (p) => {
    const [, port] = await listening(p, () => undefined);
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ca: cert, servername: "other.test" })));
    const [e] = (await once(c, "error").catch((x: Error) => [x])) as [NodeJS.ErrnoException];
    expect(e.code).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  },
  "nobody listens": async (p) => {
    const [server, port] = await listening(p, () => undefined);
    server.close();
    await once(server, "close");
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const log = record(c, ["connect", "error", "close"]);
    const e = await new Promise((resolve) => c.once("error", resolve));
    expect(fields(e)).toMatchObject({
      message: `connect ECONNREFUSED ${p.host}:${port}`,
      errno: -111,
      code: "ECONNREFUSED",
      syscall: "connect",
      address: p.host,
      port,
    });
    await p.sleep(10);
    expect(log).toEqual(["error ECONNREFUSED", "close true"]);
  },
  "the other side goes before TLS stands": async (p) => {
    const server = keep(p.server(() => net.createServer((s) => s.end())));
    p.server(() => (server as Server).listen(0, p.host));
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const e = (await new Promise((resolve) => c.once("error", resolve))) as NodeJS.ErrnoException;
    expect(e.code).toBe("ECONNRESET");
    expect(e.message).toBe("Client network socket disconnected before secure TLS connection was established");
  },
  "something that is not TLS": async (p) => {
    const server = keep(
      p.server(() => net.createServer((s) => s.on("error", () => undefined).end("HTTP/1.1 400 no\r\n\r\n"))),
    );
    p.server(() => (server as Server).listen(0, p.host));
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const e = (await new Promise((resolve) => c.once("error", resolve))) as NodeJS.ErrnoException;
    expect(e.code).toMatch(/^ERR_SSL_/);
  },
  "setTimeout: silence is told, in the connection's time": async (p) => {
    const [, port] = await listening(p, (s) => s.resume());
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    await once(c, "secureConnect");
    const log = record(c, ["timeout"]);
    p.client(() => c.setTimeout(200));
    expect(c.timeout).toBe(200);
    for (let i = 0; i < 4; i++) {
      await p.sleep(80);
      c.write("x");
    }
    expect(log).toEqual([]);
    await p.sleep(350);
    expect(log).toEqual(["timeout"]);
    c.setTimeout(0);
    await p.sleep(300);
    expect(log).toEqual(["timeout"]);
  },
  "destroyed at once": async (p) => {
    const [, port] = await listening(p, () => undefined);
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const log = record(c, ["connect", "secureConnect", "error", "close"]);
    c.destroy();
    await once(c, "close");
    await p.sleep(30);
    expect(log).toEqual(["close false"]);
  },
  "the server destroys": async (p) => {
    const [, port] = await listening(p, (s) => setTimeout(() => s.destroy(), 5));
    const c = keep(p.client(() => tls.connect({ port, host: p.host, ...trust })));
    const log = record(c, ["secureConnect", "error", "end", "close"]);
    c.resume();
    await once(c, "close");
    expect(log).toEqual(["secureConnect", "end", "close false"]);
  },
};

everywhere("node:tls", cases);
