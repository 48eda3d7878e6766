// The pieces that a packet was put together from, or made in: how long each is (Pkt.Geometry).

import fc from "fast-check";
import { expect, it } from "vitest";
import { Pkt } from "../../assembly/layout.ts";
import type { Core } from "../../src/core/core.ts";
import { field } from "../../src/core/packet.ts";
import { overBuilds } from "../support/cores.ts";

const HEADER = 20;

function lengths(core: Core, h: number): number[] | null {
  const at = field(core, h, Pkt.Geometry);
  if (at === 0) return null;
  return Array.from({ length: core.u32[at >> 2]! }, (_, i) => core.u32[(at >> 2) + 1 + i]!);
}

/** What is cut from `total` bytes where `room` fit: eights, and the rest where all of it fits. */
function cut(total: number, room: number): number[] {
  const out: number[] = [];
  let left = total;
  while (left > room) {
    out.push(room - (room % 8));
    left -= room - (room % 8);
  }
  return [...out, left];
}

overBuilds("pieces", (make) => {
  const core = make();
  const { x } = core;

  it("of a packet of ours are those that its first way's MTU asks for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9000 }), fc.integer({ min: 0, max: 2000 }), (total, mtu) => {
        const h = x.packetAlloc(HEADER + total);
        x.packetPieces(h, HEADER, mtu);
        const room = mtu - HEADER;
        expect(lengths(core, h)).toEqual(room < 8 || total <= room ? null : cut(total, room));
        x.packetFree(h);
      }),
    );
    expect(x.packetsInUse()).toBe(0);
  });

  it("are taken in by the first one when it must be longer, and no list is left when it takes them all", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 600 }),
        fc.integer({ min: 30, max: 200 }),
        fc.integer({ min: 0, max: 700 }),
        (total, mtu, n) => {
          const h = x.packetAlloc(HEADER + total);
          x.packetPieces(h, HEADER, mtu);
          const before = lengths(core, h);
          x.packetLinear(h, n);
          const after = lengths(core, h);
          if (before === null || n <= before[0]! || n > total) expect(after).toEqual(before);
          else if (n === total) expect(after).toBeNull();
          else {
            // byte by byte: each of the first n is the first piece's now
            const owner = before
              .flatMap((len, i) => Array.from({ length: len }, () => i))
              .map((i, k) => (k < n ? 0 : i));
            expect(after).toEqual(before.map((_, i) => owner.filter((o) => o === i).length));
          }
          x.packetFree(h);
        },
      ),
    );
    expect(x.packetsInUse()).toBe(0);
  });

  it("stay when there are some already", () => {
    const h = x.packetAlloc(HEADER + 100);
    x.packetPieces(h, HEADER, HEADER + 64);
    x.packetPieces(h, HEADER, HEADER + 32);
    expect(lengths(core, h)).toEqual([64, 36]);
    x.packetFree(h);
  });
});
