// src/transport/tcp/loss.ts: what only connections remember that lost something, or sent it again: the others share one record.

import { INFINITE_SSTHRESH } from "./congestion.ts";
import type { Curve } from "./cubic.ts";

class Loss {
  priorSsthresh = 0;
  priorCwnd = 0;
  ssthresh = INFINITE_SSTHRESH;
  cwndClamp = 0x7fffffff;
  /** What CUBIC remembers, once it has to. */
  curve: Curve | null = null;
  sackedOut = 0;
  lostOut = 0;
  retransOut = 0;
  reordSeen = 0;
  dsackSeen = false;
  sackReneged = false;
  undoMarker = 0;
  undoing = false;
  undoRetrans = -1;
  /** When the first retransmission of this recovery was sent; 0: none. */
  retransStamp = 0;
  totalRetrans = 0;
  bytesRetrans = 0;
  prrDelivered = 0;
  prrOut = 0;
  lost = 0;
  frto = false;
  highestSack = 0;
  rackSteps = 1;
  rackPersist = 0;
  rackDsackSeen = false;
  tlpHighSeq = 0;
  tlpActive = false;
  tlpRetrans = false;
  /** The duplicate that the next SACK option reports (RFC 2883). */
  dsackLeft = 0;
  dsackRight = 0;
  hasDsack = false;
  dupAckCounter = 0;
  compressedRcvNxt = 0;
  compressedAcks = 0;
  retransmits = 0;
  backoff = 0;
  rtoStamp = 0;
  totalRto = 0;
}

/** Of all connections that lost nothing yet: never written. */
const NO_LOSS = new Loss();

/** Fields that read as the shared record's until one is written that differs. */
export abstract class WithLoss {
  private loss: Loss = NO_LOSS;

  private get ownLoss(): Loss {
    return this.loss === NO_LOSS ? (this.loss = new Loss()) : this.loss;
  }
  get priorSsthresh(): number {
    return this.loss.priorSsthresh;
  }
  set priorSsthresh(v: number) {
    if (v !== this.loss.priorSsthresh) this.ownLoss.priorSsthresh = v;
  }
  get priorCwnd(): number {
    return this.loss.priorCwnd;
  }
  set priorCwnd(v: number) {
    if (v !== this.loss.priorCwnd) this.ownLoss.priorCwnd = v;
  }
  get ssthresh(): number {
    return this.loss.ssthresh;
  }
  set ssthresh(v: number) {
    if (v !== this.loss.ssthresh) this.ownLoss.ssthresh = v;
  }
  get cwndClamp(): number {
    return this.loss.cwndClamp;
  }
  set cwndClamp(v: number) {
    if (v !== this.loss.cwndClamp) this.ownLoss.cwndClamp = v;
  }
  get curve(): Curve | null {
    return this.loss.curve;
  }
  set curve(v: Curve | null) {
    if (v !== this.loss.curve) this.ownLoss.curve = v;
  }
  get sackedOut(): number {
    return this.loss.sackedOut;
  }
  set sackedOut(v: number) {
    if (v !== this.loss.sackedOut) this.ownLoss.sackedOut = v;
  }
  get lostOut(): number {
    return this.loss.lostOut;
  }
  set lostOut(v: number) {
    if (v !== this.loss.lostOut) this.ownLoss.lostOut = v;
  }
  get retransOut(): number {
    return this.loss.retransOut;
  }
  set retransOut(v: number) {
    if (v !== this.loss.retransOut) this.ownLoss.retransOut = v;
  }
  get reordSeen(): number {
    return this.loss.reordSeen;
  }
  set reordSeen(v: number) {
    if (v !== this.loss.reordSeen) this.ownLoss.reordSeen = v;
  }
  get dsackSeen(): boolean {
    return this.loss.dsackSeen;
  }
  set dsackSeen(v: boolean) {
    if (v !== this.loss.dsackSeen) this.ownLoss.dsackSeen = v;
  }
  get sackReneged(): boolean {
    return this.loss.sackReneged;
  }
  set sackReneged(v: boolean) {
    if (v !== this.loss.sackReneged) this.ownLoss.sackReneged = v;
  }
  get undoMarker(): number {
    return this.loss.undoMarker;
  }
  set undoMarker(v: number) {
    if (v !== this.loss.undoMarker) this.ownLoss.undoMarker = v;
  }
  get undoing(): boolean {
    return this.loss.undoing;
  }
  set undoing(v: boolean) {
    if (v !== this.loss.undoing) this.ownLoss.undoing = v;
  }
  get undoRetrans(): number {
    return this.loss.undoRetrans;
  }
  set undoRetrans(v: number) {
    if (v !== this.loss.undoRetrans) this.ownLoss.undoRetrans = v;
  }
  get retransStamp(): number {
    return this.loss.retransStamp;
  }
  set retransStamp(v: number) {
    if (v !== this.loss.retransStamp) this.ownLoss.retransStamp = v;
  }
  get totalRetrans(): number {
    return this.loss.totalRetrans;
  }
  set totalRetrans(v: number) {
    if (v !== this.loss.totalRetrans) this.ownLoss.totalRetrans = v;
  }
  get bytesRetrans(): number {
    return this.loss.bytesRetrans;
  }
  set bytesRetrans(v: number) {
    if (v !== this.loss.bytesRetrans) this.ownLoss.bytesRetrans = v;
  }
  get prrDelivered(): number {
    return this.loss.prrDelivered;
  }
  set prrDelivered(v: number) {
    if (v !== this.loss.prrDelivered) this.ownLoss.prrDelivered = v;
  }
  get prrOut(): number {
    return this.loss.prrOut;
  }
  set prrOut(v: number) {
    if (v !== this.loss.prrOut) this.ownLoss.prrOut = v;
  }
  get lost(): number {
    return this.loss.lost;
  }
  set lost(v: number) {
    if (v !== this.loss.lost) this.ownLoss.lost = v;
  }
  get frto(): boolean {
    return this.loss.frto;
  }
  set frto(v: boolean) {
    if (v !== this.loss.frto) this.ownLoss.frto = v;
  }
  get highestSack(): number {
    return this.loss.highestSack;
  }
  set highestSack(v: number) {
    if (v !== this.loss.highestSack) this.ownLoss.highestSack = v;
  }
  get rackSteps(): number {
    return this.loss.rackSteps;
  }
  set rackSteps(v: number) {
    if (v !== this.loss.rackSteps) this.ownLoss.rackSteps = v;
  }
  get rackPersist(): number {
    return this.loss.rackPersist;
  }
  set rackPersist(v: number) {
    if (v !== this.loss.rackPersist) this.ownLoss.rackPersist = v;
  }
  get rackDsackSeen(): boolean {
    return this.loss.rackDsackSeen;
  }
  set rackDsackSeen(v: boolean) {
    if (v !== this.loss.rackDsackSeen) this.ownLoss.rackDsackSeen = v;
  }
  get tlpHighSeq(): number {
    return this.loss.tlpHighSeq;
  }
  set tlpHighSeq(v: number) {
    if (v !== this.loss.tlpHighSeq) this.ownLoss.tlpHighSeq = v;
  }
  get tlpActive(): boolean {
    return this.loss.tlpActive;
  }
  set tlpActive(v: boolean) {
    if (v !== this.loss.tlpActive) this.ownLoss.tlpActive = v;
  }
  get tlpRetrans(): boolean {
    return this.loss.tlpRetrans;
  }
  set tlpRetrans(v: boolean) {
    if (v !== this.loss.tlpRetrans) this.ownLoss.tlpRetrans = v;
  }
  get dsackLeft(): number {
    return this.loss.dsackLeft;
  }
  set dsackLeft(v: number) {
    if (v !== this.loss.dsackLeft) this.ownLoss.dsackLeft = v;
  }
  get dsackRight(): number {
    return this.loss.dsackRight;
  }
  set dsackRight(v: number) {
    if (v !== this.loss.dsackRight) this.ownLoss.dsackRight = v;
  }
  get hasDsack(): boolean {
    return this.loss.hasDsack;
  }
  set hasDsack(v: boolean) {
    if (v !== this.loss.hasDsack) this.ownLoss.hasDsack = v;
  }
  get dupAckCounter(): number {
    return this.loss.dupAckCounter;
  }
  set dupAckCounter(v: number) {
    if (v !== this.loss.dupAckCounter) this.ownLoss.dupAckCounter = v;
  }
  get compressedRcvNxt(): number {
    return this.loss.compressedRcvNxt;
  }
  set compressedRcvNxt(v: number) {
    if (v !== this.loss.compressedRcvNxt) this.ownLoss.compressedRcvNxt = v;
  }
  get compressedAcks(): number {
    return this.loss.compressedAcks;
  }
  set compressedAcks(v: number) {
    if (v !== this.loss.compressedAcks) this.ownLoss.compressedAcks = v;
  }
  get retransmits(): number {
    return this.loss.retransmits;
  }
  set retransmits(v: number) {
    if (v !== this.loss.retransmits) this.ownLoss.retransmits = v;
  }
  get backoff(): number {
    return this.loss.backoff;
  }
  set backoff(v: number) {
    if (v !== this.loss.backoff) this.ownLoss.backoff = v;
  }
  get rtoStamp(): number {
    return this.loss.rtoStamp;
  }
  set rtoStamp(v: number) {
    if (v !== this.loss.rtoStamp) this.ownLoss.rtoStamp = v;
  }
  get totalRto(): number {
    return this.loss.totalRto;
  }
  set totalRto(v: number) {
    if (v !== this.loss.totalRto) this.ownLoss.totalRto = v;
  }
}
