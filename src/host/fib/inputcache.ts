// src/host/fib/inputcache.ts: decisions on received packets, remembered until something that they rest on changes.
//
// A decision depends on the header's addresses and TOS, the device, the mark, and on tables, addresses, links and
// sysctls, each of which moves `Fib.generation`. Ways that a hash chooses among and refusals are not kept.

import type { Route } from "./route.ts";

/** Slots at first, and at most: a container has a handful of peers, a router many. */
const FIRST = 4;
const MOST = 4096;
const WORDS = 4;

export class InputCache {
  /** dst, src, ifindex << 8 | tos, mark: four words a slot. */
  private keys = new Int32Array(FIRST * WORDS);
  private routes: (Route | null)[] = Array.from({ length: FIRST }, () => null);
  /** Flags of the packet that the decision sets beside the route. */
  private redirects = new Int32Array(FIRST);
  private mask = FIRST - 1;
  private generation = -1;
  /** Decisions that found their slot taken since the size was last looked at. */
  private crowded = 0;
  /** The last decision depended on the key alone: it was found here, or is kept here now. */
  repeats = false;
  /** The flags that go with the route that `find` answered. */
  flags = 0;

  private slot(dst: number, src: number, where: number): number {
    const h = Math.imul(dst ^ Math.imul(src, 0x9e3779b1) ^ where, 0x85ebca6b);
    return (h ^ (h >>> 15)) & this.mask;
  }

  /** The remembered route, or null. All arguments as int32. */
  find(generation: number, dst: number, src: number, where: number, mark: number): Route | null {
    if (generation !== this.generation) {
      this.routes.fill(null);
      this.generation = generation;
      return null;
    }
    const slot = this.slot(dst, src, where);
    const { keys } = this;
    const k = slot * WORDS;
    if (keys[k] !== dst || keys[k + 1] !== src || keys[k + 2] !== where || keys[k + 3] !== mark) return null;
    this.flags = this.redirects[slot]!;
    return this.routes[slot]!;
  }

  /** Remembers a decision. */
  keep(dst: number, src: number, where: number, mark: number, route: Route, flags: number): void {
    let slot = this.slot(dst, src, where);
    if (this.routes[slot] !== null && ++this.crowded > this.mask && this.mask < MOST - 1) {
      this.grow((this.mask + 1) * 4);
      slot = this.slot(dst, src, where);
    }
    const { keys } = this;
    const k = slot * WORDS;
    keys[k] = dst;
    keys[k + 1] = src;
    keys[k + 2] = where;
    keys[k + 3] = mark;
    this.routes[slot] = route;
    this.redirects[slot] = flags;
  }

  private grow(size: number): void {
    this.keys = new Int32Array(size * WORDS);
    this.routes = Array.from({ length: size }, () => null);
    this.redirects = new Int32Array(size);
    this.mask = size - 1;
    this.crowded = 0;
  }
}
