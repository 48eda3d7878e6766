// src/lab/compare.ts: what a node sent beside what the real one sent.
//
// A real host chooses some fields freely, so that two frames can be the same packet and yet differ in them:
//   exact   byte for byte
//   id      the IP id of a packet that the node made itself
//   rand    a port or ICMP id that NAT chose, a TCP stack's own sequence numbers, the time in an option or a timestamp reply

const TYPE_IPV4 = 0x0800;
const PROTO_ICMP = 1;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const ETH = 14;

export interface Comparison {
  readonly expected: number;
  readonly got: number;
  exact: number;
  id: number;
  rand: number;
  /** Indices of frames of the real node that nothing matches, and of ours that match nothing. */
  readonly missing: number[];
  readonly extra: number[];
  /** Frames out of order among those that match. */
  reordered: number;
}

function isIpv4(f: Uint8Array): boolean {
  return f.length >= ETH + 20 && ((f[12]! << 8) | f[13]!) === TYPE_IPV4 && f[ETH]! >> 4 === 4;
}

function isIcmpError(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
}

/** The frame without the IP id, if the node made the packet: its source is the node's, or it is an ICMP error. */
function withoutId(f: Uint8Array, local: ReadonlySet<number>): Uint8Array {
  if (!isIpv4(f)) return f;
  const src = ((f[26]! << 24) | (f[27]! << 16) | (f[28]! << 8) | f[29]!) >>> 0;
  const l4 = ETH + (f[ETH]! & 15) * 4;
  if (!local.has(src) && !(f[23] === PROTO_ICMP && l4 < f.length && isIcmpError(f[l4]!))) return f;
  const c = f.slice();
  c.fill(0, 18, 20);
  c.fill(0, 24, 26);
  return c;
}

/** The frame without anything that a NAT or a host may choose. */
function withoutChoices(f: Uint8Array, local: ReadonlySet<number>): Uint8Array {
  if (!isIpv4(f)) return f;
  const c = withoutId(f, local).slice();
  const l4 = ETH + (c[ETH]! & 15) * 4;
  c.fill(0, 18, 20);
  c.fill(0, 24, 26);
  c.fill(0, 34, l4);
  if ((((c[20]! << 8) | c[21]!) & 0x1fff) !== 0) return c;
  const proto = c[23]!;
  if ((proto === PROTO_TCP || proto === PROTO_UDP) && c.length >= l4 + 8) {
    c.fill(0, l4, l4 + 4);
    if (proto === PROTO_UDP) c.fill(0, l4 + 6, l4 + 8);
    else if (c.length >= l4 + 20) {
      c.fill(0, l4 + 4, l4 + 12);
      c.fill(0, l4 + 16, l4 + 18);
      c.fill(0, l4 + 20, l4 + (c[l4 + 12]! >> 4) * 4);
    }
  } else if (proto === PROTO_ICMP && c.length >= l4 + 8) {
    const type = c[l4]!;
    c.fill(0, l4 + 2, l4 + 4);
    if (type === 0 || type === 8) c.fill(0, l4 + 4, l4 + 6);
    else if (type === 13 || type === 14) c.fill(0, l4 + 8, l4 + 20);
    else if (isIcmpError(type) && c.length >= l4 + 8 + 28) {
      const inner = l4 + 8 + (c[l4 + 8]! & 15) * 4;
      c.fill(0, inner, inner + 20);
    }
  }
  return c;
}

function keyOf(f: Uint8Array): string {
  let s = "";
  for (let i = 0; i < f.length; i += 8192) s += String.fromCharCode(...f.subarray(i, i + 8192));
  return s;
}

/** Matches frames at the strictest level that fits, each once, in order. `local`: the node's own addresses. */
export function compareFrames(
  expected: readonly Uint8Array[],
  got: readonly Uint8Array[],
  local: ReadonlySet<number>,
): Comparison {
  const result: Comparison = {
    expected: expected.length,
    got: got.length,
    exact: 0,
    id: 0,
    rand: 0,
    missing: [],
    extra: [],
    reordered: 0,
  };
  const match = new Int32Array(expected.length).fill(-1);
  const used = new Uint8Array(got.length);
  const levels = [
    ["exact", (f: Uint8Array) => f],
    ["id", (f: Uint8Array) => withoutId(f, local)],
    ["rand", (f: Uint8Array) => withoutChoices(f, local)],
  ] as const;
  for (const [level, mask] of levels) {
    const index = new Map<string, number[]>();
    for (let k = got.length - 1; k >= 0; k--) {
      if (used[k] !== 0) continue;
      const key = keyOf(mask(got[k]!));
      const list = index.get(key);
      if (list === undefined) index.set(key, [k]);
      else list.push(k);
    }
    if (index.size === 0) break;
    for (let n = 0; n < expected.length; n++) {
      if (match[n] !== -1) continue;
      const k = index.get(keyOf(mask(expected[n]!)))?.pop();
      if (k === undefined) continue;
      match[n] = k;
      used[k] = 1;
      result[level]++;
    }
  }
  for (let n = 0; n < expected.length; n++) if (match[n] === -1) result.missing.push(n);
  for (let k = 0; k < got.length; k++) if (used[k] === 0) result.extra.push(k);
  result.reordered = outOfOrder(match);
  return result;
}

/** How many matches stand outside the longest run of rising indices. */
function outOfOrder(match: Int32Array): number {
  const tails: number[] = [];
  let count = 0;
  for (const k of match) {
    if (k < 0) continue;
    count++;
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (tails[mid]! < k) low = mid + 1;
      else high = mid;
    }
    tails[low] = k;
  }
  return count - tails.length;
}
