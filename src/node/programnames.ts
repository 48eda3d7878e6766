// src/node/programnames.ts: node:dgram, node:dns and node:os for programs on hosts.

import type dgram from "node:dgram";
import type dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import type os from "node:os";
import { promisify } from "node:util";
import type { Host } from "../socket/host.ts";
import { type Current, dispatch, modules } from "./programnet.ts";

type Any = (...args: unknown[]) => unknown;

export function patchDgram(current: Current): void {
  const node = modules<typeof dgram>("node:dgram");
  dispatch(node, "createSocket", current, (host, _self, [type, listener]) => host.dgram.createSocket(type, listener));
  syncBuiltinESMExports();
}

/** Questions that only a real resolver answers: refused on a host, so that none leaves the emulated network. */
const REFUSED = [
  "resolveAny", "resolveCaa", "resolveCname", "resolveMx", "resolveNaptr", "resolveNs", "resolvePtr", "resolveSoa",
  "resolveSrv", "resolveTlsa", "resolveTxt", "reverse", "lookupService", "resolve6",
]; // prettier-ignore

export function patchDns(current: Current): void {
  const node = modules<typeof dns>("node:dns");
  const promises = modules<typeof dns.promises>("node:dns/promises");
  dispatch(node, "lookup", current, (host, _self, [name, options, cb]) => host.dns.lookup(name as string, options, cb));
  // what promisify makes of it answers an object
  Object.defineProperty(node.lookup, promisify.custom, {
    value: (name: string, options?: never) => promises.lookup(name, options!),
  });
  dispatch(promises, "lookup", current, (host, _self, [name, options]) =>
    host.dns.promises.lookup(name as string, options),
  );
  // the functions, and those of `new dns.Resolver()`
  for (const calls of [node, node.Resolver.prototype]) patchQueries(calls as unknown as Calls, current, false);
  for (const calls of [promises, promises.Resolver.prototype]) patchQueries(calls as unknown as Calls, current, true);
  syncBuiltinESMExports();
}

type Calls = Record<string, Any>;
type Found = (e: Error | null, found?: readonly string[]) => void;

function patchQueries(calls: Calls, current: Current, promised: boolean): void {
  /** Puts the answer where the caller waits for it: a promise, or the last argument. */
  const give = (args: unknown[], ask: (cb: Found) => void): unknown =>
    promised ? asPromise(ask) : ask(args.at(-1) as Found);
  const ask = (host: Host, name: unknown, type: string, cb: Found): void => {
    if (type === "A") host.dns.resolve4(String(name), cb);
    else process.nextTick(cb, refused(type, name));
  };
  dispatch(calls, "resolve4", current, (host, _self, args) => give(args, (cb) => ask(host, args[0], "A", cb)));
  dispatch(calls, "resolve", current, (host, _self, args) =>
    give(args, (cb) => ask(host, args[0], typeof args[1] === "string" ? args[1] : "A", cb)),
  );
  for (const name of REFUSED) {
    if (calls[name] === undefined) continue;
    const type = name === "resolve6" ? "AAAA" : name.replace("resolve", "");
    dispatch(calls, name, current, (host, _self, args) => give(args, (cb) => ask(host, args[0], type, cb)));
  }
}

/** IPv6 is not there; for other types nobody is asked. */
function refused(type: string, name: unknown): Error {
  const syscall = `query${type[0]!.toUpperCase()}${type.slice(1).toLowerCase()}`;
  const code = type === "AAAA" ? "ENODATA" : "ENOTIMP";
  const e = new Error(`${syscall} ${code} ${String(name)}`);
  return Object.assign(e, { errno: undefined, code, syscall, hostname: name });
}

function asPromise(call: (cb: Found) => void): Promise<unknown> {
  return new Promise((resolve, reject) => call((e, found) => (e ? reject(e) : resolve(found))));
}

/** os.hostname: the host's name. */
export function patchOs(current: Current): void {
  dispatch(modules<typeof os>("node:os"), "hostname", current, (host) => host.name);
  syncBuiltinESMExports();
}
