import fc from "fast-check";
import { expect, it } from "vitest";
import { overBuilds } from "../support/cores.ts";

/** What a block of `size` bytes takes: the next power of two, 32 at least. */
const taken = (size: number): number => {
  let n = 32;
  while (n < size) n *= 2;
  return n;
};

overBuilds("arena", (make) => {
  const core = make();
  const { x } = core;

  it("gives zeroed blocks, aligned to 32, that do not overlap, however they come and go", () => {
    const step = fc.oneof(
      fc.record({ take: fc.oneof(fc.nat(100), fc.nat(5000), fc.constantFrom(0, 1, 31, 32, 33, 64, 4096)) }),
      fc.record({ giveBack: fc.nat(1000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const held: { at: number; size: number; mark: number }[] = [];
        let mark = 0;
        const intact = (b: { at: number; size: number; mark: number }): boolean =>
          core.u8.subarray(b.at, b.at + b.size).every((byte) => byte === b.mark);
        for (const s of steps) {
          if ("take" in s) {
            const at = x.alloc(s.take) >>> 0;
            expect(at).not.toBe(0);
            expect(at % 32).toBe(0);
            expect(core.u8.subarray(at, at + s.take).every((byte) => byte === 0)).toBe(true);
            for (const b of held) {
              expect(at + taken(s.take) <= b.at || b.at + taken(b.size) <= at, `${at} and ${b.at}`).toBe(true);
            }
            mark = (mark % 255) + 1;
            core.u8.fill(mark, at, at + s.take);
            held.push({ at, size: s.take, mark });
          } else if (held.length > 0) {
            const [b] = held.splice(s.giveBack % held.length, 1);
            expect(intact(b!)).toBe(true);
            x.release(b!.at, b!.size);
          }
        }
        for (const b of held) {
          expect(intact(b)).toBe(true);
          x.release(b.at, b.size);
        }
      }),
    );
  });

  it("takes no more memory for blocks that were given back", () => {
    const sizes = [1, 40, 100, 1000, 5000];
    const round = (): void => {
      const blocks = sizes.map((size) => x.alloc(size) >>> 0);
      blocks.forEach((at, i) => x.release(at, sizes[i]!));
    };
    round();
    const used = x.arenaUsed() >>> 0;
    for (let i = 0; i < 100; i++) round();
    expect(x.arenaUsed() >>> 0).toBe(used);
  });

  it("counts what it takes from memory; blocks of 128 bytes and more begin on such a boundary", () => {
    const fresh = make().x;
    let top = (fresh.alloc(32) >>> 0) + 32;
    expect(fresh.arenaUsed() >>> 0).toBeGreaterThanOrEqual(32);
    for (const size of [1, 33, 64, 1 << 20, 129]) {
      const before = fresh.arenaUsed() >>> 0;
      const at = fresh.alloc(size) >>> 0;
      const boundary = size < 128 ? 32 : 128;
      expect(at).toBe(Math.ceil(top / boundary) * boundary);
      expect((fresh.arenaUsed() >>> 0) - before).toBe(at + taken(size) - top);
      top = at + taken(size);
    }
  });

  it("answers 0 when memory is used up, and gives on what comes back", () => {
    const fresh = make().x;
    const size = 1 << 24;
    const blocks: number[] = [];
    for (let at = fresh.alloc(size) >>> 0; at !== 0; at = fresh.alloc(size) >>> 0) {
      blocks.push(at);
      expect(blocks.length).toBeLessThan(100);
    }
    expect(blocks.length).toBeGreaterThan(4);
    expect(blocks.at(-1)! + size).toBeLessThanOrEqual(fresh.memory.buffer.byteLength);
    fresh.release(blocks[1]!, size);
    expect(fresh.alloc(size) >>> 0).toBe(blocks[1]);
    expect(fresh.alloc(size)).toBe(0);
  });

  it("refuses what no memory holds", () => {
    for (const size of [0x08000001, 0x10000001, 0x7fffffff, 0x80000001, 0xffffffff]) {
      expect(x.alloc(size) >>> 0, `${size}`).toBe(0);
    }
    x.release(0, 100);
    expect(x.alloc(100) >>> 0).not.toBe(0);
  });
});
