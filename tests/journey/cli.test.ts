// `wirepath journey` as a user types it.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectRefusal, wirepath } from "../support/cli.ts";

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "wirepath-journey-"))));
afterAll(() => rmSync(dir, { recursive: true }));

const small = `
journey: { from: pc, url: "http://10.0.0.2/about.html" }
nodes:
  pc: { interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
  server:
    interfaces: { eth0: { addresses: [10.0.0.2/24] } }
    services: [{ files: { pages: { /about.html: "hello" } } }]
links: [{ endpoints: ["pc:eth0", "server:eth0"], netem: "delay 1ms" }]
`;

const write = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

describe("a lab of one's own", () => {
  it("tells, writes the capture, says what took how long; again, the same bytes", () => {
    const lab = write("own.yaml", small);
    const one = wirepath(["journey", lab], "", dir);
    expect([one.status, one.stderr]).toEqual([0, ""]);
    expect(one.stdout).toContain("pc to server (10.0.0.2): GET /about.html HTTP/1.1");
    expect(one.stdout).toContain("pc [browser] shows http://10.0.0.2/about.html: 200 OK, 5 bytes");
    expect(one.stdout).toMatch(/journey\.pcapng: \d+ frames at 2 devices/);
    expect(one.stdout).toMatch(/GET http:\/\/10\.0\.0\.2\/about\.html 200: name 0\.000 ms, connection [\d.]+ ms/);
    const other = join(dir, "other.pcapng");
    const two = wirepath(["journey", "http://10.0.0.2/about.html", lab, "--capture", other], "", dir);
    expect(two.stdout.replace(other, "journey.pcapng")).toBe(one.stdout);
    expect(readFileSync(other).equals(readFileSync(join(dir, "journey.pcapng")))).toBe(true);
  });

  it("what fails ends with status 1 and the cause", () => {
    const lab = write("own.yaml", small);
    const r = wirepath(["journey", lab, "--down", "server"], "", dir);
    expect(r.status).toBe(1);
    expect(r.stdout).toContain("The browser shows ERR_ADDRESS_UNREACHABLE (EHOSTUNREACH). Why:");
    const refused = wirepath(["journey", "http://10.0.0.2:81/", lab], "", dir);
    expect(refused.status).toBe(1);
    expect(refused.stdout).toContain("The browser shows ERR_CONNECTION_REFUSED (ECONNREFUSED). Why:\n");
    expect(refused.stdout).toMatch(
      / {2}server dropped TCP SYN 10\.0\.0\.1:\d+ > 10\.0\.0\.2:81: NoSocket, nobody listens there\n/,
    );
    expect(refused.stdout).toContain("  server resets pc (10.0.0.1) - server (10.0.0.2):81\n");
  });
});

describe("bad input", () => {
  const lab = (change: (s: string) => string): string => write("bad.yaml", change(small));

  it.each<[string, () => string[], RegExp]>([
    ["no such file", () => ["nothing.yaml"], /nothing\.yaml/],
    ["no URL", () => ["ht tp://", write("own.yaml", small)], /is no URL/],
    ["another scheme", () => ["ftp://x/", write("own.yaml", small)], /expected http or https/],
    ["no number", () => ["--seed", "x"], /--seed 'x': expected an integer/],
    [
      "no such node",
      () => [write("own.yaml", small), "--down", "moon"],
      /--down: there is no node 'moon', expected one of pc, server/,
    ],
    ["too many words", () => ["http://a", "b.yaml", "c"], /expected a URL and a LAB/],
    [
      "no such traveller",
      () => [lab((s) => s.replace("from: pc", "from: px"))],
      /bad\.yaml:2:18: 'px': there is no such node/,
    ],
    ["unknown program", () => [lab((s) => s.replace("files:", "filez:"))], /bad\.yaml:7:\d+: unknown key 'filez'/],
    [
      "a time that is none",
      () => [lab((s) => s.replace(/\{ files: .*\}\]/, "{ app: { work: soon } }]"))],
      /bad\.yaml:7:\d+: 'soon' is no time/,
    ],
    [
      "an upstream that is none",
      () => [lab((s) => s.replace(/\{ files: .*\}\]/, "{ proxy: { upstreams: [a] } }]"))],
      /'a', expected HOST:PORT/,
    ],
    [
      "a taken port",
      () => [lab((s) => s.replace(/(\{ files: .*\})\]/, "$1, { app: { port: 80 } }]"))],
      /app does not start on server: its port is taken/,
    ],
    [
      "a Compose file that is wrong",
      () => [lab((s) => s.replace(/\[\{ files: .*\}\]/, '[{ compose: "services: { a: { image: nobody } }" }]'))],
      /bad\.yaml:7:\d+: compose, 1:\d+: image 'nobody'/,
    ],
  ])("%s", (_name, words, what) => {
    expectRefusal(wirepath(["journey", ...words()], "", dir), what);
    expect(existsSync(join(dir, "nothing.yaml"))).toBe(false);
  });
});
