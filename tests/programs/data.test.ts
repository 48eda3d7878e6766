// tests/programs/data.test.ts: pg with a real Postgres, mqtt with aedes, ioredis with a small Redis, on emulated hosts.

import { createServer, type Server } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { Aedes } from "aedes";
import { Redis } from "ioredis";
import mqtt from "mqtt";
import pg from "pg";
import { afterAll, beforeAll, expect } from "vitest";
import { postgres } from "./pgserver.ts";
import { redis } from "./resp.ts";
import { type Net, once, overWires } from "./support.ts";

async function listening(server: Server, port: number): Promise<Server> {
  server.listen(port);
  await once(server, "listening");
  return server;
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let db: PGlite;

// it starts in real time: a database takes seconds
beforeAll(async () => {
  db = await PGlite.create();
}, 60_000);
afterAll(() => db.close());

overWires("pg and PGlite", async (net: Net) => {
  const server = await net.onServer(() => listening(postgres(db), 5432));
  await net.onClient(async () => {
    const client = new pg.Client({ host: "server", user: "postgres", database: "postgres" });
    await client.connect();
    await client.query("DROP TABLE IF EXISTS posts; CREATE TABLE posts (id serial PRIMARY KEY, title text, body text)");
    const inserted = await client.query("INSERT INTO posts (title, body) VALUES ($1, $2), ($3, $4) RETURNING id", [
      "first",
      "short",
      "second",
      "y".repeat(100_000),
    ]);
    expect(inserted.rows).toEqual([{ id: 1 }, { id: 2 }]);
    const { rows } = await client.query("SELECT title, length(body) AS n FROM posts ORDER BY id");
    expect(rows).toEqual([
      { title: "first", n: 5 },
      { title: "second", n: 100_000 },
    ]);
    const long = await client.query("SELECT body FROM posts WHERE id = $1", [2]);
    expect(long.rows[0]!.body).toBe("y".repeat(100_000));
    await expect(client.query("SELECT * FROM nothing")).rejects.toThrow('relation "nothing" does not exist');
    await client.end();

    const pool = new pg.Pool({
      host: "10.0.2.2",
      user: "postgres",
      database: "postgres",
      max: 3,
      idleTimeoutMillis: 30_000,
    });
    const sums = await Promise.all(
      Array.from({ length: 12 }, (_, i) => pool.query("SELECT $1::int + $2::int AS sum", [i, 100])),
    );
    expect(sums.map((s) => s.rows[0]!.sum)).toEqual(sums.map((_, i) => i + 100));
    expect(pool.totalCount).toBe(3);
    // idle connections end by the pool's own timer, half a minute of virtual time later
    await later(31_000);
    expect(pool.totalCount).toBe(0);
    await pool.end();

    const nobody = new pg.Client({ host: "server", port: 5433 });
    await expect(nobody.connect()).rejects.toThrow("connect ECONNREFUSED 10.0.2.2:5433");
  });
  await closed(server);
});

overWires("mqtt and aedes", async (net: Net) => {
  const [broker, server] = await net.onServer(async () => {
    const b = await Aedes.createBroker();
    return [b, await listening(createServer(b.handle as never), 1883)] as const;
  });
  await net.onClient(async () => {
    const subscriber = await mqtt.connectAsync("mqtt://server", { clientId: "subscriber", keepalive: 30 });
    await subscriber.subscribeAsync("house/+/temperature", { qos: 1 });
    const heard: [string, string][] = [];
    subscriber.on("message", (topic, payload) => heard.push([topic, String(payload)]));
    const publisher = await mqtt.connectAsync("mqtt://10.0.2.2:1883", { clientId: "publisher", keepalive: 30 });
    for (let i = 0; i < 10; i++)
      await publisher.publishAsync(`house/${i}/temperature`, `${20 + i}`, { qos: (i % 3) as 0 | 1 | 2 });
    await publisher.publishAsync("garden/temperature", "5", { qos: 1 });
    await later(2_000);
    expect(heard.toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => [`house/${i}/temperature`, `${20 + i}`]));
    // ten minutes of keepalives
    await later(600_000);
    expect([publisher.connected, subscriber.connected, broker.connectedClients]).toEqual([true, true, 2]);
    await publisher.endAsync();
    await subscriber.endAsync();
  });
  await new Promise<void>((resolve) => broker.close(() => resolve()));
  await closed(server);
});

overWires("ioredis", async (net: Net) => {
  const server = await net.onServer(() => listening(redis(), 6379));
  await net.onClient(async () => {
    const client = new Redis({ host: "server" });
    await client.set("greeting", "héllo");
    expect(await client.get("greeting")).toBe("héllo");
    expect(await Promise.all(Array.from({ length: 50 }, () => client.incr("n")))).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    await client.lpush("list", "a", "b", "c");
    expect(await client.lrange("list", 0, -1)).toEqual(["c", "b", "a"]);
    const results = await client.multi().set("x", "1").incr("x").get("x").exec();
    expect(results).toEqual([
      [null, "OK"],
      [null, 2],
      [null, "2"],
    ]);
    await client.set("big", "z".repeat(400_000));
    expect((await client.get("big"))!.length).toBe(400_000);
    // expiry in virtual time
    await client.expire("greeting", 60);
    await later(61_000);
    expect(await client.get("greeting")).toBe(null);
    await expect(client.call("NONSENSE")).rejects.toThrow("ERR unknown command");

    const subscriber = client.duplicate();
    await subscriber.subscribe("news");
    const message = once(subscriber, "message");
    expect(await client.publish("news", "extra")).toBe(1);
    expect(await message).toEqual(["news", "extra"]);
    await subscriber.quit();
    await client.quit();
  });
  await closed(server);
});

overWires("ioredis comes back by itself", async (net: Net) => {
  let server = await net.onServer(() => listening(redis(), 6379));
  const sockets: { destroy(): void }[] = [];
  server.on("connection", (s) => sockets.push(s));
  await net.onClient(async () => {
    const client = new Redis({ host: "server", retryStrategy: () => 500 });
    const failures: string[] = [];
    client.on("error", (e: Error) => failures.push(e.message));
    expect(await client.incr("n")).toBe(1);
    const gone = closed(server);
    for (const s of sockets) s.destroy();
    await gone;
    const pending = client.incr("n");
    await later(3_000);
    expect(failures.at(-1)).toBe("connect ECONNREFUSED 10.0.2.2:6379");
    server = await net.onServer(() => listening(redis(), 6379));
    expect(await pending).toBe(1);
    await client.quit();
  });
  await closed(server);
});
