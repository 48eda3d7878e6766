// src/capture/filter/program.ts: classic BPF instructions: their codes, their text, and their place in the core.

import type { Core } from "../../core/core.ts";

/** One instruction, as Linux's sock_filter and `tcpdump -ddd` have it. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export type Program = readonly Instruction[];

/** Instruction codes that filters use: class | size or operation | mode or source. */
export const Op = {
  LdW: 0x20,
  LdH: 0x28,
  LdB: 0x30,
  LdIndW: 0x40,
  LdIndH: 0x48,
  LdIndB: 0x50,
  LdImm: 0x00,
  LdMem: 0x60,
  LdLen: 0x80,
  LdxImm: 0x01,
  LdxMem: 0x61,
  LdxLen: 0x81,
  LdxMsh: 0xb1,
  St: 0x02,
  Stx: 0x03,
  Add: 0x04,
  Sub: 0x14,
  Mul: 0x24,
  Div: 0x34,
  Or: 0x44,
  And: 0x54,
  Lsh: 0x64,
  Rsh: 0x74,
  Neg: 0x84,
  Mod: 0x94,
  Xor: 0xa4,
  Ja: 0x05,
  Jeq: 0x15,
  Jgt: 0x25,
  Jge: 0x35,
  Jset: 0x45,
  Ret: 0x06,
  RetA: 0x16,
  Tax: 0x07,
  Txa: 0x87,
} as const;

/** The bit that takes the second operand from X instead of `k`. */
export const X = 0x08;

/** Offset of an ancillary load of the packet's type (Linux's SKF_AD_OFF + SKF_AD_PKTTYPE). */
export const PACKET_TYPE = 0xfffff004;
/** The longest program that the core takes. */
export const MAX_INSTRUCTIONS = 65536;
/** Linux's PACKET_OUTGOING. */
export const OUTGOING = 4;

const hex = (k: number): string => `#0x${(k >>> 0).toString(16)}`;

const sizes: Record<number, string> = { 0x00: "ld", 0x08: "ldh", 0x10: "ldb" };
const arithmetic = ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
const jumps = ["ja", "jeq", "jgt", "jge", "jset"];

/** Mnemonic and operand of one instruction, in `tcpdump -d`'s words. */
function words(i: Instruction, at: number): [string, string] {
  const { code, k } = i;
  switch (code & 7) {
    case 0: {
      const name = sizes[code & 0x18] ?? "ld?";
      switch (code & 0xe0) {
        case 0x00:
          return ["ld", hex(k)];
        case 0x20:
          return [name, k === PACKET_TYPE ? "[type]" : `[${k >>> 0}]`];
        case 0x40:
          return [name, `[x + ${k | 0}]`];
        case 0x60:
          return ["ld", `M[${k}]`];
        default:
          return ["ld", "#pktlen"];
      }
    }
    case 1:
      switch (code & 0xe0) {
        case 0x00:
          return ["ldx", hex(k)];
        case 0x60:
          return ["ldx", `M[${k}]`];
        case 0x80:
          return ["ldx", "#pktlen"];
        default:
          return ["ldxb", `4*([${k}]&0xf)`];
      }
    case 2:
      return ["st", `M[${k}]`];
    case 3:
      return ["stx", `M[${k}]`];
    case 4: {
      const name = arithmetic[code >> 4] ?? "alu?";
      if (code === Op.Neg) return [name, ""];
      if ((code & X) !== 0) return [name, "x"];
      return [name, code === Op.Lsh || code === Op.Rsh || name === "mul" || name === "div" ? `#${k >>> 0}` : hex(k)];
    }
    case 5:
      if (code === Op.Ja) return ["ja", String(at + 1 + k)];
      return [jumps[(code >> 4) & 7] ?? "jump?", (code & X) !== 0 ? "x" : hex(k)];
    case 6:
      return ["ret", code === Op.RetA ? "" : `#${k >>> 0}`];
    default:
      return [code === Op.Tax ? "tax" : "txa", ""];
  }
}

/**
 * The program as `tcpdump -d` ("assembly": `(000) ldh [12]`) or `tcpdump -ddd` ("decimal": the count, then
 * `code jt jf k`) prints it, each line ending with a newline.
 */
export function formatProgram(program: Program, style: "assembly" | "decimal" = "assembly"): string {
  if (style === "decimal") {
    return `${program.length}\n${program.map((i) => `${i.code} ${i.jt} ${i.jf} ${i.k >>> 0}\n`).join("")}`;
  }
  let text = "";
  program.forEach((i, at) => {
    const [name, operand] = words(i, at);
    const line = `(${String(at).padStart(3, "0")}) ${name.padEnd(8)} ${operand}`;
    text +=
      (i.code & 7) === 5 && i.code !== Op.Ja
        ? `${line.padEnd(31)} jt ${at + 1 + i.jt}\tjf ${at + 1 + i.jf}\n`
        : `${line}\n`;
  });
  return text;
}

/** Reads what `tcpdump -ddd` prints. Throws an `Error` for anything else. */
export function parseProgram(text: string): Program {
  const lines = text.trim().split("\n");
  const count = Number(lines[0]);
  const program = lines.slice(1).map((line) => {
    const m = /^(\d{1,5}) (\d{1,3}) (\d{1,3}) (\d{1,10})$/.exec(line);
    if (m === null) throw new Error(`bad instruction '${line}', expected four decimal numbers`);
    return { code: Number(m[1]), jt: Number(m[2]), jf: Number(m[3]), k: Number(m[4]) };
  });
  if (count !== program.length) throw new Error(`${program.length} instructions, but the count says '${lines[0]}'`);
  return program;
}

/** A program inside a core. */
export interface LoadedFilter {
  readonly core: Core;
  /** Address of the program. */
  readonly address: number;
}

/** Copies a program into the core. Throws when the core's checker refuses it or memory is used up. */
export function loadFilter(core: Core, program: Program): LoadedFilter {
  const bytes = Math.max(1, program.length) * 8;
  const at = core.x.alloc(bytes) >>> 0;
  if (at === 0) throw new Error(`no memory for a filter of ${program.length} instructions`);
  program.forEach((i, n) => {
    core.view.setUint16(at + n * 8, i.code, true);
    core.u8[at + n * 8 + 2] = i.jt;
    core.u8[at + n * 8 + 3] = i.jf;
    core.view.setUint32(at + n * 8 + 4, i.k, true);
  });
  const address = core.x.bpfLoad(at, program.length) >>> 0;
  core.x.release(at, bytes);
  if (address === 0) throw new Error(`filter of ${program.length} instructions refused: not a program that ends`);
  return { core, address };
}

/** Gives the program's memory back; the filter must not be used afterwards. */
export function unloadFilter(filter: LoadedFilter): void {
  filter.core.x.bpfUnload(filter.address);
}

/**
 * True when the filter accepts the `capLen` bytes at `address` of a frame that had `wireLen` bytes on the wire.
 * `outgoing` is the frame's direction, which only filters compiled with `direction` look at.
 */
export function matches(
  filter: LoadedFilter,
  address: number,
  capLen: number,
  wireLen: number,
  outgoing = false,
): boolean {
  return filter.core.x.bpfRun(filter.address, address, capLen, wireLen, outgoing ? OUTGOING : 0) !== 0;
}
