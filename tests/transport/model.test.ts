// tests/transport/model.test.ts: two stacks under arbitrary interleavings of what programs and networks do. Whatever happens,
// what comes is a prefix of what was written, in order and unchanged; the end of file comes behind all of it; both ends
// reach CLOSED, and nothing is left: no timer, no buffer, no port.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Core } from "../../src/core/core.ts";
import { parseNetem } from "../../src/host/netemwords.ts";
import type { Connection } from "../../src/transport/tcp/connection.ts";
import type { Listener } from "../../src/transport/tcp/endpoint.ts";
import { SocketError } from "../../src/transport/errno.ts";
import { coreOf } from "../support/cores.ts";
import { invariants } from "../support/tcpinvariants.ts";
import { byteAt, SERVER, tcpPair, type TcpPair } from "../support/tcppair.ts";

const MS = 1e6;
/** No other byte has this value. */
const URGENT = 255;
const dataAt = (i: number): number => byteAt(i) & 127;
const runs = Number(process.env["WIREPATH_MODEL_RUNS"] ?? 300);
const seed = Number(process.env["WIREPATH_MODEL_SEED"] ?? 7);

type Step =
  | { readonly kind: "write"; readonly end: number; readonly size: number }
  | { readonly kind: "read"; readonly end: number; readonly size: number }
  | { readonly kind: "urgent"; readonly end: number }
  | { readonly kind: "shutdown" | "close" | "abort" | "nodelay" | "cork" | "uncork" | "quickack"; readonly end: number }
  | { readonly kind: "buffer"; readonly end: number; readonly size: number }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "netem"; readonly words: string }
  | { readonly kind: "cut" | "heal" };

const end = fc.integer({ min: 0, max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("write" as const), end, size: fc.integer({ min: 1, max: 60_000 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("read" as const), end, size: fc.integer({ min: 1, max: 100_000 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(0, 1, 11, 40, 250, 1000, 30_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "shutdown" as const,
        "close" as const,
        "abort" as const,
        "nodelay" as const,
        "cork" as const,
        "uncork" as const,
        "quickack" as const,
      ),
      end,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("urgent" as const), end }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("buffer" as const),
      end,
      size: fc.constantFrom(500, 3000, 40_000, 400_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("netem" as const),
      words: fc.constantFrom(
        "delay 5ms",
        "delay 20ms 15ms",
        "delay 5ms loss 10%",
        "delay 10ms loss 40%",
        "delay 5ms duplicate 30%",
        "delay 5ms reorder 30%",
        "delay 5ms corrupt 5%",
        "rate 2mbit limit 10",
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "heal" as const) }) },
);

/** One end: what its program wrote and read, as the model knows it. */
class End {
  connection: Connection | null = null;
  written = 0;
  read = 0;
  sawEnd = false;
  /** The program gave it up, or was told that it is over. */
  gone = false;
  closed = false;
  urgent = new Set<number>();
  private readonly buffer = new Uint8Array(100_000);

  constructor(
    readonly name: string,
    private readonly salt: number,
  ) {}

  write(size: number): void {
    const c = this.connection;
    if (c === null || this.closed) return;
    const bytes = Uint8Array.from({ length: size }, (_, i) => dataAt(this.written + i + this.salt));
    try {
      this.written += c.write(bytes);
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
    }
  }

  /** Reads and compares with what the other end wrote. */
  take(size: number, other: End): void {
    const c = this.connection;
    if (c === null || this.closed) return;
    const n = c.read(this.buffer.subarray(0, size));
    for (let i = 0; i < n; i++) {
      // the urgent byte is out of line, unless a later one took its place
      while (other.urgent.has(this.read) && this.buffer[i] !== URGENT) this.read++;
      const want = other.urgent.has(this.read) ? URGENT : dataAt(this.read + other.salt);
      if (this.buffer[i] !== want) throw new Error(`${this.name}: byte ${this.read} is ${this.buffer[i]}, not ${want}`);
      this.read++;
    }
    // what was passed over
    while (other.urgent.has(this.read) && this.read < (c.copiedSeq - c.irs - 1) >>> 0) this.read++;
    if (this.read > other.written) throw new Error(`${this.name}: read ${this.read} of ${other.written}`);
    if (n === 0 && c.finReceived && c.readable === 0 && c.urgData === 0 && !this.sawEnd) {
      this.sawEnd = true;
      if (this.read !== other.written) throw new Error(`${this.name}: the end at ${this.read} of ${other.written}`);
    }
  }
}

function run(core: Core, steps: readonly Step[], worldSeed: number): void {
  const packets = core.x.packetsInUse();
  const pair: TcpPair = tcpPair(core, "delay 5ms", worldSeed);
  const { lab, client, server } = pair;
  const { clock } = lab.world;
  const ends = [new End("client", 0), new End("server", 100)] as const;
  const listener: Listener = server.listen(0, 80, 4, {
    wake() {
      const c = listener.accept();
      if (c !== null) ends[1].connection = c as Connection;
    },
  });
  const devices = [lab.nodes.get("a")!, lab.nodes.get("b")!].map((ns) => ns.byName.get("eth0")!);
  const [link] = lab.links;
  ends[0].connection = client.connect(SERVER, 80, { wake: () => {} }) as Connection;
  for (const s of steps) {
    switch (s.kind) {
      case "write":
        ends[s.end]!.write(s.size);
        break;
      case "read":
        ends[s.end]!.take(s.size, ends[1 - s.end]!);
        break;
      case "time":
        clock.advance(clock.now + s.ms * MS);
        break;
      case "netem":
        for (const d of devices) link!.setNetem(d, parseNetem(s.words));
        break;
      case "cut":
        link!.down();
        break;
      case "heal":
        link!.up();
        break;
      default:
        act(s, ends[s.end]!);
    }
    for (const e of ends) if (e.connection !== null) invariants(e.connection);
  }
  // the network is good again, and the programs read what there is and go
  link!.up();
  for (const d of devices) link!.setNetem(d, parseNetem("delay 5ms"));
  for (let i = 0; i < 70; i++) {
    for (const [k, e] of ends.entries()) {
      e.connection?.setCork(false);
      for (let n = 0; n < 4; n++) e.take(100_000, ends[1 - k]!);
      if (e.connection !== null && !e.closed && (e.sawEnd || i > 60)) {
        e.closed = true;
        e.connection.close();
      } else if (e.connection !== null && !e.closed && i === 20) {
        try {
          e.connection.shutdownWrite();
        } catch (error) {
          if (!(error instanceof SocketError)) throw error;
        }
      }
    }
    clock.advance(clock.now + (i < 40 ? 500 : 60_000) * MS);
  }
  listener.close();
  while (clock.pending > 0 && clock.now < 1e15) clock.step();
  expect({
    client: client.list(),
    server: server.list(),
    ports: client.ports.size + server.ports.size,
    packets: core.x.packetsInUse() - packets,
    rings: ends.map((e) =>
      e.connection === null || !e.closed ? 0 : e.connection.sendRing.size + e.connection.receiveRing.size,
    ),
    states: ends.map((e) => e.connection?.stateName ?? "CLOSED"),
  }).toEqual({ client: [], server: [], ports: 0, packets: 0, rings: [0, 0], states: ["CLOSED", "CLOSED"] });
}

function act(s: Step & { readonly end: number }, e: End): void {
  const c = e.connection;
  if (c === null || e.closed) return;
  try {
    switch (s.kind) {
      case "shutdown":
        return c.shutdownWrite();
      case "close":
        e.closed = true;
        return c.close();
      case "abort":
        e.closed = true;
        return c.abort();
      case "nodelay":
        return c.setNoDelay(true);
      case "cork":
        return c.setCork(true);
      case "uncork":
        return c.setCork(false);
      case "quickack":
        return c.setQuickAck(true);
      case "buffer":
        c.setReceiveBuffer(s.size);
        return c.setSendBuffer(s.size);
      case "urgent":
        if (c.writable >= 1 && c.stateName === "ESTABLISHED") {
          e.urgent.add(e.written);
          e.written += c.writeUrgent(Uint8Array.of(URGENT));
        }
        return;
      default:
    }
  } catch (error) {
    if (!(error instanceof SocketError)) throw error;
  }
}

describe("two stacks", () => {
  test("keep the stream, end, and leave nothing behind", { timeout: 600_000 }, () => {
    const core = coreOf("release");
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 1e6 }),
        (steps, worldSeed) => run(core, steps, worldSeed),
      ),
      { numRuns: runs, seed },
    );
  });
});
