// src/host/netfilter/iptables/match/payload.ts: bytes anywhere in the packet: u32 and string (xt_u32, xt_string).

import type { MatchMaker } from "../matches.ts";
import type { Fail, Match } from "../rule.ts";
import { type Option, hex, parseNumber } from "../words.ts";

type Operator = "&" | "<<" | ">>" | "@";

interface Step {
  readonly operator: Operator;
  readonly number: number;
}

/** `start operator number ... = value[:value],...` */
interface Test {
  readonly start: number;
  readonly steps: readonly Step[];
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/** Most of each that a rule may hold (XT_U32_MAXSIZE). */
const mostParts = 11;

function parseTests(text: string, o: Option): Test[] {
  let at = 0;
  const skip = (): void => {
    while (text[at] === " ") at++;
  };
  const number = (): number => {
    skip();
    const m = /^(0[xX][0-9a-fA-F]+|\d+)/.exec(text.slice(at));
    const n = m === null ? null : parseNumber(m[0]);
    if (m === null || n === null || n > 0xffffffff)
      o.fail(`--u32: expected a number at character ${at + 1} of '${text}'`);
    at += m[0].length;
    skip();
    return n;
  };
  const tests: Test[] = [];
  for (;;) {
    const start = number();
    const steps: Step[] = [];
    while (text[at] !== "=") {
      const m = /^(&(?!&)|<<|>>|@)/.exec(text.slice(at));
      if (m === null) o.fail(`--u32: expected '=', '&', '<<', '>>' or '@' at character ${at + 1} of '${text}'`);
      at += m[0].length;
      steps.push({ operator: m[0] as Operator, number: number() });
    }
    at++;
    const min: number[] = [];
    const max: number[] = [];
    for (;;) {
      const low = number();
      min.push(low);
      if (text[at] === ":") {
        at++;
        max.push(number());
      } else max.push(low);
      if (text[at] !== ",") break;
      at++;
    }
    if (steps.length >= mostParts || min.length >= mostParts)
      o.fail("--u32: at most 10 operators and 10 values a test");
    tests.push({ start, steps, min, max });
    if (at >= text.length) break;
    if (!text.startsWith("&&", at)) o.fail(`--u32: expected '&&' at character ${at + 1} of '${text}'`);
    at += 2;
  }
  if (tests.length >= mostParts) o.fail("--u32: at most 10 tests");
  return tests;
}

function formatTests(tests: readonly Test[]): string {
  return tests
    .map((t) => {
      const values = t.min.map((v, i) => (v === t.max[i] ? hex(v) : `${hex(v)}:${hex(t.max[i]!)}`)).join(",");
      return `${hex(t.start)}${t.steps.map((s) => s.operator + hex(s.number)).join("")}=${values}`;
    })
    .join("&&");
}

const u32: MatchMaker = (place) => {
  let tests: Test[] = [];
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--u32") return false;
      tests = parseTests(o.value("tests"), o);
      inverted = o.invert;
      return true;
    },
    finish(missing): Match {
      if (tests.length === 0) missing("match 'u32' needs --u32");
      const { view } = place.host.world.core;
      const holds = (net: number, len: number): boolean => {
        for (let t = 0; t < tests.length; t++) {
          const test = tests[t]!;
          let at = 0;
          if (len < 4 || test.start > len - 4) return false;
          let v = view.getUint32(net + test.start);
          for (let i = 0; i < test.steps.length; i++) {
            const { operator, number } = test.steps[i]!;
            if (operator === "&") v = (v & number) >>> 0;
            else if (operator === "<<") v = (v << number) >>> 0;
            else if (operator === ">>") v >>>= number;
            else {
              at += v;
              if (at > 0xffffffff || len < at + 4 || number > len - at - 4) return false;
              v = view.getUint32(net + at + number);
            }
          }
          let i = 0;
          while (i < test.min.length && (v < test.min[i]! || v > test.max[i]!)) i++;
          if (i === test.min.length) return false;
        }
        return true;
      };
      return {
        text: `-m u32${inverted ? " !" : ""} --u32 "${formatTests(tests)}"`,
        test: (c) => holds(c.net, c.len) !== inverted,
      };
    },
  };
};

const longestPattern = 128;

/** `|de ad|text`: bytes between bars are hex; a backslash takes the next character as it is. */
function parseHexString(text: string, o: Option): number[] {
  const bytes: number[] = [];
  let inHex = false;
  for (let i = 0; i < text.length;) {
    const ch = text[i]!;
    if (ch === "|") {
      inHex = !inHex;
      i++;
    } else if (inHex) {
      if (ch === " ") {
        i++;
        continue;
      }
      const pair = text.slice(i, i + 2);
      if (!/^[0-9a-fA-F]{2}$/.test(pair)) o.fail(`--hex-string: '${pair}' is no byte in hex`);
      bytes.push(parseInt(pair, 16));
      i += 2;
    } else {
      if (ch === "\\" && i + 1 < text.length) i++;
      bytes.push(text.charCodeAt(i) & 255);
      i++;
    }
  }
  if (inHex) o.fail("--hex-string: '|' is never closed");
  return bytes;
}

function formatPattern(bytes: readonly number[]): string {
  const printable = bytes.every((b) => b >= 0x20 && b < 0x7f);
  if (!printable || bytes.at(-1) === 0x5c) {
    return `--hex-string "|${bytes.map((b) => b.toString(16).padStart(2, "0")).join("")}|"`;
  }
  return `--string "${String.fromCharCode(...bytes).replace(/["\\]/g, "\\$&")}"`;
}

const lower = (b: number): number => (b >= 0x41 && b <= 0x5a ? b + 32 : b);

const string: MatchMaker = (place) => {
  let pattern = null as number[] | null;
  let inverted = false;
  let algo = "";
  let from = 0;
  let to = 65535;
  let ignoreCase = false;
  return {
    option(o: Option) {
      switch (o.name) {
        case "--string":
        case "--hex-string": {
          if (pattern !== null) o.fail("only one of --string and --hex-string is allowed");
          inverted = o.invert;
          const text = o.value("a pattern");
          pattern = o.name === "--string" ? Array.from(text, (ch) => ch.charCodeAt(0) & 255) : parseHexString(text, o);
          // hex strings without bars are patterns that are printed as they are
          if (pattern.length === 0 || pattern.length > longestPattern)
            o.fail(`${o.name}: a pattern has 1 to 128 bytes`);
          return true;
        }
        case "--algo":
          algo = o.plain().value("bm or kmp");
          if (algo !== "bm" && algo !== "kmp") o.fail(`--algo: '${algo}' is neither bm nor kmp`);
          return true;
        case "--from":
          from = o.plain().number(0, 65535);
          return true;
        case "--to":
          to = o.plain().number(0, 65535);
          return true;
        case "--icase":
          o.plain();
          ignoreCase = true;
          return true;
        default:
          return false;
      }
    },
    finish(missing: Fail): Match {
      if (pattern === null) missing("match 'string' needs --string or --hex-string");
      if (algo === "") missing("match 'string' needs --algo");
      const { u8 } = place.host.world.core;
      const fold = ignoreCase ? lower : (b: number): number => b;
      const p = pattern.map(fold);
      const n = p.length;
      // Horspool's shifts (1980): how far the window may move by its last byte
      const shift = new Uint16Array(256).fill(n);
      for (let i = 0; i < n - 1; i++) {
        for (let b = 0; b < 256; b++) if (fold(b) === p[i]) shift[b] = n - 1 - i;
      }
      const find = (net: number, len: number): boolean => {
        const end = net + Math.min(to, len) - n;
        for (let at = net + from; at <= end; at += shift[u8[at + n - 1]!]!) {
          let i = n - 1;
          while (i >= 0 && fold(u8[at + i]!) === p[i]) i--;
          if (i < 0) return true;
        }
        return false;
      };
      let text = `-m string${inverted ? " !" : ""} ${formatPattern(pattern)} --algo ${algo}`;
      if (from !== 0) text += ` --from ${from}`;
      if (to !== 65535) text += ` --to ${to}`;
      if (ignoreCase) text += " --icase";
      return { text, test: (c) => find(c.net, c.len) !== inverted };
    },
  };
};

export const payloadMatches: Readonly<Record<string, MatchMaker>> = { u32, string };
