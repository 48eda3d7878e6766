// RFC 9293 §3.7.4, §3.8.6: Nagle, windows that shrink, silly windows, pushes, what comes out of order.

import { describe, expect } from "vitest";
import { requirement } from "./requirement.ts";
import { Script, hasPush } from "./script.ts";

/** Five segments are in flight, then the peer takes its window back to `win` bytes. */
function shrunk(win: number): Script {
  const t = new Script({ tlp: false });
  t.establish("win=8000 mss=1000", "win=8000");
  t.send(10000);
  for (let i = 0; i < 8; i++) t.peer.expect(`ACK seq=${1 + i * 1000} len=1000`);
  t.silence();
  t.peer.send(`ACK seq=101 ack=1001 win=${win}`);
  return t;
}

describe("sending", () => {
  requirement("MUST-17", () => {
    const t = new Script();
    t.establish();
    t.set("TCP_NODELAY", 1);
    t.send("a");
    t.send("b");
    t.peer.expect("ACK seq=1 data=a");
    t.peer.expect("ACK seq=2 data=b");
  });

  requirement("SHLD-7", () => {
    const t = new Script();
    t.establish();
    t.send("a");
    t.peer.expect("ACK seq=1 data=a");
    t.send("b");
    t.send("c");
    t.silence();
    t.peer.send("ACK seq=101 ack=2");
    t.peer.expect("ACK seq=2 data=bc");
  });

  requirement("MUST-34", () => {
    const t = shrunk(2000);
    t.silence();
    expect(t.state()).toBe("ESTABLISHED");
    t.after(3);
    expect(t.sent.length).toBeGreaterThan(0);
    // what is sent again lies inside of what is left of it
    for (const s of t.sent) expect((s.rawSeq - t.peer.iss! + s.data.length) >>> 0).toBeLessThanOrEqual(3001);
    t.ignore();
    t.peer.send("ACK seq=101 ack=8001 win=8000");
    t.peer.expect("ACK seq=8001 len=1000");
    t.peer.expect("ACK seq=9001 len=1000");
  });

  requirement("SHLD-15", () => {
    const t = shrunk(2000);
    t.peer.send("ACK seq=101 ack=3001 win=500");
    t.after(20);
    for (const s of t.sent) expect((s.rawSeq - t.peer.iss!) >>> 0).toBeLessThan(8001);
  });

  requirement("SHLD-16", () => {
    const t = shrunk(2000);
    t.untilSent(10);
    t.peer.expect("ACK seq=1001 len=1000");
  });

  requirement("SHLD-17", () => {
    // the peer answers and never opens again: hours pass
    const t = shrunk(0);
    for (let at = 0; at < 7200;) {
      t.untilSent(300);
      if (t.sent.length === 0) break;
      at = t.sent.at(-1)!.t;
      t.ignore();
      t.peer.send("ACK seq=101 ack=1001 win=0");
    }
    expect(t.now).toBeGreaterThan(7200);
    expect(t.state()).toBe("ESTABLISHED");
    t.ignore();
    t.peer.send("ACK seq=101 ack=8001 win=8000");
    t.peer.expect("ACK seq=8001 len=1000");
  });

  requirement("MUST-38", () => {
    const t = new Script({ tlp: false });
    t.establish("win=4000 mss=1000", "win=4000");
    t.send(8000);
    t.ignore();
    t.after(0.05);
    t.peer.send("ACK seq=101 ack=4001 win=0");
    for (const win of [1, 100, 500, 999]) {
      t.peer.send(`ACK seq=101 ack=4001 win=${win}`);
      t.silence();
    }
    t.peer.send("ACK seq=101 ack=4001 win=1000");
    t.peer.expect("ACK seq=4001 len=1000");
    t.silence();
  });

  requirement("MUST-60", () => {
    const t = new Script();
    t.establish();
    t.set("TCP_CORK", 1);
    t.send("held");
    t.silence();
    t.after(1);
    t.peer.expect("ACK seq=1 data=held");
    const u = new Script();
    u.establish();
    u.send("more", ["MSG_MORE"]);
    u.silence();
    u.after(1);
    u.peer.expect("ACK seq=1 data=more");
  });

  requirement("MUST-61", () => {
    const t = new Script();
    t.establish("win=65535 mss=1000");
    t.send(2500);
    const parts = t.sent.splice(0);
    expect(parts.map((s) => s.data.length)).toEqual([1000, 1000, 500]);
    expect(hasPush(parts[2]!)).toBe(true);
    t.peer.send("ACK seq=101 ack=2501");
    t.send("single");
    expect(hasPush(t.peer.expect("ACK data=single"))).toBe(true);
  });

  requirement("MUST-62", () => {
    const t = new Script();
    t.establish();
    t.result("send", { fd: t.fd, data: Buffer.from("abc").toString("hex"), flags: ["MSG_OOB"] });
    t.peer.expect("ACK,URG seq=1 data=abc urg=3");
  });

  requirement("SHLD-27", () => {
    const t = new Script();
    t.establish("win=65535 mss=1000");
    t.send("a");
    t.peer.expect("ACK data=a");
    for (let i = 0; i < 50; i++) t.send(10);
    t.peer.send("ACK seq=101 ack=2");
    const s = t.peer.expect("ACK seq=2 len=500");
    expect(hasPush(s)).toBe(true);
    t.silence();
  });

  requirement("SHLD-28", () => {
    const t = new Script({ initcwnd: 20 });
    t.establish("win=65535 mss=1000");
    t.set("TCP_CORK", 1);
    for (let i = 0; i < 95; i++) t.send(100);
    expect(t.sent.map((s) => s.data.length)).toEqual(Array.from({ length: 9 }, () => 1000));
    t.ignore();
    t.set("TCP_CORK", 0);
    t.peer.expect("ACK seq=9001 len=500");
  });

  requirement("SHLD-8", () => {
    const t = new Script({ ecn: 1 });
    t.connect();
    t.peer.expect("SYN,ECE,CWR");
    t.peer.send("SYN,ACK,ECE seq=100 ack=1 mss=1000");
    t.peer.expect("ACK seq=1 ack=101");
    t.send("x");
    // data is ECT(0)
    t.peer.expect("ACK data=x tos=2");
    t.peer.send("ACK seq=101 ack=2");
    // CE is echoed until CWR comes
    t.peer.send("ACK seq=101 ack=2 data=one tos=3");
    t.after(0.3);
    expect(t.sent.at(-1)!.flags).toBe("ACK,ECE");
    t.ignore();
    t.peer.send("ACK seq=104 ack=2 data=two tos=2");
    t.after(0.3);
    expect(t.sent.at(-1)!.flags).toBe("ACK,ECE");
    t.ignore();
    t.peer.send("ACK,CWR seq=107 ack=2 data=three tos=2");
    t.after(0.3);
    expect(t.sent.at(-1)!.flags).toBe("ACK");
    t.ignore();
    // and our own answer to ECE is CWR, once
    t.send(3000);
    t.ignore();
    t.peer.send("ACK,ECE seq=112 ack=1002");
    t.after(0.3);
    t.send(500);
    t.peer.send("ACK seq=112 ack=3002");
    t.after(0.3);
    expect(t.sent.filter((s) => s.flags === "ACK,CWR")).toHaveLength(1);
    // asked by the peer, it is answered
    const u = new Script({ ecn: 2 });
    u.listen();
    u.peer.send("SYN,ECE,CWR seq=100");
    u.peer.expect("SYN,ACK,ECE seq=0 ack=101");
    const v = new Script({ ecn: 0 });
    v.listen();
    v.peer.send("SYN,ECE,CWR seq=100");
    v.peer.expect("SYN,ACK seq=0 ack=101");
  });
});

describe("receiving", () => {
  requirement("MUST-39", () => {
    const t = new Script({ rmem: 8192 });
    t.establish("win=65535 mss=1460");
    let seq = 101;
    let win = 65535;
    for (let i = 0; i < 40 && win > 0; i++) {
      const n = Math.min(1000, win);
      t.peer.send(`ACK seq=${seq} ack=1 len=${n}`);
      seq += n;
      t.after(0.3);
      win = t.sent.at(-1)!.window;
    }
    expect(win).toBe(0);
    t.ignore();
    // small reads say nothing, until a segment or half of the buffer is free
    let read = 0;
    while (t.sent.length === 0 && read < 8192) {
      expect(String(t.recv(50))).toHaveLength(50);
      read += 50;
    }
    expect(read).toBeGreaterThan(50);
    // the peer's segments were of 1,000 bytes
    expect(t.peer.expect("ACK").window).toBeGreaterThanOrEqual(1000);
  });

  requirement("SHLD-14", () => {
    const t = new Script({ rmem: 16384 });
    t.establish("win=65535 mss=1460");
    let seq = 101;
    let edge = 0;
    const look = (): void => {
      for (const s of t.sent.splice(0)) {
        const right = s.rawAck + s.window;
        expect(right).toBeGreaterThanOrEqual(edge);
        edge = right;
      }
    };
    for (let i = 0; i < 300; i++) {
      const n = Math.min(1 + ((i * 331) % 1460), edge === 0 ? 1000 : edge - seq);
      if (n > 0) {
        t.peer.send(`ACK seq=${seq} ack=1 len=${n}`);
        seq += n;
      }
      if (i % 3 === 0) t.after(0.25);
      if (i % 7 === 0) t.recv((i * 97) % 2000);
      // the buffer is made smaller in between
      if (i === 100) t.set("SO_RCVBUF", 3000);
      look();
    }
    expect(edge).toBeGreaterThan(10000);
  });

  requirement("SHLD-31", () => {
    const t = new Script();
    t.establish("win=65535 mss=1000 sackok");
    t.peer.send("ACK seq=104 ack=1 data=def");
    t.peer.expect("ACK seq=1 ack=101 sack=104-107");
    t.peer.send("ACK seq=110 ack=1 data=jkl");
    t.peer.expect("ACK ack=101 sack=110-113;104-107");
    expect(t.recv()).toBe("EAGAIN");
    t.peer.send("ACK seq=101 ack=1 data=abc");
    t.peer.expect("ACK ack=107 sack=110-113");
    expect(t.recv()).toBe("abcdef");
    t.peer.send("ACK seq=107 ack=1 data=ghi");
    t.peer.expect("ACK ack=113");
    expect(t.recv()).toBe("ghijkl");
  });
});
