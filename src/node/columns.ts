// src/node/columns.ts: a capture file to columns, a chunk at a time, straight into the core's memory.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { ColumnReader } from "../capture/columns.ts";
import { FileError, fileError } from "./files.ts";

/** How long a terminal or a FIFO that has nothing yet is left alone, in milliseconds. */
const PAUSE = 5;

function open(path: string): number {
  if (path === "-") return 0;
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (e) {
    throw fileError(path, e);
  }
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw new FileError(path, "EISDIR", "is a directory, expected a capture file");
  }
  return fd;
}

/** Bytes read into `to`, 0 at the end, -1 when there is nothing yet. */
function read(fd: number, to: Uint8Array, path: string): number {
  try {
    return readSync(fd, to, 0, to.length, null);
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException;
    if (code === "EOF") return 0;
    if (code === "EAGAIN") return -1;
    throw fileError(path === "-" ? "stdin" : path, e);
  }
}

/**
 * Reads a capture (`-`: stdin) and calls `each` with every batch in `columns`; false stops. A promise is waited for before
 * the next batch is made. A file that cannot be read is a FileError, damage a CaptureError, after all batches before it.
 */
export async function readColumns(
  path: string,
  columns: ColumnReader,
  each: () => boolean | Promise<boolean>,
): Promise<void> {
  const fd = open(path);
  try {
    for (;;) {
      const n = read(fd, columns.chunk, path);
      if (n === 0) break;
      if (n < 0) {
        await new Promise((done) => setTimeout(done, PAUSE));
        continue;
      }
      columns.push(n);
      while (columns.next()) {
        const more = each();
        if (!(typeof more === "boolean" ? more : await more)) return;
      }
    }
    columns.end();
  } finally {
    if (fd !== 0) closeSync(fd);
  }
}
