// RFC 2883: what came twice is told in the first SACK block.

import { test } from "vitest";
import { Script } from "./rfc9293/script.ts";

test("a segment that fills gaps over stretches that are held: the first of them came twice", () => {
  const t = new Script();
  t.establish("win=65535 mss=1000 sackok");
  t.peer.send("ACK seq=1101 ack=1 len=1000");
  t.peer.expect("ACK ack=101 sack=1101-2101");
  t.peer.send("ACK seq=3101 ack=1 len=1000");
  t.peer.expect("ACK ack=101 sack=3101-4101;1101-2101");
  t.peer.send("ACK seq=6101 ack=1 len=1000");
  t.peer.expect("ACK ack=101 sack=6101-7101;3101-4101;1101-2101");
  t.peer.send("ACK seq=101 ack=1 len=5000");
  t.peer.expect("ACK ack=5101 sack=1101-2101;6101-7101");
  // below what is expected, and inside of what is held
  t.peer.send("ACK seq=101 ack=1 len=1000");
  t.peer.expect("ACK ack=5101 sack=101-1101;6101-7101");
  t.peer.send("ACK seq=6301 ack=1 len=100");
  t.peer.expect("ACK ack=5101 sack=6301-6401;6101-7101");
});
