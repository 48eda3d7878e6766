// src/socket/browser.ts: streams, emitters and buffers from npm, for where there is no Node: a page in a browser.

import { Buffer } from "buffer";
import events from "events";
import streams from "readable-stream";
import type { Platform } from "./platform.ts";
import { noScope } from "./platform.ts";

/** Callbacks that wait: what a process's nextTick has, by microtasks. */
const queue: (() => void)[] = [];

function runTicks(): void {
  for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
    try {
      run();
    } catch (e) {
      // the others still run; this one is the page's affair
      if (queue.length > 0) queueMicrotask(runTicks);
      throw e;
    }
  }
}

type Tick = Platform["nextTick"];

/** The streams' own, where a bundler has put a `process` in the page: their callbacks and ours keep their order. */
const given = (globalThis as { process?: { nextTick?: Tick } }).process?.nextTick;

const byMicrotask: Tick = (run, ...args) => {
  if (queue.push(() => run(...args)) === 1) queueMicrotask(runTicks);
};

export const browserPlatform: Platform = {
  Duplex: streams.Duplex as unknown as Platform["Duplex"],
  EventEmitter: events as unknown as Platform["EventEmitter"],
  Buffer: Buffer as unknown as BufferConstructor,
  nextTick: given ?? byMicrotask,
  scope: () => noScope,
  errorMonitor: (events as unknown as { errorMonitor?: symbol }).errorMonitor ?? Symbol("events.errorMonitor"),
  highWaterMark: new streams.Readable().readableHighWaterMark,
};
