// The neighbour table: states, waiting packets, settings of ARP, the words of `ip neigh`.

import { expect, test } from "vitest";
import { Drop } from "../../../assembly/drop.ts";
import { packetFrom } from "../../../src/core/packet.ts";
import { MS, SECOND } from "../../../src/link/clock.ts";
import { TextError } from "../../../src/host/text.ts";
import { overBuilds } from "../../support/cores.ts";
import { TestNode } from "../../support/node.ts";
import { ether } from "../../support/owner.ts";

const ME = "02:00:0a:01:00:01";
const ALL = "ff:ff:ff:ff:ff:ff";
const ZERO = "00:00:00:00:00:00";
const macOf = (n: number): string => `02:00:0a:01:00:${n.toString(16).padStart(2, "0")}`;
const plain = (mac: string): string => mac.replaceAll(":", "");

function arp(op: number, sha: string, spa: string, tha: string, tpa: string, to = ALL, from = sha): Uint8Array {
  const ip = (a: string): number[] => a.split(".").map(Number);
  const mac = (m: string): Buffer => Buffer.from(plain(m), "hex");
  const body = Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4, 0, op]),
    mac(sha),
    Buffer.from(ip(spa)),
    mac(tha),
    Buffer.from(ip(tpa)),
  ]);
  return ether(from, to, 0x0806, body);
}

/** `is-at 10.1.0.1 > 02:..`, `who-has 10.1.0.20 tell 10.1.0.1 > ff:..`, else the length. */
function tell(hex: string): string {
  const b = Buffer.from(hex, "hex");
  if (b.readUInt16BE(12) !== 0x0806) return `ip ${b.length}`;
  const ip = (at: number): string => [...b.subarray(at, at + 4)].join(".");
  const to = b.subarray(0, 6).toString("hex");
  return b[21] === 1 ? `who-has ${ip(38)} tell ${ip(28)} > ${to}` : `is-at ${ip(28)} > ${to}`;
}

overBuilds("the neighbour table", (core) => {
  function setup(...more: string[]) {
    const node = new TestNode(core());
    const lan = node.wire("lan", ME, "10.1.0.1/24", ...more);
    const { clock } = node.world;
    const send = (dst: string, length = 8) =>
      node.ns.originate.udp(
        0,
        1000,
        dst.split(".").reduce((v, b) => v * 256 + Number(b), 0),
        2000,
        new Uint8Array(length),
        0,
      );
    const out = () => node.take().map((o) => tell(o.hex));
    const ask = (bytes: Uint8Array) => {
      node.feed(lan, bytes);
      return out();
    };
    const show = (words = "") => node.run(`ip neigh show ${words}`);
    return { node, lan, clock, send, out, ask, show };
  }

  test("resolution: one question, the packets leave in order when the answer comes", () => {
    const t = setup();
    t.send("10.1.0.20", 1);
    t.send("10.1.0.20", 2);
    t.send("10.1.0.20", 3);
    expect(t.out()).toEqual(["who-has 10.1.0.20 tell 10.1.0.1 > ffffffffffff"]);
    expect(t.show()).toBe("10.1.0.20 dev lan INCOMPLETE \n");
    expect(t.ask(arp(2, macOf(20), "10.1.0.20", ME, "10.1.0.1", ME))).toEqual(["ip 43", "ip 44", "ip 45"]);
    expect(t.show()).toBe(`10.1.0.20 dev lan lladdr ${macOf(20)} REACHABLE \n`);
    expect(t.node.settle()).toBe(0);
  });

  test("the question's bytes: 42, the target's address zero, no padding", () => {
    const t = setup();
    t.send("10.1.0.20");
    expect(t.node.take()[0]!.hex).toBe(
      `ffffffffffff${plain(ME)}08060001080006040001${plain(ME)}0a010001${plain(ZERO)}0a010014`,
    );
  });

  test("no answer: three questions a second apart (as the timer wheel has it), then every packet is reported and dropped", () => {
    const t = setup();
    t.send("10.1.0.30");
    t.send("10.1.0.30");
    const at: number[] = [];
    for (let ms = 0; ms < 3500; ms += 4) {
      t.clock.advance(ms * MS);
      for (const line of t.out()) {
        expect(line).toBe("who-has 10.1.0.30 tell 10.1.0.1 > ffffffffffff");
        at.push(ms);
      }
    }
    expect(at).toEqual([0, 1024, 2048]);
    expect(t.show()).toBe("10.1.0.30 dev lan FAILED \n");
    expect(t.node.ns.drops[Drop.NeighFailed]).toBe(2);
    expect(t.node.settle()).toBe(0);
  });

  test("the queue holds unres_qlen_bytes: the oldest goes", () => {
    const t = setup();
    t.node.run("sysctl -w net.ipv4.neigh.lan.unres_qlen_bytes=2304");
    for (let n = 1; n <= 5; n++) t.send("10.1.0.20", n);
    expect(t.node.ns.drops[Drop.NeighQueueFull]).toBe(2);
    t.out();
    expect(t.ask(arp(2, macOf(20), "10.1.0.20", ME, "10.1.0.1", ME))).toEqual(["ip 45", "ip 46", "ip 47"]);
    expect(t.node.settle()).toBe(0);
  });

  test("STALE, DELAY, PROBE, FAILED: unicast questions to the address that was known", () => {
    const t = setup();
    t.ask(arp(1, macOf(40), "10.1.0.40", ZERO, "10.1.0.1"));
    expect(t.show()).toContain("STALE");
    t.send("10.1.0.40");
    expect(t.out()).toEqual(["ip 50"]);
    expect(t.show()).toContain("DELAY");
    const asked: number[] = [];
    for (let ms = 0; ms <= 9000; ms += 4) {
      t.clock.advance(ms * MS);
      for (const line of t.out()) {
        expect(line).toBe(`who-has 10.1.0.40 tell 10.1.0.1 > ${plain(macOf(40))}`);
        asked.push(ms);
      }
    }
    expect(asked).toEqual([5120, 6144, 7168]);
    expect(t.show()).toBe("10.1.0.40 dev lan FAILED \n");
  });

  test("mcast_resolicit: broadcast questions follow the unicast ones", () => {
    const t = setup();
    t.node.run("sysctl -w net.ipv4.neigh.lan.mcast_resolicit=2 net.ipv4.neigh.lan.ucast_solicit=1");
    t.ask(arp(1, macOf(40), "10.1.0.40", ZERO, "10.1.0.1"));
    t.send("10.1.0.40");
    t.out();
    t.clock.advance(20 * SECOND);
    expect(t.out().map((l) => l.split("> ")[1])).toEqual([plain(macOf(40)), "ffffffffffff", "ffffffffffff"]);
  });

  test("REACHABLE lasts 0.5 to 1.5 of its base, drawn by the seed", () => {
    const lasts = (seed: number): number => {
      const node = new TestNode(core(), "n", seed);
      node.wire("lan", ME, "10.1.0.1/24");
      node.run("ip neigh add 10.1.0.20 dev lan lladdr 02:00:0a:01:00:14 nud reachable");
      let s = 0;
      while (node.run("ip neigh show").includes("REACHABLE")) node.world.clock.advance(++s * SECOND);
      return s;
    };
    const seeds = [1, 2, 3, 4, 5, 6].map((n) => Math.imul(n, 0x9e3779b1));
    const times = seeds.map(lasts);
    expect(seeds.map(lasts)).toEqual(times);
    for (const s of times) expect(s >= 15 && s <= 46).toBe(true);
    expect(new Set(times).size).toBeGreaterThan(1);
  });

  test("a transport's confirmation keeps it reachable", () => {
    const t = setup();
    t.node.run("sysctl -w net.ipv4.neigh.lan.base_reachable_time_ms=2000");
    t.node.run("ip neigh add 10.1.0.20 dev lan lladdr 02:00:0a:01:00:14 nud reachable");
    for (let s = 1; s < 20; s++) {
      t.clock.advance(s * 500 * MS);
      t.node.ns.neighbours.confirm(t.lan, 0x0a010014);
    }
    expect(t.show()).toContain("REACHABLE");
    t.clock.advance(40 * SECOND);
    expect(t.show()).toContain("STALE");
  });

  test("groups and broadcast need no question", () => {
    const t = setup();
    for (const dst of [0xe0018205, 0x0a0100ff]) {
      const frame = packetFrom(t.node.world.core, new Uint8Array(20));
      t.node.ns.neighbours.output(frame, t.lan, dst);
    }
    expect(t.node.take().map((o) => o.hex.slice(0, 12))).toEqual(["01005e018205", "ffffffffffff"]);
    expect(t.show()).toBe("");
    expect(t.show("nud all")).toContain("224.1.130.5 dev lan lladdr 01:00:5e:01:82:05 NOARP");
  });

  test("a full table refuses; what failed makes room", () => {
    const t = setup();
    t.node.run(
      "sysctl -w net.ipv4.neigh.default.gc_thresh1=2 net.ipv4.neigh.default.gc_thresh2=3 net.ipv4.neigh.default.gc_thresh3=4",
    );
    for (let n = 10; n < 16; n++) t.send(`10.1.0.${n}`);
    expect(t.out()).toHaveLength(4);
    expect(t.node.ns.drops[Drop.NeighFailed]).toBe(2);
    t.clock.advance(4 * SECOND);
    t.send("10.1.0.50");
    expect(t.out().at(-1)).toContain("10.1.0.50");
    expect(t.node.settle()).toBe(0);
  });

  test("the table is swept from gc_thresh1 on: what nobody used for gc_stale_time goes", () => {
    const t = setup();
    t.node.run("sysctl -w net.ipv4.neigh.default.gc_thresh1=2");
    t.ask(arp(1, macOf(40), "10.1.0.40", ZERO, "10.1.0.1"));
    t.ask(arp(1, macOf(41), "10.1.0.41", ZERO, "10.1.0.1"));
    t.clock.advance(50 * SECOND);
    expect(t.show().split("\n")).toHaveLength(3);
    t.clock.advance(200 * SECOND);
    expect(t.show()).toBe("");
  });

  test("a device that goes down forgets everybody, permanent entries too", () => {
    const t = setup();
    t.node.run("ip neigh add 10.1.0.9 dev lan lladdr 02:00:0a:01:00:09");
    t.send("10.1.0.20");
    t.node.run("ip link set lan down");
    expect(t.show()).toBe("");
    expect(t.node.settle()).toBe(0);
  });

  // ---- answering

  test("arp_ignore, arp_filter, arp_announce, drop_gratuitous_arp, arp_accept", () => {
    const t = setup("10.1.0.100/24");
    t.node.wire("wan", "02:00:0a:03:00:01", "10.3.0.1/24");
    const who = (target: string, sender = "10.1.0.2") => t.ask(arp(1, macOf(2), sender, ZERO, target));
    const set = (key: string, v: number) => t.node.run(`sysctl -w net.ipv4.conf.lan.${key}=${v}`);
    const yes = (a: string) => [`is-at ${a} > ${plain(macOf(2))}`];
    expect(who("10.1.0.100")).toEqual(yes("10.1.0.100"));
    expect(who("10.3.0.1")).toEqual(yes("10.3.0.1"));
    set("arp_ignore", 1);
    expect(who("10.3.0.1")).toEqual([]);
    expect(who("10.1.0.1")).toEqual(yes("10.1.0.1"));
    set("arp_ignore", 2);
    expect(who("10.1.0.1")).toEqual(yes("10.1.0.1"));
    expect(who("10.1.0.1", "192.0.2.50")).toEqual([]);
    set("arp_ignore", 3);
    expect(who("10.3.0.1")).toEqual(yes("10.3.0.1"));
    set("arp_ignore", 8);
    expect(who("10.1.0.1")).toEqual([]);
    set("arp_ignore", 0);
    set("arp_filter", 1);
    expect(who("10.1.0.1")).toEqual(yes("10.1.0.1"));
    expect(who("10.1.0.1", "10.3.0.9")).toEqual([]);
    set("arp_filter", 0);
    set("drop_gratuitous_arp", 1);
    set("arp_accept", 1);
    t.ask(arp(1, macOf(7), "10.1.0.7", ZERO, "10.1.0.7"));
    expect(t.show()).not.toContain("10.1.0.7");
    set("drop_gratuitous_arp", 0);
    t.ask(arp(1, macOf(7), "10.1.0.7", ZERO, "10.1.0.7"));
    expect(t.show()).toContain(`10.1.0.7 dev lan lladdr ${macOf(7)} STALE`);
    // arp_accept 2: only from the device's own subnet
    set("arp_accept", 2);
    t.ask(arp(1, macOf(8), "192.0.2.8", ZERO, "192.0.2.8"));
    t.ask(arp(1, macOf(9), "10.1.0.9", ZERO, "10.1.0.9"));
    expect(t.show()).not.toContain("192.0.2.8");
    expect(t.show()).toContain("10.1.0.9 dev lan");
  });

  test("a proxy answers for what it routes elsewhere: at once when asked alone, else after a while", () => {
    const t = setup();
    t.node.wire("wan", "02:00:0a:03:00:01", "10.3.0.1/24");
    t.node.run("sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.lan.proxy_arp=1");
    const question = (to: string, target: string) => arp(1, macOf(2), "10.1.0.2", ZERO, target, to);
    expect(t.ask(question(ME, "10.3.0.7"))).toEqual([`is-at 10.3.0.7 > ${plain(macOf(2))}`]);
    expect(t.ask(question(ALL, "10.3.0.7"))).toEqual([]);
    t.clock.advance(805 * MS);
    expect(t.out()).toEqual([`is-at 10.3.0.7 > ${plain(macOf(2))}`]);
    expect(t.ask(question(ME, "10.1.0.7"))).toEqual([]);
    expect(t.ask(question(ME, "8.8.8.8"))).toEqual([]);
    t.node.run("sysctl -w net.ipv4.conf.lan.proxy_arp=0 net.ipv4.neigh.lan.proxy_delay=0");
    t.node.run("ip neigh add proxy 10.3.0.8 dev lan");
    expect(t.ask(question(ALL, "10.3.0.7"))).toEqual([]);
    expect(t.ask(question(ALL, "10.3.0.8"))).toEqual([`is-at 10.3.0.8 > ${plain(macOf(2))}`]);
    t.node.run("sysctl -w net.ipv4.conf.lan.proxy_arp_pvlan=1");
    expect(t.ask(question(ALL, "10.1.0.7"))).toEqual([`is-at 10.1.0.7 > ${plain(macOf(2))}`]);
    expect(t.node.settle()).toBe(0);
  });

  test("an ARP packet cut at every length, and every byte changed, is refused or answered, never more", () => {
    const t = setup();
    const whole = arp(1, macOf(2), "10.1.0.2", ZERO, "10.1.0.1");
    for (let n = 0; n < whole.length; n++) expect(t.ask(whole.slice(0, n))).toEqual([]);
    for (let at = 0; at < whole.length; at++) {
      for (const bit of [1, 0x80]) {
        const changed = whole.slice();
        changed[at]! ^= bit;
        expect(t.ask(changed).length).toBeLessThanOrEqual(1);
      }
    }
    expect(t.ask(whole)).toHaveLength(1);
    expect(t.node.settle()).toBe(0);
  });

  // ---- words

  test("ip neigh: what Linux's prints", () => {
    const t = setup();
    const neigh = (words: string) => t.node.run(`ip neigh ${words}`);
    neigh("add 10.1.0.2 dev lan lladdr 02:00:00:00:00:02");
    neigh("add 10.1.0.4 dev lan lladdr 02:00:00:00:00:04 nud reachable");
    neigh("add proxy 10.1.0.5 dev lan");
    neigh("add 10.1.0.6 dev lan nud failed");
    neigh("add 10.1.0.7 dev lan lladdr 02:00:00:00:00:07 nud noarp");
    expect(neigh("")).toBe(
      "10.1.0.2 dev lan lladdr 02:00:00:00:00:02 PERMANENT \n10.1.0.4 dev lan lladdr 02:00:00:00:00:04 REACHABLE \n" +
        "10.1.0.6 dev lan FAILED \n",
    );
    expect(neigh("show nud noarp")).toBe("10.1.0.7 dev lan lladdr 02:00:00:00:00:07 NOARP \n");
    expect(neigh("show proxy")).toBe("10.1.0.5 dev lan proxy \n");
    expect(neigh("show dev lan nud reachable")).toBe("10.1.0.4 lladdr 02:00:00:00:00:04 REACHABLE \n");
    neigh("flush dev lan");
    expect(neigh("show")).toBe("10.1.0.2 dev lan lladdr 02:00:00:00:00:02 PERMANENT \n");
    neigh("add 10.1.0.8 dev lan lladdr 02:00:00:00:00:08 router extern_learn");
    neigh("add 10.1.0.10 dev lan use");
    expect(t.out()).toEqual(["who-has 10.1.0.10 tell 10.1.0.1 > ffffffffffff"]);
    expect(neigh("list")).toContain("10.1.0.8 dev lan lladdr 02:00:00:00:00:08 router extern_learn PERMANENT \n");
    expect(neigh("list")).toContain("10.1.0.10 dev lan INCOMPLETE \n");
    neigh("replace 10.1.0.2 dev lan lladdr 02:00:00:00:00:23 nud delay");
    expect(neigh("show 10.1.0.2")).toBe("10.1.0.2 dev lan lladdr 02:00:00:00:00:23 DELAY \n");
    neigh("del 10.1.0.2 dev lan");
    neigh("del proxy 10.1.0.5 dev lan");
    expect(neigh("show 10.1.0.2") + neigh("show proxy")).toBe("");
  });

  test("ip neigh: a wrong word is named with its place", () => {
    const t = setup();
    t.node.run("ip neigh add 10.1.0.2 dev lan lladdr 02:00:00:00:00:02");
    const cases: [string, number, string][] = [
      ["ip neigh add 10.1.0.2 dev lan lladdr 02:00:00:00:00:02", 14, "10.1.0.2 on lan exists already"],
      ["ip neigh add 10.1.0.3 dev lan", 14, "10.1.0.3: no lladdr"],
      ["ip neigh del 10.1.0.9 dev lan", 14, "no entry for 10.1.0.9 on lan"],
      ["ip neigh change 10.1.0.9 dev lan lladdr 02:00:00:00:00:09", 17, "no entry for 10.1.0.9 on lan"],
      ["ip neigh add 10.1.0.9 dev eth9", 27, "no interface 'eth9'"],
      ["ip neigh add 10.1.0.999 dev lan", 14, "'10.1.0.999' is no IPv4 address"],
      ["ip neigh add 10.1.0.9 dev lan lladdr 02:00", 38, "'02:00' is no MAC address"],
      ["ip neigh add 10.1.0.9 dev lan nud fresh", 35, "unknown state 'fresh'"],
      ["ip neigh add 10.1.0.9 dev", 23, "'dev' ends the line"],
      ["ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09", 47, "no device"],
      ["ip neigh flush", 15, "flush of everything"],
      ["ip neigh wash", 10, "unknown command 'wash'"],
    ];
    for (const [line, column, message] of cases) {
      let error: unknown = null;
      try {
        t.node.run(line);
      } catch (e) {
        error = e;
      }
      expect(error, line).toBeInstanceOf(TextError);
      expect([(error as TextError).column, (error as TextError).message.split(",")[0]], line).toEqual([
        column,
        message,
      ]);
    }
    expect(t.show()).toBe("10.1.0.2 dev lan lladdr 02:00:00:00:00:02 PERMANENT \n");
  });
});
