// src/host/netemwords.ts: what follows `netem` on tc's command line (tc-netem(8)), as iproute2's q_netem.c reads it.

import { ALWAYS, type Chance, type LossModel, type NetemOptions } from "../link/netem.ts";
import { TextError } from "./text.ts";

interface Word {
  readonly text: string;
  readonly column: number;
}

/** Reads `delay 10ms 2ms loss 1% ...`; what is wrong throws `TextError` with its place. */
export function parseNetem(text: string): NetemOptions {
  return new Parser(text).read();
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const NONE: Chance = { chance: 0, correlation: 0 };

const keywords = [
  "limit",
  "latency",
  "delay",
  "loss",
  "drop",
  "seed",
  "ecn",
  "reorder",
  "corrupt",
  "gap",
  "duplicate",
  "distribution",
  "rate",
  "slot",
] as const;

class Parser {
  private readonly words: Word[] = [];
  private at = 0;
  private readonly options: Mutable<NetemOptions> = {
    limit: 1000,
    latency: 0,
    jitter: 0,
    delayCorrelation: 0,
    correlated: false,
    distribution: null,
    loss: null,
    ecn: false,
    duplicate: NONE,
    reorder: null,
    gap: 0,
    corrupt: null,
    rate: null,
    seed: null,
  };

  constructor(private readonly text: string) {
    for (const m of text.matchAll(/\S+/g)) this.words.push({ text: m[0], column: m.index + 1 });
  }

  read(): NetemOptions {
    const o = this.options;
    const where = new Map<string, Word>();
    while (this.at < this.words.length) {
      const word = this.words[this.at++]!;
      // tc takes what a keyword starts with, the first of them in its own order
      const keyword = keywords.find((k) => k.startsWith(word.text));
      if (keyword === undefined) {
        throw new TextError(1, word.column, `netem: '${word.text}', expected one of ${keywords.join(", ")}`);
      }
      where.set(keyword, word);
      this[keyword](word);
    }
    const place = (keyword: string): number => where.get(keyword)!.column;
    if (o.reorder !== null && o.reorder.chance > 0) {
      if (o.latency === 0) throw new TextError(1, place("reorder"), "netem: reorder, expected a delay with it");
      if (o.gap === 0) o.gap = 1;
    } else if (o.gap > 0) throw new TextError(1, place("gap"), "netem: gap, expected reorder with it");
    if (o.ecn && o.loss === null) throw new TextError(1, place("ecn"), "netem: ecn, expected loss with it");
    if (where.has("distribution") && (o.latency === 0 || o.jitter === 0)) {
      throw new TextError(1, place("distribution"), "netem: distribution, expected a delay and a jitter with it");
    }
    return o;
  }

  private limit(): void {
    this.options.limit = this.size("a number of packets");
  }

  private latency(): void {
    const o = this.options;
    o.latency = this.time("a time such as 10ms");
    if (!this.isNumber()) return;
    o.jitter = this.time("a jitter such as 2ms");
    if (!this.isNumber()) return;
    o.delayCorrelation = this.correlation();
  }

  private delay(): void {
    this.latency();
  }

  private loss(keyword: Word): void {
    if (this.options.loss !== null) throw new TextError(1, keyword.column, `netem: '${keyword.text}' is there already`);
    this.options.loss = this.lossModel();
  }

  private drop(keyword: Word): void {
    this.loss(keyword);
  }

  private lossModel(): LossModel {
    const kind = this.words[this.at]?.text;
    switch (kind) {
      case "state": {
        this.at++;
        const p13 = this.percent("p13, such as 1%");
        const [p31, p32, p23, p14] = this.percents([ALWAYS - p13, 0, ALWAYS, 0]);
        return { kind: "state", p13, p31: p31!, p32: p32!, p23: p23!, p14: p14! };
      }
      case "gemodel": {
        this.at++;
        const p = this.percent("p, such as 1%");
        const [r, lostWhileBad, k1] = this.percents([ALWAYS - p, ALWAYS, 0]);
        return { kind: "gemodel", p, r: r!, h: ALWAYS - lostWhileBad!, k1: k1! };
      }
      default: {
        if (kind === "random") this.at++;
        const chance = this.percent("a percentage, random, state or gemodel");
        return { kind: "random", chance, correlation: this.isNumber() ? this.correlation() : 0 };
      }
    }
  }

  /** As many percentages as follow, and the defaults for those that do not. */
  private percents(defaults: number[]): number[] {
    return defaults.map((d) => (this.isNumber() ? this.percent("a percentage") : d));
  }

  private seed(): void {
    const word = this.next("a number");
    if (!/^\d+$/.test(word.text) || BigInt(word.text) >= 1n << 64n) {
      throw new TextError(1, word.column, `netem: seed '${word.text}', expected a number of 64 bits`);
    }
    const seed = BigInt(word.text);
    this.options.seed = [Number(seed >> 32n), Number(seed & 0xffff_ffffn)];
  }

  private ecn(): void {
    this.options.ecn = true;
  }

  private reorder(): void {
    this.options.reorder = this.chance();
  }

  private corrupt(): void {
    this.options.corrupt = this.chance();
  }

  private duplicate(): void {
    this.options.duplicate = this.chance();
  }

  private chance(): Chance {
    const chance = this.percent("a percentage such as 1%");
    return { chance, correlation: this.isNumber() ? this.correlation() : 0 };
  }

  private gap(): void {
    this.options.gap = this.integer("a number of packets", 0, ALWAYS);
  }

  private distribution(): void {
    const word = this.next("uniform, normal, pareto or paretonormal");
    switch (word.text) {
      case "uniform":
      case "normal":
      case "pareto":
      case "paretonormal":
        this.options.distribution = word.text;
        return;
      default:
        throw new TextError(
          1,
          word.column,
          `netem: distribution '${word.text}', expected uniform, normal, pareto or paretonormal`,
        );
    }
  }

  private rate(): void {
    const rate = this.bytesPerSecond();
    const s32 = 0x7fff_ffff;
    const packetOverhead = this.isSigned() ? this.integer("a packet's overhead in bytes", -s32, s32) : 0;
    const cellSize = this.isNumber() ? this.integer("a cell's size in bytes", 0, s32) : 0;
    const cellOverhead = this.isSigned() ? this.integer("a cell's overhead in bytes", -s32, s32) : 0;
    this.options.rate = { rate, packetOverhead, cellSize, cellOverhead };
  }

  private slot(word: Word): void {
    throw new TextError(1, word.column, "netem: slot is not supported");
  }

  // -- words

  private next(what: string): Word {
    const word = this.words[this.at++];
    if (word === undefined) throw new TextError(1, this.text.length + 1, `netem: the line ends, expected ${what}`);
    return word;
  }

  private isNumber(): boolean {
    return /^\d/.test(this.words[this.at]?.text ?? "");
  }

  private isSigned(): boolean {
    return /^[\d-]/.test(this.words[this.at]?.text ?? "");
  }

  private integer(what: string, least: number, most: number): number {
    const word = this.next(what);
    const n = /^-?(0x[0-9a-f]+|\d+)$/i.test(word.text) ? Number(word.text) : NaN;
    if (!(n >= least && n <= most)) throw new TextError(1, word.column, `netem: '${word.text}', expected ${what}`);
    return n;
  }

  private correlation(): number {
    this.options.correlated = true;
    return this.percent("a correlation such as 25%");
  }

  /** Of 2^32 - 1; a number without % is in percent as well. */
  private percent(what: string): number {
    const word = this.next(what);
    const m = /^(\d+\.?\d*|\.\d+)%?$/.exec(word.text);
    const p = m === null ? NaN : Number(m[1]) / 100;
    if (!(p >= 0 && p <= 1)) {
      throw new TextError(1, word.column, `netem: '${word.text}', expected ${what}, 0% to 100%`);
    }
    return nearestEven(p * ALWAYS);
  }

  /** Nanoseconds; a number without a unit is in microseconds. */
  private time(what: string): number {
    const word = this.next(what);
    const m = /^(\d+\.?\d*|\.\d+)(ns|nsecs?|us|usecs?|ms|msecs?|s|secs?)?$/i.exec(word.text);
    const ns = m === null ? NaN : Math.round(Number(m[1]) * times[(m[2] ?? "us").toLowerCase().replace(/ecs?$/, "")]!);
    // tc counts microseconds in 32 bits
    if (!(ns <= 0xffff_ffff * 1000)) {
      throw new TextError(1, word.column, `netem: '${word.text}', expected ${what}, at most 4294 s`);
    }
    return ns;
  }

  private size(what: string): number {
    const word = this.next(what);
    const m = /^(\d+\.?\d*|\.\d+)(k|kb|kbit|m|mb|mbit|g|gb|gbit|b)?$/i.exec(word.text);
    const n = m === null ? NaN : Math.trunc(Number(m[1]) * sizes[(m[2] ?? "b").toLowerCase()]!);
    if (!(n <= ALWAYS)) throw new TextError(1, word.column, `netem: '${word.text}', expected ${what}`);
    return n;
  }

  /** `1gbit`, `100kbps` (bytes), `10mibit`; a bare number is in bits a second. */
  private bytesPerSecond(): number {
    const word = this.next("a rate such as 1gbit");
    const m = /^(\d+\.?\d*|\.\d+)(?:(?:([kmgt])(i)?)?(bit|bps))?$/i.exec(word.text);
    if (m === null) throw new TextError(1, word.column, `netem: rate '${word.text}', expected one such as 1gbit`);
    const base = m[3] === undefined ? 1000 : 1024;
    const unit = m[2] === undefined ? 1 : base ** ("kmgt".indexOf(m[2].toLowerCase()) + 1);
    const bits = m[4]?.toLowerCase() === "bps" ? 1 : 8;
    const rate = Math.trunc((Number(m[1]) * unit) / bits);
    if (rate > Number.MAX_SAFE_INTEGER) throw new TextError(1, word.column, `netem: rate '${word.text}' is too large`);
    return rate;
  }
}

/** rint(3) */
function nearestEven(x: number): number {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

const times: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
/** As tc reads them, bits of eight among the bytes. */
const sizes: Record<string, number> = {
  b: 1,
  k: 1024,
  kb: 1024,
  kbit: 128,
  m: 1048576,
  mb: 1048576,
  mbit: 131072,
  g: 1073741824,
  gb: 1073741824,
  gbit: 134217728,
};
