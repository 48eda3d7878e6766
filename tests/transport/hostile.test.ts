// tests/transport/hostile.test.ts: floods and blind attacks: memory stays bounded, and the victim serves.

import { expect, test } from "vitest";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import type { Core } from "../../src/core/core.ts";
import type { Connection } from "../../src/transport/tcp/connection.ts";
import { Tcp } from "../../src/transport/tcp/tcp.ts";
import { coreOf } from "../support/cores.ts";
import { RawPeer } from "../support/rawpeer.ts";
import { CLIENT, SERVER, tcpPair } from "../support/tcppair.ts";

const SYN = 2;
const RST = 4;
const ACK = 16;

interface Siege {
  readonly tcp: Tcp;
  readonly client: Tcp;
  readonly attacker: RawPeer;
  readonly advance: (ms: number) => void;
  readonly core: Core;
}

/** A server, an honest client and an attacker, each on a network of its own behind a router. */
function siege(sysctl = "{}"): Siege {
  const core = coreOf("release");
  const lab = buildLab(
    core,
    LabText.read(
      "siege",
      `nodes:
  server: { interfaces: { eth0: { addresses: [10.0.0.2/24] } }, routes: ["default via 10.0.0.1"], sysctl: ${sysctl} }
  client: { interfaces: { eth0: { addresses: [10.1.0.2/24] } }, routes: ["default via 10.1.0.1"] }
  attacker: { interfaces: { eth0: { addresses: [10.2.0.2/24] } }, routes: ["default via 10.2.0.1"] }
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces:
      s: { addresses: [10.0.0.1/24] }
      c: { addresses: [10.1.0.1/24] }
      a: { addresses: [10.2.0.1/24] }
    routes: ["198.18.0.0/15 via 10.2.0.2"]
links:
  - { endpoints: ["server:eth0", "router:s"] }
  - { endpoints: ["client:eth0", "router:c"], netem: "delay 5ms" }
  - { endpoints: ["attacker:eth0", "router:a"] }
`,
    ),
    { seed: 3 },
  );
  const tcpOf = (name: string): Tcp => {
    const tcp = new Tcp(lab.nodes.get(name)!);
    tcp.ns.transports.tcp = tcp;
    return tcp;
  };
  const { clock } = lab.world;
  return {
    tcp: tcpOf("server"),
    client: tcpOf("client"),
    attacker: new RawPeer(lab.nodes.get("attacker")!, 0x0a020002, SERVER),
    advance: (ms) => clock.advance(clock.now + ms * 1e6),
    core,
  };
}

/** The honest client asks for an echo; true when it came. */
function served({ client, advance }: Siege, address = SERVER): boolean {
  let answer = 0;
  let asked = false;
  const buffer = new Uint8Array(2000);
  const c = client.connect(address, 80, {
    wake() {
      if (c.stateName === "ESTABLISHED" && !asked) {
        asked = true;
        c.writeZeros(1000);
      }
      answer += c.read(buffer);
    },
  });
  advance(200);
  c.close();
  return answer === 1000;
}

function echo(tcp: Tcp, backlog: number): void {
  const buffer = new Uint8Array(4000);
  const listener = tcp.listen(0, 80, backlog, {
    wake() {
      for (let c = listener.accept(); c !== null; c = listener.accept()) {
        const one = c;
        const owner = {
          wake() {
            for (let n = one.read(buffer); n > 0; n = one.read(buffer)) one.write(buffer, 0, n);
            if (one.readEnded) one.close();
          },
        };
        one.owner = owner;
        owner.wake();
      }
    },
  });
}

test(
  "a flood of a million SYNs: requests stay bounded, and an honest client is served meanwhile",
  { timeout: 300_000 },
  () => {
    const s = siege();
    echo(s.tcp, 128);
    const flood = (n: number, from: number): void => {
      for (let i = 0; i < n; i++) {
        const k = from + i;
        s.attacker.send({
          sport: 1024 + (k % 50_000),
          dport: 80,
          seq: k * 77,
          ack: 0,
          flags: SYN,
          window: 1000,
          src: 0xc6120000 + (k % 131_072),
        });
        if ((i & 1023) === 0) s.advance(1);
      }
    };
    flood(20_000, 0);
    const memory = s.core.x.arenaUsed() >>> 0;
    flood(980_000, 20_000);
    expect(s.tcp.requests.size).toBeLessThanOrEqual(129);
    expect(s.tcp.connections.size).toBe(0);
    // flow tables, conntrack's none: all of them have a limit of their own
    expect((s.core.x.arenaUsed() >>> 0) - memory).toBeLessThan(48 << 20);
    expect(served(s)).toBe(true);
    s.advance(200_000);
    expect([s.tcp.requests.size, s.tcp.connections.size, s.core.x.packetsInUse()]).toEqual([0, 0, 0]);
  },
);

test("a SYN cookie keeps what fits into it: MSS, and with timestamps scale and SACK", () => {
  const s = siege("{ net.ipv4.tcp_syncookies: 2 }");
  echo(s.tcp, 8);
  expect(served(s)).toBe(true);
  const c = s.client.connect(SERVER, 80, { wake: () => {} }) as Connection;
  s.advance(100);
  const [accepted] = [...s.tcp.connections];
  expect(accepted).toMatchObject({ mssClamp: 1460, sackOk: true, tsOk: true, wscaleOk: true, sndWscale: c.rcvWscale });
  // an ACK that brings back no cookie of ours
  const before = s.attacker.count;
  s.attacker.send({ sport: 5000, dport: 80, seq: 1, ack: 12345, flags: ACK, window: 1000 });
  expect(s.attacker.count).toBe(before + 1);
  expect(s.attacker.last!.flags & RST).toBe(RST);
});

test("blind attacks (RFC 5961, RFC 5927) do not end or change a connection", () => {
  const pair = tcpPair(coreOf("release"), "delay 1ms", 4);
  const { lab, client, server } = pair;
  const { clock } = lab.world;
  let accepted: Connection | null = null;
  const listener = server.listen(0, 80, 1, {
    wake() {
      accepted = listener.accept() as Connection;
    },
  });
  const c = client.connect(SERVER, 80, { wake: () => {} }) as Connection;
  clock.advance(clock.now + 1e8);
  const s = accepted as Connection | null;
  if (s === null) throw new Error("not connected");
  // the attacker knows the addresses and ports, and guesses numbers inside the window
  const a = new RawPeer(lab.nodes.get("a")!, CLIENT, SERVER);
  lab.nodes.get("a")!.transports.tcp = client;
  const shoot = (flags: number, seq: number, ack: number, data = new Uint8Array(0)): void =>
    a.send({ sport: c.localPort, dport: 80, seq, ack, flags, window: 1000, data });
  const before = { rcvNxt: s.rcvNxt, sndNxt: s.sndNxt };
  for (let i = 1; i < 200; i++) {
    shoot(RST, s.rcvNxt + i * 100, 0);
    shoot(SYN, s.rcvNxt + i * 100, 0);
    shoot(SYN, s.rcvNxt - i * 1000, 0);
    shoot(ACK, s.rcvNxt, s.sndNxt + i * 1000, Uint8Array.of(1, 2, 3));
    shoot(ACK, s.rcvNxt, s.sndUna - 100_000 * i, Uint8Array.of(1, 2, 3));
    clock.advance(clock.now + 1e6);
  }
  expect([s.stateName, c.stateName]).toEqual(["ESTABLISHED", "ESTABLISHED"]);
  expect({ rcvNxt: s.rcvNxt, sndNxt: s.sndNxt }).toEqual(before);
  // and it still works
  c.write(Uint8Array.of(42));
  clock.advance(clock.now + 1e9);
  const buffer = new Uint8Array(10);
  expect([s.read(buffer), buffer[0]]).toEqual([1, 42]);
});

test("bytes out of order by the hundred thousand, one by one: bounded, counted, and the stream goes on", () => {
  const { lab, server } = tcpPair(coreOf("release"), "", 5);
  const { clock } = lab.world;
  const peer = new RawPeer(lab.nodes.get("a")!, CLIENT, SERVER);
  const listener = server.listen(0, 80, 1, { wake: () => {} });
  peer.send({ sport: 1000, dport: 80, seq: 999, ack: 0, flags: SYN, window: 65535 });
  clock.advance(clock.now + 1e6);
  peer.send({ sport: 1000, dport: 80, seq: 1000, ack: peer.last!.seq + 1, flags: ACK, window: 65535 });
  const c = listener.accept() as Connection;
  const ack = c.sndNxt;
  for (let i = 0; i < 100_000; i++) {
    peer.send({
      sport: 1000,
      dport: 80,
      seq: 1002 + 2 * (i % 30_000),
      ack,
      flags: ACK,
      window: 65535,
      data: Uint8Array.of(i),
    });
  }
  expect(c.ofo.count).toBeLessThanOrEqual(1024);
  expect(c.receiveRing.size).toBeLessThanOrEqual(131_072);
  peer.send({ sport: 1000, dport: 80, seq: 1000, ack, flags: ACK, window: 65535, data: new Uint8Array(3000) });
  expect(c.readable).toBeGreaterThanOrEqual(3000);
  c.abort();
  listener.close();
  clock.advance(clock.now + 1e9);
  expect(server.list()).toEqual([]);
});

test("no port is left: EADDRNOTAVAIL; a full accept queue drops SYNs and says so", () => {
  const pair = tcpPair(coreOf("release"), "", 5, '{ net.ipv4.ip_local_port_range: "40000 40009" }');
  const { lab, client, server } = pair;
  server.listen(0, 80, 3, { wake: () => {} });
  const made: Connection[] = [];
  for (let i = 0; i < 10; i++) made.push(client.connect(SERVER, 80, { wake: () => {} }) as Connection);
  expect(() => client.connect(SERVER, 80, { wake: () => {} })).toThrow("EADDRNOTAVAIL");
  lab.world.clock.advance(1e9);
  // sk_acceptq_is_full: the backlog and one more
  expect(server.list().filter((r) => r.state === "ESTABLISHED").length).toBe(4);
  expect(server.list()[0]).toMatchObject({ state: "LISTEN", recvQ: 4, sendQ: 3 });
  expect(made.filter((c) => c.stateName === "SYN-SENT").length).toBe(6);
});
