// src/node/programload.ts: instances of modules, one for each host: two hosts that run one file share none of its state.

import { createRequire } from "node:module";
import * as nodeModule from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Host } from "../socket/host.ts";
import { holdTime } from "./driver.ts";

/** Native import(); a test runner that rewrites it hands another in. */
export type Importer = (url: string) => Promise<Record<string, unknown>>;

/** The word in a module's URL that says whose it is. */
const TAG = "wirepath-host";

/** What a module of a host imports is the host's as well. */
const hooks = `
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  return (${String(tagged)})(found, context.parentURL, ${JSON.stringify(TAG)});
}`;

function tagged(found: { url: string }, parent: string | undefined, word: string): { url: string } {
  if (parent === undefined || !found.url.startsWith("file:")) return found;
  const tag = new URL(parent).searchParams.get(word);
  if (tag === null) return found;
  const url = new URL(found.url);
  url.searchParams.set(word, tag);
  return { ...found, url: url.href };
}

type Next = (specifier: string, context: object) => { url: string };

let hooked = false;

function hook(): void {
  if (hooked) return;
  hooked = true;
  // within the thread where there is a way (Node 22.15), else in Node's thread for it
  const api = nodeModule as unknown as {
    registerHooks?(hooks: object): void;
    register(url: string): void;
  };
  if (api.registerHooks === undefined) api.register(`data:text/javascript,${encodeURIComponent(hooks)}`);
  else {
    api.registerHooks({
      resolve: (specifier: string, context: { parentURL?: string }, next: Next) =>
        tagged(next(specifier, context), context.parentURL, TAG),
    });
  }
}

/** What runs when a program's modules are all read, before the first of them runs. */
const begun = Symbol.for("wirepath.begun");
const waiting = new Map<string, () => void>();
let loads = 0;

/** Reads a program's file and all that it imports, as modules of the host's own, and runs it. Its exports. */
export async function load(host: Host, file: string, importer: Importer): Promise<Record<string, unknown>> {
  hook();
  const url = pathToFileURL(resolve(file));
  const tag = `${host.name}.${++loads}`;
  url.searchParams.set(TAG, tag);
  (globalThis as Record<symbol, unknown>)[begun] = (which: string) => waiting.get(which)?.();
  // reading takes real time; running takes the world's
  const release = holdTime(host.world);
  waiting.set(tag, release);
  const first = `globalThis[Symbol.for("wirepath.begun")](${JSON.stringify(tag)})`;
  const program = `import ${quoted(`data:text/javascript,${encodeURIComponent(first)}`)}
import * as program from ${quoted(url.href)};
export { program };`;
  try {
    const loaded = await importer(`data:text/javascript,${encodeURIComponent(program)}`);
    return loaded.program as Record<string, unknown>;
  } finally {
    waiting.delete(tag);
    release();
  }
}

const quoted = (text: string): string => JSON.stringify(text);

/** CommonJS: the modules of each host stand in a table of its own; outside of hosts in Node's. */
export function patchRequire(current: () => Host | undefined): void {
  const Module = createRequire(import.meta.url)("node:module") as { _cache: object };
  let shared = Module._cache;
  const own = new WeakMap<Host, object>();
  Object.defineProperty(Module, "_cache", {
    configurable: true,
    enumerable: true,
    get() {
      const host = current();
      if (host === undefined) return shared;
      let cache = own.get(host);
      if (cache === undefined) own.set(host, (cache = Object.create(null) as object));
      return cache;
    },
    set(value: object) {
      shared = value;
    },
  });
}
