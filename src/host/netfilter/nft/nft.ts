// src/host/netfilter/nft/nft.ts: a host's nftables: what `nft -f` and `nft list ruleset` do.

import { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { type HookFn, Verdict } from "../hooks.ts";
import { Reject } from "../reject.ts";
import { type NftTable, RulesetParser, formatStatements, formatTable } from "./ruleset.ts";
import { Code, type NftChain } from "./verdict.ts";

interface Attached {
  readonly chain: NftChain;
  readonly fn: HookFn;
}

/** Where to go on behind a jump (nft_do_chain's stack). */
interface Level {
  readonly c: Context;
  readonly chains: NftChain[];
  readonly rules: number[];
}

export class Nft {
  private tables: NftTable[] = [];
  private attached: Attached[] = [];
  private readonly reject: Reject;
  private readonly contexts: Level[] = [];
  private depth = 0;
  private tracks = false;

  constructor(private readonly host: FirewallHost) {
    this.reject = new Reject(host);
  }

  /**
   * Replaces the rule set by this text, as `nft list ruleset` writes it. Nothing changes when the text has an error.
   * @throws TextError with the line and column of what is not understood or not supported
   */
  load(text: string): void {
    const tables = new RulesetParser(text, this.host, this.reject).parse();
    this.detach();
    this.tables = tables;
    let tracks = false;
    for (const t of tables) {
      for (const c of t.chains.values()) {
        tracks ||= c.rules.some((r) => r.statements.some((s) => s.tracks === true));
        if (c.base !== null) this.attach(t, c);
      }
    }
    if (tracks && !this.tracks) this.host.conntrack.use();
    if (!tracks && this.tracks) this.host.conntrack.release();
    this.tracks = tracks;
  }

  /** What `nft list ruleset` prints, counters as they are. */
  print(): string {
    return this.tables.map(formatTable).join("");
  }

  private attach(table: NftTable, chain: NftChain): void {
    const { hook, priority, type } = chain.base!;
    const fn: HookFn = (frame, h, input, output) => {
      if (this.depth === this.contexts.length) {
        this.contexts.push({ c: new Context(this.host.world), chains: [], rules: [] });
      }
      const at = this.contexts[this.depth++]!;
      try {
        at.c.begin(frame, h, input, output);
        return this.run(table, chain, at);
      } finally {
        this.depth--;
      }
    };
    this.attached.push({ chain, fn });
    if (type === "nat") this.host.conntrack.nat.registerChain(hook, priority, fn);
    else this.host.hooks.register(hook, priority, `nft ${table.name} ${chain.name}`, fn);
  }

  private detach(): void {
    for (const { chain, fn } of this.attached) {
      const { hook, type } = chain.base!;
      if (type === "nat") this.host.conntrack.nat.unregisterChain(hook, fn);
      else this.host.hooks.unregister(hook, fn);
    }
    this.attached = [];
  }

  /** nft_do_chain */
  private run(table: NftTable, base: NftChain, at: Level): Verdict {
    const { c, chains, rules: places } = at;
    const tracing = this.host.world.tracer !== null;
    let chain = base;
    let i = 0;
    let depth = 0;
    for (;;) {
      if (i >= chain.rules.length) {
        if (depth === 0) break;
        depth--;
        chain = chains[depth]!;
        i = places[depth]!;
        continue;
      }
      const rule = chain.rules[i++]!;
      const { runs } = rule;
      let code = Code.Continue;
      for (let s = 0; s < runs.length && code === Code.Continue; s++) code = runs[s]!(c);
      if (code === Code.Break) continue;
      if (tracing) this.trace(c, `${table.name} ${chain.name} ${formatStatements(rule)}`);
      if (code === Code.Continue) continue;
      if (code <= Code.Stolen) return code as number as Verdict;
      if (code === Code.Return) {
        i = chain.rules.length;
        continue;
      }
      if (code === Code.Jump) {
        chains[depth] = chain;
        places[depth] = i;
        depth++;
      }
      chain = table.target.verdict!.chain!;
      i = 0;
    }
    const { policy } = base.base!;
    if (tracing) this.trace(c, `${table.name} ${base.name} policy ${policy === Verdict.Accept ? "accept" : "drop"}`);
    return policy;
  }

  private trace(c: Context, text: string): void {
    this.host.trace("rule", c.output ?? c.input, c.frame, text);
  }
}
