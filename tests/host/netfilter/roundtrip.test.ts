// Rule sets that a real kernel printed are read and printed again, byte for byte.

import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import { TextError } from "../../../src/host/text.ts";
import { coreOf } from "../../support/cores.ts";
import { FakeHost } from "./fake.ts";

const core = coreOf("release");
const folder = new URL("../../../fixtures/netfilter/", import.meta.url);
const files = readdirSync(folder).filter((f) => f.endsWith(".rules"));

function fresh(): Iptables {
  return new Iptables(new FakeHost(core));
}

describe("iptables-save", () => {
  it("has rule sets to read", () => expect(files.length).toBeGreaterThan(15));

  it.each(files)("%s", (file) => {
    const text = readFileSync(new URL(file, folder), "utf8");
    const iptables = fresh();
    iptables.load(text);
    expect(iptables.save()).toBe(text);
  });
});

const spellings = readFileSync(new URL("spellings.tsv", folder), "utf8").trimEnd().split("\n");

describe("rules are printed as iptables prints them", () => {
  it.each(spellings)("%s", (line) => {
    const [written, nft, legacy] = line.split("\t");
    const m = /^(\S+) (\S+) (.*)$/.exec(written!)!;
    for (const [backend, expected] of [
      ["nft", nft],
      ["legacy", legacy],
    ] as const) {
      const host = new FakeHost(core);
      const iptables = new Iptables(host);
      iptables.backend = backend;
      iptables.load(`*${m[1]}\n-A ${m[2]} ${m[3]}\nCOMMIT\n`);
      const printed = iptables
        .save()
        .split("\n")
        .filter((l) => l.startsWith("-A"));
      expect(printed.join("|")).toBe(expected);
      // what was printed is read as the same again
      const again = new Iptables(host);
      again.backend = backend;
      again.load(iptables.save());
      expect(again.save()).toBe(iptables.save());
    }
  });

  const refused = readFileSync(new URL("refused.txt", folder), "utf8").trimEnd().split("\n");
  it.each(refused)("refused: %s", (line) => {
    const m = /^(\S+) (\S+) (.*)$/.exec(line)!;
    expect(() => fresh().load(`*${m[1]}\n-A ${m[2]} ${m[3]}\nCOMMIT\n`)).toThrow(TextError);
  });
});

describe("errors say where and what", () => {
  it.each([
    ["*filter\n-A FORWARD -m foo -j ACCEPT\nCOMMIT\n", 2, 15, "match 'foo' is not supported"],
    ["*filter\n-A FORWARD -j FOO\nCOMMIT\n", 2, 15, "'FOO' is neither a chain"],
    ["*filter\n-A FORWARD --frob\nCOMMIT\n", 2, 12, "unknown option '--frob'"],
    ["*filter\n-A NOPE -j ACCEPT\nCOMMIT\n", 2, 4, "no chain 'NOPE'"],
    ["*filter\n:INPUT ACCEPT [0:0]\n", 3, 1, "COMMIT expected"],
    ["*bogus\nCOMMIT\n", 1, 1, "unknown table 'bogus'"],
    ["-A INPUT\n", 1, 1, "expected '*table'"],
    ["*filter\n-A INPUT -s 10.0.0.300 -j DROP\nCOMMIT\n", 2, 13, "no IPv4 address"],
    ["*filter\n-A INPUT -p tcp --dport 80:70\nCOMMIT\n", 2, 25, "first port is above the last"],
    ['*filter\n-A INPUT -m comment --comment "open\n', 2, 31, "quote is never closed"],
    ["*filter\n-A OUTPUT -i eth0\nCOMMIT\n", 2, 11, "can't use -i with OUTPUT"],
    ["*nat\n-A POSTROUTING -j DNAT --to-destination 10.0.0.1\nCOMMIT\n", 2, 1, "cannot be used in POSTROUTING"],
    ["*filter\n-A INPUT -j DNAT --to-destination 10.0.0.1\nCOMMIT\n", 2, 13, "only valid in the nat table"],
    ["*filter\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A B -g A\nCOMMIT\n", 5, 1, "makes a loop"],
  ])("%j", (text, line, column, message) => {
    const iptables = fresh();
    let error: unknown;
    try {
      iptables.load(text);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(TextError);
    const e = error as TextError;
    expect([e.line, e.column, e.message]).toEqual([line, column, expect.stringContaining(message)]);
    expect(iptables.save()).toBe("");
  });
});
