// RFC 9293 §3.9.2.2, §3.7.5: ICMP errors about connections.

import { describe, expect } from "vitest";
import { icmpPacket } from "../../support/drive.ts";
import { requirement } from "./requirement.ts";
import { LOCAL, PEER, Script, type Segment } from "./script.ts";

/** An error about a segment of ours: `rest` is the MTU, or a parameter problem's pointer in its first byte. */
function error(
  t: Script,
  about: Segment,
  type: number,
  code: number,
  rest = 0,
  change = (_quoted: Buffer): void => {},
): void {
  const quoted = Buffer.from(about.packet.bytes.subarray(0, 28));
  change(quoted);
  t.rx(icmpPacket("192.168.0.254", LOCAL, type, code, rest, quoted));
}

/** A connection with a segment in flight. */
function inFlight(length: number | string = "x", cfg: object = {}): { t: Script; s: Segment } {
  const t = new Script(cfg);
  t.establish();
  t.send(length);
  const s = t.sent.shift()!;
  return { t, s };
}

describe("ICMP", () => {
  requirement("MUST-47", () => {
    // an error that the connection survives is told, and is the reason when it ends after all
    const { t, s } = inFlight("x", { tlp: false });
    error(t, s, 3, 1);
    expect(t.get("SO_ERROR")).toBe("EHOSTUNREACH");
    expect(t.get("SO_ERROR")).toBe(0);
    error(t, s, 3, 0);
    t.after(2000);
    expect(t.recv()).toBe("ENETUNREACH");
    const u = new Script();
    u.connect();
    const syn = u.peer.expect("SYN");
    error(u, syn, 3, 1);
    expect(u.done).toMatchObject([{ ret: -1, errno: "EHOSTUNREACH" }]);
  });

  requirement("MUST-54", () => {
    const changes: ((q: Buffer) => void)[] = [
      (q) => q.writeUInt16BE(9999, 20), // our port
      (q) => q.writeUInt16BE(9999, 22), // the peer's
      (q) => q.writeUInt32BE(0xc0a80003, 16), // its address
      (q) => q.writeUInt32BE((q.readUInt32BE(24) + 1_000_000) >>> 0, 24), // not in flight
      (q) => q.writeUInt32BE((q.readUInt32BE(24) - 1_000_000) >>> 0, 24),
    ];
    for (const change of changes) {
      const { t, s } = inFlight();
      error(t, s, 3, 1, 0, change);
      expect(t.get("SO_ERROR")).toBe(0);
      error(t, s, 3, 4, 600, change);
      expect(t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_pmtu).toBe(1500);
      const u = new Script();
      u.connect();
      const syn = u.peer.expect("SYN");
      error(u, syn, 3, 3, 0, change);
      expect(u.state()).toBe("SYN_SENT");
    }
    const { t, s } = inFlight();
    error(t, s, 3, 1);
    expect(t.get("SO_ERROR")).toBe("EHOSTUNREACH");
  });

  requirement("MUST-55", () => {
    const { t, s } = inFlight(20000);
    const before = t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_snd_cwnd;
    error(t, s, 4, 0);
    expect(t.get("SO_ERROR")).toBe(0);
    expect(t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_snd_cwnd).toBe(before);
    const u = new Script();
    u.connect();
    error(u, u.peer.expect("SYN"), 4, 0);
    expect(u.state()).toBe("SYN_SENT");
  });

  requirement("MUST-56", () => {
    for (const [type, code] of [
      [3, 0],
      [3, 1],
      [3, 5],
      [11, 0],
      [11, 1],
      [12, 0],
    ]) {
      const { t, s } = inFlight("ping");
      for (let i = 0; i < 3; i++) error(t, s, type!, code!, 0);
      expect(t.state()).toBe("ESTABLISHED");
      t.peer.send("ACK seq=101 ack=5 data=pong");
      expect(t.recv()).toBe("pong");
      t.ignore();
      t.send("again");
      t.peer.expect("ACK seq=5 data=again");
    }
  });

  requirement("SHLD-6", () => {
    const { t, s } = inFlight(5000);
    t.ignore();
    error(t, s, 3, 4, 1000);
    t.after(1);
    expect(t.sent.length).toBeGreaterThan(0);
    for (const x of t.sent) {
      expect(x.packet.bytes.length).toBeLessThanOrEqual(1000);
      expect(x.packet.frag & 0x4000).toBe(0x4000);
    }
    expect(t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_pmtu).toBe(1000);
  });

  requirement("SHLD-25", () => {
    for (const [code, name] of [
      [0, "ENETUNREACH"],
      [1, "EHOSTUNREACH"],
      [5, "EOPNOTSUPP"],
    ] as const) {
      const { t, s } = inFlight();
      error(t, s, 3, code);
      expect(t.get("SO_ERROR")).toBe(name);
      // who asked (IP_RECVERR) hears of it by a call
      const { t: u, s: v } = inFlight();
      u.set("IP_RECVERR", 1);
      error(u, v, 3, code);
      expect(u.recv()).toBe(name);
      expect(u.state()).toBe("ESTABLISHED");
    }
  });

  // fulfilled while the connection opens; an established one goes on, as on Linux (RFC 5927 §5.2)
  requirement("SHLD-26", () => {
    for (const [code, name] of [
      [2, "ENOPROTOOPT"],
      [3, "ECONNREFUSED"],
    ] as const) {
      const u = new Script();
      u.connect();
      error(u, u.peer.expect("SYN"), 3, code);
      expect(u.done).toMatchObject([{ ret: -1, errno: name }]);
      expect(u.conns()).toEqual([]);
      const { t, s } = inFlight();
      error(t, s, 3, code);
      expect(t.state()).toBe("ESTABLISHED");
    }
    // "fragmentation needed" while it opens is about a SYN of 60 bytes: nothing to learn
    const v = new Script();
    v.connect();
    error(v, v.peer.expect("SYN"), 3, 4, 1000);
    expect(v.state()).toBe("SYN_SENT");
    expect(v.peer.address).toBe(PEER);
  });
});
