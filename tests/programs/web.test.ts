// tests/programs/web.test.ts: express, fastify, undici and ws, unmodified, on emulated hosts.

import type { Server } from "node:net";
import express from "express";
import fastify from "fastify";
import http from "node:http";
import { Agent, Client, request } from "undici";
import { expect } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type Net, once, overWires, text } from "./support.ts";

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

overWires(
  "express",
  async (net: Net) => {
    const server = await net.onServer(async () => {
      const app = express();
      app.use(express.json());
      app.get("/users/:id", (req, res) => void res.json({ id: req.params.id, q: req.query.q, ip: req.ip }));
      app.post("/sum", (req, res) => void res.json({ sum: (req.body as number[]).reduce((a, b) => a + b) }));
      app.get("/old", (_req, res) => res.redirect("/users/7"));
      const s = app.listen(3000);
      await once(s, "listening");
      return s;
    });
    await net.onClient(async () => {
      const user = await fetch("http://server:3000/users/42?q=x");
      expect(user.headers.get("x-powered-by")).toBe("Express");
      expect(await user.json()).toEqual({ id: "42", q: "x", ip: "10.0.1.2" });
      const sum = await fetch("http://server:3000/sum", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(Array.from({ length: 10_000 }, (_, i) => i)),
      });
      expect(await sum.json()).toEqual({ sum: 49_995_000 });
      const moved = await fetch("http://server:3000/old");
      expect(await moved.json()).toEqual({ id: "7", ip: "10.0.1.2" });
      const bad = await fetch("http://server:3000/sum", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{no json",
      });
      expect(bad.status).toBe(400);
      await bad.text();
      expect((await fetch("http://server:3000/nothing")).status).toBe(404);
    });
    (server as http.Server).closeAllConnections();
    await closed(server);
  },
  { leavesOpen: true },
);

overWires(
  "fastify",
  async (net: Net) => {
    const app = await net.onServer(async () => {
      const f = fastify();
      f.get("/hello/:name", (req) => ({ hello: (req.params as { name: string }).name, ip: req.ip }));
      f.post("/echo", { schema: { body: { type: "object", required: ["n"] } } }, (req) => req.body);
      await f.listen({ port: 8080, host: "0.0.0.0" });
      return f;
    });
    await net.onClient(async () => {
      expect(await (await fetch("http://server:8080/hello/world")).json()).toEqual({ hello: "world", ip: "10.0.1.2" });
      const post = (body: unknown): Promise<Response> =>
        fetch("http://server:8080/echo", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      expect(await (await post({ n: 5 })).json()).toEqual({ n: 5 });
      expect((await post({ m: 5 })).status).toBe(400);
    });
    await net.onServer(() => app.close());
  },
  { leavesOpen: true },
);

overWires("undici", async (net: Net) => {
  const server = await net.onServer(async () => {
    const s = http.createServer((req, res) => req.pipe(res));
    s.listen(80, "10.0.2.2");
    await once(s, "listening");
    return s;
  });
  await net.onClient(async () => {
    const agent = new Agent({ pipelining: 4, connections: 2 });
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        const { statusCode, body } = await request("http://server/", {
          dispatcher: agent,
          method: "POST",
          body: `request ${i}`,
        });
        expect(statusCode).toBe(200);
        return body.text();
      }),
    );
    expect(answers).toEqual(answers.map((_, i) => `request ${i}`));
    await agent.close();
    const client = new Client("http://server");
    const { body } = await client.request({ path: "/", method: "PUT", body: "z".repeat(500_000) });
    expect((await text(body)).length).toBe(500_000);
    await client.close();
    const nobody = new Client("http://server:99");
    await expect(nobody.request({ path: "/", method: "GET" })).rejects.toThrow("connect ECONNREFUSED 10.0.2.2:99");
    await nobody.destroy();
  });
  await closed(server);
});

overWires("ws", async (net: Net) => {
  const wss = await net.onServer(async () => {
    const s = new WebSocketServer({ port: 9000 });
    s.on("connection", (socket, req) => {
      socket.send(`hello ${req.socket.remoteAddress}`);
      socket.on("message", (data, binary) => {
        for (const c of s.clients) c.send(data, { binary });
      });
    });
    await once(s, "listening");
    return s;
  });
  await net.onClient(async () => {
    const [a, b] = await Promise.all(
      [1, 2].map(async () => {
        const socket = new WebSocket("ws://server:9000/chat");
        const [greeting] = (await once(socket, "message")) as [Buffer];
        expect(String(greeting)).toBe("hello 10.0.1.2");
        return socket;
      }),
    );
    const heard = Promise.all([once(a!, "message"), once(b!, "message")]);
    const big = Buffer.alloc(300_000, "abcdefg");
    a!.send(big);
    for (const [data, binary] of (await heard) as unknown as [Buffer, boolean][]) {
      expect(binary).toBe(true);
      expect(data.equals(big)).toBe(true);
    }
    const pong = once(b!, "pong");
    b!.ping("there?");
    expect(String((await pong)[0])).toBe("there?");
    const gone = Promise.all([once(a!, "close"), once(b!, "close")]);
    a!.close(1000, "done");
    b!.terminate();
    const [[code, reason], [terminated]] = (await gone) as [[number, Buffer], [number]];
    expect([code, String(reason), terminated]).toEqual([1000, "done", 1006]);
  });
  await new Promise((resolve) => wss.close(resolve));
});
