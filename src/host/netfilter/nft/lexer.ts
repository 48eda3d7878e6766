// src/host/netfilter/nft/lexer.ts: nftables text as tokens with their places.

import { TextError } from "../../text.ts";

export interface Token {
  /** "end": a newline or semicolon. */
  readonly kind: "word" | "string" | "symbol" | "end";
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

const word = /^(?:[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}(?![0-9a-fA-F:])|@?[A-Za-z0-9_][A-Za-z0-9_./*-]*)/;
const symbol = /^(?:!=|==|<=|>=|<<|>>|[{}(),:=&|^!/.<>+-])/;

/** @throws TextError at a character that begins nothing, or a string that is never closed */
export function tokens(text: string): Token[] {
  const out: Token[] = [];
  const lines = text.split("\n");
  for (let n = 0; n < lines.length; n++) {
    const line = lines[n]!;
    let i = 0;
    let continued = false;
    while (i < line.length) {
      const ch = line[i]!;
      if (ch === " " || ch === "\t" || ch === "\r") {
        i++;
        continue;
      }
      if (ch === "#") break;
      if (ch === "\\" && line.slice(i + 1).trim() === "") {
        continued = true;
        break;
      }
      const at = { line: n + 1, column: i + 1 };
      if (ch === ";") {
        out.push({ kind: "end", text: ";", ...at });
        i++;
      } else if (ch === '"') {
        const end = line.indexOf('"', i + 1);
        if (end < 0) throw new TextError(n + 1, i + 1, "string is never closed");
        out.push({ kind: "string", text: line.slice(i + 1, end), ...at });
        i = end + 1;
      } else {
        const rest = line.slice(i);
        const w = word.exec(rest);
        const s = w === null ? symbol.exec(rest) : null;
        if (w === null && s === null) throw new TextError(n + 1, i + 1, `unexpected character '${ch}'`);
        const found = (w ?? s)![0];
        out.push({ kind: w === null ? "symbol" : "word", text: found, ...at });
        i += found.length;
      }
    }
    if (!continued) out.push({ kind: "end", text: "\n", line: n + 1, column: line.length + 1 });
  }
  return out;
}

/** Reads tokens from left to right. */
export class Reader {
  private at = 0;
  /** Inside of braces lines may break anywhere. */
  depth = 0;

  constructor(private readonly list: readonly Token[]) {}

  peek(): Token | null {
    if (this.depth > 0) while (this.list[this.at]?.text === "\n") this.at++;
    return this.list[this.at] ?? null;
  }

  /** The token behind the next one. */
  second(): Token | null {
    this.peek();
    return this.list[this.at + 1] ?? null;
  }

  next(expected: string): Token {
    const t = this.peek();
    if (t === null) return this.fail(null, `expected ${expected}, got the end of the text`);
    this.at++;
    return t;
  }

  /** Takes the token if it is that word or symbol. */
  take(text: string): boolean {
    const t = this.peek();
    if (t === null || t.text !== text || t.kind === "string") return false;
    this.at++;
    return true;
  }

  expect(text: string): Token {
    const t = this.next(`'${text}'`);
    if (t.text !== text || t.kind === "string") this.fail(t, `expected '${text}', got ${show(t)}`);
    return t;
  }

  is(text: string): boolean {
    const t = this.peek();
    return t !== null && t.text === text && t.kind !== "string";
  }

  word(expected: string): Token {
    const t = this.next(expected);
    if (t.kind !== "word") this.fail(t, `expected ${expected}, got ${show(t)}`);
    return t;
  }

  number(expected: string, max = 0xffffffff): number {
    const t = this.word(expected);
    const n = parseNumber(t.text);
    if (n === null || n > max) return this.fail(t, `expected ${expected}, got ${show(t)}`);
    return n;
  }

  /** No statement goes on here. */
  get ended(): boolean {
    const t = this.peek();
    return t === null || t.kind === "end" || t.text === "}";
  }

  skipEnds(): void {
    while (this.list[this.at]?.kind === "end") this.at++;
  }

  fail(t: Token | null, message: string): never {
    const at = t ?? this.list.at(-1) ?? { line: 1, column: 1 };
    throw new TextError(at.line, at.column, message);
  }
}

export function show(t: Token): string {
  return t.kind === "end" ? "the end of the line" : `'${t.text}'`;
}

export function parseNumber(text: string): number | null {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number.parseInt(text.slice(2), 16);
  return /^\d+$/.test(text) ? Number(text) : null;
}
