// src/capture/filter/arithmetic.ts: arithmetic on packet bytes: `ip[2:2] - ((ip[0] & 0xf) << 2) > 100`.

import { type Condition, type Statement, and, not, test } from "./condition.ts";
import { FilterError } from "./error.ts";
import type { Links } from "./links.ts";
import { Op, X } from "./program.ts";
import type { Arithmetic } from "./syntax.ts";

const MEMWORDS = 16;
const operators: Record<string, number> = {
  "+": Op.Add,
  "-": Op.Sub,
  "*": Op.Mul,
  "/": Op.Div,
  "%": Op.Mod,
  "&": Op.And,
  "|": Op.Or,
  "^": Op.Xor,
  "<<": Op.Lsh,
  ">>": Op.Rsh,
};
/** Protocols of a header directly behind IPv4's, whose accessors skip its options and refuse later fragments. */
const overIpv4: ReadonlySet<string> = new Set(["sctp", "tcp", "udp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp"]);
const network: ReadonlySet<string> = new Set([
  "atalk",
  "decnet",
  "lat",
  "sca",
  "mopdl",
  "moprc",
  "arp",
  "rarp",
  "ip",
  "ip6",
]);

/** What `a op b` is; unsigned 32 bits, as the machine computes. Null: division by zero. */
export function compute(op: number, a: number, b: number): number | null {
  switch (op) {
    case Op.Add:
      return (a + b) >>> 0;
    case Op.Sub:
      return (a - b) >>> 0;
    case Op.Mul:
      return Math.imul(a, b) >>> 0;
    case Op.Div:
      return b === 0 ? null : Math.floor(a / b);
    case Op.Mod:
      return b === 0 ? null : a % b;
    case Op.And:
      return (a & b) >>> 0;
    case Op.Or:
      return (a | b) >>> 0;
    case Op.Xor:
      return (a ^ b) >>> 0;
    case Op.Lsh:
      return b > 31 ? 0 : (a << b) >>> 0;
    default:
      return b > 31 ? 0 : a >>> b;
  }
}

/** Code that leaves a value in A, the value of a literal, and what must hold before the code may run. */
interface Value {
  readonly statements: Statement[];
  readonly constant: number | null;
  readonly guard: Condition | null;
}

export class Arithmetics {
  /** Scratch words that the reference would hold now: it keeps every value in one, and refuses a 17th. */
  private registers = 0;

  constructor(private readonly links: Links) {}

  private register(at: number): void {
    if (++this.registers > MEMWORDS) throw new FilterError(at, `too many values at once, expected at most ${MEMWORDS}`);
  }

  relation(op: string, left: Arithmetic, right: Arithmetic): Condition {
    this.registers = 0;
    const a = this.value(left);
    const b = this.value(right);
    const jump = op === "=" || op === "!=" ? Op.Jeq : op === ">" || op === "<=" ? Op.Jgt : Op.Jge;
    const plain =
      b.constant !== null ? test(a.statements, jump, b.constant) : test(this.both(a, b, left.at), jump | X, 0);
    const relation = op === "!=" || op === "<=" || op === "<" ? not(plain) : plain;
    const guards = [a.guard, b.guard].filter((g) => g !== null);
    return and(...guards, relation);
  }

  /** Both values, `a` in A and `b` in X; extends the statements of `a` or `b`. */
  private both(a: Value, b: Value, at: number): Statement[] {
    if (b.constant !== null) {
      a.statements.push({ code: Op.LdxImm, k: b.constant });
      return a.statements;
    }
    if (a.constant !== null) {
      b.statements.push({ code: Op.Tax, k: 0 }, { code: Op.LdImm, k: a.constant });
      return b.statements;
    }
    // above the words that the code of `b` uses, which runs between the store and the load
    const slot = b.statements.reduce((m, s) => (s.code === Op.St ? Math.max(m, s.k) : m), -1) + 1;
    if (slot >= MEMWORDS) throw new FilterError(at, `too many values at once, expected at most ${MEMWORDS}`);
    a.statements.push({ code: Op.St, k: slot });
    for (const s of b.statements) a.statements.push(s);
    a.statements.push({ code: Op.Tax, k: 0 }, { code: Op.LdMem, k: slot });
    return a.statements;
  }

  private value(e: Arithmetic): Value {
    switch (e.kind) {
      case "number":
        this.register(e.at);
        return constant(e.value, null);
      case "len":
        this.register(e.at);
        return { statements: [{ code: Op.LdLen, k: 0 }], constant: null, guard: null };
      case "negate": {
        const v = this.value(e.of);
        v.statements.push({ code: Op.Neg, k: 0 });
        return { ...v, constant: null };
      }
      case "load":
        return this.load(e);
      default:
        return this.binary(e);
    }
  }

  private binary(e: Arithmetic): Value {
    // a chain `a + b + c ...` is as deep as it is long: walk down its left side without recursion
    const chain: (Arithmetic & { kind: "binary" })[] = [];
    let left = e;
    while (left.kind === "binary") {
      chain.push(left);
      left = left.left;
    }
    let a = this.value(left);
    for (const step of chain.toReversed()) a = this.operate(step, a, this.value(step.right));
    return a;
  }

  private operate(e: Arithmetic & { kind: "binary" }, a: Value, b: Value): Value {
    this.registers--;
    const op = operators[e.op]!;
    // the guard of the right side is not kept: the reference does not test it either
    const { guard } = a;
    if (b.constant !== null) {
      if (b.constant === 0 && (op === Op.Div || op === Op.Mod)) throw new FilterError(e.at, "division by zero");
      if (b.constant > 31 && (op === Op.Lsh || op === Op.Rsh))
        throw new FilterError(e.at, "shift by more than 31 bits");
      a.statements.push({ code: op, k: b.constant });
      return { statements: a.statements, constant: null, guard };
    }
    const statements = this.both(a, b, e.at);
    statements.push({ code: op | X, k: 0 });
    return { statements, constant: null, guard };
  }

  private load(e: Arithmetic & { kind: "load" }): Value {
    const index = this.value(e.index);
    this.register(e.at);
    this.registers--;
    const { links } = this;
    const size = e.size === 1 ? 0x10 : e.size === 2 ? 0x08 : 0;
    if (overIpv4.has(e.protocol)) {
      const own = and(links.protocol(e.protocol, e.at), links.firstFragment());
      const guard = and(links.protocol("ip", e.at), index.guard === null ? own : and(index.guard, own));
      const header: Statement = { code: Op.LdxMsh, k: links.payload };
      if (index.constant !== null) {
        const field: Statement = { code: Op.LdIndW | size, k: (links.payload + index.constant) >>> 0 };
        return { statements: [header, field], constant: null, guard };
      }
      const { statements } = index;
      statements.push(
        header,
        { code: Op.Add | X, k: 0 },
        { code: Op.Tax, k: 0 },
        { code: Op.LdIndW | size, k: links.payload },
      );
      return { statements, constant: null, guard };
    }
    let base = links.payload;
    let own: Condition | null = null;
    if (e.protocol === "ether") base = links.header;
    else if (e.protocol === "icmp6") {
      base += 40;
      own = and(links.protocol("ip6", e.at), links.byteIs(links.payload + 6, 58));
    } else if (network.has(e.protocol)) own = links.protocol(e.protocol, e.at);
    else
      throw new FilterError(e.at, `'${e.protocol}[...]' cannot be read, expected ether, ip, ip6, tcp, udp, icmp ...`);
    const guard = index.guard === null ? own : own === null ? index.guard : and(index.guard, own);
    index.statements.push({ code: Op.Tax, k: 0 }, { code: Op.LdIndW | size, k: base });
    return { statements: index.statements, constant: null, guard };
  }
}

function constant(value: number, guard: Condition | null): Value {
  return { statements: [{ code: Op.LdImm, k: value }], constant: value, guard };
}
