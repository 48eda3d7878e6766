// tests/capture/support.ts: captures in memory, and packets at random.

import fc from "fast-check";
import { CaptureError } from "../../src/capture/format.ts";
import { type CapturedPacket, CaptureReader, copyPacket } from "../../src/capture/reader.ts";
import type { TestPacket } from "./encode.ts";

export interface Outcome {
  reader: CaptureReader;
  packets: CapturedPacket[];
  errors: CaptureError[];
}

/** Reads a capture given in these chunks: every packet, every error, also those that come after the first. */
export function readAll(chunks: Iterable<Uint8Array>): Outcome {
  const reader = new CaptureReader();
  const packets: CapturedPacket[] = [];
  const errors: CaptureError[] = [];
  const guarded = (f: () => boolean): boolean => {
    try {
      return f();
    } catch (e) {
      if (!(e instanceof CaptureError)) throw e;
      errors.push(e);
      return true;
    }
  };
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let known = errors.length; guarded(() => reader.next()); known = errors.length) {
      if (errors.length === known) packets.push(copyPacket(reader));
    }
  }
  guarded(() => (reader.end(), true));
  guarded(() => (reader.end(), true));
  return { reader, packets, errors };
}

/** `bytes` cut at these places (modulo its length), each part in a buffer of its own that is overwritten afterwards. */
export function* split(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  const places = [...new Set(cuts.map((c) => c % (bytes.length + 1)))].toSorted((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    const part = Uint8Array.from(bytes.subarray(from, to));
    yield part;
    part.fill(0xa5);
    from = to;
  }
}

export function packet(interfaces: number): fc.Arbitrary<TestPacket> {
  return fc
    .record({
      interfaceId: fc.nat(interfaces - 1),
      seconds: fc.nat(0xffff_ffff),
      nanoseconds: fc.nat(999_999_999),
      data: fc.uint8Array({ maxLength: 200 }),
      more: fc.nat(2000),
      direction: fc.nat(2),
      comments: fc.array(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((s) => !s.endsWith("\0")),
        {
          maxLength: 3,
        },
      ),
    })
    .map(({ more, ...p }) => ({ ...p, originalLength: p.data.length + more }));
}

/** What a packet should read back as. */
export function expected(p: TestPacket, number: number, linkType: number): CapturedPacket {
  return { number, linkType, timed: true, capturedLength: p.data.length, ...p };
}
