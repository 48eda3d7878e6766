import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Verdict, Hook } from "../../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../../support/cores.ts";
import { hex, Rig } from "./rig.ts";

/** Time, side, packet, forwarded, state after. */
type Step = readonly [number, number, string, number, string];

const flows = JSON.parse(
  readFileSync(new URL("../../../fixtures/conntrack/random-segments.json", import.meta.url), "utf8"),
) as readonly (readonly Step[])[];

function bytesOf(text: string): Uint8Array {
  const [head, n] = text.split("~");
  return hex(head! + "64".repeat(Number(n ?? 0)));
}

overBuilds("random segments against a recorded kernel", (core) => {
  it("pass or fail as there, and leave the same state", () => {
    const c = core();
    for (const [i, flow] of flows.entries()) {
      const rig = new Rig(c, "10.9.1.1", "10.9.0.1");
      rig.conntrack.use();
      rig.hooks.register(Hook.Forward, 0, "filter", (f) => (rig.conntrack.tracked(f) ? Verdict.Accept : Verdict.Drop));
      for (const [j, [t, side, packet, forwarded, after]] of flow.entries()) {
        const what = `flow ${i}, segment ${j}`;
        rig.at(t);
        const out = rig.receive(side === 0 ? rig.lan : rig.wan, bytesOf(packet));
        expect(out === "gone" ? 0 : 1, what).toBe(forwarded);
        const line = rig.conntrack.list()[0] ?? "";
        const ours = /^tcp +6 (\d+) (\w+)/.exec(line);
        const [state, timeout, ...flags] = after.split(" ");
        expect(ours?.[2] ?? "", what).toBe(state);
        expect(
          ["ASSURED", "UNREPLIED"].filter((w) => line.includes(w)),
          what,
        ).toEqual(flags);
        // the kernel's jiffies had a phase of their own
        if (ours !== null) expect(Math.abs(Number(ours[1]) - Number(timeout)), what).toBeLessThan(2);
      }
    }
    expect(c.x.packetsInUse()).toBe(0);
  });
});
