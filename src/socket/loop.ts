// src/socket/loop.ts: when programs are called back: as an event loop does it, never while a packet is under way.
//
// A segment that arrives marks its socket as ready; the program hears of it in an event of the clock's own, at the same
// instant. So a program's call never runs inside another's, and what it throws never passes through the network.

import type { Clock } from "../link/clock.ts";
import { Halt } from "../link/trace.ts";
import type { World } from "../link/world.ts";

/** Something to be called back. It may be posted again once its turn began. */
export interface Turn {
  turn(): void;
}

const COMPACT = 1024;

/** One callback an event of the clock, in order of posting, so that a driver can let the process settle between two. */
export class Loop {
  /** Callbacks run so far: whoever drives the clock sees by it that programs ran. */
  turns = 0;
  private queue: (Turn | undefined)[] = [];
  private head = 0;
  private readonly clock: Clock;
  private readonly timer;

  constructor(world: World) {
    this.clock = world.clock;
    this.timer = world.clock.timer(() => this.step());
  }

  /** Calls `turn` at this instant, behind everything that was posted before. */
  post(turn: Turn): void {
    this.queue.push(turn);
    if (this.timer.at < 0) this.clock.arm(this.timer, this.clock.now);
  }

  /** Callbacks that wait. */
  get waiting(): number {
    return this.queue.length - this.head;
  }

  private step(): void {
    const turn = this.queue[this.head]!;
    this.queue[this.head++] = undefined;
    if (this.head === this.queue.length) {
      this.queue.length = 0;
      this.head = 0;
    } else {
      if (this.head === COMPACT) {
        this.queue.splice(0, COMPACT);
        this.head = 0;
      }
      this.clock.arm(this.timer, this.clock.now);
    }
    this.turns++;
    try {
      turn.turn();
    } catch (e) {
      if (e instanceof Halt) throw e;
      // nobody caught it: the process's affair, as an exception in a callback of Node's loop is
      queueMicrotask(() => {
        throw e;
      });
    }
  }
}

const loops = new WeakMap<World, Loop>();

/** The one loop of a world. */
export function loopOf(world: World): Loop {
  let loop = loops.get(world);
  if (loop === undefined) loops.set(world, (loop = new Loop(world)));
  return loop;
}
