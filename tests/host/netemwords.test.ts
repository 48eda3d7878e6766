import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printNetem } from "../../src/host/tccommand.ts";
import { parseNetem } from "../../src/host/netemwords.ts";
import { TextError } from "../../src/host/text.ts";
import type { NetemOptions } from "../../src/link/netem.ts";

const said = JSON.parse(readFileSync(new URL("../../fixtures/netem/tc.json", import.meta.url), "utf8")) as Record<
  string,
  string | null
>;

/** Lines where we differ on purpose, and why. */
const differs: Record<string, string> = {
  "delay 1ns": "nanoseconds are exact here, tc counts microseconds",
  "slot 5ms": "not supported",
};

interface Asked {
  latency: number;
  limit: number;
  loss: number;
  gap: number;
  duplicate: number;
  jitter: number;
  attributes: Record<number, number[]>;
}

/** struct tc_netem_qopt and the attributes behind it. */
function asked(hex: string): Asked {
  const b = Buffer.from(hex, "hex");
  const [latency, limit, loss, gap, duplicate, jitter] = Array.from({ length: 6 }, (_, i) => b.readUInt32LE(4 * i));
  const attributes: Record<number, number[]> = {};
  for (let at = 24; at < b.length; at += (b.readUInt16LE(at) + 3) & ~3) {
    const value: number[] = [];
    for (let k = at + 4; k < at + b.readUInt16LE(at); k += 4) value.push(b.readUInt32LE(k));
    attributes[b.readUInt16LE(at + 2) & 0x7fff] = value;
  }
  return {
    latency: latency! * 64,
    limit: limit!,
    loss: loss!,
    gap: gap!,
    duplicate: duplicate!,
    jitter: jitter! * 64,
    attributes,
  };
}

const u32 = (n: number): number => n >>> 0;

/** What tc would send for these options (linux/pkt_sched.h numbers the attributes). */
function attributesOf(o: NetemOptions): Record<number, number[]> {
  const out: Record<number, number[]> = {};
  const { loss } = o;
  if (o.correlated) {
    out[1] = [o.delayCorrelation, loss?.kind === "random" ? loss.correlation : 0, o.duplicate.correlation];
  }
  if (o.reorder !== null) out[3] = [o.reorder.chance, o.reorder.correlation];
  if (o.corrupt !== null) out[4] = [o.corrupt.chance, o.corrupt.correlation];
  if (loss?.kind === "state") out[5] = [(24 << 16) >> 0, loss.p13, loss.p31, loss.p32, loss.p14, loss.p23];
  if (loss?.kind === "gemodel") out[5] = [0, loss.p, loss.r, loss.h, loss.k1];
  // the nested attribute's own head: length and type
  if (loss?.kind === "state") out[5]![0] = (1 << 16) | 24;
  if (loss?.kind === "gemodel") out[5]![0] = (2 << 16) | 20;
  if (o.rate !== null) {
    const { rate, packetOverhead, cellSize, cellOverhead } = o.rate;
    const wide = rate >= 2 ** 32;
    if (wide) out[8] = [rate % 2 ** 32, Math.floor(rate / 2 ** 32)];
    out[6] = [wide ? 0xffffffff : rate, u32(packetOverhead), cellSize, u32(cellOverhead)];
  }
  if (o.ecn) out[7] = [1];
  return out;
}

describe("netem's words, as tc reads them", () => {
  const lines = Object.entries(said).filter(([words]) => !(words in differs));
  it.each(lines.filter(([, hex]) => hex !== null))("%s", (words, hex) => {
    const o = parseNetem(words);
    const want = asked(hex!);
    // tc's microseconds in ticks of 64 ns
    expect(Math.abs(o.latency - want.latency)).toBeLessThan(64);
    expect(Math.abs(o.jitter - want.jitter)).toBeLessThan(64);
    expect(o.limit).toBe(want.limit);
    expect(o.gap).toBe(want.gap);
    expect(o.loss?.kind === "random" ? o.loss.chance : 0).toBe(want.loss);
    expect(o.duplicate.chance).toBe(want.duplicate);
    expect(attributesOf(o)).toEqual(want.attributes);
    // what is printed reads back to the same
    const again = parseNetem(printNetem(o));
    expect(printNetem(again)).toBe(printNetem(o));
  });

  it.each(lines.filter(([, hex]) => hex === null).map(([words]) => words))("refuses '%s', as tc does", (words) => {
    expect(() => parseNetem(words)).toThrow(TextError);
  });

  it("says where and what was expected", () => {
    const wrong = (words: string): string => {
      try {
        parseNetem(words);
      } catch (e) {
        if (e instanceof TextError) return `${e.column}: ${e.message}`;
        throw e;
      }
      return "fine";
    };
    expect(wrong("delay 10ms loss 101%")).toBe(
      "17: netem: '101%', expected a percentage, random, state or gemodel, 0% to 100%",
    );
    expect(wrong("delay 10ms slot 5ms")).toBe("12: netem: slot is not supported");
    expect(wrong("delay")).toBe("6: netem: the line ends, expected a time such as 10ms");
    expect(wrong("loss 1% reorder 25%")).toBe("9: netem: reorder, expected a delay with it");
    expect(wrong("delay 1m")).toBe("7: netem: '1m', expected a time such as 10ms, at most 4294 s");
    expect(wrong("dealy 10ms")).toMatch(/^1: netem: 'dealy', expected one of limit, latency, delay/);
    expect(wrong("seed 18446744073709551616")).toBe(
      "6: netem: seed '18446744073709551616', expected a number of 64 bits",
    );
    expect(wrong("delay 1ms 1ms distribution odd")).toMatch(/^28: .*expected uniform, normal/);
  });

  it("any words are read or refused with a place inside the line", () => {
    const word = fc.oneof(
      fc.constantFrom(
        ..."delay loss state gemodel random rate limit gap reorder corrupt duplicate seed ecn slot".split(" "),
      ),
      fc.constantFrom(
        "1%",
        "10ms",
        "5",
        "-1",
        "0x10",
        "1e9",
        "1gbit",
        "distribution",
        "normal",
        "",
        "%",
        "100%",
        "4294967296",
      ),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        const line = words.join(" ");
        try {
          const o = parseNetem(line);
          expect(parseNetem(printNetem(o)).limit).toBe(o.limit);
        } catch (e) {
          if (!(e instanceof TextError)) throw e;
          expect(e.column >= 1 && e.column <= line.length + 1).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("seeds have 64 bits", () => {
    expect(parseNetem("seed 18446744073709551615").seed).toEqual([0xffffffff, 0xffffffff]);
    expect(parseNetem("seed 4294967298").seed).toEqual([1, 2]);
  });
});
