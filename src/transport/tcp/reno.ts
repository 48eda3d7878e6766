// src/transport/tcp/reno.ts: RFC 5681.

import { additiveIncrease, type Congestion, inSlowStart, isCwndLimited, slowStart } from "./congestion.ts";
import type { Connection } from "./connection.ts";

export class Reno implements Congestion {
  readonly name = "reno";

  /** RFC 5681 §3.1 (4) with the window in place of the flight, as Linux does. */
  ssthresh(c: Connection): number {
    return Math.max(c.cwnd >> 1, 2);
  }

  avoid(c: Connection, _ack: number, acked: number): void {
    if (!isCwndLimited(c)) return;
    if (inSlowStart(c)) {
      acked = slowStart(c, acked);
      if (acked === 0) return;
    }
    additiveIncrease(c, c.cwnd, acked);
  }
}
