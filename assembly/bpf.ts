// assembly/bpf.ts: classic BPF, the packet filter's machine (McCanne & Jacobson, USENIX 1993; Linux's sock_filter).
//
//     program:  | count u32 | 0 u32 | instruction 8 | ...
//     instruction, in the machine's order:  | code u16 | jt u8 | jf u8 | k u32 |
//
// A program is checked once when it is loaded: jumps go forward and stay inside, scratch words exist, the last
// instruction returns. It therefore ends after at most `count` steps, whatever the packet holds.

import { alloc, release } from "./arena.ts";
import { get8, get16, get32 } from "./bytes.ts";

const INSN: u32 = 8;
const HEADER: usize = 8;
/** Linux stops at 4,096 (BPF_MAXINSNS); filters on files may be longer. */
const MAX_INSNS: u32 = 65536;
const MEMWORDS: u32 = 16;
/** Where Linux keeps what is no packet byte (SKF_AD_OFF), and the packet's type behind it (SKF_AD_PKTTYPE). */
const AD_PKTTYPE: u32 = 0xfffff004;

/** Scratch words of the run in progress. */
const mem: usize = memory.data(64, 16);

// instruction classes and fields
const LD: u32 = 0x00;
const LDX: u32 = 0x01;
const ST: u32 = 0x02;
const STX: u32 = 0x03;
const ALU: u32 = 0x04;
const JMP: u32 = 0x05;
const RET: u32 = 0x06;

function known(code: u32): bool {
  switch (code & 7) {
    case LD:
      switch (code) {
        case 0x00:
        case 0x20:
        case 0x28:
        case 0x30:
        case 0x40:
        case 0x48:
        case 0x50:
        case 0x60:
        case 0x80:
          return true;
      }
      return false;
    case LDX:
      return code == 0x01 || code == 0x61 || code == 0x81 || code == 0xb1;
    case ST:
      return code == 0x02;
    case STX:
      return code == 0x03;
    case ALU:
      return code == 0x84 || ((code & ~0xf8) == ALU && (code & 0xf0) <= 0xa0 && (code & 0xf0) != 0x80);
    case JMP:
      return code == 0x05 || ((code & ~0x78) == JMP && (code & 0x70) >= 0x10 && (code & 0x70) <= 0x40);
    case RET:
      return code == 0x06 || code == 0x16;
    default:
      return code == 0x07 || code == 0x87;
  }
}

/** True for a program that `run` may be given. */
function check(insns: usize, count: u32): bool {
  if (count == 0 || count > MAX_INSNS) return false;
  for (let i: u32 = 0; i < count; i++) {
    const at = insns + i * INSN;
    const code: u32 = load<u16>(at);
    const k = load<u32>(at, 4);
    if (!known(code)) return false;
    const cls = code & 7;
    if (cls == JMP) {
      const left = count - i - 1;
      if (code == 0x05) {
        if (k >= left) return false;
      } else if (<u32>load<u8>(at, 2) >= left || <u32>load<u8>(at, 3) >= left) {
        return false;
      }
    } else if (cls == ST || cls == STX || code == 0x60 || code == 0x61) {
      if (k >= MEMWORDS) return false;
    } else if (code == 0x34 || code == 0x94) {
      if (k == 0) return false;
    } else if (code == 0x64 || code == 0x74) {
      if (k > 31) return false;
    }
  }
  return (load<u16>(insns + (count - 1) * INSN) & 7) == RET;
}

/** A program copied from `count` instructions at `insns`; 0 when it is refused or memory is used up. */
export function loadProgram(insns: usize, count: u32): usize {
  if (!check(insns, count)) return 0;
  const program = alloc(<u32>HEADER + count * INSN);
  if (program == 0) return 0;
  store<u32>(program, count);
  memory.copy(program + HEADER, insns, count * INSN);
  return program;
}

/** Gives a loaded program back. */
export function unload(program: usize): void {
  if (program != 0) release(program, <u32>HEADER + load<u32>(program) * INSN);
}

/**
 * Runs a loaded program over the `len` bytes at `p`, of a packet that had `wireLen` on the wire.
 * `packetType` is what ancillary loads of Linux's `skb->pkt_type` see (4: outgoing).
 * The number of bytes to keep, 0: rejected. A load past `len` and a division by zero reject.
 */
export function run(program: usize, p: usize, len: u32, wireLen: u32, packetType: u32): u32 {
  let pc = program + HEADER;
  let a: u32 = 0;
  let x: u32 = 0;
  memory.fill(mem, 0, 64);
  while (true) {
    const code: u32 = load<u16>(pc);
    const k = load<u32>(pc, 4);
    let jump: bool = false;
    switch (code) {
      case 0x06:
        return k;
      case 0x16:
        return a;
      case 0x20:
        if (<u64>k + 4 > <u64>len) {
          if (k != AD_PKTTYPE) return 0;
          a = packetType;
        } else a = get32(p, k);
        break;
      case 0x28:
        if (<u64>k + 2 > <u64>len) {
          if (k != AD_PKTTYPE) return 0;
          a = packetType;
        } else a = get16(p, k);
        break;
      case 0x30:
        if (k >= len) {
          if (k != AD_PKTTYPE) return 0;
          a = packetType;
        } else a = get8(p, k);
        break;
      case 0x40:
        if (<u64>x + <u64>k + 4 > <u64>len) return 0;
        a = get32(p, x + k);
        break;
      case 0x48:
        if (<u64>x + <u64>k + 2 > <u64>len) return 0;
        a = get16(p, x + k);
        break;
      case 0x50:
        if (<u64>x + <u64>k >= <u64>len) return 0;
        a = get8(p, x + k);
        break;
      case 0xb1:
        if (k >= len) return 0;
        x = (get8(p, k) & 15) << 2;
        break;
      case 0x80:
        a = wireLen;
        break;
      case 0x81:
        x = wireLen;
        break;
      case 0x00:
        a = k;
        break;
      case 0x01:
        x = k;
        break;
      case 0x60:
        a = load<u32>(mem + (k << 2));
        break;
      case 0x61:
        x = load<u32>(mem + (k << 2));
        break;
      case 0x02:
        store<u32>(mem + (k << 2), a);
        break;
      case 0x03:
        store<u32>(mem + (k << 2), x);
        break;
      case 0x04:
        a += k;
        break;
      case 0x0c:
        a += x;
        break;
      case 0x14:
        a -= k;
        break;
      case 0x1c:
        a -= x;
        break;
      case 0x24:
        a *= k;
        break;
      case 0x2c:
        a *= x;
        break;
      case 0x34:
        a /= k;
        break;
      case 0x3c:
        if (x == 0) return 0;
        a /= x;
        break;
      case 0x44:
        a |= k;
        break;
      case 0x4c:
        a |= x;
        break;
      case 0x54:
        a &= k;
        break;
      case 0x5c:
        a &= x;
        break;
      case 0x64:
        a <<= k;
        break;
      case 0x6c:
        a = x > 31 ? 0 : a << x;
        break;
      case 0x74:
        a >>= k;
        break;
      case 0x7c:
        a = x > 31 ? 0 : a >> x;
        break;
      case 0x84:
        a = 0 - a;
        break;
      case 0x94:
        a %= k;
        break;
      case 0x9c:
        if (x == 0) return 0;
        a %= x;
        break;
      case 0xa4:
        a ^= k;
        break;
      case 0xac:
        a ^= x;
        break;
      case 0x05:
        pc += INSN + k * INSN;
        continue;
      case 0x15:
        jump = a == k;
        break;
      case 0x1d:
        jump = a == x;
        break;
      case 0x25:
        jump = a > k;
        break;
      case 0x2d:
        jump = a > x;
        break;
      case 0x35:
        jump = a >= k;
        break;
      case 0x3d:
        jump = a >= x;
        break;
      case 0x45:
        jump = (a & k) != 0;
        break;
      case 0x4d:
        jump = (a & x) != 0;
        break;
      case 0x07:
        x = a;
        break;
      case 0x87:
        a = x;
        break;
      default:
        return 0;
    }
    if ((code & 7) == JMP) pc += <u32>(jump ? load<u8>(pc, 2) : load<u8>(pc, 3)) * INSN;
    pc += INSN;
  }
}
