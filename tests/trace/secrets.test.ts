import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect, TLSSocket } from "node:tls";
import { describe, expect, it } from "vitest";
import { TLS_KEY_LOG } from "../../src/capture/format.ts";
import { CaptureReader } from "../../src/capture/reader.ts";
import { PcapngWriter } from "../../src/capture/writer.ts";
import { have } from "../support/have.ts";
import { TcpStream } from "../support/tcpstream.ts";

const fixture = (name: string): Buffer => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url));

/** Two ends of a wire; `tap` sees what each writes. */
function wire(tap: (from: 0 | 1, bytes: Buffer) => void): [Duplex, Duplex] {
  const ends: Duplex[] = [0, 1].map(
    (from) =>
      new Duplex({
        allowHalfOpen: false,
        read() {},
        write(chunk: Buffer, _encoding, done) {
          tap(from as 0 | 1, chunk);
          setImmediate(() => {
            ends[1 - from]!.push(chunk);
            done();
          });
        },
        final(done) {
          ends[1 - from]!.push(null);
          done();
        },
      }),
  );
  return ends as [Duplex, Duplex];
}

/** A TLS 1.3 session with one HTTP exchange, as a capture with its secrets inside, or without. */
async function session(embed: boolean): Promise<{ bytes: Buffer; keys: Buffer }> {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((c) => chunks.push(c));
  const id = writer.addInterface({ name: "client:eth0" });
  const frames: Uint8Array[] = [];
  const stream = new TcpStream(
    [
      { mac: 1, ip: [203, 0, 113, 10], port: 40000 },
      { mac: 2, ip: [198, 51, 100, 20], port: 443 },
    ],
    (frame) => frames.push(frame),
  );
  stream.open();
  const [a, b] = wire((from, bytes) => stream.data(from, bytes));
  const server = new TLSSocket(b, { isServer: true, key: fixture("key.pem"), cert: fixture("cert.pem") });
  const client = connect({ socket: a, ca: fixture("cert.pem"), servername: "web.example", minVersion: "TLSv1.3" });
  const lines: Buffer[] = [];
  client.on("keylog", (line) => lines.push(line));
  server.on("data", () => server.end("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello, secret"));
  let answer = "";
  client.on("data", (d: Buffer) => (answer += d.toString()));
  client.write("GET /hidden/path HTTP/1.1\r\nHost: web.example\r\n\r\n");
  await new Promise((done, fail) => client.on("end", done).on("error", fail));
  expect(client.getProtocol()).toBe("TLSv1.3");
  expect(answer).toMatch(/hello, secret$/);
  stream.close();
  const keys = Buffer.concat(lines);
  if (embed) writer.writeSecrets(keys);
  frames.forEach((f, i) => writer.write(id, 1_577_836_800, i * 1_000_000, f));
  writer.flush();
  return { bytes: Buffer.concat(chunks), keys };
}

describe("a capture with TLS secrets inside", () => {
  it("reads back with the key log, byte for byte", async () => {
    const { bytes, keys } = await session(true);
    const reader = new CaptureReader();
    reader.push(bytes);
    let packets = 0;
    while (reader.next()) packets++;
    reader.end();
    expect(packets).toBeGreaterThan(10);
    expect(reader.secrets).toEqual([{ type: TLS_KEY_LOG, data: Uint8Array.from(keys) }]);
    expect(keys.toString()).toMatch(/^SERVER_HANDSHAKE_TRAFFIC_SECRET [0-9a-f]{64} [0-9a-f]{64,96}\n/m);
  });

  it.skipIf(!have("tshark"))("stock tshark decrypts with no further file, and cannot without them", async () => {
    const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
    try {
      const seen = async (embed: boolean): Promise<string[]> => {
        const file = join(dir, "x.pcapng");
        writeFileSync(file, (await session(embed)).bytes);
        const fields = ["http.request.uri", "http.response.code", "http.file_data"].flatMap((f) => ["-e", f]);
        const args = ["-n", "-r", file, "-Y", "http", "-T", "fields", ...fields];
        const r = spawnSync("tshark", args, { encoding: "utf8", timeout: 60_000 });
        expect(r.status).toBe(0);
        return r.stdout.trim().split("\n");
      };
      const [request, response] = await seen(true);
      expect(request).toContain("/hidden/path");
      expect(response).toMatch(/^\s*200\s+(hello, secret|68656c6c6f2c20736563726574)/);
      expect(await seen(false)).toEqual([""]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
