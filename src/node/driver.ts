// src/node/driver.ts: runs a world in virtual time while real asynchronous code lives in it.
//
// Time moves on only when the process has nothing left to do at this instant: no promise callback, no nextTick, no
// immediate, no file, key or compression under way. Then the clock's next event runs, and so on. Nothing sleeps: hours
// pass as fast as their events can be run.

import { loopOf } from "../socket/loop.ts";
import type { World } from "../link/world.ts";
import { RealWork } from "./realwork.ts";
import { runTicks } from "./ticks.ts";
import { VirtualTime } from "./virtualtime.ts";

export interface DriveOptions {
  /** Nanoseconds of virtual time since the world's start at which it ends; default: a hundred hours from now. */
  readonly until?: number;
  /** setTimeout, setInterval, Date, performance.now and hrtime of the process tell virtual time meanwhile. Default true. */
  readonly timers?: boolean;
}

const HOUR = 3_600_000_000_000;
/** Events at one instant after which time is taken to stand still for ever. */
const MOST_AT_ONCE = 20_000_000;
/** Events between two looks at the real world: signals, sockets of others. */
const STRETCH = 20_000;
/** Fruitless looks after which waiting for real work becomes patient. */
const IMPATIENT = 2_000;

/** The process's own, whatever is put in their place later. */
const { setImmediate, setTimeout } = globalThis;
/** What getActiveResourcesInfo calls requests that the machine answers by itself. */
const requests = new Set(["FSReqCallback", "FSReqPromise", "GetAddrInfoReqWrap", "GetNameInfoReqWrap"]);
/** Before a drive is given up: looks of a millisecond of real time, should something come that nobody announced. */
const GRACE = 200;

/** Why a drive ended without its promise: nothing left to happen, or the time was up. */
export class DriveError extends Error {
  override readonly name = "DriveError";
  constructor(
    message: string,
    /** Nanoseconds of virtual time. */
    readonly at: number,
  ) {
    super(message);
  }
}

/** One world under way. */
export class Driver {
  static readonly driving = new WeakMap<World, Driver>();
  /** Virtual time in the process, when this drive has it. */
  readonly time: VirtualTime;
  private readonly work = new RealWork();
  private readonly loop;
  private holds = 0;
  /** What keeps the process alive besides the programs: a terminal, a test runner's pipe. */
  private others = 0;

  constructor(
    readonly world: World,
    private readonly options: DriveOptions = {},
  ) {
    this.loop = loopOf(world);
    this.time = new VirtualTime(world, () => this.hold());
  }

  /** Time stands still until the answer is called: for work that the driver cannot see (a worker, a real socket). */
  hold(): () => void {
    this.holds++;
    let held = true;
    return () => {
      if (held) this.holds--;
      held = false;
    };
  }

  /** Time stands still until the promise settles: an import that a loader's thread or a test runner answers. */
  async during<T>(promise: PromiseLike<T>): Promise<T> {
    const release = this.hold();
    try {
      return await promise;
    } finally {
      release();
    }
  }

  /**
   * Starts `work` and runs the world until its promise settles; what it settles to is the answer. Rejects with
   * `DriveError` when nothing is left to happen, or at `until`, while it is pending.
   */
  run<T>(work: () => T | PromiseLike<T>, options = this.options): Promise<T> {
    return this.go(work, false, options) as Promise<T>;
  }

  /** Runs the world until nothing is left to happen, or until `until`. */
  runAll(): Promise<void> {
    return this.go(() => new Promise<never>(() => {}), true, this.options) as Promise<void>;
  }

  private go<T>(work: () => T | PromiseLike<T>, toTheEnd: boolean, options: DriveOptions): Promise<T | void> {
    const { world } = this;
    if (Driver.driving.has(world)) throw new Error("this world is being driven already");
    const until = options.until ?? world.clock.now + 100 * HOUR;
    const virtual = options.timers ?? true;
    if (virtual) this.time.install();
    Driver.driving.set(world, this);
    this.work.enable();
    this.waited = this.idle = 0;
    this.others = process.getActiveResourcesInfo().filter((type) => type !== "Timeout").length;
    return new Promise<T | void>((resolve, reject) => {
      let settled = false;
      let how: () => void = () => {};
      const settle = (then: () => void): void => {
        if (settled) return;
        settled = true;
        how = then;
      };
      const finish = (): void => {
        this.work.disable();
        if (virtual) this.time.restore();
        Driver.driving.delete(world);
        how();
      };
      const step = (): void => {
        try {
          const more = this.pump(until, () => settled);
          if (settled) finish();
          else if (more === "again") setImmediate(step);
          else if (more === "later" || (more === "nothing" && !toTheEnd && ++this.idle < GRACE)) setTimeout(step, 1);
          else {
            settle(() => (toTheEnd ? resolve() : reject(this.ended(more, until))));
            finish();
          }
        } catch (e) {
          settle(() => reject(e as Error));
          if (e === this.thrown) this.unwind(finish);
          else finish();
          if (e === this.thrown) throw e;
        }
      };
      try {
        Promise.resolve(work()).then(
          (value) => settle(() => resolve(value)),
          (e: unknown) => settle(() => reject(e as Error)),
        );
      } catch (e) {
        settle(() => reject(e as Error));
      }
      setImmediate(step);
    });
  }

  /** What a nextTick callback threw. */
  private thrown: unknown = null;
  private waited = 0;
  private idle = 0;
  private instant = -1;
  private atOnce = 0;

  /** Runs events until the real world must be looked at, or the end is reached. */
  private pump(until: number, settled: () => boolean): "again" | "later" | "nothing" | "deadline" {
    const { clock } = this.world;
    for (let n = 0; n < STRETCH; n++) {
      if (settled()) return "again";
      const quiet = this.quiet();
      if (quiet === "busy") return ++this.waited > IMPATIENT ? "later" : "again";
      if (quiet === "look" && n > 0) return "again";
      this.waited = 0;
      const next = clock.next();
      if (next === Infinity) return "nothing";
      this.idle = 0;
      if (next > until) {
        clock.advance(until);
        return "deadline";
      }
      if (next !== this.instant) {
        this.instant = next;
        this.atOnce = 0;
      }
      // events of the network alone need no settling
      const turns = this.turns;
      do {
        if (++this.atOnce > MOST_AT_ONCE) throw new DriveError(`${said(clock.now)}: events without end`, clock.now);
        clock.step();
        n++;
      } while (this.turns === turns && n < STRETCH && clock.next() <= until);
      // without it every turn is a round of the event loop
      if (runTicks === null) return "again";
      try {
        runTicks();
      } catch (e) {
        this.thrown = e;
        throw e;
      }
    }
    return "again";
  }

  /**
   * A nextTick callback threw: Node's own records of who is running are good again only once the exception has left
   * JavaScript. It is caught there, and the drive ends with it.
   */
  private unwind(finish: () => void): void {
    if (process.hasUncaughtExceptionCaptureCallback()) return finish();
    process.setUncaughtExceptionCaptureCallback(() => {
      process.setUncaughtExceptionCaptureCallback(null);
      finish();
    });
  }

  /** Callbacks of programs so far. */
  private get turns(): number {
    return this.loop.turns + this.time.turns;
  }

  /** Whether the process has anything to do by itself; "look" where it cannot be known without a round of the loop. */
  private quiet(): "quiet" | "busy" | "look" {
    if (this.holds > 0 || this.work.busy) return "busy";
    let others = 0;
    const active = process.getActiveResourcesInfo();
    for (let i = 0; i < active.length; i++) {
      const type = active[i]!;
      // the requests among them were made before anybody watched
      if (type === "Immediate" || requests.has(type)) return "busy";
      if (type !== "Timeout") others++;
    }
    // a port or a socket that the programs opened: what it has is found by looking
    return others > this.others ? "look" : "quiet";
  }

  private ended(how: "nothing" | "deadline", until: number): DriveError {
    const { now } = this.world.clock;
    return how === "nothing"
      ? new DriveError(`nothing left to happen at ${said(now)} of virtual time, and the promise is still pending`, now)
      : new DriveError(`${said(until)} of virtual time are over, and the promise is still pending`, now);
  }
}

/** `3.2 s` */
function said(ns: number): string {
  return `${Number((ns / 1e9).toFixed(9))} s`;
}

/**
 * Runs `work` in the world's virtual time: real programs, their timers and the network, one event after the other.
 *
 *     await drive(lab.world, async () => { ... }, { until: 3600e9 })
 */
export function drive<T>(world: World, work: () => T | PromiseLike<T>, options?: DriveOptions): Promise<T> {
  return new Driver(world, options).run(work);
}

/** Virtual time stands still until the answer is called, when somebody drives the world: for work that no driver sees. */
export function holdTime(world: World): () => void {
  return Driver.driving.get(world)?.hold() ?? (() => {});
}
