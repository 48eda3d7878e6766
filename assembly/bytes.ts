// assembly/bytes.ts: big-endian access to packet bytes. Nothing else loads or stores them.

// @ts-ignore: decorator
@inline
export function get8(p: usize, at: usize): u32 {
  return load<u8>(p + at);
}

// @ts-ignore: decorator
@inline
export function get16(p: usize, at: usize): u32 {
  return bswap<u16>(load<u16>(p + at));
}

// @ts-ignore: decorator
@inline
export function get32(p: usize, at: usize): u32 {
  return bswap<u32>(load<u32>(p + at));
}

// @ts-ignore: decorator
@inline
export function set8(p: usize, at: usize, v: u32): void {
  store<u8>(p + at, <u8>v);
}

// @ts-ignore: decorator
@inline
export function set16(p: usize, at: usize, v: u32): void {
  store<u16>(p + at, bswap<u16>(<u16>v));
}

// @ts-ignore: decorator
@inline
export function set32(p: usize, at: usize, v: u32): void {
  store<u32>(p + at, bswap<u32>(v));
}
