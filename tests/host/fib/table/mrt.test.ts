// MRT dumps, RFC 6396, against an encoder of the tests' own.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attribute, be, peerIndexTable, record, rib, tableDump } from "../../../support/mrt.ts";
import { linesOf, readAll, refusal } from "./support.ts";

const lines = async (bytes: readonly number[], step = Infinity): Promise<string[]> =>
  linesOf((await readAll(bytes, {}, step)).table);

describe("TABLE_DUMP_V2", () => {
  it("byte by byte: a peer, 192.0.2.1 of AS 64500, and its route to 198.51.100.0/22", async () => {
    const index = ["65000000 000d 0001 00000015", "0a000001 0000 0001", "02 0a000002 c0000201 0000fbf4"];
    const route = [
      "65000000 000d 0002 00000026",
      "00000000 16 c63364 0001",
      "0000 64fffff0 0014",
      "40010100",
      "4002060201 0000fbf4",
      "400304 c0000201",
    ];
    const bytes = [...Buffer.from([...index, ...route].join("").replaceAll(" ", ""), "hex")];
    expect(await lines(bytes)).toEqual(["198.51.100.0/22 192.0.2.1"]);
    expect(rib("198.51.100.0/22", [{ nexthop: "192.0.2.1", origin: 0, path: [64500] }]).slice(12 + 16)).toEqual(
      bytes.slice(33 + 12 + 16),
    );
  });

  it("prefixes of every length with their next hops", async () => {
    const prefixes = Array.from(
      { length: 33 },
      (_, l) =>
        `${l === 0 ? "0.0.0.0" : l <= 8 ? "128.0.0.0" : l <= 16 ? "10.128.0.0" : l <= 24 ? "10.1.128.0" : "10.1.2.128"}/${l}`,
    );
    const bytes = [
      ...peerIndexTable(2, "view"),
      ...prefixes.flatMap((p, i) => rib(p, [{ nexthop: `192.0.2.${i}`, origin: 0, path: [64500] }], i)),
    ];
    const expected = prefixes.map((p, i) => `${p} 192.0.2.${i}`);
    expect((await lines(bytes)).toSorted()).toEqual(expected.toSorted());
  });

  it("ignores bits behind the length, and reads lengths of two bytes", async () => {
    const message = [
      ...be(0, 4),
      12,
      0xac,
      0x1f,
      ...be(1, 2),
      ...be(0, 2),
      ...be(0, 4),
      ...be(7, 2),
      ...attribute(3, [10, 0, 0, 1]),
    ];
    expect(await lines([...peerIndexTable(1), ...record(13, 2, message)])).toEqual(["172.16.0.0/12 10.0.0.1"]);
    expect(
      await lines([
        ...peerIndexTable(1),
        ...rib("10.0.0.0/8", [{ nexthop: "10.0.0.1", origin: 1, path: [1, 2], extended: true }]),
      ]),
    ).toEqual(["10.0.0.0/8 10.0.0.1"]);
  });

  const best = (...paths: Parameters<typeof rib>[1]): Promise<string[]> =>
    lines([...peerIndexTable(4), ...rib("10.0.0.0/8", paths)]);

  it("takes the best path: LOCAL_PREF, AS_PATH, ORIGIN, the first", async () => {
    const [a, b] = ["10.0.0.1", "10.0.0.2"];
    expect(await best({ nexthop: a }, { nexthop: b })).toEqual(["10.0.0.0/8 10.0.0.1"]);
    expect(await best({ nexthop: a, path: [1, 2] }, { nexthop: b, path: [1] })).toEqual(["10.0.0.0/8 10.0.0.2"]);
    expect(await best({ nexthop: a, path: [1, 2] }, { nexthop: b, path: [[1, 2, 3]] })).toEqual([
      "10.0.0.0/8 10.0.0.2",
    ]);
    expect(await best({ nexthop: a, path: [1] }, { nexthop: b, path: [1, 2, 3], localPref: 101 })).toEqual([
      "10.0.0.0/8 10.0.0.2",
    ]);
    expect(await best({ nexthop: a, path: [1], localPref: 100 }, { nexthop: b, path: [1] })).toEqual([
      "10.0.0.0/8 10.0.0.1",
    ]);
    expect(await best({ nexthop: a, path: [1], origin: 2 }, { nexthop: b, path: [2], origin: 0 })).toEqual([
      "10.0.0.0/8 10.0.0.2",
    ]);
    expect(await best({ nexthop: a, localPref: 0xffffffff }, { nexthop: b, localPref: 0 })).toEqual([
      "10.0.0.0/8 10.0.0.1",
    ]);
  });

  it("ADDPATH (RFC 8050), and a next hop of IPv6 (RFC 8950), short and whole", async () => {
    const v6 = [0x20, 0x01, 0x0d, 0xb8, ...be(0, 11), 1];
    const short = attribute(14, [16, ...v6], false, 0x80);
    const whole = attribute(14, [0, 1, 1, 16, ...v6, 0], true, 0x80);
    const bytes = [
      ...peerIndexTable(1),
      ...rib("10.0.0.0/8", [{ nexthop: "10.0.0.1", pathId: 7 }], 0, true),
      ...rib("11.0.0.0/8", [{ nexthop: null, more: short }]),
      ...rib("12.0.0.0/8", [{ nexthop: null, more: whole }]),
    ];
    expect(await lines(bytes)).toEqual(["10.0.0.0/8 10.0.0.1", "11.0.0.0/8 2001:db8::1", "12.0.0.0/8 2001:db8::1"]);
  });

  it("counts and names what is no IPv4 unicast table", async () => {
    const bytes = [
      ...peerIndexTable(1),
      ...record(13, 4, [1, 2, 3]),
      ...record(13, 4, []),
      ...record(13, 3, []),
      ...record(13, 99, []),
      ...record(16, 4, [0]),
      ...record(17, 4, [0, 0, 0, 0, 0]),
      ...record(12, 2, []),
      ...record(33, 0, be(0, 4)),
      ...rib("10.0.0.0/8", [{ nexthop: null }]),
      ...rib("11.0.0.0/8", []),
    ];
    const r = await readAll(bytes);
    expect(r.format).toBe("MRT");
    expect(Object.fromEntries(r.passedOver)).toEqual({
      "RIB_IPV6_UNICAST records": 2,
      "RIB_IPV4_MULTICAST records": 1,
      "TABLE_DUMP_V2 subtype 99 records": 1,
      "BGP4MP records": 1,
      "BGP4MP_ET records": 1,
      "TABLE_DUMP records of address family 2": 1,
      "ISIS_ET records": 1,
      "paths' missing NEXT_HOP attributes": 1,
      "RIB records without an entry": 1,
    });
    expect(linesOf(r.table)).toEqual(["10.0.0.0/8"]);
    expect(await refusal(record(16, 4, [0]))).toBe("offset 0: no IPv4 unicast table is in it, but 1 BGP4MP records");
  });
});

describe("TABLE_DUMP", () => {
  it("a path a record, the best of each prefix", async () => {
    const bytes = [
      ...tableDump("10.0.0.0/8", { nexthop: "10.0.0.1", path: [1, 2] }),
      ...tableDump("10.0.0.0/8", { nexthop: "10.0.0.2", path: [3] }, 1),
      ...tableDump("10.0.0.0/8", { nexthop: "10.0.0.3", path: [4] }, 2),
      ...tableDump("0.0.0.0/0", { nexthop: "10.0.0.9" }, 3),
    ];
    expect(await lines(bytes)).toEqual(["0.0.0.0/0 10.0.0.9", "10.0.0.0/8 10.0.0.2"]);
  });
});

const path = fc.record({
  nexthop: fc.ipV4(),
  peer: fc.integer({ min: 0, max: 3 }),
  origin: fc.integer({ min: 0, max: 2 }),
  extended: fc.boolean(),
  path: fc.array(
    fc.oneof(fc.integer({ min: 1, max: 0xffffffff }), fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 })),
    { maxLength: 5 },
  ),
});
const table = fc.uniqueArray(
  fc
    .tuple(
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.integer({ min: 0, max: 32 }),
      fc.array(path, { minLength: 1, maxLength: 3 }),
    )
    .map(([a, l, paths]) => {
      const network = l === 0 ? 0 : Math.floor(a / 2 ** (32 - l)) * 2 ** (32 - l);
      return { prefix: `${be(network, 4).join(".")}/${l}`, paths };
    }),
  { selector: (r) => r.prefix, maxLength: 12, minLength: 1 },
);

describe("any table", () => {
  it("comes back, whatever the chunks", async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 60 }), fc.boolean(), async (routes, step, addPath) => {
        const bytes = [...peerIndexTable(4, "v"), ...routes.flatMap((r, i) => rib(r.prefix, r.paths, i, addPath))];
        const hops = routes.map(({ prefix, paths }) => {
          const rank = (p: (typeof paths)[number]): number => p.path.length * 4 + p.origin;
          return `${prefix} ${paths.toSorted((x, y) => rank(x) - rank(y))[0]!.nexthop}`;
        });
        expect((await lines(bytes, step)).toSorted()).toEqual(hops.toSorted());
      }),
    );
  });

  const sample = [
    ...peerIndexTable(3, "view"),
    ...rib("10.0.0.0/8", [{ nexthop: "10.0.0.1", peer: 2, origin: 0, path: [1, [2, 3]], localPref: 7 }]),
    ...rib("192.0.2.0/24", [{ nexthop: "10.0.0.2", extended: true, path: [1] }, { nexthop: "10.0.0.3" }], 1),
    ...tableDump("198.51.100.0/24", { nexthop: "10.0.0.4", path: [5] }),
  ];
  const ends = [0];
  for (let at = 0; at < sample.length;) {
    at += 12 + Buffer.from(sample).readUInt32BE(at + 8);
    ends.push(at);
  }

  it("cut at every byte is refused with an offset; what was whole is there", async () => {
    expect(await lines(sample)).toHaveLength(3);
    for (let n = 5; n < sample.length; n++) {
      if (ends.includes(n)) continue;
      const start = ends.findLast((e) => e < n)!;
      const cut = sample.slice(0, n);
      const wanted = n - start < 12 ? 12 : ends.find((e) => e > n)! - start;
      expect(await refusal(cut)).toBe(`offset ${start}: the record is cut: ${n - start} of ${wanted} bytes are there`);
      const r = await readAll(cut, { lenient: true });
      expect(r.table.size).toBe(Math.max(0, ends.indexOf(start) - 1));
      expect(r.faults).toBeGreaterThan(0);
    }
    // too short to be told from text
    for (let n = 1; n < 5; n++) expect(await refusal(sample.slice(0, n))).toMatch(/^1:1: /);
  });

  it("whose records are cut inside, their lengths right, is refused with an offset in the record", async () => {
    const message = rib("192.0.2.0/24", [
      { nexthop: "10.0.0.2", path: [1], origin: 1 },
      { nexthop: "10.0.0.3", extended: true },
    ]).slice(12);
    const index = peerIndexTable(1);
    for (let n = 0; n < message.length; n++) {
      const bytes = [...index, ...record(13, 2, message.slice(0, n)), ...rib("10.0.0.0/8", [{ nexthop: "10.0.0.1" }])];
      const refused = await refusal(bytes);
      expect(refused).toMatch(/^offset \d+: /);
      const at = Number(/\d+/.exec(refused)![0]);
      expect(at).toBeGreaterThanOrEqual(index.length + 12);
      expect(at).toBeLessThanOrEqual(index.length + 12 + n);
      // a lenient reader goes on behind it
      const r = await readAll(bytes, { lenient: true });
      expect({ lines: linesOf(r.table), faults: r.faults }).toEqual({ lines: ["10.0.0.0/8 10.0.0.1"], faults: 1 });
    }
    const peers = peerIndexTable(3, "v").slice(12);
    for (let n = 0; n < peers.length; n++)
      expect(await refusal(record(13, 1, peers.slice(0, n)))).toMatch(/^offset \d+: .* needs \d+ bytes/);
    expect(await refusal([...index, ...record(13, 2, [...message, 0])])).toMatch(/1 bytes behind the end/);
    const dump = tableDump("10.0.0.0/8", { nexthop: "10.0.0.1", path: [1] }).slice(12);
    for (let n = 0; n < dump.length; n++)
      expect(await refusal(record(12, 1, dump.slice(0, n)))).toMatch(/^offset \d+: /);
  });

  it.each([
    [
      "a prefix of 33 bits",
      rib("10.0.0.0/8", [{ nexthop: "10.0.0.1" }]).map((b, i) => (i === 16 ? 33 : b)),
      /^offset 16: prefix length 33, expected 0 to 32/,
    ],
    [
      "a peer that is none",
      [...peerIndexTable(1), ...rib("10.0.0.0/8", [{ nexthop: "10.0.0.1", peer: 1 }])],
      /^offset 51: peer index 1, expected below 1/,
    ],
    [
      "a next hop of 3 bytes",
      rib("10.0.0.0/8", [{ nexthop: null, more: attribute(3, [1, 2, 3]) }]),
      /NEXT_HOP of 3 bytes, expected 4/,
    ],
    [
      "an AS_PATH that runs over",
      rib("10.0.0.0/8", [{ nexthop: null, more: attribute(2, [2, 9, 0, 0, 0, 1]) }]),
      /AS_PATH: a segment is longer/,
    ],
    [
      "an MP_REACH_NLRI that runs over",
      rib("10.0.0.0/8", [{ nexthop: null, more: attribute(14, [16, 1, 2, 3]) }]),
      /MP_REACH_NLRI/,
    ],
    ["a type that is none", record(0x77, 1, [0]), /^offset 4: type 119 is none of MRT's/],
    [
      "a length beyond all",
      [...be(0, 4), ...be(13, 2), ...be(2, 2), 0xff, 0xff, 0xff, 0xff, 1],
      /^offset 8: a record of 4294967295 bytes/,
    ],
  ])("with %s is refused", async (_name, bytes, what) => expect(await refusal(bytes)).toMatch(what));

  it("with any byte changed, or none of sense, is read or refused with its place", async () => {
    const change = fc.array(
      fc.tuple(fc.integer({ min: 4, max: sample.length - 1 }), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(change, async (changes) => {
        const bytes = sample.slice();
        for (const [at, b] of changes) bytes[at] = b;
        expect(await refusal(bytes)).toMatch(/^(read$|\d+:\d+: |offset \d+: )/);
        const r = await readAll(bytes, { lenient: true });
        expect(r.table.size).toBeLessThanOrEqual(4);
      }),
      { numRuns: 500 },
    );
  });
});
