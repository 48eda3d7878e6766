// src/core/packet.ts: packets as TypeScript makes and reads them. Copies: for edges (files, tests), not for the path.

import { Pkt } from "../../assembly/layout.ts";
import type { Core, Frame } from "./core.ts";

/** A descriptor's field. */
export function field(core: Core, frame: Frame, at: Pkt): number {
  return core.u32[(frame + at) >> 2]!;
}

export function setField(core: Core, frame: Frame, at: Pkt, v: number): void {
  core.u32[(frame + at) >> 2] = v;
}

/** A packet with these bytes, its `Mac` at the first of them; 0 when the pool is exhausted. */
export function packetFrom(core: Core, bytes: Uint8Array): Frame {
  const h = core.x.packetAlloc(bytes.length);
  if (h === 0) return 0;
  const at = core.u32[(h + Pkt.Data) >> 2]!;
  core.u8.set(bytes, at);
  core.u32[(h + Pkt.Mac) >> 2] = at;
  return h;
}

/** A copy of the bytes from `Data` on. */
export function packetBytes(core: Core, frame: Frame): Uint8Array {
  const at = core.u32[(frame + Pkt.Data) >> 2]!;
  return core.u8.slice(at, at + core.u32[(frame + Pkt.Len) >> 2]!);
}
