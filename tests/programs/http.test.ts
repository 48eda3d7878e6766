// tests/programs/http.test.ts: node:http, node:https, node:http2 and fetch, unmodified, on emulated hosts.

import http, { type IncomingMessage } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { Server } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect } from "vitest";
import { cert, key, type Net, once, overWires, text } from "./support.ts";

async function listening<T extends Server>(server: T, port: number): Promise<T> {
  server.listen(port);
  await once(server, "listening");
  return server;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A server's answer that says what it was asked, from where. */
function echo(req: IncomingMessage, res: http.ServerResponse): void {
  const { method, url, headers, socket } = req;
  let body = "";
  req.setEncoding("utf8");
  req.on("data", (t: string) => (body += t));
  req.on("end", () => {
    res.setHeader("content-type", "application/json");
    res.end(
      JSON.stringify({ method, url, host: headers.host, from: socket.remoteAddress, to: socket.localPort, body }),
    );
  });
}

function ask(options: http.RequestOptions, body?: string): Promise<{ status: number; body: string; socket: unknown }> {
  return new Promise((resolve, reject) => {
    const req = http.request(options, (res) => {
      const { socket } = req;
      text(res).then((b) => resolve({ status: res.statusCode!, body: b, socket }), reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

overWires("node:http", async (net: Net) => {
  const server = await net.onServer(() => listening(http.createServer(echo), 80));
  expect(server.address()).toEqual({ address: "0.0.0.0", family: "IPv4", port: 80 });
  const agent = new http.Agent({ keepAlive: true });
  await net.onClient(async () => {
    const get = await ask({ host: "server", path: "/hello", agent });
    expect(JSON.parse(get.body)).toEqual({
      method: "GET",
      url: "/hello",
      host: "server",
      from: "10.0.1.2",
      to: 80,
      body: "",
    });
    const post = await ask({ host: "10.0.2.2", path: "/form", method: "POST", agent }, "x".repeat(200_000));
    expect((JSON.parse(post.body) as { body: string }).body.length).toBe(200_000);
    // a connection that was kept is used again
    const again = await ask({ host: "server", path: "/again", agent });
    expect(again.socket).toBe(get.socket);
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => ask({ host: "server", path: `/${i}`, agent })));
    expect(many.map((m) => (JSON.parse(m.body) as { url: string }).url)).toEqual(many.map((_, i) => `/${i}`));
    await expect(ask({ host: "server", port: 81 })).rejects.toThrow("connect ECONNREFUSED 10.0.2.2:81");
    await expect(ask({ host: "nowhere.test" })).rejects.toThrow("getaddrinfo ENOTFOUND nowhere.test");
  });
  agent.destroy();
  await closed(server);
});

overWires("node:http: the server gives idle connections up in virtual time", async (net: Net) => {
  const server = await net.onServer(() => listening(http.createServer({ keepAliveTimeout: 5_000 }, echo), 80));
  const agent = new http.Agent({ keepAlive: true });
  await net.onClient(async () => {
    await ask({ host: "server", agent });
    const before = net.now;
    const [idle] = Object.values(agent.freeSockets).flat();
    expect(idle).toBeDefined();
    await once(idle!, "close");
    expect((net.now - before) / 1e9).toBeGreaterThan(4.9);
    expect((net.now - before) / 1e9).toBeLessThan(8);
  });
  await closed(server);
});

overWires("node:https with TLS 1.3", async (net: Net) => {
  const server = await net.onServer(() => listening(https.createServer({ key, cert }, echo), 443));
  const agent = new https.Agent({ keepAlive: true, ca: cert });
  await net.onClient(async () => {
    const got = await new Promise<{ body: string; protocol: string | null; from: unknown }>((resolve, reject) => {
      const req = https.request({ host: "server", path: "/secret", agent, method: "PUT" }, (res) => {
        const socket = res.socket as TLSSocket;
        const [protocol, from] = [socket.getProtocol(), socket.remoteAddress];
        text(res).then((body) => resolve({ body, protocol, from }), reject);
      });
      req.on("error", reject);
      req.end("b".repeat(50_000));
    });
    const said = JSON.parse(got.body) as { from: string; body: string; to: number };
    expect([got.protocol, got.from]).toEqual(["TLSv1.3", "10.0.2.2"]);
    expect([said.from, said.to, said.body.length]).toEqual(["10.0.1.2", 443, 50_000]);
    // whoever does not know the certificate refuses
    const refused = new Promise((_resolve, reject) => https.get({ host: "server", agent: false }).on("error", reject));
    await expect(refused).rejects.toThrow(/self.signed certificate/);
    await expect(
      new Promise((_resolve, reject) => https.get({ host: "server", port: 444, agent }).on("error", reject)),
    ).rejects.toThrow("connect ECONNREFUSED 10.0.2.2:444");
  });
  agent.destroy();
  await closed(server);
});

for (const secure of [false, true]) {
  overWires(`node:http2 ${secure ? "over TLS" : "in clear"}`, async (net: Net) => {
    const server = await net.onServer(() => {
      const s = secure ? http2.createSecureServer({ key, cert }) : http2.createServer();
      s.on("stream", (stream, headers) => {
        stream.respond({ ":status": 200, "x-path": headers[":path"] });
        stream.pipe(stream);
      });
      return listening(s as unknown as Server, 8443);
    });
    await net.onClient(async () => {
      const session = http2.connect(`http${secure ? "s" : ""}://server:8443`, { ca: cert });
      const answers = await Promise.all(
        Array.from({ length: 10 }, async (_, i) => {
          const stream = session.request({ ":method": "POST", ":path": `/${i}` });
          stream.end(`stream ${i} `.repeat(1000));
          const [headers] = (await once(stream, "response")) as [Record<string, string>];
          return [headers["x-path"], await text(stream)];
        }),
      );
      answers.forEach(([path, body], i) => {
        expect(path).toBe(`/${i}`);
        expect(body).toBe(`stream ${i} `.repeat(1000));
      });
      if (secure) expect((session.socket as TLSSocket).alpnProtocol).toBe("h2");
      const over = once(session, "close");
      session.close();
      await over;
    });
    await closed(server);
  });
}

overWires(
  "fetch",
  async (net: Net) => {
    const server = await net.onServer(() => listening(http.createServer(echo), 80));
    const secure = await net.onServer(() =>
      listening(
        http.createServer((_q, s) => s.writeHead(302, { location: "http://server/there" }).end()),
        8080,
      ),
    );
    await net.onClient(async () => {
      const res = await fetch("http://server/x?y=1", { method: "POST", body: "posted" });
      expect(res.status).toBe(200);
      expect(await res.json()).toEqual({
        method: "POST",
        url: "/x?y=1",
        host: "server",
        from: "10.0.1.2",
        to: 80,
        body: "posted",
      });
      const moved = await fetch("http://10.0.2.2:8080/here");
      expect([moved.redirected, moved.url]).toEqual([true, "http://server/there"]);
      await moved.text();
      const cause = await fetch("http://server:81/").catch((e: Error) => e.cause as NodeJS.ErrnoException);
      expect((cause as NodeJS.ErrnoException).message).toBe("connect ECONNREFUSED 10.0.2.2:81");
      const late = fetch("http://10.0.2.99/", { signal: AbortSignal.timeout(1_000) });
      await expect(late).rejects.toThrow();
    });
    server.closeAllConnections();
    secure.closeAllConnections();
    await Promise.all([closed(server), closed(secure)]);
  },
  { leavesOpen: true },
);
