// `wirepath drive` as a process: lock step, hostile input, calls that wait.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { Session } from "../../src/cli/drive-session.ts";
import { loadCore } from "../../src/node/core.ts";
import { ACK, Drive, FIN, SYN, tcpPacket, udpPacket } from "../support/drive.ts";
import { overBuilds } from "../support/cores.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const c of children.splice(0)) c.kill("SIGKILL");
});

function start(): ChildProcess {
  const child = spawn(process.execPath, ["--import", "tsx", main, "drive"], { stdio: ["pipe", "pipe", "pipe"] });
  children.push(child);
  return child;
}

/** Everything that it answers to this input, and how it ended. */
async function run(input: string | Buffer): Promise<{ lines: any[]; status: number | null; stderr: string }> {
  const child = start();
  let out = "";
  let stderr = "";
  child.stdout!.on("data", (d) => (out += d));
  child.stderr!.on("data", (d) => (stderr += d));
  child.stdin!.on("error", () => {});
  child.stdin!.end(input);
  const [status] = (await once(child, "close")) as [number | null];
  return {
    lines: out
      .split("\n")
      .filter(Boolean)
      .map((l) => JSON.parse(l)),
    status,
    stderr,
  };
}

describe("the process", () => {
  test("answers each line with one, in order, and ends with its input", async () => {
    const { lines, status, stderr } = await run(
      [
        { op: "hello" },
        { op: "reset", cfg: { dev: [{ name: "tun0", kind: "ip", ip: "192.168.0.1", prefix: 16 }], nagle: true } },
        { op: "call", call: 1, fn: "socket", type: "dgram" },
        { op: "call", call: 2, fn: "bind", fd: 3, ip: "0.0.0.0", port: 9 },
        { op: "call", call: 3, fn: "recvfrom", fd: 3, len: 100, flags: [] },
        { op: "advance", to: 1000, stop_on_tx: true },
        { op: "rx", dev: "tun0", data: udpPacket("192.168.0.2:7", "192.168.0.1:9", "hello").toString("hex") },
      ]
        .map((o) => `${JSON.stringify(o)}\n`)
        .join(""),
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(lines[0]).toEqual({ now: 0, name: "wirepath", proto: "pdsut/1", caps: ["ip", "eth", "info", "conns"] });
    expect(lines[1]).toEqual({ now: 0, ignored: ["nagle"] });
    expect(lines[4]).toEqual({ now: 0, pending: true });
    expect(lines[6]).toEqual({
      now: 1000,
      done: [{ call: 3, t: 1000, ret: 5, data: "68656c6c6f", ip: "192.168.0.2", port: 7 }],
    });
    expect(lines).toHaveLength(7);
  });

  test("lock step: an answer comes before the next question", async () => {
    const child = start();
    let out = "";
    child.stdout!.on("data", (d) => (out += d));
    for (let i = 1; i <= 200; i++) {
      child.stdin!.write(`{"op":"advance","to":${i}}\n`);
      while (out.split("\n").length <= i) await once(child.stdout!, "data");
    }
    expect(JSON.parse(out.trim().split("\n").at(-1)!)).toEqual({ now: 200 });
    child.stdin!.end();
    expect(await once(child, "close")).toEqual([0, null]);
  });

  test("bad lines are answered with an error, and the next one works", async () => {
    const bad = ["{", "[]", "null", '"x"', "{}", '{"op":5}', '{"op":"nothing"}', "\u0000", "\xff", "[".repeat(100000)];
    const { lines, status } = await run(`${bad.join("\n")}\n\n{"op":"next"}`);
    expect(status).toBe(0);
    expect(lines.slice(0, -1).every((l) => typeof l.error === "string")).toBe(true);
    expect(lines).toHaveLength(bad.length + 1);
    expect(lines.at(-1)).toEqual({ now: 0, timer: null });
  });

  test("a line without end is not kept for ever", async () => {
    const { lines, status } = await run(Buffer.concat([Buffer.alloc(65 << 20, "x"), Buffer.from('\n{"op":"next"}\n')]));
    expect(lines[0].error).toMatch(/a line of more than/);
    expect(lines[1]).toEqual({ now: 0, timer: null });
    expect(status).toBe(0);
  });

  test("nobody reads the answers: a quiet end", async () => {
    const child = start();
    let stderr = "";
    child.stderr!.on("data", (d) => (stderr += d));
    child.stdin!.on("error", () => {});
    child.stdout!.destroy();
    for (let i = 0; i < 1000; i++) child.stdin!.write('{"op":"next"}\n');
    const [status] = await once(child, "close");
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("words that it does not know", async () => {
    const child = spawn(process.execPath, ["--import", "tsx", main, "drive", "--fast"]);
    children.push(child);
    let stderr = "";
    child.stderr.on("data", (d) => (stderr += d));
    expect((await once(child, "close"))[0]).toBe(2);
    expect(stderr).toMatch(/^wirepath: .*--fast/);
  });
});

const session = (): Session => new Session(loadCore);
const ask = (s: Session, o: unknown): any => JSON.parse(s.answer(JSON.stringify(o)));

describe("requests", () => {
  const faults: unknown[] = [
    { op: "rx" },
    { op: "rx", dev: "tun9", data: "" },
    { op: "rx", dev: "tun0", data: "0" },
    { op: "rx", dev: "tun0", data: "zz" },
    { op: "rx", dev: "tun0", data: 5 },
    { op: "rx", dev: "tun0", data: "00".repeat(70000) },
    { op: "advance" },
    { op: "advance", to: -1 },
    { op: "advance", to: 1.5 },
    { op: "advance", to: 1e300 },
    { op: "advance", to: "1" },
    { op: "info", fd: 3 },
    { op: "info", fd: -1 },
    { op: "reset", cfg: [] },
    { op: "reset", cfg: { dev: {} } },
    { op: "reset", cfg: { dev: [{ kind: "wifi" }] } },
    { op: "reset", cfg: { dev: [{ name: "a/b" }] } },
    { op: "reset", cfg: { dev: [{ name: "a" }, { name: "a" }] } },
    { op: "reset", cfg: { dev: [{ ip: "1.2.3" }] } },
    { op: "reset", cfg: { dev: [{ mtu: 1e9 }] } },
    { op: "reset", cfg: { dev: [{ kind: "eth", mac: "x" }] } },
    { op: "reset", cfg: { dev: Array.from({ length: 5000 }, () => ({})) } },
    { op: "reset", cfg: { routes: [{ dst: "x" }] } },
    { op: "reset", cfg: { routes: [{ dst: "10.0.0.0/8", via: "9.9.9.9" }] } },
    { op: "reset", cfg: { nat: [{ out: "eth9" }] } },
    { op: "reset", cfg: { nat: [{ kind: "snat" }] } },
    { op: "reset", cfg: { cc: "bbr" } },
    { op: "reset", cfg: { initcwnd: -1 } },
    { op: "reset", cfg: { sack: "yes" } },
    { op: "reset", cfg: { keepalive: 3 } },
    { op: "call", fn: "socket", type: "stream" },
    { op: "call", call: 1, fn: "toString" },
    { op: "call", call: 1, fn: "socket", type: "raw" },
    { op: "call", call: 1, fn: "bind", fd: 3, ip: "x", port: 1 },
    { op: "call", call: 1, fn: "bind", fd: 3, ip: "1.1.1.1", port: 70000 },
    { op: "call", call: 1, fn: "send", fd: 3 },
    { op: "call", call: 1, fn: "send", fd: 3, len: -1 },
    { op: "call", call: 1, fn: "send", fd: 3, data: "x" },
    { op: "call", call: 1, fn: "recv", fd: 3, len: 1, flags: ["MSG_NOTHING"] },
    { op: "call", call: 1, fn: "recv", fd: 3, len: 1, flags: ["toString"] },
    { op: "call", call: 1, fn: "shutdown", fd: 3, how: "X" },
    { op: "call", call: 1, fn: "fcntl", fd: 3, cmd: "X" },
    { op: "call", call: 1, fn: "setsockopt", fd: 3, level: "X", name: "SO_ERROR", value: 1 },
    { op: "call", call: 1, fn: "setsockopt", fd: 3, name: "SO_LINGER", value: {} },
    { op: "call", call: 1, fn: "poll", fds: 5 },
    { op: "call", call: 1, fn: "poll", fds: [{ fd: 3, events: ["POLLX"] }] },
  ];
  test.each(faults.map((f) => [JSON.stringify(f).slice(0, 80), f]))("%s", (_name, fault) => {
    const s = session();
    expect(ask(s, fault).error).toEqual(expect.any(String));
    expect(ask(s, { op: "next" })).toEqual({ now: 0, timer: null });
  });

  test("calls on descriptors that are none: EBADF", () => {
    const s = session();
    for (const o of [
      { fn: "bind", ip: "0.0.0.0", port: 1 },
      { fn: "listen", backlog: 1 },
      { fn: "accept" },
      { fn: "connect", ip: "1.1.1.1", port: 1 },
      { fn: "send", len: 1 },
      { fn: "recv", len: 1 },
      { fn: "shutdown", how: "RD" },
      { fn: "close" },
      { fn: "fcntl", cmd: "F_GETFL" },
      { fn: "getsockopt", name: "SO_ERROR" },
      { fn: "setsockopt", name: "SO_REUSEADDR", value: 1 },
    ]) {
      for (const fd of [0, 3, 99, -1]) {
        expect(ask(s, { op: "call", call: 1, fd, ...o })).toMatchObject({ ret: -1, errno: "EBADF" });
      }
    }
  });

  test("huge lengths cost nothing", () => {
    const d = new Drive();
    const fd = d.call("socket", { type: "stream" })["ret"];
    const udp = d.call("socket", { type: "dgram" })["ret"];
    expect(d.call("sendto", { fd: udp, len: 2 ** 31 - 1, ip: "192.168.0.2", port: 9 })).toMatchObject({
      ret: -1,
      errno: "EMSGSIZE",
    });
    d.call("bind", { fd, ip: "0.0.0.0", port: 80 });
    d.call("listen", { fd, backlog: 5 });
    const [synAck] = d.rx("tun0", tcpPacket("192.168.0.2:4000", "192.168.0.1:80", SYN, 100));
    const iss = synAck!.bytes.readUInt32BE(24);
    d.rx("tun0", tcpPacket("192.168.0.2:4000", "192.168.0.1:80", ACK, 101, iss + 1));
    const c = d.call("accept", { fd })["ret"];
    expect(d.call("recv", { fd: c, len: 2 ** 31 - 1, flags: ["MSG_DONTWAIT"] })).toMatchObject({ errno: "EAGAIN" });
    expect(d.call("send", { fd: c, len: 2 ** 31 - 1 })["pending"]).toBe(true);
    expect(d.call("close", { fd: c })["done"]).toMatchObject([{ ret: -1, errno: "EBADF" }]);
  });

  test("equal requests give equal replies; another seed other ports and numbers", () => {
    const go = (seed: number): string => {
      const s = session();
      return [
        { op: "reset", cfg: { seed } },
        { op: "call", call: 1, fn: "socket", type: "stream" },
        { op: "call", call: 2, fn: "connect", fd: 3, ip: "192.168.0.2", port: 80 },
        { op: "advance", to: 5_000_000 },
        { op: "conns" },
      ]
        .map((o) => s.answer(JSON.stringify(o)))
        .join("\n");
    };
    expect(go(5)).toBe(go(5));
    expect(go(5)).not.toBe(go(6));
  });

  test("an Ethernet device asks for its neighbour, answers for itself, and carries TCP", () => {
    const d = new Drive({ dev: [{ name: "eth0", kind: "eth", ip: "10.0.0.1", prefix: 24, mac: "02:00:00:00:00:01" }] });
    const fd = d.call("socket", { type: "dgram" })["ret"];
    const raw = (o: object): { t: number; dev: string; data: string }[] =>
      JSON.parse((d as any).session.answer(JSON.stringify(o))).tx ?? [];
    const [request] = raw({ op: "call", call: 9, fn: "sendto", fd, len: 3, ip: "10.0.0.2", port: 9 });
    expect(request).toEqual({
      t: 0,
      dev: "eth0",
      data: "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002",
    });
    const reply = "020000000001020000000002080600010800060400020200000000020a0000020200000000010a000001";
    const [datagram] = raw({ op: "rx", dev: "eth0", data: reply });
    expect(datagram!.data.slice(0, 28)).toBe("0200000000020200000000010800");
    expect(datagram!.data).toHaveLength(2 * (14 + 28 + 3));
  });

  test("advance stops at the instant of what is sent, with all that this microsecond brings", () => {
    const d = new Drive({ dev: [{ name: "tun0", ip: "192.168.0.1", prefix: 16 }], delack_us: 40000 });
    const fds = [80, 81].map((port) => {
      const fd = d.call("socket", { type: "stream" })["ret"];
      d.call("connect", { fd, ip: "192.168.0.2", port });
      return fd;
    });
    expect(fds).toHaveLength(2);
    const r = d.request({ op: "advance", to: 60_000_000, stop_on_tx: true });
    expect(r.now).toBe(1_000_000);
    expect(r.tx.map((p) => p.dport)).toEqual([80, 81]);
    expect(d.request({ op: "next" })["timer"]).toBeGreaterThan(1_000_000);
    // a completed call stops it too
    expect(d.call("poll", { fds: [{ fd: fds[0], events: ["POLLIN"] }], timeout_ms: 500 })["pending"]).toBe(true);
    const s = d.request({ op: "advance", to: 60_000_000, stop_on_tx: true });
    expect([s.now, s.done]).toEqual([1_500_000, [{ call: 5, t: 1_500_000, ret: 0, revents: [[]] }]]);
  });
});

overBuilds("any requests at all", (core) => {
  test("are answered, and the stack lives", () => {
    const s = new Session(core);
    const int = fc.oneof(fc.integer({ min: -2, max: 12 }), fc.integer());
    const ip = fc.constantFrom(
      "192.168.0.1",
      "192.168.0.2",
      "0.0.0.0",
      "127.0.0.1",
      "255.255.255.255",
      "224.0.0.1",
      "x",
    );
    const names = fc.constantFrom(
      ...(
        "SO_ERROR SO_LINGER SO_RCVBUF SO_SNDBUF SO_KEEPALIVE SO_REUSEADDR TCP_NODELAY TCP_CORK TCP_MAXSEG TCP_KEEPIDLE " +
        "TCP_USER_TIMEOUT TCP_QUICKACK TCP_LINGER2 TCP_SYNCNT TCP_CONGESTION IP_TOS IP_TTL IP_MTU IP_RECVERR SIOCATMARK"
      ).split(" "),
    );
    const flags = fc.subarray([
      "MSG_DONTWAIT",
      "MSG_PEEK",
      "MSG_OOB",
      "MSG_WAITALL",
      "MSG_MORE",
      "MSG_TRUNC",
      "MSG_ERRQUEUE",
    ]);
    const call = fc.record({
      op: fc.constant("call"),
      call: int,
      fn: fc.constantFrom(
        ..."socket bind listen accept connect send recv sendto recvfrom shutdown close fcntl setsockopt getsockopt poll".split(
          " ",
        ),
      ),
      fd: fc.integer({ min: 2, max: 10 }),
      type: fc.constantFrom("stream", "dgram"),
      ip,
      port: fc.constantFrom(0, 80, 4000, 65535),
      backlog: fc.integer({ min: -1, max: 3 }),
      len: fc.constantFrom(0, 1, 100, 3000, 70000),
      flags,
      how: fc.constantFrom("RD", "WR", "RDWR"),
      cmd: fc.constantFrom("F_GETFL", "F_SETFL"),
      name: names,
      value: fc.oneof(int, fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 3 }))),
      fds: fc.array(fc.record({ fd: fc.integer({ min: 2, max: 10 }), events: fc.constant(["POLLIN", "POLLOUT"]) }), {
        maxLength: 3,
      }),
      timeout_ms: fc.constantFrom(-1, 0, 100),
    });
    const flagBits = fc.constantFrom(SYN, ACK, SYN | ACK, FIN | ACK, 4, 4 | ACK, 8 | ACK, 32 | ACK, 0, 63);
    const segment = fc
      .tuple(flagBits, fc.integer({ min: 95, max: 110 }), fc.integer(), fc.nat(40), fc.constantFrom(80, 4000))
      .map(([bits, seq, ack, n, port]) => ({
        op: "rx",
        dev: "tun0",
        data: tcpPacket("192.168.0.2:4000", `192.168.0.1:${port}`, bits, seq, ack, "x".repeat(n)).toString("hex"),
      }));
    const junk = fc
      .uint8Array({ maxLength: 60 })
      .map((b) => ({ op: "rx", dev: "tun0", data: Buffer.from(b).toString("hex") }));
    const advance = fc.integer({ min: 0, max: 2_000_000 }).map((us) => ({ op: "by", us }));
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 5, arbitrary: call }, segment, junk, advance), { maxLength: 80 }),
        (list) => {
          ask(s, { op: "reset", cfg: { dev: [{ name: "tun0", ip: "192.168.0.1", prefix: 16 }] } });
          for (const o of list) {
            const { now } = ask(s, { op: "next" });
            const reply = ask(s, o.op === "by" ? { op: "advance", to: now + (o as { us: number }).us } : o);
            if (reply.error !== undefined)
              expect(reply.error).not.toMatch(/undefined|null|unreachable|memory|function/);
            else expect(reply.now).toBeGreaterThanOrEqual(now);
          }
          expect(ask(s, { op: "conns" }).conns).toEqual(expect.any(Array));
        },
      ),
      { numRuns: 60 },
    );
  });
});
