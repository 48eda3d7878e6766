// src/transport/tcp/seq.ts: sequence numbers, RFC 9293 §3.4: modulo 2^32, kept as int32 so that they are small integers.

export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** low <= s <= high */
export function between(s: number, low: number, high: number): boolean {
  return (high - low) >>> 0 >= (s - low) >>> 0;
}

export function later(a: number, b: number): number {
  return before(a, b) ? b : a;
}

/** How many bytes `a` is behind `b`. */
export function span(a: number, b: number): number {
  return (a - b) | 0;
}
