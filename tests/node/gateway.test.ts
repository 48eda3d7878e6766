import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Gateway, parseAllow, parsePublish } from "../../src/node/gateway.ts";
import { listenOn } from "../../src/node/programs.ts";
import { Pacer } from "../../src/node/pacer.ts";
import { routed, type Routed } from "../support/hosts.ts";

let world: Routed;
let pacer: Pacer;
let gateway: Gateway;
let over: Promise<void>;

beforeEach(() => {
  world = routed("delay 1ms");
  pacer = new Pacer(world.lab.world);
  gateway = new Gateway(world.lab.nodes, pacer);
  over = pacer.start();
});

afterEach(async () => {
  gateway.close();
  pacer.stop();
  await over;
});

const toServer = (port: number) => ({ address: "127.0.0.1", port: 0, node: "client", to: "10.0.2.2", toPort: port });

describe("gateway", () => {
  it("a real client talks to an emulated server", async () => {
    const server = http.createServer((q, s) => s.end(`${q.url} for ${q.socket.remoteAddress}`));
    listenOn(world.server, 80, server as never);
    const port = await gateway.publish(toServer(80));
    for (const path of ["/a", "/b"]) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      expect(await answer.text()).toBe(`${path} for 10.0.1.2`);
    }
    expect(gateway.carried).toBeGreaterThan(0);
    // the network's own round trips took real time: two ways of 2 ms to the server and back
    expect(pacer.time).toBeGreaterThan(8e6);
  });

  it("many real clients at once, and nothing is left of them", async () => {
    const server = http.createServer((q, s) => s.end(`${q.url} ${"x".repeat(5000)}`));
    listenOn(world.server, 80, server as never);
    const port = await gateway.publish(toServer(80));
    const get = async (i: number): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${port}/${i}`, { headers: { connection: "close" } });
      return answer.text();
    };
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => get(i)));
    expect(all).toEqual(Array.from({ length: 60 }, (_, i) => `/${i} ${"x".repeat(5000)}`));
    while (gateway.open > 0) await new Promise((done) => setTimeout(done, 5));
    expect(gateway.carried).toBe(60);
    expect(world.client.handles).toBe(0);
  });

  it("a megabyte each way, whole, and each end by itself", async () => {
    let received = 0;
    const back = Buffer.alloc(1_000_000, "b");
    world.server.net
      .createServer({ allowHalfOpen: true }, (s: net.Socket) => {
        s.on("data", (d: Buffer) => (received += d.length));
        s.on("end", () => s.end(back));
      })
      .listen(7);
    const port = await gateway.publish(toServer(7));
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.end(Buffer.alloc(1_000_000, "a"));
    const got: Buffer[] = [];
    socket.on("data", (d: Buffer) => got.push(d));
    await once(socket, "end");
    expect(received).toBe(1_000_000);
    expect(Buffer.concat(got).equals(back)).toBe(true);
    if (!socket.closed) await once(socket, "close");
    // two real sockets: which of them hears of its end first is the event loop's choice
    await vi.waitFor(() => expect(gateway.open).toBe(0), { timeout: 5000, interval: 5 });
  });

  it("what is refused there is reset here", async () => {
    const port = await gateway.publish(toServer(81));
    const socket = net.connect(port, "127.0.0.1");
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
  });

  it("a real client that resets is seen as a reset", async () => {
    const reset = new Promise((done) => {
      world.server.net
        .createServer((s: net.Socket) => s.on("error", (e) => done((e as NodeJS.ErrnoException).code)))
        .listen(7);
    });
    const port = await gateway.publish(toServer(7));
    const socket = net.connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("x");
    await new Promise((done) => setTimeout(done, 30));
    socket.resetAndDestroy();
    expect(await reset).toBe("ECONNRESET");
  });

  it("out to where it is allowed, and nowhere else", async () => {
    const real = http.createServer((_q, s) => s.end("from outside"));
    real.listen(0, "127.0.0.1");
    await once(real, "listening");
    try {
      gateway.allow({ node: "server", port: 80, host: "127.0.0.1", toPort: (real.address() as AddressInfo).port });
      const port = await gateway.publish(toServer(80));
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      expect(await answer.text()).toBe("from outside");
    } finally {
      real.closeAllConnections();
      real.close();
    }
  });

  it("a port that is taken is an error", async () => {
    const port = await gateway.publish(toServer(80));
    await expect(gateway.publish({ ...toServer(80), port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(() => gateway.publish({ ...toServer(80), node: "x" })).toThrow(
      "there is no node 'x', expected one of client, router, server",
    );
  });

  it("listens on loopback unless told otherwise", () => {
    const all = { port: 8080, node: "client", to: "198.51.100.20", toPort: 80 };
    expect(parsePublish("8080=client->198.51.100.20:80")).toEqual({ ...all, address: "127.0.0.1" });
    expect(parsePublish("0.0.0.0:8080=client->198.51.100.20:80")).toEqual({ ...all, address: "0.0.0.0" });
    expect(parsePublish("[::1]:8080=client->198.51.100.20:80")).toEqual({ ...all, address: "::1" });
    expect(parseAllow("db:5432=127.0.0.1:15432")).toEqual({ node: "db", port: 5432, host: "127.0.0.1", toPort: 15432 });
  });

  it.each([
    ["8080", "'8080': expected [ADDRESS:]PORT=NODE->ADDRESS:PORT"],
    ["8080=client->web:80", "'web' is no IPv4 address"],
    ["99999=client->1.2.3.4:80", "port 99999, expected 0 to 65535"],
    ["80=client->1.2.3.4:0", "port 0, expected 1 to 65535"],
  ])("refuses --publish %s", (text, message) => {
    expect(() => parsePublish(text)).toThrow(message);
  });

  it.each([
    ["db", "'db': expected NODE:PORT=HOST:PORT"],
    ["db:0=x:1", "port 0, expected 1 to 65535"],
  ])("refuses --allow %s", (text, message) => {
    expect(() => parseAllow(text)).toThrow(message);
  });
});
