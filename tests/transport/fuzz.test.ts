// tests/transport/fuzz.test.ts: a hostile peer: any segment at any time in any state. Nothing throws, hangs, reads past its
// end, leaks, or answers without bound; between any two segments the connection's numbers agree with each other.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Core } from "../../src/core/core.ts";
import { SocketError } from "../../src/transport/errno.ts";
import type { Connection } from "../../src/transport/tcp/connection.ts";
import { coreOf, overBuilds } from "../support/cores.ts";
import { RawPeer } from "../support/rawpeer.ts";
import { invariants } from "../support/tcpinvariants.ts";
import { CLIENT, SERVER, tcpPair } from "../support/tcppair.ts";

const runs = Number(process.env["WIREPATH_FUZZ_RUNS"] ?? 150);
const seed = Number(process.env["WIREPATH_FUZZ_SEED"] ?? 3);

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

interface Shot {
  readonly flags: number;
  /** Where it stands: an offset from what is expected, or anything at all. */
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly length: number;
  readonly urgent: number;
  readonly options: Uint8Array;
  readonly offset: number;
  readonly bad: boolean;
  readonly wait: number;
  readonly app: number;
}

const near = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 2, arbitrary: fc.integer({ min: -70_000, max: 70_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x7fffffff, -0x80000000, 0x40000000) },
);
const options = fc.oneof(
  { weight: 4, arbitrary: fc.constant(new Uint8Array(0)) },
  { weight: 1, arbitrary: fc.constant(Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0)) },
  { weight: 1, arbitrary: fc.constant(Uint8Array.of(2, 4, 0, 100, 1, 3, 3, 14, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0)) },
  { weight: 2, arbitrary: fc.uint8Array({ minLength: 0, maxLength: 40 }).map((a) => a.subarray(0, a.length & ~3)) },
);
const shot: fc.Arbitrary<Shot> = fc.record({
  flags: fc.oneof(
    { weight: 5, arbitrary: fc.constant(ACK) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, ACK | 8, ACK | 32, ACK | 64, ACK | 128),
    },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
  ),
  seq: near,
  ack: near,
  window: fc.constantFrom(0, 1, 100, 1000, 65535),
  length: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 1460 }) },
  ),
  urgent: fc.constantFrom(0, 0, 0, 1, 10, 65535),
  options,
  offset: fc.oneof(
    { weight: 12, arbitrary: fc.constant(-1) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 15 }) },
  ),
  bad: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  wait: fc.constantFrom(0, 0, 1, 50, 300, 3000, 100_000),
  app: fc.integer({ min: 0, max: 40 }),
});

function attack(core: Core, shots: readonly Shot[], active: boolean): void {
  const packets = core.x.packetsInUse();
  const { lab, server: tcp } = tcpPair(core, "", 5);
  const { clock } = lab.world;
  const peer = new RawPeer(lab.nodes.get("a")!, CLIENT, SERVER);
  const buffer = new Uint8Array(4000);
  let c: Connection | null = null;
  const listener = tcp.listen(0, 80, 2, { wake: () => {} });
  if (active) c = tcp.connect(CLIENT, 80, { wake: () => {} }, { port: 1000 }) as Connection;
  const [mine, theirs] = active ? [80, 1000] : [1000, 80];
  let expected = 1000;
  let sent = 0;
  if (!active) peer.send({ sport: mine, dport: theirs, seq: expected - 1, ack: 0, flags: SYN, window: 65535 });
  clock.advance(clock.now + 1e6);
  const synAck = peer.last;
  if (active) {
    peer.send({
      sport: mine,
      dport: theirs,
      seq: expected - 1,
      ack: (synAck?.seq ?? 0) + 1,
      flags: SYN | ACK,
      window: 65535,
    });
  }
  peer.send({ sport: mine, dport: theirs, seq: expected, ack: (synAck?.seq ?? 0) + 1, flags: ACK, window: 65535 });
  for (const s of shots) {
    const from = peer.count;
    const ackBase = c !== null ? c.sndNxt : (peer.last?.seq ?? 0) + 1;
    if (c !== null) expected = c.rcvNxt;
    peer.send({
      sport: mine,
      dport: theirs,
      seq: expected + s.seq,
      ack: ackBase + s.ack,
      flags: s.flags,
      window: s.window,
      urgent: s.urgent,
      options: s.options,
      data: new Uint8Array(s.length).fill(s.length & 255),
      ...(s.offset < 0 ? {} : { offset: s.offset }),
      badChecksum: s.bad,
    });
    sent++;
    const before = clock.now;
    clock.advance(clock.now + s.wait * 1e6);
    if (c === null) c = listener.accept() as Connection | null;
    if (c !== null) {
      program(c, s.app, buffer);
      invariants(c);
    }
    // a full window of data, its repetitions as time goes by, and an answer or two
    const bound = 200 + 60 * Math.ceil((clock.now - before) / 1e9);
    expect(peer.count - from).toBeLessThan(bound);
  }
  expect(sent).toBe(shots.length);
  listener.close();
  for (const left of Array.from(tcp.connections)) {
    left.abort();
  }
  let events = 0;
  while (clock.pending > 0 && events++ < 20_000) clock.step();
  expect({
    list: tcp.list(),
    ports: tcp.ports.size,
    packets: core.x.packetsInUse() - packets,
    events: events < 20_000,
  }).toEqual({
    list: [],
    ports: 0,
    packets: 0,
    events: true,
  });
}

/** What the program does meanwhile. */
function program(c: Connection, what: number, buffer: Uint8Array): void {
  try {
    if (what < 15) c.read(buffer);
    else if (what < 22) c.writeZeros(3000);
    else if (what === 30) c.shutdownWrite();
    else if (what === 31) c.close();
    else if (what === 32) c.writeUrgent(Uint8Array.of(1));
    else if (what === 33) c.setKeepAlive(true, 1, 1, 3);
    else if (what === 34) c.readUrgent();
    else if (what === 35) c.shutdownRead();
  } catch (e) {
    if (!(e instanceof SocketError)) throw e;
  }
}

overBuilds("a hostile peer", (core) => {
  test.each([false, true])(
    "finds no way in (the connection was opened actively: %s)",
    { timeout: 300_000 },
    (active) => {
      const one = core();
      fc.assert(
        fc.property(fc.array(shot, { minLength: 1, maxLength: 40 }), (shots) => attack(one, shots, active)),
        { numRuns: runs, seed },
      );
    },
  );
});

test("two stacks that misunderstand each other stay quiet (RFC 5961 §7, tcp_invalid_ratelimit)", () => {
  // each believes to be in the middle of a connection with the other, with numbers that do not fit
  const core = coreOf("release");
  for (const offset of [1, 1000, 100_000, 0x7fffffff]) {
    const pair = tcpPair(core, "delay 1ms", 9);
    const { lab, client, server } = pair;
    const { clock } = lab.world;
    let accepted: Connection | null = null;
    const listener = server.listen(0, 80, 1, {
      wake() {
        accepted = listener.accept() as Connection;
      },
    });
    const c = client.connect(SERVER, 80, { wake: () => {} }) as Connection;
    clock.advance(clock.now + 1e8);
    const s = accepted as Connection | null;
    if (s === null) throw new Error("not connected");
    s.rcvNxt = (s.rcvNxt + offset) | 0;
    s.copiedSeq = s.rcvWup = s.rcvNxt;
    c.write(Uint8Array.of(1));
    const device = lab.nodes.get("a")!.byName.get("eth0")!;
    const before = device.rxPackets + device.txPackets;
    clock.advance(clock.now + 10e9);
    expect(device.rxPackets + device.txPackets - before).toBeLessThan(60);
  }
});
