// Our TCP against a live kernel's: a namespace behind a TUN device whose other end is an emulated host (tests/support/kernel/
// wire.py carries the packets over stdio). Both ways, a megabyte each, with packets lost on the way; every byte arrives.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { runCommand } from "../../src/host/commands.ts";
import { Namespace } from "../../src/host/namespace.ts";
import type { Interface } from "../../src/link/interface.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { loadCore } from "../../src/node/core.ts";
import { Pacer } from "../../src/node/pacer.ts";
import { nodePlatform } from "../../src/node/platform.ts";
import { type Host, hostOf } from "../../src/socket/host.ts";

const script = join(import.meta.dirname, "../support/kernel/wire.py");
const SIZE = 1 << 20;
const expected = Buffer.alloc(SIZE);
for (let i = 0; i < SIZE; i++) expected[i] = (i * i) % 251;

function mayRun(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    console.log("skipped: not root on Linux, our TCP is not tried against this machine's");
    return false;
  }
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    accessSync("/usr/bin/python3", constants.X_OK);
    return true;
  } catch {
    console.log("skipped: no /dev/net/tun or no python3, our TCP is not tried against this machine's");
    return false;
  }
}

/** An emulated host at 10.9.0.2 whose device is the other end of the helper's. */
class Other {
  readonly host: Host;
  private readonly pacer: Pacer;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private rest: Buffer = Buffer.alloc(0);
  private said = "";
  private heard: (() => void) | null = null;

  constructor(mode: string, loss: number) {
    const core = loadCore();
    const world = newWorld(core);
    const ns = new Namespace("other", world);
    const dev: Interface = ns.addInterface("tun0", "tun", new Uint8Array(6), 1500);
    runCommand(ns, "ip addr add 10.9.0.2/24 dev tun0");
    this.host = hostOf(ns, nodePlatform);
    this.pacer = new Pacer(world);
    this.child = spawn("/usr/bin/python3", [script, mode, String(SIZE), "7", String(loss)], { stdio: "pipe" });
    dev.peer = {
      receive: (_port, frame) => {
        const bytes = packetBytes(core, frame);
        world.x.packetFree(frame);
        const head = Buffer.alloc(2);
        head.writeUInt16BE(bytes.length, 0);
        this.child.stdin.write(Buffer.concat([head, bytes]));
      },
    };
    this.child.stdin.on("error", () => {});
    this.child.stdout.on("data", (chunk: Buffer) => {
      this.rest = Buffer.concat([this.rest, chunk]);
      this.pacer.input(() => {
        while (this.rest.length >= 2 && this.rest.length >= 2 + this.rest.readUInt16BE(0)) {
          const n = this.rest.readUInt16BE(0);
          const frame = packetFrom(core, this.rest.subarray(2, 2 + n));
          if (frame !== 0) world.backlog.push(dev, 0, frame);
          this.rest = this.rest.subarray(2 + n);
        }
      });
    });
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.said += chunk.toString();
      this.heard?.();
    });
    void this.pacer.start();
  }

  /** Something done in the emulated world, now. */
  do(work: () => void): void {
    this.pacer.input(work);
  }

  /** The next line that the helper says. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.said.indexOf("\n");
      if (end >= 0) {
        const text = this.said.slice(0, end);
        this.said = this.said.slice(end + 1);
        return text;
      }
      await new Promise<void>((resolve) => (this.heard = resolve));
    }
  }

  stop(): void {
    this.pacer.stop();
    this.child.stdin.end();
    this.child.kill();
  }
}

describe.skipIf(!mayRun())("our TCP and a live kernel's", () => {
  for (const loss of [0, 20]) {
    it(`our client, its server: a megabyte each way, ${loss / 10} % lost`, { timeout: 90_000 }, async () => {
      const other = new Other("serve", loss);
      try {
        expect(await other.line()).toBe("ready");
        const ask = (method: string, body: Buffer | null): Promise<Buffer> =>
          new Promise((resolve, reject) => {
            other.do(() => {
              const request = http.request({
                method,
                host: "10.9.0.1",
                headers: body === null ? {} : { "content-length": body.length },
                createConnection: () => other.host.net.connect(80, "10.9.0.1") as never,
              });
              request.on("error", reject).on("response", (answer) => {
                const parts: Buffer[] = [];
                answer.on("data", (part: Buffer) => parts.push(part));
                answer.on("end", () => resolve(Buffer.concat(parts)));
                answer.on("error", reject);
              });
              request.end(body ?? undefined);
            });
          });
        const got = await ask("GET", null);
        expect(got.equals(expected)).toBe(true);
        const { createHash } = await import("node:crypto");
        expect((await ask("POST", got)).toString()).toBe(createHash("sha256").update(expected).digest("hex"));
      } finally {
        other.stop();
      }
    });

    it(`its client, our server: a megabyte each way, ${loss / 10} % lost`, { timeout: 90_000 }, async () => {
      const { createHash } = await import("node:crypto");
      const server = http.createServer((request, response) => {
        if (request.method === "GET") {
          response.setHeader("content-length", SIZE);
          response.end(expected);
          return;
        }
        const hash = createHash("sha256");
        request.on("data", (part: Buffer) => hash.update(part));
        request.on("end", () => response.end(hash.digest("hex")));
      });
      const other = new Other("fetch", loss);
      try {
        other.do(() => {
          other.host.net.createServer((socket: unknown) => void server.emit("connection", socket)).listen(80);
        });
        expect(await other.line()).toBe(`ok ${SIZE}`);
      } finally {
        other.stop();
      }
    });
  }
});
