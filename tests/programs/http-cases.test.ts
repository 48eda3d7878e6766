// tests/programs/http-cases.test.ts: node:http where things go wrong or out of the way: the same over loopback and emulated.

import http, { type ClientRequest, type IncomingMessage, type RequestListener } from "node:http";
import net, { type AddressInfo, type Socket } from "node:net";
import { expect } from "vitest";
import { everywhere, keep, type Place } from "./places.ts";
import { once, text } from "./support.ts";

async function listening(
  p: Place,
  listener?: RequestListener,
  options: http.ServerOptions = {},
): Promise<[http.Server, number]> {
  const server = p.server(() => http.createServer(options, listener));
  keep({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  p.server(() => server.listen(0, p.host));
  await once(server, "listening");
  return [server, (server.address() as AddressInfo).port];
}

const ask = (p: Place, port: number, more: http.RequestOptions = {}): ClientRequest =>
  keep(p.client(() => http.request({ host: p.host, port, agent: false, ...more })));

const failed = (req: ClientRequest): Promise<NodeJS.ErrnoException> =>
  new Promise((resolve) => req.once("error", resolve));

const answer = async (req: ClientRequest): Promise<IncomingMessage> =>
  (await once(req, "response"))[0] as IncomingMessage;

/** What a raw connection gets for these bytes. */
async function raw(p: Place, port: number, bytes: string): Promise<string> {
  const s = keep(p.client(() => net.connect(port, p.host)));
  s.write(bytes);
  return text(s);
}

const cases: Record<string, (p: Place) => Promise<void>> = {
  "the server hangs up before it answers": async (p) => {
    const [, port] = await listening(p, (req) => req.socket.destroy());
    const req = ask(p, port);
    req.end();
    const e = await failed(req);
    expect([e.message, e.code]).toEqual(["socket hang up", "ECONNRESET"]);
  },
  "the server resets before it answers": async (p) => {
    const [, port] = await listening(p, (req) => req.socket.resetAndDestroy());
    const req = ask(p, port);
    req.end();
    const e = await failed(req);
    expect([e.message, e.code, e.syscall]).toEqual(["read ECONNRESET", "ECONNRESET", "read"]);
  },
  "the server hangs up within its answer": async (p) => {
    const [, port] = await listening(p, (req, res) => {
      res.writeHead(200, { "content-length": "100" });
      res.write("half", () => setTimeout(() => req.socket.destroy(), 10));
    });
    const req = ask(p, port);
    req.end();
    const res = await answer(req);
    const seen: string[] = [];
    for (const event of ["data", "aborted", "error", "end", "close"]) {
      res.on(event, (a: unknown) => seen.push(event === "error" ? (a as NodeJS.ErrnoException).code! : event));
    }
    await new Promise((resolve) => res.once("close", resolve));
    expect(seen).toEqual(["data", "aborted", "ECONNRESET", "close"]);
    expect(res.complete).toBe(false);
  },
  "the client gives up: the server hears": async (p) => {
    let heard: (events: string[]) => void;
    const events = new Promise<string[]>((resolve) => (heard = resolve));
    const [, port] = await listening(p, (req, res) => {
      const seen: string[] = [];
      req.on("aborted", () => seen.push("aborted"));
      req.on("error", (e: NodeJS.ErrnoException) => seen.push(e.code!));
      res.on("close", () => {
        seen.push(`finished ${res.writableFinished}`);
        heard(seen);
      });
    });
    const req = ask(p, port, { method: "POST" });
    req.on("error", () => undefined);
    req.write("part");
    await p.sleep(30);
    req.destroy();
    expect(await events).toEqual(["aborted", "finished false", "ECONNRESET"]);
  },
  "a timeout of the request's": async (p) => {
    const [, port] = await listening(p, () => undefined);
    const req = ask(p, port, { timeout: 80 });
    req.end();
    await once(req, "timeout");
    expect(req.destroyed).toBe(false);
    req.destroy(new Error("too long"));
    expect((await failed(req)).message).toBe("too long");
  },
  AbortSignal: async (p) => {
    const [, port] = await listening(p, () => undefined);
    const controller = new AbortController();
    const req = ask(p, port, { signal: controller.signal });
    req.end();
    await p.sleep(20);
    controller.abort();
    const e = await failed(req);
    expect([e.name, e.code]).toEqual(["AbortError", "ABORT_ERR"]);
  },
  "100-continue": async (p) => {
    const [server, port] = await listening(p);
    const order: string[] = [];
    server.on("checkContinue", (req: IncomingMessage, res: http.ServerResponse) => {
      order.push("asked");
      res.writeContinue();
      void text(req).then((body) => res.end(`got ${body}`));
    });
    const req = ask(p, port, { method: "POST", headers: { expect: "100-continue", "content-length": "4" } });
    req.flushHeaders();
    await once(req, "continue");
    order.push("told");
    req.end("body");
    expect(await text(await answer(req))).toBe("got body");
    expect(order).toEqual(["asked", "told"]);
  },
  upgrade: async (p) => {
    const [server, port] = await listening(p);
    server.on("upgrade", (_req: IncomingMessage, socket: Socket) => {
      keep(socket).write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
      socket.pipe(socket);
    });
    const req = ask(p, port, { headers: { connection: "Upgrade", upgrade: "echo" } });
    req.end();
    const [res, socket] = (await once(req, "upgrade")) as [IncomingMessage, Socket];
    expect(res.statusCode).toBe(101);
    keep(socket).end("over to you");
    expect(await text(socket)).toBe("over to you");
  },
  "a tunnel by CONNECT": async (p) => {
    const [, to] = await listening(p, (_req, res) => res.end("behind the proxy"));
    const [proxy, port] = await listening(p);
    proxy.on("connect", (req: IncomingMessage, socket: Socket) => {
      const [host, at] = req.url!.split(":");
      const out = keep(
        net.connect(Number(at), host, () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          socket.pipe(out).pipe(socket);
        }),
      );
      socket.on("error", () => undefined);
    });
    const req = ask(p, port, { method: "CONNECT", path: `${p.host}:${to}` });
    req.end();
    const [, socket] = (await once(req, "connect")) as [IncomingMessage, Socket];
    keep(socket).write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect((await text(socket)).endsWith("behind the proxy")).toBe(true);
  },
  "pipelined requests are answered in order": async (p) => {
    const [, port] = await listening(p, (req, res) => {
      setTimeout(() => res.end(`[${req.url}]`), req.url === "/1" ? 40 : 1);
    });
    const all = await raw(
      p,
      port,
      ["/1", "/2", "/3"]
        .map((u, i) => `GET ${u} HTTP/1.1\r\nHost: x\r\n${i === 2 ? "Connection: close\r\n" : ""}\r\n`)
        .join(""),
    );
    expect(all.match(/\[\/\d\]/g)).toEqual(["[/1]", "[/2]", "[/3]"]);
  },
  "what is no HTTP": async (p) => {
    const [, port] = await listening(p, (_req, res) => res.end());
    expect(await raw(p, port, "hello?\r\n\r\n")).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    expect(await raw(p, port, `GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw(p, port, "GET / HTTP/1.1\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
  },
  "chunks and trailers": async (p) => {
    const [, port] = await listening(p, (req, res) => {
      void text(req).then((body) => {
        res.writeHead(200, { trailer: "x-sum" });
        for (const part of body.match(/.{1,1000}/g)!) res.write(part);
        res.addTrailers({ "x-sum": String(body.length), "x-theirs": String(req.trailers["x-mine"]) });
        res.end();
      });
    });
    const req = ask(p, port, { method: "POST", headers: { trailer: "x-mine" } });
    for (let i = 0; i < 50; i++) req.write("y".repeat(1000));
    req.addTrailers({ "x-mine": "here" });
    req.end();
    const res = await answer(req);
    expect((await text(res)).length).toBe(50_000);
    expect(res.trailers).toEqual({ "x-sum": "50000", "x-theirs": "here" });
  },
  "HEAD, 204 and 304 have no body": async (p) => {
    const [, port] = await listening(p, (req, res) => {
      res.statusCode = Number(req.url!.slice(1));
      res.end(res.statusCode === 200 ? "never sent" : undefined);
    });
    for (const [method, path] of [
      ["HEAD", "/200"],
      ["GET", "/204"],
      ["GET", "/304"],
    ] as const) {
      const req = ask(p, port, { method, path });
      req.end();
      expect(await text(await answer(req))).toBe("");
    }
  },
  "close: idle connections go, busy ones finish": async (p) => {
    const [server, port] = await listening(p, (req, res) => {
      setTimeout(() => res.end("done"), req.url === "/slow" ? 100 : 0);
    });
    const agent = new http.Agent({ keepAlive: true });
    const idle = ask(p, port, { agent });
    idle.end();
    await text(await answer(idle));
    const slow = ask(p, port, { path: "/slow", agent: false });
    slow.end();
    await p.sleep(40);
    const closed = new Promise((resolve) => server.close(resolve));
    const res = await answer(slow);
    expect([await text(res), res.headers.connection]).toEqual(["done", "close"]);
    await closed;
    agent.destroy();
  },
  "a kept connection that the server has closed meanwhile is not used": async (p) => {
    const [, port] = await listening(p, (_req, res) => res.end("ok"), { keepAliveTimeout: 50 });
    const agent = new http.Agent({ keepAlive: true });
    for (let i = 0; i < 3; i++) {
      const req = ask(p, port, { agent });
      req.end();
      expect(await text(await answer(req))).toBe("ok");
      expect(req.reusedSocket).toBe(false);
      await p.sleep(2_500);
    }
    agent.destroy();
  },
  "maxSockets keeps the others waiting": async (p) => {
    let now = 0;
    let most = 0;
    const [, port] = await listening(p, (_req, res) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        res.end();
      }, 5);
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const req = ask(p, port, { agent });
        req.end();
        await text(await answer(req));
      }),
    );
    expect(most).toBe(2);
    agent.destroy();
  },
};

everywhere("node:http", cases);
