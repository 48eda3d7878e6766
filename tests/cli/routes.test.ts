// `wirepath routes` and `wirepath subnet` as a user types them.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { Failure } from "../../src/cli/command.ts";
import { command } from "../../src/cli/routes.ts";
import { formatIpv4, parsePrefix } from "../../src/core/address.ts";
import { FileError } from "../../src/node/files.ts";
import { expectRefusal, root, wirepath } from "../support/cli.ts";

const dir = mkdtempSync(join(tmpdir(), "wirepath-"));
afterAll(() => rmSync(dir, { recursive: true }));

const sample = join(root, "fixtures/bgp-sample.txt.gz");
const dump = join(root, "fixtures/bgp-sample.mrt.gz");

function file(name: string, text: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const shown = [
  "default via 192.168.1.1 dev eth0 proto dhcp metric 100 ",
  "10.0.0.0/8 via 192.168.1.5 dev eth0 proto static ",
  "10.1.0.0/16 via 192.168.1.6 dev eth0 proto static ",
  "10.1.2.0/24 dev eth1 proto kernel scope link src 10.1.2.1 ",
  "blackhole 172.16.0.0/12 ",
  "",
].join("\n");
const table = file("table", shown);

const out = (words: string[], input: string | Uint8Array = ""): string => {
  const r = wirepath(words, input);
  expect({ status: r.status, stderr: r.stderr }).toEqual({ status: 0, stderr: "" });
  return r.stdout;
};

describe("routes TABLE ADDRESS", () => {
  it("prints the winner", () => {
    expect(out(["routes", table, "10.1.2.3", "10.1.9.9", "8.8.8.8", "172.17.0.1"])).toBe(
      [
        "10.1.2.3  10.1.2.0/24 dev eth1 src 10.1.2.1",
        "10.1.9.9  10.1.0.0/16 via 192.168.1.6 dev eth0",
        "8.8.8.8  0.0.0.0/0 via 192.168.1.1 dev eth0",
        "172.17.0.1  blackhole 172.16.0.0/12",
        "",
      ].join("\n"),
    );
    expect(out(["routes", "-", "11.0.0.1"], "10.0.0.0/8 10.0.0.1\n")).toBe("11.0.0.1  no route\n");
  });

  it("and why: every prefix that covers it, bit by bit", () => {
    expect(out(["routes", table, "10.1.2.3", "--why"])).toBe(
      [
        "10.1.2.3            00001010.00000001.00000010.00000011",
        "10.1.2.0/24         00001010.00000001.00000010.--------  dev eth1 src 10.1.2.1  wins: the longest that covers it",
        "10.1.0.0/16         00001010.00000001.--------.--------  via 192.168.1.6 dev eth0",
        "10.0.0.0/8          00001010.--------.--------.--------  via 192.168.1.5 dev eth0",
        "0.0.0.0/0           --------.--------.--------.--------  via 192.168.1.1 dev eth0",
        "",
      ].join("\n"),
    );
    expect(out(["routes", "-", "9.0.0.1", "--why"], "10.0.0.0/8")).toMatch(
      /\nno route: no prefix of the table covers it\n$/,
    );
    const [line] = out(["routes", table, "10.1.2.3", "--why", "--json"]).split("\n");
    expect(JSON.parse(line!)).toEqual({
      address: "10.1.2.3",
      route: "10.1.2.0/24",
      nexthop: null,
      covering: [
        { route: "10.1.2.0/24", nexthop: null },
        { route: "10.1.0.0/16", nexthop: "192.168.1.6" },
        { route: "10.0.0.0/8", nexthop: "192.168.1.5" },
        { route: "0.0.0.0/0", nexthop: "192.168.1.1" },
      ],
    });
  });

  it("as JSON lines, for addresses from stdin", () => {
    const list = file("list", "10.0.0.0/8 10.0.0.1\n10.1.0.0/16 10.0.0.2\n192.0.2.0/24\n");
    expect(out(["routes", list, "--json"], "10.1.2.3\n\n 10.9.9.9\r\n192.0.2.7\n11.0.0.0")).toBe(
      [
        '{"address":"10.1.2.3","route":"10.1.0.0/16","nexthop":"10.0.0.2"}',
        '{"address":"10.9.9.9","route":"10.0.0.0/8","nexthop":"10.0.0.1"}',
        '{"address":"192.0.2.7","route":"192.0.2.0/24","nexthop":null}',
        '{"address":"11.0.0.0","route":null,"nexthop":null}',
        "",
      ].join("\n"),
    );
  });

  it("a hundred thousand addresses: a line for each, in order, as a search by length answers", () => {
    const prefixes = gunzipSync(readFileSync(sample)).toString().trim().split("\n");
    const known = new Set(prefixes);
    const addresses = Array.from({ length: 100_000 }, (_, i) => {
      const p = parsePrefix(prefixes[i % prefixes.length]!)!;
      return (p.address + ((i * 2654435761) >>> (p.length - 4))) >>> 0;
    });
    const lines = out(["routes", sample, "--json"], `${addresses.map(formatIpv4).join("\n")}\n`).split("\n");
    expect(lines).toHaveLength(addresses.length + 1);
    let routed = 0;
    for (const [i, a] of addresses.entries()) {
      let route: string | null = null;
      for (let l = 32; l >= 0 && route === null; l--) {
        const p = `${formatIpv4(l === 0 ? 0 : Math.floor(a / 2 ** (32 - l)) * 2 ** (32 - l))}/${l}`;
        if (known.has(p)) route = p;
      }
      if (route !== null) routed++;
      const expected = JSON.stringify({ address: formatIpv4(a), route, nexthop: null });
      if (lines[i] !== expected) expect(lines[i]).toBe(expected);
    }
    expect(routed).toBeGreaterThan(1000);
    expect(routed).toBeLessThan(100_000);
  });
});

describe("routes TABLE --diff OTHER", () => {
  const other = file(
    "other",
    shown.replace("10.1.0.0/16 via 192.168.1.6", "10.1.0.0/17 via 192.168.1.6").replace("blackhole 172.16.0.0/12 ", ""),
  );

  it("prints the ranges, status 1", () => {
    const r = wirepath(["routes", table, "--diff", other]);
    expect(r).toEqual({
      status: 1,
      stderr: "",
      stdout:
        "10.1.128.0-10.1.255.255  via 192.168.1.6 dev eth0 -> via 192.168.1.5 dev eth0\n" +
        "172.16.0.0-172.31.255.255  blackhole -> via 192.168.1.1 dev eth0\n",
    });
    const [first] = wirepath(["routes", table, "--diff", other, "--json"]).stdout.split("\n");
    expect(JSON.parse(first!)).toEqual({
      first: "10.1.128.0",
      last: "10.1.255.255",
      left: { routed: true, nexthop: "192.168.1.6" },
      right: { routed: true, nexthop: "192.168.1.5" },
    });
    expect(wirepath(["routes", file("a", "10.0.0.0/8"), "--diff", file("b", "10.0.0.0/9\n11.0.0.0/32 x")]).stdout).toBe(
      "10.128.0.0-10.255.255.255  routed -> no route\n11.0.0.0-11.0.0.0  no route -> via x\n",
    );
  });

  it("prints nothing for a table and itself, or its smallest equivalent, unless prefixes count", () => {
    expect(out(["routes", sample, "--diff", sample])).toBe("");
    const small = file("small", out(["routes", sample, "--aggregate"]));
    expect(out(["routes", sample, "--diff", small])).toBe("");
    expect(wirepath(["routes", sample, "--diff", small, "--prefixes"]).status).toBe(1);
    expect(out(["routes", "-", "--diff", sample], readFileSync(sample))).toBe("");
  });
});

describe("routes TABLE --aggregate, --stats", () => {
  it("prints the smallest table", () => {
    const text =
      "0.0.0.0/0 via 10.0.0.1\n10.0.0.0/9 via 10.0.0.2\n10.128.0.0/9 via 10.0.0.2\n11.0.0.0/8 via 10.0.0.1\n";
    expect(out(["routes", "-", "--aggregate"], text)).toBe("0.0.0.0/0 via 10.0.0.1\n10.0.0.0/8 via 10.0.0.2\n");
  });

  it("counts by length", () => {
    const text = out(["routes", sample, "--stats"]);
    expect(text).toMatch(/^10022 routes, 0 next hops; \d+ addresses have a route \(\d+\.\d\d %\)\n/);
    expect(text).toMatch(/\n \/24  6015  █{40}\n/);
    const json = JSON.parse(out(["routes", sample, "--stats", "--json"])) as {
      routes: number;
      lengths: Record<string, number>;
    };
    expect(json.routes).toBe(10_022);
    expect(Object.values(json.lengths).reduce((a, b) => a + b)).toBe(10_022);
    expect(out(["routes", "-", "--stats"], "")).toBe("0 routes, 0 next hops; 0 addresses have a route (0.00 %)\n");
  });

  it("reads MRT, and names what else is in it", () => {
    const r = wirepath(["routes", dump, "--stats", "--json"]);
    expect(r.stderr).toBe(`wirepath: ${dump}: passed over: RIB_IPV6_UNICAST records: 1\n`);
    expect(JSON.parse(r.stdout)).toMatchObject({ routes: 1003, nexthops: 2, duplicates: 0 });
    const prefixes = gunzipSync(readFileSync(sample))
      .toString()
      .trim()
      .split("\n")
      .filter((_, i) => i % 10 === 0);
    const list = file("paths", prefixes.map((p, i) => `${p} 192.0.2.${i % 3 === 0 ? 2 : 1}\n`).join(""));
    expect(wirepath(["routes", dump, "--diff", list])).toMatchObject({ status: 0, stdout: "" });
    expect(wirepath(["routes", "-", "--diff", list], gunzipSync(readFileSync(dump)))).toMatchObject({
      status: 0,
      stdout: "",
    });
  });
});

describe("what is wrong with a table", () => {
  it.each([
    [["routes"], /routes: no TABLE given/],
    [["routes", join(dir, "none")], /none: no such file/],
    [["routes", dir, "10.0.0.1"], /is a directory/],
    [["routes", table, "10.0.0.300"], /'10\.0\.0\.300': expected an IPv4 address/],
    [["routes", table, "--diff"], /diff/],
    [["routes", table, "--diff", join(dir, "none")], /none: no such file/],
    [["routes", table, "--stats", "--aggregate"], /--aggregate and --stats: expected one of them/],
    [["routes", table, "--stats", "10.0.0.1"], /--stats takes no ADDRESS, got '10\.0\.0\.1'/],
    [["routes", table, "--aggregate", "--json"], /--aggregate prints a table, not JSON/],
    [["routes", table, "--why", "--stats"], /--why and --stats/],
    [["routes", table, "--prefixes", "10.0.0.1"], /--prefixes belongs to --diff/],
    [["routes", "-"], /stdin is TABLE already, expected an ADDRESS/],
    [["routes", "-", "--diff", "-"], /stdin is TABLE already, expected a file for OTHER/],
    [["routes", table, "--table", "none such", "10.0.0.1"], /--table 'none such': expected a table's name or number/],
  ])("%j", async ([, ...words], what) => {
    const refused = command.run(words);
    await expect(refused).rejects.toThrow(what);
    await expect(refused).rejects.toSatisfy((e) => e instanceof Failure || e instanceof FileError);
  });

  it("a wrong line, or record, is named; --lenient counts it and goes on", () => {
    const bad = file("bad", "10.0.0.0/8 10.0.0.1\n10.0.0.0/99 10.0.0.1\n11.0.0.0/8 via nowhere\n12.0.0.0/8 10.0.0.1\n");
    expectRefusal(wirepath(["routes", bad, "12.0.0.1"]), /bad:2:1: '10\.0\.0\.0\/99' is no prefix/);
    const r = wirepath(["routes", bad, "12.0.0.1", "--lenient"]);
    expect(r).toMatchObject({ status: 0, stdout: "12.0.0.1  12.0.0.0/8 10.0.0.1\n" });
    expect(r.stderr).toBe(
      `wirepath: ${bad}: passed over: 2 wrong lines, the first: ${bad}:2:1: '10.0.0.0/99' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8\n`,
    );
    const bytes = gunzipSync(readFileSync(dump));
    expectRefusal(
      wirepath(["routes", file("cut.mrt", bytes.subarray(0, 5000)), "10.0.0.1"]),
      /cut\.mrt: offset \d+: the record is cut: \d+ of \d+ bytes are there/,
    );
    expectRefusal(
      wirepath(["routes", file("cut.gz", readFileSync(dump).subarray(0, 900)), "10.0.0.1"]),
      /cut\.gz: offset 900: gzip: /,
    );
  });

  it("a wrong address on stdin is named, after the answers before it", () => {
    const r = wirepath(["routes", table, "--json"], "10.0.0.1\n10.0.0\n10.0.0.2\n");
    expectRefusal(r, /stdin:2:1: "10\.0\.0": expected an IPv4 address/);
    expect(r.stdout).toBe('{"address":"10.0.0.1","route":"10.0.0.0/8","nexthop":"192.168.1.5"}\n');
    const lenient = wirepath(["routes", table, "--json", "--lenient"], "10.0.0.1\n10.0.0\n10.0.0.2\n");
    expect(lenient.stdout.split("\n")).toHaveLength(3);
    expect(lenient).toMatchObject({ status: 0, stderr: "wirepath: stdin: passed over: 1 line without an address\n" });
  });
});
