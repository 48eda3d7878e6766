// tests/socket/host.test.ts: what Node has no like of: a host that is made when asked for and killed, names, the loop.

import { describe, expect, it } from "vitest";
import { Clock } from "../../src/link/clock.ts";
import type { World } from "../../src/link/world.ts";
import { drive } from "../../src/node/driver.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { currentHost } from "../../src/node/program.ts";
import { hostOf } from "../../src/socket/host.ts";
import type { Socket } from "../../src/socket/socket.ts";
import { Loop } from "../../src/socket/loop.ts";
import { routed } from "../support/hosts.ts";
import { once } from "./adapter.ts";

const sleep = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

describe("a host", () => {
  it("is one for its namespace, and makes its transports when asked", () => {
    const { lab, client } = routed();
    const ns = lab.nodes.get("client")!;
    expect(hostOf(ns, nodePlatform)).toBe(client);
    expect(ns.transports).toEqual({ tcp: null, udp: null });
    const { net, dgram } = client;
    expect([client.net, client.dgram]).toEqual([net, dgram]);
    expect(ns.transports.tcp).toBe(null);
    expect(client.tcp).toBe(ns.transports.tcp);
    expect(client.udp).toBe(ns.transports.udp);
  });

  it("runs programs, callbacks included", async () => {
    const { lab, client, server } = routed();
    await drive(lab.world, async () => {
      const seen: (string | undefined)[] = [];
      const note = (): void => void seen.push(currentHost()?.name);
      await server.run(async () => {
        const s = server.net.createServer((c: Socket) => {
          note();
          c.on("data", note);
          c.on("end", note);
          s.close();
        });
        s.listen(80);
        await once(s, "listening");
      });
      await client.run(async () => {
        const c = client.net.connect(80, "server", note);
        c.setTimeout(1000, note);
        const closed = once(c, "close");
        c.end("x");
        c.resume();
        await sleep(1);
        note();
        await closed;
        note();
      });
      expect(currentHost()).toBe(undefined);
      expect(seen.toSorted()).toEqual(["client", "client", "client", "server", "server", "server"]);
    });
  });

  it("is killed: its peers see an end or a reset, its ports are free, its objects hear nothing", async () => {
    const { lab, client, server } = routed("delay 1ms");
    await drive(lab.world, async () => {
      const served: string[] = [];
      const start = async (): Promise<void> => {
        const s = server.net.createServer({ pauseOnConnect: true }, (c: Socket) => {
          for (const e of ["end", "close", "error"]) c.on(e, () => served.push(e));
        });
        s.on("close", () => served.push("server close"));
        s.listen(80);
        await once(s, "listening");
      };
      await start();
      const make = async (): Promise<{ log: string[]; socket: ReturnType<typeof client.net.connect> }> => {
        const socket = client.net.connect(80, "server");
        const log: string[] = [];
        socket.on("error", (e: Error) => log.push(e.message));
        for (const e of ["end", "close"]) socket.on(e, () => log.push(e));
        socket.resume();
        await once(socket, "connect");
        return { log, socket };
      };
      const quiet = await make();
      const talking = await make();
      talking.socket.write("unread");
      await sleep(50);
      expect(server.handles).toBe(3);
      server.kill();
      expect(server.handles).toBe(0);
      await sleep(50);
      expect(quiet.log).toEqual(["end", "close"]);
      expect(talking.log).toEqual(["read ECONNRESET", "close"]);
      expect(served).toEqual([]);
      const refused = client.net.connect(80, "server");
      expect(((await once(refused, "error"))[0] as Error).message).toBe("connect ECONNREFUSED 10.0.2.2:80");
      await start();
      const again = await make();
      again.socket.destroy();
      server.kill();
    });
  });

  it("holds what a peer does not read within buffers: backpressure down to the window", async () => {
    const { lab, client, server } = routed("delay 1ms");
    await drive(lab.world, async () => {
      const s = server.net.createServer({ pauseOnConnect: true }).listen(80);
      const accepted = once(s, "connection");
      const socket = client.net.connect(80, "server");
      const [peer] = (await accepted) as [ReturnType<typeof client.net.connect>];
      const total = 64 << 20;
      socket.write(Buffer.alloc(total));
      await sleep(10_000);
      const [mine] = client.tcp.list().filter((c) => c.state === "ESTABLISHED");
      const [theirs] = server.tcp.list().filter((c) => c.state === "ESTABLISHED");
      // tcp_rmem[2] and tcp_wmem[2] bound what the two kernels hold
      expect(theirs!.recvQ).toBeGreaterThan(10_000);
      expect(theirs!.recvQ).toBeLessThanOrEqual(6 << 20);
      expect(mine!.sendQ).toBeLessThanOrEqual(4 << 20);
      expect(peer.bytesRead).toBe(0);
      let got = 0;
      peer.on("data", (d: Buffer) => (got += d.length));
      peer.resume();
      socket.end();
      await once(peer, "end");
      expect(got).toBe(total);
      s.close();
    });
  });

  it("sets what programs ask for on the connection", async () => {
    const { lab, client, server } = routed();
    await drive(lab.world, async () => {
      const s = server.net.createServer().listen(80);
      const socket = client.net.connect({
        port: 80,
        host: "server",
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
      });
      await once(socket, "connect");
      // keepalive: the first probe after the delay that was asked for
      const { world } = lab;
      const before = world.clock.now;
      const frames = lab.nodes.get("server")!.byName.get("eth0")!;
      // ARP asks again meanwhile
      await sleep(30_000);
      const at = frames.rxPackets;
      await sleep(29_000);
      expect(frames.rxPackets).toBe(at);
      await sleep(2_000);
      expect(frames.rxPackets).toBeGreaterThan(at);
      expect(world.clock.now - before).toBe(61e9);
      socket.destroy();
      s.close();
    });
  });
});

describe("dns.lookup", () => {
  const ask = (dns: ReturnType<typeof routed>["client"]["dns"], name: string, options?: unknown): Promise<unknown[]> =>
    new Promise((resolve) => {
      if (options === undefined) dns.lookup(name, (...a: unknown[]) => resolve(a));
      else dns.lookup(name, options, (...a: unknown[]) => resolve(a));
    });

  it("answers addresses, the hosts table, and nothing else without a resolver", async () => {
    const { dns } = routed().client;
    expect(await ask(dns, "10.1.2.3")).toEqual([null, "10.1.2.3", 4]);
    expect(await ask(dns, "::1")).toEqual([null, "::1", 6]);
    expect(await ask(dns, "localhost")).toEqual([null, "127.0.0.1", 4]);
    expect(await ask(dns, "SERVER.", 4)).toEqual([null, "10.0.2.2", 4]);
    expect(await ask(dns, "server", { all: true })).toEqual([null, [{ address: "10.0.2.2", family: 4 }]]);
    const [e] = (await ask(dns, "nowhere.test")) as [NodeJS.ErrnoException & { hostname: string }];
    expect({ ...e, message: e.message }).toEqual({
      message: "getaddrinfo ENOTFOUND nowhere.test",
      errno: -3008,
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      hostname: "nowhere.test",
    });
    expect(((await ask(dns, "server", 6))[0] as Error).message).toBe("getaddrinfo ENOTFOUND server");
    expect(await dns.promises.lookup("server")).toEqual({ address: "10.0.2.2", family: 4 });
    await expect(dns.promises.lookup("nowhere.test")).rejects.toThrow("ENOTFOUND");
    expect(() => dns.lookup("server", {}, 5)).toThrow('The "callback" argument must be of type function');
  });

  it("asks the resolver for what the table lacks", async () => {
    const { dns } = routed().client;
    const asked: string[] = [];
    dns.resolver = {
      resolve4(name, callback) {
        asked.push(name);
        if (name === "slow.test") callback(Object.assign(new Error("timeout"), { code: "ETIMEOUT" }), []);
        else if (name === "none.test") callback(Object.assign(new Error("nx"), { code: "ENOTFOUND" }), []);
        else callback(null, ["192.0.2.1", "192.0.2.2"]);
      },
    };
    expect(await ask(dns, "WWW.example.test")).toEqual([null, "192.0.2.1", 4]);
    expect(await ask(dns, "www.example.test", { all: true })).toEqual([
      null,
      [
        { address: "192.0.2.1", family: 4 },
        { address: "192.0.2.2", family: 4 },
      ],
    ]);
    expect(((await ask(dns, "slow.test"))[0] as Error).message).toBe("getaddrinfo EAI_AGAIN slow.test");
    expect(((await ask(dns, "none.test"))[0] as Error).message).toBe("getaddrinfo ENOTFOUND none.test");
    await ask(dns, "server");
    expect(asked).toEqual(["www.example.test", "www.example.test", "slow.test", "none.test"]);
  });
});

describe("the loop", () => {
  it("runs one callback an event, in order; what one throws does not stop the others", async () => {
    const clock = new Clock();
    const loop = new Loop({ clock } as unknown as World);
    const order: number[] = [];
    const failures: unknown[] = [];
    const real = globalThis.queueMicrotask;
    globalThis.queueMicrotask = (run) => {
      try {
        run();
      } catch (e) {
        failures.push(e);
      }
    };
    try {
      for (let i = 0; i < 2500; i++) {
        loop.post({
          turn: () => {
            order.push(i);
            if (i === 3) throw new Error("mine");
          },
        });
      }
      expect([loop.waiting, order.length]).toEqual([2500, 0]);
      clock.step();
      expect([order, loop.turns, clock.now]).toEqual([[0], 1, 0]);
      while (clock.step());
    } finally {
      globalThis.queueMicrotask = real;
    }
    expect(order).toEqual(Array.from({ length: 2500 }, (_, i) => i));
    expect([loop.turns, loop.waiting, failures.map(String)]).toEqual([2500, 0, ["Error: mine"]]);
  });

  it("lets events of the same instant that were set before go first", () => {
    const clock = new Clock();
    const loop = new Loop({ clock } as unknown as World);
    const order: string[] = [];
    clock.at(0, () => order.push("event"));
    loop.post({ turn: () => order.push("turn") });
    clock.at(0, () => order.push("later event"));
    while (clock.step());
    expect(order).toEqual(["event", "turn", "later event"]);
  });
});
