// src/node/platform.ts: Node's own streams, emitters and buffers for the emulated sockets.

import { AsyncResource } from "node:async_hooks";
import { Buffer } from "node:buffer";
import { EventEmitter, errorMonitor } from "node:events";
import { Duplex, getDefaultHighWaterMark } from "node:stream";
import { runOn } from "./program.ts";
import type { Platform, Scope } from "../socket/platform.ts";

/** Callbacks run in the async context that was current when their socket, server or timer was made. */
export const nodePlatform: Platform = {
  Duplex,
  EventEmitter,
  Buffer,
  nextTick: process.nextTick,
  scope: (name): Scope => {
    const resource = new AsyncResource(name);
    return (run, self, ...args) => resource.runInAsyncScope(run, self, ...args);
  },
  errorMonitor,
  highWaterMark: getDefaultHighWaterMark(false),
  enter: runOn,
};
