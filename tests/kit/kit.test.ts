import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CaptureReader } from "../../src/capture/reader.ts";
import { captureName, lab } from "../../src/vitest.ts";

const three = {
  nodes: {
    a: { interfaces: { eth0: { addresses: ["10.0.1.2/24"] } }, routes: ["default via 10.0.1.1"] },
    r: {
      sysctl: { "net.ipv4.ip_forward": 1 },
      interfaces: { eth0: { addresses: ["10.0.1.1/24"] }, eth1: { addresses: ["10.0.2.1/24"] } },
    },
    b: { interfaces: { eth0: { addresses: ["10.0.2.2/24"] } }, routes: ["default via 10.0.2.1"] },
  },
  links: [{ endpoints: ["a:eth0", "r:eth0"], netem: "delay 5ms" }, { endpoints: ["r:eth1", "b:eth0"] }],
};

const sleep = (s: number): Promise<void> => new Promise((done) => setTimeout(done, s * 1000));

describe("a lab in a test", () => {
  it("runs real servers and clients in virtual time; nodes know each other by name", async () => {
    const net = lab(three);
    const body = await net.run(async () => {
      const server = http.createServer((q, s) => s.end(`${q.url} at ${performance.now()}`));
      net.listen("b", 8080, server);
      return new Promise<string>((done, fail) => {
        http
          .get("http://b:8080/x", { agent: net.agent("a") }, (answer) => {
            let text = "";
            answer.on("data", (d: Buffer) => (text += d.toString())).on("end", () => done(text));
          })
          .on("error", fail);
      });
    });
    // 5 ms each for ARP's question and answer, SYN, its answer, and the request
    expect(body).toBe("/x at 25");
    expect(net.frames({ at: "a:eth0", filter: "tcp[tcpflags] == tcp-syn" }).map((f) => [f.time, f.direction])).toEqual([
      [expect.closeTo(0.01, 6), "out"],
    ]);
    expect(net.frames({ at: "r", filter: "tcp[tcpflags] == tcp-syn" }).length).toBe(2);
    expect(net.drops).toEqual([]);
  });

  it("partitions and heals: what was under way arrives in the end", async () => {
    const net = lab(three);
    await net.run(async () => {
      let got = "";
      net
        .host("b")
        .net.createServer((s: NodeJS.ReadStream) => s.on("data", (d: Buffer) => (got += d.toString())))
        .listen(7);
      const socket = net.host("a").net.connect(7, "b");
      await new Promise((done) => socket.on("connect", done));
      await sleep(1);
      net.partition(["a"], ["r"]);
      socket.write("hello");
      await sleep(60);
      expect(got).toBe("");
      net.heal();
      await sleep(60);
      expect(got).toBe("hello");
      socket.destroy();
    });
    // and questions for the router's address stayed without an answer
    expect(new Set(net.drops.map((d) => d.reason))).toEqual(new Set(["LinkDown", "NeighFailed"]));
  });

  it("links go down, netem changes, commands run", async () => {
    const net = lab(three);
    const { drops } = net;
    await net.run(async () => {
      const refused = (): Promise<string> =>
        new Promise((done) =>
          net
            .host("a")
            .net.connect(9, "b")
            .on("error", (e: NodeJS.ErrnoException) => done(e.code!)),
        );
      expect(await refused()).toBe("ECONNREFUSED");
      net.link("r", "b:eth0").down();
      const from = net.time;
      expect(await refused()).toBe("EHOSTUNREACH");
      // the router believes in its neighbour for a while: the third SYN or so finds that it is gone
      expect(net.time - from).toBeLessThan(75);
      net.link("r", "b").up();
      net.exec("a", "tc qdisc replace dev eth0 root netem delay 1s");
      const then = net.time;
      expect(await refused()).toBe("ECONNREFUSED");
      expect(net.time - then).toBeGreaterThan(1);
    });
    expect(drops.some((d) => d.reason === "LinkDown" && d.node === "r")).toBe(true);
    expect(net.exec("a", "tc qdisc show dev eth0")).toContain("delay 1s");
    expect(() => net.link("a", "b")).toThrow("no link at a and b");
    expect(() => net.link("r")).toThrow("more than one link at r");
    expect(() => net.host("x")).toThrow("the lab has no node 'x', it has a, r, b");
    expect(() => net.partition(["a"], ["x"])).toThrow("the lab has no node 'x'");
  });

  it.each([
    [10, 10, 20],
    [0, 0, 0],
  ])("keeps the last frames, as many as it is told: %i", async (frames, least, most) => {
    const net = lab(three, { frames });
    await net.run(async () => {
      net
        .host("b")
        .net.createServer((s: NodeJS.ReadWriteStream) => s.pipe(s))
        .listen(7);
      const socket = net.host("a").net.connect(7, "b");
      socket.end("x".repeat(100_000));
      await new Promise((done) => socket.resume().on("close", done));
    });
    const kept = net.frames();
    expect(kept.length).toBeGreaterThanOrEqual(least);
    expect(kept.length).toBeLessThanOrEqual(most);
    // the connection's last segments
    if (frames > 0) expect(kept[kept.length - 1]!.time).toBeCloseTo(net.time, 1);
  });

  it("a drive that cannot end says so", async () => {
    const net = lab(three);
    const stuck = net.run(() => new Promise((done) => net.host("a").net.connect(7, "b").on("connect", done)), {
      until: 2,
    });
    await expect(stuck).rejects.toThrow();
  });
});

describe("a test that fails", () => {
  it("leaves its capture and the seed that replays it", () => {
    const root = join(import.meta.dirname, "../..");
    const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
    const run = (seed: string): { drops: string; said: string } => {
      const r = spawnSync(
        process.execPath,
        [
          join(root, "node_modules/vitest/vitest.mjs"),
          "run",
          "--config",
          join(import.meta.dirname, "failing/vitest.config.ts"),
        ],
        {
          cwd: dir,
          encoding: "utf8",
          timeout: 50_000,
          env: { ...process.env, WIREPATH_SEED: seed, WIREPATH_CAPTURES: dir, NO_COLOR: "1" },
        },
      );
      expect(r.status).toBe(1);
      return { drops: /drops (.*)/.exec(r.stdout)![1]!, said: r.stderr };
    };
    try {
      const first = run("");
      const name = "a-lossy-wire-never-loses-this-fails.pcapng";
      expect(readdirSync(dir)).toContain(name);
      const seed = /seed (\d+): WIREPATH_SEED=\1 replays it/.exec(first.said)![1]!;
      expect(first.said).toContain(`${name}: what was on the wires`);
      const bytes = readFileSync(join(dir, name));
      expect(run(seed).drops).toBe(first.drops);
      // same seed, same file
      expect(readFileSync(join(dir, name)).equals(bytes)).toBe(true);
      const reader = new CaptureReader();
      reader.push(bytes);
      const comments: string[] = [];
      while (reader.next()) comments.push(...(reader.comments ?? []));
      expect(reader.interfaces.map((i) => i.name)).toEqual(["a:eth0", "b:eth0"]);
      expect(reader.names.map((n) => n.names)).toEqual([["a"], ["b"]]);
      expect(reader.secrets.length).toBe(1);
      expect(comments.some((c) => c.startsWith("dropped by a: LinkLoss"))).toBe(true);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 120_000);

  it("names its file so that every system takes it", () => {
    expect(captureName("a > b: c/d ÄÖ 10%")).toBe("a-b-c-d-ÄÖ-10.pcapng");
    expect(captureName("///")).toBe("test.pcapng");
    expect(captureName("x".repeat(300)).length).toBe(207);
  });
});
