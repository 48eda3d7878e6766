// src/node/files.ts: files, stdin and stdout as chunks. `-` is stdin or stdout.

import { createWriteStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Writable } from "node:stream";

/** The best size in measurements: larger gains nothing, smaller costs system calls. */
const CHUNK = 262_144;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "is a directory",
  ENOTDIR: "a part of the path is not a directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOSPC: "no space left on the device",
  EROFS: "the file system is read-only",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "too many symbolic links",
  EIO: "the device failed",
};

/** A file cannot be opened, read or written: `PATH: reason`. */
export class FileError extends Error {
  override readonly name = "FileError";
  constructor(
    readonly path: string,
    readonly code: string,
    reason = reasons[code] ?? code,
  ) {
    super(`${path}: ${reason}`);
  }
}

/** What a file system's error becomes; anything else stays what it is. */
export function fileError(path: string, e: unknown): unknown {
  if (!(e instanceof Error) || !("code" in e) || typeof e.code !== "string") return e;
  return e instanceof FileError ? e : new FileError(path, e.code);
}

export interface ReadOptions {
  /** Give every chunk in the same buffer: it is valid only until the next is asked for. Default false. */
  readonly reuse?: boolean;
  /** Bytes of a chunk at most. Default 256 KiB. */
  readonly chunkLength?: number;
}

/** The bytes of a file, or of stdin for `-`. What goes wrong is a FileError that names the path. */
export async function* readChunks(
  path: string,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (path === "-") {
    try {
      for await (const chunk of process.stdin) yield chunk as Uint8Array;
    } catch (e) {
      throw fileError("stdin", e);
    }
    return;
  }
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (e) {
    throw fileError(path, e);
  }
  const length = options.chunkLength ?? CHUNK;
  let buffer = new Uint8Array(length);
  try {
    for (;;) {
      let bytesRead: number;
      try {
        ({ bytesRead } = await handle.read(buffer, 0, length, null));
      } catch (e) {
        throw fileError(path, e);
      }
      if (bytesRead === 0) return;
      yield bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
      if (options.reuse !== true) buffer = new Uint8Array(length);
    }
  } finally {
    await handle.close();
  }
}

/** A file that is written, or stdout. `write` is a capture writer's sink. */
export class OutputFile {
  private failure: unknown = null;
  private readonly wake = new Set<() => void>();

  constructor(
    private readonly path: string,
    private readonly stream: Writable,
    private readonly owned: boolean,
  ) {
    stream.on("error", this.onError);
    stream.on("drain", this.onDrain);
  }

  /** Appends a chunk, which must not change any more. Never waits: see `drained`. */
  readonly write = (chunk: Uint8Array): void => {
    if (this.failure === null) this.stream.write(chunk);
  };

  /** True when the writer should wait for `drained` before it goes on. */
  get full(): boolean {
    return this.stream.writableNeedDrain || this.failure !== null;
  }

  /** Waits until there is room. What went wrong since then is thrown as a FileError. */
  async drained(): Promise<void> {
    while (this.failure === null && this.stream.writableNeedDrain) {
      await new Promise<void>((resolve) => this.wake.add(resolve));
    }
    if (this.failure !== null) throw this.failure;
  }

  /** Waits until all is written; closes a file, leaves stdout open. */
  async close(): Promise<void> {
    if (this.failure === null) {
      await new Promise<void>((resolve) => {
        // the callback comes before the "error" event does
        const done = (e?: Error | null): void => {
          if (e !== null && e !== undefined) this.onError(e);
          resolve();
        };
        if (this.owned) this.stream.end(done);
        else this.stream.write(new Uint8Array(0), done);
      });
    }
    this.stream.off("drain", this.onDrain);
    if (!this.owned) this.stream.off("error", this.onError);
    if (this.failure !== null) throw this.failure;
  }

  private readonly onError = (e: unknown): void => {
    this.failure ??= fileError(this.path, e);
    this.onDrain();
  };

  private readonly onDrain = (): void => {
    for (const resolve of this.wake) resolve();
    this.wake.clear();
  };
}

/** Opens a file for writing (made, or emptied), or stdout for `-`. A path that cannot be written is a FileError. */
export async function openOutput(path: string): Promise<OutputFile> {
  if (path === "-") return new OutputFile("stdout", process.stdout, false);
  try {
    if ((await stat(path).catch(() => null))?.isDirectory() === true) throw new FileError(path, "EISDIR");
    const handle = await open(path, "w");
    return new OutputFile(path, createWriteStream(path, { fd: handle, highWaterMark: 4 * CHUNK }), true);
  } catch (e) {
    throw fileError(path, e);
  }
}
