import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CaptureReader } from "../../src/capture/reader.ts";
import { expectRefusal, root, wirepath } from "../support/cli.ts";
import { have } from "../support/have.ts";

const lab = `
nodes:
  client:
    interfaces: { eth0: { addresses: [203.0.113.10/24] } }
    routes: ["default via 203.0.113.1"]
  host:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [203.0.113.1/24] }, eth1: { addresses: [172.17.0.1/24] } }
    iptables: |
      *nat
      -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
      COMMIT
  web:
    interfaces: { eth0: { addresses: [172.17.0.2/24] } }
    routes: ["default via 172.17.0.1"]
links:
  - { endpoints: ["client:eth0", "host:eth0"], netem: "delay 1ms" }
  - { endpoints: ["host:eth1", "web:eth0"] }
`;

let dir: string;
let file: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "wirepath-"));
  file = join(dir, "lab.yaml");
  writeFileSync(file, lab);
});

afterAll(() => rmSync(dir, { recursive: true }));

/** `wirepath WORDS...`, once it has said `lines` lines. */
async function start(lines: number, words: string[]): Promise<{ child: ChildProcess; said: string[] }> {
  const tsx = join(root, "node_modules/tsx/dist/esm/index.mjs");
  const child = spawn(process.execPath, ["--import", tsx, join(root, "src/cli/main.ts"), ...words]);
  let text = "";
  await new Promise<void>((done, fail) => {
    child.stdout.on("data", (d: Buffer) => {
      text += d.toString();
      if (text.split("\n").length > lines) done();
    });
    child.stderr.on("data", (d: Buffer) => (text += d.toString()));
    child.on("exit", () => fail(new Error(text)));
  });
  return { child, said: text.split("\n") };
}

describe("wirepath run --publish", () => {
  it("carries a real client through the lab, and what is allowed out of it, until it is interrupted", async () => {
    const outside = http.createServer((q, s) => s.end(`real answer to ${q.url}\n`));
    outside.listen(0, "127.0.0.1");
    await once(outside, "listening");
    const { port } = outside.address() as AddressInfo;
    const capture = join(dir, "x.pcapng");
    const { child, said } = await start(2, [
      "run",
      file,
      "--capture",
      capture,
      "--publish",
      "0=client->203.0.113.1:8080",
      "--allow",
      `web:80=127.0.0.1:${port}`,
    ]);
    try {
      expect(said[0]).toBe(`web:80 -> 127.0.0.1:${port}`);
      const m = /^(127\.0\.0\.1:\d+) -> client -> 203\.0\.113\.1:8080$/.exec(said[1]!);
      const url = `http://${m![1]}/path`;
      if (have("curl")) {
        const r = await new Promise<string>((done) => {
          const curl = spawn("curl", ["-s", "--max-time", "20", url]);
          let out = "";
          curl.stdout.on("data", (d: Buffer) => (out += d.toString()));
          curl.on("close", () => done(out));
        });
        expect(r).toBe("real answer to /path\n");
      }
      expect(await (await fetch(url)).text()).toBe("real answer to /path\n");
      const ended = once(child, "exit");
      child.kill("SIGINT");
      expect((await ended)[0]).toBe(0);
      const reader = new CaptureReader();
      reader.push(readFileSync(capture));
      const comments: string[] = [];
      while (reader.next()) comments.push(...(reader.comments ?? []));
      expect(comments.join("\n")).toContain("dst 203.0.113.1:8080 -> 172.17.0.2:80");
    } finally {
      child.kill("SIGKILL");
      outside.closeAllConnections();
      outside.close();
    }
  });

  it("ends by itself with --until, in virtual time", () => {
    const r = wirepath(["run", file, "--publish", "0=client->203.0.113.1:8080", "--until", "5s", "--factor", "100"]);
    expect(r.stderr).toBe("");
    expect(r.status).toBe(0);
    expect(r.stdout).toMatch(/^5\.000000 s of virtual time$/m);
  });

  it.each([
    [["--publish", "8080"], "--publish: '8080': expected [ADDRESS:]PORT=NODE->ADDRESS:PORT"],
    [["--publish", "0=nobody->1.2.3.4:80"], "--publish: there is no node 'nobody', expected one of client, host, web"],
    [["--publish", "192.0.2.1:0=client->1.2.3.4:80"], "--publish: listen EADDRNOTAVAIL"],
    [["--allow", "web=x"], "--allow: 'web=x': expected NODE:PORT=HOST:PORT"],
    [["--factor", "2"], "--factor: expected --publish or --allow with it"],
    [["--publish", "0=client->1.2.3.4:80", "--factor", "no"], "--factor: factor NaN: expected a number above 0"],
  ])("refuses %j", (words, message) => {
    expectRefusal(wirepath(["run", file, ...words]), message);
  });
});

it("the help says how", () => {
  expect(wirepath(["run", "--help"]).stdout).toContain("--publish P");
});
