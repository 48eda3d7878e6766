import { describe, expect, it } from "vitest";
import { MS, SECOND } from "../../src/link/clock.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { Pacer } from "../../src/node/pacer.ts";
import { coreOf } from "../support/cores.ts";

const core = coreOf("release");

describe("pacer", () => {
  it("runs events in order, at their own virtual times, and not before their real ones", async () => {
    const world = newWorld(core);
    const pacer = new Pacer(world, { factor: 100 });
    const seen: [number, number][] = [];
    const start = process.hrtime.bigint();
    for (const s of [3, 1, 2]) {
      world.clock.at(s * SECOND, () => {
        seen.push([world.clock.now / SECOND, Number(process.hrtime.bigint() - start) / 1e6]);
        if (s === 3) pacer.stop();
      });
    }
    await pacer.start();
    expect(seen.map(([v]) => v)).toEqual([1, 2, 3]);
    // a hundredth of the virtual time has passed at least
    for (const [v, ms] of seen) expect(ms).toBeGreaterThanOrEqual(v * 10);
  });

  it("wakes for what is set while it sleeps", async () => {
    const world = newWorld(core);
    const pacer = new Pacer(world);
    world.clock.at(1e15, () => expect.unreachable());
    const over = pacer.start();
    await new Promise((done) => setTimeout(done, 5));
    world.clock.after(2 * MS, () => pacer.stop());
    await over;
    expect(world.clock.now).toBeLessThan(1e15);
  });

  it("input brings the world to this moment first", async () => {
    const world = newWorld(core);
    const pacer = new Pacer(world, { factor: 1000 });
    let ran = -1;
    world.clock.at(1, () => (ran = world.clock.now));
    const over = pacer.start();
    let at = -1;
    pacer.input(() => (at = world.clock.now));
    expect(ran).toBe(1);
    expect(at).toBeGreaterThan(1);
    expect(at).toBeLessThanOrEqual(pacer.time);
    pacer.stop();
    pacer.stop();
    await over;
  });

  it("an event that throws ends it", async () => {
    const world = newWorld(core);
    const pacer = new Pacer(world);
    world.clock.at(1, () => {
      throw new Error("broken");
    });
    await expect(pacer.start()).rejects.toThrow("broken");
    expect(world.clock.onEarlier).toBe(null);
  });

  it("refuses a pace that is none", () => {
    for (const factor of [0, -1, NaN, Infinity]) {
      expect(() => new Pacer(newWorld(core), { factor })).toThrow("expected a number above 0");
    }
    const pacer = new Pacer(newWorld(core));
    void pacer.start();
    expect(() => pacer.start()).toThrow("running already");
    pacer.stop();
  });
});
