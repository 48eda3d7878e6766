// Routing tables as text: `ip route`, lists, what is wrong in them and where.

import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entries, linesOf, listOf, readAll, refusal } from "./support.ts";

const lines = async (text: string, table?: number): Promise<string[]> =>
  linesOf((await readAll(text, table === undefined ? {} : { table })).table);

/** What `--json` says of an address. */
const nexthop = async (text: string, address: number): Promise<string | null | undefined> => {
  const { table } = await readAll(text);
  const route = table.lookup(address);
  const hop = route < 0 ? undefined : table.hops.list[table.columns.hops[route]!]!.nexthop;
  table.release();
  return hop;
};

describe("ip route", () => {
  const shown = [
    "default via 192.168.1.1 dev eth0 proto dhcp src 192.168.1.44 metric 100 ",
    "default via 10.9.9.9 dev wlan0 proto dhcp metric 600 ",
    "10.0.0.0/8 proto static metric 20 ",
    "\tnexthop via 192.168.1.5 dev eth0 weight 1 ",
    "\tnexthop via 192.168.1.6 dev eth0 weight 2 ",
    "blackhole 10.1.0.0/16 ",
    "10.1.2.0/24 dev eth1 proto kernel scope link src 10.1.2.1 ",
    "10.1.2.9 via 10.1.2.1 dev eth1 mtu lock 1400 ",
    "unreachable 10.2/16 metric 4278198272 ",
    "192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.44 linkdown ",
    "",
  ].join("\n");

  it("reads what `ip route show` prints", async () => {
    expect(await lines(shown)).toEqual([
      "0.0.0.0/0 via 192.168.1.1 dev eth0 src 192.168.1.44",
      "10.0.0.0/8 nexthop via 192.168.1.5 dev eth0 weight 1 nexthop via 192.168.1.6 dev eth0 weight 2",
      "blackhole 10.1.0.0/16",
      "10.1.2.0/24 dev eth1 src 10.1.2.1",
      "10.1.2.9/32 via 10.1.2.1 dev eth1 mtu lock 1400",
      "unreachable 10.2.0.0/16",
      "192.168.1.0/24 dev eth0 src 192.168.1.44",
    ]);
    expect((await readAll(shown)).table.duplicates).toBe(1);
  });

  it("reads ways below a prefix alone, as of protocol boot", async () => {
    const ways = "\tnexthop via 10.0.0.1 dev e0 weight 3 \n\tnexthop via 10.0.1.1 dev e1 weight 1 \n";
    const expected = "172.16.0.0/12 nexthop via 10.0.0.1 dev e0 weight 3 nexthop via 10.0.1.1 dev e1 weight 1";
    expect(await lines(`172.16.0.0/12 \n${ways}10.0.0.0/8\n`)).toEqual(["10.0.0.0/8", expected]);
    expect(await lines(`default \n${ways}`)).toEqual([expected.replace("172.16.0.0/12", "0.0.0.0/0")]);
    expect(await lines(`172.16.0.0/12 via 10.0.0.9\n172.16.0.0/12 \n${ways}`)).toEqual([expected]);
  });

  it("reads its own lines back", async () => {
    const once = await lines(shown);
    expect(await lines(once.join("\n"))).toEqual(once);
    const ways = "10.0.0.0/8 src 10.0.0.9 mtu 1400 nexthop via 10.0.0.1 weight 1 nexthop via 10.0.0.2 weight 1";
    expect(await lines(ways)).toEqual([ways]);
  });

  it("tells the gateway, the type of what goes nowhere, and null on the link", async () => {
    expect(await nexthop(shown, 0x08080808)).toBe("192.168.1.1");
    expect(await nexthop(shown, 0x0a070707)).toBe("192.168.1.5,192.168.1.6");
    expect(await nexthop(shown, 0x0a010101)).toBe("blackhole");
    expect(await nexthop(shown, 0x0a010207)).toBe(null);
    expect(await nexthop("10.0.0.0/8 dev eth0", 0x0b000000)).toBe(undefined);
  });

  it("takes the lower metric, wherever it stands, and of equal ones the last", async () => {
    const [a, b] = ["10.0.0.0/8 via 10.0.0.1 metric 10", "10.0.0.0/8 via 10.0.0.2 metric 20"];
    expect(await lines(`${a}\n${b}`)).toEqual(["10.0.0.0/8 via 10.0.0.1"]);
    expect(await lines(`${b}\n${a}`)).toEqual(["10.0.0.0/8 via 10.0.0.1"]);
    expect(await lines(`${a}\n10.0.0.0/8 via 10.0.0.3 metric 10`)).toEqual(["10.0.0.0/8 via 10.0.0.3"]);
  });

  it("reads one table of `ip route show table all`, and says how much of it is others'", async () => {
    const text =
      "default via 10.0.0.1 dev eth0 table 100 \n10.0.0.0/8 dev eth0 \nlocal 10.0.0.1 dev eth0 table local scope host\n";
    const main = await readAll(text);
    expect(linesOf(main.table)).toEqual(["10.0.0.0/8 dev eth0"]);
    expect(Object.fromEntries(main.passedOver)).toEqual({ "routes of table 100": 1, "routes of table local": 1 });
    expect(await lines(text, 100)).toEqual(["0.0.0.0/0 via 10.0.0.1 dev eth0"]);
    expect(await lines(text, 255)).toEqual(["local 10.0.0.1/32 dev eth0"]);
    expect(await lines("local 10.0.0.1 dev eth0 scope host", 255)).toEqual(["local 10.0.0.1/32 dev eth0"]);
    expect(Object.fromEntries((await readAll("10.0.0.0/8 tos 0x10 dev eth0")).passedOver)).toEqual({
      "routes for one tos alone": 1,
    });
  });

  it("counts the IPv6 routes of `ip route show table all`", async () => {
    const text = [
      "10.0.0.0/8 via 10.0.0.1 dev eth0 ",
      "::1 dev lo proto kernel metric 256 pref medium",
      "2001:db8::/32 proto static metric 1024 pref medium",
      "\tnexthop via fe80::1 dev eth0 weight 1 ",
      "\tnexthop via fe80::2 dev eth0 weight 1 ",
      "default via fe80::1 dev eth0 proto ra metric 100 pref medium",
      "default dev eth1 metric 1024 pref medium",
      "multicast ff00::/8 dev eth0 table local proto kernel metric 256 pref medium",
    ];
    const r = await readAll(text.join("\n"));
    expect(linesOf(r.table)).toEqual(["10.0.0.0/8 via 10.0.0.1 dev eth0"]);
    expect(Object.fromEntries(r.passedOver)).toEqual({ "IPv6 routes": 5 });
  });

  it("passes the ways of another table's route over with it", async () => {
    const text =
      "10.0.0.0/8 via 10.0.0.1\n11.0.0.0/8 table 7 \n\tnexthop via 1.1.1.1 weight 1\n\tnexthop via 1.1.1.2 weight 1\n";
    expect(await lines(text)).toEqual(["10.0.0.0/8 via 10.0.0.1"]);
  });

  it("reads commands, and one line of many ways", async () => {
    expect(await lines("ip route add 10.0.0.0/8 via 10.0.0.1\nroute replace default dev eth0\n")).toEqual([
      "0.0.0.0/0 dev eth0",
      "10.0.0.0/8 via 10.0.0.1",
    ]);
    expect(await lines("10.0.0.0/8 \\\tnexthop via 10.0.0.1 weight 1\\\tnexthop via 10.0.0.2 weight 1")).toEqual([
      "10.0.0.0/8 nexthop via 10.0.0.1 weight 1 nexthop via 10.0.0.2 weight 1",
    ]);
  });
});

describe("lists", () => {
  it("of prefixes, with and without next hops, comments and empty lines", async () => {
    const text =
      "\uFEFF# a table\r\n\r\n10.0.0.0/8 10.0.0.1\r\n10.1.0.0/16\t10.0.0.2 AS64500 and more # why\n  10.2.0.0/16   peer-7  \n10.3.0.0/16 # none\n10.4.0.0/16 2001:db8::1 x\n10.5.5.5\n0.0.0.0/0";
    expect(await lines(text)).toEqual([
      "0.0.0.0/0",
      "10.0.0.0/8 10.0.0.1",
      "10.1.0.0/16 10.0.0.2",
      "10.2.0.0/16 peer-7",
      "10.3.0.0/16",
      "10.4.0.0/16 2001:db8::1",
      "10.5.5.5/32",
    ]);
    const { table } = await readAll(text);
    expect(table.hops.list[table.columns.hops[0]!]!.nexthop).toBe(null);
  });

  it("in any order, the last of two lines for a prefix counts", async () => {
    await fc.assert(
      fc.asyncProperty(entries(0x0a010000, 26, ["10.0.0.1", "x"]), async (list) => {
        const read = await readAll(listOf(list));
        const expected = new Map(list.map((e) => [e.prefix, e.hop]));
        expect(linesOf(read.table).toSorted()).toEqual([...expected].map(([p, h]) => `${p} ${h}`).toSorted());
        expect(read.table.duplicates).toBe(list.length - expected.size);
      }),
    );
  });

  it("cut into chunks anywhere, and gzipped", async () => {
    const text =
      "# list\n10.0.0.0/8 10.0.0.1\n10.1.0.0/16 via 10.0.0.2 dev eth0\n\n10.2.0.0/16\nblackhole 10.3.0.0/16\n192.0.2.0/24 label";
    const whole = await lines(text);
    expect(whole).toHaveLength(5);
    for (let step = 1; step < text.length; step++)
      expect(linesOf((await readAll(text, {}, step)).table)).toEqual(whole);
    expect(linesOf((await readAll(gzipSync(text), {}, 7)).table)).toEqual(whole);
  });
});

describe("what is wrong", () => {
  it.each([
    ["10.0.0.0/33 10.0.0.1", "1:1: '10.0.0.0/33' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8"],
    ["10.0.0.0/8\n10.0.0/x", "2:1: '10.0.0/x' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8"],
    [
      "10.0.0.0/8\n\n  10.0.0.256/24 a",
      "3:3: '10.0.0.256/24' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8",
    ],
    ["10.1.2.3/16", "1:1: 10.1.2.3/16: bits behind the length are set, expected 10.1.0.0/16"],
    ["0.0.0.1/0 via 10.0.0.1", "1:1: 0.0.0.1/0: bits behind the length are set, expected 0.0.0.0/0"],
    ["2001:db8::/32x dev eth0", "1:1: '2001:db8::/32x' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8"],
    ["10.0.0.0/8 10.0.0.300", "1:12: '10.0.0.300': expected an IPv4 address"],
    ["10.0.0.0/8 10.0.0 AS1", "1:12: '10.0.0': expected an IPv4 address"],
    ["10.0.0.0/8 via 10.0.0.300 dev eth0", "1:16: '10.0.0.300': expected an IPv4 address"],
    [
      "10.0.0.0/8 vai 10.0.0.1",
      "1:12: 'vai': expected via, dev, src, metric, table, tos, scope, proto, mtu, onlink or nexthop",
    ],
    ["blackhole 10.0.0.0/8 metric x", "1:29: 'x': expected a metric (0 to 4294967295)"],
    ["default via", "1:12: expected an IPv4 address"],
    ["  nexthop via 10.0.0.1 weight 1", "1:3: 'nexthop' continues a route of 'ip route', and none is above"],
    [
      "10.0.0.0/8 proto static\n\tnexthop via 10.0.0.1 weight 1\n\tnexthop via 10.0.0.2 weight 999",
      "3:30: '999': expected a weight (1 to 256)",
    ],
    [
      "10.0.0.0/8\n\u0000\u0001\u0002",
      "2:1: '\uFFFD\uFFFD\uFFFD' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8",
    ],
    ["010.0.0.0/8", "1:1: '010.0.0.0/8' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8"],
    ["BZh91AY", "offset 0: compressed with bzip2, which is not read here: bunzip2 -c FILE | wirepath routes -"],
  ])("%j", async (text, what) => expect(await refusal(text)).toBe(what));

  it("a line without an end", async () => {
    expect(await refusal(`10.0.0.0/8\n${"1".repeat((1 << 20) + 1)}`)).toMatch(/^2:1: longer than 1048576 bytes/);
    expect(await refusal(`10.0.0.0/8\n${"1".repeat(300)}\n`)).toBe(
      `2:1: '${"1".repeat(40)}...' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8`,
    );
  });

  it("gzip that is cut, or damaged", async () => {
    const zipped = gzipSync("10.0.0.0/8 10.0.0.1\n".repeat(50));
    expect(await refusal(zipped.subarray(0, 20))).toMatch(/^offset 20: gzip: /);
    const damaged = Uint8Array.from(zipped);
    damaged[damaged.length - 6]! ^= 0xff;
    expect(await refusal(damaged)).toMatch(/^offset \d+: gzip: /);
  });

  it("is counted by a lenient reader, and the rest is read", async () => {
    const r = await readAll("10.0.0.0/8 a\n10.0.0.0/99 a\n11.0.0.0/8 a\nnonsense here\n12.0.0.0/8 a\n", {
      lenient: true,
    });
    expect(linesOf(r.table)).toEqual(["10.0.0.0/8 a", "11.0.0.0/8 a", "12.0.0.0/8 a"]);
    expect(r.faults).toBe(2);
    expect(r.firstFault!.where).toBe("2:1");
  });

  it("never is a crash: any text is read, or refused with its place", async () => {
    const words = fc.constantFrom(
      "10.0.0.0/8",
      "default",
      "via",
      "dev",
      "nexthop",
      "10.0.0.1",
      "blackhole",
      "table",
      "main",
      "\n",
      "\n\t",
      "#",
      "/",
      "\\",
      "metric",
      "9",
      "\u0000",
      "é",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(words).map((w) => w.join(" ")),
        ),
        async (text) => {
          expect(await refusal(text)).toMatch(/^(read$|\d+:\d+: |offset \d+: )/);
          const r = await readAll(`# any text\n${text}`, { lenient: true });
          expect(r.table.size + r.faults).toBeLessThanOrEqual(text.split("\n").length);
        },
      ),
    );
  });
});
