// src/host/netfilter/nft/match.ts: comparisons: a field of the packet with values, ranges, masks and sets.

import type { Context } from "../context.ts";
import { type Reader, parseNumber, show } from "./lexer.ts";
import { Lookup, type Value, formatElements, nameFits, parseElements } from "./lookup.ts";
import type { Selector } from "./selector.ts";
import { type Atom, type DataType, parseAtom } from "./types.ts";
import { Code, type Statement } from "./verdict.ts";

/** Sets and maps of the table, by name. */
export interface Named {
  set(name: string): Lookup<true> | null;
}

const operators = ["==", "!=", "<", ">", "<=", ">="] as const;
type Operator = (typeof operators)[number];

function statement(text: string, selectors: readonly Selector[], test: (c: Context) => boolean): Statement {
  return { text, tracks: selectors.some((s) => s.tracks === true), run: (c) => (test(c) ? Code.Continue : Code.Break) };
}

/** `fin,syn` as bits, with the text that nft prints. */
function parseFlags(r: Reader, type: DataType, separator: "," | "|"): { bits: number; text: string } {
  const parts: Atom[] = [];
  do parts.push(parseAtom(r, type, false));
  while (r.take(separator));
  return { bits: parts.reduce((b, a) => b | a.low, 0), text: parts.map((a) => a.text).join(",") };
}

/** What stands behind the selectors: an operator and values, or a set. */
export function parseMatch(r: Reader, selectors: readonly Selector[], named: Named): Statement {
  const text = selectors.map((s) => s.text).join(" . ");
  const at = r.peek();
  let op: Operator | "" = "";
  for (const o of operators) {
    if (op === "" && r.take(o)) op = o;
  }
  const set = parseSet(r, selectors, named);
  if (set !== null) {
    if (op !== "" && op !== "!=" && op !== "==") r.fail(at, `'${op}' cannot compare with a set`);
    const wanted = op !== "!=";
    const full = `${text} ${op === "!=" ? "!= " : ""}${set.text}`;
    const find = finder(selectors, set.lookup);
    return statement(full, selectors, (c) => {
      const f = find(c);
      return f !== BROKEN && (f === true) === wanted;
    });
  }
  if (selectors.length > 1) r.fail(r.peek(), "a concatenation is compared with a set");
  const s = selectors[0]!;
  if (s.type.flags === true) return parseFlagMatch(r, s, op);
  if (op === "" && r.take("&")) return parseMasked(r, s);
  const a = parseAtom(r, s.type);
  const full = `${text} ${op === "" || op === "==" ? "" : `${op} `}${a.text}`;
  if (s.type.names === true) {
    const wanted = op !== "!=";
    return statement(full, selectors, (c) => {
      const v = s.get(c);
      return v !== -1 && nameFits(a.name, v as string) === wanted;
    });
  }
  return statement(full, selectors, compare(s, op, a));
}

function compare(s: Selector, op: Operator | "", a: Atom): (c: Context) => boolean {
  const { low, high } = a;
  const { get } = s;
  switch (op) {
    case "<":
      return (c) => {
        const v = get(c) as number;
        return v >= 0 && v < low;
      };
    case "<=":
      return (c) => {
        const v = get(c) as number;
        return v >= 0 && v <= high;
      };
    case ">":
      return (c) => (get(c) as number) > high;
    case ">=":
      return (c) => (get(c) as number) >= low;
    case "!=":
      return (c) => {
        const v = get(c) as number;
        return v !== -1 && (v < low || v > high);
      };
    default:
      return (c) => {
        const v = get(c) as number;
        return v >= low && v <= high;
      };
  }
}

/** `meta mark & 0xff == 0x1` */
function parseMasked(r: Reader, s: Selector): Statement {
  const t = r.word("a mask");
  const mask = parseNumber(t.text);
  if (mask === null) r.fail(t, `expected a mask, got ${show(t)}`);
  const not = r.take("!=");
  if (!not) r.expect("==");
  const a = parseAtom(r, s.type, false);
  const text = `${s.text} & ${s.type.format(mask)} ${not ? "!=" : "=="} ${a.text}`;
  return statement(text, [s], (c) => {
    const v = s.get(c);
    return v !== -1 && (((v as number) & mask) >>> 0 === a.low) !== not;
  });
}

/** Flags: `syn,ack` is any of them, `syn / fin,syn` all bits of a mask, `! syn` none, `== syn` exactly. */
function parseFlagMatch(r: Reader, s: Selector, op: string): Statement {
  if (op === "" && r.take("&")) {
    const paren = r.take("(");
    const mask = parseFlags(r, s.type, "|");
    if (paren) r.expect(")");
    const not = r.take("!=");
    if (!not) r.expect("==");
    const zero = r.is("0");
    if (zero) {
      r.next("0");
      const text = not ? `${s.text} ${mask.text}` : `${s.text} ! ${mask.text}`;
      return statement(text, [s], masked(s, mask.bits, 0, !not));
    }
    const value = parseFlags(r, s.type, "|");
    return statement(
      `${s.text} ${not ? "!= " : ""}${value.text} / ${mask.text}`,
      [s],
      masked(s, mask.bits, value.bits, !not),
    );
  }
  if (op === "" && r.take("!")) {
    const none = parseFlags(r, s.type, ",");
    return statement(`${s.text} ! ${none.text}`, [s], masked(s, none.bits, 0, true));
  }
  const value = parseFlags(r, s.type, ",");
  if (r.take("/")) {
    const mask = parseFlags(r, s.type, ",");
    return statement(
      `${s.text} ${op === "!=" ? "!= " : ""}${value.text} / ${mask.text}`,
      [s],
      masked(s, mask.bits, value.bits, op !== "!="),
    );
  }
  if (op === "") return statement(`${s.text} ${value.text}`, [s], masked(s, value.bits, 0, false));
  if (op !== "==" && op !== "!=") r.fail(r.peek(), `'${op}' cannot compare flags`);
  return statement(`${s.text} ${op} ${value.text}`, [s], masked(s, -1, value.bits, op === "=="));
}

function masked(s: Selector, mask: number, value: number, equal: boolean): (c: Context) => boolean {
  return (c) => {
    const v = s.get(c);
    return v !== -1 && (((v as number) & mask) === value) === equal;
  };
}

function parseSet(
  r: Reader,
  selectors: readonly Selector[],
  named: Named,
): { lookup: Lookup<true>; text: string } | null {
  const t = r.peek();
  if (t === null) return null;
  if (t.kind === "word" && t.text.startsWith("@")) {
    r.next("a set");
    const lookup = named.set(t.text.slice(1));
    if (lookup === null) r.fail(t, `there is no set '${t.text.slice(1)}' before this rule`);
    if (lookup.key.length !== selectors.length || lookup.key.some((k, i) => k.name !== selectors[i]!.type.name)) {
      r.fail(
        t,
        `set '${t.text.slice(1)}' holds ${lookup.key.map((k) => k.name).join(" . ")}, not ${selectors.map((s) => s.type.name).join(" . ")}`,
      );
    }
    return { lookup, text: t.text };
  }
  if (t.text !== "{" || t.kind !== "symbol") return null;
  const lookup = new Lookup<true>(selectors.map((s) => s.type));
  parseElements(r, lookup, null, true);
  // nft makes a set of one a plain comparison
  const alone = lookup.texts.length === 1 && selectors.length === 1 && selectors[0]!.type.flags !== true;
  return { lookup, text: alone ? lookup.texts[0]! : formatElements(lookup) };
}

/** A field was missing. */
export const BROKEN = Symbol("broken");

/** Looks a packet's fields up; `BROKEN` when it lacks one, undefined when no element holds them. */
export function finder<V>(
  selectors: readonly Selector[],
  lookup: Lookup<V>,
): (c: Context) => V | undefined | typeof BROKEN {
  if (selectors.length === 1) {
    const { get } = selectors[0]!;
    return (c) => {
      const v = get(c);
      return v === -1 ? BROKEN : lookup.find(v);
    };
  }
  const values: Value[] = selectors.map(() => 0);
  return (c) => {
    for (let i = 0; i < selectors.length; i++) {
      const v = selectors[i]!.get(c);
      if (v === -1) return BROKEN;
      values[i] = v;
    }
    return lookup.findAll(values);
  };
}
