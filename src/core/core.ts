// src/core/core.ts: loads the WebAssembly core. The only place that does; everything else gets a `Core`.

import { instantiateSync } from "@assemblyscript/loader";
import type { __AdaptedExports } from "../../build/release.js";

/** A packet: the address of its descriptor in the core (assembly/layout.ts). */
export type Frame = number;

/** The core's functions, called raw: a `u32` comes back signed (`>>> 0`), a `bool` as 0 or 1. */
export type CoreExports = typeof __AdaptedExports;

/** One core: its functions and its memory, whose size never changes, so that the views live for ever. */
export interface Core {
  readonly x: CoreExports;
  readonly u8: Uint8Array;
  /** Words in the machine's order: descriptors and tables, never packet bytes. */
  readonly u32: Uint32Array;
  readonly view: DataView;
}

/** Makes a core from the bytes of `release.wasm` or `debug.wasm`. Every world has one of its own. */
export function makeCore(wasm: Uint8Array | WebAssembly.Module): Core {
  const { instance } = instantiateSync(wasm as BufferSource | WebAssembly.Module, {});
  const x = instance.exports as unknown as CoreExports;
  const buffer = x.memory.buffer;
  return { x, u8: new Uint8Array(buffer), u32: new Uint32Array(buffer), view: new DataView(buffer) };
}
