// src/node/program.ts: runs unmodified Node programs as hosts of an emulated network, several at a time in one process.
//
// Which host code runs on follows its asynchronous context (AsyncLocalStorage): what a program starts, and every callback
// of its sockets and timers, belongs to its host. On a host, node:net, dgram, dns, http, https, http2, tls and fetch reach
// the emulated network; outside of any host they are what they were.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Host } from "../socket/host.ts";
import { patchDgram, patchDns, patchOs } from "./programnames.ts";
import { type Importer, load, patchRequire } from "./programload.ts";
import { patchFetch } from "./programfetch.ts";
import { patchHttp } from "./programhttp.ts";
import { patchNet } from "./programnet.ts";
import { patchTls } from "./programtls.ts";

const running = new AsyncLocalStorage<Host>();

/** The host that the caller runs on; undefined outside of any. */
export function currentHost(): Host | undefined {
  return running.getStore();
}

let installed = false;

/** Puts the dispatching parts in place, once a process; they stay. */
function install(): void {
  if (installed) return;
  installed = true;
  patchNet(currentHost);
  patchTls(currentHost);
  patchDgram(currentHost);
  patchDns(currentHost);
  patchOs(currentHost);
  patchFetch(currentHost);
  patchHttp(currentHost);
  patchRequire(currentHost);
}

/** Runs `program` as code on the host; all that it starts stays there. */
export function runOn<T>(host: Host, program: () => T): T {
  install();
  return running.run(host, program);
}

const native: Importer = (url) => import(url) as Promise<Record<string, unknown>>;

/**
 * Runs a program's file on the host: an instance of its own, and of all that it imports, though other hosts run the same
 * file. Answers its exports once its top level is done.
 */
export function loadOn(host: Host, file: string, importer: Importer = native): Promise<Record<string, unknown>> {
  return runOn(host, () => load(host, file, importer));
}
