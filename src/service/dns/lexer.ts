// src/service/dns/lexer.ts: a master file's entries (RFC 1035 §5.1): words with their places, parentheses and comments gone.

import { TextError } from "../../host/text.ts";

export interface Word {
  /** As written, escapes and all; without its quotes. */
  readonly text: string;
  readonly quoted: boolean;
  readonly line: number;
  readonly column: number;
}

/** What stands on a line, or on several between parentheses. */
export interface Entry {
  readonly words: readonly Word[];
  /** The line begins with white space: the owner is the last one. */
  readonly blankOwner: boolean;
  readonly line: number;
}

/** The entries, empty lines left out. Throws `TextError`. */
export function* entriesOf(text: string): Generator<Entry> {
  let at = 0;
  let line = 1;
  let start = 0;
  let words: Word[] = [];
  let blankOwner = false;
  let first = 1;
  /** Where the open parenthesis stands. */
  let open: { line: number; column: number } | null = null;
  for (;;) {
    const c = text[at];
    if (c === undefined || c === "\n") {
      if (open === null || c === undefined) {
        if (open !== null)
          throw new TextError(open.line, open.column, "'(' without its ')', expected one before the end");
        if (words.length > 0) yield { words, blankOwner, line: first };
        if (c === undefined) return;
        words = [];
        first = line + 1;
        const next = text[at + 1];
        blankOwner = next === " " || next === "\t";
      }
      at++;
      line++;
      start = at;
    } else if (c === " " || c === "\t" || c === "\r") {
      if (at === 0) blankOwner = true;
      at++;
    } else if (c === ";") {
      while (at < text.length && text[at] !== "\n") at++;
    } else if (c === "(") {
      if (open !== null) throw new TextError(line, at - start + 1, "'(' inside parentheses, expected ')' first");
      open = { line, column: at - start + 1 };
      at++;
    } else if (c === ")") {
      if (open === null) throw new TextError(line, at - start + 1, "')' without its '(', expected one before it");
      open = null;
      at++;
    } else {
      const column = at - start + 1;
      const quoted = c === '"';
      const end = quoted ? quotedEnd(text, at, line, column) : wordEnd(text, at);
      const inner = quoted ? text.slice(at + 1, end - 1) : text.slice(at, end);
      words.push({ text: inner, quoted, line, column });
      at = end;
    }
  }
}

/** Behind the word: escapes keep what would end it. */
function wordEnd(text: string, at: number): number {
  while (at < text.length && !/[\s();"]/.test(text[at]!)) at += text[at] === "\\" && text[at + 1] !== "\n" ? 2 : 1;
  return Math.min(at, text.length);
}

/** Behind the closing quote. */
function quotedEnd(text: string, from: number, line: number, column: number): number {
  for (let at = from + 1; at < text.length && text[at] !== "\n"; at++) {
    if (text[at] === '"') return at + 1;
    if (text[at] === "\\" && text[at + 1] !== "\n") at++;
  }
  throw new TextError(line, column, "a string without its closing quote, expected '\"' on the same line");
}

const encoder = new TextEncoder();

/** The bytes of a character string: `\DDD` and `\X` resolved (RFC 1035 §5.1), other letters as UTF-8. Throws `TextError`. */
export function bytesOf(word: Word): Uint8Array {
  if (!word.text.includes("\\")) return encoder.encode(word.text);
  const out: number[] = [];
  const text = word.text;
  for (let i = 0; i < text.length;) {
    if (text[i] === "\\") {
      const m = /^\\(?:(\d{3})|([^\d]))/su.exec(text.slice(i));
      if (m === null || Number(m[1] ?? 0) > 255) {
        const column = word.column + (word.quoted ? 1 : 0) + i;
        throw new TextError(word.line, column, "a bad escape, expected \\X or \\DDD up to \\255");
      }
      if (m[1] !== undefined) out.push(Number(m[1]));
      else out.push(...encoder.encode(m[2]));
      i += m[0].length;
    } else {
      const letter = String.fromCodePoint(text.codePointAt(i)!);
      out.push(...encoder.encode(letter));
      i += letter.length;
    }
  }
  return Uint8Array.from(out);
}
