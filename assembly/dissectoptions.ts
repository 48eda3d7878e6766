// assembly/dissectoptions.ts: IPv4 options (RFC 791 §3.1) as Wireshark goes through them: how far, and where a packet goes.

import { get32, get8 } from "./bytes.ts";
import { Layer, Rec } from "./record.ts";

const EOL: u32 = 0;
const NOP: u32 = 1;
const RECORD_ROUTE: u32 = 7;
const MTU_PROBE: u32 = 11;
const MTU_REPLY: u32 = 12;
const QUICK_START: u32 = 25;
const TIMESTAMP: u32 = 68;
const TRACEROUTE: u32 = 82;
const SECURITY: u32 = 130;
const LOOSE_ROUTE: u32 = 131;
const EXTENDED_SECURITY: u32 = 133;
const CIPSO: u32 = 134;
const STREAM_ID: u32 = 136;
const STRICT_ROUTE: u32 = 137;
const ROUTER_ALERT: u32 = 148;
const HEADER_LEN: u32 = 20;

/** Bytes that an option's fixed fields need; 0 when its type is unknown or its length does not matter. */
function fixedLen(p: usize, type: u32, len: u32): u32 {
  switch (type) {
    case RECORD_ROUTE:
    case SECURITY:
    case LOOSE_ROUTE:
    case EXTENDED_SECURITY:
    case STRICT_ROUTE:
      return 3;
    case MTU_PROBE:
    case MTU_REPLY:
    case TIMESTAMP:
    case STREAM_ID:
    case ROUTER_ALERT:
      return 4;
    case TRACEROUTE:
      return 12;
    case QUICK_START: {
      if (len < 3) return 3;
      const f = get8(p, 2) >> 4;
      return f == 0 || f == 8 ? 8 : 3;
    }
    case CIPSO:
      // the domain, then tags, each with a type and a length
      return len == 7 ? 8 : 6;
    default:
      return 0;
  }
}

/** Whether the pointer of a source route is inside of it: the packet has not arrived yet (RFC 791 §3.1). */
// @ts-ignore: decorator
@inline
function underWay(p: usize, len: u32): bool {
  const pointer = get8(p, 2);
  return pointer >= 4 && (pointer & 3) == 0 && pointer <= len;
}

/** Whether the destination is in the header: the `cap` captured bytes tell that no source route is still to be gone. */
export function destinationInHeader(p: usize, cap: u32, headerLen: u32): bool {
  let i = HEADER_LEN;
  while (i < headerLen) {
    if (i >= cap) return false;
    const type = get8(p, i);
    if (type == EOL) break;
    if (type == NOP) {
      i++;
      continue;
    }
    if (i + 1 >= headerLen) break;
    if (i + 1 >= cap) return false;
    const len = get8(p, i + 1);
    if (len < 2 || i + len > headerLen) break;
    if (type == LOOSE_ROUTE || type == STRICT_ROUTE) return len < 3 || (i + 2 < cap && !underWay(p + i, len));
    i += len;
  }
  return true;
}

/**
 * Goes through the options between byte 20 and `headerLen` of the packet at `p`; `Rec.NetShown` becomes how far they
 * are to be shown. False when an option is too short for its own fields: nothing behind it is dissected.
 */
export function optionsOf(p: usize, headerLen: u32, rec: usize): bool {
  let i = HEADER_LEN;
  while (i < headerLen) {
    const type = get8(p, i);
    if (type == EOL) {
      i++;
      break;
    }
    if (type == NOP) {
      i++;
      continue;
    }
    if (i + 1 >= headerLen) break;
    const len = get8(p, i + 1);
    if (len < 2 || i + len > headerLen) break;
    if (len < fixedLen(p + i, type, len)) {
      store<u32>(rec, type == QUICK_START && len < 3 ? i : i + 1, Rec.NetShown);
      return false;
    }
    if (
      (type == LOOSE_ROUTE || type == STRICT_ROUTE) &&
      ((len - 3) & 3) == 0 &&
      underWay(p + i, len) &&
      (load<u32>(rec, Rec.Layers) & Layer.NoDst) != 0
    ) {
      // the source puts the first hop into the header, the destination at the route's end
      store<u32>(rec, load<u32>(rec, Rec.Layers) & ~Layer.NoDst, Rec.Layers);
      store<u32>(rec, get32(p, i + len - 4), Rec.Dst);
    }
    i += len;
  }
  store<u32>(rec, i, Rec.NetShown);
  return true;
}
