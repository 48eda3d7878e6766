// tests/socket/random.test.ts: two sockets under arbitrary orders of write, read, end, destroy and reset over bad wires: the
// stream's contract holds, and nothing is left.

import fc from "fast-check";
import { expect, it } from "vitest";
import { drive } from "../../src/node/driver.ts";
import type { Socket } from "../../src/socket/socket.ts";
import { routed } from "../support/hosts.ts";
import { once } from "./adapter.ts";

type Side = "client" | "peer";
type Op =
  | { do: "write"; side: Side; n: number }
  | { do: "pause" | "resume" | "end" | "destroy" | "reset"; side: Side }
  | { do: "sleep"; ms: number };

const side = fc.constantFrom<Side>("client", "peer");
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("write" as const), side, n: fc.integer({ min: 0, max: 150_000 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("sleep" as const), ms: fc.integer({ min: 0, max: 400 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("pause" as const, "resume" as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("destroy" as const, "reset" as const), side }) },
);

const netem = fc.constantFrom(
  "",
  "delay 5ms",
  "delay 5ms loss 4%",
  "delay 5ms 4ms duplicate 3% reorder 10%",
  "delay 2ms corrupt 2%",
);

/** One end: what it sent, what it got, what it was told. */
class End {
  sent = 0;
  got = 0;
  wrong = false;
  readonly events: string[] = [];
  private expected = 0;

  constructor(
    readonly socket: Socket,
    private readonly salt: number,
  ) {
    socket.on("data", (d: Buffer) => {
      // the other's bytes, in order, none missing
      for (const byte of d) if (byte !== this.byte(this.expected++, 1 - this.salt)) this.wrong = true;
      this.got += d.length;
    });
    for (const e of ["end", "close"]) socket.on(e, () => this.events.push(e));
    socket.on("error", (e: NodeJS.ErrnoException) => this.events.push(e.code ?? e.message));
  }

  private byte(i: number, salt: number): number {
    return (i * 7 + (i >>> 9) + salt * 101) & 255;
  }

  write(n: number): void {
    if (!this.socket.writable) return;
    const bytes = Buffer.allocUnsafe(n);
    for (let i = 0; i < n; i++) bytes[i] = this.byte(this.sent + i, this.salt);
    this.sent += n;
    this.socket.write(bytes);
  }
}

it("the stream's contract", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(op, { maxLength: 40 }),
      netem,
      fc.integer(),
      fc.boolean(),
      async (ops, weather, seed, half) => {
        const r = routed(weather, seed >>> 0);
        const { client, server, lab } = r;
        await drive(lab.world, async () => {
          const s = server.net.createServer({ allowHalfOpen: half }).listen(80);
          const accepted = once(s, "connection");
          const mine = client.net.connect({ port: 80, host: "server", allowHalfOpen: half });
          const [a, b] = [new End(mine, 0), new End(((await accepted) as [Socket])[0], 1)];
          const ends = { client: a, peer: b };
          const graceful = { client: true, peer: true };
          for (const o of ops) {
            if (o.do === "sleep") await new Promise((resolve) => setTimeout(resolve, o.ms));
            else if (o.do === "write") ends[o.side].write(o.n);
            else if (o.do === "reset" || o.do === "destroy") {
              graceful.client = graceful.peer = false;
              // Node refuses a reset behind end(), and then tells no 'close'
              if (o.do === "reset" && !ends[o.side].socket.writableEnded) ends[o.side].socket.resetAndDestroy();
              else ends[o.side].socket.destroy();
            } else ends[o.side].socket[o.do]();
          }
          for (const { socket } of [a, b]) if (!socket.destroyed) socket.resume();
          for (const { socket } of [a, b]) if (!socket.destroyed) socket.end();
          await new Promise((resolve) => setTimeout(resolve, 3_600_000));
          expect([a.wrong, b.wrong]).toEqual([false, false]);
          for (const [one, other] of [
            [a, b],
            [b, a],
          ] as const) {
            expect(one.got).toBeLessThanOrEqual(other.sent);
            expect(one.events.filter((e) => e === "close")).toEqual(["close"]);
            expect(one.events.at(-1)).toBe("close");
            // whoever saw the end of a connection that nobody broke has all of it
            if (graceful.client && one.events[0] === "end") expect(one.got).toBe(other.sent);
          }
          // without half-open ends an early end of one side cuts the other's writing short, as in Node
          if (graceful.client && half)
            expect([a.events, b.events]).toEqual([
              ["end", "close"],
              ["end", "close"],
            ]);
          s.close();
          await new Promise((resolve) => setTimeout(resolve, 1_000));
        });
        expect([client.handles, server.handles]).toEqual([0, 0]);
        expect([client.tcp.list(), server.tcp.list()]).toEqual([[], []]);
        expect(lab.world.x.packetsInUse()).toBe(0);
      },
    ),
    { numRuns: 60, seed: 20, endOnFailure: false },
  );
});
