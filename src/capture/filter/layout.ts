// src/capture/filter/layout.ts: a tree of tests to a graph of blocks, and the graph to instructions.

import type { Condition, Statement } from "./condition.ts";
import { type Instruction, Op, type Program } from "./program.ts";

/** Runs its statements, then jumps to one of two blocks, or returns. */
export interface Block {
  statements: Statement[];
  /** The jump's code; Op.Ret for the two ends. */
  jump: number;
  k: number;
  yes: Block | null;
  no: Block | null;
}

export interface Graph {
  root: Block;
  readonly accept: Block;
  readonly reject: Block;
}

/** As many bytes as `tcpdump` keeps by default. */
const SNAPLEN = 262144;

function end(k: number): Block {
  return { statements: [], jump: Op.Ret, k, yes: null, no: null };
}

/** The graph of a condition: its tests run from left to right and stop as soon as the answer is known. */
export function graphOf(condition: Condition | null): Graph {
  const accept = end(SNAPLEN);
  const reject = end(0);
  const root = condition === null ? accept : build(condition, accept, reject);
  return { root, accept, reject };
}

function build(condition: Condition, yes: Block, no: Block): Block {
  let c = condition;
  for (;;) {
    switch (c.kind) {
      case "and":
        yes = build(c.b, yes, no);
        c = c.a;
        break;
      case "or":
        no = build(c.b, yes, no);
        c = c.a;
        break;
      case "not":
        [yes, no] = [no, yes];
        c = c.a;
        break;
      case "constant":
        return c.value ? yes : no;
      default:
        return { statements: c.statements.map((s) => ({ ...s })), jump: c.jump, k: c.k, yes, no };
    }
  }
}

/** All blocks that the root reaches, every block before those that it jumps to. */
export function order(graph: Graph): Block[] {
  // depth first, the false side first, so that reversed the true side follows its test
  const done = new Set<Block>();
  const post: Block[] = [];
  const stack: { block: Block; step: number }[] = [{ block: graph.root, step: 0 }];
  const seen = new Set<Block>([graph.root]);
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const next = top.step === 0 ? top.block.no : top.step === 1 ? top.block.yes : null;
    if (top.step++ >= 2 || top.block.yes === null) {
      stack.pop();
      if (!done.has(top.block)) {
        done.add(top.block);
        post.push(top.block);
      }
    } else if (next !== null && !seen.has(next)) {
      seen.add(next);
      stack.push({ block: next, step: 0 });
    }
  }
  return post.toReversed();
}

/**
 * The instructions of a graph. A conditional jump reaches 255 instructions; where a block's target is further, an
 * unconditional jump behind the block carries on.
 */
export function assemble(graph: Graph): Program {
  const blocks = order(graph);
  // which sides of a block need a long jump: found by growing until nothing changes
  const long = new Map<Block, { yes: boolean; no: boolean }>();
  for (const b of blocks) long.set(b, { yes: false, no: false });
  const start = new Map<Block, number>();
  const size = (b: Block): number => {
    const l = long.get(b)!;
    return b.statements.length + 1 + (l.yes ? 1 : 0) + (l.no ? 1 : 0);
  };
  for (let grew = true; grew;) {
    grew = false;
    let at = 0;
    for (const b of blocks) {
      start.set(b, at);
      at += size(b);
    }
    for (const b of blocks) {
      if (b.yes === null || b.no === null) continue;
      const l = long.get(b)!;
      const from = start.get(b)! + b.statements.length + 1;
      if (!l.yes && start.get(b.yes)! - from > 255) grew = l.yes = true;
      if (!l.no && start.get(b.no)! - from > 255) grew = l.no = true;
    }
  }
  const program: Instruction[] = [];
  for (const b of blocks) {
    for (const s of b.statements) program.push({ code: s.code, jt: 0, jf: 0, k: s.k });
    if (b.yes === null || b.no === null) {
      program.push({ code: b.jump, jt: 0, jf: 0, k: b.k });
      continue;
    }
    const l = long.get(b)!;
    const from = program.length + 1;
    const yes = start.get(b.yes)! - from;
    const no = start.get(b.no)! - from;
    program.push({ code: b.jump, jt: l.yes ? 0 : yes, jf: l.no ? (l.yes ? 1 : 0) : no, k: b.k });
    if (l.yes) program.push({ code: Op.Ja, jt: 0, jf: 0, k: yes - 1 });
    if (l.no) program.push({ code: Op.Ja, jt: 0, jf: 0, k: no - (l.yes ? 2 : 1) });
  }
  return program;
}
