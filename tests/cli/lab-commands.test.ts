// demo, replay and run as a user types them.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { expectRefusal, root, wirepath } from "../support/cli.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
afterAll(() => rmSync(dir, { recursive: true }));

const host = join(root, "fixtures/oracle/01_get_published.host");

describe("demo", () => {
  const out = join(dir, "demo.pcapng");
  const r = wirepath(["demo", "--out", out]);

  it("tells the hops of a GET and equals the kernel", () => {
    expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
    expect(r.stdout).toContain('"GET / HTTP/1.1"');
    expect(r.stdout).toContain(
      "nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    );
    expect(r.stdout).toContain("dst 198.51.100.20:8080 -> 172.17.0.2:80");
    expect(r.stdout).toContain(
      "89 of the 89 frames that the kernel's router and host sent were sent here too, byte for byte.",
    );
  });

  it("writes a capture with interfaces and comments, the same each time", () => {
    const text = wirepath(["decode", "--interface", out]);
    expect(text.status).toBe(0);
    expect(text.stdout).toContain("host:docker0");
    expect(text.stdout).toMatch(/host: dst 198\.51\.100\.20:8080 -> 172\.17\.0\.2:80, ttl 63 -> 62/);
    const again = join(dir, "again.pcapng");
    wirepath(["demo", "--out", again]);
    expect(readFileSync(again).equals(readFileSync(out))).toBe(true);
  });
});

describe("replay", () => {
  const words = ["replay", join(host, "lab.yaml"), "--node", "host", "--in", join(host, "host.pcapng")];

  it("says what it fed, sent and dropped", () => {
    const r = wirepath(words);
    expect({ status: r.status, stdout: r.stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^fed \d+ frames, sent \d+ \(.*vethweb1 \d+.*\)/),
    });
  });

  it("verifies, and says field by field what differs when a rule is another", () => {
    const same = wirepath([...words, "--verify"]);
    expect(same.status).toBe(0);
    expect(same.stdout).toContain("45 of 45 frames equal");
    const lab = join(dir, "other.yaml");
    const text = readFileSync(join(host, "lab.yaml"), "utf8");
    writeFileSync(
      lab,
      text.replace(
        "--dport 8080 -j DNAT --to-destination 172.17.0.2:80",
        "--dport 8080 -j DNAT --to-destination 172.17.0.2:81",
      ),
    );
    const other = wirepath(["replay", lab, ...words.slice(2), "--verify"]);
    expect(other.status).toBe(1);
    expect(other.stdout).toMatch(/first difference: /);
  });

  it("writes what each interface sent", () => {
    const out = join(dir, "sent");
    expect(wirepath([...words, "--out", out]).status).toBe(0);
    const sent = wirepath(["decode", "--json", join(out, "vethweb1.pcap")])
      .stdout.trimEnd()
      .split("\n");
    expect(sent.length).toBeGreaterThan(10);
    expect(JSON.parse(sent[1]!)).toMatchObject({ "eth.type": 2048, "ip.dst": "172.17.0.2", "tcp.dstport": 80 });
  });

  it("traces each step", () => {
    const r = wirepath([...words, "--trace"]);
    expect(r.stdout).toMatch(/host eth0 <- 203\.0\.113\.10:40001 > 198\.51\.100\.20:8080 TCP S/);
    expect(r.stdout).toContain("rule filter -A FORWARD -o docker0 -j DOCKER");
    expect(r.stdout).toMatch(/rewrite dst 198\.51\.100\.20:8080 -> 172\.17\.0\.2:80/);
  });
});

describe("run", () => {
  const lab = join(dir, "run.yaml");
  writeFileSync(
    lab,
    `nodes:
  a: { interfaces: { e: { addresses: [10.0.0.1/24] } } }
  b: { interfaces: { e: { addresses: [10.0.0.2/24] } } }
links: [{ endpoints: ["a:e", "b:e"] }]
timeline:
  - { at: 2s, node: a, send: { proto: icmp, dst: 10.0.0.2, payload: "0800f7fc00010002" } }
  - { at: 3s, node: b, run: ["ip link set e down"] }
  - { at: 4s, node: a, send: { proto: udp, sport: 5, dst: 10.0.0.2, dport: 6 } }
`,
  );

  it("runs the timeline in virtual time, the same each time", () => {
    const out = join(dir, "run.pcapng");
    const r = wirepath(["run", lab, "--until", "5s", "--capture", out, "--trace"]);
    expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
    expect(r.stdout).toContain("a e <- 10.0.0.2 > 10.0.0.1 ICMP 0/0");
    expect(r.stdout).toContain(
      "5.000000 s of virtual time\na: received 2, sent 3\nb: received 2, sent 2, dropped: LinkDown 1",
    );
    const again = join(dir, "run2.pcapng");
    wirepath(["run", lab, "--until", "5s", "--capture", again]);
    expect(readFileSync(again).equals(readFileSync(out))).toBe(true);
  });

  it("refuses a wrong time", () =>
    expectRefusal(wirepath(["run", lab, "--until", "late"]), /--until: 'late' is no time/));
});
