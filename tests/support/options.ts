// tests/support/options.ts: lists of options as TCP (RFC 9293 §3.1) and IPv4 (RFC 791 §3.1) share them, read slowly.

import fc from "fast-check";

export interface Option {
  /** Offset from the header's first byte. */
  readonly at: number;
  readonly kind: number;
  /** The bytes behind kind and length. */
  readonly data: number[];
}

/** The options behind the 20 fixed bytes of `header`, up to the end of the list or to the first that is broken. */
export function walk(header: Uint8Array): { whole: boolean; options: Option[] } {
  const options: Option[] = [];
  let at = 20;
  for (;;) {
    const rest = header.subarray(at);
    if (rest.length === 0 || rest[0] === 0) return { whole: true, options };
    if (rest[0] === 1) {
      at += 1;
      continue;
    }
    const n = rest[1] ?? 0;
    if (n < 2 || n > rest.length) return { whole: false, options };
    options.push({ at, kind: rest[0]!, data: [...rest.subarray(2, n)] });
    at += n;
  }
}

/** Forty bytes of options at most, a multiple of four: pieces of `kinds` with likely lengths, and noise. */
export function someOptions(kinds: readonly (readonly [kind: number, length: number])[]): fc.Arbitrary<Uint8Array> {
  const known = fc
    .tuple(fc.constantFrom(...kinds), fc.uint8Array({ minLength: 38, maxLength: 38 }))
    .map(([[kind, length], data]) => [kind, length, ...data.slice(0, Math.max(0, length - 2))]);
  const noop = fc.constant([1]);
  const end = fc.constant([0]);
  const noise = fc.uint8Array({ maxLength: 12 }).map((b) => [...b]);
  const piece = fc.oneof(
    { weight: 6, arbitrary: known },
    { weight: 2, arbitrary: noop },
    { weight: 1, arbitrary: end },
    { weight: 1, arbitrary: noise },
  );
  return fc.tuple(fc.array(piece, { maxLength: 8 }), fc.nat(10)).map(([pieces, words]) => {
    const all = pieces.flat();
    const n = Math.min(40, (Math.max(0, Math.ceil(all.length / 4)) || words) * 4);
    const bytes = new Uint8Array(n);
    bytes.set(all.slice(0, n));
    return bytes;
  });
}
