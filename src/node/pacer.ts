// src/node/pacer.ts: virtual time at the pace of real time, so that real programs outside can talk to the world.

import type { World } from "../link/world.ts";
import { loopOf } from "../socket/loop.ts";
import { runTicks } from "./ticks.ts";

const NS_PER_MS = 1_000_000;
/** The longest sleep, in ms: a timer of Node's holds no more. */
const LONGEST = 2 ** 31 - 1;
/** Below this many ms it looks again at once: a timer of Node's is late by up to one. */
const SHORT = 1;
/** Events between two looks at the real world. */
const STRETCH = 10_000;

export interface PacerOptions {
  /** Virtual seconds in a real one. Default 1. */
  readonly factor?: number;
}

/**
 * Runs a world's events when their time has come in real time. What happens late (the machine was busy) happens at its
 * own virtual time nevertheless: the world never sees that.
 */
export class Pacer {
  private readonly factor: number;
  private realStart = 0n;
  private virtualStart = 0;
  private timeout: NodeJS.Timeout | null = null;
  private immediate: NodeJS.Immediate | null = null;
  private inside = false;
  private running = false;
  private ended: { resolve: () => void; reject: (e: unknown) => void } | null = null;

  constructor(
    private readonly world: World,
    options: PacerOptions = {},
  ) {
    this.factor = options.factor ?? 1;
    if (!(this.factor > 0 && this.factor < Infinity)) {
      throw new RangeError(`factor ${this.factor}: expected a number above 0`);
    }
  }

  /** Starts the clock, until `stop`: the promise settles then, or rejects with what an event threw. */
  start(): Promise<void> {
    if (this.running) throw new Error("the pacer is running already");
    this.running = true;
    this.realStart = process.hrtime.bigint();
    this.virtualStart = this.world.clock.now;
    this.world.clock.onEarlier = () => {
      if (!this.inside) this.wake();
    };
    const over = new Promise<void>((resolve, reject) => (this.ended = { resolve, reject }));
    this.wake();
    return over;
  }

  stop(): void {
    this.finish(() => this.ended?.resolve());
  }

  /** The virtual time that it is now; before it starts, time stands. */
  get time(): number {
    if (!this.running) return this.world.clock.now;
    return this.virtualStart + Math.floor(Number(process.hrtime.bigint() - this.realStart) * this.factor);
  }

  /** Something came in from outside: the world is brought to this moment, and takes it. */
  input(work: () => void): void {
    this.guard(() => {
      this.world.clock.advance(this.time);
      this.world.backlog.hold(work);
    });
    this.wake();
  }

  /** Looks at the clock at the next round of the event loop. */
  private wake(): void {
    if (!this.running || this.immediate !== null) return;
    this.immediate = setImmediate(() => {
      this.immediate = null;
      this.run();
    });
  }

  private run(): void {
    if (!this.running) return;
    this.guard(() => this.advance(this.time));
    if (this.running) this.sleep();
  }

  /** Runs what is due, but not so much that nobody outside gets a turn. */
  private advance(until: number): void {
    const { clock } = this.world;
    const loop = loopOf(this.world);
    // an event may have stopped it: then time stands there
    for (let n = 0; n < STRETCH && this.running; n++) {
      if (clock.next() > until) return clock.advance(until);
      const { turns } = loop;
      clock.step();
      if (loop.turns === turns) continue;
      if (runTicks === null) return;
      runTicks();
    }
  }

  private sleep(): void {
    if (this.timeout !== null) clearTimeout(this.timeout);
    this.timeout = null;
    const next = this.world.clock.next();
    // with nothing to wait for it only keeps the process alive
    const ms = next === Infinity ? LONGEST : (next - this.time) / this.factor / NS_PER_MS;
    if (ms < SHORT) return this.wake();
    this.timeout = setTimeout(
      () => {
        this.timeout = null;
        this.run();
      },
      Math.min(LONGEST, Math.floor(ms)),
    );
  }

  private guard(work: () => void): void {
    const before = this.inside;
    this.inside = true;
    try {
      work();
    } catch (e) {
      this.finish(() => this.ended?.reject(e));
    } finally {
      this.inside = before;
    }
  }

  private finish(how: () => void): void {
    if (!this.running) return;
    this.running = false;
    this.world.clock.onEarlier = null;
    if (this.timeout !== null) clearTimeout(this.timeout);
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.timeout = this.immediate = null;
    how();
  }
}
