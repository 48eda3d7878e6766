// src/node/realwork.ts: what the process waits for outside of virtual time: files, names, keys, compression.

import { type AsyncHook, createHook } from "node:async_hooks";

/** Requests that the machine answers by itself; sockets and pipes wait for others and are not counted. */
const machine = new Set([
  "FSREQCALLBACK",
  "FSREQPROMISE",
  "FILEHANDLECLOSEREQ",
  "GETADDRINFOREQWRAP",
  "GETNAMEINFOREQWRAP",
  "QUERYWRAP",
  "BLOBREADER",
]);

/**
 * Of node:crypto: PBKDF2REQUEST, KEYPAIRGENREQUEST ... Names with a gap are programs' own: UNDICI_REQUEST lasts as long as
 * the answer takes.
 */
function isCrypto(type: string): boolean {
  return /^[A-Z0-9]+REQUEST$/.test(type) && !type.startsWith("HTTP");
}

/** A job of node:crypto: one that answers at once (randomBytes without a callback) has nobody to tell. */
interface CryptoJob {
  readonly ondone?: unknown;
}

/** A zlib stream's handle: it lives long, and works between `write` and its callback. */
interface ZlibHandle {
  write(...args: unknown[]): unknown;
}

/** Counts requests under way, from when it is enabled. */
export class RealWork {
  private readonly pending = new Set<number>();
  private readonly jobs = new Map<number, CryptoJob>();
  private readonly hook: AsyncHook;

  constructor() {
    this.hook = createHook({
      init: (id, type, _trigger, resource) => {
        // promises are most of what comes by
        if (type === "PROMISE" || type === "TickObject") return;
        if (type === "ZLIB") this.watch(id, resource as ZlibHandle);
        else if (machine.has(type)) this.pending.add(id);
        else if (isCrypto(type)) this.jobs.set(id, resource as CryptoJob);
      },
      before: (id) => {
        if (this.pending.size > 0) this.pending.delete(id);
        if (this.jobs.size > 0) this.jobs.delete(id);
      },
    });
  }

  enable(): void {
    this.hook.enable();
  }

  disable(): void {
    this.hook.disable();
    this.pending.clear();
    this.jobs.clear();
  }

  /** Whether something will call back without anybody else's doing. */
  get busy(): boolean {
    // whose result was not waited for is done by the time that anybody asks
    for (const [id, job] of this.jobs) if (job.ondone === undefined) this.jobs.delete(id);
    return this.pending.size > 0 || this.jobs.size > 0;
  }

  private watch(id: number, handle: ZlibHandle): void {
    const { write } = handle;
    handle.write = (...args) => {
      this.pending.add(id);
      return write.apply(handle, args);
    };
  }
}
