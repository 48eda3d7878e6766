// src/transport/tcp/timers.ts: retransmission (RFC 6298 §5), window probes (RFC 9293 §3.8.6.1), tail loss probes (RFC 8985 §7),
// delayed ACKs, keep-alives (RFC 9293 §3.8.4), the end of FIN-WAIT-2. One timer serves the first three and reordering.

import { MS, SECOND, type Timer } from "../../link/clock.ts";
import { delayedAckDue } from "./ackpolicy.ts";
import type { Connection } from "./connection.ts";
import { probeNew, resend, retransmit, sendActiveReset, syncMss, writeWakeup } from "./output.ts";
import { rackTimeout } from "./rack.ts";
import { enterLoss } from "./recovery.ts";
import { Ca, Pending, State } from "./state.ts";

/** TCP_TIMEOUT_MIN_US: timers run in jiffies, and a jiffy may have begun. */
export const TIMEOUT_MIN = 2 * MS;
/** TCP_RESOURCE_PROBE_INTERVAL: nothing could be sent for want of memory. */
const RESOURCE_PROBE = 500 * MS;

/** ilog2(TCP_RTO_MAX / TCP_RTO_MIN) + 1, of tcp_probe0_when */
const MAX_PROBE_BACKOFF = 10;

/** Of connections whose ACKs never waited: never armed. */
export const NO_TIMER: Timer = { at: -1, order: 0, run: () => {}, owner: null, slot: -1 };

export function arm(c: Connection, what: number, delay: number): void {
  c.pending = what;
  c.tcp.clock.arm(c.retransmitTimer, c.now + Math.min(delay, c.config.rtoMax));
}

export function disarm(c: Connection): void {
  c.pending = Pending.None;
  if (c.retransmitTimer.at >= 0) c.tcp.clock.cancel(c.retransmitTimer);
}

/** The connection is over: none of its timers keeps it in memory. */
export function endTimers(c: Connection): void {
  const { clock } = c.tcp;
  c.pending = Pending.None;
  clock.end(c.retransmitTimer);
  clock.end(c.delayedAckTimer);
  if (c.keepAliveTimer !== null) clock.end(c.keepAliveTimer);
}

/** tcp_rto_delta_us: what is left of the head's timeout. */
function rtoLeft(c: Connection): number {
  return c.sent.at(0).time + c.rto - c.now;
}

/** tcp_rearm_rto */
export function armRetransmit(c: Connection): void {
  if (c.packetsOut === 0) return disarm(c);
  let delay = c.rto;
  // a probe was due in its place: the timeout counts from when the head was sent
  if (c.pending === Pending.Reorder || c.pending === Pending.LossProbe) delay = Math.max(rtoLeft(c), 1000);
  arm(c, Pending.Retransmit, delay);
}

/** tcp_schedule_loss_probe (RFC 8985 §7.2): false when the retransmission timer is to run as ever. */
export function scheduleLossProbe(c: Connection, advancing: boolean): boolean {
  if (!c.config.tailLossProbe || c.packetsOut === 0 || !c.sackOk) return false;
  if (c.ca !== Ca.Open && c.ca !== Ca.Cwr) return false;
  let delay = SECOND;
  if (c.srtt !== 0) delay = 2 * c.srtt + (c.packetsOut === 1 ? c.config.rtoMin : TIMEOUT_MIN);
  const left = advancing ? c.rto : rtoLeft(c);
  if (left > 0) delay = Math.min(delay, left);
  arm(c, Pending.LossProbe, delay);
  return true;
}

/** tcp_set_xmit_timer */
export function setXmitTimer(c: Connection): void {
  if (!scheduleLossProbe(c, true)) armRetransmit(c);
}

/** tcp_probe0_base */
function probeBase(c: Connection): number {
  return Math.max(c.rto, c.config.rtoMin);
}

export function probeDelay(c: Connection): number {
  return Math.min(probeBase(c) * 2 ** Math.min(c.backoff, MAX_PROBE_BACKOFF), c.config.rtoMax);
}

/** tcp_check_probe_timer: something waits and nothing is in flight. */
export function armProbe(c: Connection): void {
  if (c.packetsOut === 0 && c.pending === Pending.None) arm(c, Pending.Probe, probeBase(c));
}

/** Runs what a timer brings as one step: what it sends goes out when it is done. */
function run(c: Connection | null, work: (c: Connection) => void): void {
  // what is over needs none
  if (c === null) return;
  const { backlog } = c.tcp.ns.world;
  const outermost = backlog.enter();
  try {
    work(c);
  } finally {
    if (outermost) backlog.leave();
  }
}

export function armDelayedAck(c: Connection, at: number): void {
  const { clock } = c.tcp;
  if (c.delayedAckTimer === NO_TIMER) c.delayedAckTimer = clock.timer(onDelayedAck, c);
  clock.arm(c.delayedAckTimer, at);
}

function onDelayedAck(c: Connection | null): void {
  run(c, delayedAckDue);
}

export function onRetransmit(c: Connection | null): void {
  run(c, writeTimer);
}

/** tcp_write_timer_handler */
function writeTimer(c: Connection): void {
  if (c.state === State.Closed) return;
  const what = c.pending;
  switch (what) {
    case Pending.Reorder:
      return rackTimeout(c);
    case Pending.LossProbe:
      return sendLossProbe(c);
    case Pending.Retransmit:
      c.pending = Pending.None;
      return retransmitTimeout(c);
    case Pending.Probe:
      c.pending = Pending.None;
      return probeTimeout(c);
    default:
  }
}

/** tcp_send_loss_probe */
function sendLossProbe(c: Connection): void {
  if (c.tlpActive || c.packetsOut === 0) return armRetransmit(c);
  c.tlpRetrans = false;
  if (!probeNew(c)) {
    // nothing new: the last segment again
    const last = c.packetsOut - 1;
    if (!resend(c, last)) return armRetransmit(c);
    c.tlpRetrans = true;
  }
  c.tlpHighSeq = c.sndNxt;
  c.tlpActive = true;
  c.pending = Pending.None;
  armRetransmit(c);
}

/** tcp_model_timeout: how long `n` retransmissions with doubling take. */
function modelTimeout(c: Connection, n: number, base: number): number {
  const doublings = Math.floor(Math.log2(c.config.rtoMax / base));
  if (n <= doublings) return (2 * 2 ** n - 1) * base;
  return (2 * 2 ** doublings - 1) * base + (n - doublings) * c.config.rtoMax;
}

/** retransmits_timed_out */
function timedOut(c: Connection, boundary: number, limit: number): boolean {
  if (c.retransmits === 0) return false;
  const timeout = limit !== 0 ? limit : modelTimeout(c, boundary, c.config.rtoMin);
  return c.now - c.retransStamp >= timeout;
}

/** tcp_orphan_retries */
function orphanRetries(c: Connection, alive: boolean): number {
  if (c.softError !== null && !alive) return 0;
  return c.config.orphanRetries === 0 && alive ? 8 : c.config.orphanRetries;
}

/** tcp_write_err */
function writeError(c: Connection): void {
  c.fail(c.softError ?? "ETIMEDOUT");
}

/** tcp_write_timeout: true when the connection was given up. */
function givenUp(c: Connection): boolean {
  const { config } = c;
  let expired: boolean;
  if (c.state === State.SynSent || c.state === State.SynRcvd) {
    const most = c.synRetries + (c.state === State.SynSent ? config.synLinearTimeouts : 0);
    expired = c.retransmits >= most;
    if (c.userTimeout !== 0 && c.retransmits > 0) expired ||= c.now - c.retransStamp >= c.userTimeout;
  } else {
    if (timedOut(c, config.retries1, 0)) {
      probeMtu(c);
      c.route = null;
    }
    let most = config.retries2;
    if (c.dead) {
      const alive = c.rto < config.rtoMax;
      most = orphanRetries(c, alive);
    }
    expired = timedOut(c, most, c.userTimeout);
  }
  if (expired) writeError(c);
  return expired;
}

/** tcp_mtu_probing: packets of full size seem to vanish in a black hole (RFC 4821 §7.7): smaller ones, then. */
function probeMtu(c: Connection): void {
  if (c.config.mtuProbing === 0) return;
  if (!c.mtuProbing) {
    c.mtuProbing = true;
    return syncMss(c, Math.min(c.config.baseMss + 40, c.pmtu));
  }
  const smaller = Math.max((c.mss + (c.headerLen - 20)) >> 1, c.config.minSendMss, 48);
  syncMss(c, Math.min(smaller + 40, c.pmtu));
}

/** tcp_retransmit_timer (RFC 6298 §5.4 to §5.7) */
function retransmitTimeout(c: Connection): void {
  if (c.packetsOut === 0) return;
  const { config, now } = c;
  if (c.sndWnd === 0 && !c.dead && c.state !== State.SynSent && c.state !== State.SynRcvd) {
    // the peer took its window back: this is a probe (RFC 9293 SHLD-17)
    if (now - c.lastHeard > 2 * config.rtoMax && c.retransmits > 0 && timedOut(c, config.retries2, c.userTimeout)) {
      return writeError(c);
    }
    enterLoss(c);
    retransmit(c, 0);
    c.route = null;
    c.retransmits++;
    return backOff(c);
  }
  if (givenUp(c)) return;
  enterLoss(c);
  c.retransmits++;
  if (!retransmit(c, 0)) return arm(c, Pending.Retransmit, Math.min(c.rto, RESOURCE_PROBE));
  backOff(c);
}

function backOff(c: Connection): void {
  const { config } = c;
  // tcp_syn_linear_timeouts: the first SYNs come again at a steady pace
  if (c.state !== State.SynSent || c.retransmits > config.synLinearTimeouts) {
    c.backoff++;
    c.rto = Math.min(c.rto * 2, config.rtoMax);
  }
  arm(c, Pending.Retransmit, c.rto);
}

/** tcp_probe_timer */
function probeTimeout(c: Connection): void {
  if (c.packetsOut > 0 || !c.hasUnsent) {
    c.probesOut = 0;
    c.probesStamp = 0;
    return;
  }
  if (c.probesStamp === 0) c.probesStamp = c.now;
  else if (c.userTimeout !== 0 && c.now - c.probesStamp >= c.userTimeout) return writeError(c);
  let most = c.config.retries2;
  if (c.dead) most = orphanRetries(c, probeBase(c) * 2 ** c.backoff < c.config.rtoMax);
  if (c.probesOut >= most) return writeError(c);
  sendProbe0(c);
}

/** tcp_send_probe0 */
function sendProbe0(c: Connection): void {
  const gone = writeWakeup(c);
  if (c.packetsOut > 0 || !c.hasUnsent) {
    c.probesOut = c.backoff = 0;
    c.probesStamp = 0;
    return;
  }
  c.probesOut++;
  if (gone) {
    if (c.backoff < c.config.retries2) c.backoff++;
    arm(c, Pending.Probe, probeDelay(c));
  } else arm(c, Pending.Probe, RESOURCE_PROBE);
}

// -- keep-alive, and the end of FIN-WAIT-2

export function armKeepAlive(c: Connection): void {
  if (c.keepAliveTimer === null) return;
  if (c.keepAlive) c.tcp.clock.arm(c.keepAliveTimer, c.now + c.keep.idle);
  else c.tcp.clock.cancel(c.keepAliveTimer);
}

/** FIN-WAIT-2 of what nobody reads any more: a small record takes the connection's place, or it is reset at once. */
export function startFinWait2(c: Connection, withFin: boolean): void {
  const { config, tcp } = c;
  if (c.linger2 < 0) {
    sendActiveReset(c);
    return c.done();
  }
  const time = Math.max(c.linger2 > 0 ? c.linger2 * SECOND : config.finTimeout, 3.5 * c.rto);
  const life = 2 * config.maximumSegmentLifetime;
  if (time > life && !withFin) {
    c.keepAliveTimer ??= tcp.clock.timer(onKeepAlive, c);
    tcp.clock.arm(c.keepAliveTimer, c.now + time - life);
    return;
  }
  tcp.timeWait(c, State.FinWait2, time);
}

export function onKeepAlive(c: Connection | null): void {
  run(c, keepAliveDue);
}

/** tcp_keepalive_timer */
function keepAliveDue(c: Connection): void {
  const { clock } = c.tcp;
  const timer = c.keepAliveTimer!;
  if (c.state === State.FinWait2 && c.dead) {
    if (c.linger2 >= 0) return c.tcp.timeWait(c, State.FinWait2, 2 * c.config.maximumSegmentLifetime);
    sendActiveReset(c);
    return c.done();
  }
  if (!c.keepAlive || c.state === State.Closed || c.state === State.SynSent) return;
  let wait = c.keep.idle;
  if (c.packetsOut === 0 && !c.hasUnsent) {
    const idle = c.now - Math.max(c.lastHeard, c.lastReceived);
    if (idle >= c.keep.idle) {
      const over = c.userTimeout !== 0 ? idle >= c.userTimeout && c.probesOut > 0 : c.probesOut >= c.keep.count;
      if (over) {
        sendActiveReset(c);
        return writeError(c);
      }
      if (writeWakeup(c)) {
        c.probesOut++;
        wait = c.keep.interval;
      } else wait = RESOURCE_PROBE;
    } else wait = c.keep.idle - idle;
  }
  clock.arm(timer, c.now + wait);
}
