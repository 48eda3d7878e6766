// src/host/netfilter/iptables/targets.ts: all targets by name.

import { type Builder, type Fail, Outcome, type Place, type Target } from "./rule.ts";
import { mangleTargets } from "./target/mangle.ts";
import { markTargets } from "./target/mark.ts";
import { natTargets } from "./target/nat.ts";
import { otherTargets } from "./target/other.ts";
import { rejectTargets } from "./target/reject.ts";

export type TargetMaker = (place: Place, fail: Fail) => Builder<Target>;

const verdict =
  (name: string, outcome: Outcome): TargetMaker =>
  () => ({ option: () => false, finish: () => ({ text: name, verdict: outcome, run: () => outcome }) });

const verdicts: Readonly<Record<string, TargetMaker>> = {
  ACCEPT: verdict("ACCEPT", Outcome.Accept),
  DROP: verdict("DROP", Outcome.Drop),
  RETURN: verdict("RETURN", Outcome.Return),
};

/** Names that no user's chain may have. */
export const verdictNames: ReadonlySet<string> = new Set([...Object.keys(verdicts), "QUEUE"]);

export const targets: Readonly<Record<string, TargetMaker>> = {
  ...verdicts,
  ...natTargets,
  ...rejectTargets,
  ...markTargets,
  ...mangleTargets,
  ...otherTargets,
};
