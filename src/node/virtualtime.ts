// src/node/virtualtime.ts: the process's timers and clocks in virtual time: setTimeout, Date, performance.now, hrtime.

import { AsyncResource } from "node:async_hooks";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { promisify } from "node:util";
import type { Timer } from "../link/clock.ts";
import type { World } from "../link/world.ts";

const MS = 1_000_000;
/** The longest delay, as Node has it: longer ones are 1 ms. */
const LONGEST = 2 ** 31 - 1;

type Callback = (...args: unknown[]) => void;

/** What setTimeout gives, with Node's methods. */
export class VirtualTimeout {
  private readonly timer: Timer;
  private readonly resource = new AsyncResource("Timeout");
  private refed = true;

  constructor(
    private readonly time: VirtualTime,
    readonly id: number,
    callback: Callback,
    private readonly delay: number,
    repeats: boolean,
    args: unknown[],
  ) {
    this.timer = time.world.clock.timer(() => {
      if (repeats) this.refresh();
      else time.forget(this);
      time.turns++;
      this.resource.runInAsyncScope(callback, this, ...args);
    });
    this.refresh();
  }

  refresh(): this {
    const { clock } = this.time.world;
    clock.arm(this.timer, clock.now + this.delay * MS);
    return this;
  }

  close(): this {
    this.time.world.clock.cancel(this.timer);
    this.time.forget(this);
    return this;
  }

  ref(): this {
    this.refed = true;
    return this;
  }

  unref(): this {
    this.refed = false;
    return this;
  }

  hasRef(): boolean {
    return this.refed;
  }

  [Symbol.toPrimitive](): number {
    return this.id;
  }
}

/** `Symbol.dispose` where the runtime has it. */
const dispose = (Symbol as { dispose?: symbol }).dispose;
if (dispose !== undefined) {
  Object.defineProperty(VirtualTimeout.prototype, dispose, {
    value(this: VirtualTimeout) {
      this.close();
    },
  });
}

const require = createRequire(import.meta.url);

/** Puts a value in a property's place, and remembers how to undo it. */
class Patches {
  private readonly undo: (() => void)[] = [];

  set(target: object, key: PropertyKey, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(target, key);
    Object.defineProperty(target, key, {
      value,
      writable: true,
      configurable: true,
      enumerable: before?.enumerable ?? false,
    });
    this.undo.push(() => {
      if (before === undefined) delete (target as Record<PropertyKey, unknown>)[key];
      else Object.defineProperty(target, key, before);
    });
  }

  restore(): void {
    while (this.undo.length > 0) this.undo.pop()!();
  }
}

/** Installs virtual time in the process. One world at a time has it. */
export class VirtualTime {
  private static installed: VirtualTime | null = null;
  /** Timers' callbacks run so far. */
  turns = 0;
  private readonly timeouts = new Map<number, VirtualTimeout>();
  private readonly patches = new Patches();
  private nextId = 1;

  constructor(
    readonly world: World,
    /** Called around what the machine does in time of its own: answers what ends it. */
    private readonly hold: () => () => void,
  ) {}

  /** Milliseconds since 1970, as Date.now() gives them. */
  now(): number {
    return Number(this.world.epoch / 1_000_000n) + Math.floor(this.world.clock.now / MS);
  }

  install(): void {
    if (VirtualTime.installed !== null) throw new Error("another world has the process's timers already");
    VirtualTime.installed = this;
    const timers = require("node:timers") as object;
    const clear = (t: unknown): void => this.clear(t);
    for (const target of [globalThis, timers]) {
      this.patches.set(target, "setTimeout", this.setter(false));
      this.patches.set(target, "setInterval", this.setter(true));
      this.patches.set(target, "clearTimeout", clear);
      this.patches.set(target, "clearInterval", clear);
    }
    this.installPromises();
    this.installClocks();
    this.installWebAssembly();
    syncBuiltinESMExports();
  }

  restore(): void {
    if (VirtualTime.installed !== this) return;
    VirtualTime.installed = null;
    this.patches.restore();
    syncBuiltinESMExports();
  }

  /** What was set in this time is forgotten: nothing of it runs any more. */
  clearAll(): void {
    for (const t of this.timeouts.values()) t.close();
  }

  forget(t: VirtualTimeout): void {
    this.timeouts.delete(t.id);
  }

  private start(callback: unknown, delay: unknown, repeats: boolean, args: unknown[]): VirtualTimeout {
    if (typeof callback !== "function") {
      const e = new TypeError(`The "callback" argument must be of type function. Received ${typeof callback}`);
      throw Object.assign(e, { code: "ERR_INVALID_ARG_TYPE" });
    }
    let ms = Number(delay);
    // as Node: what is no number from 1 to 2^31-1 is 1
    if (!(ms >= 1 && ms <= LONGEST)) ms = 1;
    const t = new VirtualTimeout(this, this.nextId++, callback as Callback, Math.trunc(ms), repeats, args);
    this.timeouts.set(t.id, t);
    return t;
  }

  private setter(repeats: boolean): object {
    const set = (callback: unknown, delay?: unknown, ...args: unknown[]): VirtualTimeout =>
      this.start(callback, delay, repeats, args);
    if (repeats) return set;
    return Object.assign(set, {
      [promisify.custom]: (delay?: number, value?: unknown, options?: WaitOptions) => this.wait(delay, value, options),
    });
  }

  private clear(t: unknown): void {
    if (t instanceof VirtualTimeout) t.close();
    else if (typeof t === "number" || typeof t === "string") this.timeouts.get(Number(t))?.close();
  }

  /** timers/promises.setTimeout */
  private wait(delay?: number, value?: unknown, options: WaitOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const abort = (): void => {
        t.close();
        reject(aborted(signal!));
      };
      if (signal?.aborted === true) return reject(aborted(signal));
      const t = this.start(
        () => {
          signal?.removeEventListener("abort", abort);
          resolve(value);
        },
        delay,
        false,
        [],
      );
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  private installPromises(): void {
    const promises = require("node:timers/promises") as { scheduler?: object };
    const wait = (delay?: number, value?: unknown, options?: WaitOptions) => this.wait(delay, value, options);
    this.patches.set(promises, "setTimeout", wait);
    const interval = (delay?: number, value?: unknown, options?: WaitOptions) => this.interval(delay, value, options);
    this.patches.set(promises, "setInterval", interval);
    if (promises.scheduler !== undefined) {
      this.patches.set(promises.scheduler, "wait", (ms: number, o?: WaitOptions) => this.wait(ms, undefined, o));
    }
  }

  /** timers/promises.setInterval */
  private async *interval(delay?: number, value?: unknown, options?: WaitOptions): AsyncGenerator {
    for (;;) yield await this.wait(delay, value, options);
  }

  private installClocks(): void {
    const { patches, world } = this;
    patches.set(globalThis, "Date", this.dateClass());
    patches.set(performance, "now", () => world.clock.now / MS);
    patches.set(performance, "timeOrigin", Number(world.epoch / 1_000_000n));
    const bigint = (): bigint => BigInt(world.clock.now);
    const hrtime = (since?: [number, number]): [number, number] => {
      let s = Math.floor(world.clock.now / 1e9);
      let ns = world.clock.now % 1e9;
      if (since !== undefined) {
        s -= since[0];
        ns -= since[1];
        if (ns < 0) {
          s--;
          ns += 1e9;
        }
      }
      return [s, ns];
    };
    patches.set(process, "hrtime", Object.assign(hrtime, { bigint }));
  }

  private dateClass(): unknown {
    const Real = Date;
    const now = (): number => this.now();
    function VirtualDate(this: unknown, ...args: unknown[]): unknown {
      if (new.target === undefined) return new Real(now()).toString();
      return Reflect.construct(Real, args.length === 0 ? [now()] : args, new.target);
    }
    Object.defineProperties(VirtualDate, {
      prototype: { value: Real.prototype },
      name: { value: "Date" },
      length: { value: 7 },
      now: { value: now, writable: true, configurable: true },
      parse: { value: Real.parse, writable: true, configurable: true },
      UTC: { value: Real.UTC, writable: true, configurable: true },
    });
    return VirtualDate;
  }

  /** Compilation goes on in threads that nobody can ask: virtual time stands still until it is done. */
  private installWebAssembly(): void {
    const api = WebAssembly as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    for (const name of ["compile", "instantiate", "compileStreaming", "instantiateStreaming"]) {
      const real = api[name];
      if (real === undefined) continue;
      this.patches.set(api, name, (...args: unknown[]) => {
        const release = this.hold();
        const result = real.apply(api, args);
        const done = (): void => {
          release();
        };
        result.then(done, done);
        return result;
      });
    }
  }
}

interface WaitOptions {
  readonly signal?: AbortSignal;
  readonly ref?: boolean;
}

function aborted(signal: AbortSignal): Error {
  const e = new Error("The operation was aborted", { cause: signal.reason });
  return Object.assign(e, { name: "AbortError", code: "ABORT_ERR" });
}
