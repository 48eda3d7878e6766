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
  const four = (host: Host, name: unknown, cb: (e: Error | null, found?: readonly string[]) => void): void => {
    host.dns.resolve4(String(name), cb);
  };
  dispatch(node, "resolve4", current, (host, _self, args) => four(host, args[0], args.at(-1) as never));
  dispatch(promises, "resolve4", current, (host, _self, [name]) => asPromise((cb) => four(host, name, cb)));
  for (const [target, promised] of [
    [node, false],
    [promises, true],
  ] as const) {
    const calls = target as unknown as Record<string, Any>;
    dispatch(calls, "resolve", current, (host, _self, args) => {
      const type = typeof args[1] === "string" ? args[1] : "A";
      if (promised) return asPromise((cb) => (type === "A" ? four(host, args[0], cb) : cb(refused(type, args[0]))));
      const cb = args.at(-1) as (e: Error | null) => void;
      if (type === "A") four(host, args[0], cb);
      else process.nextTick(cb, refused(type, args[0]));
    });
    for (const name of REFUSED) {
      if (calls[name] === undefined) continue;
      dispatch(calls, name, current, (_host, _self, args) => {
        const e = refused(name.replace("resolve", ""), args[0]);
        if (promised) return Promise.reject(e);
        process.nextTick(args.at(-1) as (e: Error) => void, e);
      });
    }
  }
  syncBuiltinESMExports();
}

function refused(type: string, name: unknown): Error {
  const syscall = `query${type[0]!.toUpperCase()}${type.slice(1).toLowerCase()}`;
  const e = new Error(`${syscall} ENOTIMP ${String(name)}`);
  return Object.assign(e, { errno: undefined, code: "ENOTIMP", syscall, hostname: name });
}

function asPromise(call: (cb: (e: Error | null, found?: readonly string[]) => void) => void): Promise<unknown> {
  return new Promise((resolve, reject) => call((e, found) => (e ? reject(e) : resolve(found))));
}

/** os.hostname: the host's name. */
export function patchOs(current: Current): void {
  dispatch(modules<typeof os>("node:os"), "hostname", current, (host) => host.name);
  syncBuiltinESMExports();
}
