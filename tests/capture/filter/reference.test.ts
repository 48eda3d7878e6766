// Filters against libpcap: the same expressions refused, the same verdict on every frame, whole or cut short.

import { expect, test } from "vitest";
import { compileFilter, formatProgram, loadFilter, unloadFilter } from "../../../src/capture/filter/index.ts";
import { overBuilds } from "../../support/cores.ts";
import { difference, frames, gaps, place, programOf, reference } from "./support.ts";

overBuilds("filters and libpcap", (makeCore) => {
  for (const [link, name] of [
    [1, "Ethernet"],
    [101, "raw IP"],
    [113, "Linux cooked"],
    [276, "Linux cooked v2"],
  ] as const) {
    test(`agree on ${name}`, () => {
      const core = makeCore();
      const placed = place(core, frames[link]!);
      const wrong: string[] = [];
      let compared = 0;
      let equal = 0;
      for (const [l, text, index] of reference.cases) {
        if (l !== link || gaps.some(([g]) => g.test(text))) continue;
        let mine;
        try {
          mine = compileFilter(text, link);
        } catch (e) {
          if (index >= 0) wrong.push(`refused '${text}': ${(e as Error).message}`);
          continue;
        }
        if (index < 0) {
          wrong.push(`accepted '${text}'`);
          continue;
        }
        const theirs = programOf(reference.programs[index]!);
        const a = loadFilter(core, mine);
        const b = loadFilter(core, theirs);
        const at = difference(a, b, placed, 9);
        if (at !== null) wrong.push(`'${text}' on frame ${at}\n${formatProgram(mine)}${formatProgram(theirs)}`);
        unloadFilter(a);
        unloadFilter(b);
        compared++;
        if (formatProgram(mine, "decimal") === formatProgram(theirs, "decimal")) equal++;
      }
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(300);
      // most programs are equal to the instruction; verdicts, above, must all be
      expect(equal / compared).toBeGreaterThan(0.9);
    });
  }

  test("the optimizer changes no verdict on frames that hold what is loaded", () => {
    const core = makeCore();
    // zeros behind the frame: loads of the corpus end before 4,000 bytes
    const placed = place(
      core,
      frames["1"]!.map((h) => h.padEnd(8000, "0")),
    );
    let compared = 0;
    for (const [l, text] of reference.cases) {
      if (l !== 1) continue;
      let best;
      try {
        best = compileFilter(text, 1);
      } catch {
        continue;
      }
      // loads that wrap around at 2^32 are folded to small offsets
      if (/\[(-1|0-1|0xf+|4294967295|len|ip\[)/.test(text)) continue;
      const a = loadFilter(core, best);
      const b = loadFilter(core, compileFilter(text, 1, { optimize: false }));
      expect([text, difference(a, b, placed, 100_000)]).toEqual([text, null]);
      unloadFilter(a);
      unloadFilter(b);
      compared++;
    }
    expect(compared).toBeGreaterThan(900);
  });
});
