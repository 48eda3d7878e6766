// src/capture/filter/parser.ts: the grammar of pcap-filter(7).
//
// `and` and `or` have one precedence and associate to the left; `not` binds tighter. An id without qualifiers takes
// those of the primitive before it. A parenthesis may hold an expression, a list of ids, or arithmetic, which only its
// inside tells: `operand` therefore answers with what it found, and the caller accepts or refuses.

import { FilterError } from "./error.ts";
import type { Arithmetic, Direction, Expression, Id, Kind, Qualifiers } from "./syntax.ts";
import { type Token, tokenize } from "./lexer.ts";

/** Levels of parentheses, brackets, `not` and signs together. */
const MAX_DEPTH = 200;
const MAX_LENGTH = 65536;

const protocols: ReadonlySet<string> = new Set(
  (
    "ether ip arp rarp sctp tcp udp icmp igmp igrp pim vrrp carp atalk aarp decnet lat sca mopdl moprc ip6 icmp6 ah esp iso " +
    "esis isis l1 l2 iih lsp snp psnp csnp clnp stp ipx netbeui radio"
  ).split(" "),
);
const kinds: ReadonlySet<string> = new Set(["host", "net", "port", "portrange"]);
const relations: ReadonlySet<string> = new Set([">", ">=", "=", "<=", "<", "!="]);
/** How tight an operator binds. `%` and `^` have no rank of their own: what follows them binds first. */
const ranks: ReadonlyMap<string, number> = new Map([
  ["|", 1],
  ["&", 2],
  ["<<", 3],
  [">>", 3],
  ["+", 4],
  ["-", 4],
  ["*", 5],
  ["/", 5],
  ["%", 0],
  ["^", 0],
]);
const NEGATE = 9;

const unsupported: ReadonlyMap<string, string> = new Map(
  Object.entries({
    geneve: "Geneve decapsulation",
    llc: "LLC types",
    byte: "'byte'",
    type: "802.11",
    subtype: "802.11",
    dir: "802.11",
    direction: "802.11",
    lane: "ATM",
    metac: "ATM",
    bcc: "ATM",
    oam: "ATM",
    oamf4: "ATM",
    oamf4ec: "ATM",
    oamf4sc: "ATM",
    sc: "ATM",
    ilmic: "ATM",
    vpi: "ATM",
    vci: "ATM",
    connectmsg: "ATM",
    metaconnect: "ATM",
    on: "pf's log",
    ifname: "pf's log",
    rset: "pf's log",
    ruleset: "pf's log",
    rnr: "pf's log",
    rulenum: "pf's log",
    srnr: "pf's log",
    subrulenum: "pf's log",
    reason: "pf's log",
    action: "pf's log",
    fisu: "SS7",
    lssu: "SS7",
    lsu: "SS7",
    msu: "SS7",
    hfisu: "SS7",
    hlssu: "SS7",
    hmsu: "SS7",
    sio: "SS7",
    opc: "SS7",
    dpc: "SS7",
    sls: "SS7",
    hsio: "SS7",
    hopc: "SS7",
    hdpc: "SS7",
    hsls: "SS7",
  }),
);

/** Qualifiers that an id may inherit; null after what has none. */
type Inherited = Qualifiers | null;

type Found =
  /** `id`: made of ids only, so that it may also stand behind qualifiers. */
  | { readonly type: "boolean"; readonly id: boolean; readonly expression: Expression; readonly inherited: Inherited }
  | { readonly type: "number"; readonly at: number; readonly value: number }
  | { readonly type: "arithmetic"; readonly arithmetic: Arithmetic };

/** What may stand here. */
interface Wanted {
  readonly id: boolean;
  readonly term: boolean;
}

const TERM: Wanted = { id: false, term: true };
const TERM_OR_ID: Wanted = { id: true, term: true };
const ID: Wanted = { id: true, term: false };
const ARITHMETIC: Wanted = { id: false, term: false };

function describe(w: Wanted): string {
  if (w.term)
    return w.id ? "a primitive or an id" : "a primitive (such as 'host 10.0.0.1', 'tcp port 80', 'ip[8] < 5')";
  return w.id ? "an address, a number or a name" : "a number, 'len' or PROTO[OFFSET]";
}

class Parser {
  private next = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  private peek(): Token {
    return this.tokens[this.next]!;
  }

  private is(text: string): boolean {
    const t = this.peek();
    return (t.kind === "keyword" || t.kind === "op") && t.text === text;
  }

  private take(): Token {
    return this.tokens[this.next++]!;
  }

  private accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.next++;
    return true;
  }

  private fail(expected: string): never {
    const t = this.peek();
    throw new FilterError(t.at, `${t.kind === "end" ? "the text ends" : `got '${t.text}'`}, expected ${expected}`);
  }

  private expect(text: string): void {
    if (!this.accept(text)) this.fail(`'${text}'`);
  }

  private number(): number {
    if (this.peek().kind !== "number") this.fail("a number");
    return this.take().value;
  }

  private descend(): void {
    if (++this.depth > MAX_DEPTH) throw new FilterError(this.peek().at, `nested deeper than ${MAX_DEPTH} levels`);
  }

  program(): Expression | null {
    if (this.peek().kind === "end") return null;
    const { expression } = this.rest(this.boolean(null, TERM));
    if (this.peek().kind !== "end") this.fail("'and', 'or' or the end");
    return expression;
  }

  /** An operand that must be a truth value; a lone number counts as an id where ids may stand. */
  private boolean(inherited: Inherited, wanted: Wanted): Found & { type: "boolean" } {
    return this.toBoolean(this.operand(inherited, wanted), inherited, wanted);
  }

  private toBoolean(found: Found, inherited: Inherited, wanted: Wanted): Found & { type: "boolean" } {
    if (found.type === "boolean") return found;
    if (found.type === "number" && wanted.id) {
      return this.qualified({ kind: "number", at: found.at, value: found.value }, inherited, found.at);
    }
    return this.fail(wanted.term ? "a comparison ('=', '!=', '<', '<=', '>', '>=')" : describe(wanted));
  }

  private qualified(id: Id, inherited: Inherited, at: number): Found & { type: "boolean" } {
    if (inherited === null) {
      throw new FilterError(at, "an id without a qualifier, expected 'host', 'net', 'port' ... in front of it");
    }
    return { type: "boolean", id: true, expression: { kind: "id", qualifiers: inherited, id }, inherited };
  }

  /** The `and` and `or` behind a first operand. */
  private rest(first: Found & { type: "boolean" }): Found & { type: "boolean" } {
    let left = first;
    // a list of ids goes on with ids only
    const wanted = first.id ? ID : TERM_OR_ID;
    while (this.is("and") || this.is("or")) {
      const kind = this.take().text as "and" | "or";
      const right = this.boolean(left.inherited, wanted);
      left = {
        type: "boolean",
        id: first.id,
        inherited: right.inherited,
        expression: { kind, left: left.expression, right: right.expression },
      };
    }
    return left;
  }

  private operand(inherited: Inherited, wanted: Wanted): Found {
    if ((wanted.id || wanted.term) && this.is("!")) {
      this.take();
      this.descend();
      const of = this.boolean(inherited, wanted);
      this.depth--;
      return { ...of, expression: { kind: "not", of: of.expression } };
    }
    const found = this.primary(inherited, wanted);
    if (found.type === "boolean") return found;
    // behind qualifiers nothing computes: `port 80 + 1` is an error
    if (wanted.id && !wanted.term) return found;
    const plain = this.asArithmetic(found);
    const left = this.binary(plain, null);
    const t = this.peek();
    if (!wanted.term || t.kind !== "op" || !relations.has(t.text)) {
      return left === plain ? found : { type: "arithmetic", arithmetic: left };
    }
    this.take();
    const right = this.arithmetic();
    return {
      type: "boolean",
      id: false,
      inherited: null,
      expression: { kind: "relation", at: t.at, op: t.text, left, right },
    };
  }

  private asArithmetic(found: Found): Arithmetic {
    if (found.type === "arithmetic") return found.arithmetic;
    if (found.type === "number") return { kind: "number", at: found.at, value: found.value };
    return this.fail(describe(ARITHMETIC));
  }

  private arithmetic(): Arithmetic {
    return this.binary(this.asArithmetic(this.primary(null, ARITHMETIC)), null);
  }

  /** What follows `left` and binds tighter than the operator in front of it (its rank; null: none). */
  private binary(left: Arithmetic, before: number | null): Arithmetic {
    let all = left;
    for (;;) {
      const t = this.peek();
      const rank = t.kind === "op" ? ranks.get(t.text) : undefined;
      if (rank === undefined) return all;
      if (before !== null && before !== 0 && rank !== 0 && before >= rank) return all;
      this.take();
      this.descend();
      const right = this.binary(this.asArithmetic(this.primary(null, ARITHMETIC)), rank);
      this.depth--;
      all = { kind: "binary", at: t.at, op: t.text, left: all, right };
    }
  }

  private primary(inherited: Inherited, wanted: Wanted): Found {
    const t = this.peek();
    if (this.accept("(")) return this.parenthesis(inherited, wanted);
    if (t.kind === "number") {
      this.take();
      return { type: "number", at: t.at, value: t.value };
    }
    if (wanted.id) {
      const id = this.id();
      if (id !== null) return this.qualified(id, inherited, t.at);
    }
    if (wanted.id && !wanted.term) return this.fail(describe(wanted));
    if (this.accept("-")) {
      this.descend();
      const of = this.binary(this.asArithmetic(this.primary(null, ARITHMETIC)), NEGATE);
      this.depth--;
      return { type: "arithmetic", arithmetic: { kind: "negate", at: t.at, of } };
    }
    if (this.accept("len")) return { type: "arithmetic", arithmetic: { kind: "len", at: t.at } };
    if (t.kind === "keyword" && protocols.has(t.text)) {
      const after = this.tokens[this.next + 1]!;
      if (after.kind === "op" && after.text === "[") return this.load();
    }
    if (!wanted.term) return this.fail(describe(wanted));
    return this.term();
  }

  private parenthesis(inherited: Inherited, wanted: Wanted): Found {
    this.descend();
    const first = this.peek();
    let found = this.operand(inherited, wanted);
    if (found.type === "boolean" && found.id && first.text === "(") {
      throw new FilterError(first.at, "got '(', expected an id: a list of ids has one pair of parentheses");
    }
    if (this.is("and") || this.is("or")) found = this.rest(this.toBoolean(found, inherited, wanted));
    this.expect(")");
    this.depth--;
    if (found.type === "boolean" && !found.id) return { ...found, inherited };
    return found;
  }

  private load(): Found {
    const t = this.take();
    this.expect("[");
    this.descend();
    const index = this.arithmetic();
    const colon = this.peek();
    const size = this.accept(":") ? this.number() : 1;
    if (size !== 1 && size !== 2 && size !== 4) throw new FilterError(colon.at + 1, `size ${size}, expected 1, 2 or 4`);
    this.expect("]");
    this.depth--;
    return { type: "arithmetic", arithmetic: { kind: "load", at: t.at, protocol: t.text, index, size } };
  }

  private id(): Id | null {
    const t = this.peek();
    switch (t.kind) {
      case "id":
        this.take();
        return { kind: "name", at: t.at, text: t.text };
      case "mac":
        this.take();
        return { kind: "mac", at: t.at, text: t.text };
      case "ipv4":
      case "ipv6": {
        this.take();
        let bits: number | null = null;
        let mask: string | null = null;
        if (this.accept("/")) bits = this.number();
        else if (t.kind === "ipv4" && this.accept("mask")) {
          if (this.peek().kind !== "ipv4") this.fail("a mask such as 255.255.0.0");
          mask = this.take().text;
        }
        return { kind: t.kind, at: t.at, text: t.text, bits, mask };
      }
      default:
        return null;
    }
  }

  private term(): Found {
    const t = this.peek();
    const special = (value: number | null): Found => ({
      type: "boolean",
      id: false,
      inherited: null,
      expression: { kind: "special", at: t.at, name: t.text, value },
    });
    if (t.kind !== "keyword") {
      if (t.kind === "id" || t.kind === "mac" || t.kind === "ipv4" || t.kind === "ipv6") {
        throw new FilterError(
          t.at,
          `'${t.text}' without a qualifier, expected 'host', 'net', 'port' ... in front of it`,
        );
      }
      return this.fail(describe(TERM));
    }
    switch (t.text) {
      case "less":
      case "greater":
      case "ifindex":
        this.take();
        return special(this.number());
      case "inbound":
      case "outbound":
      case "pppoed":
        this.take();
        return special(null);
      case "vlan":
      case "mpls":
      case "pppoes":
        this.take();
        return special(this.optionalNumber());
      default:
    }
    const what = unsupported.get(t.text);
    if (what !== undefined) throw new FilterError(t.at, `'${t.text}': ${what} is not supported`);
    return this.head();
  }

  /** A number, perhaps in parentheses, or nothing. */
  private optionalNumber(): number | null {
    if (!this.is("(") && this.peek().kind !== "number") return null;
    let open = 0;
    while (this.accept("(")) open++;
    const value = this.number();
    while (open-- > 0) this.expect(")");
    return value;
  }

  /** Qualifiers and their id, or a protocol alone. */
  private head(): Found {
    const t = this.peek();
    const protocol = protocols.has(t.text) ? this.take().text : null;
    const after = this.peek();
    if (after.kind === "keyword") {
      switch (after.text) {
        case "broadcast":
        case "multicast":
          this.take();
          return {
            type: "boolean",
            id: false,
            inherited: null,
            expression: { kind: "cast", at: t.at, protocol, multicast: after.text === "multicast" },
          };
        case "proto":
        case "protochain":
        case "gateway":
          this.take();
          return { ...this.boolean({ protocol, direction: null, kind: after.text }, ID), id: false };
        case "type":
        case "subtype":
        case "dir":
        case "direction":
          throw new FilterError(after.at, `'${after.text}': 802.11 is not supported`);
        default:
      }
    }
    const direction = this.direction();
    const kind = this.peek().kind === "keyword" && kinds.has(this.peek().text) ? (this.take().text as Kind) : null;
    if (direction === null && kind === null) {
      if (protocol === null) return this.fail(describe(TERM));
      return {
        type: "boolean",
        id: false,
        inherited: null,
        expression: { kind: "protocol", at: t.at, name: protocol },
      };
    }
    return { ...this.boolean({ protocol, direction, kind }, ID), id: false };
  }

  private direction(): Direction | null {
    const first = this.peek();
    if (first.kind !== "keyword") return null;
    if (/^(addr(ess)?[1-4]|ra|ta)$/.test(first.text)) {
      throw new FilterError(first.at, `'${first.text}': 802.11 is not supported`);
    }
    if (first.text !== "src" && first.text !== "dst") return null;
    this.take();
    if (!this.is("and") && !this.is("or")) return first.text;
    const both = this.take().text as "and" | "or";
    this.expect(first.text === "src" ? "dst" : "src");
    return both;
  }
}

/** The expression in `text`; null when there is none (everything matches). Throws a `FilterError`. */
export function parse(text: string): Expression | null {
  if (text.length > MAX_LENGTH) throw new FilterError(MAX_LENGTH, `longer than ${MAX_LENGTH} characters`);
  return new Parser(tokenize(text)).program();
}
