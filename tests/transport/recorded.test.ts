// TCP conversations of real kernels (fixtures/oracle): each end of each is had again by our TCP, with the same segments at
// the same times and the calls that its program must have made. What we send must be what the kernel sent: flags, sequence and
// acknowledgment numbers, lengths, windows, options and their order and padding, timestamps, urgent pointers, TOS; in order,
// at the same time.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadCore } from "../../src/node/core.ts";
import { compare, replay } from "../support/kernel/conversation.ts";
import { recordedEnds } from "../support/kernel/recorded.ts";

const fixtures = join(import.meta.dirname, "../../fixtures/oracle");

interface Case {
  readonly capture: string;
  readonly ownTcpPorts: number[];
}

/** Docker's bridges show what their ports show. */
const bridges = new Set(["docker0", "br-app"]);
/** A router was between the end and where this was captured; ports of local masquerading are the capture's. */
const except = new Set(["ttl", "from", "to"]);
/** Where a timer's slot of the wheel, or the scheduler, may decide. */
const SLACK = 8_500_000;

/** Ends that do not match, and why; the names of their conversations. */
const different: Readonly<Record<string, string>> = {
  "vethweb1 172.17.0.2:80 203.0.113.10:40014": "reads between segments 20 µs apart: the window they leave",
  "198.51.100.20:8080 203.0.113.10:40021": "reads and writes of 1 MB between segments microseconds apart",
  "172.17.0.2:80 203.0.113.10:40021": "what sendfile gives nginx at a time decides where PSH is",
  ":40113": "segments that a program wrote or read between two of the other's, of the same burst",
  ":40123": "segments that a program wrote or read between two of the other's, of the same burst",
  "172.17.0.2:40124 203.0.113.10:9002": "a write and an ACK in the same microseconds: which was first",
  "198.51.100.20:40124 203.0.113.10:9002": "a write and an ACK in the same microseconds: which was first",
  "198.51.100.20:53 203.0.113.10:40412": "what a datagram-sized segment costs the recording driver's buffers",
  "198.51.100.20:8080 203.0.113.10:40507": "the program closed with data unread, and so reset",
  "198.51.100.20:8080 203.0.113.10:40530": "a timer of a second is late by a slot of the wheel, 12 ms",
  "203.0.113.10:40501 #2": "tcp_tw_reuse: the SYN of a port in TIME-WAIT echoes its last timestamp",
};

describe("conversations of real kernels", () => {
  const cases = JSON.parse(readFileSync(join(fixtures, "cases.json"), "utf8")) as Record<string, Case>;
  for (const [dir, c] of Object.entries(cases)) {
    it(dir, async () => {
      const ends = await recordedEnds(join(fixtures, dir, c.capture), c.ownTcpPorts, bridges);
      const differences: string[] = [];
      for (const talk of ends) {
        const found = compare(talk, replay(loadCore(), talk, false), SLACK, except);
        const known = Object.keys(different).find((k) => talk.name.includes(k));
        if (found !== null && known === undefined) {
          differences.push(
            `${talk.name}, ${talk.what}: at ${found.t} ms ${found.field}\n  ${found.kernel}\n  ${found.ours}`,
          );
        }
      }
      expect(differences).toEqual([]);
    });
  }
});
