import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { get } from "node:http";
import { describe, expect, it } from "vitest";
import { expectRefusal, root, wirepath } from "../support/cli.ts";

const shop = "fixtures/compose/compose.yaml";

describe("wirepath up", () => {
  it("--once: a program of the user's asks another container by its name, on a network without a way out", () => {
    const r = wirepath(["up", shop, "--once", "/basket"]);
    expect(r.stderr).toBe(`${shop}:12:5: 'restart' has no effect on the network\n`);
    expect(r.status).toBe(0);
    expect(r.stdout).toMatch(
      /^who {7}shop-who-1 {5}traefik\/whoami:v1\.10 {3}shop_inner {3}172\.19\.0\.2 {3}80\/tcp$/m,
    );
    expect(r.stdout).toMatch(
      /^front {5}shop-front-1 {3}- {22}shop_inner {3}172\.19\.0\.3 {3}0\.0\.0\.0:8080->3000\/tcp$/m,
    );
    expect(r.stdout).toMatch(/^\d+\.\d{3} ms {2}client: 203\.0\.113\.10:\d+ > 198\.51\.100\.20:8080 TCP S /m);
    expect(r.stdout).toContain("-j DNAT --to-destination 172.18.0.2:3000");
    expect(r.stdout).toMatch(/shop-front-1: 172\.19\.0\.3:\d+ > 172\.19\.0\.2:80 TCP P\..*"GET \/ HTTP\/1\.1"/);
    expect(r.stdout).toMatch(
      /GET http:\/\/198\.51\.100\.20:8080\/basket: 200 OK after \d+\.\d{3} ms\n\nhello \/basket\nHostname: /,
    );
    expect(wirepath(["up", shop, "--once", "/basket"]).stdout).toBe(r.stdout);
  });

  it("--once where nobody listens: what a client sees, status 1", () => {
    const r = wirepath(["up", shop, "--once", "http://localhost:81/"]);
    expect(r.status).toBe(1);
    expect(r.stdout).toContain("GET http://198.51.100.20:81/: connect ECONNREFUSED 198.51.100.20:81");
  });

  it("--rules: the host's iptables-save; with and without the userland proxy", () => {
    const r = wirepath(["up", shop, "--rules"]);
    expect(r.status).toBe(0);
    expect(r.stdout).toMatch(/^\*raw\n[^]*\*filter\n[^]*\*nat\n[^]*COMMIT\n$/);
    expect(r.stdout).toMatch(
      /^-A DOCKER ! -i br-[0-9a-f]{12} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172\.18\.0\.2:3000$/m,
    );
    const without = wirepath(["up", shop, "--rules", "--no-userland-proxy"]);
    expect(without.stdout).toMatch(
      /^-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172\.18\.0\.2:3000$/m,
    );
  });

  it("published ports are open on this machine", async () => {
    const tsx = join(root, "node_modules/tsx/dist/esm/index.mjs");
    const port = 20_000 + (process.pid % 20_000);
    const child = spawn(process.execPath, ["--import", tsx, "src/cli/main.ts", "up", shop], {
      cwd: root,
      env: { ...process.env, FRONT_PORT: String(port) },
    });
    let said = "";
    child.stdout.setEncoding("utf8");
    const open = new Promise<void>((done, fail) => {
      child.stdout.on("data", (s: string) => {
        said += s;
        if (said.includes("http://")) done();
      });
      child.on("exit", () => fail(new Error(`it ended: ${said}`)));
    });
    try {
      await open;
      const url = /http:\/\/127\.0\.0\.1:\d+\//.exec(said)![0];
      expect(url).toBe(`http://127.0.0.1:${port}/`);
      const body = await new Promise<string>((done, fail) => {
        get(`${url}real`, (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (s: string) => (text += s));
          response.on("end", () => done(text));
        }).on("error", fail);
      });
      expect(body).toMatch(/^hello \/real\nHostname: /);
      const ended = new Promise((done) => child.on("close", done));
      child.kill("SIGINT");
      expect(await ended).toBe(0);
    } finally {
      child.kill("SIGKILL");
    }
  }, 90_000);

  it("what cannot be run", () => {
    const dir = mkdtempSync(join(tmpdir(), "wirepath-up-"));
    const file = (text: string): string => {
      const path = join(dir, "compose.yaml");
      writeFileSync(path, text);
      return path;
    };
    expectRefusal(wirepath(["up"], "", dir), "there is none of compose.yaml, compose.yml");
    expectRefusal(wirepath(["up", join(dir, "no.yaml")]), /no\.yaml/);
    expectRefusal(wirepath(["up", shop, "--once", "ftp://x"]), "expected http://");
    expectRefusal(wirepath(["up", shop, "--publish", "x"]), "--publish: 'x': expected");
    expectRefusal(wirepath(["up", file("services:\n  a: { image: mysql }\n")]), /compose\.yaml:2:15: image 'mysql'/);
    expectRefusal(
      wirepath(["up", file("services:\n  a: { image: whoami, prots: [1] }\n")]),
      /:2:23: unknown key 'prots'/,
    );
    const gone = wirepath(["up", file("services:\n  a: { x-wirepath: ./none.js }\n"), "--until", "1s"]);
    expect(gone.status).toBe(1);
    expect(gone.stderr).toContain("./none.js: Cannot find module");
  }, 90_000);
});
