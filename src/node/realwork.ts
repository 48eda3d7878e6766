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

/** Of node:crypto: PBKDF2REQUEST, KEYPAIRGENREQUEST ... */
function isRequest(type: string): boolean {
  // names with a gap are programs' own: UNDICI_REQUEST lasts as long as the answer takes
  return machine.has(type) || (/^[A-Z0-9]+REQUEST$/.test(type) && !type.startsWith("HTTP"));
}

/** A zlib stream's handle: it lives long, and works between `write` and its callback. */
interface ZlibHandle {
  write(...args: unknown[]): unknown;
}

/** Counts requests under way, from when it is enabled. */
export class RealWork {
  private readonly pending = new Set<number>();
  private readonly hook: AsyncHook;

  constructor() {
    this.hook = createHook({
      init: (id, type, _trigger, resource) => {
        // promises are most of what comes by
        if (type === "PROMISE" || type === "TickObject") return;
        if (type === "ZLIB") this.watch(id, resource as ZlibHandle);
        else if (isRequest(type)) this.pending.add(id);
      },
      before: (id) => {
        if (this.pending.size > 0) this.pending.delete(id);
      },
    });
  }

  enable(): void {
    this.hook.enable();
  }

  disable(): void {
    this.hook.disable();
    this.pending.clear();
  }

  /** Whether something will call back without anybody else's doing. */
  get busy(): boolean {
    return this.pending.size > 0;
  }

  private watch(id: number, handle: ZlibHandle): void {
    const { write } = handle;
    handle.write = (...args) => {
      this.pending.add(id);
      return write.apply(handle, args);
    };
  }
}
