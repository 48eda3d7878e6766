// src/host/netfilter/nft/lookup.ts: sets and maps: values, ranges and names, alone or in concatenations.

import { type Reader } from "./lexer.ts";
import { type Atom, type DataType, parseAtom } from "./types.ts";

/** What a selector reads of a packet: a number, an interface's name, or -1 when it is not there. */
export type Value = number | string;

interface Range<V> {
  readonly low: number;
  readonly high: number;
  readonly value: V;
}

interface Row<V> {
  readonly fields: readonly Atom[];
  readonly value: V;
}

function fits(a: Atom, type: DataType, v: Value): boolean {
  if (type.names !== true) return typeof v === "number" && v >= a.low && v <= a.high;
  return nameFits(a.name, v as string);
}

export function nameFits(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** Finds the element that holds a key. Nothing is allocated while it looks. */
export class Lookup<V> {
  private readonly exact = new Map<Value, V>();
  private readonly ranges: Range<V>[] = [];
  private readonly rows: Row<V>[] = [];
  /** As they were given, for printing. */
  readonly texts: string[] = [];

  constructor(readonly key: readonly DataType[]) {}

  add(fields: readonly Atom[], value: V, text: string): void {
    this.texts.push(text);
    if (this.key.length > 1) {
      this.rows.push({ fields, value });
      return;
    }
    const a = fields[0]!;
    const isName = this.key[0]!.names === true;
    if (isName && a.name.endsWith("*")) this.rows.push({ fields, value });
    else if (isName) this.exact.set(a.name, value);
    else if (a.low === a.high) this.exact.set(a.low, value);
    else this.ranges.push({ low: a.low, high: a.high, value });
  }

  find(v: Value): V | undefined {
    const hit = this.exact.get(v);
    if (hit !== undefined) return hit;
    const { ranges, rows } = this;
    for (let i = 0; i < ranges.length; i++)
      if ((v as number) >= ranges[i]!.low && (v as number) <= ranges[i]!.high) return ranges[i]!.value;
    for (let i = 0; i < rows.length; i++) if (nameFits(rows[i]!.fields[0]!.name, v as string)) return rows[i]!.value;
    return undefined;
  }

  findAll(values: readonly Value[]): V | undefined {
    const { rows, key } = this;
    next: for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      for (let k = 0; k < key.length; k++) if (!fits(row.fields[k]!, key[k]!, values[k]!)) continue next;
      return row.value;
    }
    return undefined;
  }
}

/** `a . b` of the given types. */
export function parseKey(r: Reader, key: readonly DataType[]): { fields: Atom[]; text: string } {
  const fields: Atom[] = [];
  for (let i = 0; i < key.length; i++) {
    if (i > 0) r.expect(".");
    fields.push(parseAtom(r, key[i]!));
  }
  return { fields, text: fields.map((f) => f.text).join(" . ") };
}

/** `{ key, key : value, ... }`: the brace is the next token. `value` reads what stands behind the colon; null for a set. */
export function parseElements<V>(
  r: Reader,
  into: Lookup<V>,
  value: ((r: Reader) => { value: V; text: string }) | null,
  plain: V,
): void {
  r.expect("{");
  r.depth++;
  while (!r.is("}")) {
    const key = parseKey(r, into.key);
    if (value === null) into.add(key.fields, plain, key.text);
    else {
      r.expect(":");
      const v = value(r);
      into.add(key.fields, v.value, `${key.text} : ${v.text}`);
    }
    if (!r.take(",")) break;
  }
  const close = r.peek();
  if (!r.take("}")) r.fail(close, "expected ',' or '}' in a set");
  r.depth--;
}

export function formatElements(l: Lookup<unknown>): string {
  return `{ ${l.texts.join(", ")} }`;
}
