// src/node/programhttp.ts: the Date header of node:http and http2 for programs on hosts: the host's time.
//
// Node takes it from a clock that no program can reach; an emulated answer says when it was given in the emulated network,
// and says the same in every run.

import http from "node:http";
import http2 from "node:http2";
import { syncBuiltinESMExports } from "node:module";
import type { Host } from "../socket/host.ts";
import type { Current } from "./programnet.ts";

interface Outgoing {
  sendDate: boolean;
  _header: string | null;
  _storeHeader(firstLine: string, headers: unknown): void;
}

const DATE = /\r\nDate: [^\r]*\r\n/;

/** Whether a program gave the header itself, in any of the forms that writeHead takes. */
function hasDate(headers: unknown): boolean {
  if (headers === null || typeof headers !== "object") return false;
  const names = Array.isArray(headers) ? headers.flat().map(String) : Object.keys(headers);
  return names.some((name) => name.toLowerCase() === "date");
}

function now({ world }: Host): string {
  return new Date(Number(world.epoch / 1_000_000n) + world.clock.now / 1e6).toUTCString();
}

export function patchHttp(current: Current): void {
  const proto = (http as unknown as { OutgoingMessage: { prototype: Outgoing } }).OutgoingMessage.prototype;
  const store = proto._storeHeader;
  if (typeof store === "function") {
    proto._storeHeader = function (firstLine, headers) {
      store.call(this, firstLine, headers);
      const host = current();
      if (host === undefined || !this.sendDate || hasDate(headers)) return;
      if (typeof this._header === "string") this._header = this._header.replace(DATE, `\r\nDate: ${now(host)}\r\n`);
    };
  }
  patchRespond(current);
  syncBuiltinESMExports();
}

interface Responding {
  respond(headers?: Record<string, unknown>, options?: unknown): void;
}

/** http2's streams have no class of their own to ask for: the first stream that a server makes shows it. */
function patchRespond(current: Current): void {
  const patched = new WeakSet<object>();
  const seen = (stream: object): void => {
    let proto = Object.getPrototypeOf(stream) as (Responding & object) | null;
    while (proto !== null && !Object.hasOwn(proto, "respond"))
      proto = Object.getPrototypeOf(proto) as Responding | null;
    if (proto === null || patched.has(proto)) return;
    patched.add(proto);
    const { respond } = proto;
    proto.respond = function (this: { sendDate?: boolean }, headers, options) {
      const host = current();
      const mine =
        host !== undefined &&
        !Array.isArray(headers) &&
        !hasDate(headers) &&
        (options as { sendDate?: boolean })?.sendDate !== false;
      respond.call(this as never, mine ? { ...headers, date: now(host) } : headers, options);
    };
  };
  for (const make of ["createServer", "createSecureServer"] as const) {
    const module = http2 as unknown as Record<string, (...args: unknown[]) => NodeJS.EventEmitter>;
    const real = module[make]!;
    module[make] = (...args) => {
      const server = real(...args);
      if (current() !== undefined) server.prependListener("stream", seen);
      return server;
    };
  }
}
