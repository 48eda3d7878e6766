// tests/programs/names.test.ts: node:dns, node:dgram and node:os on emulated hosts: nothing leaves the emulated network.

import dgram from "node:dgram";
import dns from "node:dns";
import { lookup as lookupLater, Resolver as LaterResolver } from "node:dns/promises";
import os from "node:os";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { drive } from "../../src/node/driver.ts";
import { routed } from "../support/hosts.ts";
import { once } from "./support.ts";

it("names are the host's, by every way to ask", async () => {
  const { lab, client } = routed("");
  client.dns.resolver = {
    resolve4: (name, cb) => {
      if (name === "www.test") setTimeout(() => cb(null, ["192.0.2.8", "192.0.2.9"]), 20);
      else cb(Object.assign(new Error("no"), { code: "ENOTFOUND" }), []);
    },
  };
  const code = (p: Promise<unknown>): Promise<unknown> =>
    p.catch((e: NodeJS.ErrnoException) => `${e.syscall} ${e.code}`);
  await drive(lab.world, () =>
    client.run(async () => {
      expect(os.hostname()).toBe("client");
      expect(await promisify(dns.lookup)("server")).toEqual({ address: "10.0.2.2", family: 4 });
      expect(await dns.promises.lookup("www.test")).toEqual({ address: "192.0.2.8", family: 4 });
      expect(await lookupLater("www.test", { all: true })).toEqual([
        { address: "192.0.2.8", family: 4 },
        { address: "192.0.2.9", family: 4 },
      ]);
      expect(await promisify(dns.resolve4)("www.test")).toEqual(["192.0.2.8", "192.0.2.9"]);
      expect(await dns.promises.resolve("www.test")).toEqual(["192.0.2.8", "192.0.2.9"]);
      expect(await new LaterResolver().resolve4("www.test")).toEqual(["192.0.2.8", "192.0.2.9"]);
      const resolver = new dns.Resolver();
      expect(await new Promise((r) => resolver.resolve("www.test", (_e, found) => r(found)))).toEqual([
        "192.0.2.8",
        "192.0.2.9",
      ]);
      expect(await code(dns.promises.lookup("none.test"))).toBe("getaddrinfo ENOTFOUND");
      expect(await code(dns.promises.resolveMx("www.test"))).toBe("queryMx ENOTIMP");
      expect(await code(dns.promises.resolve6("www.test"))).toBe("queryAaaa ENODATA");
      expect(await code(new LaterResolver().resolveTxt("www.test"))).toBe("queryTxt ENOTIMP");
      expect(await code(promisify(dns.resolve)("www.test", "SRV" as "A"))).toBe("querySrv ENOTIMP");
    }),
  );
  // outside nothing has changed
  expect(await dns.promises.lookup("127.0.0.1")).toEqual({ address: "127.0.0.1", family: 4 });
});

it("datagrams go from host to host", async () => {
  const { lab, client, server } = routed("delay 15ms");
  await drive(lab.world, async () => {
    const echo = server.run(() => {
      const s = dgram.createSocket("udp4");
      s.on("message", (m, from) => s.send(`${String(m)} from ${from.address}`, from.port, from.address));
      return s.bind(53);
    });
    await once(echo, "listening");
    const began = lab.world.clock.now;
    const asker = client.run(() => dgram.createSocket({ type: "udp4" }));
    asker.send("hello", 53, "server");
    const [answer] = (await once(asker, "message")) as [Buffer];
    expect(String(answer)).toBe("hello from 10.0.1.2");
    // four links there and back, and ARP on each of the ways' first
    expect((lab.world.clock.now - began) / 1e6).toBeGreaterThanOrEqual(60);
    asker.close();
    echo.close();
  });
});
