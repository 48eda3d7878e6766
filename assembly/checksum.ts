// assembly/checksum.ts: the Internet checksum (RFC 1071) and its incremental update (RFC 1624).
// Sums are kept in the machine's byte order: one's-complement addition does not care (RFC 1071 §2 (B)).

/** Folds a sum into 16 bits, with the carries added again: 0 only for 0. */
// @ts-ignore: decorator
@inline
export function fold(sum: u64): u32 {
  const s = foldHalf(sum);
  return (s + rotl<u32>(s, 16)) >>> 16;
}

/** The same into 32 bits: in the upper half of the sum of both halves, twice, is also the carry of the lower one. */
// @ts-ignore: decorator
@inline
function foldHalf(sum: u64): u32 {
  return <u32>((sum + rotl<u64>(sum, 32)) >> 32);
}

/** For each n of 0 ... 16: what brings the last n bytes of sixteen to the front, with zeros behind. */
// prettier-ignore
const lasts: usize = memory.data<u32>([
  0x80808080, 0x80808080, 0x80808080, 0x80808080,
  0x8080800f, 0x80808080, 0x80808080, 0x80808080,
  0x80800f0e, 0x80808080, 0x80808080, 0x80808080,
  0x800f0e0d, 0x80808080, 0x80808080, 0x80808080,
  0x0f0e0d0c, 0x80808080, 0x80808080, 0x80808080,
  0x0e0d0c0b, 0x8080800f, 0x80808080, 0x80808080,
  0x0d0c0b0a, 0x80800f0e, 0x80808080, 0x80808080,
  0x0c0b0a09, 0x800f0e0d, 0x80808080, 0x80808080,
  0x0b0a0908, 0x0f0e0d0c, 0x80808080, 0x80808080,
  0x0a090807, 0x0e0d0c0b, 0x8080800f, 0x80808080,
  0x09080706, 0x0d0c0b0a, 0x80800f0e, 0x80808080,
  0x08070605, 0x0c0b0a09, 0x800f0e0d, 0x80808080,
  0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x80808080,
  0x06050403, 0x0a090807, 0x0e0d0c0b, 0x8080800f,
  0x05040302, 0x09080706, 0x0d0c0b0a, 0x80800f0e,
  0x04030201, 0x08070605, 0x0c0b0a09, 0x800f0e0d,
  0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
], 16);

/** Bytes of a group, and groups whose sums fit into 16 bits as `sum` takes them. */
const GROUP: u32 = 128;
const MOST_GROUPS: u32 = 32;
/** So many bytes cannot overflow lanes of 31 bits. */
const PART: u32 = 0x20000;

/** Sum of up to 15 bytes. */
// @ts-ignore: decorator
@inline
function sumFew(p: usize, n: u32): u64 {
  let s: u64 = 0;
  if (n >= 8) {
    const v = load<u64>(p);
    s = (v & 0xffffffff) + (v >> 32);
    p += 8;
    n -= 8;
    if (n == 0) return s;
    // the last bytes as the upper ones of a word that ends with them; twice, since n may be 0
    const shift = (<u64>(8 - n)) << 2;
    const w = (load<u64>(p + n - 8) >> shift) >> shift;
    return s + (w & 0xffffffff) + (w >> 32);
  }
  if (n >= 4) {
    s = <u64>load<u32>(p);
    p += 4;
    n -= 4;
  }
  if (n >= 2) {
    s += <u64>load<u16>(p);
    p += 2;
    n -= 2;
  }
  return n == 0 ? s : s + <u64>load<u8>(p);
}

// @ts-ignore: decorator
@inline
function average(a: v128, b: v128): v128 {
  return i16x8.avgr_u(a, b);
}

/** What a block of up to 32 groups adds to four lanes: `w` is the sum modulo 2^16 + 384, `a` the sum / 256, about. */
// @ts-ignore: decorator
@inline
function blockSum(w: v128, a: v128): v128 {
  // a group's sum is 256 times what it added to `a`, less 12 at most or plus 248: so the difference fits into 16 bits
  const rest = i16x8.sub(w, v128.shl<i16>(a, 8));
  const lanes = i32x4.add(i32x4.extadd_pairwise_i16x8_u(rest), v128.shl<i32>(i32x4.extadd_pairwise_i16x8_u(a), 8));
  return i32x4.sub(lanes, i32x4.splat(768));
}

/** Four lanes of 31 bits as one sum of 32. */
// @ts-ignore: decorator
@inline
function lanesSum(t: v128): u64 {
  return <u64>foldHalf(<u64>i64x2.extract_lane(i64x2.add(t, v128.shuffle<i64>(t, t, 1, 0)), 0));
}

/**
 * Sum of `len` bytes at `p` as little-endian words, not folded, added to `sum`. An odd last byte counts as its word's first.
 *
 * Large parts go in groups of eight vectors: instead of widening each (three operations) it keeps the sum modulo 2^16, and
 * averages, whose high bits tell how often that wrapped around (two).
 */
export function sum(p: usize, len: u32, sum: u64): u64 {
  if (len - 16 <= 48) return sum + sumShort(p, len);
  if (len < 16) return sum + sumFew(p, len);
  while (len > PART) {
    sum += sumPart(p, PART);
    p += PART;
    len -= PART;
    if (len < 16) return sum + sumFew(p, len);
  }
  return sum + sumPart(p, len);
}

/** Sum of 16 ... 64 bytes without branches: lengths differ too much for them to be foreseen. */
// @ts-ignore: decorator
@inline
function sumShort(p: usize, len: u32): u64 {
  let t = i32x4.extadd_pairwise_i16x8_u(v128.load(p));
  t = i32x4.add(t, upTo16(p, len, 16));
  t = i32x4.add(t, upTo16(p, len, 32));
  return lanesSum(i32x4.add(t, upTo16(p, len, 48)));
}

/** Lanes of the bytes from `from` on, 16 at most; with fewer the vector that ends with them is read. */
// @ts-ignore: decorator
@inline
function upTo16(p: usize, len: u32, from: u32): v128 {
  const n = <u32>max<i32>(min<i32>(len - from, 16), 0);
  return i32x4.extadd_pairwise_i16x8_u(
    v128.swizzle(v128.load(p + min<u32>(len - 16, from)), v128.load(lasts + (n << 4))),
  );
}

// @ts-ignore: decorator
@inline
function sumPart(p: usize, len: u32): u64 {
  // the end first: it is not waited for
  const last = v128.swizzle(v128.load(p + len - 16), v128.load(lasts + ((len & 15) << 4)));
  let t = i32x4.extadd_pairwise_i16x8_u(last);
  const end = p + (len & ~15);
  for (let q = p + (len & ~(GROUP - 1)); q < end; q += 16) {
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(v128.load(q)));
  }
  let groups = len / GROUP;
  while (groups != 0) {
    let n = min<u32>(groups, MOST_GROUPS);
    groups -= n;
    let w = i16x8.splat(384);
    let x = i16x8.splat(0);
    let a = i16x8.splat(0);
    do {
      const v0 = v128.load(p);
      const v1 = v128.load(p, 16);
      const v2 = v128.load(p, 32);
      const v3 = v128.load(p, 48);
      const v4 = v128.load(p, 64);
      const v5 = v128.load(p, 80);
      const v6 = v128.load(p, 96);
      const v7 = v128.load(p, 112);
      w = i16x8.add(w, i16x8.add(i16x8.add(v0, v1), i16x8.add(v2, v3)));
      x = i16x8.add(x, i16x8.add(i16x8.add(v4, v5), i16x8.add(v6, v7)));
      const front = average(average(v0, v1), average(v2, v3));
      const back = average(average(v4, v5), average(v6, v7));
      a = i16x8.add(a, v128.shr<u16>(average(front, back), 5));
      p += GROUP;
      n--;
    } while (n != 0);
    t = i32x4.add(t, blockSum(i16x8.add(w, x), a));
  }
  return lanesSum(t);
}

/**
 * Copies `len` bytes from `src` to `dst`, which do not overlap, and answers their sum as `sum` does. It reads the source:
 * what was just written is still on its way to the cache. In one loop it is no faster: the system's copy is in wider steps.
 */
// @ts-ignore: decorator
@inline
export function sumCopy(dst: usize, src: usize, len: u32, start: u64): u64 {
  memory.copy(dst, src, len);
  return sum(src, len, start);
}

/** The same for the 20 bytes of a header without options. */
// @ts-ignore: decorator
@inline
export function sum20(p: usize): u64 {
  const a = load<u64>(p);
  const b = load<u64>(p, 8);
  return (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32) + <u64>load<u32>(p, 16);
}

/** The checksum field's value for these bytes, in network order as a number; 0 says that they verify. */
export function checksum(p: usize, len: u32): u32 {
  return bswap<u16>(<u16>(~fold(sum(p, len, 0)) & 0xffff));
}

/** Copies `len` bytes from `src` to `dst`, which do not overlap, and answers their `checksum`. */
export function checksumCopy(dst: usize, src: usize, len: u32): u32 {
  return bswap<u16>(<u16>(~fold(sumCopy(dst, src, len, 0)) & 0xffff));
}

/** Sum of the pseudo-header of UDP and TCP (RFC 768, RFC 9293 §3.1); addresses as numbers in host order. */
// @ts-ignore: decorator
@inline
export function pseudo(src: u32, dst: u32, proto: u32, len: u32): u64 {
  return <u64>bswap<u32>(src) + <u64>bswap<u32>(dst) + <u64>(proto << 8) + <u64>bswap<u16>(<u16>len) + <u64>(len >> 16);
}

/** Checksum of a UDP or TCP segment with its pseudo-header; 0 says that it verifies. */
export function transportChecksum(src: u32, dst: u32, proto: u32, p: usize, len: u32): u32 {
  return bswap<u16>(<u16>(~fold(sum(p, len, pseudo(src, dst, proto, len))) & 0xffff));
}

/** HC' = ~(~HC + ~m + m'), RFC 1624 §3 [Eqn. 3]: the field's new value after one 16-bit word changed. */
// @ts-ignore: decorator
@inline
export function update16(hc: u32, from: u32, to: u32): u32 {
  let s = (~hc & 0xffff) + (~from & 0xffff) + to;
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}

/** The same for a 32-bit word. */
// @ts-ignore: decorator
@inline
export function update32(hc: u32, from: u32, to: u32): u32 {
  let s = (~hc & 0xffff) + (~from & 0xffff) + (~from >> 16) + (to & 0xffff) + (to >> 16);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}
