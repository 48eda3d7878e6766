import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TimeFifo } from "../../src/link/timefifo.ts";

describe("packets in order of time", () => {
  it("what has its turn at the same time leaves in the order in which it came", () => {
    const q = new TimeFifo();
    for (let i = 1; i <= 100; i++) q.push(5, i);
    const out: number[] = [];
    while (q.length > 0) out.push(q.shift());
    expect(out).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it("is Linux's tfifo: a queue of those that come in order, beside it the earlier ones by time; ties go to the queue", () => {
    const op = fc.oneof(
      { weight: 3, arbitrary: fc.record({ time: fc.integer({ min: 0, max: 20 }) }) },
      { weight: 2, arbitrary: fc.constant(null) },
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), (ops) => {
        const q = new TimeFifo();
        let line: { time: number; id: number }[] = [];
        let tree: { time: number; id: number }[] = [];
        let id = 1;
        for (const o of ops) {
          if (o !== null) {
            const e = { time: o.time, id: id++ };
            if (line.length === 0 || e.time >= line[line.length - 1]!.time) line.push(e);
            else {
              const at = tree.findIndex((x) => x.time > e.time);
              tree.splice(at < 0 ? tree.length : at, 0, e);
            }
            q.push(e.time, e.id);
          } else if (q.length > 0) {
            const fromTree = tree.length > 0 && (line.length === 0 || tree[0]!.time < line[0]!.time);
            const first = fromTree ? tree[0]! : line[0]!;
            expect(q.first).toBe(first.time);
            expect(q.shift()).toBe(first.id);
            if (fromTree) tree = tree.slice(1);
            else line = line.slice(1);
          }
          const all = [...line, ...tree];
          expect(q.length).toBe(all.length);
          expect(q.last).toBe(all.length === 0 ? -Infinity : Math.max(...all.map((e) => e.time)));
        }
      }),
      { numRuns: 300 },
    );
  });
});
