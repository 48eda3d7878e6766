// A server's sockets: lengths, EDNS, TCP, what is malformed; every frame as tshark reads it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeDns, type DnsDraft, type DnsMessage, encodeDns } from "../../../src/core/dns.ts";
import { MS, SECOND } from "../../../src/link/clock.ts";
import { DnsServer, MessageReader } from "../../../src/service/dns/server.ts";
import { optRecord } from "../../../src/service/dns/edns.ts";
import { Recorder } from "../../../src/trace/recorder.ts";
import type { Endpoint } from "../../../src/transport/tcp/endpoint.ts";
import { coreOf } from "../../support/cores.ts";
import { dig, ip, network, type Net, resolver, serve, shown, until } from "../../support/dns.ts";
import { have } from "../../support/have.ts";

const S = "10.0.0.53";
const C = "10.9.9.9";
const R = "10.8.8.8";
const head = "@ 60 SOA ns m 1 2 3 4 60\n@ 60 NS ns\nns 60 A 10.0.0.53\n";
const many = Array.from({ length: 100 }, (_, i) => `many 60 A 192.0.2.${i}\n`).join("");
const some = Array.from({ length: 40 }, (_, i) => `some 60 A 192.0.2.${i}\n`).join("");
const huge = Array.from({ length: 250 }, (_, i) => `huge 60 TXT "${String(i).padStart(240, "x")}"\n`).join("");
const zone = `${head}www 60 A 192.0.2.1\n${many}${some}${huge}`;

/** Sends bytes over UDP and answers what comes back within a second. */
function exchange(net: Net, bytes: Uint8Array, to = S): Uint8Array[] {
  const socket = net.host(C).udp.open();
  socket.send(bytes, 0, bytes.length, ip(to), 53);
  net.world.clock.advance(net.world.clock.now + SECOND);
  const out: Uint8Array[] = [];
  const room = new Uint8Array(65535);
  for (let n = socket.receive(room); n >= 0; n = socket.receive(room)) out.push(room.slice(0, n));
  socket.close();
  return out;
}

function query(net: Net, draft: DnsDraft): Uint8Array {
  return encodeDns(net.world.core, { id: 0x1234, ...draft });
}

const asks = (name: string, opt = 0): DnsDraft => ({
  questions: [{ name, type: "A", class: 1 }],
  additionals: opt === 0 ? [] : [optRecord(opt)],
});

function one(net: Net, draft: DnsDraft): { message: DnsMessage; length: number } {
  const [bytes, ...more] = exchange(net, query(net, draft));
  expect(more).toEqual([]);
  return { message: decodeDns(net.world.core, bytes!), length: bytes!.length };
}

function server(): Net {
  const net = network([S, C, R]);
  serve(net, S, { t: zone });
  return net;
}

describe("over UDP", () => {
  it("an answer has 512 bytes at most, with EDNS as many as asked for up to 1232", () => {
    const net = server();
    const sizes = [0, 1, 512, 700, 1232, 4096].map((size) => {
      const { message, length } = one(net, asks("many.t", size));
      expect(message.tc).toBe(true);
      expect(message.additionals.filter((r) => r.type === "OPT")).toHaveLength(size === 0 ? 0 : 1);
      return length;
    });
    const limits = [512, 512, 512, 700, 1232, 1232];
    for (const [i, n] of sizes.entries()) {
      expect(n).toBeLessThanOrEqual(limits[i]!);
      expect(n).toBeGreaterThan(limits[i]! - 16);
    }
    const whole = one(net, asks("some.t", 1232));
    expect(whole.message.tc).toBe(false);
    expect(whole.message.answers).toHaveLength(40);
  });

  it("says what it sends, and comes from the address that was asked", () => {
    const net = server();
    const { message } = one(net, { ...asks("WwW.t", 4096), rd: true, cd: true });
    expect(message).toMatchObject({ id: 0x1234, qr: true, aa: true, rd: true, cd: true, ra: false, rcode: 0 });
    expect(message.questions).toEqual([{ name: "WwW.t", type: "A", class: 1 }]);
    expect(message.answers).toEqual([{ name: "WwW.t", type: "A", class: 1, ttl: 60, address: ip("192.0.2.1") }]);
    expect(message.additionals[0]).toMatchObject({ type: "OPT", class: 1232, ttl: 0 });
    // the address of the link: the answer comes from there, or a connected socket would not take it
    const socket = net.host(C).udp.open();
    socket.connect(ip("100.64.0.2"), 53);
    const bytes = query(net, asks("www.t"));
    socket.send(bytes, 0, bytes.length);
    net.world.clock.advance(net.world.clock.now + SECOND);
    expect(socket.receive(new Uint8Array(512))).toBeGreaterThan(12);
  });

  it("refuses what it does not understand", () => {
    const net = server();
    const rcode = (draft: DnsDraft): number => one(net, draft).message.rcode;
    expect(rcode({ ...asks("www.t"), opcode: 4 })).toBe(4);
    expect(rcode({ questions: [] })).toBe(1);
    expect(rcode({ questions: [...asks("a.t").questions!, ...asks("b.t").questions!] })).toBe(1);
    // RFC 6891 §6.1.3: version 1 is BADVERS (16)
    const bad = one(net, { ...asks("www.t"), additionals: [{ ...optRecord(1232), ttl: 0x10000 }] }).message;
    expect(bad.rcode).toBe(0);
    expect(bad.additionals[0]).toMatchObject({ type: "OPT", ttl: 0x1000000 });
    // cut short: a format error with its id; an answer, or less than a header: nothing
    const cut = query(net, asks("www.t")).slice(0, 20);
    expect(decodeDns(net.world.core, exchange(net, cut)[0]!)).toMatchObject({ id: 0x1234, qr: true, rcode: 1 });
    expect(exchange(net, cut.slice(0, 11))).toEqual([]);
    expect(exchange(net, query(net, { ...asks("www.t"), qr: true }))).toEqual([]);
  });

  it("survives any bytes (property)", () => {
    const net = network([S, C, R], { core: coreOf("debug") });
    serve(net, S, { t: `${head}www 60 A 192.0.2.1\n` });
    const r = resolver(net, R, { hints: [ip(S)] });
    const good = query(net, asks("www.t", 1232));
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      flips.map((changes) => {
        const b = good.slice();
        for (const [at, v] of changes) b[at] = v;
        return b;
      }),
    );
    fc.assert(
      fc.property(bytes, fc.constantFrom(S, R), (b, to) => {
        const answers = exchange(net, b, to);
        // to one question one answer, never longer than what UDP may carry, and with the question's id
        expect(answers.length).toBeLessThanOrEqual(1);
        for (const a of answers) {
          expect(a.length).toBeLessThanOrEqual(1232);
          expect([a[0], a[1]]).toEqual([b[0], b[1]]);
          expect(a[2]! & 0x80).toBe(0x80);
          decodeDns(net.world.core, a);
        }
      }),
      { numRuns: 300 },
    );
    net.world.clock.advance(net.world.clock.now + 60 * SECOND);
    expect(r.pending).toBe(0);
    expect(shown(dig(net, C, S, "www.t", "A"))).toMatchObject({ rcode: "NOERROR" });
  });
});

describe("over TCP", () => {
  it("a truncated answer comes whole", () => {
    const net = server();
    const before = net.world.clock.now;
    const answer = dig(net, C, S, "many.t", "A");
    expect(answer.tc).toBe(false);
    expect(answer.answers).toHaveLength(100);
    expect(net.world.clock.now - before).toBeLessThan(SECOND);
    // and one of sixty thousand bytes
    expect(dig(net, C, S, "huge.t", "TXT").answers).toHaveLength(250);
  });

  it("many questions go down one connection, in pieces of any length, and idle ones are closed", () => {
    const net = server();
    const { tcp, world } = { tcp: net.host(C).tcp, world: net.world };
    const names = ["www.t", "many.t", "nothing.t", "www.t"];
    const parts = names.map((n) => query(net, asks(n)));
    const all = Buffer.concat(parts.map((p) => Buffer.concat([Buffer.of(p.length >> 8, p.length & 255), p])));
    for (const piece of [1, 7, 1000]) {
      const got: DnsMessage[] = [];
      let ended = false;
      const owner = {
        wake: (): void => {
          for (let m = reader.next(); m !== null; m = reader.next()) got.push(decodeDns(world.core, m));
          ended ||= endpoint.readEnded;
        },
      };
      const endpoint: Endpoint = tcp.connect(ip(S), 53, owner, {}, { noDelay: true });
      const reader = new MessageReader(endpoint);
      until(net, () => endpoint.stateName === "ESTABLISHED");
      for (let at = 0; at < all.length; at += piece) {
        endpoint.write(all, at, Math.min(piece, all.length - at));
        world.clock.advance(world.clock.now + MS);
      }
      until(net, () => got.length === names.length);
      expect(got.map((m) => [m.rcode, m.answers.length])).toEqual([
        [0, 1],
        [0, 100],
        [3, 0],
        [0, 1],
      ]);
      const idle = world.clock.now;
      until(net, () => ended);
      expect(ended).toBe(true);
      expect(world.clock.now - idle).toBeGreaterThan(29 * SECOND);
      endpoint.close();
    }
  });

  it("a client that closes is answered first; one over the limit is turned away", () => {
    const net = server();
    const { tcp } = net.host(C);
    const wakes: number[] = [];
    const open = (): Endpoint => tcp.connect(ip(S), 53, { wake: (w) => wakes.push(w) }, {}, { noDelay: true });
    const first = open();
    until(net, () => first.stateName === "ESTABLISHED");
    const q = query(net, asks("www.t"));
    first.write(Buffer.concat([Buffer.of(0, q.length), q]));
    first.shutdownWrite();
    until(net, () => first.readEnded);
    const room = new Uint8Array(600);
    expect(first.read(room)).toBeGreaterThan(2 + q.length);
    first.close();
    const others = Array.from({ length: 151 }, open);
    net.world.clock.advance(net.world.clock.now + 20 * SECOND);
    expect(others.filter((e) => e.stateName === "ESTABLISHED")).toHaveLength(150);
  });

  it("a server that stops frees its port, and resets who is there", () => {
    const net = network([S, C]);
    const s = serve(net, S, { t: zone });
    expect(() => new DnsServer(net.host(S), () => {})).toThrow("EADDRINUSE");
    dig(net, C, S, "many.t", "A");
    s.stop();
    s.start(net.host(S));
    expect(dig(net, C, S, "www.t", "A").answers).toHaveLength(1);
  });
});

describe("on the wire", () => {
  /** Runs something and answers the capture of all frames, one text of each DNS payload. */
  function recorded(netem: string): { file: Uint8Array; payloads: number } {
    const net = network([S, C, R], { netem });
    serve(net, S, {
      ".": ". 60 SOA ns.t m 1 2 3 4 60\n. 60 NS ns.t.\nt. 60 NS ns.t.\nns.t. 60 A 10.0.0.53\n",
      t: zone,
    });
    resolver(net, R, { hints: [ip(S)] });
    const recorder = new Recorder(net.world);
    net.world.tracer = recorder.event;
    for (const [name, type] of [
      ["www.t", "A"],
      ["many.t", "A"],
      ["nothing.t", "AAAA"],
      ["www.t", "MX"],
      ["huge.t", "TXT"],
    ] as const) {
      dig(net, C, R, name, type);
    }
    net.world.clock.advance(net.world.clock.now + 100 * SECOND);
    // as a capture on the resolver is: each frame once
    recorder.records.splice(0, Infinity, ...recorder.records.filter((r) => r.node === "h2"));
    const parts: Uint8Array[] = [];
    recorder.write((b) => void parts.push(b.slice()), net.lab.nodes.values());
    let payloads = 0;
    for (const r of recorder.records) {
      // plain UDP frames: dns-packet reads them as well
      if (r.bytes[12] === 8 && r.bytes[23] === 17) {
        const message = decode(Buffer.from(r.bytes.subarray(42)));
        expect(message.questions).toHaveLength(1);
        payloads++;
      }
    }
    return { file: Buffer.concat(parts), payloads };
  }

  it("dns-packet reads every datagram", () => {
    expect(recorded("delay 5ms").payloads).toBeGreaterThanOrEqual(20);
  });

  it.skipIf(!have("tshark"))("tshark finds no malformed frame and no bad checksum", () => {
    const dir = mkdtempSync(join(tmpdir(), "wirepath-dns-"));
    try {
      const file = join(dir, "dns.pcapng");
      const checks = ["ip", "udp", "tcp"].flatMap((p) => ["-o", `${p}.check_checksum:TRUE`]);
      const run = (filter: string): string[] =>
        execFileSync("tshark", ["-n", ...checks, "-r", file, "-Y", filter], { encoding: "utf8", timeout: 60_000 })
          .split("\n")
          .filter((l) => l !== "");
      const bad = "ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0";
      writeFileSync(file, recorded("delay 5ms").file);
      expect(run(`_ws.malformed || ${bad}`)).toEqual([]);
      expect(run("dns").length).toBeGreaterThanOrEqual(20);
      expect(run("dns && tcp").length).toBeGreaterThan(2);
      // of what is lost on the way, and seen at other places, tshark cannot put streams together
      writeFileSync(file, recorded("delay 5ms loss 5%").file);
      expect(run(`(udp && _ws.malformed) || ${bad}`)).toEqual([]);
      expect(run("dns").length).toBeGreaterThanOrEqual(20);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
