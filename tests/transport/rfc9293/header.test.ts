// RFC 9293 §3.1, §3.2, §3.7.1: the header, its options, the MSS, what is on the wire.

import { describe, expect } from "vitest";
import { verifies } from "../../support/drive.ts";
import { requirement } from "./requirement.ts";
import { LOCAL, PEER, Peer, Script, type Segment } from "./script.ts";

const lengths: Record<number, (n: number) => boolean> = {
  2: (n) => n === 4,
  3: (n) => n === 3,
  4: (n) => n === 2,
  5: (n) => n >= 10 && n <= 34 && (n - 2) % 8 === 0,
  8: (n) => n === 10,
};

/** Handshakes both ways, data, loss, SACK, a close: what a connection sends in its life. */
function life(cfg: object = {}): { script: Script; segments: Segment[] } {
  const t = new Script(cfg);
  const segments: Segment[] = [];
  const take = (): void => void segments.push(...t.sent.splice(0));
  t.listen();
  t.peer.send("SYN seq=100 win=65535 mss=1460 sackok ts=1:0 ws=7");
  segments.push(t.peer.expect("SYN,ACK seq=0 ack=101 mss=1460 sackok ts"));
  t.peer.send("ACK seq=101 ack=1 ts=2:0");
  t.accept();
  t.peer.send("ACK seq=101 ack=1 data=hello ts=3:0");
  t.peer.send("ACK seq=2000 ack=1 len=100 ts=4:0");
  t.peer.send("ACK seq=3000 ack=1 len=100 ts=4:0");
  expect(t.recv()).toBe("hello");
  t.send(5000);
  t.after(2);
  t.call("shutdown", { fd: t.fd, how: "WR" });
  t.after(30);
  take();
  const active = t.peer;
  t.peer = new Peer(t, PEER, 80, 8081);
  const fd = t.socket();
  t.call("bind", { fd, ip: "0.0.0.0", port: 8081 });
  t.call("connect", { fd, ip: PEER, port: 80 });
  segments.push(t.peer.expect("SYN seq=0 mss=1460 sackok ts"));
  t.after(10);
  t.peer.send("SYN,ACK seq=1 ack=1 mss=1000");
  t.call("close", { fd });
  t.after(5);
  take();
  t.peer = active;
  return { script: t, segments };
}

describe("header", () => {
  requirement("MUST-1", () => {
    const t = new Script({ initcwnd: 100, wmem: 1 << 20 });
    t.establish("win=65535 mss=1460");
    t.send(200000);
    const flight = t.sent.reduce((n, s) => n + s.data.length, 0);
    expect(flight).toBeGreaterThan(0x7fff);
    expect(flight).toBeLessThanOrEqual(65535);
    expect(flight).toBeGreaterThan(65535 - 1460);
  });

  requirement("MUST-2", () => {
    const { script } = life();
    expect(script.all.length).toBeGreaterThan(15);
    for (const p of script.all) expect(verifies(p)).toBe(true);
  });

  requirement("MUST-3", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK seq=101 ack=1 data=bad badsum");
    t.after(1);
    t.silence();
    expect(t.recv()).toBe("EAGAIN");
    expect(t.state()).toBe("ESTABLISHED");
    t.peer.send("ACK seq=101 ack=1 data=good");
    expect(t.recv()).toBe("good");
  });

  requirement("MUST-4", () => {
    const t = new Script();
    t.establish("win=65535 opt=0101020402580000"); // NOP NOP MSS 600 EOL EOL
    t.send(2000);
    t.peer.expect("ACK seq=1 len=600");
    t.peer.expect("ACK seq=601 len=600");
  });

  requirement("MUST-5", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK seq=101 ack=1 data=one opt=01010101fd060102030401010101");
    t.peer.send("ACK seq=104 ack=1 data=two opt=0100ffffff");
    expect(t.recv()).toBe("onetwo");
  });

  requirement("MUST-6", () => {
    const t = new Script();
    t.establish("win=65535 opt=fd041234020402580000");
    t.send(1000);
    t.peer.expect("ACK seq=1 len=600");
  });

  requirement("MUST-7", () => {
    for (const bad of ["0200", "0201", "0220", "fd00", "fdff", "02", "0101010105ff0000", "08"]) {
      const t = new Script();
      t.listen();
      t.peer.send(`SYN seq=5 win=1000 opt=${bad}`);
      t.after(0.1);
      t.ignore();
      t.peer.send("RST seq=6");
      t.ignore();
      t.establish();
      t.peer.send(`ACK seq=101 ack=1 data=a opt=${bad}`);
      t.ignore();
      t.recv();
      t.peer.send("ACK seq=101 ack=1 data=bcd");
      expect(t.recv()).not.toBe("EAGAIN");
      expect(t.state()).toBe("ESTABLISHED");
    }
  });

  requirement("MUST-14", () => {
    const t = new Script();
    t.connect();
    t.peer.expect("SYN seq=0 mss=1460");
    t.peer.send("SYN,ACK seq=100 ack=1 win=65535 mss=700");
    t.peer.expect("ACK seq=1 ack=101");
    t.send(2000);
    for (const seq of [1, 701]) t.peer.expect(`ACK seq=${seq} len=700`);
  });

  requirement("MUST-15", () => {
    const t = new Script();
    t.establish("win=65535");
    t.send(2000);
    expect(t.sent.length).toBeGreaterThan(0);
    for (const s of t.sent) expect(s.data.length).toBeLessThanOrEqual(536);
    t.peer.expect("ACK seq=1 len=536");
  });

  requirement("MUST-16", () => {
    const t = new Script();
    t.listen();
    t.peer.send("SYN seq=100 win=65535 mss=1460 ts=1:0");
    t.peer.expect("SYN,ACK seq=0 ts");
    t.peer.send("ACK seq=101 ack=1 ts=2:0");
    t.accept();
    t.send(5000);
    t.peer.expect("ACK seq=1 len=1448 ts");
    for (const s of t.sent) expect(s.data.length).toBeLessThanOrEqual(1448);
  });

  requirement("MUST-48", () => {
    const t = new Script();
    t.connect({ IP_TOS: 0x10 });
    t.peer.expect("SYN tos=16");
    t.peer.send("SYN,ACK seq=100 ack=1");
    t.peer.expect("ACK tos=16");
    t.set("IP_TOS", 0x28);
    t.send("x");
    t.peer.expect("ACK data=x tos=40");
  });

  requirement("MUST-49", () => {
    const t = new Script();
    t.connect({ IP_TTL: 7 });
    t.peer.expect("SYN ttl=7");
    t.peer.send("SYN,ACK seq=100 ack=1");
    t.peer.expect("ACK ttl=7");
    t.set("IP_TTL", 9);
    t.send("x");
    t.peer.expect("ACK data=x ttl=9");
  });

  requirement("MUST-50", () => {
    const t = new Script();
    t.establish();
    t.peer.send("ACK seq=101 ack=1 data=a ipopt=9e04abcd");
    t.peer.send("ACK seq=102 ack=1 data=b ipopt=01010100");
    t.peer.send("ACK seq=103 ack=1 data=c ipopt=94040000");
    expect(t.recv()).toBe("abc");
  });

  // not fulfilled, as on Linux: without net.ipv4.conf.all.accept_source_route what came by a source route is dropped, and
  // there is no setting it here
  requirement("MUST-51..53", () => {
    const t = new Script();
    t.listen();
    for (const route of ["8307040808080800", "8907040808080800"]) t.peer.send(`SYN seq=100 ipopt=${route}`);
    t.after(1);
    t.silence();
    expect(t.other).toEqual([]);
    t.establish();
    t.peer.send("ACK seq=101 ack=1 data=plain");
    expect(t.recv()).toBe("plain");
  });

  requirement("MUST-57", () => {
    for (const dst of ["192.168.255.255", "255.255.255.255", "224.0.0.1"]) {
      const t = new Script();
      t.listen();
      t.rx(t.peer.segment(`SYN seq=100 dst=${dst}`));
      t.after(1);
      t.silence();
      expect(t.other).toEqual([]);
    }
  });

  requirement("MUST-63", () => {
    for (const src of ["0.0.0.0", "192.168.255.255", "255.255.255.255", "224.0.0.1", LOCAL]) {
      const t = new Script();
      t.listen();
      t.rx(t.peer.segment(`SYN seq=100 src=${src}`));
      t.after(1);
      t.silence();
      expect(t.other).toEqual([]);
    }
  });

  requirement("MUST-64", () => {
    const t = new Script();
    t.listen();
    // MSS at offset 21, timestamps at 25, SACK-permitted at 35, scale at 37
    t.peer.send("SYN seq=100 win=65535 opt=0102040258080a000000010000000004020303070000");
    const s = t.peer.expect("SYN,ACK seq=0 ts sackok");
    expect(s.options.get(8)!.readUInt32BE(4)).toBe(1);
    expect(s.options.has(3)).toBe(true);
    t.peer.send("ACK seq=101 ack=1 opt=01080a0000000200000000010000");
    t.accept();
    t.send(2000);
    t.peer.expect("ACK seq=1 len=588");
  });

  requirement("MUST-65", () => {
    const { segments } = life();
    expect(segments.some((s) => !s.flags.includes("SYN"))).toBe(true);
    for (const s of segments) expect(s.options.has(2)).toBe(s.flags.includes("SYN"));
  });

  requirement("MUST-67", () => {
    for (const mtu of [576, 1400, 1500, 9000, 65535]) {
      const t = new Script({ dev: [{ name: "tun0", kind: "ip", ip: LOCAL, prefix: 16, mtu }] });
      t.connect();
      t.peer.expect(`SYN mss=${mtu - 40}`);
      t.listen(5, "0.0.0.0", 9000);
      t.rx(t.peer.segment("SYN seq=1 dport=9000"));
      t.peer.expect(`SYN,ACK mss=${mtu - 40}`);
    }
  });

  requirement("MUST-68", () => {
    const { segments } = life();
    const kinds = new Set<number>();
    for (const s of segments) {
      for (const [kind, value] of s.options) {
        kinds.add(kind);
        expect(lengths[kind]?.(value.length + 2), `kind ${kind}`).toBe(true);
      }
    }
    expect([...kinds].toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 8]);
  });

  requirement("MUST-69", () => {
    for (const cfg of [{}, { timestamps: false }, { sack: false }, { wscale: false, timestamps: false }]) {
      const t = new Script(cfg);
      t.connect();
      const s = t.peer.expect("SYN seq=0");
      const options = s.packet.bytes.subarray(40, 20 + s.headerLen);
      const end = endOf(options);
      expect(options.subarray(end).every((b) => b === 0)).toBe(true);
      // the reserved bits as well
      expect(s.packet.bytes[32]! & 15).toBe(0);
    }
  });

  requirement("SHLD-5", () => {
    const t = new Script();
    t.connect();
    for (let i = 0; i < 4; i++) {
      t.untilSent(20);
      t.peer.expect("SYN seq=0 mss=1460");
    }
    const u = new Script();
    u.listen();
    u.peer.send("SYN seq=100");
    for (let i = 0; i < 3; i++) {
      u.untilSent(20);
      u.peer.expect("SYN,ACK seq=0 mss=1460");
    }
  });
});

/** Where the list of options ends: at an EOL, or the header's end. */
function endOf(options: Buffer): number {
  let i = 0;
  while (i < options.length && options[i] !== 0) i += options[i] === 1 ? 1 : options[i + 1]!;
  return i;
}
