// src/socket/dns.ts: a host's `dns`: names through its hosts table, then through its resolver.

import { checkFunction, checkString, lookupError } from "./errors.ts";
import { isIP } from "./addresses.ts";
import type { Platform } from "./platform.ts";

export interface LookupAddress {
  address: string;
  family: number;
}

export interface LookupOptions {
  family?: number | string;
  hints?: number;
  all?: boolean;
  order?: string;
  verbatim?: boolean;
}

export type LookupCallback = (error: Error | null, address?: string | LookupAddress[], family?: number) => void;

/** dns.lookup as sockets call it. */
export type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => void;

/** Of these errors of a resolver follows that there is no such name, or no address of it. */
const absent = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

/** Where a host's programs find names. */
export interface Names {
  /** What stands in /etc/hosts: addresses of names in lower case. */
  readonly hosts: Iterable<readonly [string, readonly string[]]>;
  readonly resolver: Resolver | null;
}

/** Asks name servers. */
export interface Resolver {
  /** The name's IPv4 addresses; an error's `code` as Node's dns.resolve4 has it: ENOTFOUND, ENODATA, ESERVFAIL, ETIMEOUT. */
  resolve4(name: string, callback: (error: Error | null, addresses: readonly string[]) => void): void;
}

/** What a program's `dns` is: lookup and its promise, and where names come from. */
export class Dns {
  /** /etc/hosts: addresses of a name, in order. Names are lower case. */
  readonly hosts = new Map<string, string[]>();
  /** null: no name server is known, and a name that the table lacks is not found. */
  resolver: Resolver | null = null;
  readonly promises: { lookup: (hostname: string, options?: unknown) => Promise<unknown> };

  constructor(
    private readonly platform: Platform,
    hostname: string,
  ) {
    this.hosts.set("localhost", ["127.0.0.1"]);
    if (hostname !== "") this.hosts.set(hostname.toLowerCase(), ["127.0.0.1"]);
    this.promises = {
      lookup: (name, options) =>
        new Promise((resolve, reject) => {
          const given = typeof options === "number" ? { family: options } : ((options ?? {}) as LookupOptions);
          const answer: LookupCallback = (error, address, family) => {
            if (error) reject(error);
            else resolve(given.all ? address : { address, family });
          };
          this.lookup(name, given, answer);
        }),
    };
  }

  /** Adds to the hosts table, and asks this resolver from now on. */
  use(names: Names): void {
    for (const [name, addresses] of names.hosts) this.hosts.set(name, [...addresses]);
    this.resolver = names.resolver;
  }

  /** dns.resolve4: the name servers' answer, whatever the hosts table says. */
  resolve4(name: string, callback: (error: Error | null, addresses?: readonly string[]) => void): void {
    if (this.resolver !== null) return this.resolver.resolve4(name, callback);
    const e = Object.assign(new Error(`queryA ENOTFOUND ${name}`), { code: "ENOTFOUND", syscall: "queryA" });
    this.platform.nextTick(callback, Object.assign(e, { hostname: name }) as Error | null);
  }

  /** `lookup(hostname[, options], callback)`: options an object or a family. The answer is never given before it returns. */
  readonly lookup = (hostname: string, options: unknown, callback?: unknown): void => {
    const cb = (callback ?? options) as LookupCallback;
    const given = callback === undefined ? {} : typeof options === "number" ? { family: options } : (options ?? {});
    checkFunction(cb, "callback");
    const o = given as LookupOptions;
    const family = o.family === "IPv4" ? 4 : o.family === "IPv6" ? 6 : Number(o.family ?? 0);
    const { nextTick } = this.platform;
    const answer = (addresses: readonly string[]): void => {
      const found = addresses.filter((a) => family === 0 || isIP(a) === family);
      if (found.length === 0) return cb(lookupError("ENOTFOUND", hostname));
      if (o.all)
        return cb(
          null,
          found.map((a) => ({ address: a, family: isIP(a) })),
        );
      cb(null, found[0], isIP(found[0]));
    };
    if (!hostname) {
      nextTick(() => (o.all ? cb(null, []) : (cb as (...a: unknown[]) => void)(null, null, family === 6 ? 6 : 4)));
      return;
    }
    checkString(hostname, "hostname");
    if (isIP(hostname) !== 0) {
      const type = isIP(hostname);
      nextTick(() => (o.all ? cb(null, [{ address: hostname, family: type }]) : cb(null, hostname, type)));
      return;
    }
    const name = hostname.toLowerCase().replace(/\.$/, "");
    const listed = this.hosts.get(name);
    if (listed !== undefined) return nextTick(answer, listed);
    if (this.resolver === null || family === 6) {
      return nextTick(cb, lookupError("ENOTFOUND", hostname) as Error | null);
    }
    this.resolver.resolve4(name, (error, addresses) => {
      if (error === null) return answer(addresses);
      const { code } = error as { code?: string };
      // getaddrinfo(3): what may be found another time is EAI_AGAIN
      cb(lookupError(absent.has(code ?? "") ? "ENOTFOUND" : "EAI_AGAIN", hostname));
    });
  };
}
