// src/lab/feed.ts: captures into a replay, in the order of their times.

import { CaptureError, Direction, LinkType } from "../capture/format.ts";
import { type CaptureReader, readCapture } from "../capture/reader.ts";
import type { Namespace } from "../host/namespace.ts";
import type { Interface } from "../link/interface.ts";
import { type Replay, zeroOf } from "./replay.ts";
import type { Verification } from "./verify.ts";

export interface Source {
  /** What errors call it. */
  readonly name: string;
  /** Whose capture it is. */
  readonly node: Namespace;
  /** Gets what the real node sent; null: nobody asks. */
  readonly verification: Verification | null;
  /** The device that received all of it; null: the capture names its interfaces and directions. */
  readonly iface: string | null;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A source with its next packet at hand. */
class Stream {
  private reader: CaptureReader | null = null;
  private readonly chunks: AsyncGenerator<CaptureReader, void, undefined>;

  constructor(readonly source: Source) {
    this.chunks = readCapture(source.chunks);
  }

  /** Moves to the next packet; false at the end. */
  async next(): Promise<boolean> {
    try {
      for (;;) {
        if (this.reader?.next() === true) return true;
        const step = await this.chunks.next();
        if (step.done === true) return false;
        this.reader = step.value;
      }
    } catch (e) {
      throw e instanceof CaptureError ? new Error(`${this.source.name}: ${e.message}`, { cause: e }) : e;
    }
  }

  get packet(): CaptureReader {
    return this.reader!;
  }

  error(what: string): Error {
    return new Error(`${this.source.name}: packet ${this.packet.number}: ${what}`);
  }
}

/** Nanoseconds after the last packet during which timers still run. */
const grace = 50_000_000;

/**
 * Feeds every inbound packet; outbound ones go to the verification. What came over a link of the lab comes by that link
 * again, and is not fed. Throws on damage after all packets before it.
 */
export async function feedCaptures(replay: Replay, sources: readonly Source[]): Promise<void> {
  const streams = sources.map((s) => new Stream(s));
  const live: Stream[] = [];
  let last = 0;
  let zero = -1;
  try {
    for (const s of streams) if (await s.next()) live.push(s);
    while (live.length > 0) {
      let first = live[0]!;
      for (const s of live) if (earlier(s.packet, first.packet)) first = s;
      const p = first.packet;
      if (zero < 0) zero = Number(zeroOf(BigInt(p.seconds) * 1_000_000_000n + BigInt(p.nanoseconds)) / 1_000_000_000n);
      const time = Math.max(0, (p.seconds - zero) * 1e9 + p.nanoseconds);
      last = Math.max(last, time);
      packet(replay, first, time);
      if (!(await first.next())) live.splice(live.indexOf(first), 1);
    }
  } finally {
    replay.finish(last + grace);
  }
}

function earlier(a: CaptureReader, b: CaptureReader): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds < b.nanoseconds);
}

function packet(replay: Replay, stream: Stream, time: number): void {
  const p = stream.packet;
  if (p.linkType !== LinkType.Ethernet) throw stream.error(`link type ${p.linkType}, expected Ethernet (1)`);
  const dev = device(stream);
  const outbound = stream.source.iface === null && isOutbound(replay, stream, dev);
  if (outbound) {
    stream.source.verification?.expect(dev.name, p.number, p.data());
    return;
  }
  // what a bridge device receives came in by one of its ports, which the capture has as well
  if (dev.kind === "bridge" || dev.peer !== null) return;
  if (p.capturedLength < p.originalLength) {
    throw stream.error(`${p.capturedLength} of ${p.originalLength} bytes captured, a replay needs whole frames`);
  }
  replay.feed(dev, time, p.buffer, p.offset, p.capturedLength);
}

function device(stream: Stream): Interface {
  const { iface } = stream.source;
  const p = stream.packet;
  const name = iface ?? p.interfaces[p.interfaceId]?.name;
  if (name === undefined) {
    throw new Error(
      `${stream.source.name}: interface ${p.interfaceId} has no name, expected --in IF=FILE for such captures`,
    );
  }
  const dev = stream.source.node.byName.get(name);
  if (dev === undefined) throw stream.error(`interface '${name}', which ${stream.source.node.name} does not have`);
  return dev;
}

/** Where the direction is not told, a frame from the device's own address is one that it sent. */
function isOutbound(replay: Replay, stream: Stream, dev: Interface): boolean {
  const p = stream.packet;
  if (p.direction !== Direction.Unknown) return p.direction === Direction.Out;
  const { u8 } = replay.world.core;
  for (let i = 0; i < 6; i++) if (p.buffer[p.offset + 6 + i] !== u8[dev.mac + i]) return false;
  return true;
}
