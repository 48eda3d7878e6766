import { AsyncLocalStorage } from "node:async_hooks";
import { generateKeyPair, pbkdf2 } from "node:crypto";
import { lookup } from "node:dns";
import { readFile } from "node:fs";
import { open } from "node:fs/promises";
import * as timers from "node:timers";
import * as timersPromises from "node:timers/promises";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { describe, expect, it } from "vitest";
import { newWorld } from "../../src/link/newworld.ts";
import { MS, SECOND } from "../../src/link/clock.ts";
import { drive, DriveError, Driver } from "../../src/node/driver.ts";
import { coreOf } from "../support/cores.ts";

const core = coreOf("release");
const world = () => newWorld(core, { seed: 1 });
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

describe("drive", () => {
  it("hours of virtual time pass without sleeping", async () => {
    const w = world();
    let rounds = 0;
    await drive(w, async () => {
      for (; rounds < 3600; rounds++) await sleep(10_000);
    });
    expect(rounds).toBe(3600);
    expect(w.clock.now).toBe(36_000 * SECOND);
  });

  it("answers what the work answers, sync or not, and what it throws", async () => {
    expect(await drive(world(), () => 5)).toBe(5);
    expect(await drive(world(), async () => "x")).toBe("x");
    await expect(drive(world(), () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await expect(
      drive(world(), () => {
        throw new Error("at once");
      }),
    ).rejects.toThrow("at once");
  });

  it("says when nothing is left to happen, and when", async () => {
    const w = world();
    const stuck = drive(w, async () => {
      await sleep(3200);
      await new Promise(() => {});
    });
    await expect(stuck).rejects.toThrow(
      "nothing left to happen at 3.2 s of virtual time, and the promise is still pending",
    );
    await expect(stuck).rejects.toBeInstanceOf(DriveError);
  });

  it("ends at the deadline", async () => {
    const w = world();
    const late = drive(w, () => sleep(60_000), { until: 5 * SECOND });
    await expect(late).rejects.toThrow("5 s of virtual time are over, and the promise is still pending");
    expect(w.clock.now).toBe(5 * SECOND);
  });

  it("an exception in a timer ends it", async () => {
    const w = world();
    const failed = drive(w, async () => {
      setTimeout(() => {
        throw new Error("in a timer");
      }, 10);
      await sleep(1000);
    });
    await expect(failed).rejects.toThrow("in a timer");
    expect(w.clock.now).toBe(10 * MS);
  });

  it("an exception in a tick ends it, and the process goes on", async () => {
    const w = world();
    for (let i = 0; i < 3; i++) {
      const failed = drive(w, async () => {
        setTimeout(() => {
          process.nextTick(() => {
            throw new Error("in a tick");
          });
        }, 10);
        await sleep(1000);
      });
      await expect(failed).rejects.toThrow("in a tick");
      await new Promise((done) => setImmediate(done));
    }
    expect(await drive(w, () => sleep(5000).then(() => "fine"))).toBe("fine");
  });

  it("one event after the other: promises, ticks and immediates of one are done before the next", async () => {
    const w = world();
    const ran: string[] = [];
    for (let i = 1; i <= 3; i++) {
      w.clock.at(i, () => ran.push(`event ${i}`));
    }
    await drive(w, async () => {
      setTimeout(() => {
        ran.push("a");
        process.nextTick(() => ran.push("tick"));
        void Promise.resolve()
          .then(() => ran.push("then"))
          .then(() => ran.push("then then"));
        setImmediate(() => {
          ran.push("immediate");
          setImmediate(() => ran.push("immediate's immediate"));
        });
      }, 5);
      setTimeout(() => ran.push("b"), 5);
      await sleep(10);
    });
    expect(ran).toEqual([
      "event 1",
      "event 2",
      "event 3",
      "a",
      "tick",
      "then",
      "then then",
      "immediate",
      "immediate's immediate",
      "b",
    ]);
  });

  it("time stands still while the machine works: files, names, keys, hashes, compression, compilation", async () => {
    const w = world();
    const times: Record<string, number> = {};
    let ticks = 0;
    const driver = new Driver(w);
    await driver.run(async () => {
      const beat = setInterval(() => ticks++, 1);
      const timed = async (name: string, work: () => Promise<unknown>): Promise<void> => {
        const from = w.clock.now;
        await work();
        times[name] = w.clock.now - from;
      };
      const zeros = Buffer.alloc(1_000_000);
      await timed("readFile", () => promisify(readFile)(import.meta.filename));
      await timed("open", async () => {
        const f = await open(import.meta.filename);
        await f.read(Buffer.alloc(10));
        await f.close();
      });
      await timed("lookup", () => promisify(lookup)("localhost"));
      await timed("gzip", async () => expect(await promisify(gunzip)(await promisify(gzip)(zeros))).toEqual(zeros));
      await timed("pbkdf2", () => promisify(pbkdf2)("a", "b", 20_000, 32, "sha256"));
      await timed("key", () => promisify(generateKeyPair)("ed25519"));
      await timed("digest", () => crypto.subtle.digest("SHA-256", zeros));
      const wasm = await promisify(readFile)(new URL("../../build/release.wasm", import.meta.url));
      await timed("wasm", () => WebAssembly.compile(wasm));
      // the test runner's loader is another process
      await timed("import", () => driver.during(import("../../src/lab/words.ts")));
      clearInterval(beat);
    });
    expect(Object.entries(times).filter(([, t]) => t !== 0)).toEqual([]);
    expect(Object.keys(times).length).toBe(9);
    expect(ticks).toBe(0);
  });

  it("what was begun before is waited for, and what comes unannounced is given a moment", async () => {
    const w = world();
    const before = promisify(readFile)(import.meta.filename);
    const realTimeout = setTimeout;
    await drive(w, async () => {
      const beat = setInterval(() => {}, 1);
      await before;
      expect(w.clock.now).toBe(0);
      clearInterval(beat);
      await new Promise((done) => realTimeout(done, 10));
    });
  });

  it("waits while somebody holds it", async () => {
    const w = world();
    const driver = new Driver(w);
    const realTimeout = setTimeout;
    await driver.run(async () => {
      const release = driver.hold();
      let late = false;
      setTimeout(() => (late = true), 1);
      await new Promise((done) => realTimeout(done, 20));
      expect(late).toBe(false);
      release();
      release();
      await sleep(2);
      expect(late).toBe(true);
    });
  });

  it("without a promise it runs to the end of all events", async () => {
    const w = world();
    let ran = 0;
    w.clock.at(5 * SECOND, () => ran++);
    await new Driver(w).runAll();
    expect([ran, w.clock.now]).toEqual([1, 5 * SECOND]);
  });

  it("a world is driven once at a time, and so are the process's timers", async () => {
    const w = world();
    await drive(w, async () => {
      expect(() => drive(w, () => 1)).toThrow("this world is being driven already");
      expect(() => drive(world(), () => 1)).toThrow("another world has the process's timers already");
      expect(await drive(world(), () => 7, { timers: false })).toBe(7);
    });
    expect(await drive(w, () => 2)).toBe(2);
  });
});

describe("virtual time in the process", () => {
  it("clocks tell it, and are the process's own again afterwards", async () => {
    const w = world();
    const { setTimeout: set, Date: RealDate, performance: perf } = globalThis;
    const hr = process.hrtime;
    const perfNow = perf.now;
    await drive(w, async () => {
      const epoch = Date.UTC(2020, 0, 1);
      expect(Date.now()).toBe(epoch);
      expect(new Date().getTime()).toBe(epoch);
      await sleep(1500);
      expect(new Date().toISOString()).toBe("2020-01-01T00:00:01.500Z");
      expect(performance.now()).toBe(1500);
      expect(performance.timeOrigin + performance.now()).toBe(Date.now());
      expect(process.hrtime()).toEqual([1, 500_000_000]);
      expect(process.hrtime([0, 600_000_000])).toEqual([0, 900_000_000]);
      expect(process.hrtime.bigint()).toBe(1_500_000_000n);
      expect(new Date(0)).toBeInstanceOf(RealDate);
      expect(new Date(2001, 1, 3).getFullYear()).toBe(2001);
      expect(Date.parse("2020-01-01T00:00:00Z")).toBe(epoch);
      expect(Date()).toMatch(/2020/);
      class Sub extends Date {}
      expect(new Sub()).toBeInstanceOf(Sub);
      expect(new Sub().getTime()).toBe(Date.now());
    });
    expect(globalThis.setTimeout).toBe(set);
    expect(globalThis.Date).toBe(RealDate);
    expect(process.hrtime).toBe(hr);
    expect(perf.now).toBe(perfNow);
    expect(Date.now()).toBeGreaterThan(Date.UTC(2024, 0, 1));
  });

  it("timers have Node's methods", async () => {
    const w = world();
    await drive(w, async () => {
      const ran: string[] = [];
      const t = setTimeout(() => ran.push("refreshed"), 100);
      await sleep(60);
      t.refresh();
      await sleep(60);
      expect(ran).toEqual([]);
      await sleep(60);
      expect(ran).toEqual(["refreshed"]);
      expect(t.unref().hasRef()).toBe(false);
      expect(t.ref().hasRef()).toBe(true);
      const id = Number(setTimeout(() => ran.push("cleared by number"), 1));
      clearTimeout(id);
      clearTimeout(undefined);
      const i = setInterval(() => ran.push("beat"), 10);
      await sleep(35);
      clearInterval(i);
      await sleep(100);
      expect(ran).toEqual(["refreshed", "beat", "beat", "beat"]);
      let got: unknown[] = [];
      setTimeout((...args: unknown[]) => (got = args), 1, "x", 2);
      await sleep(2);
      expect(got).toEqual(["x", 2]);
      expect(() => setTimeout("code" as never, 1)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }));
    });
  });

  it("delays as Node has them: 0, none and too long are a millisecond", async () => {
    const w = world();
    await drive(w, async () => {
      for (const delay of [0, undefined, -5, 2 ** 31, NaN]) {
        const from = w.clock.now;
        await new Promise<void>((done) => setTimeout(done, delay));
        expect(w.clock.now - from).toBe(MS);
      }
    });
  });

  it("node:timers and node:timers/promises too", async () => {
    const w = world();
    await drive(w, async () => {
      await new Promise<void>((done) => timers.setTimeout(done, 1000));
      expect(await timersPromises.setTimeout(1000, "value")).toBe("value");
      expect(await promisify(setTimeout)(1000, "other")).toBe("other");
      await timersPromises.scheduler.wait(1000);
      let n = 0;
      for await (const v of timersPromises.setInterval(1000, "v")) {
        expect(v).toBe("v");
        if (++n === 3) break;
      }
      expect(w.clock.now).toBe(7 * SECOND);
      const stop = new AbortController();
      const aborted = timersPromises.setTimeout(1000, null, { signal: stop.signal });
      stop.abort();
      await expect(aborted).rejects.toMatchObject({ name: "AbortError", code: "ABORT_ERR" });
    });
  });

  it("callbacks run in the context in which they were set", async () => {
    const w = world();
    const storage = new AsyncLocalStorage<string>();
    await drive(w, async () => {
      const seen = await storage.run(
        "mine",
        () => new Promise((done) => setTimeout(() => done(storage.getStore()), 5)),
      );
      expect(seen).toBe("mine");
    });
  });

  it("the same run twice is the same run", async () => {
    const run = async (): Promise<string[]> => {
      const w = world();
      const log: string[] = [];
      await drive(w, async () => {
        const worker = async (name: string, step: number): Promise<void> => {
          for (let i = 0; i < 20; i++) {
            await sleep(step);
            if (i % 5 === 0) await promisify(readFile)(import.meta.filename);
            log.push(`${w.clock.now} ${name} ${i} ${w.rng.below(1000)}`);
          }
        };
        await Promise.all([worker("a", 3), worker("b", 5), worker("c", 15)]);
      });
      return log;
    };
    expect(await run()).toEqual(await run());
  });
});
