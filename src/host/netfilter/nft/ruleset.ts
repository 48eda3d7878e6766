// src/host/netfilter/nft/ruleset.ts: tables, sets, maps and chains as `nft list ruleset` writes them.

import type { FirewallHost } from "../host.ts";
import { Hook, Verdict, priority } from "../hooks.ts";
import type { Reject } from "../reject.ts";
import { Reader, type Token, show, tokens } from "./lexer.ts";
import { Lookup, parseElements } from "./lookup.ts";
import { type Scope, Statements, type Target } from "./statement.ts";
import { type DataType, types } from "./types.ts";
import { NftChain, type NamedVerdict, type NftRule, type Statement, parseVerdict } from "./verdict.ts";

export interface NftSet {
  readonly name: string;
  readonly kind: "set" | "map";
  readonly lookup: Lookup<unknown>;
  /** A map's values; null for a set. */
  readonly value: "verdict" | null;
  readonly typeText: string;
  /** Lines between the type and the elements: flags, size, auto-merge, comment. */
  readonly lines: readonly string[];
}

export class NftTable {
  readonly sets = new Map<string, NftSet>();
  readonly chains = new Map<string, NftChain>();
  /** Where the last jump went. */
  readonly target: Target = { verdict: null };
  comment = "";

  constructor(
    readonly family: "ip" | "inet",
    readonly name: string,
  ) {}
}

export const hookNames: Readonly<Record<string, Hook>> = {
  prerouting: Hook.Prerouting,
  input: Hook.Input,
  forward: Hook.Forward,
  output: Hook.Output,
  postrouting: Hook.Postrouting,
};
/** Names of priorities, with the only hook that each may be used in. */
const priorities: readonly (readonly [string, number, Hook | null])[] = [
  ["raw", priority.raw, null],
  ["mangle", priority.mangle, null],
  ["dstnat", priority.dstnat, Hook.Prerouting],
  ["filter", priority.filter, null],
  ["security", priority.security, null],
  ["srcnat", priority.srcnat, Hook.Postrouting],
];
/** Chain types and the hooks that they may stand in. */
const chainHooks: Readonly<Record<string, readonly Hook[]>> = {
  filter: [Hook.Prerouting, Hook.Input, Hook.Forward, Hook.Output, Hook.Postrouting],
  nat: [Hook.Prerouting, Hook.Input, Hook.Output, Hook.Postrouting],
  route: [Hook.Output],
};
/** nf_tables follows so many nested jumps. */
const deepest = 16;

/** `filter + 5`: by name when it is within 10 of one (prio2str). */
export function formatPriority(p: number, hook: Hook): string {
  for (const [name, value, only] of priorities) {
    if ((only !== null && only !== hook) || Math.abs(p - value) > 10) continue;
    return p === value ? name : `${name} ${p > value ? "+" : "-"} ${Math.abs(p - value)}`;
  }
  return String(p);
}

export class RulesetParser {
  private readonly r: Reader;

  constructor(
    text: string,
    private readonly host: FirewallHost,
    private readonly reject: Reject,
  ) {
    this.r = new Reader(tokens(text));
  }

  /** @throws TextError with the place of what is not supported */
  parse(): NftTable[] {
    const r: Reader = this.r;
    const out: NftTable[] = [];
    for (;;) {
      r.skipEnds();
      const t = r.peek();
      if (t === null) return out;
      if (t.text === "flush" && r.second()?.text === "ruleset") {
        r.next("flush");
        r.next("ruleset");
        continue;
      }
      if (t.text !== "table") r.fail(t, `expected a table, got ${show(t)}`);
      out.push(this.table(out));
    }
  }

  private table(before: readonly NftTable[]): NftTable {
    const r: Reader = this.r;
    r.expect("table");
    let family: "ip" | "inet" = "ip";
    const t = r.word("a family");
    let name = t;
    if (["ip", "inet", "ip6", "arp", "bridge", "netdev"].includes(t.text)) {
      if (t.text !== "ip" && t.text !== "inet") r.fail(t, `family '${t.text}' is not supported, expected ip or inet`);
      family = t.text;
      name = r.word("the name of a table");
    }
    if (before.some((o) => o.family === family && o.name === name.text))
      r.fail(name, `table '${name.text}' occurs twice`);
    const table = new NftTable(family, name.text);
    const verdicts: NamedVerdict[] = [];
    const scope: Scope = {
      verdicts,
      set: (n) => (table.sets.get(n)?.kind === "set" ? (table.sets.get(n)!.lookup as Lookup<true>) : null),
      verdictMap: (n) =>
        table.sets.get(n)?.value === "verdict" ? (table.sets.get(n)!.lookup as Lookup<NamedVerdict>) : null,
    };
    const statements = new Statements(this.host, this.reject, family, scope, table.target);
    r.expect("{");
    for (;;) {
      r.skipEnds();
      if (r.take("}")) break;
      const w = r.word("set, map or chain");
      if (w.text === "set" || w.text === "map") this.set(table, w.text, scope);
      else if (w.text === "chain") this.chain(table, statements);
      else if (w.text === "comment") table.comment = r.next("a comment").text;
      else r.fail(w, `'${w.text}' is not supported in a table, expected set, map or chain`);
    }
    for (const v of verdicts) {
      if (v.to === "") continue;
      v.chain = table.chains.get(v.to) ?? null;
      const at: Token = { kind: "word", text: v.to, line: v.line, column: v.column };
      if (v.chain === null) r.fail(at, `there is no chain '${v.to}' in table '${table.name}'`);
      if (v.chain.base !== null) r.fail(at, `cannot jump to base chain '${v.to}'`);
    }
    this.checkDepth(table, verdicts);
    return table;
  }

  /** Jumps may not loop, nor nest deeper than the kernel follows them. */
  private checkDepth(table: NftTable, verdicts: readonly NamedVerdict[]): void {
    const targets = new Map<NftChain, NamedVerdict[]>();
    // a verdict belongs to the chain whose lines it stands in; maps belong to whoever asks them
    for (const c of table.chains.values()) {
      const lines = new Set(c.rules.map((x) => x.line));
      targets.set(
        c,
        verdicts.filter((v) => v.chain !== null && lines.has(v.line)),
      );
    }
    const depths = new Map<NftChain, number>();
    const visit = (c: NftChain, path: readonly NftChain[]): number => {
      const known = depths.get(c);
      if (known !== undefined) return known;
      let deep = 0;
      for (const v of targets.get(c)!) {
        const at: Token = { kind: "word", text: v.to, line: v.line, column: v.column };
        if (v.chain === c || path.includes(v.chain!)) this.r.fail(at, `the jump to '${v.to}' makes a loop`);
        deep = Math.max(deep, visit(v.chain!, [...path, c]) + 1);
        if (deep >= deepest) this.r.fail(at, `jumps nest more than ${deepest} deep here`);
      }
      depths.set(c, deep);
      return deep;
    };
    for (const c of table.chains.values()) visit(c, []);
  }

  private type(): DataType {
    const t = this.r.word("a type");
    const usable: Readonly<Record<string, DataType>> = {
      ipv4_addr: types.ipv4_addr,
      inet_service: types.inet_service,
      inet_proto: types.inet_proto,
      mark: types.mark,
      ifname: types.ifname,
      ether_addr: types.ether_addr,
      icmp_type: types.icmp_type,
      ct_state: types.ct_state,
      fib_addrtype: types.fib_addrtype,
      dscp: types.dscp,
      pkt_type: types.pkt_type,
    };
    if (!Object.hasOwn(usable, t.text)) {
      this.r.fail(t, `type '${t.text}' is not supported, expected one of ${Object.keys(usable).join(", ")}`);
    }
    return usable[t.text]!;
  }

  private key(): DataType[] {
    const list = [this.type()];
    while (this.r.take(".")) list.push(this.type());
    return list;
  }

  private set(table: NftTable, kind: "set" | "map", scope: Scope): void {
    const r: Reader = this.r;
    const name = r.word(`the name of a ${kind}`);
    if (table.sets.has(name.text)) r.fail(name, `'${name.text}' occurs twice`);
    r.expect("{");
    const lines: string[] = [];
    let key: DataType[] | null = null;
    let lookup: Lookup<unknown> | null = null;
    for (;;) {
      r.skipEnds();
      if (r.take("}")) break;
      const w = r.word("type, flags or elements");
      switch (w.text) {
        case "type":
          key = this.key();
          if (kind === "map") {
            r.expect(":");
            const v = r.word("verdict");
            if (v.text !== "verdict") r.fail(v, `maps of '${v.text}' by name are not supported, expected verdict`);
          }
          lookup = new Lookup(key);
          break;
        case "flags": {
          const flags: string[] = [];
          do {
            const f = r.word("interval or constant");
            if (f.text !== "interval" && f.text !== "constant")
              r.fail(f, `flag '${f.text}' of a ${kind} is not supported`);
            flags.push(f.text);
          } while (r.take(","));
          lines.push(`flags ${flags.join(",")}`);
          break;
        }
        case "size":
          lines.push(`size ${r.number("a number of elements")}`);
          break;
        case "auto-merge":
          lines.push("auto-merge");
          break;
        case "comment":
          lines.push(`comment "${r.next("a comment").text}"`);
          break;
        case "elements": {
          if (lookup === null) r.fail(w, "the type should stand before the elements");
          r.expect("=");
          const value =
            kind === "set"
              ? null
              : (reader: Reader): { value: unknown; text: string } => {
                  const v = parseVerdict(reader);
                  scope.verdicts.push(v.value);
                  return v;
                };
          parseElements<unknown>(r, lookup, value, true);
          break;
        }
        default:
          r.fail(w, `'${w.text}' of a ${kind} is not supported`);
      }
    }
    if (key === null || lookup === null) r.fail(name, `${kind} '${name.text}' has no type`);
    const typeText = key.map((k) => k.name).join(" . ") + (kind === "map" ? " : verdict" : "");
    table.sets.set(name.text, {
      name: name.text,
      kind,
      lookup,
      value: kind === "map" ? "verdict" : null,
      typeText,
      lines,
    });
  }

  private chain(table: NftTable, statements: Statements): void {
    const r: Reader = this.r;
    const name = r.word("the name of a chain");
    if (table.chains.has(name.text)) r.fail(name, `chain '${name.text}' occurs twice`);
    const chain = new NftChain(name.text);
    table.chains.set(name.text, chain);
    r.expect("{");
    for (;;) {
      r.skipEnds();
      if (r.take("}")) return;
      if (r.peek() === null) r.next("'}'");
      if (r.is("type")) this.base(chain);
      else if (r.is("comment") && chain.rules.length === 0) {
        r.next("comment");
        chain.comment = r.next("a comment").text;
      } else this.rule(chain, statements);
    }
  }

  /** `type filter hook input priority filter; policy accept;` */
  private base(chain: NftChain): void {
    const r: Reader = this.r;
    r.expect("type");
    const type = r.word("filter, nat or route");
    if (type.text !== "filter" && type.text !== "nat" && type.text !== "route")
      r.fail(type, `chain type '${type.text}' is not supported`);
    r.expect("hook");
    const h = r.word("a hook");
    const hook = Object.hasOwn(hookNames, h.text) ? hookNames[h.text] : undefined;
    if (hook === undefined)
      r.fail(h, `hook '${h.text}' is not supported, expected one of ${Object.keys(hookNames).join(", ")}`);
    if (!chainHooks[type.text]!.includes(hook))
      r.fail(h, `a chain of type ${type.text} cannot stand in hook ${h.text}`);
    r.expect("priority");
    let value = 0;
    const p = r.peek();
    const known = priorities.find(([n, , only]) => n === p?.text && (only === null || only === hook));
    if (known !== undefined) {
      r.next("a priority");
      value = known[1];
    }
    const negative = r.take("-");
    if (negative || r.take("+") || known === undefined) {
      const n = r.number("a priority", 0x7fffffff);
      value += negative ? -n : n;
    }
    if (type.text === "nat" && value <= priority.conntrack)
      r.fail(p, "a chain of type nat must stand behind conntrack (-200)");
    let policy: Verdict.Accept | Verdict.Drop = Verdict.Accept;
    r.skipEnds();
    if (r.take("policy")) {
      const w = r.word("accept or drop");
      if (w.text !== "accept" && w.text !== "drop") r.fail(w, `'${w.text}' is no policy, expected accept or drop`);
      if (w.text === "drop") policy = Verdict.Drop;
    }
    chain.base = { type: type.text, hook, priority: value, policy };
  }

  private rule(chain: NftChain, statements: Statements): void {
    const r: Reader = this.r;
    const { line } = r.peek()!;
    const list: Statement[] = [];
    let comment = "";
    while (!r.ended) {
      if (r.take("comment")) {
        const t = r.next("a comment");
        if (t.kind === "symbol" || t.kind === "end") r.fail(t, `expected a comment, got ${show(t)}`);
        comment = t.text;
      } else list.push(statements.parse(r));
    }
    chain.rules.push({ statements: list, runs: list.map((s) => s.run), comment, line });
  }
}

export function formatStatements(rule: NftRule): string {
  const s = rule.statements.map((x) => (typeof x.text === "string" ? x.text : x.text())).join(" ");
  return rule.comment === "" ? s : `${s}${s === "" ? "" : " "}comment "${rule.comment}"`;
}

function formatSet(s: NftSet): string {
  let out = `\t${s.kind} ${s.name} {\n\t\ttype ${s.typeText}\n`;
  for (const l of s.lines) out += `\t\t${l}\n`;
  const { texts, key } = s.lookup;
  if (texts.length > 0) {
    const perLine = key.length > 1 ? 1 : key[0]!.perLine;
    let list = "";
    texts.forEach((t, i) => {
      list += i === 0 ? t : i % perLine === 0 ? `,\n\t\t\t     ${t}` : `, ${t}`;
    });
    out += `\t\telements = { ${list} }\n`;
  }
  return `${out}\t}\n`;
}

function formatChain(c: NftChain): string {
  let out = `\tchain ${c.name} {\n`;
  if (c.comment !== "") out += `\t\tcomment "${c.comment}"\n`;
  if (c.base !== null) {
    const { type, hook, policy } = c.base;
    const name = Object.keys(hookNames).find((n) => hookNames[n] === hook)!;
    const word = policy === Verdict.Accept ? "accept" : "drop";
    out += `\t\ttype ${type} hook ${name} priority ${formatPriority(c.base.priority, hook)}; policy ${word};\n`;
  }
  for (const r of c.rules) out += `\t\t${formatStatements(r)}\n`;
  return `${out}\t}\n`;
}

/** As `nft list ruleset` prints a table. */
export function formatTable(t: NftTable): string {
  const parts = [...[...t.sets.values()].map(formatSet), ...[...t.chains.values()].map(formatChain)];
  const comment = t.comment === "" ? "" : `\tcomment "${t.comment}"\n${parts.length > 0 ? "\n" : ""}`;
  return `table ${t.family} ${t.name} {\n${comment}${parts.join("\n")}}\n`;
}
