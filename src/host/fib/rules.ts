// src/host/fib/rules.ts: policy rules (`ip rule`): which table is asked (net/core/fib_rules.c, fib_rules.c of IPv4).

import { maskOf } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import type { Flow } from "./flow.ts";
import { TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN } from "./names.ts";
import { FibError, errno } from "./route.ts";

/** FR_ACT_* */
export enum RuleAction {
  Table = 1,
  Goto = 2,
  Nop = 3,
  Blackhole = 6,
  Unreachable = 7,
  Prohibit = 8,
}

/** A rule as it is asked for; null: not said. */
export interface RuleSpec {
  readonly priority: number | null;
  readonly invert: boolean;
  readonly src: number;
  readonly srcLength: number;
  readonly dst: number;
  readonly dstLength: number;
  readonly tos: number;
  readonly mark: number;
  /** null: said nothing of the mark, or gave no mask. */
  readonly markMask: number | null;
  readonly hasMark: boolean;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly ipProto: number;
  /** First and last port; null for any. */
  readonly sport: readonly [number, number] | null;
  readonly dport: readonly [number, number] | null;
  readonly action: RuleAction;
  /** 0 when not said. */
  readonly table: number;
  readonly goto: number;
  /** -1 for none. */
  readonly suppressPrefixLength: number;
  readonly protocol: number;
}

/** A rule in force. */
export interface Rule extends RuleSpec {
  readonly priority: number;
  readonly srcMask: number;
  readonly dstMask: number;
  readonly mask: number;
  /** ifindex of `iif` and `oif`: 0 any, -1 named but not there. */
  iifIndex: number;
  oifIndex: number;
  /** Where `goto` leads; null while no rule has that priority. */
  target: Rule | null;
}

export const anyRule: RuleSpec = {
  priority: null,
  invert: false,
  src: 0,
  srcLength: 0,
  dst: 0,
  dstLength: 0,
  tos: 0,
  mark: 0,
  markMask: null,
  hasMark: false,
  iif: null,
  oif: null,
  ipProto: 0,
  sport: null,
  dport: null,
  action: RuleAction.Table,
  table: 0,
  goto: 0,
  suppressPrefixLength: -1,
  protocol: 0,
};

const tosMask = 0x1c;

/** fib_rule_match with fib4_rule_match. */
export function matches(rule: Rule, flow: Flow): boolean {
  return suits(rule, flow) !== rule.invert;
}

function suits(r: Rule, flow: Flow): boolean {
  if (r.iifIndex !== 0 && r.iifIndex !== flow.iif) return false;
  if (r.oifIndex !== 0 && r.oifIndex !== flow.oif) return false;
  if (((r.mark ^ flow.mark) & r.mask) !== 0) return false;
  if (((flow.src ^ r.src) & r.srcMask) !== 0 || ((flow.dst ^ r.dst) & r.dstMask) !== 0) return false;
  if (r.tos !== 0 && r.tos !== (flow.tos & tosMask)) return false;
  if (r.ipProto !== 0 && r.ipProto !== flow.proto) return false;
  if (r.sport !== null && (flow.sport < r.sport[0] || flow.sport > r.sport[1])) return false;
  return r.dport === null || (flow.dport >= r.dport[0] && flow.dport <= r.dport[1]);
}

export class Rules {
  /** In order of priority, then of age. */
  private rules = defaultRules;
  /** Rules were changed: the short cut past them is closed for good (fib_has_custom_rules). */
  custom = false;
  /** Rules that look at the protocol or at ports (fib_rules_require_fldissect). */
  needPorts = 0;

  get list(): readonly Rule[] {
    return this.rules;
  }

  /** The list, to be changed: the default rules are shared until then. */
  private own(): Rule[] {
    if (this.rules === defaultRules) this.rules = defaultRules.map((r) => ({ ...r }));
    return this.rules as Rule[];
  }

  /** fib_default_rule_pref: one before the second rule. */
  private freePriority(): number {
    const second = this.list[1];
    return second !== undefined && second.priority > 0 ? second.priority - 1 : 0;
  }

  private checkGoto(spec: RuleSpec): void {
    if (spec.action !== RuleAction.Goto || spec.goto > (spec.priority ?? this.freePriority())) return;
    throw new FibError(errno.EINVAL, "Error: Backward goto not supported.");
  }

  /** Adds a rule (fib_nl_newrule with NLM_F_EXCL). Throws FibError EEXIST when the same one is there. */
  add(spec: RuleSpec, indexOf: (name: string) => number): void {
    this.checkGoto(spec);
    if ((spec.tos & ~tosMask) !== 0) throw new FibError(errno.EINVAL, "Error: Invalid tos.");
    const rule = build(spec, spec.priority ?? this.freePriority(), indexOf);
    if (this.list.some((r) => equal(r, rule))) throw new FibError(errno.EEXIST, "RTNETLINK answers: File exists");
    let i = 0;
    while (i < this.list.length && this.list[i]!.priority <= rule.priority) i++;
    this.own().splice(i, 0, rule);
    if (usesPorts(rule)) this.needPorts++;
    this.aim();
  }

  /** Whether that very rule is there, whoever made it. */
  has(spec: RuleSpec): boolean {
    const rule = build(spec, spec.priority ?? this.freePriority(), () => 0);
    return this.list.some(
      (r) => r.invert === spec.invert && r.goto === spec.goto && equal({ ...r, protocol: rule.protocol }, rule),
    );
  }

  /** Removes the first rule that has everything that was said. Throws FibError ENOENT when there is none. */
  delete(spec: RuleSpec): void {
    this.checkGoto(spec);
    const i = this.list.findIndex((r) => fits(r, spec));
    if (i < 0) throw new FibError(errno.ENOENT, "RTNETLINK answers: No such file or directory");
    const [gone] = this.own().splice(i, 1);
    if (usesPorts(gone!)) this.needPorts--;
    this.aim();
  }

  /** Devices come and go: rules name them, flows number them. */
  rebind(indexOf: (name: string) => number): void {
    if (this.rules === defaultRules) return;
    for (const r of this.list) {
      r.iifIndex = r.iif === null ? 0 : indexOf(r.iif);
      r.oifIndex = r.oif === null ? 0 : indexOf(r.oif);
    }
  }

  /** A goto leads to the first rule of its priority. */
  private aim(): void {
    for (const r of this.list) {
      if (r.action === RuleAction.Goto) r.target = this.list.find((t) => t.priority === r.goto) ?? null;
    }
  }
}

/** A function that tells a device's index by name, -1 when there is none. */
export function indexIn(byName: ReadonlyMap<string, Interface>): (name: string) => number {
  return (name) => byName.get(name)?.ifindex ?? -1;
}

function build(spec: RuleSpec, priority: number, indexOf: (name: string) => number): Rule {
  return {
    ...spec,
    priority,
    srcMask: maskOf(spec.srcLength),
    dstMask: maskOf(spec.dstLength),
    // a mark without a mask is compared whole; 0 without a mask is no condition
    mask: spec.markMask ?? (spec.mark !== 0 ? 0xffffffff : 0),
    iifIndex: spec.iif === null ? 0 : indexOf(spec.iif),
    oifIndex: spec.oif === null ? 0 : indexOf(spec.oif),
    target: null,
  };
}

/** What every namespace begins with. */
const defaultRules: readonly Rule[] = (
  [
    [0, TABLE_LOCAL],
    [32766, TABLE_MAIN],
    [32767, TABLE_DEFAULT],
  ] as const
).map(([priority, table]) => build({ ...anyRule, table, protocol: 2 }, priority, () => 0));

function usesPorts(r: Rule): boolean {
  return r.ipProto !== 0 || r.sport !== null || r.dport !== null;
}

function samePorts(a: readonly [number, number] | null, b: readonly [number, number] | null): boolean {
  return a === b || (a !== null && b !== null && a[0] === b[0] && a[1] === b[1]);
}

/** rule_exists: everything but the inversion and where a goto leads. */
function equal(a: Rule, b: Rule): boolean {
  return (
    a.action === b.action &&
    a.table === b.table &&
    a.priority === b.priority &&
    a.protocol === b.protocol &&
    a.suppressPrefixLength === b.suppressPrefixLength &&
    a.iif === b.iif &&
    a.oif === b.oif &&
    a.mark === b.mark &&
    a.mask === b.mask &&
    a.ipProto === b.ipProto &&
    samePorts(a.sport, b.sport) &&
    samePorts(a.dport, b.dport) &&
    a.srcLength === b.srcLength &&
    a.dstLength === b.dstLength &&
    a.tos === b.tos &&
    a.src === b.src &&
    a.dst === b.dst
  );
}

/** rule_find: what was said must be the same. */
function fits(r: Rule, s: RuleSpec): boolean {
  return (
    (s.priority === null || s.priority === r.priority) &&
    (s.action !== RuleAction.Table || s.table === 0 || s.table === r.table) &&
    (s.action === RuleAction.Table ? s.table === 0 || r.action === RuleAction.Table : s.action === r.action) &&
    (s.protocol === 0 || s.protocol === r.protocol) &&
    (s.suppressPrefixLength < 0 || s.suppressPrefixLength === r.suppressPrefixLength) &&
    (s.iif === null || s.iif === r.iif) &&
    (s.oif === null || s.oif === r.oif) &&
    (!s.hasMark || s.mark === r.mark) &&
    (s.markMask === null || s.markMask === r.mask) &&
    (s.ipProto === 0 || s.ipProto === r.ipProto) &&
    (s.sport === null || samePorts(s.sport, r.sport)) &&
    (s.dport === null || samePorts(s.dport, r.dport)) &&
    (s.srcLength === 0 || (s.srcLength === r.srcLength && s.src === r.src)) &&
    (s.dstLength === 0 || (s.dstLength === r.dstLength && s.dst === r.dst)) &&
    (s.tos === 0 || s.tos === r.tos)
  );
}
