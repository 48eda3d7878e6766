// src/capture/filter/values.ts: what the values in a filter's registers are, and which nobody reads.
//
// Values are numbered: two loads of the same bytes have one number, so that the second is not needed.

import { compute } from "./arithmetic.ts";
import { FilterError } from "./error.ts";
import type { Statement } from "./condition.ts";
import type { Block } from "./layout.ts";
import { Op, X } from "./program.ts";

/** What holds a value: A, X, and the scratch words from 2 on. */
export const A = 0;
export const XREG = 1;
export const ATOMS = 18;
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
export interface Facts {
  /** Value numbers behind the block's statements. */
  readonly exit: number[];
  /** Bits of the atoms that the block, or what follows it, reads before writing. */
  live: number;
}

export type Pass = Map<Block, Facts>;

/** The atom that a statement writes; null for none. */
function written(s: Statement): number | null {
  switch (s.code & 7) {
    case 0:
    case 4:
      return A;
    case 1:
      return XREG;
    case 2:
    case 3:
      return slot(s.k);
    default:
      return s.code === Op.Tax ? XREG : A;
  }
}

/** Bits of the atoms that a statement reads. */
function reads(s: Statement): number {
  switch (s.code & 7) {
    case 0:
      return (s.code & 0xe0) === 0x40 ? 1 << XREG : s.code === Op.LdMem ? 1 << slot(s.k) : 0;
    case 1:
      return s.code === Op.LdxMem ? 1 << slot(s.k) : 0;
    case 2:
      return 1 << A;
    case 3:
      return 1 << XREG;
    case 4:
      return s.code !== Op.Neg && (s.code & X) !== 0 ? (1 << A) | (1 << XREG) : 1 << A;
    default:
      return s.code === Op.Tax ? 1 << A : 1 << XREG;
  }
}

/**
 * Runs a block over value numbers. With `alter`, drops statements that change nothing, and folds constants. Without,
 * what is computed is not known even where it could be: libpcap moves jumps before it computes, and so the verdict on
 * frames that are cut short is the same.
 */
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
          // so far out there is no packet byte: an indexed load keeps it from meaning Linux's ancillary data
          if (alter && x !== null && at < 0xfffff000) {
            // an index that is known: a load from there
            s.code = (s.code & 0x18) | 0x20;
            s.k = at;
            changed = true;
            n = values.of(`${s.code} ${s.k}`);
          } else n = values.of(`${s.code} ${s.k} ${read(XREG)}`);
        } else n = values.of(`${s.code} ${s.k}`);
        break;
      case 1:
        if (s.code === Op.LdxImm) n = values.constant(s.k);
        else if (s.code === Op.LdxMem) n = read(slot(s.k));
        // the packet's length is one value in both registers
        else n = s.code === Op.LdxLen ? values.of(`${Op.LdLen} 0`) : values.of(`${s.code} ${s.k}`);
        break;
      case 2:
        n = read(A);
        break;
      case 3:
        n = read(XREG);
        break;
      case 4: {
        const op = s.code & ~X;
        if (s.code === Op.Neg) {
          const a = values.known(read(A));
          n = a === null || !alter ? values.of(`neg ${read(A)}`) : values.constant(-a);
        } else {
          if ((s.code & X) !== 0) {
            const x = values.known(read(XREG));
            if (alter && x === 0 && (op === Op.Div || op === Op.Mod)) throw new FilterError(0, "division by zero");
            // the machine's checker refuses constant shifts above 31; behind X they give 0
            if (alter && x !== null && (x <= 31 || (op !== Op.Lsh && op !== Op.Rsh))) {
              s.code = op;
              s.k = x;
              changed = true;
            }
          }
          const right = (s.code & X) !== 0 ? read(XREG) : values.constant(s.k);
          n = alter ? operation(op, read(A), right, values) : values.of(`${op} ${read(A)} ${right}`);
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
    if (y === 0 && op !== Op.Mul && op !== Op.And && op !== Op.Div && op !== Op.Mod) return a;
    if ((y === 1 && (op === Op.Mul || op === Op.Div)) || (y === 0xffffffff && op === Op.And)) return a;
    if (y === 0 && (op === Op.Mul || op === Op.And)) return values.constant(0);
  }
  if (x === 0 && y === null) {
    if (op === Op.Add || op === Op.Or || op === Op.Xor) return right;
    // without asking whether what divides is zero, as the reference
    if (op !== Op.Sub) return values.constant(0);
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
export function number(blocks: readonly Block[], pass: Pass, alter: boolean): boolean {
  const values = new Values();
  const entry = new Map<Block, number[]>();
  entry.set(
    blocks[0]!,
    Array.from({ length: ATOMS }, () => 0),
  );
  let changed = false;
  for (const b of blocks) {
    // a constant jump before may have left it without a way to it
    const reached = entry.get(b);
    if (reached === undefined) {
      pass.set(b, { exit: Array.from({ length: ATOMS }, () => 0), live: 0 });
      continue;
    }
    const state = [...reached];
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
export function dropUnread(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  for (const b of blocks.toReversed()) {
    if (b.yes === null || b.no === null) continue;
    let live = pass.get(b.yes)!.live | pass.get(b.no)!.live;
    live |= (1 << A) | ((b.jump & X) !== 0 ? 1 << XREG : 0);
    const kept: Statement[] = [];
    for (const s of b.statements.toReversed()) {
      const bit = 1 << written(s)!;
      if ((live & bit) === 0) {
        changed = true;
        continue;
      }
      live = (live & ~bit) | reads(s);
      kept.push(s);
    }
    b.statements = kept.toReversed();
    pass.get(b)!.live = live;
  }
  return changed;
}

/** `and #k; jeq #0` is `jset #k` the other way round, where A is not read afterwards. */
export function useJset(blocks: readonly Block[], pass: Pass): boolean {
  let changed = false;
  for (const b of blocks) {
    if (b.yes === null || b.no === null || b.jump !== Op.Jeq || b.k !== 0) continue;
    const last = b.statements.at(-1);
    if (last?.code !== Op.And || (((pass.get(b.yes)!.live | pass.get(b.no)!.live) >> A) & 1) !== 0) continue;
    b.statements.pop();
    b.jump = Op.Jset;
    b.k = last.k;
    [b.yes, b.no] = [b.no, b.yes];
    changed = true;
  }
  return changed;
}
