// assembly/jhash.ts: Bob Jenkins' lookup3 hash as the Linux kernel has it (jhash), and reciprocal_scale.

const INITIAL: u32 = 0xdeadbeef;

/** jhash(key, length, seed) over bytes, little-endian words whatever the machine is (burtleburtle.net/bob/c/lookup3.c). */
export function jhash(p: usize, length: u32, seed: u32): u32 {
  let a: u32 = INITIAL + length + seed;
  let b = a;
  let c = a;
  let n = length;
  while (n > 12) {
    a += load<u32>(p);
    b += load<u32>(p, 4);
    c += load<u32>(p, 8);
    a -= c;
    a ^= rotl<u32>(c, 4);
    c += b;
    b -= a;
    b ^= rotl<u32>(a, 6);
    a += c;
    c -= b;
    c ^= rotl<u32>(b, 8);
    b += a;
    a -= c;
    a ^= rotl<u32>(c, 16);
    c += b;
    b -= a;
    b ^= rotl<u32>(a, 19);
    a += c;
    c -= b;
    c ^= rotl<u32>(b, 4);
    b += a;
    n -= 12;
    p += 12;
  }
  if (n == 0) return c;
  for (let i: u32 = 0; i < n; i++) {
    const byte = (<u32>load<u8>(p + i)) << ((i & 3) << 3);
    if (i < 4) a += byte;
    else if (i < 8) b += byte;
    else c += byte;
  }
  c ^= b;
  c -= rotl<u32>(b, 14);
  a ^= c;
  a -= rotl<u32>(c, 11);
  b ^= a;
  b -= rotl<u32>(a, 25);
  c ^= b;
  c -= rotl<u32>(b, 16);
  a ^= c;
  a -= rotl<u32>(c, 4);
  b ^= a;
  b -= rotl<u32>(a, 14);
  c ^= b;
  c -= rotl<u32>(b, 24);
  return c;
}

/** A number in [0, n) from 32 bits that are evenly spread. */
export function reciprocalScale(v: u32, n: u32): u32 {
  return <u32>((<u64>v * <u64>n) >> 32);
}
