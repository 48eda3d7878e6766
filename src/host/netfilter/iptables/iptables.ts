// src/host/netfilter/iptables/iptables.ts: a host's iptables: what iptables-restore, iptables and iptables-save do.

import { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { type Hook, type HookFn, Verdict, hookNames } from "../hooks.ts";
import { Reject } from "../reject.ts";
import { runCommand } from "./command.ts";
import { readRestore } from "./restore.ts";
import type { Backend, Place, Rule } from "./rule.ts";
import { type Chain, Table, Walk, builtinChains, tablePriority } from "./table.ts";

/** In the order that iptables-save prints them. */
export const tableNames = ["mangle", "raw", "filter", "security", "nat"] as const;

export class Iptables {
  /** Those that exist; a table comes into being when a rule or a policy names it. */
  readonly tables = new Map<string, Table>();
  /** The backend of what is loaded next: they differ on packets whose transport header is cut short. */
  backend: Backend = "nft";
  private readonly contexts: { c: Context; walk: Walk }[] = [];
  private depth = 0;
  private tracking = 0;
  readonly reject: Reject;
  /** What rules share by name: recent lists, hash limits. */
  private readonly shared = new Map<string, unknown>();

  constructor(private readonly host: FirewallHost) {
    this.reject = new Reject(host);
  }

  /**
   * What `iptables-restore` reads: the tables named are replaced, with their counters; others stay. Nothing changes
   * when the text has an error.
   * @throws TextError with the line and column of what is not understood or not supported
   */
  load(text: string): void {
    for (const table of readRestore(this, text)) this.install(table);
  }

  /**
   * The words behind `iptables`: `-t nat -A PREROUTING ...`, `-F`, `-P FORWARD DROP`. Line 1 is the command.
   * @throws TextError
   */
  command(words: string): void {
    runCommand(this, words);
  }

  /** What `iptables-save` prints, `-c` when `counters`, without its comment lines (they hold the time of day). */
  save(counters = false): string {
    let out = "";
    for (const name of tableNames) {
      const table = this.tables.get(name);
      if (table !== undefined) out += saveTable(table, counters);
    }
    return out;
  }

  /** Where a rule is written. */
  place(table: string, chain: string): Omit<Place, "proto" | "protoInverted"> {
    return { host: this.host, reject: this.reject, backend: this.backend, table, chain, shared: this.shared };
  }

  newTable(name: string): Table {
    return new Table(name, this.host, this.backend);
  }

  /** The table, made (with accepting chains) if it is not there. */
  table(name: string): Table {
    let t = this.tables.get(name);
    if (t === undefined) {
      t = this.newTable(name);
      this.install(t);
    }
    return t;
  }

  /** Puts a table in place of the one of its name, and its chains on the hooks. */
  install(table: Table): void {
    const before = this.tables.get(table.name);
    this.tables.set(table.name, table);
    this.changed();
    if (before !== undefined) {
      for (const c of before.chains.values()) for (const r of c.rules) r.close();
      return;
    }
    for (const hook of builtinChains[table.name]!) this.attach(table.name, hook);
  }

  /** The hook function looks the table up, so that replacing a table leaves the order of hooks alone. */
  private attach(name: string, hook: Hook): void {
    const fn: HookFn = (frame, h, input, output) => {
      const table = this.tables.get(name)!;
      const chain = table.chains.get(hookNames[h]!)!;
      if (this.depth === this.contexts.length) this.contexts.push({ c: new Context(this.host.world), walk: new Walk() });
      const { c, walk } = this.contexts[this.depth++]!;
      try {
        c.begin(frame, h, input, output);
        return table.run(chain, c, walk);
      } finally {
        this.depth--;
      }
    };
    const at = tablePriority(name, hook);
    if (name === "nat") this.host.conntrack.nat.registerChain(hook, at, fn);
    else this.host.hooks.register(hook, at, `iptables ${name}`, fn);
  }

  /** After rules came or went: tracking runs while one of them needs it. */
  changed(): void {
    let n = 0;
    for (const t of this.tables.values()) {
      for (const c of t.chains.values()) for (const r of c.rules) if (r.tracks) n++;
    }
    const before = this.tracking;
    this.tracking = n;
    if (before === 0 && n > 0) this.host.conntrack.use();
    if (before > 0 && n === 0) this.host.conntrack.release();
  }
}

/** `[packets:bytes]` */
function counts(c: Rule | Chain): string {
  return `[${c.packets}:${c.bytes}]`;
}

function saveTable(table: Table, counters: boolean): string {
  let out = `*${table.name}\n`;
  for (const c of table.chains.values()) {
    const policy = c.hook === null ? "-" : c.policy === Verdict.Accept ? "ACCEPT" : "DROP";
    out += `:${c.name} ${policy} ${counters ? counts(c) : "[0:0]"}\n`;
  }
  for (const c of table.chains.values()) {
    for (const r of c.rules) out += `${counters ? `${counts(r)} ` : ""}-A ${c.name}${r.spec}\n`;
  }
  return `${out}COMMIT\n`;
}

