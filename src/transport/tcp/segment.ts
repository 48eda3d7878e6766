// src/transport/tcp/segment.ts: the segment that is being received, as the core read it.

import { Seg, SegOpt } from "../../../assembly/tcplayout.ts";
import type { Core, Frame } from "../../core/core.ts";
import { FIN, SYN } from "./state.ts";

/** One object is filled again and again. Sequence numbers and timestamps are int32, addresses u32 in host order. */
export class Segment {
  seq = 0;
  /** One behind the last: data, SYN and FIN. */
  end = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header. */
  window = 0;
  urgent = 0;
  /** Address and length of the data. */
  payload = 0;
  length = 0;
  /** Bytes of TCP header. */
  headerLen = 20;
  options = 0;
  mss = 0;
  shift = 0;
  tsval = 0;
  tsecr = 0;
  sackCount = 0;
  src = 0;
  dst = 0;
  srcPort = 0;
  dstPort = 0;
  tos = 0;
  /** Where the pairs of the SACK option are, as an index into `i32`. */
  readonly sackAt: number;
  readonly i32: Int32Array;
  private readonly at: number;

  constructor(private readonly core: Core) {
    this.i32 = new Int32Array(core.u32.buffer);
    this.at = core.x.tcpRecord() >>> 2;
    this.sackAt = this.at + (Seg.Sack >> 2);
  }

  read(frame: Frame): void {
    this.core.x.tcpRead(frame);
    const { i32, at } = this;
    this.seq = i32[at + (Seg.Seq >> 2)]!;
    this.ack = i32[at + (Seg.Ack >> 2)]!;
    this.flags = i32[at + (Seg.Flags >> 2)]!;
    this.window = i32[at + (Seg.Window >> 2)]!;
    this.urgent = i32[at + (Seg.Urgent >> 2)]!;
    this.payload = i32[at + (Seg.Payload >> 2)]!;
    this.length = i32[at + (Seg.Len >> 2)]!;
    this.headerLen = i32[at + (Seg.HeaderLen >> 2)]!;
    this.options = i32[at + (Seg.Options >> 2)]!;
    this.src = i32[at + (Seg.Src >> 2)]! >>> 0;
    this.dst = i32[at + (Seg.Dst >> 2)]! >>> 0;
    this.srcPort = i32[at + (Seg.SrcPort >> 2)]!;
    this.dstPort = i32[at + (Seg.DstPort >> 2)]!;
    this.tos = i32[at + (Seg.Tos >> 2)]!;
    const { options, flags } = this;
    if (options !== 0) {
      this.tsval = i32[at + (Seg.Tsval >> 2)]!;
      this.tsecr = i32[at + (Seg.Tsecr >> 2)]!;
      this.mss = i32[at + (Seg.Mss >> 2)]!;
      this.shift = i32[at + (Seg.Shift >> 2)]!;
    }
    this.sackCount = (options & SegOpt.Sack) !== 0 ? i32[at + (Seg.SackCount >> 2)]! : 0;
    this.end = (this.seq + this.length + ((flags & SYN) >> 1) + (flags & FIN)) | 0;
  }
}
