// src/host/netfilter/iptables/table.ts: chains of rules and how a packet walks them (ipt_do_table).

import type { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { Hook, Verdict, hookNames, priority } from "../hooks.ts";
import { Outcome, type Backend, type Rule } from "./rule.ts";

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

  constructor(
    readonly name: string,
    /** The hook of a built-in chain; null for a user's. */
    readonly hook: Hook | null,
    public policy: Verdict.Accept | Verdict.Drop = Verdict.Accept,
  ) {}
}

export class Table {
  /** In the order that they were made; the built-in ones first. */
  readonly chains = new Map<string, Chain>();

  constructor(
    readonly name: string,
    private readonly host: FirewallHost,
    readonly backend: Backend,
  ) {
    for (const hook of builtinChains[name]!) this.chains.set(hookNames[hook], new Chain(hookNames[hook], hook));
  }

  /** Walks a built-in chain. The context holds the packet; `walk` is its jump stack. */
  run(chain: Chain, c: Context, walk: Walk): Verdict {
    const tracing = this.host.world.tracer !== null;
    let current = chain;
    let rules = chain.rules;
    let i = 0;
    let depth = 0;
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
      return outcome as Verdict;
    }
    chain.packets++;
    chain.bytes += c.len;
    if (tracing) {
      this.trace(c, "rule", `${this.name} ${chain.name} policy ${chain.policy === Verdict.Accept ? "ACCEPT" : "DROP"}`);
    }
    return chain.policy;
  }

  private trace(c: Context, kind: "rule", text: string): void {
    this.host.trace(kind, c.output ?? c.input, c.frame, text);
  }
}

/** Where to go on after a chain returns. Jumps cannot loop, so its depth is bounded by the number of chains. */
export class Walk {
  readonly chains: Chain[] = [];
  readonly rules: number[] = [];
}
