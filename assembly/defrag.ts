// assembly/defrag.ts: reassembly of IPv4 datagrams (RFC 791 §3.2; ip_fragment.c, inet_fragment.c).
//
// A table of one namespace: | header 64 | 256 chains of queues | 256 chains of sources |. A queue holds the fragments of one
// datagram as runs without a gap, in order of their offsets; a run is a list of packets, and its first packet has the run's
// end and the next run. Fragments that arrive in order extend the last run, all others are runs of their own.

import { alloc, release } from "./arena.ts";
import { Drop } from "./drop.ts";
import { Pkt, PktFlag } from "./layout.ts";
import { HEADROOM, packetAlloc, packetFree, packetSwap, packetTrim } from "./packet.ts";
import * as ipv4 from "./wire/ipv4.ts";

/** The packet is whole, its bytes swapped in. */
const WHOLE: u32 = 0;
/** The fragment waits for the others. */
const HELD: u32 = 1;

const CHAINS: u32 = 256;
// the header: u32 but for the timeout
const MEMORY: usize = 0;
const HIGH: usize = 4;
const MAX_DIST: usize = 8;
const QUEUES: usize = 12;
const OLDEST: usize = 16;
const YOUNGEST: usize = 20;
const KILLED: usize = 24;
const REASON: usize = 28;
const TIMEOUT: usize = 32;
const EXPIRED_HEAD: usize = 40;
const EXPIRED_IN: usize = 44;
const EXPIRED_USER: usize = 48;
const HEADER: u32 = 64;
const TABLE: u32 = HEADER + 2 * 4 * CHAINS;

// a queue
const NEXT: usize = 0;
const SRC: usize = 4;
const DST: usize = 8;
/** id << 16 | protocol */
const ID: usize = 12;
/** user << 16 | vif */
const USER: usize = 16;
const RUNS: usize = 20;
const LAST_RUN: usize = 24;
const TAIL: usize = 28;
const FLAGS: usize = 32;
const LEN: usize = 36;
const MEAT: usize = 40;
const ECN: usize = 44;
const MAX_SIZE: usize = 48;
const MAX_DF: usize = 52;
const IN: usize = 56;
const PEER: usize = 60;
const RID: usize = 64;
const MEM: usize = 68;
const COUNT: usize = 72;
const OLDER: usize = 76;
const YOUNGER: usize = 80;
const EXPIRES: usize = 88;
const QUEUE: u32 = 96;
const FIRST_IN: u32 = 1;
const LAST_IN: u32 = 2;

// a source (inet_peer), which counts its fragments
const PEER_SRC: usize = 4;
const PEER_RID: usize = 8;
const PEER_REFS: usize = 12;
const PEER_SIZE: u32 = 16;

// what a held packet's descriptor says
const OFFSET: usize = Pkt.Spare2;
const DATA_LEN: usize = Pkt.Spare3;
const RUN_END: usize = Pkt.Spare4;
const NEXT_RUN: usize = Pkt.Spare5;

/** IP_DEFRAG_LOCAL_DELIVER */
const LOCAL: u32 = 0;

/** ip_frag_ecn_table by the set of ECN codepoints seen: CE joins with ECT; anything joins not with not-ECT (RFC 3168 §5.3). */
// prettier-ignore
const ecnTable: usize = memory.data<u8>([
  0, 0, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 3, 0xff, 3, 0xff, 3, 0xff,
]);

/** 0 when memory is used up. */
export function create(): usize {
  return alloc(TABLE);
}

/** `net.ipv4.ipfrag_high_thresh` (bytes), `ipfrag_max_dist`, `ipfrag_time` (ns). */
export function configure(t: usize, high: u32, maxDist: u32, timeout: f64): void {
  store<u32>(t, high, HIGH);
  store<u32>(t, maxDist, MAX_DIST);
  store<f64>(t, timeout, TIMEOUT);
}

/** What the packet weighs (skb->truesize): sk_buff and shared info of a 64-bit kernel, the buffer a power of two. */
function weight(len: u32): u32 {
  const n = len + 14 + 64 + 320;
  return 256 + (1 << (32 - clz<u32>(n - 1)));
}

function hashOf(src: u32, dst: u32, id: u32, user: u32): u32 {
  let h = (src ^ rotl<u32>(dst, 11)) * 0x9e3779b1 + (id ^ rotl<u32>(user, 21)) * 0x85ebca77;
  h = (h ^ (h >> 16)) * 0x7feb352d;
  return (h ^ (h >> 15)) & (CHAINS - 1);
}

function peerOf(t: usize, src: u32): usize {
  const chain = t + HEADER + 4 * CHAINS + (((src * 0x9e3779b1) >> 24) << 2);
  let p: usize = load<u32>(chain);
  while (p != 0 && load<u32>(p, PEER_SRC) != src) p = load<u32>(p, NEXT);
  if (p == 0) {
    p = alloc(PEER_SIZE);
    if (p == 0) return 0;
    store<u32>(p, src, PEER_SRC);
    store<u32>(p, load<u32>(chain), NEXT);
    store<u32>(chain, <u32>p);
  }
  store<u32>(p, load<u32>(p, PEER_REFS) + 1, PEER_REFS);
  return p;
}

function leavePeer(t: usize, p: usize): void {
  if (p == 0) return;
  const refs = load<u32>(p, PEER_REFS) - 1;
  store<u32>(p, refs, PEER_REFS);
  if (refs != 0) return;
  let at = t + HEADER + 4 * CHAINS + (((load<u32>(p, PEER_SRC) * 0x9e3779b1) >> 24) << 2);
  while (<usize>load<u32>(at) != p) at = <usize>load<u32>(at) + NEXT;
  store<u32>(at, load<u32>(p, NEXT));
  release(p, PEER_SIZE);
}

/** ip_find: the datagram's queue, made if there is none; 0 over the limit. */
function findQueue(t: usize, src: u32, dst: u32, id: u32, user: u32, now: f64): usize {
  const chain = t + HEADER + (hashOf(src, dst, id, user) << 2);
  let q: usize = load<u32>(chain);
  while (q != 0) {
    if (load<u32>(q, SRC) == src && load<u32>(q, DST) == dst && load<u32>(q, ID) == id && load<u32>(q, USER) == user)
      return q;
    q = load<u32>(q, NEXT);
  }
  if (load<u32>(t, MEMORY) > load<u32>(t, HIGH)) return 0;
  q = alloc(QUEUE);
  if (q == 0) return 0;
  store<u32>(q, load<u32>(chain), NEXT);
  store<u32>(chain, <u32>q);
  store<u32>(q, src, SRC);
  store<u32>(q, dst, DST);
  store<u32>(q, id, ID);
  store<u32>(q, user, USER);
  store<u32>(q, load<u32>(t, MAX_DIST) != 0 ? <u32>peerOf(t, src) : 0, PEER);
  store<u32>(t, load<u32>(t, QUEUES) + 1, QUEUES);
  store<u32>(t, load<u32>(t, MEMORY) + QUEUE, MEMORY);
  queueTime(t, q, now);
  return q;
}

/** Last in the list by age: all queues wait equally long. */
function queueTime(t: usize, q: usize, now: f64): void {
  store<f64>(q, now + load<f64>(t, TIMEOUT), EXPIRES);
  const last: usize = load<u32>(t, YOUNGEST);
  store<u32>(q, <u32>last, OLDER);
  store<u32>(q, 0, YOUNGER);
  if (last != 0) store<u32>(last, <u32>q, YOUNGER);
  else store<u32>(t, <u32>q, OLDEST);
  store<u32>(t, <u32>q, YOUNGEST);
}

function unqueueTime(t: usize, q: usize): void {
  const older: usize = load<u32>(q, OLDER);
  const younger: usize = load<u32>(q, YOUNGER);
  if (older != 0) store<u32>(older, <u32>younger, YOUNGER);
  else store<u32>(t, <u32>younger, OLDEST);
  if (younger != 0) store<u32>(younger, <u32>older, OLDER);
  else store<u32>(t, <u32>older, YOUNGEST);
}

/** The queue goes; its fragments must have gone before. */
function removeQueue(t: usize, q: usize): void {
  let at = t + HEADER + (hashOf(load<u32>(q, SRC), load<u32>(q, DST), load<u32>(q, ID), load<u32>(q, USER)) << 2);
  while (<usize>load<u32>(at) != q) at = <usize>load<u32>(at) + NEXT;
  store<u32>(at, load<u32>(q, NEXT));
  unqueueTime(t, q);
  leavePeer(t, load<u32>(q, PEER));
  store<u32>(t, load<u32>(t, QUEUES) - 1, QUEUES);
  store<u32>(t, load<u32>(t, MEMORY) - QUEUE, MEMORY);
  release(q, QUEUE);
}

/** All fragments to the list of the killed, which the caller drops one by one for `why`. */
function killFragments(t: usize, q: usize, why: u32): void {
  store<u32>(t, why, REASON);
  let run: usize = load<u32>(q, RUNS);
  let at = t + KILLED;
  while (load<u32>(at) != 0) at = <usize>load<u32>(at) + Pkt.Next;
  while (run != 0) {
    const next: usize = load<u32>(run, NEXT_RUN);
    let h = run;
    while (h != 0) {
      store<u32>(at, <u32>h);
      at = h + Pkt.Next;
      const n: usize = load<u32>(h, Pkt.Next);
      forget(h);
      h = n;
    }
    store<u32>(at, 0);
    run = next;
  }
  store<u32>(t, load<u32>(t, MEMORY) - load<u32>(q, MEM), MEMORY);
  store<u32>(q, 0, MEM);
  store<u32>(q, 0, RUNS);
  store<u32>(q, 0, LAST_RUN);
  store<u32>(q, 0, TAIL);
  store<u32>(q, 0, COUNT);
}

/** The words that reassembly borrowed of a descriptor. */
function forget(h: usize): void {
  store<u32>(h, 0, OFFSET);
  store<u32>(h, 0, DATA_LEN);
  store<u32>(h, 0, RUN_END);
  store<u32>(h, 0, NEXT_RUN);
}

function kill(t: usize, q: usize, why: u32): void {
  killFragments(t, q, why);
  removeQueue(t, q);
}

/** The next packet of the killed, taken off the list; 0: none. */
export function nextKilled(t: usize): usize {
  const h: usize = load<u32>(t, KILLED);
  if (h == 0) return 0;
  store<u32>(t, load<u32>(h, Pkt.Next), KILLED);
  store<u32>(h, 0, Pkt.Next);
  return h;
}
/** Why they were killed (`Drop`). */
export function killReason(t: usize): u32 {
  return load<u32>(t, REASON);
}

/** inet_frag_queue_insert: 0, or why not. */
function insert(q: usize, h: usize, offset: u32, end: u32): u32 {
  store<u32>(h, offset, OFFSET);
  store<u32>(h, end - offset, DATA_LEN);
  store<u32>(h, end, RUN_END);
  store<u32>(h, 0, NEXT_RUN);
  store<u32>(h, 0, Pkt.Next);
  const tail: usize = load<u32>(q, TAIL);
  if (tail == 0) {
    store<u32>(q, <u32>h, RUNS);
    store<u32>(q, <u32>h, LAST_RUN);
    store<u32>(q, <u32>h, TAIL);
    return Drop.None;
  }
  const tailEnd = load<u32>(tail, OFFSET) + load<u32>(tail, DATA_LEN);
  if (tailEnd < end) {
    if (offset < tailEnd) return Drop.FragOverlap;
    const run: usize = load<u32>(q, LAST_RUN);
    if (offset == tailEnd) {
      store<u32>(tail, <u32>h, Pkt.Next);
      store<u32>(run, end, RUN_END);
    } else {
      store<u32>(run, <u32>h, NEXT_RUN);
      store<u32>(q, <u32>h, LAST_RUN);
    }
    store<u32>(q, <u32>h, TAIL);
    return Drop.None;
  }
  let at = q + RUNS;
  let run: usize = load<u32>(at);
  while (run != 0) {
    if (end <= load<u32>(run, OFFSET)) {
      store<u32>(h, <u32>run, NEXT_RUN);
      store<u32>(at, <u32>h);
      return Drop.None;
    }
    const runEnd = load<u32>(run, RUN_END);
    if (offset < runEnd) {
      // only what adds nothing at all is a duplicate; any other overlap may be an attack (RFC 5722 §3)
      return offset >= load<u32>(run, OFFSET) && end <= runEnd ? Drop.FragDuplicate : Drop.FragOverlap;
    }
    at = run + NEXT_RUN;
    run = load<u32>(at);
  }
  // not reached: it does not lie behind the last run
  return Drop.FragOverlap;
}

/** ip_frag_too_far: so many of the source's other fragments came in between that the id may have wrapped. */
function tooFar(t: usize, q: usize): bool {
  const peer: usize = load<u32>(q, PEER);
  const limit = load<u32>(t, MAX_DIST);
  if (peer == 0 || limit == 0) return false;
  const start = load<u32>(q, RID);
  const end = load<u32>(peer, PEER_RID) + 1;
  store<u32>(peer, end, PEER_RID);
  store<u32>(q, end, RID);
  return load<u32>(q, TAIL) != 0 && end - start > limit;
}

/** ip_frag_reinit: it starts over, as if this fragment were the first. */
function restart(t: usize, q: usize, now: f64): void {
  killFragments(t, q, Drop.FragLimit);
  store<u32>(q, 0, FLAGS);
  store<u32>(q, 0, LEN);
  store<u32>(q, 0, MEAT);
  store<u32>(q, 0, ECN);
  store<u32>(q, 0, IN);
  unqueueTime(t, q);
  queueTime(t, q, now);
}

/**
 * ip_defrag: a fragment, `Data` at its IPv4 header. The answer: 0 the packet is whole and stands in the same handle; 1 it
 * is held; else the `Drop` for which the caller drops it. After 1 and more there may be killed ones (`nextKilled`).
 */
export function add(t: usize, h: usize, user: u32, vif: u32, now: f64): u32 {
  const ip: usize = load<u32>(h, Pkt.Data);
  const key = (ipv4.id(ip) << 16) | ipv4.proto(ip);
  const q = findQueue(t, ipv4.src(ip), ipv4.dst(ip), key, (user << 16) | vif, now);
  if (q == 0) return Drop.FragLimit;
  if (tooFar(t, q)) restart(t, q, now);
  const word = ipv4.frag(ip);
  const offset = (word & ipv4.OFFSET_MASK) << 3;
  const headerLen = ipv4.headerLen(ip);
  let end = offset + load<u32>(h, Pkt.Len) - headerLen;
  const flags = load<u32>(q, FLAGS);
  const known = load<u32>(q, LEN);
  let bad = false;
  if ((word & ipv4.MF) == 0) {
    if (end < known || ((flags & LAST_IN) != 0 && end != known)) bad = true;
    else {
      store<u32>(q, flags | LAST_IN, FLAGS);
      store<u32>(q, end, LEN);
    }
  } else {
    end &= ~7;
    if (end > known) {
      // bytes behind the end
      if ((flags & LAST_IN) != 0) bad = true;
      else store<u32>(q, end, LEN);
    }
  }
  if (bad || end == offset) {
    kill(t, q, Drop.FragOverlap);
    return Drop.FragOverlap;
  }
  packetTrim(h, headerLen + end - offset);
  const why = insert(q, h, offset, end);
  if (why != Drop.None) {
    forget(h);
    if (why == Drop.FragOverlap) kill(t, q, Drop.FragOverlap);
    return why;
  }
  store<u32>(q, load<u32>(h, Pkt.In), IN);
  store<u32>(q, load<u32>(q, MEAT) + end - offset, MEAT);
  store<u32>(q, load<u32>(q, ECN) | (1 << (ipv4.tos(ip) & 3)), ECN);
  store<u32>(q, load<u32>(q, COUNT) + 1, COUNT);
  const w = weight(load<u32>(h, Pkt.Len));
  store<u32>(q, load<u32>(q, MEM) + w, MEM);
  store<u32>(t, load<u32>(t, MEMORY) + w, MEMORY);
  if (offset == 0) store<u32>(q, load<u32>(q, FLAGS) | FIRST_IN, FLAGS);
  const size = end - offset + headerLen;
  if (size > load<u32>(q, MAX_SIZE)) store<u32>(q, size, MAX_SIZE);
  if ((word & ipv4.DF) != 0 && size > load<u32>(q, MAX_DF)) store<u32>(q, size, MAX_DF);
  if (load<u32>(q, FLAGS) == (FIRST_IN | LAST_IN) && load<u32>(q, MEAT) == load<u32>(q, LEN))
    return assemble(t, q, h, user);
  return HELD;
}

/** ip_frag_reasm: one packet with the first fragment's header. */
function assemble(t: usize, q: usize, h: usize, user: u32): u32 {
  const head: usize = load<u32>(q, RUNS);
  const headIp: usize = load<u32>(head, Pkt.Data);
  const headerLen = ipv4.headerLen(headIp);
  const total = headerLen + load<u32>(q, LEN);
  const ecn = <u32>load<u8>(ecnTable + load<u32>(q, ECN));
  if (ecn == 0xff || total > 65535) {
    kill(t, q, Drop.BadLength);
    return HELD;
  }
  const mac: usize = load<u32>(head, Pkt.Mac);
  const link: u32 = mac != 0 && mac < headIp && headIp - mac <= HEADROOM ? <u32>(headIp - mac) : 0;
  const whole = packetAlloc(total);
  if (whole == 0) {
    kill(t, q, Drop.NoBuffer);
    return HELD;
  }
  const ip: usize = load<u32>(whole, Pkt.Data);
  memory.copy(ip - link, headIp - link, link + headerLen);
  const count = load<u32>(q, COUNT);
  // only what conntrack put together leaves as it came: others coalesce it
  const geometry: usize = user == LOCAL ? 0 : alloc((count + 1) << 2);
  if (geometry != 0) store<u32>(geometry, count);
  let i: u32 = 1;
  let run: usize = head;
  while (run != 0) {
    let f = run;
    while (f != 0) {
      const n = load<u32>(f, DATA_LEN);
      const from: usize = load<u32>(f, Pkt.Data);
      memory.copy(ip + headerLen + load<u32>(f, OFFSET), from + ipv4.headerLen(from), n);
      if (geometry != 0) store<u32>(geometry + (i << 2), n);
      i++;
      f = load<u32>(f, Pkt.Next);
    }
    run = load<u32>(run, NEXT_RUN);
  }
  store<u32>(whole, link == 0 ? 0 : <u32>(ip - link), Pkt.Mac);
  store<u32>(whole, <u32>ip, Pkt.Net);
  store<u32>(whole, <u32>ip + headerLen, Pkt.Trans);
  store<u32>(whole, <u32>geometry, Pkt.Geometry);
  const df = load<u32>(q, MAX_DF) == load<u32>(q, MAX_SIZE);
  // DF comes back only if the largest fragment had it
  ipv4.setFrag(ip, df ? ipv4.DF : 0);
  ipv4.setLength(ip, total);
  store<u8>(ip, load<u8>(ip, 1) | (<u8>ecn), 1);
  ipv4.fillChecksum(ip);
  const size = load<u32>(q, MAX_SIZE);
  adopt(h, head);
  freeOthers(t, q, h);
  removeQueue(t, q);
  packetSwap(h, whole);
  packetFree(whole);
  let flags = (load<u32>(h, Pkt.Flags) & ~PktFlag.CsumOk) | PktFlag.FragComplete;
  if (df) flags |= PktFlag.FragPmtu;
  if (user != LOCAL) flags |= PktFlag.IgnoreDf;
  store<u32>(h, flags, Pkt.Flags);
  store<u32>(h, size, Pkt.FragMax);
  return WHOLE;
}

/** The packet takes over what its first fragment was (skb_morph); its device stays. */
function adopt(h: usize, head: usize): void {
  if (h == head) return;
  const device = load<u32>(h, Pkt.In);
  // Type, Protocol, Mark, Ct, CtInfo, Flags, options; then VLAN, story, bridge ports, priority
  memory.copy(h + Pkt.In, head + Pkt.In, Pkt.FragMax - Pkt.In);
  memory.copy(h + Pkt.Vlan, head + Pkt.Vlan, Pkt.Geometry - Pkt.Vlan);
  store<u32>(h, load<u32>(head, Pkt.OptNexthop), Pkt.OptNexthop);
  store<u32>(h, device, Pkt.In);
}

function freeOthers(t: usize, q: usize, keep: usize): void {
  let run: usize = load<u32>(q, RUNS);
  while (run != 0) {
    const nextRun: usize = load<u32>(run, NEXT_RUN);
    let f = run;
    while (f != 0) {
      const next: usize = load<u32>(f, Pkt.Next);
      forget(f);
      store<u32>(f, 0, Pkt.Next);
      if (f != keep) packetFree(f);
      f = next;
    }
    run = nextRun;
  }
  store<u32>(t, load<u32>(t, MEMORY) - load<u32>(q, MEM), MEMORY);
}

/** When the oldest queue is given up, in ns; -1: there is none. */
export function nextExpiry(t: usize): f64 {
  const q: usize = load<u32>(t, OLDEST);
  return q == 0 ? -1 : load<f64>(q, EXPIRES);
}

/**
 * ip_expire: gives up the oldest queue if its time has come: true, its fragments are among the killed, and
 * `expiredHead` is the first one, if it came.
 */
export function expire(t: usize, now: f64): bool {
  const q: usize = load<u32>(t, OLDEST);
  if (q == 0 || load<f64>(q, EXPIRES) > now) return false;
  store<u32>(t, (load<u32>(q, FLAGS) & FIRST_IN) != 0 ? load<u32>(q, RUNS) : 0, EXPIRED_HEAD);
  store<u32>(t, load<u32>(q, IN), EXPIRED_IN);
  store<u32>(t, load<u32>(q, USER) >> 16, EXPIRED_USER);
  kill(t, q, Drop.FragTimeout);
  return true;
}
export function expiredHead(t: usize): usize {
  return load<u32>(t, EXPIRED_HEAD);
}
/** ifindex of the device that the last fragment came by. */
export function expiredIn(t: usize): u32 {
  return load<u32>(t, EXPIRED_IN);
}
export function expiredUser(t: usize): u32 {
  return load<u32>(t, EXPIRED_USER);
}

/** Datagrams under way, and what they weigh in bytes. */
export function queues(t: usize): u32 {
  return load<u32>(t, QUEUES);
}
export function memoryUsed(t: usize): u32 {
  return load<u32>(t, MEMORY);
}
