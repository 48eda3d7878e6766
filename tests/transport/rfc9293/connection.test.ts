// RFC 9293 §3.4 to §3.6, §3.9: opening, closing, sequence numbers, addresses, calls.

import { describe, expect } from "vitest";
import { requirement } from "./requirement.ts";
import { LOCAL, PEER, PEER_PORT, PORT, Peer, Script } from "./script.ts";

describe("connections", () => {
  requirement("MUST-8", () => {
    const isn = (wait: number): number => {
      const t = new Script();
      t.after(wait);
      t.connect();
      return t.peer.expect("SYN").rawSeq;
    };
    const first = isn(0);
    for (const wait of [0.001, 1, 100]) {
      const ahead = (isn(wait) - first) >>> 0;
      expect(Math.abs(ahead - (wait * 1e6) / 4)).toBeLessThanOrEqual(2);
    }
  });

  requirement("MUST-9", () => {
    const t = new Script();
    t.listen();
    const isns: number[] = [];
    for (let port = 4000; port < 4200; port++) {
      t.peer = new Peer(t, PEER, port);
      t.peer.send("SYN seq=100");
      isns.push(t.peer.expect("SYN,ACK").rawSeq);
    }
    const steps = isns.slice(1).map((n, i) => (n - isns[i]!) >>> 0);
    expect(new Set(steps).size).toBe(steps.length);
    // they fill the space: each sixteenth has its share
    const shares = Array.from({ length: 16 }, () => 0);
    for (const n of isns) shares[n >>> 28]!++;
    for (const n of shares) expect(n).toBeGreaterThan(2);
    // another seed, other numbers
    const u = new Script({ seed: 99 });
    u.connect();
    const v = new Script({ seed: 98 });
    v.connect();
    expect(u.peer.expect("SYN").rawSeq).not.toBe(v.peer.expect("SYN").rawSeq);
  });

  requirement("SHLD-1", () => {
    // the same as MUST-9, over remote addresses
    const isns = new Set<number>();
    for (let i = 1; i < 50; i++) {
      const t = new Script();
      t.peer = new Peer(t, `192.168.1.${i}`);
      t.listen();
      t.peer.send("SYN seq=100");
      isns.add(t.peer.expect("SYN,ACK").rawSeq >>> 20);
    }
    expect(isns.size).toBeGreaterThan(45);
  });

  requirement("MUST-10", () => {
    const t = new Script();
    t.connect();
    t.peer.expect("SYN seq=0");
    t.peer.send("SYN seq=100 win=65535 mss=1460");
    t.peer.expect("SYN,ACK seq=0 ack=101");
    expect(t.conns()).toEqual(["SYN_RECV"]);
    t.peer.send("SYN,ACK seq=100 ack=1 win=65535");
    expect(t.state()).toBe("ESTABLISHED");
    expect(t.done).toMatchObject([{ ret: 0 }]);
    t.ignore();
    t.send("hello");
    t.peer.expect("ACK seq=1 ack=101 data=hello");
  });

  requirement("MUST-11", () => {
    const t = new Script();
    t.listen();
    t.peer.send("SYN seq=100");
    t.peer.expect("SYN,ACK seq=0 ack=101");
    t.peer.send("RST seq=101");
    t.after(5);
    t.silence();
    expect(t.conns()).toEqual(["LISTEN"]);
    t.establish();
    // an active open that is in SYN-RCVD by a crossing SYN
    const u = new Script();
    u.connect();
    u.peer.expect("SYN seq=0");
    u.peer.send("SYN seq=100");
    u.peer.expect("SYN,ACK seq=0 ack=101");
    u.peer.send("RST seq=101");
    expect(u.done).toMatchObject([{ ret: -1, errno: "ECONNREFUSED" }]);
    // and one in SYN-SENT
    const v = new Script();
    v.connect();
    v.peer.expect("SYN seq=0");
    v.peer.send("RST,ACK seq=0 ack=1");
    expect(v.done).toMatchObject([{ ret: -1, errno: "ECONNREFUSED" }]);
  });

  requirement("MUST-12", () => {
    const t = new Script();
    t.establish();
    t.peer.send("RST seq=101");
    expect(t.recv()).toBe("ECONNRESET");
    expect(t.recv()).toBe("");
    expect(t.send("x")).toBe("EPIPE");
    // a read that waits as well
    const u = new Script();
    u.establish();
    expect(u.result("recv", { fd: u.fd, len: 10 })).toBe("pending");
    u.peer.send("RST seq=101");
    expect(u.done.at(-1)).toMatchObject({ ret: -1, errno: "ECONNRESET" });
  });

  requirement("MUST-13", () => {
    const t = new Script();
    t.establish();
    t.call("close", { fd: t.fd });
    t.peer.expect("FIN,ACK seq=1 ack=101");
    t.peer.send("FIN,ACK seq=101 ack=2");
    t.peer.expect("ACK seq=2 ack=102");
    expect(t.conns()).toContain("TIME_WAIT");
    for (let i = 0; i < 5; i++) {
      t.after(10);
      t.peer.send("FIN,ACK seq=101 ack=2");
      t.peer.expect("ACK seq=2 ack=102");
    }
    // each FIN begins 2 MSL again: 60 s
    t.after(59);
    expect(t.conns()).toContain("TIME_WAIT");
    t.after(2);
    expect(t.conns()).toEqual(["LISTEN"]);
    t.peer.send("SYN seq=5000 win=65535");
    t.peer.expect("SYN,ACK seq=0 ack=5001");
  });

  requirement("MUST-30", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK,URG seq=101 ack=1 urg=3 data=abcdef");
    expect(t.recv(100, ["MSG_OOB"])).toBe("c");
    expect(t.recv()).toBe("ab");
    expect(t.recv()).toBe("def");
  });

  requirement("MUST-31", () => {
    const t = new Script({ initcwnd: 200, wmem: 1 << 20 });
    t.establish("win=65535 mss=1460 ws=7");
    t.peer.send("ACK seq=101 ack=1 win=65535");
    expect(t.result("send", { fd: t.fd, len: 100000, flags: ["MSG_OOB", "MSG_DONTWAIT"] })).toBe(100000);
    t.after(0.1);
    let end = 1;
    for (const s of t.sent) {
      expect(s.flags).toBe("ACK,URG");
      // all of them point ahead; what is too far is told as far as the field goes
      expect(s.urgent).toBe(Math.min(100001 - end, 0xffff));
      end += s.data.length;
    }
    expect(end).toBe(100001);
    // and received: one urgent mark behind the other, more than 64 KiB of them
    const u = new Script();
    u.establish();
    let seq = 101;
    for (let i = 0; i < 60; i++) {
      u.peer.send(`ACK,URG seq=${seq} ack=1 urg=1400 len=1400`);
      seq += 1400;
      expect(u.recv(100, ["MSG_OOB"])).toBe("x");
      expect(String(u.recv()).length + String(u.recv()).length).toBeGreaterThan(0);
    }
  });

  requirement("MUST-32", () => {
    const t = new Script();
    t.establish();
    expect(t.result("poll", { fds: [{ fd: t.fd, events: ["POLLPRI"] }], timeout_ms: -1 })).toBe("pending");
    t.peer.send("ACK seq=101 ack=1 data=plain");
    expect(t.done).toEqual([]);
    t.peer.send("ACK,URG seq=106 ack=1 urg=1 data=!");
    expect(t.done).toMatchObject([{ ret: 1, revents: [["POLLPRI"]] }]);
  });

  requirement("MUST-33", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK,URG seq=101 ack=1 urg=4 data=abcdef");
    expect(t.get("SIOCATMARK")).toBe(0);
    expect(t.recv(2)).toBe("ab");
    expect(t.get("SIOCATMARK")).toBe(0);
    expect(t.recv(100)).toBe("c");
    expect(t.get("SIOCATMARK")).toBe(1);
    expect(t.recv()).toBe("ef");
    expect(t.get("SIOCATMARK")).toBe(0);
  });

  requirement("MUST-41", () => {
    const t = new Script();
    t.establish();
    const second = new Peer(t, PEER, 4001);
    second.send("SYN seq=900 win=65535");
    second.expect("SYN,ACK seq=0 ack=901");
    second.send("ACK seq=901 ack=1");
    t.call("close", { fd: t.server });
    t.ignore();
    t.peer.send("ACK seq=101 ack=1 data=still");
    expect(t.recv()).toBe("still");
    t.ignore();
    expect(t.send("here")).toBe(4);
    t.peer.expect("ACK seq=1 ack=106 data=here");
  });

  requirement("MUST-42", () => {
    const t = new Script();
    t.establish();
    t.call("close", { fd: t.server });
    t.listen();
    const other = new Peer(t, PEER, 4001);
    other.send("SYN seq=900 win=65535");
    other.expect("SYN,ACK seq=0 ack=901");
    t.peer.send("ACK seq=101 ack=1 data=both");
    expect(t.recv()).toBe("both");
  });

  requirement("MUST-43", () => {
    const t = new Script({
      dev: [
        { name: "tun0", kind: "ip", ip: LOCAL, prefix: 16 },
        { name: "tun1", kind: "ip", ip: "10.9.0.1", prefix: 16 },
      ],
    });
    t.listen(5, "10.9.0.1");
    t.peer.send("SYN seq=100");
    t.peer.expect("RST,ACK seq=0 ack=101");
    const there = new Peer(t, PEER, 4002, PORT, "10.9.0.1");
    there.send("SYN seq=100");
    there.expect("SYN,ACK seq=0 ack=101");
  });

  requirement("MUST-44", () => {
    const t = new Script({
      dev: [
        { name: "tun0", kind: "ip", ip: LOCAL, prefix: 16 },
        { name: "tun1", kind: "ip", ip: "10.9.0.1", prefix: 16 },
      ],
      routes: [{ dst: "172.16.0.0/12", via: "10.9.0.2", dev: "tun1" }],
    });
    for (const [to, from, dev] of [
      [PEER, LOCAL, "tun0"],
      ["10.9.3.4", "10.9.0.1", "tun1"],
      ["172.16.0.1", "10.9.0.1", "tun1"],
    ]) {
      const fd = t.socket();
      t.call("connect", { fd, ip: to, port: 80 });
      const s = t.peer.expect("SYN");
      expect([s.packet.src, s.packet.dev]).toEqual([from, dev]);
    }
  });

  requirement("MUST-45", () => {
    const t = new Script({
      dev: [
        { name: "tun0", kind: "ip", ip: LOCAL, prefix: 16 },
        { name: "tun1", kind: "ip", ip: "10.9.0.1", prefix: 16 },
      ],
    });
    t.peer = new Peer(t, PEER, PEER_PORT, PORT, "10.9.0.1");
    t.establish();
    t.send(3000);
    t.peer.send("ACK seq=101 ack=1 data=x");
    t.after(3);
    t.call("close", { fd: t.fd });
    t.after(3);
    expect(t.all.length).toBeGreaterThan(4);
    for (const p of t.all) expect(p.src).toBe("10.9.0.1");
  });

  requirement("MUST-46", () => {
    const t = new Script();
    for (const ip of ["255.255.255.255", "192.168.255.255", "224.0.0.1", "239.1.2.3"]) {
      const fd = t.socket();
      expect(t.result("connect", { fd, ip, port: 80 })).toBe("ENETUNREACH");
    }
    t.after(5);
    expect(t.all).toEqual([]);
  });

  requirement("MUST-66", () => {
    const t = new Script({ rmem: 8192 });
    t.establish("win=65535 mss=1460");
    let seq = 101;
    let win = 65535;
    for (let i = 0; i < 40 && win > 0; i++) {
      const n = Math.min(1000, win === 65535 ? 1000 : win);
      t.peer.send(`ACK seq=${seq} ack=1 len=${n}`);
      seq += n;
      t.after(0.3);
      win = t.sent.at(-1)!.window;
    }
    expect(win).toBe(0);
    t.ignore();
    // acknowledgements of our data count
    t.send("mine");
    t.peer.expect("ACK seq=1 data=mine win=0");
    t.peer.send(`ACK seq=${seq} ack=5`);
    expect(t.get("SIOCOUTQ")).toBe(0);
    // urgent data is announced
    t.peer.send(`ACK,URG seq=${seq} ack=5 urg=10`);
    expect(t.result("poll", { fds: [{ fd: t.fd, events: ["POLLIN"] }], timeout_ms: 0 })).toBe(1);
    // and a reset ends it
    t.peer.send(`RST seq=${seq}`);
    expect(t.conns()).toEqual(["LISTEN"]);
  });

  requirement("SHLD-2", () => {
    const t = new Script();
    t.establish();
    t.peer.send("RST seq=101 data=reason");
    expect(t.recv()).toBe("ECONNRESET");
    const u = new Script();
    u.connect();
    u.peer.expect("SYN");
    u.peer.send("RST,ACK seq=0 ack=1 data=reason");
    expect(u.done).toMatchObject([{ errno: "ECONNREFUSED" }]);
  });

  requirement("SHLD-3", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK seq=101 ack=1 data=unread");
    t.peer.expect("ACK ack=107");
    t.call("close", { fd: t.fd });
    t.peer.expect("RST,ACK seq=1 ack=107");
    expect(t.conns()).toEqual(["LISTEN"]);
  });

  requirement("SHLD-4", () => {
    const t = new Script();
    t.listen();
    t.peer.send("SYN seq=100 win=65535 ts=1000:0");
    t.peer.expect("SYN,ACK seq=0");
    t.peer.send("ACK seq=101 ack=1 ts=1001:0");
    t.accept();
    t.call("close", { fd: t.fd });
    t.peer.expect("FIN,ACK seq=1");
    t.peer.send("FIN,ACK seq=101 ack=2 ts=1002:0");
    t.peer.expect("ACK seq=2 ack=102");
    // an older timestamp is no new connection, even with a larger number; a newer one is, with any number
    t.after(0.6);
    t.peer.send("SYN seq=50 win=65535 ts=900:0");
    t.peer.expect("ACK");
    t.peer.send("SYN seq=50 win=65535 ts=2000:0");
    t.peer.expect("SYN,ACK seq=0 ack=51");
  });

  requirement("SHLD-20..24", () => {
    // DSCP may change while the connection lasts, and nobody hears of soft errors who did not ask
    const t = new Script();
    t.establish();
    for (const tos of [0x20, 0xb8, 0]) {
      t.set("IP_TOS", tos);
      t.send("x");
      t.peer.expect(`ACK data=x tos=${tos}`);
      t.peer.send(`ACK seq=101 ack=${t.drive.request({ op: "info", fd: t.fd })["info"].tcpi_bytes_acked + 1}`);
    }
    expect(t.recv()).toBe("EAGAIN");
  });
});
