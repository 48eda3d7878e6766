// assembly/wire/ipv4options.ts: IPv4 options, RFC 791 §3.1, as a host and a router handle them (RFC 1812 §4.2.2.1, §5.2.4).
//
//     | type | length | pointer | data ...        types 0 (end) and 1 (no operation) are one byte
//
// Offsets count from the header's first byte, as the pointer of an ICMP parameter problem does.

import { get32, get8, set32, set8 } from "../bytes.ts";
import { Drop } from "../drop.ts";
import { OptFlag, Pkt } from "../layout.ts";
import { fillChecksum, HEADER_LEN, headerLen, setFrag, src } from "./ipv4.ts";

export const END: u32 = 0;
export const NOOP: u32 = 1;
export const RECORD_ROUTE: u32 = 7;
export const TIMESTAMP: u32 = 68;
export const SECURITY: u32 = 130;
export const LOOSE_ROUTE: u32 = 131;
export const CIPSO: u32 = 134;
export const STRICT_ROUTE: u32 = 137;
export const ROUTER_ALERT: u32 = 148;
/** The option goes into every fragment. */
const COPIED: u32 = 0x80;

/** What a timestamp option asks for: times, addresses and times, times of the addresses that it names. */
export const TS_ONLY: u32 = 0;
export const TS_ADDRESS: u32 = 1;
export const TS_PRESPECIFIED: u32 = 3;

/** `BadOption` when an option's length is below 2 or beyond the header. `p` is a header that ipv4.check has passed. */
export function check(p: usize): Drop {
  const end = headerLen(p);
  let at: u32 = HEADER_LEN;
  while (at < end) {
    const k = get8(p, at);
    if (k == END) return Drop.None;
    if (k == NOOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return Drop.BadOption;
    const n = get8(p, at + 1);
    if (n < 2 || at + n > end) return Drop.BadOption;
    at += n;
  }
  return Drop.None;
}

/** Offset of the first whole option with a length at or behind `at`, 0 when there is none: begin at HEADER_LEN, go on at `at + optionLen`. */
export function next(p: usize, at: u32): u32 {
  const end = headerLen(p);
  while (at + 1 < end) {
    const k = get8(p, at);
    if (k == END) return 0;
    if (k != NOOP) {
      const n = get8(p, at + 1);
      return n < 2 || at + n > end ? 0 : at;
    }
    at++;
  }
  return 0;
}

/** Type and length of the option at an offset that `next` gave. */
export function kind(p: usize, at: u32): u32 {
  return get8(p, at);
}
export function optionLen(p: usize, at: u32): u32 {
  return get8(p, at + 1);
}

/** Offset of the first option of this type, 0 when there is none. */
export function find(p: usize, k: u32): u32 {
  let at = next(p, HEADER_LEN);
  while (at != 0 && kind(p, at) != k) at = next(p, at + optionLen(p, at));
  return at;
}

/** The next address of a timestamp option with prespecified addresses that has room left; 0 when there is none. */
export function prespecified(p: usize): u32 {
  for (let at = next(p, HEADER_LEN); at != 0; at = next(p, at + optionLen(p, at))) {
    const n = optionLen(p, at);
    if (kind(p, at) != TIMESTAMP || n < 4 || (get8(p, at + 3) & 15) != TS_PRESPECIFIED) continue;
    const pointer = get8(p, at + 2);
    return pointer >= 5 && pointer + 7 <= n ? get32(p, at + pointer - 1) : 0;
  }
  return 0;
}

function room(pointer: u32, n: u32, want: u32): bool {
  return pointer + want <= n;
}

/**
 * Reads the options of a received packet into its descriptor and fills in what this host owes: its address `own` in
 * record route and timestamps, `time` (ms since midnight UTC). `foreign`: the prespecified address is somebody else's.
 * Answers 0, or the offset that a parameter problem points at. The header checksum is due when `IsChanged` is set.
 */
export function compile(h: usize, own: u32, time: u32, foreign: bool): u32 {
  const p: usize = load<u32>(h, Pkt.Net);
  const end = headerLen(p);
  let flags: u32 = 0;
  let srr: u32 = 0;
  let rr: u32 = 0;
  let ts: u32 = 0;
  let bad: u32 = 0;
  let at: u32 = HEADER_LEN;
  while (at < end) {
    const kind = get8(p, at);
    if (kind == END) {
      for (at++; at < end; at++) {
        if (get8(p, at) != END) {
          set8(p, at, END);
          flags |= OptFlag.IsChanged;
        }
      }
      break;
    }
    if (kind == NOOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) {
      bad = at;
      break;
    }
    const n = get8(p, at + 1);
    if (n < 2 || at + n > end) {
      bad = at;
      break;
    }
    if (kind == LOOSE_ROUTE || kind == STRICT_ROUTE) {
      if (n < 3) bad = at + 1;
      else if (get8(p, at + 2) < 4) bad = at + 2;
      else if (srr != 0) bad = at; // RFC 1812 §5.2.4.1: one source route only
      if (bad != 0) break;
      if (kind == STRICT_ROUTE) flags |= OptFlag.StrictRoute;
      srr = at;
    } else if (kind == RECORD_ROUTE) {
      if (rr != 0) bad = at;
      else if (n < 3) bad = at + 1;
      else if (get8(p, at + 2) < 4) bad = at + 2;
      if (bad != 0) break;
      const pointer = get8(p, at + 2);
      if (pointer <= n) {
        if (!room(pointer, n, 3)) {
          bad = at + 2;
          break;
        }
        set32(p, at + pointer - 1, own);
        set8(p, at + 2, pointer + 4);
        flags |= OptFlag.IsChanged | OptFlag.RrNeedAddr;
      }
      rr = at;
    } else if (kind == TIMESTAMP) {
      if (ts != 0) bad = at;
      else if (n < 4) bad = at + 1;
      else if (get8(p, at + 2) < 5) bad = at + 2;
      if (bad != 0) break;
      const pointer = get8(p, at + 2);
      const mode = get8(p, at + 3) & 15;
      if (pointer <= n) {
        if (!room(pointer, n, 3) || ((mode == TS_ADDRESS || mode == TS_PRESPECIFIED) && !room(pointer, n, 7))) {
          bad = at + 2;
          break;
        }
        if (mode == TS_ONLY) {
          set32(p, at + pointer - 1, time);
          set8(p, at + 2, pointer + 4);
          flags |= OptFlag.TsNeedTime | OptFlag.IsChanged;
        } else if (mode == TS_ADDRESS) {
          set32(p, at + pointer - 1, own);
          set32(p, at + pointer + 3, time);
          set8(p, at + 2, pointer + 8);
          flags |= OptFlag.TsNeedAddr | OptFlag.TsNeedTime | OptFlag.IsChanged;
        } else if (mode == TS_PRESPECIFIED && !foreign) {
          set32(p, at + pointer + 3, time);
          set8(p, at + 2, pointer + 8);
          flags |= OptFlag.TsNeedTime | OptFlag.IsChanged;
        }
      } else if (mode != TS_PRESPECIFIED) {
        const overflow = get8(p, at + 3) >> 4;
        if (overflow == 15) {
          bad = at + 3;
          break;
        }
        set8(p, at + 3, mode | ((overflow + 1) << 4));
        flags |= OptFlag.IsChanged;
      }
      ts = at;
    } else if (kind == CIPSO) {
      // cipso_v4_validate: no domain of interpretation is configured, so that none is known
      flags |= OptFlag.Cipso;
      bad = at + (n < 8 ? 1 : 2);
      break;
    } else if (kind == ROUTER_ALERT) {
      if (n < 4) {
        bad = at + 1;
        break;
      }
      if (get8(p, at + 2) == 0 && get8(p, at + 3) == 0) flags |= OptFlag.RouterAlert;
    }
    at += n;
  }
  store<u32>(h, srr, Pkt.OptSrr);
  store<u32>(h, rr, Pkt.OptRr);
  store<u32>(h, ts, Pkt.OptTs);
  store<u32>(h, flags, Pkt.OptFlags);
  return bad;
}

/** The address that a source route names next (`pointer` as it stands), 0 when it is used up. `BadOption` is 1. */
export function sourceRouteNext(h: usize, pointer: u32): u32 {
  const p: usize = load<u32>(h, Pkt.Net) + load<u32>(h, Pkt.OptSrr);
  return get32(p, pointer - 1);
}
export function sourceRoutePointer(h: usize): u32 {
  return get8(load<u32>(h, Pkt.Net) + load<u32>(h, Pkt.OptSrr), 2);
}
export function sourceRouteLength(h: usize): u32 {
  return get8(load<u32>(h, Pkt.Net) + load<u32>(h, Pkt.OptSrr), 1);
}

/** What a router writes as it sends: `own` is the address of the device it leaves by. Sums the header if it changed. */
export function forward(h: usize, own: u32): void {
  const p: usize = load<u32>(h, Pkt.Net);
  let flags = load<u32>(h, Pkt.OptFlags);
  const rr = load<u32>(h, Pkt.OptRr);
  if ((flags & OptFlag.RrNeedAddr) != 0) {
    set32(p, rr + get8(p, rr + 2) - 5, own);
    flags |= OptFlag.IsChanged;
  }
  if ((flags & OptFlag.SrrIsHit) != 0) {
    const srr = load<u32>(h, Pkt.OptSrr);
    const nexthop = load<u32>(h, Pkt.OptNexthop);
    const n = get8(p, srr + 1);
    let pointer = get8(p, srr + 2);
    while (pointer + 3 <= n && get32(p, srr + pointer - 1) != nexthop) pointer += 4;
    if (pointer + 3 <= n) {
      set32(p, 16, nexthop);
      set32(p, srr + pointer - 1, own);
      set8(p, srr + 2, pointer + 4);
      flags |= OptFlag.IsChanged;
    }
    if ((flags & OptFlag.TsNeedAddr) != 0) {
      const ts = load<u32>(h, Pkt.OptTs);
      set32(p, ts + get8(p, ts + 2) - 9, own);
      flags |= OptFlag.IsChanged;
    }
  }
  if ((flags & OptFlag.IsChanged) != 0) fillChecksum(p);
  store<u32>(h, flags & ~OptFlag.IsChanged, Pkt.OptFlags);
}

/** Later fragments carry copied options only; the others become no-operations (RFC 791 §3.1). */
export function keepCopied(p: usize): void {
  let at = next(p, HEADER_LEN);
  while (at != 0) {
    const n = optionLen(p, at);
    if ((kind(p, at) & COPIED) == 0) memory.fill(p + at, <u8>NOOP, n);
    at = next(p, at + n);
  }
}

/** Where `echo` leaves the first hop of a reversed source route, and whether the source route is strict. */
export const echoed: usize = memory.data(64, 16);
const ECHO_FADDR: usize = 40;
const ECHO_SRR: usize = 44;
const ECHO_RR: usize = 48;
const ECHO_TS: usize = 52;
const ECHO_FLAGS: usize = 56;

/**
 * Options for the answer to a packet whose options were compiled: routes and times go back, a source route reversed.
 * Writes them at `echoed`; answers their length, a multiple of 4, or 0xffffffff when no answer may be sent.
 */
export function echo(h: usize, foreign: bool): u32 {
  const p: usize = load<u32>(h, Pkt.Net);
  const flags = load<u32>(h, Pkt.OptFlags);
  memory.fill(echoed, 0, 64);
  let d: u32 = 0;
  let out: u32 = 0;
  const rr = load<u32>(h, Pkt.OptRr);
  if (rr != 0) {
    const n = get8(p, rr + 1);
    const pointer = get8(p, rr + 2);
    memory.copy(echoed + d, p + rr, n);
    store<u32>(echoed, d + HEADER_LEN, ECHO_RR);
    if ((flags & OptFlag.RrNeedAddr) != 0 && pointer <= n) {
      if (pointer + 3 > n) return 0xffffffff;
      set8(echoed + d, 2, pointer + 4);
      out |= OptFlag.RrNeedAddr;
    }
    d += n;
  }
  const ts = load<u32>(h, Pkt.OptTs);
  if (ts != 0) {
    const n = get8(p, ts + 1);
    let pointer = get8(p, ts + 2);
    memory.copy(echoed + d, p + ts, n);
    store<u32>(echoed, d + HEADER_LEN, ECHO_TS);
    if (pointer <= n) {
      if ((flags & OptFlag.TsNeedAddr) != 0) {
        if (pointer + 3 > n) return 0xffffffff;
        out |= OptFlag.TsNeedAddr;
        pointer += 4;
      }
      if ((flags & OptFlag.TsNeedTime) != 0) {
        if (pointer + 3 > n) return 0xffffffff;
        if ((get8(p, ts + 3) & 15) != TS_PRESPECIFIED) {
          out |= OptFlag.TsNeedTime;
          pointer += 4;
        } else if (pointer + 7 <= n && !foreign) {
          out |= OptFlag.TsNeedTime;
          pointer += 8;
        }
      }
      set8(echoed + d, 2, pointer);
    }
    d += n;
  }
  const srr = load<u32>(h, Pkt.OptSrr);
  if (srr != 0) {
    const n = get8(p, srr + 1);
    let from: i32 = <i32>get8(p, srr + 2);
    if (from > <i32>n) from = n + 1;
    from -= 4;
    let to: u32 = 0;
    let first: u32 = 0;
    if (from > 3) {
      first = get32(p, srr + from - 1);
      to = 4;
      for (from -= 4; from > 3; from -= 4) {
        set32(echoed + d, to - 1, get32(p, srr + from - 1));
        to += 4;
      }
      // RFC 1812 §5.2.4.1: a route that begins at its own sender is mended
      if (src(p) == get32(p, srr + <u32>(from + 3))) to -= 4;
    }
    if (to > 3) {
      store<u32>(echoed, first, ECHO_FADDR);
      set8(echoed + d, 0, get8(p, srr));
      set8(echoed + d, 1, to + 3);
      set8(echoed + d, 2, 4);
      store<u32>(echoed, d + HEADER_LEN, ECHO_SRR);
      d += to + 3;
    }
  }
  if ((flags & OptFlag.Cipso) != 0) {
    const cipso = find(p, CIPSO);
    const n = get8(p, cipso + 1);
    memory.copy(echoed + d, p + cipso, n);
    d += n;
  }
  while ((d & 3) != 0) {
    set8(echoed, d, END);
    d++;
  }
  store<u32>(echoed, out, ECHO_FLAGS);
  return d;
}

/** First hop of the reversed source route, 0 when there is none. */
export function echoFirstHop(): u32 {
  return load<u32>(echoed, ECHO_FADDR);
}

/** Copies the echoed options behind the fixed header at `p` and fills in destination, our address and the time. */
export function build(p: usize, len: u32, dst: u32, own: u32, time: u32): void {
  memory.copy(p + HEADER_LEN, echoed, len);
  const flags = load<u32>(echoed, ECHO_FLAGS);
  const srr = load<u32>(echoed, ECHO_SRR);
  if (srr != 0) set32(p, srr + get8(p, srr + 1) - 4, dst);
  if ((flags & OptFlag.RrNeedAddr) != 0) {
    const rr = load<u32>(echoed, ECHO_RR);
    set32(p, rr + get8(p, rr + 2) - 5, own);
  }
  const ts = load<u32>(echoed, ECHO_TS);
  if ((flags & OptFlag.TsNeedAddr) != 0) set32(p, ts + get8(p, ts + 2) - 9, own);
  if ((flags & OptFlag.TsNeedTime) != 0) set32(p, ts + get8(p, ts + 2) - 5, time);
}

/** Clears DF, MF and offset (reassembly, RFC 791 §3.2) and sums the header. */
export function whole(p: usize): void {
  setFrag(p, 0);
  fillChecksum(p);
}
