// tests/support/tcpinvariants.ts: what holds of a connection between any two segments.

import { expect } from "vitest";
import type { Connection } from "../../src/transport/tcp/connection.ts";
import { State } from "../../src/transport/tcp/state.ts";

export function invariants(c: Connection): void {
  let sacked = 0;
  let lost = 0;
  let retrans = 0;
  let next = c.sent.length > 0 ? c.sent.at(0).seq : c.sndNxt;
  for (let i = 0; i < c.sent.length; i++) {
    const s = c.sent.at(i);
    expect(s.seq).toBe(next);
    next = s.end;
    sacked += s.tagged & 1;
    retrans += (s.tagged >> 1) & 1;
    lost += (s.tagged >> 2) & 1;
  }
  expect(next).toBe(c.sndNxt);
  if (c.sackOk) expect([c.sackedOut, c.lostOut, c.retransOut]).toEqual([sacked, lost, retrans]);
  expect((c.sndNxt - c.sndUna) | 0).toBeGreaterThanOrEqual(0);
  expect((c.writeSeq - c.sndNxt) | 0).toBeGreaterThanOrEqual(0);
  expect((c.rcvNxt - c.copiedSeq) | 0).toBeGreaterThanOrEqual(0);
  // buffers are bounded, and hold what they must
  expect(c.sendRing.size).toBeLessThanOrEqual(Math.max(2048, 4 * c.config.sendBufferMax));
  expect(c.receiveRing.size).toBeLessThanOrEqual(Math.max(131072, 2 * c.config.receiveBufferMax));
  if (c.state !== State.Closed) expect(c.cwnd).toBeGreaterThan(0);
}
