// src/host/netfilter/iptables/table.ts: chains of rules and how a packet walks them (ipt_do_table).

import type { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { Hook, Verdict, hookNames, priority } from "../hooks.ts";
import { Outcome, type Backend, type Rule } from "./rule.ts";
import { WalkCache } from "./walkcache.ts";

/** Tables with their built-in chains, in the order that chains are saved. */
export const builtinChains: Readonly<Record<string, readonly Hook[]>> = {
  raw: [Hook.Prerouting, Hook.Output],
  mangle: [Hook.Prerouting, Hook.Input, Hook.Forward, Hook.Output, Hook.Postrouting],
  nat: [Hook.Prerouting, Hook.Input, Hook.Output, Hook.Postrouting],
  filter: [Hook.Input, Hook.Forward, Hook.Output],
  security: [Hook.Input, Hook.Forward, Hook.Output],
};

/** At which priority a table stands in a hook. */
export function tablePriority(table: string, hook: Hook): number {
  if (table === "nat") return hook === Hook.Prerouting || hook === Hook.Output ? priority.dstnat : priority.srcnat;
  return { raw: priority.raw, mangle: priority.mangle, filter: priority.filter, security: priority.security }[table]!;
}

export class Chain {
  readonly rules: Rule[] = [];
  packets = 0;
  bytes = 0;
  /** Of a built-in chain: walks from here that were taken before. Nat's chains see a connection once: null there. */
  readonly walks: WalkCache | null;

  constructor(
    readonly name: string,
    /** The hook of a built-in chain; null for a user's. */
    readonly hook: Hook | null,
    public policy: Verdict.Accept | Verdict.Drop = Verdict.Accept,
    remembers = false,
  ) {
    this.walks = remembers ? new WalkCache() : null;
  }
}

export class Table {
  /** In the order that they were made; the built-in ones first. */
  readonly chains = new Map<string, Chain>();

  constructor(
    readonly name: string,
    private readonly host: FirewallHost,
    readonly backend: Backend,
  ) {
    for (const hook of builtinChains[name]!) {
      this.chains.set(hookNames[hook], new Chain(hookNames[hook], hook, Verdict.Accept, name !== "nat"));
    }
  }

  /** Forgets the walks that were taken: rules came or went. */
  changed(): void {
    for (const c of this.chains.values()) c.walks?.clear();
  }

  /** Walks a built-in chain. The context holds the packet; `walk` is its jump stack. */
  run(chain: Chain, c: Context, walk: Walk): Verdict {
    const { world, fib } = this.host;
    const { walks } = chain;
    if (walks === null || chain.rules.length === 0 || world.tracer !== null) return this.walk(chain, c, walk, false);
    const way = walks.find(c, world.core.u8, fib.generation);
    const { flows } = this.host;
    const notes = flows !== undefined && flows.notes.frame === c.frame ? flows.notes : null;
    if (way === null) return this.walk(chain, c, walk, walks.open);
    const { rules, verdict } = way;
    if (notes !== null) {
      for (const rule of rules) notes.counted(rule);
      if (way.rareFlags) notes.asksFlags();
    }
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!;
      rule.packets++;
      rule.bytes += c.len;
    }
    return verdict >= 0 ? verdict : this.policy(chain, c);
  }

  private policy(chain: Chain, c: Context): Verdict {
    const { flows } = this.host;
    if (flows !== undefined && flows.notes.frame === c.frame) flows.notes.counted(chain);
    chain.packets++;
    chain.bytes += c.len;
    return chain.policy;
  }

  /** The walk itself. While `open`, it is remembered if every rule on the way is keyed. */
  private walk(chain: Chain, c: Context, walk: Walk, open: boolean): Verdict {
    const tracing = this.host.world.tracer !== null;
    const { flows } = this.host;
    const notes = flows !== undefined && flows.notes.frame === c.frame ? flows.notes : null;
    let rareFlags = false;
    let current = chain;
    let rules = chain.rules;
    let i = 0;
    let depth = 0;
    let matched = 0;
    for (;;) {
      if (i >= rules.length) {
        if (depth === 0) break;
        depth--;
        current = walk.chains[depth]!;
        i = walk.rules[depth]!;
        rules = current.rules;
        continue;
      }
      const rule = rules[i++]!;
      if (!rule.keyed) {
        open = false;
        notes?.forget();
      }
      if (rule.rareFlags) rareFlags = true;
      if (!rule.test(c)) {
        if (c.hotdrop) {
          if (tracing)
            this.trace(c, "rule", `${this.name} -A ${current.name}${rule.spec}: cannot read the header, dropped`);
          return Verdict.Drop;
        }
        continue;
      }
      rule.packets++;
      rule.bytes += c.len;
      notes?.counted(rule);
      walk.matched[matched++] = rule;
      if (tracing) this.trace(c, "rule", `${this.name} -A ${current.name}${rule.spec}`);
      const next = rule.jump;
      if (next !== null) {
        if (!rule.isGoto) {
          walk.chains[depth] = current;
          walk.rules[depth] = i;
          depth++;
        }
        current = next;
        rules = next.rules;
        i = 0;
        continue;
      }
      const outcome = rule.verdict >= 0 ? rule.verdict : rule.run!(c);
      if (outcome === Outcome.Continue) continue;
      if (outcome === Outcome.Return) {
        i = rules.length;
        continue;
      }
      if (rareFlags) notes?.asksFlags();
      if (open) this.keep(chain, walk, matched, outcome, rareFlags);
      return outcome as Verdict;
    }
    if (rareFlags) notes?.asksFlags();
    if (open) this.keep(chain, walk, matched, -1, rareFlags);
    if (tracing) {
      this.trace(c, "rule", `${this.name} ${chain.name} policy ${chain.policy === Verdict.Accept ? "ACCEPT" : "DROP"}`);
    }
    return this.policy(chain, c);
  }

  private keep(chain: Chain, walk: Walk, matched: number, verdict: number, rareFlags: boolean): void {
    walk.matched.length = matched;
    chain.walks!.keep(walk.matched, verdict, rareFlags);
  }

  private trace(c: Context, kind: "rule", text: string): void {
    this.host.trace(kind, c.output ?? c.input, c.frame, text);
  }
}

/** Where to go on after a chain returns. Jumps cannot loop, so its depth is bounded by the number of chains. */
export class Walk {
  readonly chains: Chain[] = [];
  readonly rules: number[] = [];
  /** The rules that matched so far. */
  readonly matched: Rule[] = [];
}
