// src/link/distribution.ts: the shapes of jitter: tc's tables normal, pareto and paretonormal (iproute2's netem/*.c).
//
// A table has 4096 values, drawn with the same chance each: how far from the mean, in 1/8192 of the standard deviation.

export const SCALE = 8192;
const STEPS = 16384;
const EVERY = 4;
/** The values that iproute2 tries lie this far apart. */
const GRID = 0.00005;
const FROM = -10;

export type DistributionName = "normal" | "pareto" | "paretonormal";

const made = new Map<DistributionName, Int16Array>();

/** The table as tc would send it to the kernel; made when first asked for. */
export function distribution(name: DistributionName): Int16Array {
  let table = made.get(name);
  if (table === undefined) {
    const values = shapes[name]();
    table = Int16Array.from(values, clamp);
    made.set(name, table);
  }
  return table;
}

const shapes: Record<DistributionName, () => number[]> = {
  normal,
  pareto,
  paretonormal: () => {
    const p = pareto().map(clamp);
    return normal().map((n, i) => Math.trunc(0.25 * (i === 0 ? n : clamp(n)) + 0.75 * p[i]!));
  },
};

function clamp(v: number): number {
  return Math.max(-32768, Math.min(32767, v));
}

function nearest(v: number): number {
  return Math.sign(v) * Math.round(Math.abs(v));
}

/** Of each quantile the last point of the grid that rounds to it. */
function normal(): number[] {
  const out: number[] = [];
  for (let i = 0; i < STEPS; i += EVERY) {
    const x = quantile((i + 0.5) / STEPS);
    out.push(nearest((Math.floor((x - FROM) / GRID) * GRID + FROM) * SCALE));
  }
  return out;
}

/** Pareto with exponent 3: mean 1.5, standard deviation 3/4. */
function pareto(): number[] {
  const out: number[] = [];
  for (let i = 65536; i > 0; i -= 16) out.push(nearest(((1 / Math.cbrt(i / 65536) - 1.5) * 4 * SCALE) / 3));
  return out;
}

/** The x below which a normal variable lies with chance p, by Newton's steps. */
function quantile(p: number): number {
  let x = 0;
  for (let i = 0; i < 60; i++) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    const step = (below(x, density) - p) / density;
    // far from the answer the tangent overshoots
    x -= Math.max(-0.5, Math.min(0.5, step));
    if (Math.abs(step) < 1e-13) break;
  }
  return x;
}

/** The chance that a normal variable lies below x: 1/2 + density (x + x^3/3 + x^5/(3 5) + ...). */
function below(x: number, density: number): number {
  let term = x;
  let sum = x;
  for (let k = 3; Math.abs(term) > 1e-18 * Math.abs(sum); k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + density * sum;
}
