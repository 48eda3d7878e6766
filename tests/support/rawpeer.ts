// tests/support/rawpeer.ts: a host whose TCP is a test: it sees every segment and sends any.

import type { Frame } from "../../src/core/core.ts";
import { Flow } from "../../src/host/fib/flow.ts";
import type { Namespace } from "../../src/host/namespace.ts";
import type { Transport } from "../../src/host/transport.ts";
import type { Interface } from "../../src/link/interface.ts";
import { Segment } from "../../src/transport/tcp/segment.ts";
import { Pkt } from "../../assembly/layout.ts";

export interface Seen {
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly length: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

export interface RawSegment {
  readonly sport: number;
  readonly dport: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent?: number;
  /** Bytes of the header's options; padded to four with zeros by the caller. */
  readonly options?: Uint8Array;
  readonly data?: Uint8Array;
  /** Data offset as it stands in the header, in words; the true one without. */
  readonly offset?: number;
  readonly badChecksum?: boolean;
  readonly src?: number;
}

export class RawPeer implements Transport {
  readonly seen: Seen[] = [];
  count = 0;
  private readonly segment: Segment;
  private readonly flow = new Flow();

  constructor(
    readonly ns: Namespace,
    readonly address: number,
    readonly other: number,
  ) {
    this.segment = new Segment(ns.world.core);
    ns.transports.tcp = this;
  }

  receive(dev: Interface, frame: Frame): boolean {
    const seg = this.segment;
    seg.read(frame);
    const { seq, ack, flags, window, length, srcPort, dstPort } = seg;
    this.count++;
    this.seen.push({ seq, ack, flags, window, length, srcPort, dstPort });
    if (this.seen.length > 64) this.seen.shift();
    this.ns.consume(frame, dev, "raw");
    return true;
  }

  error(): void {}

  hasPort(): boolean {
    return false;
  }

  get last(): Seen | undefined {
    return this.seen.at(-1);
  }

  /** The segment as bytes in an IPv4 packet. */
  send(s: RawSegment): void {
    const { core, x } = this.ns.world;
    const options = s.options ?? new Uint8Array(0);
    const data = s.data ?? new Uint8Array(0);
    const bytes = new Uint8Array(20 + options.length + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, s.sport);
    view.setUint16(2, s.dport);
    view.setInt32(4, s.seq | 0);
    view.setInt32(8, s.ack | 0);
    view.setUint8(12, (s.offset ?? 5 + (options.length >> 2)) << 4);
    view.setUint8(13, s.flags);
    view.setUint16(14, s.window);
    view.setUint16(18, s.urgent ?? 0);
    bytes.set(options, 20);
    bytes.set(data, 20 + options.length);
    const scratch = x.alloc(bytes.length) >>> 0;
    core.u8.set(bytes, scratch);
    const src = s.src ?? this.address;
    const frame = x.ipBuild(scratch, bytes.length, 0, 1, 0, 64, 6, src, this.other);
    x.release(scratch, bytes.length);
    if (frame === 0) throw new Error("no buffer");
    const p = core.u32[(frame + Pkt.Trans) >> 2]!;
    x.tcpFillChecksum(p, bytes.length, src, this.other);
    if (s.badChecksum === true) core.u8[p + 16]! ^= 0x55;
    const { flow } = this;
    flow.clear();
    flow.dst = this.other;
    flow.src = this.address;
    this.ns.output.local(frame, this.ns.fib.routeOutput(flow)!);
  }
}
