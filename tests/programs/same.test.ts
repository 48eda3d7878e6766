// tests/programs/same.test.ts: the same programs with the same seed put the same bytes on the wires at the same times.

import { createHash } from "node:crypto";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import express from "express";
import { WebSocketServer, WebSocket } from "ws";
import { expect, it } from "vitest";
import { Pkt } from "../../assembly/layout.ts";
import { drive } from "../../src/node/driver.ts";
import { type Routed, routed } from "../support/hosts.ts";
import { cert, key, once, text } from "./support.ts";

/** Every frame that a device sent: when, where, and a sum of its bytes. */
function recorded(r: Routed): string[] {
  const { world } = r.lab;
  const { u32, u8 } = world.core;
  const frames: string[] = [];
  world.tracer = (e) => {
    if (e.kind !== "transmit") return;
    const at = u32[(e.frame + Pkt.Data) >> 2]!;
    const bytes = u8.subarray(at, at + u32[(e.frame + Pkt.Len) >> 2]!);
    frames.push(`${e.time} ${e.node} ${e.iface} ${createHash("sha1").update(bytes).digest("hex").slice(0, 12)}`);
  };
  return frames;
}

async function story(seed: number): Promise<string[]> {
  const r = routed("delay 10ms 3ms loss 2%", seed);
  const frames = recorded(r);
  await drive(r.lab.world, async () => {
    const server = r.server.run(() => {
      const app = express();
      app.get("/item/:id", (req, res) => void res.json({ id: req.params.id, at: Date.now() }));
      app.post("/upload", (req, res) => {
        let n = 0;
        req.on("data", (d: Buffer) => (n += d.length)).on("end", () => res.json({ n }));
      });
      return app.listen(80);
    });
    await r.client.run(async () => {
      const all = await Promise.all([1, 2, 3, 4].map(async (id) => (await fetch(`http://server/item/${id}`)).text()));
      expect(all.length).toBe(4);
      const res = await fetch("http://server/upload", { method: "POST", body: "x".repeat(100_000) });
      expect(await res.json()).toEqual({ n: 100_000 });
      const agent = new http.Agent({ keepAlive: true });
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve, reject) => {
          http.get({ host: "server", path: `/item/${i}`, agent }, (m) => void text(m).then(resolve, reject));
        });
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      agent.destroy();
    });
    (server as http.Server).closeAllConnections();
    server.close();
    const session = r.client.run(() => {
      const s = r.server.run(() => http2.createServer((_req, res) => res.end("h2")).listen(8080));
      const c = http2.connect("http://server:8080");
      c.on("close", () => s.close());
      return c;
    });
    const stream = session.request({ ":path": "/" });
    const [headers] = (await once(stream, "response")) as [Record<string, string>];
    expect(headers.date).toMatch(/^Wed, 01 Jan 2020 00:00:\d\d GMT$/);
    expect(await text(stream)).toBe("h2");
    session.close();
    await once(session, "close");
    await new Promise((resolve) => setTimeout(resolve, 120_000));
  });
  return frames;
}

it("the same seed, the same frames; another seed, others", async () => {
  const first = await story(3);
  expect(first.length).toBeGreaterThan(300);
  expect(await story(3)).toEqual(first);
  expect(await story(4)).not.toEqual(first);
});

it("the Date header is the host's; one that the program gives is left alone", async () => {
  const r = routed("", 1);
  await drive(r.lab.world, async () => {
    await new Promise((resolve) => setTimeout(resolve, 86_400_000));
    const server = r.server.run(() =>
      http
        .createServer((req, res) => {
          if (req.url === "/own") res.setHeader("date", "yesterday");
          if (req.url === "/none") res.sendDate = false;
          if (req.url === "/head") res.writeHead(200, { Date: "given" });
          res.end();
        })
        .listen(80),
    );
    const date = async (path: string): Promise<string | null> =>
      (await r.client.run(() => fetch(`http://server${path}`))).headers.get("date");
    expect(await date("/")).toBe("Thu, 02 Jan 2020 00:00:00 GMT");
    expect(await date("/own")).toBe("yesterday");
    expect(await date("/head")).toBe("given");
    expect(await date("/none")).toBe(null);
    server.closeAllConnections();
    server.close();
  });
});

it("a host's key log hears of every TLS connection, at either end", async () => {
  const r = routed("", 1);
  const lines: string[] = [];
  const clientLines: string[] = [];
  r.server.keyLog = (line) => lines.push(String(line));
  r.client.keyLog = (line) => clientLines.push(String(line));
  await drive(r.lab.world, async () => {
    const server = r.server.run(() => https.createServer({ key, cert }, (_req, res) => res.end("ok")).listen(443));
    const body = await r.client.run(
      () =>
        new Promise((resolve, reject) => {
          https.get({ host: "server", ca: cert, agent: false }, (m) => void text(m).then(resolve, reject));
        }),
    );
    expect(body).toBe("ok");
    server.close();
  });
  expect(lines.map((l) => l.split(" ")[0])).toContain("CLIENT_TRAFFIC_SECRET_0");
  expect(clientLines.toSorted()).toEqual(lines.toSorted());
});

it("idle WebSockets cost no time: an hour of pings", async () => {
  const r = routed("delay 30ms", 1);
  let pongs = 0;
  await drive(r.lab.world, async () => {
    const wss = r.server.run(() => new WebSocketServer({ port: 80 }));
    wss.on("connection", (socket) => {
      const timer = setInterval(() => socket.ping(), 30_000);
      socket.on("pong", () => pongs++);
      socket.on("close", () => clearInterval(timer));
    });
    const client = r.client.run(() => new WebSocket("ws://server/"));
    await once(client, "open");
    await new Promise((resolve) => setTimeout(resolve, 3_600_000));
    client.close();
    await once(client, "close");
    await new Promise<void>((resolve) => wss.close(() => resolve()));
  });
  expect(pongs).toBe(119);
});
