// Mask arithmetic against counting by hand.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Prefix, formatIpv4, formatPrefix, parseIpv4, parsePrefix } from "../../src/core/address.ts";
import {
  SubnetError,
  allot,
  bitText,
  broadcastOf,
  containsAddress,
  containsPrefix,
  firstHost,
  formatRange,
  hostCount,
  lastHost,
  lastOf,
  lengthForHosts,
  networkOf,
  networkPrefix,
  overlaps,
  parseMask,
  parseRange,
  parseSubnet,
  rangeOf,
  rangePrefixes,
  sizeOf,
  splitBits,
  subnets,
  summarise,
  supernet,
  wildcardOf,
} from "../../src/core/subnet.ts";

const p = (text: string): Prefix => parsePrefix(text)!;
const texts = (list: Iterable<Prefix>): string[] => Array.from(list, formatPrefix);
const address = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 0xffffffff, 0x80000000));
const prefix = fc.record({ address, length: fc.integer({ min: 0, max: 32 }) });

describe("one network", () => {
  it.each([
    ["10.0.0.77/16", "10.0.0.0", "10.0.0.1", "10.0.255.254", "10.0.255.255", 65534],
    ["192.168.1.130/25", "192.168.1.128", "192.168.1.129", "192.168.1.254", "192.168.1.255", 126],
    ["10.1.1.7/30", "10.1.1.4", "10.1.1.5", "10.1.1.6", "10.1.1.7", 2],
    ["10.1.1.7/31", "10.1.1.6", "10.1.1.6", "10.1.1.7", null, 2],
    ["10.1.1.7/32", "10.1.1.7", "10.1.1.7", "10.1.1.7", null, 1],
    ["200.1.1.7/0", "0.0.0.0", "0.0.0.1", "255.255.255.254", "255.255.255.255", 4294967294],
    ["200.1.1.7/1", "128.0.0.0", "128.0.0.1", "255.255.255.254", "255.255.255.255", 2147483646],
  ])("%s", (text, network, first, last, broadcast, hosts) => {
    const n = p(text);
    const b = broadcastOf(n);
    expect(formatIpv4(networkOf(n.address, n.length))).toBe(network);
    expect([firstHost(n), lastHost(n)].map(formatIpv4)).toEqual([first, last]);
    expect(b === null ? null : formatIpv4(b)).toBe(broadcast);
    expect(hostCount(n.length)).toBe(hosts);
  });

  it("is made of the bits of address and mask, whatever the length", () => {
    fc.assert(
      fc.property(prefix, (n) => {
        const bits = n.address.toString(2).padStart(32, "0");
        const fill = (c: string): number => parseInt(bits.slice(0, n.length).padEnd(32, c), 2);
        expect(networkOf(n.address, n.length)).toBe(fill("0"));
        expect(lastOf(n)).toBe(fill("1"));
        expect(lastOf(n) - networkOf(n.address, n.length) + 1).toBe(sizeOf(n.length));
        expect(lastHost(n) - firstHost(n) + 1).toBe(hostCount(n.length));
        expect(wildcardOf(n.length)).toBe(sizeOf(n.length) - 1);
        expect(networkPrefix(n)).toEqual({ address: fill("0"), length: n.length });
      }),
    );
  });

  it("contains what agrees with it in its first bits", () => {
    fc.assert(
      fc.property(prefix, prefix, address, (a, b, x) => {
        const bits = (v: number, n: number): string => v.toString(2).padStart(32, "0").slice(0, n);
        const inside = bits(a.address, a.length) === bits(x, a.length);
        expect(containsAddress(a, x)).toBe(inside);
        const range = (n: Prefix): [number, number] => [networkOf(n.address, n.length), lastOf(n)];
        const [a0, a1] = range(a);
        const [b0, b1] = range(b);
        expect(containsPrefix(a, b)).toBe(a0 <= b0 && b1 <= a1);
        expect(overlaps(a, b)).toBe(a0 <= b1 && b0 <= a1);
      }),
    );
  });

  it("shows its bits, and where the mask ends", () => {
    expect(bitText(parseIpv4("10.1.2.3")!)).toBe("00001010.00000001.00000010.00000011");
    expect(bitText(parseIpv4("10.1.2.3")!, 0)).toBe("|00001010.00000001.00000010.00000011");
    expect(bitText(parseIpv4("10.1.2.3")!, 16)).toBe("00001010.00000001|00000010.00000011");
    expect(bitText(parseIpv4("10.1.2.3")!, 20)).toBe("00001010.00000001.0000|0010.00000011");
  });
});

describe("words", () => {
  it.each([
    ["24", 24],
    ["/24", 24],
    ["0", 0],
    ["32", 32],
    ["255.255.255.0", 24],
    ["255.255.255.255", 32],
    ["0.0.0.0", 0],
    ["255.254.0.0", 15],
    ["0.0.0.255", 24],
    ["0.0.255.255", 16],
    ["127.255.255.255", 1],
    ["/255.0.0.0", 8],
    ["33", null],
    ["255.0.255.0", null],
    ["0.255.0.255", null],
    ["255.255.255", null],
    ["", null],
    ["-1", null],
    ["x", null],
  ])("mask %j is %j", (text, length) => expect(parseMask(text)).toBe(length));

  it.each([
    ["10.0.0.5/16", "10.0.0.5/16"],
    ["10.0.0.5/255.255.0.0", "10.0.0.5/16"],
    ["10.0.0.5 255.255.0.0", "10.0.0.5/16"],
    ["10.0.0.5 0.0.255.255", "10.0.0.5/16"],
    ["10.0.0.5 /16", "10.0.0.5/16"],
    ["10.0.0.5", "10.0.0.5/32"],
    [" 0.0.0.0/0 ", "0.0.0.0/0"],
    ["10.0.0.5/", null],
    ["10.0.0/8", null],
    ["10.0.0.256/8", null],
    ["10.0.0.5/33", null],
    ["10.0.0.5 16 16", null],
    ["a", null],
    ["", null],
    ["010.0.0.1/8", null],
  ])("network %j is %j", (text, expected) => {
    const n = parseSubnet(text);
    expect(n === null ? null : formatPrefix(n)).toBe(expected);
  });

  it.each([
    ["10.0.0.3-10.0.0.17", "10.0.0.3-10.0.0.17"],
    ["10.0.0.9/24", "10.0.0.0-10.0.0.255"],
    ["10.0.0.9", "10.0.0.9-10.0.0.9"],
    ["10.0.0.9-10.0.0.8", null],
    ["10.0.0.9-", null],
    ["-10.0.0.9", null],
  ])("range %j is %j", (text, expected) => {
    const r = parseRange(text);
    expect(r === null ? null : formatRange(r)).toBe(expected);
  });
});

describe("splitting", () => {
  it("ten need sixteen", () => {
    const n = p("10.0.0.0/16");
    expect(splitBits(n, 10)).toBe(4);
    const all = texts(subnets(n, 20));
    expect(all).toHaveLength(16);
    expect([all[0], all[1], all[9], all[15]]).toEqual([
      "10.0.0.0/20",
      "10.0.16.0/20",
      "10.0.144.0/20",
      "10.0.240.0/20",
    ]);
    expect(texts(rangePrefixes(parseIpv4("10.0.160.0")!, parseIpv4("10.0.255.255")!))).toEqual([
      "10.0.160.0/19",
      "10.0.192.0/18",
    ]);
  });

  it.each([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [256, 8],
    [257, 9],
    [65536, 16],
  ])("%i networks take %i bits", (count, bits) => {
    expect(splitBits(p("10.0.0.0/16"), count)).toBe(bits);
  });

  it("refuses more networks than addresses, and none", () => {
    expect(() => splitBits(p("10.0.0.0/30"), 5)).toThrow("10.0.0.0/30 has 4 addresses: 5 networks do not fit");
    expect(splitBits(p("0.0.0.0/0"), 2 ** 32)).toBe(32);
    expect(() => splitBits(p("0.0.0.0/0"), 2 ** 32 + 1)).toThrow(SubnetError);
    for (const n of [0, -1, 1.5, NaN]) expect(() => splitBits(p("10.0.0.0/8"), n)).toThrow(SubnetError);
  });

  it("covers the network once, in order", () => {
    fc.assert(
      fc.property(prefix, fc.integer({ min: 0, max: 8 }), (n, bits) => {
        const length = Math.min(32, n.length + bits);
        const parts = [...subnets(n, length)];
        expect(parts).toHaveLength(2 ** (length - n.length));
        let at = networkOf(n.address, n.length);
        for (const part of parts) {
          expect(part).toEqual({ address: at, length });
          at += sizeOf(length);
        }
        expect(at).toBe(lastOf(n) + 1);
      }),
    );
  });
});

describe("networks for numbers of hosts", () => {
  it("500, 100, 20 in a /22, the largest first", () => {
    const a = allot(p("10.0.0.0/22"), [20, 500, 100]);
    expect(texts(a.networks)).toEqual(["10.0.2.128/27", "10.0.0.0/23", "10.0.2.0/25"]);
    expect(texts(a.free)).toEqual(["10.0.2.160/27", "10.0.2.192/26", "10.0.3.0/24"]);
  });

  it.each([
    [1, 30],
    [2, 30],
    [3, 29],
    [6, 29],
    [7, 28],
    [254, 24],
    [255, 23],
    [4294967294, 0],
  ])("%i hosts: /%i", (n, length) => {
    expect(lengthForHosts(n)).toBe(length);
  });

  it("refuses what does not fit", () => {
    expect(() => allot(p("10.0.0.0/24"), [200, 100])).toThrow(
      "200, 100 hosts need 384 addresses, 10.0.0.0/24 has 256: the network for 100 hosts (/25) does not fit",
    );
    expect(() => lengthForHosts(4294967295)).toThrow(SubnetError);
    expect(() => lengthForHosts(0)).toThrow(SubnetError);
  });

  it("leaves no gap, no overlap, and room enough for each", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 24 }),
        address,
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 12 }),
        (length, at, hosts) => {
          const n = { address: at, length };
          let a;
          try {
            a = allot(n, hosts);
          } catch (e) {
            expect(e).toBeInstanceOf(SubnetError);
            expect(hosts.reduce((sum, h) => sum + sizeOf(lengthForHosts(h)), 0)).toBeGreaterThan(sizeOf(length));
            return;
          }
          for (const [i, h] of hosts.entries()) {
            const { length: l } = a.networks[i]!;
            expect(hostCount(l)).toBeGreaterThanOrEqual(h);
            if (l < 30) expect(hostCount(l + 1)).toBeLessThan(h);
          }
          // together they are the network again, each address once
          const all = [...a.networks, ...a.free];
          for (const part of all) expect(part.address).toBe(networkOf(part.address, part.length));
          expect(all.reduce((sum, part) => sum + sizeOf(part.length), 0)).toBe(sizeOf(length));
          expect(texts(summarise(all.map(rangeOf)))).toEqual(texts([networkPrefix(n)]));
        },
      ),
    );
  });
});

describe("summarising", () => {
  it("the fewest prefixes, and the network around them", () => {
    const ranges = ["10.0.0.0/24", "10.0.1.0/24", "10.0.4.3-10.0.4.9", "10.0.0.128/25"].map((t) => parseRange(t)!);
    expect(texts(summarise(ranges))).toEqual(["10.0.0.0/23", "10.0.4.3/32", "10.0.4.4/30", "10.0.4.8/31"]);
    expect(formatPrefix(supernet(ranges)!)).toBe("10.0.0.0/21");
    expect(summarise([])).toEqual([]);
    expect(supernet([])).toBe(null);
    expect(texts(rangePrefixes(0, 0xffffffff))).toEqual(["0.0.0.0/0"]);
    expect(texts(rangePrefixes(1, 0xffffffff))).toHaveLength(32);
    expect(formatPrefix(supernet([{ first: 0x7fffffff, last: 0x80000000 }])!)).toBe("0.0.0.0/0");
  });

  it("holds exactly the addresses of the ranges, in as few prefixes as can be", () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 40 }));
    fc.assert(
      fc.property(address, fc.array(range, { maxLength: 8 }), (base, list) => {
        const start = networkOf(base, 23);
        const set = new Set(list.flatMap(([from, n]) => Array.from({ length: n + 1 }, (_, i) => start + from + i)));
        const got = summarise(list.map(([from, n]) => ({ first: start + from, last: start + from + n })));
        const held = got.flatMap((n) => Array.from({ length: sizeOf(n.length) }, (_, i) => n.address + i));
        expect(held).toEqual([...set].toSorted((a, b) => a - b));
        // fewest: no two neighbours are halves of one network
        for (let i = 1; i < got.length; i++) {
          const [a, b] = [got[i - 1]!, got[i]!];
          expect(
            a.length === b.length && networkOf(a.address, a.length - 1) === networkOf(b.address, b.length - 1),
          ).toBe(false);
        }
      }),
    );
  });
});
