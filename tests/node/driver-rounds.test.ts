// The driver on a Node without a way to run ticks at once: every turn is a round of the event loop.

import { expect, it, vi } from "vitest";

vi.mock("../../src/node/ticks.ts", () => ({ runTicks: null }));

const { drive } = await import("../../src/node/driver.ts");
const { newWorld } = await import("../../src/link/newworld.ts");
const { coreOf } = await import("../support/cores.ts");

it("the same things happen in the same order", async () => {
  const w = newWorld(coreOf("release"), { seed: 1 });
  const ran: string[] = [];
  await drive(w, async () => {
    setTimeout(() => {
      ran.push("a");
      process.nextTick(() => ran.push("tick"));
      void Promise.resolve().then(() => ran.push("then"));
      setImmediate(() => ran.push("immediate"));
    }, 5);
    setTimeout(() => ran.push("b"), 5);
    for (let i = 0; i < 1000; i++) await new Promise((done) => setTimeout(done, 3600));
  });
  expect(ran).toEqual(["a", "tick", "then", "immediate", "b"]);
  expect(w.clock.now).toBe(3600e9);
});

it("what is wrong ends it", async () => {
  const w = newWorld(coreOf("release"), { seed: 1 });
  await expect(drive(w, () => new Promise(() => {}))).rejects.toThrow("nothing left to happen at 0 s");
});
