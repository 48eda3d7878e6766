// src/host/netfilter/iptables/edit.ts: changes of tables that must hold together: chains, rules, jumps.

import { hookNames, Verdict } from "../hooks.ts";
import { type RuleText, chainNameFault, reachedHooks } from "./parse.ts";
import type { Backend, Fail, Rule } from "./rule.ts";
import { Chain, type Table } from "./table.ts";

export function parsePolicy(word: string, fail: Fail): Verdict.Accept | Verdict.Drop {
  if (word === "ACCEPT") return Verdict.Accept;
  if (word === "DROP") return Verdict.Drop;
  fail(`'${word}' is no policy, expected ACCEPT or DROP`);
}

export function chainOf(table: Table, name: string, fail: Fail): Chain {
  return table.chains.get(name) ?? fail(`no chain '${name}' in table '${table.name}'`);
}

export function addChain(table: Table, name: string, fail: Fail): Chain {
  if (table.chains.has(name)) fail(`chain '${name}' exists already`);
  if ((hookNames as readonly string[]).includes(name)) fail(`table '${table.name}' has no chain '${name}'`);
  const fault = chainNameFault(name);
  if (fault !== null) fail(fault);
  const chain = new Chain(name, null);
  table.chains.set(name, chain);
  return chain;
}

/** Gives a parsed rule the chain that it jumps to. */
export function link(table: Table, text: RuleText, fail: Fail): Rule {
  if (text.jumpTo === "") return text.rule;
  const to = table.chains.get(text.jumpTo);
  if (to === undefined) fail(`'${text.jumpTo}' is neither a chain of table '${table.name}' nor a supported target`);
  if (to.hook !== null) fail(`cannot jump to built-in chain '${text.jumpTo}'`);
  text.rule.jump = to;
  return text.rule;
}

/** nf_tables gives up behind so many nested jumps; a table that could nest deeper is refused. */
const deepest = 16;

/** What a table must hold to: no loop, no jump too deep, matches and targets only where their hooks allow. Null when it does. */
export function tableFault(table: Table, backend: Backend): { rule: Rule; message: string } | null {
  const depths = new Map<Chain, number>();
  let fault: { rule: Rule; message: string } | null = null;
  const depth = (chain: Chain, path: Set<Chain>): number => {
    const known = depths.get(chain);
    if (known !== undefined) return known;
    path.add(chain);
    let deep = 0;
    for (const r of chain.rules) {
      if (r.jump === null || fault !== null) continue;
      if (path.has(r.jump)) {
        fault = { rule: r, message: `jump from '${chain.name}' to '${r.jump.name}' makes a loop` };
        break;
      }
      deep = Math.max(deep, depth(r.jump, path) + 1);
      if (backend === "nft" && deep >= deepest && fault === null)
        fault = { rule: r, message: "jumps nest more than 16 deep" };
    }
    path.delete(chain);
    depths.set(chain, deep);
    return deep;
  };
  for (const c of table.chains.values()) depth(c, new Set());
  if (fault !== null) return fault;
  const reached = reachedHooks(table.chains.values());
  for (const [chain, hooks] of reached) {
    for (const rule of chain.rules) {
      for (const match of rule.matches) {
        if (match.hooks !== undefined && (hooks & ~match.hooks) !== 0) return misplaced(rule, match, hooks);
      }
      const { target } = rule;
      if (target?.hooks !== undefined && (hooks & ~target.hooks) !== 0) return misplaced(rule, target, hooks);
    }
  }
  return null;
}

/** A match or target in a chain that a hook reaches where it has no business. */
function misplaced(
  rule: Rule,
  part: { readonly text: string; readonly hooks?: number },
  hooks: number,
): { rule: Rule; message: string } {
  const where = hookNames.filter((_, i) => (hooks & ~part.hooks! & (1 << i)) !== 0).join(", ");
  return { rule, message: `'${part.text}' cannot be used in ${where}` };
}
