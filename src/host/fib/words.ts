// src/host/fib/words.ts: words of `ip` commands, each with its place.

import { type Prefix, parseIpv4 } from "../../core/address.ts";
import { TextError } from "../text.ts";
import { parseNumber } from "./names.ts";

interface Word {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export class Words {
  private readonly words: Word[] = [];
  private at = 0;

  constructor(text: string) {
    let line = 1;
    let start = 0;
    for (const m of text.matchAll(/\n|[^\s\\]+/g)) {
      if (m[0] === "\n") {
        line++;
        start = m.index + 1;
      } else this.words.push({ text: m[0], line, column: m.index - start + 1 });
    }
  }

  get done(): boolean {
    return this.at === this.words.length;
  }

  peek(): string {
    return this.words[this.at]?.text ?? "";
  }

  /** Takes the next word if it is one of these. */
  accept(...texts: readonly string[]): boolean {
    if (this.done || !texts.includes(this.peek())) return false;
    this.at++;
    return true;
  }

  /** The next word; `expected` says what should stand there. */
  next(expected: string): string {
    if (this.done) {
      const last = this.words[this.at - 1];
      throw new TextError(
        last?.line ?? 1,
        last === undefined ? 1 : last.column + last.text.length,
        `expected ${expected}`,
      );
    }
    return this.words[this.at++]!.text;
  }

  /** The word that `next` gave last is wrong. */
  fail(message: string): TextError {
    const w = this.words[Math.max(this.at - 1, 0)];
    return new TextError(w?.line ?? 1, w?.column ?? 1, message);
  }

  /** The next word through a parser that answers null for what it does not know. */
  read<T>(expected: string, parse: (text: string) => T | null): T {
    const text = this.next(expected);
    const v = parse(text);
    if (v === null) throw this.fail(`'${text}': expected ${expected}`);
    return v;
  }

  number(expected: string, min: number, max: number): number {
    const n = this.read(`${expected} (${min} to ${max})`, (t) => parseNumber(t, max));
    if (n < min) throw this.fail(`'${n}': expected ${expected} (${min} to ${max})`);
    return n;
  }

  address(): number {
    return this.read("an IPv4 address", parseIpv4);
  }
}

/**
 * A prefix as `ip` reads it: `default`, `any`, `all`, `10.0.0.0/8`, `10/8`, `10.0.0.0/255.0.0.0`, an address alone.
 * Missing bytes are 0 (get_addr_1).
 */
export function parseIpPrefix(text: string): Prefix | null {
  if (text === "default" || text === "any" || text === "all") return { address: 0, length: 0 };
  const slash = text.indexOf("/");
  const head = slash < 0 ? text : text.slice(0, slash);
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(head)) return null;
  const address = parseIpv4(head + ".0".repeat(4 - head.split(".").length));
  if (address === null) return null;
  if (slash < 0) return { address, length: 32 };
  const tail = text.slice(slash + 1);
  if (/^\d{1,2}$/.test(tail)) return Number(tail) > 32 ? null : { address, length: Number(tail) };
  const mask = parseIpv4(tail);
  if (mask === null || (~mask & (~mask + 1)) >>> 0 !== 0) return null;
  return { address, length: Math.clz32(~mask) };
}
