// src/host/fib/tables.ts: the tables of a namespace and the search in them: fib_table_lookup, fib_lookup.

import type { Core } from "../../core/core.ts";
import type { Flow } from "./flow.ts";
import { TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN } from "./names.ts";
import { type Alias, type Info, type Leaf, type Nexthop, RouteType, Scope, errno } from "./route.ts";
import { type Rule, RuleAction, Rules, matches } from "./rules.ts";
import { Store, Trie } from "./trie.ts";

/** What a search found (struct fib_result); filled again and again. */
export class Result {
  alias: Alias | null = null;
  info: Info | null = null;
  nexthop: Nexthop | null = null;
  type: RouteType = RouteType.Unspec;
  scope: Scope = Scope.Universe;
  table: Table | null = null;
  rule: Rule | null = null;
  /** The address that was looked up. */
  dst = 0;
  /** Length of the prefix that decided; -1: not worked out yet (`prefixLength`). */
  length = -1;

  clear(): void {
    this.alias = this.info = this.nexthop = this.table = this.rule = null;
    this.type = RouteType.Unspec;
    this.scope = Scope.Universe;
    this.length = -1;
  }

  /** Bits of the prefix that decided. */
  prefixLength(): number {
    if (this.length < 0 && this.table !== null) this.length = this.table.trie.match(this.dst, 32);
    return this.length;
  }
}

export class Table {
  constructor(
    readonly id: number,
    public trie: Trie,
  ) {}
}

/** Bits of the dsfield that routes and old-style `tos` rules look at (fib_dscp_masked_match). */
const tosMask = 0x1c;

/** Whether a route or a rule with this dsfield takes a packet with that TOS byte. */
export function tosMatches(dsfield: number, tos: number): boolean {
  return dsfield === (tos & tosMask);
}

const goOn = -1;

export class Tables {
  readonly store = new Store();
  readonly rules = new Rules();
  /** Those that were made beside local and main. */
  private others: Map<number, Table> | null = null;
  private readonly local: Table;
  private readonly main: Table;
  private default: Table | null = null;

  constructor(private readonly core: Core) {
    // fib_trie_unmerge: until the first rule, the routes of local and main live in one trie, and the longest prefix
    // of both wins
    const trie = new Trie(core, this.store);
    this.local = new Table(TABLE_LOCAL, trie);
    this.main = new Table(TABLE_MAIN, trie);
  }

  get(id: number): Table | null {
    if (id === TABLE_MAIN) return this.main;
    if (id === TABLE_LOCAL) return this.local;
    return this.others?.get(id) ?? null;
  }

  /** The table, made when it does not exist (fib_new_table). */
  make(id: number): Table {
    let table = this.get(id);
    if (table === null) {
      table = new Table(id, new Trie(this.core, this.store));
      (this.others ??= new Map()).set(id, table);
      if (id === TABLE_DEFAULT) this.default = table;
    }
    return table;
  }

  /** In the order in which `ip route show table all` walks them: by hash, newest first. */
  all(): Table[] {
    return [this.local, this.main, ...(this.others?.values() ?? [])]
      .toReversed()
      .toSorted((a, b) => (a.id & 255) - (b.id & 255));
  }

  /** Tries, each once: local and main may share theirs. */
  tries(): Set<Trie> {
    return new Set(this.all().map((t) => t.trie));
  }

  /** From now on rules decide: local and main part (fib_unmerge). */
  unmerge(): void {
    this.rules.custom = true;
    if (this.local.trie !== this.main.trie) return;
    const merged = this.main.trie;
    const local = new Trie(this.core, this.store);
    merged.forEach((prefix, length, leaf) => {
      const mine = leaf.aliases.filter((a) => a.table === TABLE_LOCAL);
      if (mine.length === 0) return;
      local.set(prefix, length, mine);
      merged.set(
        prefix,
        length,
        leaf.aliases.filter((a) => a.table !== TABLE_LOCAL),
      );
    });
    this.local.trie = local;
  }

  /** fib_lookup: the way of a flow through rules and tables; 0, or an errno. */
  lookup(flow: Flow, res: Result): number {
    res.clear();
    res.dst = flow.dst;
    if (this.rules.custom) return this.lookupByRules(flow, res);
    let err = this.lookupIn(this.main, flow, res);
    if (err === errno.EAGAIN && this.default !== null) err = this.lookupIn(this.default, flow, res);
    return err === errno.EAGAIN ? errno.ENETUNREACH : err;
  }

  private lookupByRules(flow: Flow, res: Result): number {
    const list = this.rules.list;
    let i = 0;
    while (i < list.length) {
      const rule = list[i++]!;
      if (!matches(rule, flow)) continue;
      let err: number = errno.EAGAIN;
      switch (rule.action) {
        case RuleAction.Goto:
          if (rule.target !== null) i = list.indexOf(rule.target);
          continue;
        case RuleAction.Nop:
          continue;
        case RuleAction.Table: {
          const table = this.get(rule.table);
          if (table !== null) err = this.lookupIn(table, flow, res);
          if (err === 0 && rule.suppressPrefixLength >= 0 && res.prefixLength() <= rule.suppressPrefixLength) continue;
          break;
        }
        case RuleAction.Unreachable:
          err = errno.ENETUNREACH;
          break;
        case RuleAction.Prohibit:
          err = errno.EACCES;
          break;
        case RuleAction.Blackhole:
          err = errno.EINVAL;
          break;
      }
      if (err === errno.EAGAIN) continue;
      res.rule = rule;
      return err;
    }
    return errno.ENETUNREACH;
  }

  /** fib_table_lookup; EAGAIN when the table knows no way. */
  lookupIn(table: Table, flow: Flow, res: Result): number {
    const trie = table.trie;
    res.dst = flow.dst;
    const leaf = trie.lookup(flow.dst);
    if (leaf === null) return errno.EAGAIN;
    let err = take(leaf, flow, res);
    if (err !== goOn) {
      res.table = table;
      res.length = -1;
      return err;
    }
    // every route of that prefix is for others: the next shorter prefix that covers the address
    let length = trie.match(flow.dst, 32);
    while (length > 0) {
      length = trie.match(flow.dst, length - 1);
      if (length < 0) break;
      err = take(trie.get(flow.dst, length)!, flow, res);
      if (err !== goOn) {
        res.table = table;
        res.length = length;
        return err;
      }
    }
    return errno.EAGAIN;
  }
}

/** The first route of a prefix that suits the flow; `goOn` when none does. */
function take(leaf: Leaf, flow: Flow, res: Result): number {
  const aliases = leaf.aliases;
  for (let i = 0; i < aliases.length; i++) {
    const alias = aliases[i]!;
    const info = alias.info;
    if (alias.tos !== 0 && !tosMatches(alias.tos, flow.tos)) continue;
    if (info.dead || info.scope < flow.scope) continue;
    if (alias.error !== 0) {
      res.alias = alias;
      return alias.error;
    }
    const nexthops = info.nexthops;
    for (let n = 0; n < nexthops.length; n++) {
      const nexthop = nexthops[n]!;
      if (nexthop.dead) continue;
      if (flow.oif !== 0 && (nexthop.dev === null || nexthop.dev.ifindex !== flow.oif)) continue;
      res.alias = alias;
      res.info = info;
      res.nexthop = nexthop;
      res.type = alias.type;
      res.scope = info.scope;
      return errno.none;
    }
  }
  return goOn;
}
