// tests/programs/files.test.ts: programs' files, unmodified, several at a time in one process, each a host of its own.

import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { drive } from "../../src/node/driver.ts";
import { currentHost, loadOn, runOn } from "../../src/node/program.ts";
import type { Importer } from "../../src/node/programload.ts";
import { starOf } from "../support/hosts.ts";

const native = createRequire(import.meta.url)("./files/native.cjs") as Importer;
const file = (name: string): string => fileURLToPath(new URL(`files/${name}`, import.meta.url));

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}
type Ask = (url: string) => Promise<Answer>;

describe("programs in files", () => {
  for (const netem of ["", "delay 5ms loss 1%"]) {
    it(`a client, a proxy and two servers from one file ${netem}`, async () => {
      const { lab, hosts } = starOf(["client", "proxy", "one", "two"], netem);
      await drive(lab.world, async () => {
        await loadOn(hosts.one!, file("web.js"), native);
        await loadOn(hosts.two!, file("web.js"), native);
        await loadOn(hosts.proxy!, file("proxy.cjs"), native);
        const client = await loadOn(hosts.client!, file("client.js"), native);
        for (const ask of [client.viaHttp, client.viaFetch] as Ask[]) {
          const direct = await runOn(hosts.client!, () => ask("http://one/a"));
          expect(JSON.parse(direct.body)).toMatchObject({ host: "one", from: "10.0.1.2", path: "/a" });
          const proxied = await runOn(hosts.client!, () => ask("http://proxy/two/b"));
          expect(JSON.parse(proxied.body)).toMatchObject({ host: "two", from: "10.0.2.2", path: "/b" });
          expect(proxied.headers.via).toBe("proxy");
        }
        // each instance counted its own
        const last = await runOn(hosts.client!, () => (client.viaHttp as Ask)("http://one/"));
        expect((JSON.parse(last.body) as { count: number }).count).toBe(3);
        const refused = await runOn(hosts.client!, () => (client.viaHttp as Ask)("http://proxy/nowhere/"));
        expect([refused.status, refused.body]).toEqual([502, "getaddrinfo ENOTFOUND nowhere"]);
      });
    });
  }

  it("one file in CommonJS on two hosts shares nothing, nor with the process", async () => {
    const { lab, hosts } = starOf(["client", "one", "two"], "");
    const mine = createRequire(import.meta.url)("./files/state.cjs") as { visits: number };
    await drive(lab.world, async () => {
      for (const name of ["one", "two"]) await loadOn(hosts[name]!, file("proxy.cjs"), native);
      const ask = (url: string): Promise<Response> => runOn(hosts.client!, () => fetch(url));
      for (const [name, visits] of [
        ["one", "1"],
        ["one", "2"],
        ["two", "1"],
      ] as const) {
        const res = await ask(`http://${name}/client/`);
        expect([res.status, res.headers.get("visits"), mine.visits]).toEqual([502, visits, 0]);
        await res.text();
      }
    });
  });

  it("agents keep each host's connections apart: one URL, two networks", async () => {
    const [here, there] = [starOf(["client", "server"], ""), starOf(["client", "server"], "")];
    for (const [{ lab, hosts }, word] of [
      [here, "here"],
      [there, "there"],
    ] as const) {
      await drive(lab.world, async () => {
        await runOn(hosts.server!, async () => {
          await new Promise<void>((resolve) => {
            http.createServer((_req, res) => res.end(word)).listen(80, resolve);
          });
        });
        await runOn(hosts.client!, async () => {
          expect(await (await fetch("http://server/")).text()).toBe(word);
          const body = await new Promise((resolve) => {
            http.get("http://server/", (res) => res.on("data", (d) => resolve(String(d))));
          });
          expect(body).toBe(word);
        });
      });
    }
  });

  it("outside of hosts everything is what it was", async () => {
    const { hosts } = starOf(["client"], "");
    expect(runOn(hosts.client!, () => [currentHost()?.name, os.hostname()])).toEqual(["client", "client"]);
    expect(currentHost()).toBe(undefined);
    expect(os.hostname()).not.toBe("client");
    const server = http.createServer((_req, res) => res.end("real")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as net.AddressInfo;
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("real");
    const socket = net.connect(port, "127.0.0.1");
    expect([socket instanceof net.Socket, new net.Socket() instanceof net.Socket]).toEqual([true, true]);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("a class that extends net.Socket stays Node's, and can be made on a host", () => {
    const { hosts } = starOf(["client"], "");
    class Mine extends net.Socket {
      readonly mine = true;
    }
    const made = runOn(hosts.client!, () => new Mine());
    expect([made instanceof Mine, made instanceof net.Socket, made.mine]).toEqual([true, true, true]);
    made.destroy();
  });
});
