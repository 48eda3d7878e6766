import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Clock, type Timer } from "../../src/link/clock.ts";

describe("clock", () => {
  it("runs what is due in order of time, then of setting", () => {
    const c = new Clock();
    const ran: string[] = [];
    c.at(20, () => ran.push("d"));
    c.at(10, () => ran.push("a"));
    c.at(10, () => ran.push("b"));
    c.after(15, () => ran.push(`c at ${c.now}`));
    expect(c.next()).toBe(10);
    c.advance(15);
    expect(ran).toEqual(["a", "b", "c at 15"]);
    expect(c.now).toBe(15);
    expect(c.pending).toBe(1);
    expect(c.step()).toBe(true);
    expect(c.step()).toBe(false);
    expect(c.next()).toBe(Infinity);
    expect(c.now).toBe(20);
  });

  it("what is set for the past happens now, and what an event sets for now happens yet", () => {
    const c = new Clock();
    c.advance(100);
    const ran: number[] = [];
    c.at(5, () => {
      ran.push(c.now);
      c.at(0, () => ran.push(c.now));
    });
    c.advance(100);
    expect(ran).toEqual([100, 100]);
  });

  it("time is whole nanoseconds", () => {
    const c = new Clock();
    const t = c.timer(() => {});
    c.arm(t, 2.5);
    expect([c.at(1.25, () => {}).at, t.at]).toEqual([2, 3]);
  });

  it("of timers of the wheel the last set runs first, before those of the heap", () => {
    const c = new Clock();
    const ran: number[] = [];
    c.at(10, () => ran.push(1));
    c.atWheel(10, () => ran.push(2));
    c.atWheel(10, () => ran.push(3));
    c.advance(10);
    expect(ran).toEqual([3, 2, 1]);
  });

  it("a timer that is armed again counts as set again", () => {
    const c = new Clock();
    const ran: string[] = [];
    const t = c.timer(() => ran.push("t"));
    c.arm(t, 10);
    c.at(10, () => ran.push("x"));
    c.arm(t, 10);
    c.advance(10);
    expect(ran).toEqual(["x", "t"]);
    expect(t.at).toBe(-1);
    c.arm(t, 30);
    c.cancel(t);
    c.cancel(t);
    c.cancel(null);
    c.advance(50);
    expect(ran).toEqual(["x", "t"]);
    expect(c.pending).toBe(0);
  });

  it("is a list that is sorted by time and order", () => {
    const op = fc.oneof(
      fc.record({ kind: fc.constant("at" as const), at: fc.integer({ min: 0, max: 60 }) }),
      fc.record({ kind: fc.constant("wheel" as const), at: fc.integer({ min: 0, max: 60 }) }),
      fc.record({ kind: fc.constant("arm" as const), which: fc.nat(9), at: fc.integer({ min: 0, max: 60 }) }),
      fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(40) }),
      fc.record({ kind: fc.constant("advance" as const), by: fc.integer({ min: 0, max: 6 }) }),
      fc.record({ kind: fc.constant("step" as const) }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 250 }), (ops) => {
        const c = new Clock();
        const ran: number[] = [];
        const wanted: number[] = [];
        let list: { id: number; at: number; order: number }[] = [];
        const timers: Timer[] = [];
        for (let id = 0; id < 10; id++) timers.push(c.timer(() => ran.push(id)));
        let order = 0;
        let wheel = 0;
        let now = 0;
        const put = (id: number, at: number, o: number): void => {
          list = list.filter((e) => e.id !== id);
          list.push({ id, at: Math.max(at, now), order: o });
          list.sort((a, b) => a.at - b.at || a.order - b.order);
        };
        const fire = (): void => {
          const e = list.shift()!;
          now = e.at;
          wanted.push(e.id);
        };
        for (const o of ops) {
          switch (o.kind) {
            case "at":
            case "wheel": {
              const id = timers.length;
              const run = (): void => void ran.push(id);
              timers.push(o.kind === "at" ? c.at(o.at, run) : c.atWheel(o.at, run));
              put(id, o.at, o.kind === "at" ? order++ : --wheel);
              break;
            }
            case "arm":
              c.arm(timers[o.which]!, o.at);
              put(o.which, o.at, order++);
              break;
            case "cancel":
              c.cancel(timers[o.which] ?? null);
              list = list.filter((e) => e.id !== o.which);
              break;
            case "advance":
              c.advance(c.now + o.by);
              for (const until = now + o.by; ;) {
                if (list.length === 0 || list[0]!.at > until) {
                  now = until;
                  break;
                }
                fire();
              }
              break;
            case "step":
              expect(c.step()).toBe(list.length > 0);
              if (list.length > 0) fire();
          }
          expect(ran).toEqual(wanted);
          expect(c.pending).toBe(list.length);
          expect(c.next()).toBe(list[0]?.at ?? Infinity);
          expect(c.now).toBe(now);
          for (const [id, t] of timers.entries()) expect(t.at).toBe(list.find((e) => e.id === id)?.at ?? -1);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("a million timers: set, moved, cancelled, and each fires once in its turn", () => {
    const n = 1_000_000;
    const c = new Clock();
    let seed = 1;
    const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0);
    let fired = 0;
    let before = 0;
    let early = 0;
    const run = (): void => {
      fired++;
      if (c.now < before) early++;
      before = c.now;
    };
    const timers: Timer[] = [];
    for (let i = 0; i < n; i++) timers.push(c.at(random(), run));
    for (let i = 0; i < n; i += 2) c.arm(timers[i]!, random());
    for (let i = 0; i < n; i += 4) c.cancel(timers[i]!);
    expect(c.pending).toBe(n - n / 4);
    c.advance(2 ** 31);
    expect(timers.every((t) => t.at < 0 || t.at > 2 ** 31)).toBe(true);
    while (c.step());
    expect([fired, early, c.pending]).toEqual([n - n / 4, 0, 0]);
    expect(timers.every((t) => t.at === -1 && t.slot === -1)).toBe(true);
  });

  it("what is cancelled does not stay: a million timers set and cancelled leave the heap small", () => {
    const c = new Clock();
    for (let i = 0; i < 1_000_000; i++) c.cancel(c.at(1e15, () => {}));
    expect(c.pending).toBe(0);
    expect((c as unknown as { heap: Timer[] }).heap.length).toBeLessThan(200);
  });
});
