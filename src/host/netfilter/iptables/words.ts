// src/host/netfilter/iptables/words.ts: a rule's line as words with their columns, and what words mean.

import { TextError } from "../../text.ts";

export interface Word {
  readonly text: string;
  /** 1-based. */
  readonly column: number;
}

/**
 * Splits as iptables-restore does: blanks separate, double quotes hold together, a backslash inside quotes takes the
 * next character as it is. Throws `TextError` at a quote that is never closed.
 */
export function splitWords(line: string, lineNumber: number, from = 0): Word[] {
  const words: Word[] = [];
  let i = from;
  while (i < line.length) {
    const ch = line[i]!;
    if (ch === " " || ch === "\t" || ch === "\r") {
      i++;
      continue;
    }
    const start = i;
    let text = "";
    let quoted = false;
    while (i < line.length) {
      const c = line[i]!;
      if (quoted) {
        if (c === "\\" && i + 1 < line.length) text += line[++i]!;
        else if (c === '"') quoted = false;
        else text += c;
      } else if (c === '"') quoted = true;
      else if (c === " " || c === "\t" || c === "\r") break;
      else text += c;
      i++;
    }
    if (quoted) throw new TextError(lineNumber, start + 1, "quote is never closed");
    words.push({ text, column: start + 1 });
  }
  return words;
}

/** xtables_save_string: quoted and escaped when anything but letters, digits, `-` and `_` is in it. */
export function saveString(s: string): string {
  if (s !== "" && /^[-_0-9a-zA-Z]+$/.test(s)) return s;
  return `"${s.replace(/["\\']/g, "\\$&")}"`;
}

/** Reads the words of one line from left to right. */
export class Cursor {
  at = 0;

  constructor(
    readonly words: readonly Word[],
    readonly line: number,
    /** Where the line ends: what is missing is reported there. */
    readonly end: number,
  ) {}

  get more(): boolean {
    return this.at < this.words.length;
  }

  peek(): string | null {
    return this.at < this.words.length ? this.words[this.at]!.text : null;
  }

  next(): Word | null {
    return this.at < this.words.length ? this.words[this.at++]! : null;
  }

  /** Throws, at `word` or at the end of the line. */
  fail(word: Word | null, message: string): never {
    throw new TextError(this.line, word === null ? this.end : word.column, message);
  }
}

/** An option of a match or a target, as a builder sees it. */
export class Option {
  /** What was last read: errors point at it. */
  private last: Word;

  constructor(
    private readonly cursor: Cursor,
    readonly word: Word,
    /** A `!` stood in front. */
    readonly invert: boolean,
  ) {
    this.last = word;
  }

  get name(): string {
    return this.word.text;
  }

  fail(message: string): never {
    this.cursor.fail(this.last, message);
  }

  /** The argument; `expected` says what should stand there. */
  value(expected: string): string {
    const w = this.cursor.next();
    if (w === null) this.cursor.fail(null, `${this.name}: expected ${expected}`);
    this.last = w;
    return w.text;
  }

  /** The argument when there is one that is no option. */
  optionalValue(): string | null {
    const p = this.cursor.peek();
    if (p === null || p === "!" || p.startsWith("-")) return null;
    return this.value("");
  }

  /** For an option that knows no `!`. */
  plain(): this {
    if (this.invert) this.cursor.fail(this.word, `${this.name}: '!' is not possible here`);
    return this;
  }

  /** strtoul with base 0: decimal, 0x and octal. */
  number(min: number, max: number, expected = `a number from ${min} to ${max}`): number {
    return this.numberOf(this.value(expected), min, max, expected);
  }

  numberOf(text: string, min: number, max: number, expected = `a number from ${min} to ${max}`): number {
    const n = parseNumber(text);
    if (n === null || n < min || n > max) this.fail(`${this.name}: '${text}' is not ${expected}`);
    return n;
  }

  /** `value[/mask]`; the mask is all ones when left out. */
  masked(max = 0xffffffff): { value: number; mask: number } {
    const text = this.value("value[/mask]");
    const slash = text.indexOf("/");
    if (slash < 0) return { value: this.numberOf(text, 0, max), mask: max };
    return { value: this.numberOf(text.slice(0, slash), 0, max), mask: this.numberOf(text.slice(slash + 1), 0, max) };
  }
}

export function parseNumber(text: string): number | null {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number.parseInt(text.slice(2), 16);
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9][0-9]*$|^0$/.test(text) ? Number(text) : null;
}

export function hex(v: number): string {
  return `0x${(v >>> 0).toString(16)}`;
}
