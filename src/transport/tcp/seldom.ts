// src/transport/tcp/seldom.ts: what few connections have: options that a program set, ECN, urgent data, probes, errors.

import type { Timer } from "../../link/clock.ts";
import type { Errno } from "../errno.ts";
import { WithLoss } from "./loss.ts";

class Seldom {
  tos = 0;
  ttl = 0;
  userMss = 0;
  cork = false;
  /** Pieces behind the first that is not sent yet (writequeue.ts). */
  laterPieces: number[] | null = null;
  sndBufLocked = false;
  rcvBufLocked = false;
  /** A write found no room: the owner is to be told. */
  noSpace = false;
  quickAckForced = false;
  userTimeout = 0;
  /** Seconds that FIN-WAIT-2 lasts when nobody reads (TCP_LINGER2); 0: tcp_fin_timeout, below: none. */
  linger2 = 0;
  /** IP_RECVERR */
  receiveErrors = false;
  mtuProbing = false;
  keepAlive = false;
  keepAliveTimer: Timer | null = null;
  ecnOk = false;
  ecnAsked = false;
  /** CE was seen: ECE until CWR. */
  demandCwr = false;
  queueCwr = false;
  seenEct = false;
  /** Urgent data: position of the byte, and 0x100 | byte once it is there. */
  urgSeq = 0;
  urgData = 0;
  /** The peer's FIN came in FIN-WAIT-2. */
  timeWaitDue = false;
  probesOut = 0;
  probesStamp = 0;
  lastInvalid = -1e18;
  error: Errno | null = null;
  softError: Errno | null = null;
}

/** Of all connections that have none of it: never written. */
const NOTHING = new Seldom();

/** Fields that read as the shared record's until one is written that differs. */
export abstract class WithSeldom extends WithLoss {
  private seldom: Seldom = NOTHING;

  private get ownSeldom(): Seldom {
    return this.seldom === NOTHING ? (this.seldom = new Seldom()) : this.seldom;
  }
  get tos(): number {
    return this.seldom.tos;
  }
  set tos(v: number) {
    if (v !== this.seldom.tos) this.ownSeldom.tos = v;
  }
  get ttl(): number {
    return this.seldom.ttl;
  }
  set ttl(v: number) {
    if (v !== this.seldom.ttl) this.ownSeldom.ttl = v;
  }
  get userMss(): number {
    return this.seldom.userMss;
  }
  set userMss(v: number) {
    if (v !== this.seldom.userMss) this.ownSeldom.userMss = v;
  }
  get cork(): boolean {
    return this.seldom.cork;
  }
  set cork(v: boolean) {
    if (v !== this.seldom.cork) this.ownSeldom.cork = v;
  }
  get laterPieces(): number[] | null {
    return this.seldom.laterPieces;
  }
  set laterPieces(v: number[] | null) {
    if (v !== this.seldom.laterPieces) this.ownSeldom.laterPieces = v;
  }
  get sndBufLocked(): boolean {
    return this.seldom.sndBufLocked;
  }
  set sndBufLocked(v: boolean) {
    if (v !== this.seldom.sndBufLocked) this.ownSeldom.sndBufLocked = v;
  }
  get rcvBufLocked(): boolean {
    return this.seldom.rcvBufLocked;
  }
  set rcvBufLocked(v: boolean) {
    if (v !== this.seldom.rcvBufLocked) this.ownSeldom.rcvBufLocked = v;
  }
  get noSpace(): boolean {
    return this.seldom.noSpace;
  }
  set noSpace(v: boolean) {
    if (v !== this.seldom.noSpace) this.ownSeldom.noSpace = v;
  }
  get quickAckForced(): boolean {
    return this.seldom.quickAckForced;
  }
  set quickAckForced(v: boolean) {
    if (v !== this.seldom.quickAckForced) this.ownSeldom.quickAckForced = v;
  }
  get userTimeout(): number {
    return this.seldom.userTimeout;
  }
  set userTimeout(v: number) {
    if (v !== this.seldom.userTimeout) this.ownSeldom.userTimeout = v;
  }
  get linger2(): number {
    return this.seldom.linger2;
  }
  set linger2(v: number) {
    if (v !== this.seldom.linger2) this.ownSeldom.linger2 = v;
  }
  get receiveErrors(): boolean {
    return this.seldom.receiveErrors;
  }
  set receiveErrors(v: boolean) {
    if (v !== this.seldom.receiveErrors) this.ownSeldom.receiveErrors = v;
  }
  get mtuProbing(): boolean {
    return this.seldom.mtuProbing;
  }
  set mtuProbing(v: boolean) {
    if (v !== this.seldom.mtuProbing) this.ownSeldom.mtuProbing = v;
  }
  get keepAlive(): boolean {
    return this.seldom.keepAlive;
  }
  set keepAlive(v: boolean) {
    if (v !== this.seldom.keepAlive) this.ownSeldom.keepAlive = v;
  }
  get keepAliveTimer(): Timer | null {
    return this.seldom.keepAliveTimer;
  }
  set keepAliveTimer(v: Timer | null) {
    if (v !== this.seldom.keepAliveTimer) this.ownSeldom.keepAliveTimer = v;
  }
  get ecnOk(): boolean {
    return this.seldom.ecnOk;
  }
  set ecnOk(v: boolean) {
    if (v !== this.seldom.ecnOk) this.ownSeldom.ecnOk = v;
  }
  get ecnAsked(): boolean {
    return this.seldom.ecnAsked;
  }
  set ecnAsked(v: boolean) {
    if (v !== this.seldom.ecnAsked) this.ownSeldom.ecnAsked = v;
  }
  get demandCwr(): boolean {
    return this.seldom.demandCwr;
  }
  set demandCwr(v: boolean) {
    if (v !== this.seldom.demandCwr) this.ownSeldom.demandCwr = v;
  }
  get queueCwr(): boolean {
    return this.seldom.queueCwr;
  }
  set queueCwr(v: boolean) {
    if (v !== this.seldom.queueCwr) this.ownSeldom.queueCwr = v;
  }
  get seenEct(): boolean {
    return this.seldom.seenEct;
  }
  set seenEct(v: boolean) {
    if (v !== this.seldom.seenEct) this.ownSeldom.seenEct = v;
  }
  get urgSeq(): number {
    return this.seldom.urgSeq;
  }
  set urgSeq(v: number) {
    if (v !== this.seldom.urgSeq) this.ownSeldom.urgSeq = v;
  }
  get urgData(): number {
    return this.seldom.urgData;
  }
  set urgData(v: number) {
    if (v !== this.seldom.urgData) this.ownSeldom.urgData = v;
  }
  get timeWaitDue(): boolean {
    return this.seldom.timeWaitDue;
  }
  set timeWaitDue(v: boolean) {
    if (v !== this.seldom.timeWaitDue) this.ownSeldom.timeWaitDue = v;
  }
  get probesOut(): number {
    return this.seldom.probesOut;
  }
  set probesOut(v: number) {
    if (v !== this.seldom.probesOut) this.ownSeldom.probesOut = v;
  }
  get probesStamp(): number {
    return this.seldom.probesStamp;
  }
  set probesStamp(v: number) {
    if (v !== this.seldom.probesStamp) this.ownSeldom.probesStamp = v;
  }
  get lastInvalid(): number {
    return this.seldom.lastInvalid;
  }
  set lastInvalid(v: number) {
    if (v !== this.seldom.lastInvalid) this.ownSeldom.lastInvalid = v;
  }
  get error(): Errno | null {
    return this.seldom.error;
  }
  set error(v: Errno | null) {
    if (v !== this.seldom.error) this.ownSeldom.error = v;
  }
  get softError(): Errno | null {
    return this.seldom.softError;
  }
  set softError(v: Errno | null) {
    if (v !== this.seldom.softError) this.ownSeldom.softError = v;
  }
}
