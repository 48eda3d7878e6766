// Two hosts on a wire. What fails how is what a Linux 6.18 kernel answered to the same calls in a network namespace.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { parseIpv4 } from "../../src/core/address.ts";
import { packetBytes } from "../../src/core/packet.ts";
import { Namespace } from "../../src/host/namespace.ts";
import { runCommand } from "../../src/host/commands.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { connect } from "../../src/link/wire.ts";
import type { World } from "../../src/link/world.ts";
import { SECOND } from "../../src/link/clock.ts";
import { SocketError } from "../../src/transport/errno.ts";
import { Wake } from "../../src/transport/tcp/endpoint.ts";
import { Udp } from "../../src/transport/udp.ts";
import { PmtuDiscovery } from "../../src/transport/datagram.ts";
import type { UdpSocket } from "../../src/transport/udpsocket.ts";
import { coreOf, overBuilds } from "../support/cores.ts";

const ip = (s: string): number => parseIpv4(s)!;
const text = (s: string): Uint8Array => Buffer.from(s);

/** What a call throws, else what it answers. */
function errno(call: () => unknown): unknown {
  try {
    return call();
  } catch (e) {
    if (e instanceof SocketError) return e.code;
    throw e;
  }
}

function host(world: World, name: string, address: string): Namespace {
  const ns = new Namespace(name, world);
  ns.addInterface("eth0", "veth", new Uint8Array([2, 0, 0, 0, 0, Number(address.split(".")[3])]), 1500);
  runCommand(ns, `ip addr add ${address}/24 dev eth0`);
  return ns;
}

const A = ip("10.0.0.1");
const B = ip("10.0.0.2");
const LO = ip("127.0.0.1");

let world: World;
let a: Udp;
let b: Udp;
let frames: string[];

function build(core = coreOf("debug")): void {
  world = newWorld(core, { seed: 1 });
  const one = host(world, "a", "10.0.0.1");
  const two = host(world, "b", "10.0.0.2");
  connect(one.byName.get("eth0")!, two.byName.get("eth0")!);
  frames = [];
  one.byName.get("eth0")!.tap = (_dev, frame, out) => {
    if (out) frames.push(Buffer.from(packetBytes(core, frame)).toString("hex"));
  };
  a = new Udp(one);
  b = new Udp(two);
}

function bound(udp: Udp, address: number, port: number): UdpSocket {
  const s = udp.open();
  s.bind(address, port);
  return s;
}

function send(s: UdpSocket, data: Uint8Array | string, address?: number, port?: number): unknown {
  const bytes = typeof data === "string" ? text(data) : data;
  return errno(() => s.send(bytes, 0, bytes.length, address, port));
}

const room = new Uint8Array(70000);

function receive(s: UdpSocket, size = room.length, peek = false): unknown {
  return errno(() => {
    const n = s.receive(room.subarray(0, size), peek);
    return n < 0 ? null : Buffer.from(room.subarray(0, Math.min(n, size))).toString();
  });
}

beforeEach(() => build());

overBuilds("datagrams", (core) => {
  test("go there and back, with every length up to the largest", () => {
    build(core());
    const server = bound(b, 0, 53);
    const client = a.open();
    for (const n of [0, 1, 2, 63, 64, 65, 1000, 1472, 1473, 4000, 9001, 65507]) {
      const data = Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255);
      expect(send(client, data, B, 53)).toBe(n);
      expect(server.receive(room)).toBe(n);
      expect(Buffer.compare(room.subarray(0, n), data)).toBe(0);
      expect(server.arrival).toMatchObject({ length: n, address: A, port: client.localPort, target: B });
      expect(send(server, data, server.arrival.address, server.arrival.port)).toBe(n);
      expect(client.receive(room)).toBe(n);
    }
    expect(world.x.packetsInUse()).toBe(0);
  });
});

describe("sending", () => {
  test("without a peer, to port 0, too long, without a route, to all", () => {
    const s = a.open();
    expect(send(s, "x")).toBe("EDESTADDRREQ");
    expect(s.localPort).toBeGreaterThanOrEqual(32768); // bound all the same
    expect(send(s, "x", B, 0)).toBe("EINVAL");
    expect(send(s, new Uint8Array(65508), B, 9)).toBe("EMSGSIZE");
    expect(send(s, new Uint8Array(70000), B, 9)).toBe("EMSGSIZE");
    expect(send(s, "x", ip("8.8.8.8"), 9)).toBe("ENETUNREACH");
    expect(send(s, "x", ip("255.255.255.255"), 9)).toBe("ENETUNREACH");
    expect(send(s, "x", ip("10.0.0.255"), 9)).toBe("EACCES");
    expect(errno(() => a.open().connect(ip("10.0.0.255"), 9))).toBe("EACCES");
    s.broadcast = true;
    expect(send(s, "x", ip("10.0.0.255"), 9)).toBe(1);
    // 0.0.0.0 is this host
    const own = bound(a, 0, 7);
    expect(send(a.open(), "self", 0, 7)).toBe(4);
    expect(receive(own)).toBe("self");
  });

  test("a loopback source does not leave the host", () => {
    const s = bound(a, LO, 0);
    expect(send(s, "x", B, 9)).toBe("EINVAL");
    expect(errno(() => s.connect(B, 9))).toBe("EINVAL");
  });

  test("TTL, TOS and DF stand in the header; a connection numbers its packets", () => {
    bound(b, 0, 9);
    const s = a.open();
    s.ttl = 7;
    s.tos = 0x10;
    s.connect(B, 9);
    send(s, "one");
    send(s, "two");
    s.pmtuDiscovery = PmtuDiscovery.Dont;
    send(s, "three");
    const headers = frames.filter((f) => f.slice(24, 28) === "0800").map((f) => f.slice(28, 68));
    expect(headers.map((h) => h.slice(2, 4))).toEqual(["10", "10", "10"]);
    expect(headers.map((h) => h.slice(16, 18))).toEqual(["07", "07", "07"]);
    expect(headers.map((h) => h.slice(12, 16))).toEqual(["4000", "4000", "0000"]);
    const ids = headers.map((h) => parseInt(h.slice(8, 12), 16));
    expect([(ids[1]! - ids[0]!) & 0xffff, (ids[2]! - ids[1]!) & 0xffff]).toEqual([1, 1]);
  });

  test("IP_MTU_DISCOVER: what may not be cut is refused, with the MTU on the error queue", () => {
    const s = a.open();
    s.pmtuDiscovery = PmtuDiscovery.Do;
    s.receiveErrors = true;
    expect(send(s, new Uint8Array(1473), B, 9)).toBe("EMSGSIZE");
    expect(s.takeQueuedError()).toMatchObject({ errno: "EMSGSIZE", origin: "local", info: 1500, address: B, port: 0 });
    expect(s.takeError()).toBe(null);
    expect(send(s, new Uint8Array(1472), B, 9)).toBe(1472);
    expect(errno(() => s.mtu)).toBe("ENOTCONN");
    s.connect(B, 9);
    expect(s.mtu).toBe(1500);
  });
});

describe("names", () => {
  test("bind: foreign, twice, taken, shared", () => {
    expect(errno(() => bound(a, ip("10.0.0.7"), 0))).toBe("EADDRNOTAVAIL");
    expect(bound(a, ip("10.0.0.255"), 0).localPort).toBeGreaterThan(0);
    expect(bound(a, ip("224.1.2.3"), 0).localPort).toBeGreaterThan(0);
    const s = bound(a, LO, 5555);
    expect(errno(() => s.bind(LO, 5556))).toBe("EINVAL");
    expect(errno(() => bound(a, 0, 5555))).toBe("EADDRINUSE");
    expect(bound(a, A, 5555).localPort).toBe(5555);
    s.close();
    expect(bound(a, LO, 5555).localPort).toBe(5555);
  });

  test("SO_REUSEADDR: the latest hears; SO_REUSEPORT: all hear their share", () => {
    const socks = [1, 2].map(() => {
      const s = a.open();
      s.reuseAddress = true;
      s.bind(0, 7000);
      return s;
    });
    send(a.open(), "x", LO, 7000);
    expect(socks.map((s) => receive(s))).toEqual([null, "x"]);
    const many = [1, 2, 3, 4].map(() => {
      const s = b.open();
      s.reusePort = true;
      s.bind(0, 7001);
      return s;
    });
    expect(errno(() => bound(b, 0, 7001))).toBe("EADDRINUSE");
    for (let i = 0; i < 400; i++) send(a.open(), "x", B, 7001);
    const shares = many.map((s) => {
      let n = 0;
      while (receive(s) !== null) n++;
      return n;
    });
    expect(shares.reduce((x, y) => x + y)).toBe(400);
    for (const n of shares) expect(n).toBeGreaterThan(50);
    // one flow keeps to one socket
    const flow = a.open();
    for (let i = 0; i < 10; i++) send(flow, "x", B, 7001);
    expect(many.filter((s) => s.nextLength === 1)).toHaveLength(1);
  });

  test("every ephemeral port is used once, then none is left", () => {
    a.ns.sysctl.set("net.ipv4.ip_local_port_range", "40000 40009");
    const ports = Array.from({ length: 10 }, () => bound(a, 0, 0).localPort);
    expect(ports.toSorted((x, y) => x - y)).toEqual(Array.from({ length: 10 }, (_, i) => 40000 + i));
    expect(errno(() => bound(a, 0, 0))).toBe("EADDRINUSE");
    expect(send(a.open(), "x", B, 9)).toBe("EAGAIN");
  });

  test("a connected socket hears its peer alone; disconnecting frees what was not asked for", () => {
    const server = bound(b, 0, 9);
    const other = bound(b, 0, 10);
    const s = a.open();
    s.connect(B, 9);
    expect(s.localAddress).toBe(A);
    send(other, "no", A, s.localPort);
    expect(receive(s)).toBe(null);
    send(server, "yes", A, s.localPort);
    expect(receive(s)).toBe("yes");
    const port = s.localPort;
    s.disconnect();
    expect([s.localPort, s.localAddress, a.hasPort(0, port)]).toEqual([0, 0, false]);
  });
});

describe("receiving", () => {
  test("peek, cut, empty datagrams", () => {
    const s = bound(a, 0, 9);
    send(a.open(), "hello world", LO, 9);
    expect(receive(s, 5, true)).toBe("hello");
    expect(receive(s, 4)).toBe("hell");
    expect(s.arrival.length).toBe(11);
    expect(receive(s)).toBe(null);
    send(a.open(), "", LO, 9);
    expect([s.nextLength, receive(s), s.nextLength]).toEqual([0, "", -1]);
  });

  /** As many as 6.18 keeps for a reader who does not come, of each size. */
  test.each([
    [0, 256],
    [100, 256],
    [500, 166],
    [1000, 92],
    [1400, 92],
    [4000, 25],
  ])("SO_RCVBUF 212992: of datagrams of %i bytes %i fit", (size, fit) => {
    const s = bound(a, 0, 9);
    const from = a.open();
    for (let i = 0; i < fit + 10; i++) send(from, new Uint8Array(size), LO, 9);
    let n = 0;
    while (receive(s) !== null) n++;
    expect(n).toBe(fit);
    expect(a.ns.drops[Drop.SocketRcvbuff]).toBe(10);
    expect(world.x.packetsInUse()).toBe(0);
  });

  test("SO_RCVBUF is doubled and has a least; one datagram always fits", () => {
    const s = bound(a, 0, 9);
    s.setReceiveBuffer(1);
    expect(s.receiveBuffer).toBe(2304);
    send(a.open(), new Uint8Array(30000), LO, 9);
    expect(s.nextLength).toBe(30000);
    s.setReceiveBuffer(4096);
    s.setSendBuffer(0);
    expect([s.receiveBuffer, s.sendBuffer]).toEqual([8192, 4608]);
  });

  test("to all on the link: every socket of that port, of the sender's host too", () => {
    const shared = (address: number): UdpSocket => {
      const s = b.open();
      s.reuseAddress = true;
      s.bind(address, 67);
      return s;
    };
    const there = [shared(0), shared(ip("10.0.0.255"))];
    const deaf = shared(B);
    const here = bound(a, 0, 67);
    const s = a.open();
    s.broadcast = true;
    expect(send(s, "all", ip("10.0.0.255"), 67)).toBe(3);
    expect([...there, here].map((x) => receive(x))).toEqual(["all", "all", "all"]);
    expect(receive(deaf)).toBe(null);
    expect(world.x.packetsInUse()).toBe(0);
  });

  test("groups: those who joined hear, with a TTL of 1", () => {
    const group = ip("239.1.2.3");
    const s = bound(b, 0, 5000);
    const sender = a.open();
    sender.multicastDevice = a.ns.byName.get("eth0")!.ifindex;
    send(sender, "early", group, 5000);
    expect(receive(s)).toBe(null);
    s.join(group, b.ns.byName.get("eth0")!);
    expect(errno(() => s.join(group, b.ns.byName.get("eth0")!))).toBe("EADDRINUSE");
    expect(errno(() => s.join(B, b.ns.byName.get("eth0")!))).toBe("EINVAL");
    send(sender, "now", group, 5000);
    expect(receive(s)).toBe("now");
    expect(frames.at(-1)!.slice(0, 12)).toBe("01005e010203");
    expect(frames.at(-1)!.slice(44, 46)).toBe("01");
    // IP_MULTICAST_ALL off: only one's own groups
    const other = b.open();
    other.reuseAddress = s.reuseAddress = true;
    other.bind(0, 5000);
    other.hearsAll = false;
    send(sender, "again", group, 5000);
    expect([receive(s), receive(other)]).toEqual(["again", null]);
    s.leave(group, b.ns.byName.get("eth0")!);
    expect(errno(() => s.leave(group, b.ns.byName.get("eth0")!))).toBe("EADDRNOTAVAIL");
    send(sender, "late", group, 5000);
    expect(receive(s)).toBe(null);
  });

  test("a group that its own host joined comes back", () => {
    const group = ip("239.1.2.3");
    const s = bound(a, 0, 5000);
    s.join(group, a.ns.byName.get("eth0")!);
    const sender = a.open();
    sender.multicastDevice = a.ns.byName.get("eth0")!.ifindex;
    send(sender, "x", group, 5000);
    expect(receive(s)).toBe("x");
  });
});

describe("errors", () => {
  test("port unreachable: the next call of a connected socket fails, once", () => {
    const s = a.open();
    const woken: number[] = [];
    s.owner = { wake: (what) => woken.push(what) };
    s.connect(B, 9);
    expect(send(s, "a")).toBe(1);
    expect(woken).toEqual([Wake.Error]);
    expect(send(s, "b")).toBe("ECONNREFUSED");
    expect(send(s, "c")).toBe(1);
    expect(receive(s)).toBe("ECONNREFUSED");
    expect(receive(s)).toBe(null);
    send(s, "d");
    expect([s.takeError(), s.takeError()]).toEqual(["ECONNREFUSED", null]);
  });

  test("an unconnected socket hears of none, unless it asked (IP_RECVERR)", () => {
    const s = a.open();
    send(s, "a", B, 9);
    expect(s.takeError()).toBe(null);
    s.receiveErrors = true;
    send(s, "hello", B, 9);
    expect(receive(s)).toBe("ECONNREFUSED");
    const e = s.takeQueuedError()!;
    expect(e).toMatchObject({
      errno: "ECONNREFUSED",
      origin: "icmp",
      type: 3,
      code: 3,
      offender: B,
      address: B,
      port: 9,
    });
    expect(Buffer.from(e.data).toString()).toBe("hello");
    expect(s.takeQueuedError()).toBe(null);
  });

  test("a neighbour that does not answer is a soft error", () => {
    const quiet = a.open();
    quiet.connect(ip("10.0.0.99"), 7);
    send(quiet, "x");
    const s = a.open();
    s.receiveErrors = true;
    send(s, "hello", ip("10.0.0.99"), 7);
    world.clock.advance(4 * SECOND);
    expect(quiet.takeError()).toBe(null);
    expect(s.takeQueuedError()).toMatchObject({ errno: "EHOSTUNREACH", type: 3, code: 1, offender: A, port: 7 });
    expect(s.takeError()).toBe(null);
    expect(world.x.packetsInUse()).toBe(0);
  });

  test("shutdown: reading and writing apart", () => {
    const s = a.open();
    s.connect(LO, 9);
    s.shutdown(1);
    expect([receive(s), s.readEnded]).toEqual([null, true]);
    s.shutdown(2);
    expect(send(s, "x")).toBe("EPIPE");
    const loose = a.open();
    expect(errno(() => loose.shutdown(3))).toBe("ENOTCONN");
    expect(send(loose, "x", LO, 9)).toBe("EPIPE");
  });
});

describe("path MTU", () => {
  test("fragmentation needed: the route learns, the socket hears EMSGSIZE", () => {
    build();
    // b is a router to a narrow link behind which nothing is
    runCommand(b.ns, "sysctl -w net.ipv4.ip_forward=1");
    b.ns.addInterface("far", "veth", new Uint8Array([2, 0, 0, 0, 1, 1]), 1000);
    runCommand(b.ns, "ip addr add 10.1.0.1/24 dev far");
    runCommand(a.ns, "ip route add 10.1.0.0/24 via 10.0.0.2");
    const s = a.open();
    s.connect(ip("10.1.0.9"), 9);
    expect(s.mtu).toBe(1500);
    expect(send(s, new Uint8Array(1400))).toBe(1400);
    expect(s.mtu).toBe(1000);
    expect(send(s, new Uint8Array(1400))).toBe("EMSGSIZE");
    // WANT: cut from now on
    expect(send(s, new Uint8Array(1400))).toBe(1400);
    expect(s.takeError()).toBe(null);
    expect(
      frames
        .filter((f) => f.slice(24, 28) === "0800")
        .slice(-2)
        .map((f) => f.length / 2),
    ).toEqual([1010, 466]);
    const strict = a.open();
    strict.pmtuDiscovery = PmtuDiscovery.Do;
    strict.connect(ip("10.1.0.9"), 9);
    expect(send(strict, new Uint8Array(1400))).toBe("EMSGSIZE");
    world.clock.advance(601 * SECOND);
    expect(strict.mtu).toBe(1500);
  });
});

describe("against a naive model", () => {
  interface Naive {
    socket: UdpSocket;
    address: number;
    port: number;
    peer: [number, number] | null;
    queue: string[];
    opened: number;
  }
  const address = fc.constantFrom(0, A, LO);
  const port = fc.integer({ min: 1, max: 4 });
  const step = fc.oneof(
    fc.record({ op: fc.constant("bind" as const), address, port, reuse: fc.boolean() }),
    fc.record({ op: fc.constant("connect" as const), which: fc.nat(9), port }),
    fc.record({ op: fc.constant("send" as const), which: fc.nat(9), to: fc.constantFrom(A, LO), port, n: fc.nat(200) }),
    fc.record({ op: fc.constant("receive" as const), which: fc.nat(9) }),
    fc.record({ op: fc.constant("close" as const), which: fc.nat(9) }),
  );
  test("each datagram reaches the socket that names most of it, in order", () => {
    const core = coreOf("release");
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        build(core);
        let all: Naive[] = [];
        let serial = 0;
        let opened = 0;
        const at = (i: number): Naive | undefined => all[i % Math.max(all.length, 1)];
        for (const s of steps) {
          if (s.op === "bind") {
            const socket = a.open();
            socket.reuseAddress = s.reuse;
            const clash = all.some(
              (o) =>
                o.port === s.port &&
                !(o.socket.reuseAddress && s.reuse) &&
                (o.address === 0 || s.address === 0 || o.address === s.address),
            );
            expect(errno(() => socket.bind(s.address, s.port))).toBe(clash ? "EADDRINUSE" : undefined);
            if (clash) continue;
            all.push({ socket, address: s.address, port: s.port, peer: null, queue: [], opened: opened++ });
          } else if (s.op === "connect") {
            const n = at(s.which);
            if (n === undefined) continue;
            const to = n.address === LO ? LO : A;
            n.socket.connect(to, s.port);
            n.address = n.address === 0 ? A : n.address;
            n.peer = [to, s.port];
          } else if (s.op === "send") {
            const n = at(s.which);
            if (n === undefined) continue;
            const from = n.address !== 0 ? n.address : s.to;
            const data = `${serial++}`.padEnd(s.n, ".");
            n.socket.takeError();
            expect(send(n.socket, data, s.to, s.port)).toBe(data.length);
            const score = (o: Naive): number => {
              if (o.port !== s.port || (o.address !== 0 && o.address !== s.to)) return -1;
              if (o.peer !== null && (o.peer[0] !== from || o.peer[1] !== n.port)) return -1;
              return (o.address !== 0 ? 16 : 0) + (o.peer !== null ? 8 : 0);
            };
            const best = all.toSorted((x, y) => score(y) - score(x) || y.opened - x.opened)[0]!;
            if (score(best) >= 0) best.queue.push(data);
          } else if (s.op === "receive") {
            const n = at(s.which);
            if (n === undefined) continue;
            n.socket.takeError();
            expect(receive(n.socket)).toBe(n.queue.shift() ?? null);
          } else {
            const n = at(s.which);
            if (n === undefined) continue;
            n.socket.close();
            all = all.filter((o) => o !== n);
          }
        }
        for (const n of all) {
          n.socket.takeError();
          for (const data of n.queue) expect(receive(n.socket)).toBe(data);
          expect(receive(n.socket)).toBe(null);
          n.socket.close();
        }
        expect([...a.sockets()]).toEqual([]);
        expect(world.x.packetsInUse()).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
