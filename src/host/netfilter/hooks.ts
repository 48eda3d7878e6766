// src/host/netfilter/hooks.ts: netfilter's hooks in Linux's order (include/uapi/linux/netfilter_ipv4.h).

import { Drop } from "../../../assembly/drop.ts";
import type { Frame } from "../../core/core.ts";
import type { FlowWatch } from "../../link/flowpath.ts";
import type { Interface, Owner } from "../../link/interface.ts";

export enum Hook {
  Prerouting = 0,
  Input = 1,
  Forward = 2,
  Output = 3,
  Postrouting = 4,
}

export const hookNames = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"] as const;

/** NF_DROP: the caller frees; NF_STOLEN: the hook took the frame. */
export enum Verdict {
  Drop = 0,
  Accept = 1,
  Stolen = 2,
}

/** enum nf_ip_hook_priorities */
export const priority = {
  conntrackDefrag: -400,
  raw: -300,
  conntrack: -200,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
  conntrackHelper: 300,
  conntrackConfirm: 0x7fffffff,
} as const;

export type HookFn = (frame: Frame, hook: Hook, input: Interface | null, output: Interface | null) => Verdict;

interface Registered {
  readonly name: string;
  readonly priority: number;
  readonly fn: HookFn;
  readonly repeats: boolean;
}

/** Below every priority. */
const ALL = -0x80000000;

export class Hooks {
  private readonly lists: Registered[][] = [[], [], [], [], []];
  /** Why the last hook said Drop; a hook that knows better than `Netfilter` sets it before it answers. */
  dropReason: Drop = Drop.Netfilter;

  constructor(private readonly owner: Owner) {}

  /**
   * Equal priorities run in the order of registration. `repeats`: what it does with a packet it tells the host's flow
   * table, so that the flow's next packets need not ask it.
   */
  register(hook: Hook, priority: number, name: string, fn: HookFn, repeats = false): void {
    const list = this.lists[hook]!;
    let i = list.length;
    while (i > 0 && list[i - 1]!.priority > priority) i--;
    list.splice(i, 0, { name, priority, fn, repeats });
    this.owner.flows?.changed();
  }

  unregister(hook: Hook, fn: HookFn): void {
    this.lists[hook] = this.lists[hook]!.filter((r) => r.fn !== fn);
    this.owner.flows?.changed();
  }

  /** Nothing is registered there: running it would change nothing. */
  isEmpty(hook: Hook): boolean {
    return this.lists[hook]!.length === 0;
  }

  /** Runs a hook; false when the frame is gone (dropped here, or taken by a hook). `Data` is at the IP header. */
  run(hook: Hook, frame: Frame, input: Interface | null, output: Interface | null): boolean {
    return this.runAbove(hook, ALL, frame, input, output);
  }

  /** The same, from the first hook whose priority is above `above` (br_netfilter re-enters behind itself). */
  runAbove(hook: Hook, above: number, frame: Frame, input: Interface | null, output: Interface | null): boolean {
    const list = this.lists[hook]!;
    const { flows } = this.owner;
    if (flows !== undefined && flows.notes.frame !== 0) this.note(flows.notes, hook, above, frame);
    for (let i = 0; i < list.length; i++) {
      const r = list[i]!;
      if (r.priority <= above) continue;
      const verdict = r.fn(frame, hook, input, output);
      if (this.owner.world.tracer !== null) this.trace(r.name, hook, verdict, frame, input, output);
      if (verdict === Verdict.Accept) continue;
      if (verdict === Verdict.Drop) {
        const why = this.dropReason;
        this.dropReason = Drop.Netfilter;
        this.owner.drop(frame, why, output ?? input);
      }
      return false;
    }
    return true;
  }

  private note(notes: FlowWatch, hook: Hook, above: number, frame: Frame): void {
    if (notes.frame !== frame || above !== ALL) notes.forget();
    else
      notes.hook(
        hook,
        this.lists[hook]!.every((r) => r.repeats),
      );
  }

  private trace(
    name: string,
    hook: Hook,
    verdict: Verdict,
    frame: Frame,
    input: Interface | null,
    output: Interface | null,
  ): void {
    // a frame that a hook took may be gone
    const what = `${hookNames[hook]} ${name} ${Verdict[verdict]!.toLowerCase()}`;
    this.owner.trace("hook", output ?? input, verdict === Verdict.Stolen ? 0 : frame, what);
  }
}
