// src/capture/filter/columns.ts: a filter over batches of columns.

import { Rec } from "../../../assembly/record.ts";
import { Column, ColumnFlag } from "../../../assembly/walklayout.ts";
import { Direction, LinkType } from "../format.ts";
import type { ColumnReader } from "../columns.ts";
import { compileFilter, type LoadedFilter, loadFilter, matches } from "./index.ts";

/** A filter, compiled for each link type that the capture has. A text that is no filter throws FilterError at once. */
export class ColumnFilter {
  private readonly loaded = new Map<number, LoadedFilter>();

  constructor(private readonly text: string) {
    compileFilter(text, LinkType.Ethernet, { direction: true });
  }

  /** Whether the frame of this entry of the batch matches. */
  matches(columns: ColumnReader, entry: number): boolean {
    const { core, reader } = columns;
    const { linkType } = reader.interfaces[columns.interfaceOf(entry)]!;
    let filter = this.loaded.get(linkType);
    if (filter === undefined) {
      filter = loadFilter(core, compileFilter(this.text, linkType, { direction: true }));
      this.loaded.set(linkType, filter);
    }
    const w = entry >>> 2;
    const direction = (core.u32[(entry + Column.Interface) >>> 2]! & ColumnFlag.Direction) >>> 24;
    return matches(
      filter,
      core.u32[w + (Rec.At >>> 2)]!,
      core.u32[w + (Rec.CapLen >>> 2)]!,
      core.u32[w + (Rec.Len >>> 2)]!,
      direction === Direction.Out,
    );
  }

  /** Moves the entries that match to the front of the batch; answers how many there are. */
  keep(columns: ColumnReader): number {
    const { records, count, core } = columns;
    let kept = records;
    for (let i = 0; i < count; i++) {
      const entry = records + i * Column.Size;
      if (!this.matches(columns, entry)) continue;
      if (kept !== entry) core.u8.copyWithin(kept, entry, entry + Column.Size);
      kept += Column.Size;
    }
    return (kept - records) / Column.Size;
  }
}
