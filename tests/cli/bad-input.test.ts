// What a user gets wrong: one line that says what and where, status 2, nothing run.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { expectRefusal, root, wirepath } from "../support/cli.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
afterAll(() => rmSync(dir, { recursive: true }));

const capture = join(root, "fixtures/demo/host.pcapng");
const lab = join(root, "fixtures/demo/lab.yaml");

function file(name: string, text: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

describe("words", () => {
  it.each([
    [["nonsense"], /unknown command 'nonsense', expected one of: /],
    [["decode", "--nonsense", capture], /nonsense/],
    [["decode"], /CAPTURE/],
    [["replay", lab, "--node", "host"], /expected --in CAPTURE/],
    [["replay", lab, "--in", capture], /expected --node NAME/],
    [["replay", lab, "--node", "nobody", "--in", capture], /there is no node 'nobody', expected one of: router, host/],
    [["replay", lab, "--node", "host", "--in", `eth7=${capture}`], /host has no interface 'eth7'/],
    [["replay", lab, "--node", "host", "--in", capture, "--seed", "x"], /--seed 'x': expected an integer/],
    [["demo", "--quietly"], /quietly/],
  ])("%j", (words, what) => expectRefusal(wirepath(words), what));

  it("prints its help without words, and each command its own", () => {
    const r = wirepath([]);
    expect(r.status).toBe(0);
    for (const name of ["demo", "decode", "replay", "parse-http"]) {
      expect(r.stdout).toContain(`  ${name} `);
      const own = wirepath([name, "--help"]);
      expect({ name, status: own.status, usage: own.stdout.startsWith(`usage: wirepath ${name}`) }).toEqual({
        name,
        status: 0,
        usage: true,
      });
    }
  });
});

describe("files", () => {
  const text = (): string => file("notes.txt", "this is no capture at all, it is a text of some length\n");
  it.each(["decode", "replay"])("%s: missing, a directory, a text, empty", (command) => {
    const run = (path: string) =>
      wirepath(command === "decode" ? ["decode", path] : ["replay", lab, "--node", "host", "--in", path]);
    expectRefusal(run(join(dir, "missing.pcap")), /missing\.pcap: no such file/);
    expectRefusal(run(dir), /is a directory/);
    expectRefusal(run(text()), /notes\.txt: not a capture/);
    expectRefusal(run(file("empty.pcap", "")), /empty\.pcap: empty file/);
  });

  it("a lab that is missing, or a directory", () => {
    expectRefusal(wirepath(["replay", join(dir, "no.yaml"), "--node", "a", "--in", capture]), /no\.yaml: no such file/);
    expectRefusal(wirepath(["replay", dir, "--node", "a", "--in", capture]), /is a directory/);
  });

  it("a capture that is cut: all packets before, then one line", () => {
    const bytes = readFileSync(capture);
    const whole = wirepath(["decode", capture]).stdout.split("\n");
    const cut = wirepath(["decode", file("cut.pcapng", bytes.subarray(0, bytes.length - 30))]);
    expectRefusal(cut, /cut\.pcapng: .*left in the file/);
    expect(cut.stdout.split("\n").slice(0, -1)).toEqual(whole.slice(0, -2));
    const replayed = wirepath([
      "replay",
      lab,
      "--node",
      "host",
      "--in",
      file("cut2.pcapng", bytes.subarray(0, bytes.length - 30)),
    ]);
    expectRefusal(replayed, /cut2\.pcapng: .*left in the file/);
    expect(replayed.stdout).toMatch(/^fed \d+ frames/);
  });
});

describe("labs", () => {
  const cases: [string, string, RegExp][] = [
    ["a wrong key", "nodes:\n  a:\n    interface: {}\n", /lab\.yaml:3:5: unknown key 'interface'/],
    ["not YAML", "nodes: [\n", /lab\.yaml:\d+:\d+: /],
    ["a list for a map", "nodes: []\n", /lab\.yaml:1:8: 'nodes': .*expected a map/],
    [
      "a wrong address",
      "nodes:\n  a:\n    interfaces:\n      e: { addresses: [10.0.0.300/8] }\n",
      /lab\.yaml:4:24: .*10\.0\.0\.300/,
    ],
    [
      "a wrong MAC",
      "nodes:\n  a:\n    interfaces:\n      e: { mac: '02:00' }\n",
      /lab\.yaml:4:17: '02:00' is no MAC address/,
    ],
    ["a wrong route", "nodes:\n  a:\n    routes:\n      - default via nowhere\n", /lab\.yaml:4:21: .*nowhere/],
    [
      "a route without a way",
      "nodes:\n  a:\n    routes:\n      - default via 10.0.0.1\n",
      /lab\.yaml:4:9: .*unreachable|lab\.yaml:4:9: .*invalid gateway/i,
    ],
    ["a wrong rule", "nodes:\n  a:\n    rules: ['from 10.0.0.0/8 tabel 5']\n", /lab\.yaml:3:\d+: .*tabel/],
    [
      "an unknown sysctl",
      "nodes:\n  a:\n    sysctl: { net.ipv4.ip_foward: 1 }\n",
      /lab\.yaml:3:\d+: unknown sysctl 'net\.ipv4\.ip_foward'/,
    ],
    [
      "a port that is no interface",
      "nodes:\n  a:\n    interfaces:\n      b: { kind: bridge, ports: [x] }\n",
      /lab\.yaml:4:34: port 'x': a has no such interface/,
    ],
    [
      "a link to nowhere",
      "nodes:\n  a: { interfaces: { e: {} } }\nlinks:\n  - { endpoints: ['a:e', 'b:e'] }\n",
      /lab\.yaml:4:\d+: 'b:e': there is no node 'b'/,
    ],
    [
      "an unsupported match",
      "nodes:\n  a:\n    iptables: |\n      *filter\n      -A INPUT -m geoip --src-cc XX -j DROP\n      COMMIT\n",
      /lab\.yaml:5:\d+: .*geoip/,
    ],
    [
      "an unsupported target",
      "nodes:\n  a:\n    iptables: |\n      *filter\n      -A INPUT -j TARPIT\n      COMMIT\n",
      /lab\.yaml:5:\d+: .*TARPIT/,
    ],
    [
      "a wrong time",
      "nodes:\n  a: {}\ntimeline:\n  - { at: soon, node: a, run: [] }\n",
      /lab\.yaml:4:\d+: 'soon' is no time/,
    ],
    ["a wrong socket", "nodes:\n  a:\n    listen: ['tcp eighty']\n", /lab\.yaml:3:\d+: 'tcp eighty' is no socket/],
    ["an empty file", "", /lab\.yaml:1:1: /],
  ];
  it.each(cases)("%s", (_name, text, what) => {
    const node = text.includes("\n  a") ? "a" : "x";
    const r = wirepath(["replay", file("lab.yaml", text), "--node", node, "--in", capture]);
    expectRefusal(r, what);
    expect(r.stdout).toBe("");
  });
});

describe("a reader that goes away", () => {
  it.each([
    ["decode", capture],
    ["decode", "--json", capture],
    ["demo", "--verbose", "--out", join(dir, "d.pcapng")],
  ])("%s %s ends quietly", (...words) => {
    const quoted = [
      process.execPath,
      "--import",
      join(root, "node_modules/tsx/dist/esm/index.mjs"),
      join(root, "src/cli/main.ts"),
      ...words,
    ]
      .map((w) => `'${w}'`)
      .join(" ");
    const r = spawnSync("bash", ["-o", "pipefail", "-c", `${quoted} | head -n 1`], { cwd: root });
    expect({ status: r.status, stderr: r.stderr.toString() }).toEqual({ status: 0, stderr: "" });
    expect(r.stdout.toString().split("\n")).toHaveLength(2);
  });
});
