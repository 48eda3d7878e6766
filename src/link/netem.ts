// src/link/netem.ts: netem: delay, loss, duplication, reordering, corruption and rate (Linux's net/sched/sch_netem.c).
//
// It stands on the wire behind the device: a capture there shows what was sent, the other end's what arrived.

import { Drop } from "../../assembly/drop.ts";
import { Pkt } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
import type { Timer } from "./clock.ts";
import { distribution, type DistributionName, SCALE } from "./distribution.ts";
import type { Interface } from "./interface.ts";
import { Prandom, seedOf } from "./prandom.ts";
import { TimeFifo } from "./timefifo.ts";
import type { Node } from "./world.ts";

/** A chance of 2^32 - 1 is certainty; a correlation likewise. */
export const ALWAYS = 0xffff_ffff;

export type LossModel =
  | { readonly kind: "random"; readonly chance: number; readonly correlation: number }
  /** Gilbert-Elliott: good to bad, bad to good, kept while bad (h), lost while good (1-k). */
  | { readonly kind: "gemodel"; readonly p: number; readonly r: number; readonly h: number; readonly k1: number }
  /** Four states: 1 kept in a gap, 2 kept in a burst, 3 lost in a burst, 4 lost alone. */
  | {
      readonly kind: "state";
      readonly p13: number;
      readonly p31: number;
      readonly p32: number;
      readonly p23: number;
      readonly p14: number;
    };

export interface Chance {
  readonly chance: number;
  readonly correlation: number;
}

/**
 * What netem is told. Chances and correlations are of 2^32 - 1, times nanoseconds, rates bytes a second. What is null or
 * left out was not said: `tc qdisc change` keeps it (rate, reorder, corrupt, distribution, correlations).
 */
export interface NetemOptions {
  readonly limit: number;
  readonly latency: number;
  readonly jitter: number;
  readonly delayCorrelation: number;
  /** Some correlation was said: those of delay, loss and duplication change together. */
  readonly correlated: boolean;
  readonly distribution: DistributionName | "uniform" | null;
  readonly loss: LossModel | null;
  /** Congestion Experienced instead of loss, where a packet can carry it. */
  readonly ecn: boolean;
  readonly duplicate: Chance;
  readonly reorder: Chance | null;
  readonly gap: number;
  readonly corrupt: Chance | null;
  readonly rate: { rate: number; packetOverhead: number; cellSize: number; cellOverhead: number } | null;
  /** Two halves of 64 bits. */
  readonly seed: readonly [number, number] | null;
}

/** A number that depends on the one before it (get_crandom). */
class Correlated {
  private rho = 0;
  private lastValue = 0;

  constructor(private readonly random: Prandom) {}

  set(correlation: number, start: number): void {
    this.rho = correlation;
    this.lastValue = start;
  }

  next(): number {
    const value = this.random.u32();
    if (this.rho === 0) return value;
    // (value (2^32 - rho) + last rho) / 2^32 of 64 bits, in halves so that every step is exact
    const rho = this.rho + 1;
    const other = 0x1_0000_0000 - rho;
    const last = this.lastValue;
    const high = value * Math.floor(other / 65536) + last * Math.floor(rho / 65536);
    const low = value * (other % 65536) + last * (rho % 65536);
    this.lastValue = Math.floor((high + Math.floor(low / 65536)) / 65536);
    return this.lastValue;
  }
}

/** Where the chain of a loss model stands; Gilbert-Elliott's good and bad are 1 and 2. */
const State = { TxInGap: 1, TxInBurst: 2, LostInGap: 3, LostInBurst: 4 } as const;

const NO_LOSS: LossModel = { kind: "random", chance: 0, correlation: 0 };

/** One direction of one wire. */
export class Netem implements Node {
  /** Packets and bytes let through, and what became of the others. */
  sent = 0;
  sentBytes = 0;
  dropped = 0;
  overlimits = 0;
  duplicated = 0;
  reordered = 0;
  corrupted = 0;
  marked = 0;
  /** Bytes waiting. */
  backlogBytes = 0;
  private readonly random: Prandom;
  /** What `seed` does not rule: where a correlation starts from, which bit is flipped. */
  private readonly otherRandom: Prandom;
  private readonly delayRandom: Correlated;
  private readonly lossRandom: Correlated;
  private readonly duplicateRandom: Correlated;
  private readonly reorderRandom: Correlated;
  private readonly corruptRandom: Correlated;
  private readonly queue = new TimeFifo();
  private readonly watchdog: Timer;
  private loss: LossModel = NO_LOSS;
  private state: number = State.TxInGap;
  private ecn = false;
  private limit = 1000;
  private latency = 0;
  private jitter = 0;
  private table: Int16Array | null = null;
  private duplicate = 0;
  private reorder = 0;
  private gap = 0;
  private counter = 0;
  private corrupt = 0;
  private rate = 0;
  private packetOverhead = 0;
  private cellSize = 0;
  private cellOverhead = 0;
  /** What holds now, as it was said. */
  options: NetemOptions;

  /** `output` takes what gets through. */
  constructor(
    private readonly dev: Interface,
    options: NetemOptions,
    private readonly output: (frame: Frame) => void,
  ) {
    const { world } = dev.owner;
    const name = `netem ${dev.owner.name}:${dev.name}`;
    this.random = new Prandom(seedOf(world.rng.seed, name), seedOf(world.rng.seed, `${name} high`));
    this.otherRandom = new Prandom(seedOf(world.rng.seed, `${name} other`), 0);
    this.delayRandom = new Correlated(this.random);
    this.lossRandom = new Correlated(this.random);
    this.duplicateRandom = new Correlated(this.random);
    this.reorderRandom = new Correlated(this.random);
    this.corruptRandom = new Correlated(this.random);
    this.watchdog = world.clock.timer(() => this.release());
    this.options = options;
    this.change(options);
  }

  /** netem_change: what is waiting stays. */
  change(o: NetemOptions): void {
    const before = this.options;
    this.options = {
      ...o,
      distribution: o.distribution ?? before.distribution,
      reorder: o.reorder ?? before.reorder,
      corrupt: o.corrupt ?? before.corrupt,
      rate: o.rate ?? before.rate,
    };
    if (o.seed !== null) this.random.seed(o.seed[0], o.seed[1]);
    this.limit = o.limit;
    this.latency = o.latency;
    // a distribution counts in 32 bits
    this.jitter = Math.min(o.jitter, 0x7fff_ffff);
    this.gap = o.gap;
    this.counter = 0;
    this.ecn = o.ecn;
    this.loss = o.loss ?? NO_LOSS;
    this.state = State.TxInGap;
    this.duplicate = o.duplicate.chance;
    const { distribution: shape, reorder, corrupt, rate } = this.options;
    this.table = shape === null || shape === "uniform" ? null : distribution(shape);
    this.reorder = reorder?.chance ?? 0;
    this.corrupt = corrupt?.chance ?? 0;
    this.rate = rate?.rate ?? 0;
    this.packetOverhead = rate?.packetOverhead ?? 0;
    this.cellSize = rate?.cellSize ?? 0;
    this.cellOverhead = rate?.cellOverhead ?? 0;
    const start = this.otherRandom;
    if (o.correlated) {
      this.delayRandom.set(o.delayCorrelation, start.u32());
      this.lossRandom.set(o.loss?.kind === "random" ? o.loss.correlation : 0, start.u32());
      this.duplicateRandom.set(o.duplicate.correlation, start.u32());
    }
    if (o.reorder !== null) this.reorderRandom.set(o.reorder.correlation, start.u32());
    if (o.corrupt !== null) this.corruptRandom.set(o.corrupt.correlation, start.u32());
  }

  /** Packets waiting. */
  get backlog(): number {
    return this.queue.length;
  }

  receive(_port: number, frame: Frame): void {
    this.enqueue(frame, this.duplicate);
  }

  /** netem_enqueue. A copy is not copied again, but may be lost or delayed by itself, and goes first. */
  private enqueue(frame: Frame, duplicate: number): void {
    const { owner } = this.dev;
    let twice = duplicate > 0 && duplicate >= this.duplicateRandom.next();
    if (this.isLost()) {
      if (this.ecn && this.markCe(frame)) this.marked++;
      else if (!twice) {
        this.dropped++;
        return owner.drop(frame, Drop.LinkLoss, this.dev);
      } else twice = false;
    }
    let copy = 0;
    if (twice) {
      copy = owner.world.x.packetCopy(frame);
      if (copy !== 0) this.duplicated++;
    }
    if (this.corrupt > 0 && this.corrupt >= this.corruptRandom.next()) this.flipBit(frame);
    if (this.queue.length >= this.limit) {
      this.overlimits++;
      this.dropped++;
      owner.drop(frame, Drop.QueueLimit, this.dev);
      if (copy !== 0) {
        this.dropped++;
        owner.drop(copy, Drop.QueueLimit, this.dev);
      }
      return;
    }
    if (copy !== 0) {
      if (owner.world.tracer !== null) owner.trace("originate", this.dev, copy, "netem: duplicate");
      this.enqueue(copy, 0);
    }
    if (this.gap !== 0 && this.counter >= this.gap - 1 && this.reorder >= this.reorderRandom.next()) {
      this.counter = 0;
      this.reordered++;
      return this.deliver(frame);
    }
    this.counter++;
    const now = owner.world.clock.now;
    const time = this.timeToSend(now, owner.world.core.u32[(frame + Pkt.Len) >> 2]!);
    if (time <= now && this.queue.length === 0) return this.deliver(frame);
    this.queue.push(time, frame);
    this.backlogBytes += owner.world.core.u32[(frame + Pkt.Len) >> 2]!;
    const { first } = this.queue;
    if (first <= now) this.release();
    else if (this.watchdog.at !== first) owner.world.clock.arm(this.watchdog, first);
  }

  /** Behind what is queued already when there is a rate: what it waited counts towards its delay. */
  private timeToSend(now: number, length: number): number {
    let delay = this.delay();
    if (this.rate === 0) return now + delay;
    let from = now;
    const { last } = this.queue;
    if (last !== -Infinity) {
      delay = Math.max(0, delay - (last - now));
      from = last;
    }
    return from + delay + this.packetTime(length);
  }

  /** tabledist */
  private delay(): number {
    const { latency, jitter, table } = this;
    if (jitter === 0) return latency;
    const random = this.delayRandom.next();
    if (table === null) return (random % (2 * jitter)) + latency - jitter;
    const t = table[random % table.length]!;
    const x = (jitter % SCALE) * t;
    return Math.trunc((x >= 0 ? x + SCALE / 2 : x - SCALE / 2) / SCALE) + Math.floor(jitter / SCALE) * t + latency;
  }

  /** packet_time_ns: how long `length` bytes, the Ethernet header among them, are on the wire. */
  private packetTime(length: number): number {
    let n = Math.max(0, length + this.packetOverhead);
    if (this.cellSize !== 0) n = Math.max(0, Math.ceil(n / this.cellSize) * (this.cellSize + this.cellOverhead));
    return Math.floor((n * 1e9) / this.rate);
  }

  private isLost(): boolean {
    const { loss } = this;
    switch (loss.kind) {
      case "random":
        return loss.chance > 0 && loss.chance >= this.lossRandom.next();
      case "gemodel": {
        if (this.state === State.TxInGap) {
          if (this.random.u32() < loss.p) this.state = State.TxInBurst;
          return this.random.u32() < loss.k1;
        }
        if (this.random.u32() < loss.r) this.state = State.TxInGap;
        return this.random.u32() > loss.h;
      }
      case "state":
        return this.isLostByState(loss.p13, loss.p31, loss.p32, loss.p23, loss.p14);
    }
  }

  /** loss_4state. A sum of two chances wraps, and a number equal to a limit moves nothing, as there. */
  private isLostByState(p13: number, p31: number, p32: number, p23: number, p14: number): boolean {
    const random = this.random.u32();
    switch (this.state) {
      case State.TxInGap:
        if (random < p14) {
          this.state = State.LostInBurst;
          return true;
        }
        if (p14 < random && random < (p13 + p14) >>> 0) {
          this.state = State.LostInGap;
          return true;
        }
        return false;
      case State.TxInBurst:
        if (random >= p23) return false;
        this.state = State.LostInGap;
        return true;
      case State.LostInGap:
        if (random < p32) this.state = State.TxInBurst;
        else if (p32 < random && random < (p31 + p32) >>> 0) this.state = State.TxInGap;
        else if ((p31 + p32) >>> 0 < random) return true;
        return false;
      default:
        this.state = State.TxInGap;
        return false;
    }
  }

  /** INET_ECN_set_ce; false where the packet is none that can carry it. */
  private markCe(frame: Frame): boolean {
    const { core, x } = this.dev.owner.world;
    const data = core.u32[(frame + Pkt.Data) >> 2]!;
    // what left by a device has its Ethernet header, and an IPv4 header of ours or checked on the way in
    const len = core.u32[(frame + Pkt.Len) >> 2]!;
    if (len < 34 || core.view.getUint16(data + 12, false) !== 0x0800) return false;
    const ecn = x.ipv4Tos(data + 14) & 3;
    if (ecn === 3) return true;
    if (ecn === 0) return false;
    x.packetPull(frame, 14);
    x.mangleTos(frame, 3, 3);
    x.packetPush(frame, 14);
    return true;
  }

  private flipBit(frame: Frame): void {
    const { owner } = this.dev;
    const { core } = owner.world;
    const at = this.otherRandom.below(core.u32[(frame + Pkt.Len) >> 2]!);
    const bit = this.otherRandom.below(8);
    core.u8[core.u32[(frame + Pkt.Data) >> 2]! + at]! ^= 1 << bit;
    this.corrupted++;
    if (owner.world.tracer !== null) {
      owner.trace("rewrite", this.dev, frame, `netem: corrupt byte ${at}, bit ${bit}`);
    }
  }

  /** Lets go of all whose time has come, and waits for the next. */
  private release(): void {
    const { clock, backlog } = this.dev.owner.world;
    // all leave before the first is looked at by the other host
    if (this.queue.first <= clock.now) backlog.hold(this.releaseDue);
    const { first } = this.queue;
    if (first !== Infinity) clock.arm(this.watchdog, first);
  }

  private readonly releaseDue = (): void => {
    const { now } = this.dev.owner.world.clock;
    while (this.queue.first <= now) {
      const frame = this.queue.shift();
      this.backlogBytes -= this.dev.owner.world.core.u32[(frame + Pkt.Len) >> 2]!;
      this.deliver(frame);
    }
  };

  private deliver(frame: Frame): void {
    this.sent++;
    this.sentBytes += this.dev.owner.world.core.u32[(frame + Pkt.Len) >> 2]!;
    this.output(frame);
  }

  /** The qdisc goes, or its device does: what waits is lost. */
  reset(): void {
    const { owner } = this.dev;
    owner.world.clock.cancel(this.watchdog);
    this.backlogBytes = 0;
    while (this.queue.length > 0) {
      this.dropped++;
      owner.drop(this.queue.shift(), Drop.LinkDown, this.dev);
    }
  }
}
