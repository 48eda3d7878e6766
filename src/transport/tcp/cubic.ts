// src/transport/tcp/cubic.ts: CUBIC, RFC 9438, with HyStart (RFC 9406's forerunner, as Linux has it) to leave slow start.

import { MS, SECOND } from "../../link/clock.ts";
import { additiveIncrease, type Congestion, inSlowStart, isCwndLimited, slowStart } from "./congestion.ts";
import type { Connection } from "./connection.ts";
import { after } from "./seq.ts";

/** β_cubic = 717/1024 and C = 0.4 (RFC 9438 §4.6, §5), as Linux rounds them. */
const BETA = 717;
const SCALE = 1024;
const C = 0.4;
/** α_cubic for the Reno-friendly region: 3 (1 - β) / (1 + β), RFC 9438 §4.3. */
const FRIENDLY = Math.floor((8 * (SCALE + BETA)) / 3 / (SCALE - BETA));
/** The window is not computed more often than this. */
const INTERVAL = SECOND / 32;
const HYSTART_LOW_WINDOW = 16;
const HYSTART_MIN_SAMPLES = 8;
const HYSTART_DELAY_MIN = 4 * MS;
const HYSTART_DELAY_MAX = 16 * MS;
const HYSTART_ACK_DELTA = 2 * MS;

/** What CUBIC remembers of a connection; made when its window is large enough to matter, or lost something. */
export class Curve {
  private count = 0;
  private lastMax = 0;
  private lastCwnd = 0;
  private lastTime = -INTERVAL;
  private originPoint = 0;
  /** Seconds until the window is back at the origin point. */
  private k = 0;
  private delayMin = 0;
  private epoch = -1;
  private ackCount = 0;
  private friendlyCwnd = 0;
  // HyStart
  private roundEnd = 0;
  private roundStart = 0;
  private lastAck = 0;
  private currentRtt = Infinity;
  private samples = 0;
  private found = false;
  private started = false;

  /** `minRtt`: the shortest round trip so far, Infinity when none was seen. */
  constructor(minRtt: number) {
    if (minRtt !== Infinity) this.delayMin = minRtt;
  }

  private reset(): void {
    this.count = this.lastMax = this.lastCwnd = this.originPoint = this.k = this.delayMin = 0;
    this.lastTime = -INTERVAL;
    this.epoch = -1;
    this.ackCount = this.friendlyCwnd = 0;
    this.found = false;
  }

  private newRound(c: Connection): void {
    this.roundStart = this.lastAck = c.now;
    this.roundEnd = c.sndNxt;
    this.currentRtt = Infinity;
    this.samples = 0;
    this.started = true;
  }

  /** RFC 9438 §4.6, with fast convergence (§4.7). */
  ssthresh(c: Connection): number {
    this.epoch = -1;
    this.lastMax = c.cwnd < this.lastMax ? Math.floor((c.cwnd * (SCALE + BETA)) / (2 * SCALE)) : c.cwnd;
    return Math.max(Math.floor((c.cwnd * BETA) / SCALE), 2);
  }

  lost(c: Connection): void {
    this.reset();
    this.newRound(c);
  }

  /** The time without data does not count for the curve. */
  restarted(_c: Connection, idle: number): void {
    if (this.epoch >= 0 && idle > 0) this.epoch += idle;
  }

  sampled(c: Connection, rtt: number): void {
    // the first ACKs of a recovery tell of the queue that caused it
    if (this.epoch >= 0 && c.now - this.epoch < SECOND) {
      if (this.delayMin === 0) this.delayMin = rtt;
      return;
    }
    const delay = Math.max(rtt, 1);
    if (this.delayMin === 0 || this.delayMin > delay) this.delayMin = delay;
    if (!this.found && inSlowStart(c) && c.cwnd >= HYSTART_LOW_WINDOW) this.hystart(c, delay);
  }

  /** hystart_update: a train of ACKs as long as half the round trip, or a round trip that grew, ends slow start. */
  private hystart(c: Connection, delay: number): void {
    if (!this.started || after(c.sndUna, this.roundEnd)) this.newRound(c);
    const { now } = c;
    if (now - this.lastAck <= HYSTART_ACK_DELTA) {
      this.lastAck = now;
      if (now - this.roundStart > this.delayMin / 2) this.found = true;
    }
    if (this.currentRtt > delay) this.currentRtt = delay;
    if (this.samples < HYSTART_MIN_SAMPLES) this.samples++;
    else {
      const threshold = Math.min(Math.max(this.delayMin / 8, HYSTART_DELAY_MIN), HYSTART_DELAY_MAX);
      if (this.currentRtt > this.delayMin + threshold) this.found = true;
    }
    if (this.found) c.ssthresh = c.cwnd;
  }

  /** Segments that must be delivered for the window to grow by one. */
  grow(c: Connection, acked: number): number {
    this.update(c, acked);
    return this.count;
  }

  /** RFC 9438 §4.2 to §4.5: how many segments must be delivered for the window to grow by one. */
  private update(c: Connection, acked: number): void {
    const { now, cwnd } = c;
    this.ackCount += acked;
    if (this.lastCwnd === cwnd && now - this.lastTime <= INTERVAL) return;
    if (this.epoch < 0 || now !== this.lastTime) {
      this.lastCwnd = cwnd;
      this.lastTime = now;
      if (this.epoch < 0) {
        this.epoch = now;
        this.ackCount = acked;
        this.friendlyCwnd = cwnd;
        if (this.lastMax <= cwnd) {
          this.k = 0;
          this.originPoint = cwnd;
        } else {
          this.k = Math.cbrt((this.lastMax - cwnd) / C);
          this.originPoint = this.lastMax;
        }
      }
      const t = (now - this.epoch + this.delayMin) / SECOND - this.k;
      const target = this.originPoint + Math.trunc(C * t * t * t);
      this.count = target > cwnd ? Math.max(1, Math.floor(cwnd / (target - cwnd))) : 100 * cwnd;
      if (this.lastMax === 0 && this.count > 20) this.count = 20;
    }
    const delta = Math.max(1, Math.floor((cwnd * FRIENDLY) / 8));
    while (this.ackCount > delta) {
      this.ackCount -= delta;
      this.friendlyCwnd++;
    }
    if (this.friendlyCwnd > cwnd) this.count = Math.min(this.count, Math.floor(cwnd / (this.friendlyCwnd - cwnd)));
    this.count = Math.max(this.count, 2);
  }
}

export class Cubic implements Congestion {
  readonly name = "cubic";

  ssthresh(c: Connection): number {
    return curveOf(c).ssthresh(c);
  }

  lost(c: Connection): void {
    curveOf(c).lost(c);
  }

  restarted(c: Connection, idle: number): void {
    c.curve?.restarted(c, idle);
  }

  sampled(c: Connection, rtt: number): void {
    if (c.curve !== null || c.cwnd >= HYSTART_LOW_WINDOW) curveOf(c).sampled(c, rtt);
  }

  avoid(c: Connection, _ack: number, acked: number): void {
    if (!isCwndLimited(c)) return;
    if (inSlowStart(c)) {
      acked = slowStart(c, acked);
      if (acked === 0) return;
    }
    additiveIncrease(c, curveOf(c).grow(c, acked), acked);
  }
}

function curveOf(c: Connection): Curve {
  return (c.curve ??= new Curve(c.minRtt));
}
