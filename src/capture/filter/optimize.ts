// src/capture/filter/optimize.ts: makes a filter's graph smaller, as libpcap's optimizer does (after BPF+, SIGCOMM 1999).
//
// A test whose answer an earlier test on every way to it has told is jumped over. What nobody reads is not computed: a
// load past a short frame's end then does not reject the frame any more, exactly where the reference does not either.

import { type Block, type Graph, order } from "./layout.ts";
import { Op, X } from "./program.ts";
import { A, ATOMS, type Pass, XREG, dropUnread, number, useJset } from "./values.ts";

/** Above it the graph is left as it is: the passes cost the square of the blocks. */
const MAX_BLOCKS = 1000;
const MAX_PASSES = 200;

/**
 * A block (`yes` is null), or one side of its test, in the tree of dominators: all that lies on every way to it is
 * above it.
 */
interface Way {
  readonly block: Block;
  readonly yes: boolean | null;
  readonly above: Way | null;
  readonly depth: number;
}

/** The tree of a graph's blocks and sides, and the sides in order. */
function waysOf(blocks: readonly Block[]): { to: Map<Block, Way>; sides: Way[] } {
  // the lowest of what lies above all sides that lead to a block
  const meeting = new Map<Block, Way>();
  const to = new Map<Block, Way>();
  const sides: Way[] = [];
  for (const block of blocks) {
    const above = meeting.get(block) ?? null;
    const own: Way = { block, yes: null, above, depth: above === null ? 0 : above.depth + 1 };
    to.set(block, own);
    if (block.yes === null || block.no === null) continue;
    for (const yes of [true, false]) {
      const side: Way = { block, yes, above: own, depth: own.depth + 1 };
      sides.push(side);
      const next = yes ? block.yes : block.no;
      const other = meeting.get(next);
      meeting.set(next, other === undefined ? side : meet(other, side));
    }
  }
  return { to, sides };
}

function meet(a: Way, b: Way): Way {
  let [p, q] = [a, b];
  while (p !== q) {
    if (p.depth >= q.depth) p = p.above!;
    else q = q.above!;
  }
  return p;
}

/** True when `a` lies on every way to `b`. */
function dominates(a: Way, b: Way): boolean {
  let p: Way | null = b;
  while (p !== null && p.depth > a.depth) p = p.above;
  return p === a;
}

/** Where `test` goes when `side` was taken before; null when that does not tell. */
function decided(test: Block, side: Way, pass: Pass): Block | null {
  const earlier = side.block;
  if (earlier.jump !== test.jump) return null;
  const a = pass.get(test)!.exit;
  const b = pass.get(earlier)!.exit;
  if (a[A] !== b[A] || a[A] === 0) return null;
  const same = (test.jump & X) !== 0 ? a[XREG] === b[XREG] && a[XREG] !== 0 : test.k === earlier.k;
  if (same) return side.yes === true ? test.yes : test.no;
  return side.yes === true && test.jump === Op.Jeq ? test.no : null;
}

/** Lets jumps skip tests whose answer is known. */
function thread(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  const skippable = (from: Block, over: Block, to: Block): boolean => {
    const { live } = pass.get(to)!;
    const a = pass.get(from)!.exit;
    const b = pass.get(over)!.exit;
    for (let i = 0; i < ATOMS; i++) if (((live >> i) & 1) !== 0 && (a[i] !== b[i] || a[i] === 0)) return false;
    return true;
  };
  for (const side of waysOf(blocks).sides) {
    const { block } = side;
    for (let moved = true; moved;) {
      moved = false;
      const next: Block = (side.yes === true ? block.yes : block.no)!;
      if (next.yes === null) break;
      let to: Block | null = next.yes === next.no && skippable(block, next, next.yes) ? next.yes : null;
      if (to === null) {
        for (let way: Way | null = side; way !== null; way = way.above) {
          const target = way.yes === null ? null : decided(next, way, pass);
          if (target !== null && skippable(block, next, target)) {
            to = target;
            break;
          }
        }
      }
      if (to === null) continue;
      if (side.yes === true) block.yes = to;
      else block.no = to;
      moved = changed = true;
    }
  }
  return changed;
}

/**
 * In a chain of alternatives (all with the same `yes`) or of conditions (the same `no`), moves a test of the value
 * that came before the chain up to the others of its kind: `src port 80, dst port 80, src port 443` tests the source
 * twice in a row, and loads it once.
 */
function pullUp(blocks: readonly Block[], pass: Pass): boolean {
  const { to } = waysOf(blocks);
  const into = new Map<Block, Block[]>();
  for (const b of blocks) {
    for (const next of new Set([b.yes, b.no])) {
      if (next === null) continue;
      const list = into.get(next);
      if (list === undefined) into.set(next, [b]);
      else list.push(b);
    }
  }
  const moved = new Set<Block>();
  const valueOf = (b: Block): number => pass.get(b)!.exit[A]!;
  for (const b of blocks.toReversed()) {
    for (const side of ["yes", "no"] as const) {
      const other = side === "yes" ? "no" : "yes";
      const before = into.get(b);
      if (before === undefined || b.yes === null || moved.has(b) || before.some((p) => moved.has(p))) continue;
      const value = valueOf(before[0]!);
      if (value === 0 || before.some((p) => valueOf(p) !== value)) continue;
      // a link of the chain from `b` down: another test with the same way out, reached through `b` only
      const link = (t: Block | null): t is Block =>
        t !== null && t.yes !== null && t[side] === b[side] && !moved.has(t) && dominates(to.get(b)!, to.get(t)!);
      let last: Block | null = null;
      let different: Block | null = b;
      while (link(different) && valueOf(different) === value) [last, different] = [different, different[other]];
      if (!link(different)) continue;
      // all tests of that value further down, in their order
      const top: Block = different;
      const touched: Block[] = [b, top];
      let holder: Block = top;
      for (let same: Block | null = top[other]; link(same); same = holder[other]) {
        if (valueOf(same) !== value) {
          holder = same;
          continue;
        }
        const rest: Block = same[other]!;
        if (pass.get(same)!.live !== 0 || pass.get(top)!.live !== 0 || pass.get(rest)!.live !== 0) break;
        holder[other] = rest;
        same[other] = top;
        if (last !== null) last[other] = same;
        else {
          for (const p of before) {
            if (p.yes === b) p.yes = same;
            if (p.no === b) p.no = same;
          }
          touched.push(...before);
        }
        touched.push(same, holder, rest);
        last = same;
      }
      if (touched.length > 2) for (const t of touched) moved.add(t);
    }
  }
  return moved.size > 0;
}

/** Makes blocks that do the same one block. */
function merge(graph: Graph): void {
  const blocks = order(graph);
  const ids = new Map<Block, number>();
  const same = new Map<string, Block>();
  const replaced = new Map<Block, Block>();
  const now = (b: Block): Block => replaced.get(b) ?? b;
  for (const b of blocks.toReversed()) {
    if (b.yes === null || b.no === null) {
      ids.set(b, ids.size);
      continue;
    }
    b.yes = now(b.yes);
    b.no = now(b.no);
    const key = `${b.statements.map((s) => `${s.code} ${s.k}`).join(";")}|${b.jump} ${b.k}|${ids.get(b.yes)} ${ids.get(b.no)}`;
    const twin = same.get(key);
    if (twin === undefined) {
      same.set(key, b);
      ids.set(b, ids.size);
    } else replaced.set(b, twin);
  }
  graph.root = now(graph.root);
}

/** One pass: moves jumps, or (with `alter`) rewrites statements. */
function improve(graph: Graph, alter: boolean): boolean {
  const blocks = order(graph);
  const pass: Pass = new Map();
  let changed = number(blocks, pass, alter);
  changed = dropUnread(blocks, pass) || changed;
  if (alter) changed = useJset(blocks, pass) || changed;
  else {
    changed = thread(order(graph), pass) || changed;
    changed = pullUp(order(graph), pass) || changed;
  }
  return changed;
}

/** Skips first tests that decide nothing. What the first of them loads stays: a frame must be as long as before. */
function skipRoot(graph: Graph): void {
  const { statements } = graph.root;
  let next = graph.root;
  while (next.yes !== null && next.yes === next.no) next = next.yes;
  if (next === graph.root) return;
  graph.root = next.yes === null ? next : { ...next, statements: [...statements, ...next.statements] };
}

/** Optimizes a graph in place; its verdict over frames that hold all the bytes it loads stays. */
export function optimize(graph: Graph): void {
  if (order(graph).length > MAX_BLOCKS) return;
  // jumps first: a statement that was left out because of what ran before would hold its jump in place
  for (const alter of [false, true]) {
    for (let n = 0; n < MAX_PASSES; n++) if (!improve(graph, alter)) break;
  }
  merge(graph);
  skipRoot(graph);
}
