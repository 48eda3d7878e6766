// src/capture/filter/condition.ts: a filter as a tree of tests, between its syntax and its instructions.

/** One instruction that computes; jumps are made when the tree is laid out. */
export interface Statement {
  code: number;
  k: number;
}

export type Condition =
  | { readonly kind: "and" | "or"; readonly a: Condition; readonly b: Condition }
  | { readonly kind: "not"; readonly a: Condition }
  | { readonly kind: "constant"; readonly value: boolean }
  /** Runs the statements, then jumps on A: `jump` is the jump's code, `k` its operand unless it compares with X. */
  | { readonly kind: "test"; readonly statements: readonly Statement[]; readonly jump: number; readonly k: number };

export const never: Condition = { kind: "constant", value: false };

/** `all` in this order, joined from the left. */
export function and(...all: readonly Condition[]): Condition {
  return all.reduce((a, b) => ({ kind: "and", a, b }));
}

export function or(...all: readonly Condition[]): Condition {
  return all.reduce((a, b) => ({ kind: "or", a, b }));
}

export function not(a: Condition): Condition {
  return { kind: "not", a };
}

export function test(statements: readonly Statement[], jump: number, k: number): Condition {
  return { kind: "test", statements, jump, k };
}
