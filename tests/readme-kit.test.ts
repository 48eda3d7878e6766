// The README's second example, as it stands there (the last test compares).

import { readFileSync } from "node:fs";
import http from "node:http";
import { expect, it } from "vitest";
import { lab } from "../src/vitest.ts";

it("goes on when the link is cut for three seconds", async () => {
  const net = lab({
    nodes: {
      laptop: { interfaces: { eth0: { addresses: ["10.0.0.2/24"] } } },
      server: { interfaces: { eth0: { addresses: ["10.0.0.1/24"] } } },
    },
    links: [{ endpoints: ["laptop:eth0", "server:eth0"], netem: "delay 20ms loss 1%" }],
  });
  await net.run(async () => {
    const server = http.createServer((_, answer) => answer.end("hello"));
    net.listen("server", 80, server);
    const agent = net.agent("laptop", { keepAlive: true });
    const get = () =>
      new Promise((done, fail) => {
        http.get("http://server/", { agent }, (answer) => done(answer.resume().statusCode)).on("error", fail);
      });
    expect(await get()).toBe(200);
    net.partition(["laptop"], ["server"]);
    setTimeout(() => net.heal(), 3_000);
    expect(await get()).toBe(200);
    agent.destroy();
  });
});

it("is the README's example", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const here = readFileSync(new URL(import.meta.url), "utf8");
  const code = /## In tests[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)![1]!;
  const example = code.slice(code.indexOf("it("));
  expect(example.length).toBeGreaterThan(500);
  expect(here).toContain(example);
});
