// A worked example: a pool of Postgres connections through a load balancer that forgets what was idle for 350 s.

import type { Duplex } from "node:stream";
import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab, type TestLab } from "../../src/vitest.ts";
import { PostgresServer } from "../support/postgres.ts";

/** A network load balancer: what it does not know any more, it resets. */
const network = `
nodes:
  app:
    interfaces: { eth0: { addresses: [10.0.1.10/24] } }
    routes: ["default via 10.0.1.1"]
  balancer:
    interfaces:
      front: { addresses: [10.0.1.1/24, 10.0.1.100/24] }
      back: { addresses: [10.0.2.1/24] }
    sysctl:
      net.ipv4.ip_forward: 1
      net.netfilter.nf_conntrack_tcp_timeout_established: 350
      net.netfilter.nf_conntrack_tcp_loose: 0
    iptables: |
      *nat
      -A PREROUTING -d 10.0.1.100/32 -p tcp --dport 5432 -j DNAT --to-destination 10.0.2.20:5432
      -A POSTROUTING -o back -j MASQUERADE
      COMMIT
  db:
    interfaces: { eth0: { addresses: [10.0.2.20/24] } }
links:
  - { endpoints: ["app:eth0", "balancer:front"], netem: "delay 500us" }
  - { endpoints: ["balancer:back", "db:eth0"], netem: "delay 500us" }
`;

const seconds = (n: number): Promise<void> => new Promise((done) => setTimeout(done, n * 1000));

type Pool = InstanceType<typeof pg.Pool>;

let db: PGlite;

beforeAll(async () => {
  db = await PGlite.create();
  await db.exec("create table visits (n int); insert into visits values (1)");
}, 60_000);

afterAll(() => db.close());

/** The pool of a service on `app`, connected to the balancer's address, with its connections kept for ever. */
function poolOn(net: TestLab, options: object): Pool {
  const { net: sockets } = net.host("app");
  const pool = new pg.Pool({
    host: "10.0.1.100",
    user: "postgres",
    database: "postgres",
    idleTimeoutMillis: 0,
    max: 3,
    stream: () => new sockets.Socket() as unknown as Duplex,
    ...options,
  } as never);
  // a connection that dies in the pool is reported here; without a listener the process would end
  pool.on("error", () => {});
  return pool;
}

function serve(net: TestLab): void {
  net.host("db").net.createServer(new PostgresServer(db).serve).listen(5432);
}

const visits = async (pool: Pool): Promise<number> =>
  (await pool.query("update visits set n = n + 1 returning n")).rows[0]!["n"] as number;

describe("a Postgres pool behind a load balancer's idle timeout of 350 s", () => {
  it("works within it", async () => {
    const net = lab(network);
    await net.run(async () => {
      serve(net);
      const pool = poolOn(net, {});
      const before = await visits(pool);
      await seconds(340);
      expect(await visits(pool)).toBe(before + 1);
      expect(pool.totalCount).toBe(1);
      await pool.end();
    });
  });

  it("fails the first query after it, as in production, and the pool recovers with a new connection", async () => {
    const net = lab(network);
    await net.run(async () => {
      serve(net);
      const pool = poolOn(net, {});
      const before = await visits(pool);
      await seconds(400);
      await expect(visits(pool)).rejects.toMatchObject({ code: "ECONNRESET", syscall: "read" });
      // the statement never reached the database
      expect(await visits(pool)).toBe(before + 1);
      await pool.end();
    });
    const resets = net.frames({ at: "app:eth0", filter: "src host 10.0.1.100 and tcp[tcpflags] & tcp-rst != 0" });
    expect(resets.length).toBe(1);
    expect(resets[0]!.time).toBeGreaterThan(400);
  });

  it("keeps its connections with TCP keepalive below it, from Monday to Friday", async () => {
    const net = lab(network);
    const work = async (): Promise<void> => {
      serve(net);
      const pool = poolOn(net, { keepAlive: true, keepAliveInitialDelayMillis: 60_000 });
      const before = await visits(pool);
      for (let hour = 1; hour <= 5 * 24; hour++) {
        await seconds(3600);
        expect(await visits(pool)).toBe(before + hour);
      }
      expect(pool.totalCount).toBe(1);
      await pool.end();
    };
    await net.run(work, { until: 6 * 24 * 3600 });
    expect(net.drops.filter((d) => d.node === "balancer")).toEqual([]);
    expect(net.time).toBeGreaterThan(5 * 24 * 3600);
  });
});
