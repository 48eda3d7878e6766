// The commands as a user types them.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { expectRefusal, wirepath } from "../support/cli.ts";
import { twoHosts } from "./support.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-repl-"));
afterAll(() => rmSync(dir, { recursive: true }));
const lab = join(dir, "two.yaml");
writeFileSync(lab, twoHosts);

describe("wirepath repl", () => {
  it("does a script's lines, without colours, and says where one is wrong", () => {
    const r = wirepath(["repl", lab], "# ping\nh1 ping h2 -c 1\n\nfoo\nbytes\nquit\nfoo\n");
    expect(r.stderr).toBe(
      "stdin:4:1: 'foo' is no command and no host, expected one of help's commands or of: h1, h2\n",
    );
    expect(r.status).toBe(1);
    expect(r.stdout).toContain("64 bytes from 10.0.0.2: icmp_seq=1 ttl=64");
    expect(r.stdout).toContain("icmp.type = 0  echo reply");
    expect(r.stdout).not.toContain("\u001b");
  });

  it("status 0 when every line works; -c in place of stdin", () => {
    const r = wirepath(["repl", lab, "-c", "h1 curl http://10.0.0.2/", "-c", `save ${join(dir, "s.json")}`]);
    expect(r).toEqual({ status: 0, stdout: expect.stringContaining("<h1>hello</h1>\nsaved "), stderr: "" });
    const again = wirepath(["repl", lab, "-c", `load ${join(dir, "s.json")}`, "-c", "history"]);
    expect(again.stdout).toContain("h1 curl http://10.0.0.2/");
  });

  it("a lab that is wrong or missing: status 2", () => {
    expectRefusal(wirepath(["repl", join(dir, "none.yaml")]), /none\.yaml/);
    expectRefusal(wirepath(["repl"]), /expected one LAB/);
  });
});

describe("wirepath step", () => {
  it("goes through a capture", () => {
    const r = wirepath(
      ["step", "fixtures/demo/router.pcapng"],
      "filter tcp port 8080\nstep\nbytes\nstep 2\nback\ngoto 99\n",
    );
    expect(r.stdout).toContain("84 of 88 packets\n#3  ");
    expect(r.stdout).toContain("tcp.dstport = 8080");
    expect(r.stderr).toBe("stdin:6:6: there is no packet 99, expected 1 to 88\n");
    expect(r.status).toBe(1);
  });

  it("a file that is no capture: status 2", () => {
    expectRefusal(wirepath(["step", "package.json"]), /not a capture/);
  });
});
