// assembly/conntrack.ts: the table of connections: tuples, chains, life and death of entries (nf_conntrack_core).
//
// Chains hang off one array of power-of-two size, sources of NAT off a second one half as long behind it:
//     | bucket 0 .. n-1 | source 0 .. n/2-1 |
// It doubles when chains get longer than one tuple on average; every insertion then moves a few old chains, so that no
// packet pays for the whole.

import { alloc, release } from "./arena.ts";
import { Ct, CtEvent, CtInfo, CtStatus, CtTable } from "./conntracklayout.ts";
import { Pkt } from "./layout.ts";

export const ENTRY: u32 = 128;
const TABLE: u32 = 256;
const FIRST_BUCKETS: u32 = 64;
const MAX_BUCKETS: u32 = 1 << 21;
const ACCT: u32 = 32;
/** Chains that an insertion moves while the table grows: enough to be through before it must grow again. */
const STEP: u32 = 2;
/** NF_CT_EVICTION_RANGE: chains searched for somebody to evict. */
const EVICTION_RANGE: u32 = 8;

/** Free entries of all tables. */
let pool: usize = 0;
let slab: u32 = 16;

function take(): usize {
  if (pool == 0) {
    const p = alloc(slab * ENTRY);
    if (p == 0) return 0;
    for (let i = slab; i > 0; i--) {
      const e = p + (i - 1) * ENTRY;
      store<u32>(e, <u32>pool);
      pool = e;
    }
    if (slab < 1024) slab <<= 1;
  }
  const e = pool;
  pool = load<u32>(e);
  memory.fill(e, 0, ENTRY);
  return e;
}

/** A table without connections; 0 when memory is used up. `seed` decides the order of chains and NAT's choices. */
export function tableCreate(seed: u32): usize {
  const t = alloc(TABLE);
  if (t == 0) return 0;
  const b = bucketsOf(FIRST_BUCKETS);
  if (b == 0) {
    release(t, TABLE);
    return 0;
  }
  store<u32>(t, <u32>b, CtTable.Buckets);
  store<u32>(t, FIRST_BUCKETS - 1, CtTable.Mask);
  store<u32>(t, seed, CtTable.Seed);
  store<u32>(t, seed ^ 0x6c078965, CtTable.Chance);
  store<u32>(t, 262144, CtTable.Max);
  return t;
}

function bucketsOf(n: u32): usize {
  return alloc((n + (n >> 1)) << 2);
}

/** 32 bits by chance, from the table's own seed: what get_random_u32 is to NAT (xorshift, Marsaglia 2003). */
export function chance(t: usize): u32 {
  let x = load<u32>(t, CtTable.Chance);
  if (x == 0) x = 0x9e3779b9;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  store<u32>(t, x, CtTable.Chance);
  return x;
}

// @ts-ignore: decorator
@inline
export function count(t: usize, field: CtTable): void {
  store<u32>(t + <usize>field, load<u32>(t + <usize>field) + 1);
}

// @ts-ignore: decorator
@inline
function mix(h: u32): u32 {
  h = (h ^ (h >> 16)) * 0x7feb352d;
  h = (h ^ (h >> 15)) * 0x846ca68b;
  return h ^ (h >> 16);
}

/** `kind` is the protocol with the zone << 8. */
function hashOf(seed: u32, src: u32, dst: u32, ports: u32, kind: u32): u32 {
  let h = (seed ^ kind) + src * 0x9e3779b1;
  h = rotl<u32>(h, 13) + dst * 0x85ebca77;
  h = rotl<u32>(h, 13) + ports * 0xc2b2ae3d;
  return mix(h);
}

function sourceHash(seed: u32, src: u32, ports: u32, kind: u32): u32 {
  return mix((seed ^ kind) + src * 0x9e3779b1 + (ports >> 16) * 0x85ebca77);
}

// @ts-ignore: decorator
@inline
export function kindOf(e: usize): u32 {
  return (<u32>load<u8>(e, Ct.Proto)) | ((<u32>load<u16>(e, Ct.Zone)) << 8);
}

function tupleHash(t: usize, e: usize, dir: u32): u32 {
  const p = e + dir * 12;
  return hashOf(
    load<u32>(t, CtTable.Seed),
    load<u32>(p, Ct.Src),
    load<u32>(p, Ct.Dst),
    load<u32>(p, Ct.Ports),
    kindOf(e),
  );
}

/** Address of the chain for a hash, in whichever array holds it now. */
// @ts-ignore: decorator
@inline
function chainOf(t: usize, h: u32): usize {
  const old = load<u32>(t, CtTable.Old);
  if (old != 0) {
    const i = h & load<u32>(t, CtTable.OldMask);
    if (i >= load<u32>(t, CtTable.Moved)) return old + (i << 2);
  }
  return load<u32>(t, CtTable.Buckets) + ((h & load<u32>(t, CtTable.Mask)) << 2);
}

function sourceChain(t: usize, h: u32): usize {
  const old = load<u32>(t, CtTable.Old);
  if (old != 0) {
    const mask = load<u32>(t, CtTable.OldMask);
    const i = h & (mask >> 1);
    if (i >= (load<u32>(t, CtTable.Moved) + 1) >> 1) return old + ((mask + 1 + i) << 2);
  }
  const mask = load<u32>(t, CtTable.Mask);
  return load<u32>(t, CtTable.Buckets) + ((mask + 1 + (h & (mask >> 1))) << 2);
}

export function sourceChainOf(t: usize, src: u32, ports: u32, kind: u32): usize {
  return sourceChain(t, sourceHash(load<u32>(t, CtTable.Seed), src, ports, kind));
}

/** Moves chains of the smaller array; relative order stays. */
function move(t: usize, chains: u32): void {
  const old = load<u32>(t, CtTable.Old);
  const size = load<u32>(t, CtTable.OldMask) + 1;
  let i = load<u32>(t, CtTable.Moved);
  for (; chains > 0 && i < size; chains--, i++) {
    let link = load<u32>(old + (i << 2));
    const to = load<u32>(t, CtTable.Buckets);
    const mask = load<u32>(t, CtTable.Mask);
    let low = to + (i << 2);
    let high = to + ((i + size) << 2);
    while (link != 0) {
      const e: usize = link & ~1;
      const dir = link & 1;
      const next = load<u32>(e + (dir << 2));
      store<u32>(e + (dir << 2), 0);
      if ((tupleHash(t, e, dir) & mask) == i) {
        store<u32>(low, link);
        low = <u32>e + (dir << 2);
      } else {
        store<u32>(high, link);
        high = <u32>e + (dir << 2);
      }
      link = next;
    }
    if ((i & 1) == 0) moveSource(t, old, size, i >> 1);
  }
  if (i < size) {
    store<u32>(t, i, CtTable.Moved);
    return;
  }
  store<u32>(t, 0, CtTable.Old);
  release(old, (size + (size >> 1)) << 2);
}

function moveSource(t: usize, old: usize, size: u32, i: u32): void {
  let e: usize = load<u32>(old + ((size + i) << 2));
  const mask = load<u32>(t, CtTable.Mask);
  const to: usize = load<u32>(t, CtTable.Buckets) + ((mask + 1) << 2);
  let low = to + (i << 2);
  let high = to + ((i + (size >> 1)) << 2);
  const seed = load<u32>(t, CtTable.Seed);
  while (e != 0) {
    const next: usize = load<u32>(e, Ct.NextSource);
    store<u32>(e, 0, Ct.NextSource);
    const h = sourceHash(seed, load<u32>(e, Ct.Src), load<u32>(e, Ct.Ports), kindOf(e));
    if ((h & (mask >> 1)) == i) {
      store<u32>(low, <u32>e);
      low = e + Ct.NextSource;
    } else {
      store<u32>(high, <u32>e);
      high = e + Ct.NextSource;
    }
    e = next;
  }
}

function grow(t: usize): void {
  const size = load<u32>(t, CtTable.Mask) + 1;
  if (size >= MAX_BUCKETS) return;
  const b = bucketsOf(size << 1);
  // without memory for it the chains just get longer
  if (b == 0) return;
  store<u32>(t, load<u32>(t, CtTable.Buckets), CtTable.Old);
  store<u32>(t, size - 1, CtTable.OldMask);
  store<u32>(t, 0, CtTable.Moved);
  store<u32>(t, <u32>b, CtTable.Buckets);
  store<u32>(t, (size << 1) - 1, CtTable.Mask);
}

// @ts-ignore: decorator
@inline
export function expired(e: usize, now: u32): bool {
  return <i32>(load<u32>(e, Ct.Timeout) - now) <= 0;
}

/** The confirmed entry with that tuple, as entry | direction; 0 when there is none. Expired ones met on the way die. */
export function find(t: usize, src: u32, dst: u32, ports: u32, kind: u32, now: u32): u32 {
  const h = hashOf(load<u32>(t, CtTable.Seed), src, dst, ports, kind);
  let link = load<u32>(chainOf(t, h));
  while (link != 0) {
    const e: usize = link & ~1;
    const dir = link & 1;
    const next = load<u32>(e + (dir << 2));
    const p = e + dir * 12;
    if (expired(e, now)) {
      kill(t, e);
      // the entry's other tuple may have been the next link of this chain
      if (next != 0 && (next & ~1) == <u32>e) return find(t, src, dst, ports, kind, now);
    } else if (
      load<u32>(p, Ct.Src) == src &&
      load<u32>(p, Ct.Dst) == dst &&
      load<u32>(p, Ct.Ports) == ports &&
      kindOf(e) == kind
    ) {
      return link;
    }
    link = next;
  }
  return 0;
}

/** The same without a change to anything; 0 also when an expired entry stands before it. */
export function peek(t: usize, src: u32, dst: u32, ports: u32, kind: u32, now: u32): u32 {
  let link = load<u32>(chainOf(t, hashOf(load<u32>(t, CtTable.Seed), src, dst, ports, kind)));
  while (link != 0) {
    const e: usize = link & ~1;
    const dir = link & 1;
    const p = e + dir * 12;
    if (expired(e, now)) return 0;
    if (
      load<u32>(p, Ct.Src) == src &&
      load<u32>(p, Ct.Dst) == dst &&
      load<u32>(p, Ct.Ports) == ports &&
      kindOf(e) == kind
    ) {
      return link;
    }
    link = load<u32>(e + (dir << 2));
  }
  return 0;
}

/** The flow table begins anew: no entry says any more what becomes of its packets. */
export function forgetWays(t: usize): void {
  forgetChains(load<u32>(t, CtTable.Buckets), 0, load<u32>(t, CtTable.Mask));
  // what has not moved yet
  if (load<u32>(t, CtTable.Old) != 0) {
    forgetChains(load<u32>(t, CtTable.Old), load<u32>(t, CtTable.Moved), load<u32>(t, CtTable.OldMask));
  }
}

function forgetChains(buckets: usize, from: u32, to: u32): void {
  for (let i = from; i <= to; i++) {
    let link = load<u32>(buckets + (i << 2));
    while (link != 0) {
      const e: usize = link & ~1;
      store<u16>(e, 0, Ct.Way);
      store<u16>(e, 0, Ct.WayReply);
      link = load<u32>(e + ((link & 1) << 2));
    }
  }
}

function link(t: usize, e: usize, dir: u32): void {
  const chain = chainOf(t, tupleHash(t, e, dir));
  store<u32>(e + (dir << 2), load<u32>(chain));
  store<u32>(chain, (<u32>e) | dir);
}

function unlink(t: usize, e: usize, dir: u32): void {
  let at = chainOf(t, tupleHash(t, e, dir));
  const me = (<u32>e) | dir;
  for (;;) {
    const l = load<u32>(at);
    if (l == 0) return;
    if (l == me) break;
    at = (l & ~1) + ((l & 1) << 2);
  }
  store<u32>(at, load<u32>(e + (dir << 2)));
}

/** Puts both tuples into the chains; the table holds a reference from now on. */
export function insert(t: usize, e: usize, now: u32): void {
  if (load<u32>(t, CtTable.Old) != 0) move(t, STEP);
  else sweep(t, 1, now);
  link(t, e, 0);
  link(t, e, 1);
  store<u32>(e, load<u32>(e, Ct.Use) + 1, Ct.Use);
  const tuples = load<u32>(t, CtTable.Tuples) + 2;
  store<u32>(t, tuples, CtTable.Tuples);
  if (tuples > load<u32>(t, CtTable.Mask) && load<u32>(t, CtTable.Old) == 0) grow(t);
}

export function bindSource(t: usize, e: usize): void {
  const chain = sourceChainOf(t, load<u32>(e, Ct.Src), load<u32>(e, Ct.Ports), kindOf(e));
  store<u32>(e, load<u32>(chain), Ct.NextSource);
  store<u32>(chain, <u32>e);
}

function unbindSource(t: usize, e: usize): void {
  let at = sourceChainOf(t, load<u32>(e, Ct.Src), load<u32>(e, Ct.Ports), kindOf(e));
  for (;;) {
    const l: usize = load<u32>(at);
    if (l == 0) return;
    if (l == e) break;
    at = l + Ct.NextSource;
  }
  store<u32>(at, load<u32>(e, Ct.NextSource));
}

/**
 * A new entry for a tuple and its inverse, held once by the caller; 0 when the table is full and nobody can be
 * evicted, or memory is used up (__nf_conntrack_alloc).
 */
export function create(t: usize, src: u32, dst: u32, ports: u32, replyPorts: u32, kind: u32, now: u32): usize {
  if (load<u32>(t, CtTable.Count) >= load<u32>(t, CtTable.Max)) {
    if (!earlyDrop(t, hashOf(load<u32>(t, CtTable.Seed), src, dst, ports, kind), now)) return 0;
  }
  const e = take();
  if (e == 0) return 0;
  if (load<u32>(t, CtTable.Acct) != 0) store<u32>(e, <u32>alloc(ACCT), Ct.Acct);
  store<u32>(e, src, Ct.Src);
  store<u32>(e, dst, Ct.Dst);
  store<u32>(e, ports, Ct.Ports);
  store<u32>(e, dst, Ct.ReplySrc);
  store<u32>(e, src, Ct.ReplyDst);
  store<u32>(e, replyPorts, Ct.ReplyPorts);
  store<u8>(e, kind, Ct.Proto);
  store<u16>(e, kind >> 8, Ct.Zone);
  store<u32>(e, <u32>t, Ct.Table);
  store<u32>(e, 1, Ct.Use);
  count(t, CtTable.Count);
  return e;
}

/** early_drop: evicts connections that are not assured from the chains around the hash. */
function earlyDrop(t: usize, h: u32, now: u32): bool {
  for (let i: u32 = 0; i < EVICTION_RANGE; i++) {
    let link = load<u32>(chainOf(t, h + i));
    while (link != 0) {
      const e: usize = link & ~1;
      if (expired(e, now) || (load<u32>(e, Ct.Status) & CtStatus.Assured) == 0) {
        kill(t, e);
        count(t, CtTable.EarlyDrop);
        if (load<u32>(t, CtTable.Count) < load<u32>(t, CtTable.Max)) return true;
        link = load<u32>(chainOf(t, h + i));
        continue;
      }
      link = load<u32>(e + ((link & 1) << 2));
    }
  }
  return false;
}

/** Takes a confirmed entry out of the chains (nf_ct_delete); packets that hold it keep it alive. */
export function kill(t: usize, e: usize): void {
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.Dying) != 0) return;
  store<u32>(e, status | CtStatus.Dying, Ct.Status);
  if ((status & CtStatus.Confirmed) == 0) return;
  unlink(t, e, 0);
  unlink(t, e, 1);
  store<u32>(t, load<u32>(t, CtTable.Tuples) - 2, CtTable.Tuples);
  if (load<u32>(t, CtTable.Events) != 0) {
    // its reference goes over to the list of the dead, which is told in order
    store<u16>(e, load<u16>(e, Ct.Events) | (<u16>CtEvent.Destroy), Ct.Events);
    store<u32>(e, 0, Ct.Next);
    store<u32>(e, status, Ct.StatusAtDeath);
    if (load<u32>(t, CtTable.Dead) == 0) store<u32>(t, <u32>e, CtTable.Dead);
    else store<u32>(load<u32>(t, CtTable.DeadTail), <u32>e);
    store<u32>(t, <u32>e, CtTable.DeadTail);
    return;
  }
  put(e);
}

/** The first of the dead whose end nobody was told yet, taken off the list with its reference; 0: none. */
export function nextDead(t: usize): usize {
  const e: usize = load<u32>(t, CtTable.Dead);
  if (e != 0) store<u32>(t, load<u32>(e, Ct.Next), CtTable.Dead);
  return e;
}

// @ts-ignore: decorator
@inline
export function hold(e: usize): void {
  store<u32>(e, load<u32>(e, Ct.Use) + 1, Ct.Use);
}

/** Drops a reference; the last one frees the entry. */
export function put(e: usize): void {
  const use = load<u32>(e, Ct.Use) - 1;
  assert(use != 0xffffffff, "conntrack entry released twice");
  store<u32>(e, use, Ct.Use);
  if (use != 0) return;
  const t: usize = load<u32>(e, Ct.Table);
  if ((load<u32>(e, Ct.Status) & CtStatus.SrcNatDone) != 0) unbindSource(t, e);
  release(load<u32>(e, Ct.Acct), ACCT);
  store<u32>(t, load<u32>(t, CtTable.Count) - 1, CtTable.Count);
  store<u32>(e, <u32>pool);
  pool = e;
}

/** nf_reset_ct: the packet forgets its connection. */
export function reset(h: usize): void {
  const e: usize = load<u32>(h, Pkt.Ct);
  store<u32>(h, 0, Pkt.Ct);
  store<u32>(h, 0, Pkt.CtInfo);
  if (e != 0) put(e);
}

/** The packet stands to `e` as `info` says; takes over the caller's reference. */
export function attach(h: usize, e: usize, info: u32): void {
  reset(h);
  store<u32>(h, <u32>e, Pkt.Ct);
  store<u32>(h, info, Pkt.CtInfo);
}

/** nf_conntrack_attach: an answer made here (REJECT) belongs to the connection of the packet that it answers. */
export function attachRelated(h: usize, to: usize): void {
  const e: usize = load<u32>(to, Pkt.Ct);
  if (e == 0) return;
  hold(e);
  attach(h, e, load<u32>(to, Pkt.CtInfo) >= <u32>CtInfo.EstablishedReply ? CtInfo.Related : CtInfo.RelatedReply);
}

/** 0 original, 1 reply: CTINFO2DIR. */
// @ts-ignore: decorator
@inline
export function dirOf(info: u32): u32 {
  return info >= <u32>CtInfo.EstablishedReply ? 1 : 0;
}

/** Kills what expired in the next `chains` chains. */
function sweep(t: usize, chains: u32, now: u32): void {
  const mask = load<u32>(t, CtTable.Mask);
  let i = load<u32>(t, CtTable.Cursor);
  for (; chains > 0; chains--, i++) sweepChain(t, load<u32>(t, CtTable.Buckets) + ((i & mask) << 2), now);
  store<u32>(t, i & mask, CtTable.Cursor);
}

function sweepChain(t: usize, chain: usize, now: u32): void {
  let link = load<u32>(chain);
  while (link != 0) {
    const e: usize = link & ~1;
    if (expired(e, now)) {
      kill(t, e);
      link = load<u32>(chain);
    } else {
      link = load<u32>(e + ((link & 1) << 2));
    }
  }
}

/** Kills everything that expired. */
export function collect(t: usize, now: u32): void {
  while (load<u32>(t, CtTable.Old) != 0) move(t, 1024);
  store<u32>(t, 0, CtTable.Cursor);
  sweep(t, load<u32>(t, CtTable.Mask) + 1, now);
}

/** Kills every connection, or those that masquerade behind device `ifindex`, or hold `address` in the reply's destination. */
export function flush(t: usize, ifindex: u32, address: u32): u32 {
  while (load<u32>(t, CtTable.Old) != 0) move(t, 1024);
  const size = load<u32>(t, CtTable.Mask) + 1;
  let killed: u32 = 0;
  for (let i: u32 = 0; i < size; i++) {
    const chain: usize = load<u32>(t, CtTable.Buckets) + (i << 2);
    let link = load<u32>(chain);
    while (link != 0) {
      const e: usize = link & ~1;
      if (
        (ifindex == 0 || <u32>load<u16>(e, Ct.MasqIndex) == ifindex) &&
        (address == 0 || load<u32>(e, Ct.ReplyDst) == address)
      ) {
        kill(t, e);
        killed++;
        link = load<u32>(chain);
      } else {
        link = load<u32>(e + ((link & 1) << 2));
      }
    }
  }
  return killed;
}

/** Walks the entries: the first with 0, then the one behind `after`; 0 at the end. Chains must not change meanwhile. */
export function nextEntry(t: usize, after: usize): usize {
  let i: u32 = 0;
  let link: u32 = 0;
  while (load<u32>(t, CtTable.Old) != 0) move(t, 1024);
  const mask = load<u32>(t, CtTable.Mask);
  if (after != 0) {
    i = tupleHash(t, after, 0) & mask;
    link = load<u32>(after, Ct.Next);
  } else {
    link = load<u32>(load<u32>(t, CtTable.Buckets));
  }
  for (;;) {
    while (link != 0) {
      if ((link & 1) == 0) return link;
      link = load<u32>((link & ~1) + 4);
    }
    if (++i > mask) break;
    link = load<u32>(load<u32>(t, CtTable.Buckets) + (i << 2));
  }
  return 0;
}

/** A connection's own event, kept until the packet is confirmed. */
// @ts-ignore: decorator
@inline
export function note(e: usize, event: u32): void {
  store<u16>(e, load<u16>(e, Ct.Events) | (<u16>event), Ct.Events);
}

/** __nf_ct_refresh_acct: new timeout, and the packet is counted. `len` is the packet's length. */
export function refresh(t: usize, e: usize, info: u32, len: u32, extra: u32, now: u32): void {
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.FixedTimeout) == 0) {
    store<u32>(e, (status & CtStatus.Confirmed) != 0 ? now + extra : extra, Ct.Timeout);
  }
  account(e, info, len);
}

export function account(e: usize, info: u32, len: u32): void {
  const a: usize = load<u32>(e, Ct.Acct);
  if (a == 0) return;
  const p = a + (dirOf(info) << 4);
  store<u64>(p, load<u64>(p) + 1);
  store<u64>(p, load<u64>(p, 8) + <u64>len, 8);
}

/**
 * __nf_conntrack_confirm: the packet made it through, so its connection enters the table. False: the packet must go,
 * because another took the tuple meanwhile.
 */
export function confirm(t: usize, h: usize, now: u32): bool {
  const e: usize = load<u32>(h, Pkt.Ct);
  if (e == 0) return true;
  const status = load<u32>(e, Ct.Status);
  if ((status & CtStatus.Confirmed) != 0 || dirOf(load<u32>(h, Pkt.CtInfo)) != 0) return true;
  if ((status & CtStatus.Dying) != 0) {
    count(t, CtTable.InsertFailed);
    return false;
  }
  const kind = kindOf(e);
  const clash = find(t, load<u32>(e, Ct.Src), load<u32>(e, Ct.Dst), load<u32>(e, Ct.Ports), kind, now);
  const reverse = find(t, load<u32>(e, Ct.ReplySrc), load<u32>(e, Ct.ReplyDst), load<u32>(e, Ct.ReplyPorts), kind, now);
  if (clash != 0 || reverse != 0) return resolve(t, h, e, clash, reverse);
  store<u32>(e, status | CtStatus.Confirmed, Ct.Status);
  store<u32>(e, load<u32>(e, Ct.Timeout) + now, Ct.Timeout);
  insert(t, e, now);
  note(e, (status & CtStatus.Expected) != 0 ? CtEvent.Related : CtEvent.New);
  count(t, CtTable.Insert);
  return true;
}

/** nf_ct_resolve_clash: a packet of the same flow won the race; the loser joins its entry (UDP and ICMP only). */
function resolve(t: usize, h: usize, e: usize, clash: u32, reverse: u32): bool {
  const proto = <u32>load<u8>(e, Ct.Proto);
  if (proto != 6 && clash != 0 && (clash & 1) == 0 && reverse == (clash | 1)) {
    const winner: usize = clash;
    hold(winner);
    attach(h, winner, (load<u32>(winner, Ct.Status) & CtStatus.SeenReply) != 0 ? CtInfo.Established : CtInfo.New);
    count(t, CtTable.ClashResolve);
    return true;
  }
  count(t, CtTable.InsertFailed);
  return false;
}
