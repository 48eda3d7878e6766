// src/socket/platform.ts: what sockets need from where they run: streams, emitters, buffers, and who is running.
//
// Nothing here imports a module of Node's: in Node the real `node:stream` is handed in (src/node/platform.ts), because
// `tls`, `http` and `instanceof` ask for the real Duplex; in a browser the npm packages of the same code
// (src/socket/browser.ts).

// types alone, gone once compiled
import type { Duplex, DuplexOptions } from "stream";
import type { EventEmitter } from "events";
import type { Host } from "./host.ts";

/** Calls back as whoever was running when it was made (AsyncResource.runInAsyncScope). */
export type Scope = <T, A extends unknown[], R>(run: (this: T, ...args: A) => R, self: T, ...args: A) => R;

/** A class by what it makes alone: its statics have types that Node does not export. */
interface Class<Options, Made> {
  new (options?: Options): Made;
  readonly prototype: Made;
}

export interface Platform {
  readonly Duplex: Class<DuplexOptions, Duplex>;
  readonly EventEmitter: Class<{ captureRejections?: boolean }, EventEmitter>;
  readonly Buffer: BufferConstructor;
  /** process.nextTick: before anything else happens, behind what is running. */
  nextTick<A extends unknown[]>(run: (...args: A) => void, ...args: A): void;
  /** Remembers who is running now. */
  scope(name: string): Scope;
  /** events.errorMonitor */
  readonly errorMonitor: symbol;
  /** Bytes that a stream buffers unless told otherwise (stream.getDefaultHighWaterMark(false)). */
  readonly highWaterMark: number;
  /** Runs a program whose modules are to find this host's network behind Node's own names. */
  enter?<T>(host: Host, program: () => T): T;
}

/** A scope for where nobody asks who is running. */
export const noScope: Scope = (run, self, ...args) => run.apply(self, args);
