// src/transport/tcp/timewait.ts: what is left of a connection in TIME-WAIT, or in FIN-WAIT-2 when nobody reads any more:
// a small record (RFC 9293 §3.10.7.4, RFC 7323, RFC 6191): tcp_timewait_state_process.

import { Drop } from "../../../assembly/drop.ts";
import { SegOpt } from "../../../assembly/tcplayout.ts";
import type { Timer } from "../../link/clock.ts";
import { PAWS_LIFE } from "./ack.ts";
import type { Connection } from "./connection.ts";
import { SEND_RESET } from "./input.ts";
import type { Bound } from "./ports.ts";
import type { Segment } from "./segment.ts";
import { after, before } from "./seq.ts";
import { ACK, FIN, RST, State, SYN } from "./state.ts";
import type { Tcp } from "./tcp.ts";

/** Answered for a SYN that may open a new connection in this one's place (RFC 6191). */
export const NEW_CONNECTION = 0x200;

function expired(wait: TimeWait): void {
  wait.end();
}

export class TimeWait {
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly key: number;
  readonly sndNxt: number;
  rcvNxt: number;
  readonly rcvWnd: number;
  readonly rcvWscale: number;
  readonly tsOk: boolean;
  readonly tsOffset: number;
  tsRecent: number;
  tsRecentStamp: number;
  readonly tos: number;
  readonly bound: Bound | null;
  readonly timer: Timer;
  next: TimeWait | null = null;
  private lastInvalid = -1e18;

  constructor(
    private readonly tcp: Tcp,
    c: Connection,
    public state: number,
  ) {
    this.localAddress = c.localAddress;
    this.localPort = c.localPort;
    this.remoteAddress = c.remoteAddress;
    this.remotePort = c.remotePort;
    this.key = c.key;
    this.sndNxt = c.sndNxt;
    this.rcvNxt = c.rcvNxt;
    this.rcvWnd = c.receiveWindow;
    this.rcvWscale = c.wscaleOk ? c.rcvWscale : 0;
    this.tsOk = c.tsOk;
    this.tsOffset = c.tsOffset;
    this.tsRecent = c.tsRecent;
    this.tsRecentStamp = c.tsRecentStamp;
    this.tos = c.tos;
    this.bound = c.bound?.hold() ?? null;
    this.timer = tcp.clock.timer(expired, this as TimeWait);
  }

  private restart(): void {
    const { tcp } = this;
    tcp.clock.arm(this.timer, tcp.clock.now + 2 * tcp.config.maximumSegmentLifetime);
  }

  /** Nothing is left. */
  end(): void {
    this.tcp.clock.cancel(this.timer);
    this.tcp.forgetTimeWait(this);
  }

  /** `Drop.None` when it was answered or taken, why it was dropped, `SEND_RESET` or `NEW_CONNECTION`. */
  receive(seg: Segment): number {
    const { tcp } = this;
    const { now } = tcp.clock;
    const stamped = this.tsOk && (seg.options & SegOpt.Timestamps) !== 0;
    const paws =
      stamped &&
      ((this.tsRecent - seg.tsval) | 0) > 0 &&
      this.tsRecent !== 0 &&
      now - this.tsRecentStamp < PAWS_LIFE &&
      (seg.flags & RST) === 0;
    if (this.state === State.FinWait2) return this.finWait2(seg, stamped, paws);
    // TIME-WAIT: a last ACK or a reset right at RCV.NXT
    const empty = seg.seq === seg.end;
    if (!paws && seg.seq === this.rcvNxt && (empty || (seg.flags & RST) !== 0)) {
      if ((seg.flags & RST) !== 0) {
        // RFC 1337: TIME-WAIT assassination
        if (!tcp.config.rfc1337) {
          this.end();
          return Drop.None;
        }
      } else this.restart();
      if (stamped) {
        this.tsRecent = seg.tsval;
        this.tsRecentStamp = now;
      }
      return Drop.None;
    }
    if (
      (seg.flags & (SYN | RST | ACK)) === SYN &&
      !paws &&
      (after(seg.seq, this.rcvNxt) || (stamped && ((this.tsRecent - seg.tsval) | 0) < 0))
    ) {
      return NEW_CONNECTION;
    }
    if ((seg.flags & RST) !== 0) return Drop.TcpReset;
    if (paws || (seg.flags & ACK) !== 0) this.restart();
    this.answer(seg);
    return Drop.None;
  }

  private finWait2(seg: Segment, stamped: boolean, paws: boolean): number {
    const { tcp } = this;
    const { now } = tcp.clock;
    const limit = (this.rcvNxt + this.rcvWnd) | 0;
    const inWindow =
      seg.seq === this.rcvNxt ||
      (after(seg.end, this.rcvNxt) && before(seg.seq, limit)) ||
      (seg.seq === limit && seg.seq === seg.end);
    if (paws || !inWindow) {
      if ((seg.flags & RST) === 0) this.answer(seg);
      return Drop.TcpOutOfWindow;
    }
    if ((seg.flags & RST) !== 0) {
      this.end();
      return Drop.TcpReset;
    }
    if ((seg.flags & SYN) !== 0 && !before(seg.seq, this.rcvNxt)) {
      this.end();
      return SEND_RESET;
    }
    if ((seg.flags & ACK) === 0 || !after(seg.end, this.rcvNxt) || seg.end === seg.seq) return Drop.None;
    // data for nobody
    if ((seg.flags & FIN) === 0 || seg.end !== ((this.rcvNxt + 1) | 0)) {
      this.end();
      return SEND_RESET;
    }
    this.state = State.TimeWait;
    this.rcvNxt = seg.end;
    if (stamped) {
      this.tsRecent = seg.tsval;
      this.tsRecentStamp = now;
    }
    this.restart();
    this.answer(null);
    return Drop.None;
  }

  /** tcp_v4_timewait_ack; limited as other answers to what does not fit, unless it is to a FIN that is taken. */
  private answer(seg: Segment | null): void {
    const { tcp } = this;
    const { now } = tcp.clock;
    // data and FINs are no part of a loop of ACKs
    if (seg !== null && (seg.end === seg.seq || (seg.flags & SYN) !== 0)) {
      if (now - this.lastInvalid < tcp.config.invalidRateLimit) return;
      this.lastInvalid = now;
    }
    tcp.sendBare(
      this.localAddress,
      this.remoteAddress,
      this.localPort,
      this.remotePort,
      this.sndNxt,
      this.rcvNxt,
      ACK,
      this.rcvWnd >>> this.rcvWscale,
      this.tsOk,
      (Math.floor(now / 1e6) + this.tsOffset) | 0,
      this.tsRecent,
      this.tos,
    );
  }
}
