// assembly/checksum.ts: the Internet checksum (RFC 1071) and its incremental update (RFC 1624).
// Sums are kept in the machine's byte order: one's-complement addition does not care (RFC 1071 §2 (B)).

/** Folds a sum into 16 bits. */
// @ts-ignore: decorator
@inline
export function fold(sum: u64): u32 {
  let s = (sum & 0xffffffff) + (sum >> 32);
  s = (s & 0xffff) + ((s >> 16) & 0xffff) + (s >> 32);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return <u32>s;
}

/** Sum of `len` bytes at `p` as little-endian words, not folded, added to `sum`. An odd last byte counts as its word's first. */
export function sum(p: usize, len: u32, sum: u64): u64 {
  let n = len;
  if (n >= 64) {
    // 32-bit lanes widened to 64 bits cannot overflow below 2^32 words
    let a = i64x2.splat(0);
    let b = i64x2.splat(0);
    while (n >= 64) {
      const v0 = v128.load(p);
      const v1 = v128.load(p, 16);
      const v2 = v128.load(p, 32);
      const v3 = v128.load(p, 48);
      a = i64x2.add(a, i64x2.add(i64x2.extend_low_i32x4_u(v0), i64x2.extend_high_i32x4_u(v0)));
      b = i64x2.add(b, i64x2.add(i64x2.extend_low_i32x4_u(v1), i64x2.extend_high_i32x4_u(v1)));
      a = i64x2.add(a, i64x2.add(i64x2.extend_low_i32x4_u(v2), i64x2.extend_high_i32x4_u(v2)));
      b = i64x2.add(b, i64x2.add(i64x2.extend_low_i32x4_u(v3), i64x2.extend_high_i32x4_u(v3)));
      p += 64;
      n -= 64;
    }
    a = i64x2.add(a, b);
    sum += <u64>i64x2.extract_lane(a, 0) + <u64>i64x2.extract_lane(a, 1);
  }
  while (n >= 8) {
    const v = load<u64>(p);
    sum += (v & 0xffffffff) + (v >> 32);
    p += 8;
    n -= 8;
  }
  if (len >= 8) {
    // the last bytes as the upper ones of a word that ends with them: lengths differ too much for branches to be foreseen
    const shift = (<u64>(8 - n)) << 2;
    const v = (load<u64>(p + n - 8) >> shift) >> shift;
    return sum + (v & 0xffffffff) + (v >> 32);
  }
  if (n >= 4) {
    sum += <u64>load<u32>(p);
    p += 4;
    n -= 4;
  }
  if (n >= 2) {
    sum += <u64>load<u16>(p);
    p += 2;
    n -= 2;
  }
  if (n != 0) sum += <u64>load<u8>(p);
  return sum;
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
