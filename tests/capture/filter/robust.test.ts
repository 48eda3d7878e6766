// Hostile texts: an Error with a column or a program that the core takes, soon.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileFilter,
  formatProgram,
  loadFilter,
  matches,
  parseProgram,
  unloadFilter,
} from "../../../src/capture/filter/index.ts";
import { coreOf, overBuilds } from "../../support/cores.ts";
import { place, reference } from "./support.ts";

const column = /^filter: column \d+: ./;

describe("arbitrary text", () => {
  const core = coreOf("debug");

  function survives(text: string): void {
    let program;
    try {
      program = compileFilter(text, 1);
    } catch (e) {
      expect((e as Error).message).toMatch(column);
      return;
    }
    const filter = loadFilter(core, program);
    expect(matches(filter, 0, 0, 0)).toBeTypeOf("boolean");
    unloadFilter(filter);
  }

  test("of any characters", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), survives), { numRuns: 2000, seed: 3 });
  });

  test("of the language's words", () => {
    const words = [...new Set(reference.cases.flatMap(([, text]) => text.split(/(?<=[^\w.:-])|(?=[^\w.:-])/)))];
    const text = fc.array(fc.constantFrom(...words), { maxLength: 14 }).map((w) => w.join(" "));
    fc.assert(fc.property(text, survives), { numRuns: 4000, seed: 4 });
  });

  test("good expressions with a character changed", () => {
    const texts = fc.constantFrom(...reference.cases.filter(([, , i]) => i >= 0).map(([, text]) => text));
    const change = fc
      .tuple(texts, fc.nat(80), fc.constantFrom(..."()[]!&|=<>+-*/%^:. $\\0x9az"))
      .map(([text, at, c]) => text.slice(0, at % (text.length + 1)) + c + text.slice((at % (text.length + 1)) + 1));
    fc.assert(fc.property(change, survives), { numRuns: 4000, seed: 5 });
  });

  test.each([
    ["(", 60_000, ""],
    ["not ", 16_000, "tcp"],
    ["- ", 30_000, "1 = 1"],
    ["ip[", 20_000, ""],
    ["((", 90, "tcp"],
    ["1%", 30_000, "1 = 1"],
    ["tcp and ", 8000, "tcp"],
    ["port 80 or ", 5000, "80"],
    ["1+", 30_000, "1=1"],
    ["len+", 16_000, "len=1"],
    ["vlan and ", 7000, "ip"],
    ["::", 30_000, ""],
    ["1:", 30_000, ""],
    ["a-", 30_000, ""],
    ["ip[0]+", 10_000, "1=1"],
    ["host 10.0.0.1 or ", 3500, "host 10.0.0.2"],
    ["tcp\n", 10_000, ""],
    [" ", 65_000, ""],
    ["0", 65_000, ""],
    ["icmp[icmptype] != 1 and ", 900, "ip"],
    ["tcp or ", 40_000, "udp"],
  ])("%j many times", (word, times, last) => {
    survives(word.repeat(times) + last);
  });
});

describe("errors", () => {
  test.each([
    ["tcp port", 9, "the text ends, expected an address, a number or a name"],
    ["host example.org", 6, "names are not resolved"],
    ["tcp and )", 9, "got ')', expected a primitive"],
    ["net 10.0.0.1/8", 5, "bits outside its mask"],
    ["ip broadcast", 1, "mask"],
    ["ip[0:3] = 1", 6, "size 3, expected 1, 2 or 4"],
    ["tcp[0]", 7, "expected a comparison"],
    ["ip and inbound", 8, "direction"],
    ["ip protochain 6", 15, "'protochain' is not supported"],
    ["port 80 @", 9, "'@' is not part of the filter language"],
    ["tcp udp", 5, "expected 'and', 'or' or the end"],
    ["net 10/8", 7, "expected 'and', 'or' or the end"],
  ])("%s", (text, at, part) => {
    expect(() => compileFilter(text, 1)).toThrow(`filter: column ${at}: `);
    expect(() => compileFilter(text, 1)).toThrow(part);
  });

  test("a link type that is not known", () => {
    expect(() => compileFilter("tcp", 147)).toThrow("link type 147 is not supported");
  });
});

test("programs as tcpdump -d prints them", () => {
  expect(formatProgram(compileFilter("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", 1))).toBe(`\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 10
(002) ldb      [23]
(003) jeq      #0x6             jt 4\tjf 10
(004) ldh      [20]
(005) jset     #0x1fff          jt 10\tjf 6
(006) ldxb     4*([14]&0xf)
(007) ldb      [x + 27]
(008) jset     #0x3             jt 9\tjf 10
(009) ret      #262144
(010) ret      #0
`);
  const program = compileFilter("port 80", 1);
  expect(parseProgram(formatProgram(program, "decimal"))).toEqual(program);
});

overBuilds("direction", (makeCore) => {
  test("inbound and outbound, where the caller knows", () => {
    const core = makeCore();
    const [[at, len]] = place(core, ["00".repeat(60)]) as [[number, number]];
    const inbound = loadFilter(core, compileFilter("inbound", 1, { direction: true }));
    const outbound = loadFilter(core, compileFilter("outbound and len > 50", 1, { direction: true }));
    expect([matches(inbound, at, len, len, false), matches(inbound, at, len, len, true)]).toEqual([true, false]);
    expect([matches(outbound, at, len, len, false), matches(outbound, at, len, len, true)]).toEqual([false, true]);
  });
});
