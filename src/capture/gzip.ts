// src/capture/gzip.ts: captures that were compressed with gzip, as tshark reads them.

import { CaptureError } from "./format.ts";

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** The chunks of `source`, decompressed when they start with gzip's magic bytes 1f 8b (RFC 1952 §2.3.1). */
export async function* gunzipped(source: Source): AsyncGenerator<Uint8Array, void, undefined> {
  const rest = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  try {
    let head: Uint8Array = new Uint8Array(0);
    while (head.length < 2) {
      const { done, value } = await rest.next();
      if (done === true) break;
      if (head.length === 0 && value.length >= 2) {
        head = value;
      } else {
        // kept over a step of the source, which may reuse its chunk
        const joined = new Uint8Array(head.length + value.length);
        joined.set(head);
        joined.set(value, head.length);
        head = joined;
      }
    }
    if (head.length >= 2 && head[0] === 0x1f && head[1] === 0x8b) {
      yield* inflate(head, rest);
      return;
    }
    if (head.length > 0) yield head;
    for (;;) {
      const { done, value } = await rest.next();
      if (done === true) break;
      yield value;
    }
  } finally {
    await rest.return?.();
  }
}

async function* inflate(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let first: Uint8Array | null = head;
  let read = 0;
  let failure: unknown = null;
  const plain = new ReadableStream<BufferSource>(
    {
      async pull(controller) {
        try {
          const value: Uint8Array | undefined = first ?? (await rest.next()).value;
          first = null;
          if (value === undefined) return controller.close();
          read += value.length;
          // the source may reuse its chunk, the stream keeps what it is given
          controller.enqueue(new Uint8Array(value));
        } catch (e) {
          failure = e;
          controller.error(e);
        }
      },
    },
    { highWaterMark: 0 },
  ).pipeThrough(new DecompressionStream("gzip"));
  const reader = plain.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value as Uint8Array;
    }
  } catch (e) {
    if (failure !== null) throw failure;
    const reason = e instanceof Error ? e.message : String(e);
    throw new CaptureError(`gzip: ${reason}, ${read} bytes of it read`, read);
  } finally {
    await reader.cancel().catch(() => {});
  }
}
