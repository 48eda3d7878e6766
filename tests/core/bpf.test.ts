// The classic BPF machine: what it refuses to load, what it computes, and that no program makes it trap.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type Instruction, type Program, loadFilter, matches, unloadFilter } from "../../src/capture/filter/index.ts";
import type { Core } from "../../src/core/core.ts";
import { overBuilds } from "../support/cores.ts";

const insn = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const ret = insn(0x06, 1);
const retA = insn(0x16);
const imm = (k: number): Instruction => insn(0x00, k);

/** What the program returns over these bytes. */
function run(core: Core, program: Program, bytes: readonly number[] = [], wireLen = bytes.length, type = 0): number {
  const filter = loadFilter(core, program);
  const at = core.x.alloc(64) >>> 0;
  core.u8.set(bytes, at);
  const v = core.x.bpfRun(filter.address, at, bytes.length, wireLen, type) >>> 0;
  core.x.release(at, 64);
  unloadFilter(filter);
  return v;
}

/** The same by plain arithmetic; null where the machine rejects. */
function naive(op: number, a: number, x: number): number | null {
  const [p, q] = [BigInt(a), BigInt(x)];
  const wrap = (v: bigint): number => Number(BigInt.asUintN(32, v));
  switch (op) {
    case 0x00:
      return wrap(p + q);
    case 0x10:
      return wrap(p - q);
    case 0x20:
      return wrap(p * q);
    case 0x30:
      return x === 0 ? null : wrap(p / q);
    case 0x40:
      return wrap(p | q);
    case 0x50:
      return wrap(p & q);
    case 0x60:
      return x > 31 ? 0 : wrap(p << q);
    case 0x70:
      return x > 31 ? 0 : wrap(p >> q);
    case 0x90:
      return x === 0 ? null : wrap(p % q);
    default:
      return wrap(p ^ q);
  }
}

overBuilds("bpf", (makeCore) => {
  test("refuses programs that need not end or that reach outside", () => {
    const core = makeCore();
    const bad: Program[] = [
      [],
      [imm(1)],
      [ret, imm(1)],
      [insn(0x05, 0)],
      [insn(0x05, 1), ret],
      [insn(0x05, 0xffffffff), ret],
      [insn(0x15, 0, 1, 0), ret],
      [insn(0x15, 0, 0, 1), ret],
      [insn(0x60, 16), ret],
      [insn(0x61, 16), ret],
      [insn(0x02, 16), ret],
      [insn(0x03, 0xffffffff), ret],
      [insn(0x34, 0), ret],
      [insn(0x94, 0), ret],
      [insn(0x64, 32), ret],
      [insn(0x74, 32), ret],
      [insn(0x08, 0), ret],
      [insn(0xb0, 0), ret],
      [insn(0x0e), ret],
      [insn(0x17), ret],
      [insn(0xb4), ret],
      [insn(0x8c), ret],
      [insn(0x1006), ret],
      [insn(0x1020), ret],
      [insn(0x55), ret],
      [insn(0x0d), ret],
    ];
    for (const program of bad)
      expect([
        program,
        (() => {
          try {
            loadFilter(core, program);
            return "taken";
          } catch {
            return "refused";
          }
        })(),
      ]).toEqual([program, "refused"]);
    expect(run(core, [insn(0x05, 0), ret])).toBe(1);
  });

  test("computes in 32 bits without sign; division by zero rejects", () => {
    const core = makeCore();
    const edge = fc.oneof(fc.constantFrom(0, 1, 2, 31, 32, 33, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff));
    const ops = fc.constantFrom(0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0);
    fc.assert(
      fc.property(ops, edge, edge, (op, a, x) => {
        const expected = naive(op, a, x);
        expect(run(core, [insn(0x01, x), imm(a), insn(0x0c | op), retA])).toBe(expected ?? 0);
        const constant = [imm(a), insn(0x04 | op, x), retA];
        if (expected === null || ((op === 0x60 || op === 0x70) && x > 31))
          expect(() => run(core, constant)).toThrow("refused");
        else expect(run(core, constant)).toBe(expected);
      }),
      { numRuns: 500, seed: 1 },
    );
    expect(run(core, [imm(5), insn(0x84), retA])).toBe(0xfffffffb);
  });

  test("loads inside the frame only", () => {
    const core = makeCore();
    const bytes = [0x46, 2, 3, 4, 5, 6, 7, 8];
    const sizes = [
      [0x20, 4],
      [0x28, 2],
      [0x30, 1],
    ] as const;
    for (const [code, size] of sizes) {
      for (const k of [0, 1, 4, 5, 6, 7, 8, 9, 0x7fffffff, 0xfffffffc, 0xffffffff]) {
        const inside = k + size <= bytes.length;
        const value = bytes.slice(k, k + size).reduce((v, b) => v * 256 + b, 0);
        expect(run(core, [insn(code, k), retA], bytes)).toBe(inside ? value : 0);
        expect(run(core, [insn(0x01, k), insn(code + 0x20, 0), retA], bytes)).toBe(inside ? value : 0);
        // offset and index do not wrap around
        expect(run(core, [insn(0x01, 0xffffffff), insn(code + 0x20, k + 1), retA], bytes)).toBe(0);
      }
    }
    expect(run(core, [insn(0xb1, 0), insn(0x87), retA], bytes)).toBe(24);
    expect(run(core, [insn(0xb1, 8), insn(0x87), retA], bytes)).toBe(0);
    expect(run(core, [insn(0x80), retA], bytes, 1514)).toBe(1514);
    expect(run(core, [insn(0x81), insn(0x87), retA], bytes, 1514)).toBe(1514);
    expect(run(core, [insn(0x28, 0xfffff004), retA], bytes, 8, 4)).toBe(4);
  });

  test("scratch words, registers and jumps", () => {
    const core = makeCore();
    expect(
      run(core, [
        imm(7),
        insn(0x02, 15),
        imm(9),
        insn(0x07),
        insn(0x03, 0),
        insn(0x60, 15),
        insn(0x61, 0),
        insn(0x0c),
        retA,
      ]),
    ).toBe(16);
    // scratch words of the run before are gone
    expect(run(core, [insn(0x60, 15), retA])).toBe(0);
    for (const [code, k, yes] of [
      [0x15, 5, true],
      [0x15, 6, false],
      [0x25, 4, true],
      [0x25, 5, false],
      [0x35, 5, true],
      [0x35, 6, false],
      [0x45, 4, true],
      [0x45, 2, false],
      [0x25, 0xfffffff0, false],
    ] as const) {
      expect(run(core, [imm(5), insn(code, k, 1, 0), insn(0x06, 2), insn(0x06, 3)])).toBe(yes ? 3 : 2);
      expect(run(core, [insn(0x01, k), imm(5), insn(code | 8, 0, 1, 0), insn(0x06, 2), insn(0x06, 3)])).toBe(
        yes ? 3 : 2,
      );
    }
    expect(run(core, [insn(0x05, 1), insn(0x06, 2), insn(0x06, 3)])).toBe(3);
  });

  test("arbitrary programs are refused or end", () => {
    const core = makeCore();
    const codes = [
      0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x05, 0x15, 0x1d, 0x25,
      0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c,
      0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac,
    ];
    const k = fc.oneof(fc.nat(20), fc.constantFrom(31, 32, 0xfffff004, 0xfffffffc, 0xffffffff), fc.nat(0xffffffff));
    const any = fc.record({
      code: fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...codes) }, { weight: 1, arbitrary: fc.nat(0xffff) }),
      jt: fc.nat(3),
      jf: fc.nat(3),
      k,
    });
    const bytes = fc.uint8Array({ maxLength: 64 });
    let taken = 0;
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 12 }), bytes, fc.boolean(), (body, frame, end) => {
        const program = end ? [...body, ret, ret, ret, ret] : body;
        let filter;
        try {
          filter = loadFilter(core, program);
        } catch (e) {
          expect((e as Error).message).toContain("refused");
          return;
        }
        taken++;
        const at = core.x.alloc(64) >>> 0;
        core.u8.set(frame, at);
        expect(matches(filter, at, frame.length, frame.length)).toBeTypeOf("boolean");
        core.x.release(at, 64);
        unloadFilter(filter);
      }),
      { numRuns: 3000, seed: 2 },
    );
    expect(taken).toBeGreaterThan(300);
  });

  test("gives its memory back", () => {
    const core = makeCore();
    unloadFilter(loadFilter(core, [ret]));
    const before = core.x.arenaUsed();
    for (let i = 0; i < 100; i++) unloadFilter(loadFilter(core, [imm(i), ret]));
    expect(core.x.arenaUsed() - before).toBeLessThan(256);
  });
});
