// src/capture/filter/optimize.ts: makes a filter's graph smaller, as libpcap's optimizer does (after BPF+, SIGCOMM 1999).
//
// Values are numbered: two loads of the same bytes have one number, so that the second is not needed. A test whose
// answer an earlier test on every way to it has told is jumped over. What nobody reads is not computed: a load past a
// short frame's end then does not reject the frame any more, exactly where the reference does not either.

import { compute } from "./arithmetic.ts";
import type { Statement } from "./condition.ts";
import { type Block, type Graph, order } from "./layout.ts";
import { Op, X } from "./program.ts";

/** Above it the graph is left as it is: the passes cost the square of the blocks. */
const MAX_BLOCKS = 1000;
const MAX_PASSES = 200;

/** What holds a value: A, X, and the scratch words from 2 on. */
const A = 0;
const XREG = 1;
const ATOMS = 18;
const slot = (k: number): number => 2 + k;

/** Numbers of values. 0: unknown. */
class Values {
  private readonly numbers = new Map<string, number>();
  private readonly constants: (number | null)[] = [null];

  of(key: string, constant: number | null = null): number {
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const n = this.constants.length;
    this.constants.push(constant);
    this.numbers.set(key, n);
    return n;
  }

  constant(k: number): number {
    return this.of(`#${k >>> 0}`, k >>> 0);
  }

  /** The number's value where it is known. */
  known(n: number): number | null {
    return this.constants[n]!;
  }

  fresh(): number {
    return this.of(`?${this.constants.length}`);
  }
}

/** What one pass knows of a block. */
interface Facts {
  /** Value numbers behind the block's statements. */
  readonly exit: number[];
  /** Bits of the atoms that the block, or what follows it, reads before writing. */
  live: number;
}

type Pass = Map<Block, Facts>;

/** The atom that a statement writes; null for none. */
function written(s: Statement): number | null {
  switch (s.code & 7) {
    case 0:
    case 4: return A;
    case 1: return XREG;
    case 2:
    case 3: return slot(s.k);
    default: return s.code === Op.Tax ? XREG : A;
  }
}

/** Bits of the atoms that a statement reads. */
function reads(s: Statement): number {
  switch (s.code & 7) {
    case 0: return (s.code & 0xe0) === 0x40 ? 1 << XREG : s.code === Op.LdMem ? 1 << slot(s.k) : 0;
    case 1: return s.code === Op.LdxMem ? 1 << slot(s.k) : 0;
    case 2: return 1 << A;
    case 3: return 1 << XREG;
    case 4: return s.code !== Op.Neg && (s.code & X) !== 0 ? 1 << A | 1 << XREG : 1 << A;
    default: return s.code === Op.Tax ? 1 << A : 1 << XREG;
  }
}

/** Runs a block over value numbers. With `alter`, drops statements that change nothing, and folds constants. */
function runBlock(b: Block, state: number[], values: Values, alter: boolean): boolean {
  let changed = false;
  const kept: Statement[] = [];
  const read = (atom: number): number => {
    if (state[atom] === 0) state[atom] = values.fresh();
    return state[atom]!;
  };
  for (const s of b.statements) {
    let n: number;
    switch (s.code & 7) {
      case 0:
        if (s.code === Op.LdImm) n = values.constant(s.k);
        else if (s.code === Op.LdMem) n = read(slot(s.k));
        else if ((s.code & 0xe0) === 0x40) {
          const x = values.known(read(XREG));
          const at = x === null ? 0 : (x + s.k) >>> 0;
          if (x !== null && at < 0xfffff000) {
            // an index that is known: a load from there
            const code = s.code & 0x18 | 0x20;
            n = values.of(`${code} ${at}`);
            if (alter) {
              s.code = code;
              s.k = at;
              changed = true;
            }
          } else n = values.of(`${s.code} ${s.k} ${read(XREG)}`);
        } else n = values.of(`${s.code} ${s.k}`);
        break;
      case 1:
        if (s.code === Op.LdxImm) n = values.constant(s.k);
        else if (s.code === Op.LdxMem) n = read(slot(s.k));
        // the packet's length is one value in both registers
        else n = s.code === Op.LdxLen ? values.of(`${Op.LdLen} 0`) : values.of(`${s.code} ${s.k}`);
        break;
      case 2: n = read(A); break;
      case 3: n = read(XREG); break;
      case 4: {
        const op = s.code & ~X;
        if (s.code === Op.Neg) {
          const a = values.known(read(A));
          n = a === null ? values.of(`neg ${read(A)}`) : values.constant(-a);
        } else {
          if ((s.code & X) !== 0) {
            const x = values.known(read(XREG));
            // a zero would make an instruction that the machine's checker refuses
            if (alter && x !== null && (x !== 0 || op !== Op.Div && op !== Op.Mod) && (x <= 31 || op !== Op.Lsh && op !== Op.Rsh)) {
              s.code = op;
              s.k = x;
              changed = true;
            }
          }
          const right = (s.code & X) !== 0 ? read(XREG) : values.constant(s.k);
          n = operation(op, read(A), right, values);
        }
        break;
      }
      default:
        n = s.code === Op.Tax ? read(A) : read(XREG);
    }
    const atom = written(s)!;
    if (!alter) {
      state[atom] = n;
      kept.push(s);
      continue;
    }
    if (state[atom] === n) {
      changed = true;
      continue;
    }
    state[atom] = n;
    const known = values.known(n);
    if (known !== null && atom === A && s.code !== Op.LdImm) {
      kept.push({ code: Op.LdImm, k: known });
      changed = true;
    } else if (known !== null && atom === XREG && s.code !== Op.LdxImm) {
      kept.push({ code: Op.LdxImm, k: known });
      changed = true;
    } else kept.push(s);
  }
  b.statements = kept;
  if (b.yes !== null) changed = foldJump(b, read, values) || changed;
  return changed;
}

function operation(op: number, a: number, right: number, values: Values): number {
  const x = values.known(a);
  const y = values.known(right);
  if (y !== null) {
    if (x !== null) {
      const v = compute(op, x, y);
      if (v !== null) return values.constant(v);
    }
    // what leaves A as it is, and what leaves nothing of it
    if (y === 0 && (op === Op.Add || op === Op.Sub || op === Op.Or || op === Op.Xor || op === Op.Lsh || op === Op.Rsh)) return a;
    if (y === 1 && (op === Op.Mul || op === Op.Div) || y === 0xffffffff && op === Op.And) return a;
    if (y === 0 && (op === Op.Mul || op === Op.And)) return values.constant(0);
  }
  return values.of(`${op} ${a} ${right}`);
}

function foldJump(b: Block, read: (atom: number) => number, values: Values): boolean {
  let changed = false;
  if ((b.jump & X) !== 0) {
    const x = values.known(read(XREG));
    if (x !== null) {
      b.jump &= ~X;
      b.k = x;
      changed = true;
    }
  }
  const a = values.known(read(A));
  if (a !== null && (b.jump & X) === 0 && b.yes !== b.no) {
    const k = b.k >>> 0;
    const yes = b.jump === Op.Jeq ? a === k : b.jump === Op.Jgt ? a > k : b.jump === Op.Jge ? a >= k : (a & k) !== 0;
    if (yes) b.no = b.yes;
    else b.yes = b.no;
    changed = true;
  }
  return changed;
}

/** Value numbers for all blocks; a block knows what all the ways to it agree on. */
function number(blocks: readonly Block[], pass: Pass, alter: boolean): boolean {
  const values = new Values();
  const entry = new Map<Block, number[]>();
  entry.set(blocks[0]!, Array.from({ length: ATOMS }, () => 0));
  let changed = false;
  for (const b of blocks) {
    const state = [...entry.get(b)!];
    changed = runBlock(b, state, values, alter) || changed;
    pass.set(b, { exit: state, live: 0 });
    for (const next of [b.yes, b.no]) {
      if (next === null) continue;
      const before = entry.get(next);
      if (before === undefined) entry.set(next, [...state]);
      else for (let i = 0; i < ATOMS; i++) if (before[i] !== state[i]) before[i] = 0;
    }
  }
  return changed;
}

/** Drops statements whose result nobody reads. */
function dropUnread(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  for (const b of blocks.toReversed()) {
    if (b.yes === null || b.no === null) continue;
    let live = pass.get(b.yes)!.live | pass.get(b.no)!.live;
    if (b.yes !== b.no) live |= 1 << A | ((b.jump & X) !== 0 ? 1 << XREG : 0);
    const kept: Statement[] = [];
    for (const s of b.statements.toReversed()) {
      const bit = 1 << written(s)!;
      if ((live & bit) === 0) {
        changed = true;
        continue;
      }
      live = live & ~bit | reads(s);
      kept.push(s);
    }
    b.statements = kept.toReversed();
    pass.get(b)!.live = live;
  }
  return changed;
}

/** One side of a test. */
interface Edge {
  readonly block: Block;
  readonly yes: boolean;
  /** Edges that lie on every way to this one, and itself. */
  readonly ways: ReadonlySet<Edge>;
}

function edgesOf(blocks: readonly Block[]): Edge[] {
  const edges: Edge[] = [];
  const before = new Map<Block, Set<Edge>>();
  before.set(blocks[0]!, new Set());
  for (const b of blocks) {
    if (b.yes === null || b.no === null) continue;
    for (const yes of [true, false]) {
      const ways = new Set(before.get(b)!);
      const edge: Edge = { block: b, yes, ways };
      ways.add(edge);
      edges.push(edge);
      const next = yes ? b.yes : b.no;
      const others = before.get(next);
      if (others === undefined) before.set(next, new Set(ways));
      else for (const o of others) if (!ways.has(o)) others.delete(o);
    }
  }
  return edges;
}

/** Where `test` goes when `edge` was taken before; null when that does not tell. */
function decided(test: Block, edge: Edge, pass: Pass): Block | null {
  const earlier = edge.block;
  if (earlier.jump !== test.jump) return null;
  const a = pass.get(test)!.exit;
  const b = pass.get(earlier)!.exit;
  if (a[A] !== b[A] || a[A] === 0) return null;
  const same = (test.jump & X) !== 0 ? a[XREG] === b[XREG] && a[XREG] !== 0 : test.k === earlier.k;
  if (same) return edge.yes ? test.yes : test.no;
  return edge.yes && test.jump === Op.Jeq ? test.no : null;
}

/** Lets jumps skip tests whose answer is known. */
function thread(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  const skippable = (from: Block, over: Block, to: Block): boolean => {
    const { live } = pass.get(to)!;
    const a = pass.get(from)!.exit;
    const b = pass.get(over)!.exit;
    for (let i = 0; i < ATOMS; i++) if ((live >> i & 1) !== 0 && (a[i] !== b[i] || a[i] === 0)) return false;
    return true;
  };
  for (const edge of edgesOf(blocks)) {
    const { block } = edge;
    for (let moved = true; moved;) {
      moved = false;
      const next: Block = (edge.yes ? block.yes : block.no)!;
      if (next.yes === null) break;
      let to: Block | null = next.yes === next.no && skippable(block, next, next.yes) ? next.yes : null;
      if (to === null) {
        for (const way of edge.ways) {
          const target = decided(next, way, pass);
          if (target !== null && skippable(block, next, target)) {
            to = target;
            break;
          }
        }
      }
      if (to === null) continue;
      if (edge.yes) block.yes = to;
      else block.no = to;
      moved = changed = true;
    }
  }
  return changed;
}

/** `and #k; jeq #0` is `jset #k` the other way round, where A is not read afterwards. */
function useJset(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  for (const b of blocks) {
    if (b.yes === null || b.no === null || b.jump !== Op.Jeq || b.k !== 0) continue;
    const last = b.statements.at(-1);
    if (last?.code !== Op.And || ((pass.get(b.yes)!.live | pass.get(b.no)!.live) >> A & 1) !== 0) continue;
    b.statements.pop();
    b.jump = Op.Jset;
    b.k = last.k;
    [b.yes, b.no] = [b.no, b.yes];
    changed = true;
  }
  return changed;
}

/** Blocks that lie on every way to a block, itself included. */
function dominators(blocks: readonly Block[]): Map<Block, Set<Block>> {
  const all = new Map<Block, Set<Block>>();
  all.set(blocks[0]!, new Set());
  for (const b of blocks) {
    const own = all.get(b)!.add(b);
    for (const next of [b.yes, b.no]) {
      if (next === null) continue;
      const others = all.get(next);
      if (others === undefined) all.set(next, new Set(own));
      else for (const o of others) if (!own.has(o)) others.delete(o);
    }
  }
  return all;
}

/**
 * In a chain of alternatives (all with the same `yes`) or of conditions (the same `no`), moves a test of the value
 * that came before the chain up to the others of its kind: `src port 80, dst port 80, src port 443` tests the source
 * twice in a row, and loads it once.
 */
function pullUp(blocks: readonly Block[], pass: Pass): boolean {
  const above = dominators(blocks);
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
        t !== null && t.yes !== null && t[side] === b[side] && above.get(t)?.has(b) === true && !moved.has(t);
      let last: Block | null = null;
      let different: Block | null = b;
      while (link(different) && valueOf(different) === value) [last, different] = [different, different[other]];
      if (!link(different)) continue;
      let holder: Block = different;
      let same: Block | null = different[other];
      while (link(same) && valueOf(same) !== value) [holder, same] = [same, same[other]];
      if (!link(same) || pass.get(same)!.live !== 0 || pass.get(different)!.live !== 0) continue;
      const rest = same[other]!;
      if (pass.get(rest)!.live !== 0) continue;
      holder[other] = rest;
      same[other] = different;
      if (last !== null) last[other] = same;
      else {
        for (const p of before) {
          if (p.yes === b) p.yes = same;
          if (p.no === b) p.no = same;
          moved.add(p);
        }
      }
      for (const t of [b, last, different, holder, same, rest]) if (t !== null) moved.add(t);
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
    changed = thread(blocks, pass) || changed;
    changed = pullUp(order(graph), pass) || changed;
  }
  return changed;
}

/** A test whose sides go to one place decides nothing. */
function skipRoot(graph: Graph): void {
  while (graph.root.yes !== null && graph.root.yes === graph.root.no) graph.root = graph.root.yes;
}

/** Optimizes a graph in place; its verdict over frames that hold all the bytes it loads stays. */
export function optimize(graph: Graph): void {
  if (order(graph).length > MAX_BLOCKS) return;
  // jumps first: a statement that was left out because of what ran before would hold its jump in place
  for (const alter of [false, true]) {
    for (let n = 0; n < MAX_PASSES && improve(graph, alter); n++) skipRoot(graph);
  }
  merge(graph);
  skipRoot(graph);
}
