// src/device/fdb.ts: a bridge's filtering database, IEEE 802.1D-2004 clause 7.9, as Linux keeps it (net/bridge/br_fdb.c).

import { SECOND } from "../link/clock.ts";
import type { Clock, Timer } from "../link/clock.ts";

/** Who an entry points at: a port, or null for the bridge device itself. */
export interface FdbTarget {
  readonly dev: { readonly name: string; readonly ifindex: number };
}

export interface FdbEntry<T extends FdbTarget> {
  /** The address: its upper 16 and lower 32 bits (signed, as the core answers). */
  readonly high: number;
  readonly low: number;
  /** 0 in a bridge without VLAN filtering. */
  readonly vid: number;
  port: T | null;
  /** Delivered to the bridge's own host; shown as `permanent`. */
  local: boolean;
  /** Never ages; without `local` shown as `static`. `setKind` changes both. */
  static: boolean;
  /** Never moves to another port. */
  sticky: boolean;
  /** When it was last seen as a source, in ns. */
  updated: number;
  /** Newer and older entry. */
  next: FdbEntry<T> | null;
  prev: FdbEntry<T> | null;
}

export interface FdbWatcher {
  changed(): void;
  settle(): void;
}

const MIN_GC = 10_000_000;

/**
 * Open addressing with linear probing over typed arrays: a look-up allocates nothing. The key's words are
 * (VID << 16 | upper 16 bits) and the lower 32 bits.
 */
export class Fdb<T extends FdbTarget> {
  private keyA = new Int32Array(64);
  private keyB = new Int32Array(64);
  private entries: (FdbEntry<T> | null)[] = Array<FdbEntry<T> | null>(64).fill(null);
  private mask = 63;
  /** All entries, newest first (`bridge fdb show` lists them so). */
  first: FdbEntry<T> | null = null;
  size = 0;
  /** Learned entries, and how many there may be; 0: no limit (fdb_max_learned). */
  learned = 0;
  maxLearned = 0;
  /** Hears of entries that go or change, and tells when they were used before that is asked. */
  watcher: FdbWatcher | null = null;
  private timer: Timer | null = null;
  private holdTime: number;

  constructor(
    private readonly clock: Clock,
    /** Centiseconds, as `ageing_time` is told. */
    ageing: number,
  ) {
    this.holdTime = (ageing * SECOND) / 100;
  }

  /** Nanoseconds after which an unused entry goes; 0: nothing is learned. */
  get hold(): number {
    return this.holdTime;
  }

  /** Sets the ageing time (centiseconds) and sweeps at once, as br_set_ageing_time does. */
  setAgeing(centiseconds: number): void {
    this.holdTime = (centiseconds * SECOND) / 100;
    this.watcher?.changed();
    this.sweep();
  }

  find(high: number, low: number, vid: number): FdbEntry<T> | null {
    const a = (vid << 16) | high;
    for (let i = hash(a, low) & this.mask; ; i = (i + 1) & this.mask) {
      const e = this.entries[i]!;
      if (e === null) return null;
      if (this.keyA[i] === a && this.keyB[i] === low) return e;
    }
  }

  /**
   * The address was seen as a source on the port (br_fdb_update): learned, refreshed, or moved to the port.
   * The bridge's own addresses stay; static ones move as Linux moves them (only sticky and local ones do not).
   * @returns true when the entry is new or moved.
   */
  learn(port: T, high: number, low: number, vid: number): boolean {
    if (this.holdTime === 0) return false;
    const e = this.find(high, low, vid);
    if (e === null) {
      if (this.maxLearned !== 0 && this.learned >= this.maxLearned) return false;
      this.insert(high, low, vid, port, false, false);
      return true;
    }
    if (e.local) return false;
    e.updated = this.clock.now;
    if (e.port === port || e.sticky) return false;
    e.port = port;
    this.watcher?.changed();
    return true;
  }

  /** Adds an entry that is not there yet. */
  insert(high: number, low: number, vid: number, port: T | null, local: boolean, isStatic: boolean): FdbEntry<T> {
    if ((this.size + 1) * 2 > this.mask) this.grow();
    const e: FdbEntry<T> = {
      high,
      low,
      vid,
      port,
      local,
      static: isStatic,
      sticky: false,
      updated: this.clock.now,
      next: this.first,
      prev: null,
    };
    if (this.first !== null) this.first.prev = e;
    this.first = e;
    this.place(e);
    this.size++;
    if (!isStatic) {
      this.learned++;
      this.arm(e.updated + this.holdTime);
    }
    return e;
  }

  /** Makes it permanent, static or learned. */
  setKind(e: FdbEntry<T>, local: boolean, isStatic: boolean): void {
    this.watcher?.changed();
    e.local = local;
    e.updated = this.clock.now;
    if (e.static === isStatic) return;
    e.static = isStatic;
    this.learned += isStatic ? -1 : 1;
    if (!isStatic) this.arm(e.updated + this.holdTime);
  }

  remove(e: FdbEntry<T>): void {
    this.watcher?.changed();
    let i = hash((e.vid << 16) | e.high, e.low) & this.mask;
    while (this.entries[i] !== e) i = (i + 1) & this.mask;
    // close the gap, so that probing needs no tombstones
    for (let j = (i + 1) & this.mask; this.entries[j] !== null; j = (j + 1) & this.mask) {
      const home = hash(this.keyA[j]!, this.keyB[j]!) & this.mask;
      if (((j - home) & this.mask) < ((j - i) & this.mask)) continue;
      this.keyA[i] = this.keyA[j]!;
      this.keyB[i] = this.keyB[j]!;
      this.entries[i] = this.entries[j]!;
      i = j;
    }
    this.entries[i] = null;
    if (e.prev !== null) e.prev.next = e.next;
    else this.first = e.next;
    if (e.next !== null) e.next.prev = e.prev;
    e.next = e.prev = null;
    this.size--;
    if (!e.static) this.learned--;
  }

  /** Removes what `which` names; entries that it keeps stay in their order. */
  removeWhere(which: (e: FdbEntry<T>) => boolean): number {
    let n = 0;
    for (let e = this.first; e !== null;) {
      const next: FdbEntry<T> | null = e.next;
      if (which(e)) {
        this.remove(e);
        n++;
      }
      e = next;
    }
    return n;
  }

  /** True when the entry's time is over and the next sweep takes it. */
  expired(e: FdbEntry<T>): boolean {
    this.watcher?.settle();
    return !e.static && e.updated + this.holdTime <= this.clock.now;
  }

  /** br_fdb_cleanup: takes what is old, and comes again when the next entry will be; never more often than in 10 ms. */
  private sweep(): void {
    if (this.timer !== null) this.clock.cancel(this.timer);
    this.timer = null;
    this.watcher?.settle();
    let soonest = Infinity;
    for (let e = this.first; e !== null;) {
      const next: FdbEntry<T> | null = e.next;
      if (!e.static) {
        const at = e.updated + this.holdTime;
        if (at <= this.clock.now) this.remove(e);
        else if (at < soonest) soonest = at;
      }
      e = next;
    }
    if (soonest !== Infinity) this.arm(Math.max(soonest, this.clock.now + MIN_GC));
  }

  private arm(at: number): void {
    if (this.timer !== null && this.timer.at >= 0) return;
    this.timer = this.clock.at(at, () => this.sweep());
  }

  private place(e: FdbEntry<T>): void {
    const a = (e.vid << 16) | e.high;
    let i = hash(a, e.low) & this.mask;
    while (this.entries[i] !== null) i = (i + 1) & this.mask;
    this.keyA[i] = a;
    this.keyB[i] = e.low;
    this.entries[i] = e;
  }

  private grow(): void {
    const size = (this.mask + 1) * 2;
    this.keyA = new Int32Array(size);
    this.keyB = new Int32Array(size);
    this.entries = Array<FdbEntry<T> | null>(size).fill(null);
    this.mask = size - 1;
    for (let e = this.first; e !== null; e = e.next) this.place(e);
  }
}

/** Mixes both words (the finalizer of MurmurHash3). */
function hash(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ b;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
