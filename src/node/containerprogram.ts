// src/node/containerprogram.ts: a Node program of the user's in a container: its sockets, names and environment are the
// container's.

import type { Container } from "../docker/container.ts";
import type { Process } from "../docker/images.ts";
import { useNames } from "../docker/resolve.ts";
import { type Host, hostOf } from "../socket/host.ts";
import { nodePlatform } from "./platform.ts";
import { currentHost, loadOn } from "./program.ts";

type Environment = Readonly<Record<string, string>>;

const environments = new WeakMap<Host, Environment>();
let installed = false;

/** `process.env` of code that runs on a host begins with what its container was given. */
function install(): void {
  if (installed) return;
  installed = true;
  const real = process.env;
  const own = (): Environment | undefined => {
    const host = currentHost();
    return host === undefined ? undefined : environments.get(host);
  };
  process.env = new Proxy(real, {
    get: (_, key) => {
      const mine = own();
      return typeof key === "string" && mine !== undefined && Object.hasOwn(mine, key)
        ? mine[key]
        : real[key as string];
    },
    has: (_, key) => key in (own() ?? {}) || key in real,
    ownKeys: () => [...new Set([...Reflect.ownKeys(own() ?? {}), ...Reflect.ownKeys(real)])],
    getOwnPropertyDescriptor: (_, key) =>
      Reflect.getOwnPropertyDescriptor(own() ?? {}, key) ?? Reflect.getOwnPropertyDescriptor(real, key),
  });
}

/**
 * Lets Node load what `fetch` consists of: part of it is compiled in threads that virtual time cannot see, and must be there
 * before it begins.
 */
export async function prepare(): Promise<void> {
  const api = WebAssembly as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const names = ["compile", "instantiate"];
  const real = names.map((name) => api[name]!);
  const pending = new Set<Promise<unknown>>();
  names.forEach((name, i) => {
    api[name] = (...args) => {
      const made = real[i]!.apply(api, args);
      pending.add(made);
      return made;
    };
  });
  void globalThis.Headers;
  void new Request("http://localhost/");
  do {
    const all = [...pending];
    pending.clear();
    await Promise.allSettled(all);
    await new Promise((done) => setImmediate(done));
  } while (pending.size > 0);
  names.forEach((name, i) => (api[name] = real[i]!));
}

/** Loads the file on the container. `failed` hears what its top level threw; `loading` gets each load's promise. */
export function startProgram(
  container: Container,
  file: string,
  failed: (e: unknown) => void,
  loading: (load: Promise<unknown>) => void = () => {},
): Process {
  install();
  const host = hostOf(container.ns!, nodePlatform);
  useNames(container, host);
  environments.set(host, { HOSTNAME: container.hostname, ...container.options.environment });
  loading(loadOn(host, file).catch(failed));
  return { stop: () => host.kill() };
}
