// src/host/netfilter/nft/verdict.ts: what statements answer, and chains as they are walked.

import type { Context } from "../context.ts";
import type { Hook, Verdict } from "../hooks.ts";
import { type Reader, show } from "./lexer.ts";

/** The first three are `Verdict`'s. */
export enum Code {
  Drop = 0,
  Accept = 1,
  Stolen = 2,
  /** The rule goes on (NFT_CONTINUE), ends here (NFT_BREAK), or the chain does. */
  Continue = 3,
  Break = 4,
  Return = 5,
  Jump = 6,
  Goto = 7,
}

export interface Statement {
  readonly text: string | (() => string);
  readonly run: (c: Context) => Code;
  readonly tracks?: boolean;
}

export interface NftRule {
  readonly statements: readonly Statement[];
  readonly runs: readonly ((c: Context) => Code)[];
  readonly comment: string;
  readonly line: number;
}

export interface BaseChain {
  readonly type: "filter" | "nat" | "route";
  readonly hook: Hook;
  readonly priority: number;
  readonly policy: Verdict.Accept | Verdict.Drop;
}

export class NftChain {
  readonly rules: NftRule[] = [];
  base: BaseChain | null = null;
  comment = "";

  constructor(readonly name: string) {}
}

/** A verdict as rules and maps name it; its chain is found when the table is whole. */
export interface NamedVerdict {
  readonly code: Code;
  readonly to: string;
  chain: NftChain | null;
  readonly line: number;
  readonly column: number;
}

const plain: Readonly<Record<string, Code>> = {
  accept: Code.Accept,
  drop: Code.Drop,
  continue: Code.Continue,
  return: Code.Return,
};

export function isVerdict(word: string): boolean {
  return Object.hasOwn(plain, word) || word === "jump" || word === "goto";
}

export function parseVerdict(r: Reader): { value: NamedVerdict; text: string } {
  const t = r.word("a verdict");
  const at = { chain: null, line: t.line, column: t.column };
  if (Object.hasOwn(plain, t.text)) return { value: { code: plain[t.text]!, to: "", ...at }, text: t.text };
  if (t.text !== "jump" && t.text !== "goto") r.fail(t, `expected a verdict, got ${show(t)}`);
  const to = r.word("the name of a chain");
  return {
    value: {
      code: t.text === "jump" ? Code.Jump : Code.Goto,
      to: to.text,
      chain: null,
      line: to.line,
      column: to.column,
    },
    text: `${t.text} ${to.text}`,
  };
}
