// src/core/dissect.ts: one frame at a time through the core's dissector; the record's words are read where they are.

import { type Layer, Rec } from "../../assembly/record.ts";
import type { Core } from "./core.ts";

/** A frame's fields, valid until the next `dissect`. `assembly/record.ts` says what each word holds. */
export class Dissection {
  readonly core: Core;
  /** Index of the record's first word in `core.u32`. */
  words: number;
  private readonly record: number;

  /** Throws when the core's memory is used up. */
  constructor(core: Core) {
    this.core = core;
    this.record = core.x.alloc(Rec.Size) >>> 0;
    if (this.record === 0) throw new Error("dissect: the core's memory is used up");
    this.words = this.record >>> 2;
  }

  /** Goes on with a record that is there already, at this address. */
  look(record: number): void {
    this.words = record >>> 2;
  }

  /** Dissects `captured` bytes at address `at` of the core, of `length` that were on the wire. */
  dissect(at: number, captured: number, length: number, linkType: number): void {
    this.core.x.dissect(at, captured, length, linkType, this.record);
    this.words = this.record >>> 2;
  }

  /** A word of the record, unsigned. */
  get(field: Rec): number {
    return this.core.u32[this.words + (field >>> 2)]!;
  }

  /** Whether any of these layers (or of the other bits) was found. */
  has(layers: Layer): boolean {
    return (this.core.u32[this.words + (Rec.Layers >>> 2)]! & layers) !== 0;
  }
}
