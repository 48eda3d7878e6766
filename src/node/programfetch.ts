// src/node/programfetch.ts: fetch, and undici's other functions, for programs on hosts.
//
// undici keeps connections by origin in one global dispatcher. Each host gets a dispatcher of its own: the same URL is
// another machine on another network. The connections themselves come from net.connect and tls.connect.

import type { Host } from "../socket/host.ts";
import type { Current } from "./programnet.ts";

interface Dispatcher {
  dispatch(...args: unknown[]): boolean;
}

/** Where undici, within Node and from npm, looks for its dispatcher. */
const key = Symbol.for("undici.globalDispatcher.1");

export function patchFetch(current: Current): void {
  // Node loads undici when it is first asked for a part of it
  void globalThis.Headers;
  const table = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  void new Request("http://localhost/");
  const real = table[key];
  if (real === undefined) return;
  const Agent = real.constructor as new () => Dispatcher;
  const agents = new WeakMap<Host, Dispatcher>();
  const of = (host: Host): Dispatcher => {
    let agent = agents.get(host);
    if (agent === undefined) agents.set(host, (agent = new Agent()));
    return agent;
  };
  table[key] = new Proxy(real, {
    get(_target, name) {
      const host = current();
      const to = host === undefined ? real : of(host);
      const value: unknown = Reflect.get(to, name, to);
      return typeof value === "function" ? (value.bind(to) as unknown) : value;
    },
  });
}
