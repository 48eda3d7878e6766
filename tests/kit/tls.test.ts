import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import type { Socket } from "node:net";
import { expect, it } from "vitest";
import { lab } from "../../src/vitest.ts";
import { have } from "../support/have.ts";

const fixture = (name: string): Buffer => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url));

const network = `
nodes:
  browser: { interfaces: { eth0: { addresses: [192.168.1.2/24] } }, routes: ["default via 192.168.1.1"] }
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { lan: { addresses: [192.168.1.1/24] }, wan: { addresses: [203.0.113.1/24] } }
    iptables: |
      *nat
      -A POSTROUTING -o wan -j MASQUERADE
      COMMIT
  web: { interfaces: { eth0: { addresses: [203.0.113.80/24] } } }
links:
  - { endpoints: ["browser:eth0", "router:lan"], netem: "delay 5ms" }
  - { endpoints: ["router:wan", "web:eth0"], netem: "delay 5ms loss 5%" }
`;

it("HTTPS between emulated hosts, over a lossy link: the capture decrypts, and says what each packet is", async () => {
  const net = lab(network, { seed: 3 });
  const body = "confidential ".repeat(5000);
  const got = await net.run(async () => {
    const server = https.createServer({ key: fixture("key.pem"), cert: fixture("cert.pem") }, (_q, s) => s.end(body));
    server.on("keylog", net.keyLog);
    net.listen("web", 443, server);
    return new Promise<string>((done, fail) => {
      const socket = net.host("browser").net.connect(443, "web") as unknown as Socket;
      const request = https.get(
        {
          path: "/secret",
          host: "web.example",
          createConnection: () => tlsConnect({ socket, ca: fixture("cert.pem"), servername: "web.example" }),
        },
        (answer) => {
          let text = "";
          answer.on("data", (d: Buffer) => (text += d.toString())).on("end", () => done(text));
        },
      );
      request.on("error", fail);
    });
  });
  expect(got).toBe(body);
  const comments = net.frames().flatMap((f) => f.comments);
  expect(comments.some((c) => c.includes("tcp retransmission"))).toBe(true);
  expect(
    comments.some((c) => c.startsWith("dropped by web: LinkLoss") || c.includes("dropped by router: LinkLoss")),
  ).toBe(true);
  expect(comments.some((c) => /router: .*src 192\.168\.1\.2:\d+ -> 203\.0\.113\.1:\d+/.test(c))).toBe(true);
  if (!have("tshark")) return;
  const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
  try {
    const file = join(dir, "x.pcapng");
    net.save(file);
    const shark = (...args: string[]): string => {
      const r = spawnSync("tshark", ["-r", file, ...args], { encoding: "utf8", timeout: 60_000 });
      expect(r.status).toBe(0);
      return r.stdout;
    };
    const at = 'frame.interface_name == "browser:eth0"';
    expect(shark("-n", "-Y", `http.request && ${at}`, "-T", "fields", "-e", "http.request.uri").trim()).toBe("/secret");
    // names come with the capture
    const names = shark(
      "-N",
      "n",
      "-Y",
      `http.request && ${at}`,
      "-T",
      "fields",
      "-e",
      "ip.src_host",
      "-e",
      "ip.dst_host",
    );
    expect(names.trim()).toBe("browser\tweb");
    // each packet is in the capture at every device that it passed: what is put together of them is not asked here
    const prefs = ["tcp.desegment_tcp_streams:FALSE", "tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"];
    const bad = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0";
    expect(shark("-n", ...prefs.flatMap((o) => ["-o", o]), "-Y", bad)).toBe("");
  } finally {
    rmSync(dir, { recursive: true });
  }
});
