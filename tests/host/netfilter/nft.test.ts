// nftables: rule sets that nft printed are read and printed again; rules are printed as nft prints them; errors say where.

import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Nft } from "../../../src/host/netfilter/nft/nft.ts";
import { TextError } from "../../../src/host/text.ts";
import { coreOf } from "../../support/cores.ts";
import { FakeHost } from "./fake.ts";

const core = coreOf("release");
const folder = new URL("../../../fixtures/netfilter/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");

function print(text: string): string {
  const nft = new Nft(new FakeHost(core));
  nft.load(text);
  return nft.print();
}

describe("nft list ruleset", () => {
  const files = readdirSync(folder).filter((f) => f.endsWith(".nft"));
  it("has rule sets to read", () => expect(files.length).toBeGreaterThan(1));
  it.each(files)("%s", (file) => {
    const text = read(file);
    expect(print(text)).toBe(text);
  });
});

function wrap(family: string, rule: string): string {
  const nat = /^NAT (\S+) (.*)$/.exec(rule);
  if (nat !== null) return `table ${family} t {\nchain c {\ntype nat hook ${nat[1]} priority 0\n${nat[2]}\n}\n}\n`;
  return `table ${family} t {
    set s1 { type ipv4_addr; elements = { 1.1.1.1 }; }
    map vm { type ipv4_addr : verdict; elements = { 1.1.1.1 : drop }; }
    chain other { }
    chain c { type filter hook forward priority 0; policy accept;
      ${rule}
    }\n}\n`;
}

describe("rules are printed as nft prints them", () => {
  it.each(read("nft-spellings.tsv").trimEnd().split("\n"))("%s", (line) => {
    const [family, written, expected] = line.split("\t");
    const out = print(wrap(family!, written!));
    const rule = out.slice(out.indexOf("chain c")).split("\n")[2]!.trim();
    // a set keeps the order that it was written in
    const sorted = (s: string): string =>
      s.replace(/\{ (.*?) \}/g, (_, e: string) => `{ ${e.split(", ").toSorted().join(", ")} }`);
    expect(sorted(rule)).toBe(sorted(expected!));
    expect(print(out)).toBe(out);
  });

  it.each(read("nft-refused.tsv").trimEnd().split("\n"))("refused: %s", (line) => {
    const [family, written] = line.split("\t");
    expect(() => print(wrap(family!, written!))).toThrow(TextError);
  });
});

describe("errors say where and what", () => {
  it.each([
    ["table ip6 t {\n}\n", 1, 7, "family 'ip6' is not supported"],
    ["chain x { }\n", 1, 1, "expected a table"],
    ["table ip t {\n\tchain c {\n\t\tfrob 1\n\t}\n}\n", 3, 3, "'frob' is not supported"],
    ["table ip t {\n\tchain c {\n\t\tip saddr 10.0.0.300 drop\n\t}\n}\n", 3, 12, "no value of type ipv4_addr"],
    ["table ip t {\n\tchain c {\n\t\tjump nowhere\n\t}\n}\n", 3, 8, "no chain 'nowhere'"],
    ["table ip t {\n\tchain c {\n\t\ttcp dport @s accept\n\t}\n}\n", 3, 13, "no set 's'"],
    ["table ip t {\n\tchain c {\n\t\tjump c\n\t}\n}\n", 3, 8, "makes a loop"],
    ["table ip t {\n\tset s {\n\t\ttype ipv6_addr\n\t}\n}\n", 3, 8, "type 'ipv6_addr' is not supported"],
    [
      "table ip t {\n\tchain c {\n\t\ttype nat hook forward priority 0\n\t}\n}\n",
      3,
      17,
      "cannot stand in hook forward",
    ],
    ['table ip t {\n\tchain c {\n\t\tlog prefix "x\n\t}\n}\n', 3, 14, "string is never closed"],
    ["table ip t {\n\tchain c {\n", 3, 1, "got the end of the text"],
  ])("%j", (text, line, column, message) => {
    let error: unknown;
    try {
      print(text);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(TextError);
    const e = error as TextError;
    expect([e.line, e.column, e.message]).toEqual([line, column, expect.stringContaining(message)]);
  });
});
