// src/node/bench/measure.ts: one figure: warmed up, our runs and the peers' in turn, medians and spread.

/** What a peer's missing figure is for. Its message is printed: `not installed`, `needs root`, a mismatch. */
export class Absent extends Error {}

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One row as `--json` prints it. */
export interface Result extends Summary {
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  /** Timed runs, of ours and of each peer. */
  readonly runs: number;
  readonly peers: Readonly<Record<string, Summary>>;
  /** How many times as good as the peer: the median over the runs of each run's ratio; above 1 is ours. */
  readonly ratio: Readonly<Record<string, number>>;
  /** Peers that were not timed, and why. */
  readonly absent: Readonly<Record<string, string>>;
  /** Of a row of a growing series: times the cost of its first row, the median over the runs. */
  readonly growth?: number;
  /** What was measured, in words. */
  readonly note: string;
}

export type Better = "less" | "more";
type Maybe<T> = T | Promise<T>;

export interface Peer {
  readonly name: string;
  /** The peer's results in few characters, as ours are in `Figure.answer`; none where there is nothing to compare. */
  readonly answer?: () => Maybe<string>;
  /** What `answer` has to be, where the peer does less than the whole; else the figure's. */
  readonly expect?: () => Maybe<string>;
  /** One run: the figure, in the row's unit. */
  readonly run: () => Maybe<number>;
}

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  readonly note: string;
  /** Our results, which each peer's must equal before it is timed. */
  readonly answer?: () => Maybe<string>;
  readonly run: () => Maybe<number>;
  readonly peers?: readonly Peer[];
  readonly absent?: Readonly<Record<string, string>>;
  /** For what does not vary, such as bytes: one run, not warmed up. */
  readonly once?: boolean;
  /** Runs that are not timed, at first: as many as V8 needs to compile what is long (default 1). */
  readonly warm?: number;
  /**
   * A run is the median of so many short slices, in turn with the peers' (default 1): on a machine that is shared, a
   * slice of a few milliseconds is mostly undisturbed.
   */
  readonly slices?: number;
}

/** Median, least and greatest of at least one number. */
export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const n = sorted.length;
  const high = sorted[n >> 1]!;
  return { median: n % 2 === 1 ? high : (sorted[n / 2 - 1]! + high) / 2, min: sorted[0]!, max: sorted[n - 1]! };
}

/** A number above 1 when `ours` is the better of the two. */
function ratioOf(better: Better, ours: number, theirs: number): number {
  return better === "less" ? theirs / ours : ours / theirs;
}

/** Checks the peers, warms all up, then times them in turn, `runs` times. */
export async function measure(figure: Figure, runs: number): Promise<Result> {
  const absent: Record<string, string> = { ...figure.absent };
  const answer = figure.answer === undefined ? null : await figure.answer();
  const peers: Peer[] = [];
  for (const peer of figure.peers ?? []) {
    const why = await refusal(peer, answer);
    if (why === null) peers.push(peer);
    else absent[peer.name] = why;
  }
  const rounds = figure.once === true ? 1 : runs;
  const slices = figure.once === true ? 1 : (figure.slices ?? 1);
  for (let i = figure.once === true ? 0 : (figure.warm ?? 1); i > 0; i--) await figure.run();
  const ours: number[] = [];
  const theirs = new Map<string, number[]>(peers.map((p) => [p.name, []]));
  for (let i = 0; i < rounds; i++) {
    const own: number[] = [];
    const other = new Map<string, number[]>(peers.map((p) => [p.name, []]));
    for (let k = 0; k < slices; k++) {
      own.push(await figure.run());
      for (const peer of peers) if (!Object.hasOwn(absent, peer.name)) await slice(peer, other.get(peer.name)!, absent);
    }
    ours.push(summary(own).median);
    for (const [name, list] of other) if (list.length > 0) theirs.get(name)!.push(summary(list).median);
  }
  const named: Record<string, Summary> = {};
  const ratio: Record<string, number> = {};
  for (const [name, list] of theirs) {
    if (Object.hasOwn(absent, name)) continue;
    named[name] = summary(list);
    ratio[name] = summary(list.map((v, i) => ratioOf(figure.better, ours[i]!, v))).median;
  }
  const { name, unit, better, note } = figure;
  return { name, unit, better, ...summary(ours), runs: rounds, peers: named, ratio, absent, note };
}

/** One timing of a peer; one that fails is out from then on. */
async function slice(peer: Peer, to: number[], absent: Record<string, string>): Promise<void> {
  try {
    to.push(await peer.run());
  } catch (e) {
    absent[peer.name] = `failed: ${firstLine(e)}`;
  }
}

/** Runs the peer once, to check it and to warm it up. Why it cannot be timed, or null. */
async function refusal(peer: Peer, answer: string | null): Promise<string | null> {
  try {
    const expected = peer.expect === undefined ? answer : await peer.expect();
    if (peer.answer !== undefined && expected !== null) {
      const theirs = await peer.answer();
      if (theirs !== expected) return `mismatch: it answers ${theirs}, wirepath ${expected}`;
    }
    await peer.run();
    return null;
  } catch (e) {
    return e instanceof Absent ? e.message : `failed: ${firstLine(e)}`;
  }
}

function firstLine(e: unknown): string {
  return (e instanceof Error ? e.message : String(e)).split("\n")[0]!;
}

/** Milliseconds, with fractions, since some time. */
export function now(): number {
  return performance.now();
}
