// src/node/programnet.ts: node:net and node:http for programs on hosts.

import http from "node:http";
import { createRequire, syncBuiltinESMExports } from "node:module";
import type net from "node:net";
import type { Host } from "../socket/host.ts";
import { listen, type Listening } from "../socket/server.ts";

export type Current = () => Host | undefined;

const require = createRequire(import.meta.url);
/** The modules' own objects: what Node's other modules look their functions up in. */
export const modules = <T>(name: string): T => require(name) as T;

type Any = (...args: unknown[]) => unknown;

/** Puts a function in another's place: on a host `there`, else what was there before. */
export function dispatch<T extends object, K extends keyof T>(
  target: T,
  key: K,
  current: Current,
  there: (host: Host, self: unknown, args: unknown[]) => unknown,
): void {
  const real = target[key] as unknown as Any;
  const patched = function (this: unknown, ...args: unknown[]): unknown {
    const host = current();
    return host === undefined ? real.apply(this, args) : there(host, this, args);
  };
  Object.defineProperty(patched, "name", { value: real.name, configurable: true });
  Object.defineProperty(patched, "length", { value: real.length, configurable: true });
  target[key] = patched as unknown as T[K];
}

const hostKey = Symbol("wirepath.host");

/** net.connect, createConnection, Socket, Server.listen; http's agents keep the connections of each host apart. */
export function patchNet(current: Current): void {
  const node = modules<typeof net>("node:net");
  const connect = (host: Host, _self: unknown, args: unknown[]): unknown => host.net.connect(...args);
  dispatch(node, "connect", current, connect);
  dispatch(node, "createConnection", current, connect);
  dispatch(http.Agent.prototype as unknown as { createConnection: Any }, "createConnection", current, connect);
  dispatch(node.Server.prototype as unknown as { listen: Any }, "listen", current, (host, self, args) => {
    listen(self as Listening, host, args);
    return self;
  });
  patchSocket(node, current);
  patchAgents(current);
  syncBuiltinESMExports();
}

/** `new net.Socket()` on a host is the host's; classes that extend it, and calls of it on their objects, stay Node's. */
function patchSocket(node: typeof net, current: Current): void {
  const Real = node.Socket as unknown as { new (options?: unknown): object; prototype: object };
  const Socket = function (this: unknown, options?: unknown): unknown {
    if (new.target === undefined) {
      // tls and others build upon it without `new`
      if (this instanceof Real) return (Real as unknown as Any).call(this, options);
      return new (Socket as unknown as typeof Real)(options);
    }
    const host = new.target === (Socket as unknown) ? current() : undefined;
    if (host !== undefined) return new host.Socket(options as never);
    return Reflect.construct(Real, [options], new.target);
  };
  Object.setPrototypeOf(Socket, Real);
  Object.defineProperty(Socket, "prototype", { value: Real.prototype });
  Object.assign(node, { Socket, Stream: Socket });
}

/**
 * Agents know connections by a name made of host and port. The same address on another host's network is another
 * machine, so the name says whose it is; the options carry it, since connections are freed in any context.
 */
function patchAgents(current: Current): void {
  const proto = http.Agent.prototype as unknown as {
    getName(options?: Record<PropertyKey, unknown>): string;
    addRequest(req: unknown, options: unknown, ...legacy: unknown[]): void;
  };
  const { getName, addRequest } = proto;
  proto.addRequest = function (req, options, ...legacy) {
    const host = current();
    const mine = host !== undefined && typeof options === "object" ? { ...options, [hostKey]: host } : options;
    addRequest.call(this, req, mine, ...legacy);
  };
  proto.getName = function (options) {
    const name = getName.call(this, options);
    const host = (options?.[hostKey] as Host | undefined) ?? current();
    return host === undefined ? name : `${name}@${idOf(host)}`;
  };
}

const ids = new WeakMap<Host, number>();
let nextId = 1;

function idOf(host: Host): number {
  let id = ids.get(host);
  if (id === undefined) ids.set(host, (id = nextId++));
  return id;
}
