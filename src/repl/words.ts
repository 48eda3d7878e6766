// src/repl/words.ts: a line as words with their places, and what is wrong in it.

/** `column` counts from 1. */
export interface Word {
  readonly text: string;
  readonly column: number;
}

/** What is wrong in a line, and where. */
export class LineError extends Error {
  constructor(
    readonly column: number,
    message: string,
  ) {
    super(message);
  }
}

export function splitWords(line: string): Word[] {
  return Array.from(line.matchAll(/\S+/g), (m) => ({ text: m[0], column: m.index + 1 }));
}

/** The words of a line, one after the other. */
export class Words {
  private i = 0;

  constructor(
    readonly list: readonly Word[],
    private readonly end: number,
  ) {}

  static of(line: string): Words {
    return new Words(splitWords(line), line.trimEnd().length + 1);
  }

  peek(): Word | null {
    return this.list[this.i] ?? null;
  }

  take(expected: string): Word {
    const w = this.list[this.i];
    if (w === undefined) throw new LineError(this.end, `the line ends, expected ${expected}`);
    this.i++;
    return w;
  }

  /** Takes the next word when it is this one. */
  is(text: string): boolean {
    if (this.list[this.i]?.text !== text) return false;
    this.i++;
    return true;
  }

  done(): void {
    const w = this.list[this.i];
    if (w !== undefined) throw new LineError(w.column, `'${w.text}', expected the end of the line`);
  }

  /** Where the line goes on. */
  get column(): number {
    return this.list[this.i]?.column ?? this.end;
  }
}

export function number(w: Word, low: number, high: number, what: string): number {
  const n = Number(w.text);
  if (!/^(0x[0-9a-fA-F]+|\d+)$/.test(w.text) || n < low || n > high) {
    throw new LineError(w.column, `'${w.text}', expected ${what} from ${low} to ${high}`);
  }
  return n;
}
