// RFC 9293 §3.8: retransmission, keep-alives, window probes, delayed acknowledgements: what happens when.

import { describe, expect } from "vitest";
import { icmpPacket } from "../../support/drive.ts";
import { requirement } from "./requirement.ts";
import { Script } from "./script.ts";

/** Times at which the next `n` segments are sent; nothing answers. */
function times(t: Script, n: number, most = 1000): number[] {
  const at: number[] = [];
  for (let i = 0; i < n; i++) {
    t.untilSent(most);
    const s = t.sent.shift();
    if (s === undefined) break;
    at.push(s.t);
  }
  return at;
}

const gaps = (at: readonly number[]): number[] => at.slice(1).map((v, i) => v - at[i]!);

describe("retransmission", () => {
  requirement("MUST-18", () => {
    const t = new Script({ timestamps: false, tlp: false });
    t.establish();
    t.send("x");
    t.peer.expect("ACK seq=1 data=x");
    const [first, second] = times(t, 2);
    const rto = second! - first!;
    // the answer to the second copy comes at once: that says nothing about the round trip
    t.after(0.01);
    t.peer.send("ACK seq=101 ack=2");
    t.send("y");
    const sent = t.peer.expect("ACK seq=2 data=y").t;
    t.untilSent(100);
    expect(t.peer.expect("ACK seq=2 data=y").t - sent).toBeGreaterThanOrEqual(rto * 0.99);
  });

  requirement("MUST-19", () => {
    const t = new Script({ cc: "reno", tlp: false, initcwnd: 10, wmem: 1 << 20 });
    t.establish("win=65535 mss=1000 ws=7");
    t.send(100000);
    expect(t.sent).toHaveLength(10);
    t.ignore();
    const at = times(t, 4);
    const [a, b, c] = gaps(at);
    expect(b! / a!).toBeCloseTo(2, 1);
    expect(c! / b!).toBeCloseTo(2, 1);
    const cwnd = (): number => t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_snd_cwnd;
    expect(cwnd()).toBe(1);
    expect(t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_snd_ssthresh).toBe(5);
    // the first ten are lost; from now on all arrives, and each segment is answered
    const got = new Set<number>();
    let next = 1;
    const rounds: number[] = [];
    const arriving = [1];
    for (let round = 0; round < 14; round++) {
      for (const seq of arriving.splice(0)) {
        got.add(seq);
        while (got.has(next)) next += 1000;
        t.peer.send(`ACK seq=101 ack=${next}`);
      }
      arriving.push(...t.sent.splice(0).map((s) => (s.rawSeq - t.peer.iss!) >>> 0));
      rounds.push(cwnd());
      t.after(0.02);
    }
    // slow start up to the threshold, then a segment a round trip
    expect(rounds[0]!).toBeLessThanOrEqual(3);
    for (let i = 1; i < rounds.length; i++) {
      const before = rounds[i - 1]!;
      expect(rounds[i]!).toBeLessThanOrEqual(before < 5 ? 2 * before : before + 1);
    }
    expect(rounds.at(-1)!).toBeGreaterThan(8);
  });

  requirement("MUST-20", () => {
    const t = new Script({ tlp: false });
    t.establish();
    t.send("x");
    const sent = t.peer.expect("ACK data=x").t;
    const at = times(t, 100, 1000);
    expect(at.length).toBeGreaterThanOrEqual(3);
    // three of them change nothing; the connection is there until R2
    t.after(0);
    expect(at.at(-1)! - sent).toBeGreaterThan(100);
    t.after(200);
    expect(t.conns()).toEqual(["LISTEN"]);
    expect(t.recv()).toBe("ETIMEDOUT");
  });

  requirement("MUST-21", () => {
    const t = new Script({ tlp: false });
    t.establish();
    t.set("TCP_USER_TIMEOUT", 5000);
    t.send("x");
    t.after(4.9);
    expect(t.state()).toBe("ESTABLISHED");
    t.after(2);
    expect(t.recv()).toBe("ETIMEDOUT");
    // a longer one than R2 by default holds as well
    const u = new Script({ tlp: false });
    u.establish();
    u.set("TCP_USER_TIMEOUT", 3600_000);
    u.send("x");
    u.after(3000);
    expect(u.state()).toBe("ESTABLISHED");
    u.after(800);
    expect(u.recv()).toBe("ETIMEDOUT");
  });

  requirement("MUST-22", () => {
    const t = new Script();
    t.connect({ TCP_SYNCNT: 2 });
    const at = times(t, 50);
    // tcp_syn_linear_timeouts: four more come first
    expect(at).toHaveLength(1 + 4 + 2);
    t.after(20);
    expect(t.done).toMatchObject([{ ret: -1, errno: "ETIMEDOUT" }]);
    expect(t.conns()).toEqual([]);
  });

  // not fulfilled by Linux's defaults: tcp_syn_retries 6 with tcp_syn_linear_timeouts 4 is 131 s; with 7 it is
  requirement("MUST-23", () => {
    const end = (cfg: object): number => {
      const t = new Script(cfg);
      t.connect();
      t.after(1000);
      expect(t.done).toMatchObject([{ ret: -1, errno: "ETIMEDOUT" }]);
      return t.done[0]!["t"] / 1e6;
    };
    expect(end({})).toBeCloseTo(131, 0);
    expect(end({ syn_retries: 7 })).toBeGreaterThan(180);
  });

  requirement("SHLD-9", () => {
    const t = new Script({ tlp: false });
    t.establish();
    t.send("x");
    const s = t.peer.expect("ACK seq=1 data=x");
    times(t, 4);
    t.rx(icmp(s.packet.bytes, 3, 1));
    expect(t.get("SO_ERROR")).toBe("EHOSTUNREACH");
    expect(t.state()).toBe("ESTABLISHED");
  });

  requirement("SHLD-10", () => {
    const t = new Script({ tlp: false });
    t.establish();
    t.send("x");
    t.ignore();
    expect(times(t, 3)).toHaveLength(3);
    expect(t.get("SO_ERROR")).toBe(0);
    t.peer.send("ACK seq=101 ack=2");
    expect(t.state()).toBe("ESTABLISHED");
    expect(t.get("SIOCOUTQ")).toBe(0);
  });

  requirement("SHLD-11", () => {
    const t = new Script();
    t.establish();
    t.send("x");
    t.after(100);
    expect(t.state()).toBe("ESTABLISHED");
    t.after(1500);
    expect(t.recv()).toBe("ETIMEDOUT");
  });
});

describe("keep-alive", () => {
  requirement("MUST-24", () => {
    const t = new Script({ keepalive: { idle: 10, intvl: 2, cnt: 3 } });
    t.establish();
    t.set("SO_KEEPALIVE", 1);
    expect(t.get("SO_KEEPALIVE")).toBe(1);
    t.after(9.9);
    t.silence();
    t.after(0.2);
    t.peer.expect("ACK seq=0 ack=101 len=0");
    t.after(10);
    expect(t.recv()).toBe("ETIMEDOUT");
  });

  requirement("MUST-25", () => {
    const t = new Script();
    t.establish();
    t.after(3 * 3600);
    t.silence();
    expect(t.state()).toBe("ESTABLISHED");
  });

  requirement("MUST-26", () => {
    const t = new Script();
    t.establish();
    t.set("SO_KEEPALIVE", 1);
    t.set("TCP_KEEPIDLE", 10);
    t.after(8);
    t.peer.send("ACK seq=101 ack=1 data=x");
    t.after(1);
    t.ignore();
    t.after(8.9);
    t.silence();
    t.after(0.3);
    t.peer.expect("ACK seq=0 ack=102 len=0");
    // data in flight needs no probe: its own timer asks
    const u = new Script({ tlp: false });
    u.establish();
    u.set("TCP_KEEPIDLE", 1);
    u.set("SO_KEEPALIVE", 1);
    u.send("x");
    u.after(20);
    for (const s of u.sent) expect(s.data.toString()).toBe("x");
  });

  requirement("MUST-27", () => {
    const t = new Script();
    t.establish();
    t.set("TCP_KEEPIDLE", 3);
    t.set("TCP_KEEPINTVL", 2);
    t.set("TCP_KEEPCNT", 4);
    t.set("SO_KEEPALIVE", 1);
    expect([t.get("TCP_KEEPIDLE"), t.get("TCP_KEEPINTVL"), t.get("TCP_KEEPCNT")]).toEqual([3, 2, 4]);
    t.after(60);
    expect(t.sent.filter((s) => s.flags === "ACK").map((s) => Math.round(s.t))).toEqual([3, 5, 7, 9]);
    expect(t.recv()).toBe("ETIMEDOUT");
  });

  requirement("MUST-28", () => {
    const t = new Script();
    t.establish();
    t.set("SO_KEEPALIVE", 1);
    expect(t.get("TCP_KEEPIDLE")).toBe(7200);
    t.after(7199);
    t.silence();
    t.after(2);
    t.peer.expect("ACK seq=0 len=0");
  });

  requirement("MUST-29", () => {
    const t = new Script({ keepalive: { idle: 10, intvl: 2, cnt: 3 } });
    t.establish();
    t.set("SO_KEEPALIVE", 1);
    t.after(10.1);
    t.peer.expect("ACK seq=0");
    t.after(2);
    t.peer.expect("ACK seq=0");
    t.peer.send("ACK seq=101 ack=1");
    t.after(9);
    t.silence();
    expect(t.state()).toBe("ESTABLISHED");
  });

  requirement("SHLD-12", () => {
    const t = new Script({ keepalive: { idle: 10, intvl: 2, cnt: 9 } });
    t.establish();
    t.set("SO_KEEPALIVE", 1);
    t.after(20);
    expect(t.sent.length).toBeGreaterThan(3);
    for (const s of t.sent) expect(s.data).toHaveLength(0);
  });
});

describe("zero window", () => {
  /** Data waits, the peer's window is shut. */
  function shut(cfg: object = {}): Script {
    const t = new Script(cfg);
    t.establish("win=4000 mss=1000", "win=4000");
    t.send(8000);
    for (const seq of [1, 1001, 2001, 3001]) t.peer.expect(`ACK seq=${seq} len=1000`);
    t.after(0.1);
    t.peer.send("ACK seq=101 ack=4001 win=0");
    t.silence();
    return t;
  }

  requirement("MUST-35", () => {
    const t = shut();
    t.untilSent(100);
    t.peer.expect("ACK seq=4000 len=0");
    t.peer.send("ACK seq=101 ack=4001 win=1000");
    t.peer.expect("ACK seq=4001 len=1000");
  });

  requirement("MUST-36", () => {
    const t = shut();
    const at = times(t, 5);
    const [a, b, c, d] = gaps(at);
    for (const [x, y] of [
      [a, b],
      [b, c],
      [c, d],
    ])
      expect(y! / x!).toBeCloseTo(2, 0);
  });

  requirement("MUST-37", () => {
    const t = shut();
    for (let s = 0; s < 3600;) {
      t.untilSent(200);
      if (t.sent.length === 0) break;
      s = t.sent.at(-1)!.t;
      t.ignore();
      t.peer.send("ACK seq=101 ack=4001 win=0");
    }
    expect(t.state()).toBe("ESTABLISHED");
    expect(t.now).toBeGreaterThan(3600);
    t.ignore();
    t.peer.send("ACK seq=101 ack=4001 win=5000");
    t.peer.expect("ACK seq=4001 len=1000");
  });

  requirement("SHLD-29", () => {
    const t = shut();
    const shutAt = 0.1;
    const rto = t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_rto / 1e6;
    t.untilSent(100);
    expect(t.peer.expect("ACK seq=4000 len=0").t - shutAt).toBeCloseTo(rto, 2);
  });

  requirement("SHLD-30", () => {
    const t = shut();
    const at = times(t, 12, 500);
    const g = gaps(at);
    for (let i = 1; i < g.length; i++) expect(g[i]).toBeGreaterThanOrEqual(Math.min(g[i - 1]! * 1.99, 119));
    expect(Math.max(...g)).toBeLessThanOrEqual(120.1);
  });
});

describe("acknowledgements", () => {
  requirement("MUST-40", () => {
    for (const quickack of [true, false]) {
      const t = new Script({ quickack });
      t.establish();
      for (let i = 0; i < 30; i++) {
        t.peer.send(`ACK seq=${101 + i * 10} ack=1 len=10`);
        const before = t.now;
        t.untilSent(0.5);
        expect(t.peer.expect(`ACK ack=${111 + i * 10}`).t - before).toBeLessThan(0.5);
        t.after(0.7);
      }
    }
  });

  requirement("MUST-58", () => {
    // packets come one at a time: an ACK for every second segment at most, once the first ones were hurried
    const t = new Script();
    t.establish();
    let seq = 101;
    for (let i = 0; i < 60; i++) {
      t.peer.send(`ACK seq=${seq} ack=1 len=1460`);
      seq += 1460;
      t.recv();
    }
    t.ignore();
    for (let i = 0; i < 40; i++) {
      t.peer.send(`ACK seq=${seq} ack=1 len=1460`);
      seq += 1460;
    }
    expect(t.sent.length).toBeLessThanOrEqual(21);
  });

  requirement("MUST-59", () => {
    // as MUST-58: and none is held back for ever
    const t = new Script();
    t.establish();
    t.peer.send("ACK seq=101 ack=1 len=1460");
    t.peer.send("ACK seq=1561 ack=1 len=1460");
    t.after(0.5);
    expect(t.sent.at(-1)!.rawAck).toBe(3021);
  });

  requirement("SHLD-18", () => {
    const t = new Script({ quickack: false });
    t.establish();
    t.peer.send("ACK seq=101 ack=1 len=10");
    t.silence();
    t.untilSent(0.5);
    expect(t.peer.expect("ACK seq=1 ack=111").t).toBeGreaterThan(0.03);
  });

  requirement("SHLD-19", () => {
    const t = new Script({ quickack: false });
    t.establish();
    t.peer.send("ACK seq=101 ack=1 len=1460");
    t.silence();
    t.recv();
    t.silence();
    t.peer.send("ACK seq=1561 ack=1 len=1460");
    t.recv();
    t.peer.expect("ACK seq=1 ack=3021");
    expect(t.now).toBe(0);
  });
});

/** An ICMP error about a packet that was sent. */
function icmp(about: Buffer, type: number, code: number): Buffer {
  return icmpPacket("192.168.0.2", "192.168.0.1", type, code, 0, about.subarray(0, 28));
}
